//! Where one thread sleeps until another calls it. Who sleeps and who is called is up to the users.

use crate::sync::{Condvar, Deadline, Mutex};

/// Where one thread sleeps until it is called.
pub(crate) struct Parker {
    state: Mutex<Parked>,
    call: Condvar,
}

#[derive(Default)]
struct Parked {
    sleeps: bool,
    called: bool,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Parker { state: Mutex::new(Parked::default()), call: Condvar::new() }
    }

    /// Sleeps until called; false when the deadline came first. A call that came before is answered at once.
    pub(crate) fn park_until(&self, deadline: Deadline) -> bool {
        let mut state = self.state.lock();
        while !state.called && !deadline.has_passed() {
            state.sleeps = true;
            state = self.call.wait_until(state, deadline);
            state.sleeps = false;
        }
        std::mem::take(&mut state.called)
    }

    pub(crate) fn call(&self) {
        let mut state = self.state.lock();
        state.called = true;
        let sleeps = state.sleeps;
        drop(state);
        if sleeps {
            self.call.notify_one();
        }
    }
}
