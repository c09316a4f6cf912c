//! Knows how an entry's files are called in its staging directory, and what a name stands for now.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::original::Identity;
use crate::store::journal::Entry;

/// Names the copy of an original whose text is overwritten.
pub(super) fn old_name(entry: &Entry) -> String {
    format!("{}.old", entry.number)
}

pub(super) fn out_name(entry: &Entry) -> String {
    format!("{}.out", entry.number)
}

pub(super) fn part_name(entry: &Entry) -> String {
    format!("{}.part", entry.number)
}

pub(super) fn open_directory(path: &std::path::Path) -> Result<OwnedFd, Errno> {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Returns the identity of what has this name. A symbolic link is not followed.
pub(super) fn identity(
    directory: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
) -> Result<Option<Identity>, Errno> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Identity::of_stat(&stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
