//! Reads the records of one kind, which refer to directories whose records come before them.

use crate::error::Error;
use crate::store::journal::bytes::Reader;
use crate::store::journal::directories::Directories;
use crate::store::journal::record::{JournalError, Kind};
use crate::store::journal::records::{ReadError, Records};

/// The records of one kind between two places of a journal.
#[derive(Debug)]
pub(super) struct PlacedRecords {
    kind: Kind,
    records: Records,
    directories: Directories,
    has_failed: bool,
}

impl PlacedRecords {
    /// Reads the records of this kind. `directories` are those that come before the first of them.
    pub(super) fn new(kind: Kind, records: Records, directories: Directories) -> PlacedRecords {
        PlacedRecords { kind, records, directories, has_failed: false }
    }

    /// Returns what `read` makes of the next record. Nothing follows an error.
    pub(super) fn next<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'_>, &Directories) -> Option<T>,
    ) -> Option<Result<T, Error>> {
        if self.has_failed {
            return None;
        }
        let next = self.read(read);
        self.has_failed = next.is_err();
        next.map_err(Error::from).transpose()
    }

    fn read<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'_>, &Directories) -> Option<T>,
    ) -> Result<Option<T>, ReadError> {
        while let Some((kind, payload)) = self.records.next()? {
            let mut payload = Reader(payload);
            match Kind::of(kind) {
                Some(Kind::Directory) => {
                    let directory = payload.absolute_path().ok_or(JournalError::Damaged)?;
                    self.directories.push(directory.into());
                }
                Some(kind) if kind == self.kind => {
                    let read = read(&mut payload, &self.directories);
                    return Ok(Some(read.ok_or(JournalError::Damaged)?));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}
