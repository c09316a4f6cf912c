//! Where the files of a journal are when its renames are done.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Journal;
use super::rename::Rename;
use super::renames::Renames;
use super::writer::Writer;
use crate::error::Error;
use crate::store::spool::unkept;
use crate::store::table::{Sorter, Table};

impl Journal {
    /// Calls `each` with the paths, after the run, of all files that it changes and of all that it
    /// renames.
    pub(crate) fn for_each_path_as_left(&self, each: &mut dyn FnMut(PathBuf)) -> Result<(), Error> {
        let left = self.as_left()?;
        for entry in left.entries.iter() {
            each(entry?.target());
        }
        left.for_each_renamed_only(each)
    }

    /// Returns how many files it changes or renames.
    pub(crate) fn count_paths(&self) -> Result<u64, Error> {
        let mut count = self.entries.len();
        self.for_each_renamed_only(&mut |_| count += 1)?;
        Ok(count)
    }

    /// Calls `each` with the paths, before the run, of all that it renames and does not change.
    fn for_each_renamed_only(&self, each: &mut dyn FnMut(PathBuf)) -> Result<(), Error> {
        if self.renames.is_empty() {
            return Ok(());
        }
        let mut changed = Sorter::new(&self.folder);
        for entry in self.entries.iter() {
            changed.push(bytes(entry?.target()), Vec::new())?;
        }
        let changed = changed.table()?;
        for rename in self.renames.iter() {
            let rename = rename?;
            let source = rename.source();
            let is_changed = changed.get(source.as_os_str().as_bytes())?.is_some();
            if !rename.is_from_third() && !is_changed {
                each(source);
            }
        }
        Ok(())
    }

    /// Returns the journal as it would be of a run over the renamed files that renames them back:
    /// its directories and names are those that the run leaves.
    pub(crate) fn as_left(&self) -> Result<Cow<'_, Journal>, Error> {
        if self.renames.is_empty() {
            return Ok(Cow::Borrowed(self));
        }
        let names = self.new_names()?;
        let renames = self.renames_back(&names)?;
        let entries = self.entries.as_left(names);
        Ok(Cow::Owned(Journal { renames, entries, ..self.clone() }))
    }

    /// Returns the new name of everything that is renamed, by its path from before.
    fn new_names(&self) -> Result<Table, Error> {
        let mut names = Sorter::new(&self.folder);
        // Where a file began whose third name this is.
        let mut began: HashMap<PathBuf, PathBuf> = HashMap::new();
        for rename in self.renames.iter() {
            let rename = rename?;
            let source = rename.source();
            if rename.is_to_third() {
                began.insert(rename.directory.join(OsStr::from_bytes(&rename.to)), source);
            } else {
                names.push(bytes(began.remove(&source).unwrap_or(source)), rename.to)?;
            }
        }
        names.table()
    }

    fn renames_back(&self, names: &Table) -> Result<Renames, Error> {
        let mut draft = Writer::draft(self.folder.clone());
        for chunk in chunks(&self.renames) {
            let chunk = chunk?;
            let directory: Arc<Path> = names.path_after(&chunk[0].directory)?.into();
            // Names of one directory may follow each other: what was renamed last gives way first.
            for Rename { from, to, inodes, .. } in chunk.into_iter().rev() {
                let directory = Arc::clone(&directory);
                let back = Rename { directory, from: to, to: from, inodes };
                draft.push_rename(back).map_err(unkept)?;
            }
        }
        draft.finish_names_draft().map_err(unkept)
    }
}

/// Returns the renames of one directory after another. Those of one are in memory together.
pub(crate) fn chunks(renames: &Renames) -> impl Iterator<Item = Result<Vec<Rename>, Error>> {
    let mut renames = renames.iter().peekable();
    std::iter::from_fn(move || {
        let first = match renames.next()? {
            Ok(first) => first,
            Err(error) => return Some(Err(error)),
        };
        let mut chunk = vec![first];
        let is_beside = |next: &Result<Rename, Error>, chunk: &[Rename]| match next {
            Ok(next) => next.directory == chunk[0].directory,
            Err(_) => true,
        };
        while let Some(next) = renames.next_if(|next| is_beside(next, &chunk)) {
            match next {
                Ok(next) => chunk.push(next),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(chunk))
    })
}

fn bytes(path: PathBuf) -> Vec<u8> {
    path.into_os_string().into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::entries::Entries;
    use crate::store::journal::{Method, RunHeader};

    fn journal(entries: Entries, renames: &[Rename]) -> Journal {
        Journal {
            header: RunHeader::default(),
            replacements: 0,
            staging_dirs: Vec::new(),
            entries,
            renames: drafted(renames),
            folder: std::env::temp_dir(),
        }
    }

    fn drafted(renames: &[Rename]) -> Renames {
        let mut draft = Writer::draft(std::env::temp_dir());
        renames.iter().for_each(|rename| draft.push_rename(rename.clone()).unwrap());
        draft.finish_names_draft().unwrap()
    }

    fn listed(journal: &Journal) -> Vec<Rename> {
        journal.renames.iter().map(Result::unwrap).collect()
    }

    #[test]
    fn a_journal_as_left_leads_back() {
        let mut renames = Vec::new();
        for (directory, from, to) in
            [("/r/a/b", "f", "g"), ("/r/a/b", "e", "f"), ("/r/a", "b", "c"), ("/r", "a", "z")]
        {
            let directory = Path::new(directory).into();
            let (from, to) = (from.into(), to.into());
            renames.push(Rename { directory, from, to, inodes: [7, 7] });
        }
        let entries = Writer::draft(std::env::temp_dir()).finish_draft().unwrap();
        let journal = journal(entries, &renames);

        let left = journal.as_left().unwrap();

        let paths: Vec<PathBuf> = listed(&left).iter().map(Rename::source).collect();
        assert_eq!(paths, ["/r/z/c/f", "/r/z/c/g", "/r/z/c", "/r/z"].map(PathBuf::from));
        assert_eq!(listed(&left.as_left().unwrap()), renames);
        assert_eq!(journal.count_paths().unwrap(), 4);
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
        let renames = [step(b"a", &third, 7), step(b"b", b"a", 8), step(&third, b"b", 7)];
        let journal = journal(entries, &renames);

        let left = journal.as_left().unwrap();

        let back = [step(b"b", &third, 7), step(b"a", b"b", 8), step(&third, b"a", 7)];
        assert_eq!(listed(&left), back);
        let targets = left.entries.iter().map(|entry| entry.unwrap().target());
        assert_eq!(targets.collect::<Vec<_>>(), [Path::new("/r/b"), Path::new("/r/a")]);
        let mut paths = Vec::new();
        journal.for_each_path_as_left(&mut |path| paths.push(path)).unwrap();
        assert_eq!(paths, [Path::new("/r/b"), Path::new("/r/a")]);
    }
}
