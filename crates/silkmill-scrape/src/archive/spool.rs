//! Bytes that are kept until it is known how many there are: in memory up to a bound, beyond it in
//! a file without a name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most bytes of a spool in memory. Each worker has at most one.
pub(super) const MEMORY_BYTES_MAX: usize = 512 * 1024;

/// Makes the names of spools differ, for as long as they have one.
static NUMBER: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(super) struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
}

impl Spool {
    pub(super) fn new() -> Spool {
        Spool { memory: Vec::new(), file: None, length: 0 }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Adds bytes. The file, if there must be one, is made in `folder`.
    pub(super) fn push(&mut self, bytes: &[u8], folder: &Path) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + bytes.len() > MEMORY_BYTES_MAX {
            self.file = Some(unnamed_file(folder)?);
        }
        match &mut self.file {
            // What is in memory stays there, before the bytes of the file.
            Some(file) => file.write_all(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Passes all bytes to `out`.
    pub(super) fn copy_to(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.memory)?;
        let Some(file) = &self.file else { return Ok(()) };
        let mut piece = vec![0; 64 * 1024];
        let mut at = 0;
        loop {
            let length = file.read_at(&mut piece, at)?;
            if length == 0 {
                return Ok(());
            }
            out.write_all(&piece[..length])?;
            at += length as u64;
        }
    }
}

/// Makes a file that ends with its last handle.
fn unnamed_file(folder: &Path) -> io::Result<File> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".silkmill-{}-{number}.part", std::process::id()));
    // Another process of the same number may have been killed between the next two steps.
    let _ = fs::remove_file(&path);
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// A reader of a file from some place on. Several can read one file at a time.
#[derive(Clone, Debug)]
pub(super) struct FileReader {
    pub(super) file: Arc<File>,
    pub(super) at: u64,
}

impl Read for FileReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(into, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_whatever_its_length() {
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, MEMORY_BYTES_MAX, MEMORY_BYTES_MAX + 1, 3 * MEMORY_BYTES_MAX] {
            let bytes: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
            let mut spool = Spool::new();
            for piece in bytes.chunks(10_000) {
                spool.push(piece, folder.path()).unwrap();
            }

            let mut out = Vec::new();
            spool.copy_to(&mut out).unwrap();
            assert!(out == bytes && spool.length() == length as u64);
            assert_eq!(spool.file.is_some(), length > MEMORY_BYTES_MAX);
            assert!(spool.memory.len() <= MEMORY_BYTES_MAX);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
