//! Bytes that are written once and then read: in memory while they are few, and else in a file
//! without a name.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::store::journal::source::Source;
use crate::store::nameless::nameless;
use crate::store::spool::unkept;

/// How many bytes are held in memory. More go to a file.
const HELD_LEN_MAX: usize = 1 << 20;

/// How many bytes are written at once.
const WRITTEN_LEN: usize = 256 << 10;

/// Bytes that are being written.
#[derive(Debug)]
pub(crate) struct Draft {
    folder: PathBuf,
    file: Option<Arc<File>>,
    /// What is not in the file yet.
    pending: Vec<u8>,
    /// How many bytes are in the file.
    at: u64,
}

impl Draft {
    /// Begins a draft, for which a file is created in this directory if it becomes long.
    pub(crate) fn new(folder: &Path) -> Draft {
        Draft { folder: folder.to_path_buf(), file: None, pending: Vec::new(), at: 0 }
    }

    /// Returns how many bytes there are.
    pub(crate) fn len(&self) -> u64 {
        self.at + self.pending.len() as u64
    }

    /// Adds what `put` writes.
    pub(crate) fn put(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        put(&mut self.pending);
        let limit = if self.file.is_some() { WRITTEN_LEN } else { HELD_LEN_MAX };
        if self.pending.len() < limit { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(Arc::new(nameless(&self.folder).map_err(unkept)?)),
        };
        file.write_all_at(&self.pending, self.at).map_err(unkept)?;
        self.at += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Returns where the bytes are, and how many.
    pub(crate) fn finish(mut self) -> Result<(Source, u64), Error> {
        if self.file.is_some() {
            self.flush()?;
        }
        let len = self.len();
        let source = match self.file {
            Some(file) => Source::File(file),
            None => Source::Bytes(self.pending.into()),
        };
        Ok((source, len))
    }
}
