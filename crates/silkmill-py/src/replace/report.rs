//! What a run of `replace` has told, for Python.

use std::path::{Path, PathBuf};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use silkmill_replace::{Action, Error, ErrorKind, Outcome, Summary};

/// What was told of single files, and beside that.
#[derive(Default)]
pub(super) struct Report {
    pub(super) changes: Vec<Change>,
    pub(super) notices: Vec<String>,
}

/// What became of one file, or would become of it.
pub(super) struct Change {
    path: PathBuf,
    action: &'static str,
    replacements: u64,
    bytes_before: u64,
    bytes_after: u64,
    diff: Vec<u8>,
    to: Option<PathBuf>,
    reason: Option<String>,
}

impl Change {
    pub(super) fn of(outcome: &Outcome) -> Change {
        let (mut diff, mut to, mut reason) = (Vec::new(), None, None);
        let action = match &outcome.action {
            Action::Changed => "changed",
            Action::WouldChange { diff: made } => {
                diff.clone_from(made);
                "would-change"
            }
            Action::Renamed { to: name } => {
                to = Some(name.clone());
                "renamed"
            }
            Action::WouldRename { to: name } => {
                to = Some(name.clone());
                "would-rename"
            }
            Action::WouldMove { diff: made } => {
                diff.clone_from(made);
                "would-move"
            }
            Action::Skipped(why) => {
                reason = Some(why.to_string());
                "skipped"
            }
            Action::Failed(error) => {
                reason = Some(error.to_string());
                "failed"
            }
            _ => "other",
        };
        Change {
            path: outcome.path.clone(),
            action,
            replacements: outcome.replacements,
            bytes_before: outcome.bytes_before,
            bytes_after: outcome.bytes_after,
            diff,
            to,
            reason,
        }
    }

    fn tuple<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        (
            self.path.as_os_str(),
            self.action,
            self.replacements,
            self.bytes_before,
            self.bytes_after,
            PyBytes::new(py, &self.diff),
            self.to.as_deref().map(Path::as_os_str),
            self.reason.as_deref(),
        )
            .into_pyobject(py)
    }
}

impl Report {
    fn changes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let tuples = self.changes.iter().map(|change| change.tuple(py));
        PyList::new(py, tuples.collect::<PyResult<Vec<_>>>()?)
    }

    pub(super) fn into_dict<'py>(
        self,
        py: Python<'py>,
        summary: &Summary,
        group_names: &[Option<String>],
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("changes", self.changes(py)?)?;
        dict.set_item("notices", &self.notices)?;
        dict.set_item("group_names", group_names)?;
        dict.set_item("run", &summary.run)?;
        dict.set_item("store", summary.store.as_deref().map(Path::as_os_str))?;
        dict.set_item("files_seen", summary.files_seen)?;
        dict.set_item("files_changed", summary.files_changed)?;
        dict.set_item("files_skipped", summary.files_skipped)?;
        dict.set_item("files_failed", summary.files_failed)?;
        dict.set_item("renamed", summary.renamed)?;
        dict.set_item("replacements", summary.replacements)?;
        dict.set_item("elapsed", summary.elapsed.as_secs_f64())?;
        Ok(dict)
    }
}

/// Returns the exception for a run that failed.
pub(super) fn raise(py: Python<'_>, error: &Error, report: &Report) -> PyResult<PyErr> {
    let class = py.import(intern!(py, "silkmill.files"))?.getattr(intern!(py, "ReplaceError"))?;
    let path = error.path().map(Path::as_os_str);
    let changes = report.changes(py)?;
    let raised =
        class.call1((error.to_string(), kind_of(error), path, changes, &report.notices))?;
    Ok(PyErr::from_value(raised))
}

fn kind_of(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Pattern => "pattern",
        ErrorKind::Replacement => "replacement",
        ErrorKind::Pairs => "pairs",
        ErrorKind::Filter => "filter",
        ErrorKind::Io => "io",
        ErrorKind::Changed => "changed",
        ErrorKind::TooLarge => "too-large",
        ErrorKind::Encoding => "encoding",
        ErrorKind::Refused => "refused",
        ErrorKind::Interrupted => "interrupted",
        ErrorKind::Store => "store",
        ErrorKind::Executor => "executor",
        _ => "other",
    }
}
