//! Writes rows as lines to a file, a pipe or a device. The formats decide what is in a line.
//!
//! Rows are buffered until [`LineFile::flush`]. When a write fails, a file is cut after its last
//! whole row, so that what was written stays readable; when the process is killed during a write,
//! the next run cuts the file there.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Result, bail};

use crate::messages::reason;
use crate::sink::schema::Existing;

/// The buffer is flushed when it holds this many bytes, without waiting for a pause.
const BUFFERED_BYTES_MAX: usize = 64 * 1024;

/// Takes rows as lines.
pub(super) struct LineFile {
    to: Box<dyn Write>,
    /// The same file, when it is a regular file, which can be cut.
    file: Option<File>,
    /// Bytes in the file; all of them are whole rows.
    length: u64,
    buffered: Vec<u8>,
    /// The end of each buffered row.
    ends: Vec<usize>,
}

impl LineFile {
    pub(super) fn stdout() -> LineFile {
        LineFile::new(Box::new(io::stdout()), None, 0)
    }

    /// Opens a file to write it from its start.
    pub(super) fn create(
        path: &Path,
        existing: Existing,
        is_input: impl FnOnce(&File) -> bool,
    ) -> Result<LineFile> {
        let mut options = OpenOptions::new();
        options.write(true);
        match existing {
            // The file is truncated only when it is known not to be the input.
            Existing::Overwrite | Existing::Resume => options.create(true).truncate(false),
            Existing::Refuse => options.create_new(true),
        };
        let file = open(&options, path, "create")?;
        if is_input(&file) {
            bail!("failed to create {path:?}: it is the input");
        }
        // A device or a pipe has nothing to lose, and cannot be cut.
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        if is_file {
            lock(&file, path, "create")?;
            if let Err(error) = file.set_len(0) {
                bail!("failed to empty {path:?}: {}", reason(&error));
            }
        }
        LineFile::of(file, is_file, 0, path)
    }

    /// Opens a file to append to it, or creates it. `scan` reads the file and returns how many
    /// bytes of it are whole rows; the rest is cut off. Returns the length of the file as well.
    pub(super) fn resume(
        path: &Path,
        is_input: impl FnOnce(&File) -> bool,
        scan: impl FnOnce(&File) -> Result<u64>,
    ) -> Result<(LineFile, u64)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = open(&options, path, "resume")?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            bail!("failed to resume {path:?}: it is no file");
        }
        if is_input(&file) {
            bail!("failed to resume {path:?}: it is the input");
        }
        lock(&file, path, "resume")?;
        let length = match scan(&file) {
            Ok(length) => length,
            Err(error) => bail!("failed to resume {path:?}: {error}"),
        };
        let cut = file.set_len(length).and_then(|()| (&file).seek(SeekFrom::Start(length)));
        if let Err(error) = cut {
            bail!("failed to resume {path:?}: {}", reason(&error));
        }
        Ok((LineFile::of(file, true, length, path)?, length))
    }

    fn of(file: File, is_file: bool, length: u64, path: &Path) -> Result<LineFile> {
        let copy = match is_file.then(|| file.try_clone()).transpose() {
            Ok(copy) => copy,
            Err(error) => bail!("failed to open {path:?}: {}", reason(&error)),
        };
        Ok(LineFile::new(Box::new(file), copy, length))
    }

    fn new(to: Box<dyn Write>, file: Option<File>, length: u64) -> LineFile {
        LineFile { to, file, length, buffered: Vec::new(), ends: Vec::new() }
    }

    /// Buffers the line before the first row.
    pub(super) fn start_with(&mut self, line: Vec<u8>) {
        self.buffered = line;
        self.ends.push(self.buffered.len());
    }

    /// Buffers the row that `write` appends.
    pub(super) fn row(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        write(&mut self.buffered);
        self.ends.push(self.buffered.len());
        if self.buffered.len() >= BUFFERED_BYTES_MAX { self.flush() } else { Ok(()) }
    }

    /// Writes the buffered rows.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.buffered.is_empty() {
            return Ok(());
        }
        let (written, result) = write_all(&mut self.to, &self.buffered);
        let whole = self.ends.iter().rfind(|&&end| end <= written).copied().unwrap_or(0);
        self.length += whole as u64;
        self.buffered.clear();
        self.ends.clear();
        if result.is_err()
            && let Some(file) = &self.file
        {
            // If that fails, too, the last row is torn, and the next run repairs it.
            let _ = file.set_len(self.length);
        }
        result.and_then(|()| self.to.flush())
    }

    /// Writes the buffered rows, and forces the file to disk.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }
}

fn open(options: &OpenOptions, path: &Path, what: &str) -> Result<File> {
    match options.open(path) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
            "failed to create {path:?}: it exists (--resume goes on with it, --force overwrites it)"
        ),
        Err(error) => bail!("failed to {what} {path:?}: {}", reason(&error)),
    }
}

/// Locks the file against other runs until the process ends. Where the filesystem has no locks,
/// nothing is locked.
fn lock(file: &File, path: &Path, what: &str) -> Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            bail!("failed to {what} {path:?}: another run is writing to it")
        }
        _ => Ok(()),
    }
}

/// Writes as many bytes as possible. Returns how many those were.
fn write_all(to: &mut dyn Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(length) => written += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes this many bytes and no more.
    struct Full(File, usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.1);
            if length == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.1 -= length;
            self.0.write(&bytes[..length])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_leaves_whole_rows() {
        for room in 0..13 {
            let file = tempfile::tempfile().unwrap();
            let (copy, mut reader) = (file.try_clone().unwrap(), file.try_clone().unwrap());
            let mut lines = LineFile::new(Box::new(Full(file, room)), Some(copy), 0);
            for _ in 0..2 {
                lines.row(|line| line.extend(b"ab\n")).unwrap();
                lines.row(|line| line.extend(b"cde\n")).unwrap();
            }

            let error = lines.flush().unwrap_err();

            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            reader.seek(SeekFrom::Start(0)).unwrap();
            let rows = io::read_to_string(reader).unwrap();
            assert!("ab\ncde\nab\ncde\n".starts_with(&rows) && rows.len() <= room);
            assert!(rows.is_empty() || rows.ends_with('\n'), "{room}: {rows:?}");
        }
    }
}
