//! The frontier between the caller's thread and the workers: items that wait for a worker hang on it,
//! and rows that wait for the caller. Who asks and who decides is not known here; whose turn it is
//! says [`Schedule`].
//!
//! A worker that has ended an item takes the next one in the same breath, so that in a run under
//! way no worker ever waits for the caller. The caller is woken for many rows at a time, or when
//! the frontier runs empty.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use crate::fetch::attempt::Feedback;
use crate::retry::{self, Jitter};
use crate::row::Row;
use crate::run::schedule::{HostId, Limits, Schedule, Turn};
use crate::sync::{Condvar, Mutex};

/// Items taken from the source and not begun, at the most: how far a run looks ahead for a host that
/// is ready. It looks no further than it must: see `State::room`.
pub(crate) const LOOK_AHEAD_MAX: usize = 8 * 1024;
/// Items that may start are enough when there are so many for each worker, but no fewer than the minimum, which
/// is what workers take while the caller wakes up.
const READY_PER_WORKER: usize = 2;
const READY_MIN: usize = 256;
/// No further item is taken while the addresses of those that wait have so many bytes.
const LOOK_AHEAD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Rows that wait before the caller is woken for them, at the most.
const ROWS_WAKE_MAX: usize = 64;
/// Of what is in flight, this part is ready when the caller is woken.
const ROWS_WAKE_PART: usize = 8;

/// An item as the frontier sees it.
pub(crate) trait Item {
    /// Its place in the input.
    fn place(&self) -> u64;
    /// The host it wants next.
    fn host(&self) -> String;
    /// What its addresses weigh.
    fn bytes(&self) -> usize;
}

/// What became of an item that a worker was at.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is moved twice and never kept")]
pub(crate) enum Outcome<T> {
    /// It is done; none when the run was over first.
    Row(Option<Row>),
    /// It is to be tried again after a while; or goes on at another host, at once.
    Requeue(Box<T>, Duration),
}

/// All that a worker brings back.
#[derive(Debug)]
pub(crate) struct Completed<T> {
    pub(crate) host: HostId,
    pub(crate) feedback: Feedback,
    /// Set when it is known what the host allows: the pause between two starts that it asks for.
    pub(crate) crawl_delay: Option<Duration>,
    pub(crate) outcome: Outcome<T>,
}

#[derive(Debug)]
pub(crate) struct Frontier<T> {
    /// Locked by every worker between two items, and by the caller; never for longer than it takes
    /// to move an item.
    state: Mutex<State<T>>,
    /// Told to the caller.
    caller_wakes: Condvar,
    workers_max: usize,
}

#[derive(Debug)]
struct State<T> {
    schedule: Schedule<Box<T>>,
    rows: Vec<Row>,
    /// The addresses of all that waits.
    bytes: usize,
    /// Workers that are at work or were asked for.
    workers: usize,
    /// Workers that were asked for and never came.
    lost: bool,
    over: bool,
    jitter: Jitter,
    caller: Caller,
}

/// What the caller waits for.
#[derive(Debug, Default)]
struct Caller {
    asleep_until: Option<Instant>,
    /// Whether there is more to be put on the frontier.
    has_more: bool,
}

/// How a worker that was asked for came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerExit {
    Finished,
    /// The executor dropped it before it began.
    NeverStarted,
}

/// What the caller finds on the frontier.
#[derive(Debug)]
pub(crate) struct Demand {
    /// How many more items there is room for.
    pub(crate) room: usize,
    /// Whether another worker is wanted, who counts as being there.
    pub(crate) wants_worker: bool,
}

impl<T: Item> Frontier<T> {
    pub(crate) fn new(limits: Limits, workers_max: usize, seed: u64) -> Frontier<T> {
        let state = State {
            schedule: Schedule::new(limits),
            rows: room_for_rows(workers_max),
            bytes: 0,
            workers: 0,
            lost: false,
            over: false,
            jitter: Jitter::new(seed),
            caller: Caller::default(),
        };
        Frontier { state: Mutex::new(state), caller_wakes: Condvar::default(), workers_max }
    }

    /// For a worker: hands in what it was at and takes the next item. `None` when it should go.
    pub(crate) fn next(&self, done: Option<Completed<T>>) -> Option<Turn<Box<T>>> {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(done) = done {
            state.settle(now, done);
        }
        let next = if state.over { None } else { state.take(now) };
        let another =
            next.is_some() && state.workers < self.workers_max && state.schedule.is_ready(now);
        match another {
            true => self.wake_caller_at_once(state),
            false => self.wake_caller(state),
        }
        next
    }

    /// For a worker that goes on for long enough: hands in what it was at. Another takes its place.
    pub(crate) fn hand_in(&self, done: Completed<T>) {
        let mut state = self.state();
        state.settle(Instant::now(), done);
        self.wake_caller_at_once(state);
    }

    /// A worker has gone, or never came.
    pub(crate) fn worker_left(&self, exit: WorkerExit) {
        let mut state = self.state();
        state.workers -= 1;
        match exit {
            WorkerExit::Finished => self.wake_caller(state),
            WorkerExit::NeverStarted => {
                state.lost = true;
                self.wake_caller_at_once(state);
            }
        }
    }

