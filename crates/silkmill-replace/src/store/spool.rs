//! Sorts what is too much for memory: sorted runs in a file without a name, which are merged in the
//! end.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::store::journal::bytes::put_record;
use crate::store::journal::record::JournalError;
use crate::store::journal::records::{ReadError, Records};
use crate::store::journal::source::Source;
use crate::store::nameless::nameless;

/// How many runs of one size there are before they are merged to one. Each takes a buffer of 64 KiB
/// while they are merged.
pub(super) const RUNS_MAX: usize = 128;

/// How many bytes are written at once.
const WRITTEN_LEN: usize = 256 << 10;

/// The kind of all records.
const ITEM: u8 = 1;

/// What a spool sorts.
pub(crate) trait Spooled: Sized {
    /// Compares two of them. Those that are equal may come in any order.
    fn in_order(&self, other: &Self) -> Ordering;

    fn put(&self, out: &mut Vec<u8>);

    fn read(payload: &[u8]) -> Option<Self>;
}

/// The runs, each of which is sorted.
#[derive(Debug)]
pub(crate) struct Spool<T> {
    file: Arc<File>,
    len: u64,
    /// Where each run is, and how often its items were merged. The oldest, which were merged most,
    /// come first.
    runs: Vec<(u32, u64, u64)>,
    items: PhantomData<T>,
}

impl<T: Spooled> Spool<T> {
    /// Creates the file in the directory of a run.
    pub(crate) fn new(folder: &Path) -> io::Result<Spool<T>> {
        let file = Arc::new(nameless(folder)?);
        Ok(Spool { file, len: 0, runs: Vec::new(), items: PhantomData })
    }

    /// Writes a run of items, which are in order.
    pub(crate) fn write(&mut self, items: impl Iterator<Item = T>) -> Result<(), Error> {
        self.write_run(0, items.map(Ok))?;
        while let Some((level, ..)) = self.runs.last().copied()
            && self.runs.iter().rev().take_while(|(other, ..)| *other == level).count() >= RUNS_MAX
        {
            let merged = self.runs.split_off(self.runs.len() - RUNS_MAX);
            let items = self.merge_runs(&merged)?;
            self.write_run(level + 1, items)?;
        }
        Ok(())
    }

    /// Returns all items in order.
    pub(crate) fn merge(&self) -> Result<Merge<T>, Error> {
        self.merge_runs(&self.runs)
    }

    fn write_run(
        &mut self,
        level: u32,
        items: impl Iterator<Item = Result<T, Error>>,
    ) -> Result<(), Error> {
        let (start, mut pending) = (self.len, Vec::new());
        for item in items {
            let item = item?;
            put_record(&mut pending, ITEM, |out| item.put(out));
            if pending.len() >= WRITTEN_LEN {
                self.append(&mut pending)?;
            }
        }
        self.append(&mut pending)?;
        self.runs.push((level, start, self.len));
        Ok(())
    }

    fn append(&mut self, pending: &mut Vec<u8>) -> Result<(), Error> {
        self.file.write_all_at(pending, self.len).map_err(unkept)?;
        self.len += pending.len() as u64;
        pending.clear();
        Ok(())
    }

    fn merge_runs(&self, runs: &[(u32, u64, u64)]) -> Result<Merge<T>, Error> {
        let source = || Source::File(Arc::clone(&self.file));
        let runs = runs.iter().map(|(_, start, end)| Records::new(source(), *start, *end));
        let mut merge = Merge { runs: runs.collect(), heads: BinaryHeap::new() };
        for run in 0..merge.runs.len() {
            merge.advance(run)?;
        }
        Ok(merge)
    }
}

/// Returns the error of a file that could not be written: it fails the whole run.
pub(crate) fn unkept(error: io::Error) -> Error {
    Error::store(format!("failed to keep what is known of the staged files: {error}"))
}

/// Merges sorted runs.
#[derive(Debug)]
pub(crate) struct Merge<T> {
    runs: Vec<Records>,
    heads: BinaryHeap<Reverse<Head<T>>>,
}

/// The next item of a run.
#[derive(Debug)]
struct Head<T> {
    item: T,
    run: usize,
}

impl<T: Spooled> Merge<T> {
    fn advance(&mut self, run: usize) -> Result<(), Error> {
        let next = self.runs[run].next().and_then(|record| {
            let Some((_, payload)) = record else { return Ok(None) };
            let item = T::read(payload);
            Ok(Some(item.ok_or(ReadError::Journal(JournalError::Damaged))?))
        });
        if let Some(item) = next? {
            self.heads.push(Reverse(Head { item, run }));
        }
        Ok(())
    }
}

impl<T: Spooled> Iterator for Merge<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse(Head { item, run }) = self.heads.pop()?;
        Some(self.advance(run).map(|()| item))
    }
}

impl<T: Spooled> Ord for Head<T> {
    fn cmp(&self, other: &Head<T>) -> Ordering {
        self.item.in_order(&other.item).then_with(|| self.run.cmp(&other.run))
    }
}

impl<T: Spooled> PartialOrd for Head<T> {
    fn partial_cmp(&self, other: &Head<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Spooled> PartialEq for Head<T> {
    fn eq(&self, other: &Head<T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Spooled> Eq for Head<T> {}

impl<T> Spool<T> {
    #[cfg(test)]
    pub(super) fn count_runs(&self) -> usize {
        self.runs.len()
    }
}
