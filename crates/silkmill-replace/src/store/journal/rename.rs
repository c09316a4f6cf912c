//! What a run is about to give another name.

use super::bytes::{Reader, is_name, put_bytes, put_u64};

/// A file, directory or link that gets another name in its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rename {
    /// The place of the directory in the journal, by its path before the run renames anything.
    pub(crate) directory: u32,
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
    /// The inode numbers that it has before and after its text is swapped. Its directory says on
    /// which filesystem it is.
    pub(crate) inodes: [u64; 2],
}

impl Rename {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.directory.to_le_bytes());
        self.inodes.iter().for_each(|inode| put_u64(out, *inode));
        put_bytes(out, &self.from);
        put_bytes(out, &self.to);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Rename> {
        let (directory, inodes) = (reader.u32()?, [reader.u64()?, reader.u64()?]);
        let (from, to) = (reader.bytes()?.to_vec(), reader.bytes()?.to_vec());
        let is_valid = is_name(&from) && is_name(&to);
        is_valid.then_some(Rename { directory, from, to, inodes })
    }
}
