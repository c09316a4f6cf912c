//! Where the files of a journal are when its renames are done.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::rename::Rename;
use super::{Entry, Journal};

impl Journal {
    /// Returns the path before the run of what is renamed.
    pub(crate) fn renamed(&self, rename: &Rename) -> PathBuf {
        self.directories[rename.directory as usize].join(OsStr::from_bytes(&rename.from))
    }

    /// Adds a rename, after those of deeper directories. `inode` is what it has now.
    pub(crate) fn rename(&mut self, directory: &Path, from: Vec<u8>, to: Vec<u8>, inode: u64) {
        let last = self.renames.last().map(|rename| rename.directory);
        let known = last.filter(|at| self.directories[*at as usize] == directory).or_else(|| {
            let at = self.directories.iter().position(|known| known == directory)?;
            u32::try_from(at).ok()
        });
        let directory = known.unwrap_or_else(|| {
            self.directories.push(directory.to_path_buf());
            u32::try_from(self.directories.len() - 1).expect("there are fewer than 4 billion")
        });
        let is_it = |entry: &&Entry| entry.directory == directory && entry.name == from;
        let after = self.entries.iter().find(is_it).map_or(inode, |entry| entry.new.file.ino);
        self.renames.push(Rename { directory, from, to, inodes: [inode, after] });
    }

    /// Returns the paths, after the run, of all files that it changes and of all that it renames.
    pub(crate) fn paths_as_left(&self) -> Vec<PathBuf> {
        let left = self.as_left();
        let mut paths: Vec<PathBuf> = left.entries.iter().map(|it| left.target(it)).collect();
        let known: HashSet<PathBuf> = paths.iter().cloned().collect();
        let renamed = left.renames.iter().map(|it| left.renamed(it));
        paths.extend(renamed.filter(|path| !known.contains(path)));
        paths
    }

    /// Returns the journal as it would be of a run over the renamed files that renames them back:
    /// its directories and names are those that the run leaves.
    pub(crate) fn as_left(&self) -> Cow<'_, Journal> {
        if self.renames.is_empty() {
            return Cow::Borrowed(self);
        }
        let names = self.renames.iter().map(|rename| (self.renamed(rename), &rename.to[..]));
        let names: HashMap<PathBuf, &[u8]> = names.collect();
        let mut left = self.clone();
        left.directories = self.directories.iter().map(|path| path_as_left(path, &names)).collect();
        for (entry, was) in left.entries.iter_mut().zip(&self.entries) {
            if let Some(name) = names.get(&self.target(was)) {
                entry.name = name.to_vec();
            }
        }
        // Names of one directory may follow each other: what was renamed last gives way first.
        left.renames.chunk_by_mut(|a, b| a.directory == b.directory).for_each(<[_]>::reverse);
        left.renames.iter_mut().for_each(|rename| std::mem::swap(&mut rename.from, &mut rename.to));
        Cow::Owned(left)
    }
}

fn path_as_left(path: &Path, names: &HashMap<PathBuf, &[u8]>) -> PathBuf {
    let (mut before, mut left) = (PathBuf::new(), PathBuf::new());
    for component in path {
        before.push(component);
        left.push(names.get(&before).map_or(component, |name| OsStr::from_bytes(name)));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_as_left_leads_back() {
        let mut journal = Journal::default();
        for (directory, from, to) in
            [("/r/a/b", "f", "g"), ("/r/a/b", "e", "f"), ("/r/a", "b", "c"), ("/r", "a", "z")]
        {
            journal.rename(Path::new(directory), from.into(), to.into(), 7);
        }

        let left = journal.as_left();

        let paths: Vec<PathBuf> = left.renames.iter().map(|it| left.renamed(it)).collect();
        assert_eq!(paths, ["/r/z/c/f", "/r/z/c/g", "/r/z/c", "/r/z"].map(PathBuf::from));
        assert_eq!(*left.as_left(), journal);
    }
}
