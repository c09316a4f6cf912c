//! Opens the files that rows go to, and locks them against other runs. Words why that fails.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use anyhow::{Result, bail};

use crate::messages::reason;

/// Opens a file, or says that it could not do `what`.
pub(super) fn open(options: &OpenOptions, path: &Path, what: &str) -> Result<File> {
    match options.open(path) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
            "failed to create {path:?}: it exists (--resume goes on with it, --force overwrites it)"
        ),
        Err(error) => bail!("failed to {what} {path:?}: {}", reason(&error)),
    }
}

/// Locks the file against other runs until the process ends. Where the filesystem has no locks,
/// nothing is locked.
pub(super) fn lock(file: &File, path: &Path, what: &str) -> Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            bail!("failed to {what} {path:?}: another run is writing to it")
        }
        _ => Ok(()),
    }
}

/// Tells whether a path leads to something that is neither a file nor a directory.
pub(crate) fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}
