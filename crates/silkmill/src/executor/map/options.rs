//! What can be asked of an ordered map: how far it runs ahead, who takes its items, and a result in
//! time.

use std::time::Duration;

use crate::error::{TaskError, TimedOut};
use crate::executor::batch::BatchSize;
use crate::executor::map::Map;
use crate::executor::source::IN_FLIGHT_PER_WORKER;
use crate::sync::Deadline;

impl<I, A, T> Map<'_, I, A, T>
where
    I: Iterator<Item = A>,
    T: Send,
{
    /// Sets how many items may be taken and not yielded, at least 1. By default two for each
    /// worker, or 1,024 while items take less than three microseconds.
    ///
    /// A slow item holds up the results behind it, and once so many have piled up, the items too:
    /// the more in flight, the less that matters, and the more results are held in memory.
    pub fn in_flight(mut self, items: usize) -> Self {
        self.in_flight = items.max(1);
        self.in_flight_is_default = false;
        self.refill_at = usize::MAX;
        let all_workers = self.max_workers.saturating_mul(IN_FLIGHT_PER_WORKER).max(1);
        let batch_max = if self.submit_many.is_some() { items / all_workers } else { 1 };
        self.size = BatchSize::new(batch_max.max(1));
        self
    }

    /// Lets a thread of its own take the items, as many as may be [in
    /// flight](Map::in_flight), so that every result is handed out as soon as it is there, even
    /// while the iterator blocks.
    ///
    /// This is for an iterator that waits: for a channel, for a terminal, or for something that the
    /// reader does with the results. The iterator moves to that thread, and ends there; a panic of
    /// it is passed on to the reader, and ends it. The thread is a daemon, and when the map is
    /// dropped early, it ends once the iterator yields. If no thread can be started, the reader
    /// takes the items.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(4).build()?;
    /// let (found, pages) = mpsc::channel();
    /// found.send(1)?;
    /// let mut seen = 0;
    /// // Every page leads to two others, up to page 15: results bring about the items.
    /// for page in pool.map_unordered(pages, |page: u32| page).prefetch() {
    ///     let page = page?;
    ///     seen += 1;
    ///     for next in [2 * page, 2 * page + 1] {
    ///         if next <= 15 {
    ///             found.send(next)?;
    ///         }
    ///     }
    ///     if seen == 15 {
    ///         break;
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prefetch(mut self) -> Self
    where
        I: Send + 'static,
        A: Send + 'static,
    {
        self.refill_at = usize::MAX;
        self.source.feed(format!("{}-items", self.pool.name()), &self.waiter);
        self
    }

    /// Says that the iterator never waits for anything, although its
    /// [`size_hint`](Iterator::size_hint) promises no item: a filter or a `flat_map` over what is
    /// in memory. Then items are taken ahead of the results, and trivial ones together, as from a
    /// slice.
    ///
    /// When it does wait after all, for a channel, say, as many results as may be [in
    /// flight](Map::in_flight) wait with it; and if it waits for those very results, for ever.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(4).build()?;
    /// let odd = (0..10_000u64).filter(|n| n % 2 == 1);
    /// let squares: Result<Vec<u64>, _> = pool.map(odd, |n| n * n).always_ready().collect();
    /// assert_eq!(squares?.len(), 5_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn always_ready(mut self) -> Self {
        self.source.is_always_ready();
        self.refill_at = usize::MAX;
        self
    }

    /// Waits for the next result for at most `timeout`; `Duration::ZERO` only looks. `Ok(None)`
    /// means that there are no more.
    ///
    /// The time that the iterator takes for an item is not limited, unless a
    /// [thread](Map::prefetch) takes the items.
    ///
    /// # Errors
    /// [`TimedOut`] when there was none in time. A later call waits for the same.
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Result<T, TaskError>>, TimedOut> {
        self.next_until(Deadline::after(timeout))
    }
}
