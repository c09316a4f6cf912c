//! Earlier runs: listed, taken back, made again, forgotten.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use silkmill::CancelToken;
use silkmill_replace::{
    Error, PRUNED_IN_MAX, StoredRun, UndoOptions, Undone, forget, prune, redo, runs, undo,
};

use crate::engine::{Caller, run_job};
use crate::error::edge;
use crate::keywords::Keywords;
use crate::replace::report::{Report, raise};

/// Takes a run back, or makes it again. `directory` is where it is looked for.
#[pyfunction]
#[pyo3(signature = (run, directory, options, *, forth))]
pub(crate) fn revert_run<'py>(
    py: Python<'py>,
    run: Option<String>,
    directory: PathBuf,
    options: &Bound<'py, PyDict>,
    forth: bool,
) -> PyResult<Bound<'py, PyDict>> {
    edge(|| {
        let mut words = Keywords::new(if forth { "redo" } else { "undo" }, options)?;
        let (force, dry_run) = (words.flag("force")?, words.flag("dry_run")?);
        let sync = !words.flag("no_sync")?;
        words.finish()?;
        let options = find(directory).force(force).dry_run(dry_run).sync(sync).build();
        let (undone, paths): (Undone, Vec<PathBuf>) = serve(py, move |cancel, report| {
            let revert = if forth { redo } else { undo };
            let undone = revert(&options, run.as_deref(), cancel, report)?;
            if !dry_run {
                prune(&undone.store, PRUNED_IN_MAX);
            }
            let mut paths = Vec::new();
            undone.for_each_path(&mut |path| paths.push(path))?;
            Ok((undone, paths))
        })?;
        let dict = run_dict(py, &undone.run)?;
        let paths = paths.iter().map(|path| path.as_os_str());
        dict.set_item("paths", PyList::new(py, paths.collect::<Vec<_>>())?)?;
        dict.set_item("undo", undone.id)?;
        Ok(dict)
    })
}

/// Returns the runs that can be undone or made again, oldest first.
#[pyfunction]
pub(crate) fn list_runs<'py>(
    py: Python<'py>,
    directory: PathBuf,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    edge(|| {
        let options = find(directory).build();
        let found = serve(py, move |_, report| runs(&options, report))?;
        found.iter().map(|run| run_dict(py, run)).collect()
    })
}

/// Removes what is kept for a run, or for all of them. Returns those.
#[pyfunction]
pub(crate) fn forget_runs<'py>(
    py: Python<'py>,
    run: Option<String>,
    directory: PathBuf,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    edge(|| {
        let options = find(directory).build();
        let gone = serve(py, move |_, report| forget(&options, run.as_deref(), report))?;
        gone.iter().map(|run| run_dict(py, run)).collect()
    })
}

fn find(directory: PathBuf) -> silkmill_replace::UndoOptionsBuilder {
    let options = UndoOptions::builder(directory);
    match silkmill_cli::state_directory() {
        Some(path) => options.state_directory(path),
        None => options,
    }
}

/// Runs a job that tells nothing but notices.
fn serve<T: Send + 'static>(
    py: Python<'_>,
    job: impl FnOnce(&CancelToken, &mut dyn FnMut(&silkmill_replace::Notice)) -> Result<T, Error>
    + Send
    + 'static,
) -> PyResult<T> {
    let cancel = CancelToken::new();
    let of_job = cancel.clone();
    let mut report = Report::default();
    let work = move |caller: &Caller<String, _>| {
        job(&of_job, &mut |notice| caller.tell(notice.to_string()))
    };
    let ended = run_job(py, "silkmill-undo", &cancel, work, |_, notice| {
        report.notices.push(notice);
        Ok(())
    })?;
    match (ended.result, ended.raised) {
        (_, Some(raised)) => Err(raised),
        (Err(error), None) => Err(raise(py, &error, &report)?),
        (Ok(value), None) => Ok(value),
    }
}

fn run_dict<'py>(py: Python<'py>, run: &StoredRun) -> PyResult<Bound<'py, PyDict>> {
    let begun = run.begun.duration_since(UNIX_EPOCH).unwrap_or_default();
    let roots = run.roots.iter().map(|root| root.as_os_str()).collect::<Vec<_>>();
    let dict = PyDict::new(py);
    dict.set_item("id", &run.id)?;
    dict.set_item("begun", begun.as_secs_f64())?;
    dict.set_item("what", &run.what)?;
    dict.set_item("roots", PyList::new(py, roots)?)?;
    dict.set_item("files", run.files)?;
    dict.set_item("replacements", run.replacements)?;
    dict.set_item("bytes_held", run.bytes_held)?;
    dict.set_item("is_undone", run.is_undone)?;
    dict.set_item("store", Path::as_os_str(&run.store))?;
    Ok(dict)
}
