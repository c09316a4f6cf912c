//! Where tasks wait for workers, and submitters for room.
//!
//! The queue has two ends, each with a lock of its own, so that submitters and workers do not
//! contend for every task (Michael and Scott's two-lock queue, with a protocol for waking on top).
//! The *head* has the tasks that workers take, the submitters that wait, and the [`WorkerCounts`],
//! whose rules stand in `sleep`. The *tail* has the tasks that have arrived since a thread last
//! took both locks.
//!
//! Every step of the wake protocol is taken with both locks, by a thread that has moved what has
//! arrived to the head before: so it sees the whole queue and all counts, and is atomic. Two steps
//! take one lock, and change nothing that the protocol speaks of:
//!
//! * *A push to the tail*, while `bypasses_head` says that the protocol's rules hold however much
//!   is queued. That flag is computed anew whenever both locks are released. The submitter reads it
//!   and puts the task under the tail's lock, so no change of the counts comes in between.
//! * *A busy worker that takes its next task from the head* and stays busy. The head must have a
//!   task of normal priority: all that has arrived comes after it.
//!
//! The queue's own rules, each of which a model or a test holds to:
//!
//! 1. *Submitters are served in the order in which they began to wait*, threads and async tasks
//!    alike. No submitter overtakes, not even one that would not wait.
//! 2. *A cancelled task gives its room back at once.* Its tombstone stays in the list until a
//!    worker passes it, or until tombstones outnumber the living tasks.
//! 3. *A queue that was closed still drains.* It takes what running tasks of its own pool submit,
//!    until what is queued is cancelled. So no worker is missing for it: the submitting worker is
//!    counted and busy, and leaves only when it has found the queue empty.
//! 4. *First come, first served*, within a priority. A class that has been passed over
//!    [`PASSED_OVER_MAX`](crate::pool::priority::PASSED_OVER_MAX) times in favour of a higher one
//!    is served next, so none starves.
//!
//! It is one file because two locks guard all of it together.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::cancel::CancelToken;
use crate::pool::priority::{Place, Priority, PriorityQueue, Queued};
use crate::pool::queue_delay::DelaySampler;
use crate::pool::sleep::{SUBSTITUTES_MAX, TimedOut, Wakeups, WorkerCounts};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::blocking::blocking;
use crate::sync::parker::Parker;
use crate::sync::spin::SPINS_MAX;
use crate::sync::{Condvar, Deadline, Mutex, MutexGuard, spin_loop};
use crate::task::observer::Afterwards;

/// Tombstones are removed once there are this many more of them than living tasks.
const TOMBSTONES_MIN: usize = 64;

/// The pause between two looks of a spinner, in turns of its loop. A look takes the cache line from
/// the thread that writes it, and every task that the spinner finds takes a lock from a submitter;
/// tasks that come in a fifth of a microsecond are better taken at once.
const SPINS_BETWEEN_LOOKS: u32 = 10;

/// The number of times in a row that a spinner sees a task before it takes it, when a busy worker
/// may come for it.
const LOOKS_BESIDE_BUSY: u32 = 2;

/// Gives a value that is written often cache lines of its own. Two, because processors fetch them
/// in pairs.
#[repr(align(128))]
struct CachePadded<T>(T);

pub(crate) struct Queue {
    head: CachePadded<Mutex<Head>>,
    /// A thread that takes both locks takes the head's first.
    tail: CachePadded<Mutex<Tail>>,
    /// The number of tasks at the head, for spinners, which look without a lock. Written under the
    /// head's lock; it orders nothing, because a spinner that sees it takes the locks to act on it.
    head_hint: CachePadded<AtomicUsize>,
    /// The same for the tail.
    tail_hint: CachePadded<AtomicUsize>,
    /// Notified when the last worker exits, and the last but one. Threads that shut down wait here.
    all_exited: Condvar,
    /// `None` means no limit.
    capacity: Option<usize>,
}

