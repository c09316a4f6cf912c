//! What reading one field of one page may cost, in work and in bytes.
//!
//! An expression is the user's, a page is anybody's. `//*[following::*]` is harmless on most pages
//! and takes hours on some, so the tree counts how often it is looked at while a field is read.

use std::cell::Cell;

/// Most looks at a node, an attribute or 64 bytes of text for one field. The evaluator may keep 16
/// bytes for each before it drops what it saw twice, and needs about 30 ns.
pub(crate) const LOOKS_MAX: u64 = 1 << 23;

/// Most bytes of the values of one field. Elements within elements repeat their text.
pub(crate) const VALUES_BYTES_MAX: usize = 8 << 20;

/// Bytes of text that count as one look.
const TEXT_LOOK_BYTES: usize = 64;

/// What is left of the work for a field. Shared by all that read the page for it.
#[derive(Debug)]
pub(crate) struct Looks(Cell<u64>);

impl Looks {
    pub(crate) fn new() -> Looks {
        Looks(Cell::new(LOOKS_MAX))
    }

    /// Takes one look; false when none are left.
    pub(crate) fn take(&self) -> bool {
        self.take_many(1)
    }

    /// Takes what it costs to read `text`.
    pub(crate) fn take_text(&self, text: &str) -> bool {
        self.take_many(1 + (text.len() / TEXT_LOOK_BYTES) as u64)
    }

    pub(crate) fn are_spent(&self) -> bool {
        self.0.get() == 0
    }

    fn take_many(&self, count: u64) -> bool {
        let left = self.0.get().saturating_sub(count);
        self.0.set(left);
        left > 0
    }
}

/// The values of one field.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) list: Vec<String>,
    /// Whether a bound left something out.
    pub(crate) truncated: bool,
    bytes: usize,
}

impl Values {
    /// What a field has when its work was not finished: a part of the answer could mislead.
    pub(crate) fn unfinished() -> Values {
        Values { truncated: true, ..Values::default() }
    }

    /// Adds a value; false when there is no room for more.
    pub(crate) fn push(&mut self, value: &str) -> bool {
        self.bytes += value.len();
        self.truncated |= self.bytes > VALUES_BYTES_MAX;
        if !self.truncated {
            self.list.push(value.to_owned());
        }
        !self.truncated
    }
}
