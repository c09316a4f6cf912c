//! One function applied to many items: in order, or as results come.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::error::TaskError;
use crate::executor::ThreadPoolExecutor;
use crate::executor::batch::{
    BATCH_MAX, BATCH_WAIT_MAX, BATCHES_IN_FLIGHT, BatchResults, BatchSize, Unstarted,
};
use crate::executor::future::Future;
use crate::executor::wait::AsCompleted;
use crate::sync::Mutex;

/// The default number of items that a map takes for each worker: one to work on, one to go on with
/// at once.
const IN_FLIGHT_PER_WORKER: usize = 2;

impl ThreadPoolExecutor {
    /// Applies `f` to every item and yields the results in the items' order.
    ///
    /// It is lazy: items are taken from the iterator on the calling thread and only as results are
    /// read, so the iterator may be endless. At most [`in_flight`](Map::in_flight) items are taken
    /// and not yielded; dropping the iterator early cancels those that have not started.
    pub fn map<I, F, T>(&self, items: I, f: F) -> Map<'_, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.map_with(|| (), items, move |(), item| f(item))
    }

    /// Like [`map`](ThreadPoolExecutor::map), but yields each result as soon as it is there.
    pub fn map_unordered<I, F, T>(
        &self,
        items: I,
        f: F,
    ) -> MapUnordered<'_, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.map_unordered_with(|| (), items, move |(), item| f(item))
    }

    /// Like [`map`](ThreadPoolExecutor::map), with a state that `f` may use and change: a buffer, a
    /// connection.
    ///
    /// `init` makes a state when a worker needs one and none is free, so there are never more of
    /// them than workers. The state of a call that panics is dropped.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
    /// let hex: Result<Vec<String>, _> = pool
    ///     .map_with(String::new, [10, 11, 12], |buffer, n| {
    ///         buffer.clear();
    ///         buffer.push_str(&format!("{n:x}"));
    ///         buffer.clone()
    ///     })
    ///     .collect();
    /// assert_eq!(hex?, ["a", "b", "c"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_with<I, S, N, F, T>(
        &self,
        init: N,
        items: I,
        f: F,
    ) -> Map<'_, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        Map::new(self, items.into_iter(), init, f)
    }

    /// Like [`map_with`](ThreadPoolExecutor::map_with), but yields each result as soon as it is
    /// there.
    pub fn map_unordered_with<I, S, N, F, T>(
        &self,
        init: N,
        items: I,
        f: F,
    ) -> MapUnordered<'_, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        MapUnordered::new(self, items.into_iter(), init, f)
    }
}

/// The iterator behind [`ThreadPoolExecutor::map`].
#[must_use = "a map is lazy: it does nothing until its results are read"]
pub struct Map<'pool, I, A, T>
where
    T: Send,
{
    source: Source<'pool, I, A, T>,
    /// Hands several items over at once; `None` for a map that borrows.
    submit_many: Option<SubmitMany<'pool, A, T>>,
    size: BatchSize,
    /// The items that were handed over, in order.
    window: VecDeque<Slot<A, T>>,
    /// Results that are ready to be yielded, before those of the window.
    ready: BatchResults<T>,
    /// The number of items that were taken and not yielded.
    pending: usize,
    max_workers: usize,
    in_flight_is_default: bool,
}

/// One item in a pool, or several.
enum Slot<A, T> {
    One(Future<T>),
    Many(Future<BatchResults<T>>, Unstarted<A>),
}

