//! One closure and the cell its result ends up in.
//!
//! A task goes one way: *pending* (it holds its closure) → *claimed*, to be run or to be cancelled → *sealed* (the result
//! is known and every callback has run) → *done*. Whoever moves it out of *pending* owns it: a worker, a waiter that runs
//! it on the spot, or a canceller. Exactly one of them wins, because the step happens under the cell's lock.
//!
//! Callbacks run before the result is published, so whoever has seen the result knows that they have all run. Between the
//! seal and the publication nothing happens that could take long, so whoever comes in that moment waits for its end.
//!
//! No code of the user runs under the lock, and none runs on a worker while that counts as free.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::error::TaskError;
use crate::sync::{Condvar, Deadline, Mutex, MutexGuard};
use crate::unwind::caught;
use crate::wait::Waiter;

pub(crate) type Job<T> = Box<dyn FnOnce() -> T + Send>;
type Callback<T> = Box<dyn FnOnce(Result<&T, &TaskError>) + Send>;

/// What a claim is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    ToRun,
    ToCancel,
}

/// What a queue and a worker need to know of a task: everything but its type.
pub(crate) trait Run: Send + Sync {
    /// Takes the task out of *pending*. False when somebody else already has.
    fn claim(&self, what_for: Claim) -> bool;

    /// Runs a claimed task and publishes its result.
    fn run_claimed(&self, host: &dyn Host);

    /// Ends a claimed task with `error` instead of running it.
    fn fail_claimed(&self, error: TaskError);

    /// Whether nobody has claimed or cancelled it.
    fn is_pending(&self) -> bool;

    /// When it was made, which is when it was submitted.
    fn submitted(&self) -> Instant;
}

/// Whoever runs a task, and wants to know how far it is.
pub(crate) trait Host {
    /// The closure, its callbacks, and the drop of a result nobody wants have all returned. The result is published next.
    fn ended(&self, panicked: bool);

    /// Runs a piece of the user's code after that.
    fn interlude(&self, f: &mut dyn FnMut());
}

/// A host that does not care.
pub(crate) struct Anyone;

impl Host for Anyone {
    fn ended(&self, _panicked: bool) {}

    fn interlude(&self, f: &mut dyn FnMut()) {
        f();
    }
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
    /// Threads that wait for `published`. Nobody is notified when nobody waits, for that is a system call.
    waiting: usize,
    /// Set when the handle is dropped: the result is dropped instead of published.
    unwanted: bool,
}

enum Phase<T> {
    Pending(Job<T>),
    /// Somebody has the right to the closure, which is still here.
    Claimed(Job<T>, Claim),
    Running(Claim),
    Sealed(Claim),
    Done(Done<T>),
}

struct Done<T> {
    /// Taken out by whoever reads it, and lent to callbacks that come late.
    result: Option<Result<T, TaskError>>,
    /// Whether it is lent. The borrower runs what is in `callbacks` before it gives it back.
    lent: bool,
    cancelled: bool,
    failed: bool,
}

impl<T> Done<T> {
    fn phase(result: Option<Result<T, TaskError>>, cancelled: bool, failed: bool) -> Phase<T> {
        Phase::Done(Done { result, lent: false, cancelled, failed })
    }
}

impl<T> Task<T> {
    pub(crate) fn new(job: Job<T>) -> Self {
        Task::in_phase(Phase::Pending(job))
    }

    /// A task that somebody is running already: `complete` will end it.
    pub(crate) fn running() -> Self {
        Task::in_phase(Phase::Running(Claim::ToRun))
    }

    /// A task that ended before it began.
    pub(crate) fn failed(error: TaskError) -> Self {
        let cancelled = error.is_cancelled();
        Task::in_phase(Done::phase(Some(Err(error)), cancelled, true))
    }

