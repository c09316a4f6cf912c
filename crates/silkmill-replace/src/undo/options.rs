//! Which runs an undo considers, and how it reverts one.

use std::path::PathBuf;

/// Which runs are found, and how one is undone.
///
/// ```
/// use silkmill::CancelToken;
/// use silkmill_replace::{Options, UndoOptions, run, undo};
///
/// let root = tempfile::tempdir()?;
/// let file = root.path().join("a");
/// std::fs::write(&file, "colour")?;
/// let options = Options::builder("colour", "color").path(&file).build()?;
/// run(&options, &CancelToken::new(), &mut |_| {})?;
///
/// let options = UndoOptions::builder(root.path()).build();
/// undo(&options, None, &CancelToken::new(), &mut |_| {})?;
///
/// assert_eq!(std::fs::read(&file)?, b"colour");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct UndoOptions {
    pub(super) state_directory: Option<PathBuf>,
    pub(super) from: PathBuf,
    pub(super) force: bool,
    pub(super) dry_run: bool,
    pub(super) sync: bool,
}

impl UndoOptions {
    /// Begins options that find the stores beside files in the directory `from` and in all above
    /// it.
    pub fn builder(from: impl Into<PathBuf>) -> UndoOptionsBuilder {
        let from = from.into();
        let options =
            UndoOptions { state_directory: None, from, force: false, dry_run: false, sync: true };
        UndoOptionsBuilder { options }
    }
}

/// Collects how a run is undone: see [`UndoOptions::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct UndoOptionsBuilder {
    options: UndoOptions,
}

impl UndoOptionsBuilder {
    /// Also finds runs in the user's store, and in the stores that it links to: see
    /// [`OptionsBuilder::state_directory`](crate::OptionsBuilder::state_directory).
    pub fn state_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.state_directory = Some(path.into());
        self
    }

    /// Reverts files that were edited or deleted since, too. What they hold now is what an undo of
    /// the undo gives.
    pub fn force(mut self, force: bool) -> Self {
        self.options.force = force;
        self
    }

    /// Finds out what would be reverted, and changes nothing.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.options.dry_run = dry_run;
        self
    }

    /// Forces the files to disk. On by default.
    pub fn sync(mut self, sync: bool) -> Self {
        self.options.sync = sync;
        self
    }

    /// Returns the options. There is nothing to check.
    pub fn build(self) -> UndoOptions {
        self.options
    }
}
