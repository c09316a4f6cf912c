//! The files of a journal, read one by one as often as they are needed.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::store::journal::directories::Directories;
use crate::store::journal::placed_records::PlacedRecords;
use crate::store::journal::record::{Entry, Kind};
use crate::store::journal::records::{ReadError, Records};
use crate::store::journal::source::Source;
use crate::store::table::Table;

/// The files that a journal, or the draft of one, is about.
#[derive(Clone, Debug)]
pub(crate) struct Entries {
    source: Source,
    /// Where their records, and those of their directories, begin and end.
    range: (u64, u64),
    keeps_all_directories: bool,
    len: u64,
    held: u64,
    devices: Option<Arc<HashMap<u64, u64>>>,
    names: Option<Table>,
}

impl Entries {
    pub(super) fn new(
        source: Source,
        range: (u64, u64),
        keeps_all_directories: bool,
        len: u64,
        held: u64,
    ) -> Entries {
        let (devices, names) = (None, None);
        Entries { source, range, keeps_all_directories, len, held, devices, names }
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Returns how many bytes of files are kept for them when their run is done.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// Returns the same files with other device numbers in their identities.
    pub(crate) fn on_devices(self, devices: HashMap<u64, u64>) -> Entries {
        Entries { devices: Some(Arc::new(devices)), ..self }
    }

    /// Returns the same files with their directories and names as renames leave them. `names` has
    /// the new name of everything that is renamed, by its path.
    pub(super) fn as_left(&self, names: Table) -> Entries {
        Entries { names: Some(names), ..self.clone() }
    }

    /// Reads the files from the first to the last. An error is the last item.
    pub(crate) fn iter(&self) -> Iter {
        let (start, end) = self.range;
        let records = Records::new(self.source.clone(), start, end);
        let directories = Directories::new(self.keeps_all_directories);
        Iter {
            records: PlacedRecords::new(Kind::Entry, records, directories),
            devices: self.devices.clone(),
            names: self.names.clone(),
            left: None,
            has_failed: false,
        }
    }
}

/// Reads the files of a journal.
#[derive(Debug)]
pub(crate) struct Iter {
    records: PlacedRecords,
    devices: Option<Arc<HashMap<u64, u64>>>,
    names: Option<Table>,
    /// The last directory, and what renames make of it.
    left: Option<(Arc<Path>, Arc<Path>)>,
    has_failed: bool,
}

impl Iter {
    fn as_seen(&mut self, mut entry: Entry) -> Result<Entry, Error> {
        if let Some(devices) = &self.devices {
            for identity in [&mut entry.old, &mut entry.new] {
                let dev = &mut identity.file.dev;
                *dev = devices.get(dev).copied().unwrap_or(*dev);
            }
        }
        if let Some(names) = &self.names {
            if let Some(name) = names.get(entry.target().as_os_str().as_bytes())? {
                entry.name = name;
            }
            entry.directory = match &self.left {
                Some((was, left)) if Arc::ptr_eq(was, &entry.directory) => Arc::clone(left),
                _ => {
                    let left: Arc<Path> = names.path_after(&entry.directory)?.into();
                    self.left = Some((entry.directory, Arc::clone(&left)));
                    left
                }
            };
        }
        Ok(entry)
    }
}

impl Iterator for Iter {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let seen = self.records.next(Entry::read)?.and_then(|entry| self.as_seen(entry));
        self.has_failed = seen.is_err();
        Some(seen)
    }
}

impl From<ReadError> for Error {
    /// The journal was intact when it was opened.
    fn from(error: ReadError) -> Error {
        let why = match error {
            ReadError::Journal(why) => why.to_string(),
            ReadError::Io(error) => error.to_string(),
        };
        Error::store(format!("failed to read the journal of the run once more: {why}"))
    }
}
