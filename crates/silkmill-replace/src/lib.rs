//! Finds text in many files and replaces it safely.
//!
//! A run walks the files. The threads of a [`silkmill::ThreadPoolExecutor`] read each one, find
//! its matches and *stage* its new text: they write it where no reader looks. Only when everything
//! is staged and on disk is the run *committed*: every staged file is exchanged with its original.
//! A run that is killed before that changes nothing. One that is killed while it commits is
//! finished by the next run, or rolled back if another program has written to one of its files. A
//! reader sees a file's old text or its new one, never a part. The originals are kept, and
//! [`undo()`] exchanges them again.
//!
//! ```
//! use silkmill::CancelToken;
//! use silkmill_replace::{Event, Options, run};
//!
//! let root = tempfile::tempdir()?;
//! std::fs::write(root.path().join("greeting.txt"), "Hello, colour!\r\n")?;
//!
//! let options = Options::builder("colour", "color").path(root.path()).build()?;
//! let mut changed = Vec::new();
//! let summary = run(&options, &CancelToken::new(), &mut |event| {
//!     if let Event::Outcome(outcome) = event {
//!         changed.push(outcome.path.clone());
//!     }
//! })?;
//!
//! assert_eq!(summary.replacements, 1);
//! assert_eq!(changed, [root.path().join("greeting.txt")]);
//! assert_eq!(std::fs::read(&changed[0])?, b"Hello, color!\r\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is found
//!
//! Literal text or a regex; one, or many [`Pairs`] in one pass; in one style of names, or in [all
//! of them](OptionsBuilder::preserve_case). UTF-16 is recognized by its byte order mark and
//! matched as text. Other encodings are [named](OptionsBuilder::encoding). [`review()`] asks about
//! every change, and [`pipe()`] edits a stream.
//!
//! # What is never changed
//!
//! * Bytes outside the matches: invalid UTF-8, CRLF, a byte order mark, unpaired surrogates and a
//!   missing last line end stay.
//! * Files without a match, which are not opened for writing.
//! * The mode, owner, extended attributes and ACL of a file, read-only files included.
//! * A symbolic link that is named, and the names of a file that has several. The text of such a
//!   file is overwritten in place, after a copy of it has been stored.
//! * Anything at all, if another program changes one of the files during the run.
//!
//! # What it does not do
//!
//! Binary files are skipped, unless they are to be edited as bytes. Large files are read piece by
//! piece. Those that have to be in memory as a whole (for a regex that spans lines, a diff, or an
//! encoding other than UTF-16) are reported if they are larger than [`FILE_SIZE_MAX`].
//!
//! # Where things are
//!
//! Every folder is named after its face, the file beside it, and imports only what is below it in
//! this table.
//!
//! | folder or file | what |
//! |---|---|
//! | `run` | [`run()`] and [`review()`]: what workers do, what the caller's thread decides |
//! | `undo` | [`undo()`], [`redo`], [`runs`], [`forget`], [`prune`]: earlier runs, back or gone |
//! | `pipe` | [`pipe()`] and [`Options::edit`]: text that is in no file |
//! | `transaction` | stage, commit, swap, rename, recover: all files or none, at any interruption |
//! | `options` | [`Options`]: what a run is to do, checked |
//! | `walk` | which files a run is about |
//! | `store` | where runs keep their files: journals, locks, trash, links to other stores |
//! | `original` | a file as it was found, and how it is recognized later |
//! | `text` | pure: edit, decode, encode and compare, as a whole or piece by piece |
//! | `pattern` | pure: literals, regexes, pairs, styles of names, replacements |
//! | `outcome`, `error`, `mutex` | what became of a file or a run; what went wrong; a lock |

#![deny(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod error;
mod file_set;
mod mutex;
mod options;
mod original;
mod outcome;
mod pattern;
mod pipe;
mod run;
mod store;
mod text;
mod transaction;
mod undo;
mod walk;

pub use crate::error::{Error, ErrorKind};
pub use crate::options::{HardLinks, Mode, Options, OptionsBuilder, Renames};
pub use crate::original::FILE_SIZE_MAX;
pub use crate::outcome::{Action, Event, Notice, Outcome, Phases, Progress, Skip, Summary};
pub use crate::pattern::pairs::{Pairs, PairsFormat};
pub use crate::pattern::syntax::Case;
pub use crate::pipe::{pipe, pipe_with_notices};
pub use crate::run::patch_directory::patch_directory;
pub use crate::run::review::{Answer, Proposal};
pub use crate::run::{preview, review, run};
pub use crate::undo::options::{UndoOptions, UndoOptionsBuilder};
pub use crate::undo::prune::{PRUNED_IN_MAX, STORED_BYTES_MAX, forget, prune};
pub use crate::undo::{StoredRun, Undone, redo, runs, undo};

#[cfg(fuzzing)]
pub use crate::store::journal::check_journal;
