//! Who sleeps, who is woken, and why: the one wake protocol.
//!
//! A worker that exists is in one of five states:
//!
//! * *starting*: its thread was asked for and has not looked for work yet; an initializer may be
//!   running on it;
//! * *searching*: awake, and about to look whether a task is queued. Nothing of the user's runs on
//!   it before it has;
//! * *busy*: it has a task;
//! * *blocked*: busy, and waiting for a task of its own pool;
//! * *asleep*: parked, in a stack, so that the one that slept last is called first and the coldest
//!   can time out.
//!
//! The first two and the last are called *free*. [`WorkerCounts`] counts them; it is plain data,
//! changed only under both locks of the queue, so that every change below is atomic together with
//! the change of the queue that caused it. It wakes and starts nobody itself: it returns
//! [`Wakeups`], which are carried out once the locks are let go.
//!
//! # The rules
//!
//! **1. No task waits while a worker sleeps.** Whenever the locks are let go,
//!
//! > a task is queued and a worker is asleep ⟹ a worker is searching.
//!
//! A push with nobody searching calls a sleeper, which counts as searching from that moment on. A
//! searching worker ends its search in one of two ways. It takes a task: then, if more are queued
//! and nobody else is searching, it calls the next sleeper. Or it goes to sleep, for which nothing
//! may be queued; or it leaves, and calls in the same way, for a push may have counted on it. A
//! busy worker that takes its next task calls nobody: that changes nothing in the rule. So one call
//! is under way at a time, however fast tasks come, and none is owed: calls do not storm. A
//! searching worker runs no code of the user's, so it comes soon, whatever the tasks do.
//!
//! **2. No task waits while a worker may be started.** Whenever the locks are let go and the
//! wakeups are carried out,
//!
//! > more tasks are queued than workers are free ⟹ as many workers exist as are allowed.
//!
//! A push that finds fewer free workers than queued tasks starts one. Taking a task takes one of
//! each. A free worker becomes busy otherwise (see [`WorkerCounts::busy_again`]), or is blocked,
//! only together with the same check; and one that is asleep leaves only when nothing is queued. A
//! start that the system refuses counts the worker out; if it was the last, what is queued ends
//! with that error, and if not, the next push tries again.
//!
//! **3. A worker is free before its result is seen.** It says so before it publishes (or takes its
//! next task in the same breath), so whoever reads a result and submits again meets a free worker
//! instead of growing the pool.
//!
//! **4. A worker that waits for its own pool does not count.** Another may be started in its place,
//! up to [`SUBSTITUTES_MAX`], and past that only if all are blocked: one that is not may always
//! exist, so the blocked ones cannot all wait for what nobody runs. When it goes on there is one
//! too many, and one that would search next leaves.
//!
//! **5. Nobody sleeps through the end.** Closing the queue calls every sleeper; a searching worker
//! that finds the queue closed and empty leaves.
//!
//! # When a push need not ask
//!
//! Rule 1 holds for any number of tasks while somebody is searching or nobody asleep, and rule 2
//! while as many workers exist as are allowed. Only a change of the counts can end that, so until
//! then ([`WorkerCounts::needs_no_wakeup`]) tasks may be queued without a look at it. A busy pool
//! is in that state, and so is one with a spinner.
//!
//! # Spinning
//!
//! Waking a thread costs microseconds, so a searching worker may look again for a while before it
//! sleeps: one at a time, for [`SPINS_MAX`](crate::sync::spin::SPINS_MAX) turns of a loop, and only
//! while that pays (see [`Spinning`]). It counts as searching, so rule 1 holds; and since pushes
//! call nobody while somebody searches, a spinner saves both sides the system call.

use std::sync::Arc;

use crate::sync::parker::Parker;
use crate::sync::spin::Spinning;

/// How many workers may be started in the place of blocked ones. Past that, workers wait without
/// being replaced, save that there may always be one that is not blocked.
pub(crate) const SUBSTITUTES_MAX: usize = 64;

/// What is to be done once the locks are let go.
#[must_use = "an order that is not carried out strands a task"]
#[derive(Default)]
pub(crate) struct Wakeups {
    /// Whom to wake.
    pub(crate) wake: Option<Arc<Parker>>,
    /// How many workers to start. They are counted already.
    pub(crate) start: usize,
}

/// Who exists, and what they are doing.
pub(crate) struct WorkerCounts {
    workers_max: usize,
    workers: usize,
    starting: usize,
    searching: usize,
    blocked: usize,
    asleep: Vec<Arc<Parker>>,
    spinning: Spinning,
}

impl WorkerCounts {
    pub(crate) fn new(workers_max: usize) -> Self {
        WorkerCounts {
            workers_max,
            workers: 0,
            starting: 0,
            searching: 0,
            blocked: 0,
            asleep: Vec::new(),
            spinning: Spinning::default(),
        }
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers
    }

    pub(crate) fn workers_max(&self) -> usize {
        self.workers_max
    }

