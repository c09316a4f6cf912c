//! What an undo looks at before it is committed: whether a target holds what the run left, and
//! whether the file in the store may take its place.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, RawMode};
use rustix::fs::{Mode, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, chmodat, futimens, statat};
use rustix::io::Errno;

use super::copy::is_between;
use super::names::{identity, old_name};
use super::{Holds, Swap, Swapper};
use crate::original::{Checksum, Identity};
use crate::store::journal::{Entry, Method};
use crate::transaction::attributes::{self, Attributes};

/// The mode of a stored file that could not be opened otherwise. It lies in a directory that nobody
/// but its owner can enter.
const READABLE: Mode = Mode::RUSR.union(Mode::WUSR);

impl Swapper<'_> {
    /// Returns how many names the target has now.
    pub(crate) fn target_names(&self, entry: &Entry) -> io::Result<u64> {
        self.with_directory(entry, |directory| {
            let name = OsStr::from_bytes(&entry.name);
            let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            #[allow(clippy::unnecessary_cast, reason = "the type differs between systems")]
            Ok(found.st_nlink as u64)
        })
    }

    /// Returns the identity of the original of an entry that was swapped. It has the staged name.
    pub(crate) fn original(&self, entry: &Entry) -> io::Result<Identity> {
        let staging_dir = self.staging_dirs[entry.staging_dir as usize].as_fd();
        Ok(identity(staging_dir, entry.number.to_string())?.ok_or(Errno::NOENT)?)
    }

    /// Returns the identity of the file with the original's text, which can be put where the
    /// original was.
    pub(crate) fn original_text(&self, entry: &Entry) -> io::Result<Identity> {
        let staging_dir = self.staging_dirs[entry.staging_dir as usize].as_fd();
        let copy = identity(staging_dir, old_name(entry))?;
        let found = match entry.method {
            Method::CopyOver | Method::CopyLate | Method::Exchange if copy.is_some() => copy,
            Method::Remove => {
                let is_removed = |found: &Identity| found.file == entry.old.file;
                let number = identity(staging_dir, entry.number.to_string())?;
                number.filter(is_removed).or(copy.filter(is_removed))
            }
            _ => identity(staging_dir, entry.number.to_string())?,
        };
        Ok(found.ok_or(Errno::NOENT)?)
    }

    /// Returns which of the two texts the target holds, by its bytes: its times may have changed,
    /// or the file may have been written anew, without an edit.
    pub(crate) fn holds(&self, entry: &Entry) -> io::Result<Holds> {
        self.with_directory(entry, |directory| Swap { all: self, entry, directory }.holds())
    }

    /// Returns the checksum of the file with the original's text.
    pub(crate) fn original_checksum(&self, entry: &Entry) -> io::Result<Checksum> {
        self.with_directory(entry, |directory| {
            let swap = Swap { all: self, entry, directory };
            let original = swap.open(swap.staging_dir(), swap.number())?;
            Ok(Checksum::of_file(&File::from(original))?.1)
        })
    }

    /// Makes the file that an undo puts back ready, in the store: it gets the attributes that the
    /// target has now, and a new modification time. Returns whether it has all of them, so that it
    /// may take the target's place.
    pub(crate) fn make_ready(&self, entry: &Entry) -> io::Result<bool> {
        self.with_directory(entry, |directory| Swap { all: self, entry, directory }.make_ready())
    }

    /// Returns the identity of a file that is to be restored, which is in the store.
    pub(crate) fn restored(&self, entry: &Entry) -> io::Result<Identity> {
        let staging_dir = self.staging_dirs[entry.staging_dir as usize].as_fd();
        for name in [entry.number.to_string(), old_name(entry)] {
            let found = identity(staging_dir, name)?;
            if let Some(found) = found.filter(|found| found.file == entry.new.file) {
                return Ok(found);
            }
        }
        Err(Errno::NOENT.into())
    }
}

