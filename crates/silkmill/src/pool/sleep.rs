//! Which worker sleeps, which is woken, and why: the one wake protocol.
//!
//! A worker that exists is in one of five states:
//!
//! * *starting*: its thread was requested and has not looked for work yet; an initializer may be
//!   running on it;
//! * *searching*: awake, and about to look whether a task is queued. It runs none of the user's
//!   code before it has;
//! * *busy*: it has a task;
//! * *blocked*: busy, and waiting for a task of its own pool; or its task has polled one, found no
//!   result, and not found one since, so that it may be waiting;
//! * *asleep*: parked, in a stack, so that the worker that fell asleep last is woken first and the
//!   coldest can time out.
//!
//! Workers that are starting, searching or asleep are called *free*. [`WorkerCounts`] counts all of
//! them; it is plain data, changed only under both locks of the queue, so that every change below
//! is atomic together with the change of the queue that caused it. It wakes and starts no thread
//! itself: it returns [`Wakeups`], which are carried out once the locks are released.
//!
//! # The rules
//!
//! **1. No task waits while a worker sleeps.** Whenever the locks are released,
//!
//! > a task is queued and a worker is asleep ⟹ a worker is searching.
//!
//! A push with no worker searching wakes a sleeper, which counts as searching from that moment on.
//! A searching worker ends its search in one of three ways. It takes a task: then, if more are
//! queued and no other worker is searching, it wakes the next sleeper. It goes to sleep: then
//! nothing may be queued. Or it exits, and wakes the next sleeper in the same way, because a push
//! may have counted on it. A busy worker that takes its next task wakes no worker: that changes
//! nothing in the rule. So one wakeup is under way at a time, however fast tasks come, and none is
//! owed: there is no storm of wakeups. A searching worker runs none of the user's code, so it looks
//! soon, whatever the tasks do.
//!
//! **2. No task waits while a worker may be started.** Whenever the locks are released and the
//! wakeups are carried out,
//!
//! > more tasks are queued than workers are free ⟹ as many workers exist as are allowed.
//!
//! A push that finds fewer free workers than queued tasks starts one. Taking a task takes one of
//! each. A free worker becomes busy otherwise (see [`WorkerCounts::busy_again`]), or is blocked,
//! only together with the same check; and a sleeping worker exits only when nothing is queued. A
//! start that the system refuses counts the worker out; if it was the last, what is queued ends
//! with that error, and if not, the next push tries again.
//!
//! **3. A worker is free before its result is seen.** It becomes free before it publishes (or takes
//! its next task atomically), so a thread that reads a result and submits again meets a free worker
//! instead of growing the pool.
//!
//! **4. A worker that waits for its own pool does not count.** Another may be started in its place,
//! up to [`SUBSTITUTES_MAX`], and past that only if all are blocked: one unblocked worker may
//! always exist, so the blocked ones cannot all wait for tasks that no worker runs. When a blocked
//! worker goes on there is one worker too many, and one that would search next exits.
//!
//! **5. No worker sleeps through the end.** Closing the queue wakes every sleeper; a searching
//! worker that finds the queue closed and empty exits.
//!
//! # When a push needs no wakeup
//!
//! Rule 1 holds for any number of tasks while a worker is searching or none is asleep, and rule 2
//! while as many workers exist as are allowed. Only a change of the counts can end that, so until
//! then ([`WorkerCounts::needs_no_wakeup`]) tasks may be queued without a look at them. A busy pool
//! is in that state, and so is one with a spinner.
//!
//! # Spinning
//!
//! Waking a thread costs microseconds, so a searching worker may look again for a while before it
//! sleeps: one worker at a time, for [`SPINS_MAX`](crate::sync::spin::SPINS_MAX) turns of a loop,
//! and only while that pays (see [`Spinning`]). It counts as searching, so rule 1 holds; and since
//! pushes wake no worker while one searches, a spinner saves both sides the system call.

use std::sync::Arc;

