//! Which files, directories and links a run is to give another name, and which. The plan is made,
//! and refused if two names would become one, before anything is staged.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use silkmill::CancelToken;

use crate::error::Error;
use crate::options::Options;
use crate::original::directory_of;
use crate::outcome::Outcome;
use crate::pattern::Cache;
use crate::store::journal::rename::Rename;
use crate::store::journal::renamed::shared;
use crate::text::edit::{EditError, edit_from};
use crate::text::revise::Decision;
use crate::transaction::rename::is_same_but_case;
use crate::walk::below_root;
use crate::walk::filter::Filter;
use crate::walk::follow::is_passed_over;
use crate::walk::found::{lost_below, plain};
use crate::walk::named::{NamedPath, enter, once};

/// The longest name of a file, in bytes, on the filesystems of Linux.
const NAME_LEN_MAX: usize = 255;

/// The renames of a run.
#[derive(Debug, Default)]
pub(crate) struct RenamePlan {
    /// The deepest first, those of one directory beside each other.
    pub(crate) renames: Vec<PlannedRename>,
    /// How many names were looked at.
    pub(crate) names_seen: u64,
    /// What could not be looked at.
    pub(crate) failures: Vec<Outcome>,
    /// The new names by the path from before, with and without symbolic links.
    by_path: HashMap<PathBuf, OsString>,
}

/// A name that becomes another one.
#[derive(Clone, Debug)]
pub(crate) struct PlannedRename {
    /// The path by which the run reached it.
    pub(crate) path: PathBuf,
    /// Its directory, without symbolic links.
    pub(crate) directory: PathBuf,
    pub(crate) from: OsString,
    pub(crate) to: OsString,
    pub(crate) inode: u64,
    pub(crate) is_directory: bool,
    pub(crate) replacements: u64,
    /// Whether it has a third name for a while, because its new name is free only when its old one
    /// was given away.
    is_parked: bool,
}

impl PlannedRename {
    /// Returns the path from before, without symbolic links.
    pub(crate) fn source(&self) -> PathBuf {
        self.directory.join(&self.from)
    }
}

impl RenamePlan {
    /// Finds all names in which the pattern matches.
    ///
    /// # Errors
    /// A new name is none, is taken, or would be that of two files; or a directory may not be
    /// changed.
    pub(crate) fn new(options: &Options, cancel: &CancelToken) -> Result<RenamePlan, Error> {
        let mut plan = RenamePlan::default();
        let mut finder = Finder {
            options,
            cache: options.pattern.cache(),
            seen: HashSet::new(),
            directories: HashMap::new(),
            found: BTreeMap::new(),
        };
        let mut filter = options.filter.clone();
        for root in once(&options.paths, &mut filter) {
            finder.look_below(&root, &filter, cancel, &mut plan)?;
        }
        // A deeper path has more components, and comes first.
        let mut groups: Vec<_> = finder.found.into_iter().collect();
        groups.sort_by_key(|(directory, _)| std::cmp::Reverse(directory.components().count()));
        for (directory, group) in groups {
            may_change(&directory)?;
            plan.renames.extend(in_order(&directory, group)?);
        }
        plan.index();
        Ok(plan)
    }

    fn index(&mut self) {
        for it in &self.renames {
            self.by_path.insert(it.source(), it.to.clone());
            self.by_path.insert(it.path.clone(), it.to.clone());
        }
    }

    /// Returns the plan with what was decided of each of its renames, in their order.
    ///
    /// # Errors
    /// A new name is none, is taken, or would be that of two files.
    pub(crate) fn decided(&self, decisions: &[Decision]) -> Result<RenamePlan, Error> {
        let mut plan = RenamePlan { names_seen: self.names_seen, ..RenamePlan::default() };
        let decided: Vec<_> = self.renames.iter().zip(decisions).collect();
        for chunk in decided.chunk_by(|(a, _), (b, _)| a.directory == b.directory) {
            let mut group = Vec::new();
            for (it, decision) in chunk {
                let to = match decision {
                    Decision::No => continue,
                    Decision::Yes => it.to.clone(),
                    Decision::Edited(to) => {
                        check_name(&it.path, to)?;
                        OsString::from_vec(to.clone())
                    }
                };
                group.push(PlannedRename { to, is_parked: false, ..(*it).clone() });
            }
            plan.renames.extend(in_order(&chunk[0].0.directory, group)?);
        }
        plan.index();
        Ok(plan)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.renames.is_empty()
    }

