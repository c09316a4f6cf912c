//! The handle to a task's result.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;
use crate::error::{NotStarted, TaskError};
use crate::pool::Pool;
use crate::pool::limit::Limit;
use crate::pool::share::PoolShare;
use crate::pool::worker;
use crate::sync::{Deadline, Mutex};
use crate::task::job::{ContextRunner, Job, WithContext, is_in_context, run_in};
use crate::task::observer::Claim;
use crate::task::waiter::Waiter;
use crate::task::{NewTask, TaskHandle};
use crate::thread::fork::Home;

/// A result that is on its way.
///
/// It can be read by blocking ([`result`](Future::result)), by waiting for a while
/// ([`result_timeout`](Future::result_timeout)), or by `.await` on any async runtime, because it
/// implements [`std::future::Future`]. Dropping it lets the task run on; [`cancel`](Future::cancel)
/// does not. An error that is dropped unread is reported: see
/// [`on_unread_error`](crate::ThreadPoolExecutorBuilder::on_unread_error).
///
/// The predicates [`done`](Future::done), [`running`](Future::running) and
/// [`cancelled`](Future::cancelled) are named as in Python's `concurrent.futures`, on purpose.
///
/// ```
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
/// let future = pool.submit(|| 6 * 7);
/// assert_eq!(future.result()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a future's result, and its panic, are lost when they are not read"]
pub struct Future<T> {
    /// `None` only while the future is dropped.
    task: Option<TaskHandle<T>>,
    /// Set once a worker that polled this future may be replaced.
    replaces_worker: bool,
    pool: PoolShare,
    cancels_on_drop: bool,
}

const NOT_DROPPED: &str = "a future has its task until it is dropped";

impl<T: Send> Future<T> {
    pub(crate) fn new(task: TaskHandle<T>, pool: PoolShare) -> Self {
        Future { task: Some(task), replaces_worker: false, pool, cancels_on_drop: false }
    }

    /// Waits for the task and returns its value.
    ///
    /// When a worker calls it on a task of its own pool that no worker has started, it runs that
    /// task inline, to a depth of 16, or of half of its stack. Deeper, and on a task that another
    /// worker runs, it lets the pool start another worker meanwhile, up to 64, and more only when
    /// all are blocked. So tasks may wait for tasks of their own pool with one worker, in a chain
    /// as deep as there are threads to be had, one for every 16 tasks; when the system refuses one,
    /// the next task ends with [`NoThread`](crate::TaskErrorKind::NoThread). Two pools that wait
    /// for each other get no such help, nor does a task that waits for itself.
    ///
    /// So a task that waits may have another run inside of it, on the same thread: what it borrows
    /// of a thread-local meanwhile (a [`RefCell`](std::cell::RefCell)'s guard, say), or locks, that
    /// task finds borrowed or locked. Let it go before the wait.
    ///
    /// # Errors
    /// The panic, when the task panicked; or why it never ran: it was cancelled, submitted after
    /// the shutdown, or no thread could be started. [`Forked`](crate::TaskErrorKind::Forked) in a
    /// process that was forked before there was a result. [`Taken`](crate::TaskErrorKind::Taken),
    /// when the future was awaited to its end before, through a reference.
    pub fn result(self) -> Result<T, TaskError> {
        match self.result_until(Deadline::NEVER) {
            Ok(result) => result,
            Err(_) => unreachable!("a deadline that is never does not pass"),
        }
    }

    /// Waits for at most `timeout`. A future that is not done by then is given back as the `Err`.
    /// `Duration::ZERO` only looks; a timeout too long for the clock means for ever.
    ///
    /// # Errors
    /// The future itself, when it is not done. What the task ended with is in the `Ok`.
    pub fn result_timeout(self, timeout: Duration) -> Result<Result<T, TaskError>, Future<T>> {
        self.result_until(Deadline::after(timeout))
    }

    fn result_until(mut self, deadline: Deadline) -> Result<Result<T, TaskError>, Future<T>> {
        if !self.task().is_done() && !self.is_done_by(deadline) {
            return Err(self);
        }
        let task = self.task.take().expect(NOT_DROPPED);
        let is_done = task.is_done();
        Ok(task.into_result().unwrap_or_else(|| match is_done {
            true => Err(TaskError::taken()),
            false => Err(TaskError::forked()),
        }))
    }

