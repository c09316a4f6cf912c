//! What became of one line of the input: the row. Who writes rows down is not known here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::page::value::Value;

/// What became of one line of the input, whatever happened: a response, or why there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The line's place among those that give rows, from 0.
    pub index: u64,
    /// The address as it was given. A line that is no text, or is too long, is shown in part.
    pub url: String,
    /// The address asked last, after all redirects. `None` when the line is no address.
    pub final_url: Option<String>,
    /// The status of the last response. Also set when its body failed to come.
    pub status: Option<u16>,
    /// The title of the page, if titles were asked for and it has one.
    pub title: Option<String>,
    /// Every field that was asked for, in that order, with all its values.
    pub fields: Vec<(String, Vec<Value>)>,
    /// The name of the page's encoding, in lower case: as the page was read, or, when it was not
    /// read, as the `Content-Type` header has it.
    pub charset: Option<String>,
    /// The length of the body in bytes, after decompression; what was read of it when it was cut.
    pub bytes: u64,
    /// Whether the body is longer than what was read, or the page more than was looked at.
    pub truncated: bool,
    /// How often the address was tried; 0 when the line is no address.
    pub attempts: u32,
    /// The addresses the last attempt was redirected to, in order.
    pub redirects: Vec<String>,
    /// From the start of the first attempt to the row, with all waiting between attempts.
    pub elapsed: Duration,
    /// Where the time of the last request went.
    pub timing: Timing,
    /// The name of the thread that made the row, which its rows share.
    pub worker: Arc<str>,
    /// Why there is no response, or no whole one, or not every field of it.
    pub error: Option<Failure>,
}

impl Row {
    /// The row of an input that cannot be asked for.
    pub(crate) fn refused(index: u64, shown: &str, error: Failure) -> Row {
        Row { index, url: shown.to_owned(), error: Some(error), ..Row::default() }
    }

    /// The row of an input that met a mistake of ours.
    pub(crate) fn failed(index: u64, shown: &str, why: String) -> Row {
        Row::refused(index, shown, Failure::new(FailureKind::Protocol, Phase::Internal, why))
    }
}

/// Where the time of one request went, the last one of the row. `None` is what did not happen (a
/// connection used again needs no connect) or cannot be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// To find the host's addresses.
    pub dns: Option<Duration>,
    /// To open a TCP connection to one of them.
    pub connect: Option<Duration>,
    /// To agree on TLS.
    pub tls: Option<Duration>,
    /// From the start of the request, its connection included, to the first byte of the response.
    pub first_byte: Option<Duration>,
    /// From the start of the request to the end of the body.
    pub total: Option<Duration>,
}

/// Why there is no response, or no whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The sort of failure.
    pub kind: FailureKind,
    /// What was being done.
    pub phase: Phase,
    /// What went wrong, in lower case and without a full stop.
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

/// The sorts of failure. Their names are part of the output, and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The host has no address, or none could be found.
    Dns,
    /// No connection came about.
    Connect,
    /// The server's certificate or its TLS was refused.
    Tls,
    /// It took too long.
    Timeout,
    /// What came is not HTTP, or breaks its rules; or we broke ours.
    Protocol,
    /// Too many redirects, or one that leads nowhere.
    Redirects,
    /// The address is one that must not be asked.
    Blocked,
    /// The host's robots.txt forbids it, or cannot be had.
    Robots,
    /// The line is no address that can be asked.
    Url,
    /// The response came, its body did not, or could not be read.
    Body,
}

impl FailureKind {
    /// The name in the output.
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::Dns => "dns",
            FailureKind::Connect => "connect",
            FailureKind::Tls => "tls",
            FailureKind::Timeout => "timeout",
            FailureKind::Protocol => "protocol",
            FailureKind::Redirects => "redirects",
            FailureKind::Blocked => "blocked",
            FailureKind::Robots => "robots",
            FailureKind::Url => "url",
            FailureKind::Body => "body",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was being done when it failed. The names are part of the output, and stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// To read the line.
    Input,
    /// To find the host's addresses.
    #[default]
    Resolve,
    /// To open a connection.
    Connect,
    /// To agree on TLS.
    Tls,
    /// To send the request.
    Request,
    /// To wait for the response and read its head.
    Response,
    /// To read the body.
    Body,
    /// To find the fields in the page.
    Extract,
    /// Our own work; a failure here is a mistake in this program.
    Internal,
}

impl Phase {
    /// The name in the output.
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