    /// Returns where a file is when everything has its new name.
    pub(crate) fn path_after(&self, path: &Path) -> PathBuf {
        let (mut before, mut after) = (PathBuf::new(), PathBuf::new());
        for component in path {
            before.push(component);
            after.push(self.by_path.get(&before).map_or(component, |name| name.as_os_str()));
        }
        after
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

    /// Returns the renames for a journal of a run in this directory.
    ///
    /// # Errors
    /// A directory that is renamed holds the files of the run itself.
    pub(crate) fn for_journal(
        &self,
        run: &Path,
        staging_dirs: &[PathBuf],
    ) -> Result<Vec<Rename>, Error> {
        let mut renames: Vec<Rename> = Vec::with_capacity(self.renames.len());
        let mut parked: Vec<Rename> = Vec::new();
        for it in &self.renames {
            if parked.first().is_some_and(|first| *first.directory != *it.directory) {
                renames.append(&mut parked);
            }
            let source = it.source();
            let own = |path: &Path| path.starts_with(&source);
            let holds_own = own(run) || staging_dirs.iter().any(|path| own(path));
            if it.is_directory && holds_own {
                let path = &it.path;
                return Err(Error::refused(format!(
                    "failed to rename {path:?}: it holds the files of runs: nothing was changed"
                )));
            }
            let [from, to] = [&it.from, &it.to].map(|name| name.as_bytes().to_vec());
            let directory = shared(renames.last(), &it.directory);
            let rename = Rename { directory, from, to, inodes: [it.inode; 2] };
            if it.is_parked {
                let third = rename.third_name();
                renames.push(Rename { to: third.clone(), ..rename.clone() });
                parked.push(Rename { from: third, ..rename });
            } else {
                renames.push(rename);
            }
        }
        renames.append(&mut parked);
        Ok(renames)
    }

    /// Returns every file and link that gets another path, itself or with a directory above it, in
    /// the order of their paths.
    pub(crate) fn moved(&self) -> Vec<PathBuf> {
        let mut moved = Vec::new();
        for it in &self.renames {
            match it.is_directory {
                true => add_all_below(&it.source(), &mut moved),
                false => moved.push(it.source()),
            }
        }
        moved.sort_unstable();
        moved.dedup();
        moved
    }
}

/// Adds whatever a patch can move. What cannot be read is left out; the run does not need it.
fn add_all_below(folder: &Path, to: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => add_all_below(&entry.path(), to),
            Ok(_) => to.push(entry.path()),
            Err(_) => {}
        }
    }
}

/// Collects names that match.
struct Finder<'a> {
    options: &'a Options,
    cache: Cache,
    seen: HashSet<PathBuf>,
    /// Directories without symbolic links, by their paths.
    directories: HashMap<PathBuf, PathBuf>,
    found: BTreeMap<PathBuf, Vec<PlannedRename>>,
}

