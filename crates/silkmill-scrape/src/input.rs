//! The input of a run: one [`Input`] for every row.

mod bare_host;
pub(crate) mod csv_list;
mod decode;
pub(crate) mod json_list;
pub(crate) mod lease;
pub(crate) mod shard;
pub(crate) mod ticket;
pub(crate) mod url_list;

use url::Url;

use crate::input::ticket::Ticket;
use crate::row::{Failure, FailureKind, Phase, Row};

/// The most bytes of a URL: servers rarely accept more than 8 KiB.
pub(crate) const URL_BYTES_MAX: usize = 16 * 1024;
/// The most bytes of a line that is no URL, as its row shows it.
pub(crate) const SHOWN_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of a record with more columns than the URL's.
pub(crate) const RECORD_BYTES_MAX: usize = 256 * 1024;
const TOO_LONG: &str = "the line is too long to be an address";

/// What an input leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) url: Url,
    /// The URL that is requested when there is no HTTPS at the first one, if the input named no
    /// scheme.
    pub(crate) by_http: Option<Url>,
}

/// One URL to fetch, as it was given; or the information that there is none yet.
///
/// ```
/// use silkmill_scrape::Input;
///
/// let inputs = ["http://example.com/", "no URL"].map(Input::url);
/// # let _ = inputs;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    kind: Kind,
    carried: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Url(String),
    Unusable { shown: String, why: String },
    Waiting,
    AfterRows,
    Withdrawal(String),
    Answered,
    Page(Box<Ticket>),
}

impl Input {
    /// Makes the input for one URL. It is parsed when its turn comes: a text that is no URL gets a
    /// row that says so.
    pub fn url(text: impl AsRef<str>) -> Input {
        Input::from_bytes(text.as_ref().as_bytes())
    }

