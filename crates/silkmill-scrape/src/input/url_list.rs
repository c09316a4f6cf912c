//! Reads a list of URLs line by line. Never holds more than one line, whatever its length.

use std::io::{self, BufRead};

use crate::input::decode::Utf8Reader;
use crate::input::{Input, SHOWN_BYTES_MAX};

/// An iterator over the URLs of a list, one a line.
///
/// Blank lines and lines that start with `#` are skipped. A line ends with LF, CR or both; a list
/// with a byte order mark may be UTF-16. A line that is no text, or is endless, is still one input;
/// no more of it is kept than its row shows.
///
/// ```
/// use silkmill_scrape::UrlList;
///
/// let list = UrlList::new(&b"# two pages\nhttp://a.example/\n\nhttp://b.example/"[..]);
/// assert_eq!(list.count(), 2);
/// ```
#[derive(Debug)]
pub struct UrlList<R> {
    lines: LineReader<R>,
}

impl<R: BufRead> UrlList<R> {
    /// Makes a list that is read as it is iterated over.
    pub fn new(from: R) -> UrlList<R> {
        UrlList { lines: LineReader::new(from, SHOWN_BYTES_MAX) }
    }

    /// Returns the number of the line that was read last, from 1. Comments and blank lines count.
    pub fn line_number(&self) -> u64 {
        self.lines.number
    }

    /// Returns how many bytes of the list have been read as lines, in the list's own encoding.
    pub fn position(&self) -> u64 {
        self.lines.position()
    }
}

impl<R: BufRead> Iterator for UrlList<R> {
    type Item = io::Result<Input>;

    fn next(&mut self) -> Option<io::Result<Input>> {
        loop {
            match self.lines.read() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
            if let Some(input) = Input::line(&self.lines.line) {
                return Some(Ok(input));
            }
        }
    }
}

/// Reads lines of a bounded length.
#[derive(Debug)]
pub(super) struct LineReader<R> {
    from: Utf8Reader<R>,
    /// The line without its end, cut just past the bound.
    pub(super) line: Vec<u8>,
    line_bytes_max: usize,
    /// Whether the last line ended with CR, so that an LF is a part of its end.
    after_cr: bool,
    /// The number of the line, from 1.
    pub(super) number: u64,
}

impl<R: BufRead> LineReader<R> {
    pub(super) fn new(from: R, line_bytes_max: usize) -> LineReader<R> {
        let from = Utf8Reader::new(from);
        LineReader { from, line: Vec::new(), line_bytes_max, after_cr: false, number: 0 }
    }

    pub(super) fn position(&self) -> u64 {
        self.from.position()
    }

    /// Reads one line into `self.line`. Returns false at the end of the list.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        self.line.clear();
        let mut any = false;
        loop {
            let mut bytes = self.from.fill_buf()?;
            if std::mem::take(&mut self.after_cr) && bytes.first() == Some(&b'\n') {
                self.from.consume(1);
                bytes = self.from.fill_buf()?;
            }
            if bytes.is_empty() {
                self.number += u64::from(any);
                return Ok(any);
            }
            any = true;
            let end = memchr::memchr2(b'\n', b'\r', bytes);
            let part = &bytes[..end.unwrap_or(bytes.len())];
            // One byte past the bound shows that a line is too long.
            let room = (self.line_bytes_max + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            self.after_cr = end.is_some_and(|end| bytes[end] == b'\r');
            let used = end.map_or(part.len(), |end| end + 1);
            self.from.consume(used);
            if end.is_some() {
                self.number += 1;
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::*;

    fn shown(list: &[u8]) -> Vec<String> {
        let list = UrlList::new(BufReader::with_capacity(7, list));
        list.map(|input| input.unwrap().shown().to_owned()).collect()
    }

    #[test]
    fn every_kind_of_line_end_ends_a_line() {
        assert_eq!(
            shown(b"http://a/\r\nhttp://b/\nhttp://c/"),
            ["http://a/", "http://b/", "http://c/"]
        );
        assert_eq!(
            shown(b"http://a/\rhttp://b/\r\rhttp://c/\r"),
            ["http://a/", "http://b/", "http://c/"]
        );
        assert_eq!(shown(b"\xef\xbb\xbf# mark\n\n \nhttp://a/\n\n"), ["http://a/"]);
        assert_eq!(shown(b"\xff\xfeh\0\r\0\n\0i\0\r\0"), ["h", "i"]);
        assert_eq!(shown(b"\xfe\xff\0h\0\t\0x\0\n"), ["h"]);
        assert!(shown(b"").is_empty());
    }

    #[test]
    fn an_endless_line_is_one_input_and_is_not_kept() {
        let line = io::repeat(b'x').take(50 * SHOWN_BYTES_MAX as u64);
        let mut list = UrlList::new(BufReader::new(line.chain(&b"\nhttp://a/\n"[..])));

        assert!(list.next().unwrap().unwrap().parse().unwrap_err().message.contains("too long"));
        assert!(list.lines.line.capacity() < 4 * SHOWN_BYTES_MAX);
        assert_eq!(list.next().unwrap().unwrap().shown(), "http://a/");
        assert!(list.next().is_none());
    }

    #[test]
    fn lines_are_numbered_as_editors_number_them() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["# comment", "", "http://a/", "http://b/"].join(end);
            let mut list = UrlList::new(BufReader::with_capacity(3, text.as_bytes()));
            let mut numbers = Vec::new();
            while list.next().is_some() {
                numbers.push(list.line_number());
            }
            assert_eq!((numbers, list.position()), (vec![3, 4], text.len() as u64), "{end:?}");
        }
    }
}
