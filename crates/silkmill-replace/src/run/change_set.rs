//! What a run is about to change: the staged new text, once for each file, in the order of the
//! walk.
//!
//! A run may change more files than memory holds. What is known of the first ones is in memory;
//! when it is too much, it goes to a spool on disk, and with it all that follows.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::file_set::FileSet;
use crate::options::HardLinks;
use crate::original::{FileId, directory_of};
use crate::outcome::{Action, Outcome};
use crate::store::journal::writer::Writer;
use crate::store::journal::{Entry, Method};
use crate::store::spool::{Merge, Spool, Spooled, unkept};
use crate::store::spooled_file::{Counts, SpooledFile};
use crate::transaction::stage::{Staged, StagingDir, Temporary};

/// How many files are held in memory. They take some three megabytes.
const HELD_MAX: usize = 4 << 10;

/// How many directories of the last files are shared.
const RECENT_MAX: usize = 16;

/// New text that waits to be committed.
#[derive(Debug)]
pub(super) struct StagedFile {
    pub(super) file: SpooledFile,
    /// The staged file itself, which is removed with this.
    temporary: Temporary,
}

/// The staged files of a run.
#[derive(Debug)]
pub(super) struct ChangeSet {
    hard_links: HardLinks,
    /// Every file that was reported or staged, so that a file that is reached by two paths is
    /// changed once.
    reported: FileSet,
    /// Every file that was staged.
    staged: FileSet,
    /// The files that were staged more than once, by other names or paths.
    repeated: FileSet,
    /// The names, by directory, that get a file of their own when hard links are split. It grows
    /// with their number, because each is decided upon when it is found, by its exact name.
    split: HashSet<(FileId, OsString)>,
    /// The directories of staged files, to which entries refer.
    staging_dirs: Vec<Arc<StagingDir>>,
    recent: VecDeque<Arc<Path>>,
    files: Vec<StagedFile>,
    spool: Option<Spool<SpooledFile>>,
    /// The directory of the run. Without one, as while changes are reviewed, all is held in memory.
    folder: Option<PathBuf>,
    len: u64,
}

impl ChangeSet {
    pub(super) fn new(hard_links: HardLinks) -> ChangeSet {
        ChangeSet {
            hard_links,
            reported: FileSet::default(),
            staged: FileSet::default(),
            repeated: FileSet::default(),
            split: HashSet::new(),
            staging_dirs: Vec::new(),
            recent: VecDeque::new(),
            files: Vec::new(),
            spool: None,
            folder: None,
            len: 0,
        }
    }

    /// Lets what is too much for memory go to the directory of the run.
    pub(super) fn spool_in(&mut self, folder: &Path) {
        self.folder = Some(folder.to_path_buf());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Notes that a file is reported. Returns whether it is the first time.
    pub(super) fn note(&mut self, file: FileId) -> bool {
        self.reported.insert(file)
    }

    /// Adds new text. Returns whether it is the first for its file.
    pub(super) fn add(
        &mut self,
        place: u64,
        staged: Box<Staged>,
        outcome: Outcome,
    ) -> Result<bool, Error> {
        let file = staged.identity.file;
        let is_new = self.is_new(&staged);
        if is_new {
            self.staged.insert(file);
        } else if self.hard_links == HardLinks::Split
            || self.folder.is_none()
            || !self.staged.contains(file)
        {
            return Ok(false);
        } else {
            // The first of its names or paths counts, not the one that a worker happened to read
            // first. Which one that is, is known in the end.
            self.repeated.insert(file);
        }
        self.len += 1;
        let staged = self.staged_file(place, *staged, outcome);
        self.files.push(staged);
        if self.files.len() >= HELD_MAX && self.folder.is_some() {
            self.spill()?;
        }
        Ok(is_new)
    }

    /// Returns whether nothing is staged for the file yet. When hard links are split, each name
    /// counts as a file.
    fn is_new(&mut self, staged: &Staged) -> bool {
        let is_first = self.reported.insert(staged.identity.file);
        if self.hard_links != HardLinks::Split || staged.method != Method::Exchange {
            return is_first;
        }
        let directory = std::fs::metadata(directory_of(&staged.target));
        let name = staged.target.file_name().unwrap_or_default().to_os_string();
        match directory {
            Ok(directory) => self.split.insert((FileId::of(&directory), name)),
            Err(_) => is_first,
        }
    }

    fn staged_file(&mut self, place: u64, staged: Staged, outcome: Outcome) -> StagedFile {
        let Staged { target, identity, new, old_text, new_text, temporary, method } = staged;
        let known = self.staging_dirs.iter().position(|dir| Arc::ptr_eq(dir, &temporary.dir));
        let staging_dir = known.unwrap_or_else(|| {
            self.staging_dirs.push(Arc::clone(&temporary.dir));
            self.staging_dirs.len() - 1
        });
        let entry = Entry {
            directory: self.directory(directory_of(&target)),
            name: target.file_name().unwrap_or_default().as_bytes().to_vec(),
            staging_dir: u32::try_from(staging_dir).expect("there are few staging directories"),
            number: temporary.number,
            method,
            old: identity,
            new,
            old_text,
            new_text,
        };
        let Outcome { path, replacements, bytes_before, bytes_after, names, .. } = outcome;
        let counts = Counts { replacements, bytes_before, bytes_after, names };
        StagedFile { file: SpooledFile { place, path, entry, counts }, temporary }
    }

    fn directory(&mut self, directory: &Path) -> Arc<Path> {
        let is_it = |known: &&Arc<Path>| known.as_os_str() == directory.as_os_str();
        if let Some(known) = self.recent.iter().rev().find(is_it) {
            return Arc::clone(known);
        }
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        let shared: Arc<Path> = directory.into();
        self.recent.push_back(Arc::clone(&shared));
        shared
    }

    /// Moves what is in memory to the spool. From now on the staged files are removed with the
    /// directory of the run, if it fails.
    fn spill(&mut self) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let spool = match &mut self.spool {
            Some(spool) => spool,
            None => self.spool.insert(Spool::new(folder).map_err(unkept)?),
        };
        let mut files = std::mem::take(&mut self.files);
        files.sort_unstable_by(|a, b| a.file.in_order(&b.file));
        spool.write(files.into_iter().map(|mut it| {
            it.temporary.keep();
            it.file
        }))
    }

