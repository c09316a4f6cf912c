//! Trivial items, many to a task, for [`Map`](crate::Map).
//!
//! Handing an item to a worker and its result back costs hundreds of nanoseconds. While items take
//! less than [`ITEM_SHORT`] each, a map puts several into one task, more and more of them up to
//! [`BATCH_MEDIUM`], or up to [`BATCH_MAX`] while they are so trivial that the wake-up of a worker
//! for each batch counts. The map tries a batch of two now and then to find out whether items are
//! that short, and measures every batch; items that wait are handed over one by one.
//!
//! Items of a batch may even wait for each other: if the batch that is to be read next takes longer
//! than [`BATCH_WAIT_MAX`], the reader takes the items out of it that have not begun, and hands
//! them over one by one. It takes the results out that are there as well: one slow item does not
//! hold up those before it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec;

use crate::error::TaskError;
use crate::pool::meter::CancelItems;
use crate::pool::{Pool, worker};
use crate::sync::Mutex;
use crate::task::hooks;
use crate::unwind::caught;

/// Items that take longer are not worth batching. A batch of [`BATCH_MEDIUM`] of them still ends
/// before [`BATCH_WAIT_MAX`].
const ITEM_SHORT: Duration = Duration::from_micros(3);

/// Items that take longer are not worth more than [`BATCH_MEDIUM`] of them in a batch. The reader
/// takes some half of that for an item, so that two workers keep it busy.
const ITEM_TRIVIAL: Duration = Duration::from_nanos(48);

/// The largest number of items in a batch, if they are trivial.
pub(crate) const BATCH_MAX: usize = 512;

/// The largest number of items in a batch, if they are not.
const BATCH_MEDIUM: usize = 256;

/// The number of batches in flight at once while they grow.
pub(crate) const BATCHES_IN_FLIGHT: usize = 4;

/// The number of items that are in flight once batches have grown, unless a program says another.
pub(crate) const BATCHED_IN_FLIGHT_MAX: usize = 1_024;

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
    /// Makes one that starts with single items; with a `max` of 1 there are no batches.
    pub(crate) fn new(max: usize) -> Self {
        BatchSize { size: 1, max: max.min(BATCH_MAX), one_by_one: 0, try_after: TRY_AFTER }
    }

    /// Returns how many items the next task may have.
    pub(crate) fn peek(&self) -> usize {
        let try_now = self.max > 1 && self.one_by_one >= self.try_after;
        if self.size == 1 && try_now { 2 } else { self.size }
    }

    /// Notes that a task with so many items is made.
    pub(crate) fn note(&mut self, size: usize) {
        self.one_by_one = if size == 1 { self.one_by_one + 1 } else { 0 };
    }

    /// Learns from a batch that was run to its end.
    pub(crate) fn learn(&mut self, items: usize, took: Duration) {
        if items < 2 {
            return;
        }
        if took <= ITEM_SHORT * items as u32 {
            let is_trivial = took <= ITEM_TRIVIAL * items as u32;
            let max = if is_trivial { self.max } else { self.max.min(BATCH_MEDIUM) };
            self.size = (items * 2).max(self.size).min(max);
        } else {
            self.size = 1;
            self.try_after = (self.try_after * 2).min(TRY_AFTER_MAX);
        }
    }

    /// Notes that the batch that was to be read next took too long.
    pub(crate) fn was_stuck(&mut self) {
        self.learn(2, BATCH_WAIT_MAX);
    }

    /// Notes that items come slowly, so that there is nothing to gain by waiting for several.
    pub(crate) fn come_slowly(&mut self) {
        self.size = 1;
    }
}

/// Items that one task runs one after the other, shared by that task and the reader of the map.
///
/// The reader may take items out that have not begun, and results of those that have ended, while
/// the task runs.
pub(crate) struct Batch<A, T> {
    /// Written by the task once an item, and by the reader when it takes something out.
    state: Mutex<State<A, T>>,
    pool: Arc<Pool>,
    /// When the items were submitted, if a hook is to be told of each.
    submitted: Option<Instant>,
}

struct State<A, T> {
    unstarted: vec::IntoIter<A>,
    results: Vec<Result<T, TaskError>>,
    /// The number of items that a shutdown took out while another of the batch ran. Their errors
    /// come after the result of that one.
    cancelled: usize,
    /// The number of items whose results were not taken out, nor they themselves.
    missing: usize,
}

/// What a batch says of itself when it has ended.
pub(crate) struct BatchEnd {
    pub(crate) items: usize,
    pub(crate) took: Duration,
}

