//! Where one thread, or one async task, sleeps until another thread wakes it. Which one sleeps and
//! which is woken is decided elsewhere.

use std::task::Waker;

use crate::sync::blocking::blocking;
use crate::sync::{Condvar, Deadline, Mutex};
use crate::unwind::caught;

/// Puts one thread to sleep until it is unparked, or has an async task polled again then.
pub(crate) struct Parker {
    state: Mutex<Parked>,
    unparked: Condvar,
}

#[derive(Default)]
struct Parked {
    sleeps: bool,
    unparked: bool,
    /// What an async task is woken with, in the place of a thread that sleeps.
    waker: Option<Waker>,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Parker { state: Mutex::new(Parked::default()), unparked: Condvar::new() }
    }

    /// Sleeps until unparked. Returns false when the deadline came first. An unpark that came
    /// before counts.
    pub(crate) fn park_until(&self, deadline: Deadline) -> bool {
        if std::mem::take(&mut self.state.lock().unparked) {
            return true;
        }
        blocking(|| self.sleep_until(deadline))
    }

    fn sleep_until(&self, deadline: Deadline) -> bool {
        let mut state = self.state.lock();
        while !state.unparked && !deadline.has_passed() {
            state.sleeps = true;
            state = self.unparked.wait_until(state, deadline);
            state.sleeps = false;
        }
        std::mem::take(&mut state.unparked)
    }

    /// Has `waker` woken by the next unpark, in the place of the one before. What the caller looks
    /// at afterwards is no older than any unpark that came too early for that.
    pub(crate) fn set_waker(&self, waker: Waker) {
        let old = self.state.lock().waker.replace(waker);
        // The drop of the old waker is the runtime's code.
        caught(|| drop(old));
    }

    pub(crate) fn unpark(&self) {
        let mut state = self.state.lock();
        state.unparked = true;
        let sleeps = state.sleeps;
        let waker = state.waker.take();
        drop(state);
        if sleeps {
            self.unparked.notify_one();
        }
        if let Some(waker) = waker {
            caught(|| waker.wake());
        }
    }
}
