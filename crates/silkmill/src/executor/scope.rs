//! Tasks that borrow from the thread that submits them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cancel::CancelToken;
use crate::error::try_submit::TrySubmitError;
use crate::executor::ThreadPoolExecutor;
use crate::executor::future::Future;
use crate::executor::map::Map;
use crate::executor::map_unordered::MapUnordered;
use crate::executor::mapper::{InitFailures, Mapper, Submit};
use crate::executor::prepared;
use crate::executor::task_options::TaskOptions;
use crate::pool::priority::Priority;
use crate::pool::queue::{Refused, WaitPolicy};
use crate::pool::worker;
use crate::sync::Deadline;
use crate::task::TaskHandle;
use crate::task::scope_latch::{Latch, scoped};

/// Submits tasks that may borrow what was there before the scope began;
/// [`ThreadPoolExecutor::scope`] makes it.
///
/// A clone may be moved into a task, which can then submit further tasks of the scope.
///
/// ```
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
/// let (left, right) = ([1, 2, 3], [4, 5, 6]);
/// let sum = pool.scope(|scope| {
///     let left = scope.submit(|| left.iter().sum::<i32>());
///     let right = scope.submit(|| right.iter().sum::<i32>());
///     Ok::<_, silkmill::TaskError>(left.result()? + right.result()?)
/// });
/// assert_eq!(sum?, 21);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// Does what [`ThreadPoolExecutor::submit`] does, for a task that may borrow. The scope does
    /// not end before the task.
    pub fn submit<F, T>(&self, f: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.task().submit(f)
    }

    /// Does what [`ThreadPoolExecutor::try_submit`] does, for a task that may borrow.
    ///
    /// # Errors
    /// Gives `f` back when the queue is full or the executor was shut down.
    pub fn try_submit<F, T>(&self, f: F) -> Result<Future<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.task().try_submit(f)
    }

    /// Does what [`ThreadPoolExecutor::task`] does, for tasks that may borrow.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silkmill::{CancelToken, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
    /// let words = ["one", "three"].map(str::to_owned);
    /// let stop = CancelToken::new();
    /// let lengths: Result<Vec<_>, _> = pool.scope(|scope| {
    ///     let options = scope.task().timeout(Duration::from_secs(5)).token(&stop);
    ///     options.map(&words, |word| word.len()).collect()
    /// });
    /// assert_eq!(lengths?, [3, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn task(&self) -> ScopeTaskOptions<'scope, 'env> {
        ScopeTaskOptions { scope: self.clone(), options: self.executor.task() }
    }

    /// Does what [`ThreadPoolExecutor::map`] does, for items and a function that may borrow.
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
        self.task().map(items, f)
    }

    /// Does what [`ThreadPoolExecutor::map_unordered`] does, for items and a function that may
    /// borrow.
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
        self.task().map_unordered(items, f)
    }

    /// Does what [`ThreadPoolExecutor::map_with`] does, for items, states and functions that may
    /// borrow.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
    /// let prefix = "0x".to_owned();
    /// let hex: Result<Vec<String>, _> = pool.scope(|scope| {
    ///     let start = || prefix.clone();
    ///     scope.map_with(start, [10, 11], |buffer, n| format!("{buffer}{n:x}")).collect()
    /// });
    /// assert_eq!(hex?, ["0xa", "0xb"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_with<I, S, N, F, T>(
        &self,
        init: N,
        items: I,
        f: F,
    ) -> Map<'scope, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'scope,
        S: Send + 'scope,
        N: Fn() -> S + Send + Sync + 'scope,
        F: Fn(&mut S, I::Item) -> T + Send + Sync + 'scope,
        T: Send + 'scope,
    {
        self.task().map_with(init, items, f)
    }

    /// Does what [`ThreadPoolExecutor::map_unordered_with`] does, for items, states and functions
    /// that may borrow.
    pub fn map_unordered_with<I, S, N, F, T>(
        &self,
        init: N,
        items: I,
        f: F,
    ) -> MapUnordered<'scope, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'scope,
        S: Send + 'scope,
        N: Fn() -> S + Send + Sync + 'scope,
        F: Fn(&mut S, I::Item) -> T + Send + Sync + 'scope,
        T: Send + 'scope,
    {
        self.task().map_unordered_with(init, items, f)
    }
}

/// The options of one task that may borrow, or of all the tasks of a map; [`Scope::task`] makes it.
///
/// See [`TaskOptions`] for what each option means.
///
/// ```
/// use silkmill::{Priority, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
/// let text = "borrowed".to_owned();
/// let length = pool.scope(|scope| {
///     scope.task().name("length").priority(Priority::High).submit(|| text.len()).result()
/// });
/// assert_eq!(length?, 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "options submit nothing until `submit`"]
pub struct ScopeTaskOptions<'scope, 'env: 'scope> {
    scope: Scope<'scope, 'env>,
    options: TaskOptions<'env>,
}

