//! The row: the outcome of one line of the input. Sinks write rows down.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::crawl::found::Crawled;
use crate::page::value::Value;

/// The outcome of one line of the input, whatever happened: a response, or why there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The line's place among those that give rows, from 0.
    pub index: u64,
    /// The URL as it was given. A line that is no text, or is too long, is shown in part.
    pub url: String,
    /// The text that the input carried: see [`Input::carrying`](crate::Input::carrying).
    pub carried: Option<Box<str>>,
    /// The URL that was requested last, after all redirects. `None` when the line is no URL.
    pub final_url: Option<String>,
    /// The status of the last response. It is set even when the body failed to come.
    pub status: Option<u16>,
    /// The title of the page, if titles were wanted and it has one.
    pub title: Option<String>,
    /// Every field that was wanted, in that order, with all its values.
    pub fields: Vec<(String, Vec<Value>)>,
    /// The name of the page's encoding, in lower case: as the page was read, or, when it was not
    /// read, as the `Content-Type` header has it.
    pub charset: Option<String>,
    /// The length of the body in bytes, after decompression; of a body that was cut, the length
    /// that was read.
    pub bytes: u64,
    /// Whether a bound cut the body, the tree of the page, or its values.
    pub truncated: bool,
    /// How often the URL was tried; 0 when the line is no URL, or its host was given up.
    pub attempts: u32,
    /// The URLs that the last attempt was redirected to, in order.
    pub redirects: Vec<String>,
    /// The time from the start of the first attempt to the row, with all waiting between attempts.
    pub elapsed: Duration,
    /// How the last request spent its time.
    pub timing: Timing,
    /// The name of the thread that made the row. All its rows share it.
    pub worker: Arc<str>,
    /// Why there is no response, or only a part of one, or not every field of it.
    pub error: Option<Failure>,
    /// What a crawl knows of the page; `None` in a row of a list.
    pub crawled: Option<Box<Crawled>>,
}

impl Row {
    /// Makes the row of an input that was not requested, and is taken back.
    pub(crate) fn given_back(index: u64) -> Row {
        let crawled = Crawled { is_given_back: true, ..Crawled::default() };
        Row { index, crawled: Some(Box::new(crawled)), ..Row::default() }
    }
}

/// How one request, the last one of the row, spent its time. `None` is a step that did not happen
/// (a connection used again needs no connect) or cannot be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// The time to look up the host.
    pub dns: Option<Duration>,
    /// The time to open a TCP connection to one of its IP addresses.
    pub connect: Option<Duration>,
    /// The time to agree on TLS.
    pub tls: Option<Duration>,
    /// The time from the start of the request, its connection included, to the first byte of the
    /// response.
    pub first_byte: Option<Duration>,
    /// The time from the start of the request to the end of the body.
    pub total: Option<Duration>,
}

/// Why there is no response, or only a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// What the fetcher was doing.
    pub phase: Phase,
    /// The message, in lower case and without a full stop.
    pub message: String,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, phase: Phase, message: impl Into<String>) -> Failure {
        Failure { kind, phase, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

/// The kinds of failure. Their names are part of the output, and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The host has no IP address, or none could be found.
    Dns,
    /// No connection could be made.
    Connect,
    /// The server's certificate or its TLS was refused.
    Tls,
    /// A step took too long.
    Timeout,
    /// The response is not HTTP, or breaks its rules; or this program made a mistake.
    Protocol,
    /// Too many redirects, or one that leads nowhere.
    Redirects,
    /// The URL leads to a host that must not be reached.
    Blocked,
    /// The host was given up, since it had failed too many rows one after the other.
    Host,
    /// The host's robots.txt forbids the request, or cannot be fetched.
    Robots,
    /// The line is no URL that can be fetched.
    Url,
    /// The response came, but its body did not, or could not be read.
    Body,
    /// The archive that answers the run has no response, or cannot be read.
    Archive,
}

impl FailureKind {
    /// Every kind there is.
    pub const ALL: [FailureKind; 12] = [
        FailureKind::Dns,
        FailureKind::Connect,
        FailureKind::Tls,
        FailureKind::Timeout,
        FailureKind::Protocol,
        FailureKind::Redirects,
        FailureKind::Blocked,
        FailureKind::Host,
        FailureKind::Robots,
        FailureKind::Url,
        FailureKind::Body,
        FailureKind::Archive,
    ];

    /// Returns the kind that has this name in the output.
    pub fn of_name(name: &str) -> Option<FailureKind> {
        FailureKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the name in the output.
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::Dns => "dns",
            FailureKind::Connect => "connect",
            FailureKind::Tls => "tls",
            FailureKind::Timeout => "timeout",
            FailureKind::Protocol => "protocol",
            FailureKind::Redirects => "redirects",
            FailureKind::Blocked => "blocked",
            FailureKind::Host => "host",
            FailureKind::Robots => "robots",
            FailureKind::Url => "url",
            FailureKind::Body => "body",
            FailureKind::Archive => "archive",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the fetcher was doing when it failed. The names are part of the output, and stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// It read the line.
    Input,
    /// It looked up the host.
    #[default]
    Resolve,
    /// It opened a connection.
    Connect,
    /// It agreed on TLS.
    Tls,
    /// It sent the request.
    Request,
    /// It waited for the response and read its head.
    Response,
    /// It read the body.
    Body,
    /// It looked for the fields in the page.
    Extract,
    /// It worked on its own data; a failure here is a mistake in this program.
    Internal,
}

impl Phase {
    /// Every phase there is.
    pub const ALL: [Phase; 9] = [
        Phase::Input,
        Phase::Resolve,
        Phase::Connect,
        Phase::Tls,
        Phase::Request,
        Phase::Response,
        Phase::Body,
        Phase::Extract,
        Phase::Internal,
    ];

    /// Returns the phase that has this name in the output.
    pub fn of_name(name: &str) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| phase.name() == name)
    }

    /// Returns the name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Input => "input",
            Phase::Resolve => "resolve",
            Phase::Connect => "connect",
            Phase::Tls => "tls",
            Phase::Request => "request",
            Phase::Response => "response",
            Phase::Body => "body",
            Phase::Extract => "extract",
            Phase::Internal => "internal",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
