//! Sitemaps as a list: reads them one after another, and hands on the URLs that they list.
//!
//! They are read before the list is: so the list is known as a whole, and a host is not asked for a
//! sitemap in the middle of its pages, sooner than its delay allows.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::sync::Arc;

use silkmill::CancelToken;
use url::Url;

use crate::crawl::date::Moment;
use crate::crawl::finder::{Finder, Wanted};
use crate::crawl::found::FoundLink;
use crate::crawl::refusal::Refusals;
use crate::crawl::scope::{Filter, Scope};
use crate::error::{Error, ErrorKind};
use crate::input::Input;
use crate::input::ticket::{Purpose, Ticket};
use crate::options::{Method, Options};
use crate::page::extract::Extractor;
use crate::robots;
use crate::row::Row;
use crate::run::frontier::HostNews;
use crate::run::run_watched;
use crate::sink::{Progress, Sink};

/// The most sitemaps that a list is read from: as many as an index may list.
pub(crate) const SITEMAPS_MAX: u64 = 50_000;

/// Sitemaps whose pages are a list of URLs.
///
/// ```
/// use silkmill_scrape::SitemapList;
///
/// let list = SitemapList::new(["http://a.example/sitemap.xml"])?.since("2026-11")?;
/// # let _ = list;
/// assert!(SitemapList::new(["no URL"]).is_err());
/// # Ok::<(), silkmill_scrape::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SitemapList {
    sitemaps: Vec<Url>,
    since: Option<Moment>,
}

/// What the sitemaps of a list have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SitemapSummary {
    /// The sitemaps that were read, those included that an index lists.
    pub sitemaps: u64,
    /// The URLs that were handed on.
    pub pages: u64,
    /// How many entries were left out, by reason.
    pub left_out: Refusals,
    /// Whether the reading ended early, because it was cancelled or the caller had enough.
    pub interrupted: bool,
}

impl SitemapList {
    /// Makes the list of the pages of these sitemaps: of their URLs, in this order.
    ///
    /// # Errors
    ///
    /// When one is no URL.
    pub fn new<T: AsRef<str>>(urls: impl IntoIterator<Item = T>) -> Result<SitemapList, Error> {
        let parse = |url: T| {
            let parsed = Input::url(url.as_ref()).parse().map(|target| target.url);
            parsed.map_err(|failure| unread(url.as_ref(), failure.message))
        };
        let sitemaps = urls.into_iter().map(parse).collect::<Result<_, Error>>()?;
        Ok(SitemapList { sitemaps, since: None })
    }

    /// Leaves out pages that a sitemap says were changed last before this W3C date: `2026`,
    /// `2026-11`, `2026-11-28` or `2026-11-28T10:00:00Z`.
    ///
    /// # Errors
    ///
    /// When it is no date.
    pub fn since(mut self, date: &str) -> Result<SitemapList, Error> {
        let Some(since) = Moment::parse(date) else {
            return Err(ErrorKind::Date(date.to_owned()).into());
        };
        self.since = Some(since);
        Ok(self)
    }

    /// Reads the sitemaps, with the indexes, feeds and plain lists among them, and passes each URL
    /// to `found`, in the order in which they stand there; until `found` breaks. Requests are made
    /// as `options` say, one after another. It returns when the hosts may be asked again.
    ///
    /// # Errors
    ///
    /// When a sitemap cannot be read, since the list would not be whole.
    pub fn read(
        &self,
        options: &Options,
        cancel: &CancelToken,
        found: &mut dyn FnMut(Input) -> ControlFlow<()>,
    ) -> Result<SitemapSummary, Error> {
        let wanted = Wanted {
            obeys_nofollow: false,
            checks: false,
            edges: false,
            fragments: false,
            sitemaps: false,
            takes_all: true,
            since: self.since,
            product: robots::product(&options.user_agent).to_owned(),
        };
        let key = [0, 1].map(|number: u64| RandomState::new().hash_one(number));
        let filter = Filter::new(Scope::Any, Vec::new(), Vec::new());
        let finder = Arc::new(Finder::new(wanted, key, filter));
        let mut options = options.clone();
        options.finder = Some(Arc::clone(&finder));
        let nothing = Extractor::new(Vec::new()).expect("no field has the name of another");
        options.extractor = Some(Arc::new(nothing));
        (options.method, options.data, options.save) = (Method::Get, None, None);
        (options.ordered, options.workers) = (false, 1);
        let mut reading = Reading::new(found);
        for sitemap in &self.sitemaps {
            reading.take(&finder.link(sitemap, Purpose::Sitemap), 0, false);
        }
        let mut delay = options.delay;
        let reading = RefCell::new(reading);
        let source = std::iter::from_fn(|| reading.borrow_mut().next());
        let watcher = Box::new(|news: HostNews| {
            delay = delay.max(news.wishes.delay);
        });
        let run = run_watched(source, &options, cancel, &mut &reading, Some(watcher))?;
        let Reading { failure, mut summary, .. } = reading.into_inner();
        if let Some(failure) = failure {
            return Err(failure);
        }
        summary.interrupted = run.interrupted || (!delay.is_zero() && !cancel.sleep(delay));
        Ok(summary)
    }
}

