//! What became of a file, and of a run.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use silkmill::Stats;

use crate::error::Error;

/// What became of one file.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The path by which the run reached the file.
    pub path: PathBuf,
    /// What was done.
    pub action: Action,
    /// How many matches were replaced.
    pub replacements: u64,
    /// The file's length, or 0 if it is not known.
    pub bytes_before: u64,
    /// The length the file has now, or would have.
    pub bytes_after: u64,
    /// How many names the file has that all show its new text.
    pub(crate) names: u64,
}

impl Outcome {
    /// Returns the outcome of a file that stays as it is. `len` is its length in bytes.
    pub(crate) fn unchanged(path: PathBuf, action: Action, len: u64) -> Outcome {
        Outcome { path, action, replacements: 0, bytes_before: len, bytes_after: len, names: 1 }
    }

    pub(crate) fn skipped(path: PathBuf, skip: Skip) -> Outcome {
        Outcome::unchanged(path, Action::Skipped(skip), 0)
    }

    /// Returns the outcome of a name in which there are this many matches.
    pub(crate) fn renamed(path: PathBuf, action: Action, replacements: u64) -> Outcome {
        Outcome { replacements, ..Outcome::unchanged(path, action, 0) }
    }

    /// Returns the outcome of a file of which not even the length is known.
    pub(crate) fn failed(path: PathBuf, error: Error) -> Outcome {
        Outcome::unchanged(path, Action::Failed(error), 0)
    }
}

/// What was done with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Action {
    /// The file holds its new text.
    Changed,
    /// The run is a preview, and would change the file. The unified diff is empty unless it was
    /// asked for.
    WouldChange {
        /// The input by which `patch -p0` makes the change.
        diff: Vec<u8>,
    },
    /// The file, directory or link has another name.
    Renamed {
        /// Its path after the run.
        to: PathBuf,
    },
    /// The run is a preview, and would give the file, directory or link another name.
    WouldRename {
        /// Its path after the run.
        to: PathBuf,
    },
    /// The run is a preview, and the file would move, because its name or that of a directory above
    /// it would change, while its text would not. The input by which `git apply -p0` moves it.
    WouldMove {
        /// The input.
        diff: Vec<u8>,
    },
    /// The file was skipped, for a reason that is no error.
    Skipped(Skip),
    /// The file is as it was, because of an error.
    Failed(Error),
}

/// Why a file was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skip {
    /// The file has a NUL byte.
    Binary,
    /// The file begins with the byte order mark of UTF-32.
    Utf32,
    /// The file is a device, a socket or a pipe.
    NotRegular,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Skip::Binary => "binary",
            Skip::Utf32 => "utf-32",
            Skip::NotRegular => "not a regular file",
        })
    }
}

