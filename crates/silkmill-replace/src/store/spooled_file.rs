//! What is known of a staged file until its run is committed, and how a spool sorts it.

use std::cmp::Ordering;
use std::path::PathBuf;

use crate::store::journal::Entry;
use crate::store::journal::bytes::{Reader, put_path, put_u64};
use crate::store::journal::directories::Directories;
use crate::store::spool::Spooled;

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

impl Spooled for SpooledFile {
    /// Compares by the paths of the run, and below each by name.
    fn in_order(&self, other: &SpooledFile) -> Ordering {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::original::{Checksum, Identity};
    use crate::store::journal::Method;
    use crate::store::spool::{RUNS_MAX, Spool};
    use proptest::prelude::*;
    use std::path::Path;

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
            prop_assert!(spool.count_runs() < 2 * RUNS_MAX);
        }
    }
}