    /// Removes the text that was added last, and its staged file.
    pub(super) fn take_back(&mut self) -> Option<SpooledFile> {
        let StagedFile { file, .. } = self.files.pop()?;
        self.len -= 1;
        self.reported.remove(file.entry.old.file);
        self.staged.remove(file.entry.old.file);
        let directory = std::fs::metadata(&file.entry.directory);
        let name = OsString::from(std::ffi::OsStr::from_bytes(&file.entry.name));
        if let Ok(directory) = directory {
            self.split.remove(&(FileId::of(&directory), name));
        }
        Some(file)
    }

    /// Returns the directories of staged files, in the order of their places.
    pub(super) fn staging_dirs(&self) -> Vec<PathBuf> {
        self.staging_dirs.iter().map(|dir| dir.path.clone()).collect()
    }

    /// Writes the files to a journal, in the order of the walk. Returns what is reported of them
    /// when they are committed; until then it removes those that are in memory when it is dropped.
    pub(super) fn write_to(&mut self, writer: &mut Writer) -> Result<Committing, Error> {
        let repeated = std::mem::take(&mut self.repeated);
        // The first of a file's paths counts.
        let mut seen = FileSet::default();
        let mut counts = move |file: FileId| !repeated.contains(file) || seen.insert(file);
        let write = |writer: &mut Writer, file: &SpooledFile| {
            writer.push(&file.entry).map_err(|error| Error::io("write", "journal".as_ref(), error))
        };
        if self.spool.is_none() {
            let mut files = std::mem::take(&mut self.files);
            files.sort_unstable_by(|a, b| a.file.in_order(&b.file));
            files.retain(|it| counts(it.file.entry.old.file));
            for it in &files {
                write(writer, &it.file)?;
            }
            return Ok(Committing { held: files, reports: None });
        }
        self.spill()?;
        let spool = self.spool.take().expect("there is one");
        let folder = self.folder.as_deref().expect("a spool is in a folder");
        let mut reports = Spool::new(folder).map_err(unkept)?;
        let mut failed = None;
        let files = spool.merge()?.filter_map(|file| {
            let file = match file {
                Ok(file) if counts(file.entry.old.file) => file,
                Ok(file) => {
                    let dir = &self.staging_dirs[file.entry.staging_dir as usize];
                    dir.remove(file.entry.number);
                    return None;
                }
                Err(error) => {
                    failed.get_or_insert(error);
                    return None;
                }
            };
            if failed.is_none() {
                failed = write(writer, &file).err();
            }
            Some(file)
        });
        reports.write(files)?;
        match failed {
            Some(error) => Err(error),
            None => Ok(Committing { held: Vec::new(), reports: Some(reports) }),
        }
    }
}

/// The files of a run whose journal is written.
#[derive(Debug)]
pub(super) struct Committing {
    held: Vec<StagedFile>,
    /// The files in order, if they are too many for memory.
    reports: Option<Spool<SpooledFile>>,
}

impl Committing {
    /// Keeps the staged files when this is dropped, because they are committed.
    pub(super) fn keep_files(&mut self) {
        self.held.iter_mut().for_each(|it| it.temporary.keep());
    }

    /// Returns what is reported of each file that has changed, in the order of the walk, and the
    /// file's own path.
    pub(super) fn outcomes(self) -> Result<Outcomes, Error> {
        let merged = self.reports.map(|reports| reports.merge()).transpose()?;
        Ok(Outcomes { held: self.held.into_iter(), merged })
    }
}

/// What is reported of the files that have changed.
#[derive(Debug)]
pub(super) struct Outcomes {
    held: std::vec::IntoIter<StagedFile>,
    merged: Option<Merge<SpooledFile>>,
}

impl Iterator for Outcomes {
    type Item = Result<(PathBuf, Outcome), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let file = match &mut self.merged {
            None => Ok(self.held.next()?.file),
            Some(merged) => merged.next()?,
        };
        Some(file.map(|SpooledFile { path, entry, counts, .. }| {
            let Counts { replacements, bytes_before, bytes_after, names } = counts;
            let action = Action::Changed;
            let outcome = Outcome { path, action, replacements, bytes_before, bytes_after, names };
            (entry.target(), outcome)
        }))
    }
}
