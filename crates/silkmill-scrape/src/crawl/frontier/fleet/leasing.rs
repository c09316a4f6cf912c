//! How hosts are leased, and what a process knows of those that it has.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::crawl::frontier::fleet::database::{Failure, Session};
use crate::crawl::frontier::fleet::giving_back::wake_forgotten;
use crate::crawl::frontier::{HostNumber, HostPace, LeasedHost, Origin, Place, Waiting};
use crate::input::lease::{Lease, Moment};
use crate::input::ticket::Purpose;
use crate::run::throttle::Learned;

/// A lease is extended when this part of it has passed.
const OLD_PART: u32 = 3;
/// This part of a lease is not used: a request may be about to be sent when the lease is looked at.
const MARGIN_PART: u32 = 10;
/// How many URLs of a host come with its lease: as many as are requested of a host that has not
/// answered.
const URLS_WITH_HOST: i64 = 4;

/// A host that is leased to this process.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) name: String,
    pub(super) token: String,
    pub(super) lease: Lease,
    extended: Instant,
    pub(super) pace: HostPace,
    /// When the last pause was noted.
    noted: Instant,
    /// Whether the database does not know the pace yet.
    pub(super) is_noted: bool,
    /// Whether the lease is to end with the next commit.
    pub(super) is_released: bool,
    /// The URLs that came with the lease.
    pub(super) ready: Vec<Waiting>,
}

impl Held {
    pub(super) fn new(
        host: &LeasedHost,
        token: String,
        asked: Moment,
        lease: Duration,
        ready: Vec<Waiting>,
    ) -> Held {
        Held {
            name: host.name.clone(),
            token,
            lease: Lease::until(end(asked, lease)),
            extended: Instant::now(),
            pace: HostPace { learned: host.learned, ..HostPace::default() },
            noted: Instant::now(),
            is_noted: false,
            is_released: false,
            ready,
        }
    }

    pub(super) fn note(&mut self, pace: &HostPace) {
        (self.pace, self.noted, self.is_noted) = (*pace, Instant::now(), true);
    }

    pub(super) fn extend(&mut self, asked: Moment, lease: Duration) {
        self.lease.extend(end(asked, lease));
        self.extended = Instant::now();
    }

    /// Tells whether the lease is to be extended.
    pub(super) fn is_old(&self, lease: Duration) -> bool {
        self.extended.elapsed() >= lease / OLD_PART
    }

    /// Returns how long the host is to be left alone from now on, as if it had been requested just
    /// now.
    pub(super) fn rest(&self, least: Duration) -> Duration {
        let pause = self.pace.pause.saturating_sub(self.noted.elapsed());
        pause.max(self.pace.delay).max(self.pace.learned.delay).max(least)
    }
}

/// Returns the time from which a host that was leased after `asked` is not requested any more.
fn end(asked: Moment, lease: Duration) -> Moment {
    asked.after(lease - lease / MARGIN_PART)
}

/// What a process wants to lease.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) hosts_max: i64,
    pub(super) token: String,
    pub(super) lease_ms: i64,
    pub(super) delay_ms: i64,
    /// Whether to look for hosts that were forgotten, if there are no others.
    pub(super) searches: bool,
    /// The process, if it has no host.
    pub(super) hungry: Option<String>,
}

/// What was leased.
#[derive(Debug)]
pub(super) struct Leased {
    /// A time before the leases began.
    pub(super) asked: Moment,
    pub(super) hosts: Vec<LeasedHost>,
    /// The first URLs of each host.
    pub(super) urls: HashMap<HostNumber, Vec<Waiting>>,
    /// Whether no URL waits anywhere; known only when there were fewer hosts than were wanted.
    pub(super) is_over: bool,
    /// The rows of the crawl, and those that have an error, where that was asked.
    pub(super) counts: Option<(u64, u64)>,
}

