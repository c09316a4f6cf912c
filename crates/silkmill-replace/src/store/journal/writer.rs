//! Writes the records of a journal, or of a draft of one, one by one.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::journal::bytes::{put_path, put_record, put_u64};
use crate::store::journal::directories::Directories;
use crate::store::journal::entries::Entries;
use crate::store::journal::record::{Entry, Kind, RunHeader, Sum, head};
use crate::store::journal::rename::Rename;
use crate::store::journal::renames::{RenameIndex, Renames};
use crate::store::journal::source::Source;
use crate::store::nameless::nameless;
use crate::store::table::{Sorter, Table};

/// How many bytes are written at once.
const WRITTEN_LEN: usize = 256 << 10;

/// How many bytes of a draft are held in memory. A longer one goes to a file without a name.
const DRAFT_LEN_MAX: usize = 1 << 20;

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
    renames: RenameIndex,
    swapped: Swapped,
    /// The inode numbers of what has a third name for a while, by these names.
    parked: HashMap<Vec<u8>, u64>,
}

/// The inode numbers that files have when their texts are swapped, by their paths from before.
#[derive(Debug)]
enum Swapped {
    /// Nothing is renamed.
    Unneeded,
    /// Files may follow.
    Sorted(Sorter),
    /// All files are known, and renames follow.
    Known(Table),
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
            renames: RenameIndex::new(false),
            swapped: Swapped::Unneeded,
            parked: HashMap::new(),
        }
    }

    /// From now on, notes the inode numbers of files, which may be renamed later. What is too much
    /// for memory goes to the directory `folder`.
    pub(crate) fn expect_renames(&mut self, folder: &Path) {
        self.swapped = Swapped::Sorted(Sorter::new(folder));
    }

    pub(crate) fn push(&mut self, entry: &Entry) -> io::Result<()> {
        if let Swapped::Sorted(swapped) = &mut self.swapped {
            let target = entry.target().into_os_string().into_vec();
            let inode = entry.new.file.ino.to_le_bytes().to_vec();
            swapped.push(target, inode).map_err(io::Error::other)?;
        }
        let directory = self.directory(&entry.directory)?;
        self.len += 1;
        self.held = self.held.saturating_add(entry.held());
        self.put(|out| put_record(out, Kind::Entry as u8, |out| entry.put(directory, out)))
    }

    /// Adds what gets another name. No file may follow.
    pub(crate) fn push_rename(&mut self, mut rename: Rename) -> io::Result<()> {
        if let Swapped::Sorted(_) = &self.swapped
            && let Swapped::Sorted(all) = std::mem::replace(&mut self.swapped, Swapped::Unneeded)
        {
            self.swapped = Swapped::Known(all.table().map_err(io::Error::other)?);
        }
        if rename.is_from_third() {
            rename.inodes[1] = self.parked.remove(&rename.from).unwrap_or(rename.inodes[1]);
        } else if let Swapped::Known(swapped) = &self.swapped {
            let source = rename.source();
            let inode = swapped.get(source.as_os_str().as_bytes()).map_err(io::Error::other)?;
            let inode = inode.and_then(|inode| Some(u64::from_le_bytes(inode.try_into().ok()?)));
            rename.inodes[1] = inode.unwrap_or(rename.inodes[1]);
        }
        if rename.is_to_third() {
            self.parked.insert(rename.to.clone(), rename.inodes[1]);
        }
        let directory = self.directory(&rename.directory)?;
        self.renames.note(self.start + self.records.len, &self.directories);
        self.put(|out| put_record(out, Kind::Rename as u8, |out| rename.put(directory, out)))
    }

    /// Completes a journal. Returns its entries, its renames and its sum, for which the caller has
    /// a source.
    pub(crate) fn finish(
        mut self,
        replacements: u64,
        source: Source,
    ) -> io::Result<(Entries, Renames, Sum)> {
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
        let renames = self.renames.finish(source.clone(), self.at);
        Ok((Entries::new(source, (self.start, self.at), false, len, held), renames, sum))
    }

    /// Completes a draft of files.
    pub(crate) fn finish_draft(self) -> io::Result<Entries> {
        self.complete().map(|(entries, _)| entries)
    }

    /// Completes a draft of renames.
    pub(crate) fn finish_names_draft(self) -> io::Result<Renames> {
        self.complete().map(|(_, renames)| renames)
    }

    fn complete(mut self) -> io::Result<(Entries, Renames)> {
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
        let renames = self.renames.finish(source.clone(), self.at);
        Ok((Entries::new(source, (self.start, self.at), false, self.len, self.held), renames))
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
