//! Writes numbers, paths and records for a journal, and reads them without trusting them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::original::{Checksum, FileId, Identity};

/// The bytes before the payload of a record: kind, length, checksum.
pub(crate) const RECORD_HEAD_LEN: usize = 9;

pub(crate) fn put_record(out: &mut Vec<u8>, kind: u8, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; RECORD_HEAD_LEN]);
    payload(out);
    let len = u32::try_from(out.len() - start - RECORD_HEAD_LEN).expect("a path is no 4 GiB long");
    out[start] = kind;
    out[start + 1..start + 5].copy_from_slice(&len.to_le_bytes());
    let sum = checksum(&out[start..]);
    out[start + 5..start + RECORD_HEAD_LEN].copy_from_slice(&sum.to_le_bytes());
}

/// Computes the checksum of a record, without the bytes of the checksum itself.
pub(crate) fn checksum(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[..5]);
    hasher.update(&record[RECORD_HEAD_LEN..]);
    hasher.finalize()
}

pub(crate) fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_path(out: &mut Vec<u8>, path: &Path) {
    put_bytes(out, path.as_os_str().as_bytes());
}

pub(crate) fn put_identity(out: &mut Vec<u8>, identity: &Identity) {
    for number in [identity.file.dev, identity.file.ino, identity.size] {
        put_u64(out, number);
    }
    for (seconds, nanos) in [identity.modified, identity.changed] {
        put_u64(out, seconds.cast_unsigned());
        put_u64(out, nanos.cast_unsigned());
    }
}

/// Writes a byte that says which of the checksums follow, and these.
pub(crate) fn put_checksums(out: &mut Vec<u8>, old: Option<Checksum>, new: Option<Checksum>) {
    out.push(u8::from(old.is_some()) | u8::from(new.is_some()) << 1);
    for Checksum(sum) in [old, new].into_iter().flatten() {
        out.extend_from_slice(&sum.to_le_bytes());
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes are 4 bytes"))
}

/// Returns whether it names an entry of a directory, and nothing outside.
pub(crate) fn is_name(name: &[u8]) -> bool {
    let mut components = Path::new(OsStr::from_bytes(name)).components();
    let is_normal =
        matches!(components.next(), Some(Component::Normal(only)) if only.as_bytes() == name);
    is_normal && components.next().is_none() && !name.contains(&0)
}

/// The bytes that are still to be read. Nothing it returns goes beyond them.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn record(&mut self) -> Option<(u8, &'a [u8])> {
        let whole = self.0;
        let head = self.take(RECORD_HEAD_LEN)?;
        let payload = self.take(u32_at(head, 1) as usize)?;
        let record = &whole[..RECORD_HEAD_LEN + payload.len()];
        (checksum(record) == u32_at(head, 5)).then_some(())?;
        Some((head[0], payload))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.u64().map(u64::cast_signed)
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.take(1)? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u64()?;
        self.take(usize::try_from(len).ok()?)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    pub(crate) fn path(&mut self) -> Option<PathBuf> {
        Some(PathBuf::from(OsStr::from_bytes(self.bytes()?)))
    }

    pub(crate) fn absolute_path(&mut self) -> Option<PathBuf> {
        let bytes = self.bytes()?;
        let path = Path::new(OsStr::from_bytes(bytes));
        (path.is_absolute() && !bytes.contains(&0)).then(|| path.to_path_buf())
    }

    /// Reads what [`put_checksums`] has written. Journals of the first version have nothing here.
    pub(crate) fn checksums(&mut self) -> Option<(Option<Checksum>, Option<Checksum>)> {
        let known = match self.0.is_empty() {
            true => 0,
            false => self.take(1)?[0],
        };
        let mut sum = |bit: u8| match known & bit {
            0 => Some(None),
            _ => Some(Some(Checksum(self.u32()?))),
        };
        let sums = (sum(1)?, sum(2)?);
        (known < 4).then_some(sums)
    }

    pub(crate) fn identity(&mut self) -> Option<Identity> {
        Some(Identity {
            file: FileId { dev: self.u64()?, ino: self.u64()? },
            size: self.u64()?,
            modified: (self.i64()?, self.i64()?),
            changed: (self.i64()?, self.i64()?),
        })
    }
}
