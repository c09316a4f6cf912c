//! One function applied to many items: results in the items' order. What can be asked of such a map
//! stands in `options`.

mod options;

use std::collections::VecDeque;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{TaskError, TimedOut};
use crate::executor::ThreadPoolExecutor;
use crate::executor::batch::{
    BATCH_MAX, BATCH_WAIT_MAX, BATCHED_IN_FLIGHT_MAX, BATCHES_IN_FLIGHT, Batch, BatchSize, Results,
};
use crate::executor::feed::Taken;
use crate::executor::future::Future;
use crate::executor::mapper::{InitFailures, Mapper, Submit, SubmitMany};
use crate::executor::slot::Slot;
use crate::executor::source::{IN_FLIGHT_PER_WORKER, Source};
use crate::executor::task_options::TaskOptions;
use crate::pool::share::PoolShare;
use crate::pool::{Pool, worker};
use crate::sync::Deadline;
use crate::task::TaskHandle;
use crate::task::waiter::Waiter;

/// The iterator behind [`ThreadPoolExecutor::map`].
///
/// ```
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(4).build()?;
/// let mut squares = pool.map(1.., |n: u64| n * n).in_flight(100);
/// assert_eq!(squares.next().unwrap()?, 1);
/// let next: Result<Vec<u64>, _> = squares.take(3).collect();
/// assert_eq!(next?, [4, 9, 16]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a map is lazy: it does nothing until its results are read"]
pub struct Map<'pool, I, A, T>
where
    T: Send,
{
    source: Source<I, A>,
    submit: Submit<'pool, A, T>,
    failures: Arc<InitFailures>,
    promises_all: bool,
    /// Hands several items over at once; `None` where each item needs a task of its own.
    submit_many: Option<SubmitMany<'pool, A, T>>,
    size: BatchSize,
    /// The items that were handed over, in order.
    window: VecDeque<Slot<A, T>>,
    /// Results that are ready to be yielded, before those of the window.
    ready: Results<T>,
    /// The number of items that were taken and not yielded.
    pending: usize,
    /// While more are pending than this, no item is taken as long as results are ready.
    refill_at: usize,
    in_flight: usize,
    in_flight_is_default: bool,
    max_workers: usize,
    pool: Arc<Pool>,
    /// Notified of items, by a thread that takes them, and of the first result in the window.
    waiter: Arc<Waiter>,
}

