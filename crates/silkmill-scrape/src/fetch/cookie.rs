//! Cookies (RFC 6265): of one chain of redirects, since some servers redirect a client in a circle
//! until it returns a cookie; or, where the caller gives a [`CookieJar`], of the whole run.

pub(crate) mod date;
mod file;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use url::Url;

use crate::error::{Error, ErrorKind};
use crate::sync::Mutex;

/// The most cookies of one chain.
const CHAIN_COOKIES_MAX: usize = 50;
/// The most cookies of one run.
const RUN_COOKIES_MAX: usize = 50_000;
/// The most bytes of a name and a value together, as browsers bound them.
const COOKIE_BYTES_MAX: usize = 4096;

/// The cookies of a whole run. Clones are the same jar.
///
/// ```
/// use silkmill_scrape::{CookieJar, Options};
///
/// let jar = CookieJar::default();
/// jar.read(b"example.com\tFALSE\t/\tFALSE\t0\tname\tvalue\n")?;
/// let options = Options::builder().cookie_jar(&jar).build()?;
/// # let _ = options;
/// assert!(jar.to_bytes().ends_with(b"\tname\tvalue\n"));
/// # Ok::<(), silkmill_scrape::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CookieJar {
    /// Read by every worker before a request, and written after a response that sets a cookie.
    jar: Arc<Mutex<Jar>>,
}

impl Default for CookieJar {
    fn default() -> CookieJar {
        CookieJar { jar: Arc::new(Mutex::new(Jar::new(RUN_COOKIES_MAX))) }
    }
}

impl CookieJar {
    /// Adds the cookies of a file in Netscape's format. Those that have expired are passed over.
    ///
    /// # Errors
    ///
    /// When a line is no cookie; or when there are more than 50,000 cookies.
    pub fn read(&self, file: &[u8]) -> Result<(), Error> {
        let cookies = file::parse(file).map_err(ErrorKind::CookieLine)?;
        let mut jar = self.jar.lock();
        let now = now();
        for cookie in cookies {
            if !jar.put(cookie, now) {
                return Err(ErrorKind::TooManyCookies(RUN_COOKIES_MAX).into());
            }
        }
        Ok(())
    }

    /// Returns the cookies that have not expired as a file in Netscape's format.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (jar, now) = (self.jar.lock(), now());
        let all = jar.by_host.values().flatten();
        file::write(all.filter(|cookie| !cookie.is_expired(now)))
    }

    pub(crate) fn set(&self, url: &Url, header: &[u8]) {
        self.jar.lock().set(url, header);
    }

    pub(crate) fn header(&self, url: &Url) -> Option<Vec<u8>> {
        self.jar.lock().header(url)
    }
}

/// The cookies that servers have set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jar {
    cookies_max: usize,
    count: usize,
    by_host: BTreeMap<String, Vec<Cookie>>,
}

/// One cookie. Its name and value are bytes, which go back to the server as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cookie {
    name: Vec<u8>,
    value: Vec<u8>,
    host: String,
    /// Whether hosts below `host` receive it, too.
    with_subdomains: bool,
    path: String,
    secure: bool,
    /// Whether it is hidden from scripts, of which there are none here.
    http_only: bool,
    /// The second after 1970 in which it ends; `None` for one that ends with the run.
    expires: Option<i64>,
}

impl Default for Jar {
    /// Makes the jar of one chain.
    fn default() -> Jar {
        Jar::new(CHAIN_COOKIES_MAX)
    }
}

impl Jar {
    fn new(cookies_max: usize) -> Jar {
        Jar { cookies_max, count: 0, by_host: BTreeMap::new() }
    }

    /// Keeps the cookie that one header of a response from `url` sets.
    pub(crate) fn set(&mut self, url: &Url, header: &[u8]) {
        let now = now();
        if let Some(cookie) = parse(url, header, now) {
            self.put(cookie, now);
        }
    }

