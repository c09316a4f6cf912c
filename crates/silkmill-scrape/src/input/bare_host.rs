//! A line without a scheme that looks like a host: `example.com/a`, `localhost:8080`, `[::1]`. It
//! is requested by https, and by http when there is no https. Never looks a name up.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::Url;

/// Schemes that others write with a number behind the colon, which is no port.
const NUMBERED_SCHEMES: [&str; 8] = ["callto", "data", "fax", "http", "https", "sms", "tel", "urn"];

/// Returns what the line means by https and by http, if it looks like a host with or without a port
/// and a path.
pub(super) fn urls(text: &str) -> Option<(Url, Url)> {
    let text = text.strip_prefix("//").unwrap_or(text);
    let authority = text.split(['/', '?', '#', '\\']).next()?;
    if !is_host_and_port(authority) {
        return None;
    }
    let by = |scheme: &str| Url::parse(&format!("{scheme}://{text}")).ok();
    Some((by("https")?, by("http")?))
}

fn is_host_and_port(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        let Some((address, rest)) = rest.split_once(']') else { return false };
        let is_port = rest.strip_prefix(':').map_or(rest.is_empty(), is_port);
        return is_port && address.parse::<Ipv6Addr>().is_ok();
    }
    match authority.split_once(':') {
        Some((host, port)) => is_port(port) && (is_host(host) || is_single_name(host)),
        None => is_host(authority),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Tells whether a text is an IP address, `localhost`, or a name of several labels of which the
/// last is not a number.
fn is_host(text: &str) -> bool {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return text.parse::<Ipv4Addr>().is_ok();
    }
    let labels = text.strip_suffix('.').unwrap_or(text);
    let Some((before, last)) = labels.rsplit_once('.') else {
        return labels.eq_ignore_ascii_case("localhost");
    };
    let has_letter = last.chars().any(|char| char.is_alphabetic());
    has_letter && is_label(last) && before.split('.').all(is_label)
}

/// Tells whether a text can be the name of a machine nearby.
fn is_single_name(text: &str) -> bool {
    let is_scheme = NUMBERED_SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(text));
    is_label(text) && !is_scheme && text.chars().any(|char| char.is_alphabetic())
}

fn is_label(text: &str) -> bool {
    let is_part =
        |char: char| char.is_alphanumeric() || matches!(char, '-' | '_') || !char.is_ascii();
    !text.is_empty() && text.chars().all(|char| is_part(char) && !char.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_host_is_one() {
        for (text, https, http) in [
            ("example.com", "https://example.com/", "http://example.com/"),
            ("Example.COM/A?b#c", "https://example.com/A?b#c", "http://example.com/A?b#c"),
            ("www.example.com.", "https://www.example.com./", "http://www.example.com./"),
            ("example.com:8080/x", "https://example.com:8080/x", "http://example.com:8080/x"),
            ("example.com:443", "https://example.com/", "http://example.com:443/"),
            ("//cdn.example.com/a", "https://cdn.example.com/a", "http://cdn.example.com/a"),
            ("127.0.0.1", "https://127.0.0.1/", "http://127.0.0.1/"),
            ("127.0.0.1:81/a", "https://127.0.0.1:81/a", "http://127.0.0.1:81/a"),
            ("[::1]", "https://[::1]/", "http://[::1]/"),
            ("[::1]:81", "https://[::1]:81/", "http://[::1]:81/"),
            ("localhost", "https://localhost/", "http://localhost/"),
            ("localhost:8080", "https://localhost:8080/", "http://localhost:8080/"),
            ("web:8080/a", "https://web:8080/a", "http://web:8080/a"),
            ("münchen.de", "https://xn--mnchen-3ya.de/", "http://xn--mnchen-3ya.de/"),
            ("例え.テスト/", "https://xn--r8jz45g.xn--zckzah/", "http://xn--r8jz45g.xn--zckzah/"),
            (
                "my_host.example.org?a",
                "https://my_host.example.org/?a",
                "http://my_host.example.org/?a",
            ),
        ] {
            let (by_https, by_http) = urls(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((by_https.as_str(), by_http.as_str()), (https, http), "{text}");
        }
    }

    #[test]
    fn what_does_not_is_left_alone() {
        for text in [
            "",
            "/",
            "//",
            "nowhere",
            "junk 8",
            "http://a.example/",
            "ftp://a.example/",
            "mailto:a@b.example",
            "a@b.example",
            "user:word@a.example",
            "200",
            "1.5",
            "1.2.3",
            "300.1.1.1",
            "v1.2",
            ".example",
            "a..example",
            "tel:911",
            "http:8080",
            "javascript:void(0)",
            "a.example:port",
            "a.example:99999",
            "a.example:",
            "[::1",
            "[x]",
            "::1",
            "a b.example",
            "./a/b",
            "../a",
            "a,b.example",
            "*.example.com",
            "?a",
            "#a",
            "data:1",
            "http//a.example",
        ] {
            assert_eq!(urls(text), None, "{text}");
        }
    }
}