impl<'scope, 'env: 'scope> ScopeTaskOptions<'scope, 'env> {
    /// Sets the class of the task: see [`TaskOptions::priority`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options = self.options.priority(priority);
        self
    }

    /// Sets how long the task may take: see [`TaskOptions::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options = self.options.timeout(timeout);
        self
    }

    /// Sets how long the task may run: see [`TaskOptions::run_timeout`].
    pub fn run_timeout(mut self, timeout: Duration) -> Self {
        self.options = self.options.run_timeout(timeout);
        self
    }

    /// Names the task: see [`TaskOptions::name`].
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.options = self.options.name(name);
        self
    }

    /// Sets a token to cancel the task with: see [`TaskOptions::token`].
    pub fn token(mut self, token: &CancelToken) -> Self {
        self.options = self.options.token(token);
        self
    }

    /// Does what [`Scope::submit`] does.
    pub fn submit<F, T>(self, f: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let executor = self.scope.executor;
        let pushed = self.push_or_refuse(f, executor.wait_policy(Deadline::NEVER));
        pushed.unwrap_or_else(|(_, refused)| {
            let task = TaskHandle::failed(executor.pool.refusal(refused));
            Future::new(task, executor.share())
        })
    }

    /// Does what [`Scope::try_submit`] does.
    ///
    /// # Errors
    /// Gives `f` back when the queue is full or the executor was shut down.
    pub fn try_submit<F, T>(self, f: F) -> Result<Future<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let executor = self.scope.executor;
        let pushed = self.push_or_refuse(f, WaitPolicy::None);
        pushed.map_err(|(f, refused)| executor.try_submit_error(f, refused))
    }

    fn push_or_refuse<F, T>(
        self,
        f: F,
        wait_policy: WaitPolicy<'_>,
    ) -> Result<Future<T>, (F, Refused)>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let (executor, latch) = (self.scope.executor, &self.scope.latch);
        let (pool, spec) = (&executor.pool, self.options.into_spec());
        let task = prepared::push_scoped(pool, latch, spec, wait_policy, f)?;
        Ok(Future::new(task, executor.share()))
    }

    /// Does what [`Scope::map`] does, with a task of these options for every item: a time limit
    /// counts from the moment at which the item is submitted, and the token cancels all.
    pub fn map<I, F, T>(self, items: I, f: F) -> Map<'scope, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'scope,
        F: Fn(I::Item) -> T + Send + Sync + 'scope,
        T: Send + 'scope,
    {
        self.map_with(|| (), items, move |(), item| f(item)).without_states()
    }

    /// Does what [`Scope::map_unordered`] does, with a task of these options for every item.
    pub fn map_unordered<I, F, T>(
        self,
        items: I,
        f: F,
    ) -> MapUnordered<'scope, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'scope,
        F: Fn(I::Item) -> T + Send + Sync + 'scope,
        T: Send + 'scope,
    {
        self.map_unordered_with(|| (), items, move |(), item| f(item)).without_states()
    }

    /// Does what [`Scope::map_with`] does, with a task of these options for every item.
    pub fn map_with<I, S, N, F, T>(
        self,
        init: N,
        items: I,
        f: F,
    ) -> Map<'scope, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'scope,
        S: Send + 'scope,
        N: Fn() -> S + Send + Sync + 'scope,
        F: Fn(&mut S, I::Item) -> T + Send + Sync + 'scope,
        T: Send + 'scope,
    {
        let executor = self.scope.executor;
        let (submit, failures) = self.submitter(init, f);
        Map::over(submit, failures, items.into_iter(), executor)
    }

    /// Does what [`Scope::map_unordered_with`] does, with a task of these options for every item.
    pub fn map_unordered_with<I, S, N, F, T>(
        self,
        init: N,
        items: I,
        f: F,
    ) -> MapUnordered<'scope, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'scope,
        S: Send + 'scope,
        N: Fn() -> S + Send + Sync + 'scope,
        F: Fn(&mut S, I::Item) -> T + Send + Sync + 'scope,
        T: Send + 'scope,
    {
        let executor = self.scope.executor;
        let (submit, failures) = self.submitter(init, f);
        MapUnordered::over(submit, failures, items.into_iter(), executor)
    }

    fn submitter<A, S, N, F, T>(self, init: N, f: F) -> (Submit<'scope, A, T>, Arc<InitFailures>)
    where
        A: Send + 'scope,
        S: Send + 'scope,
        N: Fn() -> S + Send + Sync + 'scope,
        F: Fn(&mut S, A) -> T + Send + Sync + 'scope,
        T: Send + 'scope,
    {
        let mapper = Mapper::new(init, f);
        let failures = mapper.failures();
        let submit = Box::new(move |item| {
            let mapper = Arc::clone(&mapper);
            self.clone().submit(move || mapper.apply(item))
        });
        (submit, failures)
    }
}

impl fmt::Debug for ScopeTaskOptions<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopeTaskOptions").field(&self.options).finish()
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
