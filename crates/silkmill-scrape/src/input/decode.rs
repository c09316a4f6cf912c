//! Turns a list into UTF-8 as it is read: UTF-16 with a byte order mark is decoded, and the mark of
//! UTF-8 is taken away. Knows nothing of lines.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// The longest byte order mark: that of UTF-8.
const MARK_BYTES_MAX: usize = 3;
/// The most bytes of UTF-16 that are decoded at a time.
const CHUNK_BYTES_MAX: usize = 8 * 1024;
/// No decoder writes more bytes of UTF-8 for a byte of UTF-16, and for what ends in the middle.
const UTF8_PER_BYTE: usize = 3;

/// A list as UTF-8, whatever its mark says. Without a mark its bytes are passed on as they are.
#[derive(Debug)]
pub(super) struct Utf8Reader<R> {
    from: R,
    /// `None` before the mark was looked for.
    encoding: Option<&'static Encoding>,
    /// `None` while the bytes are passed on as they are.
    decoder: Option<Decoder>,
    /// Bytes that were read, and are UTF-8 as far as the list is.
    ready: Vec<u8>,
    taken: usize,
    /// The bytes that were read from the list.
    position: u64,
}

impl<R: BufRead> Utf8Reader<R> {
    pub(super) fn new(from: R) -> Utf8Reader<R> {
        Utf8Reader { from, encoding: None, decoder: None, ready: Vec::new(), taken: 0, position: 0 }
    }

    /// Returns how many bytes of the list have been read, in its own encoding.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Reads the mark, and no byte more than it takes to know that there is none.
    fn read_mark(&mut self) -> io::Result<()> {
        const MARKS: [(&[u8], &Encoding); 3] =
            [(b"\xef\xbb\xbf", UTF_8), (b"\xff\xfe", UTF_16LE), (b"\xfe\xff", UTF_16BE)];
        let mut encoding = UTF_8;
        let mut start = Vec::with_capacity(MARK_BYTES_MAX);
        while MARKS.iter().any(|(mark, _)| mark.starts_with(&start)) {
            if let Some((mark, found)) = MARKS.iter().find(|(mark, _)| *mark == start) {
                start.drain(..mark.len());
                encoding = found;
                break;
            }
            let Some(&byte) = fill(&mut self.from)?.first() else { break };
            self.from.consume(1);
            self.position += 1;
            start.push(byte);
        }
        self.ready = start;
        self.encoding = Some(encoding);
        self.decoder = (encoding != UTF_8).then(|| encoding.new_decoder_without_bom_handling());
        Ok(())
    }

    /// Decodes the next bytes of the list, until there is some text or the list has ended.
    fn decode(&mut self) -> io::Result<()> {
        while let Some(decoder) = &mut self.decoder {
            let bytes = fill(&mut self.from)?;
            let bytes = &bytes[..bytes.len().min(CHUNK_BYTES_MAX)];
            let is_last = bytes.is_empty();
            self.ready.resize(UTF8_PER_BYTE * (bytes.len() + 2), 0);
            let (_, read, written, _) = decoder.decode_to_utf8(bytes, &mut self.ready, is_last);
            self.ready.truncate(written);
            self.taken = 0;
            self.from.consume(read);
            self.position += read as u64;
            if is_last {
                // A decoder must not be used after its last input.
                self.decoder = None;
            }
            if written > 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Fills the buffer of a reader, also when a signal comes in between.
fn fill(from: &mut impl BufRead) -> io::Result<&[u8]> {
    loop {
        match from.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    // The buffer is full now, so that this reads nothing.
    from.fill_buf()
}

impl<R: BufRead> BufRead for Utf8Reader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.encoding.is_none() {
            self.read_mark()?;
        }
        if self.taken == self.ready.len() {
            self.decode()?;
        }
        if self.taken < self.ready.len() {
            return Ok(&self.ready[self.taken..]);
        }
        // A list in UTF-16 has ended here.
        fill(&mut self.from)
    }

    fn consume(&mut self, many: usize) {
        if self.taken < self.ready.len() {
            self.taken += many;
        } else {
            self.from.consume(many);
            self.position += many as u64;
        }
    }
}

impl<R: BufRead> Read for Utf8Reader<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let many = bytes.len().min(to.len());
        to[..many].copy_from_slice(&bytes[..many]);
        self.consume(many);
        Ok(many)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8], at_once: usize) -> Vec<u8> {
        let mut reader = Utf8Reader::new(BufReader::with_capacity(at_once, bytes));
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(reader.position(), bytes.len() as u64);
        all
    }

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn bytes_without_a_mark_are_passed_on() {
        for bytes in [&b""[..], b"h", b"\xef", b"\xef\xbb", b"\xff", b"\xfe", b"http://a/\r\n\xff"]
        {
            assert_eq!(decoded(bytes, 2), bytes);
        }
    }

    #[test]
    fn a_mark_is_no_text() {
        assert_eq!(decoded(b"\xef\xbb\xbfa", 1), b"a");
        assert_eq!(decoded(b"\xff\xfea\0", 1), b"a");
        assert_eq!(decoded(b"\xfe\xff\0a", 1), b"a");
        assert!(decoded(b"\xff\xfe", 1).is_empty());
    }

    #[test]
    fn what_is_no_utf_16_does_not_end_the_list() {
        // A surrogate without its other half, and half a unit at the end.
        assert_eq!(decoded(b"\xff\xfe\x00\xd8a\0b", 3), "\u{fffd}a\u{fffd}".as_bytes());
    }

    proptest! {
        #[test]
        fn utf_16_becomes_the_same_text(text in "\\PC{0,60}", big: bool, at_once in 1usize..50) {
            prop_assert_eq!(decoded(&utf16(&text, big), at_once), text.as_bytes());
        }
    }
}
