//! The arguments of `silkmill undo` and `silkmill redo`.

use clap::Args;

const UNDO_EXAMPLES: &str = "\
Examples:
  silkmill undo                        put the files of the last run here back; again: of the one before
  silkmill redo                        and forth again
  silkmill undo --list                 all runs, where they were made, and how much is kept for them
  silkmill undo 20261124-184502-a1b2   put back the files of this one
  silkmill undo -n                     show which files that would be
  silkmill undo --forget all           remove everything that is kept, for good

Exit status: 0 the files were (or would be) put back, 2 an error, and nothing was changed.";

const REDO_EXAMPLES: &str = "\
Examples:
  silkmill redo                        make the run again that was undone last here
  silkmill redo 20261124-184502-a1b2   make this one again

Exit status: 0 the files were (or would be) changed, 2 an error, and nothing was changed.";

/// Put the files of a run of `silkmill replace` back.
///
/// Without a name, it is the newest run that changed a file in the current directory or below it,
/// and is not undone; again, the one before. A run elsewhere needs its name. `silkmill redo` goes
/// forth again.
///
/// All files are put back, or none. They get a new modification time, and keep the mode, owner and
/// attributes that they have now. A file that was edited or deleted since the run is named, and
/// nothing is changed, unless --force is given; a file with the bytes that the run has left is not
/// edited, whatever its times are.
///
/// What was replaced lies in $XDG_STATE_HOME/silkmill (~/.local/state/silkmill), or in .silkmill
/// beside the files where those are on another filesystem. The last ten runs of each directory are
/// kept, up to 10 GiB.
///
/// A run that was cut off is finished, or rolled back, before anything else is done.
#[derive(Debug, Args)]
#[command(after_help = UNDO_EXAMPLES)]
pub(crate) struct UndoArgs {
    #[command(flatten)]
    pub(crate) revert: RevertArgs,
    /// List the runs: when, how many files, bytes kept for them, what, and where
    #[arg(short, long, conflicts_with_all = ["run", "dry_run", "force", "no_sync", "quiet"])]
    pub(crate) list: bool,
    /// Remove what is kept for a run, or for all of them, for good: they cannot be undone any more
    #[arg(long, value_name = "RUN|all", conflicts_with_all = ["run", "list", "force", "no_sync"])]
    pub(crate) forget: Option<String>,
}

/// Make a run of `silkmill replace` again that was undone.
///
/// Without a name, it is the run that was undone last in the current directory or below it, unless
/// a new run was made there since.
///
/// All files are changed, or none. A file that was edited or deleted since the undo is named, and
/// nothing is changed, unless --force is given.
#[derive(Debug, Args)]
#[command(after_help = REDO_EXAMPLES)]
pub(crate) struct RedoArgs {
    #[command(flatten)]
    pub(crate) revert: RevertArgs,
}

/// What an undo and a redo have in common.
#[derive(Debug, Args)]
pub(crate) struct RevertArgs {
    /// The run's name [default: the last run's here]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Change nothing; name the files that would be changed
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Also change files that were edited or deleted since; what they hold now is kept
    ///
    /// A deleted file is put back if its directory still exists, with its mode, owner and
    /// attributes; if it had several names, with one of them.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Do not force the files to disk
    #[arg(long)]
    pub(crate) no_sync: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
