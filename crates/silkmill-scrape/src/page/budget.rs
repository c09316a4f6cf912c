//! What reading one field of one page may cost, in work and in bytes.
//!
//! An expression is the user's, a page is anybody's. `//*[following::*]` is harmless on most pages
//! and takes hours on some, so the tree counts how often it is looked at while a field is read.

use std::cell::Cell;

use crate::page::value::Value;

/// Most looks at a node, an attribute or 64 bytes of text for one field. One takes 2 to
/// 25 ns, so that this is about two seconds; `xpath` allows fewer where it does more with each.
pub(crate) const VISITS_MAX: u64 = 1 << 26;

/// The same for an expression that may find a node from many others. The evaluator keeps 16 bytes
/// for each before it drops what it found twice: here memory is the bound.
pub(crate) const VISITS_GATHERED_MAX: u64 = 1 << 23;

/// Most bytes of the values of one field. Elements within elements repeat their text.
pub(crate) const VALUES_BYTES_MAX: usize = 8 << 20;

/// Bytes of text that count as one visit.
const TEXT_VISIT_BYTES: usize = 64;

/// What is left of the work for a field. Shared by all that read the page for it.
#[derive(Debug)]
pub(crate) struct VisitBudget(Cell<u64>);

impl VisitBudget {
    pub(crate) fn new(visits: u64) -> VisitBudget {
        VisitBudget(Cell::new(visits))
    }

    /// Takes one visit; false when none are left.
    pub(crate) fn take(&self) -> bool {
        self.take_many(1)
    }

    /// Takes what it costs to read `text`.
    pub(crate) fn take_text(&self, text: &str) -> bool {
        self.take_many(1 + (text.len() / TEXT_VISIT_BYTES) as u64)
    }

    pub(crate) fn are_spent(&self) -> bool {
        self.0.get() == 0
    }

    /// Takes several looks at once.
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
    /// What a field has when its work was not finished.
    pub(crate) fn unfinished() -> Values {
        Values { unfinished: true, ..Values::default() }
    }

    /// Adds a value; false when there is no room for more.
    pub(crate) fn push(&mut self, value: &str) -> bool {
        self.bytes += value.len();
        self.truncated |= self.bytes > VALUES_BYTES_MAX;
        if !self.truncated {
            self.list.push(value.into());
        }
        !self.truncated
    }
}
