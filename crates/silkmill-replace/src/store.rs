//! Where runs keep their files: staged text, originals, journals. Knows directories and locks, and
//! leaves to `recovery` and `undo` what is done with a journal.
//!
//! A store is a directory: the user's, where that is on the same mount as the files of the run, or
//! else `.silkmill` in the run's root or above it (see [`layout::beside`]). Every run has a
//! directory of its name in the store. It locks the journal in it for as long as it lives, so a run
//! whose journal another process can lock has ended or crashed. The store's own `lock` is held only
//! while runs are probed.

pub(crate) mod draft;
pub(crate) mod durability;
pub(crate) mod journal;
pub(crate) mod layout;
pub(crate) mod links;
pub(crate) mod mount;
pub(crate) mod nameless;
pub(crate) mod run_directory;
pub(crate) mod run_id;
pub(crate) mod spool;
pub(crate) mod spooled_file;
pub(crate) mod table;
pub(crate) mod trash;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use silkmill::CancelToken;

use crate::error::Error;
use crate::store::journal::RunHeader;
use crate::store::layout::{
    IGNORE, JOURNAL, KEPT, LOCK, STAGING_ROOTS, beside, is_own_directory, is_own_name,
};
use crate::store::mount::is_same_mount;
use crate::store::run_directory::RunDirectory;
use crate::store::run_id::{is_run_id, run_id};

/// The time between two checks of whether another run has ended.
const POLL: Duration = Duration::from_millis(20);

/// How often a store is created again that other runs remove meanwhile.
const MAKE_TRIES_MAX: usize = 100;

/// How many names are tried for a run that begins in a certain second.
const NAMES_TRIED_MAX: u64 = 1000;

/// A directory of runs.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    path: PathBuf,
}

/// What a run in the store turns out to be.
#[derive(Debug)]
pub(crate) enum Probe {
    /// This process or another one is working on it.
    Running { id: String, header: RunHeader },
    /// No process is working on it.
    Stopped(RunDirectory),
}

/// The store, locked. While this exists no run begins, and no other process probes them.
#[derive(Debug)]
pub(crate) struct LockedStore<'a> {
    store: &'a Store,
    _lock: File,
}

impl Store {
    /// Opens the store for a run over `root`, and creates it if it does not exist.
    ///
    /// # Errors
    /// When neither place can be written. The error names both.
    pub(crate) fn open(home: Option<&Path>, root: &Path) -> Result<Store, Error> {
        let mut tried = None;
        if let Some(home) = layout::usable(home).filter(|home| is_same_mount(home, root)) {
            match Store::make(home.to_path_buf()) {
                Ok(store) => return Ok(store),
                Err(error) => tried = Some(error),
            }
        }
        Store::beside(root).map_err(|error| match tried {
            Some(first) => Error::store(format!("{error}; {first}: nothing was changed")),
            None => Error::store(format!("{error}: nothing was changed")),
        })
    }

    /// Opens the store in `root`, or in the nearest directory above that has one.
    fn beside(root: &Path) -> Result<Store, Error> {
        let above = root.ancestors().map(beside);
        let there = above
            .take_while(|store| store.parent().is_some_and(|folder| is_same_mount(folder, root)));
        let found = there.into_iter().find(|store| is_own_directory(store));
        Store::make(found.unwrap_or_else(|| beside(root)))
    }

    /// Opens the store in this directory, and creates it if it does not exist.
    pub(crate) fn make(path: PathBuf) -> Result<Store, Error> {
        for _ in 1..MAKE_TRIES_MAX {
            match Store::make_once(path.clone()) {
                // Another run removed it while it was being created.
                Err(error) if error.is_not_found() => {}
                made => return made,
            }
        }
        Store::make_once(path)
    }

