//! Begins a run: waits for those in its way, and first ends what a crash has left unfinished.
//!
//! What was never committed is removed; nothing had changed. What was committed is finished, or put back
//! if a file of it was changed by another program since. Each step may be cut off again.

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

/// Begins a run when no other one is at work below the same roots, in this store or one of those around.
///
/// # Errors
/// `cancel` was set, the store cannot be used, or a run below the same roots can neither be finished nor
/// put back.
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

/// Waits until no run of a store is at work below `roots`, and ends those that were cut off. Nobody begins one
/// while what this gives is held.
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
            match found {
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

/// Ends every run that is unfinished and that nobody is at.
pub(crate) fn recover_store(store: &Store, report: &mut dyn FnMut(Notice)) -> Result<(), Error> {
    let locked = store.lock()?;
    let mut unfinished = Vec::new();
    for found in locked.probe_all()? {
        match found {
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

/// Ends the unfinished runs of a store that are about files below `roots`; says how many there were.
///
/// # Errors
/// When one of them can neither be finished nor put back.
pub(crate) fn recover_below(
    store: &Store,
    roots: &[PathBuf],
    report: &mut dyn FnMut(Notice),
) -> Result<usize, Error> {
    let is_met = |run: &RunDirectory| match run.phase_and_header() {
        Ok(found) => found.is_some_and(|(_, header)| meet(&header.roots, roots)),
        Err(_) => true,
    };
    let found = store.lock()?.probe_all()?;
    let unfinished = found.into_iter().filter_map(|found| match found {
        Probe::Stopped(run) if !is_finished(&run) && is_met(&run) => Some(run),
        _ => None,
    });
    let unfinished: Vec<RunDirectory> = unfinished.collect();
    let count = unfinished.len();
    recover_all(unfinished, roots, report)?;
    Ok(count)
}

/// Ends them. Those that do not meet `roots` may fail, and are given up on.
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

/// Whether there is nothing to be done about it. A journal that is refused is something.
fn is_finished(run: &RunDirectory) -> bool {
    matches!(run.phase_and_header(), Ok(Some((Phase::Done, header))) if header.keeps)
}

/// Ends one unfinished run, and says how.
fn recover(mut run: RunDirectory) -> Result<Vec<Notice>, Error> {
    let id = run.id().to_owned();
    let Some((journal, phase)) = run.read()? else {
        run.remove()?;
        return Ok(vec![Notice::Discarded { run: id }]);
    };
    let files = journal.entries.len() as u64;
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
    // Its originals were not to be kept.
    commit::remove(run, &journal)?;
    Ok(Vec::new())
}

/// Rolls a committed run forward, from wherever the crash left it.
fn finish(run: &mut RunDirectory, journal: &Journal) -> Result<Completion, Error> {
    commit::finish(run, journal, Attempt::Recovery, Durability::Forced, &mut || {})
}

/// Whether one of the directories is in one of the others.
fn meet(one: &[PathBuf], other: &[PathBuf]) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.starts_with(b) || b.starts_with(a)))
}
