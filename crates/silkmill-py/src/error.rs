//! Keeps panics of ours from crossing into Python as what nobody catches.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::create_exception;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

create_exception!(
    silkmill,
    InternalError,
    PyRuntimeError,
    "A defect of silkmill itself. Please report it, with the message."
);

/// Runs what an exported function does, and turns a panic of ours into an `InternalError`.
///
/// Without this PyO3 raises its `PanicException`, which is no `Exception` and has no importable
/// name.
pub(crate) fn edge<T>(call: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| Err(internal(payload.as_ref())))
}

/// Returns the error for a panic of ours that was caught.
pub(crate) fn internal(payload: &(dyn Any + Send)) -> PyErr {
    InternalError::new_err(message_of(payload))
}

/// Returns the words for a panic of ours.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned());
    format!("silkmill met a defect of its own: {text}")
}
