//! What lies where in a store, by name.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The store beside the files, and the staging roots of runs whose store is elsewhere.
pub(crate) const BESIDE: &str = ".silkmill";

pub(crate) const LOCK: &str = "lock";
pub(crate) const IGNORE: &str = ".gitignore";
pub(crate) const JOURNAL: &str = "journal";

/// What is to be removed when there is time.
pub(crate) const TRASH: &str = "trash";

/// Directories for staged files of runs whose journal is in another store.
pub(crate) const STAGING_ROOTS: &str = "areas";

/// What no directory of a run could hold, for its own sake or its name's.
pub(crate) const KEPT: &str = "kept";

/// Whether a walk passes over what has this name.
pub(crate) fn is_own_name(name: &OsStr) -> bool {
    name == BESIDE
}

/// Whether nobody else can have put a journal there.
pub(crate) fn is_own_directory(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == own)
}
