//! What a crawl follows and how far it goes, checked once.

use std::fmt;

use regex_automata::meta::Regex;
use url::Url;

use crate::crawl::date::Moment;
use crate::crawl::scope::Scope;
use crate::error::{Error, ErrorKind};
use crate::input::Input;

/// What a crawl begins with, which links it follows, and how far it goes.
///
/// [`CrawlOptions::builder`] makes them.
///
/// ```
/// use silkmill_scrape::{CrawlOptions, Scope};
///
/// let options = CrawlOptions::builder()
///     .seed("http://a.example/docs/")
///     .scope(Scope::Prefix)
///     .exclude("[?&]session=")
///     .rows_max(1000)
///     .build()?;
/// # let _ = options;
/// assert!(CrawlOptions::builder().build().is_err());
/// assert!(CrawlOptions::builder().seed("no URL").build().is_err());
/// # Ok::<(), silkmill_scrape::Error>(())
/// ```
#[derive(Clone)]
pub struct CrawlOptions {
    pub(crate) seeds: Vec<Url>,
    pub(crate) scope: Scope,
    pub(crate) include: Vec<Regex>,
    pub(crate) exclude: Vec<Regex>,
    pub(crate) rows_max: u64,
    pub(crate) rows_per_host_max: u64,
    pub(crate) depth_max: u32,
    pub(crate) edges: bool,
    pub(crate) checks: Checks,
    pub(crate) sitemaps: Sitemaps,
    pub(crate) since: Option<Moment>,
}

/// What a crawl checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Checks {
    #[default]
    Nothing,
    Links,
    Fragments,
}

/// Which sitemaps a crawl reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sitemaps {
    /// Those that the robots.txt of the seeds' hosts name, and `/sitemap.xml` there.
    #[default]
    OfHosts,
    None,
    Named(Vec<Url>),
}

impl fmt::Debug for CrawlOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds: Vec<&str> = self.seeds.iter().map(Url::as_str).collect();
        f.debug_struct("CrawlOptions")
            .field("seeds", &seeds)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Collects [`CrawlOptions`], and checks them in [`build`](CrawlOptionsBuilder::build).
///
/// ```
/// use silkmill_scrape::CrawlOptions;
///
/// let options = CrawlOptions::builder().seed("http://a.example/").depth_max(2).build()?;
/// # let _ = options;
/// assert!(CrawlOptions::builder().seed("http://a.example/").exclude("(").build().is_err());
/// # Ok::<(), silkmill_scrape::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options have no effect until they are built and a crawl has them"]
pub struct CrawlOptionsBuilder {
    seeds: Vec<String>,
    include: Vec<String>,
    exclude: Vec<String>,
    sitemaps: Vec<String>,
    since: Option<String>,
    options: CrawlOptions,
}

impl CrawlOptions {
    /// Returns a builder of options for a crawl of the seeds' hosts, without limits.
    pub fn builder() -> CrawlOptionsBuilder {
        let options = CrawlOptions {
            seeds: Vec::new(),
            scope: Scope::default(),
            include: Vec::new(),
            exclude: Vec::new(),
            rows_max: u64::MAX,
            rows_per_host_max: u64::MAX,
            depth_max: u32::MAX,
            edges: false,
            checks: Checks::Nothing,
            sitemaps: Sitemaps::default(),
            since: None,
        };
        CrawlOptionsBuilder {
            seeds: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            sitemaps: Vec::new(),
            since: None,
            options,
        }
    }
}

impl CrawlOptionsBuilder {
    /// Begins the crawl at this URL, too. Its host, domain or folder is in the scope.
    pub fn seed(mut self, url: impl Into<String>) -> Self {
        self.seeds.push(url.into());
        self
    }

