//! The changed files that have several names, some of which the run may not have come across.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::original::FileId;
use crate::outcome::Notice;
use crate::store::journal::bytes::{Reader, put_u64};
use crate::store::journal::record::JournalError;
use crate::store::journal::records::ReadError;
use crate::store::table::{Sorter, path_key};

/// The number of bytes of a key that say which file it is.
const FILE_LEN: usize = 16;

/// Files that keep all their names, by the names that were found. What is too much for memory goes
/// to a file without a name.
#[derive(Debug, Default)]
pub(super) struct LinkedFiles {
    /// The names that were found, by file.
    found: Option<Sorter>,
    count: u64,
    /// The number of names that had been found when a file was forgotten. Only a review forgets.
    forgotten: HashMap<FileId, u64>,
}

/// A file of which names were found.
struct LinkedFile {
    id: Vec<u8>,
    /// The first of the paths by which the file was found. Workers find them in any order.
    path: PathBuf,
    names: u64,
    found: u64,
}

impl LinkedFiles {
    /// Notes one path of a file that has this many names.
    pub(super) fn note(&mut self, file: FileId, names: u64, path: &Path) -> Result<(), Error> {
        if names < 2 {
            return Ok(());
        }
        // A link that was named leads to one of the names.
        let name = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let key = [&id(file)[..], name.as_os_str().as_bytes()].concat();
        let mut value = Vec::new();
        put_u64(&mut value, self.count);
        put_u64(&mut value, names);
        value.extend_from_slice(path.as_os_str().as_bytes());
        self.count += 1;
        let found = self.found.get_or_insert_with(|| Sorter::new(&std::env::temp_dir()));
        found.push(key, value)
    }

    /// Forgets a file that does not change after all.
    pub(super) fn forget(&mut self, file: FileId) {
        self.forgotten.insert(file, self.count);
    }

    /// Calls `each` with what to say of the files with names that were not found, in the order of
    /// paths.
    pub(super) fn take_notices(&mut self, each: &mut dyn FnMut(&Notice)) -> Result<(), Error> {
        let Some(found) = self.found.take() else { return Ok(()) };
        let forgotten: HashMap<_, _> =
            self.forgotten.drain().map(|(file, count)| (id(file), count)).collect();
        let damaged = || Error::from(ReadError::Journal(JournalError::Damaged));
        let mut notices = Sorter::new(&std::env::temp_dir());
        let (mut file, mut name): (Option<LinkedFile>, Vec<u8>) = (None, Vec::new());
        for pair in found.sorted()? {
            let pair = pair?;
            let mut value = Reader(&pair.value);
            let (number, names) = value.u64().zip(value.u64()).ok_or_else(damaged)?;
            let path = PathBuf::from(OsStr::from_bytes(value.0));
            let id = &pair.key[..FILE_LEN];
            if forgotten.get(id).is_some_and(|count| number < *count) {
                continue;
            }
            if file.as_ref().is_none_or(|file| file.id != id) {
                file.take().map_or(Ok(()), |file| file.push_to(&mut notices))?;
                file = Some(LinkedFile { id: id.to_vec(), path: path.clone(), names, found: 0 });
                name.clear();
            }
            if let Some(file) = &mut file {
                file.path = std::mem::take(&mut file.path).min(path);
                file.found += u64::from(name != pair.key);
                name = pair.key;
            }
        }
        file.map_or(Ok(()), |file| file.push_to(&mut notices))?;
        for notice in notices.sorted()? {
            let value = notice?.value;
            let mut value = Reader(&value);
            let others = value.u64().ok_or_else(damaged)?;
            let path = PathBuf::from(OsStr::from_bytes(value.0));
            each(&Notice::OtherNames { path, others });
        }
        Ok(())
    }
}

impl LinkedFile {
    /// Adds what to say of the file, if it has names that were not found.
    fn push_to(self, notices: &mut Sorter) -> Result<(), Error> {
        let others = self.names.saturating_sub(self.found);
        if others == 0 {
            return Ok(());
        }
        let mut value = Vec::new();
        put_u64(&mut value, others);
        value.extend_from_slice(self.path.as_os_str().as_bytes());
        notices.push(path_key(&self.path), value)
    }
}

fn id(file: FileId) -> [u8; FILE_LEN] {
    let mut id = [0; FILE_LEN];
    id[..8].copy_from_slice(&file.dev.to_be_bytes());
    id[8..].copy_from_slice(&file.ino.to_be_bytes());
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(linked: &mut LinkedFiles) -> Vec<(PathBuf, u64)> {
        let mut taken = Vec::new();
        let each = &mut |notice: &Notice| match notice {
            Notice::OtherNames { path, others } => taken.push((path.clone(), *others)),
            other => panic!("{other}"),
        };
        linked.take_notices(each).unwrap();
        taken
    }

    #[test]
    fn names_that_were_not_found_are_said_once_for_each_file_in_the_order_of_paths() {
        let mut linked = LinkedFiles::default();
        let file = |ino| FileId { dev: 1, ino };
        for (ino, names, path) in [
            (1, 3, "/none/z"),
            (2, 2, "/none/b-c"),
            (3, 2, "/none/all"),
            (3, 2, "/none/all-too"),
            (4, 2, "/none/b/c"),
            (5, 1, "/none/one"),
            (1, 3, "/none/y"),
            (1, 3, "/none/y"),
            (6, 2, "/none/forgotten"),
            (7, 2, "/none/noted"),
        ] {
            linked.note(file(ino), names, Path::new(path)).unwrap();
        }
        linked.forget(file(6));
        linked.forget(file(7));
        linked.note(file(7), 2, Path::new("/none/noted again")).unwrap();

        let said = [("b/c", 1), ("b-c", 1), ("noted again", 1), ("y", 1)];
        let said = said.map(|(path, others)| (Path::new("/none").join(path), others));
        assert_eq!(taken(&mut linked), said);
        assert_eq!(taken(&mut linked), []);
    }

    #[test]
    fn a_hundred_thousand_files_of_several_names_are_not_held_in_memory() {
        let mut linked = LinkedFiles::default();
        for ino in 0..100_000 {
            let path = format!("/none/{:06}", ino * 7 % 100_000);
            linked.note(FileId { dev: 1, ino }, 2, Path::new(&path)).unwrap();
        }
        assert!(linked.found.as_ref().is_some_and(Sorter::has_spilled));
        let taken = taken(&mut linked);
        let paths = (0..100_000).map(|at| (PathBuf::from(format!("/none/{at:06}")), 1));
        assert!(taken.into_iter().eq(paths));
    }
}