    /// Makes the input for a line of a list, without its line end. Returns `None` for a blank line,
    /// and for one that starts with `#`; every other line gets a row, even one that is not UTF-8 or
    /// is too long.
    ///
    /// The URL is the first of the line's columns, which tabs separate; or the second, when the
    /// first is what the text form of a row begins with: a status or `ERR`.
    ///
    /// ```
    /// use silkmill_scrape::Input;
    ///
    /// for line in ["http://a.example/", "http://a.example/\tA title", "404\thttp://a.example/"] {
    ///     assert_eq!(Input::line(line.as_bytes()), Some(Input::url("http://a.example/")));
    /// }
    /// assert_eq!(Input::line(b"# a comment"), None);
    /// ```
    pub fn line(line: &[u8]) -> Option<Input> {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return None;
        }
        let mut columns = line.split(|&byte| byte == b'\t').map(<[u8]>::trim_ascii);
        let first = columns.next().unwrap_or_default();
        let second = columns.next().filter(|second| !second.is_empty() && is_outcome(first));
        Some(Input::from_bytes(second.unwrap_or(first)))
    }

    /// Makes an input that means "nothing before more rows have been handed on": the rows decide
    /// what comes next, or whether anything does.
    pub(crate) fn after_rows() -> Input {
        Input::of(Kind::AfterRows)
    }

    /// Makes an input that takes back those of a host that were not begun. They have rows that say
    /// so.
    pub(crate) fn withdraw(host: String) -> Input {
        Input::of(Kind::Withdrawal(host))
    }

    /// Returns the host whose inputs are taken back.
    pub(crate) fn withdrawal(&self) -> Option<&str> {
        match &self.kind {
            Kind::Withdrawal(host) => Some(host),
            _ => None,
        }
    }

    /// Makes the input for a page of a crawl.
    pub(crate) fn page(ticket: Ticket) -> Input {
        Input::of(Kind::Page(Box::new(ticket)))
    }

    /// Makes the same input for a URL that no user has named, but a server on the Internet: it may
    /// not lead to a private address.
    ///
    /// ```
    /// use silkmill_scrape::Input;
    ///
    /// let input = Input::url("http://a.example/").named_by_public_server();
    /// assert_eq!(input.shown(), "http://a.example/");
    /// ```
    pub fn named_by_public_server(mut self) -> Input {
        if let Kind::Url(url) = self.kind {
            self.kind = Kind::Page(Box::new(Ticket::to(url, true)));
        }
        self
    }

    /// Tells whether [`Input::named_by_public_server`] made the input.
    pub fn is_named_by_public_server(&self) -> bool {
        self.ticket().is_some_and(|ticket| ticket.from_public_network)
    }

    /// Returns what a crawl says of the page, if the input is of one.
    pub(crate) fn ticket(&self) -> Option<&Ticket> {
        match &self.kind {
            Kind::Page(ticket) => Some(ticket),
            _ => None,
        }
    }

    /// Makes an input that means "nothing yet". A source that would have to wait returns it now and
    /// then, and is called again when the rows that are ready have been handed on. It gets no row.
    pub fn waiting() -> Input {
        Input::of(Kind::Waiting)
    }

    /// Makes the input for a URL that has its row already, from an earlier run: it keeps its place
    /// among the others, and gets no row.
    pub fn answered() -> Input {
        Input::of(Kind::Answered)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.kind == Kind::Waiting
    }

    pub(crate) fn is_after_rows(&self) -> bool {
        self.kind == Kind::AfterRows
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.kind == Kind::Answered
    }

    fn from_bytes(bytes: &[u8]) -> Input {
        let why = match std::str::from_utf8(bytes) {
            _ if bytes.len() > URL_BYTES_MAX => TOO_LONG,
            Err(_) => "the line is not UTF-8",
            Ok(_) if bytes.contains(&0) => "the line has a NUL byte in it",
            Ok(text) => return Input::of(Kind::Url(text.to_owned())),
        };
        Input::unusable(bytes, why.to_owned())
    }

    /// Makes the input for a line that names no URL.
    fn unusable(bytes: &[u8], why: String) -> Input {
        Input::of(Kind::Unusable { shown: shown(bytes), why })
    }

    fn of(kind: Kind) -> Input {
        Input { kind, carried: None }
    }

    /// Lets the input carry a text to its row, which is not looked at on the way: for instance the
    /// other columns of its line, as a JSON object.
    ///
    /// ```
    /// use silkmill_scrape::Input;
    ///
    /// let input = Input::url("http://a.example/").carrying(r#"{"id":7}"#);
    /// assert_eq!(input.carried(), Some(r#"{"id":7}"#));
    /// ```
    pub fn carrying(mut self, text: impl Into<Box<str>>) -> Input {
        self.carried = Some(text.into());
        self
    }

    /// Returns the text that the input carries to its row.
    pub fn carried(&self) -> Option<&str> {
        self.carried.as_deref()
    }

    /// Takes the text that the input carries, when the input is no longer needed.
    pub(crate) fn take_carried(&mut self) -> Option<Box<str>> {
        self.carried.take()
    }

    /// Returns what the row shows as its URL: the line, or the start of an endless one. Empty for
    /// an input that gets no row.
    pub fn shown(&self) -> &str {
        match &self.kind {
            Kind::Url(shown) | Kind::Unusable { shown, .. } => shown,
            Kind::Page(ticket) => &ticket.url,
            Kind::Waiting | Kind::AfterRows | Kind::Withdrawal(_) | Kind::Answered => "",
        }
    }

    /// Takes what the row shows, when the input is no longer needed.
    pub(crate) fn take_shown(&mut self) -> String {
        match &mut self.kind {
            Kind::Url(shown) | Kind::Unusable { shown, .. } => std::mem::take(shown),
            Kind::Page(ticket) => std::mem::take(&mut ticket.url),
            Kind::Waiting | Kind::AfterRows | Kind::Withdrawal(_) | Kind::Answered => String::new(),
        }
    }

    /// Makes the row of an input that cannot be requested, when the input is no longer needed.
    pub(crate) fn refused(&mut self, index: u64, error: Failure) -> Row {
        let (url, carried) = (self.take_shown(), self.take_carried());
        Row { index, url, carried, error: Some(error), ..Row::default() }
    }

    /// Makes the row of an input that met a mistake of this program.
    pub(crate) fn failed(&mut self, index: u64, why: String) -> Row {
        self.refused(index, Failure::new(FailureKind::Protocol, Phase::Internal, why))
    }

    /// Returns the URL, if it can be fetched.
    pub(crate) fn parse(&self) -> Result<Target, Failure> {
        let refuse = |why: String| Failure::new(FailureKind::Url, Phase::Input, why);
        let text = match &self.kind {
            Kind::Url(text) => text,
            Kind::Page(ticket) => &ticket.url,
            Kind::Unusable { why, .. } => return Err(refuse(why.clone())),
            Kind::Waiting | Kind::AfterRows | Kind::Withdrawal(_) | Kind::Answered => {
                return Err(refuse("there is no line".to_owned()));
            }
        };
        let target = match bare_host::urls(text) {
            Some((url, by_http)) => Target { url, by_http: Some(by_http) },
            None => Target { url: parse_url(text).map_err(refuse)?, by_http: None },
        };
        // A character that is not ASCII takes more bytes in a URL.
        match target.url.as_str().len() > URL_BYTES_MAX {
            true => Err(refuse(TOO_LONG.to_owned())),
            false => Ok(target),
        }
    }
}

