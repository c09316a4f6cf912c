//! Applying one function to many items: in order, or as results come.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::error::TaskError;
use crate::executor::ThreadPoolExecutor;
use crate::future::Future;
use crate::sync::Mutex;
use crate::wait::AsCompleted;

/// How many items a map takes for each worker, unless told otherwise: one to work on, one to go on with at once.
const IN_FLIGHT_PER_WORKER: usize = 2;

/// The function of a map with its state found, ready for an item.
type Step<A, T> = Arc<dyn Fn(A) -> T + Send + Sync>;

/// The iterator behind [`ThreadPoolExecutor::map`].
#[must_use = "a map is lazy: it does nothing until its results are read"]
pub struct Map<'pool, I, A, T>
where
    T: Send + 'static,
{
    source: Source<'pool, I, A, T>,
    window: VecDeque<Future<T>>,
}

impl<'pool, I, A, T> Map<'pool, I, A, T>
where
    I: Iterator<Item = A>,
    A: Send + 'static,
    T: Send + 'static,
{
    pub(crate) fn new<S, N, F>(pool: &'pool ThreadPoolExecutor, items: I, init: N, f: F) -> Self
    where
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, A) -> T + Send + Sync + 'static,
    {
        Map { source: Source::new(pool, items, init, f), window: VecDeque::new() }
    }

    /// How many items may be taken and not yielded, at least 1. By default two for each worker.
    ///
    /// A slow item holds up the results behind it, and once so many have piled up, the items too: the more in flight,
    /// the less that matters, and the more results are held in memory.
    pub fn in_flight(mut self, items: usize) -> Self {
        self.source.in_flight = items.max(1);
        self
    }
}

impl<I, A, T> Iterator for Map<'_, I, A, T>
where
    I: Iterator<Item = A>,
    A: Send + 'static,
    T: Send + 'static,
{
    type Item = Result<T, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.window.len() < self.source.in_flight {
            let Some(future) = self.source.submit_next() else { break };
            self.window.push_back(future);
        }
        self.window.pop_front().map(Future::result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.source.size_hint(self.window.len())
    }
}

impl<I, A, T: Send + 'static> Drop for Map<'_, I, A, T> {
    fn drop(&mut self) {
        for future in &self.window {
            future.cancel();
        }
    }
}

impl<I, A, T: Send + 'static> fmt::Debug for Map<'_, I, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("window", &self.window).finish()
    }
}

/// The iterator behind [`ThreadPoolExecutor::map_unordered`].
#[must_use = "a map is lazy: it does nothing until its results are read"]
pub struct MapUnordered<'pool, I, A, T>
where
    T: Send + 'static,
{
    source: Source<'pool, I, A, T>,
    window: AsCompleted<T>,
}

impl<'pool, I, A, T> MapUnordered<'pool, I, A, T>
where
    I: Iterator<Item = A>,
    A: Send + 'static,
    T: Send + 'static,
{
    pub(crate) fn new<S, N, F>(pool: &'pool ThreadPoolExecutor, items: I, init: N, f: F) -> Self
    where
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, A) -> T + Send + Sync + 'static,
    {
        MapUnordered { source: Source::new(pool, items, init, f), window: AsCompleted::new() }
    }

    /// How many items may be taken and not yielded, at least 1. By default two for each worker.
    pub fn in_flight(mut self, items: usize) -> Self {
        self.source.in_flight = items.max(1);
        self
    }
}

impl<I, A, T> Iterator for MapUnordered<'_, I, A, T>
where
    I: Iterator<Item = A>,
    A: Send + 'static,
    T: Send + 'static,
{
    type Item = Result<T, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.window.pending() < self.source.in_flight {
            let Some(future) = self.source.submit_next() else { break };
            self.window.push(future);
        }
        self.window.next().map(Future::result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.source.size_hint(self.window.pending())
    }
}

impl<I, A, T: Send + 'static> Drop for MapUnordered<'_, I, A, T> {
    fn drop(&mut self) {
        self.window.cancel_all();
    }
}

impl<I, A, T: Send + 'static> fmt::Debug for MapUnordered<'_, I, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapUnordered").field("window", &self.window).finish()
    }
}

/// Items on their way into the pool.
struct Source<'pool, I, A, T> {
    pool: &'pool ThreadPoolExecutor,
    /// `None` once it has ended, for an iterator need not say so twice.
    items: Option<I>,
    step: Step<A, T>,
    in_flight: usize,
}

impl<'pool, I, A, T> Source<'pool, I, A, T>
where
    I: Iterator<Item = A>,
    A: Send + 'static,
    T: Send + 'static,
{
    fn new<S, N, F>(pool: &'pool ThreadPoolExecutor, items: I, init: N, f: F) -> Self
    where
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, A) -> T + Send + Sync + 'static,
    {
        let states = Mutex::new(Vec::new());
        let step = move |item: A| {
            let spare = states.lock().pop();
            let mut state = spare.unwrap_or_else(&init);
            let result = f(&mut state, item);
            // Not reached when `f` panics: a state left half changed is not used again.
            states.lock().push(state);
            result
        };
        let in_flight = pool.max_workers().saturating_mul(IN_FLIGHT_PER_WORKER);
        Source { pool, items: Some(items), step: Arc::new(step), in_flight }
    }

    fn submit_next(&mut self) -> Option<Future<T>> {
        let Some(item) = self.items.as_mut()?.next() else {
            self.items = None;
            return None;
        };
        let step = Arc::clone(&self.step);
        Some(self.pool.submit(move || step(item)))
    }

    fn size_hint(&self, in_window: usize) -> (usize, Option<usize>) {
        let (least, most) = self.items.as_ref().map_or((0, Some(0)), Iterator::size_hint);
        (least.saturating_add(in_window), most.and_then(|most| most.checked_add(in_window)))
    }
}
