//! A file that is to be where there is none, and the way back.
//!
//! An undo that is told to *brings* what was deleted since the run out of the staging directory again; an undo of that
//! *takes* it away. A file is in the staging directory or at its target; in between, where names cannot be moved without
//! replacing another, it is at both.

use rustix::fs::{AtFlags, linkat, renameat, unlinkat};
#[cfg(target_os = "linux")]
use rustix::fs::{RenameFlags, renameat_with};
use rustix::io::Errno;

use super::names::{identity, old_name};
use super::{Attempt, Swap, SwapError};
use crate::original::Identity;

impl Swap<'_, '_> {
    /// Puts a file of the staging directory where no other is, or finds that it has been put.
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

    /// Puts the target, which must be `expected`, into the staging directory, or finds it there.
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

    /// Another program may have put a file of its own there in between: that goes back.
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

    /// The name of this file in the staging directory, if it is there.
    fn stored_name(&self, file: &Identity) -> Result<Option<String>, Errno> {
        for name in [self.number(), old_name(self.entry)] {
            if identity(self.staging_dir(), &name)?.is_some_and(|found| found.file == file.file) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// The number is free, unless the text of a file that was written in place has it.
    fn free_name(&self) -> Result<String, Errno> {
        let number = self.number();
        let is_free = identity(self.staging_dir(), &number)?.is_none();
        Ok(if is_free { number } else { old_name(self.entry) })
    }

    /// Between the staging directory and the target. `Changed` if there is a file already.
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
                // A filesystem without links, and a moment in which another program's new file would be replaced.
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