impl<A, T> Batch<A, T> {
    pub(crate) fn new(items: Vec<A>, pool: &Arc<Pool>) -> Self {
        let missing = items.len();
        let results = Vec::with_capacity(missing);
        let state = State { unstarted: items.into_iter(), results, cancelled: 0, missing };
        let submitted = pool.has_task_hooks().then(Instant::now);
        Batch { state: Mutex::new(state), pool: Arc::clone(pool), submitted }
    }

    /// Returns the number of items that have not begun.
    fn len(&self) -> usize {
        self.state.lock().unstarted.len()
    }

    /// Returns the number of items that are still to have a result, of a batch whose task has none.
    pub(crate) fn missing(&self) -> usize {
        self.state.lock().missing
    }

    /// Drops the items of a batch whose task was refused or ended before it began.
    fn drop_unstarted(&self) {
        let mut state = self.state.lock();
        let unstarted = std::mem::take(&mut state.unstarted);
        drop(state);
        // The task itself was counted, as one.
        self.pool.count_cancelled_items(unstarted.len() as i64 - 1);
        caught(|| drop(unstarted));
    }

    /// Takes the items out that have not begun.
    pub(crate) fn take_unstarted(&self) -> vec::IntoIter<A> {
        let mut state = self.state.lock();
        let unstarted = std::mem::take(&mut state.unstarted);
        state.missing -= unstarted.len();
        unstarted
    }

    /// Takes the results out that are there.
    pub(crate) fn take_results(&self) -> Results<T> {
        let mut state = self.state.lock();
        let results = std::mem::take(&mut state.results);
        state.missing -= results.len();
        Results { queue: results.into_iter(), pool: Some(Arc::clone(&self.pool)) }
    }

    /// Runs the items on the calling worker, until there are none, or a shutdown cancels the pool.
    fn run<S>(
        &self,
        state: &mut Option<S>,
        init: impl Fn() -> S,
        f: impl Fn(&mut S, A) -> T,
    ) -> BatchEnd {
        let started = Instant::now();
        let (mut items, mut panicked) = (0, 0);
        let mut ended = None;
        loop {
            // One `catch_unwind` for all items up to the next that panics.
            let run = || {
                while let Some(item) = self.next(ended.take()) {
                    items += 1;
                    let running = self.submitted.map(|submitted| hooks::begin(submitted, None));
                    ended = Some(Ok(f(state.get_or_insert_with(&init), item)));
                    if running.is_some() {
                        drop(running);
                        hooks::end(None);
                    }
                }
            };
            let Err(payload) = catch_unwind(AssertUnwindSafe(run)) else { break };
            let error = TaskError::panicked(payload);
            if self.submitted.is_some() {
                hooks::end(Some(&error));
            }
            panicked += u64::from(error.is_panic());
            // The state may be half changed.
            caught(|| *state = None);
            ended = Some(Err(error));
        }
        worker::count_batch(items as u64, panicked);
        BatchEnd { items, took: started.elapsed() }
    }

    /// Cancels the items that have not begun.
    fn cancel_unstarted(&self) {
        let mut state = self.state.lock();
        let unstarted = std::mem::take(&mut state.unstarted);
        state.cancelled += unstarted.len();
        drop(state);
        self.pool.count_cancelled_items(unstarted.len() as i64);
        caught(|| drop(unstarted));
    }

    /// Puts the result of one item in and takes the next out.
    fn next(&self, ended: Option<Result<T, TaskError>>) -> Option<A> {
        if self.pool.token().was_cancelled() {
            self.cancel_unstarted();
        }
        let mut state = self.state.lock();
        if let Some(ended) = ended {
            state.results.push(ended);
        }
        if state.cancelled > 0 {
            let cancelled = std::mem::take(&mut state.cancelled);
            state.results.extend((0..cancelled).map(|_| Err(TaskError::cancelled())));
        }
        state.unstarted.next()
    }
}

impl<A, T> Drop for Batch<A, T> {
    fn drop(&mut self) {
        // Panics among them are reported.
        drop(self.take_results());
    }
}

impl<A: Send, T: Send> CancelItems for Batch<A, T> {
    fn cancel_items(&self) {
        self.cancel_unstarted();
    }
}

/// A batch on its way to a worker, or on it.
pub(crate) struct HandedOver<A, T> {
    batch: Arc<Batch<A, T>>,
    items: usize,
    began: bool,
}

impl<A, T> HandedOver<A, T> {
    pub(crate) fn new(batch: Arc<Batch<A, T>>) -> Self {
        let items = batch.len();
        HandedOver { batch, items, began: false }
    }

