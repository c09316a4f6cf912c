//! Where tasks wait, and where workers and submitters wait for each other.
//!
//! One mutex guards everything, two condition variables say that something changed: `work` to workers, `turn` to
//! submitters that wait for room. The rules, each of which a model or a test holds to:
//!
//! 1. *No stranded task.* A push either finds a worker that is free (idle, or about to look: see
//!    [`Queue::mark_free`]) or asks its caller to start one, as long as fewer than the allowed number run. If the
//!    start fails and nobody is left to run what is queued, every queued task ends with that error.
//! 2. *A worker is free before its result is seen.* So whoever reads a result and submits again meets a free worker
//!    instead of growing the pool.
//! 3. *Submitters are served in the order in which they began to wait.* Nobody overtakes, not even [`Queue::try_push`].
//! 4. *A worker that waits for its own pool does not count.* While it is blocked another may be started in its place, up
//!    to [`SUBSTITUTES_MAX`]; when it comes back there is one too many, and the next that would look for a task leaves.
//! 5. *Wakes do not storm.* Whenever the lock is let go, if a task is queued and a worker sleeps, then one worker has
//!    been called and has not come yet. It will find the task or find that another took it, and call the next if more
//!    are queued. So one call is under way at a time, however fast tasks come, and none is owed.
//! 6. *A cancelled task gives its room back at once.* Its husk stays in the list until a worker passes it, or until
//!    husks outnumber the living.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sync::{Condvar, Deadline, Mutex, MutexGuard};
use crate::task::{Claim, Run};

/// How many workers may be started in the place of blocked ones. Past that, workers wait without being replaced: what
/// they wait for runs already, on a worker that is not blocked.
pub(crate) const SUBSTITUTES_MAX: usize = 64;

/// Husks are swept once there are this many more of them than living tasks.
const HUSKS_MIN: usize = 64;

pub(crate) struct Queue {
    inner: Mutex<Inner>,
    /// There may be a task, or the end. Workers wait here.
    work: Condvar,
    /// There may be room for the first in line, or the end. Submitters wait here.
    turn: Condvar,
    /// The last worker left. Whoever shuts down waits here.
    left: Condvar,
    capacity: usize,
    workers_max: usize,
}

struct Inner {
    tasks: VecDeque<Arc<dyn Run>>,
    /// How many of `tasks` are husks. Signed, because a worker may pass a husk just before its canceller counts it.
    husks: isize,
    open: bool,
    /// Whether what is queued is being cancelled, and no longer given to workers.
    cancelling: bool,
    /// Workers that exist.
    workers: usize,
    /// Workers that wait for work, or are about to look for it.
    free: usize,
    /// Workers that wait for a task of this very pool.
    blocked: usize,
    /// Workers that sleep and have not been called.
    asleep: usize,
    /// Calls that no worker has answered yet.
    calls: usize,
    /// Submitters that wait for room, by ticket, first come first served.
    line: VecDeque<u64>,
    ticket_next: u64,
}

impl Inner {
    fn living(&self) -> usize {
        debug_assert!(self.husks <= self.tasks.len() as isize, "a husk that left is uncounted");
        self.tasks.len().saturating_add_signed(-self.husks)
    }

    /// How many workers there may be, substitutes included.
    fn workers_allowed(&self, workers_max: usize) -> usize {
        workers_max.saturating_add(self.blocked.min(SUBSTITUTES_MAX))
    }

    /// Counts a new worker in, if one is needed and allowed. The caller must start it.
    fn wants_worker(&mut self, workers_max: usize) -> bool {
        let allowed = self.workers < self.workers_allowed(workers_max);
        let wanted = allowed && self.living() > self.free;
        if wanted {
            self.workers += 1;
            // It will look for work first thing.
            self.free += 1;
        }
        wanted
    }

    /// Keeps rule 5. True when the caller must notify `work` once it has let the lock go.
    #[must_use]
    fn calls_worker(&mut self) -> bool {
        let owed = !self.tasks.is_empty() && self.asleep > 0 && self.calls == 0;
        if owed {
            self.asleep -= 1;
            self.calls += 1;
        }
        owed
    }

    /// The first living task, claimed. Claiming under the lock keeps the count of husks true: a task leaves the list
    /// either claimed here, or as a husk that its canceller has counted or is about to count.
    fn take(&mut self, what_for: Claim) -> Option<Arc<dyn Run>> {
        while let Some(task) = self.tasks.pop_front() {
            if task.claim(what_for) {
                return Some(task);
            }
            self.husks -= 1;
        }
        None
    }

