//! Tasks that borrow from the thread that submits them.

use std::fmt;
use std::sync::Arc;

use crate::executor::ThreadPoolExecutor;
use crate::executor::future::Future;
use crate::executor::map::Map;
use crate::executor::map_unordered::MapUnordered;
use crate::executor::mapper::Submit;
use crate::pool::limit::Limit;
use crate::pool::timer::TimerEntry;
use crate::pool::worker;
use crate::sync::Deadline;
use crate::task::job::WithContext;
use crate::task::scope_latch::{Latch, scoped};

/// Submits tasks that may borrow what was there before the scope began;
/// [`ThreadPoolExecutor::scope`] makes it.
///
/// A clone may be moved into a task, which can then submit further tasks of the scope.
pub struct Scope<'scope, 'env: 'scope> {
    executor: &'env ThreadPoolExecutor,
    latch: Latch<'scope, 'env>,
}

impl ThreadPoolExecutor {
    /// Runs `f` with a scope, whose tasks may borrow what outlives the call, and waits until all of
    /// them have ended.
    ///
    /// A task that panics harms no other; its future says so. A panic that is never read is
    /// reported like any other.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
    /// let words = vec!["one".to_owned(), "three".to_owned()];
    /// let mut lengths = [0; 2];
    /// pool.scope(|scope| {
    ///     for (word, length) in words.iter().zip(&mut lengths) {
    ///         drop(scope.submit(move || *length = word.len()));
    ///     }
    /// });
    /// assert_eq!(lengths, [3, 5]);
    /// # Ok::<(), silkmill::BuildError>(())
    /// ```
    ///
    /// # Panics
    /// When `f` does, once all tasks have ended.
    pub fn scope<'env, F, R>(&'env self, f: F) -> R
    where
        F: for<'scope> FnOnce(&Scope<'scope, 'env>) -> R,
    {
        scoped(
            |latch| f(&Scope { executor: self, latch }),
            |counter| {
                if !counter.is_zero() {
                    worker::wait_in(&self.pool, || counter.is_zero(), || counter.wait());
                }
            },
        )
    }
}

impl<'scope, 'env: 'scope> Scope<'scope, 'env> {
    /// Like [`ThreadPoolExecutor::submit`], for a task that may borrow. The scope does not end
    /// before the task.
    pub fn submit<F, T>(&self, f: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let wait_policy = self.executor.wait_policy(Deadline::NEVER);
        let pool = &self.executor.pool;
        let submitter = worker::submitter(pool);
        let token = Limit::inherited_token(pool);
        let task = match (token, pool.capture_context()) {
            (None, None) => pool.push_scoped(f, &self.latch, wait_policy, submitter),
            (token, context) => {
                let (name, run_timeout, limit) = (None, None, None::<TimerEntry>);
                let job = WithContext { f, token, name, run_timeout, context, limit };
                pool.push_scoped(job, &self.latch, wait_policy, submitter)
            }
        };
        Future::new(task, Arc::clone(pool))
    }

    /// Like [`ThreadPoolExecutor::map`], for items and a function that may borrow.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
    /// let words = ["one", "three"].map(str::to_owned);
    /// let suffix = "s".to_owned();
    /// let longest = pool.scope(|scope| {
    ///     scope.map(&words, |word| word.len() + suffix.len()).map(Result::unwrap).max()
    /// });
    /// assert_eq!(longest, Some(6));
    /// # Ok::<(), silkmill::BuildError>(())
    /// ```
    pub fn map<I, F, T>(&self, items: I, f: F) -> Map<'scope, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'scope,
        F: Fn(I::Item) -> T + Send + Sync + 'scope,
        T: Send + 'scope,
    {
        Map::over(self.submitter(f), items.into_iter(), self.executor)
    }

    /// Like [`ThreadPoolExecutor::map_unordered`], for items and a function that may borrow.
    pub fn map_unordered<I, F, T>(
        &self,
        items: I,
        f: F,
    ) -> MapUnordered<'scope, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'scope,
        F: Fn(I::Item) -> T + Send + Sync + 'scope,
        T: Send + 'scope,
    {
        MapUnordered::over(self.submitter(f), items.into_iter(), self.executor)
    }

    fn submitter<A, F, T>(&self, f: F) -> Submit<'scope, A, T>
    where
        A: Send + 'scope,
        F: Fn(A) -> T + Send + Sync + 'scope,
        T: Send + 'scope,
    {
        let scope = self.clone();
        let f = Arc::new(f);
        Box::new(move |item| {
            let f = Arc::clone(&f);
            scope.submit(move || f(item))
        })
    }
}

impl Clone for Scope<'_, '_> {
    fn clone(&self) -> Self {
        Scope { executor: self.executor, latch: self.latch.clone() }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("pool", self.executor).finish()
    }
}