use crate::sync::parker::Parker;
use crate::sync::spin::Spinning;

/// The number of workers that may be started in the place of blocked ones. Past that, workers wait
/// without being replaced, except that one unblocked worker may always exist.
pub(crate) const SUBSTITUTES_MAX: usize = 64;

/// What the caller must do once the locks are released.
#[must_use = "wakeups that are not carried out strand a task"]
#[derive(Default)]
pub(crate) struct Wakeups {
    /// The worker to wake.
    pub(crate) wake: Option<Arc<Parker>>,
    /// The number of workers to start. They are counted already.
    pub(crate) start: usize,
}

/// The number of workers in each state, and those that sleep.
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

    #[cfg(all(test, not(loom)))]
    pub(crate) fn asleep(&self) -> usize {
        self.asleep.len()
    }

    pub(crate) fn busy(&self) -> usize {
        self.workers - self.free()
    }

    /// Returns the number of workers that may exist, substitutes included.
    fn allowed(&self) -> usize {
        let substituted = self.workers_max.saturating_add(self.blocked.min(SUBSTITUTES_MAX));
        substituted.max(self.blocked + 1)
    }

    pub(crate) fn is_surplus(&self) -> bool {
        self.workers > self.allowed()
    }

    /// Returns whether rules 1 and 2 hold however many tasks are queued. As long as nothing else
    /// changes, a push has no worker to wake and none to start.
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

    /// Notes that a worker that was to be started looks for work now.
    pub(crate) fn started(&mut self) {
        self.starting -= 1;
        self.searching += 1;
    }

    /// Notes that a worker could not be started, or not be initialized.
    pub(crate) fn not_started(&mut self) {
        self.starting -= 1;
        self.workers -= 1;
    }

    /// Notes that a searching worker took a task, after which `queued` are left.
    pub(crate) fn took(&mut self, queued: usize) -> Wakeups {
        self.searching -= 1;
        self.wake(queued)
    }

    /// Notes that a busy worker has ended its task.
    pub(crate) fn search(&mut self) {
        self.searching += 1;
    }

    /// Notes that a searching worker has something else to do first.
    pub(crate) fn busy_again(&mut self, queued: usize) -> Wakeups {
        self.searching -= 1;
        self.wake_or_start(queued)
    }

    /// Counts a searching worker out, at the end or because there are too many.
    pub(crate) fn exited(&mut self, queued: usize) -> Wakeups {
        self.searching -= 1;
        self.workers -= 1;
        self.wake(queued)
    }

    /// Notes that a searching worker, which has found nothing, is about to park.
    pub(crate) fn sleep(&mut self, parker: &Arc<Parker>) {
        self.searching -= 1;
        self.asleep.push(Arc::clone(parker));
    }

    /// Decides what a worker does that has slept until its deadline: it exits, unless a task is
    /// queued or it was woken in the same moment.
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

    /// Notes that a worker is no longer blocked. If there is one too many now, the coldest sleeper
    /// is woken, to exit.
    pub(crate) fn unblock(&mut self) -> Wakeups {
        self.blocked -= 1;
        let mut wakeups = Wakeups::default();
        if self.is_surplus() && !self.asleep.is_empty() {
            self.searching += 1;
            wakeups.wake = Some(self.asleep.remove(0));
        }
        wakeups
    }

    /// Sets the number of workers that may exist. Returns the sleepers that the caller must wake
    /// because they are too many now.
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

    /// Returns all sleepers, to be woken because of the end.
    pub(crate) fn wake_all(&mut self) -> Vec<Arc<Parker>> {
        self.searching += self.asleep.len();
        std::mem::take(&mut self.asleep)
    }

    pub(crate) fn spinning(&mut self) -> &mut Spinning {
        &mut self.spinning
    }
}

/// What becomes of a worker whose sleep has timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimedOut {
    /// The worker was woken in the same moment, and the unpark is on its way.
    Woken,
    /// A task is queued: the worker looks for it.
    Searching,
    Exited,
}
