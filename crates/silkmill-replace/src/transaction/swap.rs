//! Puts one file's new text in its place, and reverts that. Each step can be interrupted anywhere
//! and repeated: which inode has which name on disk says what state a file is in.
//!
//! A staged file is called by its number, `N`. After the exchange, `N` is the original. Where files
//! cannot be exchanged, the original gets a second name, `N.out`, before the staged file is renamed
//! over it; then `N.out` becomes `N`. Where no file can be renamed, the text is copied: see
//! `in_place`. For a file that is put where there is none, see `presence`.

mod copy;
mod in_place;
mod names;
mod presence;
mod ready;

use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use crate::error::Error;
use crate::file_set::FileSet;
use crate::original::{FileId, Identity};
use crate::store::Store;
use crate::store::durability::Durability;
use crate::store::journal::{Entry, Journal, Method};
use crate::transaction::swap::names::{identity, old_name, open_directory, out_name};

/// How often a file that another program has put at the target is exchanged back before the swap
/// gives up.
const EXCHANGES_MAX: usize = 8;

/// Why a file was not swapped. The file is as it was.
#[derive(Debug)]
pub(crate) enum SwapError {
    /// The file is not the one that was read.
    Changed,
    /// The staged text is gone.
    Lost,
    Io(io::Error),
}

impl From<Errno> for SwapError {
    fn from(errno: Errno) -> SwapError {
        SwapError::Io(errno.into())
    }
}

impl From<io::Error> for SwapError {
    fn from(error: io::Error) -> SwapError {
        SwapError::Io(error)
    }
}

/// What may have been done before the swaps begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Nothing. The run that staged the files swaps them.
    First,
    /// Anything. An interrupted run, or an earlier recovery, may have begun.
    Recovery,
}

/// Where a version of a file was moved that another program wrote during its swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptCopy {
    pub(crate) target: PathBuf,
    pub(crate) kept: PathBuf,
}

/// Swaps the files of one journal.
#[derive(Debug)]
pub(crate) struct Swapper<'a> {
    journal: &'a Journal,
    staging_dirs: Vec<OwnedFd>,
    /// The directory of the last target. Entries come in the order of their directories.
    directory: RefCell<Option<(Arc<Path>, OwnedFd)>>,
    attempt: Attempt,
    durability: Durability,
    /// The entries that turned out, during the swap, to be impossible to exchange, by staging
    /// directory and number.
    copied_late: RefCell<HashSet<(u32, u64)>>,
    /// The originals that several entries have, because their names are split. Each swap of one of
    /// these names changes the ctime of the others.
    split_originals: OnceCell<FileSet>,
    /// Versions of files that other programs wrote while the files were swapped.
    kept: RefCell<Vec<KeptCopy>>,
}

/// Which text a target holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// What the run has written.
    New,
    /// What the run has read.
    Old,
    /// What another program has written, or nothing.
    Other,
}

/// What has the staged name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The new text.
    Waiting,
    /// The original.
    Swapped,
    /// Nothing, or another file.
    Gone,
}

impl<'a> Swapper<'a> {
    /// # Errors
    /// When a staging directory cannot be opened.
    pub(crate) fn new(
        journal: &'a Journal,
        attempt: Attempt,
        durability: Durability,
    ) -> Result<Self, Error> {
        let open = |staging_dir: &PathBuf| {
            open_directory(staging_dir).map_err(|error| Error::io("open", staging_dir, error))
        };
        let staging_dirs = journal.staging_dirs.iter().map(open).collect::<Result<_, _>>()?;
        let (directory, copied_late, kept) =
            (RefCell::default(), RefCell::default(), RefCell::default());
        let split_originals = OnceCell::new();
        Ok(Swapper {
            journal,
            staging_dirs,
            directory,
            attempt,
            durability,
            copied_late,
            split_originals,
            kept,
        })
    }

    pub(crate) fn take_kept(&self) -> Vec<KeptCopy> {
        self.kept.take()
    }

    /// Puts the new text in place, or finds that this was done.
    pub(crate) fn apply(&self, entry: &Entry) -> Result<(), SwapError> {
        self.with_directory(entry, |directory| Swap { all: self, entry, directory }.apply())
    }

