//! The frontier in an SQLite database: the job of a crawl on one machine.
//!
//! Keys begin with the number of the host, so that the links of a page, most of which lead to one
//! host, lie together. A URL that was seen is 64 bits of the keyed hash of its canonical form: of a
//! million URLs of a host two are taken for one with a chance of 3 in 100 million.
//!
//! A commit survives the death of the process. After a power cut the newest commits may be missing,
//! never a part of one; the output is forced to disk before each commit, so that it has at least
//! what the job says. The database is locked for one process.

pub(crate) mod check;
mod file;
mod record;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};

use crate::crawl::frontier::job::record::{leased_host, waiting};
use crate::crawl::frontier::{
    Answer, Committed, Frontier, HostNumber, HostPace, LeasedHost, NewUrl, NotedLink, Place,
    Reached, Waiting, millis,
};
use crate::crawl::refusal::{Refusal, Refusals};
use crate::crawl::seen_cache::SeenCache;
use crate::error::Error;

/// The most hosts whose numbers are kept in memory. Beyond that, all are forgotten.
const HOSTS_KEPT_MAX: usize = 16 * 1024;

/// The job of a crawl: a file that has everything that the crawl needs in order to go on.
///
/// ```
/// use silkmill_scrape::CrawlJob;
///
/// let folder = tempfile::tempdir()?;
/// let words = [("scope".to_owned(), "host".to_owned())];
/// let job = CrawlJob::open(&folder.path().join("rows.jsonl.crawl"), &words)?;
/// assert!(job.is_new() && job.mark().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CrawlJob {
    connection: Connection,
    path: PathBuf,
    is_new: bool,
    opened: Instant,
    /// Whether a transaction is open.
    is_open: bool,
    reached: Reached,
    key: [u64; 2],
    /// The number of the next URL that is found.
    next_number: i64,
    /// Numbers by name.
    hosts: HashMap<String, HostNumber>,
    seen: SeenCache,
    /// The host that was leased last.
    cursor: HostNumber,
    /// The rows of each host that its record does not count yet: those since the last commit.
    uncounted: HashMap<HostNumber, i64>,
}

impl CrawlJob {
    /// Opens the job of a crawl, or makes it where there is none. `words` are the names and values
    /// of all options that decide which rows a crawl has.
    ///
    /// # Errors
    ///
    /// When the file is no job, is one of other words (the error says which), is used by another
    /// process, or cannot be read or written.
    pub fn open(path: &Path, words: &[(String, String)]) -> Result<CrawlJob, Error> {
        let fail = |error: rusqlite::Error| file::failure(path, "open", &error);
        let connection = file::connect(path).map_err(fail)?;
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(fail)?;
        let is_new = tables == 0;
        match is_new {
            true => file::make(&connection, words).map_err(fail)?,
            false => {
                file::check(&connection, path, words)?;
                // What an earlier run set aside may be within the limits of this one.
                let update = "UPDATE queue SET host = -host WHERE host < 0";
                connection.execute(update, []).map_err(fail)?;
            }
        }
        CrawlJob::read(connection, path, is_new).map_err(fail)
    }

    /// Makes a job that no later crawl can go on with. Its file has no name, lies where temporary
    /// files do, and ends with it.
    ///
    /// ```
    /// let job = silkmill_scrape::CrawlJob::temporary()?;
    /// assert!(job.is_new());
    /// # Ok::<(), silkmill_scrape::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When there is no room for it.
    pub fn temporary() -> Result<CrawlJob, Error> {
        // SQLite makes a file without a name of a path without one.
        CrawlJob::open(Path::new(""), &[])
    }

