//! Reads a list of URLs line by line. Never holds more than one line, whatever its length.

use std::io::{self, BufRead};

use crate::input::{Input, SHOWN_BYTES_MAX};

/// The mark that some editors put before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An iterator over the URLs of a list, one a line.
///
/// Blank lines and lines that start with `#` are skipped. A line that is no text, or is endless, is
/// still one input; no more of it is kept than its row shows.
///
/// ```
/// use silkmill_scrape::UrlList;
///
/// let list = UrlList::new(&b"# two pages\nhttp://a.example/\n\nhttp://b.example/"[..]);
/// assert_eq!(list.count(), 2);
/// ```
#[derive(Debug)]
pub struct UrlList<R> {
    from: R,
    line: Vec<u8>,
    at_start: bool,
    number: u64,
}

impl<R: BufRead> UrlList<R> {
    /// Makes a list that is read as it is iterated over.
    pub fn new(from: R) -> UrlList<R> {
        UrlList { from, line: Vec::new(), at_start: true, number: 0 }
    }

    /// Returns the number of the line that was read last, from 1. Comments and blank lines count.
    pub fn line_number(&self) -> u64 {
        self.number
    }

    /// Reads one line into `self.line`, cut just past the bound. Returns false at the end of the
    /// list.
    fn read_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let mut any = false;
        loop {
            let bytes = match self.from.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if bytes.is_empty() {
                return Ok(any);
            }
            any = true;
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            // One byte past the bound shows that a line is too long.
            let room = (SHOWN_BYTES_MAX + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let used = end.map_or(part.len(), |end| end + 1);
            self.from.consume(used);
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

impl<R: BufRead> Iterator for UrlList<R> {
    type Item = io::Result<Input>;

    fn next(&mut self) -> Option<io::Result<Input>> {
        loop {
            match self.read_line() {
                Ok(true) => self.number += 1,
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
            let mut line = &self.line[..];
            if std::mem::take(&mut self.at_start) {
                line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
            }
            if let Some(input) = Input::line(line) {
                return Some(Ok(input));
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
        assert_eq!(shown(b"\xef\xbb\xbf# mark\n\n \nhttp://a/\n\n"), ["http://a/"]);
        assert!(shown(b"").is_empty());
    }

    #[test]
    fn an_endless_line_is_one_input_and_is_not_kept() {
        let line = io::repeat(b'x').take(50 * SHOWN_BYTES_MAX as u64);
        let mut list = UrlList::new(BufReader::new(line.chain(&b"\nhttp://a/\n"[..])));

        assert!(list.next().unwrap().unwrap().parse().unwrap_err().message.contains("too long"));
        assert!(list.line.capacity() < 4 * SHOWN_BYTES_MAX);
        assert_eq!(list.next().unwrap().unwrap().shown(), "http://a/");
        assert!(list.next().is_none());
    }

    #[test]
    fn lines_are_numbered_as_editors_number_them() {
        let mut list = UrlList::new(&b"# comment\n\nhttp://a/\nhttp://b/"[..]);
        let mut numbers = Vec::new();
        while list.next().is_some() {
            numbers.push(list.line_number());
        }
        assert_eq!(numbers, [3, 4]);
    }
}
