//! What the thread that runs a task learns of its progress.

use crate::error::TaskError;

/// The purpose of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "a claim is read as a phrase: to run, to cancel")]
pub(crate) enum Claim {
    ToRun,
    ToCancel,
    /// To end the task with an error that is no cancellation.
    ToFail,
}

/// Follows a task on the thread that runs it.
pub(crate) trait Observer {
    /// The task has ended, with this `error` if it has no value, and its result is not published
    /// yet.
    fn ended(&self, how: Ended, error: Option<&TaskError>);

    /// None of the user's code is left to run, and the result is published next.
    fn free(&self, afterwards: Afterwards);

    /// Some of the user's code is left to run after all.
    fn busy(&self);

    /// The task has failed without being cancelled, and no thread and no callback will read that.
    fn unread(&self, error: &TaskError);
}

/// What the thread that runs a task must do for it once the result is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    Nothing,
    /// There may be threads to wake.
    Notify,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Returned,
    Panicked,
    /// Its turn came, but it was cancelled or overdue, or goes on from a task without a value.
    NotStarted,
}

/// An observer that ignores everything.
pub(crate) struct NoObserver;

impl Observer for NoObserver {
    fn ended(&self, _how: Ended, _error: Option<&TaskError>) {}

    fn free(&self, _afterwards: Afterwards) {}

    fn busy(&self) {}

    fn unread(&self, _error: &TaskError) {}
}
