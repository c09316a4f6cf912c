//! What a run is about to do to files, as bytes: enough to finish the run, or to roll it back,
//! after any crash. Pure: `run_directory` has the file.
//!
//! A journal begins with a head of [`HEAD_LEN`] bytes: a magic word, a version, and a slot for each
//! [`Phase`]. After it come records, each with its length and its checksum. A slot is written in
//! place and within one sector, so it is either complete or absent. A journal whose commit slot is
//! empty has no effect, whatever else it holds. One whose commit slot is set must be intact to its
//! last bit, or it is refused.
//!
//! A run may change more files than memory holds. So the records of files are written and read one
//! by one: see `writer` and `entries`. A directory has a record of its own, before the files in it;
//! a record refers to one of the last few directories, and no reader needs to keep more of them:
//! see `directories`.

pub(crate) mod bytes;
pub(crate) mod directories;
pub(crate) mod entries;
mod placed_records;
pub(crate) mod record;
pub(crate) mod records;
pub(crate) mod rename;
pub(crate) mod renamed;
pub(crate) mod renames;
pub(crate) mod source;
pub(crate) mod writer;

use std::path::{Path, PathBuf};

use crate::store::journal::bytes::{Reader, u32_at};
use crate::store::journal::directories::Directories;
use crate::store::journal::entries::Entries;
use crate::store::journal::record::{Kind, VERSION, parse_header};
use crate::store::journal::records::{ReadError, Records};
use crate::store::journal::rename::Rename;
use crate::store::journal::renames::{RenameIndex, Renames};
use crate::store::journal::source::Source;

pub(crate) use crate::store::journal::record::{
    END_LEN, Entry, HEAD_LEN, JournalError, Method, Phase, RunHeader, Sum, head, held, phase,
};

/// Everything that a committed run does.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    pub(crate) header: RunHeader,
    pub(crate) replacements: u64,
    /// The directories that hold staged files.
    pub(crate) staging_dirs: Vec<PathBuf>,
    /// The files that are to be swapped, which are not in memory.
    pub(crate) entries: Entries,
    /// What gets another name when all files are swapped, the deepest first, those of one directory
    /// beside each other. It is not in memory, either.
    pub(crate) renames: Renames,
    /// The directory for what is made of the journal and is too much for memory.
    pub(crate) folder: PathBuf,
}

/// Reads the phase, and the header if it is completely written.
pub(crate) fn read_header(
    source: &Source,
) -> Result<(Option<Phase>, Option<RunHeader>), ReadError> {
    let head = source.head()?;
    let phase = phase(&head)?;
    let mut records = Records::new(source.clone(), HEAD_LEN as u64, source.len()?);
    let header = match records.next() {
        Ok(Some((kind, payload))) if Kind::of(kind) == Some(Kind::Header) => parse_header(payload),
        Err(ReadError::Io(error)) => return Err(error.into()),
        _ => None,
    };
    Ok((phase, header))
}

/// Reads the whole journal, if the run was committed. Of the entries and renames it checks every
/// byte, and keeps none. `folder` is for what is too much for memory.
pub(crate) fn read(
    source: &Source,
    folder: &Path,
) -> Result<Option<(Journal, Phase, Sum)>, ReadError> {
    let head = source.head()?;
    let Some(phase) = phase(&head)? else { return Ok(None) };
    let (start, end) = (HEAD_LEN as u64, source.len()?);
    let slot = &head[Phase::Committed.offset()..];
    let len = u64::from_le_bytes(slot[8..16].try_into().expect("8 bytes are 8 bytes"));
    let sum = Sum { len, sum: u32_at(slot, 16) };
    if Some(len) != end.checked_sub(start) {
        return Err(JournalError::Damaged.into());
    }
    let mut records = Records::new(source.clone(), start, end);
    let keeps_all = u32_at(&head, 16) < VERSION;
    let journal = read_records(source, folder, &mut records, keeps_all)?;
    if records.sum() != sum {
        return Err(JournalError::Damaged.into());
    }
    Ok(Some((journal, phase, sum)))
}

