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
    /// The file, as the run was led to it.
    pub path: PathBuf,
    /// What was done.
    pub action: Action,
    /// How many matches became something else.
    pub replacements: u64,
    /// The file's length; 0 where it could not be had.
    pub bytes_before: u64,
    /// The length the file has now, or would have.
    pub bytes_after: u64,
}

impl Outcome {
    /// A file that stays as it is, at its length in bytes.
    pub(crate) fn unchanged(path: PathBuf, action: Action, len: u64) -> Outcome {
        Outcome { path, action, replacements: 0, bytes_before: len, bytes_after: len }
    }

    pub(crate) fn skipped(path: PathBuf, skip: Skip) -> Outcome {
        Outcome::unchanged(path, Action::Skipped(skip), 0)
    }

    /// A file of which not even the length is known.
    pub(crate) fn failed(path: PathBuf, error: Error) -> Outcome {
        Outcome::unchanged(path, Action::Failed(error), 0)
    }
}

/// What was done with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Action {
    /// It holds its new text.
    Changed,
    /// It would have been changed, were the run not a preview. The unified diff is empty unless it
    /// was asked for.
    WouldChange {
        /// What `patch -p0` needs to make the change.
        diff: Vec<u8>,
    },
    /// It was passed over, for a reason that is no error.
    Skipped(Skip),
    /// It is as it was, because of an error.
    Failed(Error),
}

/// Why a file was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skip {
    /// It has a NUL byte.
    Binary,
    /// It opens with the byte order mark of UTF-32.
    Utf32,
    /// It is a device, a socket or a pipe.
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

/// What a run tells while it goes on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// How far the run has come. Sent for every file with a match and for every file committed, and for
    /// the files without a match now and then.
    Progress(Progress),
    /// A file changed, would change, failed, or was passed over. Files without a match are not told
    /// of.
    Outcome(&'a Outcome),
    /// Something happened that a person should know, beside what was asked for.
    Notice(&'a Notice),
}

/// What a person should know, as a sentence: see its `Display`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// Another run is at work in the same directories; this one waits for it.
    Waiting {
        /// The other one's name.
        run: String,
        /// Where it works.
        roots: Vec<PathBuf>,
    },
    /// An earlier run was cut off before it changed anything, and its files are removed.
    Discarded {
        /// Its name.
        run: String,
    },
    /// An earlier run was cut off while it changed files, and is finished now.
    Finished {
        /// Its name.
        run: String,
        /// How many files have their new text.
        files: u64,
    },
    /// An earlier run was cut off while it changed files, and all of them have their old text again.
    PutBack {
        /// Its name.
        run: String,
        /// How many files it was about.
        files: u64,
        /// Why it could not be finished; `None` where it had begun to put them back already.
        why: Option<Error>,
    },
    /// An earlier run can neither be finished nor put back. The next run tries again.
    Unfinished {
        /// Its name.
        run: String,
        /// Why.
        error: Error,
    },
    /// A file was not put back, because another program wrote to it since it was swapped.
    Left {
        /// The file.
        path: PathBuf,
    },
    /// A file of a run that is to be undone was edited since, or is gone.
    Edited {
        /// The file.
        path: PathBuf,
    },
    /// A file of a run that is to be undone is gone, and so is the directory it was in.
    NoDirectory {
        /// The file.
        path: PathBuf,
    },
    /// A version of a file that would have been lost lies elsewhere now.
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
            Notice::NoDirectory { path } => {
                write!(f, "{path:?} cannot be put back: the directory it was in is gone")
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
    /// Files looked at so far.
    pub files_seen: u64,
    /// Files with a change, so far; known to be all of them once `files_committed` is not 0.
    pub files_matched: u64,
    /// Files that hold their new text.
    pub files_committed: u64,
}

/// The parts of a run that come one after the other. What is left of its time went by between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Phases {
    /// To find, read, edit and stage; many files at once.
    pub staging: Duration,
    /// To write the journal, and to force it and all staged files to disk.
    pub barrier: Duration,
    /// To swap the staged files with their originals.
    pub swapping: Duration,
    /// To force the swaps to disk.
    pub flushing: Duration,
}

/// A run that reached its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Files looked at. One that was named twice, or named and walked to, counts once; one that has several names
    /// in a directory that is walked counts for each, and is changed once.
    pub files_seen: u64,
    /// Files changed, or that would be.
    pub files_changed: u64,
    /// Files passed over: see [`Skip`].
    pub files_skipped: u64,
    /// Files and paths that could not be read, staged or replaced.
    pub files_failed: u64,
    /// Replacements made, or that would be.
    pub replacements: u64,
    /// The name of the run, by which it can be undone: see [`undo`](crate::undo()). `None` when nothing was
    /// changed, or nothing kept.
    pub run: Option<String>,
    /// Where its files are kept: see [`prune`](crate::prune).
    pub store: Option<PathBuf>,
    /// From the first path to the last flush.
    pub elapsed: Duration,
    /// What that time went by with.
    pub phases: Phases,
    /// What the executor measured; `None` when there was nothing for it to do.
    pub stats: Option<Stats>,
}
