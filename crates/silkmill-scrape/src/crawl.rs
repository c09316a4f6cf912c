//! Crawls: from some URLs to every page within a scope, one row each.
//!
//! A crawl is a list that grows while it is worked on. It has no loop, no schedule and no client of
//! its own: [`lead`] leads a [run](mod@crate::run) as its source, which takes URLs from the
//! frontier, and as its sink, which gives their pages back with the links that the workers found
//! in them.
//!
//! The [`frontier`] is on disk. What is in memory is a window of some URLs for each host that is at
//! work. Pages done, links found, rows counted, and the length of the output are committed together
//! some times a second; a crawl that is killed goes on from the last commit, asks again for the
//! pages that were under way, and has one row for each page.
//!
//! Pure, on the workers: [`links`] and [`srcset`] say what a link is, [`canonical`] when two are
//! one, [`scope`] which are followed, [`mod@finder`] puts these together.

pub(crate) mod canonical;
pub(crate) mod date;
pub(crate) mod finder;
pub(crate) mod found;
pub(crate) mod frontier;
mod held;
mod lead;
pub(crate) mod links;
pub(crate) mod options;
pub(crate) mod refusal;
pub(crate) mod scope;
mod seen_cache;
pub(crate) mod sink;
pub(crate) mod sitemap;
mod srcset;

use std::cell::RefCell;
use std::sync::Arc;

use silkmill::CancelToken;

use crate::crawl::finder::{Finder, Wanted};
use crate::crawl::frontier::job::CrawlJob;
use crate::crawl::frontier::{Frontier, Reached};
use crate::crawl::held::Pace;
use crate::crawl::lead::Lead;
use crate::crawl::options::{Checks, CrawlOptions, Sitemaps};
use crate::crawl::scope::Filter;
use crate::crawl::sink::{CrawlSink, CrawlSummary};
use crate::error::Error;
use crate::options::Options;
use crate::page::extract::Extractor;
use crate::robots;
use crate::run::run_watched;

/// Crawls: requests the seeds, follows the links of their pages, and hands one row for each page to
/// `sink`, on this thread. A job that exists goes on.
///
/// ```
/// use std::io;
/// use silkmill::CancelToken;
/// use silkmill_scrape::{CrawlJob, CrawlOptions, CrawlSink, Options, Row, crawl};
///
/// #[derive(Default)]
/// struct Statuses(Vec<(String, Option<u16>)>);
///
/// impl CrawlSink for Statuses {
///     fn row(&mut self, row: &Row) -> io::Result<()> {
///         self.0.push((row.url.clone(), row.status));
///         Ok(())
///     }
///
///     fn sync(&mut self) -> io::Result<Vec<u8>> {
///         Ok(Vec::new())
///     }
/// }
///
/// let folder = tempfile::tempdir()?;
/// let mut job = CrawlJob::open(&folder.path().join("crawl"), &[])?;
/// let options = Options::builder().retries(0).build()?;
/// let crawl_options = CrawlOptions::builder().seed("http://127.0.0.1:1/").build()?;
/// let mut rows = Statuses::default();
/// let summary = crawl(&crawl_options, &options, &mut job, &CancelToken::new(), &mut rows)?;
/// assert_eq!((summary.rows, summary.errors, summary.is_complete), (1, 1, true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// When no workers can be started, or the job cannot be read or written.
pub fn crawl(
    crawl_options: &CrawlOptions,
    options: &Options,
    job: &mut CrawlJob,
    cancel: &CancelToken,
    sink: &mut dyn CrawlSink,
) -> Result<CrawlSummary, Error> {
    let start = Start {
        key: job.key(),
        seeds: job.seeds()?,
        goes_on: !job.is_new(),
        reached: job.reached().clone(),
    };
    crawl_from(start, crawl_options, options, job, cancel, sink)
}

/// Does the same as [`crawl()`], together with all other processes that work on the same job. The
/// rows go into the job; `sink` sees those of this process, before it is known whether they stay,
/// and with indices that may not.
///
/// It returns when no page of the whole crawl is left, at a limit, or when it is cancelled.
///
/// # Errors
///
/// When no workers can be started, or the database cannot be reached for a quarter of an hour.
#[cfg(feature = "postgres")]
pub fn crawl_in_fleet(
    crawl_options: &CrawlOptions,
    options: &Options,
    job: &mut frontier::fleet::FleetJob,
    cancel: &CancelToken,
    sink: &mut dyn CrawlSink,
) -> Result<CrawlSummary, Error> {
    let start = Start {
        key: job.key(),
        seeds: job.seeds()?,
        // The database leases no host that must be left alone.
        goes_on: false,
        reached: job.reached(),
    };
    crawl_from(start, crawl_options, options, job, cancel, sink)
}

/// Says where a crawl begins.
struct Start {
    key: [u64; 2],
    /// The URLs that the scope lies around; none in a new crawl.
    seeds: Vec<String>,
    /// Whether an earlier run may have requested something just before.
    goes_on: bool,
    reached: Reached,
}

fn crawl_from(
    start: Start,
    crawl_options: &CrawlOptions,
    options: &Options,
    frontier: &mut dyn Frontier,
    cancel: &CancelToken,
    sink: &mut dyn CrawlSink,
) -> Result<CrawlSummary, Error> {
    let Start { key, seeds, goes_on, reached } = start;
    let finder = Arc::new(finder(crawl_options, options, key));
    seeds.iter().flat_map(|seed| seed.parse()).for_each(|seed| finder.add_seed(&seed));
    let mut options = options.clone();
    options.finder = Some(Arc::clone(&finder));
    options.ordered = false;
    if options.extractor.is_none() {
        let nothing = Extractor::new(Vec::new()).expect("no field has the name of another");
        options.extractor = Some(Arc::new(nothing));
    }
    let per_host = if options.per_host == 0 { options.workers } else { options.per_host };
    let pace = Pace {
        per_host: per_host.min(options.workers),
        delay: options.delay,
        goes_on,
        is_throttled: options.throttle.is_some(),
    };
    let mut lead = Lead::new(crawl_options, &finder, pace, frontier, reached, sink);
    lead.archives = options.archives.clone();
    // A job may have been made by a process that was killed before it went on.
    if seeds.is_empty() {
        lead.plant(crawl_options)?;
    }
    let lead = RefCell::new(lead);
    let source = std::iter::from_fn(|| lead.borrow_mut().next());
    let watcher = Box::new(|news| lead.borrow_mut().note_host(&news));
    let run = run_watched(source, &options, cancel, &mut &lead, Some(watcher))?;
    lead.into_inner().finish(run)
}

fn finder(crawl_options: &CrawlOptions, options: &Options, key: [u64; 2]) -> Finder {
    let CrawlOptions { scope, include, exclude, edges, checks, sitemaps, since, .. } =
        crawl_options;
    let wanted = Wanted {
        obeys_nofollow: options.robots,
        checks: *checks >= Checks::Links,
        edges: *edges,
        fragments: *checks >= Checks::Fragments,
        sitemaps: *sitemaps == Sitemaps::OfHosts,
        takes_all: false,
        since: *since,
        product: robots::product(&options.user_agent).to_owned(),
    };
    Finder::new(wanted, key, Filter::new(*scope, include.clone(), exclude.clone()))
}
