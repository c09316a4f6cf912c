//! One run: walk, stage, flush, commit. Everything that decides is here, on the caller's thread.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use silkmill::{CancelToken, Stats, TaskError, ThreadPoolExecutor};

use crate::batch::Batches;
use crate::commit::{self, Directories};
use crate::error::Error;
use crate::options::{Mode, Options};
use crate::original::FileId;
use crate::outcome::{Action, Event, Outcome, Progress, Summary};
use crate::stage::Staged;
use crate::walk::{Found, Walk};
use crate::worker::{Finding, Scratch, Shared};

/// Replaces text in files, or shows what would be replaced.
///
/// `sink` is called on this thread, in the order of the paths when nothing is written. A file that
/// changes is told of when it has changed; one that fails is told of and does not end the run.
/// Cancelling `cancel` before the first file is committed leaves every file as it was; after that
/// it has no effect, and the run goes on to its end.
///
/// # Errors
///
/// The run was cancelled or refused ([`Options`] say when), its staged files could not be forced
/// to disk, or a worker panicked. In each case no file was changed.
pub fn run(
    options: &Options,
    cancel: &CancelToken,
    sink: &mut dyn FnMut(Event<'_>),
) -> Result<Summary, Error> {
    let started = Instant::now();
    let mut run = Run::new(options, sink);
    if !options.changes_nothing {
        run.stage(cancel)?;
    }
    run.refuse_unexpected()?;
    if !run.staged.is_empty() {
        run.commit(cancel)?;
    }
    Ok(run.summary(started.elapsed()))
}

/// New text that waits, with its place in the walk and what will be told of it.
type Waiting = (u64, Box<Staged>, Outcome);

struct Run<'a> {
    options: &'a Options,
    sink: &'a mut dyn FnMut(Event<'_>),
    progress: Progress,
    files_skipped: u64,
    files_failed: u64,
    replacements: u64,
    /// Every file told of or staged: one that is reached by two paths is changed once. Grows with
    /// those, and not with the files that do not match.
    told: HashSet<FileId>,
    staged: Vec<Waiting>,
    stats: Option<Stats>,
}