/// Leases hosts: those that have been ready for longest.
pub(super) fn lease(session: &mut Session, wanted: &Wanted) -> Result<Leased, Failure> {
    let asked = Moment::now();
    let mut hosts = lease_ready(session, wanted)?;
    let lacks = |hosts: &[LeasedHost]| (hosts.len() as i64) < wanted.hosts_max;
    if wanted.searches && hosts.is_empty() {
        wake_forgotten(session)?;
        hosts = lease_ready(session, wanted)?;
    }
    if let Some(worker) = wanted.hungry.as_ref().filter(|_| hosts.is_empty()) {
        session.execute(
            "UPDATE worker SET hungry_at = now(), seen_at = now() WHERE id = $1::text::uuid",
            &[worker],
        )?;
    }
    let numbers: Vec<HostNumber> = hosts.iter().map(|host| host.number).collect();
    let mut urls: HashMap<HostNumber, Vec<Waiting>> = HashMap::new();
    if !numbers.is_empty() {
        let rows = session.query(
            &format!(
                "SELECT first.* FROM unnest($1::bigint[]) AS leased(number), LATERAL \
                 (SELECT {COLUMNS} FROM queue WHERE host = leased.number ORDER BY depth, number \
                 LIMIT {URLS_WITH_HOST}) AS first ORDER BY host, depth, number"
            ),
            &[&numbers],
        )?;
        for row in &rows {
            let waiting = waiting(row);
            urls.entry(waiting.place.host).or_default().push(waiting);
        }
    }
    let (mut is_over, mut counts) = (false, None);
    if lacks(&hosts) {
        let row = session.query_one(
            "SELECT NOT EXISTS (SELECT FROM queue WHERE host > 0), rows, errors FROM job",
            &[],
        )?;
        is_over = row.get(0);
        let count = |column| row.get::<_, i64>(column).cast_unsigned();
        counts = Some((count(1), count(2)));
    }
    Ok(Leased { asked, hosts, urls, is_over, counts })
}

fn lease_ready(session: &mut Session, wanted: &Wanted) -> Result<Vec<LeasedHost>, Failure> {
    let rows = session.query(
        // Materialized: a plan that ran the selection twice would lease more.
        "WITH ready AS MATERIALIZED (SELECT number FROM host WHERE ready_at <= now() \
         AND ready_at < 'infinity' ORDER BY ready_at LIMIT $1 FOR UPDATE SKIP LOCKED) \
         UPDATE host SET token = $2::text::uuid, ready_at = now() + ($3::bigint + \
         greatest(delay_ms, learned_ms, $4::bigint)) * interval '1 millisecond' \
         FROM ready WHERE host.number = ready.number \
         RETURNING host.number, name, rows, learned_ms, latency_ms",
        &[&wanted.hosts_max, &wanted.token, &wanted.lease_ms, &wanted.delay_ms],
    )?;
    Ok(rows.iter().map(leased_host).collect())
}

/// Reads up to `limit` URLs of a host, in their order.
pub(super) fn urls(
    session: &mut Session,
    host: HostNumber,
    limit: i64,
) -> Result<Vec<Waiting>, Failure> {
    let rows = session.query(
        &format!("SELECT {COLUMNS} FROM queue WHERE host = $1 ORDER BY depth, number LIMIT $2"),
        &[&host, &limit],
    )?;
    Ok(rows.iter().map(waiting).collect())
}

const COLUMNS: &str = "host, depth, number, url, parent, purpose, is_seed, is_public, hops";

fn leased_host(row: &postgres::Row) -> LeasedHost {
    let millis = |millis: i64| Duration::from_millis(millis.cast_unsigned());
    let learned =
        Learned { delay: millis(row.get(3)), latency: row.get::<_, Option<i64>>(4).map(millis) };
    LeasedHost {
        number: row.get(0),
        name: row.get(1),
        rows: row.get::<_, i64>(2).cast_unsigned(),
        // The database leases no host that must be left alone.
        rest: Duration::ZERO,
        learned,
        lease: Lease::default(),
    }
}

fn waiting(row: &postgres::Row) -> Waiting {
    let place =
        Place { host: row.get(0), depth: row.get::<_, i32>(1).cast_unsigned(), number: row.get(2) };
    let origin = Origin {
        parent: row.get::<_, Option<i64>>(4).map(i64::cast_unsigned),
        purpose: Purpose::of_number(row.get::<_, i16>(5).into()),
        is_seed: row.get(6),
        from_public_network: row.get(7),
        hops: row.get::<_, i32>(8).cast_unsigned(),
    };
    Waiting { place, url: row.get(3), origin }
}
