//! A task that an executor did not take.

use std::error::Error;
use std::fmt;

/// The executor did not take the task; here is the closure back.
///
/// ```
/// use silkmill::{ThreadPoolExecutor, TrySubmitError};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
/// pool.shutdown();
/// let refused = pool.try_submit(|| 25).unwrap_err();
/// assert!(matches!(refused, TrySubmitError::Shutdown(_)));
/// let task = refused.into_task();
/// assert_eq!(task(), 25, "here, then");
/// # Ok::<(), silkmill::BuildError>(())
/// ```
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySubmitError<F> {
    /// The queue is at its capacity.
    Full(F),
    /// The executor was shut down.
    Shutdown(F),
    /// The initializer failed so often that the executor was shut down; with its last message.
    NotInitialized(F, String),
    /// The executor belongs to the process that has forked this one.
    Forked(F),
}

impl<F> TrySubmitError<F> {
    /// Returns the closure that was not taken.
    pub fn into_task(self) -> F {
        match self {
            TrySubmitError::Full(task)
            | TrySubmitError::Shutdown(task)
            | TrySubmitError::NotInitialized(task, _)
            | TrySubmitError::Forked(task) => task,
        }
    }

    /// Returns whether the queue was full, so that it may be worth trying later.
    pub fn is_full(&self) -> bool {
        matches!(self, TrySubmitError::Full(_))
    }
}

impl<F> fmt::Debug for TrySubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrySubmitError::Full(_) => f.write_str("Full(..)"),
            TrySubmitError::Shutdown(_) => f.write_str("Shutdown(..)"),
            TrySubmitError::NotInitialized(_, message) => {
                write!(f, "NotInitialized(.., {message:?})")
            }
            TrySubmitError::Forked(_) => f.write_str("Forked(..)"),
        }
    }
}

impl<F> fmt::Display for TrySubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySubmitError::Full(_) => "the executor's queue is full",
            TrySubmitError::Shutdown(_) => "the executor was shut down",
            TrySubmitError::NotInitialized(_, message) => {
                return write!(f, "the executor's initializer failed: {message}");
            }
            TrySubmitError::Forked(_) => {
                "the executor belongs to the process that has forked this one"
            }
        })
    }
}

impl<F> Error for TrySubmitError<F> {}
