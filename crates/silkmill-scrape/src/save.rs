//! Keeps bodies as files. A file is named by the index of its row and by nothing that came from a
//! server, so no two can have one name and none can leave the folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::io_error_in_words;
use crate::row::{Failure, FailureKind, Phase};

/// A folder for bodies.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder, if it is not there.
    pub(crate) fn new(path: &Path) -> io::Result<Folder> {
        fs::create_dir_all(path)?;
        Ok(Folder(path.to_owned()))
    }

    /// Writes the body of the row `index`. The file has its name once it is complete.
    pub(crate) fn keep(&self, index: u64, body: &[u8]) -> Result<(), Failure> {
        let name = format!("{index:08}");
        let part = self.0.join(format!(".{name}.part"));
        let written = create(&part)
            .and_then(|mut file| file.write_all(body))
            .and_then(|()| fs::rename(&part, self.0.join(&name)));
        written.map_err(|error| {
            let _ = fs::remove_file(&part);
            let why = io_error_in_words(&error);
            let message = format!("failed to save the body as {name:?}: {why}");
            Failure::new(FailureKind::Body, Phase::Internal, message)
        })
    }
}

/// Makes a new file. One that another run left there is removed first, since it may be a link.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_waits_for_a_body_is_replaced_and_not_followed() {
        let outside = tempfile::NamedTempFile::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        for name in [".00000007.part", "00000007"] {
            std::os::unix::fs::symlink(outside.path(), folder.path().join(name)).unwrap();
        }

        Folder::new(folder.path()).unwrap().keep(7, b"body").unwrap();

        assert_eq!(fs::read(folder.path().join("00000007")).unwrap(), b"body");
        assert_eq!(fs::read(outside.path()).unwrap(), b"");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_body_that_cannot_be_kept_is_a_failure_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Folder::new(&folder.path().join("a/b")).unwrap();
        fs::remove_dir_all(folder.path().join("a")).unwrap();

        let failure = kept.keep(123_456_789, b"").unwrap_err();

        assert!(failure.message.starts_with("failed to save the body as \"123456789\": "));
    }
}
