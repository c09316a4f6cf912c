//! Removes what runs no longer need: at once, or later, while another run waits for the disk and
//! leaves a processor idle.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use silkmill::{CancelToken, Thread};

use crate::store::layout::{IGNORE, LOCK, STAGING_ROOTS, TRASH, is_own_name};

/// Removes trash on a thread of its own, which stops soon after this is dropped.
#[derive(Debug)]
pub(crate) struct TrashCollector {
    enough: CancelToken,
}

impl TrashCollector {
    /// Starts the thread, if there is anything to remove.
    pub(crate) fn begin(store: &Path) -> TrashCollector {
        let enough = CancelToken::new();
        if trashed(store) > 0 {
            let (store, enough) = (store.to_path_buf(), enough.clone());
            let collect = move || {
                empty_trash(&store, &|| enough.is_cancelled());
            };
            // Without a thread, the trash is removed by a later run.
            let _ = Thread::builder().name("sweep").daemon(true).spawn(collect);
        }
        TrashCollector { enough }
    }
}

impl Drop for TrashCollector {
    fn drop(&mut self) {
        // The thread is not waited for, since removing one large file may take long.
        self.enough.cancel();
    }
}

/// Removes the directory of a run, or one of its staging roots. It is out of sight at once.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    // Where there is no room for the trash, the directory is removed where it is.
    let gone = throw_away(folder).unwrap_or_else(|_| folder.to_path_buf());
    match fs::remove_dir_all(gone) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Moves the directory of a run, or one of its staging roots, to the trash. Returns where it is
/// then.
pub(crate) fn throw_away(folder: &Path) -> io::Result<PathBuf> {
    let trash = store_of(folder).join(TRASH);
    let gone = trash.join(folder.file_name().unwrap_or_default());
    loop {
        DirBuilder::new().recursive(true).mode(0o700).create(&trash)?;
        match fs::rename(folder, &gone) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // Another process removed the empty trash together with the store.
            Err(_) if folder.exists() => {}
            _ => return Ok(gone),
        }
    }
}

/// Returns the store of the directory of a run, or of one of its staging roots.
pub(crate) fn store_of(folder: &Path) -> &Path {
    let above = folder.parent().unwrap_or(folder);
    let is_staging_root = above.file_name() == Some(OsStr::new(STAGING_ROOTS));
    above.parent().filter(|_| is_staging_root).unwrap_or(above)
}

/// Removes trash until `enough` returns true. Returns whether all of it was removed.
pub(crate) fn empty_trash(store: &Path, enough: &dyn Fn() -> bool) -> bool {
    remove_until(&store.join(TRASH), enough)
}

/// Counts the runs, and the staging roots of runs, that wait to be removed.
pub(crate) fn trashed(store: &Path) -> usize {
    fs::read_dir(store.join(TRASH)).map_or(0, Iterator::count)
}

fn remove_until(folder: &Path, enough: &dyn Fn() -> bool) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return true };
    for entry in entries.flatten() {
        if enough() {
            return false;
        }
        let gone = match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                remove_until(&entry.path(), enough) && fs::remove_dir(entry.path()).is_ok()
            }
            _ => fs::remove_file(entry.path()).is_ok(),
        };
        if !gone {
            return false;
        }
    }
    true
}

/// Removes a store beside files that holds nothing any more, since the user did not create it.
pub(crate) fn remove_store_if_empty(path: &Path) -> io::Result<()> {
    if !path.file_name().is_some_and(is_own_name) {
        return Ok(());
    }
    let lock = File::open(path.join(LOCK))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if lock.metadata()?.nlink() == 0 {
        // Another process has removed the store. The one that is there now has another lock.
        return Ok(());
    }
    for emptied in [TRASH, STAGING_ROOTS] {
        match fs::remove_dir(path.join(emptied)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != LOCK && name != IGNORE {
            return Ok(());
        }
    }
    fs::remove_file(path.join(IGNORE))?;
    fs::remove_file(path.join(LOCK))?;
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn what_was_thrown_away_is_removed_while_a_run_is_busy() {
        let store = tempfile::tempdir().unwrap();
        let folder = store.path().join("20260101-000000-abcd");
        fs::create_dir_all(folder.join("0")).unwrap();
        fs::write(folder.join("0/1"), "old").unwrap();
        throw_away(&folder).unwrap();

        let collector = TrashCollector::begin(store.path());

        let until = Instant::now() + Duration::from_secs(60);
        while trashed(store.path()) > 0 {
            assert!(Instant::now() < until, "the trash is not removed");
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(collector);
    }

    #[test]
    fn trash_is_removed_for_as_long_as_there_is_time() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("20260101-000000-abcd");
        fs::create_dir_all(folder.join("0")).unwrap();
        fs::write(folder.join("0/1"), "old").unwrap();

        throw_away(&folder).unwrap();

        assert!(!folder.exists());
        assert!(!empty_trash(root.path(), &|| true));
        assert_eq!(trashed(root.path()), 1);
        assert!(empty_trash(root.path(), &|| false));
        assert_eq!(trashed(root.path()), 0);
    }
}
