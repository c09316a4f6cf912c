//! A pool of threads for work that waits: its public face. The threads themselves are `pool`'s.
//!
//! The folder has what callers hold and configure: the builder, options, futures, maps and scopes.
//! Those that add a method to the executor do so in their own files.

pub(crate) mod batch;
pub(crate) mod builder;
mod feed;
pub(crate) mod future;
pub(crate) mod map;
pub(crate) mod map_unordered;
pub(crate) mod mapper;
mod maps;
pub(crate) mod prepared;
pub(crate) mod scope;
mod slot;
pub(crate) mod source;
pub(crate) mod submit_async;
pub(crate) mod task_options;
pub(crate) mod task_set;
pub(crate) mod wait;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use crate::cancel::CancelToken;
use crate::error::try_submit::TrySubmitError;
use crate::executor::future::Future;
use crate::executor::prepared::TaskSpec;
use crate::executor::submit_async::SubmitAsync;
use crate::pool::Pool;
use crate::pool::priority::Priority;
use crate::pool::queue::{Refused, WaitPolicy};
use crate::pool::share::{PoolShare, PoolShares};
use crate::pool::stats::{RunningTask, Stats};
use crate::pool::worker;
use crate::sync::Deadline;
use crate::task::TaskHandle;

/// Runs closures on a bounded number of threads and hands out [`Future`]s for their results.
///
/// It is made for work that waits, for files, networks and other processes: workers are started
/// when tasks find none free, a task that blocks holds up no other as long as a worker is free or
/// can be started, and a queue with a capacity holds submitters back. Panics are results. A task
/// may wait for tasks of its own pool.
///
/// Dropping the executor runs what is queued and waits for it, like
/// [`shutdown`](ThreadPoolExecutor::shutdown). A clone is another handle to the same pool, and
/// costs next to nothing; then dropping the last one waits.
///
/// ```
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(8).thread_name_prefix("length").build()?;
/// let lengths: Result<Vec<usize>, _> = pool.map(["one", "three"], |word| word.len()).collect();
/// assert_eq!(lengths?, [3, 5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ThreadPoolExecutor {
    pub(crate) pool: Arc<Pool>,
    /// Shared by all clones; the last one to go shuts the pool down.
    owner: Arc<Owner>,
}

/// Shuts its pool down when it is dropped.
struct Owner {
    pool: Arc<Pool>,
    /// What futures own the pool by.
    shares: PoolShares,
}

impl ThreadPoolExecutor {
    pub(crate) fn new(pool: Pool) -> Self {
        let pool = Arc::new(pool);
        let owner = Owner { pool: Arc::clone(&pool), shares: PoolShares::new(&pool) };
        ThreadPoolExecutor { pool, owner: Arc::new(owner) }
    }

    /// Returns what a future that the calling thread makes owns the pool by.
    pub(crate) fn share(&self) -> PoolShare {
        self.owner.shares.of_this_thread()
    }

    /// Queues `f` and returns the handle to its result. Blocks while the queue is at its capacity;
    /// blocked submitters are served in order.
    ///
    /// After a shutdown `f` is dropped, and the result is an error that says so. A task that
    /// submits to its own pool never blocks, because it might be waiting for itself; and what it
    /// submits is run, also while the pool shuts down.
    pub fn submit<F, T>(&self, f: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit_as(Priority::Normal, None, f)
    }

