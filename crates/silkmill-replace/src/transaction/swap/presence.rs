//! Puts a file where there is none, and removes it again.
//!
//! A forced undo *restores* a file that was deleted since the run from the staging directory to its
//! target. An undo of that undo *removes* it to the staging directory again. The file is in the
//! staging directory or at its target. It is at both for a moment where a file cannot be moved
//! without replacing another.

use rustix::fs::{AtFlags, linkat, renameat, unlinkat};
#[cfg(target_os = "linux")]
use rustix::fs::{RenameFlags, renameat_with};
use rustix::io::Errno;

use super::names::{identity, old_name};
use super::{Attempt, Swap, SwapError};
use crate::original::Identity;

impl Swap<'_, '_> {
    /// Moves the file from the staging directory to its target, where no other file is, or finds
    /// that this was done.
    pub(super) fn restore(&self, stored: &Identity) -> Result<(), SwapError> {
        let Some(name) = self.stored_name(stored)? else {
            return if self.all.attempt == Attempt::Recovery {
                Ok(())
            } else {
                Err(SwapError::Lost)
            };
        };
        if self.is_target(stored)? {
            return Ok(unlinkat(self.staging_dir(), name, AtFlags::empty())?);
        }
        self.rename(&name, Direction::Out)
    }

    /// Moves the target, which must be `expected`, into the staging directory, or finds that this
    /// was done.
    pub(super) fn remove(&self, expected: &Identity) -> Result<(), SwapError> {
        let stored = self.stored_name(expected)?;
        let found = identity(self.directory, self.target())?;
        match (found, stored) {
            (Some(found), Some(_)) if found.file == expected.file => {
                Ok(unlinkat(self.directory, self.target(), AtFlags::empty())?)
            }
            (_, Some(_)) => Ok(()),
            (Some(found), None) if found.is_same_text(expected) => {
                let name = self.free_name()?;
                self.rename(&name, Direction::In)?;
                self.check_removed(&name, expected)
            }
            _ => Err(SwapError::Changed),
        }
    }

    /// Checks the removed file. Another program may have put its own file at the target just
    /// before: that file is moved back.
    fn check_removed(&self, name: &str, expected: &Identity) -> Result<(), SwapError> {
        let is_expected =
            identity(self.staging_dir(), name)?.is_some_and(|found| found.is_same_text(expected));
        if is_expected {
            return Ok(());
        }
        if let Err(SwapError::Changed) = self.rename(name, Direction::Out) {
            self.keep(name)?;
        }
        Err(SwapError::Changed)
    }

    /// Returns the name of this file in the staging directory, if it is there.
    fn stored_name(&self, file: &Identity) -> Result<Option<String>, Errno> {
        for name in [self.number(), old_name(self.entry)] {
            if identity(self.staging_dir(), &name)?.is_some_and(|found| found.file == file.file) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Returns the number as a name if it is free. It is taken when the text was copied in place.
    fn free_name(&self) -> Result<String, Errno> {
        let number = self.number();
        let is_free = identity(self.staging_dir(), &number)?.is_none();
        Ok(if is_free { number } else { old_name(self.entry) })
    }

    /// Moves a file between the staging directory and the target. Fails with `Changed` if there is
    /// a file already.
    fn rename(&self, name: &str, direction: Direction) -> Result<(), SwapError> {
        let (stored, target) =
            ((self.staging_dir(), name.as_ref()), (self.directory, self.target()));
        let (from, to) = match direction {
            Direction::Out => (stored, target),
            Direction::In => (target, stored),
        };
        #[cfg(target_os = "linux")]
        match renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST | Errno::NOENT) => return Err(SwapError::Changed),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BUSY) => {}
            Err(error) => return Err(error.into()),
        }
        match linkat(from.0, from.1, to.0, to.1, AtFlags::empty()) {
            Ok(()) => Ok(unlinkat(from.0, from.1, AtFlags::empty())?),
            Err(Errno::EXIST | Errno::NOENT) => Err(SwapError::Changed),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
                // This filesystem has no links. Between the check and the rename, another program's
                // new file would be replaced.
                match identity(to.0, to.1)? {
                    None => Ok(renameat(from.0, from.1, to.0, to.1)?),
                    Some(_) => Err(SwapError::Changed),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[derive(Clone, Copy)]
enum Direction {
    /// From the staging directory to the target.
    Out,
    /// From the target to the staging directory.
    In,
}