/// What a run reports while it goes on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// How far the run has come. Sent for every file with a match and for every file committed, and
    /// from time to time for the files without a match.
    Progress(Progress),
    /// A file changed, would change, failed, or was skipped. Files without a match are not
    /// reported.
    Outcome(&'a Outcome),
    /// Something else happened that the user should know.
    Notice(&'a Notice),
}

/// What the user should know. Its `Display` is a sentence.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// Another run is active in the same directories, and this one waits for it.
    Waiting {
        /// The name of the other run.
        run: String,
        /// The directories that the other run works in.
        roots: Vec<PathBuf>,
    },
    /// An earlier run was interrupted before it changed anything, and its files are removed.
    Discarded {
        /// The name of that run.
        run: String,
    },
    /// An earlier run was interrupted while it changed files, and is finished now.
    Finished {
        /// The name of that run.
        run: String,
        /// How many files have their new text.
        files: u64,
    },
    /// An earlier run was interrupted while it changed files, and all of them have their old text
    /// again.
    PutBack {
        /// The name of that run.
        run: String,
        /// How many files the run was to change.
        files: u64,
        /// Why the run could not be finished. `None` if it had begun to roll back before.
        why: Option<Error>,
    },
    /// An earlier run can neither be finished nor rolled back. The next run tries again.
    Unfinished {
        /// The name of that run.
        run: String,
        /// The error that stopped the recovery.
        error: Error,
    },
    /// A file was not put back, because another program has written to it since it was swapped.
    Left {
        /// The file.
        path: PathBuf,
    },
    /// A file of a run that is to be undone was edited since, or is gone.
    Edited {
        /// The file.
        path: PathBuf,
    },
    /// What a run that is to be undone has renamed cannot have its old name again, because that is
    /// taken.
    NameTaken {
        /// The path with the old name.
        path: PathBuf,
    },
    /// More files were edited since than are named.
    EditedMore {
        /// How many are not named.
        files: u64,
    },
    /// The files that were named can be put back all the same.
    CanBeForced {
        /// The command that does so.
        command: &'static str,
    },
    /// A file of a run that is to be undone is gone, and so is its directory.
    NoDirectory {
        /// The file.
        path: PathBuf,
    },
    /// A glob that excludes files has excluded none, so it may not be what was meant.
    ExcludedNothing {
        /// The glob as it was typed, with its `!`.
        glob: String,
    },
    /// A stream without a match is not UTF-8, and what was looked for is a regex or not ASCII.
    HidesMatches,
    /// Names in a stream were left as they are, because they are in no style that is known.
    Undecided {
        /// How many.
        names: u64,
    },
    /// A file that an undo or a redo puts back got another name since: a hard link. The two become
    /// separate files, and the other name keeps what it has now.
    Separated {
        /// The file that is put back.
        path: PathBuf,
    },
    /// A file that changes has other names, which are not among the paths of the run: hard links.
    /// The text changes under those, too.
    OtherNames {
        /// The file.
        path: PathBuf,
        /// How many names were not found.
        others: u64,
    },
    /// A version of a file that would have been lost was moved elsewhere.
    Kept {
        /// The file.
        path: PathBuf,
        /// Where the version is.
        kept: PathBuf,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files =
            |count: u64| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        match self {
            Notice::Waiting { run, roots } => match &roots[..] {
                [root] => write!(f, "waiting for run {run}, which works in {root:?}"),
                _ => write!(f, "waiting for run {run}, which works in the same directories"),
            },
            Notice::Discarded { run } => {
                write!(f, "run {run} was cut off before it changed anything; its files are removed")
            }
            Notice::Finished { run, files: count } => {
                write!(f, "run {run} was cut off; it is finished now, in {}", files(*count))
            }
            Notice::PutBack { run, files: count, why } => {
                write!(f, "run {run} was cut off; it is taken back now, in {}", files(*count))?;
                why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            Notice::Unfinished { run, error } => write!(f, "run {run} stays unfinished: {error}"),
            Notice::Left { path } => {
                write!(f, "{path:?} was not put back: another program wrote to it")
            }
            Notice::Edited { path } => {
                write!(f, "{path:?} is not what the run has left: it was edited since, or is gone")
            }
            Notice::NameTaken { path } => {
                write!(f, "{path:?} cannot be put back: there is another file of this name")
            }
            Notice::EditedMore { files: count } => {
                write!(f, "so are {} more", files(*count))
            }
            Notice::CanBeForced { command } => write!(
                f,
                "`{command} --force` puts such files back, too, and keeps what they hold now"
            ),
            Notice::NoDirectory { path } => {
                write!(f, "{path:?} cannot be put back: the directory it was in is gone")
            }
            Notice::ExcludedNothing { glob } => write!(
                f,
                "the glob {glob:?} excluded nothing (what is hidden or ignored is left out anyway)"
            ),
            Notice::HidesMatches => {
                f.write_str("stdin is not UTF-8, and may hide a match: see --encoding")
            }
            Notice::Undecided { names: 1 } => f.write_str("1 name left, in no style that is known"),
            Notice::Undecided { names } => {
                write!(f, "{names} names left, in no style that is known")
            }
            Notice::Separated { path } => write!(
                f,
                "{path:?} has another name since the run (a hard link), which keeps its text"
            ),
            Notice::OtherNames { path, others } => {
                let names = if *others == 1 {
                    "another name".to_owned()
                } else {
                    format!("{others} other names")
                };
                write!(
                    f,
                    "{path:?} has {names} outside of what was searched, and changes there, too \
                     (see --hard-links)"
                )
            }
            Notice::Kept { path, kept } => {
                write!(f, "a version of {path:?} from before is kept as {kept:?}")
            }
        }
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Files read so far.
    pub files_seen: u64,
    /// Files with a change so far. Once `files_committed` is not 0, these are all of them.
    pub files_matched: u64,
    /// Files that hold their new text.
    pub files_committed: u64,
}

/// The times of the parts of a run, which follow each other. The rest of its time passed between
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Phases {
    /// The time to find, read, edit and stage files, many at once.
    pub staging: Duration,
    /// The time to write the journal, and to force it and all staged files to disk.
    pub barrier: Duration,
    /// The time to swap the staged files with their originals.
    pub swapping: Duration,
    /// The time to force the swaps to disk.
    pub flushing: Duration,
}

/// A run that reached its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Files read. One that was named twice, or named and walked to, counts once. One that has
    /// several names in a directory that is walked counts for each, and is changed once.
    pub files_seen: u64,
    /// Files that changed, or would change.
    pub files_changed: u64,
    /// Files that were skipped: see [`Skip`].
    pub files_skipped: u64,
    /// Files and paths that could not be read, staged or replaced.
    pub files_failed: u64,
    /// Files, directories and links that got another name, or would get one.
    pub renamed: u64,
    /// Files whose text is not UTF-8, in which a match may hide. They are counted when nothing
    /// matched, and what was looked for is a regex or not ASCII.
    pub files_foreign: u64,
    /// Names that were left as they are, because they are in no style that is known.
    pub names_undecided: u64,
    /// Replacements that were made, or would be, those in names included.
    pub replacements: u64,
    /// Changes that were proposed in a [`review`](crate::review()) and not wanted.
    pub declined: u64,
    /// Whether a review was ended before its last change was proposed.
    pub ended_early: bool,
    /// The name of the run, by which it can be undone: see [`undo`](crate::undo()). `None` when
    /// nothing was changed, or nothing kept.
    pub run: Option<String>,
    /// Whether a file below the current directory was changed, so that an undo that begins there
    /// finds the run without its name.
    pub is_here: bool,
    /// The store with its files: see [`prune`](crate::prune).
    pub store: Option<PathBuf>,
    /// The time from the first path to the last flush.
    pub elapsed: Duration,
    /// The parts of that time.
    pub phases: Phases,
    /// What the executor measured. `None` when there was nothing for it to do.
    pub stats: Option<Stats>,
}