/// The end that workers take from, and all that is known of workers.
struct Head {
    tasks: PriorityQueue,
    /// The number of `tasks` that are tombstones. Signed, because a worker may pass a tombstone
    /// just before its canceller counts it.
    tombstones: isize,
    open: bool,
    /// Set once what is queued is being cancelled, and no longer given to workers.
    cancelling: bool,
    counts: WorkerCounts,
    /// Submitters that wait for room, first come first served.
    waiters: VecDeque<Arc<Parker>>,
    /// Set when the first waiting submitter was woken, and has not looked yet.
    first_is_woken: bool,
}

/// The end where submitters put tasks that need no worker woken or started.
struct Tail {
    /// Tasks of normal priority, in their order, all of which come after those of the head.
    arrived: VecDeque<Queued>,
    /// Set while a task of normal priority may be put here without a look at the head: the queue is
    /// open, has no limit, and [`WorkerCounts::needs_no_wakeup`].
    bypasses_head: bool,
    submitted: u64,
    delay_sampler: DelaySampler,
}

impl Tail {
    /// Counts a task, and notes its time of arrival if it is one to be sampled.
    fn receive(&mut self, place: Place, now: impl FnOnce() -> u64) -> Queued {
        self.submitted += 1;
        Queued { place, arrival: self.delay_sampler.sample(now) }
    }
}

/// Both ends, locked. What had arrived is at the head.
struct Both<'a> {
    head: MutexGuard<'a, Head>,
    tail: MutexGuard<'a, Tail>,
}

impl Head {
    /// Returns the number of queued tasks, tombstones not counted.
    fn living(&self) -> usize {
        self.tasks.len.saturating_add_signed(-self.tombstones)
    }

    fn has_room(&self, capacity: usize) -> bool {
        self.living() < capacity
    }

    /// Returns whether a busy worker may take the next task.
    fn may_continue(&self) -> bool {
        !self.cancelling && !self.counts.is_surplus()
    }

    /// Returns the first waiting submitter, if there is room now and it was not woken already. The
    /// caller wakes it.
    fn next_with_room(&mut self, capacity: usize) -> Option<Arc<Parker>> {
        if self.first_is_woken || !self.has_room(capacity) {
            return None;
        }
        let first = Arc::clone(self.waiters.front()?);
        self.first_is_woken = true;
        Some(first)
    }

    fn sweep(&mut self) {
        if self.tombstones > 0 && self.tombstones.unsigned_abs() > self.living() + TOMBSTONES_MIN {
            let before = self.tasks.len;
            self.tasks.retain_pending();
            self.tombstones -= (before - self.tasks.len) as isize;
        }
    }
}

/// Why a push was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    /// The submitter has a place in the line, and is told when to push again.
    InLine,
    Shutdown,
    /// What is queued is being cancelled, and this task with it.
    Cancelling,
    /// The task's own token was cancelled while the submitter waited for room.
    Cancelled,
    /// The pool belongs to the process that has forked this one.
    Forked,
}

/// The thread that submits a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submitter {
    Outside,
    /// A worker of this pool, from inside of a task, or a thread that the end of the process waits
    /// for: the pool takes its tasks while it drains.
    Worker,
}

/// The result of putting a task back.
#[must_use]
pub(crate) enum PutBack {
    /// The task is queued again. The caller must start `start` workers.
    Queued { start: usize },
    /// The task was not queued, because what is queued is being cancelled: the caller cancels it.
    Cancelling(Queued),
}

/// The place in the line for room of a submitter that blocks no thread meanwhile.
pub(crate) struct LinePlace {
    /// Unparked when it is worth pushing again.
    parker: Arc<Parker>,
    /// Whether the parker is in the line. Written under the locks of the queue; it orders nothing.
    is_taken: AtomicBool,
}

impl LinePlace {
    pub(crate) fn new() -> Self {
        LinePlace { parker: Arc::new(Parker::new()), is_taken: AtomicBool::new(false) }
    }