    /// Removes the job of a crawl, if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn remove(path: &Path) -> Result<(), Error> {
        file::remove(path)
    }

    fn read(connection: Connection, path: &Path, is_new: bool) -> rusqlite::Result<CrawlJob> {
        let mut job = CrawlJob {
            connection,
            path: path.to_owned(),
            is_new,
            opened: Instant::now(),
            is_open: false,
            reached: Reached::default(),
            key: [0; 2],
            next_number: 0,
            hosts: HashMap::new(),
            seen: SeenCache::new(),
            cursor: 0,
            uncounted: HashMap::new(),
        };
        let query = "SELECT rows, errors, found, key_low, key_high, mark FROM reached";
        job.connection.query_row(query, [], |row| {
            job.reached.rows = row.get::<_, i64>(0)?.cast_unsigned();
            job.reached.errors = row.get::<_, i64>(1)?.cast_unsigned();
            job.next_number = row.get(2)?;
            job.key =
                [row.get::<_, i64>(3)?.cast_unsigned(), row.get::<_, i64>(4)?.cast_unsigned()];
            job.reached.mark = row.get::<_, Option<Vec<u8>>>(5)?.unwrap_or_default();
            Ok(())
        })?;
        let mut refusals = Refusals::default();
        let mut query = job.connection.prepare("SELECT name, count FROM refusal")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let known = Refusal::ALL.into_iter().find(|refusal| refusal.name() == name);
            let count = row.get::<_, i64>(1)?.cast_unsigned();
            known.into_iter().for_each(|refusal| refusals.add(refusal, count));
        }
        drop(rows);
        drop(query);
        job.reached.refusals = refusals;
        Ok(job)
    }

    /// Tells whether the job was made just now.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Returns what the output noted when the crawl was last committed; empty at first.
    pub fn mark(&self) -> &[u8] {
        &self.reached.mark
    }

    /// Returns how many rows the crawl has.
    pub fn rows(&self) -> u64 {
        self.reached.rows
    }

    /// Returns how many of the rows have an error.
    pub fn errors(&self) -> u64 {
        self.reached.errors
    }

    /// Returns how many links were not followed, by reason.
    pub fn refusals(&self) -> Refusals {
        self.reached.refusals
    }

    pub(crate) fn reached(&self) -> &Reached {
        &self.reached
    }

    pub(crate) fn key(&self) -> [u64; 2] {
        self.key
    }

    /// Returns the URLs that the scope lies around.
    pub(crate) fn seeds(&self) -> Result<Vec<String>, Error> {
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut query = self.connection.prepare("SELECT url FROM seed")?;
            query.query_map([], |row| row.get(0))?.collect()
        };
        read().map_err(|error| self.failed("read", &error))
    }

    fn try_add_seed(&mut self, url: &str) -> rusqlite::Result<()> {
        self.begin()?;
        self.connection.execute("INSERT OR IGNORE INTO seed VALUES (?)", [url]).map(drop)
    }

    /// Moves the URLs of a host behind those of all hosts: to a number below 0.
    fn try_set_aside(&mut self, host: HostNumber) -> rusqlite::Result<()> {
        self.begin()?;
        let update = "UPDATE queue SET host = -host WHERE host = ?";
        self.connection.prepare_cached(update)?.execute([host]).map(drop)
    }

    fn failed(&self, what: &'static str, error: &rusqlite::Error) -> Error {
        file::failure(&self.path, what, error)
    }

    fn begin(&mut self) -> rusqlite::Result<()> {
        if !self.is_open {
            self.connection.execute_batch("BEGIN")?;
            self.is_open = true;
        }
        Ok(())
    }

    /// Returns the number of a host, which it gets now if it has none.
    fn number_of(&mut self, name: &str) -> rusqlite::Result<HostNumber> {
        if let Some(&number) = self.hosts.get(name) {
            return Ok(number);
        }
        let find = "SELECT number FROM host WHERE name = ?";
        let known = self.connection.prepare_cached(find)?.query_row([name], |row| row.get(0));
        let number = match known.optional()? {
            Some(number) => number,
            None => {
                self.begin()?;
                let insert = "INSERT INTO host (name) VALUES (?)";
                self.connection.prepare_cached(insert)?.insert([name])?
            }
        };
        if self.hosts.len() >= HOSTS_KEPT_MAX {
            self.hosts.clear();
        }
        self.hosts.insert(name.to_owned(), number);
        Ok(number)
    }

    fn try_lease_hosts(
        &mut self,
        hosts_max: usize,
        held: usize,
        is_held: &dyn Fn(HostNumber) -> bool,
    ) -> rusqlite::Result<Vec<LeasedHost>> {
        self.count_rows()?;
        let now = epoch_ms();
        let mut next =
            self.connection.prepare_cached("SELECT min(host) FROM queue WHERE host > ?")?;
        let mut read = self.connection.prepare_cached(
            "SELECT rows, delay_ms, pause_ends_ms, name, learned_ms, latency_ms FROM host \
             WHERE number = ?",
        )?;
        let mut hosts = Vec::new();
        // New hosts have the highest numbers: the search begins behind the host that was leased
        // last, so that it finds them first, and ends where it began.
        let (start, mut at, mut is_second_half) = (self.cursor, self.cursor, false);
        // Of more hosts than are held, so many are not.
        for _ in 0..=held.saturating_add(hosts_max) {
            if hosts.len() >= hosts_max {
                break;
            }
            let found = next.query_row([at], |row| row.get::<_, Option<i64>>(0))?;
            at = match found {
                Some(host) if is_second_half && host > start => break,
                Some(host) => host,
                None if is_second_half || start == 0 => break,
                None => {
                    (at, is_second_half) = (0, true);
                    continue;
                }
            };
            if is_held(at) {
                continue;
            }
            self.cursor = at;
            let age = (!self.is_new).then(|| self.opened.elapsed());
            hosts.push(read.query_row([at], |row| leased_host(at, row, now, age))?);
        }
        Ok(hosts)
    }

    fn try_lease_urls(
        &mut self,
        host: HostNumber,
        urls_max: usize,
        held: usize,
        is_held: &dyn Fn(&Place) -> bool,
    ) -> rusqlite::Result<Vec<Waiting>> {
        let query = "SELECT depth, number, url, parent, purpose, is_seed, is_public, hops \
                     FROM queue WHERE host = ? ORDER BY depth, number LIMIT ?";
        let mut query = self.connection.prepare_cached(query)?;
        let limit = i64::try_from(urls_max.saturating_add(held)).unwrap_or(i64::MAX);
        let mut rows = query.query(params![host, limit])?;
        let mut urls = Vec::new();
        while let Some(row) = rows.next()? {
            let place = Place { host, depth: row.get(0)?, number: row.get(1)? };
            if !is_held(&place) && urls.len() < urls_max {
                urls.push(waiting(place, row)?);
            }
        }
        Ok(urls)
    }

    fn try_add(&mut self, new: &NewUrl<'_>) -> rusqlite::Result<bool> {
        let host = self.number_of(new.host)?;
        if !self.seen.insert(host, new.hash) {
            return Ok(false);
        }
        self.begin()?;
        let insert = "INSERT OR IGNORE INTO seen VALUES (?, ?)";
        let hash = new.hash.cast_signed();
        if self.connection.prepare_cached(insert)?.execute(params![host, hash])? == 0 {
            return Ok(false);
        }
        let number = self.next_number;
        self.next_number += 1;
        let origin = new.origin;
        let insert = "INSERT INTO queue VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.connection.prepare_cached(insert)?.execute(params![
            host,
            new.depth,
            number,
            new.url,
            origin.parent.map(u64::cast_signed),
            origin.purpose as i64,
            origin.is_seed,
            origin.from_public_network,
            origin.hops,
        ])?;
        Ok(true)
    }

    fn try_give_back(&mut self, place: Place, has_row: bool) -> rusqlite::Result<()> {
        self.begin()?;
        let delete = "DELETE FROM queue WHERE host = ? AND depth = ? AND number = ?";
        let mut delete = self.connection.prepare_cached(delete)?;
        delete.execute(params![place.host, place.depth, place.number])?;
        if has_row {
            *self.uncounted.entry(place.host).or_default() += 1;
        }
        Ok(())
    }

    /// Adds the rows since the last commit to the records of their hosts.
    fn count_rows(&mut self) -> rusqlite::Result<()> {
        let count = "UPDATE host SET rows = rows + ? WHERE number = ?";
        let mut count = self.connection.prepare_cached(count)?;
        for (host, rows) in self.uncounted.drain() {
            count.execute([rows, host])?;
        }
        Ok(())
    }

    fn try_note_host(&mut self, host: &str, pace: &HostPace) -> rusqlite::Result<()> {
        let number = self.number_of(host)?;
        self.begin()?;
        let ends = if pace.pause.is_zero() { 0 } else { epoch_ms() + millis(pace.pause) };
        let update = "UPDATE host SET delay_ms = ?, pause_ends_ms = ?, learned_ms = ?, \
                      latency_ms = ? WHERE number = ?";
        let mut update = self.connection.prepare_cached(update)?;
        let learned = (millis(pace.learned.delay), pace.learned.latency.map(millis));
        update.execute(params![millis(pace.delay), ends, learned.0, learned.1, number]).map(drop)
    }

    fn try_commit(&mut self, reached: &Reached) -> rusqlite::Result<()> {
        if !self.is_open && self.reached == *reached {
            return Ok(());
        }
        self.begin()?;
        self.count_rows()?;
        let update = "UPDATE reached SET rows = ?, errors = ?, found = ?, mark = ?";
        self.connection.prepare_cached(update)?.execute(params![
            reached.rows.cast_signed(),
            reached.errors.cast_signed(),
            self.next_number,
            reached.mark,
        ])?;
        if self.reached.refusals != reached.refusals {
            let replace = "INSERT OR REPLACE INTO refusal VALUES (?, ?)";
            let mut replace = self.connection.prepare_cached(replace)?;
            for (refusal, count) in reached.refusals.iter() {
                replace.execute(params![refusal.name(), count.cast_signed()])?;
            }
        }
        self.connection.execute_batch("COMMIT")?;
        self.is_open = false;
        self.reached = reached.clone();
        Ok(())
    }
}

