//! Owners of a pool that many threads make and drop, without a counter that all of them change.
//!
//! Every future owns its pool. Were that an `Arc` of the pool, each submission and each result that
//! is read would take the cache line of its counter from the processor that had it last. So an
//! executor has a few counters, each the owner of the pool, and a thread uses the one that its
//! stack's place in memory leads to.

use std::ops::Deref;
use std::sync::Arc;

use crate::pool::Pool;

/// The number of counters of an executor.
const COUNTERS: usize = 8;

/// The stacks of two threads begin at least so far from each other, as a power of two.
const STACK_DISTANCE_BITS: u32 = 21;

/// An owner of a pool. A clone has the same counter.
#[derive(Clone)]
pub(crate) struct PoolShare(Arc<Counted>);

/// Aligned so that each counter, which stands before it, has cache lines of its own.
#[repr(align(128))]
struct Counted {
    pool: Arc<Pool>,
}

impl PoolShare {
    /// Makes one with a counter of its own.
    pub(crate) fn new(pool: &Arc<Pool>) -> Self {
        PoolShare(Arc::new(Counted { pool: Arc::clone(pool) }))
    }
}

impl Deref for PoolShare {
    type Target = Arc<Pool>;

    fn deref(&self) -> &Arc<Pool> {
        &self.0.pool
    }
}

/// The counters of an executor.
pub(crate) struct PoolShares([PoolShare; COUNTERS]);

impl PoolShares {
    pub(crate) fn new(pool: &Arc<Pool>) -> Self {
        PoolShares(std::array::from_fn(|_| PoolShare::new(pool)))
    }

    /// Returns a share whose counter few other threads use.
    pub(crate) fn of_this_thread(&self) -> PoolShare {
        let on_stack = 0_u8;
        let stack = (&raw const on_stack).addr() >> STACK_DISTANCE_BITS;
        self.0[stack % COUNTERS].clone()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::executor::ThreadPoolExecutor;

    #[test]
    fn threads_that_run_at_once_share_few_counters() {
        let executor = ThreadPoolExecutor::builder().build().expect("one worker is some");
        let shares = PoolShares::new(&executor.pool);
        let meeting = std::sync::Barrier::new(COUNTERS);
        let counter = || {
            let share = shares.of_this_thread();
            meeting.wait();
            Arc::as_ptr(&share.0).addr()
        };
        let mut counters: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..COUNTERS).map(|_| scope.spawn(counter)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
        });
        counters.sort_unstable();
        counters.dedup();
        assert!(counters.len() > COUNTERS / 4, "{}", counters.len());
    }
}
