//! A thread that waits for the next of many tasks.

use std::collections::VecDeque;

use crate::sync::blocking::blocking;
use crate::sync::{Condvar, Deadline, Mutex};

/// The indices of tasks that are done, for a thread that waits for the next one.
pub(crate) struct Waiter {
    ready: Mutex<VecDeque<usize>>,
    notified: Condvar,
}

impl Waiter {
    pub(crate) fn new() -> Self {
        Waiter { ready: Mutex::new(VecDeque::new()), notified: Condvar::new() }
    }

    pub(crate) fn notify(&self, index: usize) {
        self.ready.lock().push_back(index);
        self.notified.notify_one();
    }

    pub(crate) fn next_now(&self) -> Option<usize> {
        self.ready.lock().pop_front()
    }

    /// Waits for the next index. Returns `None` when the deadline came first.
    pub(crate) fn next(&self, deadline: Deadline) -> Option<usize> {
        blocking(|| self.sleep_until(deadline))
    }

    fn sleep_until(&self, deadline: Deadline) -> Option<usize> {
        let mut ready = self.ready.lock();
        loop {
            if let Some(index) = ready.pop_front() {
                return Some(index);
            }
            if deadline.has_passed() {
                return None;
            }
            ready = self.notified.wait_until(ready, deadline);
        }
    }
}
