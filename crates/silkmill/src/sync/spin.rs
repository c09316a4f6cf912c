//! Spinning for a little while before sleeping, as long as that pays off.

use std::sync::OnceLock;

use crate::sync::{Mutex, spin_loop};

/// The number of turns that a spinner's loop takes; some twenty microseconds in all.
#[cfg(not(loom))]
pub(crate) const SPINS_MAX: u32 = 1_000;
#[cfg(loom)]
pub(crate) const SPINS_MAX: u32 = 0;

/// Spins for threads that wait for a result, as [`Spinning`] does for workers.
pub(crate) struct AdaptiveSpin {
    /// A guess that any of many waiters may spoil; its lock is taken only by threads that would
    /// otherwise sleep.
    spinning: Mutex<Spinning>,
}

impl AdaptiveSpin {
    pub(crate) fn new() -> Self {
        AdaptiveSpin { spinning: Mutex::new(Spinning::default()) }
    }

    /// Spins until `is_true`, if recent spins paid off. Returns whether it became true.
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

/// Returns whether there is another processor that could change what a spinner looks at.
pub(crate) fn is_useful() -> bool {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    let count = || std::thread::available_parallelism().map_or(1, usize::from);
    *PROCESSORS.get_or_init(count) > 1
}

/// Decides whether to spin. A success buys [`CREDIT_MAX`] more tries, a failure costs one, and
/// without credit only one sleep in [`PROBE_EVERY`] is preceded by a try. So tasks that come in a
/// row are picked up without a system call, and a pool that gets one task a millisecond spends next
/// to nothing on spinning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spinning {
    is_spinning: bool,
    credit: u32,
    declined: u32,
}

const CREDIT_MAX: u32 = 4;
const PROBE_EVERY: u32 = 32;

impl Spinning {
    /// Returns whether the caller may spin. A caller that may must [`end`](Spinning::end) its spin.
    pub(crate) fn begin(&mut self) -> bool {
        if SPINS_MAX == 0 || self.is_spinning || !is_useful() {
            return false;
        }
        if self.credit == 0 {
            self.declined += 1;
            if self.declined < PROBE_EVERY {
                return false;
            }
            self.declined = 0;
        }
        self.is_spinning = true;
        true
    }

    pub(crate) fn end(&mut self, found: bool) {
        self.is_spinning = false;
        self.credit = if found { CREDIT_MAX } else { self.credit.saturating_sub(1) };
    }
}
