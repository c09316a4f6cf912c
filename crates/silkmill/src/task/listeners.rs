//! What few tasks have: callbacks, a waker, threads that wait for the result, and the counter of a
//! scope.
//!
//! One lock guards them. A result is published under it, so a listener that was added under it
//! while the task was not done is notified of the result.

use std::sync::Arc;
use std::task::Waker;

use crate::error::TaskError;
use crate::sync::blocking::blocking;
use crate::sync::{Condvar, Deadline, Mutex};
use crate::task::observer::{Afterwards, Observer};
use crate::task::scope_latch::ScopeCounter;
use crate::task::waiter::Waiter;
use crate::unwind::caught;

pub(super) type Callback<T> = Box<dyn FnOnce(Result<&T, &TaskError>) + Send>;

/// The listeners of one task.
pub(super) struct Listeners<T> {
    inner: Mutex<Inner<T>>,
    /// Notified when the result is published.
    published: Condvar,
}

struct Inner<T> {
    callbacks: Vec<Callback<T>>,
    waiters: Vec<(Arc<Waiter>, usize)>,
    waker: Option<Waker>,
    /// The number of threads that wait for `published`. With none, no thread is notified, because
    /// that is a system call.
    waiting: usize,
    /// Set while a callback that came late reads the result. The thread that lent the result also
    /// runs callbacks that arrive in the meantime.
    lent: bool,
    /// Set once a callback was given the result.
    delivered: bool,
    /// The counter of the scope that waits for the task.
    scope: Option<Arc<ScopeCounter>>,
}

/// What is left to do once a result is published.
pub(super) struct Notifications {
    waiters: Vec<(Arc<Waiter>, usize)>,
    waker: Option<Waker>,
    has_waiting_threads: bool,
    scope: Option<Arc<ScopeCounter>>,
}

impl<T> Listeners<T> {
    pub(super) fn new() -> Self {
        let inner = Inner {
            callbacks: Vec::new(),
            waiters: Vec::new(),
            waker: None,
            waiting: 0,
            lent: false,
            delivered: false,
            scope: None,
        };
        Listeners { inner: Mutex::new(inner), published: Condvar::new() }
    }

    /// Blocks until `is_done`, which changes only under the lock. Returns false when the deadline
    /// came first.
    pub(super) fn wait_until(&self, is_done: impl Fn() -> bool, deadline: Deadline) -> bool {
        blocking(|| self.sleep_until(is_done, deadline))
    }

    fn sleep_until(&self, is_done: impl Fn() -> bool, deadline: Deadline) -> bool {
        let mut inner = self.inner.lock();
        loop {
            if is_done() {
                return true;
            }
            if deadline.has_passed() {
                return false;
            }
            inner.waiting += 1;
            inner = self.published.wait_until(inner, deadline);
            inner.waiting -= 1;
        }
    }

    /// Keeps `waker` for the publication, in the place of the one before. Returns false when the
    /// task `is_done`.
    pub(super) fn set_waker(&self, waker: Waker, is_done: impl Fn() -> bool) -> bool {
        let mut inner = self.inner.lock();
        if is_done() {
            return false;
        }
        let old = inner.waker.replace(waker);
        // The drop of the old waker is the runtime's code.
        drop(inner);
        drop(old);
        true
    }

    pub(super) fn take_waker(&self) -> Option<Waker> {
        self.inner.lock().waker.take()
    }

    /// Keeps `waiter` for the publication. Returns false when the task `is_done`.
    pub(super) fn add_waiter(
        &self,
        waiter: &Arc<Waiter>,
        index: usize,
        is_done: impl Fn() -> bool,
    ) -> bool {
        let mut inner = self.inner.lock();
        if is_done() {
            return false;
        }
        inner.waiters.push((Arc::clone(waiter), index));
        true
    }

    pub(super) fn remove_waiter(&self, waiter: &Arc<Waiter>) {
        self.inner.lock().waiters.retain(|(other, _)| !Arc::ptr_eq(other, waiter));
    }

    /// Keeps the counter of the scope, for a task that is not queued yet.
    pub(super) fn set_scope(&self, scope: Arc<ScopeCounter>) {
        self.inner.lock().scope = Some(scope);
    }

    /// Keeps `callback` for the thread that publishes the result or has lent it already. Returns
    /// true when the task `is_done` and no thread has lent it: then the caller lends it, by
    /// [`run_callbacks`](Listeners::run_callbacks).
    pub(super) fn add_callback(&self, callback: Callback<T>, is_done: impl Fn() -> bool) -> bool {
        let mut inner = self.inner.lock();
        inner.callbacks.push(callback);
        if !is_done() || inner.lent {
            return false;
        }
        inner.lent = true;
        true
    }

    /// Returns whether a callback was given the result.
    pub(super) fn delivered(&self) -> bool {
        self.inner.lock().delivered
    }

    /// Runs callbacks until none is left, in the order in which they were added. Returns whether
    /// any was ever given the result.
    pub(super) fn run_callbacks(&self, result: &Result<T, TaskError>) -> bool {
        loop {
            let mut inner = self.inner.lock();
            if inner.callbacks.is_empty() {
                inner.lent = false;
                return inner.delivered;
            }
            inner.delivered = true;
            let callbacks = std::mem::take(&mut inner.callbacks);
            drop(inner);
            for callback in callbacks {
                caught(|| callback(result.as_ref()));
            }
        }
    }

    /// Publishes with `publish`, unless a callback has come that must run before. Returns `None`
    /// when the result was not published.
    pub(super) fn publish(&self, publish: impl FnOnce() -> bool) -> Option<Notifications> {
        let mut inner = self.inner.lock();
        if !inner.callbacks.is_empty() || !publish() {
            return None;
        }
        Some(Notifications {
            waiters: std::mem::take(&mut inner.waiters),
            waker: inner.waker.take(),
            has_waiting_threads: inner.waiting > 0,
            scope: inner.scope.take(),
        })
    }

    pub(super) fn notify(&self, notifications: Notifications, observer: &dyn Observer) {
        if notifications.has_waiting_threads {
            self.published.notify_all();
        }
        for (waiter, index) in notifications.waiters {
            waiter.notify(index);
        }
        if let Some(waker) = notifications.waker {
            observer.busy();
            caught(|| waker.wake());
            observer.free(Afterwards::Nothing);
        }
        if let Some(scope) = notifications.scope {
            scope.count_down();
        }
    }
}
