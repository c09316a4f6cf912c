//! What a run is about to give another name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bytes::{Reader, is_name, put_bytes, put_u64};
use super::directories::Directories;

/// A file, directory or link that gets another name in its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rename {
    /// The directory, by its path before the run renames anything.
    pub(crate) directory: Arc<Path>,
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
    /// The inode numbers that it has before and after its text is swapped. Its directory says on
    /// which filesystem it is.
    pub(crate) inodes: [u64; 2],
}

impl Rename {
    /// Returns the path before the run of what is renamed.
    pub(crate) fn source(&self) -> PathBuf {
        self.directory.join(OsStr::from_bytes(&self.from))
    }

    pub(super) fn put(&self, directory: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&directory.to_le_bytes());
        self.inodes.iter().for_each(|inode| put_u64(out, *inode));
        put_bytes(out, &self.from);
        put_bytes(out, &self.to);
    }

    pub(super) fn read(reader: &mut Reader<'_>, directories: &Directories) -> Option<Rename> {
        let directory = directories.at(reader.u32()?)?;
        let inodes = [reader.u64()?, reader.u64()?];
        let (from, to) = (reader.bytes()?.to_vec(), reader.bytes()?.to_vec());
        let is_valid = is_name(&from) && is_name(&to);
        is_valid.then_some(Rename { directory, from, to, inodes })
    }
}
