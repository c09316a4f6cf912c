//! The `silkmill` command, which the package installs beside the module.

use pyo3::prelude::*;

use crate::error::edge;

/// Runs the command with these words behind its name, and returns its exit code.
///
/// The caller has given the signals back to the system: the command has handlers of its own.
#[pyfunction]
pub(crate) fn run_command(py: Python<'_>, words: Vec<std::ffi::OsString>) -> PyResult<u8> {
    let words = std::iter::once("silkmill".into()).chain(words);
    edge(|| Ok(py.detach(|| silkmill_cli::main_from(words))))
}