    fn sweep(&mut self) {
        if self.husks > 0 && self.husks.unsigned_abs() > self.living() + HUSKS_MIN {
            let before = self.tasks.len();
            self.tasks.retain(|task| task.is_pending());
            self.husks -= (before - self.tasks.len()) as isize;
        }
    }
}

/// What became of a push.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// A free worker will take it.
    Queued,
    /// The caller must start a worker, which is counted already.
    StartWorker,
}

/// Why a push was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Shutdown,
}

/// Whether a push may wait for room.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Wait in line until the deadline.
    Until(Deadline),
    /// Do not wait, and do not refuse either: the submitter is a worker of this pool, and waiting would be waiting
    /// for itself.
    Unbounded,
}

/// A picture of the queue, for the statistics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Census {
    pub(crate) queued: usize,
    pub(crate) workers: usize,
    pub(crate) free: usize,
    pub(crate) in_line: usize,
}

impl Queue {
    /// A `capacity` of `None` means no limit.
    pub(crate) fn new(capacity: Option<usize>, workers_max: usize) -> Self {
        let inner = Inner {
            tasks: VecDeque::new(),
            husks: 0,
            open: true,
            cancelling: false,
            workers: 0,
            free: 0,
            blocked: 0,
            asleep: 0,
            calls: 0,
            line: VecDeque::new(),
            ticket_next: 0,
        };
        Queue {
            inner: Mutex::new(inner),
            work: Condvar::new(),
            turn: Condvar::new(),
            left: Condvar::new(),
            capacity: capacity.unwrap_or(usize::MAX),
            workers_max,
        }
    }

    /// Queues what `make` makes, as soon as there is room. `make` runs under the lock and only when the task is
    /// taken, so a refused submitter still has what the task is made of.
    pub(crate) fn push(
        &self,
        patience: Patience,
        make: impl FnOnce() -> Arc<dyn Run>,
    ) -> Result<Pushed, Refused> {
        let mut inner = self.inner.lock();
        let mut stood_in_line = false;
        if let Patience::Until(deadline) = patience {
            (inner, stood_in_line) = self.wait_for_turn(inner, deadline)?;
        }
        let pushed = match inner.open {
            true => Ok(self.push_locked(inner, make())),
            false => Err(Refused::Shutdown),
        };
        if stood_in_line {
            // Whoever stands first now may have room too, and is told by nobody else.
            self.turn.notify_all();
        }
        pushed
    }

    /// Queues what `make` makes if there is room now and nobody waits for it.
    pub(crate) fn try_push(&self, make: impl FnOnce() -> Arc<dyn Run>) -> Result<Pushed, Refused> {
        let inner = self.inner.lock();
        if !inner.open {
            return Err(Refused::Shutdown);
        }
        if !inner.line.is_empty() || inner.living() >= self.capacity {
            return Err(Refused::Full);
        }
        Ok(self.push_locked(inner, make()))
    }

    fn push_locked(&self, mut inner: MutexGuard<'_, Inner>, task: Arc<dyn Run>) -> Pushed {
        inner.tasks.push_back(task);
        let start = inner.wants_worker(self.workers_max);
        let call = inner.calls_worker();
        drop(inner);
        if call {
            self.work.notify_one();
        }
        if start { Pushed::StartWorker } else { Pushed::Queued }
    }