    /// Sets which links are followed. The default is those to the hosts of the seeds.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.options.scope = scope;
        self
    }

    /// Follows only links whose URL matches this regex, or another one that is included. Seeds are
    /// asked for whether they match or not.
    pub fn include(mut self, regex: impl Into<String>) -> Self {
        self.include.push(regex.into());
        self
    }

    /// Follows no link whose URL matches this regex, whatever is included.
    pub fn exclude(mut self, regex: impl Into<String>) -> Self {
        self.exclude.push(regex.into());
        self
    }

    /// Ends the crawl when it has this many rows. It never has one more.
    pub fn rows_max(mut self, rows: u64) -> Self {
        self.options.rows_max = rows;
        self
    }

    /// Asks no host for more when there are this many rows of it.
    pub fn rows_per_host_max(mut self, rows: u64) -> Self {
        self.options.rows_per_host_max = rows;
        self
    }

    /// Follows no more than this many links from a seed to a page. Within a host every page of a
    /// depth is asked for before those of the next, so that no page is taken for a deeper one.
    pub fn depth_max(mut self, links: u32) -> Self {
        self.options.depth_max = links;
        self
    }

    /// Hands every link of every page to [`CrawlSink::edge`](crate::CrawlSink::edge).
    pub fn edges(mut self, yes: bool) -> Self {
        self.options.edges = yes;
        self
    }

    /// Checks links: also asks, once each, for the status of what is linked and not followed: pages
    /// beyond the scope, images, scripts, styles. They have rows, too. Afterwards
    /// [`CrawlJob::broken_links`](crate::CrawlJob::broken_links) says which links are broken, and
    /// which pages have them.
    pub fn check_links(mut self) -> Self {
        self.options.checks = self.options.checks.max(Checks::Links);
        self
    }

    /// Checks links, and whether the pages within the scope have the anchors that fragments of
    /// links point to.
    pub fn check_fragments(mut self) -> Self {
        self.options.checks = Checks::Fragments;
        self
    }

    /// Reads this sitemap, and not those of the seeds' hosts. Its pages count as seeds, if they are
    /// in the scope.
    pub fn sitemap(mut self, url: impl Into<String>) -> Self {
        self.sitemaps.push(url.into());
        self
    }

    /// Reads no sitemaps but those that are named, or, without a call, those that the robots.txt of
    /// the seeds' hosts name, and `/sitemap.xml` there.
    pub fn no_sitemaps(mut self) -> Self {
        self.options.sitemaps = Sitemaps::None;
        self
    }

    /// Leaves out pages that a sitemap says were changed last before this W3C date: `2026`,
    /// `2026-11`, `2026-11-28` or `2026-11-28T10:00:00Z`.
    pub fn since(mut self, date: impl Into<String>) -> Self {
        self.since = Some(date.into());
        self
    }

    /// Checks the options.
    ///
    /// # Errors
    ///
    /// When there is no seed, a seed or a sitemap is no URL, a seed is excluded, or a regex or a
    /// date does not parse.
    pub fn build(self) -> Result<CrawlOptions, Error> {
        let CrawlOptionsBuilder { seeds, include, exclude, sitemaps, since, mut options } = self;
        if seeds.is_empty() {
            return Err(ErrorKind::NoSeed.into());
        }
        options.include = include.iter().map(|text| compile(text)).collect::<Result<_, _>>()?;
        options.exclude = exclude.iter().map(|text| compile(text)).collect::<Result<_, _>>()?;
        for seed in seeds {
            let url = parse(&seed)?;
            if options.exclude.iter().any(|regex| regex.is_match(url.as_str())) {
                return Err(ErrorKind::Seed(seed, "it is excluded".to_owned()).into());
            }
            options.seeds.push(url);
        }
        let named =
            sitemaps.into_iter().map(|sitemap| parse(&sitemap)).collect::<Result<Vec<_>, _>>()?;
        if !named.is_empty() {
            options.sitemaps = Sitemaps::Named(named);
        }
        if let Some(since) = since {
            options.since = match Moment::parse(&since) {
                None => return Err(ErrorKind::Date(since).into()),
                moment => moment,
            };
        }
        Ok(options)
    }
}

fn parse(seed: &str) -> Result<Url, Error> {
    let parsed = Input::url(seed).parse().map(|target| target.url);
    parsed.map_err(|failure| ErrorKind::Seed(seed.to_owned(), failure.message).into())
}

fn compile(pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|error| {
        let why = match error.syntax_error() {
            Some(error) => error.to_string(),
            None => error.to_string(),
        };
        ErrorKind::Pattern(pattern.to_owned(), why).into()
    })
}
