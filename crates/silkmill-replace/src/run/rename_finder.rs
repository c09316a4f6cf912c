//! Finds the names in which a pattern matches, and sorts them by their directories.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use silkmill::CancelToken;

use crate::error::Error;
use crate::options::Options;
use crate::original::directory_of;
use crate::outcome::Outcome;
use crate::pattern::Cache;
use crate::run::planned_rename::{PlannedRename, put_name, read_name};
use crate::run::rename_order::{check_name, refused};
use crate::store::journal::bytes::{Reader, put_path};
use crate::store::journal::record::JournalError;
use crate::store::journal::records::ReadError;
use crate::store::table::{Pair, Sorted, Sorter, path_key};
use crate::text::edit::{EditError, edit_from};
use crate::walk::below_root;
use crate::walk::filter::Filter;
use crate::walk::follow::is_passed_over;
use crate::walk::found::{lost_below, plain};
use crate::walk::named::{NamedPath, enter, once};

/// The number of directories that are known without links at a time.
const DIRECTORIES_KNOWN_MAX: usize = 1 << 10;

/// The names that were found.
pub(super) struct FoundNames {
    names: Option<Sorter>,
    /// The number of names that were looked at.
    pub(super) names_seen: u64,
    /// The names that could not be looked at.
    pub(super) failures: Vec<Outcome>,
}

/// Finds all names in which the pattern matches.
pub(super) fn find(
    options: &Options,
    folder: &Path,
    cancel: &CancelToken,
) -> Result<FoundNames, Error> {
    let mut finder = Finder {
        options,
        cache: options.pattern.cache(),
        directories: HashMap::new(),
        found: Sorter::new(folder),
        count: 0,
        names_seen: 0,
        failures: Vec::new(),
    };
    let mut filter = options.filter.clone();
    for root in once(&options.paths, &mut filter) {
        finder.look_below(&root, &filter, cancel)?;
    }
    let Finder { found, names_seen, failures, .. } = finder;
    Ok(FoundNames { names: Some(found), names_seen, failures })
}

impl FoundNames {
    /// Takes the names, the deepest first, those of one directory beside each other. Each comes
    /// once, by the path by which it was reached first.
    pub(super) fn take_sorted(&mut self) -> Result<SortedNames, Error> {
        let sorted = self.names.take().map(Sorter::sorted).transpose()?;
        Ok(SortedNames { sorted, last: None, place: None })
    }
}

/// Reads the names in their order.
pub(super) struct SortedNames {
    sorted: Option<Sorted>,
    last: Option<Vec<u8>>,
    place: Option<(Arc<Path>, Arc<Path>)>,
}

impl Iterator for SortedNames {
    type Item = Result<PlannedRename, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let pair = match self.sorted.as_mut()?.next()? {
                Ok(pair) => pair,
                Err(error) => return Some(Err(error)),
            };
            if self.last.as_ref() == Some(&pair.key) {
                continue;
            }
            let read = self.read(&pair.value);
            self.last = Some(pair.key);
            return Some(read.ok_or_else(|| ReadError::Journal(JournalError::Damaged).into()));
        }
    }
}

impl SortedNames {
    fn read(&mut self, value: &[u8]) -> Option<PlannedRename> {
        let mut reader = Reader(value.get(8..)?);
        let (folder, directory) = (reader.path()?, reader.path()?);
        let place = match &self.place {
            Some(place) if *place.0 == *folder && *place.1 == *directory => place,
            _ => self.place.insert((folder.into(), directory.into())),
        };
        read_name(place, reader)
    }
}

/// Returns a rename as what is sorted: by the depth of its directory, the deepest first, then by
/// the directory and the name, and then by the number of its place among all that were found.
fn pair(it: &PlannedRename, number: u64) -> Pair {
    let depth = u32::try_from(it.directory.components().count()).expect("paths are short");
    let mut key = (!depth).to_be_bytes().to_vec();
    key.extend(path_key(&it.directory));
    key.extend([0, 0]);
    key.extend(it.from.as_bytes());
    let mut value = number.to_be_bytes().to_vec();
    put_path(&mut value, &it.folder);
    put_path(&mut value, &it.directory);
    put_name(it, &mut value);
    Pair { key, value }
}

/// Collects names that match.
struct Finder<'a> {
    options: &'a Options,
    cache: Cache,
    /// Some of the directories, without symbolic links, by their paths.
    directories: HashMap<PathBuf, Arc<Path>>,
    found: Sorter,
    /// The number of names that were found.
    count: u64,
    names_seen: u64,
    failures: Vec<Outcome>,
}

