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
//! a record refers to one of the last few directories, and no reader needs to keep more of them: see
//! `directories`.

pub(in crate::store) mod bytes;
pub(in crate::store) mod directories;
pub(crate) mod entries;
pub(in crate::store) mod records;
pub(crate) mod rename;
pub(crate) mod renamed;
pub(crate) mod source;
pub(crate) mod writer;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::original::{Checksum, Identity};
#[cfg(fuzzing)]
use crate::store::journal::bytes::checksum;
use crate::store::journal::bytes::{
    RECORD_HEAD_LEN, Reader, is_name, put_bytes, put_checksums, put_identity, put_path, put_record,
    put_u64, u32_at,
};
use crate::store::journal::directories::Directories;
use crate::store::journal::entries::Entries;
use crate::store::journal::records::{ReadError, Records};
use crate::store::journal::rename::Rename;
use crate::store::journal::source::Source;

const MAGIC: &[u8; 16] = b"silkmill journal";
const VERSION: u32 = 3;

/// The earlier version, whose records may refer to any directory before. It is still read.
const VERSION_OF_ALL_DIRECTORIES: u32 = 2;

/// The first version, whose entries have no checksums of texts, either. It is still read.
const VERSION_WITHOUT_TEXTS: u32 = 1;

/// The bytes before the first record: one sector.
pub(crate) const HEAD_LEN: usize = 512;

/// The bytes of a slot: a tag, two numbers, and their checksum.
pub(crate) const SLOT_LEN: usize = 24;

/// What has become of a run. The phases follow each other in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Every file is to be swapped. After a crash, the recovery rolls forward.
    Committed,
    /// A file could not be swapped, so all are to get their old text.
    RollingBack,
    /// All files are swapped, and on disk.
    Done,
}

impl Phase {
    /// Returns where the slot of this phase is.
    pub(crate) fn offset(self) -> usize {
        match self {
            Phase::Committed => 64,
            Phase::RollingBack => 128,
            Phase::Done => 192,
        }
    }

    fn tag(self) -> &'static [u8; 8] {
        match self {
            Phase::Committed => b"commit\0\0",
            Phase::RollingBack => b"give up\0",
            Phase::Done => b"done\0\0\0\0",
        }
    }

    /// Returns the slot of this phase in a journal with these records.
    pub(crate) fn slot(self, records: Sum) -> [u8; SLOT_LEN] {
        let mut slot = [0; SLOT_LEN];
        slot[..8].copy_from_slice(self.tag());
        slot[8..16].copy_from_slice(&records.len.to_le_bytes());
        slot[16..20].copy_from_slice(&records.sum.to_le_bytes());
        let sum = crc32fast::hash(&slot[..20]);
        slot[20..].copy_from_slice(&sum.to_le_bytes());
        slot
    }
}

/// The length and the checksum of all records of a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) len: u64,
    pub(crate) sum: u32,
}

/// Which run it is, and what it works on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunHeader {
    /// Nanoseconds since 1970.
    pub(crate) begun: u64,
    /// A description for people: `colour → color`.
    pub(crate) what: String,
    /// The directories that the run works in. Two runs whose roots overlap take turns.
    pub(crate) roots: Vec<PathBuf>,
    /// The run that this one undoes.
    pub(crate) undoes: Option<String>,
    /// Whether the originals are kept when the run is done.
    pub(crate) keeps: bool,
}

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
    /// beside each other.
    pub(crate) renames: Vec<Rename>,
}

/// One file that is to be swapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The target's directory. `name` is the target's name there.
    pub(crate) directory: Arc<Path>,
    pub(crate) name: Vec<u8>,
    /// The place of the staging directory in the journal. `number` is the staged file's name there.
    pub(crate) staging_dir: u32,
    pub(crate) number: u64,
    pub(crate) method: Method,
    /// What the target was when it was read.
    pub(crate) old: Identity,
    /// What the staged file was when it was written.
    pub(crate) new: Identity,
    /// The checksums of the two texts, as far as they are known.
    pub(crate) old_text: Option<Checksum>,
    pub(crate) new_text: Option<Checksum>,
}

/// How new text gets to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// The two files are exchanged.
    Exchange,
    /// The new text is copied over the target, because the target has other names to keep, or an
    /// owner or attribute that this process may not give to a new file. The old text lies beside
    /// the new one.
    CopyOver,
    /// As `CopyOver`, but the old text is copied only when the run is committed.
    CopyLate,
    /// The opposite of `CopyOver`, with the places of old and new text exchanged.
    CopyBack,
    /// The file is moved to the target, where no file is.
    Restore,
    /// The opposite of `Restore`: the target is moved away.
    Remove,
}

