//! What a process gives back, in one transaction: pages that are done, their rows, and the links
//! that were found in them.
//!
//! The transaction begins with the number of the return. A process whose connection broke while it
//! waited for the answer sends the same return again; if it was committed, its number is not the
//! next one any more. The lock on the record of the process makes that true while the broken
//! connection still commits.
//!
//! Then come the hosts: what was given back of a host whose token is another has no effect. Of the
//! others the URLs are deleted from the queue, and only a URL that was deleted has a row, and
//! links. Everything that two processes may both touch is taken in one order, so that they do not
//! wait for each other.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::crawl::frontier::fleet::database::{Failure, Session};
use crate::crawl::frontier::{HostNumber, Origin, Place};
use crate::input::lease::Moment;

/// Everything that goes into one transaction.
#[derive(Debug, Default)]
pub(super) struct Return {
    /// The process, and the number of the return.
    pub(super) worker: String,
    pub(super) number: i64,
    pub(super) hosts: Vec<HostNote>,
    pub(super) pages: Vec<DonePage>,
    /// URLs that no page led to.
    pub(super) urls: Vec<NewLink>,
    pub(super) seeds: Vec<String>,
    /// Hosts that have all the rows they may have.
    pub(super) set_aside: Vec<HostNumber>,
    /// How many links were not followed, by reason, as JSON.
    pub(super) refusals: String,
    /// How long a lease lasts.
    pub(super) lease_ms: i64,
    /// Whether the crawl has a limit of rows.
    pub(super) is_limited: bool,
    /// The statement that inserts rows, and the column of the index.
    pub(super) insertion: String,
    pub(super) index_column: usize,
    /// How many seeds the process knows.
    pub(super) seeds_known: i64,
}

/// A leased host.
#[derive(Clone, Debug)]
pub(super) struct HostNote {
    pub(super) number: HostNumber,
    pub(super) token: String,
    pub(super) rows: i64,
    pub(super) delay_ms: i64,
    pub(super) learned_ms: i64,
    pub(super) latency_ms: Option<i64>,
    /// How long it is to be left alone when the lease ends.
    pub(super) rest_ms: i64,
    pub(super) is_released: bool,
}

/// A page that is done.
#[derive(Debug)]
pub(super) struct DonePage {
    pub(super) place: Place,
    /// The cells of its row, if it has one, and whether the row has an error.
    pub(super) row: Option<(Vec<Option<String>>, bool)>,
    pub(super) links: Vec<NewLink>,
}

/// A URL that was found.
#[derive(Clone, Debug)]
pub(super) struct NewLink {
    pub(super) url: String,
    pub(super) host: HostOf,
    pub(super) hash: i64,
    pub(super) depth: i32,
    pub(super) origin: Origin,
}

/// The host of a URL.
#[derive(Clone, Debug)]
pub(super) enum HostOf {
    Number(HostNumber),
    Name(String),
}

/// What a return has come to.
#[derive(Debug)]
pub(super) struct Returned {
    /// A time before the leases were extended.
    pub(super) asked: Moment,
    /// Whether this return was committed now; if not, it was before, and nothing else is known.
    pub(super) is_known: bool,
    pub(super) lost: Vec<HostNumber>,
    /// The hosts that have new URLs.
    pub(super) grown: Vec<HostNumber>,
    /// The numbers of hosts that were named.
    pub(super) numbers: HashMap<String, HostNumber>,
    pub(super) rows: u64,
    pub(super) errors: u64,
    /// All seeds, if there are more than were known.
    pub(super) seeds: Vec<String>,
    /// How many processes have no host.
    pub(super) hungry: usize,
}

/// Commits a return, unless it was committed before.
pub(super) fn give_back(session: &mut Session, given: &Return) -> Result<Returned, Failure> {
    let asked = Moment::now();
    let numbers = number_hosts(session, given)?;
    let committed = session.transaction(|session| commit(session, given, &numbers))?;
    let counts = session.query_one(
        "SELECT rows, errors, (SELECT count(*) FROM worker \
         WHERE hungry_at > now() - interval '1 second') FROM job",
        &[],
    )?;
    let seeds = seeds(session, given.seeds_known)?;
    let is_known = committed.is_some();
    let (lost, grown) = committed.unwrap_or_default();
    Ok(Returned {
        asked,
        is_known,
        lost,
        grown,
        numbers,
        rows: counts.get::<_, i64>(0).cast_unsigned(),
        errors: counts.get::<_, i64>(1).cast_unsigned(),
        seeds,
        hungry: counts.get::<_, i64>(2) as usize,
    })
}

