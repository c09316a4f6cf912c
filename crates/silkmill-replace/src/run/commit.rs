//! The end of a run: from staged files to a report of what became of each.

use std::time::Instant;

use silkmill::CancelToken;

use super::Run;
use crate::error::Error;
use crate::outcome::{Event, Notice, Outcome};
use crate::run::change_set::Committing;
use crate::store::durability::Durability;
use crate::store::journal::{Journal, Phase};
use crate::store::run_directory::{self, RunDirectory};
use crate::store::trash::TrashCollector;
use crate::store::{layout, links};
use crate::transaction::barrier;
use crate::transaction::commit::{self, Completion, RolledBack};
use crate::transaction::recovery;
use crate::transaction::swap::Attempt;

impl Run<'_> {
    /// Makes all staged text visible, or none of it. Once the run is committed it goes on to its
    /// end.
    pub(super) fn commit(&mut self, cancel: &CancelToken) -> Result<(), Error> {
        let Some(Ok(mut run)) = self.stored.take() else {
            unreachable!("what is staged is staged in the run's directory")
        };
        let started = Instant::now();
        let written = self.write_journal(&mut run).map_err(Error::before_the_commit);
        let (journal, mut files) = written?;
        self.refuse_unfinished(&journal)?;
        let _collector = TrashCollector::begin(run.store());
        self.pass_barrier(&mut run, &journal, cancel).map_err(Error::before_the_commit)?;
        files.keep_files();
        self.phases.barrier = started.elapsed();
        let completion = self.swap(&mut run, &journal)?;
        self.conclude(run, &journal, files, completion)
    }

    /// Writes down what is to be done, in the order of the walk.
    fn write_journal(&mut self, run: &mut RunDirectory) -> Result<(Journal, Committing), Error> {
        let staging_dirs = self.changes.staging_dirs();
        let header = std::mem::take(&mut self.header);
        let mut writer = run.writer(&header, &staging_dirs)?;
        if !self.renames.is_empty() {
            writer.expect_renames(run.path());
        }
        let files = self.changes.write_to(&mut writer)?;
        self.renames.for_journal(run.path(), &staging_dirs, &mut |rename| {
            writer.push_rename(rename).map_err(|error| run.unwritten(error))
        })?;
        let journal = run.finish(writer, (header, self.replacements, staging_dirs))?;
        Ok((journal, files))
    }

    /// Forces the journal and all staged text to disk, and commits the run. Until then it can be
    /// cancelled.
    fn pass_barrier(
        &mut self,
        run: &mut RunDirectory,
        journal: &Journal,
        cancel: &CancelToken,
    ) -> Result<(), Error> {
        if self.options.sync {
            self.background_flush.finish()?;
            barrier::before_the_mark(run, journal)?;
        }
        if cancel.is_cancelled() {
            return Err(Error::interrupted());
        }
        run.set_phase(Phase::Committed, Durability::of(self.options.sync))
    }

    /// Swaps every staged file with its target, and reports progress.
    fn swap(&mut self, run: &mut RunDirectory, journal: &Journal) -> Result<Completion, Error> {
        let durability = Durability::of(self.options.sync);
        let (progress, sink) = (&mut self.progress, &mut *self.sink);
        let completion = commit::finish(run, journal, Attempt::First, durability, &mut || {
            progress.files_committed += 1;
            sink(Event::Progress(*progress));
        })?;
        self.progress.files_committed = 0;
        Ok(completion)
    }

    /// Reports what became of every file, and keeps or removes the run's own files.
    fn conclude(
        &mut self,
        run: RunDirectory,
        journal: &Journal,
        files: Committing,
        completion: Completion,
    ) -> Result<(), Error> {
        match completion {
            Completion::Done { late, swapping, flushing } => {
                (self.phases.swapping, self.phases.flushing) = (swapping, flushing);
                self.report_other_names()?;
                for file in files.outcomes()? {
                    self.report(&file?.1);
                }
                self.report_renames()?;
                if let Some(late) = late {
                    let path = late.path().map_or_else(|| run.journal_path(), ToOwned::to_owned);
                    self.report(&Outcome::failed(path, late));
                } else if !self.options.undo {
                    return self.forget(run, journal);
                }
                let here = std::env::current_dir().unwrap_or_default();
                self.is_here = run_directory::touches(journal, &here)?;
                self.kept = Some((run.id().to_owned(), run.store().to_path_buf()));
                Ok(())
            }
            Completion::RolledBack(rolled_back) => {
                self.report_rollback(files, rolled_back)?;
                commit::remove(run, journal)?;
                self.refuse_failures()
            }
        }
    }

    /// Recovers runs that crashed in a store that this run did not know of, beside files that it is
    /// about to change. If there is one, this run is refused, since what it has read may have
    /// changed.
    fn refuse_unfinished(&mut self, journal: &Journal) -> Result<(), Error> {
        let directories = journal.entries.iter().map_while(|it| it.ok().map(|it| it.directory));
        let roots = &journal.header.roots;
        for store in links::unremembered(directories, roots, &self.around) {
            links::remember(layout::usable(self.options.state_directory.as_deref()), &store);
            let sink = &mut *self.sink;
            let report = &mut |notice: Notice| sink(Event::Notice(&notice));
            if recovery::recover_below(&store, roots, report)? > 0 {
                return Err(Error::refused(format!(
                    "there was an unfinished run in {:?}: nothing was changed; try again",
                    store.path()
                )));
            }
        }
        Ok(())
    }

    /// Removes the run's own files, which nothing needs any more. A failure is reported, and
    /// changes nothing.
    fn forget(&mut self, run: RunDirectory, journal: &Journal) -> Result<(), Error> {
        if let Err(error) = commit::remove(run, journal) {
            let path = error.path().map_or_else(Default::default, ToOwned::to_owned);
            self.report(&Outcome::failed(path, error));
        }
        Ok(())
    }

    fn report_rollback(&mut self, files: Committing, rolled_back: RolledBack) -> Result<(), Error> {
        let RolledBack { path, why, notices } = rolled_back;
        notices.iter().for_each(|notice| (self.sink)(Event::Notice(notice)));
        let mut reached = None;
        for file in files.outcomes()? {
            let (target, outcome) = file?;
            if target == path {
                reached = Some(outcome.path);
                break;
            }
        }
        self.replacements = 0;
        self.report(&Outcome::failed(reached.unwrap_or(path), why));
        Ok(())
    }
}
