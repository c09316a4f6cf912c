//! The input of a run: one [`Input`] for every row.

pub(crate) mod url_list;

use url::Url;

use crate::row::{Failure, FailureKind, Phase};

/// The most bytes of a URL: servers rarely accept more than 8 KiB.
pub(crate) const URL_BYTES_MAX: usize = 16 * 1024;
/// The most bytes of a line that is no URL, as its row shows it.
pub(crate) const SHOWN_BYTES_MAX: usize = 64 * 1024;
const TOO_LONG: &str = "the line is too long to be an address";

/// One URL to fetch, as it was given; or the information that there is none yet.
///
/// ```
/// use silkmill_scrape::Input;
///
/// let inputs = ["http://example.com/", "no URL"].map(Input::url);
/// # let _ = inputs;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Url(String),
    Unusable { shown: String, why: &'static str },
    Waiting,
    Answered,
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
    pub fn line(line: &[u8]) -> Option<Input> {
        let line = line.trim_ascii();
        (!line.is_empty() && !line.starts_with(b"#")).then(|| Input::from_bytes(line))
    }

    /// Makes an input that means "nothing yet". A source that would have to wait returns it now and
    /// then, and is called again when the rows that are ready have been handed on. It gets no row.
    pub fn waiting() -> Input {
        Input(Kind::Waiting)
    }

    /// Makes the input for a URL that has its row already, from an earlier run: it keeps its place
    /// among the others, and gets no row.
    pub fn answered() -> Input {
        Input(Kind::Answered)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.0 == Kind::Waiting
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.0 == Kind::Answered
    }

    fn from_bytes(bytes: &[u8]) -> Input {
        let why = match std::str::from_utf8(bytes) {
            _ if bytes.len() > URL_BYTES_MAX => TOO_LONG,
            Err(_) => "the line is not UTF-8",
            Ok(_) if bytes.contains(&0) => "the line has a NUL byte in it",
            Ok(text) => return Input(Kind::Url(text.to_owned())),
        };
        Input(Kind::Unusable { shown: shown(bytes), why })
    }

    /// Returns what the row shows as its URL: the line, or the start of an endless one. Empty for
    /// an input that gets no row.
    pub fn shown(&self) -> &str {
        match &self.0 {
            Kind::Url(shown) | Kind::Unusable { shown, .. } => shown,
            Kind::Waiting | Kind::Answered => "",
        }
    }

    /// Takes what the row shows, when the input is no longer needed.
    pub(crate) fn take_shown(&mut self) -> String {
        match &mut self.0 {
            Kind::Url(shown) | Kind::Unusable { shown, .. } => std::mem::take(shown),
            Kind::Waiting | Kind::Answered => String::new(),
        }
    }

    /// Returns the URL, if it can be fetched.
    pub(crate) fn parse(&self) -> Result<Url, Failure> {
        let refuse = |why: String| Failure::new(FailureKind::Url, Phase::Input, why);
        match &self.0 {
            Kind::Url(text) => match Url::parse(text) {
                Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                    Err(refuse(format!("only http and https are known, not {:?}", url.scheme())))
                }
                // A character that is not ASCII takes more bytes in a URL.
                Ok(url) if url.as_str().len() > URL_BYTES_MAX => Err(refuse(TOO_LONG.to_owned())),
                Ok(url) => Ok(url),
                Err(url::ParseError::RelativeUrlWithoutBase) => {
                    Err(refuse("it does not begin with http:// or https://".to_owned()))
                }
                Err(error) => Err(refuse(error.to_string())),
            },
            Kind::Unusable { why, .. } => Err(refuse((*why).to_owned())),
            Kind::Waiting | Kind::Answered => Err(refuse("there is no line".to_owned())),
        }
    }
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
        assert_eq!(input.parse().unwrap().as_str(), "http://example.com/a?b#c");
    }

    #[test]
    fn every_sort_of_junk_is_refused_in_words() {
        let long = vec![b'a'; URL_BYTES_MAX + 1];
        let long_when_encoded = format!("http://a/{}", "é".repeat(URL_BYTES_MAX / 3));
        for (line, word) in [
            (&b"example.com"[..], "http://"),
            (b"ftp://example.com/", "ftp"),
            (b"http://", "host"),
            (b"http://a b/", "domain"),
            (b"http://example.com:99999/", "port"),
            (b"http://\xff/", "UTF-8"),
            (b"http://a\0b/", "NUL"),
            (&long, "too long"),
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
