//! One function applied to many items: results as they come.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{TaskError, TimedOut};
use crate::executor::ThreadPoolExecutor;
use crate::executor::feed::{FED, Taken};
use crate::executor::future::Future;
use crate::executor::mapper::{InitFailures, Mapper, Submit};
use crate::executor::source::{IN_FLIGHT_PER_WORKER, Source};
use crate::executor::task_options::TaskOptions;
use crate::executor::wait::AsCompleted;
use crate::pool::Pool;
use crate::pool::share::PoolShare;
use crate::sync::Deadline;
use crate::task::TaskHandle;

/// The iterator behind [`ThreadPoolExecutor::map_unordered`].
///
/// ```
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(4).build()?;
/// let mut squares: Vec<u64> = pool.map_unordered(1..=3, |n| n * n).collect::<Result<_, _>>()?;
/// squares.sort();
/// assert_eq!(squares, [1, 4, 9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a map is lazy: it does nothing until its results are read"]
pub struct MapUnordered<'pool, I, A, T>
where
    T: Send,
{
    source: Source<I, A>,
    submit: Submit<'pool, A, T>,
    failures: Arc<InitFailures>,
    promises_all: bool,
    window: AsCompleted<T>,
    /// A result that came while the reader waited whether to take an item.
    first: Option<Future<T>>,
    in_flight: usize,
    pool: Arc<Pool>,
}

impl<'pool, I, A, T> MapUnordered<'pool, I, A, T>
where
    I: Iterator<Item = A>,
    T: Send,
{
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
        MapUnordered::over(mapper.submitting(options), failures, items, executor)
    }

    pub(crate) fn over(
        submit: Submit<'pool, A, T>,
        failures: Arc<InitFailures>,
        items: I,
        executor: &ThreadPoolExecutor,
    ) -> Self {
        MapUnordered {
            source: Source::new(items),
            submit,
            failures,
            promises_all: false,
            window: AsCompleted::new(),
            first: None,
            in_flight: executor.max_workers().saturating_mul(IN_FLIGHT_PER_WORKER),
            pool: Arc::clone(&executor.pool),
        }
    }

    /// Lets the map promise as many results as there are items: it has no state that could not be
    /// made, and so no reason to end early.
    pub(crate) fn without_states(mut self) -> Self {
        self.promises_all = true;
        self
    }

    /// Sets how many items may be taken and not yielded, at least 1. By default two for each
    /// worker.
    pub fn in_flight(mut self, items: usize) -> Self {
        self.in_flight = items.max(1);
        self
    }

    /// Lets a thread of its own take the items: see [`Map::prefetch`](crate::Map::prefetch).
    pub fn prefetch(mut self) -> Self
    where
        I: Send + 'static,
        A: Send + 'static,
    {
        self.source.feed(format!("{}-items", self.pool.name()), self.window.waiter());
        self
    }

    /// Says that the iterator never waits for anything: see
    /// [`Map::always_ready`](crate::Map::always_ready).
    pub fn always_ready(mut self) -> Self {
        self.source.is_always_ready();
        self
    }

    /// Waits for the next result for at most `timeout`, like
    /// [`Map::next_timeout`](crate::Map::next_timeout).
    ///
    /// # Errors
    /// [`TimedOut`] when there was none in time. A later call waits for the same.
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Result<T, TaskError>>, TimedOut> {
        self.next_until(Deadline::after(timeout))
    }

    fn next_until(&mut self, deadline: Deadline) -> Result<Option<Result<T, TaskError>>, TimedOut> {
        loop {
            self.fill(deadline);
            if let Some(first) = self.first.take() {
                return Ok(Some(first.result()));
            }
            if self.window.pending() == 0 && self.source.has_ended() {
                return Ok(None);
            }
            if self.source.is_fed() && !self.pool.is_here() {
                self.end_in_child();
            }
            match self.window.next_event(deadline, Some(&self.pool)) {
                None => return Err(TimedOut),
                Some((_, Some(future))) => return Ok(Some(future.result())),
                Some((index, None)) => debug_assert_eq!(index, FED),
            }
        }
    }

    /// Ends the map with an error, in a process without the thread that takes its items.
    fn end_in_child(&mut self) {
        self.source.end();
        if self.window.pending() == 0 {
            let task = TaskHandle::failed(TaskError::forked());
            self.window.push(Future::new(task, PoolShare::new(&self.pool)));
        }
    }

    fn pending(&self) -> usize {
        self.window.pending() + usize::from(self.first.is_some())
    }

    /// Takes items while there is room, and it is not better to wait for a result.
    fn fill(&mut self, deadline: Deadline) {
        self.source.make_room(self.in_flight.saturating_sub(self.pending()));
        while self.pending() < self.in_flight && !self.prefers_result(deadline) {
            if self.failures.have_ended_the_map() {
                self.source.end();
                return;
            }
            let Taken::Items(item) = self.source.take() else { return };
            self.failures.took_item();
            self.window.push((self.submit)(item));
        }
    }

    /// Returns whether a result is to be handed out before the next item is taken, because the
    /// iterator may keep the reader waiting. Waits for one for a while.
    fn prefers_result(&mut self, deadline: Deadline) -> bool {
        if self.pending() == 0 {
            return false;
        }
        let Some(patience) = self.source.patience() else { return false };
        if self.first.is_none() {
            self.first = self.window.next_now();
        }
        if self.first.is_none() && !patience.is_zero() {
            let began = Instant::now();
            // A timed wait cannot promise to return in time once it runs a task itself.
            let until = match deadline.is_never() && self.window.try_run_one_inline() {
                true => Deadline::NEVER,
                false => Deadline::after(patience).min(deadline),
            };
            let event = self.window.next_event(until, None);
            self.first = event.and_then(|(_, future)| future);
            self.source.waited(began.elapsed(), self.first.is_none());
        }
        self.first.is_some()
    }
}

impl<I, A, T> Iterator for MapUnordered<'_, I, A, T>
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
        self.source.size_hint_with(self.pending(), self.promises_all)
    }
}

impl<I, A, T: Send> Drop for MapUnordered<'_, I, A, T> {
    fn drop(&mut self) {
        self.window.cancel_all();
    }
}

impl<I, A, T: Send> fmt::Debug for MapUnordered<'_, I, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapUnordered")
            .field("pending", &self.window.pending())
            .finish_non_exhaustive()
    }
}
