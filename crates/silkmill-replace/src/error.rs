//! What can go wrong: what was tried, on what, and why it failed.
//!
//! One type serves both a run that failed and a file that failed. Where it is returned says which.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a run or one of its files failed.
pub struct Error {
    repr: Repr,
}

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text to look for is empty or is not a valid regex.
    Pattern,
    /// The replacement names a group that does not exist, or has an unknown escape.
    Replacement,
    /// A file of pairs cannot be read as such.
    Pairs,
    /// A glob or a file type is not valid.
    Filter,
    /// The operating system refused: see [`std::error::Error::source`].
    Io,
    /// The file changed between being read and being replaced.
    Changed,
    /// The file, its new text, or a line of it is larger than the run may hold in memory.
    TooLarge,
    /// A search by a regex with look-around or backreferences took more steps than it may.
    TooManySteps,
    /// The encoding is not known, or cannot represent the new text.
    Encoding,
    /// The options refuse what the run found: nothing was changed.
    Refused,
    /// The run was cancelled before its first change: nothing was changed.
    Interrupted,
    /// Nothing could be stored for the run, or what an earlier run has stored cannot be trusted.
    /// Nothing was changed.
    Store,
    /// The executor could not be built, or lost a task, which is a bug. Nothing was changed.
    Executor,
}

#[derive(Debug)]
enum Repr {
    Message { kind: ErrorKind, message: String },
    Io { tried: &'static str, path: PathBuf, source: io::Error },
    Unstaged { path: PathBuf, source: io::Error },
    Changed { path: PathBuf },
    TooLarge { path: PathBuf, bytes: u64, bytes_max: u64 },
    Unwritable { path: PathBuf, why: String },
    LineTooLong { path: PathBuf, bytes_max: usize },
    TooManySteps { path: PathBuf },
    Interrupted,
}

impl Error {
    pub(crate) fn pattern(message: impl Into<String>) -> Error {
        Error::message(ErrorKind::Pattern, message)
    }

    pub(crate) fn replacement(message: impl Into<String>) -> Error {
        Error::message(ErrorKind::Replacement, message)
    }

    pub(crate) fn pairs(message: impl Into<String>) -> Error {
        Error::message(ErrorKind::Pairs, message)
    }

    pub(crate) fn filter(message: impl Into<String>) -> Error {
        Error::message(ErrorKind::Filter, message)
    }