impl<'pool, I, A, T> Map<'pool, I, A, T>
where
    I: Iterator<Item = A>,
    T: Send,
{
    pub(crate) fn batching<S, N, F>(
        executor: &'pool ThreadPoolExecutor,
        items: I,
        init: N,
        f: F,
    ) -> Self
    where
        A: Send + 'static,
        T: 'static,
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, A) -> T + Send + Sync + 'static,
    {
        let mapper = Mapper::new(init, f);
        let submit_many = Arc::clone(&mapper).submitting_many(executor);
        let failures = mapper.failures();
        let mut map = Map::over(mapper.submitting(executor.task()), failures, items, executor);
        // Each item runs in the context that was there when it was taken.
        if !executor.pool.has_context() {
            map.submit_many = Some(submit_many);
            map.size = BatchSize::new(BATCH_MAX);
        }
        map
    }

    /// Makes a map whose items each have a task with these options.
    pub(crate) fn new<S, N, F>(options: TaskOptions<'pool>, items: I, init: N, f: F) -> Self
    where
        A: Send + 'static,
        T: 'static,
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, A) -> T + Send + Sync + 'static,
    {
        let executor = options.executor();
        let mapper = Mapper::new(init, f);
        let failures = mapper.failures();
        Map::over(mapper.submitting(options), failures, items, executor)
    }

    pub(crate) fn over(
        submit: Submit<'pool, A, T>,
        failures: Arc<InitFailures>,
        items: I,
        executor: &ThreadPoolExecutor,
    ) -> Self {
        let max_workers = executor.max_workers();
        Map {
            source: Source::new(items),
            submit,
            failures,
            promises_all: false,
            submit_many: None,
            size: BatchSize::new(1),
            window: VecDeque::new(),
            ready: Results::nothing(),
            pending: 0,
            refill_at: usize::MAX,
            in_flight: max_workers.saturating_mul(IN_FLIGHT_PER_WORKER),
            in_flight_is_default: true,
            max_workers,
            pool: Arc::clone(&executor.pool),
            waiter: Arc::new(Waiter::new()),
        }
    }

    /// Lets the map promise as many results as there are items: it has no state that could not be
    /// made, and so no reason to end early.
    pub(crate) fn without_states(mut self) -> Self {
        self.promises_all = true;
        self
    }

    /// Lets the map end, too, when these are too many.
    pub(crate) fn ending_with(mut self, failures: Arc<InitFailures>) -> Self {
        self.failures = failures;
        self
    }

    fn next_until(&mut self, deadline: Deadline) -> Result<Option<Result<T, TaskError>>, TimedOut> {
        loop {
            if self.pending <= self.refill_at || self.ready.is_empty() {
                self.fill(deadline);
            }
            if let Some(result) = self.ready.pop() {
                self.pending -= 1;
                return Ok(Some(result));
            }
            if self.window.is_empty() && self.source.has_ended() {
                return Ok(None);
            }
            if !self.wait_for_first(deadline) {
                return Err(TimedOut);
            }
            if let Some(result) = self.take_first() {
                self.pending -= 1;
                return Ok(Some(result));
            }
        }
    }

    /// Takes items while there is room, and it is not better to wait for a result. Notes when there
    /// will be room again, if only results that are yielded make any.
    fn fill(&mut self, deadline: Deadline) {
        self.refill_at = usize::MAX;
        loop {
            let size = self.size_next();
            let in_flight = match self.in_flight_is_default && size > 1 {
                true => self.in_flight.max((size * BATCHES_IN_FLIGHT).min(BATCHED_IN_FLIGHT_MAX)),
                false => self.in_flight,
            };
            self.source.make_room(in_flight.saturating_sub(self.pending));
            if in_flight < self.pending + size {
                // A thread that takes items is told of all room at once.
                if !self.source.is_fed() {
                    self.refill_at = in_flight.saturating_sub(size);
                }
                return;
            }
            if self.prefers_result(deadline) || !self.submit_next(size) {
                return;
            }
        }
    }

    /// Returns how many items the next task has. Several are taken only if they will be there at
    /// once, because they wait for each other.
    fn size_next(&self) -> usize {
        let is_alone =
            self.submit_many.is_none() || self.failures.are_too_many() || self.source.may_block();
        if is_alone { 1 } else { self.size.peek() }
    }

    /// Returns whether a result is to be handed out before the next item is taken, because the
    /// iterator may keep the reader waiting. Waits for that result for a while.
    fn prefers_result(&mut self, deadline: Deadline) -> bool {
        if self.pending == 0 {
            return false;
        }
        let Some(patience) = self.source.patience() else { return false };
        if !self.ready.is_empty() || self.is_first_done() {
            return true;
        }
        if patience.is_zero() {
            return false;
        }
        let began = Instant::now();
        let until = Deadline::after(patience).min(deadline);
        let finished = self.is_first_done_by(until, deadline.is_never());
        self.source.waited(began.elapsed(), !finished);
        finished
    }

    /// Hands over the next item, or a batch of `size`. Returns false when there is none, for now.
    fn submit_next(&mut self, size: usize) -> bool {
        if self.failures.have_ended_the_map() {
            self.source.end();
            return false;
        }
        self.size.note(size);
        if size == 1 {
            let Taken::Items(item) = self.source.take() else { return false };
            self.failures.took_item();
            self.window.push_back(Slot::One((self.submit)(item)));
            self.pending += 1;
            return true;
        }
        let Taken::Items(gathered) = self.source.gather(size) else { return false };
        if gathered.slowly {
            self.size.come_slowly();
        }
        if !gathered.items.is_empty() {
            self.submit_batch(gathered.items);
        }
        if let Some(payload) = gathered.panic {
            resume_unwind(payload);
        }
        true
    }

    fn submit_batch(&mut self, items: Vec<A>) {
        let Some(submit_many) = &mut self.submit_many else {
            unreachable!("items are gathered for a map that hands several over")
        };
        self.pending += items.len();
        let batch = Arc::new(Batch::new(items, &self.pool));
        let future = submit_many(Arc::clone(&batch));
        self.window.push_back(Slot::Many(future, batch));
    }

    /// Waits until the first of the window is done, or, with a thread that takes items, until there
    /// is one. A batch that takes too long gives out what it has. Returns false when the deadline
    /// came first.
    fn wait_for_first(&mut self, deadline: Deadline) -> bool {
        if let Source::Fed(_) = self.source {
            return self.wait_for_any(deadline);
        }
        let may_run_inline = deadline.is_never();
        if let Some(Slot::Many(..)) = self.window.front() {
            let stuck = Deadline::after(BATCH_WAIT_MAX).min(deadline);
            if self.is_first_done_by(stuck, may_run_inline) {
                return true;
            }
            self.unpack_first();
            if !self.ready.is_empty() {
                return true;
            }
        }
        self.window.is_empty() || self.is_first_done_by(deadline, may_run_inline)
    }

    /// Waits until the first of the window is done. Returns false when the deadline came first. A
    /// timed wait cannot promise to return in time once it runs the task itself.
    fn is_first_done_by(&self, deadline: Deadline, may_run_inline: bool) -> bool {
        self.window.front().is_some_and(|first| {
            first.is_done()
                || (may_run_inline && first.try_run_inline())
                || (!deadline.has_passed() && self.pool.spin_until(|| first.is_done()))
                || first.wait_until(deadline)
        })
    }

    /// Waits until the first of the window is done or there is an item.
    fn wait_for_any(&mut self, deadline: Deadline) -> bool {
        if !self.pool.is_here() {
            self.end_in_child();
            return true;
        }
        if let Some(first) = self.window.front() {
            if deadline.is_never() && first.try_run_inline() {
                return true;
            }
            first.add_waiter(&self.waiter);
        }
        let is_batch = matches!(self.window.front(), Some(Slot::Many(..)));
        let until = match is_batch {
            true => Deadline::after(BATCH_WAIT_MAX).min(deadline),
            false => deadline,
        };
        let woken = self.waiter.next_now().is_some() || {
            let wait = || self.waiter.next(until).is_some();
            worker::while_blocked_on([&self.pool], wait)
        };
        if let Some(first) = self.window.front() {
            first.remove_waiter(&self.waiter);
        }
        if !woken && is_batch && !self.is_first_done() {
            self.unpack_first();
        }
        woken || !deadline.has_passed() || self.is_first_done() || !self.ready.is_empty()
    }

    /// Ends the map with an error, in a process without the thread that takes its items.
    fn end_in_child(&mut self) {
        self.source.end();
        if self.window.is_empty() {
            let task = TaskHandle::failed(TaskError::forked());
            self.window.push_back(Slot::One(Future::new(task, PoolShare::new(&self.pool))));
            self.pending += 1;
        }
    }

    fn is_first_done(&self) -> bool {
        self.window.front().is_some_and(Slot::is_done)
    }

    /// Takes out of the first batch what has not begun, and hands it over one by one; and the
    /// results that are there.
    fn unpack_first(&mut self) {
        let Some(Slot::Many(future, batch)) = self.window.pop_front() else {
            unreachable!("the first of the window is a batch")
        };
        let items = batch.take_unstarted();
        if items.len() > 0 {
            self.size.was_stuck();
            self.refill_at = usize::MAX;
            self.pool.count_batched_items(-(items.len() as i64));
        }
        self.ready = batch.take_results();
        let futures: Vec<_> = items.map(|item| (self.submit)(item)).collect();
        futures.into_iter().rev().for_each(|future| self.window.push_front(Slot::One(future)));
        self.window.push_front(Slot::Many(future, batch));
    }

    /// Takes the first result of the window, if it is there.
    fn take_first(&mut self) -> Option<Result<T, TaskError>> {
        if !self.window.front().is_some_and(Slot::has_result) {
            return self.ready.pop();
        }
        match self.window.pop_front()? {
            Slot::One(future) => Some(future.result()),
            Slot::Many(future, batch) => {
                // The size may change.
                self.refill_at = usize::MAX;
                match future.result() {
                    Ok(end) => self.size.learn(end.items, end.took),
                    Err(error) => self.fail_batch(&batch, &error),
                }
                if self.ready.is_empty() {
                    self.ready = batch.take_results();
                } else {
                    self.ready.append(batch.take_results());
                }
                self.ready.pop()
            }
        }
    }

    /// Gives the error of a batch to its items. None of them began, because the pool was shut down
    /// or no thread could be started; or some did, in the process that has forked this one.
    fn fail_batch(&mut self, batch: &Batch<A, T>, error: &TaskError) {
        self.ready.append(batch.take_results());
        let items = batch.missing();
        self.ready.append(Results::failed(items, error));
    }
}

impl<I, A, T> Iterator for Map<'_, I, A, T>
where
    I: Iterator<Item = A>,
    T: Send,
{
    type Item = Result<T, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_until(Deadline::NEVER) {
            Ok(next) => next,
            Err(TimedOut) => unreachable!("a deadline that is never does not pass"),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.source.size_hint_with(self.pending, self.promises_all)
    }
}

impl<I, A, T: Send> Drop for Map<'_, I, A, T> {
    fn drop(&mut self) {
        for slot in &self.window {
            match slot {
                Slot::One(future) => {
                    future.cancel();
                }
                Slot::Many(future, batch) => {
                    // If it has not begun it counts and drops its items itself.
                    future.cancel();
                    // A batch that runs finds nothing more to do.
                    let items = batch.take_unstarted();
                    self.pool.count_cancelled_items(items.len() as i64);
                    drop(items);
                }
            }
        }
    }
}

impl<I, A, T: Send> fmt::Debug for Map<'_, I, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("pending", &self.pending).finish_non_exhaustive()
    }
}
