//! One run: walk, stage, commit, report. Every decision is made here, on the caller's thread, and
//! so one file.

pub(crate) mod batch;
mod change_set;
mod commit;
mod dialogue;
mod linked_files;
pub(crate) mod parallel_walk;
pub(crate) mod patch_directory;
mod planned_rename;
mod rename;
mod rename_finder;
mod rename_order;
pub(crate) mod rename_plan;
pub(crate) mod review;
mod roots;
mod streamed_file;
pub(crate) mod worker;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use silkmill::{CancelToken, Stats, TaskError, ThreadPoolExecutor};

use crate::error::{Error, ErrorKind};
use crate::options::{HardLinks, Mode, Options, Renames};
use crate::outcome::{Action, Event, Notice, Outcome, Phases, Progress, Summary};
use crate::run::batch::Batches;
use crate::run::change_set::ChangeSet;
use crate::run::linked_files::LinkedFiles;
use crate::run::rename_plan::RenamePlan;
use crate::run::review::{Answer, Proposal, Review, ReviewedFile};
use crate::run::roots::{common, roots};
use crate::run::worker::{Finding, Scratch, WorkerContext};
use crate::store::journal::RunHeader;
use crate::store::run_directory::RunDirectory;
use crate::store::run_id::now;
use crate::store::table::Sorter;
use crate::store::{Store, layout, links, trash};
use crate::transaction::flusher::BackgroundFlush;
use crate::transaction::recovery;
use crate::transaction::stage::Stage;
use crate::walk::Walk;
use crate::walk::filter::Filter;
use crate::walk::found::Found;
use crate::walk::named::{once, reach};