    /// Puts a cookie in the place of one of the same name, or only takes that out when the new one
    /// has expired. Returns false when there is no room.
    fn put(&mut self, cookie: Cookie, now: i64) -> bool {
        if let Some(of_host) = self.by_host.get_mut(&cookie.host) {
            let before = of_host.len();
            of_host.retain(|old| (&old.name, &old.path) != (&cookie.name, &cookie.path));
            self.count -= before - of_host.len();
            if of_host.is_empty() {
                self.by_host.remove(&cookie.host);
            }
        }
        if cookie.is_expired(now) {
            return true;
        }
        if self.count >= self.cookies_max {
            return false;
        }
        self.count += 1;
        self.by_host.entry(cookie.host.clone()).or_default().push(cookie);
        true
    }

    /// Returns the value of the `Cookie` header for a request to `url`.
    pub(crate) fn header(&self, url: &Url) -> Option<Vec<u8>> {
        if self.count == 0 {
            return None;
        }
        let now = now();
        let host = url.host_str().unwrap_or_default();
        let domains = std::iter::successors(Some(host), |host| Some(host.split_once('.')?.1));
        let mut fitting: Vec<&Cookie> = domains
            .filter_map(|domain| self.by_host.get(domain))
            .flatten()
            .filter(|cookie| cookie.is_for(url) && !cookie.is_expired(now))
            .collect();
        // The standard asks for cookies of longer paths first.
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<Vec<u8>> =
            fitting.iter().map(|cookie| [&cookie.name[..], b"=", &cookie.value].concat()).collect();
        (!pairs.is_empty()).then(|| pairs.join(&b"; "[..]))
    }
}

impl Cookie {
    fn is_for(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let on_host = host == self.host || (self.with_subdomains && is_below(host, &self.host));
        on_host && (!self.secure || url.scheme() == "https") && is_under(url.path(), &self.path)
    }

    fn is_expired(&self, now: i64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Returns the seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Parses the cookie of a header (RFC 6265, section 5.2). Of several attributes of one name the
/// last counts, of those that mean something.
fn parse(url: &Url, header: &[u8], now: i64) -> Option<Cookie> {
    let mut parts = header.split(|&byte| byte == b';');
    let (name, value) = split_at_equals(parts.next()?)?;
    let is_text = |text: &[u8]| !text.iter().any(u8::is_ascii_control);
    if name.is_empty()
        || !is_text(name)
        || !is_text(value)
        || name.len() + value.len() > COOKIE_BYTES_MAX
    {
        return None;
    }
    let host = url.host_str()?.to_owned();
    let mut cookie = Cookie {
        name: name.to_vec(),
        value: value.to_vec(),
        host: host.clone(),
        with_subdomains: false,
        path: default_path(url.path()).to_owned(),
        secure: false,
        http_only: false,
        expires: None,
    };
    let (mut ends, mut ends_by_age, mut domain) = (None, None, None);
    for part in parts {
        let (key, value) = split_at_equals(part).unwrap_or((part.trim_ascii(), b""));
        let text = String::from_utf8_lossy(value);
        let is_named = |name: &str| key.eq_ignore_ascii_case(name.as_bytes());
        if is_named("path") {
            let is_path = value.starts_with(b"/");
            cookie.path = if is_path { &*text } else { default_path(url.path()) }.to_owned();
        } else if is_named("secure") {
            cookie.secure = true;
        } else if is_named("httponly") {
            cookie.http_only = true;
        } else if is_named("domain") && !value.is_empty() {
            domain = Some(text.trim_start_matches('.').to_ascii_lowercase());
        } else if is_named("max-age") {
            ends_by_age = age(value).map(|age| now.saturating_add(age)).or(ends_by_age);
        } else if is_named("expires") {
            ends = date::parse(value).or(ends);
        }
    }
    if let Some(domain) = domain {
        // A whole top-level domain cannot have a cookie, and a server cannot set one for another's
        // domain.
        if host != domain && !(domain.contains('.') && is_below(&host, &domain)) {
            return None;
        }
        // An IP address has no hosts below it.
        cookie.with_subdomains = url.domain().is_some();
        cookie.host = domain;
    }
    cookie.expires = ends_by_age.or(ends);
    Some(cookie)
}

fn split_at_equals(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == b'=')?;
    Some((text[..at].trim_ascii(), text[at + 1..].trim_ascii()))
}

/// Parses a `Max-Age`, in seconds. One that does not fit is as long as can be.
fn age(value: &[u8]) -> Option<i64> {
    let (digits, is_negative) = match value.strip_prefix(b"-") {
        Some(digits) => (digits, true),
        None => (value, false),
    };
    let is_number = !value.is_empty() && digits.iter().all(u8::is_ascii_digit);
    match is_negative {
        _ if !is_number => None,
        true => Some(i64::MIN),
        false => Some(std::str::from_utf8(digits).ok()?.parse().unwrap_or(i64::MAX)),
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
}

fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// Returns the folder of a path.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(set: &[(&str, &str)], to: &str) -> String {
        let mut jar = Jar::default();
        for (from, header) in set {
            jar.set(&Url::parse(from).unwrap(), header.as_bytes());
        }
        String::from_utf8(jar.header(&Url::parse(to).unwrap()).unwrap_or_default()).unwrap()
    }

