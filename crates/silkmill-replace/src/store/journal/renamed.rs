//! Where the files of a journal are when its renames are done.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Journal;
use super::entries::path_as_left;
use super::rename::Rename;
use crate::error::Error;

impl Journal {
    /// Calls `each` with the paths, after the run, of all files that it changes and of all that it
    /// renames.
    pub(crate) fn for_each_path_as_left(&self, each: &mut dyn FnMut(PathBuf)) -> Result<(), Error> {
        let left = self.as_left();
        let renames = || left.renames.iter().filter(|rename| !rename.is_from_third());
        let mut renamed: HashSet<PathBuf> = renames().map(Rename::source).collect();
        for entry in left.entries.iter() {
            let path = entry?.target();
            if !renamed.is_empty() {
                renamed.remove(&path);
            }
            each(path);
        }
        let paths = renames().map(Rename::source);
        paths.filter(|path| renamed.contains(path)).for_each(each);
        Ok(())
    }

    /// Returns how many files it changes or renames.
    pub(crate) fn count_paths(&self) -> Result<u64, Error> {
        if self.renames.is_empty() {
            return Ok(self.entries.len());
        }
        let mut count = 0;
        self.for_each_path_as_left(&mut |_| count += 1)?;
        Ok(count)
    }

    /// Returns the journal as it would be of a run over the renamed files that renames them back:
    /// its directories and names are those that the run leaves.
    pub(crate) fn as_left(&self) -> Cow<'_, Journal> {
        if self.renames.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut names: HashMap<PathBuf, Vec<u8>> = HashMap::new();
        // Where a file began whose third name this is.
        let mut began: HashMap<PathBuf, PathBuf> = HashMap::new();
        for rename in &self.renames {
            let source = rename.source();
            if rename.is_to_third() {
                began.insert(rename.directory.join(OsStr::from_bytes(&rename.to)), source);
            } else {
                names.insert(began.remove(&source).unwrap_or(source), rename.to.clone());
            }
        }
        let mut left = self.clone();
        // Names of one directory may follow each other: what was renamed last gives way first.
        left.renames.chunk_by_mut(|a, b| a.directory == b.directory).for_each(<[_]>::reverse);
        for rename in &mut left.renames {
            std::mem::swap(&mut rename.from, &mut rename.to);
            rename.directory = path_as_left(&rename.directory, &names).into();
        }
        left.entries = self.entries.as_left(names);
        Cow::Owned(left)
    }
}

/// Returns a directory that is shared with the rename before, where that is in the same one.
pub(crate) fn shared(last: Option<&Rename>, directory: &Path) -> Arc<Path> {
    match last {
        Some(rename) if *rename.directory == *directory => Arc::clone(&rename.directory),
        _ => directory.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::writer::Writer;
    use crate::store::journal::{Method, RunHeader};

    #[test]
    fn a_journal_as_left_leads_back() {
        let mut journal = Journal {
            header: RunHeader::default(),
            replacements: 0,
            staging_dirs: Vec::new(),
            entries: Writer::draft(std::env::temp_dir()).finish_draft().unwrap(),
            renames: Vec::new(),
        };
        for (directory, from, to) in
            [("/r/a/b", "f", "g"), ("/r/a/b", "e", "f"), ("/r/a", "b", "c"), ("/r", "a", "z")]
        {
            let directory = shared(journal.renames.last(), Path::new(directory));
            let (from, to) = (from.into(), to.into());
            journal.renames.push(Rename { directory, from, to, inodes: [7, 7] });
        }

        let left = journal.as_left();

        let paths: Vec<PathBuf> = left.renames.iter().map(Rename::source).collect();
        assert_eq!(paths, ["/r/z/c/f", "/r/z/c/g", "/r/z/c", "/r/z"].map(PathBuf::from));
        assert_eq!(left.as_left().renames, journal.renames);
    }

    #[test]
    fn names_that_change_places_lead_back_over_the_third_name() {
        let directory: Arc<Path> = Path::new("/r").into();
        let step = |from: &[u8], to: &[u8], inode| Rename {
            directory: Arc::clone(&directory),
            from: from.to_vec(),
            to: to.to_vec(),
            inodes: [inode; 2],
        };
        let third = step(b"a", b"b", 7).third_name();
        let entries = {
            let mut draft = Writer::draft(std::env::temp_dir());
            for name in [&b"a"[..], b"b"] {
                draft
                    .push(&crate::store::journal::tests::entry("/r", name, Method::Exchange))
                    .unwrap();
            }
            draft.finish_draft().unwrap()
        };
        let journal = Journal {
            header: RunHeader::default(),
            replacements: 0,
            staging_dirs: Vec::new(),
            entries,
            renames: vec![step(b"a", &third, 7), step(b"b", b"a", 8), step(&third, b"b", 7)],
        };

        let left = journal.as_left();

        let back = [step(b"b", &third, 7), step(b"a", b"b", 8), step(&third, b"a", 7)];
        assert_eq!(left.renames, back);
        let targets = left.entries.iter().map(|entry| entry.unwrap().target());
        assert_eq!(targets.collect::<Vec<_>>(), [Path::new("/r/b"), Path::new("/r/a")]);
        let mut paths = Vec::new();
        journal.for_each_path_as_left(&mut |path| paths.push(path)).unwrap();
        assert_eq!(paths, [Path::new("/r/b"), Path::new("/r/a")]);
    }
}
