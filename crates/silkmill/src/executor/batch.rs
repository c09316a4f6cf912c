//! Trivial items, many to a task, for [`Map`](crate::Map).
//!
//! Handing an item to a worker and its result back costs hundreds of nanoseconds. While items take
//! less than [`ITEM_SHORT`] each, a map puts several into one task, more and more of them up to
//! [`BATCH_MAX`]. The map tries a batch of two now and then to find out whether items are that
//! short, and measures every batch; items that wait are handed over one by one.
//!
//! Items of a batch may even wait for each other: if the batch that is to be read next takes longer
//! than [`BATCH_WAIT_MAX`], the reader takes the items out of it that have not begun, and hands
//! them over one by one.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::pool::Pool;
use crate::sync::Mutex;
use crate::unwind::caught;

/// Items that take longer are not worth batching.
const ITEM_SHORT: Duration = Duration::from_micros(1);

/// The largest number of items in a batch.
pub(crate) const BATCH_MAX: usize = 256;

/// The number of batches in flight at once, at their largest.
pub(crate) const BATCHES_IN_FLIGHT: usize = 4;

/// The time a batch may take before its items are taken out of it.
pub(crate) const BATCH_WAIT_MAX: Duration = Duration::from_millis(1);

/// The number of items handed over one by one before a batch is first tried.
const TRY_AFTER: usize = 64;

/// The largest such number: every failed try doubles it.
const TRY_AFTER_MAX: usize = 1 << 16;

/// Decides how many items go into the next task.
#[derive(Debug)]
pub(crate) struct BatchSize {
    size: usize,
    max: usize,
    one_by_one: usize,
    try_after: usize,
}

impl BatchSize {
    /// With a `max` of 1 there are no batches.
    pub(crate) fn new(max: usize) -> Self {
        BatchSize { size: 1, max: max.min(BATCH_MAX), one_by_one: 0, try_after: TRY_AFTER }
    }

    /// Returns how many items the next task may have.
    pub(crate) fn peek(&self) -> usize {
        let try_now = self.max > 1 && self.one_by_one >= self.try_after;
        if self.size == 1 && try_now { 2 } else { self.size }
    }

    /// Returns the same, for a task that is made now.
    pub(crate) fn next(&mut self) -> usize {
        let size = self.peek();
        self.one_by_one = if size == 1 { self.one_by_one + 1 } else { 0 };
        size
    }

    /// Learns from a batch that was run to its end.
    pub(crate) fn learn(&mut self, items: usize, took: Duration) {
        if items < 2 {
            return;
        }
        if took <= ITEM_SHORT * items as u32 {
            self.size = (items * 2).clamp(self.size, self.max);
        } else {
            self.size = 1;
            self.try_after = (self.try_after * 2).min(TRY_AFTER_MAX);
        }
    }

    /// Notes that the batch that was to be read next took too long.
    pub(crate) fn was_stuck(&mut self) {
        self.learn(2, BATCH_WAIT_MAX);
    }
}

/// The items of a batch that have not begun.
pub(crate) type Unstarted<A> = Arc<Mutex<VecDeque<A>>>;

/// The results of the items that a task ran. Panics among them that no reader takes are reported.
pub(crate) struct BatchResults<T> {
    results: VecDeque<Result<T, TaskError>>,
    took: Duration,
    pool: Option<Arc<Pool>>,
}

impl<T> BatchResults<T> {
    pub(crate) fn nothing() -> Self {
        BatchResults { results: VecDeque::new(), took: Duration::ZERO, pool: None }
    }

    /// Makes the results of items that were never run.
    pub(crate) fn failed(items: usize, error: TaskError) -> Self {
        let copies = (1..items).map(|_| error.copy());
        let mut results: VecDeque<_> = copies.map(Err).collect();
        if items > 0 {
            results.push_back(Err(error));
        }
        BatchResults { results, took: Duration::ZERO, pool: None }
    }

    /// Takes items out of `unstarted` and runs them, until there are none.
    pub(crate) fn all<A, S>(
        unstarted: &Unstarted<A>,
        pool: Arc<Pool>,
        state: &mut Option<S>,
        init: impl Fn() -> S,
        f: impl Fn(&mut S, A) -> T,
    ) -> Self {
        let started = Instant::now();
        let mut results = VecDeque::with_capacity(unstarted.lock().len());
        let next = || unstarted.lock().pop_front();
        while let Some(item) = next() {
            let run = || f(state.get_or_insert_with(&init), item);
            let result = catch_unwind(AssertUnwindSafe(run)).map_err(TaskError::panicked);
            if result.is_err() {
                // The state may be half changed.
                caught(|| *state = None);
            }
            results.push_back(result);
        }
        BatchResults { results, took: started.elapsed(), pool: Some(pool) }
    }

    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    pub(crate) fn len(&self) -> usize {
        self.results.len()
    }

    pub(crate) fn pop(&mut self) -> Option<Result<T, TaskError>> {
        self.results.pop_front()
    }
}

impl<T> Drop for BatchResults<T> {
    fn drop(&mut self) {
        for result in self.results.drain(..) {
            if let (Err(error), Some(pool)) = (&result, &self.pool)
                && error.is_panic()
            {
                pool.report_unread(error);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::executor::ThreadPoolExecutor;

    #[test]
    fn a_panic_among_results_that_nobody_reads_is_reported() {
        let (sender, receiver) = channel();
        let executor = ThreadPoolExecutor::builder()
            .on_unread_error(move |error| drop(sender.send(error.message().to_owned())))
            .build()
            .expect("one worker is some");
        let unstarted = Arc::new(Mutex::new((1..=4).collect()));
        let pool = Arc::clone(&executor.pool);
        let fail = |(): &mut (), n: u32| if n.is_multiple_of(2) { panic!("{n}") } else { n };

        let mut results = BatchResults::all(&unstarted, pool, &mut None, || (), fail);

        assert_eq!(results.pop().and_then(Result::ok), Some(1));
        assert!(results.pop().is_some_and(|result| result.is_err()), "the second is read");
        drop(results);
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["4"]);
    }

    #[test]
    fn batches_grow_while_items_are_short_and_end_when_they_are_not() {
        let mut size = BatchSize::new(BATCH_MAX);
        let first = (0..).position(|_| size.next() == 2);
        assert_eq!(first, Some(TRY_AFTER));
        for expected in [4, 8, 16, 32, 64, 128, 256, 256] {
            let items = size.next().max(2);
            size.learn(items, Duration::ZERO);
            assert_eq!(size.next(), expected);
        }
        size.learn(256, Duration::from_secs(1));
        let again = (0..).position(|_| size.next() == 2);
        assert_eq!(again, Some(2 * TRY_AFTER), "it is tried again, later");
        assert_eq!(BatchSize::new(1).next(), 1);
    }
}
