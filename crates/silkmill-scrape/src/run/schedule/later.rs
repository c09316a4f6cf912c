//! An item that waits for its own time.

use std::time::Instant;

/// An item that must not start yet, compared by its time, then by its place in the input.
#[derive(Debug)]
pub(super) struct Later<T> {
    pub(super) not_before: Instant,
    pub(super) place: u64,
    pub(super) item: T,
}

impl<T> PartialEq for Later<T> {
    fn eq(&self, other: &Later<T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Later<T> {}

impl<T> PartialOrd for Later<T> {
    fn partial_cmp(&self, other: &Later<T>) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Later<T> {
    fn cmp(&self, other: &Later<T>) -> std::cmp::Ordering {
        (self.not_before, self.place).cmp(&(other.not_before, other.place))
    }
}