/// Replaces text in files, or shows what would be replaced.
///
/// `sink` is called on this thread, in the order of the paths when nothing is written. A file that
/// changes is reported when all have changed. One that cannot be read or staged is reported and
/// does not end the run. Cancelling `cancel` before the run is committed leaves every file as it
/// was; after that it has no effect, and the run goes on to its end.
///
/// # Errors
///
/// The run was cancelled or refused ([`Options`] say when), its files could not be stored or forced
/// to disk, another program changed a file before it could be replaced, or a worker panicked. In
/// each case no file was changed, unless the error says otherwise.
pub fn run(
    options: &Options,
    cancel: &CancelToken,
    sink: &mut dyn FnMut(Event<'_>),
) -> Result<Summary, Error> {
    Run::new(options, sink).complete(cancel)
}

/// Replaces text in files, and asks about every change before it is made.
///
/// `ask` is called on this thread, file by file in the order of the paths. Accepted changes are
/// staged, and committed after the last answer. [`Answer::Quit`] keeps the changes accepted before
/// it, and cancelling keeps none. The mode of the options does not matter: see [`preview`].
///
/// ```
/// use silkmill::CancelToken;
/// use silkmill_replace::{Answer, Options, review};
///
/// let root = tempfile::tempdir()?;
/// std::fs::write(root.path().join("a"), "colour by colour\n")?;
/// let options = Options::builder("colour", "color").path(root.path()).build()?;
///
/// let second_alone = &mut |change: &silkmill_replace::Proposal<'_>| match change.place {
///     2 => Answer::Yes,
///     _ => Answer::No,
/// };
/// let summary = review(&options, &CancelToken::new(), &mut |_| {}, second_alone)?;
///
/// assert_eq!(summary.replacements, 1);
/// assert_eq!(std::fs::read(root.path().join("a"))?, b"colour by color\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Those of [`run`].
pub fn review(
    options: &Options,
    cancel: &CancelToken,
    sink: &mut dyn FnMut(Event<'_>),
    ask: &mut dyn FnMut(&Proposal<'_>) -> Answer,
) -> Result<Summary, Error> {
    reviewed(Mode::Write, options, cancel, sink, ask)
}

/// Does what [`review()`] does, and writes nothing: each file in which a change is accepted is
/// reported with the unified diff of those changes.
///
/// ```
/// use silkmill::CancelToken;
/// use silkmill_replace::{Action, Answer, Event, Options, preview};
///
/// let root = tempfile::tempdir()?;
/// std::fs::write(root.path().join("a"), "2 mills\n")?;
/// let options = Options::asking(r"(\d+) mill").regex(true).path(root.path()).build()?;
///
/// let mut diffs = Vec::new();
/// let sink = &mut |event: Event<'_>| {
///     if let Event::Outcome(outcome) = event
///         && let Action::WouldChange { diff } = &outcome.action
///     {
///         diffs.push(String::from_utf8_lossy(diff).into_owned());
///     }
/// };
/// let ask = &mut |change: &silkmill_replace::Proposal<'_>| {
///     assert_eq!(change.groups(), [Some(&b"2"[..])]);
///     Answer::Edit(b"3 mill".to_vec())
/// };
/// preview(&options, &CancelToken::new(), sink, ask)?;
///
/// assert!(diffs[0].ends_with("-2 mills\n+3 mills\n"), "{diffs:?}");
/// assert_eq!(std::fs::read(root.path().join("a"))?, b"2 mills\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Those of [`run`].
pub fn preview(
    options: &Options,
    cancel: &CancelToken,
    sink: &mut dyn FnMut(Event<'_>),
    ask: &mut dyn FnMut(&Proposal<'_>) -> Answer,
) -> Result<Summary, Error> {
    reviewed(Mode::Diff, options, cancel, sink, ask)
}

fn reviewed(
    mode: Mode,
    options: &Options,
    cancel: &CancelToken,
    sink: &mut dyn FnMut(Event<'_>),
    ask: &mut dyn FnMut(&Proposal<'_>) -> Answer,
) -> Result<Summary, Error> {
    let options = Options { mode, ..options.clone() };
    let mut run = Run::new(&options, sink);
    run.review = Some(Review::new(ask, options.context_lines));
    run.complete(cancel)
}

struct Run<'a> {
    options: &'a Options,
    sink: &'a mut dyn FnMut(Event<'_>),
    progress: Progress,
    files_skipped: u64,
    files_failed: u64,
    files_foreign: u64,
    names_undecided: u64,
    replacements: u64,
    changes: ChangeSet,
    linked: LinkedFiles,
    /// What gets another name.
    renames: Arc<RenamePlan>,
    renamed: u64,
    /// The paths that could not be searched for names. The walk for texts fails there, too.
    failed: HashSet<PathBuf>,
    /// The files that the patch of a dry run has already moved.
    shown: Option<Sorter>,
    stats: Option<Stats>,
    phases: Phases,
    /// What the walkers have finished themselves.
    finished: Arc<parallel_walk::FinishedFiles>,
    /// Forces staged text to disk while more is staged.
    background_flush: Arc<BackgroundFlush>,
    header: RunHeader,
    /// The run's own directory, from before the walk on, or the error of creating it, which matters
    /// when there is something to stage.
    stored: Option<Result<RunDirectory, Error>>,
    /// The stores that were searched for other runs.
    around: Vec<Store>,
    /// The name and the store by which the run can be undone.
    kept: Option<(String, PathBuf)>,
    /// Whether a file below the current directory was changed.
    is_here: bool,
    /// Asks about every change. `None` when all are made.
    review: Option<Review<'a>>,
    /// The files that were asked about, in order. A person answers for each, so there are not many.
    reviewed: Vec<ReviewedFile>,
    declined: u64,
}

impl<'a> Run<'a> {
    fn new(options: &'a Options, sink: &'a mut dyn FnMut(Event<'_>)) -> Run<'a> {
        Run {
            options,
            sink,
            progress: Progress::default(),
            files_skipped: 0,
            files_failed: 0,
            files_foreign: 0,
            names_undecided: 0,
            replacements: 0,
            changes: ChangeSet::new(options.hard_links),
            linked: LinkedFiles::default(),
            renames: Arc::default(),
            renamed: 0,
            failed: HashSet::new(),
            shown: None,
            stats: None,
            phases: Phases::default(),
            finished: Arc::default(),
            background_flush: Arc::default(),
            header: RunHeader::default(),
            stored: None,
            around: Vec::new(),
            kept: None,
            is_here: false,
            review: None,
            reviewed: Vec::new(),
            declined: 0,
        }
    }

    fn complete(mut self, cancel: &CancelToken) -> Result<Summary, Error> {
        let started = Instant::now();
        if self.options.changes_nothing {
            self.reach_all();
        } else {
            self.stage(cancel)?;
            self.review_renames(cancel)?;
        }
        self.phases.staging = started.elapsed();
        self.refuse_unexpected()?;
        if !self.changes.is_empty() || self.writes_names() {
            self.commit(cancel)?;
        } else if self.options.mode != Mode::Write {
            self.report_other_names()?;
            self.preview_renames()?;
        }
        Ok(self.summary(started.elapsed()))
    }

    /// Reports the paths that do not exist, and reads no file.
    fn reach_all(&mut self) {
        for path in &self.options.paths {
            if let Err(outcome) = reach(path) {
                self.progress.files_seen += 1;
                self.report(&outcome);
                (self.sink)(Event::Progress(self.progress));
            }
        }
    }

    /// Creates the run's directory, once runs that crashed there are recovered and active ones have
    /// ended.
    fn begin(&mut self, cancel: &CancelToken) -> Result<Stage, Error> {
        let roots = roots(&self.options.paths);
        self.header = RunHeader {
            begun: now(),
            what: self.options.what.clone(),
            roots: roots.clone(),
            undoes: None,
            keeps: self.options.undo,
        };
        if let Some(root) = common(&roots) {
            let home = layout::usable(self.options.state_directory.as_deref());
            let run = match Store::open(home, &root) {
                Ok(store) => {
                    links::remember(home, &store);
                    self.around = links::around(home, &roots, &store);
                    let sink = &mut *self.sink;
                    let report = &mut |notice: Notice| sink(Event::Notice(&notice));
                    let run = recovery::begin(&store, &self.around, &self.header, cancel, report);
                    let run = run.inspect_err(|_| {
                        // What the run has made must not stay, and one that is in use does.
                        let _ = trash::remove_store_if_empty(store.path());
                    });
                    let run = run.map_err(Error::before_the_commit)?;
                    self.around.push(store);
                    Ok(run)
                }
                Err(error) => Err(error),
            };
            self.stored = Some(run);
        }
        let run = self.stored.as_ref().and_then(|run| run.as_ref().ok());
        if let Some(run) = run.filter(|_| self.review.is_none()) {
            self.changes.spool_in(run.path());
        }
        let flush = self.options.sync.then(|| Arc::clone(&self.background_flush));
        let stage = Stage::new(run, roots, self.options.hard_links, flush);
        stage.map_err(|error| Error::store(format!("failed to use the store: {error}")))
    }

    /// Searches every file. When it returns, all new text is staged and nothing has changed.
    fn stage(&mut self, cancel: &CancelToken) -> Result<(), Error> {
        let pool = pool(self.options)?;
        let stage = if self.options.mode == Mode::Write { Some(self.begin(cancel)?) } else { None };
        self.plan_renames(cancel)?;
        if self.options.renames == Renames::Only {
            return Ok(());
        }
        let context = WorkerContext::new(self.options, self.review.is_some(), cancel, stage);
        let context = Arc::new(context.with_renames(Arc::clone(&self.renames)));
        let (for_init, for_look) = (Arc::clone(&context), Arc::clone(&context));
        let init = move || for_init.scratch();
        let look = move |scratch: &mut Scratch, batch: Vec<(u64, Result<Found, Outcome>)>| {
            let look_at = |(place, found)| (place, for_look.find(scratch, found));
            batch.into_iter().map(look_at).collect::<Vec<_>>()
        };
        let mut filter = self.options.filter.fresh();
        // When hard links are split, each name of a file counts.
        let paths = match self.options.hard_links {
            HardLinks::Split => self.options.paths.clone(),
            _ => once(&self.options.paths, &mut filter),
        };
        let exclusions = filter.clone();
        // Diffs are reported in the order of their files; new text is staged in any order.
        if self.options.mode == Mode::Write && self.review.is_none() {
            let (workers, finished) = (self.options.workers, Arc::clone(&self.finished));
            let (files, walk) = parallel_walk::start(
                paths,
                filter,
                Arc::clone(&context),
                workers,
                cancel,
                finished,
            )?;
            // The walk is waited for elsewhere, so that what a worker has done is taken at once.
            let findings = pool.map_unordered_with(init, files, look).prefetch();
            let taken = self.take_all(&context, findings);
            if taken.is_err() {
                context.abandon();
            }
            // While a walker stages, the run's directory cannot be removed.
            walk.join().map_err(Error::executor)?;
            taken?;
        } else {
            let walk = Walk::new(paths, filter).take_while(|_| !cancel.is_cancelled());
            let walk = Batches::of((0..).zip(walk));
            self.take_all(&context, pool.map_with(init, walk, look))?;
        }
        self.stats = Some(pool.stats());
        (self.files_foreign, self.names_undecided) = (context.foreign(), context.undecided());
        if cancel.is_cancelled() {
            return Err(Error::interrupted());
        }
        if !self.review.as_ref().is_some_and(Review::is_over) {
            self.report_idle_exclusions(&exclusions);
        }
        Ok(())
    }

    /// Reports globs that excluded nothing, since a file that was meant may have changed.
    fn report_idle_exclusions(&mut self, filter: &Filter) {
        for glob in filter.idle_exclusions() {
            let notice = Notice::ExcludedNothing { glob: glob.to_owned() };
            (self.sink)(Event::Notice(&notice));
        }
    }

    fn take_all(
        &mut self,
        context: &WorkerContext,
        findings: impl Iterator<Item = Result<Vec<(u64, Finding)>, TaskError>>,
    ) -> Result<(), Error> {
        let mut scratch = context.scratch_for_large_diffs();
        for batch in findings {
            for (place, finding) in batch.map_err(Error::executor)? {
                match finding {
                    Finding::ShownLater(found) if self.review.is_some() => {
                        self.ask(context, &mut scratch, place, found)?;
                    }
                    Finding::ShownLater(found) => {
                        self.take(place, context.find(&mut scratch, Ok(found)))?;
                    }
                    other => self.take(place, other)?,
                }
            }
            self.take_finished()?;
            if self.review.as_ref().is_some_and(Review::is_over) {
                break;
            }
        }
        self.take_finished()
    }

    /// Takes what the walkers have finished.
    fn take_finished(&mut self) -> Result<(), Error> {
        let no_match = self.finished.take_no_match();
        if no_match > 0 {
            self.progress.files_seen += no_match;
            (self.sink)(Event::Progress(self.progress));
        }
        self.finished.take().into_iter().try_for_each(|(place, finding)| self.take(place, finding))
    }

    /// Fails when new text could not be staged: all files change, or none.
    fn take(&mut self, place: u64, finding: Finding) -> Result<(), Error> {
        self.progress.files_seen += 1;
        let mut failed = None;
        if let Finding::Reported { outcome: Outcome { action: Action::Failed(error), .. }, .. } =
            &finding
            && error.kind() == ErrorKind::Store
            && let Some(Err(error)) = self.stored.take()
        {
            return Err(error);
        }
        match finding {
            Finding::NoMatch => {}
            Finding::ShownLater(_) => unreachable!("take_all has it shown"),
            Finding::Reported { outcome, file } => {
                if let Some(file) = file {
                    self.linked.note(file, outcome.names, &outcome.path)?;
                }
                if let Action::Failed(error) = &outcome.action {
                    failed = error.of_the_run();
                }
                // What fails the whole run is reported even if the file was reported before.
                let is_known = file.is_none() && self.failed.contains(&outcome.path);
                let is_new = file.is_none_or(|file| self.changes.note(file)) && !is_known;
                if is_new || failed.is_some() {
                    self.report(&outcome);
                    self.note_shown(&outcome)?;
                }
            }
            Finding::Staged { mut staged, outcome } => {
                self.renames.resolve(&mut staged.target);
                let replacements = outcome.replacements;
                self.linked.note(staged.identity.file, outcome.names, &outcome.path)?;
                if self.changes.add(place, staged, outcome)? {
                    self.progress.files_matched += 1;
                    self.replacements += replacements;
                }
            }
        }
        (self.sink)(Event::Progress(self.progress));
        match failed {
            Some(why) => Err(Error::refused(format!("{why}: nothing was changed"))),
            None => Ok(()),
        }
    }

    fn report_other_names(&mut self) -> Result<(), Error> {
        self.linked.take_notices(&mut |notice| (self.sink)(Event::Notice(notice)))
    }

    fn report(&mut self, outcome: &Outcome) {
        match outcome.action {
            Action::Changed => self.progress.files_committed += 1,
            Action::WouldChange { .. } => {
                self.progress.files_matched += 1;
                self.replacements += outcome.replacements;
            }
            Action::Skipped(_) => self.files_skipped += 1,
            Action::Failed(_) => self.files_failed += 1,
            Action::Renamed { .. } | Action::WouldRename { .. } => self.renamed += 1,
            Action::WouldMove { .. } => {}
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
            names_undecided: self.names_undecided,
            files_foreign: if self.replacements == 0 { self.files_foreign } else { 0 },
            renamed: self.renamed,
            replacements: self.replacements,
            declined: self.declined,
            ended_early: self.review.as_ref().is_some_and(Review::is_over),
            run: self.kept.as_ref().map(|(run, _)| run.clone()),
            is_here: self.is_here,
            store: self.kept.as_ref().map(|(_, store)| store.clone()),
            elapsed,
            phases: self.phases,
            stats: self.stats,
        }
    }
}

fn pool(options: &Options) -> Result<ThreadPoolExecutor, Error> {
    // The threads are daemons, so that a process that ends in the middle of a run does not wait for
    // its rest.
    let builder = ThreadPoolExecutor::builder()
        .thread_name_prefix("replace")
        .measure_cpu(options.measure_cpu)
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

    /// Returns what a run reports of a file whose staging failed with this error, and how the run
    /// went on.
    fn after_a_failure(kind: io::ErrorKind) -> (Vec<String>, Result<(), Error>) {
        let options = Options::builder("old", "new").build().unwrap();
        let mut reported = Vec::new();
        let mut sink = |event: Event<'_>| {
            if let Event::Outcome(outcome) = event {
                reported.push(outcome.path.display().to_string());
            }
        };
        let error = Error::unstaged(Path::new("a"), kind);
        let outcome = Outcome::failed("a".into(), error);
        let taken =
            Run::new(&options, &mut sink).take(0, Finding::Reported { outcome, file: None });
        (reported, taken)
    }

    #[test]
    fn new_text_that_cannot_be_staged_refuses_the_run() {
        let (full, other) = ("the disk is full", "new text could not be staged");
        for (kind, why) in [
            (io::ErrorKind::StorageFull, full),
            (io::ErrorKind::QuotaExceeded, full),
            (io::ErrorKind::ReadOnlyFilesystem, other),
            (io::ErrorKind::Other, other),
        ] {
            let (reported, taken) = after_a_failure(kind);
            assert_eq!(reported, ["a"]);
            assert_eq!(taken.unwrap_err().to_string(), format!("{why}: nothing was changed"));
        }
        let (reported, taken) = after_a_failure(io::ErrorKind::FileTooLarge);
        assert_eq!((reported, taken.is_ok()), (vec!["a".to_owned()], true));
    }
}
