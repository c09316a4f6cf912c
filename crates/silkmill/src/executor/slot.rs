//! One place of an ordered map's window: an item in the pool, or a batch of them.

use std::sync::Arc;

use crate::executor::batch::{Batch, BatchEnd};
use crate::executor::future::Future;
use crate::sync::Deadline;
use crate::task::waiter::Waiter;
use crate::thread::fork::Home;

/// One item in a pool, or several.
pub(super) enum Slot<A, T> {
    One(Future<T>),
    Many(Future<BatchEnd>, Arc<Batch<A, T>>),
}

/// The index that a map's waiter is notified of when the first result is there.
const FIRST_DONE: usize = 0;

impl<A, T: Send> Slot<A, T> {
    pub(super) fn is_done(&self) -> bool {
        match self {
            Slot::One(future) => future.task().is_done(),
            Slot::Many(future, _) => future.task().is_done(),
        }
    }

    /// Returns whether it is done, or never will be, because its pool is another process's.
    pub(super) fn has_result(&self) -> bool {
        match self {
            Slot::One(future) => future.is_done(),
            Slot::Many(future, _) => future.is_done(),
        }
    }

    pub(super) fn wait_until(&self, deadline: Deadline) -> bool {
        match self {
            Slot::One(future) => future.wait_until(deadline),
            Slot::Many(future, _) => future.wait_until(deadline),
        }
    }

    pub(super) fn try_run_inline(&self) -> bool {
        match self {
            Slot::One(future) => future.try_run_inline(),
            Slot::Many(future, _) => future.try_run_inline(),
        }
    }

    pub(super) fn add_waiter(&self, waiter: &Arc<Waiter>) {
        match self {
            Slot::One(future) => future.notify_when_done(waiter, FIRST_DONE, Home::here()),
            Slot::Many(future, _) => {
                future.notify_when_done(waiter, FIRST_DONE, Home::here());
            }
        }
    }

    pub(super) fn remove_waiter(&self, waiter: &Arc<Waiter>) {
        match self {
            Slot::One(future) => future.task().remove_waiter(waiter),
            Slot::Many(future, _) => future.task().remove_waiter(waiter),
        }
    }
}
