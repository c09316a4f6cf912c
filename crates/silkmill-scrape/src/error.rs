//! Why options are refused, or a run cannot start. The failure of one URL is in its row.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;

use silkmill::BuildError;

/// Why a run could not be started.
#[derive(Debug)]
pub struct Error(Box<ErrorKind>);

#[derive(Debug)]
pub(crate) enum ErrorKind {
    Header(String),
    HeaderNotOurs(String),
    UserAgent(String),
    Method(String),
    Data(usize),
    Proxy(String, String),
    Certificates(PathBuf, String),
    /// The number of a line, from 1.
    CookieLine(usize),
    TooManyCookies(usize),
    /// The job of a crawl that many share, what was tried, and why it failed.
    #[cfg(feature = "postgres")]
    Fleet(String, &'static str, String),
    /// The address of a database, and why it is none.
    #[cfg(feature = "postgres")]
    FleetAddress(String, String),
    Workers(BuildError),
    /// The job of a crawl, what was tried, and why it failed.
    Job(PathBuf, &'static str, String),
    /// A URL that a crawl begins with, and why it cannot.
    Seed(String, String),
    NoSeed,
    /// A sitemap whose pages were to be a list, and why it cannot be read.
    Sitemap(String, String),
    Pattern(String, String),
    Date(String),
    Save(PathBuf, String),
    /// An archive, what was tried, and why it failed.
    Archive(PathBuf, &'static str, String),
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Error {
        Error(Box::new(kind))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            ErrorKind::Header(line) => {
                write!(f, "failed to read header {line:?}: it must look like \"Name: value\"")
            }
            ErrorKind::HeaderNotOurs(name) => {
                write!(f, "failed to set header {name:?}: it belongs to the connection")
            }
            ErrorKind::UserAgent(value) => {
                write!(f, "failed to set the user agent to {value:?}: a header cannot hold it")
            }
            ErrorKind::Method(name) => {
                write!(f, "failed to use the method {name:?}: a method is a word, and not CONNECT")
            }
            ErrorKind::Data(max) => {
                write!(f, "failed to send the data: it is longer than {max} bytes")
            }
            ErrorKind::Archive(path, what, why) => {
                write!(f, "failed to {what} the archive {path:?}: {why}")
            }
            ErrorKind::Save(path, why) => write!(f, "failed to make the folder {path:?}: {why}"),
            ErrorKind::Proxy(proxy, why) => write!(f, "failed to read proxy {proxy:?}: {why}"),
            ErrorKind::Certificates(path, why) => {
                write!(f, "failed to read certificates from {path:?}: {why}")
            }
            ErrorKind::CookieLine(line) => {
                write!(f, "failed to read line {line} as a cookie: it must have seven columns")
            }
            ErrorKind::TooManyCookies(max) => {
                write!(f, "failed to keep the cookies: there are more than {max}")
            }
            ErrorKind::Job(path, what, why) => {
                write!(f, "failed to {what} the crawl's job {path:?}: {why}")
            }
            ErrorKind::Seed(url, why) => write!(f, "failed to begin a crawl at {url:?}: {why}"),
            ErrorKind::Sitemap(url, why) => {
                write!(f, "failed to read the sitemap {url:?}: {why}")
            }
            ErrorKind::NoSeed => f.write_str("failed to begin a crawl: no URL was given"),
            ErrorKind::Pattern(pattern, why) => {
                write!(f, "failed to read the pattern {pattern:?}: {why}")
            }
            ErrorKind::Date(date) => {
                write!(f, "failed to read the date {date:?}: it must look like 2026-11-28")
            }
            #[cfg(feature = "postgres")]
            ErrorKind::Fleet(job, what, why) => {
                write!(f, "failed to {what} the crawl's {job}: {why}")
            }
            #[cfg(feature = "postgres")]
            ErrorKind::FleetAddress(url, why) => {
                write!(f, "failed to read the address {url:?} of a database: {why}")
            }
            ErrorKind::Workers(_) => f.write_str("failed to start the workers"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            ErrorKind::Workers(error) => Some(error),
            _ => None,
        }
    }
}

/// Returns the message of an I/O error as this crate words its own: no capital, no errno.
///
/// ```
/// use std::io;
/// use silkmill_scrape::io_error_in_words;
///
/// let error = io::Error::from_raw_os_error(2);
/// assert_eq!(io_error_in_words(&error), "no such file or directory");
/// ```
pub fn io_error_in_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut rest = text.chars();
    match (rest.next(), rest.as_str()) {
        // A word in capitals (TLS, DNS) stays as it is.
        (Some(first), more) if !more.starts_with(|next: char| next.is_uppercase()) => {
            first.to_lowercase().chain(more.chars()).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_is_put_in_our_words() {
        assert_eq!(io_error_in_words(&io::Error::from_raw_os_error(111)), "connection refused");
        assert_eq!(io_error_in_words(&io::Error::other("TLS is off")), "TLS is off");
    }
}
