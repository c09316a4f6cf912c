//! Begins a run: waits for other runs in the same directories, and first resumes what a crash left
//! unfinished.
//!
//! A run that was never committed had changed nothing, so its files are removed. A committed run is
//! finished, or rolled back if another program has changed one of its files since. A crash may
//! interrupt the recovery at any step, and the next one resumes it.

use std::collections::HashSet;
use std::path::PathBuf;

use silkmill::CancelToken;

use crate::error::Error;
use crate::outcome::Notice;
use crate::store::durability::Durability;
use crate::store::journal::{Journal, Phase, RunHeader};
use crate::store::run_directory::RunDirectory;
use crate::store::{LockedStore, Probe, Store};
use crate::transaction::commit::{self, Completion, RolledBack};
use crate::transaction::swap::Attempt;

/// Begins a run when no other run is active below the same roots, in this store or one of those
/// `around` it.
///
/// # Errors
/// When `cancel` was set, the store cannot be used, or a run below the same roots can neither be
/// finished nor rolled back.
pub(crate) fn begin(
    store: &Store,
    around: &[Store],
    header: &RunHeader,
    cancel: &CancelToken,
    report: &mut dyn FnMut(Notice),
) -> Result<RunDirectory, Error> {
    for other in around {
        take_turn(other, &header.roots, cancel, report)?;
    }
    take_turn(store, &header.roots, cancel, report)?.begin(header)
}

/// Waits until no run of a store is active below `roots`, and recovers those that crashed. While
/// the caller holds the returned lock, no run begins in that store.
fn take_turn<'a>(
    store: &'a Store,
    roots: &[PathBuf],
    cancel: &CancelToken,
    report: &mut dyn FnMut(Notice),
) -> Result<LockedStore<'a>, Error> {
    let (mut waited_for, mut given_up) = (None, HashSet::new());
    loop {
        if cancel.is_cancelled() {
            return Err(Error::interrupted());
        }
        let locked = store.lock()?;
        let (mut in_the_way, mut unfinished) = (None, Vec::new());
        for found in locked.probe_all()? {
            match found? {
                Probe::Running { id, header: other } if meet(roots, &other.roots) => {
                    in_the_way = Some((id, other));
                }
                Probe::Running { .. } => {}
                Probe::Stopped(run) if is_finished(&run) || given_up.contains(run.id()) => {}
                Probe::Stopped(run) => unfinished.push(run),
            }
        }
        if !unfinished.is_empty() {
            drop(locked);
            given_up.extend(recover_all(unfinished, roots, report)?);
            continue;
        }
        let Some((id, other)) = in_the_way else { return Ok(locked) };
        drop(locked);
        if waited_for.as_ref() != Some(&id) {
            report(Notice::Waiting { run: id.clone(), roots: other.roots });
        }
        store.wait_for(&id, cancel);
        waited_for = Some(id);
    }
}

/// Recovers every unfinished run of a store that no process is working on.
pub(crate) fn recover_store(store: &Store, report: &mut dyn FnMut(Notice)) -> Result<(), Error> {
    let locked = store.lock()?;
    let mut unfinished = Vec::new();
    for found in locked.probe_all()? {
        match found? {
            Probe::Stopped(run) if !is_finished(&run) => unfinished.push(run),
            _ => {}
        }
    }
    drop(locked);
    for run in unfinished {
        let id = run.id().to_owned();
        match recover(run) {
            Ok(notices) => notices.into_iter().for_each(&mut *report),
            Err(error) => report(Notice::Unfinished { run: id, error }),
        }
    }
    Ok(())
}

/// Recovers the unfinished runs of a store that have roots in common with `roots`. Returns how many
/// there were.
///
/// # Errors
/// When one of them can neither be finished nor rolled back.
pub(crate) fn recover_below(
    store: &Store,
    roots: &[PathBuf],
    report: &mut dyn FnMut(Notice),
) -> Result<usize, Error> {
    let is_met = |run: &RunDirectory| match run.phase_and_header() {
        Ok(found) => found.is_some_and(|(_, header)| meet(&header.roots, roots)),
        Err(_) => true,
    };
    let locked = store.lock()?;
    let mut unfinished = Vec::new();
    for found in locked.probe_all()? {
        match found? {
            Probe::Stopped(run) if !is_finished(&run) && is_met(&run) => unfinished.push(run),
            _ => {}
        }
    }
    drop(locked);
    let count = unfinished.len();
    recover_all(unfinished, roots, report)?;
    Ok(count)
}

/// Recovers each run. A run that has no root in common with `roots` may fail; the names of those
/// are returned.
fn recover_all(
    unfinished: Vec<RunDirectory>,
    roots: &[PathBuf],
    report: &mut dyn FnMut(Notice),
) -> Result<HashSet<String>, Error> {
    let mut given_up = HashSet::new();
    for run in unfinished {
        let id = run.id().to_owned();
        let header = run.phase_and_header().ok().flatten().map(|(_, header)| header);
        let is_elsewhere = header.is_some_and(|header| !meet(&header.roots, roots));
        match recover(run) {
            Ok(notices) => notices.into_iter().for_each(&mut *report),
            Err(error) if is_elsewhere => {
                report(Notice::Unfinished { run: id.clone(), error });
                given_up.insert(id);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(given_up)
}

/// Returns whether the run needs no recovery. A journal that cannot be read does.
fn is_finished(run: &RunDirectory) -> bool {
    matches!(run.phase_and_header(), Ok(Some((Phase::Done, header))) if header.keeps)
}

/// Recovers one unfinished run. Returns what to report.
fn recover(mut run: RunDirectory) -> Result<Vec<Notice>, Error> {
    let id = run.id().to_owned();
    let Some((journal, phase)) = run.read()? else {
        run.remove()?;
        return Ok(vec![Notice::Discarded { run: id }]);
    };
    let files = journal.entries.len();
    match phase {
        Phase::Done => {}
        Phase::Committed => match finish(&mut run, &journal)? {
            Completion::Done { late: None, .. } => {
                if !journal.header.keeps {
                    commit::remove(run, &journal)?;
                }
                return Ok(vec![Notice::Finished { run: id, files }]);
            }
            Completion::Done { late: Some(error), .. } => return Err(error),
            Completion::RolledBack(RolledBack { why, mut notices, .. }) => {
                commit::remove(run, &journal)?;
                notices.insert(0, Notice::PutBack { run: id, files, why: Some(why) });
                return Ok(notices);
            }
        },
        Phase::RollingBack => {
            let mut notices = commit::roll_back(&mut run, &journal, Durability::Forced)?;
            commit::remove(run, &journal)?;
            notices.insert(0, Notice::PutBack { run: id, files, why: None });
            return Ok(notices);
        }
    }
    // The run is done, and it was not to keep its originals.
    commit::remove(run, &journal)?;
    Ok(Vec::new())
}

/// Rolls a committed run forward, from whatever state the crash left.
fn finish(run: &mut RunDirectory, journal: &Journal) -> Result<Completion, Error> {
    commit::finish(run, journal, Attempt::Recovery, Durability::Forced, &mut || {})
}

/// Returns whether a directory of one list contains one of the other.
fn meet(one: &[PathBuf], other: &[PathBuf]) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.starts_with(b) || b.starts_with(a)))
}
