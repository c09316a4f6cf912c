//! Tells every thread of a server to stop, and lets the threads wait without missing that.

use std::time::{Duration, Instant};

use crate::lock::{Condvar, Mutex};

/// Written once, by the drop of the server; read by the thread of every connection.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(crate) fn stop(&self) {
        *self.stopped.lock() = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.lock()
    }

    /// Waits for `time`, or less when the server stops. Returns false when it has stopped.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut stopped = self.stopped.lock();
        while !*stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            stopped = self.changed.wait_timeout(stopped, left);
        }
        !*stopped
    }

    /// Waits until the server stops.
    pub(crate) fn wait_until_stopped(&self) {
        let mut stopped = self.stopped.lock();
        while !*stopped {
            stopped = self.changed.wait(stopped);
        }
    }
}
