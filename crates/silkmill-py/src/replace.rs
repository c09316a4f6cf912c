//! `replace`, `undo`, `redo` and `runs`: the calls below those of `python/silkmill/files.py`. Each
//! runs the engine on a thread of its own, and serves it on the caller's.

mod options;
mod report;
mod undo;

use std::sync::mpsc::{self, Sender};

use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use silkmill::CancelToken;
use silkmill_replace::{
    Answer, Error, Event, Options, PRUNED_IN_MAX, Proposal, Summary, preview as preview_reviewed,
    prune, review, run,
};

use crate::engine::{Caller, run_job};
use crate::error::edge;
use crate::keywords::{bytes_of, text_of};
use crate::replace::report::{Change, Report, raise};

pub(crate) use crate::replace::undo::{forget_runs, list_runs, revert_run};

/// What the engine says while it runs.
enum Told {
    Change(Change),
    Notice(String),
    Question(Question),
}

/// One match, and where the answer goes. An engine whose question is dropped makes no change.
struct Question {
    path: std::path::PathBuf,
    old: Vec<u8>,
    groups: Vec<Option<Vec<u8>>>,
    answer: Sender<Option<Vec<u8>>>,
}

/// Replaces, or shows what would be replaced. Where `on_match` is given, it is called with the
/// path, the text and the groups of each match, and returns what the match becomes, or None.
#[pyfunction]
#[pyo3(signature = (texts, options, *, preview, on_match=None))]
pub(crate) fn run_replace<'py>(
    py: Python<'py>,
    texts: (Option<Vec<u8>>, Option<Vec<u8>>),
    options: &Bound<'py, PyDict>,
    preview: bool,
    on_match: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    edge(|| {
        let options = options::options_of(py, texts, options, preview, on_match.is_some())?;
        let names = options.group_names();
        let cancel = CancelToken::new();
        let mut report = Report::default();
        let (of_job, asks) = (cancel.clone(), on_match.is_some());
        let job = move |caller: &Caller<Told, _>| work(caller, &options, &of_job, preview, asks);
        let ended = run_job(py, "silkmill-replace", &cancel, job, |py, told| match told {
            Told::Change(change) => {
                report.changes.push(change);
                Ok(())
            }
            Told::Notice(notice) => {
                report.notices.push(notice);
                Ok(())
            }
            Told::Question(question) => match on_match {
                Some(on_match) => ask(py, on_match, question),
                None => Ok(()),
            },
        })?;
        match (ended.result, ended.raised) {
            (Err(_), Some(raised)) => Err(raised),
            (Ok(summary), Some(raised)) => Err(too_late(py, raised, &summary)),
            (Err(error), None) => Err(raise(py, &error, &report)?),
            (Ok(summary), None) => report.into_dict(py, &summary, &names),
        }
    })
}

/// Leads the run, on a thread of the engine.
fn work(
    caller: &Caller<Told, Result<Summary, Error>>,
    options: &Options,
    cancel: &CancelToken,
    preview: bool,
    asks: bool,
) -> Result<Summary, Error> {
    let mut sink = |event: Event<'_>| match event {
        Event::Outcome(outcome) => caller.tell(Told::Change(Change::of(outcome))),
        Event::Notice(notice) => caller.tell(Told::Notice(notice.to_string())),
        _ => {}
    };
    let mut ask = |proposal: &Proposal<'_>| question(caller, proposal);
    let summary = match (asks, preview) {
        (false, _) => run(options, cancel, &mut sink),
        (true, true) => preview_reviewed(options, cancel, &mut sink, &mut ask),
        (true, false) => review(options, cancel, &mut sink, &mut ask),
    }?;
    if let Some(store) = &summary.store {
        prune(store, PRUNED_IN_MAX);
    }
    Ok(summary)
}

/// Asks the caller's thread what a match becomes, and waits for the answer.
fn question(caller: &Caller<Told, Result<Summary, Error>>, proposal: &Proposal<'_>) -> Answer {
    let (answer, answered) = mpsc::channel();
    let groups = proposal.groups().into_iter().map(|group| group.map(<[u8]>::to_vec)).collect();
    let old = proposal.old.to_vec();
    caller.tell(Told::Question(Question { path: proposal.path.into(), old, groups, answer }));
    match answered.recv() {
        Ok(Some(new)) if new != proposal.old => Answer::Edit(new),
        Ok(_) => Answer::No,
        // The caller has raised: the run is cancelled.
        Err(_) => Answer::Quit,
    }
}

fn ask(py: Python<'_>, on_match: &Bound<'_, PyAny>, question: Question) -> PyResult<()> {
    let Question { path, old, groups, answer } = question;
    let groups = groups.iter().map(|group| group.as_deref().map(|it| text_of(py, it)).transpose());
    let groups = groups.collect::<PyResult<Vec<_>>>()?;
    let new = on_match.call1((path.as_os_str(), text_of(py, &old)?, groups))?;
    let new = match new.is_none() {
        true => None,
        false => Some(bytes_of(&new)?.ok_or_else(|| {
            let found = new.get_type();
            PyTypeError::new_err(format!("NEW must return a str or bytes, and returned {found}"))
        })?),
    };
    let _ = answer.send(new);
    Ok(())
}

/// Returns what is raised where the run was committed before it could be cancelled.
fn too_late(py: Python<'_>, raised: PyErr, summary: &Summary) -> PyErr {
    match &summary.run {
        Some(run) if raised.is_instance_of::<PyKeyboardInterrupt>(py) => {
            PyKeyboardInterrupt::new_err(format!(
                "run {run} had been committed already: silkmill.undo({run:?}) takes it back"
            ))
        }
        _ => raised,
    }
}