impl<'pool, I, A, T> Map<'pool, I, A, T>
where
    I: Iterator<Item = A>,
    T: Send,
{
    pub(crate) fn new<S, N, F>(executor: &'pool ThreadPoolExecutor, items: I, init: N, f: F) -> Self
    where
        A: Send + 'static,
        T: 'static,
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, A) -> T + Send + Sync + 'static,
    {
        let mapper = Arc::new(Mapper { states: Mutex::new(Vec::new()), init, f });
        let submit_many = Arc::clone(&mapper).submitting_many(executor);
        let mut map = Map::over(mapper.submitting(executor), items, executor.max_workers());
        map.submit_many = Some(submit_many);
        map.size = BatchSize::new(BATCH_MAX);
        map
    }

    pub(crate) fn over(submit: Submit<'pool, A, T>, items: I, max_workers: usize) -> Self {
        Map {
            source: Source::new(submit, items, max_workers),
            submit_many: None,
            size: BatchSize::new(1),
            window: VecDeque::new(),
            ready: BatchResults::nothing(),
            pending: 0,
            max_workers,
            in_flight_is_default: true,
        }
    }

    /// Sets how many items may be taken and not yielded, at least 1. By default two for each
    /// worker, or 1,024 while items take less than a microsecond.
    ///
    /// A slow item holds up the results behind it, and once so many have piled up, the items too:
    /// the more in flight, the less that matters, and the more results are held in memory.
    pub fn in_flight(mut self, items: usize) -> Self {
        self.source.in_flight = items.max(1);
        self.in_flight_is_default = false;
        let all_workers = self.max_workers.saturating_mul(IN_FLIGHT_PER_WORKER).max(1);
        let batch_max = if self.submit_many.is_some() { items / all_workers } else { 1 };
        self.size = BatchSize::new(batch_max.max(1));
        self
    }

    /// Takes items while there is room.
    fn fill(&mut self) {
        loop {
            let size = self.size.peek();
            let in_flight = match self.in_flight_is_default && size > 1 {
                true => self.source.in_flight.max(size * BATCHES_IN_FLIGHT),
                false => self.source.in_flight,
            };
            if in_flight < self.pending + size || !self.submit_next() {
                return;
            }
        }
    }

    /// Hands over the next item, or a batch of them. Returns false when there are no more.
    fn submit_next(&mut self) -> bool {
        let size = self.size.next();
        let Some(submit_many) = self.submit_many.as_mut().filter(|_| size > 1) else {
            let future = self.source.submit_next();
            self.pending += usize::from(future.is_some());
            let more = future.is_some();
            self.window.extend(future.map(Slot::One));
            return more;
        };
        let items: VecDeque<A> = (0..size).map_while(|_| self.source.take()).collect();
        if items.is_empty() {
            return false;
        }
        self.pending += items.len();
        let unstarted = Arc::new(Mutex::new(items));
        let future = submit_many(Arc::clone(&unstarted));
        self.window.push_back(Slot::Many(future, unstarted));
        true
    }

    /// Waits for the results of a batch. If it takes too long, the items that have not begun are
    /// handed over one by one.
    fn read_many(
        &mut self,
        mut future: Future<BatchResults<T>>,
        unstarted: &Unstarted<A>,
    ) -> Result<BatchResults<T>, TaskError> {
        if !future.done() && !future.try_run_inline() {
            match future.result_timeout(BATCH_WAIT_MAX) {
                Ok(result) => return result,
                Err(not_done) => future = not_done,
            }
            self.size.was_stuck();
            let items = std::mem::take(&mut *unstarted.lock());
            let futures: Vec<_> =
                items.into_iter().map(|item| (self.source.submit)(item)).collect();
            for future in futures.into_iter().rev() {
                self.window.push_front(Slot::One(future));
            }
        }
        future.result()
    }
}

