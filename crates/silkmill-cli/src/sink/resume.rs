//! What a resumed run knows of the rows in its output file: which lines of the list have one.
//!
//! Two million rows take 8 MB: a URL is kept as 30 bits of its hash, which is enough to notice that
//! a list has changed (one changed line in a thousand million goes unnoticed), and two bits say
//! whether the row is an error, and whether it has taken the place of one.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::BufRead;

use anyhow::{Result, bail};

/// Rows whose hashes lie together in memory.
const PAGE_ROWS: u64 = 1024;

/// The bit of a mark that is set for an error.
const ERROR_BIT: u32 = 1;
/// The bit that is set when the file also has an error that the row replaces.
const REPLACES_BIT: u32 = 2;
/// The least mark: the file has a row.
const ROW_BIT: u32 = 4;

/// A row that was found in an output file.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundRow<'a> {
    pub(super) index: u64,
    pub(super) url: &'a str,
    pub(super) is_error: bool,
    /// The row as it is in the file.
    pub(super) bytes: &'a [u8],
    /// The number of its first line in the file.
    pub(super) line: u64,
}

/// Takes the rows of a file.
pub(super) type Visit<'a> = dyn FnMut(&FoundRow<'_>) -> Result<()> + 'a;
/// Reads the rows of a file, and returns how many of its bytes are whole rows.
pub(super) type Scan<'a> = dyn Fn(&mut dyn BufRead, &mut Visit<'_>) -> Result<u64> + 'a;

/// The rows that are in the output file.
#[derive(Debug, Default)]
pub(crate) struct WrittenRows {
    hasher: RandomState,
    /// Whether lines are requested again whose row is an error.
    retry_errors: bool,
    /// The hash of the URL of every index, and two bits; 0 means that there is no row. Only pages
    /// with rows exist, so that a file with an absurd index costs no more memory than a good one.
    pages: BTreeMap<u64, Box<[u32]>>,
    rows: u64,
    errors: u64,
    /// The rows that replace an error that is still in the file.
    replacing: u64,
}

/// The state of a line of the list in the output file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineState {
    /// The line has no row yet.
    Missing,
    /// The line has its row.
    Written,
    /// The line's row is an error, and another one is to take its place.
    Failed,
    /// There is a row of the line's index, and its URL is another one.
    Mismatch,
}

impl WrittenRows {
    /// With `retry_errors`, a line whose row is an error counts as [`LineState::Failed`].
    pub(super) fn new(retry_errors: bool) -> WrittenRows {
        WrittenRows { retry_errors, ..WrittenRows::default() }
    }

    pub(super) fn retries_errors(&self) -> bool {
        self.retry_errors
    }

    /// Notes a row. One that comes after an error of the same line takes its place. Any other
    /// second row of a line is refused.
    pub(super) fn note(&mut self, row: &FoundRow<'_>) -> Result<()> {
        match self.insert(row.index, row.url, row.is_error) {
            true => Ok(()),
            false => bail!("line {} is a second row of index {}", row.line, row.index),
        }
    }

    /// Notes a row. Returns false when there already was one of this index that is no error.
    pub(super) fn insert(&mut self, index: u64, url: &str, is_error: bool) -> bool {
        let mark = self.mark(url) | if is_error { ERROR_BIT } else { 0 };
        let page = self
            .pages
            .entry(index / PAGE_ROWS)
            .or_insert_with(|| vec![0; PAGE_ROWS as usize].into());
        let slot = &mut page[(index % PAGE_ROWS) as usize];
        let replaces = *slot != 0;
        if replaces && (*slot ^ mark) & !ERROR_BIT != 0 || *slot != 0 && *slot & ERROR_BIT == 0 {
            return false;
        }
        *slot = mark | if replaces { REPLACES_BIT } else { 0 };
        self.rows += u64::from(!replaces);
        self.replacing += u64::from(replaces);
        self.errors = self.errors + u64::from(is_error) - u64::from(replaces);
        true
    }

    /// Returns whether the file has errors that later rows replace.
    pub(super) fn has_replaced(&self) -> bool {
        self.replacing > 0
    }

    /// Returns whether the next row of this index in the file is an error that a later row
    /// replaces.
    pub(super) fn take_replaced(&mut self, index: u64) -> bool {
        let page = self.pages.get_mut(&(index / PAGE_ROWS));
        let Some(slot) = page.map(|page| &mut page[(index % PAGE_ROWS) as usize]) else {
            return false;
        };
        let replaced = *slot & REPLACES_BIT != 0;
        *slot &= !REPLACES_BIT;
        self.replacing -= u64::from(replaced);
        replaced
    }

    /// Looks up the line of this index.
    pub(crate) fn state(&self, index: u64, url: &str) -> LineState {
        let slot =
            self.pages.get(&(index / PAGE_ROWS)).map(|page| page[(index % PAGE_ROWS) as usize]);
        match slot.unwrap_or(0) {
            0 => LineState::Missing,
            mark if mark & !(ERROR_BIT | REPLACES_BIT) != self.mark(url) => LineState::Mismatch,
            mark if self.retry_errors && mark & ERROR_BIT != 0 => LineState::Failed,
            _ => LineState::Written,
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns how many of the rows are errors.
    pub(crate) fn errors(&self) -> u64 {
        self.errors
    }

    fn mark(&self, url: &str) -> u32 {
        (self.hasher.hash_one(url) as u32 & !(ERROR_BIT | REPLACES_BIT)).max(ROW_BIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_known_by_its_index_and_address() {
        let mut written = WrittenRows::default();

        assert!(written.insert(0, "a", false) && written.insert(5000, "b", true));
        assert!(!written.insert(0, "a", false) && !written.insert(5000, "c", false));

        assert_eq!((written.rows(), written.errors()), (2, 1));
        written.retry_errors = true;
        let states =
            [(5000, "b"), (5000, "a"), (0, "a")].map(|(index, url)| written.state(index, url));
        assert_eq!(states, [LineState::Failed, LineState::Mismatch, LineState::Written]);
        written.retry_errors = false;
        for (index, url, expected) in [
            (0, "a", LineState::Written),
            (0, "b", LineState::Mismatch),
            (1, "a", LineState::Missing),
            (5000, "b", LineState::Written),
            (u64::MAX, "a", LineState::Missing),
        ] {
            assert_eq!(written.state(index, url), expected, "{index} {url}");
        }
    }

    #[test]
    fn a_row_takes_the_place_of_an_error_once() {
        let mut written = WrittenRows::default();
        for (url, is_error) in [("a", true), ("a", true), ("b", true), ("b", false)] {
            assert!(written.insert(u64::from(url == "b"), url, is_error));
        }

        assert_eq!((written.rows(), written.errors(), written.has_replaced()), (2, 1, true));
        assert_eq!(written.state(1, "b"), LineState::Written);
        // The first row of each is to go, and the second to stay.
        let replaced = [0, 0, 1, 1, 2].map(|index| written.take_replaced(index));
        assert_eq!(replaced, [true, false, true, false, false]);
        assert!(!written.has_replaced());
    }
}