    /// Puts the old text in place, or finds that this was done. Fails with `Changed` if another
    /// program has written the file since; what that wrote stays.
    pub(crate) fn revert(&self, entry: &Entry) -> Result<(), SwapError> {
        self.with_directory(entry, |directory| Swap { all: self, entry, directory }.revert())
    }

    /// Returns whether no other program wrote to the original while it was swapped.
    pub(crate) fn is_untouched(&self, entry: &Entry) -> bool {
        if entry.method != Method::Exchange
            || self.copied_late.borrow().contains(&(entry.staging_dir, entry.number))
        {
            return true;
        }
        let staging_dir = self.staging_dirs[entry.staging_dir as usize].as_fd();
        match identity(staging_dir, entry.number.to_string()) {
            Ok(Some(found)) => found.is_same_text(&entry.old),
            _ => false,
        }
    }

    fn is_split_original(&self, file: FileId) -> bool {
        let split = self.split_originals.get_or_init(|| {
            let (mut seen, mut split) = (FileSet::default(), FileSet::default());
            // A journal that cannot be read fails the run by itself.
            for entry in self.journal.entries.iter().flatten() {
                if !seen.insert(entry.old.file) {
                    split.insert(entry.old.file);
                }
            }
            split
        });
        split.contains(file)
    }

    /// Returns the identity of the target now.
    pub(crate) fn target(&self, entry: &Entry) -> io::Result<Option<Identity>> {
        self.with_directory(entry, |directory| {
            Ok(identity(directory, OsStr::from_bytes(&entry.name))?)
        })
    }

