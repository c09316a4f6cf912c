//! The handle to a task's result.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::crew::Crew;
use crate::error::TaskError;
use crate::sync::Deadline;
use crate::task::{Claim, Run, Task};
use crate::worker;

/// A result that is on its way.
///
/// It can be read by blocking ([`result`](Future::result)), by waiting for a while
/// ([`result_timeout`](Future::result_timeout)), or by `.await` on any async runtime, for it implements
/// [`std::future::Future`]. Dropping it lets the task run on; [`cancel`](Future::cancel) does not.
///
/// ```
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
/// let future = pool.submit(|| 6 * 7);
/// assert_eq!(future.result()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a future's result, and its panic, are lost when nobody reads them"]
pub struct Future<T> {
    task: Arc<Task<T>>,
    crew: Arc<Crew>,
}

impl<T: Send + 'static> Future<T> {
    pub(crate) fn new(task: Arc<Task<T>>, crew: Arc<Crew>) -> Self {
        Future { task, crew }
    }

    /// Waits for the task and returns its value.
    ///
    /// Called by a worker on a task of its own pool that nobody has started, it runs that task on the spot, to a depth
    /// of 16; on one that somebody runs, it lets the pool start another worker meanwhile, up to 64. So tasks may wait for
    /// tasks of their own pool with one worker, as deep as the workers' stacks allow. Two pools that wait for each other
    /// are not helped, nor is a task that waits for itself.
    ///
    /// # Panics
    /// When the future was awaited to its end before, through a reference.
    ///
    /// # Errors
    /// The panic, when the task panicked; or why it never ran: it was cancelled, submitted after the shutdown, or no
    /// thread could be had.
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

    fn result_until(self, deadline: Deadline) -> Result<Result<T, TaskError>, Future<T>> {
        // A timed wait cannot promise to return in time once it runs the task itself, so it does not.
        let ran = deadline.is_never() && self.runs_on_the_spot();
        if !ran && !self.task.is_done() {
            let waited = !deadline.has_passed()
                && worker::while_blocked_on([&self], || self.task.wait_until(deadline));
            if !waited {
                return Err(self);
            }
        }
        Ok(self
            .task
            .take_result()
            .expect("reading consumes the only handle, so the result is there"))
    }

    /// Cancels the task if it has not started. True when it will never run, which every reader of the result then sees
    /// as a cancelled error; false when it runs or is done. Callbacks run on the calling thread.
    pub fn cancel(&self) -> bool {
        if self.task.claim(Claim::ToCancel) {
            self.crew.cancel_claimed(&*self.task);
        }
        self.task.is_cancelled()
    }

    /// Whether there is a result: a value, a panic or a cancellation.
    pub fn done(&self) -> bool {
        self.task.is_done()
    }

    /// Whether the task has started and is not done.
    pub fn running(&self) -> bool {
        self.task.is_running()
    }

    /// Whether the task was cancelled.
    pub fn cancelled(&self) -> bool {
        self.task.is_cancelled()
    }

    /// Has `callback` called with the result when there is one.
    ///
    /// Callbacks run in the order in which they were added, on the thread that ends the task (a worker, or the one that
    /// cancels), *before* the result can be read: who has read it knows that they have run. When the task is done
    /// already, the callback runs now, on this thread. A callback that panics harms no other and not the worker. One that
    /// waits for this very future waits for ever, and so does one that a shutdown calls and that waits for another task of
    /// the pool.
    ///
    /// # Panics
    /// When the future was awaited to its end before, through a reference.
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
        self.task.add_callback(Box::new(callback));
    }

    /// See [`worker::runs_on_the_spot`].
    pub(crate) fn runs_on_the_spot(&self) -> bool {
        worker::runs_on_the_spot(&self.crew, &*self.task)
    }

    pub(crate) fn task(&self) -> &Task<T> {
        &self.task
    }

    pub(crate) fn crew(&self) -> &Arc<Crew> {
        &self.crew
    }
}

impl<T: Send + 'static> std::future::Future for Future<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A task that awaits a task of its own pool must not starve it.
        self.runs_on_the_spot();
        self.task.poll(context)
    }
}

impl<T> Drop for Future<T> {
    fn drop(&mut self) {
        self.task.disown();
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Future({:?})", self.task)
    }
}
