//! The bytes that have come over a connection and were not read yet, and the head of a response
//! found in them.

use std::fmt;
use std::io::{self, BufRead, Read};

use crate::net::http::{HEAD_BYTES_MAX, Head, Malformed, ResponseTo};

/// The size of the buffer. It grows for a head that does not fit, to the most that a head may have.
const BUFFER_BYTES: usize = 64 * 1024;

/// The bytes that have come over a connection and were not read yet. It belongs to the client,
/// which uses it for one connection after the other: an idle connection needs none.
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The bytes of the last head, if they are kept.
    head: Option<Vec<u8>>,
}

impl ReadBuffer {
    pub(crate) fn new() -> ReadBuffer {
        ReadBuffer { bytes: vec![0; BUFFER_BYTES], start: 0, end: 0, head: None }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Keeps the bytes of every head that is read from now on.
    pub(crate) fn keep_heads(&mut self) {
        self.head = Some(Vec::new());
    }

    /// Returns the bytes of the last head, if they are kept.
    pub(crate) fn head(&self) -> &[u8] {
        self.head.as_deref().unwrap_or_default()
    }

    /// Returns the bytes that come next, of which there are none at the end.
    pub(crate) fn peek(&mut self, from: &mut impl Read) -> io::Result<&[u8]> {
        if self.is_empty() {
            self.fill(from)?;
        }
        Ok(self.unread())
    }

    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
        if self.bytes.len() > BUFFER_BYTES {
            self.bytes.truncate(BUFFER_BYTES);
            self.bytes.shrink_to_fit();
        }
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Reads more bytes behind those that are there. Returns how many.
    fn fill(&mut self, from: &mut impl Read) -> io::Result<usize> {
        if self.is_empty() {
            self.clear();
        } else if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.bytes.len() {
                let bytes = (2 * self.bytes.len()).min(HEAD_BYTES_MAX.max(BUFFER_BYTES));
                self.bytes.resize(bytes, 0);
            }
        }
        let length = from.read(&mut self.bytes[self.end..])?;
        self.end += length;
        Ok(length)
    }

    /// Reads the head of a response. Calls `came` when its first byte has come, which may have
    /// been with the response before.
    pub(crate) fn read_head<R: Read>(
        &mut self,
        from: &mut R,
        to: ResponseTo,
        mut came: impl FnMut(&mut R),
    ) -> io::Result<Head> {
        let mut looked = 0;
        let mut bytes_come = self.end - self.start;
        loop {
            if bytes_come == 0 {
                bytes_come = self.fill(from)?;
            }
            if bytes_come == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    match self.is_empty() {
                        true => "the connection was closed instead of an answer",
                        false => "the connection was closed in the head of the response",
                    },
                ));
            }
            bytes_come = 0;
            if looked == 0 {
                came(from);
            }
            // Parsing the head again for every byte of one that comes slowly would take long.
            let unread = self.unread();
            let may_be_whole = ends_head(&unread[looked..]) || unread.len() >= HEAD_BYTES_MAX;
            looked = unread.len().saturating_sub(3).max(1);
            if !may_be_whole && is_http(unread) {
                continue;
            }
            if let Some((head, length)) = Head::parse(unread, to)? {
                if let Some(kept) = &mut self.head {
                    kept.clear();
                    kept.extend_from_slice(&self.bytes[self.start..self.start + length]);
                }
                self.start += length;
                return Ok(head);
            }
            if !is_http(unread) {
                return Err(Malformed("the response is not HTTP".to_owned()).into());
            }
        }
    }
}

/// Tells whether `bytes` contain an empty line, which ends a head.
fn ends_head(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', bytes).any(|at| {
        let after = &bytes[at + 1..];
        after.starts_with(b"\n") || after.starts_with(b"\r\n")
    })
}

/// Tells whether `bytes` may be the start of a response. Line ends before it are skipped.
fn is_http(bytes: &[u8]) -> bool {
    let start = bytes.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(bytes.len());
    let bytes = &bytes[start..];
    let length = bytes.len().min(b"HTTP".len());
    bytes[..length].eq_ignore_ascii_case(&b"HTTP"[..length])
        && bytes.get(length).is_none_or(|byte| b"/ \t".contains(byte))
}

/// The bytes that come from somewhere, read through a read buffer.
#[derive(Debug)]
pub(crate) struct Incoming<'a, R> {
    pub(crate) read_buffer: &'a mut ReadBuffer,
    pub(crate) from: &'a mut R,
}

impl<R: Read> BufRead for Incoming<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.read_buffer.peek(self.from)
    }

    fn consume(&mut self, amount: usize) {
        self.read_buffer.start += amount;
    }
}

impl<R: Read> Read for Incoming<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBuffer").field("unread", &self.unread().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_head(mut from: impl Read) -> io::Result<(Head, Vec<u8>)> {
        let mut read_buffer = ReadBuffer::new();
        let head = read_buffer.read_head(&mut from, ResponseTo::Get, |_| {})?;
        Ok((head, read_buffer.unread().to_vec()))
    }

    /// A reader that gives one byte at a time.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.0.len().min(1);
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    #[test]
    fn a_head_is_the_same_in_drips() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";

        let (whole, rest) = read_head(&text[..]).unwrap();
        let (dripped, nothing) = read_head(Drip(text)).unwrap();

        assert_eq!((whole, rest.as_slice(), nothing.as_slice()), (dripped, &b"body"[..], &b""[..]));
    }

    #[test]
    fn heads_that_come_together_are_read_one_by_one() {
        let text = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbody";
        let (mut from, mut read_buffer, mut came) = (&text[..], ReadBuffer::new(), 0);
        let mut next = || {
            let head = read_buffer.read_head(&mut from, ResponseTo::Get, |_| came += 1);
            head.unwrap().status
        };

        assert_eq!([next(), next()], [103, 200]);
        assert_eq!((read_buffer.unread(), came), (&b"body"[..], 2));
    }

    #[test]
    fn the_buffer_grows_for_a_long_head_and_shrinks_again() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(200 * 1024));
        let mut read_buffer = ReadBuffer::new();

        let head = read_buffer.read_head(&mut long.as_bytes(), ResponseTo::Get, |_| {}).unwrap();

        assert_eq!((head.status, read_buffer.is_empty()), (200, true));
        read_buffer.clear();
        assert_eq!(read_buffer.bytes.len(), BUFFER_BYTES);
    }

    #[test]
    fn what_is_not_http_is_refused_at_its_first_bytes() {
        for garbage in [&b"SSH-2.0-x\r\n"[..], b"<html>", b"HTTPS/1.1 200", b"\x16\x03\x01"] {
            let error = read_head(garbage.chain(io::repeat(b'x'))).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{garbage:?}");
        }
    }

    #[test]
    fn a_head_that_never_ends_is_given_up() {
        let start = &b"HTTP/1.1 200 OK\r\nX: "[..];
        let error = read_head(start.chain(io::repeat(b'x'))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
