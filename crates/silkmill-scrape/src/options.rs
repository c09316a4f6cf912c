//! How to fetch, checked once. Nothing past this point sees a bad header or a run without workers.
//! [`builder`] collects what the caller sets and checks it.

pub(crate) mod builder;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::archive::Archives;
use crate::crawl::finder::Finder;
use crate::error::{Error, ErrorKind};
use crate::fetch::cookie::CookieJar;
use crate::net::deadline::Deadline;
use crate::net::dialer::{Connect, DialerSettings};
use crate::net::proxy::Proxies;
use crate::net::resolver::Lookup;
use crate::net::tls::Trust;
use crate::page::extract::Extractor;
use crate::save::Folder;

/// Headers with passwords or cookies.
const SECRET_HEADERS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// The method of every request.
///
/// ```
/// use silkmill_scrape::Method;
///
/// assert_eq!(Method::parse("head")?, Method::Head);
/// assert_eq!(Method::parse("PURGE")?.as_str(), "PURGE");
/// assert!(Method::parse("no method").is_err());
/// # Ok::<(), silkmill_scrape::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Requests the whole response.
    #[default]
    Get,
    /// Requests everything but the body.
    Head,
    /// Any other method, by its name. [`Method::parse`] makes it.
    #[non_exhaustive]
    Other(Arc<str>),
}

impl Method {
    /// Parses a method. The names of the usual ones may be in lower case.
    ///
    /// # Errors
    ///
    /// When the text is no token, or `CONNECT`, which is for proxies.
    pub fn parse(text: &str) -> Result<Method, Error> {
        const USUAL: [&str; 8] =
            ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
        let usual = USUAL.into_iter().find(|usual| usual.eq_ignore_ascii_case(text));
        match usual.unwrap_or(text) {
            "GET" => Ok(Method::Get),
            "HEAD" => Ok(Method::Head),
            name if builder::is_name(name) && !name.eq_ignore_ascii_case("CONNECT") => {
                Ok(Method::Other(name.into()))
            }
            name => Err(ErrorKind::Method(name.to_owned()).into()),
        }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Other(name) => name,
        }
    }

    /// Tells whether two requests do what one does (RFC 9110, section 9.2.2).
    fn is_idempotent(&self) -> bool {
        matches!(self.as_str(), "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE")
    }

    /// Returns the method with which a redirect of this status goes on, if it is another: what the
    /// Fetch standard says.
    pub(crate) fn after_redirect(&self, status: u16) -> Option<Method> {
        match (status, self.as_str()) {
            (301 | 302, "POST") => Some(Method::Get),
            (303, name) if !matches!(name, "GET" | "HEAD") => Some(Method::Get),
            _ => None,
        }
    }
}

/// How to fetch a list of URLs, and what to read from the pages: checked, and ready to run.
///
/// [`Options::builder`] makes them.
///
/// ```
/// use std::time::Duration;
/// use silkmill_scrape::Options;
///
/// let options = Options::builder()
///     .workers(8)
///     .timeout(Duration::from_secs(5))
///     .header("Accept: text/html")
///     .build()?;
/// # let _ = options;
/// # Ok::<(), silkmill_scrape::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// `None` for a run that reads nothing from a page but its length.
    pub(crate) extractor: Option<Arc<Extractor>>,
    /// At least 1.
    pub(crate) workers: usize,
    /// 0 for no limit.
    pub(crate) per_host: usize,
    pub(crate) delay: Duration,
    /// How many requests at once the delay of a throttled host is meant for.
    pub(crate) throttle: Option<f64>,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// `None` for as long as the attempt may take.
    pub(crate) first_byte_timeout: Option<Duration>,
    pub(crate) retries: u32,
    /// 0 for no limit.
    pub(crate) host_errors_max: u32,
    pub(crate) redirects_max: u32,
    pub(crate) body_bytes_max: u64,
    pub(crate) method: Method,
    /// The body of every request.
    pub(crate) data: Option<Arc<[u8]>>,
    /// Whether a request is retried that may do something twice then.
    pub(crate) retry_post: bool,
    pub(crate) follow_refresh: bool,
    /// The cookies of the run; `None` for cookies that end with each chain of redirects.
    pub(crate) cookie_jar: Option<CookieJar>,
    /// Names and values.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) user_agent: String,
    pub(crate) ordered: bool,
    pub(crate) save: Option<Folder>,
    pub(crate) measure_cpu: bool,
    pub(crate) deny_private: bool,
    pub(crate) robots: bool,
    pub(crate) trust: Trust,
    pub(crate) proxies: Proxies,
    pub(crate) lookup: Hook<Lookup>,
    pub(crate) connect: Hook<Connect>,
    pub(crate) archives: Archives,
    /// Looks for links, in a crawl.
    pub(crate) finder: Option<Arc<Finder>>,
}

/// A function of the caller's that stands for one of the system's, if it is set.
pub(crate) struct Hook<F: ?Sized>(pub(crate) Option<Arc<F>>);

impl<F: ?Sized> Clone for Hook<F> {
    fn clone(&self) -> Hook<F> {
        Hook(self.0.clone())
    }
}

impl<F: ?Sized> fmt::Debug for Hook<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "set" } else { "the system" })
    }
}

impl Options {
    /// Tells whether a body is needed once it has been read.
    pub(crate) fn keeps_bodies(&self) -> bool {
        self.extractor.is_some()
            || self.save.is_some()
            || self.follow_refresh
            || self.finder.is_some()
    }

    /// Tells whether a request may be sent again when it is not known what became of it.
    pub(crate) fn may_send_twice(&self) -> bool {
        self.retry_post || (self.data.is_none() && self.method.is_idempotent())
    }

    /// Tells whether the requests carry what nobody between here and the server may read: a
    /// password, cookies, data. Such a request does not go on without TLS when TLS fails.
    pub(crate) fn has_secrets(&self) -> bool {
        let is_secret = |(name, _): &(String, String)| {
            SECRET_HEADERS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
        };
        self.data.is_some() || self.cookie_jar.is_some() || self.headers.iter().any(is_secret)
    }

    pub(crate) fn dialer_settings(&self) -> DialerSettings {
        DialerSettings {
            lookup: self.lookup.0.clone(),
            connect: self.connect.0.clone(),
            trust: self.trust.clone(),
            proxies: self.proxies.clone(),
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
        }
    }

    /// Returns when the first byte of a response must have come, if the request starts now and the
    /// whole response must have come when the attempt `ends`.
    pub(crate) fn first_byte_deadline(&self, ends: Instant) -> Deadline {
        let own =
            self.first_byte_timeout.map(|limit| Deadline { at: Instant::now() + limit, limit });
        own.filter(|own| own.at < ends).unwrap_or(Deadline { at: ends, limit: self.timeout })
    }

    /// Tells whether two requests to one host must start some time apart, or may have to.
    pub(crate) fn spaces_starts(&self) -> bool {
        self.robots || !self.delay.is_zero() || self.throttle.is_some()
    }

    /// Returns the name of the threads, without their number.
    pub(crate) fn worker_name(&self) -> &'static str {
        match (&self.finder, &self.extractor) {
            (Some(_), _) => "crawl",
            (None, Some(_)) => "scrape",
            (None, None) => "fetch",
        }
    }
}
