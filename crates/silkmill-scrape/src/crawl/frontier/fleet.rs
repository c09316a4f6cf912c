//! The frontier in PostgreSQL: the job of a crawl that any number of processes work on, anywhere.
//!
//! A process leases hosts. The lease is a row that is committed, never an open transaction: it
//! names a random token, and the time from which another process may have the host, by the
//! database's clock alone. That same time says when a host may be asked again, so that a host that
//! rests and a host that is leased are one thing, and a process that dies needs no one to clean up
//! after it. A process extends its leases while it works, and requests nothing when one has ended,
//! by its own clock.
//!
//! What is given back is kept in memory until it is committed, in one transaction that compares the
//! token of each host ([`giving_back`]). What was given back of a host that has gone to another
//! process has no effect: the other one requests those pages again, and each page has one row. So
//! neither a process that is killed at any point nor one that was stopped for an hour, nor a
//! connection that breaks in the middle of a commit, loses a page or doubles one.
//!
//! A link can be leased when the commit that deletes its page from the queue has made it visible:
//! an empty queue in one snapshot is the end of the crawl.

mod address;
mod database;
mod export;
mod giving_back;
mod leasing;
pub(crate) mod options;
pub(crate) mod row_table;
mod tables;
mod texts;
mod tls;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use silkmill::CancelToken;

use crate::crawl::frontier::fleet::address::Address;
use crate::crawl::frontier::fleet::database::Database;
use crate::crawl::frontier::fleet::giving_back::{
    DonePage, HostNote, HostOf, NewLink, Return, Returned, give_back,
};
use crate::crawl::frontier::fleet::leasing::{Held, Leased};
use crate::crawl::frontier::fleet::options::FleetOptions;
use crate::crawl::frontier::fleet::row_table::RowTable;
use crate::crawl::frontier::fleet::tables::{Found, JobRecord, NewJob};
use crate::crawl::frontier::fleet::texts::{add_refusals, random, refusals_to_json, uuid};
use crate::crawl::frontier::words::differences;
use crate::crawl::frontier::{
    Answer, Committed, Frontier, HostNumber, HostPace, LeasedHost, NewUrl, NotedLink, Place,
    Reached, Waiting, millis,
};
use crate::crawl::refusal::Refusals;
use crate::crawl::seen_cache::SeenCache;
use crate::error::Error;
use crate::row::Row;

/// The most hosts whose numbers are kept in memory. Beyond that, all are forgotten.
const HOSTS_KEPT_MAX: usize = 16 * 1024;
/// The pause before a process without a host looks for one again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How often such a process looks for hosts that were forgotten.
const SEARCH_EVERY: Duration = Duration::from_secs(5);

/// The job of a crawl that many processes share.
#[derive(Debug)]
pub struct FleetJob {
    database: Database,
    options: FleetOptions,
    rows: RowTable,
    insertion: String,
    index_column: usize,
    /// This process, in the job's table of them.
    worker: String,
    /// The number of the next return.
    number: i64,
    record: JobRecord,
    leases: HashMap<HostNumber, Held>,
    /// The numbers of hosts by name, those of leased hosts apart.
    leased_names: HashMap<String, HostNumber>,
    hosts: HashMap<String, HostNumber>,
    seen: SeenCache,
    /// What was given back since the last commit.
    pages: Vec<DonePage>,
    done: HashMap<HostNumber, HashSet<Place>>,
    /// The row and the links of the page that is given back next.
    next_row: Option<(Vec<Option<String>>, bool)>,
    next_links: Vec<NewLink>,
    /// The leased hosts that have URLs among what was given back.
    pending: HashSet<HostNumber>,
    seeds: Vec<String>,
    seeds_known: i64,
    set_aside: Vec<HostNumber>,
    /// Whether the last search for hosts found that no URL waits anywhere.
    is_over: bool,
    /// When to look next for hosts that were forgotten.
    next_search: Instant,
}

