//! The arguments of `silkmill undo`.

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  silkmill undo                        put the files of the last run back
  silkmill undo --list                 the runs that can be undone
  silkmill undo 20261124-184502-a1b2   put back the files of this one
  silkmill undo -n                     show which files that would be

Exit status: 0 the files were (or would be) put back, 2 an error, and nothing was changed.";

/// Put the files of a run of `silkmill replace` back.
///
/// All files are put back, or none. A file that was edited or deleted since the run is named, and
/// nothing is changed, unless --force is given. An undo is itself a run, and can be undone. The
/// last ten runs are kept, in $XDG_STATE_HOME/silkmill, or in .silkmill beside the files where
/// those are on another filesystem; the last run is the latest of all these.
///
/// A run that was cut off is finished, or rolled back, before anything else is done.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UndoArgs {
    /// The run's name [default: the last run's]
    #[arg(value_name = "RUN", conflicts_with = "list")]
    pub(crate) run: Option<String>,
    /// List the runs that can be undone: when, how many files, bytes kept for them, what, and where
    #[arg(short, long)]
    pub(crate) list: bool,
    /// Change nothing; name the files that would be put back
    #[arg(short = 'n', long, conflicts_with = "list")]
    pub(crate) dry_run: bool,
    /// Also put back files that were edited or deleted since; undo the undo to have them again
    ///
    /// A deleted file is put back if its directory still exists, with its mode, owner and
    /// attributes; if it had several names, with one of them.
    #[arg(short, long, conflicts_with = "list")]
    pub(crate) force: bool,
    /// Do not force the files to disk
    #[arg(long, conflicts_with = "list")]
    pub(crate) no_sync: bool,
    /// Print nothing but errors
    #[arg(short, long, conflicts_with = "list")]
    pub(crate) quiet: bool,
}
