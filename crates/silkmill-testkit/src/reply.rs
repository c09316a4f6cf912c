//! What the server answers, well or badly, and how it is written. The sockets are in `server`.

use std::io::{self, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::stop::Stop;

/// The pause between two bytes of a dripping answer.
const DRIP: Duration = Duration::from_secs(1);
/// The size of the pieces in which endless answers are written: large, so that they cost the tests
/// little.
const PIECE_BYTES: usize = 128 * 1024;

/// One answer: a status with headers and a body, or one of the ways to misbehave.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes before the head.
    before: Vec<u8>,
    delay: Duration,
    behaviour: Behaviour,
    tls_ending: TlsEnding,
}

/// The way in which the answer is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// The whole body with its true length; the connection stays open.
    Plain,
    /// Nothing, for as long as the server lives.
    Silence,
    /// The head at once, then one byte of the body a second.
    DripBody,
    /// One byte of the head a second.
    DripHead,
    /// The body again and again, without a length.
    EndlessBody,
    /// One header after another.
    EndlessHeaders,
    /// A length that exceeds the body by this many bytes, then the end of the connection.
    Short(usize),
    /// A chunk whose size is no number.
    BadChunk,
    /// The answer, up to half of its body, then a reset (RST). With an empty body, the reset alone.
    Reset,
    /// Half of the answer, then the end of the connection.
    Half,
    /// The body's bytes alone, with no HTTP around them, then the end of the connection.
    Raw,
}

/// The end of a connection over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsEnding {
    /// With a `close_notify`.
    CloseNotify,
    /// Without a `close_notify`.
    Missing,
    /// With a reset.
    Reset,
    /// With bytes that are no TLS, and without a `close_notify`.
    Garbage,
}

/// The fate of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    KeepAlive,
    Close,
}