impl Entry {
    /// Returns the path of the target.
    pub(crate) fn target(&self) -> PathBuf {
        self.directory.join(OsStr::from_bytes(&self.name))
    }

    /// Returns how many bytes of files are kept for the entry when its run is done.
    fn held(&self) -> u64 {
        match self.method {
            Method::Exchange | Method::Remove => self.old.size,
            Method::CopyOver | Method::CopyLate | Method::CopyBack => {
                self.old.size.saturating_add(self.new.size)
            }
            Method::Restore => 0,
        }
    }
}

impl RunHeader {
    /// Returns the first record, which is written when a run begins.
    pub(crate) fn record(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_record(&mut out, Kind::Header as u8, |out| {
            put_u64(out, self.begun);
            put_bytes(out, self.what.as_bytes());
            put_u64(out, self.roots.len() as u64);
            self.roots.iter().for_each(|root| put_path(out, root));
            put_bytes(out, self.undoes.as_deref().unwrap_or_default().as_bytes());
            out.push(u8::from(self.keeps));
        });
        out
    }
}

/// Returns the head of a new journal, in which no phase is set.
pub(crate) fn head() -> [u8; HEAD_LEN] {
    let mut head = [0; HEAD_LEN];
    head[..16].copy_from_slice(MAGIC);
    head[16..20].copy_from_slice(&VERSION.to_le_bytes());
    head
}

/// Why a journal is not acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JournalError {
    NotOurs,
    Version(u32),
    Damaged,
}

impl std::fmt::Display for JournalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            JournalError::NotOurs => f.write_str("it is no journal of silkmill"),
            JournalError::Version(version) => {
                write!(f, "it is of version {version}, and this silkmill knows version {VERSION}")
            }
            JournalError::Damaged => f.write_str("it is damaged"),
        }
    }
}

/// Returns the last phase that is set. `None` if the run was never committed.
pub(crate) fn phase(bytes: &[u8]) -> Result<Option<Phase>, JournalError> {
    // A crash before the first flush leaves an empty file, one of zeros, or the beginning of a head
    // in which no phase is set. A journal that was flushed is never so short.
    let is_torn = bytes.len() < HEAD_LEN && head().starts_with(bytes);
    if is_torn || bytes.iter().take(HEAD_LEN).all(|&byte| byte == 0) {
        return Ok(None);
    }
    let head = bytes.get(..HEAD_LEN).ok_or(JournalError::NotOurs)?;
    if &head[..16] != MAGIC {
        return Err(JournalError::NotOurs);
    }
    match u32_at(head, 16) {
        VERSION | VERSION_OF_ALL_DIRECTORIES | VERSION_WITHOUT_TEXTS => {}
        other => return Err(JournalError::Version(other)),
    }
    let set = |phase: Phase| {
        let slot = &head[phase.offset()..phase.offset() + SLOT_LEN];
        if slot.iter().all(|&byte| byte == 0) {
            return Ok(false);
        }
        let whole = slot[..8] == *phase.tag() && crc32fast::hash(&slot[..20]) == u32_at(slot, 20);
        if whole { Ok(true) } else { Err(JournalError::Damaged) }
    };
    let (committed, rolling_back, done) =
        (set(Phase::Committed)?, set(Phase::RollingBack)?, set(Phase::Done)?);
    match (committed, rolling_back, done) {
        (false, false, false) => Ok(None),
        (true, false, false) => Ok(Some(Phase::Committed)),
        (true, true, false) => Ok(Some(Phase::RollingBack)),
        (true, false, true) => Ok(Some(Phase::Done)),
        _ => Err(JournalError::Damaged),
    }
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

/// Reads the whole journal, if the run was committed. Of the entries it checks every byte, and keeps
/// none.
pub(crate) fn read(source: &Source) -> Result<Option<(Journal, Phase, Sum)>, ReadError> {
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
    let journal = read_records(source, &mut records, keeps_all)?;
    if records.sum() != sum {
        return Err(JournalError::Damaged.into());
    }
    Ok(Some((journal, phase, sum)))
}

fn read_records(
    source: &Source,
    records: &mut Records,
    keeps_all: bool,
) -> Result<Journal, ReadError> {
    let start = records.at();
    let damaged = || ReadError::Journal(JournalError::Damaged);
    let Some((kind, payload)) = records.next()? else { return Err(damaged()) };
    let header = if Kind::of(kind) == Some(Kind::Header) { parse_header(payload) } else { None };
    let header = header.ok_or_else(damaged)?;
    let (mut staging_dirs, mut renames) = (Vec::new(), Vec::new());
    let mut directories = Directories::new(keeps_all);
    let (mut count, mut held) = (0, 0_u64);
    loop {
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
                renames.push(Rename::read(&mut payload, &directories).ok_or_else(damaged)?);
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
                return Ok(Journal { header, replacements, staging_dirs, entries, renames });
            }
        }
        if !payload.0.is_empty() {
            return Err(damaged());
        }
    }
}

