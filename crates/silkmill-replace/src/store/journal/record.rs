//! What the records of a journal are, and its head: each as bytes, and as what it means.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::original::{Checksum, Identity};
use crate::store::journal::bytes::{
    RECORD_HEAD_LEN, Reader, is_name, put_bytes, put_checksums, put_identity, put_path, put_record,
    put_u64, u32_at,
};
use crate::store::journal::directories::Directories;

const MAGIC: &[u8; 16] = b"silkmill journal";
pub(super) const VERSION: u32 = 3;

/// The earlier version, whose records may refer to any directory before. It is still read.
pub(super) const VERSION_OF_ALL_DIRECTORIES: u32 = 2;

/// The first version, whose entries have no checksums of texts, either. It is still read.
pub(super) const VERSION_WITHOUT_TEXTS: u32 = 1;

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
    pub(super) fn held(&self) -> u64 {
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

pub(super) fn parse_header(payload: &[u8]) -> Option<RunHeader> {
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
pub(super) enum Kind {
    Header = 1,
    StagingDir,
    Directory,
    Entry,
    End,
    Rename,
}

impl Kind {
    pub(super) fn of(byte: u8) -> Option<Kind> {
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

    pub(crate) fn read(reader: &mut Reader<'_>, directories: &Directories) -> Option<Entry> {
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
