//! Writes the records of a journal, or of a draft of one, one by one.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::journal::bytes::{put_path, put_record, put_u64};
use crate::store::journal::directories::Directories;
use crate::store::journal::entries::Entries;
use crate::store::journal::record::{Entry, Kind, RunHeader, Sum, head};
use crate::store::journal::rename::Rename;
use crate::store::journal::source::Source;

/// How many bytes are written at once.
const WRITTEN_LEN: usize = 256 << 10;

/// How many bytes of a draft are held in memory. A longer one goes to a file without a name.
const DRAFT_LEN_MAX: usize = 1 << 20;

/// How the name begins that the file of a draft has for a moment.
const DRAFT: &str = "silkmill-draft";

/// How many names are tried for it.
const NAMES_TRIED_MAX: u32 = 64;

/// Writes records from the first to the last.
#[derive(Debug)]
pub(crate) struct Writer {
    sink: Sink,
    /// What is not in the file yet.
    pending: Vec<u8>,
    /// How many bytes are in the file.
    at: u64,
    /// Where the first record is.
    start: u64,
    records: Sum,
    hasher: crc32fast::Hasher,
    directories: Directories,
    len: u64,
    held: u64,
    /// The inode numbers that renamed files have when their texts are swapped, by their paths from
    /// before.
    renamed: HashMap<PathBuf, Option<u64>>,
}

#[derive(Debug)]
enum Sink {
    File(Arc<File>),
    /// Memory, until it is too much; then a file in this directory.
    Draft(PathBuf),
}

impl Writer {
    /// Begins a journal, from the beginning of its file.
    pub(crate) fn journal(
        file: Arc<File>,
        header: &RunHeader,
        staging_dirs: &[PathBuf],
    ) -> io::Result<Writer> {
        let mut writer = Writer::new(Sink::File(file), head().to_vec());
        writer.put(|out| out.extend_from_slice(&header.record()))?;
        for staging_dir in staging_dirs {
            writer.put(|out| {
                put_record(out, Kind::StagingDir as u8, |out| put_path(out, staging_dir));
            })?;
        }
        Ok(writer)
    }

    /// Begins a draft, for which a file is created in this directory if it becomes long.
    pub(crate) fn draft(folder: PathBuf) -> Writer {
        Writer::new(Sink::Draft(folder), Vec::new())
    }

    fn new(sink: Sink, pending: Vec<u8>) -> Writer {
        Writer {
            sink,
            start: pending.len() as u64,
            pending,
            at: 0,
            records: Sum::default(),
            hasher: crc32fast::Hasher::new(),
            directories: Directories::new(false),
            len: 0,
            held: 0,
            renamed: HashMap::new(),
        }
    }

    /// Notes the inode numbers of files that are renamed later.
    pub(crate) fn expect_renames(&mut self, renames: &[Rename]) {
        self.renamed = renames.iter().map(|rename| (rename.source(), None)).collect();
    }

    pub(crate) fn push(&mut self, entry: &Entry) -> io::Result<()> {
        if !self.renamed.is_empty()
            && let Some(inode) = self.renamed.get_mut(&entry.target())
        {
            *inode = Some(entry.new.file.ino);
        }
        let directory = self.directory(&entry.directory)?;
        self.len += 1;
        self.held = self.held.saturating_add(entry.held());
        self.put(|out| put_record(out, Kind::Entry as u8, |out| entry.put(directory, out)))
    }

    /// Completes a journal. Returns its entries and its sum, for which the caller has a source.
    pub(crate) fn finish(
        mut self,
        renames: &mut [Rename],
        replacements: u64,
        source: Source,
    ) -> io::Result<(Entries, Sum)> {
        let mut parked = HashMap::new();
        for rename in renames {
            if rename.is_from_third() {
                rename.inodes[1] = parked.remove(&rename.from).unwrap_or(rename.inodes[1]);
            } else if let Some(Some(inode)) = self.renamed.get(&rename.source()) {
                rename.inodes[1] = *inode;
            }
            if rename.is_to_third() {
                parked.insert(rename.to.clone(), rename.inodes[1]);
            }
            let directory = self.directory(&rename.directory)?;
            self.put(|out| put_record(out, Kind::Rename as u8, |out| rename.put(directory, out)))?;
        }
        let (len, held) = (self.len, self.held);
        self.put(|out| {
            put_record(out, Kind::End as u8, |out| {
                put_u64(out, len);
                put_u64(out, replacements);
                put_u64(out, held);
            });
        })?;
        self.flush()?;
        let sum = Sum { sum: self.hasher.finalize(), ..self.records };
        Ok((Entries::new(source, (self.start, self.at), false, len, held), sum))
    }

    /// Completes a draft.
    pub(crate) fn finish_draft(mut self) -> io::Result<Entries> {
        let source = match &self.sink {
            Sink::Draft(_) => {
                self.at = self.pending.len() as u64;
                Source::Bytes(std::mem::take(&mut self.pending).into())
            }
            Sink::File(file) => {
                let file = Arc::clone(file);
                self.flush()?;
                Source::File(file)
            }
        };
        Ok(Entries::new(source, (self.start, self.at), false, self.len, self.held))
    }

    fn directory(&mut self, directory: &Arc<Path>) -> io::Result<u32> {
        if let Some(place) = self.directories.place(directory) {
            return Ok(place);
        }
        self.put(|out| put_record(out, Kind::Directory as u8, |out| put_path(out, directory)))?;
        Ok(self.directories.push(Arc::clone(directory)))
    }

    fn put(&mut self, record: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let before = self.pending.len();
        record(&mut self.pending);
        self.hasher.update(&self.pending[before..]);
        self.records.len += (self.pending.len() - before) as u64;
        match &self.sink {
            Sink::File(_) if self.pending.len() >= WRITTEN_LEN => self.flush(),
            Sink::Draft(folder) if self.pending.len() >= DRAFT_LEN_MAX => {
                self.sink = Sink::File(Arc::new(nameless(folder)?));
                self.flush()
            }
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Sink::File(file) = &self.sink {
            file.write_all_at(&self.pending, self.at)?;
            self.at += self.pending.len() as u64;
            self.pending.clear();
        }
        Ok(())
    }
}

/// Creates a file that has no name, and so is gone with the process. The directory may be one in
/// which others create files.
pub(crate) fn nameless(folder: &Path) -> io::Result<File> {
    for tried in 0..NAMES_TRIED_MAX {
        let path = folder.join(format!("{DRAFT}-{}-{tried}", std::process::id()));
        let mut new = OpenOptions::new();
        match new.read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
