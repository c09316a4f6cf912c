//! A file as a run found it: opened without blocking, recognized later, read within bounds.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, Stat};

use crate::outcome::Skip;
use crate::text::encoding::Charset;

/// The largest file that a run takes into memory by default, in bytes. A larger one is reported and
/// left alone.
pub const FILE_SIZE_MAX: u64 = 1 << 30;

/// How many bytes are read at first. They identify most binary files, which need not be read to the
/// end.
pub(crate) const HEAD_LEN: usize = 64 << 10;

/// How many bytes a buffer keeps between files.
const BUFFER_KEPT_MAX: usize = 1 << 20;

/// A file, by whatever path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> FileId {
        FileId { dev: metadata.dev(), ino: metadata.ino() }
    }
}

/// A file and its state. Any write to the file gives it another identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) file: FileId,
    pub(crate) size: u64,
    pub(crate) modified: (i64, i64),
    pub(crate) changed: (i64, i64),
}

impl Identity {
    /// The identity of no file.
    pub(crate) const NONE: Identity =
        Identity { file: FileId { dev: 0, ino: 0 }, size: 0, modified: (0, 0), changed: (0, 0) };

    pub(crate) fn of(metadata: &Metadata) -> Identity {
        Identity {
            file: FileId::of(metadata),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    #[allow(clippy::unnecessary_cast, reason = "the types of these fields differ between systems")]
    pub(crate) fn of_stat(stat: &Stat) -> Identity {
        Identity {
            file: FileId { dev: stat.st_dev as u64, ino: stat.st_ino as u64 },
            size: stat.st_size.cast_unsigned(),
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    /// Returns whether it is the same file, and no program has written to it since. A rename
    /// changes the ctime, so that is not compared.
    pub(crate) fn is_same_text(&self, other: &Identity) -> bool {
        (self.file, self.size, self.modified) == (other.file, other.size, other.modified)
    }
}

/// The checksum of a file's bytes. Together with their number it tells whether a text is the one
/// that was written, whatever has become of the file's times and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checksum(pub(crate) u32);

impl Checksum {
    pub(crate) fn of(bytes: &[u8]) -> Checksum {
        Checksum(crc32fast::hash(bytes))
    }

    /// Reads a file to its end. Returns the number of its bytes, too.
    pub(crate) fn of_file(file: &File) -> io::Result<(u64, Checksum)> {
        let (mut hasher, mut len) = (crc32fast::Hasher::new(), 0);
        let mut buffer = vec![0; HEAD_LEN];
        loop {
            match file.read_at(&mut buffer, len) {
                Ok(0) => return Ok((len, Checksum(hasher.finalize()))),
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    len += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// An open file that may be replaced.
#[derive(Debug)]
pub(crate) struct Original {
    pub(crate) file: File,
    pub(crate) metadata: Metadata,
}

/// What the bytes of a file that have been read say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The file may be text, of which `len` bytes have been read.
    Text { charset: Option<Charset>, len: usize },
    /// The file is no text.
    Skipped(Skip),
}

/// How files are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// The encoding of a file without a byte order mark.
    pub(crate) charset: Option<Charset>,
    /// Whether a file with a NUL is left alone.
    pub(crate) leaves_nul: bool,
}

impl Original {
    /// Opens the file without waiting for the other end of a pipe, and without following a symbolic
    /// link: the walk found none here.
    pub(crate) fn open(path: &Path) -> io::Result<Original> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file =
            OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
        let metadata = file.metadata()?;
        Ok(Original { file, metadata })
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::of(&self.metadata)
    }

    /// Reads the first bytes, which identify most files that are not text.
    pub(crate) fn head(&mut self, buffer: &mut Buffer, reading: Reading) -> io::Result<Content> {
        if !self.metadata.is_file() {
            return Ok(Content::Skipped(Skip::NotRegular));
        }
        let in_head = self.len().min(HEAD_LEN);
        let len = buffer.fill(&mut self.file, 0, in_head)?;
        Ok(content(buffer.bytes(len), reading))
    }

    /// Reads the rest after the `head` bytes that are in the buffer. The file may turn out not to
    /// be text.
    pub(crate) fn rest(
        &mut self,
        buffer: &mut Buffer,
        head: usize,
        charset: Option<Charset>,
        reading: Reading,
    ) -> io::Result<Content> {
        if head < HEAD_LEN {
            return Ok(Content::Text { charset, len: head });
        }
        let size = self.len();
        let len = buffer.fill(&mut self.file, head, size)?;
        let binary = holds_nul(&buffer.bytes(len)[head..], charset, reading);
        Ok(if binary { Content::Skipped(Skip::Binary) } else { Content::Text { charset, len } })
    }

    fn len(&self) -> usize {
        usize::try_from(self.metadata.size()).unwrap_or(usize::MAX)
    }
}

/// Returns what a file that begins with `head` is, and how it is read.
pub(crate) fn content(head: &[u8], reading: Reading) -> Content {
    if reading.leaves_nul && is_utf32(head) {
        return Content::Skipped(Skip::Utf32);
    }
    let charset = Charset::of(head, reading.charset);
    if holds_nul(head, charset, reading) {
        Content::Skipped(Skip::Binary)
    } else {
        Content::Text { charset, len: head.len() }
    }
}

/// Returns whether a NUL shows that the file is binary. In text that is to be decoded, a NUL is a
/// byte like others.
pub(crate) fn holds_nul(bytes: &[u8], charset: Option<Charset>, reading: Reading) -> bool {
    reading.leaves_nul && charset.is_none() && memchr::memchr(0, bytes).is_some()
}

/// A buffer for one file's bytes, reused for the next.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// As long as the longest file so far. Growing it costs time, since new bytes are filled with
    /// zeros.
    bytes: Vec<u8>,
}

impl Buffer {
    /// Reads until `bytes` holds `to` bytes, of which it has `from`. Returns how many it holds. A
    /// file that shrank gives fewer, and one that grew is cut. The commit detects both.
    fn fill(&mut self, file: &mut File, from: usize, to: usize) -> io::Result<usize> {
        if self.bytes.len() < to {
            self.bytes.resize(to, 0);
        }
        let mut len = from;
        while len < to {
            match file.read(&mut self.bytes[len..to]) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }

    /// Returns the first bytes of those read last.
    pub(crate) fn bytes(&self, len: usize) -> &[u8] {
        &self.bytes[..len]
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Releases the memory that one large file needed.
    pub(crate) fn shrink(&mut self) {
        shrink(&mut self.bytes);
    }
}

/// Releases the memory that one large text needed.
pub(crate) fn shrink(bytes: &mut Vec<u8>) {
    if bytes.capacity() > BUFFER_KEPT_MAX {
        bytes.truncate(BUFFER_KEPT_MAX);
        bytes.shrink_to(BUFFER_KEPT_MAX);
    }
}

/// Returns the directory of a path.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn is_utf32(head: &[u8]) -> bool {
    matches!(head, [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const READING: Reading = Reading { charset: None, leaves_nul: true };

    fn read(bytes: &[u8], buffer: &mut Buffer) -> Result<Vec<u8>, Skip> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        let mut original = Original::open(file.path()).unwrap();
        let mut content = original.head(buffer, READING).unwrap();
        if let Content::Text { charset, len } = content {
            content = original.rest(buffer, len, charset, READING).unwrap();
        }
        match content {
            Content::Skipped(skip) => Err(skip),
            Content::Text { len, .. } => Ok(buffer.bytes(len).to_vec()),
        }
    }

    #[test]
    fn a_buffer_gives_each_file_its_own_bytes() {
        let mut buffer = Buffer::default();
        let long = vec![b'x'; 3 * HEAD_LEN + 1];

        assert_eq!(read(&long, &mut buffer), Ok(long.clone()));
        assert_eq!(read(&long[..HEAD_LEN], &mut buffer), Ok(long[..HEAD_LEN].to_vec()));
        assert_eq!(read(b"short", &mut buffer), Ok(b"short".to_vec()));
        assert_eq!(read(b"", &mut buffer), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_text_is_known_by_its_bytes() {
        let mut buffer = Buffer::default();
        let mut late_nul = vec![b'x'; 2 * HEAD_LEN];
        late_nul.push(0);

        assert_eq!(read(b"\x7FELF\0", &mut buffer), Err(Skip::Binary));
        assert_eq!(read(&late_nul, &mut buffer), Err(Skip::Binary));
        assert_eq!(read(b"\xFF\xFEa\0", &mut buffer), Ok(b"\xFF\xFEa\0".to_vec()));
        assert_eq!(read(b"\xFF\xFE\0\0", &mut buffer), Err(Skip::Utf32));
    }
}
