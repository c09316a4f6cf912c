//! The changed files that have several names, some of which the run may not have come across.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::original::FileId;
use crate::outcome::Notice;

/// Files that keep all their names, by the names that were found. Its size depends on the number of
/// changed files that have several names.
#[derive(Debug, Default)]
pub(super) struct LinkedFiles {
    by_file: HashMap<FileId, LinkedFile>,
}

#[derive(Debug)]
struct LinkedFile {
    /// The first of the paths by which the file was found. Workers find them in any order.
    path: PathBuf,
    names: u64,
    found: HashSet<PathBuf>,
}

impl LinkedFiles {
    /// Notes one path of a file that has this many names.
    pub(super) fn note(&mut self, file: FileId, names: u64, path: &Path) {
        if names < 2 {
            return;
        }
        // A link that was named leads to one of the names.
        let name = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let new = || LinkedFile { path: path.to_path_buf(), names, found: HashSet::new() };
        let file = self.by_file.entry(file).or_insert_with(new);
        if path < file.path.as_path() {
            file.path = path.to_path_buf();
        }
        file.found.insert(name);
    }

    /// Forgets a file that does not change after all.
    pub(super) fn forget(&mut self, file: FileId) {
        self.by_file.remove(&file);
    }

    /// Returns what to say of the files with names that were not found, in the order of paths.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        let files = std::mem::take(&mut self.by_file).into_values();
        let notice = |file: LinkedFile| {
            let others = file.names.saturating_sub(file.found.len() as u64);
            (others > 0).then_some((file.path, others))
        };
        let mut notices: Vec<(PathBuf, u64)> = files.filter_map(notice).collect();
        notices.sort_unstable();
        notices.into_iter().map(|(path, others)| Notice::OtherNames { path, others }).collect()
    }
}
