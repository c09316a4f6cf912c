//! A name that is to become another one, and how the plan of a run keeps it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::store::journal::bytes::{Reader, put_bytes, put_path, put_record, put_u64};
use crate::store::journal::record::JournalError;
use crate::store::journal::records::{ReadError, Records};
use crate::store::journal::source::Source;

/// The kind of a record with the two paths of a directory, before the names in it.
const PLACE: u8 = 1;

/// The kind of a record with a name.
const NAME: u8 = 2;

/// A name that becomes another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedRename {
    /// The directory by whose path the run reached it, which is empty for the current one.
    pub(crate) folder: Arc<Path>,
    /// That directory, without symbolic links.
    pub(crate) directory: Arc<Path>,
    pub(crate) from: OsString,
    pub(crate) to: OsString,
    pub(crate) inode: u64,
    pub(crate) is_directory: bool,
    pub(crate) replacements: u64,
    /// Set if it has a third name for a while, because its new name is free only when its old one
    /// was given away.
    pub(crate) is_parked: bool,
}

impl PlannedRename {
    /// Returns the path by which the run reached it.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(&self.from)
    }

    /// Returns the path from before, without symbolic links.
    pub(crate) fn source(&self) -> PathBuf {
        self.directory.join(&self.from)
    }
}

/// Writes the record of a directory, by both of its paths.
pub(super) fn put_place((folder, directory): &(Arc<Path>, Arc<Path>), out: &mut Vec<u8>) {
    put_record(out, PLACE, |out| {
        put_path(out, folder);
        put_path(out, directory);
    });
}

/// Writes the record of a name in the directory that was written last.
pub(super) fn put(it: &PlannedRename, out: &mut Vec<u8>) {
    put_record(out, NAME, |out| put_name(it, out));
}

/// Writes what is known of a name besides its directory.
pub(super) fn put_name(it: &PlannedRename, out: &mut Vec<u8>) {
    put_bytes(out, it.from.as_bytes());
    put_bytes(out, it.to.as_bytes());
    put_u64(out, it.inode);
    put_u64(out, it.replacements);
    out.extend([it.is_directory, it.is_parked].map(u8::from));
}

/// Reads the renames of a plan. An error is the last item.
#[derive(Debug)]
pub(crate) struct PlannedRenames {
    records: Option<Records>,
    place: Option<(Arc<Path>, Arc<Path>)>,
}

impl PlannedRenames {
    pub(super) fn new(records: Option<(Source, u64)>) -> PlannedRenames {
        let records = records.map(|(source, len)| Records::new(source, 0, len));
        PlannedRenames { records, place: None }
    }

    fn read(&mut self) -> Result<Option<PlannedRename>, ReadError> {
        let Some(records) = &mut self.records else { return Ok(None) };
        let damaged = || ReadError::Journal(JournalError::Damaged);
        while let Some((kind, payload)) = records.next()? {
            let mut payload = Reader(payload);
            if kind == PLACE {
                let (folder, directory) = (payload.path(), payload.path());
                let (folder, directory) = folder.zip(directory).ok_or_else(damaged)?;
                self.place = Some((folder.into(), directory.into()));
                continue;
            }
            let place = self.place.as_ref();
            return Ok(Some(
                place.and_then(|place| read_name(place, payload)).ok_or_else(damaged)?,
            ));
        }
        Ok(None)
    }
}

/// Reads what [`put_name`] has written of a name in this directory.
pub(super) fn read_name(
    place: &(Arc<Path>, Arc<Path>),
    mut payload: Reader<'_>,
) -> Option<PlannedRename> {
    let (folder, directory) = (Arc::clone(&place.0), Arc::clone(&place.1));
    let mut name = || Some(OsString::from_vec(payload.bytes()?.to_vec()));
    let (from, to) = (name()?, name()?);
    let (inode, replacements) = (payload.u64()?, payload.u64()?);
    let (is_directory, is_parked) = (payload.flag()?, payload.flag()?);
    Some(PlannedRename {
        folder,
        directory,
        from,
        to,
        inode,
        is_directory,
        replacements,
        is_parked,
    })
}

impl Iterator for PlannedRenames {
    type Item = Result<PlannedRename, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            self.records = None;
        }
        read.map_err(Error::from).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::draft::Draft;

    fn planned(folder: &str, from: &str, number: u64) -> PlannedRename {
        PlannedRename {
            folder: Path::new(folder).into(),
            directory: Path::new("/tree").join(folder).into(),
            from: from.into(),
            to: OsString::from_vec(vec![0xFF, b'x']),
            inode: number,
            is_directory: number.is_multiple_of(2),
            replacements: 3,
            is_parked: number.is_multiple_of(3),
        }
    }

    #[test]
    fn what_is_written_is_read_again_whether_it_is_in_memory_or_in_a_file() {
        for count in [0, 1, 30_000] {
            let all = || {
                (0..count)
                    .map(|number| planned(["", "a/b", "c"][number as usize / 10 % 3], "n", number))
            };
            let (mut draft, mut last) = (Draft::new(&std::env::temp_dir()), None);
            for it in all() {
                let place = (Arc::clone(&it.folder), Arc::clone(&it.directory));
                if last.as_ref() != Some(&place) {
                    draft.put(|out| put_place(&place, out)).unwrap();
                }
                draft.put(|out| put(&it, out)).unwrap();
                last = Some(place);
            }
            let records = draft.finish().unwrap();
            assert_eq!(matches!(records.0, Source::File(_)), count == 30_000);

            let read = PlannedRenames::new(Some(records));

            assert!(read.map(Result::unwrap).eq(all()));
        }
    }
}