/// Parses a URL with a scheme, or says why it is none.
fn parse_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            Err(format!("only http and https are known, not {:?}", url.scheme()))
        }
        Ok(url) => Ok(url),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            Err("it does not begin with http:// or https://".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Tells whether a column is the first one of a row as text: a status, `ERR`, or both.
fn is_outcome(column: &[u8]) -> bool {
    let status = match column.strip_prefix(b"ERR") {
        Some(b"") => return true,
        Some(rest) => rest.strip_prefix(b" ").unwrap_or_default(),
        None => column,
    };
    status.len() == 3 && status.iter().all(u8::is_ascii_digit)
}

/// Tells whether a column of this name has the URLs.
fn is_url_column(name: &str, wanted: Option<&str>) -> bool {
    wanted.map_or_else(|| name.eq_ignore_ascii_case("url"), |wanted| name == wanted)
}

/// Returns the start of a line, as text.
fn shown(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let mut text = String::from_utf8_lossy(start).into_owned();
    if start.len() < bytes.len() {
        // The cut may have split a character.
        while text.ends_with(char::REPLACEMENT_CHARACTER) {
            text.pop();
        }
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(input: &Input) -> String {
        let failure = input.parse().unwrap_err();
        assert_eq!((failure.kind, failure.phase), (FailureKind::Url, Phase::Input));
        failure.message
    }

    #[test]
    fn blank_lines_and_comments_are_no_input() {
        for line in [&b""[..], b"  \t", b"# http://example.com/", b"  #", b"\r"] {
            assert_eq!(Input::line(line), None);
        }
    }

    #[test]
    fn an_address_is_trimmed_and_parsed() {
        let input = Input::line(b" http://example.com/a?b#c \r").unwrap();

        assert_eq!(input.shown(), "http://example.com/a?b#c");
        assert_eq!(input.parse().unwrap().url.as_str(), "http://example.com/a?b#c");
    }

    #[test]
    fn an_address_ends_at_a_tab() {
        for (line, shown) in [
            ("http://a/\tA title", "http://a/"),
            (" http://a/ \t\tx", "http://a/"),
            ("\thttp://a/\t", "http://a/"),
            ("http://a/b c\td", "http://a/b c"),
            ("200\thttp://a/\tA title", "http://a/"),
            ("ERR\thttp://a/\tdns: no such host", "http://a/"),
            ("ERR 503\thttp://a/\tbody: cut", "http://a/"),
            ("200\t", "200"),
            ("2000\thttp://a/", "2000"),
            ("ERR x\thttp://a/", "ERR x"),
            ("example.com\tA title", "example.com"),
        ] {
            assert_eq!(Input::line(line.as_bytes()).unwrap().shown(), shown, "{line:?}");
        }
    }

    #[test]
    fn a_host_without_a_scheme_is_tried_both_ways() {
        let target = Input::url("example.com/a").parse().unwrap();

        assert_eq!(target.url.as_str(), "https://example.com/a");
        assert_eq!(target.by_http.unwrap().as_str(), "http://example.com/a");
        assert_eq!(Input::url("http://example.com").parse().unwrap().by_http, None);
    }

    #[test]
    fn every_sort_of_junk_is_refused_in_words() {
        let long = vec![b'a'; URL_BYTES_MAX + 1];
        let long_name = format!("a.example/{}", "é".repeat(URL_BYTES_MAX / 3));
        let long_when_encoded = format!("http://a/{}", "é".repeat(URL_BYTES_MAX / 3));
        for (line, word) in [
            (&b"nowhere"[..], "http://"),
            (b"ftp://example.com/", "ftp"),
            (b"http://", "host"),
            (b"http://a b/", "domain"),
            (b"http://example.com:99999/", "port"),
            (b"http://\xff/", "UTF-8"),
            (b"http://a\0b/", "NUL"),
            (&long, "too long"),
            (long_name.as_bytes(), "too long"),
            (long_when_encoded.as_bytes(), "too long"),
        ] {
            let input = Input::line(line).unwrap();
            assert!(why(&input).contains(word), "{line:?}: {}", why(&input));
        }
    }

    #[test]
    fn a_long_line_is_shown_whole_and_an_endless_one_in_part() {
        let whole = "é".repeat(SHOWN_BYTES_MAX / 2);

        let long = Input::line(whole.as_bytes()).unwrap();
        assert_eq!((long.shown(), why(&long).as_str()), (whole.as_str(), TOO_LONG));
        let endless = Input::line(&whole.repeat(2).into_bytes()).unwrap();
        assert_eq!(endless.shown(), format!("{whole}…"));
    }
}