    /// Returns the number of items that it had at first.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// Runs the batch on the calling worker.
    pub(crate) fn run<S>(
        mut self,
        state: &mut Option<S>,
        init: impl Fn() -> S,
        f: impl Fn(&mut S, A) -> T,
    ) -> BatchEnd
    where
        A: Send + 'static,
        T: Send + 'static,
    {
        self.began = true;
        let batch: Arc<Batch<A, T>> = Arc::clone(&self.batch);
        worker::while_cancellable(batch, || self.batch.run(state, init, f))
    }
}

impl<A, T> Drop for HandedOver<A, T> {
    fn drop(&mut self) {
        if !self.began {
            self.batch.drop_unstarted();
        }
    }
}

/// Results of items in their order. Panics among them that no reader takes are reported.
pub(crate) struct Results<T> {
    queue: vec::IntoIter<Result<T, TaskError>>,
    pool: Option<Arc<Pool>>,
}

impl<T> Results<T> {
    pub(crate) fn nothing() -> Self {
        Results { queue: Vec::new().into_iter(), pool: None }
    }

    /// Makes the results of items that were never run.
    pub(crate) fn failed(items: usize, error: &TaskError) -> Self {
        let queue: Vec<_> = (0..items).map(|_| Err(error.clone())).collect();
        Results { queue: queue.into_iter(), pool: None }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.as_slice().is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<Result<T, TaskError>> {
        self.queue.next()
    }

    pub(crate) fn append(&mut self, mut more: Results<T>) {
        let (before, after) = (std::mem::take(&mut self.queue), std::mem::take(&mut more.queue));
        self.queue = before.chain(after).collect::<Vec<_>>().into_iter();
        self.pool = self.pool.take().or_else(|| more.pool.take());
    }
}

impl<T> Drop for Results<T> {
    fn drop(&mut self) {
        for result in self.queue.by_ref() {
            if let (Err(error), Some(pool)) = (&result, &self.pool)
                && error.is_panic()
            {
                pool.report_unread(error);
            }
            caught(|| drop(result));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::Cell;
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
        let batch = Batch::new((1..=4).collect(), &executor.pool);
        let fail = |(): &mut (), n: u32| if n.is_multiple_of(2) { panic!("{n}") } else { n };

        assert_eq!(batch.run(&mut None, || (), fail).items, 4);
        let mut results = batch.take_results();

        assert_eq!(results.pop().and_then(Result::ok), Some(1));
        assert!(results.pop().is_some_and(|result| result.is_err()), "the second is read");
        drop(results);
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["4"]);
    }

    #[test]
    fn a_panic_in_a_batch_that_nobody_reads_is_reported() {
        let (sender, receiver) = channel();
        let executor = ThreadPoolExecutor::builder()
            .on_unread_error(move |error| drop(sender.send(error.message().to_owned())))
            .build()
            .expect("one worker is some");
        let batch = Batch::new((1..=5).collect(), &executor.pool);
        let fail = |_: &mut i32, n: u32| assert!(!n.is_multiple_of(2), "{n}");

        let (mut state, made) = (None, Cell::new(0));
        let init = || made.replace(made.get() + 1);
        assert_eq!(batch.run(&mut state, init, fail).items, 5);
        assert_eq!(state, Some(2), "each panic loses its state");
        drop(batch);
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["2", "4"]);
    }

    #[test]
    fn batches_grow_while_items_are_short_and_end_when_they_are_not() {
        let next = |size: &mut BatchSize| {
            let items = size.peek();
            size.note(items);
            items
        };
        let mut size = BatchSize::new(BATCH_MAX);
        let first = (0..).position(|_| next(&mut size) == 2);
        assert_eq!(first, Some(TRY_AFTER));
        for expected in [4, 8, 16, 32, 64, 128, 256, 512, 512] {
            let items = next(&mut size).max(2);
            size.learn(items, Duration::ZERO);
            assert_eq!(next(&mut size), expected);
        }
        for expected in [256, 256] {
            let items = next(&mut size);
            size.learn(items, ITEM_SHORT * items as u32);
            assert_eq!(next(&mut size), expected, "they are short, but not trivial");
        }
        size.learn(256, Duration::from_secs(1));
        let again = (0..).position(|_| next(&mut size) == 2);
        assert_eq!(again, Some(2 * TRY_AFTER), "it is tried again, later");
        assert_eq!(BatchSize::new(1).peek(), 1);
    }
}
