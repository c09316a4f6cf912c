//! Waiting for several futures: [`wait()`] and [`as_completed`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{TaskError, TimedOut};
use crate::executor::future::Future;
use crate::pool::{Pool, worker};
use crate::sync::Deadline;
use crate::task::waiter::Waiter;
use crate::thread::fork::Home;

/// The condition on which [`wait()`] returns.
///
/// ```
/// use silkmill::{ReturnWhen, ThreadPoolExecutor, wait};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
/// let futures = [pool.submit(|| 1), pool.submit(|| panic!("no number")), pool.submit(|| 3)];
/// let waited = wait(futures, ReturnWhen::FirstError, None);
/// let failed = waited.done.into_iter().find_map(|future| future.result().err());
/// assert_eq!(failed.unwrap().message(), "no number");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnWhen {
    /// One future is done.
    FirstCompleted,
    /// One future is done and has no value, because it panicked, was cancelled or never ran; or all
    /// are done.
    FirstError,
    /// All futures are done.
    All,
}

/// The futures given to [`wait()`], parted into those that are done and the rest, each in the order
/// given. They are what was given: futures, or references to them.
///
/// ```
/// use std::time::Duration;
/// use silkmill::{ReturnWhen, ThreadPoolExecutor, wait};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
/// let (go, opened) = std::sync::mpsc::channel::<()>();
/// let quick = pool.submit(|| true);
/// let slow = pool.submit(move || opened.recv().is_ok());
/// let waited = wait([quick, slow], ReturnWhen::FirstCompleted, Duration::from_secs(60));
/// assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
/// go.send(())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Waited<F> {
    /// These have a result that can be read without waiting.
    pub done: Vec<F>,
    /// These had none when the waiting ended.
    pub not_done: Vec<F>,
}

/// A future or a reference to one, which [`wait()`] can wait for.
///
/// ```
/// use silkmill::{Awaited, ReturnWhen, ThreadPoolExecutor, wait};
///
/// /// Waits for all, however they are given.
/// fn count_done<F: Awaited>(futures: impl IntoIterator<Item = F>) -> usize {
///     wait(futures, ReturnWhen::All, None).done.len()
/// }
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
/// let futures = [pool.submit(|| 1), pool.submit(|| 2)];
/// assert_eq!(count_done(&futures), 2);
/// assert_eq!(count_done(futures), 2);
/// # Ok::<(), silkmill::BuildError>(())
/// ```
pub trait Awaited: sealed::Sealed {
    /// What the future's task returns.
    type Value: Send;

    /// Returns the future.
    fn future(&self) -> &Future<Self::Value>;
}

mod sealed {
    #[expect(unnameable_types, reason = "no other crate is to implement it")]
    pub trait Sealed {}
    impl<T> Sealed for super::Future<T> {}
    impl<T> Sealed for &super::Future<T> {}
    impl<T> Sealed for &mut super::Future<T> {}
}

impl<T: Send> Awaited for Future<T> {
    type Value = T;

    fn future(&self) -> &Future<T> {
        self
    }
}

impl<T: Send> Awaited for &Future<T> {
    type Value = T;

    fn future(&self) -> &Future<T> {
        self
    }
}

impl<T: Send> Awaited for &mut Future<T> {
    type Value = T;

    fn future(&self) -> &Future<T> {
        self
    }
}

