//! One exchange as it is recorded: what was sent, the head that came, and the body as far as it was
//! read, before it is decoded.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use ring::digest::Context;
use url::Url;

use crate::archive::record::{sha1, target_uri};
use crate::archive::spool::Spool;
use crate::net::fault::Fault;
use crate::net::http::Framing;
use crate::row::FailureKind;

/// What is put before the names of headers that are no longer true of a stored response.
const KEPT_NAME: &str = "X-Crawler-";

/// Why a body is not complete (WARC 1.1, section 5.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truncated {
    /// A bound cut it.
    Length,
    Time,
    Disconnect,
    Unspecified,
}

impl Truncated {
    /// Returns how a body ends whose reading failed.
    pub(crate) fn by(fault: &Fault) -> Truncated {
        match fault.failure.kind {
            FailureKind::Timeout => Truncated::Time,
            _ if fault.is_transient => Truncated::Disconnect,
            _ => Truncated::Unspecified,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Truncated::Length => "length",
            Truncated::Time => "time",
            Truncated::Disconnect => "disconnect",
            Truncated::Unspecified => "unspecified",
        }
    }
}

/// One exchange that is being recorded.
pub(crate) struct Tape {
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) asked: SystemTime,
    pub(super) answered: SystemTime,
    /// The address of the server; `None` when a proxy hides it.
    pub(super) address: Option<IpAddr>,
    /// Whether the server is in a private network; `None` when a proxy hides it.
    pub(super) is_private: Option<bool>,
    pub(super) request: Vec<u8>,
    pub(super) data: Option<Arc<[u8]>>,
    pub(super) status: u16,
    pub(super) head: Vec<u8>,
    pub(super) body: Spool,
    /// The digests of the body, and of the head with the body.
    pub(super) payload: Context,
    pub(super) block: Context,
    folder: Arc<Path>,
    /// Why the body could not be kept.
    pub(super) failure: Option<io::Error>,
}

/// What was sent, and the head of the response to it.
#[derive(Debug)]
pub(crate) struct Heads<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a Url,
    pub(crate) asked: SystemTime,
    pub(crate) address: Option<IpAddr>,
    pub(crate) is_private: Option<bool>,
    pub(crate) request: &'a [u8],
    pub(crate) data: Option<&'a Arc<[u8]>>,
    pub(crate) status: u16,
    pub(crate) response: &'a [u8],
    pub(crate) framing: Framing,
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape").field("uri", &self.uri).field("body", &self.body.length()).finish()
    }
}

impl Tape {
    /// Begins to record an exchange. A long body is kept in `folder` meanwhile.
    pub(crate) fn new(heads: &Heads<'_>, folder: &Arc<Path>) -> Tape {
        let head = stored_head(heads.response, heads.framing);
        let mut block = sha1();
        block.update(&head);
        Tape {
            method: heads.method.to_owned(),
            uri: target_uri(heads.url),
            asked: heads.asked,
            answered: SystemTime::now(),
            address: heads.address,
            is_private: heads.is_private,
            request: heads.request.to_vec(),
            data: heads.data.cloned(),
            status: heads.status,
            head,
            body: Spool::new(),
            payload: sha1(),
            block,
            folder: Arc::clone(folder),
            failure: None,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.payload.update(bytes);
        self.block.update(bytes);
        if self.failure.is_none() {
            self.failure = self.body.push(bytes, &self.folder).err();
        }
    }
}

/// A reader that records what is taken from another.
#[derive(Debug)]
pub(crate) struct Recorded<'a, R> {
    pub(crate) from: R,
    pub(crate) tape: Option<&'a mut Tape>,
}

impl<R: BufRead> BufRead for Recorded<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.from.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Some(tape) = self.tape.as_deref_mut().filter(|_| amount > 0) {
            // What is taken was looked at before, and is still there.
            if let Ok(bytes) = self.from.fill_buf() {
                tape.push(&bytes[..amount.min(bytes.len())]);
            }
        }
        self.from.consume(amount);
    }
}

impl<R: BufRead> Read for Recorded<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}

/// Returns the head as it is stored. A body that came in chunks is stored without them, so that all
/// programs agree on its digest; then the headers that said how it came have another name.
fn stored_head(head: &[u8], framing: Framing) -> Vec<u8> {
    if framing != Framing::Chunked {
        return head.to_vec();
    }
    let mut stored = Vec::with_capacity(head.len() + KEPT_NAME.len());
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default().trim_ascii();
        if [&b"transfer-encoding"[..], b"content-length"]
            .iter()
            .any(|other| name.eq_ignore_ascii_case(other))
        {
            stored.extend_from_slice(KEPT_NAME.as_bytes());
            stored.extend_from_slice(line.trim_ascii_start());
        } else {
            stored.extend_from_slice(line);
        }
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_stored_as_it_came_but_for_the_chunks() {
        let head = b"HTTP/1.1 200 OK\r\nServer: x\r\ntransfer-encoding: chunked\r\nA: b\r\n\r\n";
        assert_eq!(stored_head(head, Framing::ToEnd), head);
        assert_eq!(
            String::from_utf8(stored_head(head, Framing::Chunked)).unwrap(),
            "HTTP/1.1 200 OK\r\nServer: x\r\nX-Crawler-transfer-encoding: chunked\r\nA: b\r\n\r\n"
        );
    }

    #[test]
    fn all_that_is_taken_is_recorded() {
        let url = Url::parse("http://a.test/").unwrap();
        let heads = Heads {
            method: "GET",
            url: &url,
            asked: SystemTime::now(),
            address: None,
            is_private: None,
            request: b"GET / HTTP/1.1\r\n\r\n",
            data: None,
            status: 200,
            response: b"HTTP/1.1 200 OK\r\n\r\n",
            framing: Framing::ToEnd,
        };
        let mut tape = Tape::new(&heads, &Arc::from(Path::new("/nowhere")));
        let body = b"some bytes of a body, and more of them";
        let mut reader =
            Recorded { from: io::BufReader::with_capacity(7, &body[..]), tape: Some(&mut tape) };

        let mut read = [0; 11];
        reader.read_exact(&mut read).unwrap();
        reader.consume(0);
        io::copy(&mut reader.take(9), &mut io::sink()).unwrap();

        let mut recorded = Vec::new();
        tape.body.copy_to(&mut recorded).unwrap();
        assert_eq!(recorded, body[..20]);
    }
}
