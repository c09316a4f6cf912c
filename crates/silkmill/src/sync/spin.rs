//! Waiting a little while awake, while that pays.

use std::sync::OnceLock;

use crate::pool::sleep::{SPINS_MAX, Spinning};
use crate::sync::{Mutex, spin_loop};

/// Spins for those who wait for a result, as [`Spinning`] does for workers.
pub(crate) struct AdaptiveSpin {
    /// A guess that any of many waiters may spoil; a lock that is taken only by those who would otherwise sleep.
    spinning: Mutex<Spinning>,
}

impl AdaptiveSpin {
    pub(crate) fn new() -> Self {
        AdaptiveSpin { spinning: Mutex::new(Spinning::default()) }
    }

    /// Looks for a while whether `is_true`, if that has paid lately. Whether it was.
    pub(crate) fn until(&self, is_true: impl Fn() -> bool) -> bool {
        if !self.spinning.lock().begin() {
            return false;
        }
        let found = (0..SPINS_MAX).any(|_| {
            spin_loop();
            is_true()
        });
        self.spinning.lock().end(found);
        found
    }
}

/// Whether there is another processor that could change what a spinner looks at.
pub(crate) fn is_of_use() -> bool {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    let count = || std::thread::available_parallelism().map_or(1, usize::from);
    *PROCESSORS.get_or_init(count) > 1
}