impl FleetJob {
    /// Opens the job, or makes it where there is none. `words` are the names and values of all
    /// options that decide which rows the crawl has: they must be the same for every process.
    ///
    /// # Errors
    ///
    /// When the address is none, the database cannot be reached or does not let us in, or the job
    /// is of other words; the error says which.
    pub fn open(
        options: &FleetOptions,
        words: &[(String, String)],
        rows: RowTable,
        cancel: &CancelToken,
    ) -> Result<FleetJob, Error> {
        let address = Address::parse(&options.url, &options.job, options.password.as_deref())?;
        let key = [random(), random()].map(|number: u128| number as u64);
        let new = NewJob {
            schema: address.schema().to_owned(),
            words: words.to_vec(),
            key,
            rows_max: options.rows_max.map(u64::cast_signed),
            row_table: NewJob::row_table(&rows),
        };
        let mut database = Database::new(address, cancel);
        let record = match database.run("open", move |session| tables::open(session, &new))? {
            Found::Job(record) => record,
            Found::Foreign(why) => return Err(database.failed("open", why)),
        };
        let differences = differences(&record.words, words);
        if !differences.is_empty() {
            let why = format!("it is of a crawl with other words: {}", differences.join("; "));
            return Err(database.failed("open", why));
        }
        let worker = uuid(random());
        let (id, name) = (worker.clone(), options.name.clone());
        database.run("open", move |session| {
            session.execute(
                "INSERT INTO worker (id, name) VALUES ($1::text::uuid, $2) ON CONFLICT DO NOTHING",
                &[&id, &name],
            )
        })?;
        let Some(index_column) = rows.place_of("index") else {
            return Err(database.failed("open", "its rows would have no index".to_owned()));
        };
        Ok(FleetJob {
            database,
            options: options.clone(),
            insertion: rows.insertion(),
            index_column,
            rows,
            worker,
            number: 0,
            record,
            leases: HashMap::new(),
            leased_names: HashMap::new(),
            hosts: HashMap::new(),
            seen: SeenCache::new(),
            pages: Vec::new(),
            done: HashMap::new(),
            next_row: None,
            next_links: Vec::new(),
            pending: HashSet::new(),
            seeds: Vec::new(),
            seeds_known: 0,
            set_aside: Vec::new(),
            is_over: false,
            next_search: Instant::now(),
        })
    }

    /// Tells whether no process has begun the crawl yet.
    pub fn is_new(&self) -> bool {
        self.record.is_new
    }

    /// Returns how many rows the crawl has, as far as this process knows.
    pub fn rows(&self) -> u64 {
        self.record.rows
    }

    pub(crate) fn reached(&self) -> Reached {
        let JobRecord { rows, errors, .. } = self.record;
        Reached { rows, errors, ..Reached::default() }
    }

    pub(crate) fn key(&self) -> [u64; 2] {
        self.record.key
    }

    /// Returns the URLs that the scope lies around.
    pub(crate) fn seeds(&mut self) -> Result<Vec<String>, Error> {
        let seeds = self.database.run("read", |session| giving_back::seeds(session, 0))?;
        self.seeds_known = seeds.len() as i64;
        Ok(seeds)
    }

    fn host_of(&self, name: &str) -> HostOf {
        let known = self.leased_names.get(name).or_else(|| self.hosts.get(name));
        known.map_or_else(|| HostOf::Name(name.to_owned()), |number| HostOf::Number(*number))
    }

    /// Takes everything that is to be committed.
    fn take_return(&mut self, reached: &Reached) -> Return {
        let mut rows: HashMap<HostNumber, i64> = HashMap::new();
        for page in &self.pages {
            *rows.entry(page.place.host).or_default() += i64::from(page.row.is_some());
        }
        let least = self.options.delay;
        let lease = self.options.lease;
        let hosts = self.leases.iter().filter(|(number, held)| {
            rows.contains_key(number) || held.is_noted || held.is_released || held.is_old(lease)
        });
        let hosts = hosts
            .map(|(&number, held)| HostNote {
                number,
                token: held.token.clone(),
                rows: rows.get(&number).copied().unwrap_or_default(),
                delay_ms: millis(held.pace.delay),
                learned_ms: millis(held.pace.learned.delay),
                latency_ms: held.pace.learned.latency.map(millis),
                rest_ms: millis(held.rest(least)),
                is_released: held.is_released,
            })
            .collect();
        Return {
            worker: self.worker.clone(),
            number: self.number,
            hosts,
            pages: std::mem::take(&mut self.pages),
            urls: std::mem::take(&mut self.next_links),
            seeds: std::mem::take(&mut self.seeds),
            set_aside: std::mem::take(&mut self.set_aside),
            refusals: refusals_to_json(&reached.refusals),
            lease_ms: millis(lease),
            is_limited: self.options.rows_max.is_some(),
            insertion: self.insertion.clone(),
            index_column: self.index_column,
            seeds_known: self.seeds_known,
        }
    }

