//! What the thread that runs a task is told of it.

use crate::error::TaskError;

/// What a claim is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    ToRun,
    ToCancel,
}

/// Whoever runs a task, and wants to know how far it is.
pub(crate) trait Observer {
    /// The task has ended, so much is known.
    fn ended(&self, how: Ended);

    /// Nothing of the user's is left to do, and the result is published next.
    fn free(&self, afterwards: Afterwards);

    /// Something of the user's is left to do after all.
    fn busy(&self);

    /// The task panicked, and there is nobody to read that.
    fn unread(&self, error: &TaskError);
}

/// What the thread that runs a task has to do for it once the result is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    Nothing,
    /// It may have threads to wake.
    Notify,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Returned,
    Panicked,
    /// It was its turn, but it was cancelled or overdue.
    NotStarted,
}

/// A observer that does not care.
pub(crate) struct NoObserver;

impl Observer for NoObserver {
    fn ended(&self, _how: Ended) {}

    fn free(&self, _afterwards: Afterwards) {}

    fn busy(&self) {}

    fn unread(&self, _error: &TaskError) {}
}