    fn in_phase(phase: Phase<T>) -> Self {
        let state = State {
            phase,
            callbacks: Vec::new(),
            waiters: Vec::new(),
            waker: None,
            waiting: 0,
            unwanted: false,
        };
        Task { state: Mutex::new(state), published: Condvar::new(), submitted: Instant::now() }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Done(_))
    }

    pub(crate) fn is_running(&self) -> bool {
        use Phase::{Claimed, Running, Sealed};
        let phase = &self.state.lock().phase;
        matches!(phase, Claimed(_, Claim::ToRun) | Running(Claim::ToRun) | Sealed(Claim::ToRun))
    }

    /// Whether it was cancelled, or is about to be.
    pub(crate) fn is_cancelled(&self) -> bool {
        match &self.state.lock().phase {
            Phase::Pending(_) => false,
            Phase::Claimed(_, claim) | Phase::Running(claim) | Phase::Sealed(claim) => {
                *claim == Claim::ToCancel
            }
            Phase::Done(done) => done.cancelled,
        }
    }

    /// Whether the task is done and has no value.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(&self.state.lock().phase, Phase::Done(done) if done.failed)
    }

    /// Blocks until the result is published. False when the deadline came first.
    pub(crate) fn wait_until(&self, deadline: Deadline) -> bool {
        let state = self.state.lock();
        let state = self.wait_while(state, deadline, |phase| !matches!(phase, Phase::Done(_)));
        matches!(state.phase, Phase::Done(_))
    }

    fn wait_while<'a>(
        &self,
        mut state: MutexGuard<'a, State<T>>,
        deadline: Deadline,
        not_yet: impl Fn(&Phase<T>) -> bool,
    ) -> MutexGuard<'a, State<T>> {
        while not_yet(&state.phase) && !deadline.has_passed() {
            state.waiting += 1;
            state = self.published.wait_until(state, deadline);
            state.waiting -= 1;
        }
        state
    }

    /// The state, not in the short moment between the seal and the publication.
    fn settled(&self) -> MutexGuard<'_, State<T>> {
        let state = self.state.lock();
        self.wait_while(state, Deadline::NEVER, |phase| matches!(phase, Phase::Sealed(_)))
    }

    /// Takes the result of a finished task; `None` when it is not finished, or somebody took it.
    pub(crate) fn take_result(&self) -> Option<Result<T, TaskError>> {
        match &mut self.state.lock().phase {
            Phase::Done(done) => done.result.take(),
            _ => None,
        }
    }

    /// The result, or a promise to wake `context` when there is one.
    ///
    /// # Panics
    /// When the result was taken before.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        // Cloned before the lock is taken: the clone is the runtime's code.
        let waker = context.waker().clone();
        let mut state = self.state.lock();
        if let Phase::Done(done) = &mut state.phase {
            return Poll::Ready(
                done.result.take().expect("no future is polled after it was ready"),
            );
        }
        let old = state.waker.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// Calls `callback` with the result: now, when there is one, else just before it is published.
    ///
    /// # Panics
    /// When the result was taken before, by polling.
    pub(crate) fn add_callback(&self, callback: Callback<T>) {
        let mut state = self.settled();
        let Phase::Done(done) = &mut state.phase else {
            state.callbacks.push(callback);
            return;
        };
        if done.lent {
            state.callbacks.push(callback);
            return;
        }
        // The result leaves its cell while the callback reads it, for no lock is held while user code runs.
        let result =
            done.result.take().expect("a future that was awaited to its end is not used again");
        done.lent = true;
        drop(state);
        let mut next = vec![callback];
        loop {
            next.into_iter().for_each(|callback| caught(|| callback(result.as_ref())));
            let mut state = self.state.lock();
            next = std::mem::take(&mut state.callbacks);
            if next.is_empty() {
                if let Phase::Done(done) = &mut state.phase {
                    done.result = Some(result);
                    done.lent = false;
                }
                return;
            }
        }
    }

    /// Tells `waiter` about `index` when the result is published, or at once.
    pub(crate) fn add_waiter(&self, waiter: &Arc<Waiter>, index: usize) {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Done(_) => {
                drop(state);
                waiter.tell(index);
            }
            _ => state.waiters.push((Arc::clone(waiter), index)),
        }
    }

    pub(crate) fn remove_waiter(&self, waiter: &Arc<Waiter>) {
        self.state.lock().waiters.retain(|(other, _)| !Arc::ptr_eq(other, waiter));
    }

    /// Says that nobody will read the result. It is dropped here when it is there already, and by whoever ends the task
    /// when it is not: in either case before it could be dropped by a worker that counts as free.
    pub(crate) fn disown(&self) {
        let mut state = self.settled();
        state.unwanted = true;
        let waker = state.waker.take();
        let result = match &mut state.phase {
            Phase::Done(done) => done.result.take(),
            _ => None,
        };
        drop(state);
        drop(waker);
        drop(result);
    }

    /// Runs the callbacks, then lets everyone see the result.
    pub(crate) fn complete(&self, result: Result<T, TaskError>, host: &dyn Host) {
        let panicked = result.as_ref().is_err_and(TaskError::is_panic);
        let cancelled = result.as_ref().is_err_and(TaskError::is_cancelled);
        let failed = result.is_err();
        let unwanted = self.run_callbacks_and_seal(&result);
        let mut result = Some(result);
        if unwanted {
            caught(|| result = None);
        }
        host.ended(panicked);
        self.publish(Done::phase(result, cancelled, failed), host);
    }

    /// Returns whether the result is unwanted.
    fn run_callbacks_and_seal(&self, result: &Result<T, TaskError>) -> bool {
        loop {
            let mut state = self.state.lock();
            if state.callbacks.is_empty() {
                let cancelled = result.as_ref().is_err_and(TaskError::is_cancelled);
                state.phase = Phase::Sealed(if cancelled { Claim::ToCancel } else { Claim::ToRun });
                return state.unwanted;
            }
            let callbacks = std::mem::take(&mut state.callbacks);
            drop(state);
            for callback in callbacks {
                caught(|| callback(result.as_ref()));
            }
        }
    }

    fn publish(&self, done: Phase<T>, host: &dyn Host) {
        let mut state = self.state.lock();
        state.phase = done;
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
            let mut waker = Some(waker);
            host.interlude(&mut || caught(|| waker.take().into_iter().for_each(Waker::wake)));
        }
    }

    fn take_job(&self) -> Job<T> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.phase, Phase::Running(Claim::ToRun)) {
            Phase::Claimed(job, claim) => {
                state.phase = Phase::Running(claim);
                job
            }
            _ => unreachable!("only the one who claimed a task ends it, and once"),
        }
    }
}

impl<T: Send + 'static> Run for Task<T> {
    fn claim(&self, what_for: Claim) -> bool {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.phase, Phase::Running(what_for)) {
            Phase::Pending(job) => {
                state.phase = Phase::Claimed(job, what_for);
                true
            }
            other => {
                state.phase = other;
                false
            }
        }
    }

    fn run_claimed(&self, host: &dyn Host) {
        let job = self.take_job();
        let result = catch_unwind(AssertUnwindSafe(job)).map_err(TaskError::panicked);
        self.complete(result, host);
    }

    fn fail_claimed(&self, error: TaskError) {
        let job = self.take_job();
        // What the closure owns is the user's, and so is the code that drops it.
        caught(|| drop(job));
        self.complete(Err(error), &Anyone);
    }

    fn is_pending(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Pending(_))
    }

    fn submitted(&self) -> Instant {
        self.submitted
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state.lock().phase {
            Phase::Pending(_) => "pending",
            Phase::Claimed(..) | Phase::Running(_) | Phase::Sealed(_) => "running",
            Phase::Done(done) if done.cancelled => "cancelled",
            Phase::Done(_) => "done",
        })
    }
}