/// Waits until enough of `futures` are done, or until `timeout` has passed.
///
/// Given references it takes no result out: read the futures afterwards. Given the futures
/// themselves it gives them back, and those that are done can be read. With no futures it returns
/// at once. A `timeout` of `None` waits for as long as it takes, one of zero only looks.
///
/// ```
/// use silkmill::{ReturnWhen, ThreadPoolExecutor, wait};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
/// let futures = [pool.submit(|| 1), pool.submit(|| 2)];
/// let waited = wait(&futures, ReturnWhen::All, None);
/// assert_eq!(waited.done.len(), 2);
/// assert!(waited.not_done.is_empty());
///
/// let waited = wait(futures, ReturnWhen::All, None);
/// let sum: Result<i32, _> = waited.done.into_iter().map(|future| future.result()).sum();
/// assert_eq!(sum?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn wait<F: Awaited>(
    futures: impl IntoIterator<Item = F>,
    return_when: ReturnWhen,
    timeout: impl Into<Option<Duration>>,
) -> Waited<F> {
    let given: Vec<F> = futures.into_iter().collect();
    let futures: Vec<&Future<F::Value>> = given.iter().map(Awaited::future).collect();
    let deadline = Deadline::from(timeout.into());
    let (waiter, here) = (Arc::new(Waiter::new()), Home::here());
    for (index, future) in futures.iter().enumerate() {
        future.notify_when_done(&waiter, index, here);
    }
    let enough = |index: usize| match return_when {
        ReturnWhen::FirstCompleted => true,
        ReturnWhen::FirstError => futures[index].has_failed(),
        ReturnWhen::All => false,
    };
    let mut pending_count = futures.len();
    let mut pending = futures.iter();
    while pending_count > 0 {
        let done = match waiter.next_now() {
            Some(index) => index,
            None if deadline.has_passed() => break,
            None if deadline.is_never() && pending.any(|future| future.try_run_inline()) => {
                continue;
            }
            None => {
                let wait = || waiter.next(deadline);
                let pools = futures.iter().map(|future| future.pool());
                let Some(index) = worker::while_blocked_on(pools, wait) else {
                    break;
                };
                index
            }
        };
        pending_count -= 1;
        if enough(done) {
            break;
        }
    }
    for future in &futures {
        future.task().remove_waiter(&waiter);
    }
    let (done, not_done) = given.into_iter().partition(|given| given.future().done());
    Waited { done, not_done }
}

/// Yields `futures` in the order in which they are done; those that are done already come first.
///
/// ```
/// use silkmill::{ThreadPoolExecutor, as_completed};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(4).build()?;
/// let futures: Vec<_> = (1..=3).map(|n| pool.submit(move || n * n)).collect();
/// let mut sum = 0;
/// for done in as_completed(futures) {
///     sum += done.result()?;
/// }
/// assert_eq!(sum, 14);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn as_completed<T: Send>(futures: impl IntoIterator<Item = Future<T>>) -> AsCompleted<T> {
    let mut all = AsCompleted::new();
    for future in futures {
        all.push(future);
    }
    all
}

/// Waits for all of `futures` and returns their values, in the order given.
///
/// It waits for no more once one of them has none, so the first error is the one that came first;
/// what has not started is cancelled then, and what runs goes on.
///
/// ```
/// use silkmill::{ThreadPoolExecutor, join_all};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(4).build()?;
/// let squares = join_all((1..=3).map(|n| pool.submit(move || n * n)))?;
/// assert_eq!(squares, [1, 4, 9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The first, in time.
pub fn join_all<T: Send>(
    futures: impl IntoIterator<Item = Future<T>>,
) -> Result<Vec<T>, TaskError> {
    let mut all = as_completed(futures);
    let mut values: Vec<Option<T>> = (0..all.pending()).map(|_| None).collect();
    while all.pending() > 0 {
        let Some((index, Some(future))) = all.next_event(Deadline::NEVER, None) else {
            unreachable!("every index is that of a future, and the deadline is never")
        };
        match future.result() {
            Ok(value) => values[index] = Some(value),
            Err(error) => {
                all.cancel_all();
                return Err(error);
            }
        }
    }
    Ok(values.into_iter().flatten().collect())
}

/// The iterator behind [`as_completed`].
///
/// Dropping it early drops the futures that are left; their tasks still run.
///
/// ```
/// use std::time::Duration;
/// use silkmill::{ThreadPoolExecutor, as_completed};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
/// let mut futures = as_completed([pool.submit(|| 1), pool.submit(|| 2)]);
/// let mut sum = 0;
/// while let Some(future) = futures.next_timeout(Duration::from_secs(60))? {
///     sum += future.result()?;
/// }
/// assert_eq!(sum, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AsCompleted<T> {
    waiter: Arc<Waiter>,
    /// `None` where a future was yielded; such places are used again.
    futures: Vec<Option<Future<T>>>,
    vacant: Vec<usize>,
    /// No future before this index is worth trying to run inline.
    tried: usize,
    /// The process whose threads notify the waiter.
    home: Home,
}