    #[test]
    fn a_cookie_goes_back_to_where_it_came_from() {
        let set = &[("http://a.test/x/y", "k=v; HttpOnly"), ("http://a.test/", "l=w; Path=/")];
        assert_eq!(sent(set, "http://a.test/x/z"), "k=v; l=w");
        assert_eq!(sent(set, "http://a.test/xx"), "l=w");
        assert_eq!(sent(set, "http://b.test/x/z"), "");
        assert_eq!(sent(set, "http://b.a.test/x/z"), "");
    }

    #[test]
    fn a_domain_must_be_ones_own() {
        let sent = |from, domain: &str, to| sent(&[(from, &format!("k=v; Domain={domain}"))], to);
        assert_eq!(sent("http://a.x.test/", "x.test", "http://b.x.test/"), "k=v");
        assert_eq!(sent("http://a.x.test/", ".X.test", "http://x.test/"), "k=v");
        assert_eq!(sent("http://a.x.test/", "y.test", "http://y.test/"), "");
        assert_eq!(sent("http://a.test/", "test", "http://b.test/"), "");
        assert_eq!(sent("http://ax.test/", "x.test", "http://x.test/"), "");
        assert_eq!(sent("http://127.0.0.1/", "127.0.0.1", "http://127.0.0.1/"), "k=v");
    }

    #[test]
    fn a_cookie_is_replaced_and_removed() {
        let url = "http://a.test/";
        assert_eq!(sent(&[(url, "k=1"), (url, "k=2")], url), "k=2");
        for gone in [
            "k=; Max-Age=0",
            "k=; max-age=-5",
            "k=; Max-Age=0; Max-Age=",
            "k=; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "k=; Expires=Thu, 01-Jan-1970 00:00:00 GMT",
            "k=; expires=Thursday, 01-Jan-70 0:0:0 GMT",
            "k=; expires=Thu, 01-Jan-1970 00:00:00 GMT; expires=soon",
        ] {
            assert_eq!(sent(&[(url, "k=1"), (url, gone)], url), "", "{gone}");
        }
        for kept in ["k=1; Max-Age=", "k=1; Max-Age=x", "k=1; Max-Age=99999999999999999999"] {
            assert_eq!(sent(&[(url, kept)], url), "k=1", "{kept}");
        }
        assert_eq!(
            sent(&[(url, "k=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT")], url),
            "k=1"
        );
    }

    #[test]
    fn a_secure_cookie_is_not_sent_in_the_clear() {
        let set = &[("https://a.test/", "k=v; Secure")];
        assert_eq!(
            (sent(set, "https://a.test/"), sent(set, "http://a.test/")),
            ("k=v".into(), "".into())
        );
    }

    #[test]
    fn nonsense_is_no_cookie_and_there_is_a_bound() {
        for header in ["", "=v", "novalue", "k=a\r\nX: y", &format!("k={}", "x".repeat(5000))] {
            assert_eq!(sent(&[("http://a.test/", header)], "http://a.test/"), "", "{header:?}");
        }
        let mut jar = Jar::default();
        let url = Url::parse("http://a.test/").unwrap();
        (0..100).for_each(|number| jar.set(&url, format!("k{number}=v").as_bytes()));
        assert_eq!(jar.count, CHAIN_COOKIES_MAX);
    }
}