    pub(crate) fn blocked(&self) -> usize {
        self.blocked
    }

    pub(crate) fn free(&self) -> usize {
        self.starting + self.searching + self.asleep.len()
    }

    pub(crate) fn busy(&self) -> usize {
        self.workers - self.free()
    }

    /// How many workers there may be, substitutes included.
    fn allowed(&self) -> usize {
        let substituted = self.workers_max.saturating_add(self.blocked.min(SUBSTITUTES_MAX));
        substituted.max(self.blocked + 1)
    }

    pub(crate) fn is_surplus(&self) -> bool {
        self.workers > self.allowed()
    }

    /// Whether rules 1 and 2 hold however many tasks are queued. As long as nothing else changes, a
    /// push has nobody to call and nobody to start.
    pub(crate) fn needs_no_wakeup(&self) -> bool {
        self.workers >= self.allowed() && (self.searching > 0 || self.asleep.is_empty())
    }

    /// Keeps rule 1.
    fn wake(&mut self, queued: usize) -> Wakeups {
        if queued == 0 || self.searching > 0 {
            return Wakeups::default();
        }
        let wake = self.asleep.pop();
        self.searching += usize::from(wake.is_some());
        Wakeups { wake, start: 0 }
    }

    /// Keeps rules 1 and 2.
    pub(crate) fn wake_or_start(&mut self, queued: usize) -> Wakeups {
        let mut wakeups = self.wake(queued);
        while queued > self.free() && self.workers < self.allowed() {
            self.workers += 1;
            self.starting += 1;
            wakeups.start += 1;
        }
        wakeups
    }

    /// A worker that was to be started looks for work now.
    pub(crate) fn started(&mut self) {
        self.starting -= 1;
        self.searching += 1;
    }

    /// A worker could not be started, or not be initialized.
    pub(crate) fn not_started(&mut self) {
        self.starting -= 1;
        self.workers -= 1;
    }

    /// A searching worker took a task, after which `queued` are left.
    pub(crate) fn took(&mut self, queued: usize) -> Wakeups {
        self.searching -= 1;
        self.wake(queued)
    }

    /// A busy worker has ended its task.
    pub(crate) fn search(&mut self) {
        self.searching += 1;
    }

    /// A searching worker has something else to do first.
    pub(crate) fn busy_again(&mut self, queued: usize) -> Wakeups {
        self.searching -= 1;
        self.wake_or_start(queued)
    }

    /// A searching worker leaves, at the end or because it is one too many.
    pub(crate) fn exited(&mut self, queued: usize) -> Wakeups {
        self.searching -= 1;
        self.workers -= 1;
        self.wake(queued)
    }

    /// A searching worker, which has found nothing, is about to park.
    pub(crate) fn sleep(&mut self, parker: &Arc<Parker>) {
        self.searching -= 1;
        self.asleep.push(Arc::clone(parker));
    }

    /// A worker has slept long enough. Whether it may leave, and has left; if not it is searching,
    /// or was called just now.
    pub(crate) fn timed_out(&mut self, parker: &Arc<Parker>, queued: usize) -> TimedOut {
        let Some(place) = self.asleep.iter().position(|other| Arc::ptr_eq(other, parker)) else {
            return TimedOut::Woken;
        };
        self.asleep.remove(place);
        if queued > 0 {
            self.searching += 1;
            return TimedOut::Searching;
        }
        self.workers -= 1;
        TimedOut::Exited
    }

    pub(crate) fn block(&mut self, queued: usize) -> Wakeups {
        self.blocked += 1;
        self.wake_or_start(queued)
    }

    /// If there is one too many now, one that sleeps is called, to leave.
    pub(crate) fn unblock(&mut self) -> Wakeups {
        self.blocked -= 1;
        let mut wakeups = Wakeups::default();
        if self.is_surplus() && !self.asleep.is_empty() {
            self.searching += 1;
            wakeups.wake = Some(self.asleep.remove(0));
        }
        wakeups
    }

    /// Sets how many workers there may be. Returns who must be called because they are too many
    /// now.
    pub(crate) fn resize(
        &mut self,
        workers_max: usize,
        queued: usize,
    ) -> (Wakeups, Vec<Arc<Parker>>) {
        self.workers_max = workers_max;
        let wakeups = self.wake_or_start(queued);
        let surplus = self.workers.saturating_sub(self.allowed()).min(self.asleep.len());
        self.searching += surplus;
        (wakeups, self.asleep.drain(..surplus).collect())
    }

    /// Everyone who sleeps, to be called because of the end.
    pub(crate) fn wake_all(&mut self) -> Vec<Arc<Parker>> {
        self.searching += self.asleep.len();
        std::mem::take(&mut self.asleep)
    }

    pub(crate) fn spinning(&mut self) -> &mut Spinning {
        &mut self.spinning
    }
}

/// What became of a worker whose sleep has timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimedOut {
    /// It was called in the same moment, and the call is on its way.
    Woken,
    /// A task is queued: it looks for it.
    Searching,
    Exited,
}
