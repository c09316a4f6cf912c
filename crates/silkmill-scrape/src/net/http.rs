//! HTTP/1.1 as it stands on the wire (RFC 9112): the head of a response, and how its body will end.
//! Bytes in, values out. [`body`] reads the body; sockets are [`crate::net::connection`]'s,
//! requests `fetch::request`'s.

pub(crate) mod body;
mod status_line;

use std::error::Error as StdError;
use std::fmt;
use std::io;

/// The most bytes of the head of a response: as many as browsers take.
pub(crate) const HEAD_BYTES_MAX: usize = 256 * 1024;
/// The most header lines of a head.
const HEADERS_MAX: usize = 1000;
/// The header lines that most heads do not exceed. The room for them is taken on the stack for
/// every response, on every thread.
const HEADERS_FEW: usize = 32;

/// The head of a response. Of the headers only those that are acted on are kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    /// Whether the connection may be used again once the body has ended.
    pub(crate) keep_alive: bool,
    /// A reference to a URL, in ASCII. Bytes that are not are percent-encoded.
    pub(crate) location: Option<String>,
    /// Several headers are one list, as are those of `content_encoding`.
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) refresh: Option<String>,
    /// The `Link` headers, as one list.
    pub(crate) link: Option<String>,
    /// Each `X-Robots-Tag` header by itself.
    pub(crate) robots_tags: Vec<String>,
    /// As they came, since their bytes go back to the server.
    pub(crate) set_cookies: Vec<Vec<u8>>,
}

/// Where the body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    #[default]
    Empty,
    Length(u64),
    Chunked,
    /// The body ends with the connection.
    ToEnd,
}

/// The method that a response answers. One to `HEAD` has no body, whatever its headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseTo {
    Get,
    Head,
}

/// Why a response is not HTTP.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

impl StdError for Malformed {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, malformed)
    }
}

fn malformed<T>(why: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(why.into()))
}

impl Head {
    /// Parses the head at the start of `bytes`, and returns it with its length. `None` means that
    /// it has not come completely.
    pub(crate) fn parse(bytes: &[u8], to: ResponseTo) -> Result<Option<(Head, usize)>, Malformed> {
        match Head::parse_strictly(bytes, to) {
            Err(HeadError::StatusLine(why)) => match status_line::rewritten(bytes) {
                Some((plain, longer)) => {
                    let parsed = Head::parse_strictly(&plain, to).map_err(HeadError::malformed)?;
                    Ok(parsed.map(|(head, length)| (head, length.saturating_add_signed(-longer))))
                }
                None => Err(why),
            },
            parsed => parsed.map_err(HeadError::malformed),
        }
    }

    /// Does the same for a head whose status line is as the standard has it.
    fn parse_strictly(bytes: &[u8], to: ResponseTo) -> Result<Option<(Head, usize)>, HeadError> {
        let mut few = [httparse::EMPTY_HEADER; HEADERS_FEW];
        match Head::parse_into(&mut few, bytes, to) {
            Err(HeadError::TooManyHeaders) => {
                let mut many = vec![httparse::EMPTY_HEADER; HEADERS_MAX];
                Head::parse_into(&mut many, bytes, to)
            }
            parsed => parsed,
        }
    }

