//! Writes a file's new bytes beside it, where no reader looks. Makes nothing visible: see
//! [`crate::commit`].

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::attributes;
use crate::error::Error;
use crate::original::{Identity, Original};

/// Opens every staged name. Short, so that a file with the longest name allowed can be staged too.
const PREFIX: &str = ".silkmill-";

/// What is tried, in the words of an error.
const STAGE: &str = "stage new text for";

/// How many names are tried before another's leftovers are given up on.
const NAMES_TRIED_MAX: u32 = 1000;

/// Whether a staged file may have this name.
pub(crate) fn is_staged_name(name: &OsStr) -> bool {
    let numbers = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    let numbers = numbers.and_then(|numbers| numbers.split_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(pid, number)| is_number(pid) && is_number(number))
}

/// Where a run stages: gives out names.
#[derive(Debug)]
pub(crate) struct Stage {
    pid: u32,
    /// Every worker adds to it; a name clash costs one more try, so nothing else is ordered by it.
    next: AtomicU64,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        Stage { pid: std::process::id(), next: AtomicU64::new(0) }
    }

    /// Stages `new`, whole, for the file that `original` was read from.
    pub(crate) fn stage(
        &self,
        target: &Path,
        original: &Original,
        new: &[u8],
    ) -> Result<Staged, Error> {
        let mut writer = self.begin(target, original)?;
        writer.write_all(new).map_err(|error| Error::io(STAGE, target, error))?;
        writer.finish()
    }

    /// Begins to stage new text for the file that `original` was read from, piece by piece.
    pub(crate) fn begin<'a>(
        &'a self,
        target: &'a Path,
        original: &'a Original,
    ) -> Result<Writer<'a>, Error> {
        let created = self.create(directory_of(target));
        let (temporary, file) = created.map_err(|error| Error::io(STAGE, target, error))?;
        Ok(Writer { stage: self, target, original, temporary, file })
    }

    /// A new file that only its owner may read, as the bytes may be a secret file's.
    fn create(&self, directory: &Path) -> io::Result<(Temporary, File)> {
        for _ in 0..NAMES_TRIED_MAX {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!("{PREFIX}{}-{number}", self.pid));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok((Temporary { path, armed: true }, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// Takes the new bytes of one file. Dropped before it is finished, it leaves nothing behind.
///
/// It does not buffer: whoever writes small pieces wraps it.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    stage: &'a Stage,
    target: &'a Path,
    original: &'a Original,
    temporary: Temporary,
    file: File,
}

impl Writer<'_> {
    /// Gives the new file what else the original has. The text is whole now.
    pub(crate) fn finish(self) -> Result<Staged, Error> {
        let target = self.target;
        self.try_finish().map_err(|error| Error::io(STAGE, target, error))
    }

    fn try_finish(self) -> io::Result<Staged> {
        let Writer { stage, target, original, temporary, file } = self;
        let replaceable = original.metadata.nlink() == 1
            && attributes::copy(&original.file, &original.metadata, &file).is_ok();
        let way = if replaceable {
            Way::Rename
        } else {
            let (backup, mut file) = stage.create(directory_of(target))?;
            copy_from_start(&original.file, &mut file)?;
            Way::InPlace { backup }
        };
        Ok(Staged { target: target.to_path_buf(), identity: original.identity(), temporary, way })
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Copies all bytes, wherever `from` has been read to.
fn copy_from_start(mut from: &File, to: &mut File) -> io::Result<u64> {
    from.rewind()?;
    io::copy(&mut from, to)
}

/// The new bytes of one file, on disk and not yet visible. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) target: PathBuf,
    /// What the file was when it was read.
    pub(crate) identity: Identity,
    pub(crate) temporary: Temporary,
    pub(crate) way: Way,
}

/// How the new bytes get to the file's path.
#[derive(Debug)]
pub(crate) enum Way {
    /// The staged file takes the name over.
    Rename,
    /// The bytes are copied into the file itself, because it has other names to keep, or an owner
    /// or attribute that this process may not give to a new file.
    InPlace { backup: Temporary },
}

/// A file that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
    armed: bool,
}

impl Temporary {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the file where it is.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.armed = false;
        std::mem::take(&mut self.path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.armed {
            // Nothing is left to do about a file that cannot be removed; walks pass it over.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The directory that holds a path's last name.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_staged_file_is_removed_unless_it_is_committed() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a");
        fs::write(&target, "old").unwrap();
        let original = Original::open(&target).unwrap();

        let staged = Stage::new().stage(&target, &original, b"new").unwrap();
        assert_eq!(fs::read(staged.temporary.path()).unwrap(), b"new");
        assert_eq!(names(root.path()).len(), 2);
        drop(staged);
        assert_eq!(names(root.path()), ["a"]);
    }

    #[test]
    fn text_is_staged_in_pieces_and_unfinished_text_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a");
        fs::write(&target, "old").unwrap();
        let (original, stage) = (Original::open(&target).unwrap(), Stage::new());

        let mut writer = stage.begin(&target, &original).unwrap();
        writer.write_all(b"one ").unwrap();
        writer.write_all(b"two").unwrap();
        let staged = writer.finish().unwrap();
        assert_eq!(fs::read(staged.temporary.path()).unwrap(), b"one two");
        drop(staged);

        let mut writer = stage.begin(&target, &original).unwrap();
        writer.write_all(b"half").unwrap();
        drop(writer);
        assert_eq!(names(root.path()), ["a"]);
    }

    #[test]
    fn a_name_that_is_taken_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let stage = Stage::new();
        let taken = root.path().join(format!("{PREFIX}{}-0", std::process::id()));
        fs::write(&taken, "another's").unwrap();

        let (temporary, _) = stage.create(root.path()).unwrap();
        assert_ne!(temporary.path(), taken);
        drop(temporary);
        assert_eq!(fs::read(taken).unwrap(), b"another's");
    }

    #[test]
    fn the_mode_is_copied_and_a_linked_file_is_backed_up() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a");
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o4751)).unwrap();
        let stage = Stage::new();

        let original = Original::open(&target).unwrap();
        let staged = stage.stage(&target, &original, b"new").unwrap();
        assert_eq!(fs::metadata(staged.temporary.path()).unwrap().mode() & 0o7777, 0o4751);
        assert!(matches!(staged.way, Way::Rename));

        fs::hard_link(&target, root.path().join("b")).unwrap();
        let original = Original::open(&target).unwrap();
        let staged = stage.stage(&target, &original, b"new").unwrap();
        let Way::InPlace { backup } = &staged.way else { panic!("{:?}", staged.way) };
        assert_eq!(fs::read(backup.path()).unwrap(), b"old");
    }

    #[test]
    fn only_two_numbers_make_a_staged_name() {
        for (name, want) in [
            (".silkmill-1-2", true),
            (".silkmill-1-", false),
            (".silkmill-notes-2", false),
            (".silkmill", false),
            ("x.silkmill-1-2", false),
        ] {
            assert_eq!(is_staged_name(OsStr::new(name)), want, "{name}");
        }
    }
}
