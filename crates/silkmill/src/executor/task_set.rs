//! Tasks whose results are read as they come, and that may bring about further tasks.

use std::fmt;
use std::time::Duration;

use crate::cancel::CancelToken;
use crate::error::{TaskError, TimedOut};
use crate::executor::ThreadPoolExecutor;
use crate::executor::future::Future;
use crate::executor::wait::AsCompleted;
use crate::pool::limit::Limit;
use crate::sync::Deadline;

/// Tasks of a pool that belong together, each with a key; [`ThreadPoolExecutor::task_set`] makes
/// it.
///
/// Results come in the order in which the tasks end, with the key of each, and tasks may be added
/// between two results: by a crawler that follows the links of a page, by a retry. Dropping the set
/// cancels what has not started and asks what runs to stop, through
/// [`CancelToken::current`].
///
/// ```
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(4).build()?;
/// let links = |page: u32| [2 * page, 2 * page + 1].into_iter().filter(|page| *page <= 15);
/// let mut pages = pool.task_set();
/// pages.submit(1, move || links(1).collect::<Vec<_>>());
/// let mut seen = Vec::new();
/// while let Some((page, found)) = pages.next() {
///     seen.push(page);
///     for page in found? {
///         pages.submit(page, move || links(page).collect());
///     }
/// }
/// seen.sort();
/// assert_eq!(seen, Vec::from_iter(1..=15));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TaskSet<'pool, K, T: Send> {
    executor: &'pool ThreadPoolExecutor,
    tasks: AsCompleted<T>,
    /// The key of each future that was not yielded, by its index.
    keys: Vec<Option<K>>,
    token: CancelToken,
}

impl ThreadPoolExecutor {
    /// Makes a set of tasks, which is empty, whose results are read as they come.
    pub fn task_set<K, T: Send>(&self) -> TaskSet<'_, K, T> {
        TaskSet {
            executor: self,
            tasks: AsCompleted::new(),
            keys: Vec::new(),
            token: Limit::token_for_several(&self.pool),
        }
    }
}

impl<K, T: Send> TaskSet<'_, K, T> {
    /// Submits `f`, like [`ThreadPoolExecutor::submit`]; its result comes with `key`.
    pub fn submit<F>(&mut self, key: K, f: F)
    where
        F: FnOnce() -> T + Send + 'static,
        T: 'static,
    {
        let future = self.executor.task().token(&self.token).submit(f);
        self.insert(key, future);
    }

    /// Adds a task that was submitted elsewhere: with a time limit or a priority, say, or to
    /// another pool. Dropping the set cancels it, but cannot ask it to stop, unless it has the
    /// set's [token](TaskSet::token).
    pub fn insert(&mut self, key: K, future: Future<T>) {
        let index = self.tasks.push(future);
        if index == self.keys.len() {
            self.keys.push(Some(key));
        } else {
            self.keys[index] = Some(key);
        }
    }

    /// Waits for the next result for at most `timeout`; `Duration::ZERO` only looks. `Ok(None)`
    /// means that the set is empty.
    ///
    /// # Errors
    /// [`TimedOut`] when none came in time. A later call waits for the same.
    #[expect(clippy::type_complexity, reason = "a pair of a key and a result is what comes")]
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<(K, Result<T, TaskError>)>, TimedOut> {
        self.next_until(Deadline::after(timeout))
    }

    #[expect(clippy::type_complexity, reason = "a pair of a key and a result is what comes")]
    fn next_until(
        &mut self,
        deadline: Deadline,
    ) -> Result<Option<(K, Result<T, TaskError>)>, TimedOut> {
        if self.is_empty() {
            return Ok(None);
        }
        match self.tasks.next_event(deadline, None) {
            Some((index, Some(future))) => {
                let key = self.keys[index].take().expect("every future was inserted with a key");
                Ok(Some((key, future.result())))
            }
            _ => Err(TimedOut),
        }
    }

    /// Returns the number of tasks whose results have not been read.
    pub fn len(&self) -> usize {
        self.tasks.pending()
    }

    /// Returns whether every result has been read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the token of the set's tasks. It is cancelled when the set is dropped or the pool is
    /// shut down.
    pub fn token(&self) -> &CancelToken {
        &self.token
    }

    /// Cancels what has not started, and asks what runs to stop. The results are still to be read;
    /// a task that is submitted afterwards is cancelled at its turn.
    pub fn cancel(&self) {
        self.token.cancel();
        self.tasks.cancel_all();
    }
}

impl<K, T: Send> Iterator for TaskSet<'_, K, T> {
    type Item = (K, Result<T, TaskError>);

    /// Waits for the next result. `None` means that the set is empty: it goes on when a task is
    /// added.
    fn next(&mut self) -> Option<Self::Item> {
        match self.next_until(Deadline::NEVER) {
            Ok(next) => next,
            Err(TimedOut) => unreachable!("a deadline that is never does not pass"),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), None)
    }
}

impl<K, T: Send> Drop for TaskSet<'_, K, T> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<K, T: Send> fmt::Debug for TaskSet<'_, K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSet").field("pending", &self.len()).finish_non_exhaustive()
    }
}
