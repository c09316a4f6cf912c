//! What is known of staged files until their run is committed, when it is too much for memory:
//! sorted runs in a file without a name, which are merged in the end.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::store::journal::Entry;
use crate::store::journal::JournalError;
use crate::store::journal::bytes::{Reader, put_path, put_record, put_u64};
use crate::store::journal::directories::Directories;
use crate::store::journal::records::{ReadError, Records};
use crate::store::journal::source::Source;
use crate::store::journal::writer::nameless;

/// How many runs of one size there are before they are merged to one. Each takes a buffer of 64 KiB
/// while they are merged.
const RUNS_MAX: usize = 128;

/// How many bytes are written at once.
const WRITTEN_LEN: usize = 256 << 10;

/// The kind of all records.
const FILE: u8 = 1;

/// What is known of a staged file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpooledFile {
    /// The place of the file in the walk, which several files may share.
    pub(crate) place: u64,
    /// The path by which the run reached the file.
    pub(crate) path: PathBuf,
    pub(crate) entry: Entry,
    pub(crate) counts: Counts,
}

/// The numbers that are reported of a changed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) replacements: u64,
    pub(crate) bytes_before: u64,
    pub(crate) bytes_after: u64,
    pub(crate) names: u64,
}

impl SpooledFile {
    /// Compares by the paths of the run, and below each by name.
    pub(crate) fn in_order(&self, other: &SpooledFile) -> Ordering {
        self.place.cmp(&other.place).then_with(|| self.path.cmp(&other.path))
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, self.place);
        put_path(out, &self.path);
        let Counts { replacements, bytes_before, bytes_after, names } = self.counts;
        for number in [replacements, bytes_before, bytes_after, names] {
            put_u64(out, number);
        }
        put_path(out, &self.entry.directory);
        self.entry.put(0, out);
    }

    fn read(payload: &[u8]) -> Option<SpooledFile> {
        let mut reader = Reader(payload);
        let (place, path) = (reader.u64()?, reader.path()?);
        let counts = Counts {
            replacements: reader.u64()?,
            bytes_before: reader.u64()?,
            bytes_after: reader.u64()?,
            names: reader.u64()?,
        };
        let mut directory = Directories::new(true);
        directory.push(reader.path()?.into());
        let entry = Entry::read(&mut reader, &directory)?;
        reader.0.is_empty().then_some(SpooledFile { place, path, entry, counts })
    }
}

/// The runs, each of which is sorted.
#[derive(Debug)]
pub(crate) struct Spool {
    file: Arc<File>,
    len: u64,
    /// Where each run is, and how often its files were merged. The oldest, which were merged most,
    /// come first.
    runs: Vec<(u32, u64, u64)>,
}

impl Spool {
    /// Creates the file in the directory of a run.
    pub(crate) fn new(folder: &Path) -> io::Result<Spool> {
        Ok(Spool { file: Arc::new(nameless(folder)?), len: 0, runs: Vec::new() })
    }

    /// Writes a run of files, which are in order.
    pub(crate) fn write(&mut self, files: impl Iterator<Item = SpooledFile>) -> Result<(), Error> {
        self.write_run(0, files.map(Ok))?;
        while let Some((level, ..)) = self.runs.last().copied()
            && self.runs.iter().rev().take_while(|(other, ..)| *other == level).count() >= RUNS_MAX
        {
            let merged = self.runs.split_off(self.runs.len() - RUNS_MAX);
            let files = self.merge_runs(&merged)?;
            self.write_run(level + 1, files)?;
        }
        Ok(())
    }

    /// Returns all files in order.
    pub(crate) fn merge(&self) -> Result<Merge, Error> {
        self.merge_runs(&self.runs)
    }

    fn write_run(
        &mut self,
        level: u32,
        files: impl Iterator<Item = Result<SpooledFile, Error>>,
    ) -> Result<(), Error> {
        let (start, mut pending) = (self.len, Vec::new());
        for file in files {
            let file = file?;
            put_record(&mut pending, FILE, |out| file.put(out));
            if pending.len() >= WRITTEN_LEN {
                self.append(&mut pending)?;
            }
        }
        self.append(&mut pending)?;
        self.runs.push((level, start, self.len));
        Ok(())
    }