    pub(crate) fn submit_as<F, T>(
        &self,
        priority: Priority,
        token: Option<CancelToken>,
        f: F,
    ) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit_spec(TaskSpec { priority, token, ..TaskSpec::default() }, f)
    }

    pub(crate) fn submit_spec<F, T>(&self, task: TaskSpec, f: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match self.push_or_refuse(task, self.wait_policy(Deadline::NEVER), f) {
            Ok(future) => future,
            Err((_, refused)) => {
                let task = TaskHandle::failed(self.pool.refusal(refused));
                Future::new(task, self.share())
            }
        }
    }

    /// Queues `f` if there is room now and no other submitter waits for it.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).queue_capacity(1).build()?;
    /// let (go, wait) = std::sync::mpsc::channel::<()>();
    /// let running = pool.submit(move || wait.recv().is_ok());
    /// while !running.running() {}
    /// let queued = pool.submit(|| true);
    /// assert!(pool.try_submit(|| true).is_err_and(|refused| refused.is_full()));
    /// go.send(())?;
    /// assert!(running.result()? && queued.result()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Gives `f` back when the queue is full or the executor was shut down.
    pub fn try_submit<F, T>(&self, f: F) -> Result<Future<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.push(Priority::Normal, None, WaitPolicy::None, f)
    }

    /// Queues `f`, waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// Gives `f` back when there was no room in time or the executor was shut down.
    pub fn submit_timeout<F, T>(
        &self,
        f: F,
        timeout: Duration,
    ) -> Result<Future<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.push(Priority::Normal, None, self.wait_policy(Deadline::after(timeout)), f)
    }

    /// Queues `f` as soon as there is room, without blocking the thread: the future that is
    /// returned waits for that, behind the submitters that wait already, and its output is the
    /// handle to the result of `f`.
    ///
    /// Nothing is queued before it is polled. When it is dropped before it is ready, `f` is dropped
    /// and never runs. It must be polled as long as it is kept, as a runtime does that awaits it:
    /// once it is first in the line, those behind it wait for it.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let pool = ThreadPoolExecutor::builder().max_workers(2).queue_capacity(10).build()?;
    /// let mut lengths = Vec::new();
    /// for word in ["one", "three"] {
    ///     lengths.push(pool.submit_async(|| word.len()).await);
    /// }
    /// let mut sum = 0;
    /// for length in lengths {
    ///     sum += length.await?;
    /// }
    /// assert_eq!(sum, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn submit_async<F, T>(&self, f: F) -> SubmitAsync<F, T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.task().submit_async(f)
    }

    pub(crate) fn push<F, T>(
        &self,
        priority: Priority,
        token: Option<CancelToken>,
        wait_policy: WaitPolicy<'_>,
        f: F,
    ) -> Result<Future<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.push_spec(TaskSpec { priority, token, ..TaskSpec::default() }, wait_policy, f)
    }

    pub(crate) fn push_spec<F, T>(
        &self,
        task: TaskSpec,
        wait_policy: WaitPolicy<'_>,
        f: F,
    ) -> Result<Future<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let pushed = self.push_or_refuse(task, wait_policy, f);
        pushed.map_err(|(f, refused)| self.try_submit_error(f, refused))
    }

    /// Gives the closure of a task that was `refused` back, with the reason.
    pub(crate) fn try_submit_error<F>(&self, f: F, refused: Refused) -> TrySubmitError<F> {
        match refused {
            Refused::Full | Refused::InLine | Refused::Cancelled => TrySubmitError::Full(f),
            Refused::Forked => TrySubmitError::Forked(f),
            Refused::Shutdown | Refused::Cancelling => match self.pool.initializer_failure() {
                Some(message) => TrySubmitError::NotInitialized(f, message.to_owned()),
                None => TrySubmitError::Shutdown(f),
            },
        }
    }

    pub(crate) fn push_or_refuse<F, T>(
        &self,
        task: TaskSpec,
        wait_policy: WaitPolicy<'_>,
        f: F,
    ) -> Result<Future<T>, (F, Refused)>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let task = prepared::push(&self.pool, task, wait_policy, f)?;
        Ok(Future::new(task, self.share()))
    }

    pub(crate) fn wait_policy(&self, deadline: Deadline) -> WaitPolicy<'static> {
        let own = worker::is_of(&self.pool);
        if own { WaitPolicy::Unbounded } else { WaitPolicy::Until(deadline) }
    }

    /// Returns the number of workers that may exist. A worker that waits for a task of its own pool
    /// is not counted.
    pub fn max_workers(&self) -> usize {
        self.pool.queue.workers_max()
    }

    /// Sets the number of workers that may exist. Workers that are too many exit as soon as they
    /// have ended their tasks; new ones are started for what is queued.
    ///
    /// # Panics
    /// When `max_workers` is 0.
    pub fn set_max_workers(&self, max_workers: usize) {
        assert!(max_workers > 0, "max_workers must be greater than 0");
        self.pool.start_workers(self.pool.queue.resize(max_workers));
    }

    /// Returns what the executor has counted and measured so far.
    pub fn stats(&self) -> Stats {
        self.pool.stats()
    }

    /// Takes no more tasks from outside, runs what is queued and what the pool's own running tasks
    /// submit meanwhile (directly, in a scope, or in a callback), and waits until every worker has
    /// ended. Tasks that submit one another for ever keep it waiting for ever.
    ///
    /// It may be called again, from several threads too. A task that shuts its own pool down does
    /// not wait.
    pub fn shutdown(&self) {
        self.pool.close();
        self.wait_for_workers(Deadline::NEVER);
    }

    /// Takes no more tasks, cancels what is queued, asks running tasks to stop (see
    /// [`CancelToken::current`]), and waits for them. What they submit from now on is cancelled.
    pub fn shutdown_now(&self) {
        self.pool.cancel_all();
        self.wait_for_workers(Deadline::NEVER);
    }

    /// Shuts down as [`shutdown`](ThreadPoolExecutor::shutdown) does for as long as `timeout`
    /// allows, then cancels the rest, asks running tasks to stop (see [`CancelToken::current`]),
    /// and reports what still runs. Nothing waits for those tasks any more: neither dropping the
    /// executor nor the end of the process.
    ///
    /// Called by a task of the pool it does not wait and cancels nothing, because it would be
    /// waiting for itself.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("slow").build()?;
    /// let (go, wait) = std::sync::mpsc::channel::<()>();
    /// let stuck = pool.submit(move || wait.recv().is_ok());
    /// while !stuck.running() {}
    /// let report = pool.shutdown_timeout(Duration::from_millis(10));
    /// assert_eq!(report.running[0].worker, "slow-0");
    /// # go.send(())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shutdown_timeout(&self, timeout: Duration) -> ShutdownReport {
        self.pool.close();
        if self.wait_for_workers(Deadline::after(timeout)) {
            return ShutdownReport::default();
        }
        let cancelled = match worker::is_of(&self.pool) {
            true => 0,
            false => {
                self.pool.abandon();
                self.pool.cancel_all()
            }
        };
        let workers = self.pool.stats().workers;
        ShutdownReport { running: self.pool.running_tasks(), cancelled, workers }
    }

    /// Takes no more tasks, cancels what is queued, asks running tasks to stop (see
    /// [`CancelToken::current`]), waits for them for at most `timeout`, and reports what still
    /// runs, by name. Nothing waits for those tasks any more: neither dropping the executor nor the
    /// end of the process.
    ///
    /// Called by a task of the pool it does not wait, because it would be waiting for itself.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silkmill::{CancelToken, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
    /// let (go, wait) = std::sync::mpsc::channel::<()>();
    /// let polite = pool.task().name("polite").submit(|| {
    ///     CancelToken::current().sleep(Duration::MAX)
    /// });
    /// let stuck = pool.task().name("stuck").submit(move || wait.recv().is_ok());
    /// while !(polite.running() && stuck.running()) {}
    /// let report = pool.shutdown_now_timeout(Duration::from_millis(100));
    /// assert_eq!(report.running.len(), 1);
    /// assert_eq!(report.running[0].task.as_deref(), Some("stuck"));
    /// # go.send(())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shutdown_now_timeout(&self, timeout: Duration) -> ShutdownReport {
        let deadline = Deadline::after(timeout);
        let cancelled = self.pool.cancel_all();
        if self.wait_for_workers(deadline) {
            return ShutdownReport { cancelled, ..ShutdownReport::default() };
        }
        if !worker::is_of(&self.pool) {
            self.pool.abandon();
        }
        let workers = self.pool.stats().workers;
        ShutdownReport { running: self.pool.running_tasks(), cancelled, workers }
    }

    /// Returns the tasks that run now, longest first, by name if they have one.
    pub fn running_tasks(&self) -> Vec<RunningTask> {
        self.pool.running_tasks()
    }

    fn wait_for_workers(&self, deadline: Deadline) -> bool {
        wait_for_workers(&self.pool, deadline)
    }
}

