//! The options of one task: a priority, a time limit, a token.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;
use crate::error::try_submit::TrySubmitError;
use crate::executor::ThreadPoolExecutor;
use crate::executor::future::Future;
use crate::executor::prepared::{PreparedTask, TaskSpec};
use crate::executor::submit_async::SubmitAsync;
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
    name: Option<Arc<str>>,
    run_timeout: Option<Duration>,
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
        TaskOptions {
            executor,
            priority: Priority::Normal,
            timeout: None,
            token: None,
            name: None,
            run_timeout: None,
        }
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

    /// Sets how long the task may run, counted from its start. When the time is up it finds its
    /// [token](CancelToken::current) cancelled. The limit on the whole is
    /// [`timeout`](TaskOptions::timeout); the sooner of the two counts.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silkmill::{CancelToken, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
    /// let future = pool.task().run_timeout(Duration::from_millis(5)).submit(|| {
    ///     CancelToken::current().sleep(Duration::MAX)
    /// });
    /// assert!(!future.result()?, "its time was up");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_timeout(mut self, timeout: Duration) -> Self {
        self.run_timeout = Some(timeout);
        self
    }

    /// Names the task: in [reports](crate::ShutdownReport) of what still runs, in
    /// [`running_tasks`](ThreadPoolExecutor::running_tasks), and in the error if it panics.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
    /// let future = pool.task().name("GET /x").submit(|| panic!("no route"));
    /// let error = future.result().unwrap_err();
    /// assert_eq!(error.task_name(), Some("GET /x"));
    /// assert!(error.to_string().starts_with("the task \"GET /x\" panicked on thread "));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets a token to cancel the task with, also while it runs: the task's
    /// [own](CancelToken::current) is a child of it, and of the one that a shutdown cancels. A task
    /// whose token is cancelled before it starts ends as cancelled at once, on the thread that
    /// cancels.
    ///
    /// A task that is submitted by another, and is given no token, inherits the one that its
    /// submitter was given: it is cancelled with it, and has no more time.
    pub fn token(mut self, token: &CancelToken) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// Does what [`ThreadPoolExecutor::submit`] does.
    pub fn submit<F, T>(self, f: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let executor = self.executor;
        executor.submit_spec(self.into_spec(), f)
    }

    /// Does what [`ThreadPoolExecutor::try_submit`] does.
    ///
    /// # Errors
    /// Gives `f` back when the queue is full or the executor was shut down.
    pub fn try_submit<F, T>(self, f: F) -> Result<Future<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let executor = self.executor;
        executor.push_spec(self.into_spec(), WaitPolicy::None, f)
    }

    /// Does what [`ThreadPoolExecutor::submit_timeout`] does.
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
        let executor = self.executor;
        let wait_policy = executor.wait_policy(Deadline::after(timeout));
        executor.push_spec(self.into_spec(), wait_policy, f)
    }

    /// Does what [`ThreadPoolExecutor::submit_async`] does. A time limit counts from this call, and
    /// ends the waiting as well, as a token does that is cancelled: then the handle has that error.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silkmill::{TaskErrorKind, ThreadPoolExecutor};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).queue_capacity(1).build()?;
    /// let (go, wait) = std::sync::mpsc::channel::<()>();
    /// let running = pool.submit(move || wait.recv().is_ok());
    /// while !running.running() {}
    /// let queued = pool.submit(|| true);
    /// let late = pool.task().timeout(Duration::from_millis(5)).submit_async(|| true).await;
    /// assert_eq!(late.await.unwrap_err().kind(), TaskErrorKind::TimedOut);
    /// go.send(())?;
    /// assert!(running.await? && queued.await?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn submit_async<F, T>(self, f: F) -> SubmitAsync<F, T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let executor = self.executor;
        let task = PreparedTask::new(&executor.pool, self.into_spec(), f);
        SubmitAsync::new(executor.share(), task)
    }

    pub(crate) fn into_spec(self) -> TaskSpec {
        let token = self.own_token();
        let (priority, name, run_timeout) = (self.priority, self.name, self.run_timeout);
        TaskSpec { priority, token, name, run_timeout, is_batch: false }
    }

    fn own_token(&self) -> Option<CancelToken> {
        if self.timeout.is_none() && self.token.is_none() {
            // It may inherit one: see `Limit::inherited_token`.
            return None;
        }
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let above = self.token.clone().or_else(CancelToken::inherited);
        Some(CancelToken::with([Some(self.executor.pool.token().clone()), above], deadline))
    }
}

impl fmt::Debug for TaskOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskOptions")
            .field("priority", &self.priority)
            .field("timeout", &self.timeout)
            .field("run_timeout", &self.run_timeout)
            .field("token", &self.token)
            .field("name", &self.name)
            .finish()
    }
}