    /// Waits until there is a result, or there never will be, because it is awaited in another
    /// process than its pool's. Returns false when the deadline came first.
    fn is_done_by(&self, deadline: Deadline) -> bool {
        // A timed wait cannot promise to return in time once it runs the task itself, so it does
        // not.
        if deadline.is_never() && self.try_run_inline() {
            return true;
        }
        let task = self.task();
        !deadline.has_passed()
            && (self.pool.spin_until(|| task.is_done())
                || !self.pool.is_here()
                || worker::while_blocked_on([self.pool()], || task.wait_until(deadline)))
    }

    /// Waits until the task is done. Returns false when the deadline came first.
    pub(crate) fn wait_until(&self, deadline: Deadline) -> bool {
        let task = self.task();
        let wait = || task.wait_until(deadline);
        self.is_done() || (!deadline.has_passed() && worker::while_blocked_on([self.pool()], wait))
    }

    /// Cancels the task if it has not started. Returns true when it will never run, which every
    /// reader of the result then sees as a cancelled error; false when it runs or is done.
    /// Callbacks run on the calling thread.
    ///
    /// A running task can only be asked to stop: give it a [token](crate::TaskOptions::token) for
    /// that.
    pub fn cancel(&self) -> bool {
        if let Some(claimed) = self.task().claim(Claim::ToCancel) {
            self.pool.cancel_claimed(claimed);
        }
        self.task().is_cancelled()
    }

    /// Returns whether there is a result: a value, a panic, a cancellation, or the error of a task
    /// that belongs to another process.
    pub fn done(&self) -> bool {
        self.is_done()
    }

    /// Does what [`done`](Future::done) does, as Rust names it.
    pub fn is_done(&self) -> bool {
        self.task().is_done() || !self.pool.is_here()
    }

    /// Returns whether the task has started and is not done.
    pub fn running(&self) -> bool {
        self.task().is_running()
    }

    /// Returns whether the task was cancelled.
    pub fn cancelled(&self) -> bool {
        self.task().is_cancelled()
    }

    /// Calls `callback` with the result once there is one.
    ///
    /// Callbacks run in the order in which they were added, on the thread that ends the task (a
    /// worker, or the canceller), *before* the result can be read: a thread that has read it knows
    /// that they have run. When the task is done already, the callback runs now, on the calling
    /// thread. A callback that panics harms no other and not the worker. One that waits for this
    /// very future waits for ever, and so does one that a shutdown runs and that waits for another
    /// task of the pool.
    ///
    /// In a pool that carries [contexts](crate::ThreadPoolExecutorBuilder::context), a callback
    /// that a worker runs has that of the thread that added it; any other runs in what its own
    /// thread has.
    ///
    /// When the future was awaited to its end before, through a reference, the callback gets
    /// [`Taken`](crate::TaskErrorKind::Taken) instead of the result.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
    /// let (sender, receiver) = mpsc::channel();
    /// let future = pool.submit(|| 25);
    /// future.add_done_callback(move |result| sender.send(result.copied().ok()).unwrap());
    /// assert_eq!(future.result()?, 25);
    /// assert_eq!(receiver.recv()?, Some(25));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_done_callback<F>(&self, callback: F)
    where
        F: FnOnce(Result<&T, &TaskError>) + Send + 'static,
    {
        let Some(context) = self.pool.capture_context() else {
            return self.task().add_callback(Box::new(callback));
        };
        let pool = Arc::downgrade(&self.pool);
        self.task().add_callback(Box::new(move |result| {
            // Entering the context where another may be in place could wipe that.
            let is_between_tasks =
                pool.upgrade().is_some_and(|pool| worker::is_of(&pool)) && !is_in_context();
            if !is_between_tasks {
                return callback(result);
            }
            let mut callback = Some(callback);
            run_in(context, &mut || {
                if let Some(callback) = callback.take() {
                    callback(result);
                }
            });
        }));
    }

    /// Returns the future of what `f` makes of this one's value, in a task of the same pool that is
    /// queued when this one is done. If this one has no value, neither has that, for the same
    /// reason. What a task takes over from its submitter, the context and a token, is that of the
    /// thread that calls `map`.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
    /// let length = pool.submit(|| "three".to_owned()).map(|word| word.len());
    /// assert_eq!(length.result()?, 5);
    /// let failed = pool.submit(|| -> u32 { panic!("no number") }).map(|n| n + 1);
    /// assert_eq!(failed.result().unwrap_err().message(), "no number");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map<U, F>(self, f: F) -> Future<U>
    where
        F: FnOnce(T) -> U + Send + 'static,
        T: 'static,
        U: Send + 'static,
    {
        let pool = self.pool.clone();
        let first = Arc::new(Mutex::new(None::<Future<T>>));
        let submitted = pool.has_task_hooks().then(Arc::<OnceLock<Instant>>::default);
        let job = GoOn {
            first: Arc::clone(&first),
            token: Limit::inherited_token(&pool),
            context: pool.capture_context(),
            submitted: submitted.clone(),
            f,
        };
        let (queued, handle) = NewTask::new(job).into_owners();
        let mut slot = first.lock();
        let first = slot.insert(self);
        let later = Arc::clone(&*pool);
        // It runs just before the first task is done; the second then waits for that.
        first.task().add_callback(Box::new(move |_| {
            if let Some(at) = submitted {
                at.get_or_init(Instant::now);
            }
            later.push_later(queued);
        }));
        drop(slot);
        Future::new(handle, pool)
    }

