//! gzip and deflate, as servers send them: with bytes behind the end, without a checksum, with the
//! header of the one under the name of the other. As browsers do, it ends where the compressed data
//! ends, and the checksum behind it is not looked at; data that is cut or broken is an error.

use std::io::{self, BufRead, Read};

use flate2::{Decompress, FlushDecompress, Status};

use crate::fetch::content_encoding::peek::Peek;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// The checksum and the length after the data of gzip.
const GZIP_TRAILER_BYTES: u64 = 8;
/// The most bytes of each text in the header of gzip.
const GZIP_TEXT_BYTES_MAX: u64 = 64 * 1024;
/// Bits of the fourth byte of a gzip header.
const HEADER_CHECKSUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

/// What stands around the compressed data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapper {
    /// RFC 1952. Several such files one behind the other are one.
    Gzip,
    /// The header of RFC 1950, or nothing (RFC 1951).
    Other,
}

/// Decodes a body of gzip or deflate.
pub(super) struct Inflater<R> {
    body: Peek<R>,
    wrapper: Wrapper,
    state: Decompress,
    is_at_end: bool,
}

impl<R: BufRead> Inflater<R> {
    /// Decodes a body that is said to be gzip.
    pub(super) fn gzip(body: R) -> io::Result<Inflater<R>> {
        let mut body = Peek::new(body);
        skip_gzip_header(&mut body)?;
        Ok(Inflater { body, wrapper: Wrapper::Gzip, state: raw(), is_at_end: false })
    }

    /// Decodes a body that is said to be deflate. By the standard that has the header of RFC 1950;
    /// some servers leave it out, and some send gzip.
    pub(super) fn deflate(body: R) -> io::Result<Inflater<R>> {
        let mut body = Peek::new(body);
        let start = body.peek(2)?;
        if start == GZIP_MAGIC {
            skip_gzip_header(&mut body)?;
            return Ok(Inflater { body, wrapper: Wrapper::Gzip, state: raw(), is_at_end: false });
        }
        if is_zlib(start) {
            body.consume(2);
        }
        Ok(Inflater { body, wrapper: Wrapper::Other, state: raw(), is_at_end: false })
    }

    /// Goes on to the next file, if one begins here. Anything else behind the data is dropped.
    fn next_file(&mut self) -> io::Result<()> {
        self.is_at_end = true;
        if self.wrapper == Wrapper::Other {
            return Ok(());
        }
        io::copy(&mut self.body.by_ref().take(GZIP_TRAILER_BYTES), &mut io::sink())?;
        if self.body.peek(2)? == GZIP_MAGIC {
            skip_gzip_header(&mut self.body)?;
            self.state = raw();
            self.is_at_end = false;
        }
        Ok(())
    }
}

fn raw() -> Decompress {
    Decompress::new(false)
}

/// Tells whether a body starts with the header of RFC 1950.
fn is_zlib(start: &[u8]) -> bool {
    let [first, second] = *start else { return false };
    first & 0x0f == 8 && u16::from_be_bytes([first, second]) % 31 == 0
}

fn skip_gzip_header<R: BufRead>(body: &mut Peek<R>) -> io::Result<()> {
    let mut header = [0; 10];
    body.read_exact(&mut header)?;
    let [first, second, method, flags, ..] = header;
    if [first, second] != GZIP_MAGIC || method != 8 {
        return Err(broken("the body is not gzip"));
    }
    if flags & EXTRA != 0 {
        let mut length = [0; 2];
        body.read_exact(&mut length)?;
        body.read_exact(&mut vec![0; usize::from(u16::from_le_bytes(length))])?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let mut skipped = Vec::new();
            body.by_ref().take(GZIP_TEXT_BYTES_MAX).read_until(0, &mut skipped)?;
            if skipped.last() != Some(&0) {
                return Err(broken("the header of the gzip body does not end"));
            }
        }
    }
    if flags & HEADER_CHECKSUM != 0 {
        body.read_exact(&mut [0; 2])?;
    }
    Ok(())
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl<R: BufRead> Read for Inflater<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.is_at_end && !into.is_empty() {
            let input = self.body.fill_buf()?;
            let is_last = input.is_empty();
            let (read, written) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(input, into, FlushDecompress::None);
            let status = status.map_err(|_| broken("the compressed body is broken"))?;
            let read = (self.state.total_in() - read) as usize;
            let written = (self.state.total_out() - written) as usize;
            self.body.consume(read);
            if status == Status::StreamEnd {
                self.next_file()?;
            }
            if written > 0 {
                return Ok(written);
            }
            if is_last && status != Status::StreamEnd {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the compressed body ends early",
                ));
            }
        }
        Ok(0)
    }
}
