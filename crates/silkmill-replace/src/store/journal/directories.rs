//! The directories to which the records of a journal refer by their places.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

/// How many directories a reader of a journal keeps. Files come in the order of their paths, so the
/// directory of one is mostly that of the file before, or one above it.
pub(crate) const DIRECTORIES_KEPT: usize = 64;

/// The last directories that were written or read.
#[derive(Clone, Debug)]
pub(crate) struct Directories {
    kept: VecDeque<Arc<Path>>,
    /// How many directories came before those that are kept.
    passed: u32,
    /// Whether all are kept, as for journals of earlier versions.
    keeps_all: bool,
}

impl Directories {
    pub(crate) fn new(keeps_all: bool) -> Directories {
        Directories { kept: VecDeque::new(), passed: 0, keeps_all }
    }

    /// Adds a directory. Returns its place.
    pub(crate) fn push(&mut self, directory: Arc<Path>) -> u32 {
        if self.kept.len() == DIRECTORIES_KEPT && !self.keeps_all {
            self.kept.pop_front();
            self.passed += 1;
        }
        self.kept.push_back(directory);
        self.last()
    }

    /// Returns the place of a directory, if it is kept.
    pub(super) fn place(&self, directory: &Path) -> Option<u32> {
        let back = self.kept.iter().rev().position(|known| {
            std::ptr::eq(&**known, directory) || known.as_os_str() == directory.as_os_str()
        })?;
        let back = u32::try_from(back).expect("there are fewer than 4 billion directories");
        Some(self.last() - back)
    }

    /// Returns the directory at a place, if it is kept.
    pub(super) fn at(&self, place: u32) -> Option<Arc<Path>> {
        let place = place.checked_sub(self.passed)?;
        self.kept.get(place as usize).cloned()
    }

    fn last(&self) -> u32 {
        let kept = u32::try_from(self.kept.len()).expect("there are fewer than 4 billion");
        self.passed + kept - 1
    }
}