impl Finder<'_> {
    fn look_below(
        &mut self,
        root: &Path,
        filter: &Filter,
        cancel: &CancelToken,
        plan: &mut RenamePlan,
    ) -> Result<(), Error> {
        let view = match enter(root, filter) {
            NamedPath::File(Err(outcome)) => {
                plan.failures.push(outcome);
                return Ok(());
            }
            NamedPath::Excluded => return Ok(()),
            NamedPath::File(Ok(_)) => return self.look_at(root, plan),
            NamedPath::Directory(view) => view,
        };
        self.look_at(root, plan)?;
        for entry in below_root(&view, filter).sort_by_file_name(OsStr::cmp).build() {
            if cancel.is_cancelled() {
                return Err(Error::interrupted());
            }
            let entry = match entry {
                Ok(entry) if entry.depth() == 0 => continue,
                Ok(entry) => entry,
                Err(error) if is_passed_over(filter, &error) => continue,
                Err(error) => {
                    plan.failures.push(lost_below(root, &error));
                    continue;
                }
            };
            let kind = entry.file_type();
            let is_kind = kind.is_some_and(|it| it.is_file() || it.is_dir() || it.is_symlink());
            if is_kind && filter.takes(&view, entry.path()) {
                self.look_at(entry.path(), plan)?;
            }
        }
        Ok(())
    }

    fn look_at(&mut self, path: &Path, plan: &mut RenamePlan) -> Result<(), Error> {
        let Some(from) = path.file_name() else { return Ok(()) };
        plan.names_seen += 1;
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
        let folder = directory_of(&path);
        let directory = match self.directories.get(folder) {
            Some(directory) => directory.clone(),
            None => {
                let directory = folder.canonicalize().map_err(failed)?;
                self.directories.insert(folder.to_path_buf(), directory.clone());
                directory
            }
        };
        if !self.seen.insert(directory.join(from)) {
            return Ok(());
        }
        let metadata = fs::symlink_metadata(&path).map_err(failed)?;
        let (from, to) = (from.to_os_string(), OsString::from_vec(to));
        let (inode, is_directory) = (metadata.ino(), metadata.is_dir());
        let planned = PlannedRename {
            path,
            directory: directory.clone(),
            from,
            to,
            inode,
            is_directory,
            replacements,
            is_parked: false,
        };
        self.found.entry(directory).or_default().push(planned);
        Ok(())
    }
}

fn check_name(path: &Path, to: &[u8]) -> Result<(), Error> {
    let shown = String::from_utf8_lossy(to);
    match to {
        b"" => Err(refused(path, "the new name is empty")),
        b"." | b".." => Err(refused(path, format!("{shown:?} is no name"))),
        _ if to.contains(&b'/') || to.contains(&0) => {
            Err(refused(path, format!("{shown:?} is no name")))
        }
        _ if to.len() > NAME_LEN_MAX => Err(refused(path, "the new name is too long")),
        _ => Ok(()),
    }
}

fn refused(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::refused(format!("failed to rename {path:?}: {why}: nothing was changed"))
}

fn may_change(directory: &Path) -> Result<(), Error> {
    accessat(CWD, directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|error| Error::io("rename what is in", directory, error))
}

/// Orders the renames of a directory so that a name is free when its turn comes.
fn in_order(directory: &Path, group: Vec<PlannedRename>) -> Result<Vec<PlannedRename>, Error> {
    let mut by_new: HashMap<&OsStr, &PlannedRename> = HashMap::new();
    for it in &group {
        if let Some(other) = by_new.insert(&it.to, it) {
            let why = format!("{:?} would get the same name, {:?}", other.path, it.to);
            return Err(refused(&it.path, why));
        }
    }
    let renamed: HashSet<&OsStr> = group.iter().map(|it| it.from.as_os_str()).collect();
    for it in group.iter().filter(|it| !renamed.contains(it.to.as_os_str())) {
        // A filesystem that ignores case finds the file itself.
        let taken = fs::symlink_metadata(directory.join(&it.to)).ok();
        let is_itself =
            |found: &fs::Metadata| found.ino() == it.inode && is_same_but_case(&it.from, &it.to);
        if taken.is_some_and(|found| !is_itself(&found) || is_listed(directory, &it.to)) {
            return Err(refused(&it.path, format!("{:?} exists", it.path.with_file_name(&it.to))));
        }
    }
    let mut left: HashSet<OsString> = group.iter().map(|it| it.from.clone()).collect();
    let (mut ordered, mut waiting) = (Vec::with_capacity(group.len()), group);
    while !waiting.is_empty() {
        let count = waiting.len();
        let mut still = Vec::new();
        for it in waiting {
            if left.contains(&it.to) && it.to != it.from {
                still.push(it);
            } else {
                left.remove(&it.from);
                ordered.push(it);
            }
        }
        if still.len() == count {
            // Their names change places.
            let mut parked = still.remove(0);
            left.remove(&parked.from);
            parked.is_parked = true;
            ordered.push(parked);
        }
        waiting = still;
    }
    Ok(ordered)
}

/// Returns whether a directory lists a name as it is written. Where case is ignored, a file is
/// found by names that are not listed.
fn is_listed(directory: &Path, name: &OsStr) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name() == name)
}