    pub(crate) fn encoding(message: impl Into<String>) -> Error {
        Error::message(ErrorKind::Encoding, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Error {
        Error::message(ErrorKind::Refused, message)
    }

    pub(crate) fn executor(message: impl fmt::Display) -> Error {
        Error::message(ErrorKind::Executor, format!("{message}: nothing was changed"))
    }

    pub(crate) fn store(message: impl Into<String>) -> Error {
        Error::message(ErrorKind::Store, message)
    }

    pub(crate) fn journal(path: &Path, why: impl fmt::Display) -> Error {
        Error::store(format!(
            "failed to read the journal {path:?}: {why}; its run is left as it is"
        ))
    }

    pub(crate) fn interrupted() -> Error {
        Error { repr: Repr::Interrupted }
    }

    pub(crate) fn io(tried: &'static str, path: &Path, source: impl Into<io::Error>) -> Error {
        let (path, source) = (path.to_path_buf(), source.into());
        Error { repr: Repr::Io { tried, path, source } }
    }

    /// Returns the error of new text that cannot be staged. It fails the whole run, unless the text
    /// is too large by itself: if it were passed over, some files would change and others not.
    pub(crate) fn unstaged(path: &Path, source: impl Into<io::Error>) -> Error {
        Error { repr: Repr::Unstaged { path: path.to_path_buf(), source: source.into() } }
    }

    /// Returns the error of a run that failed before it was committed.
    pub(crate) fn before_the_commit(self) -> Error {
        match &self.repr {
            Repr::Io { .. } => Error::store(format!("{self}: nothing was changed")),
            _ => self,
        }
    }

    pub(crate) fn changed(path: &Path) -> Error {
        Error { repr: Repr::Changed { path: path.to_path_buf() } }
    }

    pub(crate) fn too_large(path: &Path, bytes: u64, bytes_max: u64) -> Error {
        Error { repr: Repr::TooLarge { path: path.to_path_buf(), bytes, bytes_max } }
    }

    pub(crate) fn unwritable(path: &Path, why: impl fmt::Display) -> Error {
        Error { repr: Repr::Unwritable { path: path.to_path_buf(), why: why.to_string() } }
    }

    pub(crate) fn line_too_long(path: &Path, bytes_max: usize) -> Error {
        Error { repr: Repr::LineTooLong { path: path.to_path_buf(), bytes_max } }
    }

    pub(crate) fn too_many_steps(path: &Path) -> Error {
        Error { repr: Repr::TooManySteps { path: path.to_path_buf() } }
    }

    /// Returns the operating system's error, if that is what this is.
    pub(crate) fn into_io(self) -> Option<io::Error> {
        match self.repr {
            Repr::Io { source, .. } | Repr::Unstaged { source, .. } => Some(source),
            _ => None,
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(&self.repr, Repr::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Returns why the whole run has failed, if the failure of this file is not its own alone.
    pub(crate) fn of_the_run(&self) -> Option<&'static str> {
        let Repr::Unstaged { source, .. } = &self.repr else { return None };
        match source.kind() {
            io::ErrorKind::FileTooLarge => None,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("the disk is full"),
            _ => Some("new text could not be staged"),
        }
    }

    fn message(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { repr: Repr::Message { kind, message: message.into() } }
    }

    /// Returns the kind of this failure.
    pub fn kind(&self) -> ErrorKind {
        match &self.repr {
            Repr::Message { kind, .. } => *kind,
            Repr::Io { .. } | Repr::Unstaged { .. } => ErrorKind::Io,
            Repr::Changed { .. } => ErrorKind::Changed,
            Repr::TooLarge { .. } | Repr::LineTooLong { .. } => ErrorKind::TooLarge,
            Repr::Unwritable { .. } => ErrorKind::Encoding,
            Repr::TooManySteps { .. } => ErrorKind::TooManySteps,
            Repr::Interrupted => ErrorKind::Interrupted,
        }
    }

    /// Returns the path that caused the failure, if one did.
    pub fn path(&self) -> Option<&Path> {
        match &self.repr {
            Repr::Io { path, .. }
            | Repr::Unstaged { path, .. }
            | Repr::Changed { path }
            | Repr::TooLarge { path, .. }
            | Repr::Unwritable { path, .. }
            | Repr::TooManySteps { path }
            | Repr::LineTooLong { path, .. } => Some(path),
            Repr::Message { .. } | Repr::Interrupted => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.repr {
            Repr::Message { message, .. } => f.write_str(message),
            Repr::Io { tried, path, source } => {
                write!(f, "failed to {tried} {path:?}: {}", reason(source))
            }
            Repr::Unstaged { path, source } => {
                write!(f, "failed to stage new text for {path:?}: {}", reason(source))
            }
            Repr::Changed { path } => {
                write!(f, "failed to replace {path:?}: it changed while it was being read")
            }
            Repr::TooLarge { path, bytes, bytes_max } => {
                write!(f, "failed to edit {path:?}: {bytes} bytes, and at most {bytes_max} fit")
            }
            Repr::Unwritable { path, why } => write!(f, "failed to edit {path:?}: {why}"),
            Repr::LineTooLong { path, bytes_max } => {
                write!(f, "failed to edit {path:?}: a line has more than {bytes_max} bytes")
            }
            Repr::TooManySteps { path } => {
                write!(f, "failed to search {path:?}: the regex backtracks too often in it")
            }
            Repr::Interrupted => f.write_str("interrupted: nothing was changed"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repr.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.repr {
            Repr::Io { source, .. } | Repr::Unstaged { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Returns the operating system's message, without its capital letter and its error number.
fn reason(error: &io::Error) -> String {
    let message = error.to_string();
    let message = message.split(" (os error ").next().unwrap_or(&message);
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_says_what_was_tried_on_what_and_why() {
        let error = Error::io("read", Path::new("notes.txt"), io::Error::from_raw_os_error(13));

        assert_eq!(error.to_string(), r#"failed to read "notes.txt": permission denied"#);
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}
