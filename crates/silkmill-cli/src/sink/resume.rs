//! What a resumed run knows of the rows in its output file: which lines of the list have one.
//!
//! Two million rows take 8 MB: a URL is kept as 32 bits of its hash, which is enough to notice that
//! a list has changed (one changed line in four thousand million goes unnoticed).

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

/// Rows whose hashes lie together in memory.
const PAGE_ROWS: u64 = 1024;

/// The rows that are in the output file.
#[derive(Debug, Default)]
pub(crate) struct WrittenRows {
    hasher: RandomState,
    /// The hash of the URL of every index; 0 means that there is no row. Only pages with rows
    /// exist, so that a file with an absurd index costs no more memory than one with a good one.
    pages: BTreeMap<u64, Box<[u32]>>,
    rows: u64,
    errors: u64,
}

/// The state of a line of the list in the output file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineState {
    /// The line has no row yet.
    Missing,
    /// The line has its row.
    Written,
    /// There is a row of the line's index, and its URL is another one.
    Mismatch,
}

impl WrittenRows {
    /// Notes a row. Returns false when there already was one of this index.
    pub(crate) fn insert(&mut self, index: u64, url: &str, is_error: bool) -> bool {
        let mark = self.mark(url);
        let page = self
            .pages
            .entry(index / PAGE_ROWS)
            .or_insert_with(|| vec![0; PAGE_ROWS as usize].into());
        let slot = &mut page[(index % PAGE_ROWS) as usize];
        let is_new = *slot == 0;
        *slot = mark;
        self.rows += u64::from(is_new);
        self.errors += u64::from(is_error);
        is_new
    }

    /// Looks up the line of this index.
    pub(crate) fn state(&self, index: u64, url: &str) -> LineState {
        let slot =
            self.pages.get(&(index / PAGE_ROWS)).map(|page| page[(index % PAGE_ROWS) as usize]);
        match slot.unwrap_or(0) {
            0 => LineState::Missing,
            mark if mark == self.mark(url) => LineState::Written,
            _ => LineState::Mismatch,
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
        (self.hasher.hash_one(url) as u32).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_known_by_its_index_and_address() {
        let mut written = WrittenRows::default();

        assert!(written.insert(0, "a", false) && written.insert(5000, "b", true));
        assert!(!written.insert(5000, "b", false));

        assert_eq!((written.rows(), written.errors()), (2, 1));
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
}
