//! One closure and the cell its result ends up in.
//!
//! A task goes one way: *pending* (it holds its closure) → *claimed* (somebody runs it) → *done*. Whoever moves it
//! out of *pending* owns it: a worker that claims it, a waiter that claims it to run it on the spot, or a
//! canceller that claims it to end it. Exactly one of them wins, because the step happens under the cell's lock.
//!
//! Callbacks run before the result is published, so whoever has seen the result knows that they have all run.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::error::TaskError;
use crate::sync::{Condvar, Deadline, Mutex};
use crate::wait::Waiter;

pub(crate) type Job<T> = Box<dyn FnOnce() -> T + Send>;
type Callback<T> = Box<dyn FnOnce(Result<&T, &TaskError>) + Send>;

/// What a queue and a worker need to know of a task: everything but its type.
pub(crate) trait Run: Send + Sync {
    /// Takes the task out of *pending*. False when somebody else already has.
    fn claim(&self) -> bool;

    /// Runs a claimed task and publishes its result. `before_publishing` is called once the closure and the
    /// callbacks have returned, and is told whether the closure panicked.
    fn run_claimed(&self, before_publishing: &mut dyn FnMut(bool));

    /// Ends a claimed task with `error` instead of running it.
    fn fail_claimed(&self, error: TaskError);

    /// Whether nobody has claimed or cancelled it.
    fn is_pending(&self) -> bool;

    /// Whether it is done and its result is still in it.
    fn holds_result(&self) -> bool;

    /// When it was made, which is when it was submitted.
    fn submitted(&self) -> Instant;
}

/// A closure, then its result.
pub(crate) struct Task<T> {
    state: Mutex<State<T>>,
    /// Notified when the result is published.
    published: Condvar,
    submitted: Instant,
}

struct State<T> {
    phase: Phase<T>,
    callbacks: Vec<Callback<T>>,
    waiters: Vec<(Arc<Waiter>, usize)>,
    waker: Option<Waker>,
    /// Threads in `wait_until`. Nobody is notified when nobody waits, for that is a system call.
    waiting: usize,
}

enum Phase<T> {
    Pending(Job<T>),
    /// Somebody has the right to run the closure, which is still here.
    Claimed(Job<T>),
    Running,
    /// `cancelled` outlives the result, which is taken out by whoever reads it.
    Done {
        result: Option<Result<T, TaskError>>,
        cancelled: bool,
    },
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn new(job: Job<T>) -> Self {
        Task::in_phase(Phase::Pending(job))
    }

    /// A task that somebody is running already: `complete` will end it.
    pub(crate) fn running() -> Self {
        Task::in_phase(Phase::Running)
    }

    /// A task that ended before it began.
    pub(crate) fn failed(error: TaskError) -> Self {
        let cancelled = error.is_cancelled();
        Task::in_phase(Phase::Done { result: Some(Err(error)), cancelled })
    }

