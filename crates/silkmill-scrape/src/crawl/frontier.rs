//! The frontier of a crawl: the URLs that wait, the URLs that were ever seen, and what the crawl
//! has come to. [`job`] keeps it in a file, for one process; `fleet` in PostgreSQL, for many.
//!
//! A crawl leases *hosts*. Who has leased a host asks for a window of its URLs, the first ones
//! first, and gives back each page with its links. What was given back is on disk with the next
//! [`commit`](Frontier::commit), all of it or none: pages done, links found, rows counted, and how
//! far the output goes. Links can be leased before that; when the process dies, they are found
//! again.
//!
//! Nothing here is asked for all URLs or all hosts, so that the store may be as large as it likes.
//! A store that many processes share has the same operations: it leases a host to one of them for a
//! while, sends what was given back in one transaction when it is committed, and refuses it when
//! the lease has gone to another. What only such a store does has a default that does nothing.

#[cfg(feature = "postgres")]
pub(crate) mod fleet;
pub(crate) mod job;
mod words;

use std::fmt;
use std::time::Duration;

use crate::crawl::refusal::Refusals;
use crate::error::Error;
use crate::input::lease::Lease;
use crate::input::ticket::Purpose;
use crate::row::Row;
use crate::run::throttle::Learned;

/// The number of a host in the frontier.
pub(crate) type HostNumber = i64;

/// A host whose URLs may be leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeasedHost {
    pub(crate) number: HostNumber,
    pub(crate) name: String,
    /// How many rows there are of it.
    pub(crate) rows: u64,
    /// How long it must be left alone from now on, since it may have been asked just before.
    pub(crate) rest: Duration,
    /// What was learned of how it is to be asked.
    pub(crate) learned: Learned,
    /// Until when it may be requested.
    pub(crate) lease: Lease,
}

/// How a host wants to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostPace {
    /// How long it is to be left alone between any two requests.
    pub(crate) delay: Duration,
    /// How long it is to be left alone from now on.
    pub(crate) pause: Duration,
    /// What its answers have shown.
    pub(crate) learned: Learned,
}

/// Where a URL waits: hosts first, and by depth and by discovery within each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) host: HostNumber,
    pub(crate) depth: u32,
    /// The number of the URL among all that the crawl has found.
    pub(crate) number: i64,
}

/// A URL that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) place: Place,
    pub(crate) url: String,
    pub(crate) origin: Origin,
}

/// What led to a URL, and what for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The index of the row of the page that led there.
    pub(crate) parent: Option<u64>,
    pub(crate) purpose: Purpose,
    pub(crate) is_seed: bool,
    pub(crate) from_public_network: bool,
    /// The redirects that led there, one after another.
    pub(crate) hops: u32,
}

/// A URL that was found.
#[derive(Clone, Debug)]
pub(crate) struct NewUrl<'a> {
    pub(crate) url: &'a str,
    pub(crate) host: &'a str,
    pub(crate) hash: u64,
    pub(crate) depth: u32,
    pub(crate) origin: Origin,
}

/// A link that a page has, as a crawl notes it that checks links.
#[derive(Clone, Debug)]
pub(crate) struct NotedLink<'a> {
    pub(crate) url: &'a str,
    pub(crate) host: &'a str,
    pub(crate) hash: u64,
    /// The fragments that the page points to, each with the hash of the anchor that it means.
    pub(crate) fragments: &'a [(String, u64)],
    /// The index of the page's row, and its URL.
    pub(crate) page: u64,
    pub(crate) page_url: &'a str,
}

/// What became of a URL, as a crawl notes it that checks links.
#[derive(Clone, Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) host: HostNumber,
    pub(crate) hash: u64,
    /// The index of its row, and its URL.
    pub(crate) row: u64,
    pub(crate) url: &'a str,
    /// Why a link to it is broken, if it is.
    pub(crate) broken: Option<String>,
    /// The hashes of its anchors, if it is a page, and they are wanted.
    pub(crate) anchors: Option<&'a [u64]>,
}

/// How far a crawl has come, as it is committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) rows: u64,
    /// The rows that have an error.
    pub(crate) errors: u64,
    pub(crate) refusals: Refusals,
    /// What the output needs in order to go on from here.
    pub(crate) mark: Vec<u8>,
}

