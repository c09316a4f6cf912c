//! Files without a name, for what is needed no longer than the process lives.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How the name begins that the file of a draft has for a moment.
const DRAFT: &str = "silkmill-draft";

/// How many names are tried for it.
const NAMES_TRIED_MAX: u32 = 64;

/// Creates a file that has no name, and so is gone with the process. The directory may be one in
/// which others create files.
pub(crate) fn nameless(folder: &Path) -> io::Result<File> {
    for tried in 0..NAMES_TRIED_MAX {
        let path = folder.join(format!("{DRAFT}-{}-{tried}", std::process::id()));
        let mut new = OpenOptions::new();
        match new.read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
