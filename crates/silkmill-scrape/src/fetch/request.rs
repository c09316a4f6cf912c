//! Writes the head of a request, and decides which of the user's secrets are in it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use url::{Position, Url};

use crate::fetch::content_encoding;
use crate::net::proxy::decoded;
use crate::options::{Method, Options};

/// The type of a body that the user gives without one, as forms have it.
const DATA_TYPE: &str = "application/x-www-form-urlencoded";
/// Headers that go to the origin of the URL that was given, and to no other.
const SAME_ORIGIN_ONLY: [&str; 4] = ["authorization", "cookie", "host", "proxy-authorization"];

/// The parts that all requests of a run have in common.
#[derive(Debug)]
pub(crate) struct Template {
    /// Header lines that go everywhere.
    everywhere: String,
    /// Whether the user has a `Content-Type` among them.
    has_content_type: bool,
    /// The user's headers that go to the given origin only, by name.
    same_origin: Vec<(String, String)>,
}

/// The parts that differ from request to request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: &'a Url,
    /// Whether `url` has the origin of the URL that was given: scheme, host and port.
    pub(crate) same_origin: bool,
    /// The cookies that servers have set, for this URL.
    pub(crate) cookies: Option<&'a [u8]>,
    /// The length of the body that follows, if there is one.
    pub(crate) body_length: Option<usize>,
    /// The header line for the proxy, if the page itself is requested from one.
    pub(crate) forwarded: Option<&'a str>,
    /// Header lines that ask whether a stored response is still valid.
    pub(crate) condition: Option<&'a str>,
}

impl Template {
    pub(crate) fn new(options: &Options) -> Template {
        let (same_origin, given): (Vec<_>, Vec<_>) =
            options.headers.iter().cloned().partition(|(name, _)| is_same_origin_only(name));
        let mut everywhere = String::new();
        for (name, value) in [
            ("User-Agent", options.user_agent.as_str()),
            ("Accept", "*/*"),
            ("Accept-Encoding", content_encoding::ACCEPTED),
        ] {
            let replaced = given.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
            if !replaced && !value.is_empty() {
                push_header(&mut everywhere, name, value);
            }
        }
        given.iter().for_each(|(name, value)| push_header(&mut everywhere, name, value));
        let has_content_type = given.iter().any(|(name, _)| is_named(name, "content-type"));
        Template { everywhere, has_content_type, same_origin }
    }

    /// Writes the head of a request into `out`, and drops what `out` held.
    pub(crate) fn write(&self, request: Request<'_>, out: &mut Vec<u8>) {
        out.clear();
        push(out, &[request.method.as_str(), " "]);
        if request.forwarded.is_some() {
            let authority = &request.url[Position::BeforeHost..Position::AfterPort];
            push(out, &[request.url.scheme(), "://", authority]);
        }
        // The fragment after `#` is for the browser.
        let target = &request.url[Position::BeforePath..Position::AfterQuery];
        push(out, &[target, " HTTP/1.1\r\n"]);
        let of_user = |name: &str| {
            let mut all = self.same_origin.iter().filter(|_| request.same_origin);
            all.find(|(given, _)| is_named(given, name)).map(|(_, value)| value.as_str())
        };
        let host = &request.url[Position::BeforeHost..Position::AfterPort];
        push(out, &["Host: ", of_user("host").unwrap_or(host), "\r\n", &self.everywhere]);
        if let Some(length) = request.body_length {
            if !self.has_content_type {
                push(out, &["Content-Type: ", DATA_TYPE, "\r\n"]);
            }
            push(out, &["Content-Length: ", &length.to_string(), "\r\n"]);
        }
        let given = of_user("cookie").map(str::as_bytes);
        let cookies: Vec<&[u8]> = given.into_iter().chain(request.cookies).collect();
        if !cookies.is_empty() {
            out.extend_from_slice(b"Cookie: ");
            out.extend_from_slice(&cookies.join(&b"; "[..]));
            out.extend_from_slice(b"\r\n");
        }
        match of_user("authorization") {
            Some(given) => push(out, &["Authorization: ", given, "\r\n"]),
            None if request.url.username().is_empty() && request.url.password().is_none() => {}
            None => push(out, &["Authorization: ", &basic(request.url), "\r\n"]),
        }
        if let Some(given) = of_user("proxy-authorization") {
            push(out, &["Proxy-Authorization: ", given, "\r\n"]);
        }
        let condition = request.condition.unwrap_or_default();
        push(out, &[condition, request.forwarded.unwrap_or_default(), "\r\n"]);
    }
}

