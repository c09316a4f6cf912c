//! Which files, directories and links a run is to give another name, and which. The plan is made,
//! and refused if two names would become one, before anything is staged.
//!
//! A run may rename more than memory holds. So the plan is a draft, which is read from its
//! beginning as often as it is needed. What is looked up, the new names of directories above all,
//! is in a table. The names of one directory are in memory together while they are compared.

use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use silkmill::CancelToken;

use crate::error::Error;
use crate::options::{Mode, Options};
use crate::original::directory_of;
use crate::outcome::Outcome;
use crate::run::planned_rename::{PlannedRename, PlannedRenames, put, put_place};
use crate::run::rename_finder::find;
use crate::run::rename_order::{check_name, in_order, may_change};
use crate::store::draft::Draft;
use crate::store::journal::rename::Rename;
use crate::store::journal::source::Source;
use crate::store::table::{Sorter, Table, path_key, path_of_key};
use crate::text::revise::Decision;

/// The renames of a run.
#[derive(Debug, Default)]
pub(crate) struct RenamePlan {
    /// The records of the renames, and how many bytes they take.
    records: Option<(Source, u64)>,
    /// How many renames there are.
    len: u64,
    /// How many matches there are in all names that change.
    pub(crate) replacements: u64,
    /// How many names were looked at.
    pub(crate) names_seen: u64,
    /// What could not be looked at. There is one for every directory that cannot be read.
    pub(crate) failures: Vec<Outcome>,
    /// The new names of directories by their paths from before, with and without symbolic links,
    /// and those of files, without links, if a patch is made.
    by_path: Table,
    /// The directory for what is too much for memory.
    folder: PathBuf,
    has_files: bool,
}

impl RenamePlan {
    /// Finds all names in which the pattern matches. What is too much for memory goes to a file
    /// without a name in the directory `folder`.
    ///
    /// # Errors
    /// A new name is none, is taken, or would be that of two files; or a directory may not be
    /// changed.
    pub(crate) fn new(
        options: &Options,
        folder: &Path,
        cancel: &CancelToken,
    ) -> Result<RenamePlan, Error> {
        let mut found = find(options, folder, cancel)?;
        let mut drafted = Drafted::new(folder, options.mode == Mode::Diff);
        let mut group: Vec<PlannedRename> = Vec::new();
        for it in found.take_sorted()? {
            let it = it?;
            if group.last().is_some_and(|last| last.directory != it.directory) {
                drafted.add_all(std::mem::take(&mut group))?;
            }
            group.push(it);
        }
        drafted.add_all(group)?;
        let plan = drafted.finish()?;
        Ok(RenamePlan { names_seen: found.names_seen, failures: found.failures, ..plan })
    }