impl Finder<'_> {
    fn look_below(
        &mut self,
        root: &Path,
        filter: &Filter,
        cancel: &CancelToken,
    ) -> Result<(), Error> {
        let view = match enter(root, filter) {
            NamedPath::File(Err(outcome)) => {
                self.failures.push(outcome);
                return Ok(());
            }
            NamedPath::Excluded => return Ok(()),
            NamedPath::File(Ok(_)) => return self.look_at(root),
            NamedPath::Directory(view) => view,
        };
        self.look_at(root)?;
        for entry in below_root(&view, filter).sort_by_file_name(OsStr::cmp).build() {
            if cancel.is_cancelled() {
                return Err(Error::interrupted());
            }
            let entry = match entry {
                Ok(entry) if entry.depth() == 0 => continue,
                Ok(entry) => entry,
                Err(error) if is_passed_over(filter, &error) => continue,
                Err(error) => {
                    self.failures.push(lost_below(root, &error));
                    continue;
                }
            };
            let kind = entry.file_type();
            let is_kind = kind.is_some_and(|it| it.is_file() || it.is_dir() || it.is_symlink());
            if is_kind && filter.takes(&view, entry.path()) {
                self.look_at(entry.path())?;
            }
        }
        Ok(())
    }

    fn look_at(&mut self, path: &Path) -> Result<(), Error> {
        let Some(from) = path.file_name() else { return Ok(()) };
        self.names_seen += 1;
        let (limit, mut to) = (self.options.file_replacements_max, Vec::new());
        let edited = edit_from(
            0,
            &self.options.pattern,
            &mut self.cache,
            from.as_bytes(),
            limit,
            &mut to,
            |_, _| {},
        );
        let path = plain(path);
        let replacements = match edited {
            Ok(0) => return Ok(()),
            Ok(_) if to == from.as_bytes() => return Ok(()),
            Ok(replacements) => replacements,
            Err(EditError::TooLarge) => return Err(refused(&path, "the new name is too long")),
            Err(EditError::TooManySteps) => {
                return Err(refused(&path, "the regex backtracks too often in it"));
            }
        };
        check_name(&path, &to)?;
        let failed = |error| Error::io("rename", &path, error);
        let metadata = fs::symlink_metadata(&path).map_err(failed)?;
        let planned = PlannedRename {
            folder: path.parent().unwrap_or(Path::new("")).into(),
            directory: self.directory(directory_of(&path)).map_err(failed)?,
            from: from.to_os_string(),
            to: OsString::from_vec(to),
            inode: metadata.ino(),
            is_directory: metadata.is_dir(),
            replacements,
            is_parked: false,
        };
        let Pair { key, value } = pair(&planned, self.count);
        self.count += 1;
        self.found.push(key, value)
    }

    /// Returns a directory without symbolic links.
    fn directory(&mut self, folder: &Path) -> std::io::Result<Arc<Path>> {
        if let Some(directory) = self.directories.get(folder) {
            return Ok(Arc::clone(directory));
        }
        if self.directories.len() >= DIRECTORIES_KNOWN_MAX {
            self.directories.clear();
        }
        let directory: Arc<Path> = folder.canonicalize()?.into();
        self.directories.insert(folder.to_path_buf(), Arc::clone(&directory));
        Ok(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_come_deepest_first_by_directory_and_once(
            found in prop::collection::vec(("(/[a-b-]{1,2}){1,3}", "[x-z]{1,2}"), 0..40),
        ) {
            let mut names = Sorter::new(&std::env::temp_dir());
            let mut naive: Vec<PlannedRename> = Vec::new();
            for (number, (directory, from)) in found.iter().enumerate() {
                let it = PlannedRename {
                    // By this one sees which of several paths it was.
                    folder: PathBuf::from(number.to_string()).into(),
                    directory: Path::new(directory).into(),
                    from: from.into(),
                    to: "to".into(),
                    inode: 7,
                    is_directory: true,
                    replacements: 1,
                    is_parked: false,
                };
                let Pair { key, value } = pair(&it, number as u64);
                names.push(key, value).unwrap();
                if !naive.iter().any(|other| other.source() == it.source()) {
                    naive.push(it);
                }
            }
            naive.sort_by(|a, b| {
                let depth = |it: &PlannedRename| it.directory.components().count();
                let by_depth = depth(b).cmp(&depth(a));
                by_depth.then(a.directory.cmp(&b.directory)).then(a.from.cmp(&b.from))
            });
            let mut found = FoundNames { names: Some(names), names_seen: 0, failures: Vec::new() };

            let sorted: Vec<_> = found.take_sorted().unwrap().map(Result::unwrap).collect();

            prop_assert_eq!(sorted, naive);
        }
    }
}
