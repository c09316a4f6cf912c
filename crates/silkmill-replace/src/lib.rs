//! Finds text in many files and replaces it safely.
//!
//! A run walks the files, and lets the threads of a [`silkmill::ThreadPoolExecutor`] read each one,
//! find its matches and *stage* its new text: write it where no reader looks. Only when everything
//! is staged and on disk is it *committed*: every staged file takes its target's name. Until then
//! nothing has changed, whatever happens; a reader sees a file's old text or its new one, never half.
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
//! # What is never changed
//!
//! Bytes outside the matches: invalid UTF-8, CRLF, a byte order mark and a missing last line end
//! stay. Files without a match: they are not opened for writing. The mode, owner, extended
//! attributes and ACL of a file that changes, read-only ones included; a symbolic link that is
//! named, and the names of a file with several: such a file is written in place, with a flushed copy
//! beside it until that is done.
//!
//! # What it does not do
//!
//! A kill between the first rename and the last leaves some files changed and others not, and what
//! was staged beside them (`.silkmill-PID-N`, passed over by every walk). UTF-16 and binary files
//! are passed over, files beyond [`FILE_SIZE_MAX`], or what was asked for, are reported.

#![deny(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod attributes;
mod batch;
mod commit;
mod diff;
mod edit;
mod error;
mod filter;
mod line;
mod options;
mod original;
mod outcome;
mod pattern;
mod replacement;
mod run;
mod stage;
mod walk;
mod worker;

pub use crate::error::{Error, ErrorKind};
pub use crate::options::{Mode, Options, OptionsBuilder};
pub use crate::original::FILE_SIZE_MAX;
pub use crate::outcome::{Action, Event, Outcome, Progress, Skip, Summary};
pub use crate::pattern::Case;
pub use crate::run::run;
