//! What a worker does with one file: reads it, edits it, and stages or shows the result. These are
//! the steps of one item, and so one file.

use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};

use silkmill::CancelToken;

use crate::error::Error;
use crate::mutex::Mutex;
use crate::options::{HardLinks, Mode, Options};
use crate::original::{self, Buffer, Content, FILE_SIZE_MAX, FileId, Original};
use crate::outcome::{Action, Outcome, Skip};
use crate::pattern::{Cache, Reach};
use crate::run::patch_directory::PatchDirectory;
use crate::run::rename_plan::RenamePlan;
use crate::text::diff;
use crate::text::encoding::Charset;
use crate::text::revise::{Ask, ReviseError, Rules, revise};
use crate::text::stream::{Piece, Stream};
use crate::text::utf8::{Utf8Check, is_foreign};
use crate::transaction::stage::{Stage, Staged};
use crate::walk::found::Found;

/// Files from this size on, in bytes, are streamed where that is possible. Otherwise one is read at
/// a time, so that memory is bounded by one large file and not by one for each worker.
const LARGE_SIZE_MIN: u64 = 16 << 20;

/// The largest size of old and new text together, in bytes, of which a worker makes a diff. A diff
/// waits for those of the files before it, so a worker leaves a larger one to the caller's thread,
/// which shows it at once.
const DIFFED_SIZE_MAX: usize = 128 << 10;

/// What all workers share.
#[derive(Debug)]
pub(crate) struct WorkerContext {
    pub(super) options: Options,
    /// Whether the caller reviews the changes. Then its thread makes them.
    reviewed: bool,
    pub(super) cancel: CancelToken,
    pub(super) patch_directory: PatchDirectory,
    pub(super) renames: Arc<RenamePlan>,
    /// Set by the first worker that cannot stage new text, read by all before they take a file: no
    /// text that they staged then would be committed.
    staging_failed: AtomicBool,
    /// `None` when nothing is to be written.
    stage: Option<Stage>,
    /// How many files without a match are not UTF-8. Every thread that searches adds to it, and the
    /// caller's thread reads it when all have ended.
    foreign: AtomicU64,
    /// How many names were left because their style cannot be told. Every thread that edits adds to
    /// it, and the caller's thread reads it when all have ended.
    undecided: AtomicU64,
    /// Held by the worker that has a large file in memory. It guards no data.
    large_file: Mutex<()>,
}

/// The buffers that one thread reuses for every file.
#[derive(Debug)]
pub(crate) struct Scratch {
    diffed_size_max: usize,
    text: Buffer,
    edited: Vec<u8>,
    /// The window in which files are searched piece by piece.
    window: Vec<u8>,
    cache: Cache,
}

/// What a file turned out to be.
#[derive(Debug)]
pub(crate) enum Finding {
    NoMatch,
    /// The caller's thread must take the file: its diff is too large to wait for its turn, or its
    /// changes are reviewed.
    ShownLater(Found),
    /// There is an outcome to report, and nothing else to do.
    Reported {
        outcome: Outcome,
        file: Option<FileId>,
    },
    /// New text waits to be committed. The outcome is reported after that.
    Staged {
        staged: Box<Staged>,
        outcome: Outcome,
    },
}

/// What a walker makes of a file.
#[derive(Debug)]
pub(crate) enum Sifted {
    /// The walker has finished the file.
    Done(Finding),
    /// The file must go to a worker of the executor.
    Deferred(Found),
}

impl WorkerContext {
    pub(crate) fn new(
        options: &Options,
        reviewed: bool,
        cancel: &CancelToken,
        stage: Option<Stage>,
    ) -> WorkerContext {
        WorkerContext {
            options: options.clone(),
            renames: Arc::default(),
            reviewed,
            cancel: cancel.clone(),
            patch_directory: match options.mode {
                Mode::Diff => PatchDirectory::of(&options.paths),
                _ => PatchDirectory::none(),
            },
            staging_failed: AtomicBool::new(false),
            stage,
            foreign: AtomicU64::new(0),
            undecided: AtomicU64::new(0),
            large_file: Mutex::new(()),
        }
    }

    /// Sets what gets another name.
    pub(super) fn with_renames(self, renames: Arc<RenamePlan>) -> WorkerContext {
        WorkerContext { renames, ..self }
    }

    /// Returns the name in a patch that a file gets, if it moves.
    fn name_after(&self, target: &Path) -> Result<Option<PathBuf>, Error> {
        let mut source = target.to_path_buf();
        self.renames.resolve(&mut source);
        let after = self.renames.path_after(&source)?;
        Ok((after != source).then(|| self.patch_directory.below(after)))
    }

