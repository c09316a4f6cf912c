//! Copies a new text into its target, and the old text back.
//!
//! This is the method where no other file can take the target's name. The old text is kept as
//! `N.old`, which is written as `N.part` and then renamed; the text of `N` is copied over the
//! target.

use std::fs::File;
use std::io;

use rustix::fs::{
    AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, futimens, openat, renameat, unlinkat,
};
use rustix::io::Errno;

use super::copy::{is_between, note_set_id, overwrite, set_id};
use super::names::{identity, old_name, part_name};
use super::{Attempt, Swap, SwapError};
use crate::original::Identity;
use crate::store::journal::Method;
use crate::transaction::attributes::Attributes;

impl Swap<'_, '_> {
    /// Handles a target that turned out late to allow neither an exchange nor a rename over it:
    /// keeps a copy of its old text first.
    pub(super) fn copy_after_all(&self, expected: &Identity) -> Result<(), SwapError> {
        let (staging_dir, old) = (self.staging_dir(), old_name(self.entry));
        let is_back = identity(staging_dir, &old)?.is_some();
        if is_back {
            return if expected.is_same_text(&self.entry.old) {
                self.copy_over()
            } else {
                self.copy_back()
            };
        }
        if !expected.is_same_text(&self.entry.old) {
            // The target was exchanged before. Why that is not possible now is for the user to find
            // out.
            return Err(Errno::BUSY.into());
        }
        let part = part_name(self.entry);
        let mut from = File::from(self.open(self.directory, self.target())?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mut to = File::from(openat(staging_dir, &part, flags, Mode::RUSR | Mode::WUSR)?);
        io::copy(&mut from, &mut to)?;
        Attributes::of(&from, &from.metadata()?)?.give_what_can_be(&to)?;
        if self.all.durability.is_forced() {
            to.sync_all()?;
        }
        if !Identity::of(&from.metadata()?).is_same_text(expected) {
            unlinkat(staging_dir, &part, AtFlags::empty())?;
            return Err(SwapError::Changed);
        }
        renameat(staging_dir, &part, staging_dir, &old)?;
        self.all.copied_late.borrow_mut().insert((self.entry.staging_dir, self.entry.number));
        if self.all.durability.is_forced() {
            rustix::fs::fsync(openat(
                staging_dir,
                ".",
                OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )?)?;
        }
        self.copy_over()
    }

    /// Copies the new text into the target itself.
    pub(super) fn copy_over(&self) -> Result<(), SwapError> {
        let target = self.open_for_writing()?;
        let (new, old) = (self.new_text(), self.old_text());
        let (new, old) =
            (self.open(self.staging_dir(), &new)?, self.open(self.staging_dir(), &old)?);
        let (new, old) = (File::from(new), File::from(old));
        let found = Identity::of(&target.metadata()?);
        let is_torn = || {
            let same = found.file == self.entry.old.file;
            Ok::<_, io::Error>(same && is_between(&target, &old, &new)?)
        };
        let expected = match self.all.attempt {
            Attempt::First => found == self.entry.old || self.is_late(&found),
            Attempt::Recovery => found.is_same_text(&self.entry.old) || is_torn()?,
        };
        if !expected {
            return Err(SwapError::Changed);
        }
        let kept = if self.entry.method == Method::CopyBack { &new } else { &old };
        if self.all.attempt == Attempt::First {
            note_set_id(&target, kept)?;
        }
        Ok(overwrite(&target, &new, set_id(kept)?)?)
    }

    /// Copies the old text into the target itself, and gives it its old modification time.
    pub(super) fn copy_back(&self) -> Result<(), SwapError> {
        let target = match self.open_for_writing() {
            Ok(target) => target,
            Err(SwapError::Changed) => {
                self.keep(&self.old_text())?;
                return Err(SwapError::Changed);
            }
            Err(error) => return Err(error),
        };
        let found = Identity::of(&target.metadata()?);
        let new = File::from(self.open(self.staging_dir(), self.new_text())?);
        let old = File::from(self.open(self.staging_dir(), self.old_text())?);
        if found.file != self.entry.old.file || !is_between(&target, &old, &new)? {
            self.keep(&self.old_text())?;
            return Err(SwapError::Changed);
        }
        // The bytes are compared, since the clock may be too coarse to show that the file was
        // written to.
        if !is_between(&target, &old, &old)? {
            let kept = if self.entry.method == Method::CopyBack { &new } else { &old };
            overwrite(&target, &old, set_id(kept)?)?;
        }
        let (tv_sec, tv_nsec) = self.entry.old.modified;
        let omitted = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let modified = Timespec { tv_sec, tv_nsec };
        futimens(&target, &Timestamps { last_access: omitted, last_modification: modified })?;
        Ok(())
    }

    /// Removes the copy of a text that is back in its target. The run that this one was to undo
    /// knows of no copy.
    pub(super) fn forget_copy(&self) -> Result<(), SwapError> {
        if self.all.durability.is_forced() {
            File::from(self.open(self.directory, self.target())?).sync_all()?;
        }
        Ok(unlinkat(self.staging_dir(), old_name(self.entry), AtFlags::empty())?)
    }

    /// Returns whether the file is the original, whose ctime alone has changed: a link to it was
    /// created and removed before the text was copied.
    fn is_late(&self, found: &Identity) -> bool {
        matches!(self.entry.method, Method::Exchange | Method::CopyLate)
            && found.is_same_text(&self.entry.old)
    }

    fn open_for_writing(&self) -> Result<File, SwapError> {
        let flags =
            OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match openat(self.directory, self.target(), flags, Mode::empty()) {
            Ok(file) => Ok(file.into()),
            Err(Errno::NOENT | Errno::LOOP | Errno::ISDIR) => Err(SwapError::Changed),
            Err(error) => Err(error.into()),
        }
    }
}
