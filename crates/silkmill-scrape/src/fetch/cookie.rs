//! The cookies of one chain of redirects (RFC 6265). Some servers redirect a client in a circle
//! until it returns a cookie. The jar is dropped at the end of the chain.

use url::Url;

/// The most cookies of one chain.
const COOKIES_MAX: usize = 50;
/// The most bytes of a name and a value together, as browsers bound them.
const COOKIE_BYTES_MAX: usize = 4096;

/// The cookies that the servers of a chain have set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Jar(Vec<Cookie>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    host: String,
    /// Whether hosts below `host` receive it, too.
    with_subdomains: bool,
    path: String,
    secure: bool,
}

impl Jar {
    /// Keeps the cookie that one header of a response from `url` sets.
    pub(crate) fn set(&mut self, url: &Url, header: &str) {
        let Some((cookie, expired)) = parse(url, header) else { return };
        self.0.retain(|old| {
            (&old.name, &old.host, &old.path) != (&cookie.name, &cookie.host, &cookie.path)
        });
        if !expired && self.0.len() < COOKIES_MAX {
            self.0.push(cookie);
        }
    }

    /// Returns the `Cookie` header for a request to `url`.
    pub(crate) fn header(&self, url: &Url) -> Option<String> {
        let mut fitting: Vec<&Cookie> = self.0.iter().filter(|cookie| cookie.is_for(url)).collect();
        // The standard asks for cookies of longer paths first.
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> =
            fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

impl Cookie {
    fn is_for(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let on_host = host == self.host || (self.with_subdomains && is_below(host, &self.host));
        on_host && (!self.secure || url.scheme() == "https") && is_under(url.path(), &self.path)
    }
}

/// Parses the cookie of a header, and tells whether the header deletes it.
fn parse(url: &Url, header: &str) -> Option<(Cookie, bool)> {
    let mut parts = header.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_text = |text: &str| !text.bytes().any(|byte| byte.is_ascii_control());
    if name.is_empty()
        || !is_text(name)
        || !is_text(value)
        || name.len() + value.len() > COOKIE_BYTES_MAX
    {
        return None;
    }
    let host = url.host_str()?.to_owned();
    let mut cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        host: host.clone(),
        with_subdomains: false,
        path: default_path(url.path()).to_owned(),
        secure: false,
    };
    let (mut expired, mut has_age) = (false, false);
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let (key, value) = (key.trim(), value.trim());
        if key.eq_ignore_ascii_case("path") && value.starts_with('/') {
            cookie.path = value.to_owned();
        } else if key.eq_ignore_ascii_case("secure") {
            cookie.secure = true;
        } else if key.eq_ignore_ascii_case("domain") && !value.is_empty() {
            let domain = value.trim_start_matches('.').to_ascii_lowercase();
            // A whole top-level domain cannot have a cookie, and a server cannot set one for
            // another's domain.
            if host != domain && !(domain.contains('.') && is_below(&host, &domain)) {
                return None;
            }
            // An IP address has no hosts below it.
            cookie.with_subdomains = url.domain().is_some();
            cookie.host = domain;
        } else if key.eq_ignore_ascii_case("max-age") {
            has_age = true;
            expired = value.starts_with('-') || value.bytes().all(|digit| digit == b'0');
        } else if key.eq_ignore_ascii_case("expires") && !has_age {
            let date = httpdate::parse_http_date(value);
            expired = date.is_ok_and(|date| date <= std::time::SystemTime::now());
        }
    }
    Some((cookie, expired))
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
            jar.set(&Url::parse(from).unwrap(), header);
        }
        jar.header(&Url::parse(to).unwrap()).unwrap_or_default()
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
        for gone in ["k=; Max-Age=0", "k=; max-age=-5", "k=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
        {
            assert_eq!(sent(&[(url, "k=1"), (url, gone)], url), "", "{gone}");
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
        (0..100).for_each(|number| jar.set(&url, &format!("k{number}=v")));
        assert_eq!(jar.0.len(), COOKIES_MAX);
    }
}