    /// Does the same, with room for as many headers as `headers` has places.
    fn parse_into<'a>(
        headers: &mut [httparse::Header<'a>],
        bytes: &'a [u8],
        to: ResponseTo,
    ) -> Result<Option<(Head, usize)>, HeadError> {
        let malformed = |why: String| Err(HeadError::Malformed(Malformed(why)));
        let too_long =
            || malformed(format!("the head of the response is longer than {HEAD_BYTES_MAX} bytes"));
        let mut response = httparse::Response::new(headers);
        let mut config = httparse::ParserConfig::default();
        // Servers that write `Name : value`, or a folded line, are old and not hostile.
        config
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_space_before_first_header_name(true)
            .ignore_invalid_headers_in_responses(true);
        let length = match config.parse_response(&mut response, bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() >= HEAD_BYTES_MAX => return too_long(),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyHeaders),
            Err(error) => {
                let why = Malformed(format!("the head of the response is not HTTP: {error}"));
                return Err(match error {
                    httparse::Error::Version | httparse::Error::Status | httparse::Error::Token => {
                        HeadError::StatusLine(why)
                    }
                    _ => HeadError::Malformed(why),
                });
            }
        };
        if length > HEAD_BYTES_MAX {
            return too_long();
        }
        let status = response.code.unwrap_or_default();
        let version_1_1 = response.version == Some(1);
        Head::from_headers(status, version_1_1, response.headers, to)
            .map(|head| Some((head, length)))
            .map_err(HeadError::Malformed)
    }

    fn from_headers(
        status: u16,
        version_1_1: bool,
        headers: &[httparse::Header<'_>],
        to: ResponseTo,
    ) -> Result<Head, Malformed> {
        let mut head = Head { status, keep_alive: version_1_1, ..Head::default() };
        let mut length = None;
        let mut chunked = None;
        for header in headers {
            let value = header.value;
            let named = |name: &str| header.name.eq_ignore_ascii_case(name);
            match header.name.len() {
                8 if named("location") => {
                    head.location.get_or_insert_with(|| url_reference(value));
                }
                12 if named("content-type") => add(&mut head.content_type, value),
                16 if named("content-encoding") => add(&mut head.content_encoding, value),
                11 if named("retry-after") => set(&mut head.retry_after, value),
                7 if named("refresh") => {
                    head.refresh.get_or_insert_with(|| url_reference(value));
                }
                4 if named("link") => add(&mut head.link, value),
                12 if named("x-robots-tag") => head.robots_tags.push(text(value)),
                10 if named("set-cookie") => head.set_cookies.push(value.to_vec()),
                10 if named("connection") => head.keep_alive = keeps_alive(value, head.keep_alive),
                14 if named("content-length") => length = Some(content_length(value, length)?),
                17 if named("transfer-encoding") => chunked = Some(is_chunked(value, chunked)?),
                _ => {}
            }
        }
        head.framing = match (chunked, length) {
            _ if to == ResponseTo::Head || matches!(status, 100..200 | 204 | 304) => Framing::Empty,
            (Some(true), length) => {
                // A server that sends both may have been tricked into it. The body is the chunks,
                // and bytes after it are not trusted.
                head.keep_alive &= length.is_none();
                Framing::Chunked
            }
            (Some(false), _) | (None, None) => Framing::ToEnd,
            (None, Some(0)) => Framing::Empty,
            (None, Some(length)) => Framing::Length(length),
        };
        head.keep_alive &= head.framing != Framing::ToEnd;
        Ok(head)
    }
}

/// Why a head was not parsed.
enum HeadError {
    /// There are more headers than places.
    TooManyHeaders,
    /// The first line is not as the standard has it.
    StatusLine(Malformed),
    Malformed(Malformed),
}

