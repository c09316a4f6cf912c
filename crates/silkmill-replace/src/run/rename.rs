//! The names that a run changes: planned before anything is staged, previewed, reported.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use silkmill::CancelToken;

use super::Run;
use crate::error::Error;
use crate::options::{Mode, Renames};
use crate::outcome::{Action, Outcome};
use crate::run::patch_directory::PatchDirectory;
use crate::run::rename_plan::RenamePlan;
use crate::store::table::Sorter;
use crate::text::diff;

impl Run<'_> {
    /// Finds out what gets another name, if the run is to change names.
    pub(super) fn plan_renames(&mut self, cancel: &CancelToken) -> Result<(), Error> {
        if self.options.renames == Renames::No {
            return Ok(());
        }
        let folder = match &self.stored {
            Some(Ok(run)) => run.path().to_path_buf(),
            _ => std::env::temp_dir(),
        };
        let mut plan = RenamePlan::new(self.options, &folder, cancel)?;
        let failures = std::mem::take(&mut plan.failures);
        for outcome in failures {
            self.report(&outcome);
            self.failed.insert(outcome.path);
        }
        if self.options.renames == Renames::Only {
            self.progress.files_seen = plan.names_seen;
            (self.sink)(crate::outcome::Event::Progress(self.progress));
        }
        self.replacements += plan.replacements;
        self.renames = Arc::new(plan);
        Ok(())
    }

    /// Returns whether the run is to change names now.
    pub(super) fn writes_names(&self) -> bool {
        self.options.mode == Mode::Write && !self.renames.is_empty()
    }

    /// Reports all names that have changed.
    pub(super) fn report_renames(&mut self) -> Result<(), Error> {
        self.report_each(|to| Action::Renamed { to })
    }

    /// Reports what would be renamed, and, where a patch is made, every file that would move and is
    /// not in it yet.
    pub(super) fn preview_renames(&mut self) -> Result<(), Error> {
        if self.options.mode == Mode::Diff {
            let directory = PatchDirectory::of(&self.options.paths);
            let plan = Arc::clone(&self.renames);
            let shown = self.shown.take().map(Sorter::table).transpose()?.unwrap_or_default();
            plan.for_each_moved(&mut |source| {
                if shown.get(source.as_os_str().as_bytes())?.is_none() {
                    let after = directory.below(plan.path_after(&source)?);
                    let path = directory.below(source);
                    let diff = diff::moved::header(&path, &after);
                    self.report(&Outcome::unchanged(path, Action::WouldMove { diff }, 0));
                }
                Ok(())
            })?;
        }
        self.report_each(|to| Action::WouldRename { to })
    }

    /// Notes that the patch moves a file already.
    pub(super) fn note_shown(&mut self, outcome: &Outcome) -> Result<(), Error> {
        if self.options.mode == Mode::Diff
            && !self.renames.is_empty()
            && matches!(outcome.action, Action::WouldChange { .. })
            && let Ok(path) = outcome.path.canonicalize()
        {
            let shown = self.shown.get_or_insert_with(|| Sorter::new(&std::env::temp_dir()));
            shown.push(path.into_os_string().into_vec(), Vec::new())?;
        }
        Ok(())
    }

    fn report_each(&mut self, action: impl Fn(PathBuf) -> Action) -> Result<(), Error> {
        let plan = Arc::clone(&self.renames);
        let mut last: Option<(Arc<Path>, PathBuf)> = None;
        for it in plan.iter() {
            let it = it?;
            let folder = match last.take() {
                Some(last) if last.0 == it.folder => last.1,
                _ => plan.path_after(&it.folder)?,
            };
            let action = action(folder.join(&it.to));
            self.report(&Outcome::renamed(it.path(), action, it.replacements));
            last = Some((it.folder, folder));
        }
        Ok(())
    }
}
