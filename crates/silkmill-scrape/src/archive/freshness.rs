//! Whether a stored response may be used again, as a cache of one user decides it (RFC 9111). Heads
//! in, decisions out; responses are stored by [`crate::archive::cache`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest time for which a response is taken to be fresh that does not say how long it is.
const HEURISTIC_MAX: u64 = 24 * 60 * 60;
/// The part of its age that a page stays as it is, when nothing says more (section 4.2.2).
const HEURISTIC_PART: u64 = 10;
/// The statuses of which responses may be stored that say nothing of it (RFC 9110, section 15.1).
const HEURISTIC_STATUSES: [u16; 10] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414];
/// The most seconds that a header can name (section 1.2.2).
const SECONDS_MAX: u64 = 1 << 31;
/// Headers of a 304 that say nothing of the stored response (section 3.2).
const NOT_UPDATED: [&str; 6] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "transfer-encoding",
];

/// The header lines of a head, without its first line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers(Vec<(String, String)>);

impl Headers {
    /// Reads the lines of a head. A folded line belongs to the one before.
    pub(super) fn parse(head: &[u8]) -> Headers {
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in head.split(|&byte| byte == b'\n').skip(1) {
            let text = String::from_utf8_lossy(line);
            let text = text.trim_end_matches('\r');
            match (text.strip_prefix([' ', '\t']), text.split_once(':')) {
                (Some(more), _) => {
                    if let Some((_, value)) = headers.last_mut() {
                        *value = format!("{value} {}", more.trim());
                    }
                }
                (None, Some((name, value))) => {
                    headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                }
                (None, None) => {}
            }
        }
        Headers(headers)
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Returns the first header of a name.
    pub(super) fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// Returns all headers of a name as one list.
    pub(super) fn list(&self, name: &str) -> Option<String> {
        let all: Vec<&str> = self.all(name).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    fn date(&self, name: &str) -> Option<u64> {
        seconds(httpdate::parse_http_date(self.get(name)?).ok()?)
    }
}

/// Facts of a stored response that decide on its use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a Headers,
    /// When it was asked for, and when it came, in seconds from 1970.
    pub(super) asked: u64,
    pub(super) came: u64,
}

/// How a stored response may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// As it is.
    Fresh,
    /// Once the server has said that it is still what it would send, in response to a request with
    /// these header lines.
    Validated(String),
    /// Not at all.
    Never,
}

/// Tells whether a response may be stored, and is ever of use then.
pub(super) fn may_store(status: u16, request: &Headers, response: &Headers) -> bool {
    let wants = Directives::of(response);
    let is_final = status >= 200 && !matches!(status, 206 | 304);
    let is_forbidden = wants.no_store || Directives::of(request).no_store;
    let varies = response.list("vary").is_some_and(|vary| vary.contains('*'));
    let is_dated = wants.max_age.is_some() || response.get("expires").is_some();
    let is_usual = HEURISTIC_STATUSES.contains(&status) || wants.is_public;
    let is_of_use =
        is_dated || ["etag", "last-modified"].iter().any(|name| response.get(name).is_some());
    is_final && !is_forbidden && !varies && (is_dated || is_usual) && is_of_use
}

/// Decides how a stored response may be used for a request at a time.
pub(super) fn use_of(stored: &Stored<'_>, request: &Headers, now: u64) -> Use {
    let asks = Directives::of(request);
    if asks.no_store {
        return Use::Never;
    }
    let wants = Directives::of(stored.headers);
    let age = age(stored, now);
    // A request without Cache-Control may have the older header (section 5.4).
    let is_pragma = request.get("cache-control").is_none()
        && request.list("pragma").is_some_and(|pragma| has_word(&pragma, "no-cache"));
    let is_fresh = age < lifetime(stored, &wants)
        && asks.max_age.is_none_or(|max| age <= max)
        && asks.min_fresh.is_none_or(|min| age + min < lifetime(stored, &wants))
        && !(asks.no_cache || wants.no_cache || is_pragma);
    if is_fresh {
        return Use::Fresh;
    }
    let mut lines = String::new();
    if let Some(tag) = stored.headers.get("etag") {
        lines += &format!("If-None-Match: {tag}\r\n");
    }
    if let Some(date) = stored.headers.get("last-modified") {
        lines += &format!("If-Modified-Since: {date}\r\n");
    }
    if lines.is_empty() { Use::Never } else { Use::Validated(lines) }
}