impl<'a> Run<'a> {
    fn new(options: &'a Options, sink: &'a mut dyn FnMut(Event<'_>)) -> Run<'a> {
        Run {
            options,
            sink,
            progress: Progress::default(),
            files_skipped: 0,
            files_failed: 0,
            replacements: 0,
            told: HashSet::new(),
            staged: Vec::new(),
            stats: None,
        }
    }

    /// Looks at every file. When it returns, all new text is staged and nothing has changed.
    fn stage(&mut self, cancel: &CancelToken) -> Result<(), Error> {
        let pool = pool(self.options)?;
        let shared = Arc::new(Shared::new(self.options, cancel));
        let walk = Walk::new(self.options.paths.clone(), self.options.filter.clone());
        let walk = (0..).zip(walk.take_while(|_| !cancel.is_cancelled()));
        let init = {
            let shared = Arc::clone(&shared);
            move || shared.scratch()
        };
        let look = move |scratch: &mut Scratch, batch: Vec<(u64, Result<Found, Outcome>)>| {
            let look_at = |(place, found)| (place, shared.find(scratch, found));
            batch.into_iter().map(look_at).collect::<Vec<_>>()
        };
        // Diffs are shown in the order of their files; new text is staged in any.
        if self.options.mode == Mode::Write {
            self.take_all(pool.map_unordered_with(init, Batches::of(walk), look))?;
        } else {
            self.take_all(pool.map_with(init, Batches::of(walk), look))?;
        }
        self.stats = Some(pool.stats());
        if cancel.is_cancelled() { Err(Error::interrupted()) } else { Ok(()) }
    }

    fn take_all(
        &mut self,
        findings: impl Iterator<Item = Result<Vec<(u64, Finding)>, TaskError>>,
    ) -> Result<(), Error> {
        for batch in findings {
            for (place, finding) in batch.map_err(Error::executor)? {
                self.take(place, finding);
            }
        }
        Ok(())
    }

    fn take(&mut self, place: u64, finding: Finding) {
        self.progress.files_seen += 1;
        match finding {
            Finding::NoMatch => {}
            Finding::Told { outcome, file } => {
                if file.is_none_or(|file| self.told.insert(file)) {
                    self.tell(&outcome);
                }
            }
            Finding::Staged { staged, outcome } => {
                if self.told.insert(staged.identity.file) {
                    self.progress.files_matched += 1;
                    self.replacements += outcome.replacements;
                    self.staged.push((place, staged, outcome));
                }
            }
        }
        (self.sink)(Event::Progress(self.progress));
    }

    fn tell(&mut self, outcome: &Outcome) {
        match outcome.action {
            Action::Changed => self.progress.files_committed += 1,
            Action::WouldChange { .. } => {
                self.progress.files_matched += 1;
                self.replacements += outcome.replacements;
            }
            Action::Skipped(_) => self.files_skipped += 1,
            Action::Failed(_) => self.files_failed += 1,
        }
        (self.sink)(Event::Outcome(outcome));
    }

    fn refuse_unexpected(&self) -> Result<(), Error> {
        if self.options.strict {
            self.refuse_failures()?;
        }
        match self.options.expect {
            Some(expected) if expected != self.replacements => Err(Error::refused(format!(
                "expected {expected} replacements, found {}: nothing was changed",
                self.replacements
            ))),
            _ => Ok(()),
        }
    }

    fn refuse_failures(&self) -> Result<(), Error> {
        match self.files_failed {
            0 => Ok(()),
            1 => Err(Error::refused("1 path failed: nothing was changed")),
            failed => Err(Error::refused(format!("{failed} paths failed: nothing was changed"))),
        }
    }

    /// Makes all staged text visible. Past the first rename there is no way back: a file that fails
    /// then is told of, and the others go on.
    fn commit(&mut self, cancel: &CancelToken) -> Result<(), Error> {
        self.staged.sort_unstable_by_key(|(place, ..)| *place);
        if self.options.sync {
            commit::flush(self.staged.iter().map(|(_, staged, _)| &**staged))?;
        }
        if self.options.strict {
            self.check_all()?;
        }
        if cancel.is_cancelled() {
            return Err(Error::interrupted());
        }
        let mut directories = Directories::default();
        for (_, staged, outcome) in std::mem::take(&mut self.staged) {
            let (target, identity) = (staged.target.clone(), staged.identity);
            match commit::commit(*staged, self.options.sync) {
                Ok(()) => {
                    directories.add(&target, identity);
                    self.tell(&outcome);
                }
                Err(error) => {
                    self.replacements -= outcome.replacements;
                    self.tell(&Outcome::failed(outcome.path, error));
                }
            }
            (self.sink)(Event::Progress(self.progress));
        }
        if self.options.sync
            && let Err(error) = directories.flush()
        {
            let path = error.path().map_or_else(Default::default, ToOwned::to_owned);
            self.tell(&Outcome::failed(path, error));
        }
        Ok(())
    }

    fn check_all(&mut self) -> Result<(), Error> {
        let failures: Vec<_> = self
            .staged
            .iter()
            .filter_map(|(_, staged, outcome)| {
                let error = commit::check(staged).err()?;
                Some(Outcome::failed(outcome.path.clone(), error))
            })
            .collect();
        failures.iter().for_each(|failure| self.tell(failure));
        self.refuse_failures()
    }

    fn summary(&self, elapsed: Duration) -> Summary {
        let written = self.options.mode == Mode::Write;
        Summary {
            files_seen: self.progress.files_seen,
            files_changed: if written {
                self.progress.files_committed
            } else {
                self.progress.files_matched
            },
            files_skipped: self.files_skipped,
            files_failed: self.files_failed,
            replacements: self.replacements,
            elapsed,
            stats: self.stats,
        }
    }
}

fn pool(options: &Options) -> Result<ThreadPoolExecutor, Error> {
    let builder =
        ThreadPoolExecutor::builder().thread_name_prefix("replace").measure_cpu(options.measure);
    let builder = match options.workers {
        Some(workers) => builder.max_workers(workers),
        None => builder,
    };
    builder.build().map_err(Error::executor)
}