    /// Stands in line until it is our turn and there is room, or the queue is closed. Says whether it had to stand.
    fn wait_for_turn<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner>,
        deadline: Deadline,
    ) -> Result<(MutexGuard<'a, Inner>, bool), Refused> {
        if !inner.open || (inner.line.is_empty() && inner.living() < self.capacity) {
            return Ok((inner, false));
        }
        let ticket = inner.ticket_next;
        inner.ticket_next += 1;
        inner.line.push_back(ticket);
        let served = loop {
            let first = inner.line.front() == Some(&ticket);
            if !inner.open || (first && inner.living() < self.capacity) {
                break true;
            }
            if deadline.has_passed() {
                break false;
            }
            inner = self.turn.wait_until(inner, deadline);
        };
        inner.line.retain(|other| *other != ticket);
        if served {
            return Ok((inner, true));
        }
        drop(inner);
        self.turn.notify_all();
        Err(Refused::Full)
    }

    /// The next task, claimed; blocks until there is one. `None` tells the worker, which is counted out already, to
    /// leave: the queue is closed and empty, or the worker is one too many.
    pub(crate) fn pop(&self) -> Option<Arc<dyn Run>> {
        let mut inner = self.inner.lock();
        loop {
            let surplus = inner.workers > inner.workers_allowed(self.workers_max);
            if surplus {
                // It may have been called for a task that is still there.
                let call = inner.calls_worker();
                self.count_out(inner);
                if call {
                    self.work.notify_one();
                }
                return None;
            }
            if !inner.cancelling
                && let Some(task) = inner.take(Claim::ToRun)
            {
                inner.free -= 1;
                let call = inner.calls_worker();
                self.tell_submitters(inner);
                if call {
                    self.work.notify_one();
                }
                return Some(task);
            }
            if !inner.open {
                self.count_out(inner);
                return None;
            }
            inner = self.sleep(inner);
        }
    }

    /// Sleeps until called. The caller of a sleeper counts it awake; here only the call is answered, so that a condition
    /// variable that wakes without cause changes nothing.
    fn sleep<'a>(&self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        inner.asleep += 1;
        while inner.calls == 0 {
            inner = self.work.wait(inner);
        }
        inner.calls -= 1;
        inner
    }

    fn tell_submitters(&self, inner: MutexGuard<'_, Inner>) {
        let somebody_waits = !inner.line.is_empty();
        drop(inner);
        if somebody_waits {
            // All of them, because a condition variable cannot wake the one whose turn it is.
            self.turn.notify_all();
        }
    }

    fn count_out(&self, mut inner: MutexGuard<'_, Inner>) {
        inner.workers -= 1;
        inner.free -= 1;
        let last = inner.workers == 0;
        drop(inner);
        if last {
            self.left.notify_all();
        }
    }

    /// Says that the calling worker will look for work again very soon.
    pub(crate) fn mark_free(&self) {
        self.inner.lock().free += 1;
    }

    /// Says that the calling worker has something else to do before it looks for work. True when the caller must start
    /// another worker in its place.
    #[must_use]
    pub(crate) fn mark_busy(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.free -= 1;
        inner.wants_worker(self.workers_max)
    }

    /// Says that a queued task was taken out of *pending* without [`Queue::pop`].
    pub(crate) fn count_husk(&self) {
        let mut inner = self.inner.lock();
        inner.husks += 1;
        inner.sweep();
        self.tell_submitters(inner);
    }

    /// Says that the calling worker begins to wait for a task of this pool. True when the caller must start another
    /// worker in its place.
    #[must_use]
    pub(crate) fn block(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.blocked += 1;
        inner.wants_worker(self.workers_max)
    }

    /// Says that the calling worker waits no more.
    pub(crate) fn unblock(&self) {
        let mut inner = self.inner.lock();
        inner.blocked -= 1;
        let surplus = inner.workers > inner.workers_allowed(self.workers_max);
        let call = surplus && inner.asleep > 0;
        if call {
            // One that sleeps may leave now.
            inner.asleep -= 1;
            inner.calls += 1;
        }
        drop(inner);
        if call {
            self.work.notify_one();
        }
    }

    /// Whether a worker that blocks now would not be replaced.
    pub(crate) fn substitutes_are_spent(&self) -> bool {
        self.inner.lock().blocked >= SUBSTITUTES_MAX
    }

    /// Takes back the worker that [`Pushed::StartWorker`] counted in, because it could not be started. What is queued is
    /// stranded if it was the only one: see [`Queue::take_stranded`].
    pub(crate) fn worker_failed(&self) {
        self.count_out(self.inner.lock());
    }

    /// Takes out a task that nobody is left to run, claimed.
    pub(crate) fn take_stranded(&self) -> Option<Arc<dyn Run>> {
        let mut inner = self.inner.lock();
        if inner.workers > 0 {
            return None;
        }
        let task = inner.take(Claim::ToRun);
        self.tell_submitters(inner);
        task
    }

    /// Takes no more tasks. What is queued is still given to workers.
    pub(crate) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.open = false;
        inner.calls += std::mem::take(&mut inner.asleep);
        drop(inner);
        self.work.notify_all();
        self.turn.notify_all();
    }

    /// Takes out a task to be cancelled, claimed. From the first call on no task is given to workers. To be called once
    /// the queue is closed, until there are no more.
    pub(crate) fn take_to_cancel(&self) -> Option<Arc<dyn Run>> {
        let mut inner = self.inner.lock();
        inner.cancelling = true;
        inner.take(Claim::ToCancel)
    }

    /// Waits until no worker exists. False when the deadline came first.
    pub(crate) fn wait_for_workers(&self, deadline: Deadline) -> bool {
        let mut inner = self.inner.lock();
        while inner.workers > 0 {
            if deadline.has_passed() {
                return false;
            }
            inner = self.left.wait_until(inner, deadline);
        }
        true
    }

    pub(crate) fn census(&self) -> Census {
        let inner = self.inner.lock();
        Census {
            queued: inner.living(),
            workers: inner.workers,
            free: inner.free,
            in_line: inner.line.len(),
        }
    }
}
