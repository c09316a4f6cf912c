//! Where the bytes of a response come from: a connection, or an archive.

use std::io::{self, Read};

use crate::archive::cache::Hit;
use crate::archive::replay::Replay;
use crate::archive::stored::{Stored, StoredBody, begins_with_chunk};
use crate::error::io_error_in_words;
use crate::fetch::job::RedirectChain;
use crate::net::connection::Connection;
use crate::net::fault::Fault;
use crate::net::http::{Framing, Head, Malformed, ResponseTo};
use crate::net::read_buffer::ReadBuffer;
use crate::net::trace::Trace;
use crate::options::Method;
use crate::row::{FailureKind, Phase};

/// Where the bytes of a response come from.
#[derive(Debug)]
pub(super) enum Source {
    Connection(Connection),
    Archive {
        body: Box<StoredBody>,
        /// Whether a server on the Internet sent it.
        is_public: bool,
    },
}

impl Source {
    /// Tells whether the other end may be on the Internet.
    pub(super) fn is_public(&self) -> bool {
        match self {
            Source::Connection(connection) => connection.is_private != Some(true),
            Source::Archive { is_public, .. } => *is_public,
        }
    }

    /// Tells whether the body was cut when it was stored.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self, Source::Archive { body, .. } if body.is_cut)
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Connection(connection) => connection.read(into),
            Source::Archive { body, .. } => body.read(into),
        }
    }
}

/// Returns the method that a response answers, as far as its body is concerned.
pub(super) fn response_to(method: &Method) -> ResponseTo {
    match method {
        Method::Head => ResponseTo::Head,
        _ => ResponseTo::Get,
    }
}

/// Answers a request from the archives.
pub(super) fn replayed(
    read_buffer: &mut ReadBuffer,
    trace: &mut Trace,
    replay: &Replay,
    chain: &RedirectChain,
) -> Result<(Head, Source), Fault> {
    *trace = Trace::begin();
    trace.enter(Phase::Response);
    let answer = replay.find(chain.method.as_str(), &chain.url, chain.data.as_deref());
    let Some(answer) = answer.map_err(|error| unreadable(&error))? else {
        let why = format!("nothing is archived for {} {}", chain.method.as_str(), chain.url);
        return Err(Fault::permanent(FailureKind::Archive, Phase::Request, why));
    };
    let to = response_to(&chain.method);
    // No connection is made, so none can be led astray.
    let mut read = |stored| read_head(read_buffer, trace, stored, to, false);
    let head = answer.head.map(&mut read).transpose()?;
    let (own, source) = read(answer.body)?;
    Ok(match head {
        Some((head, _)) => (Head { framing: own.framing, ..head }, source),
        None => (own, source),
    })
}

/// Answers a request from the cache, with a head that may have been updated. `came` is the head
/// with which the server has just said that the response is valid.
pub(super) fn cached(
    read_buffer: &mut ReadBuffer,
    trace: &mut Trace,
    hit: Hit,
    head: &[u8],
    came: Option<Head>,
) -> Result<(Head, Source), Fault> {
    if came.is_none() {
        *trace = Trace::begin();
        trace.enter(Phase::Response);
    }
    let (own, source) = read_head(read_buffer, trace, hit.stored, ResponseTo::Get, hit.is_public)?;
    let framing = own.framing;
    let updated = Head::parse(head, ResponseTo::Get).ok().flatten().map(|(head, _)| head);
    // Cookies were set when the response came.
    let set_cookies = came.map(|head| head.set_cookies).unwrap_or_default();
    Ok((Head { framing, set_cookies, ..updated.unwrap_or(own) }, source))
}

/// Reads the head of a stored response.
fn read_head(
    read_buffer: &mut ReadBuffer,
    trace: &mut Trace,
    stored: Stored,
    to: ResponseTo,
    is_public: bool,
) -> Result<(Head, Source), Fault> {
    let mut body = stored.into_body();
    read_buffer.clear();
    let head = read_buffer.read_head(&mut body, to, |_| trace.received());
    let mut head = head.map_err(|error| unreadable(&error))?;
    // The record says where the body ends.
    head.framing = match head.framing {
        Framing::Empty => Framing::Empty,
        Framing::Chunked => {
            let start = read_buffer.peek(&mut body).map_err(|error| unreadable(&error))?;
            if begins_with_chunk(start) { Framing::Chunked } else { Framing::ToEnd }
        }
        Framing::Length(_) | Framing::ToEnd => Framing::ToEnd,
    };
    Ok((head, Source::Archive { body: Box::new(body), is_public }))
}

/// Returns the fault of an archive that cannot be read, or of a stored response that is no HTTP.
fn unreadable(error: &io::Error) -> Fault {
    let why = io_error_in_words(error);
    match error.get_ref().is_some_and(|cause| cause.is::<Malformed>()) {
        true => Fault::permanent(FailureKind::Protocol, Phase::Response, why),
        false => {
            let why = format!("failed to read the archive: {why}");
            Fault::permanent(FailureKind::Archive, Phase::Response, why)
        }
    }
}