    /// Returns the buffers of a worker, whose diffs may have to wait.
    pub(crate) fn scratch(&self) -> Scratch {
        Scratch {
            diffed_size_max: DIFFED_SIZE_MAX,
            text: Buffer::default(),
            edited: Vec::new(),
            window: Vec::new(),
            cache: self.options.pattern.cache(),
        }
    }

    /// Returns the buffers of the caller's thread, which shows every diff before it makes the next.
    pub(crate) fn scratch_for_large_diffs(&self) -> Scratch {
        Scratch { diffed_size_max: usize::MAX, ..self.scratch() }
    }

    /// Ends the run for all workers.
    pub(crate) fn abandon(&self) {
        self.staging_failed.store(true, Ordering::Relaxed);
    }

    /// Returns whether nothing that is staged now would be committed.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.staging_failed.load(Ordering::Relaxed)
    }

    pub(crate) fn find(&self, scratch: &mut Scratch, found: Result<Found, Outcome>) -> Finding {
        match found {
            Ok(found) => self.look_at(scratch, found, None),
            Err(outcome) => Finding::Reported { outcome, file: None },
        }
    }

    /// Makes those of a file's changes that `ask` accepts.
    pub(crate) fn find_wanted(
        &self,
        scratch: &mut Scratch,
        found: Found,
        ask: &mut Ask<'_>,
    ) -> Finding {
        self.look_at(scratch, found, Some(ask))
    }

    fn look_at(&self, scratch: &mut Scratch, found: Found, ask: Option<&mut Ask<'_>>) -> Finding {
        if self.cancel.is_cancelled() || self.staging_failed.load(Ordering::Relaxed) {
            return Finding::NoMatch;
        }
        let original = match Original::open(found.target()) {
            Ok(original) => original,
            Err(error) => {
                let error = Error::io("read", &found.path, error);
                return Finding::Reported {
                    outcome: Outcome::failed(found.path, error),
                    file: None,
                };
            }
        };
        let mut job = FileJob { context: self, found, original };
        let finding = job.look_at(scratch, ask).unwrap_or_else(|error| job.failed(error));
        scratch.text.shrink();
        original::shrink(&mut scratch.edited);
        finding
    }

    /// Edits and stages a small plain-text file on this thread. Returns the file as `Deferred` when
    /// it must go to a worker of the executor, by [`WorkerContext::find`].
    pub(crate) fn sift(&self, scratch: &mut Scratch, found: Found) -> Sifted {
        let Ok(mut original) = Original::open(found.target()) else {
            return Sifted::Deferred(found);
        };
        let (size, size_max) = (original.metadata.len(), self.options.file_size_max);
        if size > size_max.unwrap_or(u64::MAX) || !original.metadata.is_file() {
            return Sifted::Deferred(found);
        }
        if size > original::HEAD_LEN as u64 {
            let no_match = self.options.pattern.reach() != Reach::Text
                && self.has_no_match_in_pieces(scratch, &original).unwrap_or(false);
            return if no_match { Sifted::Done(Finding::NoMatch) } else { Sifted::Deferred(found) };
        }
        let head = original.head(&mut scratch.text, self.options.reading());
        let Ok(Content::Text { charset: None, len }) = head else { return Sifted::Deferred(found) };
        if self.staging_failed.load(Ordering::Relaxed) {
            return Sifted::Done(Finding::NoMatch);
        }
        let job = FileJob { context: self, found, original };
        let finding = job.edit(scratch, len, None, None);
        original::shrink(&mut scratch.edited);
        Sifted::Done(finding.unwrap_or_else(|error| job.failed(error)))
    }

    /// Searches the file piece by piece, so that what is read stays in the processor's cache and
    /// large files take no memory. Returns `None` for a pattern that needs the whole text, and
    /// `false` whenever a worker must look again.
    fn has_no_match_in_pieces(&self, scratch: &mut Scratch, original: &Original) -> Option<bool> {
        let (pattern, reading) = (&self.options.pattern, self.options.reading());
        let mut window = std::mem::take(&mut scratch.window);
        window.resize(original::HEAD_LEN, 0);
        let mut stream = Stream::in_window(window, pattern, &mut scratch.cache, u64::MAX)?;
        let mut check = Utf8Check::default();
        let matched = |piece: Piece<'_>| match piece {
            Piece::Same(_) => Ok(()),
            Piece::New(_) => Err(io::ErrorKind::Other.into()),
        };
        let mut at = 0;
        let no_match = loop {
            let Ok(room) = stream.room() else { break false };
            let Ok(read) = original.file.read_at(room, at) else { break false };
            let is_plain = match at {
                0 => {
                    let content = original::content(&room[..read], reading);
                    matches!(content, Content::Text { charset: None, .. })
                }
                _ => !original::holds_nul(&room[..read], None, reading),
            };
            at += read as u64;
            if self.options.foreign_hides {
                check.see(&room[..read]);
            }
            if !is_plain || stream.advance(read, matched).is_err() || self.cancel.is_cancelled() {
                break false;
            }
            if read == 0 || at >= original.metadata.len() {
                break stream.finish(matched).is_ok();
            }
        };
        let undecided = stream.take_undecided();
        if no_match {
            self.count_undecided(undecided);
        }
        scratch.window = stream.into_window();
        if no_match && check.is_foreign_at_end() {
            self.count_foreign();
        }
        Some(no_match)
    }

    /// Counts a file without a match that is not UTF-8.
    pub(super) fn count_foreign(&self) {
        self.foreign.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many files without a match are not UTF-8. They are counted only if that may hide
    /// a match.
    pub(super) fn foreign(&self) -> u64 {
        self.foreign.load(Ordering::Relaxed)
    }

    pub(super) fn count_undecided(&self, names: u64) {
        self.undecided.fetch_add(names, Ordering::Relaxed);
    }

    /// Returns how many names were left because their style cannot be told.
    pub(super) fn undecided(&self) -> u64 {
        self.undecided.load(Ordering::Relaxed)
    }

    pub(super) fn stage(&self) -> &Stage {
        self.stage.as_ref().expect("a run that writes has a stage")
    }

    fn wait_to_be_alone(&self) -> MutexGuard<'_, ()> {
        self.large_file.lock()
    }
}

