//! Tells queued tasks that their time is up, on a thread that exists while there are any.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Deadline, Mutex};

/// Something that happens at its time, on the timer's thread.
pub(crate) trait OnTime: Send + Sync {
    fn on_time(&self);
}

/// What is to happen, soonest first.
pub(crate) struct Timer {
    state: Mutex<State>,
    /// Notified when the first entry changes, and at the end.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<(Instant, u64), Arc<dyn OnTime>>,
    number_next: u64,
    /// Set while there is a thread, which has not decided to exit.
    has_thread: bool,
    /// Set once the thread must not stay without entries.
    closed: bool,
}

/// An entry of a timer, which is taken out when this is dropped.
pub(crate) struct TimerEntry {
    timer: Arc<Timer>,
    key: (Instant, u64),
}

impl Drop for TimerEntry {
    fn drop(&mut self) {
        let mut state = self.timer.state.lock();
        let entry = state.entries.remove(&self.key);
        let is_last = state.closed && state.entries.is_empty();
        drop(state);
        drop(entry);
        if is_last {
            // The thread sleeps until the time of an entry that has gone, and a shutdown joins it.
            self.timer.changed.notify_one();
        }
    }
}

impl Timer {
    pub(crate) fn new() -> Self {
        Timer { state: Mutex::default(), changed: Condvar::new() }
    }

    /// Has `what` told at `at`, or soon after. Returns true beside the entry when the caller must
    /// start a thread that [runs](Timer::run) the timer, or say that it [could
    /// not](Timer::not_started).
    pub(crate) fn add(self: &Arc<Self>, at: Instant, what: Arc<dyn OnTime>) -> (TimerEntry, bool) {
        let mut state = self.state.lock();
        let key = (at, state.number_next);
        state.number_next += 1;
        state.entries.insert(key, what);
        let is_first = state.entries.first_key_value().is_some_and(|(first, _)| *first == key);
        let start = !std::mem::replace(&mut state.has_thread, true);
        drop(state);
        if is_first {
            self.changed.notify_one();
        }
        (TimerEntry { timer: Arc::clone(self), key }, start)
    }

    /// Notes that the system refused the thread. The next entry asks for one again.
    pub(crate) fn not_started(&self) {
        self.state.lock().has_thread = false;
    }

    /// Lets the thread exit as soon as there is no entry.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
    }

    /// Tells each entry at its time, until there has been none for `idle_timeout`.
    pub(crate) fn run(&self, idle_timeout: Duration) {
        let mut state = self.state.lock();
        let mut idle_until = None;
        loop {
            let first = state.entries.first_key_value().map(|((at, _), _)| *at);
            let until = match first {
                Some(at) if at <= Instant::now() => {
                    let due = state.entries.pop_first();
                    drop(state);
                    due.inspect(|(_, what)| what.on_time());
                    state = self.state.lock();
                    continue;
                }
                Some(at) => {
                    idle_until = None;
                    Deadline::NEVER.or_sooner(Some(at))
                }
                None => *idle_until.get_or_insert_with(|| Deadline::after(idle_timeout)),
            };
            if first.is_none() && (state.closed || until.has_passed()) {
                state.has_thread = false;
                return;
            }
            state = self.changed.wait_until(state, until);
        }
    }
}