/// Returns how old a stored response is (section 4.2.3).
fn age(stored: &Stored<'_>, now: u64) -> u64 {
    let apparent = stored.headers.date("date").map_or(0, |date| stored.came.saturating_sub(date));
    let given = stored.headers.get("age").and_then(number).unwrap_or(0);
    let corrected = given.saturating_add(stored.came.saturating_sub(stored.asked));
    apparent.max(corrected).saturating_add(now.saturating_sub(stored.came))
}

/// Returns how long a response is fresh (section 4.2.1). `s-maxage` is for caches that many users
/// share.
fn lifetime(stored: &Stored<'_>, wants: &Directives) -> u64 {
    if let Some(seconds) = wants.max_age {
        return seconds;
    }
    let date = stored.headers.date("date").unwrap_or(stored.came);
    if stored.headers.get("expires").is_some() {
        let expires = stored.headers.all("expires").count() == 1;
        let expires = expires.then(|| stored.headers.date("expires")).flatten();
        // A date that is none, such as 0, is one that is over.
        return expires.map_or(0, |expires| expires.saturating_sub(date));
    }
    if !HEURISTIC_STATUSES.contains(&stored.status) && !wants.is_public {
        return 0;
    }
    let modified = stored.headers.date("last-modified");
    let old = modified.map_or(0, |modified| date.saturating_sub(modified));
    (old / HEURISTIC_PART).min(HEURISTIC_MAX)
}

/// Returns the head of a stored response with what a 304 says of it (section 3.2).
pub(super) fn updated(head: &[u8], not_modified: &[u8]) -> Vec<u8> {
    let news = Headers::parse(not_modified);
    let is_news =
        |name: &str| !NOT_UPDATED.contains(&name) && news.0.iter().any(|(given, _)| given == name);
    let mut lines = head.split_inclusive(|&byte| byte == b'\n');
    let mut updated = lines.next().unwrap_or_default().to_vec();
    let mut is_dropped = false;
    for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|&byte| byte == b':').next().unwrap_or_default().trim_ascii();
            is_dropped = is_news(&String::from_utf8_lossy(name).to_ascii_lowercase());
        }
        if !is_dropped {
            updated.extend_from_slice(line);
        }
    }
    for (name, value) in news.0.iter().filter(|(name, _)| is_news(name)) {
        updated.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    updated.extend_from_slice(b"\r\n");
    updated
}

/// Returns the part of a request that the choice of a response depends on (section 4.1), as a text
/// that is the same for requests that get the same response. What came for one password is never
/// used for another, whether the server says so or not.
pub(super) fn variant(vary: &str, request: &Headers) -> String {
    let mut names: Vec<String> =
        vary.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    names.retain(|name| !name.is_empty());
    names.push("authorization".to_owned());
    names.sort_unstable();
    names.dedup();
    let mut text = String::new();
    for name in names {
        let value = request.list(&name).unwrap_or_default();
        let words: Vec<&str> = value.split(',').map(str::trim).collect();
        text += &format!("{name}: {}\n", words.join(","));
    }
    text
}

/// Returns a time in seconds from 1970.
pub(super) fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().as_ref().map(Duration::as_secs)
}

/// What `Cache-Control` headers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Directives {
    max_age: Option<u64>,
    min_fresh: Option<u64>,
    no_cache: bool,
    no_store: bool,
    is_public: bool,
}

impl Directives {
    fn of(headers: &Headers) -> Directives {
        let mut directives = Directives::default();
        let list = headers.list("cache-control").unwrap_or_default();
        for directive in split_list(&list) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                // What is no number means stale, and of two numbers the smaller one is obeyed.
                "max-age" => {
                    let seconds = number(value).unwrap_or(0);
                    let earlier = directives.max_age.unwrap_or(seconds);
                    directives.max_age = Some(seconds.min(earlier));
                }
                "min-fresh" => directives.min_fresh = number(value),
                // A list of headers that must be validated is obeyed as if it named all.
                "no-cache" => directives.no_cache = true,
                "no-store" => directives.no_store = true,
                "public" => directives.is_public = true,
                _ => {}
            }
        }
        directives
    }
}