    pub(crate) fn parker(&self) -> &Arc<Parker> {
        &self.parker
    }

    fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Relaxed)
    }
}

/// Whether a push may wait for room.
#[derive(Clone, Copy)]
pub(crate) enum WaitPolicy<'a> {
    /// Do not wait: refuse the task if there is no room now.
    None,
    /// Wait for room until the deadline, behind those that wait already.
    Until(Deadline),
    /// Do not block, but take a place behind those that wait already, or look whether there is room
    /// for that place now.
    InLine(&'a LinePlace),
    /// Do not wait, and do not refuse either: the submitter is a worker of this pool, and waiting
    /// would be waiting for itself.
    Unbounded,
}

/// The numbers of one moment, for the statistics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QueueSnapshot {
    pub(crate) queued: usize,
    pub(crate) workers: usize,
    pub(crate) free: usize,
    pub(crate) submitters_waiting: usize,
    pub(crate) submitted: u64,
}

impl Queue {
    /// Makes a queue that is empty and open. A `capacity` of `None` means no limit.
    pub(crate) fn new(capacity: Option<usize>, workers_max: usize) -> Self {
        let head = Head {
            tasks: PriorityQueue::default(),
            tombstones: 0,
            open: true,
            cancelling: false,
            counts: WorkerCounts::new(workers_max),
            waiters: VecDeque::new(),
            first_is_woken: false,
        };
        let tail = Tail {
            arrived: VecDeque::new(),
            bypasses_head: false,
            submitted: 0,
            delay_sampler: DelaySampler::default(),
        };
        Queue {
            head: CachePadded(Mutex::new(head)),
            tail: CachePadded(Mutex::new(tail)),
            head_hint: CachePadded(AtomicUsize::new(0)),
            tail_hint: CachePadded(AtomicUsize::new(0)),
            all_exited: Condvar::new(),
            capacity,
        }
    }

