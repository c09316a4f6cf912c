//! A thread that waits for the next of many tasks.

use std::collections::VecDeque;

use crate::sync::blocking::blocking;
use crate::sync::{Condvar, Deadline, Mutex};

/// The indices of tasks that are done, for a thread that waits for the next one.
pub(crate) struct Waiter {
    ready: Mutex<Ready>,
    notified: Condvar,
}

#[derive(Default)]
struct Ready {
    indices: VecDeque<usize>,
    /// Set while the thread sleeps. When it does not, it is not notified, because that is a system
    /// call for every task.
    sleeps: bool,
}

impl Waiter {
    pub(crate) fn new() -> Self {
        Waiter { ready: Mutex::default(), notified: Condvar::new() }
    }

    pub(crate) fn notify(&self, index: usize) {
        let mut ready = self.ready.lock();
        ready.indices.push_back(index);
        let sleeps = ready.sleeps;
        drop(ready);
        if sleeps {
            self.notified.notify_one();
        }
    }

    pub(crate) fn next_now(&self) -> Option<usize> {
        self.ready.lock().indices.pop_front()
    }

    /// Waits for the next index. Returns `None` when the deadline came first.
    pub(crate) fn next(&self, deadline: Deadline) -> Option<usize> {
        blocking(|| self.sleep_until(deadline))
    }

    fn sleep_until(&self, deadline: Deadline) -> Option<usize> {
        let mut ready = self.ready.lock();
        loop {
            if let Some(index) = ready.indices.pop_front() {
                return Some(index);
            }
            if deadline.has_passed() {
                return None;
            }
            ready.sleeps = true;
            ready = self.notified.wait_until(ready, deadline);
            ready.sleeps = false;
        }
    }
}
