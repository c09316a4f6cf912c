//! Where one thread sleeps until another wakes it. Which thread sleeps and which is woken is
//! decided elsewhere.

use crate::sync::blocking::blocking;
use crate::sync::{Condvar, Deadline, Mutex};

/// Puts one thread to sleep until it is unparked.
pub(crate) struct Parker {
    state: Mutex<Parked>,
    unparked: Condvar,
}

#[derive(Default)]
struct Parked {
    sleeps: bool,
    unparked: bool,
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

    pub(crate) fn unpark(&self) {
        let mut state = self.state.lock();
        state.unparked = true;
        let sleeps = state.sleeps;
        drop(state);
        if sleeps {
            self.unparked.notify_one();
        }
    }
}
