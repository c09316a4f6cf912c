//! Forces a transaction to disk: before its commit mark all that it needs, and after its swaps all
//! that they have changed.
//!
//! A few files are flushed one by one, at the same time, each with the directories of its names. A
//! flush of the whole filesystem would also wait for what other programs have written. Of many
//! files, that one flush is what takes the least time.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::OFlags;

use crate::error::Error;
use crate::mutex::Mutex;
use crate::store::journal::{Journal, Method};
use crate::store::run_directory::RunDirectory;
use crate::transaction::rename;

/// How many files are flushed one by one at most. On ext4, 64 files take as long in either way when
/// no other program writes.
pub(crate) const FLUSHED_ALONE_MAX: usize = 64;

/// How many threads flush files. The filesystem joins their flushes in one commit of its journal.
const FLUSHERS_MAX: usize = 16;

/// How many directories above a staging directory may be new: those of the run, of all staging
/// roots, the store, and what holds that.
const NEW_ABOVE: usize = 5;

/// Forces everything to disk that a run needs once it is committed: its journal, the staged files,
/// the copies of old texts, and the names of all of these.
pub(crate) fn before_the_mark(run: &RunDirectory, journal: &Journal) -> Result<(), Error> {
    if !is_small(journal) {
        // The journal is on one of the filesystems, unless it is that of an undo.
        run.sync_all()?;
        return flush_filesystems(journal, &[run.path()]);
    }
    let mut files = Vec::new();
    let mut directories: BTreeSet<PathBuf> = BTreeSet::new();
    for entry in journal.entries.iter() {
        let entry = entry?;
        let stored =
            journal.staging_dirs[entry.staging_dir as usize].join(entry.number.to_string());
        // What is exchanged has no copy.
        if entry.method != Method::Exchange {
            files.push(stored.with_extension("old"));
        }
        files.push(stored);
    }
    let folders = journal.staging_dirs.iter().map(PathBuf::as_path);
    let folders = folders.flat_map(|folder| folder.ancestors().take(NEW_ABOVE));
    let own = run.path().ancestors().take(NEW_ABOVE - 1);
    directories.extend(folders.chain(own).map(Path::to_path_buf));
    run.sync_all()?;
    match flush_each(&files, &directories)? {
        Flushed::All => Ok(()),
        Flushed::NotAllowed => flush_filesystems(journal, &[run.path()]),
    }
}

/// Forces to disk what the swaps have changed: the names of the files, and the text of those that
/// were written in place. `journal` calls files and directories what they are called now.
pub(crate) fn after_the_swaps(journal: &Journal) -> Result<(), Error> {
    if !is_small(journal) {
        flush_filesystems(journal, &[])?;
        return rename::flush(journal);
    }
    let mut files = Vec::new();
    let mut directories: BTreeSet<PathBuf> = journal.staging_dirs.iter().cloned().collect();
    for rename in journal.renames.iter() {
        directories.insert(rename?.directory.to_path_buf());
    }
    for entry in journal.entries.iter() {
        let entry = entry?;
        let staging_dir = &journal.staging_dirs[entry.staging_dir as usize];
        let copy = staging_dir.join(format!("{}.old", entry.number));
        if entry.method != Method::Exchange || copy.exists() {
            files.push(entry.target());
        }
        directories.insert(entry.directory.to_path_buf());
    }
    match flush_each(&files, &directories)? {
        Flushed::All => Ok(()),
        Flushed::NotAllowed => {
            flush_filesystems(journal, &[])?;
            rename::flush(journal)
        }
    }
}

/// Returns whether the files are flushed one by one.
#[cfg(target_os = "linux")]
fn is_small(journal: &Journal) -> bool {
    journal.entries.len() + journal.renames.len() <= FLUSHED_ALONE_MAX as u64
}

/// Returns whether the files are flushed one by one, which is the only way here.
#[cfg(not(target_os = "linux"))]
fn is_small(_: &Journal) -> bool {
    true
}

/// What became of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flushed {
    All,
    /// This user may not open one of the files or directories to flush it.
    NotAllowed,
}

/// Flushes files, and then directories, on several threads. Those that do not exist have nothing to
/// flush.
fn flush_each(files: &[PathBuf], directories: &BTreeSet<PathBuf>) -> Result<Flushed, Error> {
    let directories: Vec<PathBuf> = directories.iter().cloned().collect();
    // A directory may have been named by a link; a file is one that the run has put there itself.
    for (paths, flags) in [(files, OFlags::NOFOLLOW), (&directories, OFlags::DIRECTORY)] {
        if flush_at_once(paths, flags)? == Flushed::NotAllowed {
            return Ok(Flushed::NotAllowed);
        }
    }
    Ok(Flushed::All)
}

fn flush_at_once(paths: &[PathBuf], flags: OFlags) -> Result<Flushed, Error> {
    // Every thread takes the next path. The counter orders nothing.
    let next = AtomicUsize::new(0);
    // What failed, by whichever thread it was found first.
    let failure: Mutex<Option<(PathBuf, io::Error)>> = Mutex::default();
    let flush_some = || {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = flush_one(path, flags) {
                failure.lock().get_or_insert((path.clone(), error));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..paths.len().min(FLUSHERS_MAX) {
            let flusher = std::thread::Builder::new().name("flush".to_owned());
            if flusher.spawn_scoped(scope, flush_some).is_err() {
                break;
            }
        }
    });
    // Without threads, the caller does what is left.
    flush_some();
    let failure = failure.lock().take();
    match failure {
        None => Ok(Flushed::All),
        Some((_, error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            Ok(Flushed::NotAllowed)
        }
        Some((path, error)) => Err(Error::io("force to disk", &path, error)),
    }
}

fn flush_one(path: &Path, flags: OFlags) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OFlags::NONBLOCK | flags;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        file => file?.sync_all(),
    }
}

/// Flushes each filesystem that holds files of the journal, and those of `also`, once.
#[cfg(target_os = "linux")]
fn flush_filesystems(journal: &Journal, also: &[&Path]) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let mut flushed = BTreeSet::new();
    let mut flush = |path: &Path| {
        let failed = |error| Error::io("force the filesystem to disk that holds", path, error);
        let directory = File::open(path).map_err(failed)?;
        if flushed.insert(directory.metadata().map_err(failed)?.dev()) {
            rustix::fs::syncfs(directory).map_err(|error| failed(error.into()))?;
        }
        Ok::<_, Error>(())
    };
    let staging_dirs = journal.staging_dirs.iter().map(PathBuf::as_path);
    staging_dirs.chain(also.iter().copied()).try_for_each(&mut flush)?;
    let mut last: Option<Arc<Path>> = None;
    for entry in journal.entries.iter() {
        let entry = entry?;
        // What is exchanged is on the filesystem of its staging directory.
        if entry.method != Method::Exchange && last.as_ref() != Some(&entry.directory) {
            flush(&entry.directory)?;
            last = Some(entry.directory);
        }
    }
    Ok(())
}

/// Fails: this system has no call for that.
#[cfg(not(target_os = "linux"))]
fn flush_filesystems(_: &Journal, _: &[&Path]) -> Result<(), Error> {
    Err(Error::store("failed to force the files of the run to disk: permission denied"))
}
