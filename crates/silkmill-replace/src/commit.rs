//! Makes staged files visible, each with one rename, and forces them to disk.
//!
//! Until [`flush`] has returned, a power cut may leave staged files empty; so nothing is renamed
//! before. A reader sees a file's old bytes or its new ones, never a part, except where a file has
//! to be written in place: see [`Way`].

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::Error;
use crate::original::Identity;
use crate::stage::{Staged, Temporary, Way, directory_of};

/// Up to so many files are forced to disk one by one; beyond, their filesystem is, once.
///
/// One by one costs a wait for each file; the whole, waiting for what other programs wrote, too. The
/// number is a guess; that one flush is the faster for many files was measured (decision 002).
const FLUSHED_SINGLY_MAX: usize = 8;

/// Forces every staged file, and every backup, to disk.
pub(crate) fn flush<'a>(staged: impl ExactSizeIterator<Item = &'a Staged>) -> Result<(), Error> {
    if staged.len() > FLUSHED_SINGLY_MAX && filesystems_can_be_flushed() {
        return flush_filesystems(staged.map(|staged| (staged.identity, &*staged.target)));
    }
    for staged in staged {
        sync(staged.temporary.path())?;
        if let Way::InPlace { backup } = &staged.way {
            sync(backup.path())?;
        }
    }
    Ok(())
}

/// Fails if the file is no longer what was read.
pub(crate) fn check(staged: &Staged) -> Result<(), Error> {
    let target = &staged.target;
    let metadata =
        fs::symlink_metadata(target).map_err(|error| Error::io("replace", target, error))?;
    if Identity::of(&metadata) == staged.identity { Ok(()) } else { Err(Error::changed(target)) }
}

/// Puts the new bytes in the file's place. On an error the file is as it was.
pub(crate) fn commit(staged: Staged, sync: bool) -> Result<(), Error> {
    check(&staged)?;
    let Staged { target, identity, temporary, way } = staged;
    match way {
        Way::Rename => {
            fs::rename(temporary.path(), &target)
                .map_err(|error| Error::io("replace", &target, error))?;
            temporary.keep();
            Ok(())
        }
        Way::InPlace { backup } => write_in_place(&target, identity, &temporary, backup, sync),
    }
}

/// The directories whose names changed, to be forced to disk when the last rename is done.
#[derive(Debug, Default)]
pub(crate) struct Directories {
    changed: BTreeMap<PathBuf, Identity>,
}

impl Directories {
    pub(crate) fn add(&mut self, target: &Path, identity: Identity) {
        let directory = directory_of(target);
        if !self.changed.contains_key(directory) {
            self.changed.insert(directory.to_path_buf(), identity);
        }
    }

    pub(crate) fn flush(&self) -> Result<(), Error> {
        if self.changed.len() > FLUSHED_SINGLY_MAX && filesystems_can_be_flushed() {
            return flush_filesystems(self.changed.iter().map(|(path, id)| (*id, &**path)));
        }
        self.changed.keys().try_for_each(|directory| sync(directory))
    }
}

/// The link count, owner and attributes stay, as it stays the same file. A crash half-way leaves
/// it torn, with the flushed backup beside it.
fn write_in_place(
    target: &Path,
    identity: Identity,
    new: &Temporary,
    backup: Temporary,
    sync: bool,
) -> Result<(), Error> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(target)
        .map_err(|error| Error::io("replace", target, error))?;
    let metadata = file.metadata().map_err(|error| Error::io("replace", target, error))?;
    if Identity::of(&metadata) != identity {
        return Err(Error::changed(target));
    }
    let Err(error) = overwrite(&file, new.path(), sync) else { return Ok(()) };
    if overwrite(&file, backup.path(), sync).is_err() {
        let kept = backup.keep();
        return Err(Error::io("put back the text of a half-written file, kept as", &kept, error));
    }
    Err(Error::io("replace", target, error))
}

fn overwrite(mut file: &File, with: &Path, sync: bool) -> io::Result<()> {
    let mut with = File::open(with)?;
    io::Seek::rewind(&mut file)?;
    let len = io::copy(&mut with, &mut file)?;
    file.set_len(len)?;
    if sync { file.sync_all() } else { Ok(()) }
}

fn sync(path: &Path) -> Result<(), Error> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| Error::io("force to disk", path, error))
}

fn filesystems_can_be_flushed() -> bool {
    cfg!(target_os = "linux")
}

/// Flushes the filesystem of each path once.
fn flush_filesystems<'a>(paths: impl Iterator<Item = (Identity, &'a Path)>) -> Result<(), Error> {
    let one_of_each: BTreeMap<u64, &Path> =
        paths.map(|(identity, path)| (identity.file.dev(), path)).collect();
    one_of_each.into_values().try_for_each(|path| flush_filesystem(directory_of(path)))
}

#[cfg(target_os = "linux")]
fn flush_filesystem(directory: &Path) -> Result<(), Error> {
    let flushed = File::open(directory).and_then(|file| Ok(rustix::fs::syncfs(file)?));
    flushed.map_err(|error| Error::io("force the filesystem to disk that holds", directory, error))
}

#[cfg(not(target_os = "linux"))]
fn flush_filesystem(directory: &Path) -> Result<(), Error> {
    sync(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::original::Original;
    use crate::stage::Stage;
    use std::os::unix::fs::MetadataExt;

    fn staged(target: &Path, new: &[u8]) -> Staged {
        let original = Original::open(target).unwrap();
        Stage::new().stage(target, &original, new).unwrap()
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a");
        fs::write(&target, "old").unwrap();
        let staged = staged(&target, b"new");
        fs::write(&target, "from another program").unwrap();

        let error = commit(staged, true).unwrap_err();
        assert!(error.to_string().contains("changed while"), "{error}");
        assert_eq!(fs::read(&target).unwrap(), b"from another program");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_went_away_does_not_come_back() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a");
        fs::write(&target, "old").unwrap();
        let staged = staged(&target, b"new");
        fs::remove_file(&target).unwrap();

        assert!(commit(staged, true).is_err());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_hard_link_keeps_its_other_name() {
        let root = tempfile::tempdir().unwrap();
        let (target, other) = (root.path().join("a"), root.path().join("b"));
        fs::write(&target, "a long old text").unwrap();
        fs::hard_link(&target, &other).unwrap();

        commit(staged(&target, b"new"), true).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"new");
        assert_eq!(fs::metadata(&other).unwrap().nlink(), 2);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_write_in_place_that_fails_puts_the_old_bytes_back() {
        let root = tempfile::tempdir().unwrap();
        let (target, other) = (root.path().join("a"), root.path().join("b"));
        fs::write(&target, "old").unwrap();
        fs::hard_link(&target, &other).unwrap();
        let staged = staged(&target, b"new");
        fs::remove_file(staged.temporary.path()).unwrap();

        assert!(commit(staged, true).is_err());
        assert_eq!(fs::read(&other).unwrap(), b"old");
    }
}
