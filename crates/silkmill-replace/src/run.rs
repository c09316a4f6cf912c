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
use crate::walk::{self, Found, Walk};
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
    if options.changes_nothing {
        run.reach_all();
    } else {
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

    /// Finds out what of the paths is missing, without a look at any file.
    fn reach_all(&mut self) {
        for path in &self.options.paths {
            if let Err(outcome) = walk::reach(path) {
                self.progress.files_seen += 1;
                self.tell(&outcome);
                (self.sink)(Event::Progress(self.progress));
            }
        }
    }

    /// Looks at every file. When it returns, all new text is staged and nothing has changed.
    fn stage(&mut self, cancel: &CancelToken) -> Result<(), Error> {
        let pool = pool(self.options)?;
        let shared = Arc::new(Shared::new(self.options, cancel));
        let walk = Walk::new(self.options.paths.clone(), self.options.filter.clone());
        let walk = (0..).zip(walk.take_while(|_| !cancel.is_cancelled()));
        let (for_init, for_look) = (Arc::clone(&shared), Arc::clone(&shared));
        let init = move || for_init.scratch();
        let look = move |scratch: &mut Scratch, batch: Vec<(u64, Result<Found, Outcome>)>| {
            let look_at = |(place, found)| (place, for_look.find(scratch, found));
            batch.into_iter().map(look_at).collect::<Vec<_>>()
        };
        // Diffs are shown in the order of their files; new text is staged in any.
        if self.options.mode == Mode::Write {
            self.take_all(&shared, pool.map_unordered_with(init, Batches::of(walk), look))?;
        } else {
            self.take_all(&shared, pool.map_with(init, Batches::of(walk), look))?;
        }
        self.stats = Some(pool.stats());
        if cancel.is_cancelled() { Err(Error::interrupted()) } else { Ok(()) }
    }

    fn take_all(
        &mut self,
        shared: &Shared,
        findings: impl Iterator<Item = Result<Vec<(u64, Finding)>, TaskError>>,
    ) -> Result<(), Error> {
        let mut scratch = shared.scratch_for_large_diffs();
        for batch in findings {
            for (place, finding) in batch.map_err(Error::executor)? {
                let finding = match finding {
                    Finding::ShownLater(found) => shared.find(&mut scratch, Ok(found)),
                    other => other,
                };
                self.take(place, finding)?;
            }
        }
        Ok(())
    }

    /// Fails when the disk is full: whatever is staged from then on would be a part of the whole.
    fn take(&mut self, place: u64, finding: Finding) -> Result<(), Error> {
        self.progress.files_seen += 1;
        let mut disk_full = false;
        match finding {
            Finding::NoMatch => {}
            Finding::ShownLater(_) => unreachable!("take_all has it shown"),
            Finding::Told { outcome, file } => {
                disk_full =
                    matches!(&outcome.action, Action::Failed(error) if error.is_disk_full());
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
        if disk_full {
            return Err(Error::refused("the disk is full: nothing was changed"));
        }
        Ok(())
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
            Some(1..) if self.options.changes_nothing => Err(Error::refused(
                "expected replacements, and OLD and NEW are the same: nothing was changed",
            )),
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
    // A daemon: whoever ends the process in the middle of a run does not want to wait for the rest of it.
    let builder = ThreadPoolExecutor::builder()
        .thread_name_prefix("replace")
        .measure_cpu(options.measure)
        .daemon(true);
    let builder = match options.workers {
        Some(workers) => builder.max_workers(workers),
        None => builder,
    };
    builder.build().map_err(Error::executor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::Path;

    /// What a run makes of a file whose staging failed so.
    fn after_a_failure(kind: io::ErrorKind) -> (Vec<String>, Result<(), Error>) {
        let options = Options::builder("old", "new").build().unwrap();
        let mut told = Vec::new();
        let mut sink = |event: Event<'_>| {
            if let Event::Outcome(outcome) = event {
                told.push(outcome.path.display().to_string());
            }
        };
        let error = Error::io("stage new text for", Path::new("a"), kind);
        let outcome = Outcome::failed("a".into(), error);
        let taken = Run::new(&options, &mut sink).take(0, Finding::Told { outcome, file: None });
        (told, taken)
    }

    #[test]
    fn a_full_disk_refuses_the_run_and_a_file_that_fails_does_not() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let (told, taken) = after_a_failure(kind);
            assert_eq!(told, ["a"]);
            assert_eq!(taken.unwrap_err().to_string(), "the disk is full: nothing was changed");
        }
        for kind in [io::ErrorKind::FileTooLarge, io::ErrorKind::PermissionDenied] {
            let (told, taken) = after_a_failure(kind);
            assert_eq!((told, taken.is_ok()), (vec!["a".to_owned()], true));
        }
    }
}
