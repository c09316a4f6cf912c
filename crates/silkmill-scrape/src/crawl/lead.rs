//! Leads a run through a crawl: its source takes URLs from the frontier, its sink gives the pages
//! back. Both are on the caller's thread. Which hosts it leases is [`hosts`]'s.

mod hosts;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use url::Url;

use crate::archive::Archives;
use crate::crawl::finder::Finder;
use crate::crawl::found::{Crawled, FoundLink};
use crate::crawl::frontier::{
    Answer, Frontier, HostNumber, HostPace, NewUrl, NotedLink, Origin, Place, Reached, Waiting,
};
use crate::crawl::held::{Held, Pace};
use crate::crawl::options::{CrawlOptions, Sitemaps};
use crate::crawl::refusal::Refusal;
use crate::crawl::sink::{CrawlSink, CrawlSummary};
use crate::error::Error;
use crate::input::Input;
use crate::input::lease::Lease;
use crate::input::ticket::{Purpose, Ticket};
use crate::row::{FailureKind, Row};
use crate::run::Summary;
use crate::run::frontier::HostNews;
use crate::run::schedule::Wishes;
use crate::sink::{Progress, Sink};

/// The longest time from a page to its commit.
const COMMIT_EVERY: Duration = Duration::from_millis(250);
/// The least time between two commits that are made for what hosts ask for: without a pause, hosts
/// that all want a delay would each have a commit of their own.
const COMMIT_URGENT_EVERY: Duration = Duration::from_millis(100);
/// The most pages in a transaction.
const COMMIT_PAGES_MAX: usize = 4096;

/// A crawl under way.
pub(super) struct Lead<'a> {
    options: &'a CrawlOptions,
    finder: &'a Finder,
    /// Where the pages are archived; on disk before a commit says that they are done.
    pub(super) archives: Archives,
    frontier: &'a mut dyn Frontier,
    sink: &'a mut dyn CrawlSink,
    /// The most URLs of a host in memory.
    window: usize,
    pace: Pace,
    started: Instant,
    hosts: HashMap<HostNumber, Held>,
    /// The numbers of the hosts that the run knows by name.
    numbers: HashMap<String, HostNumber>,
    /// URLs that were leased and that the run has not taken.
    ready: VecDeque<Waiting>,
    /// The URLs that the run has taken, by the index that it gave them.
    under_way: HashMap<u64, UnderWay>,
    /// The index that the run gives to the next URL.
    taken: u64,
    /// The hosts that may have more URLs on disk than are leased.
    thirsty: VecDeque<HostNumber>,
    /// Whether there may be hosts with URLs that are not leased.
    may_have_hosts: bool,
    /// When to look again where there were none, in a store that others work on, too.
    look_again: Option<Instant>,
    /// The hosts whose URLs the run is to give back.
    withdrawn: VecDeque<String>,
    /// Until when hosts are left to other processes.
    yields_until: Option<Instant>,
    reached: Reached,
    /// The pages since the last commit, and when the first of them came.
    uncommitted: usize,
    since: Option<Instant>,
    /// Whether a host wants what another run must know, and when such a thing was committed last.
    is_urgent: bool,
    urgent_commit: Option<Instant>,
    /// Why the crawl cannot go on.
    failure: Option<Error>,
    unwritten: Option<io::Error>,
}

