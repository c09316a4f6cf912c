//! Bounds what reading one field of one page may cost, in work and in bytes.
//!
//! The expression is the user's, the page may be an attacker's. `//*[following::*]` is harmless on
//! most pages and takes hours on some, so every visit to the tree is counted while a field is read.

use std::cell::Cell;

use crate::page::value::Value;

/// The most visits to a node, an attribute or 64 bytes of text for one field. One takes 2 to 25 ns,
/// so this is about two seconds; `xpath` allows fewer where it does more with each.
pub(crate) const VISITS_MAX: u64 = 1 << 26;

/// The same bound for an expression that may find a node from many others. The evaluator keeps 16
/// bytes for each before it drops duplicates: memory is the bound here.
pub(crate) const VISITS_GATHERED_MAX: u64 = 1 << 23;

/// The most bytes of the values of one field. Elements within elements repeat their text.
pub(crate) const VALUES_BYTES_MAX: usize = 8 << 20;

/// The bytes of text that count as one visit.
const TEXT_VISIT_BYTES: usize = 64;

/// The visits that are left for a field. Everything that reads the page for it takes from one
/// budget.
#[derive(Debug)]
pub(crate) struct VisitBudget(Cell<u64>);

impl VisitBudget {
    pub(crate) fn new(visits: u64) -> VisitBudget {
        VisitBudget(Cell::new(visits))
    }

    /// Takes one visit. Returns false when none are left.
    pub(crate) fn take(&self) -> bool {
        self.take_many(1)
    }

    /// Takes the visits that reading `text` costs.
    pub(crate) fn take_text(&self, text: &str) -> bool {
        self.take_many(1 + (text.len() / TEXT_VISIT_BYTES) as u64)
    }

    pub(crate) fn are_spent(&self) -> bool {
        self.0.get() == 0
    }

    /// Takes all that is left, for work that cannot be finished.
    pub(crate) fn spend(&self) {
        self.0.set(0);
    }

    /// Takes several visits at once. Returns false when none are left.
    pub(crate) fn take_many(&self, count: u64) -> bool {
        let left = self.0.get().saturating_sub(count);
        self.0.set(left);
        left > 0
    }
}

/// The values of one field.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Values {
    pub(crate) list: Vec<Value>,
    /// Whether a bound left something out.
    pub(crate) truncated: bool,
    /// Whether the work was not finished. There are no values then: a part could mislead.
    pub(crate) unfinished: bool,
    bytes: usize,
}

impl Values {
    /// Returns the values of a field whose work was not finished: none.
    pub(crate) fn unfinished() -> Values {
        Values { unfinished: true, ..Values::default() }
    }

    /// Returns the most bytes that another value may have.
    pub(crate) fn room(&self) -> usize {
        VALUES_BYTES_MAX.saturating_sub(self.bytes)
    }

    /// Adds a value. Returns false when there is no room for more.
    pub(crate) fn push(&mut self, value: &str) -> bool {
        self.bytes += value.len();
        self.truncated |= self.bytes > VALUES_BYTES_MAX;
        if !self.truncated {
            self.list.push(value.into());
        }
        !self.truncated
    }
}