impl<I, A, T> Iterator for Map<'_, I, A, T>
where
    I: Iterator<Item = A>,
    T: Send,
{
    type Item = Result<T, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.fill();
        loop {
            if let Some(result) = self.ready.pop() {
                self.pending -= 1;
                return Some(result);
            }
            match self.window.pop_front()? {
                Slot::One(future) => {
                    self.pending -= 1;
                    return Some(future.result());
                }
                Slot::Many(future, unstarted) => match self.read_many(future, &unstarted) {
                    Ok(results) => {
                        self.size.learn(results.len(), results.took());
                        self.ready = results;
                    }
                    Err(error) => {
                        // None of the items began: the pool was shut down, or no thread could be
                        // started.
                        let items = std::mem::take(&mut *unstarted.lock());
                        self.pending -= items.len();
                        self.ready = BatchResults::failed(items.len(), error);
                        self.pending += self.ready.len();
                    }
                },
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.source.size_hint(self.pending)
    }
}

impl<I, A, T: Send> Drop for Map<'_, I, A, T> {
    fn drop(&mut self) {
        for slot in &self.window {
            match slot {
                Slot::One(future) => {
                    future.cancel();
                }
                Slot::Many(future, unstarted) => {
                    // A batch that runs finds nothing more to do.
                    let items = std::mem::take(&mut *unstarted.lock());
                    drop(items);
                    future.cancel();
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
    pub(crate) fn new<S, N, F>(executor: &'pool ThreadPoolExecutor, items: I, init: N, f: F) -> Self
    where
        A: Send + 'static,
        T: 'static,
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, A) -> T + Send + Sync + 'static,
    {
        let mapper = Arc::new(Mapper { states: Mutex::new(Vec::new()), init, f });
        MapUnordered::over(mapper.submitting(executor), items, executor.max_workers())
    }

    pub(crate) fn over(submit: Submit<'pool, A, T>, items: I, max_workers: usize) -> Self {
        MapUnordered { source: Source::new(submit, items, max_workers), window: AsCompleted::new() }
    }

    /// Sets how many items may be taken and not yielded, at least 1. By default two for each
    /// worker.
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
    /// `None` once it has ended, because an iterator need not say so twice.
    items: Option<I>,
    submit: Submit<'pool, A, T>,
    in_flight: usize,
}

/// Hands several items to the pool, which may be taken back as long as they have not begun.
type SubmitMany<'pool, A, T> =
    Box<dyn FnMut(Unstarted<A>) -> Future<BatchResults<T>> + Send + 'pool>;

/// A function with the states it works on, of which `init` makes one when a worker needs it and
/// none is free.
struct Mapper<S, N, F> {
    states: Mutex<Vec<S>>,
    init: N,
    f: F,
}

impl<S, N, F> Mapper<S, N, F>
where
    S: Send + 'static,
    N: Fn() -> S + Send + Sync + 'static,
    F: Send + Sync + 'static,
{
    fn submitting<A, T>(self: Arc<Self>, executor: &ThreadPoolExecutor) -> Submit<'_, A, T>
    where
        A: Send + 'static,
        T: Send + 'static,
        F: Fn(&mut S, A) -> T,
    {
        Box::new(move |item| {
            let mapper = Arc::clone(&self);
            executor.submit(move || {
                let spare = mapper.states.lock().pop();
                let mut state = spare.unwrap_or_else(&mapper.init);
                let result = (mapper.f)(&mut state, item);
                // Not reached when `f` panics: a state left half changed is not used again.
                mapper.states.lock().push(state);
                result
            })
        })
    }

    fn submitting_many<A, T>(self: Arc<Self>, executor: &ThreadPoolExecutor) -> SubmitMany<'_, A, T>
    where
        A: Send + 'static,
        T: Send + 'static,
        F: Fn(&mut S, A) -> T,
    {
        Box::new(move |unstarted| {
            let (mapper, pool) = (Arc::clone(&self), Arc::clone(&executor.pool));
            executor.submit(move || {
                let mut state = mapper.states.lock().pop();
                let results =
                    BatchResults::all(&unstarted, pool, &mut state, &mapper.init, &mapper.f);
                mapper.states.lock().extend(state);
                results
            })
        })
    }
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
        let item = self.take()?;
        Some((self.submit)(item))
    }

    fn take(&mut self) -> Option<A> {
        let item = self.items.as_mut()?.next();
        if item.is_none() {
            self.items = None;
        }
        item
    }

    fn size_hint(&self, in_window: usize) -> (usize, Option<usize>) {
        let (least, most) = self.items.as_ref().map_or((0, Some(0)), Iterator::size_hint);
        (least.saturating_add(in_window), most.and_then(|most| most.checked_add(in_window)))
    }
}
