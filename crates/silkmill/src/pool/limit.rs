//! Ends a queued task at once when its token is cancelled or its time is up, instead of at its
//! turn.
//!
//! The queue keeps such a task in a [`Slot`], and so does its [`Limit`], which the token and the
//! timer tell. The first who takes the task out has it. A token that is cancelled before the task
//! is in its slot finds nothing; so the submitter looks at the token once the task is queued
//! ([`Limit::enforce`]). The slot's lock orders the two: if the canceller looked first, the
//! submitter sees the token cancelled.

use std::sync::{Arc, Weak};

use crate::cancel::{CancelToken, OnCancel};
use crate::error::TaskError;
use crate::pool::Pool;
use crate::pool::priority::Slot;
use crate::pool::timer::{OnTime, TimerEntry};
use crate::unwind::caught;

/// Ends one queued task before its turn.
pub(crate) struct Limit {
    slot: Arc<Slot>,
    pool: Weak<Pool>,
}

impl Limit {
    /// Makes the limit of a task of `pool` that has `token`.
    pub(crate) fn new(pool: &Arc<Pool>, token: &CancelToken) -> Arc<Self> {
        let limit = Arc::new(Limit { slot: Arc::default(), pool: Arc::downgrade(pool) });
        token.tell_on_cancel(Arc::<Limit>::clone(&limit));
        limit
    }

    /// Has the task ended when the time of `token` is up. The entry belongs to the closure, and
    /// goes with it.
    pub(crate) fn until_deadline(self: &Arc<Self>, token: &CancelToken) -> Option<TimerEntry> {
        let (at, pool) = (token.deadline()?, self.pool.upgrade()?);
        Some(pool.at_time(at, Arc::<Limit>::clone(self)))
    }

    /// Makes the token of a task of `pool` that is given none: a child of its submitter's own, if
    /// the submitter is a task that has one.
    pub(crate) fn inherited_token(pool: &Pool) -> Option<CancelToken> {
        let token = CancelToken::inherited()?;
        Some(CancelToken::with([Some(pool.token().clone()), Some(token)], None))
    }

    /// Makes a token to cancel several tasks of `pool` with, which inherits what a task would.
    pub(crate) fn token_for_several(pool: &Pool) -> CancelToken {
        Limit::inherited_token(pool).unwrap_or_else(|| pool.token().child())
    }

    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    /// Ends the task now, if `token` was cancelled while it was on its way into the queue.
    pub(crate) fn enforce(&self, token: &CancelToken) {
        if token.was_cancelled() {
            self.on_cancel();
        } else if token.is_overdue() {
            self.on_time();
        }
    }

    fn end(&self, error: TaskError) {
        // A token may outlive the pool, and a task of a pool that is gone is gone, too.
        let Some(pool) = self.pool.upgrade() else { return };
        if let Some(task) = self.slot.take() {
            caught(|| pool.withdraw(task, error));
        }
    }
}

impl OnCancel for Limit {
    fn on_cancel(&self) {
        self.end(TaskError::cancelled());
    }
}

impl OnTime for Limit {
    fn on_time(&self) {
        self.end(TaskError::timed_out());
    }
}