    /// Returns whether some text was copied and not exchanged.
    pub(crate) fn has_copied(&self) -> Result<bool, Error> {
        if !self.copied_late.borrow().is_empty() {
            return Ok(true);
        }
        for entry in self.journal.entries.iter() {
            let entry = entry?;
            let is_known = entry.method == Method::Exchange && self.attempt == Attempt::First;
            if !is_known && self.is_in_place(&entry) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns whether an entry's text is copied and not exchanged. For some entries this turned
    /// out during the swap.
    pub(crate) fn is_in_place(&self, entry: &Entry) -> bool {
        let staging_dir = self.staging_dirs[entry.staging_dir as usize].as_fd();
        entry.method != Method::Exchange
            || identity(staging_dir, old_name(entry)).is_ok_and(|found| found.is_some())
    }

    fn with_directory<T, E: From<Errno>>(
        &self,
        entry: &Entry,
        act: impl FnOnce(BorrowedFd<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut last = self.directory.borrow_mut();
        let fd = match last.take() {
            Some((directory, fd)) if directory == entry.directory => fd,
            _ => open_directory(&entry.directory)?,
        };
        let done = act(fd.as_fd());
        *last = Some((Arc::clone(&entry.directory), fd));
        done
    }
}

/// The swap of one file.
struct Swap<'a, 'b> {
    all: &'a Swapper<'a>,
    entry: &'a Entry,
    directory: BorrowedFd<'b>,
}

impl Swap<'_, '_> {
    fn apply(&self) -> Result<(), SwapError> {
        match self.entry.method {
            Method::Exchange | Method::CopyLate => {}
            Method::CopyOver | Method::CopyBack => return self.copy_over(),
            Method::Restore => return self.restore(&self.entry.new),
            Method::Remove => return self.remove(&self.entry.old),
        }
        if self.all.attempt == Attempt::First {
            // No other attempt has been made, so the staged file has its name.
            let is_unchanged = self.is_unchanged()?;
            return if is_unchanged {
                self.exchange(&self.entry.old, &self.entry.new)
            } else {
                Err(SwapError::Changed)
            };
        }
        self.repair()?;
        if identity(self.staging_dir(), old_name(self.entry))?.is_some() {
            return self.copy_over();
        }
        match self.state()? {
            State::Swapped => Ok(()),
            // The staged file was renamed over the original, which is lost. Nothing more can be
            // done.
            State::Gone if self.is_target(&self.entry.new)? => Ok(()),
            State::Gone => Err(SwapError::Lost),
            State::Waiting if !self.is_unchanged()? => Err(SwapError::Changed),
            State::Waiting => self.exchange(&self.entry.old, &self.entry.new),
        }
    }

    fn revert(&self) -> Result<(), SwapError> {
        match self.entry.method {
            Method::Exchange | Method::CopyLate => {}
            Method::CopyOver | Method::CopyBack => return self.copy_back(),
            Method::Restore => return self.remove(&self.entry.new),
            Method::Remove => return self.restore(&self.entry.old),
        }
        self.repair()?;
        if identity(self.staging_dir(), old_name(self.entry))?.is_some() {
            self.copy_back()?;
            return if self.entry.method == Method::CopyLate { self.forget_copy() } else { Ok(()) };
        }
        match self.state()? {
            State::Waiting => Ok(()),
            State::Gone if self.is_old_text()? => Ok(()),
            State::Gone => {
                // This file, whatever it is, may be the only one with its text.
                self.keep(&self.number())?;
                Err(SwapError::Changed)
            }
            State::Swapped => match self.exchange(&self.entry.new, &self.entry.old) {
                Err(SwapError::Changed) => {
                    self.keep(&self.number())?;
                    Err(SwapError::Changed)
                }
                other => other,
            },
        }
    }

    /// Exchanges the target, which must be `expected`, with the staged file. After an error both
    /// are as they were, unless another program has written to the target meanwhile: then the
    /// target is what that program wrote last.
    fn exchange(&self, expected: &Identity, ours: &Identity) -> Result<(), SwapError> {
        if self.entry.method == Method::CopyLate {
            return self.copy_after_all(expected);
        }
        match self.exchange_once() {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return self.link_and_rename(expected);
            }
            Err(Errno::XDEV | Errno::BUSY) => return self.copy_after_all(expected),
            Err(Errno::NOENT) => return Err(SwapError::Changed),
            Err(error) => return Err(error.into()),
        }
        let is_expected =
            |found: Option<Identity>| found.is_some_and(|it| it.is_same_text(expected));
        if is_expected(identity(self.staging_dir(), self.number())?) {
            return Ok(());
        }
        self.give_back(ours)
    }

    fn exchange_once(&self) -> Result<(), Errno> {
        let (number, name) = (self.number(), self.target());
        let flags = RenameFlags::EXCHANGE;
        #[cfg(target_os = "linux")]
        return renameat_with(self.staging_dir(), number, self.directory, name, flags);
        #[cfg(not(target_os = "linux"))]
        return Err(Errno::NOSYS);
    }

    /// Gives another program's file, which has the staged name now, its place at the target again;
    /// the target is `ours`. If that program has written once more meanwhile, its latest version
    /// gets the place, and the one before is kept.
    fn give_back(&self, ours: &Identity) -> Result<(), SwapError> {
        let mut at_target = *ours;
        for _ in 0..EXCHANGES_MAX {
            let Some(here) = identity(self.staging_dir(), self.number())? else { break };
            match self.exchange_once() {
                Ok(()) => {}
                // Its owner has removed the file, so the version before must not return.
                Err(Errno::NOENT) => break,
                Err(error) => {
                    self.keep(&self.number())?;
                    return Err(error.into());
                }
            }
            let out = identity(self.staging_dir(), self.number())?;
            if out.is_some_and(|out| out.is_same_text(&at_target)) {
                if at_target.file != ours.file {
                    self.keep(&self.number())?;
                }
                return Err(SwapError::Changed);
            }
            // A newer version was written in between. It has the staged name now, and the older one
            // is at the target.
            at_target = here;
        }
        self.keep(&self.number())?;
        Err(SwapError::Changed)
    }

    /// Swaps on a filesystem that cannot exchange. If another program *renames* a file to the
    /// target between the two steps, that file is replaced. If it writes to the target, its text is
    /// kept.
    fn link_and_rename(&self, expected: &Identity) -> Result<(), SwapError> {
        let (staging_dir, number, out, name) =
            (self.staging_dir(), self.number(), out_name(self.entry), self.target());
        match linkat(self.directory, name, staging_dir, &out, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Err(SwapError::Changed),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK | Errno::XDEV) => {
                return self.copy_after_all(expected);
            }
            Err(error) => return Err(error.into()),
        }
        let is_expected =
            identity(staging_dir, &out)?.is_some_and(|found| found.is_same_text(expected));
        if !is_expected {
            unlinkat(staging_dir, &out, AtFlags::empty())?;
            return Err(SwapError::Changed);
        }
        match renameat(staging_dir, &number, self.directory, name) {
            Ok(()) => Ok(renameat(staging_dir, &out, staging_dir, &number)?),
            Err(error) => {
                unlinkat(staging_dir, &out, AtFlags::empty())?;
                match error {
                    Errno::BUSY | Errno::XDEV => self.copy_after_all(expected),
                    _ => Err(error.into()),
                }
            }
        }
    }

    /// Finishes or reverts what [`Swap::link_and_rename`] began.
    fn repair(&self) -> Result<(), SwapError> {
        let (staging_dir, number, out) = (self.staging_dir(), self.number(), out_name(self.entry));
        if identity(staging_dir, &out)?.is_none() {
            return Ok(());
        }
        match identity(staging_dir, &number)? {
            Some(_) => unlinkat(staging_dir, &out, AtFlags::empty())?,
            None => renameat(staging_dir, &out, staging_dir, &number)?,
        }
        Ok(())
    }

    fn open(
        &self,
        directory: BorrowedFd<'_>,
        name: impl rustix::path::Arg,
    ) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(directory, name, flags, Mode::empty())
    }

