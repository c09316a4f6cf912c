//! What a worker does with one file: reads it, edits it, and stages or shows the result.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use silkmill::CancelToken;

use crate::diff;
use crate::edit::{self, EDITED_SIZE_MAX, edit};
use crate::error::Error;
use crate::options::{Mode, Options};
use crate::original::{self, Buffer, Content, FileId, Original};
use crate::outcome::{Action, Outcome};
use crate::pattern::{Cache, Pattern};
use crate::stage::{Stage, Staged};
use crate::walk::Found;

/// Files from this size on are taken one at a time, so that memory is bounded by one large file and
/// not by one for each worker. In bytes.
const LARGE_SIZE_MIN: u64 = 16 << 20;

/// Old and new text of which a worker makes a diff, together, in bytes. Diffs wait for those of the files
/// before them, and so a worker leaves a larger one to the caller's thread, which shows it at once.
const DIFFED_SIZE_MAX: usize = 128 << 10;

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pattern: Arc<Pattern>,
    mode: Mode,
    file_replacements_max: u64,
    file_size_max: u64,
    cancel: CancelToken,
    /// Set by the first worker that finds the disk full, read by all before they take a file: nothing
    /// that they could stage would be committed.
    disk_full: AtomicBool,
    /// `None` when nothing is to be written.
    stage: Option<Stage>,
    /// Held by the worker that has a large file in memory.
    large_file: Mutex<()>,
}

/// What one thread uses again for every file.
#[derive(Debug)]
pub(crate) struct Scratch {
    diffed_size_max: usize,
    text: Buffer,
    edited: Vec<u8>,
    cache: Cache,
}

/// What a file turned out to be.
#[derive(Debug)]
pub(crate) enum Finding {
    NoMatch,
    /// The file is to be shown as a diff which is too large to wait for its turn.
    ShownLater(Found),
    /// There is something to tell, and nothing left to do.
    Told {
        outcome: Outcome,
        file: Option<FileId>,
    },
    /// New text waits to be committed; the outcome is what will be told then.
    Staged {
        staged: Box<Staged>,
        outcome: Outcome,
    },
}

impl Shared {
    pub(crate) fn new(options: &Options, cancel: &CancelToken, stage: Option<Stage>) -> Shared {
        Shared {
            pattern: Arc::clone(&options.pattern),
            mode: options.mode,
            file_replacements_max: options.file_replacements_max,
            file_size_max: options.file_size_max,
            cancel: cancel.clone(),
            disk_full: AtomicBool::new(false),
            stage,
            large_file: Mutex::new(()),
        }
    }

    /// For a worker, whose diffs may have to wait.
    pub(crate) fn scratch(&self) -> Scratch {
        Scratch {
            diffed_size_max: DIFFED_SIZE_MAX,
            text: Buffer::default(),
            edited: Vec::new(),
            cache: self.pattern.cache(),
        }
    }

    /// For the caller's thread, which shows every diff before it makes the next.
    pub(crate) fn scratch_for_large_diffs(&self) -> Scratch {
        Scratch { diffed_size_max: usize::MAX, ..self.scratch() }
    }

    pub(crate) fn find(&self, scratch: &mut Scratch, found: Result<Found, Outcome>) -> Finding {
        match found {
            Ok(found) => self.look_at(scratch, found),
            Err(outcome) => Finding::Told { outcome, file: None },
        }
    }

    fn look_at(&self, scratch: &mut Scratch, found: Found) -> Finding {
        if self.cancel.is_cancelled() || self.disk_full.load(Ordering::Relaxed) {
            return Finding::NoMatch;
        }
        let original = match Original::open(found.target()) {
            Ok(original) => original,
            Err(error) => {
                let error = Error::io("read", &found.path, error);
                return Finding::Told { outcome: Outcome::failed(found.path, error), file: None };
            }
        };
        let file = Some(FileId::of(&original.metadata));
        let len = original.metadata.len();
        let _alone = (len >= LARGE_SIZE_MIN).then(|| self.wait_to_be_alone());
        let finding = self.edit_file(scratch, &found, original).unwrap_or_else(|error| {
            if error.is_disk_full() {
                self.disk_full.store(true, Ordering::Relaxed);
            }
            let outcome = Outcome::unchanged(found.path, Action::Failed(error), len);
            Finding::Told { outcome, file }
        });
        scratch.text.shrink();
        original::shrink(&mut scratch.edited);
        finding
    }