/// The bytes of the last record.
pub(crate) const END_LEN: usize = RECORD_HEAD_LEN + 3 * 8;

/// Returns how many bytes of files are kept for the run, from the last record of its journal.
/// `None` for a journal of the first version.
pub(crate) fn held(end: &[u8]) -> Option<u64> {
    let (kind, payload) = Reader(end).record()?;
    (kind == Kind::End as u8).then_some(())?;
    let mut payload = Reader(payload.get(16..)?);
    payload.u64()
}

fn parse_header(payload: &[u8]) -> Option<RunHeader> {
    let mut reader = Reader(payload);
    let begun = reader.u64()?;
    let what = reader.text()?;
    let roots = reader.u64()?;
    let roots = (0..roots).map(|_| reader.absolute_path()).collect::<Option<_>>()?;
    let undoes = Some(reader.text()?).filter(|run| !run.is_empty());
    let keeps = reader.flag()?;
    reader.0.is_empty().then_some(RunHeader { begun, what, roots, undoes, keeps })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Header = 1,
    StagingDir,
    Directory,
    Entry,
    End,
    Rename,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        let all = [Kind::Header, Kind::StagingDir, Kind::Directory, Kind::Entry, Kind::End];
        all.into_iter().chain([Kind::Rename]).find(|kind| *kind as u8 == byte)
    }
}

impl Entry {
    /// Writes the entry. `directory` is the place of its directory.
    pub(crate) fn put(&self, directory: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&directory.to_le_bytes());
        out.extend_from_slice(&self.staging_dir.to_le_bytes());
        put_u64(out, self.number);
        out.push(match self.method {
            Method::Exchange => 0,
            Method::CopyOver => 1,
            Method::CopyBack => 2,
            Method::Restore => 3,
            Method::Remove => 4,
            Method::CopyLate => 5,
        });
        put_identity(out, &self.old);
        put_identity(out, &self.new);
        put_bytes(out, &self.name);
        put_checksums(out, self.old_text, self.new_text);
    }

    pub(in crate::store) fn read(
        reader: &mut Reader<'_>,
        directories: &Directories,
    ) -> Option<Entry> {
        let directory = directories.at(reader.u32()?)?;
        let (staging_dir, number) = (reader.u32()?, reader.u64()?);
        let method = match reader.take(1)? {
            [0] => Method::Exchange,
            [1] => Method::CopyOver,
            [2] => Method::CopyBack,
            [3] => Method::Restore,
            [4] => Method::Remove,
            [5] => Method::CopyLate,
            _ => return None,
        };
        let (old, new) = (reader.identity()?, reader.identity()?);
        let name = reader.bytes()?.to_vec();
        let (old_text, new_text) = reader.checksums()?;
        let entry =
            Entry { directory, name, staging_dir, number, method, old, new, old_text, new_text };
        is_name(&entry.name).then_some(entry)
    }
}

/// Checks that any bytes either are a journal that means the same when it is written again, or are
/// refused. A fuzzer cannot be expected to find checksums, so with `sum` they are corrected first.
#[cfg(fuzzing)]
pub fn check_journal(bytes: &[u8], sum: bool) {
    let source = |bytes: &[u8]| Source::Bytes(bytes.into());
    let _ = (read_header(&source(bytes)), phase(bytes), read(&source(bytes)));
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
    let Ok(journal) = read_records(&all, &mut reader, true) else { return };
    let mut whole = writer::bytes_of(&journal);
    assert!(read(&source(&whole)).expect("it is not committed").is_none());
    let records =
        Sum { len: (whole.len() - HEAD_LEN) as u64, sum: crc32fast::hash(&whole[HEAD_LEN..]) };
    let at = Phase::Committed.offset();
    whole[at..at + SLOT_LEN].copy_from_slice(&Phase::Committed.slot(records));
    let (again, phase, _) =
        read(&source(&whole)).expect("it was written").expect("it is committed");
    assert_eq!((again.listed(), phase), (journal.listed(), Phase::Committed));
    whole.pop();
    assert!(read(&source(&whole)).is_err());
}

#[cfg(any(test, fuzzing))]
impl Journal {
    /// Returns all that the journal says, to be compared.
    pub(crate) fn listed(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let entries: Vec<Entry> = self.entries.iter().map(|it| it.expect("it is whole")).collect();
        let rest = (self.header.clone(), self.replacements, self.staging_dirs.clone());
        (rest, entries, self.renames.clone())
    }
}

#[cfg(test)]
mod tests;