/// Splits a list at the commas that are not in quotes.
fn split_list(list: &str) -> Vec<&str> {
    let mut is_quoted = false;
    list.split(|letter| {
        is_quoted ^= letter == '"';
        letter == ',' && !is_quoted
    })
    .map(str::trim)
    .collect()
}

fn has_word(list: &str, word: &str) -> bool {
    list.split(',').any(|given| given.trim().eq_ignore_ascii_case(word))
}

/// Parses a number of seconds. One that is too large is as large as one can be.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(SECONDS_MAX).min(SECONDS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noon of a day, in seconds from 1970.
    const NOON: u64 = 1_764_331_200;

    fn headers(lines: &str) -> Headers {
        Headers::parse(format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n").as_bytes())
    }

    fn date(seconds: u64) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// Decides on a response with these header lines that came at noon, so many seconds later.
    fn later(seconds: u64, response: &str, request: &str) -> Use {
        let response = headers(response);
        let stored = Stored { status: 200, headers: &response, asked: NOON, came: NOON };
        use_of(&stored, &headers(request), NOON + seconds)
    }

    fn is_fresh(seconds: u64, response: &str) -> bool {
        later(seconds, response, "") == Use::Fresh
    }

    #[test]
    fn a_response_is_fresh_for_as_long_as_it_says() {
        for (response, fresh, stale) in [
            ("Cache-Control: max-age=60", 59, 60),
            ("CACHE-CONTROL: public,  MAX-AGE=\"60\"", 59, 60),
            ("Cache-Control: max-age=60, max-age=90", 59, 60),
            ("Cache-Control: max-age=90\r\nCache-Control: max-age=60", 59, 60),
            // A cache of one user has nothing to do with what is for shared ones.
            ("Cache-Control: max-age=60, s-maxage=1", 59, 60),
            ("Cache-Control: private, max-age=60", 59, 60),
            ("Cache-Control: x=\"a, max-age=1\", max-age=60", 59, 60),
            ("Cache-Control: max-age=60\r\nAge: 50", 9, 10),
            ("Cache-Control: max-age=60\r\nAge: none", 59, 60),
            ("Cache-Control: max-age=99999999999999999999", 1 << 30, 1 << 31),
            (&format!("Date: {}\r\nExpires: {}", date(NOON), date(NOON + 60)), 59, 60),
            // The clock of the server is an hour late, and what it says is a difference.
            (&format!("Date: {}\r\nExpires: {}", date(NOON + 3600), date(NOON + 3660)), 59, 60),
            (&format!("Date: {}\r\nCache-Control: max-age=60", date(NOON - 50)), 9, 10),
            (&format!("Expires: {}\r\nCache-Control: max-age=60", date(NOON - 9)), 59, 60),
            // The tenth part of its age, if nothing is said.
            (&format!("Last-Modified: {}", date(NOON - 1000)), 99, 100),
            (&format!("Last-Modified: {}", date(NOON - 100 * 86_400)), 86_399, 86_400),
        ] {
            assert!(is_fresh(fresh, response), "{response} after {fresh} s");
            assert!(!is_fresh(stale, response), "{response} after {stale} s");
        }
    }

    #[test]
    fn what_says_that_it_is_not_fresh_is_not() {
        for response in [
            "Cache-Control: no-cache, max-age=60",
            "Cache-Control: no-cache=\"Set-Cookie\", max-age=60",
            "Cache-Control: max-age=x",
            "Cache-Control: max-age=-1",
            "Cache-Control: max-age=60\r\nAge: 60",
            "Expires: 0",
            "Expires: -1",
            &format!("Expires: {}", date(NOON - 1)),
            &format!("Expires: {}\r\nExpires: {}", date(NOON + 60), date(NOON + 60)),
            "ETag: \"x\"",
            "X: y",
        ] {
            assert!(!is_fresh(0, response), "{response}");
        }
    }

    #[test]
    fn a_request_may_ask_for_more_than_a_fresh_response() {
        let stored = "Cache-Control: max-age=60\r\nETag: \"x\"";
        let validated = Use::Validated("If-None-Match: \"x\"\r\n".to_owned());
        for (request, expected) in [
            ("Cache-Control: max-age=30", Use::Fresh),
            ("Cache-Control: max-age=5", validated.clone()),
            ("Cache-Control: min-fresh=20", Use::Fresh),
            ("Cache-Control: min-fresh=50", validated.clone()),
            ("Cache-Control: no-cache", validated.clone()),
            ("Pragma: no-cache", validated.clone()),
            ("Cache-Control: max-age=30\r\nPragma: no-cache", Use::Fresh),
            ("Cache-Control: no-store", Use::Never),
        ] {
            assert_eq!(later(10, stored, request), expected, "{request}");
        }
    }

    #[test]
    fn a_stale_response_is_validated_by_all_that_it_has() {
        let modified = date(NOON - 9);
        let stored =
            format!("Cache-Control: max-age=1\r\nETag: W/\"x\"\r\nLast-Modified: {modified}");
        let lines = format!("If-None-Match: W/\"x\"\r\nIf-Modified-Since: {modified}\r\n");
        assert_eq!(later(9, &stored, ""), Use::Validated(lines));
        assert_eq!(later(9, "Cache-Control: max-age=1", ""), Use::Never);
    }

    #[test]
    fn what_may_not_be_stored_or_is_of_no_use_is_not() {
        let may = |status, response: &str| may_store(status, &headers(""), &headers(response));
        for (status, response) in [
            (200, "Cache-Control: max-age=1"),
            (200, "Cache-Control: private, max-age=1"),
            (200, "ETag: \"x\""),
            (404, "Last-Modified: x"),
            (500, "Cache-Control: max-age=1"),
            (302, "Expires: 0\r\nETag: x"),
            (599, "Cache-Control: public\r\nETag: x"),
            (200, "Vary: Accept\r\nETag: x"),
        ] {
            assert!(may(status, response), "{status} {response}");
        }
        for (status, response) in [
            (200, "X: y"),
            (200, "Cache-Control: no-store, max-age=1"),
            (200, "Cache-Control: max-age=1\r\nCache-Control: No-Store"),
            (200, "Vary: *\r\nCache-Control: max-age=1"),
            (200, "Vary: Accept, *\r\nCache-Control: max-age=1"),
            (206, "Cache-Control: max-age=1"),
            (304, "Cache-Control: max-age=1"),
            (500, "ETag: x"),
            (302, "ETag: x"),
        ] {
            assert!(!may(status, response), "{status} {response}");
        }
        let no_store = headers("Cache-Control: no-store");
        assert!(!may_store(200, &no_store, &headers("Cache-Control: max-age=1")));
    }

    #[test]
    fn a_304_updates_what_it_says_and_nothing_else() {
        let head = b"HTTP/1.1 200 OK\r\nETag: \"1\"\r\nX: old\r\n folded\r\nContent-Length: 5\r\n\
                     Content-Type: text/html\r\nY: kept\r\n\r\n";
        let news = b"HTTP/1.1 304 Not Modified\r\nx: new\r\nX: newer\r\nContent-Length: 0\r\n\
                     Cache-Control: max-age=9\r\n\r\n";
        let updated = updated(head, news);
        assert_eq!(
            String::from_utf8(updated).unwrap(),
            "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 5\r\nContent-Type: text/html\r\n\
             Y: kept\r\nx: new\r\nx: newer\r\ncache-control: max-age=9\r\n\r\n"
        );
    }

    #[test]
    fn requests_that_get_the_same_response_are_of_one_variant() {
        let variant = |request: &str| variant("Accept, x-mine,ACCEPT", &headers(request));
        assert_eq!(variant("Accept: a,  b\r\nOther: 1"), variant("accept: a,b\r\nOther: 2"));
        assert_eq!(variant("Accept: a\r\nAccept: b"), variant("accept: a,b"));
        assert_ne!(variant("Accept: a"), variant("Accept: b"));
        assert_ne!(variant("Accept: a"), variant("Accept: a\r\nX-Mine: 1"));
        assert_ne!(variant("Accept: a"), variant("Accept: a\r\nAuthorization: x"));
    }
}