    /// Takes note of what a return has come to. `hosts` are those that it named.
    fn learn(&mut self, hosts: &[HostNumber], returned: Returned) -> Committed {
        let Returned { asked, is_known, lost, mut grown, numbers, rows, errors, .. } = returned;
        let (seeds, hungry) = (returned.seeds, returned.hungry);
        (self.record.rows, self.record.errors) = (rows, errors);
        if self.hosts.len() + numbers.len() > HOSTS_KEPT_MAX {
            self.hosts.clear();
        }
        self.hosts.extend(numbers);
        if !is_known || !lost.is_empty() {
            // Links were dropped with the pages that have them. They are new when they are found
            // again.
            self.seen = SeenCache::new();
        }
        for host in &lost {
            self.end_lease(*host);
        }
        for host in hosts {
            let Some(held) = self.leases.get_mut(host) else { continue };
            held.is_noted = false;
            if held.is_released {
                self.end_lease(*host);
            } else if is_known {
                held.extend(asked, self.options.lease);
            }
        }
        if !is_known {
            grown.extend(self.leases.keys().copied());
        }
        let held = grown.len();
        grown.retain(|host| self.leases.contains_key(host));
        if !seeds.is_empty() {
            self.seeds_known = seeds.len() as i64;
        }
        Committed {
            lost,
            has_new_hosts: grown.len() < held || !is_known,
            grown,
            counts: Some((rows, errors)),
            seeds,
            hungry,
        }
    }

    fn end_lease(&mut self, host: HostNumber) {
        if let Some(held) = self.leases.remove(&host) {
            held.lease.revoke();
            self.leased_names.remove(&held.name);
        }
    }
}

impl Frontier for FleetJob {
    fn lease_hosts(
        &mut self,
        hosts_max: usize,
        _held: usize,
        _is_held: &dyn Fn(HostNumber) -> bool,
    ) -> Result<Vec<LeasedHost>, Error> {
        let searches = self.next_search <= Instant::now();
        let wanted = leasing::Wanted {
            hosts_max: i64::try_from(hosts_max).unwrap_or(i64::MAX),
            token: uuid(random()),
            lease_ms: millis(self.options.lease),
            delay_ms: millis(self.options.delay),
            searches,
            hungry: self.leases.is_empty().then(|| self.worker.clone()),
        };
        let token = wanted.token.clone();
        let leased = self.database.run("read", move |session| leasing::lease(session, &wanted))?;
        let Leased { asked, hosts, mut urls, is_over, counts } = leased;
        if searches {
            self.next_search = Instant::now() + SEARCH_EVERY;
        }
        self.is_over = is_over;
        if let Some((rows, errors)) = counts {
            (self.record.rows, self.record.errors) = (rows, errors);
        }
        let lease = self.options.lease;
        let mut given = Vec::new();
        for host in hosts {
            let ready = urls.remove(&host.number).unwrap_or_default();
            let held = Held::new(&host, token.clone(), asked, lease, ready);
            given.push(LeasedHost { lease: held.lease.clone(), ..host.clone() });
            self.leased_names.insert(host.name, host.number);
            self.leases.insert(host.number, held);
        }
        Ok(given)
    }

    fn lease_urls(
        &mut self,
        host: HostNumber,
        urls_max: usize,
        held: usize,
        is_held: &dyn Fn(&Place) -> bool,
    ) -> Result<Vec<Waiting>, Error> {
        let Some(lease) = self.leases.get_mut(&host) else { return Ok(Vec::new()) };
        let ready = std::mem::take(&mut lease.ready);
        if !ready.is_empty() && urls_max >= ready.len() {
            return Ok(ready);
        }
        let done = self.done.get(&host);
        let known = held.saturating_add(done.map_or(0, HashSet::len));
        let limit = i64::try_from(urls_max.saturating_add(known)).unwrap_or(i64::MAX);
        let mut urls =
            self.database.run("read", move |session| leasing::urls(session, host, limit))?;
        urls.retain(|waiting| {
            !is_held(&waiting.place) && done.is_none_or(|done| !done.contains(&waiting.place))
        });
        urls.truncate(urls_max);
        Ok(urls)
    }