impl<T: Send> AsCompleted<T> {
    pub(crate) fn new() -> Self {
        let waiter = Arc::new(Waiter::new());
        let (futures, vacant) = (Vec::new(), Vec::new());
        AsCompleted { waiter, futures, vacant, tried: 0, home: Home::here() }
    }

    /// Returns the index of the future, which others may have after it was yielded.
    pub(crate) fn push(&mut self, future: Future<T>) -> usize {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.futures.push(None);
            self.futures.len() - 1
        });
        self.tried = self.tried.min(index);
        let future = self.futures[index].insert(future);
        future.notify_when_done(&self.waiter, index, self.home);
        index
    }

    /// Returns what is notified when a future is done.
    pub(crate) fn waiter(&self) -> &Arc<Waiter> {
        &self.waiter
    }

    /// Runs one of the tasks inline, if the calling thread is a worker of its pool. See
    /// [`worker::try_run_inline`].
    pub(crate) fn try_run_one_inline(&mut self) -> bool {
        while let Some(place) = self.futures.get(self.tried) {
            self.tried += 1;
            if place.as_ref().is_some_and(Future::try_run_inline) {
                return true;
            }
        }
        false
    }

    /// Notes that this is another process than the one before, in which what belongs to pools of
    /// that one never comes, and is an error that says so.
    fn notify_of_parents(&mut self) {
        self.home = Home::here();
        for (index, future) in self.futures.iter().enumerate() {
            if let Some(future) = future
                && !future.pool().is_here()
                && !future.task().is_done()
            {
                self.waiter.notify(index);
            }
        }
    }

    /// Returns a future that is done now, if there is one.
    pub(crate) fn next_now(&mut self) -> Option<Future<T>> {
        let index = self.waiter.next_now()?;
        self.take(index)
    }

    fn take(&mut self, index: usize) -> Option<Future<T>> {
        let place = self.futures.get_mut(index)?;
        self.vacant.push(index);
        place.take()
    }

    /// Returns the number of futures that have not been yielded.
    pub(crate) fn pending(&self) -> usize {
        self.futures.len() - self.vacant.len()
    }

    /// Cancels every future that has not been yielded and not been started.
    pub(crate) fn cancel_all(&self) {
        for future in self.futures.iter().flatten() {
            future.cancel();
        }
    }
}

impl<T: Send> AsCompleted<T> {
    /// Waits for the next future for at most `timeout`; `Duration::ZERO` only looks. `Ok(None)`
    /// means that all were yielded.
    ///
    /// # Errors
    /// [`TimedOut`] when none was done in time. A later call waits for the same.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Future<T>>, TimedOut> {
        if self.pending() == 0 {
            return Ok(None);
        }
        match self.next_event(Deadline::after(timeout), None) {
            Some((_, future)) => Ok(future),
            None => Err(TimedOut),
        }
    }

    /// Returns the next future that is done, with its index; or no future with the index that
    /// another party has notified the waiter of. `None` means that the deadline came first. One
    /// that never comes is for a caller who knows that something is to come.
    ///
    /// A worker of one of the futures' pools, or of `pool`, may be replaced meanwhile.
    pub(crate) fn next_event(
        &mut self,
        deadline: Deadline,
        pool: Option<&Arc<Pool>>,
    ) -> Option<(usize, Option<Future<T>>)> {
        let index = loop {
            if let Some(index) = self.waiter.next_now() {
                break index;
            }
            if !self.home.is_here() {
                self.notify_of_parents();
                continue;
            }
            if deadline.has_passed() {
                return None;
            }
            // A timed wait cannot promise to return in time once it runs a task itself.
            if deadline.is_never() && self.try_run_one_inline() {
                continue;
            }
            let wait = || self.waiter.next(deadline);
            let pools = self.futures.iter().flatten().map(Future::pool).chain(pool);
            break worker::while_blocked_on(pools, wait)?;
        };
        Some((index, self.take(index)))
    }
}

impl<T: Send> Iterator for AsCompleted<T> {
    type Item = Future<T>;

    fn next(&mut self) -> Option<Future<T>> {
        if self.pending() == 0 {
            return None;
        }
        self.next_event(Deadline::NEVER, None)?.1
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.pending(), Some(self.pending()))
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.futures.len() - self.vacant.len();
        f.debug_struct("AsCompleted").field("pending", &pending).finish_non_exhaustive()
    }
}
