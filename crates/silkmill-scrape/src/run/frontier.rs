//! The frontier between the caller's thread and the workers: the items that wait for a worker, and
//! the rows that wait for the caller. Makes no requests. The order of the items is [`Schedule`]'s.
//!
//! A worker that has completed an item takes the next one under the same lock, so that during a run
//! no worker ever waits for the caller. The caller is woken for many rows at a time, or when the
//! frontier runs low.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use crate::fetch::ending::{Feedback, Sign};
use crate::retry::{self, Jitter};
use crate::row::Row;
use crate::run::host_errors::HostErrors;
use crate::run::schedule::{HostId, Limits, Schedule, Turn, Wishes};
use crate::run::throttle::Learned;
use crate::sync::{Condvar, Mutex};

/// The most items taken from the source and not begun: how far a run looks ahead for a host that is
/// ready. It looks no further than it must: see `State::room`.
pub(crate) const LOOK_AHEAD_MAX: usize = 8 * 1024;
/// As many items that may start as are enough for each worker, but no fewer in all than
/// `READY_MIN`, which is what workers take while the caller wakes up.
const READY_PER_WORKER: usize = 2;
const READY_MIN: usize = 256;
/// No further item is taken while the URLs of the waiting items have so many bytes.
const LOOK_AHEAD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most rows that wait before the caller is woken for them.
const ROWS_WAKE_MAX: usize = 64;
/// The part of the items in flight that has rows when the caller is woken.
const ROWS_WAKE_PART: usize = 8;

/// What the frontier needs to know of an item.
pub(crate) trait Item {
    /// Returns the item's place in the input.
    fn place(&self) -> u64;
    /// Returns the host that the item wants next.
    fn host(&self) -> String;
    /// Returns the time before which the item does not start at all.
    fn not_before(&self) -> Option<Instant> {
        None
    }
    /// Returns what was learned before of how the item's host is to be asked.
    fn learned(&self) -> Option<Learned> {
        None
    }
    /// Returns the bytes of the item's URLs.
    fn bytes(&self) -> usize;
    /// Tells whether the item tries HTTPS only because it names no scheme.
    fn guesses_https(&self) -> bool;
    /// Lets such an item go on by HTTP.
    fn go_by_http(&mut self);
}

/// How an attempt at an item ended.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is moved twice and never kept")]
pub(crate) enum Outcome<T> {
    /// The item has its row, or `None` when the run was over first.
    Row(Option<Row>),
    /// The item is retried after a while, or goes on at another host at once.
    Requeue(Box<T>, Duration),
}

/// Everything that a worker reports of an attempt.
#[derive(Debug)]
pub(crate) struct Completed<T> {
    pub(crate) host: HostId,
    pub(crate) feedback: Feedback,
    /// The time to the first byte of the last response.
    pub(crate) latency: Option<Duration>,
    /// The pause between two starts that the host asks for, once its robots.txt is known.
    pub(crate) crawl_delay: Option<Duration>,
    /// What the attempt says about whether the host is down for good.
    pub(crate) sign: Sign,
    pub(crate) outcome: Outcome<T>,
}

#[derive(Debug)]
pub(crate) struct Frontier<T> {
    /// Locked by every worker between two items, and by the caller; never for longer than it takes
    /// to move an item.
    state: Mutex<State<T>>,
    /// Notified when there is something for the caller to do.
    caller_wakes: Condvar,
    workers_max: usize,
}

#[derive(Debug)]
struct State<T> {
    schedule: Schedule<Box<T>>,
    host_errors: HostErrors,
    rows: Vec<Row>,
    /// The bytes of the URLs of all waiting items.
    bytes: usize,
    /// The workers that run or were requested from the caller.
    workers: usize,
    /// Whether a worker that was requested never started.
    lost: bool,
    over: bool,
    jitter: Jitter,
    caller: Caller,
    /// What hosts have asked for since the caller looked last; `None` when it never looks.
    host_news: Option<Vec<HostNews>>,
    /// Whether some of the news is for the caller to see at once.
    has_urgent_news: bool,
}