/// A sitemap that is to be read.
#[derive(Debug)]
struct Next {
    url: String,
    /// How many sitemaps list each other before it.
    hops: u32,
    from_public_network: bool,
}

/// The sitemaps that are to be read, and what has come of the others.
struct Reading<'a> {
    found: &'a mut dyn FnMut(Input) -> ControlFlow<()>,
    queue: VecDeque<Next>,
    /// Hashes of the sitemaps that were ever in the queue.
    known: HashSet<u64>,
    under_way: Option<Next>,
    summary: SitemapSummary,
    failure: Option<Error>,
}

impl Reading<'_> {
    fn new(found: &mut dyn FnMut(Input) -> ControlFlow<()>) -> Reading<'_> {
        Reading {
            found,
            queue: VecDeque::new(),
            known: HashSet::new(),
            under_way: None,
            summary: SitemapSummary::default(),
            failure: None,
        }
    }

    /// Takes a sitemap, unless it is known.
    fn take(&mut self, link: &FoundLink, hops: u32, from_public_network: bool) {
        if self.known.insert(link.hash) {
            self.queue.push_back(Next { url: link.url.clone(), hops, from_public_network });
        }
    }

    /// Returns the next input of the run: a sitemap, or that there is none before this one is read.
    fn next(&mut self) -> Option<Input> {
        if self.failure.is_some() {
            return None;
        }
        if self.under_way.is_some() {
            return Some(Input::after_rows());
        }
        let next = self.queue.pop_front()?;
        if self.summary.sitemaps >= SITEMAPS_MAX {
            self.failure = Some(unread(&next.url, format!("there are more than {SITEMAPS_MAX}")));
            return None;
        }
        self.summary.sitemaps += 1;
        let (purpose, hops) = (Purpose::Sitemap, next.hops);
        let ticket =
            Ticket { purpose, hops, ..Ticket::to(next.url.clone(), next.from_public_network) };
        self.under_way = Some(next);
        Some(Input::page(ticket))
    }

    /// Takes what came of the sitemap under way.
    fn row(&mut self, row: Row) -> ControlFlow<()> {
        let Some(read) = self.under_way.take() else { return ControlFlow::Continue(()) };
        let why = match (&row.error, row.status) {
            (Some(error), _) => Some(error.to_string()),
            (None, Some(200)) => None,
            (None, status) => Some(format!("its status is {}", status.unwrap_or(0))),
        };
        if let Some(why) = why {
            self.failure = Some(unread(&read.url, why));
            return ControlFlow::Break(());
        }
        let found = row.crawled.map(|crawled| crawled.found).unwrap_or_default();
        let is_empty = found.links.is_empty() && found.refusals == Refusals::default();
        if is_empty && read.hops == 0 {
            self.failure = Some(unread(&read.url, "it lists no page".to_owned()));
            return ControlFlow::Break(());
        }
        self.summary.left_out.add_all(&found.refusals);
        // What an index lists stands where the index does.
        let later = std::mem::take(&mut self.queue);
        for link in &found.links {
            if link.purpose == Purpose::Sitemap {
                self.take(link, read.hops + 1, found.is_public);
                continue;
            }
            self.summary.pages += 1;
            let page = Input::url(&link.url);
            let page = if found.is_public { page.named_by_public_server() } else { page };
            (self.found)(page)?;
        }
        self.queue.extend(later);
        ControlFlow::Continue(())
    }
}

impl Sink for &RefCell<Reading<'_>> {
    fn row(&mut self, row: Row) -> ControlFlow<()> {
        self.borrow_mut().row(row)
    }

    fn pause(&mut self, _: &Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn unread(url: &str, why: String) -> Error {
    ErrorKind::Sitemap(url.to_owned(), why).into()
}
