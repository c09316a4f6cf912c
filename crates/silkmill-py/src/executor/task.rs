//! A call that was submitted, and what became of it.

use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::future::FutureBase;

/// A call and the future of its result.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) future: Py<FutureBase>,
    pub(crate) call: Py<PyAny>,
    pub(crate) args: Py<PyTuple>,
    pub(crate) kwargs: Option<Py<PyDict>>,
    /// When it was submitted, if its delay is to be measured.
    pub(crate) submitted: Option<Instant>,
}

/// What a queue holds.
#[derive(Debug)]
pub(crate) enum Item {
    Task(Task),
    /// A work item of the standard library, or of code that does as the standard library does.
    Foreign(Py<PyAny>),
    /// The standard library's sign to look whether it is time to leave.
    Nothing,
}

/// What became of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The worker has run nothing yet, or what it ran keeps no record.
    #[default]
    Unknown,
    Returned,
    Raised,
    Cancelled,
}
