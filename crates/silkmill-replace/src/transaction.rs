//! The transaction: every file of a run gets its new text, or none does, whatever is interrupted.
//!
//! # The protocol
//!
//! 1. `stage` writes each new text into the run's directory in the store, where no reader looks.
//!    `flusher` forces staged text to disk while more is staged.
//! 2. `commit` writes the *journal*: which file is to be swapped with which, by their inodes. Then
//!    `barrier` forces the journal and all staged text to disk: a few files one by one, many by one
//!    flush of each filesystem.
//! 3. It sets the journal's `Committed` phase, and flushes that. This is the point of no return.
//! 4. `swap` exchanges every staged file with its target, in one call of the kernel for each. The
//!    original is then what lies in the store, which is all that an undo needs.
//! 5. `rename` gives files and directories new names, if the run is to.
//! 6. What the swaps and renames changed is flushed, too, and the journal's phase becomes `Done`.
//!
//! # After a crash
//!
//! Before step 3 nothing has changed, and the next run removes what was staged. After it,
//! `recovery` rolls the run forward; or, where a file is no longer what it was, back, which is the
//! phase `RollingBack`. No log says how far the swaps came: which inode has the staged name shows
//! whether a file was swapped, and which has a name whether it was renamed. So a recovery can
//! itself be interrupted, and repeated at will.
//!
//! # Other programs
//!
//! After an exchange, the file that came out is compared with the one that was read. If it is
//! another one, it gets its place again at once, and the whole run is rolled back. All originals
//! are checked once more when all are swapped, since a program may have had one of them open.
//!
//! # Files that cannot be exchanged
//!
//! A filesystem without exchange gets a link and a rename (`swap`). A file whose names, owner or
//! attributes a rename would lose, or whose name cannot be taken at all, is overwritten once a copy
//! of its old text is on disk (`swap/in_place`). A file that an undo restores where none is, is
//! moved (`swap/presence`). `attributes` copies what a new file does not have by itself.

pub(crate) mod attributes;
pub(crate) mod barrier;
pub(crate) mod commit;
pub(crate) mod flusher;
pub(crate) mod recovery;
pub(crate) mod rename;
pub(crate) mod stage;
pub(crate) mod swap;