impl Frontier for CrawlJob {
    fn lease_hosts(
        &mut self,
        hosts_max: usize,
        held: usize,
        is_held: &dyn Fn(HostNumber) -> bool,
    ) -> Result<Vec<LeasedHost>, Error> {
        self.try_lease_hosts(hosts_max, held, is_held).map_err(|error| self.failed("read", &error))
    }

    fn lease_urls(
        &mut self,
        host: HostNumber,
        urls_max: usize,
        held: usize,
        is_held: &dyn Fn(&Place) -> bool,
    ) -> Result<Vec<Waiting>, Error> {
        self.try_lease_urls(host, urls_max, held, is_held)
            .map_err(|error| self.failed("read", &error))
    }

    fn add(&mut self, url: &NewUrl<'_>) -> Result<bool, Error> {
        self.try_add(url).map_err(|error| self.failed("write", &error))
    }

    fn give_back(&mut self, place: Place, has_row: bool) -> Result<(), Error> {
        self.try_give_back(place, has_row).map_err(|error| self.failed("write", &error))
    }

    fn set_aside(&mut self, host: HostNumber) -> Result<(), Error> {
        self.try_set_aside(host).map_err(|error| self.failed("write", &error))
    }

    fn add_seed(&mut self, url: &str) -> Result<(), Error> {
        self.try_add_seed(url).map_err(|error| self.failed("write", &error))
    }

    fn note_host(&mut self, host: &str, pace: &HostPace) -> Result<(), Error> {
        self.try_note_host(host, pace).map_err(|error| self.failed("write", &error))
    }

    fn note_link(&mut self, link: &NotedLink<'_>) -> Result<(), Error> {
        self.try_note_link(link).map_err(|error| self.failed("write", &error))
    }

    fn note_answer(&mut self, answer: &Answer<'_>) -> Result<(), Error> {
        self.try_note_answer(answer).map_err(|error| self.failed("write", &error))
    }

    fn commit(&mut self, reached: &Reached) -> Result<Committed, Error> {
        let committed = self.try_commit(reached).map(|()| Committed::default());
        committed.map_err(|error| self.failed("write", &error))
    }

    fn is_empty(&mut self) -> Result<bool, Error> {
        let query = "SELECT NOT EXISTS (SELECT 1 FROM queue)";
        let is_empty = self.connection.query_row(query, [], |row| row.get(0));
        is_empty.map_err(|error| self.failed("read", &error))
    }
}

fn epoch_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(since)
}

#[cfg(test)]
mod tests;