/// Says what a commit has shown of a store that others work on, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Committed {
    /// The hosts whose leases have gone to others. What was given back of them has no effect.
    pub(crate) lost: Vec<HostNumber>,
    /// The hosts leased here that have URLs which they had not before.
    pub(crate) grown: Vec<HostNumber>,
    /// Whether other hosts have.
    pub(crate) has_new_hosts: bool,
    /// The rows of the whole crawl and those that have an error, if this process does not count
    /// them alone.
    pub(crate) counts: Option<(u64, u64)>,
    /// Every URL that the scope lies around, if others have added to them.
    pub(crate) seeds: Vec<String>,
    /// How many other processes have no host.
    pub(crate) hungry: usize,
}

/// Keeps the URLs of a crawl.
pub(crate) trait Frontier: fmt::Debug {
    /// Leases up to `hosts_max` hosts that have URLs waiting. `is_held` tells which hosts are
    /// leased already, which are at most `held`. There are no more hosts when the list has fewer.
    fn lease_hosts(
        &mut self,
        hosts_max: usize,
        held: usize,
        is_held: &dyn Fn(HostNumber) -> bool,
    ) -> Result<Vec<LeasedHost>, Error>;

    /// Leases up to `urls_max` URLs of a leased host, in their order. `is_held` tells which of them
    /// are leased already, which are at most `held`.
    fn lease_urls(
        &mut self,
        host: HostNumber,
        urls_max: usize,
        held: usize,
        is_held: &dyn Fn(&Place) -> bool,
    ) -> Result<Vec<Waiting>, Error>;

    /// Takes a URL that was found, unless it was ever found before. Returns whether it is new and
    /// can be leased now. A store that many share finds out with the next commit.
    fn add(&mut self, url: &NewUrl<'_>) -> Result<bool, Error>;

    /// Takes back a URL that was leased, with or without a row.
    fn give_back(&mut self, place: Place, has_row: bool) -> Result<(), Error>;

    /// Takes the row of a page that is given back next, where the store has the rows, too.
    fn take_row(&mut self, place: Place, row: &Row) -> Result<(), Error> {
        let _ = (place, row);
        Ok(())
    }

    /// Tells whether URLs of a leased host were added that can be leased after the next commit.
    fn has_pending(&self, host: HostNumber) -> bool {
        let _ = host;
        false
    }

    /// Ends the lease of a host of which no URL is leased. Others may have it after the next
    /// commit.
    fn release(&mut self, host: HostNumber) {
        let _ = host;
    }

    /// Sets aside the URLs of a host that has all the rows it may have, for a crawl that may have
    /// more of them.
    fn set_aside(&mut self, host: HostNumber) -> Result<(), Error>;

    /// Notes a URL that the scope lies around.
    fn add_seed(&mut self, url: &str) -> Result<(), Error>;

    /// Notes how a host wants to be asked.
    fn note_host(&mut self, host: &str, pace: &HostPace) -> Result<(), Error>;

    /// Notes a link of a page, for a crawl that checks links.
    fn note_link(&mut self, link: &NotedLink<'_>) -> Result<(), Error>;

    /// Notes what became of a URL, for a crawl that checks links.
    fn note_answer(&mut self, answer: &Answer<'_>) -> Result<(), Error>;

    /// Tells whether a commit is due although nothing was given back, since leases would end.
    fn wants_commit(&self) -> bool {
        false
    }

    /// Puts everything since the last commit on disk, all of it or none.
    fn commit(&mut self, reached: &Reached) -> Result<Committed, Error>;

    /// Tells whether no URL waits, those included that are leased or set aside.
    fn is_empty(&mut self) -> Result<bool, Error>;

    /// Returns when to look again for hosts, after [`lease_hosts`](Frontier::lease_hosts) had none:
    /// `None` where there are none before more rows have come, and, if no URL is under way, never.
    fn look_again(&mut self) -> Result<Option<Duration>, Error> {
        Ok(None)
    }

    /// Returns how far the whole crawl has come, where this process counted `own`.
    fn totals(&mut self, own: Reached) -> Result<Reached, Error> {
        Ok(own)
    }
}

/// Returns the milliseconds of a time, the last one counted in full.
pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}
