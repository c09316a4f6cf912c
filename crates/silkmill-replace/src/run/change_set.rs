//! What a run is about to change: the staged new text, once for each file, in the order of the
//! walk.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;

use crate::options::HardLinks;
use crate::original::{FileId, directory_of};
use crate::outcome::Outcome;
use crate::store::journal::Method;
use crate::transaction::stage::Staged;

/// New text that waits to be committed.
pub(super) struct StagedFile {
    /// The place of the file in the walk, which several files may share.
    pub(super) place: u64,
    pub(super) staged: Box<Staged>,
    /// What is reported when the file has changed.
    pub(super) outcome: Outcome,
}

impl StagedFile {
    /// Compares by the paths of the run, and below each by name.
    fn in_order(&self, other: &StagedFile) -> Ordering {
        let by_place = self.place.cmp(&other.place);
        by_place.then_with(|| self.outcome.path.cmp(&other.outcome.path))
    }
}

/// The staged files of a run.
pub(super) struct ChangeSet {
    hard_links: HardLinks,
    /// Every file that was reported or staged, so that a file that is reached by two paths is
    /// changed once. Its size depends on the number of matching files, not on that of all files.
    reported: HashSet<FileId>,
    /// The names, by directory, that get a file of their own when hard links are split.
    split: HashSet<(FileId, OsString)>,
    files: Vec<StagedFile>,
    /// New text for files for which some is staged already, by another name or path.
    duplicates: Vec<StagedFile>,
}

impl ChangeSet {
    pub(super) fn new(hard_links: HardLinks) -> ChangeSet {
        ChangeSet {
            hard_links,
            reported: HashSet::new(),
            split: HashSet::new(),
            files: Vec::new(),
            duplicates: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Notes that a file is reported. Returns whether it is the first time.
    pub(super) fn note(&mut self, file: FileId) -> bool {
        self.reported.insert(file)
    }

    /// Adds new text. Returns whether it is the first for its file.
    pub(super) fn add(&mut self, file: StagedFile) -> bool {
        let is_new = self.is_new(&file.staged);
        if is_new {
            self.files.push(file);
        } else if self.hard_links != HardLinks::Split {
            self.duplicates.push(file);
        }
        is_new
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

    /// Removes the text that was added last, and its staged file.
    pub(super) fn take_back(&mut self) -> Option<StagedFile> {
        let file = self.files.pop()?;
        self.reported.remove(&file.staged.identity.file);
        let directory = std::fs::metadata(directory_of(&file.staged.target));
        let name = file.staged.target.file_name().unwrap_or_default().to_os_string();
        if let Ok(directory) = directory {
            self.split.remove(&(FileId::of(&directory), name));
        }
        Some(file)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Staged> {
        self.files.iter().map(|file| &*file.staged)
    }

    /// Sorts the files into the order of the walk.
    pub(super) fn put_in_order(&mut self) {
        self.prefer_first_names();
        self.files.sort_unstable_by(StagedFile::in_order);
    }

    /// Keeps the staged files when this is dropped, because they are committed.
    pub(super) fn keep_files(&mut self) {
        self.files.iter_mut().for_each(|file| file.staged.temporary.keep());
    }

    pub(super) fn take(&mut self) -> Vec<StagedFile> {
        std::mem::take(&mut self.files)
    }

    /// Reports and undoes a file of several names or paths by the first of them, not by the one
    /// that a worker happened to read first.
    fn prefer_first_names(&mut self) {
        let duplicates = std::mem::take(&mut self.duplicates);
        if duplicates.is_empty() {
            return;
        }
        let places = self.files.iter().enumerate();
        let places: HashMap<FileId, usize> =
            places.map(|(at, file)| (file.staged.identity.file, at)).collect();
        for mut other in duplicates {
            let at = places.get(&other.staged.identity.file);
            if let Some(file) = at.and_then(|&at| self.files.get_mut(at))
                && other.in_order(file).is_lt()
            {
                std::mem::swap(file, &mut other);
            }
        }
    }
}