impl Reply {
    fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        let delay = Duration::ZERO;
        let (behaviour, tls_ending) = (Behaviour::Plain, TlsEnding::CloseNotify);
        let (body, before) = (body.into(), Vec::new());
        Reply { status, headers, body, before, delay, behaviour, tls_ending }
    }

    /// Answers 200 with a page. No charset is declared, unless by [`Reply::header`] or the page.
    pub fn html(body: impl Into<Vec<u8>>) -> Reply {
        Reply::new(200, "text/html", body)
    }

    /// Answers this status with an empty body.
    pub fn status(status: u16) -> Reply {
        Reply::new(status, "text/plain", "")
    }

    /// Answers 302 to `location`, which may be relative.
    pub fn redirect(location: &str) -> Reply {
        Reply::status(302).header("Location", location)
    }

    /// Answers 200 with a page in gzip.
    pub fn gzip(body: &[u8]) -> Reply {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).expect("a vector takes every byte");
        let body = encoder.finish().expect("a vector takes every byte");
        Reply::html(body).header("Content-Encoding", "gzip")
    }

    /// Reads the request and never answers.
    pub fn silence() -> Reply {
        Reply::status(200).behaviour(Behaviour::Silence)
    }

    /// Sends the head, then `body` at one byte a second.
    pub fn drip_body(body: impl Into<Vec<u8>>) -> Reply {
        Reply::html(body).behaviour(Behaviour::DripBody)
    }

    /// Sends the head at one byte a second.
    pub fn drip_head() -> Reply {
        Reply::status(200).behaviour(Behaviour::DripHead)
    }

    /// Repeats `piece` for as long as the client reads.
    pub fn endless_body(piece: impl Into<Vec<u8>>) -> Reply {
        Reply::html(piece).behaviour(Behaviour::EndlessBody)
    }

    /// Sends header after header for as long as the client reads.
    pub fn endless_headers() -> Reply {
        Reply::status(200).behaviour(Behaviour::EndlessHeaders)
    }

    /// Announces `missing` bytes more than it sends.
    pub fn short(body: impl Into<Vec<u8>>, missing: usize) -> Reply {
        Reply::html(body).behaviour(Behaviour::Short(missing))
    }

    /// Sends `body` as one good chunk, then a chunk whose size is no number.
    pub fn bad_chunk(body: impl Into<Vec<u8>>) -> Reply {
        Reply::html(body).behaviour(Behaviour::BadChunk)
    }

    /// Resets the connection: before any answer when `body` is empty, else in the middle of it.
    pub fn reset(body: impl Into<Vec<u8>>) -> Reply {
        Reply { tls_ending: TlsEnding::Reset, ..Reply::html(body).behaviour(Behaviour::Reset) }
    }

    /// Sends half of the body, then bytes that are no TLS record. Without TLS those are never sent.
    pub fn broken_record(body: impl Into<Vec<u8>>) -> Reply {
        Reply { tls_ending: TlsEnding::Garbage, ..Reply::html(body).behaviour(Behaviour::Half) }
    }

    /// Sends these bytes and nothing else, be they HTTP or not.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Reply {
        Reply::html(bytes).behaviour(Behaviour::Raw)
    }

    /// Writes these bytes before the head, in one piece with it.
    #[must_use]
    pub fn before(mut self, bytes: impl Into<Vec<u8>>) -> Reply {
        self.before = bytes.into();
        self
    }

    /// Waits this long before the first byte of the answer.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Reply {
        self.delay = delay;
        self
    }

    /// Over TLS, sends no `close_notify` where the answer closes the connection.
    #[must_use]
    pub fn without_close_notify(mut self) -> Reply {
        self.tls_ending = TlsEnding::Missing;
        self
    }

    /// Replaces the status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Reply {
        self.status = status;
        self
    }

    /// Sets a header, which replaces one of the same name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn behaviour(mut self, behaviour: Behaviour) -> Reply {
        self.behaviour = behaviour;
        self
    }

    /// Returns whether the connection must be closed with the request still unread, which makes it
    /// a reset.
    pub(crate) fn is_reset(&self) -> bool {
        self.behaviour == Behaviour::Reset
    }

    pub(crate) fn tls_ending(&self) -> TlsEnding {
        self.tls_ending
    }

    /// Sends the answer. An error means that the client has left, which is its right.
    pub(crate) fn send(
        &self,
        to: &mut impl Write,
        head_only: bool,
        stop: &Stop,
    ) -> io::Result<After> {
        if !stop.wait(self.delay) {
            return Ok(After::Close);
        }
        match self.behaviour {
            Behaviour::Plain => self.send_plain(to, head_only),
            Behaviour::Silence => {
                stop.wait_until_stopped();
                Ok(After::Close)
            }
            Behaviour::DripHead => drip(to, &self.head(Some(0)), stop),
            Behaviour::DripBody => {
                to.write_all(&self.head(Some(self.body.len())))?;
                drip(to, &self.body, stop)
            }
            Behaviour::EndlessBody => endless(to, &self.head(None), &self.body, stop),
            Behaviour::EndlessHeaders => {
                let status = format!("HTTP/1.1 {} Status\r\n", self.status);
                endless(to, status.as_bytes(), b"X-More: and more and more\r\n", stop)
            }
            Behaviour::Short(missing) => {
                to.write_all(&self.head(Some(self.body.len() + missing)))?;
                close_after(to, &self.body)
            }
            Behaviour::BadChunk => close_after(to, &self.bad_chunks()),
            Behaviour::Reset if self.body.is_empty() => Ok(After::Close),
            Behaviour::Reset | Behaviour::Half => {
                to.write_all(&self.head(Some(self.body.len())))?;
                close_after(to, &self.body[..self.body.len() / 2])
            }
            Behaviour::Raw => close_after(to, &self.body),
        }
    }

    fn send_plain(&self, to: &mut impl Write, head_only: bool) -> io::Result<After> {
        let mut bytes = self.head(Some(self.body.len()));
        if !head_only {
            bytes.extend_from_slice(&self.body);
        }
        to.write_all(&bytes)?;
        Ok(After::KeepAlive)
    }

    /// Returns the head. Without a length, the body ends with the connection.
    fn head(&self, length: Option<usize>) -> Vec<u8> {
        let mut bytes = self.before.clone();
        let mut head = format!("HTTP/1.1 {} Status\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match length {
            Some(length) => head.push_str(&format!("Content-Length: {length}\r\n\r\n")),
            None => head.push_str("Connection: close\r\n\r\n"),
        }
        bytes.extend_from_slice(head.as_bytes());
        bytes
    }

    fn bad_chunks(&self) -> Vec<u8> {
        let mut bytes = b"HTTP/1.1 200 Status\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        bytes.extend_from_slice(format!("{:x}\r\n", self.body.len()).as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes.extend_from_slice(b"\r\nno number\r\n");
        bytes
    }
}

fn close_after(to: &mut impl Write, bytes: &[u8]) -> io::Result<After> {
    to.write_all(bytes)?;
    Ok(After::Close)
}

fn drip(to: &mut impl Write, bytes: &[u8], stop: &Stop) -> io::Result<After> {
    for byte in bytes {
        to.write_all(&[*byte])?;
        if !stop.wait(DRIP) {
            break;
        }
    }
    Ok(After::Close)
}

fn endless(to: &mut impl Write, head: &[u8], piece: &[u8], stop: &Stop) -> io::Result<After> {
    let many = piece.repeat(PIECE_BYTES.div_ceil(piece.len().max(1)));
    to.write_all(head)?;
    while !stop.is_stopped() {
        to.write_all(&many)?;
    }
    Ok(After::Close)
}