/// Returns the `Authorization` header for the user and password in a URL (RFC 7617).
fn basic(url: &Url) -> String {
    let (name, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

fn is_same_origin_only(name: &str) -> bool {
    SAME_ORIGIN_ONLY.iter().any(|secret| is_named(name, secret))
}

fn is_named(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

fn push(out: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

fn push_header(out: &mut String, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::builder::OptionsBuilder;

    fn written(
        options: OptionsBuilder,
        url: &str,
        same_origin: bool,
        forwarded: Option<&str>,
    ) -> String {
        let url = Url::parse(url).unwrap();
        let mut out = b"old".to_vec();
        let options = options.build().unwrap();
        let request = Request {
            method: &options.method,
            url: &url,
            same_origin,
            cookies: None,
            body_length: options.data.as_ref().map(|data| data.len()),
            forwarded,
            condition: None,
        };
        Template::new(&options).write(request, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_request_names_the_path_and_the_host() {
        let sent = written(Options::builder(), "http://a.test:81/b?c=d#e", true, None);

        assert!(
            sent.starts_with("GET /b?c=d HTTP/1.1\r\nHost: a.test:81\r\nUser-Agent: silkmill/")
        );
        assert!(sent.ends_with("Accept: */*\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\r\n"));
        let default_port = written(Options::builder(), "https://a.test:443", true, None);
        assert!(default_port.starts_with("GET / HTTP/1.1\r\nHost: a.test\r\n"), "{default_port}");
    }

    #[test]
    fn a_proxy_is_told_the_whole_address() {
        let sent = written(
            Options::builder(),
            "http://u:p@a.test/b#c",
            true,
            Some("Proxy-Authorization: x\r\n"),
        );

        assert!(sent.starts_with("GET http://a.test/b HTTP/1.1\r\nHost: a.test\r\n"), "{sent}");
        assert!(sent.contains("Proxy-Authorization: x\r\n\r\n"));
    }

    #[test]
    fn secrets_stay_at_home() {
        let options =
            ["Authorization: a", "cookie: b", "HOST: c", "Proxy-Authorization: d", "X-Mine: e"]
                .iter()
                .fold(Options::builder(), |options, header| options.header(*header));

        let home = written(options.clone(), "http://a.test/", true, None);
        let abroad = written(options, "http://a.test/", false, None);

        for (header, everywhere) in [
            ("Authorization: a", false),
            ("Cookie: b", false),
            ("Host: c", false),
            ("Proxy-Authorization: d", false),
            ("X-Mine: e", true),
        ] {
            assert!(home.contains(&format!("{header}\r\n")), "{home}");
            assert_eq!(abroad.contains(header), everywhere, "{abroad}");
        }
        assert!(abroad.contains("Host: a.test\r\n"));
    }

    #[test]
    fn the_user_of_an_address_is_sent_unless_a_header_says_otherwise() {
        let sent = written(Options::builder(), "http://us%40er:pass@a.test/", true, None);
        assert!(sent.contains("Authorization: Basic dXNAZXI6cGFzcw==\r\n"), "{sent}");
        let given = Options::builder().header("Authorization: x");
        let sent = written(given, "http://user:pass@a.test/", true, None);
        assert!(sent.contains("Authorization: x\r\n") && !sent.contains("Basic"), "{sent}");
    }

    #[test]
    fn what_the_user_says_replaces_what_we_would() {
        let options = Options::builder().header("accept: text/html");
        let sent = written(options.header("User-Agent: me"), "http://a.test/", true, None);
        assert!(sent.contains("accept: text/html\r\n") && sent.contains("User-Agent: me\r\n"));
        assert!(!sent.contains("Accept: */*") && !sent.contains("silkmill/"));
    }

    #[test]
    fn a_body_is_announced_with_its_length_and_type() {
        let options = Options::builder().data("a=b");
        let sent = written(options.clone(), "http://a.test/", true, None);
        assert!(sent.starts_with("POST / HTTP/1.1\r\n"), "{sent}");
        assert!(sent.contains("Content-Type: application/x-www-form-urlencoded\r\n"), "{sent}");
        assert!(sent.contains("Content-Length: 3\r\n"), "{sent}");
        let json = options.header("content-type: application/json").method(Method::Get);
        let sent = written(json, "http://a.test/", true, None);
        assert!(sent.starts_with("GET ") && !sent.contains("urlencoded"), "{sent}");
    }
}