    /// Makes dropping the future [cancel](Future::cancel) the task, if it has not started.
    pub fn cancel_on_drop(mut self) -> Self {
        self.cancels_on_drop = true;
        self
    }

    /// Runs the task inline if possible: see [`worker::try_run_inline`]. A task with a context gets
    /// a worker of its own as long as there may be more, because a hook that sets a context and
    /// clears it afterwards would take it from the task that waits.
    pub(crate) fn try_run_inline(&self) -> bool {
        if self.pool.has_context() && !self.pool.queue.substitutes_are_spent() {
            return false;
        }
        worker::try_run_inline(&self.pool, self.task())
    }

    /// Notifies `waiter` of `index` when there is a result, or at once if there never will be. The
    /// calling process is `here`.
    pub(crate) fn notify_when_done(&self, waiter: &Arc<Waiter>, index: usize, here: Home) {
        if self.pool.home() == here || self.pool.is_here() {
            self.task().add_waiter(waiter, index);
        } else {
            waiter.notify(index);
        }
    }

    /// Returns whether there is a result and it is no value.
    pub(crate) fn has_failed(&self) -> bool {
        self.task().has_failed() || (!self.task().is_done() && !self.pool.is_here())
    }

    pub(crate) fn task(&self) -> &TaskHandle<T> {
        self.task.as_ref().expect(NOT_DROPPED)
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

/// The closure of a task that goes on from the value of another.
struct GoOn<T, F> {
    first: Arc<Mutex<Option<Future<T>>>>,
    /// What the thread has that asked for it, as for any task.
    token: Option<CancelToken>,
    context: Option<ContextRunner>,
    /// When this task was queued, if a hook is to be told.
    submitted: Option<Arc<OnceLock<Instant>>>,
    f: F,
}

impl<T: Send, U, F: FnOnce(T) -> U + Send> Job<U> for GoOn<T, F> {
    fn run(self) -> Result<U, NotStarted> {
        let first = self.first.lock().take();
        let submitted = self.submitted.as_ref().and_then(|at| at.get()).copied();
        let first = first.expect("the task is run once, after it was put there");
        // Without a value there is nothing to call the closure with, and this task has not failed.
        let value = first.result().map_err(NotStarted::Failed)?;
        let (GoOn { token, context, f, .. }, name, run_timeout) = (self, None, None);
        let limit = None::<()>;
        let f = move || f(value);
        WithContext { f, token, name, run_timeout, context, submitted, limit }.run()
    }
}

impl<T: Send> std::future::Future for Future<T> {
    type Output = Result<T, TaskError>;

    /// Never runs the task, nor any other: it returns at once. When a worker polls a future of its
    /// own pool, another worker may be started in its place until there is a result, because the
    /// task that polls may block until then.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = this.task.as_mut().expect(NOT_DROPPED).poll(context);
        if polled.is_pending() && !this.pool.is_here() {
            return Poll::Ready(Err(TaskError::forked()));
        }
        if polled.is_pending() {
            this.replaces_worker |= worker::begin_awaiting(&this.pool);
        } else if std::mem::take(&mut this.replaces_worker) {
            worker::end_awaiting();
        }
        polled
    }
}

impl<T> Drop for Future<T> {
    fn drop(&mut self) {
        if self.replaces_worker {
            worker::end_awaiting();
        }
        if self.cancels_on_drop
            && let Some(claimed) = self.task.as_ref().and_then(|task| task.claim(Claim::ToCancel))
        {
            self.pool.cancel_claimed(claimed);
        }
        if let Some(error) = self.task.take().and_then(TaskHandle::dispose) {
            self.pool.report_unread(&error);
        }
    }
}

// Nothing of a task's result is seen before it is whole.
impl<T> UnwindSafe for Future<T> {}
impl<T> RefUnwindSafe for Future<T> {}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            Some(task) => write!(f, "Future({task:?})"),
            None => f.write_str("Future"),
        }
    }
}