    fn edit_file(
        &self,
        scratch: &mut Scratch,
        found: &Found,
        mut original: Original,
    ) -> Result<Finding, Error> {
        let path = &found.path;
        let content = original.read(&mut scratch.text, self.file_size_max);
        let text = match content.map_err(|error| Error::io("read", path, error))? {
            Content::Text(text) => text,
            Content::TooLarge(size) => {
                return Err(Error::too_large(path, size, self.file_size_max));
            }
            Content::Skipped(skip) => {
                let action = Action::Skipped(skip);
                let outcome = Outcome::unchanged(path.clone(), action, original.metadata.len());
                return Ok(Finding::Told { outcome, file: Some(original.identity().file) });
            }
        };
        let edited = &mut scratch.edited;
        let (mut changes, show) = (Vec::new(), self.mode == Mode::Diff);
        let count = edit(
            &self.pattern,
            &mut scratch.cache,
            text,
            self.file_replacements_max,
            edited,
            |change| {
                if show {
                    diff::push(&mut changes, text, change);
                }
            },
        );
        let replacements = count.map_err(|edit::TooLarge| too_long(path, edited))?;
        if replacements == 0 {
            return Ok(Finding::NoMatch);
        }
        let outcome = |action| Outcome {
            path: path.clone(),
            action,
            replacements,
            bytes_before: text.len() as u64,
            bytes_after: edited.len() as u64,
        };
        let file = Some(original.identity().file);
        Ok(match self.mode {
            Mode::Write => Finding::Staged {
                staged: Box::new(self.stage().stage(found.target(), &original, edited)?),
                outcome: outcome(Action::Changed),
            },
            Mode::Diff if text.len() + edited.len() > scratch.diffed_size_max => {
                Finding::ShownLater(found.clone())
            }
            Mode::Diff => {
                let diff = diff::unified(found.target(), text, edited, &changes);
                Finding::Told { outcome: outcome(Action::WouldChange { diff }), file }
            }
            Mode::Count => {
                let action = Action::WouldChange { diff: Vec::new() };
                Finding::Told { outcome: outcome(action), file }
            }
        })
    }

    fn stage(&self) -> &Stage {
        self.stage.as_ref().expect("a run that writes has a stage")
    }

    fn wait_to_be_alone(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data that a panic could leave half changed.
        self.large_file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_long(path: &std::path::Path, edited: &[u8]) -> Error {
    Error::too_large(path, edited.len() as u64, EDITED_SIZE_MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::HardLinks;
    use crate::stage::tests::stage;

    /// What a thread keeps once a file is done with.
    const KEPT_MAX: usize = 1 << 20;

    fn found(path: &std::path::Path) -> Result<Found, Outcome> {
        Ok(Found { path: path.to_path_buf(), link_target: None })
    }

    #[test]
    fn the_room_of_a_large_file_is_given_back() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("large");
        std::fs::write(&path, "old ".repeat(KEPT_MAX)).unwrap();
        for mode in [Mode::Write, Mode::Diff, Mode::Count] {
            let options = Options::builder("old", "newer").mode(mode).build().unwrap();
            let (_run, stage) = stage(root.path(), HardLinks::Keep);
            let shared = Shared::new(&options, &CancelToken::new(), Some(stage));
            let mut scratch = shared.scratch();

            let finding = shared.find(&mut scratch, found(&path));

            assert!(!matches!(finding, Finding::NoMatch));
            assert!(scratch.text.capacity() <= KEPT_MAX, "{mode:?}");
            assert!(scratch.edited.capacity() <= KEPT_MAX, "{mode:?}");
        }
    }

    #[test]
    fn a_large_diff_does_not_wait_for_its_turn() {
        let root = tempfile::tempdir().unwrap();
        let (large, small) = (root.path().join("large"), root.path().join("small"));
        std::fs::write(&large, "old\n".repeat(DIFFED_SIZE_MAX)).unwrap();
        std::fs::write(&small, "old\n").unwrap();
        let options = Options::builder("old", "new").mode(Mode::Diff).build().unwrap();
        let shared = Shared::new(&options, &CancelToken::new(), None);
        let (mut worker, mut caller) = (shared.scratch(), shared.scratch_for_large_diffs());

        let is_later = |finding| matches!(finding, Finding::ShownLater(_));
        assert!(is_later(shared.find(&mut worker, found(&large))));
        assert!(!is_later(shared.find(&mut worker, found(&small))));
        assert!(!is_later(shared.find(&mut caller, found(&large))));
    }
}