/// The file that a thread is working on.
pub(super) struct FileJob<'a> {
    pub(super) context: &'a WorkerContext,
    pub(super) found: Found,
    pub(super) original: Original,
}

impl FileJob<'_> {
    fn look_at(
        &mut self,
        scratch: &mut Scratch,
        ask: Option<&mut Ask<'_>>,
    ) -> Result<Finding, Error> {
        let options = &self.context.options;
        let size = self.original.metadata.len();
        if self.original.metadata.is_file() {
            self.refuse_larger_than(options.file_size_max.unwrap_or(u64::MAX))?;
        }
        let head = self.original.head(&mut scratch.text, options.reading());
        let (charset, head) = match head.map_err(|error| self.unread(error))? {
            Content::Skipped(skip) => return Ok(self.reported(Action::Skipped(skip))),
            Content::Text { charset, len } => (charset, len),
        };
        let is_streamed = size >= LARGE_SIZE_MIN
            && !matches!(charset, Some(Charset::Other(_)))
            && options.mode != Mode::Diff
            && !self.context.reviewed
            && options.pattern.reach() != Reach::Text;
        if is_streamed {
            return self.stream(&mut scratch.cache, charset);
        }
        self.refuse_larger_than(options.file_size_max.unwrap_or(FILE_SIZE_MAX))?;
        let _alone = (size >= LARGE_SIZE_MIN).then(|| self.context.wait_to_be_alone());
        let rest = self.original.rest(&mut scratch.text, head, charset, options.reading());
        match rest.map_err(|error| self.unread(error))? {
            Content::Text { len, .. } => self.edit(scratch, len, charset, ask),
            Content::Skipped(skip) => Ok(self.reported(Action::Skipped(skip))),
        }
    }

    /// Edits the bytes that have been read.
    fn edit(
        &self,
        scratch: &mut Scratch,
        len: usize,
        charset: Option<Charset>,
        ask: Option<&mut Ask<'_>>,
    ) -> Result<Finding, Error> {
        let (options, path) = (&self.context.options, &self.found.path);
        let Scratch { text, edited, cache, diffed_size_max, .. } = scratch;
        let bytes = text.bytes(len);
        let is_asked = ask.is_some();
        let lists_changes = options.mode == Mode::Diff && (is_asked || !self.context.reviewed);
        let rules = Rules { lists_changes, ..options.rules() };
        // What an earlier search of the file has counted does not count twice.
        cache.take_undecided();
        let revision = match revise(rules, charset, cache, bytes, edited, ask) {
            Ok(revision) => revision,
            Err(ReviseError::Nul) => return Ok(self.reported(Action::Skipped(Skip::Binary))),
            Err(error) => return Err(error.of(path)),
        };
        let undecided = cache.take_undecided();
        let shown_later = revision.replacements > 0
            && (self.context.reviewed && !is_asked
                || options.mode == Mode::Diff && bytes.len() + edited.len() > *diffed_size_max);
        if !shown_later {
            self.context.count_undecided(undecided);
        }
        if revision.replacements == 0 {
            if options.foreign_hides && charset.is_none() && is_foreign(bytes) {
                self.context.count_foreign();
            }
            return Ok(Finding::NoMatch);
        }
        let outcome =
            |action| self.outcome(action, len as u64, revision.replacements, edited.len() as u64);
        let file = Some(self.original.identity().file);
        Ok(match options.mode {
            _ if shown_later => Finding::ShownLater(self.found.clone()),
            Mode::Write => {
                let staged = self.context.stage().stage(
                    self.found.target(),
                    &self.original,
                    bytes,
                    edited,
                )?;
                Finding::Staged { staged: Box::new(staged), outcome: outcome(Action::Changed) }
            }
            Mode::Diff => {
                let name = self.context.patch_directory.name(self.found.target());
                let context = options.context_lines;
                let after = self.context.name_after(self.found.target())?;
                let diff = match after {
                    Some(to) => {
                        let names = (&*name, &*to);
                        diff::moved::unified(names, bytes, edited, &revision.changes, context)
                    }
                    None => diff::unified(&name, bytes, edited, &revision.changes, context),
                };
                Finding::Reported { outcome: outcome(Action::WouldChange { diff }), file }
            }
            Mode::Count => {
                let action = Action::WouldChange { diff: Vec::new() };
                Finding::Reported { outcome: outcome(action), file }
            }
        })
    }

    fn refuse_larger_than(&self, size_max: u64) -> Result<(), Error> {
        let size = self.original.metadata.len();
        if size > size_max {
            return Err(Error::too_large(&self.found.path, size, size_max));
        }
        Ok(())
    }

    pub(super) fn unread(&self, error: io::Error) -> Error {
        Error::io("read", &self.found.path, error)
    }

    pub(super) fn unstaged(&self, error: io::Error) -> Error {
        Error::unstaged(&self.found.path, error)
    }

    fn failed(&self, error: Error) -> Finding {
        if error.of_the_run().is_some() {
            self.context.staging_failed.store(true, Ordering::Relaxed);
        }
        self.reported(Action::Failed(error))
    }

    /// Returns the finding of a file that stays as it is.
    pub(super) fn reported(&self, action: Action) -> Finding {
        let outcome =
            Outcome::unchanged(self.found.path.clone(), action, self.original.metadata.len());
        Finding::Reported { outcome, file: Some(FileId::of(&self.original.metadata)) }
    }

    pub(super) fn outcome(
        &self,
        action: Action,
        bytes_before: u64,
        replacements: u64,
        bytes_after: u64,
    ) -> Outcome {
        let path = self.found.path.clone();
        let keeps_names = self.context.options.hard_links == HardLinks::Keep;
        let names = if keeps_names { self.original.metadata.nlink() } else { 1 };
        Outcome { path, action, replacements, bytes_before, bytes_after, names }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::HardLinks;
    use crate::transaction::stage::tests::stage;

    /// What a thread keeps of its buffers between files, in bytes.
    const KEPT_MAX: usize = 1 << 20;

    fn found(path: &Path) -> Result<Found, Outcome> {
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
            let context = WorkerContext::new(&options, false, &CancelToken::new(), Some(stage));
            let mut scratch = context.scratch();

            let finding = context.find(&mut scratch, found(&path));

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
        let context = WorkerContext::new(&options, false, &CancelToken::new(), None);
        let (mut worker, mut caller) = (context.scratch(), context.scratch_for_large_diffs());

        let is_later = |finding| matches!(finding, Finding::ShownLater(_));
        assert!(is_later(context.find(&mut worker, found(&large))));
        assert!(!is_later(context.find(&mut worker, found(&small))));
        assert!(!is_later(context.find(&mut caller, found(&large))));
    }

    #[test]
    fn a_small_file_is_finished_where_it_is_found_and_all_others_are_left_to_a_worker() {
        let root = tempfile::tempdir().unwrap();
        let options = Options::builder("old", "new").build().unwrap();
        let (_run, stage) = stage(root.path(), HardLinks::Keep);
        let context = WorkerContext::new(&options, false, &CancelToken::new(), Some(stage));
        let sifted = |text: &[u8]| {
            let path = root.path().join("a");
            std::fs::write(&path, text).unwrap();
            let found = Found { path, link_target: None };
            match context.sift(&mut context.scratch(), found) {
                Sifted::Done(Finding::NoMatch) => "no match",
                Sifted::Done(Finding::Staged { .. }) => "staged",
                Sifted::Done(other) => panic!("{other:?}"),
                Sifted::Deferred(_) => "left",
            }
        };
        let large = |text: &str| [text.as_bytes(), &vec![b'x'; original::HEAD_LEN]].concat();

        assert_eq!(sifted(b"an old text"), "staged");
        assert_eq!(sifted(b"a text"), "no match");
        assert_eq!(sifted(&large("an old text")), "left");
        assert_eq!(sifted(&large("a text")), "no match");
        assert_eq!(sifted(b"an old text\0"), "left");
        assert_eq!(sifted(b"\xFF\xFEo\0l\0d\0"), "left");
    }
}
