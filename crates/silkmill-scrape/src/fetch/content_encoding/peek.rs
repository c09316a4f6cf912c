//! A reader whose next bytes can be looked at before they are taken.

use std::io::{self, BufRead, Read};

/// The most bytes that can be looked at.
const BYTES_MAX: usize = 8;

/// A reader, with the bytes of it that were looked at and not taken.
pub(super) struct Peek<R> {
    seen: [u8; BYTES_MAX],
    start: usize,
    end: usize,
    inner: R,
}

impl<R: BufRead> Peek<R> {
    pub(super) fn new(inner: R) -> Peek<R> {
        Peek { seen: [0; BYTES_MAX], start: 0, end: 0, inner }
    }

    /// Returns the next `length` bytes, eight at the most, or fewer at the end.
    pub(super) fn peek(&mut self, length: usize) -> io::Result<&[u8]> {
        let length = length.min(BYTES_MAX);
        self.seen.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        while self.end < length {
            let read = self.inner.read(&mut self.seen[self.end..length])?;
            if read == 0 {
                break;
            }
            self.end += read;
        }
        Ok(&self.seen[..self.end.min(length)])
    }
}

impl<R: BufRead> BufRead for Peek<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.start < self.end {
            true => Ok(&self.seen[self.start..self.end]),
            false => self.inner.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match self.start < self.end {
            true => self.start += amount,
            false => self.inner.consume(amount),
        }
    }
}

impl<R: BufRead> Read for Peek<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}