impl<'a> Lead<'a> {
    pub(super) fn new(
        options: &'a CrawlOptions,
        finder: &'a Finder,
        pace: Pace,
        frontier: &'a mut dyn Frontier,
        reached: Reached,
        sink: &'a mut dyn CrawlSink,
    ) -> Lead<'a> {
        Lead {
            options,
            finder,
            archives: Archives::default(),
            frontier,
            sink,
            window: pace.window(),
            pace,
            started: Instant::now(),
            hosts: HashMap::new(),
            numbers: HashMap::new(),
            ready: VecDeque::new(),
            under_way: HashMap::new(),
            taken: 0,
            thirsty: VecDeque::new(),
            may_have_hosts: true,
            look_again: None,
            withdrawn: VecDeque::new(),
            yields_until: None,
            reached,
            uncommitted: 0,
            since: None,
            is_urgent: false,
            urgent_commit: None,
            failure: None,
            unwritten: None,
        }
    }

    /// Puts the seeds of a new crawl into the frontier.
    pub(super) fn plant(&mut self, options: &CrawlOptions) -> Result<(), Error> {
        let origin = Origin { is_seed: true, ..Origin::default() };
        for seed in &options.seeds {
            self.finder.add_seed(seed);
            self.frontier.add_seed(seed.as_str())?;
            self.frontier.add(&new_url(&self.finder.link(seed, Purpose::Page), 0, origin))?;
        }
        if let Sitemaps::Named(sitemaps) = &options.sitemaps {
            for sitemap in sitemaps {
                let link = self.finder.link(sitemap, Purpose::Sitemap);
                let origin = Origin { purpose: Purpose::Sitemap, ..origin };
                self.frontier.add(&new_url(&link, 0, origin))?;
            }
        }
        self.frontier.commit(&self.reached).map(drop)
    }

    /// Returns the next input of the run: a page, or that there is none before more rows have come.
    pub(super) fn next(&mut self) -> Option<Input> {
        if let Some(host) = self.withdrawn.pop_front() {
            return Some(Input::withdraw(host));
        }
        let next = if self.is_broken() { Ok(None) } else { self.next_waiting() };
        match next {
            Ok(Some(waiting)) => return Some(self.take(waiting)),
            Ok(None) if !self.under_way.is_empty() => return Some(Input::after_rows()),
            Ok(None) if self.is_broken() => return None,
            Ok(None) => {}
            Err(error) => {
                self.failure = Some(error);
                return None;
            }
        }
        match self.has_ended() {
            Ok(false) => Some(Input::after_rows()),
            Ok(true) => None,
            Err(error) => {
                self.failure = Some(error);
                None
            }
        }
    }

    /// Notes what a host asks for.
    pub(super) fn note_host(&mut self, news: &HostNews) {
        let now = Instant::now();
        let Wishes { delay, pause_ends, learned } = news.wishes;
        if let Some(held) = self.numbers.get(&news.host).and_then(|host| self.hosts.get_mut(host)) {
            (held.delay, held.learned) = (delay, learned);
        }
        let pause = pause_ends.map_or(Duration::ZERO, |end| end.duration_since(now));
        let noted = self.frontier.note_host(&news.host, &HostPace { delay, pause, learned });
        self.since.get_or_insert(now);
        self.is_urgent |= news.is_urgent;
        self.failure = self.failure.take().or(noted.err());
    }

    /// Ends the crawl: commits what has come.
    pub(super) fn finish(mut self, run: Summary) -> Result<CrawlSummary, Error> {
        // What is still under way is left to others at once.
        self.hosts.keys().for_each(|host| self.frontier.release(*host));
        if self.unwritten.is_none() && self.failure.is_none() {
            self.commit();
        }
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let is_complete = self.unwritten.is_none() && self.frontier.is_empty()?;
        let Reached { rows, errors, refusals, .. } = self.frontier.totals(self.reached)?;
        Ok(CrawlSummary { run, rows, errors, refusals, is_complete, unwritten: self.unwritten })
    }

    /// Tells, when no URL is under way here, whether none is anywhere else, either.
    fn has_ended(&mut self) -> Result<bool, Error> {
        let has_ended = self.frontier.look_again()?.is_none();
        if !has_ended && self.since.is_some() {
            self.commit();
        }
        Ok(has_ended)
    }

    fn is_broken(&self) -> bool {
        self.failure.is_some() || self.unwritten.is_some()
    }

    /// Returns the next URL that the run may take.
    fn next_waiting(&mut self) -> Result<Option<Waiting>, Error> {
        loop {
            if self.rows_and_pages() >= self.options.rows_max || self.is_broken() {
                return Ok(None);
            }
            if let Some(waiting) = self.ready.pop_front() {
                return Ok(Some(waiting));
            }
            if let Some(host) = self.thirsty.pop_front() {
                self.lease_urls(host)?;
            } else if !self.lease_hosts()? {
                return Ok(None);
            }
        }
    }

    /// Returns the rows that there are, and those that the pages under way may still have.
    fn rows_and_pages(&self) -> u64 {
        self.reached.rows + self.under_way.len() as u64
    }

    fn take(&mut self, waiting: Waiting) -> Input {
        let Waiting { place, url, origin } = waiting;
        let held = self.hosts.get(&place.host);
        let lease = held.map(|held| held.lease.clone()).unwrap_or_default();
        self.under_way.insert(self.taken, UnderWay { place, origin, lease: lease.clone() });
        self.taken += 1;
        Input::page(Ticket {
            url,
            purpose: origin.purpose,
            is_seed: origin.is_seed,
            from_public_network: origin.from_public_network,
            hops: origin.hops,
            not_before: held.and_then(|held| held.not_before),
            learned: held.map(|held| held.learned).unwrap_or_default(),
            lease,
        })
    }

    /// Takes the row of a page.
    fn row(&mut self, mut row: Row) -> Result<(), Stop> {
        let Some(under_way) = self.under_way.remove(&row.index) else { return Ok(()) };
        let UnderWay { place, origin, lease } = under_way;
        let mut crawled = row.crawled.take().unwrap_or_default();
        if lease.is_revoked() {
            return Ok(());
        }
        if crawled.is_given_back {
            self.forget(place);
            return Ok(());
        }
        self.since.get_or_insert_with(Instant::now);
        self.uncommitted += 1;
        // Only a user who named the page needs to be told that robots.txt forbids it.
        let is_forbidden =
            row.error.as_ref().is_some_and(|error| error.kind == FailureKind::Robots);
        let has_row = match origin.purpose {
            // A sitemap that the user named, and that cannot be read, has a row that says so.
            Purpose::Sitemap => origin.is_seed && (row.error.is_some() || row.status != Some(200)),
            Purpose::Page | Purpose::Check => !is_forbidden || origin.is_seed,
        };
        if has_row {
            row.index = self.reached.rows;
            self.reached.rows += 1;
            self.reached.errors += u64::from(row.error.is_some());
        } else if is_forbidden && origin.purpose != Purpose::Sitemap {
            self.reached.refusals.add(Refusal::Robots, 1);
        }
        let found = std::mem::take(&mut crawled.found);
        self.reached.refusals.add_all(&found.refusals);
        for link in &found.links {
            self.add(link, place, &origin, found.is_public, row.index)?;
            if has_row && self.finder.wanted.checks && link.purpose != Purpose::Sitemap {
                self.note_link(link, &row)?;
            }
        }
        if has_row && self.finder.wanted.checks {
            self.note_answer(&row, place, found.anchors.as_deref())?;
        }
        if has_row {
            let Crawled { links, canonical, .. } = *crawled;
            let (depth, parent) = (place.depth, origin.parent);
            row.crawled =
                Some(Box::new(Crawled { depth, parent, links, canonical, ..Crawled::default() }));
            self.frontier.take_row(place, &row)?;
        }
        self.give_back(place, has_row)?;
        if has_row {
            self.sink.row(&row)?;
            for edge in &found.edges {
                self.sink.edge(&row, edge)?;
            }
        }
        Ok(())
    }

    /// Takes a link that the page at `place` has.
    fn add(
        &mut self,
        link: &FoundLink,
        place: Place,
        origin: &Origin,
        is_public: bool,
        parent: u64,
    ) -> Result<(), Stop> {
        // The pages of a sitemap are as deep as it is.
        let of_sitemap = [link.purpose, origin.purpose].contains(&Purpose::Sitemap);
        let is_beside = link.is_redirect || of_sitemap;
        let depth = if is_beside { place.depth } else { place.depth + 1 };
        if depth > self.options.depth_max {
            self.reached.refusals.add(Refusal::TooDeep, 1);
            return Ok(());
        }
        let is_seed = origin.is_seed && link.is_redirect;
        if is_seed && let Ok(url) = Url::parse(&link.url) {
            self.finder.add_seed(&url);
            self.frontier.add_seed(&link.url)?;
        }
        let is_nested = link.purpose == Purpose::Sitemap && origin.purpose == Purpose::Sitemap;
        let origin = Origin {
            parent: (origin.purpose != Purpose::Sitemap).then_some(parent),
            purpose: link.purpose,
            is_seed,
            from_public_network: is_public,
            hops: if link.is_redirect || is_nested { origin.hops + 1 } else { 0 },
        };
        if self.frontier.add(&new_url(link, depth, origin))? {
            match self.numbers.get(&*link.host) {
                Some(&host) => self.make_thirsty(host),
                None => self.may_have_hosts = true,
            }
        }
        Ok(())
    }

    fn note_link(&mut self, link: &FoundLink, row: &Row) -> Result<(), Error> {
        self.frontier.note_link(&NotedLink {
            url: &link.url,
            host: &link.host,
            hash: link.hash,
            fragments: &link.fragments,
            page: row.index,
            page_url: &row.url,
        })
    }

    fn note_answer(
        &mut self,
        row: &Row,
        place: Place,
        anchors: Option<&[u64]>,
    ) -> Result<(), Error> {
        let is_failure = |status: &u16| (400..).contains(status);
        let broken = match &row.error {
            Some(error) => Some(error.to_string()),
            None => row.status.filter(is_failure).map(|status| status.to_string()),
        };
        if broken.is_none() && anchors.is_none() {
            return Ok(());
        }
        let Ok(url) = Url::parse(&row.url) else { return Ok(()) };
        let hash = self.finder.hash(&url);
        let (host, url) = (place.host, row.url.as_str());
        self.frontier.note_answer(&Answer { host, hash, row: row.index, url, broken, anchors })
    }

    fn give_back(&mut self, place: Place, has_row: bool) -> Result<(), Stop> {
        self.frontier.give_back(place, has_row)?;
        if let Some(held) = self.hosts.get_mut(&place.host) {
            held.places.remove(&place);
            held.rows -= u64::from(!has_row);
            held.has_answered = true;
        }
        self.make_thirsty(place.host);
        Ok(())
    }

    /// Commits, if that is due.
    fn commit_in_time(&mut self) {
        let mut is_due = self.since.is_some_and(|since| since.elapsed() >= COMMIT_EVERY)
            || self.frontier.wants_commit();
        let is_long_ago = |last: Instant| last.elapsed() >= COMMIT_URGENT_EVERY;
        if self.is_urgent && self.urgent_commit.is_none_or(is_long_ago) {
            self.urgent_commit = Some(Instant::now());
            is_due = true;
        }
        if !self.is_broken() && (is_due || self.uncommitted >= COMMIT_PAGES_MAX) {
            self.commit();
        }
    }

    fn stop(&mut self, stop: Stop) {
        match stop {
            Stop::Failure(error) => self.failure = Some(error),
            Stop::Unwritten(error) => self.unwritten = Some(error),
        }
    }

    /// Forces the archive and the output to disk, and commits the job with its length.
    fn commit(&mut self) {
        match self.archives.sync().map_err(Stop::from).and_then(|()| Ok(self.sink.sync()?)) {
            Ok(mark) => self.reached.mark = mark,
            Err(stop) => return self.stop(stop),
        }
        match self.frontier.commit(&self.reached) {
            Ok(committed) => self.learn(committed),
            Err(error) => self.failure = Some(error),
        }
        (self.uncommitted, self.since, self.is_urgent) = (0, None, false);
    }
}

/// A URL that the run has taken.
#[derive(Debug)]
struct UnderWay {
    place: Place,
    origin: Origin,
    lease: Lease,
}

/// Why a page cannot be given back.
#[derive(Debug)]
enum Stop {
    Failure(Error),
    Unwritten(io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failure(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Unwritten(error)
    }
}

impl Sink for &RefCell<Lead<'_>> {
    fn row(&mut self, row: Row) -> ControlFlow<()> {
        let mut lead = self.borrow_mut();
        if !lead.is_broken() {
            lead.row(row).unwrap_or_else(|stop| lead.stop(stop));
        }
        if lead.is_broken() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn pause(&mut self, progress: &Progress) -> ControlFlow<()> {
        let mut lead = self.borrow_mut();
        lead.commit_in_time();
        lead.sink.pause(progress)?;
        if lead.is_broken() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn new_url(link: &FoundLink, depth: u32, origin: Origin) -> NewUrl<'_> {
    NewUrl { url: &link.url, host: &link.host, hash: link.hash, depth, origin }
}