    fn in_phase(phase: Phase<T>) -> Self {
        let state =
            State { phase, callbacks: Vec::new(), waiters: Vec::new(), waker: None, waiting: 0 };
        Task { state: Mutex::new(state), published: Condvar::new(), submitted: Instant::now() }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Done { .. })
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Claimed(_) | Phase::Running)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Done { cancelled: true, .. })
    }

    /// Whether the task is done and has no value.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Done { result: Some(Err(_)), .. })
    }

    /// Blocks until the result is published. False when the deadline came first.
    pub(crate) fn wait_until(&self, deadline: Deadline) -> bool {
        let mut state = self.state.lock();
        while !matches!(state.phase, Phase::Done { .. }) {
            if deadline.has_passed() {
                return false;
            }
            state.waiting += 1;
            state = self.published.wait_until(state, deadline);
            state.waiting -= 1;
        }
        true
    }

    /// Takes the result of a finished task; `None` when it is not finished, or somebody took it.
    pub(crate) fn take_result(&self) -> Option<Result<T, TaskError>> {
        match &mut self.state.lock().phase {
            Phase::Done { result, .. } => result.take(),
            _ => None,
        }
    }

    /// The result, or a promise to wake `context` when there is one.
    ///
    /// # Panics
    /// When the result was taken before.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        let mut state = self.state.lock();
        if let Phase::Done { result, .. } = &mut state.phase {
            return Poll::Ready(result.take().expect("a future is polled after it was ready"));
        }
        let old = state.waker.replace(context.waker().clone());
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// Calls `callback` with the result: now, when there is one, else just before it is published.
    pub(crate) fn add_callback(&self, callback: Callback<T>) {
        let mut state = self.state.lock();
        // The result leaves its cell while the callback reads it, for no lock is held while user code runs.
        let result = match &mut state.phase {
            Phase::Done { result, .. } => result.take(),
            _ => {
                state.callbacks.push(callback);
                return;
            }
        };
        drop(state);
        let result = result.expect("the handle that reads the result is consumed by reading it");
        call(callback, result.as_ref());
        if let Phase::Done { result: place, .. } = &mut self.state.lock().phase {
            *place = Some(result);
        }
    }

    /// Tells `waiter` about `index` when the result is published, or at once.
    pub(crate) fn add_waiter(&self, waiter: &Arc<Waiter>, index: usize) {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Done { .. } => {
                drop(state);
                waiter.tell(index);
            }
            _ => state.waiters.push((Arc::clone(waiter), index)),
        }
    }

    pub(crate) fn remove_waiter(&self, waiter: &Arc<Waiter>) {
        self.state.lock().waiters.retain(|(other, _)| !Arc::ptr_eq(other, waiter));
    }

    /// Runs the callbacks, then `before_publishing`, then lets everyone see the result.
    pub(crate) fn complete(
        &self,
        result: Result<T, TaskError>,
        before_publishing: &mut dyn FnMut(bool),
    ) {
        let panicked = result.as_ref().is_err_and(TaskError::is_panic);
        let cancelled = result.as_ref().is_err_and(TaskError::is_cancelled);
        self.run_callbacks(&result);
        before_publishing(panicked);
        loop {
            let mut state = self.state.lock();
            if !state.callbacks.is_empty() {
                // One more was added between the two locks.
                drop(state);
                self.run_callbacks(&result);
                continue;
            }
            state.phase = Phase::Done { result: Some(result), cancelled };
            let waiters = std::mem::take(&mut state.waiters);
            let waker = state.waker.take();
            let somebody_waits = state.waiting > 0;
            drop(state);
            if somebody_waits {
                self.published.notify_all();
            }
            for (waiter, index) in waiters {
                waiter.tell(index);
            }
            if let Some(waker) = waker {
                // A waker is the runtime's code. Its panic is not the worker's.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            }
            return;
        }
    }

    fn take_job(&self) -> Job<T> {
        match std::mem::replace(&mut self.state.lock().phase, Phase::Running) {
            Phase::Claimed(job) => job,
            _ => unreachable!("only the one who claimed a task ends it, and once"),
        }
    }

    fn run_callbacks(&self, result: &Result<T, TaskError>) {
        loop {
            let callbacks = std::mem::take(&mut self.state.lock().callbacks);
            if callbacks.is_empty() {
                return;
            }
            for callback in callbacks {
                call(callback, result.as_ref());
            }
        }
    }
}

impl<T: Send + 'static> Run for Task<T> {
    fn claim(&self) -> bool {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.phase, Phase::Running) {
            Phase::Pending(job) => {
                state.phase = Phase::Claimed(job);
                true
            }
            other => {
                state.phase = other;
                false
            }
        }
    }

    fn run_claimed(&self, before_publishing: &mut dyn FnMut(bool)) {
        let job = self.take_job();
        let result = catch_unwind(AssertUnwindSafe(job)).map_err(TaskError::panicked);
        self.complete(result, before_publishing);
    }

    fn fail_claimed(&self, error: TaskError) {
        let job = self.take_job();
        // What the closure owns is the user's, and so is the code that drops it.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(job)));
        self.complete(Err(error), &mut |_| ());
    }

    fn is_pending(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Pending(_))
    }

    fn holds_result(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Done { result: Some(_), .. })
    }

    fn submitted(&self) -> Instant {
        self.submitted
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state.lock().phase {
            Phase::Pending(_) => "pending",
            Phase::Claimed(_) | Phase::Running => "running",
            Phase::Done { cancelled: true, .. } => "cancelled",
            Phase::Done { .. } => "done",
        })
    }
}

/// A callback that panics harms nobody: std has printed its message, the next callback runs.
fn call<T>(callback: Callback<T>, result: Result<&T, &TaskError>) {
    let _ = catch_unwind(AssertUnwindSafe(|| callback(result)));
}
