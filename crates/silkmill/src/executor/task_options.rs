//! The options of one task: a priority, a time limit, a token.

use std::fmt;
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;
use crate::error::TrySubmitError;
use crate::executor::ThreadPoolExecutor;
use crate::executor::future::Future;
use crate::pool::priority::Priority;
use crate::pool::queue::WaitPolicy;
use crate::sync::Deadline;

/// The options of one task; [`ThreadPoolExecutor::task`] makes it.
///
/// ```
/// use std::time::Duration;
/// use silkmill::{CancelToken, Priority, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
/// let urgent = pool.task().priority(Priority::High).timeout(Duration::from_secs(5)).submit(|| {
///     // Work that may take long looks at its token now and then.
///     if CancelToken::current().is_cancelled() { "gave up" } else { "done" }
/// });
/// assert_eq!(urgent.result()?, "done");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "options submit nothing until `submit`"]
pub struct TaskOptions<'pool> {
    executor: &'pool ThreadPoolExecutor,
    priority: Priority,
    timeout: Option<Duration>,
    token: Option<CancelToken>,
}

impl ThreadPoolExecutor {
    /// Describes a task before it is submitted: its priority, how long it may take, a token to
    /// cancel it with.
    pub fn task(&self) -> TaskOptions<'_> {
        TaskOptions::new(self)
    }
}

impl<'pool> TaskOptions<'pool> {
    pub(crate) fn new(executor: &'pool ThreadPoolExecutor) -> Self {
        TaskOptions { executor, priority: Priority::Normal, timeout: None, token: None }
    }

    pub(crate) fn executor(&self) -> &'pool ThreadPoolExecutor {
        self.executor
    }

    /// Sets the class of the task, which decides what it runs before.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Sets how long the task may take, counted from its submission, the time in the queue
    /// included.
    ///
    /// When the time is up a task that has not started ends at once, with
    /// [`TimedOut`](crate::TaskErrorKind::TimedOut), and its room in the queue is free; its
    /// callbacks run on a thread that the pool keeps for that. A submitter that still waits for
    /// room gives up then. A task that runs finds its [token](CancelToken::current) cancelled: no
    /// thread can be stopped from outside.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets a token to cancel the task with, also while it runs: the task's
    /// [own](CancelToken::current) is a child of it, and of the one that a shutdown cancels. A task
    /// whose token is cancelled before it starts ends as cancelled at once, on the thread that
    /// cancels.
    pub fn token(mut self, token: &CancelToken) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// Like [`ThreadPoolExecutor::submit`].
    pub fn submit<F, T>(self, f: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (executor, priority) = (self.executor, self.priority);
        executor.submit_as(priority, self.own_token(), f)
    }

    /// Like [`ThreadPoolExecutor::try_submit`].
    ///
    /// # Errors
    /// Gives `f` back when the queue is full or the executor was shut down.
    pub fn try_submit<F, T>(self, f: F) -> Result<Future<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (executor, priority) = (self.executor, self.priority);
        executor.push(priority, self.own_token(), WaitPolicy::None, f)
    }

    /// Like [`ThreadPoolExecutor::submit_timeout`].
    ///
    /// # Errors
    /// Gives `f` back when there was no room in time or the executor was shut down.
    pub fn submit_timeout<F, T>(
        self,
        f: F,
        timeout: Duration,
    ) -> Result<Future<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (executor, priority) = (self.executor, self.priority);
        executor.push(priority, self.own_token(), executor.wait_policy(Deadline::after(timeout)), f)
    }

    fn own_token(self) -> Option<CancelToken> {
        if self.timeout.is_none() && self.token.is_none() {
            return None;
        }
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Some(CancelToken::with([Some(self.executor.pool.token().clone()), self.token], deadline))
    }
}

impl fmt::Debug for TaskOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskOptions")
            .field("priority", &self.priority)
            .field("timeout", &self.timeout)
            .field("token", &self.token)
            .finish()
    }
}