/// Returns all seeds, if there are not as many as are known.
pub(super) fn seeds(session: &mut Session, known: i64) -> Result<Vec<String>, Failure> {
    let count: i64 = session.query_one("SELECT count(*) FROM seed", &[])?.get(0);
    if count == known {
        return Ok(Vec::new());
    }
    let rows = session.query("SELECT url FROM seed ORDER BY number", &[])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Returns the numbers of the hosts that are named, which get them now if they have none. That is
/// no part of the transaction: a host without URLs does no harm, and nobody waits for its name.
fn number_hosts(
    session: &mut Session,
    given: &Return,
) -> Result<HashMap<String, HostNumber>, Failure> {
    let links = given.pages.iter().flat_map(|page| &page.links).chain(&given.urls);
    let names: HashSet<&str> = links
        .filter_map(|link| match &link.host {
            HostOf::Name(name) => Some(name.as_str()),
            HostOf::Number(_) => None,
        })
        .collect();
    let mut numbers = HashMap::new();
    let mut unknown: Vec<&str> = names.into_iter().collect();
    // Names in one order, so that two processes that insert the same ones do not wait for each
    // other.
    unknown.sort_unstable();
    for is_second in [false, true] {
        if unknown.is_empty() {
            break;
        }
        if is_second {
            session.execute(
                "INSERT INTO host (name) SELECT name FROM unnest($1::text[]) AS given(name) \
                 ORDER BY name COLLATE \"C\" ON CONFLICT DO NOTHING",
                &[&unknown],
            )?;
        }
        let rows = session.query(
            "SELECT host.name, host.number FROM host JOIN unnest($1::text[]) AS given(name) \
             ON md5(host.name) = md5(given.name) AND host.name = given.name",
            &[&unknown],
        )?;
        numbers.extend(rows.iter().map(|row| (row.get::<_, String>(0), row.get(1))));
        unknown.retain(|name| !numbers.contains_key(*name));
    }
    Ok(numbers)
}

/// The hosts that were lost, and those that have new URLs.
type Effects = (Vec<HostNumber>, Vec<HostNumber>);

fn commit(
    session: &mut Session,
    given: &Return,
    numbers: &HashMap<String, HostNumber>,
) -> Result<Option<Effects>, Failure> {
    let is_next = session.execute(
        "UPDATE worker SET returns = $2::bigint + 1, seen_at = now() \
         WHERE id = $1::text::uuid AND returns = $2",
        &[&given.worker, &given.number],
    )?;
    if is_next == 0 {
        return Ok(None);
    }
    let mine = keep_hosts(session, given)?;
    let is_mine = |host: HostNumber| mine.contains(&host);
    let lost = given.hosts.iter().map(|host| host.number).filter(|host| !is_mine(*host)).collect();
    insert_seeds(session, &given.seeds)?;
    let room = match given.is_limited {
        true => Some(room_for_rows(session)?),
        false => None,
    };
    let mut pages: Vec<&DonePage> =
        given.pages.iter().filter(|page| is_mine(page.place.host)).collect();
    if let Some(mut room) = room {
        pages.retain(|page| {
            let fits = page.row.is_none() || room > 0;
            room -= i64::from(page.row.is_some() && fits);
            fits
        });
    }
    let deleted = delete_urls(session, &pages)?;
    pages.retain(|page| deleted.contains(&page.place));
    let mut links = Links::of(&pages, given, numbers);
    links.keep_new(session)?;
    let first_index = insert_rows(session, given, &pages)?;
    let grown = links.insert(session, &pages, first_index)?;
    wake(session, &grown)?;
    let aside: Vec<HostNumber> =
        given.set_aside.iter().copied().filter(|host| is_mine(*host)).collect();
    if !aside.is_empty() {
        session.execute("UPDATE queue SET host = -host WHERE host = ANY($1)", &[&aside])?;
    }
    release(session, given, &mine)?;
    Ok(Some((lost, grown)))
}

/// Extends the leases of the hosts and notes how they want to be asked. Returns those that are
/// still leased to this process.
fn keep_hosts(session: &mut Session, given: &Return) -> Result<HashSet<HostNumber>, Failure> {
    let hosts = &given.hosts;
    if hosts.is_empty() {
        return Ok(HashSet::new());
    }
    let list = |get: fn(&HostNote) -> i64| hosts.iter().map(get).collect::<Vec<i64>>();
    let tokens: Vec<&str> = hosts.iter().map(|host| host.token.as_str()).collect();
    let latencies: Vec<Option<i64>> = hosts.iter().map(|host| host.latency_ms).collect();
    let rows = session.query(
        "UPDATE host SET ready_at = now() + ($8 + given.rest_ms) * interval '1 millisecond', \
         rows = host.rows + given.rows, delay_ms = given.delay_ms, \
         learned_ms = given.learned_ms, latency_ms = given.latency_ms \
         FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], \
         $6::bigint[], $7::bigint[]) AS given(number, token, rows, delay_ms, learned_ms, \
         latency_ms, rest_ms) \
         WHERE host.number = given.number AND host.token = given.token::uuid \
         RETURNING host.number",
        &[
            &list(|host| host.number),
            &tokens,
            &list(|host| host.rows),
            &list(|host| host.delay_ms),
            &list(|host| host.learned_ms),
            &latencies,
            &list(|host| host.rest_ms),
            &given.lease_ms,
        ],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn insert_seeds(session: &mut Session, seeds: &[String]) -> Result<(), Failure> {
    if seeds.is_empty() {
        return Ok(());
    }
    session.execute(
        "INSERT INTO seed (url) SELECT url FROM unnest($1::text[]) WITH ORDINALITY AS \
         given(url, place) ORDER BY md5(url), place ON CONFLICT DO NOTHING",
        &[&seeds],
    )?;
    Ok(())
}

/// Returns how many more rows the crawl may have, which no other process changes before this
/// transaction ends.
fn room_for_rows(session: &mut Session) -> Result<i64, Failure> {
    let row = session.query_one("SELECT rows, rows_max FROM job FOR UPDATE", &[])?;
    let (rows, rows_max): (i64, Option<i64>) = (row.get(0), row.get(1));
    Ok(rows_max.map_or(i64::MAX, |rows_max| (rows_max - rows).max(0)))
}

/// Deletes pages from the queue. Returns those that were in it.
fn delete_urls(session: &mut Session, pages: &[&DonePage]) -> Result<HashSet<Place>, Failure> {
    if pages.is_empty() {
        return Ok(HashSet::new());
    }
    let hosts: Vec<i64> = pages.iter().map(|page| page.place.host).collect();
    let depths: Vec<i32> = pages.iter().map(|page| page.place.depth.cast_signed()).collect();
    let numbers: Vec<i64> = pages.iter().map(|page| page.place.number).collect();
    let rows = session.query(
        "DELETE FROM queue USING unnest($1::bigint[], $2::integer[], $3::bigint[]) AS \
         done(host, depth, number) WHERE queue.host = done.host AND queue.depth = done.depth \
         AND queue.number = done.number RETURNING queue.host, queue.depth, queue.number",
        &[&hosts, &depths, &numbers],
    )?;
    let place = |row: &postgres::Row| Place {
        host: row.get(0),
        depth: row.get::<_, i32>(1).cast_unsigned(),
        number: row.get(2),
    };
    Ok(rows.iter().map(place).collect())
}

/// Inserts the rows of pages. Returns the index of the first. From here to its end the transaction
/// is the only one that gives indices.
fn insert_rows(session: &mut Session, given: &Return, pages: &[&DonePage]) -> Result<i64, Failure> {
    let rows: Vec<_> = pages.iter().filter_map(|page| page.row.as_ref()).collect();
    if rows.is_empty() {
        return Ok(0);
    }
    let (count, errors) =
        (rows.len() as i64, rows.iter().filter(|(_, error)| *error).count() as i64);
    let counted = session.query_one(
        "UPDATE job SET rows = rows + $1, errors = errors + $2 RETURNING rows - $1",
        &[&count, &errors],
    )?;
    let first: i64 = counted.get(0);
    let columns = rows.first().map_or(0, |(cells, _)| cells.len());
    let indices: Vec<Option<String>> =
        (first..first + count).map(|index| Some(index.to_string())).collect();
    let lists: Vec<Vec<Option<&str>>> = (0..columns)
        .map(|column| match column == given.index_column {
            true => indices.iter().map(Option::as_deref).collect(),
            false => rows.iter().map(|(cells, _)| cells[column].as_deref()).collect(),
        })
        .collect();
    let values: Vec<&(dyn postgres::types::ToSql + Sync)> =
        lists.iter().map(|list| list as &(dyn postgres::types::ToSql + Sync)).collect();
    session.execute(&given.insertion, &values)?;
    session.execute(
        "UPDATE worker SET rows = rows + $2, errors = errors + $3, refusals = $4 \
         WHERE id = $1::text::uuid",
        &[&given.worker, &count, &errors, &given.refusals],
    )?;
    Ok(first)
}

/// The links of a return, in their order, each with the place of its page.
struct Links<'a> {
    links: Vec<(HostNumber, &'a NewLink, Option<usize>)>,
}

impl<'a> Links<'a> {
    fn of(
        pages: &[&'a DonePage],
        given: &'a Return,
        numbers: &HashMap<String, HostNumber>,
    ) -> Links<'a> {
        let of_pages = pages
            .iter()
            .enumerate()
            .flat_map(|(place, page)| page.links.iter().map(move |link| (link, Some(place))));
        let all = of_pages.chain(given.urls.iter().map(|link| (link, None)));
        let links = all
            .filter_map(|(link, place)| {
                let host = match &link.host {
                    HostOf::Number(number) => Some(*number),
                    HostOf::Name(name) => numbers.get(name).copied(),
                };
                host.map(|host| (host, link, place))
            })
            .collect();
        Links { links }
    }

    /// Keeps the URLs that nobody has found before.
    fn keep_new(&mut self, session: &mut Session) -> Result<(), Failure> {
        if self.links.is_empty() {
            return Ok(());
        }
        let mut keys: Vec<(i64, i64)> =
            self.links.iter().map(|(host, link, _)| (*host, link.hash)).collect();
        keys.sort_unstable();
        keys.dedup();
        let (hosts, hashes): (Vec<i64>, Vec<i64>) = keys.into_iter().unzip();
        let rows = session.query(
            "INSERT INTO seen SELECT host, hash FROM unnest($1::bigint[], $2::bigint[]) \
             AS given(host, hash) ORDER BY host, hash ON CONFLICT DO NOTHING RETURNING host, hash",
            &[&hosts, &hashes],
        )?;
        let mut new: HashSet<(i64, i64)> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        self.links.retain(|(host, link, _)| new.remove(&(*host, link.hash)));
        Ok(())
    }

    /// Puts the URLs into the queue. Returns their hosts.
    fn insert(
        self,
        session: &mut Session,
        pages: &[&DonePage],
        first_index: i64,
    ) -> Result<Vec<HostNumber>, Failure> {
        if self.links.is_empty() {
            return Ok(Vec::new());
        }
        // The index of each page's row.
        let mut index = first_index;
        let indices: Vec<Option<i64>> = pages
            .iter()
            .map(|page| {
                let has_row = page.row.is_some();
                index += i64::from(has_row);
                has_row.then(|| index - 1)
            })
            .collect();
        let links = &self.links;
        let hosts: Vec<i64> = links.iter().map(|(host, ..)| *host).collect();
        let parents: Vec<Option<i64>> = links
            .iter()
            .map(|(_, link, page)| link.origin.parent.and(page.and_then(|page| indices[page])))
            .collect();
        let depths: Vec<i32> = links.iter().map(|(_, link, _)| link.depth).collect();
        let urls: Vec<&str> = links.iter().map(|(_, link, _)| link.url.as_str()).collect();
        let purposes: Vec<i16> =
            links.iter().map(|(_, link, _)| link.origin.purpose as i16).collect();
        let seeds: Vec<bool> = links.iter().map(|(_, link, _)| link.origin.is_seed).collect();
        let public: Vec<bool> =
            links.iter().map(|(_, link, _)| link.origin.from_public_network).collect();
        let hops: Vec<i32> =
            links.iter().map(|(_, link, _)| link.origin.hops.cast_signed()).collect();
        session.execute(
            "INSERT INTO queue (host, depth, url, parent, purpose, is_seed, is_public, hops) \
             SELECT host, depth, url, parent, purpose, is_seed, is_public, hops \
             FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::bigint[], $5::smallint[], \
             $6::boolean[], $7::boolean[], $8::integer[]) WITH ORDINALITY \
             AS found(host, depth, url, parent, purpose, is_seed, is_public, hops, place) \
             ORDER BY place",
            &[&hosts, &depths, &urls, &parents, &purposes, &seeds, &public, &hops],
        )?;
        let mut grown = hosts;
        grown.sort_unstable();
        grown.dedup();
        Ok(grown)
    }
}

/// Lets hosts be leased again that had no URLs. One that another process parks or wakes at this
/// moment is passed over: [`wake_forgotten`] finds it.
fn wake(session: &mut Session, hosts: &[HostNumber]) -> Result<(), Failure> {
    if hosts.is_empty() {
        return Ok(());
    }
    session.execute(
        "WITH parked AS MATERIALIZED (SELECT number FROM host WHERE number = ANY($1) \
         AND ready_at = 'infinity' ORDER BY number FOR UPDATE SKIP LOCKED) \
         UPDATE host SET ready_at = greatest(now(), rested_at) \
         FROM parked WHERE host.number = parked.number",
        &[&hosts],
    )?;
    Ok(())
}

/// Lets hosts be leased again that have URLs and were parked all the same: one process found the
/// queue empty while another had not yet committed what it had found. Looks at each host that has
/// URLs once.
pub(super) fn wake_forgotten(session: &mut Session) -> Result<(), Failure> {
    session.execute(
        "WITH RECURSIVE waiting(host) AS ( \
         (SELECT host FROM queue WHERE host > 0 ORDER BY host LIMIT 1) UNION ALL \
         SELECT (SELECT queue.host FROM queue WHERE queue.host > waiting.host \
         ORDER BY queue.host LIMIT 1) FROM waiting WHERE waiting.host IS NOT NULL), \
         parked AS MATERIALIZED (SELECT number FROM host JOIN waiting ON host = number \
         WHERE ready_at = 'infinity' ORDER BY number FOR UPDATE OF host SKIP LOCKED) \
         UPDATE host SET ready_at = greatest(now(), rested_at) \
         FROM parked WHERE host.number = parked.number",
        &[],
    )?;
    Ok(())
}

/// Ends leases. A host without URLs is parked.
fn release(
    session: &mut Session,
    given: &Return,
    mine: &HashSet<HostNumber>,
) -> Result<(), Failure> {
    let released: BTreeMap<HostNumber, i64> = given
        .hosts
        .iter()
        .filter(|host| host.is_released && mine.contains(&host.number))
        .map(|host| (host.number, host.rest_ms))
        .collect();
    if released.is_empty() {
        return Ok(());
    }
    let (hosts, rests): (Vec<i64>, Vec<i64>) = released.into_iter().unzip();
    session.execute(
        "UPDATE host SET token = NULL, \
         rested_at = now() + given.rest_ms * interval '1 millisecond', \
         ready_at = CASE WHEN EXISTS (SELECT FROM queue WHERE queue.host = host.number) \
         THEN now() + given.rest_ms * interval '1 millisecond' ELSE 'infinity' END \
         FROM unnest($1::bigint[], $2::bigint[]) AS given(number, rest_ms) \
         WHERE host.number = given.number",
        &[&hosts, &rests],
    )?;
    Ok(())
}