/// Waits until all workers have ended, unless the calling thread is one of them. Returns whether
/// they have.
fn wait_for_workers(pool: &Arc<Pool>, deadline: Deadline) -> bool {
    if !pool.is_here() {
        return true;
    }
    if worker::is_of(pool) {
        return false;
    }
    let ended = pool.queue.wait_for_workers(deadline);
    if ended {
        pool.release();
    }
    if ended && deadline.is_never() {
        pool.join_handles();
    }
    ended
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.pool.close();
        if !self.pool.is_abandoned() {
            wait_for_workers(&self.pool, Deadline::NEVER);
        }
    }
}

// What the user's code can leave half changed behind a panic is the user's: everything of the pool
// that a panic can come through is whole.
impl UnwindSafe for ThreadPoolExecutor {}
impl RefUnwindSafe for ThreadPoolExecutor {}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.pool.queue.snapshot();
        f.debug_struct("ThreadPoolExecutor")
            .field("thread_name_prefix", &self.pool.name())
            .field("max_workers", &self.max_workers())
            .field("workers", &now.workers)
            .field("queued", &now.queued)
            .finish_non_exhaustive()
    }
}

/// What was left when a shutdown stopped waiting: [`ThreadPoolExecutor::shutdown_timeout`] or
/// [`ThreadPoolExecutor::shutdown_now_timeout`].
///
/// ```
/// use std::time::Duration;
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
/// let (go, wait) = std::sync::mpsc::channel::<()>();
/// let stuck = pool.task().name("stuck").submit(move || wait.recv().is_ok());
/// while !stuck.running() {}
/// let queued = pool.submit(|| ());
/// let report = pool.shutdown_timeout(Duration::ZERO);
/// assert!(!report.is_complete());
/// assert_eq!((report.cancelled, report.workers), (1, 1));
/// assert_eq!(report.running[0].task.as_deref(), Some("stuck"));
/// assert!(queued.result().unwrap_err().is_cancelled());
/// # go.send(())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// The tasks that still run, longest first.
    pub running: Vec<RunningTask>,
    /// The number of tasks that were queued, and are cancelled now.
    pub cancelled: usize,
    /// The number of workers that have not ended. One may be between two tasks, or dropping what a
    /// task left.
    pub workers: usize,
}

impl ShutdownReport {
    /// Returns whether everything had ended in time.
    pub fn is_complete(&self) -> bool {
        self.workers == 0 && self.cancelled == 0
    }
}
