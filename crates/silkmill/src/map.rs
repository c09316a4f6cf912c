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

/// The iterator behind [`ThreadPoolExecutor::map`].
#[must_use = "a map is lazy: it does nothing until its results are read"]
pub struct Map<'pool, I, A, T>
where
    T: Send,
{
    source: Source<'pool, I, A, T>,
    window: VecDeque<Future<T>>,
}

impl<'pool, I, A, T> Map<'pool, I, A, T>
where
    I: Iterator<Item = A>,
    T: Send,
{
    pub(crate) fn new<S, N, F>(pool: &'pool ThreadPoolExecutor, items: I, init: N, f: F) -> Self
    where
        A: Send + 'static,
        T: 'static,
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, A) -> T + Send + Sync + 'static,
    {
        Map::over(with_state(pool, init, f), items, pool.max_workers())
    }

    pub(crate) fn over(submit: Submit<'pool, A, T>, items: I, max_workers: usize) -> Self {
        Map { source: Source::new(submit, items, max_workers), window: VecDeque::new() }
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
    T: Send,
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

impl<I, A, T: Send> Drop for Map<'_, I, A, T> {
    fn drop(&mut self) {
        for future in &self.window {
            future.cancel();
        }
    }
}

impl<I, A, T: Send> fmt::Debug for Map<'_, I, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("window", &self.window).finish()
    }
}

/// The iterator behind [`ThreadPoolExecutor::map_unordered`].
#[must_use = "a map is lazy: it does nothing until its results are read"]
pub struct MapUnordered<'pool, I, A, T>
where
    T: Send,
{
    source: Source<'pool, I, A, T>,
    window: AsCompleted<T>,
}

impl<'pool, I, A, T> MapUnordered<'pool, I, A, T>
where
    I: Iterator<Item = A>,
    T: Send,
{
    pub(crate) fn new<S, N, F>(pool: &'pool ThreadPoolExecutor, items: I, init: N, f: F) -> Self
    where
        A: Send + 'static,
        T: 'static,
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, A) -> T + Send + Sync + 'static,
    {
        MapUnordered::over(with_state(pool, init, f), items, pool.max_workers())
    }

    pub(crate) fn over(submit: Submit<'pool, A, T>, items: I, max_workers: usize) -> Self {
        MapUnordered { source: Source::new(submit, items, max_workers), window: AsCompleted::new() }
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
    T: Send,
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

impl<I, A, T: Send> Drop for MapUnordered<'_, I, A, T> {
    fn drop(&mut self) {
        self.window.cancel_all();
    }
}

impl<I, A, T: Send> fmt::Debug for MapUnordered<'_, I, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapUnordered").field("window", &self.window).finish()
    }
}

/// Hands one item to the pool.
pub(crate) type Submit<'pool, A, T> = Box<dyn FnMut(A) -> Future<T> + Send + 'pool>;

/// Items on their way into the pool.
struct Source<'pool, I, A, T> {
    /// `None` once it has ended, for an iterator need not say so twice.
    items: Option<I>,
    submit: Submit<'pool, A, T>,
    in_flight: usize,
}

/// Submits items to be given to `f`, with a state that `init` makes when a worker needs one and none is at hand.
fn with_state<'pool, A, T, S, N, F>(
    pool: &'pool ThreadPoolExecutor,
    init: N,
    f: F,
) -> Submit<'pool, A, T>
where
    A: Send + 'static,
    T: Send + 'static,
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
    let step = Arc::new(step);
    Box::new(move |item| {
        let step = Arc::clone(&step);
        pool.submit(move || step(item))
    })
}

impl<'pool, I, A, T> Source<'pool, I, A, T>
where
    I: Iterator<Item = A>,
    T: Send,
{
    fn new(submit: Submit<'pool, A, T>, items: I, max_workers: usize) -> Self {
        let in_flight = max_workers.saturating_mul(IN_FLIGHT_PER_WORKER);
        Source { items: Some(items), submit, in_flight }
    }

    fn submit_next(&mut self) -> Option<Future<T>> {
        let Some(item) = self.items.as_mut()?.next() else {
            self.items = None;
            return None;
        };
        Some((self.submit)(item))
    }

    fn size_hint(&self, in_window: usize) -> (usize, Option<usize>) {
        let (least, most) = self.items.as_ref().map_or((0, Some(0)), Iterator::size_hint);
        (least.saturating_add(in_window), most.and_then(|most| most.checked_add(in_window)))
    }
}
