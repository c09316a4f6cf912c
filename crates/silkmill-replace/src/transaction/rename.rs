//! Gives files, directories and links of a committed run their new names, and takes them back.
//!
//! Names change when all texts are swapped, the deepest first, so that the path by which the
//! journal calls a directory holds until its own turn comes. Before texts are swapped again, or
//! reverted, by a recovery or a rollback, all names are taken back, the topmost first. Which inode
//! has which name shows what was done, so each of that can be interrupted anywhere and repeated.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, renameat, statat};
#[cfg(target_os = "linux")]
use rustix::fs::{RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::error::Error;
use crate::store::journal::Journal;
use crate::store::journal::rename::Rename;

/// From this many directories on, whole filesystems are forced to disk instead of each directory.
/// By guess: the two were not timed.
#[cfg(target_os = "linux")]
const FLUSHED_ONE_BY_ONE_MAX: usize = 8;

/// Gives everything its new name, or finds that this was done, and calls `renamed` after each.
/// Returns what could not be renamed, and why.
pub(crate) fn apply(journal: &Journal, renamed: &mut dyn FnMut()) -> Result<(), (PathBuf, Error)> {
    let mut directories = Directories { last: None };
    for it in journal.renames.iter() {
        let it = &it.map_err(|error| (PathBuf::new(), error))?;
        directories.rename(it, &it.from, &it.to).map_err(|error| failed(it, error))?;
        renamed();
    }
    Ok(())
}

/// Gives everything its old name again, or finds that this was done. Calls `left` with what another
/// program has moved or replaced since.
///
/// # Errors
/// The operating system refused. Everything else has its old name.
pub(crate) fn revert(journal: &Journal, left: &mut dyn FnMut(PathBuf)) -> Result<(), Error> {
    let mut directories = Directories { last: None };
    let mut first = None;
    for it in journal.renames.iter_back() {
        let it = &it?;
        match directories.rename(it, &it.to, &it.from) {
            Ok(()) => {}
            // A second step whose first was not made, either.
            Err(RenameError::Changed) if it.is_from_third() => {}
            Err(RenameError::Changed) => left(it.source()),
            Err(error) => {
                first.get_or_insert(failed(it, error).1);
            }
        }
    }
    first.map_or(Ok(()), Err)
}

enum RenameError {
    /// What has the name is not what was found, or the new name is taken.
    Changed,
    System(Errno),
}

impl From<Errno> for RenameError {
    fn from(errno: Errno) -> RenameError {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::EXIST => RenameError::Changed,
            other => RenameError::System(other),
        }
    }
}

fn failed(it: &Rename, error: RenameError) -> (PathBuf, Error) {
    let path = it.source();
    let error = match error {
        RenameError::Changed => Error::refused(format!(
            "failed to rename {path:?}: another program has moved it, or taken its new name"
        )),
        RenameError::System(error) => Error::io("rename", &path, error),
    };
    (path, error)
}

struct Directories {
    last: Option<(Arc<Path>, OwnedFd)>,
}

impl Directories {
    fn rename(&mut self, it: &Rename, from: &[u8], to: &[u8]) -> Result<(), RenameError> {
        let directory = match self.last.take() {
            Some((path, directory)) if path == it.directory => directory,
            _ => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                openat(CWD, &*it.directory, flags, Mode::empty())?
            }
        };
        let renamed = rename(&directory, OsStr::from_bytes(from), OsStr::from_bytes(to), it.inodes);
        self.last = Some((Arc::clone(&it.directory), directory));
        renamed
    }
}

fn rename(
    directory: &impl AsFd,
    from: &OsStr,
    to: &OsStr,
    inodes: [u64; 2],
) -> Result<(), RenameError> {
    let (found, taken) = (inode(directory, from)?, inode(directory, to)?);
    let is_ours = |inode: Option<u64>| inode.is_some_and(|inode| inodes.contains(&inode));
    match taken {
        None if is_ours(found) => rename_to_free(directory, from, to),
        // A filesystem that ignores case finds one file by both names.
        Some(_) if is_ours(found) && found == taken && is_same_but_case(from, to) => {
            Ok(renameat(directory, from, directory, to)?)
        }
        Some(_) if !is_ours(found) && is_ours(taken) => Ok(()),
        _ => Err(RenameError::Changed),
    }
}

fn rename_to_free(directory: &impl AsFd, from: &OsStr, to: &OsStr) -> Result<(), RenameError> {
    #[cfg(target_os = "linux")]
    match renameat_with(directory, from, directory, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BUSY) => {}
        renamed => return Ok(renamed?),
    }
    // Here a file that another program puts at the new name in this moment is replaced.
    Ok(renameat(directory, from, directory, to)?)
}

/// Returns whether two names differ in the case of their letters alone.
pub(crate) fn is_same_but_case(one: &OsStr, other: &OsStr) -> bool {
    let lower = |name: &OsStr| name.to_str().map(str::to_lowercase);
    lower(one).is_some_and(|one| lower(other).is_some_and(|other| one == other))
}

fn inode(directory: &impl AsFd, name: &OsStr) -> Result<Option<u64>, Errno> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(found.st_ino)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Forces the names in the directories of the renames to disk. `journal` calls the directories what
/// they are called now.
pub(crate) fn flush(journal: &Journal) -> Result<(), Error> {
    let mut directories: BTreeSet<Arc<Path>> = BTreeSet::new();
    for rename in journal.renames.iter() {
        directories.insert(rename?.directory);
        #[cfg(target_os = "linux")]
        if directories.len() > FLUSHED_ONE_BY_ONE_MAX {
            return flush_filesystems(journal);
        }
    }
    for path in directories {
        let failed = |error| Error::io("force to disk", &path, error);
        File::open(&path).and_then(|directory| directory.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// Flushes each filesystem that has names of the journal once.
#[cfg(target_os = "linux")]
fn flush_filesystems(journal: &Journal) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let mut flushed = BTreeSet::new();
    let mut last: Option<Arc<Path>> = None;
    for rename in journal.renames.iter() {
        let path = rename?.directory;
        if last.as_ref() != Some(&path) {
            let failed = |error| Error::io("force to disk", &path, error);
            let directory = File::open(&path).map_err(failed)?;
            if flushed.insert(directory.metadata().map_err(failed)?.dev()) {
                rustix::fs::syncfs(&directory).map_err(|error| failed(error.into()))?;
            }
            last = Some(path);
        }
    }
    Ok(())
}