    fn make_once(path: PathBuf) -> Result<Store, Error> {
        let is_new = !path.exists();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| Error::io("keep the files of a run in", &path, error))?;
        let store = Store::set_up(path.clone());
        if store.is_err() && is_new {
            // On a full disk, the directory may be all that there was room for.
            let _ = fs::remove_file(path.join(IGNORE)).and_then(|()| fs::remove_dir(&path));
        }
        store
    }

    /// Gives a directory what a store has.
    fn set_up(path: PathBuf) -> Result<Store, Error> {
        if !is_own_directory(&path) {
            let error = io::Error::from(match path.exists() {
                true => io::ErrorKind::PermissionDenied,
                false => io::ErrorKind::NotFound,
            });
            return Err(Error::io("keep the files of a run in", &path, error));
        }
        let store = Store { path };
        if store.path.file_name().is_some_and(is_own_name) {
            store.ignore_itself()?;
        }
        // This shows, too, whether the store can be written.
        store.open_lock()?;
        Ok(store)
    }

    /// Returns the store in this directory, if there is one.
    pub(crate) fn existing(path: &Path) -> Option<Store> {
        let there = is_own_directory(path) && path.join(LOCK).exists();
        there.then(|| Store { path: path.to_path_buf() })
    }

    fn ignore_itself(&self) -> Result<(), Error> {
        let path = self.path.join(IGNORE);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file
                .write_all_at(b"*\n", 0)
                .map_err(|error| Error::io("keep the files of a run in", &self.path, error)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(Error::io("keep the files of a run in", &self.path, error)),
        }
    }

    fn open_lock(&self) -> Result<File, Error> {
        let path = self.path.join(LOCK);
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        file.map_err(|error| Error::io("keep the files of a run in", &self.path, error))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn lock(&self) -> Result<LockedStore<'_>, Error> {
        let failed = |error| Error::io("lock the files of runs in", &self.path, error);
        loop {
            let lock = match self.open_lock() {
                Ok(lock) => lock,
                Err(error) if error.is_not_found() => {
                    Store::make(self.path.clone())?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
            if lock.metadata().map_err(failed)?.nlink() > 0 {
                return Ok(LockedStore { store: self, _lock: lock });
            }
            // The process that held this lock has removed the whole store.
        }
    }

    /// Waits until the run of this name has ended. Returns `false` if `cancel` was set first.
    pub(crate) fn wait_for(&self, id: &str, cancel: &CancelToken) -> bool {
        while !cancel.is_cancelled() {
            let journal = File::open(self.path.join(id).join(JOURNAL));
            match journal.map(|journal| flock(journal, FlockOperation::NonBlockingLockShared)) {
                Ok(Err(rustix::io::Errno::WOULDBLOCK)) => std::thread::sleep(POLL),
                _ => return true,
            }
        }
        false
    }

    /// Creates the directory for versions of files that a run could neither use nor throw away.
    pub(crate) fn kept(run_folder: &Path) -> io::Result<PathBuf> {
        let store = run_folder.parent().unwrap_or(run_folder);
        let kept = store.join(KEPT);
        DirBuilder::new().recursive(true).mode(0o700).create(&kept)?;
        Ok(kept)
    }

    /// Creates the staging root of `run` on the filesystem of `folder`, which is not that of the
    /// run's own store.
    pub(crate) fn staging_root(folder: &Path, run: &Path) -> Result<PathBuf, Error> {
        let store = Store::make(beside(folder))?;
        store.remove_orphans();
        let path = store.path.join(STAGING_ROOTS).join(run.file_name().unwrap_or_default());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        let made = made
            .and_then(|()| fs::write(path.join("owner"), run.as_os_str().as_encoded_bytes()))
            .map_err(|error| Error::io("keep the files of a run in", &path, error));
        if made.is_err() {
            let _ = fs::remove_dir_all(&path);
            let _ = trash::remove_store_if_empty(&store.path);
        }
        made.map(|()| path)
    }

    /// Removes staging roots of runs that no longer exist.
    fn remove_orphans(&self) {
        use std::os::unix::ffi::OsStringExt;
        let Ok(roots) = fs::read_dir(self.path.join(STAGING_ROOTS)) else { return };
        for root in roots.flatten() {
            let Ok(owner) = fs::read(root.path().join("owner")) else { continue };
            let owner = PathBuf::from(std::ffi::OsString::from_vec(owner));
            if !owner.join(JOURNAL).exists() {
                // The next run tries again what cannot be removed now.
                let _ = fs::remove_dir_all(root.path());
            }
        }
    }
}

impl LockedStore<'_> {
    /// Probes every run, in the order of their names, one after the other: each that is probed has
    /// its journal open for as long as the caller keeps it.
    pub(crate) fn probe_all(
        &self,
    ) -> Result<impl Iterator<Item = Result<Probe, Error>> + '_, Error> {
        let failed = |error| Error::io("read the files of runs in", &self.store.path, error);
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.store.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            ids.extend(name.into_string().ok().filter(|name| is_run_id(name)));
        }
        ids.sort_unstable();
        Ok(ids.into_iter().map(|id| self.probe(id)))
    }

    /// Probes one run.
    pub(crate) fn probe(&self, id: String) -> Result<Probe, Error> {
        let path = self.store.path.join(&id);
        let name = path.join(JOURNAL);
        let failed = |error: io::Error| Error::io("read", &name, error);
        let journal = match OpenOptions::new().read(true).write(true).open(&name) {
            Ok(journal) => journal,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Probe::Stopped(RunDirectory::stopped(id, path, None)));
            }
            Err(error) => return Err(failed(error)),
        };
        match flock(&journal, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Probe::Stopped(RunDirectory::stopped(id, path, Some(journal)))),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let header = run_directory::header_of(journal).map_err(failed)?;
                Ok(Probe::Running { id, header })
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Begins a run: creates its directory, and its journal, locked.
    pub(crate) fn begin(&self, header: &RunHeader) -> Result<RunDirectory, Error> {
        let failed = |error| Error::io("keep the files of a run in", &self.store.path, error);
        let (id, path) = self.name(header.begun).map_err(failed)?;
        RunDirectory::create(id, path.clone(), header).inspect_err(|_| {
            // If this fails, the next run finds the directory without a journal, and tries again.
            let _ = fs::remove_dir_all(&path);
        })
    }

    fn name(&self, begun: u64) -> io::Result<(String, PathBuf)> {
        let seed = begun ^ (u64::from(std::process::id()) << 32);
        for tried in 0..NAMES_TRIED_MAX {
            let id = run_id(begun / 1_000_000_000, seed.wrapping_add(tried));
            let path = self.store.path.join(&id);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok((id, path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::layout::BESIDE;
    use crate::store::run_id::now;

    fn header(root: &Path) -> RunHeader {
        RunHeader { begun: now(), roots: vec![root.to_path_buf()], ..RunHeader::default() }
    }

    #[test]
    fn a_run_is_live_until_it_is_dropped_and_then_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(None, root.path()).unwrap();
        let run = store.lock().unwrap().begin(&header(root.path())).unwrap();

        let locked = store.lock().unwrap();
        let found: Vec<Probe> = locked.probe_all().unwrap().map(Result::unwrap).collect();
        drop(locked);
        let [Probe::Running { id, header }] = &found[..] else { panic!("{found:?}") };
        assert_eq!((id.as_str(), &header.roots[..]), (run.id(), &[root.path().to_path_buf()][..]));

        drop(run);
        assert!(store.lock().unwrap().probe_all().unwrap().next().is_none());
    }

    #[test]
    fn a_store_that_others_make_and_leave_all_the_time_can_be_used() {
        let root = tempfile::tempdir().unwrap();
        let use_it = || {
            for _ in 0..300 {
                let store = Store::open(None, root.path()).unwrap();
                let run = store.lock().unwrap().begin(&header(root.path())).unwrap();
                assert!(run.path().join(JOURNAL).exists());
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(use_it);
            use_it();
        });
        assert!(!root.path().join(BESIDE).exists());
    }

    #[test]
    fn the_store_is_the_users_where_that_is_on_the_same_filesystem() {
        let (home, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let state = home.path().join("state/silkmill");

        assert_eq!(Store::open(Some(&state), root.path()).unwrap().path(), state);
        assert!(!root.path().join(BESIDE).exists());
        let elsewhere = Path::new("/proc/self");
        let beside = Store::open(Some(elsewhere), root.path()).unwrap();
        assert_eq!(beside.path(), root.path().join(BESIDE));
        assert_eq!(fs::read(root.path().join(".silkmill/.gitignore")).unwrap(), b"*\n");
        let below = root.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        assert_eq!(Store::open(None, &below).unwrap().path(), beside.path());
    }

    #[test]
    fn a_store_that_cannot_be_written_is_refused_by_both_its_names() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(BESIDE), "no directory").unwrap();
        fs::write(root.path().join("state"), "no directory").unwrap();

        let home = root.path().join("state/silkmill");
        let error = Store::open(Some(&home), root.path()).unwrap_err().to_string();

        assert!(error.contains(".silkmill\"") && error.contains("state/silkmill\""), "{error}");
        assert!(error.ends_with("nothing was changed"), "{error}");
    }
}