    /// Moves a file of the staging directory to where it outlives the run's directory, and notes
    /// where.
    fn keep(&self, name: &str) -> Result<(), SwapError> {
        let staging_dir = &self.all.journal.staging_dirs[self.entry.staging_dir as usize];
        let folder = staging_dir.parent().unwrap_or(staging_dir);
        let kept = Store::kept(folder)?;
        let run = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let dir = staging_dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let kept = kept.join(format!("{run}-{dir}-{name}"));
        match renameat(self.staging_dir(), name, CWD, &kept) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let target = self.entry.target();
        self.all.kept.borrow_mut().push(KeptCopy { target, kept });
        Ok(())
    }

    fn state(&self) -> Result<State, Errno> {
        Ok(match identity(self.staging_dir(), self.number())? {
            Some(found) if found.file == self.entry.new.file => State::Waiting,
            Some(found) if found.file == self.entry.old.file => State::Swapped,
            _ => State::Gone,
        })
    }

    /// Returns whether the target is what was read. A crash between a link and a rename changes the
    /// ctime and nothing else.
    fn is_unchanged(&self) -> Result<bool, Errno> {
        Ok(identity(self.directory, self.target())?.is_some_and(|found| match self.all.attempt {
            Attempt::Recovery => found.is_same_text(&self.entry.old),
            Attempt::First => found == self.entry.old || self.is_split(&found),
        }))
    }

    /// Returns whether only the ctime has changed, because another name of the same file was
    /// swapped before.
    fn is_split(&self, found: &Identity) -> bool {
        found.is_same_text(&self.entry.old) && self.all.is_split_original(found.file)
    }

    /// Compares the times, too, since the inode number of a removed file may have been reused.
    fn is_old_text(&self) -> Result<bool, Errno> {
        let found = identity(self.directory, self.target())?;
        Ok(found.is_some_and(|found| found.is_same_text(&self.entry.old)))
    }

    fn is_target(&self, wanted: &Identity) -> Result<bool, Errno> {
        let found = identity(self.directory, self.target())?;
        Ok(found.is_some_and(|found| found.file == wanted.file))
    }

    fn staging_dir(&self) -> BorrowedFd<'_> {
        self.all.staging_dirs[self.entry.staging_dir as usize].as_fd()
    }

    fn target(&self) -> &OsStr {
        OsStr::from_bytes(&self.entry.name)
    }

    fn number(&self) -> String {
        self.entry.number.to_string()
    }

    fn new_text(&self) -> String {
        if self.entry.method == Method::CopyBack { old_name(self.entry) } else { self.number() }
    }

    fn old_text(&self) -> String {
        if self.entry.method == Method::CopyBack { self.number() } else { old_name(self.entry) }
    }
}