    /// Returns the plan with what was decided of each of its renames, in their order.
    ///
    /// # Errors
    /// A new name is none, is taken, or would be that of two files.
    pub(crate) fn decided(&self, decisions: &[Decision]) -> Result<RenamePlan, Error> {
        let mut drafted = Drafted::new(&self.folder, self.has_files);
        let (mut group, mut directory): (Vec<PlannedRename>, Option<Arc<Path>>) =
            (Vec::new(), None);
        for (it, decision) in self.iter().zip(decisions) {
            let mut it = PlannedRename { is_parked: false, ..it? };
            if directory.as_ref() != Some(&it.directory) {
                drafted.add_all(std::mem::take(&mut group))?;
                directory = Some(Arc::clone(&it.directory));
            }
            match decision {
                Decision::No => continue,
                Decision::Yes => {}
                Decision::Edited(to) => {
                    check_name(&it.path(), to)?;
                    it.to = std::ffi::OsString::from_vec(to.clone());
                }
            }
            group.push(it);
        }
        drafted.add_all(group)?;
        Ok(RenamePlan { names_seen: self.names_seen, ..drafted.finish()? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads the renames, the deepest first, those of one directory beside each other.
    pub(crate) fn iter(&self) -> PlannedRenames {
        PlannedRenames::new(self.records.clone())
    }

    /// Returns where a directory is when everything has its new name; or a file, by its path
    /// without symbolic links, if a patch is made.
    pub(crate) fn path_after(&self, path: &Path) -> Result<PathBuf, Error> {
        self.by_path.path_after(path)
    }

    /// Takes the symbolic links out of the path of a file, so that it is called as the renames call
    /// it. Does nothing when nothing is renamed.
    pub(crate) fn resolve(&self, file: &mut PathBuf) {
        if !self.is_empty()
            && let Some(name) = file.file_name()
            && let Ok(directory) = directory_of(file).canonicalize()
        {
            *file = directory.join(name);
        }
    }

    /// Calls `push` with the renames for a journal of a run in this directory.
    ///
    /// # Errors
    /// A directory that is renamed holds the files of the run itself; or `push` fails.
    pub(crate) fn for_journal(
        &self,
        run: &Path,
        staging_dirs: &[PathBuf],
        push: &mut dyn FnMut(Rename) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut parked: Vec<Rename> = Vec::new();
        for it in self.iter() {
            let it = it?;
            if parked.first().is_some_and(|first| first.directory != it.directory) {
                parked.drain(..).try_for_each(&mut *push)?;
            }
            if it.is_directory {
                let source = it.source();
                let own = |path: &Path| path.starts_with(&source);
                if own(run) || staging_dirs.iter().any(|path| own(path)) {
                    let path = it.path();
                    return Err(Error::refused(format!(
                        "failed to rename {path:?}: it holds the files of runs: nothing was changed"
                    )));
                }
            }
            let PlannedRename { directory, from, to, inode, is_parked, .. } = it;
            let [from, to] = [from, to].map(OsStringExt::into_vec);
            let rename = Rename { directory, from, to, inodes: [inode; 2] };
            if is_parked {
                let third = rename.third_name();
                push(Rename { to: third.clone(), ..rename.clone() })?;
                parked.push(Rename { from: third, ..rename });
            } else {
                push(rename)?;
            }
        }
        parked.into_iter().try_for_each(push)
    }

    /// Calls `each` with every file and link that gets another path, itself or with a directory
    /// above it, in the order of their paths.
    pub(crate) fn for_each_moved(
        &self,
        each: &mut dyn FnMut(PathBuf) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut moved = Sorter::new(&self.folder);
        for it in self.iter() {
            let it = it?;
            match it.is_directory {
                true => add_all_below(&it.source(), &mut moved)?,
                false => moved.push(path_key(&it.source()), Vec::new())?,
            }
        }
        let mut last = None;
        for moved in moved.sorted()? {
            let key = moved?.key;
            if last.as_ref() != Some(&key) {
                each(path_of_key(key.clone()))?;
                last = Some(key);
            }
        }
        Ok(())
    }
}

/// Adds whatever a patch can move. What cannot be read is left out; the run does not need it.
fn add_all_below(folder: &Path, to: &mut Sorter) -> Result<(), Error> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => add_all_below(&entry.path(), to)?,
            Ok(_) => to.push(path_key(&entry.path()), Vec::new())?,
            Err(_) => {}
        }
    }
    Ok(())
}

/// A plan that is being made.
struct Drafted {
    draft: Draft,
    by_path: Sorter,
    folder: PathBuf,
    has_files: bool,
    len: u64,
    replacements: u64,
    /// The last two directories that were written.
    place: Option<(Arc<Path>, Arc<Path>)>,
}

impl Drafted {
    fn new(folder: &Path, has_files: bool) -> Drafted {
        Drafted {
            draft: Draft::new(folder),
            by_path: Sorter::new(folder),
            folder: folder.to_path_buf(),
            has_files,
            len: 0,
            replacements: 0,
            place: None,
        }
    }

    /// Adds all renames of one directory, in the order in which their names are free.
    fn add_all(&mut self, group: Vec<PlannedRename>) -> Result<(), Error> {
        let Some(first) = group.first() else { return Ok(()) };
        let directory = Arc::clone(&first.directory);
        may_change(&directory)?;
        in_order(&directory, group)?.into_iter().try_for_each(|it| self.add(it))
    }

    fn add(&mut self, it: PlannedRename) -> Result<(), Error> {
        self.len += 1;
        self.replacements += it.replacements;
        let key = |path: PathBuf| path.into_os_string().into_vec();
        if it.is_directory || self.has_files {
            self.by_path.push(key(it.source()), it.to.as_bytes().to_vec())?;
        }
        if it.is_directory {
            self.by_path.push(key(it.path()), it.to.as_bytes().to_vec())?;
        }
        let place = (Arc::clone(&it.folder), Arc::clone(&it.directory));
        if self.place.as_ref() != Some(&place) {
            self.draft.put(|out| put_place(&place, out))?;
            self.place = Some(place);
        }
        self.draft.put(|out| put(&it, out))
    }

    fn finish(self) -> Result<RenamePlan, Error> {
        Ok(RenamePlan {
            records: Some(self.draft.finish()?),
            len: self.len,
            replacements: self.replacements,
            by_path: self.by_path.table()?,
            folder: self.folder,
            has_files: self.has_files,
            ..RenamePlan::default()
        })
    }
}