    fn append(&mut self, pending: &mut Vec<u8>) -> Result<(), Error> {
        self.file.write_all_at(pending, self.len).map_err(unkept)?;
        self.len += pending.len() as u64;
        pending.clear();
        Ok(())
    }

    fn merge_runs(&self, runs: &[(u32, u64, u64)]) -> Result<Merge, Error> {
        let source = || Source::File(Arc::clone(&self.file));
        let runs = runs.iter().map(|(_, start, end)| Records::new(source(), *start, *end));
        let mut merge = Merge { runs: runs.collect(), heads: BinaryHeap::new() };
        for run in 0..merge.runs.len() {
            merge.advance(run)?;
        }
        Ok(merge)
    }
}

/// Returns the error of a file that could not be written: it fails the whole run.
pub(crate) fn unkept(error: io::Error) -> Error {
    Error::store(format!("failed to keep what is known of the staged files: {error}"))
}

/// Merges sorted runs.
#[derive(Debug)]
pub(crate) struct Merge {
    runs: Vec<Records>,
    heads: BinaryHeap<Reverse<Head>>,
}

/// The next file of a run.
#[derive(Debug)]
struct Head {
    file: SpooledFile,
    run: usize,
}

impl Merge {
    fn advance(&mut self, run: usize) -> Result<(), Error> {
        let next = self.runs[run].next().and_then(|record| {
            let Some((_, payload)) = record else { return Ok(None) };
            let file = SpooledFile::read(payload);
            Ok(Some(file.ok_or(ReadError::Journal(JournalError::Damaged))?))
        });
        if let Some(file) = next? {
            self.heads.push(Reverse(Head { file, run }));
        }
        Ok(())
    }
}

impl Iterator for Merge {
    type Item = Result<SpooledFile, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse(Head { file, run }) = self.heads.pop()?;
        Some(self.advance(run).map(|()| file))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        self.file.in_order(&other.file).then_with(|| self.run.cmp(&other.run))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::original::{Checksum, Identity};
    use crate::store::journal::Method;
    use proptest::prelude::*;

    fn file(place: u64, name: &str, number: u64) -> SpooledFile {
        let path = PathBuf::from(name);
        let entry = Entry {
            directory: Path::new("/d").into(),
            name: b"f".to_vec(),
            staging_dir: 1,
            number,
            method: Method::CopyOver,
            old: Identity::NONE,
            new: Identity::NONE,
            old_text: None,
            new_text: Some(Checksum(number as u32)),
        };
        let counts = Counts { replacements: 1, bytes_before: 2, bytes_after: 3, names: number };
        SpooledFile { place, path, entry, counts }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn what_is_spooled_in_runs_comes_back_in_order(
            files in prop::collection::vec((0_u64..3, "[a-c]/[a-c]{0,2}"), 0..400),
            len in 1_usize..4,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut spool = Spool::new(folder.path()).unwrap();
            let files: Vec<SpooledFile> = files
                .iter()
                .enumerate()
                .map(|(number, (place, name))| file(*place, name, number as u64))
                .collect();
            for run in files.chunks(len) {
                let mut run = run.to_vec();
                run.sort_by(SpooledFile::in_order);
                spool.write(run.into_iter()).unwrap();
            }
            let mut want = files;
            want.sort_by(SpooledFile::in_order);

            let merged: Vec<SpooledFile> = spool.merge().unwrap().map(Result::unwrap).collect();

            // Files with the same path may come in any order.
            let keys = |files: &[SpooledFile]| files.iter().map(|it| (it.place, it.path.clone())).collect::<Vec<_>>();
            prop_assert_eq!(keys(&merged), keys(&want));
            for file in &want {
                prop_assert!(merged.contains(file));
            }
            prop_assert!(spool.runs.len() < 2 * RUNS_MAX);
        }
    }
}
