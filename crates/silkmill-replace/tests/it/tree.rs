//! A directory of files for one test, and a run over it.

use std::fs;
use std::path::{Path, PathBuf};

use silkmill::CancelToken;
use silkmill_replace::{Action, Error, Event, Options, OptionsBuilder, Summary, run};
use tempfile::TempDir;

pub(crate) struct Tree {
    root: TempDir,
}

impl Tree {
    pub(crate) fn new(files: &[(&str, &str)]) -> Tree {
        let tree = Tree { root: tempfile::tempdir().unwrap() };
        for (path, text) in files {
            let path = tree.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        tree
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Begins options that replace `old` by `new` in the whole tree, and keep no originals.
    pub(crate) fn options(&self, old: &str, new: &str) -> OptionsBuilder {
        Options::builder(old, new).path(self.root.path()).undo(false)
    }

    /// Returns whether a run left no staged files and no originals behind.
    pub(crate) fn is_clean(&self) -> bool {
        !holds_staged(self.root.path())
    }
}

/// Returns whether there is a file in a staging directory of a run.
fn holds_staged(root: &Path) -> bool {
    let folders = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let staging_dirs = folders(&root.join(".silkmill")).into_iter().flat_map(|run| folders(&run));
    staging_dirs.into_iter().any(|dir| fs::read_dir(dir).unwrap().next().is_some())
}

/// What a run reported: name and action of each file, sorted; and how the run ended.
pub(crate) struct Report {
    pub(crate) files: Vec<(String, &'static str)>,
    pub(crate) end: Result<Summary, Error>,
}

impl Report {
    pub(crate) fn summary(&self) -> &Summary {
        self.end.as_ref().unwrap()
    }
}

/// Runs, and calls `meanwhile` with every event before the next one.
pub(crate) fn report_while(
    options: OptionsBuilder,
    cancel: &CancelToken,
    mut meanwhile: impl FnMut(Event<'_>),
) -> Report {
    let mut files = Vec::new();
    let end = run(&options.build().unwrap(), cancel, &mut |event| {
        if let Event::Outcome(outcome) = event {
            let name = outcome.path.file_name().unwrap().to_string_lossy().into_owned();
            files.push((name, action(&outcome.action)));
        }
        meanwhile(event);
    });
    files.sort_unstable();
    Report { files, end }
}

pub(crate) fn report_of(options: OptionsBuilder) -> Report {
    report_while(options, &CancelToken::new(), |_| {})
}

fn action(action: &Action) -> &'static str {
    match action {
        Action::Changed => "changed",
        Action::WouldChange { .. } => "would change",
        Action::Skipped(_) => "skipped",
        Action::Failed(_) => "failed",
        _ => "unknown",
    }
}
