//! Finds text in many files and replaces it safely.
//!
//! A run walks the files, and lets the threads of a [`silkmill::ThreadPoolExecutor`] read each one,
//! find its matches and *stage* its new text: write it where no reader looks. Only when everything
//! is staged and on disk is it *committed*: every staged file changes places with its original. A run
//! that is killed before changes nothing; one that is killed within is finished by the next run, or taken
//! back where another program wrote to a file in between. A reader sees a file's old text or its new one,
//! never half. The originals are kept, and [`undo()`] swaps them in again.
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
//! # What is looked for
//!
//! Literal text or a regex; one, or many [`Pairs`] in one pass; in one style of names, or in
//! [all](OptionsBuilder::preserve_case). UTF-16 is known by its byte order mark and matched as text, other encodings
//! are [named](OptionsBuilder::encoding). [`review()`] asks about every change; [`pipe()`] edits a stream.
//!
//! # What is never changed
//!
//! Bytes outside the matches: invalid UTF-8, CRLF, a byte order mark, unpaired surrogates and a missing last
//! line end stay. Files without a match: they are not opened for writing. The mode, owner, extended
//! attributes and ACL of a file that changes, read-only ones included; a symbolic link that is
//! named, and the names of a file with several: such a file is written in place, and a copy of it kept in
//! the store. A file that another program changes during the run: then the run changes nothing at all.
//!
//! # Where things are
//!
//! `options` says what to do; `walk` and `filter` find files; `worker` reads (`original`), edits
//! (`pattern`, `edit`) and stages (`stage`, `attributes`) each one, small ones while they are found (`sift`), and `early`
//! forces what is staged to disk; `run` leads. The transaction: `store`
//! knows where runs keep their files, and their locks, and `nearby` where other stores are; `journal` is the bytes of what a run is about to do;
//! `swap` swaps one file; `commit` all of them, or none; `recovery` ends what a crash left; `undo` is for
//! people, and `sweep` removes what is too old for them.
//!
//! # What it does not do
//!
//! Binary files are passed over, unless they are to be edited as bytes. Large files are read piece by piece;
//! those that have to be whole in memory (a regex that spans lines, a diff, an encoding but UTF-16) are
//! reported beyond [`FILE_SIZE_MAX`].

#![deny(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod error;
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
pub use crate::options::{HardLinks, Mode, Options, OptionsBuilder};
pub use crate::original::FILE_SIZE_MAX;
pub use crate::outcome::{Action, Event, Notice, Outcome, Phases, Progress, Skip, Summary};
pub use crate::pattern::pairs::{Pairs, PairsFormat};
pub use crate::pattern::syntax::Case;
pub use crate::pipe::pipe;
pub use crate::run::review::{Answer, Proposal};
pub use crate::run::{review, run};
pub use crate::undo::options::{UndoOptions, UndoOptionsBuilder};
pub use crate::undo::prune::{PRUNED_IN_MAX, prune};
pub use crate::undo::{StoredRun, Undone, runs, undo};

#[cfg(fuzzing)]
pub use crate::store::journal::check_journal;