impl HeadError {
    /// Returns the error for a caller that has no more room to give.
    fn malformed(self) -> Malformed {
        match self {
            HeadError::TooManyHeaders => {
                Malformed(format!("the response has more than {HEADERS_MAX} headers"))
            }
            HeadError::StatusLine(why) | HeadError::Malformed(why) => why,
        }
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Returns the value of a `Location` or `Refresh`, with every byte that is not ASCII
/// percent-encoded: no byte says which encoding it is in, and the server gets back what it sent.
fn url_reference(value: &[u8]) -> String {
    let mut reference = String::with_capacity(value.len());
    for &byte in value.trim_ascii() {
        match byte.is_ascii() {
            true => reference.push(char::from(byte)),
            false => reference.push_str(&format!("%{byte:02X}")),
        }
    }
    reference
}

/// Keeps the first of several headers of a name.
fn set(field: &mut Option<String>, value: &[u8]) {
    field.get_or_insert_with(|| text(value));
}

/// Joins several headers of a name into one list.
fn add(field: &mut Option<String>, value: &[u8]) {
    match field {
        Some(list) => {
            list.push_str(", ");
            list.push_str(&text(value));
        }
        None => *field = Some(text(value)),
    }
}

fn keeps_alive(value: &[u8], otherwise: bool) -> bool {
    let mut words = value.split(|&byte| byte == b',').map(|word| word.trim_ascii());
    match words.next() {
        _ if value.is_empty() => otherwise,
        Some(first) => {
            let mut all = std::iter::once(first).chain(words);
            let has = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            match all.find(|word| has(word, "close") || has(word, "keep-alive")) {
                Some(word) => has(word, "keep-alive"),
                None => otherwise,
            }
        }
        None => otherwise,
    }
}

/// Returns the length that a header names. Several lengths must be the same (RFC 9112, section
/// 6.3).
fn content_length(value: &[u8], before: Option<u64>) -> Result<u64, Malformed> {
    let mut length = before;
    for word in value.split(|&byte| byte == b',') {
        let word = word.trim_ascii();
        let number = match word.iter().all(u8::is_ascii_digit) {
            true => std::str::from_utf8(word).ok().and_then(|digits| digits.parse().ok()),
            false => None,
        };
        match (number, length) {
            (None, _) => return malformed(format!("a content length of {:?}", text(value))),
            (Some(number), Some(length)) if number != length => {
                return malformed("two content lengths that differ");
            }
            (number, _) => length = number,
        }
    }
    length.ok_or_else(|| Malformed("no content length where there should be one".to_owned()))
}

/// Tells whether the body comes in chunks. No other coding is requested or known.
fn is_chunked(value: &[u8], before: Option<bool>) -> Result<bool, Malformed> {
    let mut chunked = before.unwrap_or(false);
    for word in value.split(|&byte| byte == b',').map(|word| word.trim_ascii()) {
        match word {
            // A proxy that adds the name a second time does not cut the body a second time. Other
            // clients read it so, too.
            _ if word.eq_ignore_ascii_case(b"chunked") => chunked = true,
            b"" => {}
            _ if word.eq_ignore_ascii_case(b"identity") => {}
            _ => return malformed(format!("a transfer encoding of {:?}", text(value))),
        }
    }
    Ok(chunked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Head, Malformed> {
        Head::parse(text.as_bytes(), ResponseTo::Get).map(|head| head.unwrap().0)
    }

    fn framing(headers: &str) -> Result<(Framing, bool), Malformed> {
        head(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n"))
            .map(|head| (head.framing, head.keep_alive))
    }

    #[test]
    fn the_headers_that_matter_are_kept() {
        let text = "HTTP/1.1 302 Found\r\nLOCATION: /a\r\nContent-Type:text/html\r\nretry-after: 7\r\n\
                    Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Encoding: gzip\r\nX: y\r\n\
                    Content-Length: 5\r\n\r\nhello";
        let (head, length) = Head::parse(text.as_bytes(), ResponseTo::Get).unwrap().unwrap();

        assert_eq!((head.status, length), (302, text.len() - 5));
        assert_eq!(head.location.as_deref(), Some("/a"));
        assert_eq!(head.content_type.as_deref(), Some("text/html"));
        assert_eq!(head.retry_after.as_deref(), Some("7"));
        assert_eq!(head.content_encoding.as_deref(), Some("gzip"));
        assert_eq!(head.set_cookies, [b"a=1", b"b=2"]);
        assert_eq!((head.framing, head.keep_alive), (Framing::Length(5), true));
    }

    #[test]
    fn a_head_that_has_not_come_wholly_is_waited_for_to_a_bound() {
        let text = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(Head::parse(&text[..end], ResponseTo::Get), Ok(None), "{end}");
        }
        let endless = [&text[..17], &b"A: b\r\n".repeat(50_000)].concat();
        assert!(Head::parse(&endless, ResponseTo::Get).is_err());
        let one_line = [&text[..17], &b"A".repeat(HEAD_BYTES_MAX)].concat();
        assert!(Head::parse(&one_line, ResponseTo::Get).is_err());
    }

    #[test]
    fn a_head_may_have_many_lines_to_a_bound() {
        let lines =
            |count: usize| head(&format!("HTTP/1.1 204 x\r\n{}\r\n", "A: b\r\n".repeat(count)));

        for count in [0, HEADERS_FEW, HEADERS_FEW + 1, HEADERS_MAX] {
            assert_eq!(lines(count).unwrap().status, 204, "{count}");
        }
        assert_eq!(
            lines(HEADERS_MAX + 1).unwrap_err().0,
            "the response has more than 1000 headers"
        );
        let long = format!("HTTP/1.1 204 x\r\nA: {}\r\n\r\n", "b".repeat(HEAD_BYTES_MAX - 30));
        assert_eq!(head(&long).unwrap().status, 204);
    }

    #[test]
    fn where_the_body_ends_is_said_in_many_ways() {
        for (headers, expected) in [
            ("Content-Length: 5\r\n", (Framing::Length(5), true)),
            ("Content-Length: 0\r\n", (Framing::Empty, true)),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", (Framing::Length(5), true)),
            ("Content-Length: 5, 5\r\n", (Framing::Length(5), true)),
            ("Content-Length: 5\r\nConnection: close\r\n", (Framing::Length(5), false)),
            ("Content-Length: 5\r\nConnection: x, Close\r\n", (Framing::Length(5), false)),
            ("Transfer-Encoding: chunked\r\n", (Framing::Chunked, true)),
            ("Transfer-Encoding: identity, Chunked\r\n", (Framing::Chunked, true)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", (Framing::Chunked, false)),
            ("Transfer-Encoding: identity\r\n", (Framing::ToEnd, false)),
            ("Transfer-Encoding: chunked, chunked\r\n", (Framing::Chunked, true)),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: Chunked\r\n",
                (Framing::Chunked, true),
            ),
            ("", (Framing::ToEnd, false)),
        ] {
            assert_eq!(framing(headers), Ok(expected), "{headers:?}");
        }
    }

    #[test]
    fn a_body_whose_end_is_in_doubt_is_refused() {
        for headers in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 5x\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
        ] {
            assert!(framing(headers).is_err(), "{headers:?}");
        }
    }

    #[test]
    fn some_responses_have_no_body_whatever_they_say() {
        for status in [100, 204, 304] {
            let head = head(&format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n")).unwrap();
            assert_eq!((head.framing, head.keep_alive), (Framing::Empty, true), "{status}");
        }
        let (to_head, _) =
            Head::parse(b"HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\n", ResponseTo::Head)
                .unwrap()
                .unwrap();
        assert_eq!(to_head.framing, Framing::Empty);
    }

    #[test]
    fn a_location_keeps_the_bytes_that_are_no_text() {
        let text = b"HTTP/1.1 302 x\r\nLocation: /caf\xe9?q=\xc3\xa9 \r\nLocation: /b\r\n\r\n";
        let (head, _) = Head::parse(text, ResponseTo::Get).unwrap().unwrap();

        assert_eq!(head.location.as_deref(), Some("/caf%E9?q=%C3%A9"));
    }

    #[test]
    fn status_lines_are_read_as_browsers_read_them() {
        for (line, keep_alive) in [
            ("HTTP/1.1 200 OK", true),
            ("HTTP/1.1  200 OK", true),
            ("HTTP/1.1\t200", true),
            ("HTTP/1.1 200OK", true),
            ("HTTP/1.1 200 caf\u{e9}\u{1}", true),
            ("HTTP/2 200", true),
            ("HTTP/2.0   200 OK", true),
            ("http/1.1 200 OK", true),
            ("HTTP/1.10 200", true),
            ("HTTP/1.0  200 OK", false),
            ("HTTP/0.9 200", false),
            ("HTTP 200 OK", false),
            ("\r\nHTTP/2 200", true),
        ] {
            for end in ["\r\n", "\n"] {
                let text = format!("{line}{end}Content-Length: 5{end}{end}hello");
                let parsed = Head::parse(text.as_bytes(), ResponseTo::Get);
                let (head, length) = parsed.unwrap().unwrap();
                assert_eq!((head.status, head.keep_alive), (200, keep_alive), "{text:?}");
                assert_eq!((head.framing, &text[length..]), (Framing::Length(5), "hello"));
            }
        }
        for line in ["HTTP/1.1 OK", "HTTP/1.1 20", "HTTP/1.1 2000", "HTTP/x 200", "HTTPS/1.1 200"] {
            let text = format!("{line}\r\n\r\n");
            assert!(Head::parse(text.as_bytes(), ResponseTo::Get).is_err(), "{line}");
        }
    }

    #[test]
    fn the_old_version_closes_unless_it_says_otherwise() {
        let old = |headers| head(&format!("HTTP/1.0 200 OK\r\n{headers}\r\n")).unwrap().keep_alive;

        assert!(!old("Content-Length: 5\r\n"));
        assert!(old("Content-Length: 5\r\nConnection: Keep-Alive\r\n"));
        assert!(!old("Connection: keep-alive\r\n"));
    }
}
