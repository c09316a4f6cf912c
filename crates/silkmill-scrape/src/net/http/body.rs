//! The body of a response, read to its end and no further (RFC 9112, sections 6 and 7).

use std::io::{self, BufRead, Read};

use crate::net::http::{Framing, Malformed, text};

/// The most bytes of the line before a chunk, with what some servers send after the number.
const CHUNK_LINE_BYTES_MAX: usize = 4 * 1024;
/// The most bytes of the header lines after the last chunk.
const TRAILER_BYTES_MAX: usize = 32 * 1024;

/// The body of a response, read to its end and no further.
#[derive(Debug)]
pub(crate) struct BodyReader<R> {
    from: R,
    framing: Framing,
    /// The bytes left of the body, or of the chunk that is being read.
    left: u64,
    at: At,
}

/// Where in a chunked body the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before the line with the size of a chunk.
    Size,
    Data,
    /// Before the line end that ends a chunk.
    DataEnd,
    End,
    /// At the end of a body after which the connection was closed, before its last empty line.
    Closed,
}

impl<R: BufRead> BodyReader<R> {
    pub(crate) fn new(from: R, framing: Framing) -> BodyReader<R> {
        let (left, at) = match framing {
            Framing::Empty => (0, At::End),
            Framing::Length(length) => (length, At::Data),
            Framing::Chunked => (0, At::Size),
            Framing::ToEnd => (u64::MAX, At::Data),
        };
        BodyReader { from, framing, left, at }
    }

    /// Tells whether the body was read to its end, and the connection stands behind it.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at == At::End
    }

    /// Reads what stands between the data of two chunks, or after the last.
    fn next_chunk(&mut self) -> io::Result<()> {
        if self.at == At::DataEnd {
            match self.line(2)?.as_slice() {
                b"" => {}
                _ => return Err(Malformed("a chunk longer than its size".to_owned()).into()),
            }
        }
        let line = self.line(CHUNK_LINE_BYTES_MAX)?;
        self.left = chunk_size(&line)?;
        self.at = At::Data;
        if self.left > 0 {
            return Ok(());
        }
        let mut trailer_left = TRAILER_BYTES_MAX;
        loop {
            let line = match self.line(trailer_left) {
                // All data was announced and came. Browsers, curl and wget ask for no more.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.at = At::Closed;
                    return Ok(());
                }
                line => line?,
            };
            if line.is_empty() {
                self.at = At::End;
                return Ok(());
            }
            trailer_left = trailer_left.saturating_sub(line.len() + 1);
        }
    }

    /// Reads one line, and returns it without its end.
    fn line(&mut self, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let limit = bytes_max as u64;
        Read::take(&mut self.from, limit).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(match (line.len() + 1) as u64 >= limit {
                true => Malformed("a line between chunks that is too long".to_owned()).into(),
                false => ended_early(),
            });
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }
}

/// Parses the size of a chunk: a hexadecimal number, perhaps with an extension, which is dropped.
fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let number = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let digits = std::str::from_utf8(number).ok().filter(|digits| {
        digits.len() <= 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    });
    let size = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    size.ok_or_else(|| {
        Malformed(format!("a chunk size of {:?}", text(&line[..line.len().min(40)])))
    })
}

fn ended_early() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed before the body's end")
}

impl<R: BufRead> BufRead for BodyReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if matches!(self.at, At::Size | At::DataEnd) {
            self.next_chunk()?;
        }
        if matches!(self.at, At::End | At::Closed) {
            return Ok(&[]);
        }
        let bytes = self.from.fill_buf()?;
        if bytes.is_empty() {
            if self.framing != Framing::ToEnd {
                return Err(ended_early());
            }
            self.at = At::End;
        }
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        Ok(&bytes[..length])
    }

    fn consume(&mut self, amount: usize) {
        self.from.consume(amount);
        if self.framing == Framing::ToEnd || amount == 0 {
            return;
        }
        self.left -= amount as u64;
        if self.left == 0 {
            self.at = if self.framing == Framing::Chunked { At::DataEnd } else { At::End };
        }
    }
}

impl<R: BufRead> Read for BodyReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn body(bytes: &[u8], framing: Framing, capacity: usize) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let mut from = BufReader::with_capacity(capacity, bytes);
        let mut reader = BodyReader::new(&mut from, framing);
        let mut body = Vec::new();
        reader.read_to_end(&mut body)?;
        assert!(reader.is_at_end());
        let mut rest = Vec::new();
        from.read_to_end(&mut rest)?;
        Ok((body, rest))
    }

    #[test]
    fn a_body_is_read_to_its_end_and_no_further() {
        let chunked = b"5\r\nhello\r\n6;ext=\"x\"\r\n world\r\n0\r\nTrailer: x\r\n\r\nrest";
        for capacity in 1..40 {
            let read = |bytes, framing| body(bytes, framing, capacity).unwrap();
            assert_eq!(
                read(chunked, Framing::Chunked),
                (b"hello world".to_vec(), b"rest".to_vec())
            );
            assert_eq!(
                read(b"hello rest", Framing::Length(5)),
                (b"hello".to_vec(), b" rest".to_vec())
            );
            assert_eq!(read(b"hello", Framing::ToEnd), (b"hello".to_vec(), Vec::new()));
            assert_eq!(read(b"rest", Framing::Empty), (Vec::new(), b"rest".to_vec()));
        }
    }

    #[test]
    fn a_body_is_complete_once_its_last_chunk_was_announced() {
        for end in ["0\r\n", "0\n", "0;x\r\nTrailer: x\r\n", "0\r\nTrai"] {
            let bytes = format!("5\r\nhello\r\n{end}").into_bytes();
            let mut reader = BodyReader::new(&bytes[..], Framing::Chunked);
            let mut body = String::new();
            reader.read_to_string(&mut body).unwrap();
            assert_eq!((body.as_str(), reader.is_at_end()), ("hello", false), "{end:?}");
        }
    }

    #[test]
    fn a_body_that_ends_early_is_told_from_one_that_is_broken() {
        let kind = |bytes: &[u8], framing| body(bytes, framing, 8).unwrap_err().kind();

        for cut in ["", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0"] {
            assert_eq!(
                kind(cut.as_bytes(), Framing::Chunked),
                io::ErrorKind::UnexpectedEof,
                "{cut:?}"
            );
        }
        assert_eq!(kind(b"hell", Framing::Length(5)), io::ErrorKind::UnexpectedEof);
        for broken in ["x\r\n", "\r\n\r\n", "-1\r\n", "5\r\nhello!\r\n", "10000000000000000\r\nx"] {
            let error = body(broken.as_bytes(), Framing::Chunked, 8).unwrap_err();
            assert!(error.get_ref().is_some_and(|why| why.is::<Malformed>()), "{broken:?} {error}");
        }
        let long = [&b"5;"[..], &b"x".repeat(10_000)].concat();
        assert_eq!(kind(&long, Framing::Chunked), io::ErrorKind::InvalidData);
        let endless = [&b"0\r\n"[..], &b"A: b\r\n".repeat(10_000)].concat();
        assert_eq!(kind(&endless, Framing::Chunked), io::ErrorKind::InvalidData);
    }
}