    /// For the caller: adds an item. Whether a worker is wanted for it, who counts as being there.
    pub(crate) fn put(&self, item: Box<T>) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        state.put(now, item, Duration::ZERO);
        state.wants_worker(now, self.workers_max)
    }

    /// For the caller: takes the rows, in exchange for an empty `rows`, and sees what there is to do. Were the
    /// workers to begin with a new list each time, its growth would leave holes in the memory of every thread.
    pub(crate) fn take_rows(&self, rows: &mut Vec<Row>) -> Demand {
        debug_assert!(rows.is_empty(), "the rows of before have not been looked at");
        let mut state = self.state();
        std::mem::swap(&mut state.rows, rows);
        let wants_worker = state.wants_worker(Instant::now(), self.workers_max);
        let room = state.room(self.workers_max);
        Demand { room, wants_worker }
    }

    /// For the caller: waits until there is something to look at, but no longer than `timeout`.
    /// `has_more` says whether it has items that wait for room.
    pub(crate) fn wait(&self, timeout: Duration, has_more: bool) {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        state.caller.has_more = has_more;
        loop {
            // A time may come before anybody has caller_wakes.
            let until = state.schedule.next_time().map_or(deadline, |time| time.min(deadline));
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.has_work_for_caller(self.workers_max) {
                return;
            }
            state.caller.asleep_until = Some(until);
            state = self.caller_wakes.wait_timeout(state, left);
            if state.caller.asleep_until.take().is_none() {
                return;
            }
        }
    }

    /// For the caller, when workers were lost: if none is left, takes back all items, for nobody will come
    /// for them.
    pub(crate) fn stranded(&self) -> Vec<Box<T>> {
        let mut state = self.state();
        if !state.lost || state.workers > 0 {
            return Vec::new();
        }
        state.schedule.drain()
    }

    /// Ends the run: no worker gets another item.
    pub(crate) fn end(&self) {
        self.state().over = true;
    }

    /// Wakes the caller if there is something to look at, or a time comes before the one it waits for.
    fn wake_caller(&self, state: MutexGuard<'_, State<T>>) {
        let Some(until) = state.caller.asleep_until else { return };
        let sooner = state.schedule.next_time().is_some_and(|time| time < until);
        if sooner || state.has_work_for_caller(self.workers_max) {
            self.wake_caller_at_once(state);
        }
    }

    fn wake_caller_at_once(&self, mut state: MutexGuard<'_, State<T>>) {
        if state.caller.asleep_until.take().is_some() {
            drop(state);
            self.caller_wakes.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock()
    }
}

impl<T: Item> State<T> {
    fn put(&mut self, now: Instant, item: Box<T>, wait: Duration) {
        self.bytes += item.bytes();
        let (host, place) = (item.host(), item.place());
        self.schedule.put(now, &host, place, item, Some(now + wait));
    }

    fn wants_worker(&mut self, now: Instant, workers_max: usize) -> bool {
        let ready = self.schedule.is_ready(now);
        let wants = ready && !self.over && !self.lost && self.workers < workers_max;
        self.workers += usize::from(wants);
        wants
    }

    fn take(&mut self, now: Instant) -> Option<Turn<Box<T>>> {
        let turn = self.schedule.take(now)?;
        self.bytes -= turn.item.bytes();
        Some(turn)
    }

    fn settle(&mut self, now: Instant, done: Completed<T>) {
        if let Some(delay) = done.crawl_delay {
            self.schedule.set_crawl_delay(now, done.host, delay);
        }
        match done.feedback {
            Feedback::Unknown => {}
            Feedback::Ok => self.schedule.note_ok(done.host),
            Feedback::Backoff(asked) => {
                let roll = self.jitter.roll();
                let pause = |refusals| asked.unwrap_or_else(|| retry::pause(refusals, roll));
                self.schedule.back_off(now, done.host, pause);
            }
        }
        match done.outcome {
            Outcome::Row(row) => self.rows.extend(row),
            Outcome::Requeue(item, wait) => self.put(now, item, wait),
        }
        self.schedule.done(now, done.host);
    }

    /// How many more items the caller is to bring. While enough of those that are here may start, none: an item that
    /// only waits costs memory. When too few may, more are looked at, for hosts that are ready.
    fn room(&self, workers_max: usize) -> usize {
        if self.bytes >= LOOK_AHEAD_BYTES_MAX {
            return 0;
        }
        let lacking = ready_enough(workers_max).saturating_sub(self.schedule.startable());
        lacking.min(LOOK_AHEAD_MAX.saturating_sub(self.schedule.waiting()))
    }

    /// Whether the caller has something to do that does not wait.
    fn has_work_for_caller(&self, workers_max: usize) -> bool {
        let waiting = self.schedule.waiting();
        let in_flight = waiting.min(workers_max) + self.schedule.running();
        let enough = (in_flight / ROWS_WAKE_PART).clamp(1, ROWS_WAKE_MAX);
        let runs_low = self.caller.has_more
            && self.schedule.startable() < ready_enough(workers_max) / 2
            && waiting < LOOK_AHEAD_MAX / 2
            && self.bytes < LOOK_AHEAD_BYTES_MAX / 2;
        self.rows.len() >= enough || runs_low || (in_flight == 0 && !self.caller.has_more)
    }
}

/// A list that takes the rows of all that may be under way or ready at once, and so does not grow.
pub(crate) fn room_for_rows(workers_max: usize) -> Vec<Row> {
    Vec::with_capacity(ready_enough(workers_max) + workers_max)
}

fn ready_enough(workers_max: usize) -> usize {
    workers_max.saturating_mul(READY_PER_WORKER).clamp(READY_MIN, LOOK_AHEAD_MAX)
}