impl Swap<'_, '_> {
    fn holds(&self) -> io::Result<Holds> {
        let Some(found) = identity(self.directory, self.target())? else { return Ok(Holds::Other) };
        let in_place = self.entry.method != Method::Restore && self.all.is_in_place(self.entry);
        if !in_place && found.is_same_text(&self.entry.new) {
            return Ok(Holds::New);
        }
        let (old, new) = (self.entry.old, self.entry.new);
        let has_a_length = found.size == new.size || found.size == old.size;
        if !(in_place || has_a_length) || !self.is_regular()? {
            return Ok(Holds::Other);
        }
        let target = match self.open(self.directory, self.target()) {
            Ok(target) => File::from(target),
            Err(Errno::LOOP | Errno::NOENT) => return Ok(Holds::Other),
            Err(error) => return Err(error.into()),
        };
        if in_place { self.holds_in_place(&target) } else { self.holds_by_checksum(&target, found) }
    }

    /// Compares the target with both texts, which are in the store.
    fn holds_in_place(&self, target: &File) -> io::Result<Holds> {
        for (name, holds) in [(self.new_text(), Holds::New), (self.old_text(), Holds::Old)] {
            let text = File::from(self.open(self.staging_dir(), name)?);
            if is_between(target, &text, &text)? {
                return Ok(holds);
            }
        }
        Ok(Holds::Other)
    }

    fn holds_by_checksum(&self, target: &File, found: Identity) -> io::Result<Holds> {
        let (len, sum) = Checksum::of_file(target)?;
        let is_it =
            |text: Identity, known: Option<Checksum>| text.size == len && known == Some(sum);
        if is_it(self.entry.new, self.entry.new_text) {
            return Ok(Holds::New);
        }
        let old_text = match self.entry.old_text {
            None if self.entry.old != Identity::NONE && found.size == self.entry.old.size => {
                let old = File::from(self.open(self.staging_dir(), self.number())?);
                Some(Checksum::of_file(&old)?.1)
            }
            known => known,
        };
        Ok(if is_it(self.entry.old, old_text) { Holds::Old } else { Holds::Other })
    }

    fn make_ready(&self) -> io::Result<bool> {
        if matches!(self.entry.method, Method::CopyOver | Method::CopyBack | Method::Remove) {
            // The target stays the file it is, or goes.
            return Ok(true);
        }
        let stored = self.open_stored()?;
        let metadata = stored.metadata()?;
        let has_other_names = std::os::unix::fs::MetadataExt::nlink(&metadata) > 1;
        let mut is_ready = true;
        // The other names of a file that was split from them keep what they have.
        if self.entry.method == Method::Exchange && !has_other_names {
            is_ready = match self.attributes(&stored)?.give(&stored) {
                Ok(()) => true,
                Err(error) if attributes::is_refused(&error) => false,
                Err(error) => return Err(error),
            };
        }
        let omitted = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        futimens(&stored, &Timestamps { last_access: omitted, last_modification: now })?;
        Ok(is_ready)
    }

    /// Returns the attributes of the target. One that may not be read has those extended attributes
    /// that the stored file has.
    fn attributes(&self, stored: &File) -> io::Result<Attributes> {
        match self.open(self.directory, self.target()) {
            Ok(target) => {
                let target = File::from(target);
                Attributes::of(&target, &target.metadata()?)
            }
            Err(Errno::ACCESS) => {
                let stat = statat(self.directory, self.target(), AtFlags::SYMLINK_NOFOLLOW)?;
                let kept = Attributes::of(stored, &stored.metadata()?)?;
                Ok(kept.with_owner_and_mode((stat.st_uid, stat.st_gid), stat.st_mode))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn open_stored(&self) -> io::Result<File> {
        let name = match self.entry.method {
            // A file that was written in place and has been deleted is restored from its copy.
            Method::Restore
                if identity(self.staging_dir(), old_name(self.entry))?
                    .is_some_and(|found| found.file == self.entry.new.file) =>
            {
                old_name(self.entry)
            }
            _ => self.number(),
        };
        match self.open(self.staging_dir(), &name) {
            Err(Errno::ACCESS) => {
                chmodat(self.staging_dir(), &name, READABLE, AtFlags::empty())?;
                Ok(self.open(self.staging_dir(), &name)?.into())
            }
            stored => Ok(stored?.into()),
        }
    }

    fn is_regular(&self) -> io::Result<bool> {
        let stat = statat(self.directory, self.target(), AtFlags::SYMLINK_NOFOLLOW)?;
        let mode: RawMode = stat.st_mode;
        Ok(rustix::fs::FileType::from_raw_mode(mode).is_file())
    }
}