    /// Takes both locks, and moves what has arrived to the head.
    fn lock(&self) -> Both<'_> {
        let mut head = self.head.0.lock();
        let mut tail = self.tail.0.lock();
        if !tail.arrived.is_empty() {
            head.tasks.append(&mut tail.arrived);
            self.head_hint.0.store(head.tasks.len, Ordering::Relaxed);
            self.tail_hint.0.store(0, Ordering::Relaxed);
        }
        Both { head, tail }
    }

    /// Releases both locks, then wakes the worker named in `wakeups` and the first submitter, if it
    /// has room now. Returns the number of workers that the caller must start.
    fn release(&self, both: Both<'_>, wakeups: Wakeups) -> usize {
        let Both { head, mut tail } = both;
        tail.bypasses_head = head.open && self.capacity.is_none() && head.counts.needs_no_wakeup();
        drop(tail);
        self.release_head(head, wakeups.wake);
        wakeups.start
    }

    fn release_head(&self, mut head: MutexGuard<'_, Head>, wake: Option<Arc<Parker>>) {
        self.head_hint.0.store(head.tasks.len, Ordering::Relaxed);
        let waiter = self.capacity.and_then(|capacity| head.next_with_room(capacity));
        drop(head);
        if let Some(worker) = wake {
            worker.unpark();
        }
        if let Some(submitter) = waiter {
            submitter.unpark();
        }
    }

    fn has_room(&self, head: &Head) -> bool {
        self.capacity.is_none_or(|capacity| head.has_room(capacity))
    }

    /// Queues what `make` makes, as soon as there is room. Returns the number of workers that the
    /// caller must start.
    ///
    /// A submitter whose `token` is cancelled, or overdue, waits no longer. `make` runs under the
    /// lock and only when the task is taken, so a refused submitter still has what the task is made
    /// of. `now` is called for the time if the task is one to be sampled.
    ///
    /// # Errors
    /// The reason, when the task was not queued.
    pub(crate) fn push(
        &self,
        priority: Priority,
        wait_policy: WaitPolicy<'_>,
        submitter: Submitter,
        token: Option<&CancelToken>,
        now: impl FnOnce() -> u64,
        make: impl FnOnce() -> Place,
    ) -> Result<usize, Refused> {
        if priority == Priority::Normal {
            let mut tail = self.tail.0.lock();
            if tail.bypasses_head {
                let task = tail.receive(make(), now);
                tail.arrived.push_back(task);
                self.tail_hint.0.store(tail.arrived.len(), Ordering::Relaxed);
                return Ok(0);
            }
        }
        let mut both = self.lock();
        let refused = match wait_policy {
            WaitPolicy::InLine(place) if place.is_taken() => {
                self.look_from(place, &mut both.head, submitter, token)
            }
            _ if !both.head.open && submitter == Submitter::Outside => Some(Refused::Shutdown),
            _ if both.head.cancelling => Some(Refused::Cancelling),
            WaitPolicy::Unbounded => None,
            _ if both.head.waiters.is_empty() && self.has_room(&both.head) => None,
            WaitPolicy::None => Some(Refused::Full),
            WaitPolicy::Until(deadline) => {
                let refused;
                (both, refused) = self.wait_for_room(both, submitter, token, deadline);
                refused
            }
            WaitPolicy::InLine(place) => {
                both.head.waiters.push_back(Arc::clone(&place.parker));
                place.is_taken.store(true, Ordering::Relaxed);
                Some(Refused::InLine)
            }
        };
        if let Some(refused) = refused {
            self.release(both, Wakeups::default());
            return Err(refused);
        }
        let task = both.tail.receive(make(), now);
        both.head.tasks.push(task, priority);
        let queued = both.head.tasks.len;
        let wakeups = both.head.counts.wake_or_start(queued);
        Ok(self.release(both, wakeups))
    }

    /// Waits behind the other submitters until the caller is first and there is room, the queue is
    /// closed, or the deadline passes. Returns the locks, and why the caller is refused if it is.
    fn wait_for_room<'a>(
        &'a self,
        mut both: Both<'a>,
        submitter: Submitter,
        token: Option<&CancelToken>,
        deadline: Deadline,
    ) -> (Both<'a>, Option<Refused>) {
        let me = Arc::new(Parker::new());
        let _listening = token.map(|token| token.unpark_on_cancel(&me));
        let deadline = deadline.or_sooner(token.and_then(CancelToken::deadline));
        let is_cancelled = || token.is_some_and(CancelToken::was_cancelled);
        both.head.waiters.push_back(Arc::clone(&me));
        loop {
            drop(both);
            let in_time = is_cancelled() || me.park_until(deadline);
            both = self.lock();
            let gives_up = match is_cancelled() {
                true => Some(Refused::Cancelled),
                false => (!in_time).then_some(Refused::Full),
            };
            // If it is none of these, there was room, and a worker that submitted to its own pool
            // has taken it.
            match self.look_for_room(&mut both.head, &me, submitter, gives_up) {
                Some(Refused::InLine) => {}
                refused => return (both, refused),
            }
        }
    }

    /// Looks on behalf of a waiting submitter, `me`, whether there is room for it. Unless it waits
    /// on ([`Refused::InLine`]) it leaves the line. A submitter that `gives_up` because its time is
    /// up takes the room that there is.
    fn look_for_room(
        &self,
        head: &mut Head,
        me: &Arc<Parker>,
        submitter: Submitter,
        gives_up: Option<Refused>,
    ) -> Option<Refused> {
        let first = head.waiters.front().is_some_and(|first| Arc::ptr_eq(first, me));
        if first {
            head.first_is_woken = false;
        }
        let is_open = head.open || (submitter == Submitter::Worker && !head.cancelling);
        let refused = match gives_up {
            _ if !is_open => Some(Refused::Shutdown),
            Some(Refused::Cancelled) => Some(Refused::Cancelled),
            _ if first && self.has_room(head) => None,
            Some(refused) => Some(refused),
            None => return Some(Refused::InLine),
        };
        head.waiters.retain(|other| !Arc::ptr_eq(other, me));
        refused
    }

    /// Looks whether there is room for a submitter that blocks no thread. Its task's token is its
    /// time limit.
    fn look_from(
        &self,
        place: &LinePlace,
        head: &mut Head,
        submitter: Submitter,
        token: Option<&CancelToken>,
    ) -> Option<Refused> {
        let gives_up = match token {
            Some(token) if token.was_cancelled() => Some(Refused::Cancelled),
            Some(token) if token.is_overdue() => Some(Refused::Full),
            _ => None,
        };
        let refused = self.look_for_room(head, &place.parker, submitter, gives_up);
        place.is_taken.store(refused == Some(Refused::InLine), Ordering::Relaxed);
        refused
    }

    /// Gives up a place in the line, and lets the next submitter have the room that was for it.
    pub(crate) fn leave_line(&self, place: &LinePlace) {
        if !place.is_taken() {
            return;
        }
        let mut both = self.lock();
        let head = &mut *both.head;
        if head.waiters.front().is_some_and(|first| Arc::ptr_eq(first, &place.parker)) {
            head.first_is_woken = false;
        }
        head.waiters.retain(|other| !Arc::ptr_eq(other, &place.parker));
        place.is_taken.store(false, Ordering::Relaxed);
        self.release(both, Wakeups::default());
    }

    /// Notes that the calling worker, which was started, looks for work from now on.
    pub(crate) fn started(&self) {
        let mut both = self.lock();
        both.head.counts.started();
        self.release(both, Wakeups::default());
    }

    /// Returns the next task, and blocks until there is one. A searching worker calls this, and is
    /// busy afterwards. `None` means that the worker was counted out and must exit: the queue is
    /// closed and empty, or there are too many workers, or this one has slept until `idle_timeout`.
    pub(crate) fn pop(
        &self,
        parker: &Arc<Parker>,
        idle_timeout: impl Fn() -> Deadline,
    ) -> Option<Queued> {
        let mut both = self.lock();
        let mut has_spun = false;
        loop {
            let head = &mut *both.head;
            let at_the_end = head.cancelling || (!head.open && head.tasks.len == 0);
            if at_the_end || head.counts.is_surplus() {
                return self.exit(both);
            }
            if let Some(task) = head.tasks.pop() {
                let wakeups = head.counts.took(head.tasks.len);
                self.release(both, wakeups);
                return Some(task);
            }
            if !has_spun && head.counts.spinning().begin() {
                both = self.spin(both);
                has_spun = true;
            } else {
                both = self.sleep(both, parker, &idle_timeout)?;
                has_spun = false;
            }
        }
    }

    /// Releases both locks and spins for a while, as the worker was allowed to.
    fn spin<'a>(&'a self, both: Both<'a>) -> Both<'a> {
        let beside_busy = both.head.counts.busy() > 0;
        drop(both);
        let found = self.spin_until_queued(if beside_busy { LOOKS_BESIDE_BUSY } else { 1 });
        let mut both = self.lock();
        both.head.counts.spinning().end(found);
        both
    }

    /// Releases both locks and sleeps until the worker is woken or `idle_timeout` passes. Returns
    /// `None` when the worker was counted out because of that.
    fn sleep<'a>(
        &'a self,
        mut both: Both<'a>,
        parker: &Arc<Parker>,
        idle_timeout: impl Fn() -> Deadline,
    ) -> Option<Both<'a>> {
        both.head.counts.sleep(parker);
        self.release(both, Wakeups::default());
        let woken = parker.park_until(idle_timeout());
        let mut both = self.lock();
        if woken {
            return Some(both);
        }
        let head = &mut *both.head;
        match head.counts.timed_out(parker, head.tasks.len) {
            TimedOut::Searching => Some(both),
            TimedOut::Woken => {
                drop(both);
                parker.park_until(Deadline::NEVER);
                Some(self.lock())
            }
            TimedOut::Exited => {
                self.release_after_exit(both, Wakeups::default());
                None
            }
        }
    }

    /// Looks for a task without a lock, for a while. Returns true once `looks_enough` looks in a
    /// row have seen one. Beside a busy worker that is more than one look: if its tasks are short,
    /// it takes the next one sooner than the spinner could.
    fn spin_until_queued(&self, looks_enough: u32) -> bool {
        let mut looks = 0;
        for _ in 0..SPINS_MAX / SPINS_BETWEEN_LOOKS {
            (0..SPINS_BETWEEN_LOOKS).for_each(|_| spin_loop());
            let queued = [&self.tail_hint, &self.head_hint]
                .iter()
                .any(|hint| hint.0.load(Ordering::Relaxed) > 0);
            looks = if queued { looks + 1 } else { 0 };
            if looks >= looks_enough {
                return true;
            }
        }
        false
    }

    fn exit(&self, mut both: Both<'_>) -> Option<Queued> {
        let queued = both.head.tasks.len;
        let wakeups = both.head.counts.exited(queued);
        self.release_after_exit(both, wakeups);
        None
    }

    fn release_after_exit(&self, both: Both<'_>, wakeups: Wakeups) {
        let last = both.head.counts.workers() <= 1;
        self.release(both, wakeups);
        if last {
            self.all_exited.notify_all();
        }
    }

    /// Notes that the calling worker has ended its task. With nothing to do for it afterwards the
    /// worker atomically gets the next one, if there is one, and stays busy; otherwise it is
    /// searching.
    pub(crate) fn finish(&self, afterwards: Afterwards) -> Option<Queued> {
        let and_next = afterwards == Afterwards::Nothing;
        if and_next {
            let mut head = self.head.0.lock();
            // What has arrived meanwhile comes after the normal tasks at the head, and so cannot be
            // missed.
            if head.may_continue() && head.tasks.has_normal() {
                let task = head.tasks.pop();
                self.release_head(head, None);
                return task;
            }
        }
        let mut both = self.lock();
        let take = and_next && both.head.may_continue();
        let task = take.then(|| both.head.tasks.pop()).flatten();
        if task.is_none() {
            both.head.counts.search();
        }
        self.release(both, Wakeups::default());
        task
    }

    /// Notes that the calling worker, which is searching, has something else to do first. Returns
    /// the number of workers that the caller must start.
    #[must_use]
    pub(crate) fn busy_again(&self) -> usize {
        let mut both = self.lock();
        let queued = both.head.tasks.len;
        let wakeups = both.head.counts.busy_again(queued);
        self.release(both, wakeups)
    }

    /// Puts a task back that [`Queue::finish`] returned, because the worker has something else to
    /// do first, and stays busy.
    pub(crate) fn put_back(&self, task: Queued) -> PutBack {
        let mut both = self.lock();
        if both.head.cancelling {
            return PutBack::Cancelling(task);
        }
        both.head.tasks.put_back(task);
        let queued = both.head.tasks.len;
        let wakeups = both.head.counts.wake_or_start(queued);
        PutBack::Queued { start: self.release(both, wakeups) }
    }

    /// Notes that a task that was taken out turned out to be a tombstone.
    pub(crate) fn remove_tombstone(&self) {
        self.head.0.lock().tombstones -= 1;
    }

    /// Notes that a queued task was claimed in place, by its canceller or by a worker that runs it
    /// inline.
    pub(crate) fn add_tombstone(&self) {
        let mut both = self.lock();
        both.head.tombstones += 1;
        both.head.sweep();
        self.release(both, Wakeups::default());
    }

    /// Notes that the calling worker begins to wait for a task of this pool. Returns the number of
    /// workers that the caller must start.
    #[must_use]
    pub(crate) fn block(&self) -> usize {
        let mut both = self.lock();
        let queued = both.head.tasks.len;
        let wakeups = both.head.counts.block(queued);
        self.release(both, wakeups)
    }

    /// Notes that the calling worker no longer waits.
    pub(crate) fn unblock(&self) {
        let mut both = self.lock();
        let wakeups = both.head.counts.unblock();
        self.release(both, wakeups);
    }

    /// Returns whether a worker that blocks now would not be replaced.
    pub(crate) fn substitutes_are_spent(&self) -> bool {
        self.head.0.lock().counts.blocked() >= SUBSTITUTES_MAX
    }

    /// Counts out a worker whose initializer failed. Returns the number of workers that the caller
    /// must start, for what is queued.
    #[must_use]
    pub(crate) fn not_initialized(&self) -> usize {
        let mut both = self.lock();
        both.head.counts.not_started();
        let queued = both.head.tasks.len;
        let wakeups = both.head.counts.wake_or_start(queued);
        let start = wakeups.start;
        self.release_after_exit(both, wakeups);
        start
    }

    /// Counts out a worker that was to be started and could not be. If that leaves no worker, the
    /// caller ends what is queued: see [`Queue::take_stranded`].
    pub(crate) fn not_started(&self) {
        let mut both = self.lock();
        both.head.counts.not_started();
        self.release_after_exit(both, Wakeups::default());
    }

    /// Takes out a task that no worker is left to run.
    pub(crate) fn take_stranded(&self) -> Option<Queued> {
        let mut both = self.lock();
        if both.head.counts.workers() > both.head.counts.blocked() {
            return None;
        }
        let task = both.head.tasks.pop();
        self.release(both, Wakeups::default());
        task
    }

    /// Takes a task out for a worker that is busy with another, and stays so.
    pub(crate) fn take_any(&self) -> Option<Queued> {
        let mut both = self.lock();
        let task = if both.head.cancelling { None } else { both.head.tasks.pop() };
        self.release(both, Wakeups::default());
        task
    }

    /// Closes the queue to tasks from outside of the pool. What is queued is still given to
    /// workers.
    pub(crate) fn close(&self) {
        let mut both = self.lock();
        both.head.open = false;
        let sleepers = both.head.counts.wake_all();
        let waiters: Vec<_> = both.head.waiters.iter().cloned().collect();
        self.release(both, Wakeups::default());
        for parker in sleepers.into_iter().chain(waiters) {
            parker.unpark();
        }
    }

    /// Gives workers no more tasks. The caller has closed the queue, and takes out what is queued
    /// with [`Queue::take_to_cancel`].
    pub(crate) fn begin_cancelling(&self) {
        self.lock().head.cancelling = true;
    }

    /// Takes out a task to be cancelled. From the first time on no task is given to workers. The
    /// caller has closed the queue, and repeats this until it returns `None`.
    pub(crate) fn take_to_cancel(&self) -> Option<Queued> {
        let mut both = self.lock();
        both.head.cancelling = true;
        both.head.tasks.pop()
    }

    /// Sets the number of workers that may exist. Returns the number of workers that the caller
    /// must start.
    #[must_use]
    pub(crate) fn resize(&self, workers_max: usize) -> usize {
        let mut both = self.lock();
        let queued = both.head.tasks.len;
        let (wakeups, surplus) = both.head.counts.resize(workers_max, queued);
        let start = self.release(both, wakeups);
        surplus.iter().for_each(|parker| parker.unpark());
        start
    }

    pub(crate) fn is_open(&self) -> bool {
        self.head.0.lock().open
    }

    pub(crate) fn workers_max(&self) -> usize {
        self.head.0.lock().counts.workers_max()
    }

    /// Waits until no worker exists. Returns false when the deadline came first.
    pub(crate) fn wait_for_workers(&self, deadline: Deadline) -> bool {
        self.wait_for_all_but(0, deadline)
    }

    /// Waits until at most `left` workers exist, which is 0, or 1 for a worker that waits itself.
    pub(crate) fn wait_for_all_but(&self, left: usize, deadline: Deadline) -> bool {
        blocking(|| {
            let mut head = self.head.0.lock();
            while head.counts.workers() > left {
                if deadline.has_passed() {
                    return false;
                }
                head = self.all_exited.wait_until(head, deadline);
            }
            true
        })
    }

    /// Returns the number of tombstones: zero when nothing is queued and no canceller is about to
    /// count one.
    #[cfg(all(test, loom))]
    pub(crate) fn tombstones(&self) -> isize {
        self.head.0.lock().tombstones
    }

    pub(crate) fn snapshot(&self) -> QueueSnapshot {
        let both = self.lock();
        let head = &*both.head;
        QueueSnapshot {
            queued: head.living(),
            workers: head.counts.workers(),
            free: head.counts.free(),
            submitters_waiting: head.waiters.len(),
            submitted: both.tail.submitted,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::task::NewTask;

    fn push(queue: &Queue) {
        let make = || {
            let (task, handle) = NewTask::new(|| ()).into_owners();
            drop(handle);
            Place::Own(task)
        };
        let (policy, submitter) = (WaitPolicy::None, Submitter::Outside);
        let pushed = queue.push(Priority::Normal, policy, submitter, None, || 0, make);
        assert!(pushed.is_ok());
    }

    /// Makes a queue with so many tasks, and one worker that is busy with another.
    fn queue_of_busy_worker(queued: usize) -> (Queue, Queued) {
        let queue = Queue::new(None, 1);
        (0..=queued).for_each(|_| push(&queue));
        queue.started();
        let task = queue.pop(&Arc::new(Parker::new()), || Deadline::NEVER);
        (queue, task.expect("tasks are queued"))
    }

    #[test]
    fn what_is_being_cancelled_is_given_to_no_worker() {
        let cancelling = |queued| {
            let (queue, task) = queue_of_busy_worker(queued);
            queue.close();
            queue.begin_cancelling();
            (queue, task)
        };
        let (queue, task) = cancelling(2);
        assert!(queue.take_any().is_none());
        assert!(matches!(queue.put_back(task), PutBack::Cancelling(_)));
        assert!(queue.finish(Afterwards::Nothing).is_none());
        assert!(queue.pop(&Arc::new(Parker::new()), || Deadline::NEVER).is_none());
        assert_eq!(queue.snapshot().workers, 0);
        assert!(queue.take_to_cancel().is_some() && queue.take_to_cancel().is_some());
    }

    #[test]
    fn a_worker_that_is_one_too_many_takes_no_further_task() {
        let (queue, _task) = queue_of_busy_worker(2);
        assert_eq!(queue.resize(2), 1);
        queue.started();
        let parker = Arc::new(Parker::new());
        let second = queue.pop(&parker, || Deadline::NEVER);
        assert!(second.is_some());
        assert_eq!(queue.resize(1), 0);
        assert!(queue.finish(Afterwards::Nothing).is_none());
        assert!(queue.pop(&parker, || Deadline::NEVER).is_none());
        assert_eq!((queue.snapshot().workers, queue.snapshot().queued), (1, 1));
    }

    #[test]
    fn a_smaller_pool_lets_workers_exit_that_sleep() {
        let queue = Queue::new(None, 3);
        (0..3).for_each(|_| push(&queue));
        let work = || {
            queue.started();
            let parker = Arc::new(Parker::new());
            while queue.pop(&parker, || Deadline::NEVER).is_some() {
                assert!(queue.finish(Afterwards::Notify).is_none());
            }
        };
        std::thread::scope(|scope| {
            (0..3).for_each(|_| drop(scope.spawn(work)));
            while queue.head.0.lock().counts.asleep() < 3 {
                std::thread::yield_now();
            }
            assert_eq!(queue.resize(1), 0);
            assert!(queue.wait_for_all_but(1, Deadline::NEVER));
            queue.close();
        });
        assert_eq!(queue.snapshot().workers, 0);
    }
}
