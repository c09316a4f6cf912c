//! What a run is about to give another name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bytes::{Reader, is_name, put_bytes, put_u64};
use super::directories::Directories;

/// How a name begins that a file has while it changes its name with another.
const THIRD_NAME: &str = ".silkmill-swap-";

/// A file, directory or link that gets another name in its directory. If names change places, one
/// of them takes two steps: to a third name, and, when its new one is free, from there.
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

    /// Returns the name that it has for a while when names change places. It holds the inode
    /// number, so that no other file has it.
    pub(crate) fn third_name(&self) -> Vec<u8> {
        format!("{THIRD_NAME}{}", self.inodes[0]).into_bytes()
    }

    /// Returns whether this is the first step of two: to a third name.
    pub(crate) fn is_to_third(&self) -> bool {
        self.to.starts_with(THIRD_NAME.as_bytes()) && self.to == self.third_name()
    }

    /// Returns whether this is the second step of two: from the third name.
    pub(crate) fn is_from_third(&self) -> bool {
        self.from.starts_with(THIRD_NAME.as_bytes()) && self.from == self.third_name()
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
