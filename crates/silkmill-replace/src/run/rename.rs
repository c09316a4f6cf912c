//! The names that a run changes: planned before anything is staged, previewed, reported.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use silkmill::CancelToken;

use super::Run;
use crate::error::Error;
use crate::options::{Mode, Renames};
use crate::outcome::{Action, Outcome};
use crate::run::patch_directory::PatchDirectory;
use crate::run::rename_plan::{PlannedRename, RenamePlan};
use crate::text::diff;

impl Run<'_> {
    /// Finds out what gets another name, if the run is to change names.
    pub(super) fn plan_renames(&mut self, cancel: &CancelToken) -> Result<(), Error> {
        if self.options.renames == Renames::No {
            return Ok(());
        }
        let mut plan = RenamePlan::new(self.options, cancel)?;
        let failures = std::mem::take(&mut plan.failures);
        for outcome in failures {
            self.report(&outcome);
            self.failed.insert(outcome.path);
        }
        if self.options.renames == Renames::Only {
            self.progress.files_seen = plan.names_seen;
            (self.sink)(crate::outcome::Event::Progress(self.progress));
        }
        self.replacements += plan.renames.iter().map(|it| it.replacements).sum::<u64>();
        self.renames = Arc::new(plan);
        Ok(())
    }

    /// Returns whether the run is to change names now.
    pub(super) fn writes_names(&self) -> bool {
        self.options.mode == Mode::Write && !self.renames.is_empty()
    }

    /// Reports all names that have changed.
    pub(super) fn report_renames(&mut self) {
        self.report_each(|to| Action::Renamed { to });
    }

    /// Reports what would be renamed, and, where a patch is made, every file that would move and is
    /// not in it yet.
    pub(super) fn preview_renames(&mut self) {
        if self.options.mode == Mode::Diff {
            let directory = PatchDirectory::of(&self.options.paths);
            let plan = Arc::clone(&self.renames);
            let shown: HashSet<PathBuf> = self.shown.drain().collect();
            for source in plan.moved().into_iter().filter(|source| !shown.contains(source)) {
                let after = directory.below(plan.path_after(&source));
                let path = directory.below(source);
                let diff = diff::moved::header(&path, &after);
                self.report(&Outcome::unchanged(path, Action::WouldMove { diff }, 0));
            }
        }
        self.report_each(|to| Action::WouldRename { to });
    }

    /// Notes that the patch moves a file already.
    pub(super) fn note_shown(&mut self, path: &Path) {
        if self.options.mode == Mode::Diff
            && !self.renames.is_empty()
            && let Ok(path) = path.canonicalize()
        {
            self.shown.insert(path);
        }
    }

    fn report_each(&mut self, action: impl Fn(PathBuf) -> Action) {
        let plan = Arc::clone(&self.renames);
        for PlannedRename { path, replacements, .. } in &plan.renames {
            let action = action(plan.path_after(path));
            self.report(&Outcome::renamed(path.clone(), action, *replacements));
        }
    }
}
