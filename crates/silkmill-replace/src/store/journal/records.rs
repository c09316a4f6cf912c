//! Reads one record after another through a buffer, and sums them up.

use std::io;

use crate::store::journal::bytes::{RECORD_HEAD_LEN, Reader, u32_at};
use crate::store::journal::record::{JournalError, Sum};
use crate::store::journal::source::Source;

/// How many bytes are read at once.
const BUFFER_LEN: usize = 64 << 10;

/// The longest record, in bytes. The header has all roots of a run.
const RECORD_LEN_MAX: usize = 256 << 20;

/// Why the records of a journal are not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Journal(JournalError),
    Io(io::Error),
}

impl From<JournalError> for ReadError {
    fn from(error: JournalError) -> ReadError {
        ReadError::Journal(error)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

/// The records between two places.
#[derive(Debug)]
pub(crate) struct Records {
    source: Source,
    /// Where the next record begins.
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Where the next record begins in the buffer, and how much of that is filled.
    begin: usize,
    filled: usize,
    len: u64,
    hasher: crc32fast::Hasher,
}

impl Records {
    pub(crate) fn new(source: Source, at: u64, end: u64) -> Records {
        let (buffer, hasher) = (Vec::new(), crc32fast::Hasher::new());
        Records { source, at, end, buffer, begin: 0, filled: 0, len: 0, hasher }
    }

    /// Returns the kind and the payload of the next record. `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u8, &[u8])>, ReadError> {
        if self.is_at_end() {
            return Ok(None);
        }
        self.fill(RECORD_HEAD_LEN)?;
        let len = RECORD_HEAD_LEN + u32_at(&self.buffer[self.begin..], 1) as usize;
        self.fill(len)?;
        let record = &self.buffer[self.begin..self.begin + len];
        self.hasher.update(record);
        self.begin += len;
        self.at += len as u64;
        self.len += len as u64;
        Ok(Some(Reader(record).record().ok_or(JournalError::Damaged)?))
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.end
    }

    /// Returns the sum of the records so far.
    pub(crate) fn sum(&self) -> Sum {
        Sum { len: self.len, sum: self.hasher.clone().finalize() }
    }

    /// Fills the buffer with at least `len` bytes from the next record on.
    fn fill(&mut self, len: usize) -> Result<(), ReadError> {
        if self.filled - self.begin >= len {
            return Ok(());
        }
        if len > RECORD_LEN_MAX || len as u64 > self.end - self.at {
            return Err(JournalError::Damaged.into());
        }
        self.buffer.copy_within(self.begin..self.filled, 0);
        self.filled -= self.begin;
        self.begin = 0;
        let rest = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = len.max(BUFFER_LEN).min(rest);
        self.buffer.resize(wanted.max(self.filled), 0);
        let from = self.at + self.filled as u64;
        self.filled += self.source.fill(&mut self.buffer[self.filled..], from)?;
        if self.filled < len { Err(JournalError::Damaged.into()) } else { Ok(()) }
    }
}