/// What a host asks for, when it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostNews {
    /// The host, as [`Item::host`] names it.
    pub(crate) host: String,
    pub(crate) wishes: Wishes,
    /// Whether another run must know of it before it asks the host.
    pub(crate) is_urgent: bool,
}

/// What the caller waits for.
#[derive(Debug, Default)]
struct Caller {
    asleep_until: Option<Instant>,
    /// Whether the caller has more items to put.
    has_more: bool,
}

/// How a worker that was requested came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerExit {
    Finished,
    /// The executor dropped it before it began.
    NeverStarted,
}

/// What the frontier wants from the caller.
#[derive(Debug)]
pub(crate) struct Demand {
    /// The number of items that there is room for.
    pub(crate) room: usize,
    /// The number of items that a worker is at.
    pub(crate) running: usize,
    /// Whether the caller is to start another worker. The frontier counts it as running from now
    /// on.
    pub(crate) wants_worker: bool,
}

impl<T: Item> Frontier<T> {
    pub(crate) fn new(
        limits: Limits,
        host_errors: HostErrors,
        workers_max: usize,
        seed: u64,
    ) -> Frontier<T> {
        let state = State {
            schedule: Schedule::new(limits),
            host_errors,
            rows: room_for_rows(workers_max),
            bytes: 0,
            workers: 0,
            lost: false,
            over: false,
            jitter: Jitter::new(seed),
            caller: Caller::default(),
            host_news: None,
            has_urgent_news: false,
        };
        Frontier { state: Mutex::new(state), caller_wakes: Condvar::default(), workers_max }
    }

    /// Keeps what hosts ask for, for [`Frontier::take_host_news`].
    pub(crate) fn watch_hosts(&mut self) {
        self.state().host_news = Some(Vec::new());
    }

