//! Removes runs: those beyond what is kept of each directory, and those that the user wants gone.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::outcome::Notice;
use crate::store::layout::KEPT;
use crate::store::{Store, trash};
use crate::transaction::recovery;
use crate::undo::history::{Chain, chains, find, no_such_run};
use crate::undo::options::UndoOptions;
use crate::undo::{StoredRun, stores};

/// How many runs are kept of each root.
const RUNS_KEPT_MAX: usize = 10;

/// How many runs are kept in one store, whatever their roots are.
const RUNS_STORED_MAX: usize = 100;

/// How many bytes of files are kept in one store. The newest run is kept whatever its size is.
pub const STORED_BYTES_MAX: u64 = 10 << 30;

/// How many removed runs may lie in the trash of a store. Later runs empty it while they wait for
/// the disk.
const RUNS_TRASHED_MAX: usize = 2;

/// How long [`prune`] may remove files while a user waits for the process to end. Freeing the
/// blocks of one file may take a tenth of a millisecond.
pub const PRUNED_IN_MAX: Duration = Duration::from_millis(50);

/// Removes the runs of a store that are not kept: those beyond the last ten of each root, and the
/// oldest ones if the store is too large. The caller reports the result of its run first. The
/// files of removed runs are deleted while later runs wait for the disk; if too many lie there,
/// some are deleted here, for at most `patience`. Errors are ignored, since the next call tries
/// again.
pub fn prune(store: &Path, patience: Duration) {
    let Some(store) = Store::existing(store) else { return };
    let Ok(chains) = chains(&store) else { return };
    let stored: Vec<Stored<'_>> = chains
        .iter()
        .map(|chain| Stored {
            roots: &chain.root().header.roots,
            bytes: find(&store, &chain.tip().id).and_then(|mut run| run.held()).unwrap_or(0),
        })
        .collect();
    for place in surplus(&stored) {
        let _ = throw_away(&store, &chains[place]);
    }
    if trash::trashed(store.path()) > RUNS_TRASHED_MAX {
        let until = Instant::now() + patience;
        trash::empty_trash(store.path(), &|| Instant::now() >= until);
    }
}

/// Removes what is kept for a run, or for all runs if `id` is `None`, for good: they cannot be
/// undone or made again. Returns those that were removed, or would be.
///
/// # Errors
/// There is no such run, or its files could not be removed.
pub fn forget(
    options: &UndoOptions,
    id: Option<&str>,
    report: &mut dyn FnMut(&Notice),
) -> Result<Vec<StoredRun>, Error> {
    let mut forgotten = Vec::new();
    for store in stores(options) {
        recovery::recover_store(&store, &mut |notice| report(&notice))?;
        for chain in chains(&store)? {
            if id.is_some_and(|id| !chain.ids().any(|other| other == id)) {
                continue;
            }
            let read = find(&store, &chain.tip().id)?.read()?;
            if let Some((journal, _)) = read {
                forgotten.push(StoredRun::of(&store, &chain, &journal)?);
            }
            if !options.dry_run {
                for gone in throw_away(&store, &chain)? {
                    removed(&gone).map_err(|error| Error::io("remove", &gone, error))?;
                    // The trash is a directory of its store.
                    let elsewhere = gone.parent().and_then(Path::parent).unwrap_or(&gone);
                    let _ = trash::remove_store_if_empty(elsewhere);
                }
            }
        }
        if id.is_none() && !options.dry_run {
            trash::empty_trash(store.path(), &|| false);
            // What is kept there is the user's, but an empty directory is not.
            let _ = fs::remove_dir(store.path().join(KEPT));
        }
        // A store that cannot be removed may stay.
        let _ = trash::remove_store_if_empty(store.path());
    }
    match id {
        Some(id) if forgotten.is_empty() => Err(no_such_run(id)),
        _ => Ok(forgotten),
    }
}

fn removed(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        // Another process empties the trash, too.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// What decides whether a run is kept.
#[derive(Clone, Copy, Debug)]
struct Stored<'a> {
    roots: &'a [PathBuf],
    bytes: u64,
}

/// Returns which of the runs, oldest first, are not kept.
fn surplus(stored: &[Stored<'_>]) -> Vec<usize> {
    let mut newer: HashMap<&[PathBuf], usize> = HashMap::new();
    let (mut gone, mut last, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for (place, run) in stored.iter().enumerate().rev() {
        let newer = newer.entry(run.roots).or_default();
        match *newer {
            0 => last.push(place),
            1..RUNS_KEPT_MAX => others.push(place),
            _ => gone.push(place),
        }
        *newer += 1;
    }
    // The last run of a root goes only when no root has another. The newest of all stays.
    let mut going: Vec<usize> = others.iter().rev().chain(last.iter().rev()).copied().collect();
    going.retain(|place| place + 1 < stored.len());
    let mut kept = stored.len() - gone.len();
    let bytes = |places: &[usize]| places.iter().map(|place| stored[*place].bytes).sum::<u64>();
    let all: Vec<usize> = last.iter().chain(&others).copied().collect();
    let mut held = bytes(&all);
    for place in going {
        if kept <= RUNS_STORED_MAX && held <= STORED_BYTES_MAX {
            break;
        }
        gone.push(place);
        kept -= 1;
        held -= stored[place].bytes;
    }
    gone.sort_unstable();
    gone
}

/// Moves a run, its undos and redos to the trash, with their staging roots on other filesystems.
/// Returns where they are then.
fn throw_away(store: &Store, chain: &Chain) -> Result<Vec<PathBuf>, Error> {
    let (mut folders, mut gone) = (HashSet::new(), Vec::new());
    if let Some((journal, _)) = find(store, &chain.tip().id)?.read()? {
        folders.extend(
            journal
                .staging_dirs
                .iter()
                .filter_map(|staging_dir| staging_dir.parent().map(Path::to_path_buf)),
        );
    }
    // The oldest run goes first. If this is interrupted, each run that is left is still undone by
    // another.
    for id in chain.ids() {
        let run = find(store, id)?;
        folders.remove(run.path());
        gone.push(run.throw_away()?);
    }
    // What is left is a staging root elsewhere, or the directory of a run that is gone already.
    gone.extend(folders.iter().filter_map(|folder| trash::throw_away(folder).ok()));
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_runs_of_each_root_are_kept_within_the_bounds_of_the_store() {
        let roots: Vec<Vec<PathBuf>> =
            (0..200).map(|root| vec![PathBuf::from(format!("/{root}"))]).collect();
        let run = |root: usize, bytes| Stored { roots: &roots[root], bytes };

        let small: Vec<_> = [run(1, 1)].into_iter().chain((0..12).map(|_| run(0, 1))).collect();
        assert_eq!(surplus(&small), [1, 2]);

        let many: Vec<_> = (0..103).map(|root| run(root, 1)).collect();
        assert_eq!(surplus(&many), [0, 1, 2]);
        let again: Vec<_> = (0..103).map(|place| run(place.min(99), 1)).collect();
        assert_eq!(surplus(&again), [99, 100, 101]);

        let large = [run(0, 1), run(1, 1), run(1, 1), run(2, STORED_BYTES_MAX - 2)];
        assert_eq!(surplus(&large), [1]);
        let largest = [run(0, 1), run(1, 1), run(2, STORED_BYTES_MAX * 2)];
        assert_eq!(surplus(&largest), [0, 1]);
        assert!(surplus(&[]).is_empty());
    }
}
