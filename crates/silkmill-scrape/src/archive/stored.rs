//! A response out of an archive, read as one from a server would be.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use crate::archive::record::{RecordHead, broken};
use crate::archive::scan::{Block, Place, open};

/// A response in an archive: its record, and a reader of its block.
pub(crate) struct Stored {
    pub(super) record: RecordHead,
    pub(super) block: Block,
}

impl Stored {
    pub(super) fn open(file: &Arc<File>, place: Place) -> io::Result<Stored> {
        let (record, block) = open(file, place)?;
        Ok(Stored { record, block })
    }

    /// Returns a reader of the head, and of the body behind it.
    pub(crate) fn into_body(self) -> StoredBody {
        let ends_early = match self.record.truncated.as_str() {
            "" | "length" => None,
            "time" => Some(io::ErrorKind::TimedOut),
            _ => Some(io::ErrorKind::UnexpectedEof),
        };
        let is_cut = self.record.truncated == "length";
        StoredBody { block: self.block, ends_early, is_cut }
    }
}

/// The bytes of a response in an archive. Where a connection was closed, or the time was up, before
/// the body had ended, the end is an error again.
pub(crate) struct StoredBody {
    block: Block,
    ends_early: Option<io::ErrorKind>,
    /// Whether a bound cut the body when it was stored.
    pub(crate) is_cut: bool,
}

impl Read for StoredBody {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.block.read(into)?;
        match self.ends_early {
            _ if length > 0 || into.is_empty() => Ok(length),
            _ if self.block.limit() > 0 => Err(broken("the record is shorter than it says")),
            Some(kind) => Err(io::Error::new(kind, "the body was not complete when it was stored")),
            None => Ok(0),
        }
    }
}

/// Tells whether a body that is said to be in chunks begins like one. Many archives have such
/// bodies without the chunks.
pub(crate) fn begins_with_chunk(body: &[u8]) -> bool {
    let line = body.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let size = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    line.len() < body.len()
        && (1..=16).contains(&size.len())
        && size.iter().all(u8::is_ascii_hexdigit)
}

impl std::fmt::Debug for StoredBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredBody").field("left", &self.block.limit()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored").field("record", &self.record).finish_non_exhaustive()
    }
}

/// Tells whether a block has anything.
pub(super) fn is_empty(block: &mut Block) -> io::Result<bool> {
    Ok(block.limit() == 0 || block.fill_buf()?.is_empty())
}
