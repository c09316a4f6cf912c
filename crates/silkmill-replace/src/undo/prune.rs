//! Drops runs that are older than the last ten.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::store::run_directory::RunDirectory;
use crate::store::{Probe, Store, trash};
use crate::undo::{no_such_run, undoable};

/// How many runs are kept in one store.
const RUNS_KEPT_MAX: usize = 10;

/// How many that were dropped may lie in a store until a later run removes their files, while it waits for the disk.
const RUNS_TRASHED_MAX: usize = 2;

/// How long [`prune`] removes files when a person may be waiting for the process to end: to free the blocks
/// of a file may cost a tenth of a millisecond.
pub const PRUNED_IN_MAX: Duration = Duration::from_millis(50);

/// Removes runs beyond the last ten of a store. To be called when the result of a run is told, for it is nobody's
/// business: their files go while the next runs wait for the disk. When those have left too many, some are removed
/// here, for at most `patience`.
pub fn prune(store: &Path, patience: Duration) {
    let Some(store) = Store::existing(store) else { return };
    let Ok(mut kept) = undoable(&store) else { return };
    let old = kept.len().saturating_sub(RUNS_KEPT_MAX);
    for (run, _) in kept.drain(..old) {
        let _ = throw_away(&store, run);
    }
    if trash::trashed(store.path()) > RUNS_TRASHED_MAX {
        let until = Instant::now() + patience;
        trash::empty_trash(store.path(), &|| Instant::now() >= until);
    }
}

/// With the runs that it undid, and their staging directories on other filesystems.
fn throw_away(store: &Store, mut run: RunDirectory) -> Result<(), Error> {
    let mut folders = HashSet::new();
    if let Some((journal, _)) = run.read()? {
        folders.extend(
            journal
                .staging_dirs
                .iter()
                .filter_map(|staging_dir| staging_dir.parent().map(Path::to_path_buf)),
        );
    }
    let mut undoes = run.phase_and_header()?.and_then(|(_, header)| header.undoes);
    // Oldest first: whenever this is cut off, each that is left is still undone by another.
    let mut spent = Vec::new();
    while let Some(id) = undoes {
        let other = find_any(store, &id)?;
        undoes = other.phase_and_header()?.and_then(|(_, header)| header.undoes);
        spent.push(other);
    }
    for other in spent.into_iter().rev() {
        folders.remove(other.path());
        other.throw_away()?;
    }
    folders.remove(run.path());
    run.throw_away()?;
    for folder in folders {
        // An staging directory elsewhere, or the directory of a run that is gone already.
        let _ = trash::throw_away(&folder);
    }
    Ok(())
}

fn find_any(store: &Store, id: &str) -> Result<RunDirectory, Error> {
    for found in store.lock()?.probe_all()? {
        match found {
            Probe::Stopped(run) if run.id() == id => return Ok(run),
            _ => {}
        }
    }
    Err(no_such_run(id))
}
