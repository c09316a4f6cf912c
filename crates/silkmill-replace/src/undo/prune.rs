//! Removes runs that are older than the last ten.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::store::run_directory::RunDirectory;
use crate::store::{Probe, Store, trash};
use crate::undo::{no_such_run, undoable};

/// How many runs are kept in one store.
const RUNS_KEPT_MAX: usize = 10;

/// How many removed runs may lie in the trash of a store. Later runs empty it while they wait for
/// the disk.
const RUNS_TRASHED_MAX: usize = 2;

/// How long [`prune`] may remove files while a user waits for the process to end. Freeing the
/// blocks of one file may take a tenth of a millisecond.
pub const PRUNED_IN_MAX: Duration = Duration::from_millis(50);

/// Removes runs beyond the last ten of a store. The caller reports the result of its run first. The
/// files of removed runs are deleted while later runs wait for the disk; if too many lie there,
/// some are deleted here, for at most `patience`. Errors are ignored, since the next call tries
/// again.
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

/// Moves a run to the trash, with the runs that it undid and their staging roots on other
/// filesystems.
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
    // The oldest run goes first. If this is interrupted, each run that is left is still undone by
    // another.
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
        // This is a staging root elsewhere, or the directory of a run that is gone already.
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
