//! The methods that make a map: of an executor, and of the options of a task.

use std::fmt;
use std::sync::Arc;

use crate::cancel::CancelToken;
use crate::error::try_map::TryMapError;
use crate::executor::ThreadPoolExecutor;
use crate::executor::map::Map;
use crate::executor::map_unordered::MapUnordered;
use crate::executor::mapper::InitFailures;
use crate::executor::task_options::TaskOptions;
use crate::pool::limit::Limit;

/// Asks the tasks of a map to stop when it is over.
struct CancelOnDrop(CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl ThreadPoolExecutor {
    /// Applies `f` to every item and yields the results in the items' order.
    ///
    /// It is lazy: items are taken from the iterator on the calling thread and only as results are
    /// read, so the iterator may be endless. At most [`in_flight`](Map::in_flight) items are taken
    /// and not yielded; dropping the iterator early cancels those that have not started.
    ///
    /// From an iterator that does not promise its next item (one whose
    /// [`size_hint`](Iterator::size_hint) begins with 0: a channel, a terminal, a filter), or has
    /// been slow, an item is taken only when no finished result is left to hand out, and alone. But
    /// while such an iterator blocks, what is finished meanwhile cannot be handed out, because the
    /// calling thread is inside of it: where results must not wait for items (a channel, a
    /// terminal, a crawler whose results bring about its items) let [a thread](Map::prefetch) take
    /// the items, or use a [task set](ThreadPoolExecutor::task_set). A thread also keeps trivial
    /// items of such an iterator fast, by taking them together; and so does the promise that the
    /// iterator is [always ready](Map::always_ready), which a filter over a slice is.
    pub fn map<I, F, T>(&self, items: I, f: F) -> Map<'_, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.map_with(|| (), items, move |(), item| f(item)).without_states()
    }

    /// Does what [`map`](ThreadPoolExecutor::map) does, but yields each result as soon as it is
    /// there.
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
        self.map_unordered_with(|| (), items, move |(), item| f(item)).without_states()
    }

    /// Applies `f`, which may fail, to every item, and returns all values in the items' order, or
    /// the first error. Then it stops: no more items are taken, what has not started is cancelled,
    /// and what runs is asked to stop, through [`CancelToken::current`].
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
    /// let numbers: Result<Vec<u32>, _> = pool.try_map(["1", "2"], |text| text.parse());
    /// assert_eq!(numbers?, [1, 2]);
    /// let failed = pool.try_map(["1", "x", "3"], |text| text.parse::<u32>());
    /// assert_eq!(failed.unwrap_err().to_string(), "invalid digit found in string");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// That of the first item, in order, that failed, or whose task has no value.
    pub fn try_map<I, F, T, E>(&self, items: I, f: F) -> Result<Vec<T>, TryMapError<E>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        // Dropped on the way out, after the map: what is left is cancelled then.
        let stop = CancelOnDrop(Limit::token_for_several(&self.pool));
        let results = self.task().token(&stop.0).map(items, f);
        results
            .map(|result| match result {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(TryMapError::Item(error)),
                Err(error) => Err(TryMapError::Task(error)),
            })
            .collect()
    }

    /// Does what [`map`](ThreadPoolExecutor::map) does, with a state that `f` may use and change: a
    /// buffer, a connection.
    ///
    /// `init` makes a state when a worker needs one and none is free, so there are never more of
    /// them than workers. The state of a call that panics is dropped.
    ///
    /// A panic of `init` is the result of the item that the state was for, and the next item tries
    /// again. When `init` has failed eight times in a row the map ends: no more items are taken but
    /// one, and the results of those that are left are
    /// [`NotInitialized`](crate::TaskErrorKind::NotInitialized) errors with the message of the last
    /// failure. The pool goes on.
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
        Map::batching(self, items.into_iter(), init, f)
    }

    /// Does what [`map_with`](ThreadPoolExecutor::map_with) does, for states that cannot always be
    /// made: a connection, a file. An item for which there is none has the error of `init` as its
    /// value; the next item tries again, until `init` has failed eight times in a row, which ends
    /// the map as in [`map_with`](ThreadPoolExecutor::map_with).
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
    /// let connect = || Err::<u32, _>("no server");
    /// let mut results = pool.map_try_with(connect, [1], |connection, n| *connection + n);
    /// assert_eq!(results.next().unwrap()?, Err("no server"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_try_with<I, S, N, F, T, E>(
        &self,
        init: N,
        items: I,
        f: F,
    ) -> Map<'_, I::IntoIter, I::Item, Result<T, E>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        S: Send + 'static,
        N: Fn() -> Result<S, E> + Send + Sync + 'static,
        F: Fn(&mut S, I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let failures = InitFailures::new();
        let counting = Arc::clone(&failures);
        let apply = move |state: &mut Option<S>, item| {
            let state = match state {
                Some(state) => state,
                None => state.insert(counting.make(&init)?),
            };
            Ok(f(state, item))
        };
        self.map_with(|| None, items, apply).ending_with(failures)
    }

    /// Does what [`map_with`](ThreadPoolExecutor::map_with) does, but yields each result as soon as
    /// it is there.
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
        MapUnordered::new(self.task(), items.into_iter(), init, f)
    }
}

impl<'pool> TaskOptions<'pool> {
    /// Does what [`ThreadPoolExecutor::map`] does, with a task of these options for every item: a
    /// time limit counts from the moment at which the item is submitted, and the token cancels all.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silkmill::{CancelToken, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
    /// let stop = CancelToken::new();
    /// let options = pool.task().timeout(Duration::from_secs(5)).token(&stop);
    /// let first = options.map(1.., |n| n * n).map(Result::unwrap).find(|square| *square > 50);
    /// assert_eq!(first, Some(64));
    /// # Ok::<(), silkmill::BuildError>(())
    /// ```
    pub fn map<I, F, T>(self, items: I, f: F) -> Map<'pool, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.map_with(|| (), items, move |(), item| f(item)).without_states()
    }

    /// Does what [`ThreadPoolExecutor::map_unordered`] does, with a task of these options for every
    /// item.
    pub fn map_unordered<I, F, T>(
        self,
        items: I,
        f: F,
    ) -> MapUnordered<'pool, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.map_unordered_with(|| (), items, move |(), item| f(item)).without_states()
    }

    /// Does what [`ThreadPoolExecutor::map_with`] does, with a task of these options for every
    /// item.
    pub fn map_with<I, S, N, F, T>(
        self,
        init: N,
        items: I,
        f: F,
    ) -> Map<'pool, I::IntoIter, I::Item, T>
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

    /// Does what [`ThreadPoolExecutor::map_unordered_with`] does, with a task of these options for
    /// every item.
    pub fn map_unordered_with<I, S, N, F, T>(
        self,
        init: N,
        items: I,
        f: F,
    ) -> MapUnordered<'pool, I::IntoIter, I::Item, T>
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
