//! What ended a map of tasks that may fail.

use std::error::Error;
use std::fmt;

use crate::error::TaskError;

/// Why [`ThreadPoolExecutor::try_map`](crate::ThreadPoolExecutor::try_map) stopped.
///
/// ```
/// use silkmill::{ThreadPoolExecutor, TryMapError};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
/// match pool.try_map(["1", "x"], |text| text.parse::<u32>()) {
///     Err(TryMapError::Item(error)) => println!("not a number: {error}"),
///     Err(TryMapError::Task(error)) => panic!("{error}"),
///     Ok(numbers) => panic!("{numbers:?}"),
/// }
/// # Ok::<(), silkmill::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub enum TryMapError<E> {
    /// The function failed on an item.
    Item(E),
    /// The task of an item has no value: it panicked, or never ran.
    Task(TaskError),
}

impl<E: fmt::Display> fmt::Display for TryMapError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryMapError::Item(error) => error.fmt(f),
            TryMapError::Task(error) => error.fmt(f),
        }
    }
}

impl<E: Error> Error for TryMapError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TryMapError::Item(error) => error.source(),
            TryMapError::Task(error) => error.source(),
        }
    }
}