fn read_records(
    source: &Source,
    folder: &Path,
    records: &mut Records,
    keeps_all: bool,
) -> Result<Journal, ReadError> {
    let start = records.at();
    let damaged = || ReadError::Journal(JournalError::Damaged);
    let Some((kind, payload)) = records.next()? else { return Err(damaged()) };
    let header = if Kind::of(kind) == Some(Kind::Header) { parse_header(payload) } else { None };
    let header = header.ok_or_else(damaged)?;
    let (mut staging_dirs, mut renames) = (Vec::new(), RenameIndex::new(keeps_all));
    let mut directories = Directories::new(keeps_all);
    let (mut count, mut held) = (0, 0_u64);
    loop {
        let at = records.at();
        let (kind, payload) = records.next()?.ok_or_else(damaged)?;
        let mut payload = Reader(payload);
        match Kind::of(kind).ok_or_else(damaged)? {
            Kind::Header => return Err(damaged()),
            Kind::StagingDir => {
                staging_dirs.push(payload.absolute_path().ok_or_else(damaged)?);
            }
            Kind::Directory => {
                directories.push(payload.absolute_path().ok_or_else(damaged)?.into());
            }
            Kind::Entry => {
                let entry = Entry::read(&mut payload, &directories).ok_or_else(damaged)?;
                if entry.staging_dir as usize >= staging_dirs.len() {
                    return Err(damaged());
                }
                count += 1;
                held = held.saturating_add(entry.held());
            }
            Kind::Rename => {
                Rename::read(&mut payload, &directories).ok_or_else(damaged)?;
                renames.note(at, &directories);
            }
            Kind::End => {
                let entries = payload.u64().ok_or_else(damaged)?;
                let replacements = payload.u64().ok_or_else(damaged)?;
                if !payload.0.is_empty() {
                    payload.u64().ok_or_else(damaged)?;
                }
                let is_whole = entries == count && payload.0.is_empty() && records.is_at_end();
                if !is_whole {
                    return Err(damaged());
                }
                let entries =
                    Entries::new(source.clone(), (start, records.at()), keeps_all, count, held);
                let renames = renames.finish(source.clone(), records.at());
                let folder = folder.to_path_buf();
                return Ok(Journal {
                    header,
                    replacements,
                    staging_dirs,
                    entries,
                    renames,
                    folder,
                });
            }
        }
        if !payload.0.is_empty() {
            return Err(damaged());
        }
    }
}

/// Checks that any bytes either are a journal that means the same when it is written again, or are
/// refused. A fuzzer cannot be expected to find checksums, so with `sum` they are corrected first.
#[cfg(fuzzing)]
pub fn check_journal(bytes: &[u8], sum: bool) {
    use crate::store::journal::bytes::{RECORD_HEAD_LEN, checksum};
    use crate::store::journal::record::SLOT_LEN;
    let source = |bytes: &[u8]| Source::Bytes(bytes.into());
    let folder = std::env::temp_dir();
    let _ = (read_header(&source(bytes)), phase(bytes), read(&source(bytes), &folder));
    let mut records = bytes.to_vec();
    if sum {
        let mut at = 0;
        while let Some(head) = records.get(at..at + RECORD_HEAD_LEN) {
            let end = at + RECORD_HEAD_LEN + u32_at(head, 1) as usize;
            let Some(record) = records.get(at..end) else { break };
            let sum = checksum(record).to_le_bytes();
            records[at + 5..at + RECORD_HEAD_LEN].copy_from_slice(&sum);
            at = end;
        }
    }
    let all = source(&records);
    let mut reader = Records::new(all.clone(), 0, records.len() as u64);
    let Ok(journal) = read_records(&all, &folder, &mut reader, true) else { return };
    let mut whole = bytes_of(&journal);
    assert!(read(&source(&whole), &folder).expect("it is not committed").is_none());
    let records =
        Sum { len: (whole.len() - HEAD_LEN) as u64, sum: crc32fast::hash(&whole[HEAD_LEN..]) };
    let at = Phase::Committed.offset();
    whole[at..at + SLOT_LEN].copy_from_slice(&Phase::Committed.slot(records));
    let (again, phase, _) =
        read(&source(&whole), &folder).expect("it was written").expect("it is committed");
    assert_eq!((again.listed(), phase), (journal.listed(), Phase::Committed));
    whole.pop();
    assert!(read(&source(&whole), &folder).is_err());
}

#[cfg(any(test, fuzzing))]
impl Journal {
    /// Returns all that the journal says, to be compared.
    pub(crate) fn listed(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let entries: Vec<Entry> = self.entries.iter().map(|it| it.expect("it is whole")).collect();
        let renames: Vec<Rename> = self.renames.iter().map(|it| it.expect("it is whole")).collect();
        let rest = (self.header.clone(), self.replacements, self.staging_dirs.clone());
        (rest, entries, renames)
    }
}

/// Returns the bytes of a whole journal in which no phase is set.
#[cfg(any(test, fuzzing))]
pub(crate) fn bytes_of(journal: &Journal) -> Vec<u8> {
    use crate::store::journal::writer::Writer;
    use std::io::Read;
    let file = std::sync::Arc::new(nameless_file());
    let mut writer =
        Writer::journal(std::sync::Arc::clone(&file), &journal.header, &journal.staging_dirs)
            .expect("the disk has room");
    for entry in journal.entries.iter() {
        writer.push(&entry.expect("it is whole")).expect("the disk has room");
    }
    for rename in journal.renames.iter() {
        writer.push_rename(rename.expect("it is whole")).expect("the disk has room");
    }
    let source = Source::File(std::sync::Arc::clone(&file));
    writer.finish(journal.replacements, source).expect("the disk has room");
    let (mut bytes, mut file) = (Vec::new(), &*file);
    file.read_to_end(&mut bytes).expect("it can be read");
    bytes
}

#[cfg(any(test, fuzzing))]
fn nameless_file() -> std::fs::File {
    let folder = std::env::temp_dir().join(format!("silkmill-{}", std::process::id()));
    let name = format!("{:?}", std::thread::current().id());
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    crate::store::nameless::nameless(&folder).expect("the temporary folder can be written")
}

#[cfg(test)]
mod tests;
