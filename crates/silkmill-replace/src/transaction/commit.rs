//! Commits a run: journal, flush, commit phase, swaps, flush, done phase. Every staged file becomes
//! visible, or none does. `recovery` resumes a commit that was interrupted, by the same steps.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::outcome::Notice;
use crate::store::durability::Durability;
use crate::store::journal::{Entry, Journal, Phase};
use crate::store::run_directory::RunDirectory;
use crate::store::trash;
use crate::transaction::barrier;
use crate::transaction::rename;
use crate::transaction::swap::{Attempt, SwapError, Swapper};

/// How the swaps of a committed run ended.
#[derive(Debug)]
pub(crate) enum Completion {
    /// Every file has its new text. `late` is why that may not be on disk yet. `swapping` is the
    /// time from the first swap to the last, `flushing` that of the flush after it.
    Done { late: Option<Error>, swapping: Duration, flushing: Duration },
    /// Every file has its old text, because one of them could not be swapped.
    RolledBack(RolledBack),
}

#[derive(Debug)]
pub(crate) struct RolledBack {
    /// The file that could not be swapped. `why` is the reason.
    pub(crate) path: PathBuf,
    pub(crate) why: Error,
    /// What else the user should know.
    pub(crate) notices: Vec<Notice>,
}

/// Swaps every file of a run whose journal is committed, in whatever state each of them is, and
/// calls `swapped` after each. After an error the run is unfinished, and the next run resumes it.
pub(crate) fn finish(
    run: &mut RunDirectory,
    journal: &Journal,
    attempt: Attempt,
    durability: Durability,
    swapped: &mut dyn FnMut(),
) -> Result<Completion, Error> {
    let started = Instant::now();
    if attempt == Attempt::Recovery {
        rename::revert(journal, &mut |_| {})?;
    }
    let swapper = Swapper::new(journal, attempt, durability)?;
    let swapped = swap_all(&swapper, journal, attempt, swapped)
        .and_then(|()| rename::apply(journal, &mut || {}));
    let Err((path, why)) = swapped else {
        let swapping = started.elapsed();
        // If this mark were lost, a recovery would exchange nothing again. But it could not tell an
        // edit of a file that was written in place from an edit during the run, nor find what got
        // another name since.
        let is_exact = journal.renames.is_empty() && !swapper.has_copied().unwrap_or(true);
        let done = if is_exact { Durability::Unforced } else { durability };
        let late = match durability.is_forced() {
            true => journal.as_left().and_then(|left| barrier::after_the_swaps(&left)).err(),
            false => None,
        };
        let late = late.or_else(|| run.set_phase(Phase::Done, done).err());
        return Ok(Completion::Done { late, swapping, flushing: started.elapsed() - swapping });
    };
    drop(swapper);
    let notices = roll_back(run, journal, durability)?;
    Ok(Completion::RolledBack(RolledBack { path, why, notices }))
}

fn swap_all(
    swapper: &Swapper<'_>,
    journal: &Journal,
    attempt: Attempt,
    swapped: &mut dyn FnMut(),
) -> Result<(), (PathBuf, Error)> {
    let unread = |error| (PathBuf::new(), error);
    for entry in journal.entries.iter() {
        let entry = entry.map_err(unread)?;
        swapper.apply(&entry).map_err(|error| failed(&entry, error))?;
        swapped();
    }
    if attempt == Attempt::Recovery {
        return Ok(());
    }
    // A program that had a file open may have written to it after its swap had checked it.
    for entry in journal.entries.iter() {
        let entry = entry.map_err(unread)?;
        if !swapper.is_untouched(&entry) {
            return Err(failed(&entry, SwapError::Changed));
        }
    }
    Ok(())
}

fn failed(entry: &Entry, error: SwapError) -> (PathBuf, Error) {
    let path = entry.target();
    let error = match error {
        SwapError::Changed => Error::changed(&path),
        SwapError::Lost => {
            Error::store(format!("failed to replace {path:?}: its new text is gone"))
        }
        SwapError::Io(error) => Error::io("replace", &path, error),
    };
    (path, error)
}

/// Gives every file its old text, in whatever state each of them is. After an error the run is
/// unfinished.
pub(crate) fn roll_back(
    run: &mut RunDirectory,
    journal: &Journal,
    durability: Durability,
) -> Result<Vec<Notice>, Error> {
    // If this phase were lost, the recovery would try the swaps again, and end here again or
    // succeed.
    let _ = run.set_phase(Phase::RollingBack, durability);
    let mut notices = Vec::new();
    rename::revert(journal, &mut |path| notices.push(Notice::Left { path }))?;
    let swapper = Swapper::new(journal, Attempt::Recovery, durability)?;
    let mut first = None;
    for entry in journal.entries.iter() {
        let entry = entry?;
        match swapper.revert(&entry) {
            Ok(()) => {}
            Err(SwapError::Changed) => notices.push(Notice::Left { path: entry.target() }),
            Err(SwapError::Lost) => {}
            Err(SwapError::Io(error)) => {
                first.get_or_insert((entry.target(), error));
            }
        }
    }
    for kept in swapper.take_kept() {
        notices.push(Notice::Kept { path: kept.target, kept: kept.kept });
    }
    if let Some((path, error)) = first {
        let error = Error::io("put back the old text of", &path, error);
        let id = run.id();
        return Err(Error::store(format!(
            "{error}; run {id} is unfinished: `silkmill undo --list` tries again"
        )));
    }
    if durability.is_forced() {
        barrier::after_the_swaps(journal)?;
    }
    Ok(notices)
}

/// Removes all files of a run, on every filesystem. It keeps no originals, or they are back in
/// place.
pub(crate) fn remove(run: RunDirectory, journal: &Journal) -> Result<(), Error> {
    let folders: BTreeSet<_> =
        journal.staging_dirs.iter().filter_map(|staging_dir| staging_dir.parent()).collect();
    let own = run.path().to_path_buf();
    run.remove()?;
    for folder in
        folders.into_iter().filter(|folder| *folder != own && is_staging_root_of(folder, &own))
    {
        trash::remove(folder).map_err(|error| Error::io("remove", folder, error))?;
        // A store that cannot be removed may stay.
        let _ = trash::remove_store_if_empty(trash::store_of(folder));
    }
    Ok(())
}

/// Returns whether `folder` belongs to the run itself, on another filesystem, and not to a run that
/// it undoes.
fn is_staging_root_of(folder: &Path, run: &Path) -> bool {
    folder.file_name() == run.file_name()
}
