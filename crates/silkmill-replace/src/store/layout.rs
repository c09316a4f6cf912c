//! The names of what lies in a store.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A store beside the files, and the staging roots of runs whose store is elsewhere.
pub(crate) const BESIDE: &str = ".silkmill";

pub(crate) const LOCK: &str = "lock";
pub(crate) const IGNORE: &str = ".gitignore";
pub(crate) const JOURNAL: &str = "journal";

/// The directory of runs and staging roots that are removed when there is time.
pub(crate) const TRASH: &str = "trash";

/// The directory of staging roots, for runs whose journal is in another store.
pub(crate) const STAGING_ROOTS: &str = "areas";

/// The directory of versions of files that outlive the run that moved them there.
pub(crate) const KEPT: &str = "kept";

/// Returns whether walks skip a directory of this name.
pub(crate) fn is_own_name(name: &OsStr) -> bool {
    name == BESIDE
}

/// Returns whether it is a directory of this user, in which no other user can have put a journal.
pub(crate) fn is_own_directory(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == own)
}
