//! A flag to wait for, like Python's `threading.Event`.

use std::fmt;
use std::time::Duration;

use crate::sync::blocking::blocking;
use crate::sync::{Condvar, Deadline, Mutex, const_unless_loom};

/// A flag that is set or not, and that any number of threads can wait for: "the server is up", "go
/// on", "stop".
///
/// It can be cleared and used again. A wait that began before a [`set`](Event::set) returns even
/// when a [`clear`](Event::clear) follows at once. What was done before the `set` is seen by the
/// threads that waited for it. To share an event, put it in an [`Arc`](std::sync::Arc).
///
/// A task of a pool that waits keeps its worker meanwhile. To ask running tasks to stop there is
/// [`CancelToken`](crate::CancelToken).
///
/// ```
/// use std::sync::Arc;
/// use silkmill::{Event, Thread};
///
/// let ready = Arc::new(Event::new());
/// let waiting = Thread::spawn({
///     let ready = Arc::clone(&ready);
///     move || ready.wait()
/// });
/// ready.set();
/// waiting.join()?;
/// assert!(ready.is_set());
/// # Ok::<(), silkmill::TaskError>(())
/// ```
pub struct Event {
    /// Written by threads that set or clear, read by threads that look or wait. Being a lock it
    /// also orders what was done before a `set` with what is done after a look that saw it.
    state: Mutex<State>,
    /// Notified when the flag goes from not set to set.
    was_set: Condvar,
}

struct State {
    is_set: bool,
    /// The number of times the flag went from not set to set. A waiter goes on when this changes,
    /// though the flag may be cleared again by then. It would take centuries to overflow.
    times_set: u64,
}

impl Event {
    const_unless_loom! {
        /// Makes an event that is not set. It may be a static:
        ///
        /// ```
        /// static STOP: silkmill::Event = silkmill::Event::new();
        /// assert!(!STOP.is_set());
        /// ```
        pub fn new() -> Self {
            let state = State { is_set: false, times_set: 0 };
            Event { state: Mutex::new(state), was_set: Condvar::new() }
        }
    }

    /// Sets the flag and wakes every waiter. Nothing happens when it is set already.
    pub fn set(&self) {
        let mut state = self.state.lock();
        if state.is_set {
            return;
        }
        state.is_set = true;
        state.times_set += 1;
        drop(state);
        self.was_set.notify_all();
    }

    /// Clears the flag: a wait that begins from now on waits for the next [`set`](Event::set).
    pub fn clear(&self) {
        self.state.lock().is_set = false;
    }

    /// Returns whether the flag is set now.
    pub fn is_set(&self) -> bool {
        self.state.lock().is_set
    }

    /// Waits until the flag is set. Returns at once when it is.
    pub fn wait(&self) {
        self.wait_until(Deadline::NEVER);
    }

    /// Waits until the flag is set, for at most `timeout`. Returns whether it was set.
    ///
    /// `Duration::ZERO` only looks; `Duration::MAX` and everything else the clock cannot express
    /// mean for ever.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> bool {
        match self.look() {
            None => true,
            Some(times_set) => blocking(|| self.wait_for_change(times_set, deadline)),
        }
    }

    /// Returns the number of times it was set before, unless it is set now.
    pub(crate) fn look(&self) -> Option<u64> {
        let state = self.state.lock();
        (!state.is_set).then_some(state.times_set)
    }

    /// Waits until it was set more often than `times_set`. Returns false when the deadline came
    /// first.
    pub(crate) fn wait_for_change(&self, times_set: u64, deadline: Deadline) -> bool {
        let mut state = self.state.lock();
        while state.times_set == times_set {
            if deadline.has_passed() {
                return false;
            }
            state = self.was_set.wait_until(state, deadline);
        }
        true
    }
}

impl Default for Event {
    fn default() -> Self {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish()
    }
}
