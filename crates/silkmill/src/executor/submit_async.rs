//! Submitting without blocking the thread: waiting for room as a future.
//!
//! The submitter has a place in the queue's line, like one that blocks, and a parker that wakes its
//! async task in the place of a thread. The task pushes again when it is polled, so a task that is
//! woken and never polled holds up the line; dropping the future gives the place up, and lets the
//! next have the room.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::cancel::{CancelToken, OnCancel};
use crate::executor::future::Future;
use crate::executor::prepared::PreparedTask;
use crate::pool::queue::{LinePlace, Refused, WaitPolicy};
use crate::pool::share::PoolShare;
use crate::pool::timer::{OnTime, TimerEntry};
use crate::pool::worker;
use crate::sync::parker::Parker;
use crate::task::TaskHandle;

/// The future of a task that is being submitted; [`ThreadPoolExecutor::submit_async`] makes it.
///
/// Its output is the [`Future`] of the task. Awaiting both waits for room, and then for the result:
///
/// ```
/// use silkmill::ThreadPoolExecutor;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let pool = ThreadPoolExecutor::builder().queue_capacity(10).build()?;
/// assert_eq!(pool.submit_async(|| 6 * 7).await.await?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`ThreadPoolExecutor::submit_async`]: crate::ThreadPoolExecutor::submit_async
#[must_use = "a future does nothing until it is awaited"]
pub struct SubmitAsync<F, T> {
    pool: PoolShare,
    place: LinePlace,
    /// `None` once it was queued or refused.
    task: Option<PreparedTask<F>>,
    /// Set once the time limit and the token of the task end the waiting, too.
    waking: Waking,
    result: PhantomData<fn() -> T>,
}

/// What wakes the submitter beside room in the queue.
enum Waking {
    NotYet,
    Set { _at_deadline: Option<TimerEntry> },
}

impl<F, T> SubmitAsync<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    pub(crate) fn new(pool: PoolShare, task: PreparedTask<F>) -> Self {
        SubmitAsync {
            pool,
            place: LinePlace::new(),
            task: Some(task),
            waking: Waking::NotYet,
            result: PhantomData,
        }
    }

    /// Has the submitter woken when the task's time is up, or its token is cancelled.
    fn wake_at_limits(&mut self, task: &PreparedTask<F>) {
        if let (Waking::NotYet, Some(token)) = (&self.waking, task.token()) {
            let parker = self.place.parker();
            token.tell_on_cancel(Arc::<Parker>::clone(parker));
            let at = token.deadline();
            let entry = at.map(|at| self.pool.at_time(at, Arc::<Parker>::clone(parker)));
            self.waking = Waking::Set { _at_deadline: entry };
        }
    }

    fn failed(&self, refused: Refused) -> Future<T> {
        let task = TaskHandle::failed(self.pool.refusal(refused));
        Future::new(task, self.pool.clone())
    }
}

impl<F, T> std::future::Future for SubmitAsync<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = Future<T>;

    /// Pushes the task, or looks whether there is room for it now.
    ///
    /// # Panics
    /// When it is polled after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Future<T>> {
        let this = &mut *self;
        let mut task = this.task.take().expect("a future is not polled after it was ready");
        // Before the look at the queue, so that no unpark is missed that comes after it.
        this.place.parker().set_waker(context.waker().clone());
        let own = worker::is_of(&this.pool);
        if own {
            // It would be waiting for itself.
            this.pool.queue.leave_line(&this.place);
        } else {
            this.wake_at_limits(&task);
        }
        loop {
            let policy = if own { WaitPolicy::Unbounded } else { WaitPolicy::InLine(&this.place) };
            let refused;
            (task, refused) = match task.push(&this.pool, policy) {
                Ok(task) => return Poll::Ready(Future::new(task, this.pool.clone())),
                Err(refusal) => refusal,
            };
            if refused != Refused::InLine {
                return Poll::Ready(this.failed(refused));
            }
            if !this.pool.is_here() {
                return Poll::Ready(this.failed(Refused::Forked));
            }
            // If it came before there was a place in the line, nothing wakes the submitter for it.
            if !task.token().is_some_and(CancelToken::is_cancelled) {
                this.task = Some(task);
                return Poll::Pending;
            }
        }
    }
}

impl<F, T> Drop for SubmitAsync<F, T> {
    fn drop(&mut self) {
        // In a child the line is the parent's, and may be locked for ever.
        if self.pool.is_here() {
            self.pool.queue.leave_line(&self.place);
        }
        // The token may keep the parker for longer.
        self.place.parker().set_waker(Waker::noop().clone());
    }
}

/// What it holds is moved out, and not pinned.
impl<F, T> Unpin for SubmitAsync<F, T> {}

impl OnCancel for Parker {
    fn on_cancel(&self) {
        self.unpark();
    }
}

impl OnTime for Parker {
    fn on_time(&self) {
        self.unpark();
    }
}

impl<F, T> fmt::Debug for SubmitAsync<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.task.is_some() { "waiting" } else { "ready" };
        write!(f, "SubmitAsync({state})")
    }
}