    fn add(&mut self, url: &NewUrl<'_>) -> Result<bool, Error> {
        let host = self.host_of(url.host);
        if let HostOf::Number(number) = host {
            if !self.seen.insert(number, url.hash) {
                return Ok(false);
            }
            if self.leases.contains_key(&number) {
                self.pending.insert(number);
            }
        }
        self.next_links.push(NewLink {
            url: url.url.replace('\0', "%00"),
            host,
            hash: url.hash.cast_signed(),
            depth: url.depth.cast_signed(),
            origin: url.origin,
        });
        Ok(false)
    }

    fn take_row(&mut self, _place: Place, row: &Row) -> Result<(), Error> {
        self.next_row = Some((self.rows.cells(row), row.error.is_some()));
        Ok(())
    }

    fn give_back(&mut self, place: Place, has_row: bool) -> Result<(), Error> {
        let row = self.next_row.take().filter(|_| has_row);
        let links = std::mem::take(&mut self.next_links);
        self.done.entry(place.host).or_default().insert(place);
        self.pages.push(DonePage { place, row, links });
        Ok(())
    }

    fn has_pending(&self, host: HostNumber) -> bool {
        self.pending.contains(&host)
    }

    fn release(&mut self, host: HostNumber) {
        if let Some(held) = self.leases.get_mut(&host) {
            held.is_released = true;
            held.lease.revoke();
        }
    }

    fn set_aside(&mut self, host: HostNumber) -> Result<(), Error> {
        self.set_aside.push(host);
        Ok(())
    }

    fn add_seed(&mut self, url: &str) -> Result<(), Error> {
        self.seeds.push(url.to_owned());
        Ok(())
    }

    fn note_host(&mut self, host: &str, pace: &HostPace) -> Result<(), Error> {
        let number = self.leased_names.get(host);
        if let Some(held) = number.and_then(|number| self.leases.get_mut(number)) {
            held.note(pace);
        }
        Ok(())
    }

    fn note_link(&mut self, _link: &NotedLink<'_>) -> Result<(), Error> {
        Err(self.database.failed("write", "a fleet does not check links".to_owned()))
    }

    fn note_answer(&mut self, _answer: &Answer<'_>) -> Result<(), Error> {
        Err(self.database.failed("write", "a fleet does not check links".to_owned()))
    }

    fn wants_commit(&self) -> bool {
        self.leases.values().any(|held| held.is_released || held.is_old(self.options.lease))
    }

    fn commit(&mut self, reached: &Reached) -> Result<Committed, Error> {
        let given = self.take_return(reached);
        let is_nothing = given.hosts.is_empty()
            && given.pages.is_empty()
            && given.urls.is_empty()
            && given.seeds.is_empty();
        if is_nothing {
            return Ok(Committed::default());
        }
        let hosts: Vec<HostNumber> = given.hosts.iter().map(|host| host.number).collect();
        let returned = self.database.run("write", move |session| give_back(session, &given))?;
        self.number += 1;
        self.done.clear();
        self.pending.clear();
        Ok(self.learn(&hosts, returned))
    }

    fn is_empty(&mut self) -> Result<bool, Error> {
        self.database.run("read", |session| {
            let row = session.query_one("SELECT NOT EXISTS (SELECT FROM queue)", &[])?;
            Ok(row.get(0))
        })
    }

    fn look_again(&mut self) -> Result<Option<Duration>, Error> {
        let has_more = !self.pages.is_empty() || !self.next_links.is_empty();
        let is_full = self.options.rows_max.is_some_and(|rows| self.record.rows >= rows);
        Ok((has_more || !(self.is_over || is_full)).then_some(LOOK_AGAIN))
    }

    fn totals(&mut self, _own: Reached) -> Result<Reached, Error> {
        let (rows, errors, texts) = self.database.run("read", |session| {
            let counts = session.query_one("SELECT rows, errors FROM job", &[])?;
            let count = |column| counts.get::<_, i64>(column).cast_unsigned();
            let rows = session.query("SELECT refusals FROM worker", &[])?;
            let texts: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            Ok((count(0), count(1), texts))
        })?;
        let mut refusals = Refusals::default();
        texts.iter().for_each(|text| add_refusals(&mut refusals, text));
        Ok(Reached { rows, errors, refusals, mark: Vec::new() })
    }
}

#[cfg(test)]
mod model;