    /// For the caller: returns what hosts have asked for since it looked last.
    pub(crate) fn take_host_news(&self) -> Vec<HostNews> {
        let mut state = self.state();
        state.has_urgent_news = false;
        state.host_news.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// For a worker: reports its last item and takes the next one. `None` means that the worker
    /// should end.
    pub(crate) fn next(&self, completed: Option<Completed<T>>) -> Option<Turn<Box<T>>> {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(completed) = completed {
            state.settle(now, completed);
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

    /// For a worker that has run for long enough: reports its last item. Another worker takes its
    /// place.
    pub(crate) fn hand_in(&self, completed: Completed<T>) {
        let mut state = self.state();
        state.settle(Instant::now(), completed);
        self.wake_caller_at_once(state);
    }

    /// Notes that a worker has ended, or never started.
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

    /// For the caller: adds an item. Returns whether the caller is to start a worker for it, which
    /// counts as running from now on.
    pub(crate) fn put(&self, item: Box<T>) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let wait = item.not_before().map_or(Duration::ZERO, |time| time.duration_since(now));
        state.put(now, item, wait);
        state.wants_worker(now, self.workers_max)
    }

    /// For the caller: takes the rows, in exchange for an empty `rows`, and returns what the
    /// frontier wants. If the workers began with a new list each time, its growth would leave holes
    /// in the memory of every thread.
    pub(crate) fn take_rows(&self, rows: &mut Vec<Row>) -> Demand {
        debug_assert!(rows.is_empty(), "the rows of before have not been looked at");
        let mut state = self.state();
        std::mem::swap(&mut state.rows, rows);
        let wants_worker = state.wants_worker(Instant::now(), self.workers_max);
        let room = state.room(self.workers_max);
        Demand { room, running: state.schedule.running(), wants_worker }
    }

    /// For the caller: waits until there is something to do, but no longer than `timeout`.
    /// `has_more` tells whether the caller has items that wait for room.
    pub(crate) fn wait(&self, timeout: Duration, has_more: bool) {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        state.caller.has_more = has_more;
        loop {
            // An item may become ready before a worker notifies the caller.
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

    /// For the caller, when workers were lost: returns all items if no worker is left to take them.
    pub(crate) fn stranded(&self) -> Vec<Box<T>> {
        let mut state = self.state();
        if !state.lost || state.workers > 0 {
            return Vec::new();
        }
        state.schedule.drain()
    }

    /// For the caller: takes back the items of a host that no worker is at.
    pub(crate) fn withdraw(&self, host: &str) -> Vec<Box<T>> {
        let mut state = self.state();
        let items = state.schedule.withdraw(Instant::now(), host);
        state.bytes -= items.iter().map(|item| item.bytes()).sum::<usize>();
        items
    }

    /// Ends the run: no worker receives another item.
    pub(crate) fn end(&self) {
        self.state().over = true;
    }

    /// Wakes the caller if it has something to do, or if an item becomes ready before the time it
    /// sleeps until.
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
    fn put(&mut self, now: Instant, mut item: Box<T>, wait: Duration) {
        if item.guesses_https() && self.host_errors.is_without_https(&item.host()) {
            item.go_by_http();
        }
        self.bytes += item.bytes();
        let (host, place) = (item.host(), item.place());
        let learned = item.learned();
        let id = self.schedule.put(now, &host, place, item, Some(now + wait));
        if let Some(learned) = learned {
            self.schedule.recall(now, id, learned);
        }
        if self.host_errors.is_given_up(&host) {
            self.schedule.give_up(now, id, true);
        }
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

    fn settle(&mut self, now: Instant, completed: Completed<T>) {
        if let Some(delay) = completed.crawl_delay {
            self.schedule.set_crawl_delay(now, completed.host, delay);
        }
        match completed.feedback {
            Feedback::Unknown => {}
            Feedback::Ok => self.schedule.note_ok(completed.host, completed.latency),
            Feedback::TimedOut => self.schedule.note_timeout(completed.host),
            Feedback::Backoff(asked) => {
                let roll = self.jitter.roll();
                let pause = |refusals| asked.unwrap_or_else(|| retry::pause(refusals, roll));
                self.schedule.back_off(now, completed.host, pause);
            }
        }
        if completed.sign != Sign::None {
            let name = self.schedule.name(completed.host);
            if let Some(is_given_up) = self.host_errors.note(name, completed.sign) {
                self.schedule.give_up(now, completed.host, is_given_up);
            }
        }
        if let Some(all) = &mut self.host_news
            && let Some((wishes, is_urgent)) = self.schedule.news(completed.host)
        {
            let host = self.schedule.name(completed.host).to_owned();
            all.push(HostNews { host, wishes, is_urgent });
            self.has_urgent_news |= is_urgent;
        }
        match completed.outcome {
            Outcome::Row(row) => self.rows.extend(row),
            Outcome::Requeue(item, wait) => self.put(now, item, wait),
        }
        self.schedule.done(now, completed.host);
    }

    /// Returns how many more items the caller should put: none while enough items may start, since
    /// an item that only waits costs memory. When too few may start, the caller puts more, in
    /// search of hosts that are ready.
    fn room(&self, workers_max: usize) -> usize {
        if self.bytes >= LOOK_AHEAD_BYTES_MAX {
            return 0;
        }
        let lacking = ready_enough(workers_max).saturating_sub(self.schedule.startable());
        lacking.min(LOOK_AHEAD_MAX.saturating_sub(self.schedule.waiting()))
    }

    /// Tells whether the caller has something to do at once.
    fn has_work_for_caller(&self, workers_max: usize) -> bool {
        let waiting = self.schedule.waiting();
        let in_flight = waiting.min(workers_max) + self.schedule.running();
        let enough = (in_flight / ROWS_WAKE_PART).clamp(1, ROWS_WAKE_MAX);
        let runs_low = self.caller.has_more
            && self.schedule.startable() < ready_enough(workers_max) / 2
            && waiting < LOOK_AHEAD_MAX / 2
            && self.bytes < LOOK_AHEAD_BYTES_MAX / 2;
        self.rows.len() >= enough
            || self.has_urgent_news
            || runs_low
            || (in_flight == 0 && !self.caller.has_more)
    }
}

/// Returns a list with room for the rows of all items that may be under way or ready at once, so
/// that it does not grow.
pub(crate) fn room_for_rows(workers_max: usize) -> Vec<Row> {
    Vec::with_capacity(ready_enough(workers_max) + workers_max)
}

fn ready_enough(workers_max: usize) -> usize {
    workers_max.saturating_mul(READY_PER_WORKER).clamp(READY_MIN, LOOK_AHEAD_MAX)
}
