//! Keys with their values, sorted and looked up: in memory while they are few, and else in a file
//! without a name, of which only the first key of every block is held.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::store::draft::Draft;
use crate::store::journal::bytes::{Reader, put_bytes};
use crate::store::journal::record::JournalError;
use crate::store::journal::records::ReadError;
use crate::store::journal::source::Source;
use crate::store::spool::{Merge, Spool, Spooled, unkept};

/// How many bytes of pairs are held in memory before they go to a spool.
const HELD_LEN_MAX: usize = 2 << 20;

/// How many bytes a pair takes in memory besides those of its key and value: two vectors, and what
/// the allocator adds.
const PAIR_LEN: usize = 96;

/// From how many bytes on a block of a table ends. A look-up reads one block.
const BLOCK_LEN: usize = 4 << 10;

/// Returns a path as a key. Keys have the order of paths, which is that of their components.
pub(crate) fn path_key(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes().iter();
    bytes.map(|byte| if *byte == b'/' { 0 } else { *byte }).collect()
}

/// Returns the path of a key that [`path_key`] has made.
pub(crate) fn path_of_key(mut key: Vec<u8>) -> PathBuf {
    key.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'/');
    OsString::from_vec(key).into()
}

/// A key and its value, in the order of the keys; those of one key, in the order of the values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Spooled for Pair {
    fn in_order(&self, other: &Pair) -> Ordering {
        self.cmp(other)
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.key);
        put_bytes(out, &self.value);
    }

    fn read(payload: &[u8]) -> Option<Pair> {
        let mut reader = Reader(payload);
        let pair = Pair { key: reader.bytes()?.to_vec(), value: reader.bytes()?.to_vec() };
        reader.0.is_empty().then_some(pair)
    }
}

/// Sorts pairs, of which there may be more than memory holds.
#[derive(Debug)]
pub(crate) struct Sorter {
    folder: PathBuf,
    held: Vec<Pair>,
    held_len: usize,
    spool: Option<Spool<Pair>>,
}

impl Sorter {
    /// Sorts in memory, and in this directory what is too much for it.
    pub(crate) fn new(folder: &Path) -> Sorter {
        Sorter { folder: folder.to_path_buf(), held: Vec::new(), held_len: 0, spool: None }
    }

    /// Adds a pair.
    pub(crate) fn push(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Error> {
        self.held_len += key.len() + value.len() + PAIR_LEN;
        self.held.push(Pair { key, value });
        if self.held_len > HELD_LEN_MAX { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), Error> {
        let spool = match &mut self.spool {
            Some(spool) => spool,
            None => self.spool.insert(Spool::new(&self.folder).map_err(unkept)?),
        };
        let mut held = std::mem::take(&mut self.held);
        held.sort_unstable();
        self.held_len = 0;
        spool.write(held.into_iter())
    }

    /// Returns whether some of the pairs are on disk.
    #[cfg(test)]
    pub(crate) fn has_spilled(&self) -> bool {
        self.spool.is_some()
    }

    /// Returns all pairs in order.
    pub(crate) fn sorted(mut self) -> Result<Sorted, Error> {
        if self.spool.is_some() {
            self.spill()?;
        }
        self.held.sort_unstable();
        let merged = self.spool.map(|spool| spool.merge()).transpose()?;
        Ok(Sorted { held: self.held.into_iter(), merged })
    }

    /// Returns a table of the pairs. The first of those with one key counts.
    pub(crate) fn table(self) -> Result<Table, Error> {
        let mut writer = TableWriter::new(&self.folder);
        for pair in self.sorted()? {
            writer.push(pair?)?;
        }
        writer.finish()
    }
}

/// Sorted pairs.
#[derive(Debug)]
pub(crate) struct Sorted {
    held: std::vec::IntoIter<Pair>,
    merged: Option<Merge<Pair>>,
}

impl Iterator for Sorted {
    type Item = Result<Pair, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.merged {
            None => self.held.next().map(Ok),
            Some(merged) => merged.next(),
        }
    }
}

/// Values by their keys.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    source: Source,
    /// The first key of every block, and where the block begins.
    blocks: Arc<[(Box<[u8]>, u64)]>,
    len: u64,
}

impl Default for Table {
    fn default() -> Table {
        Table { source: Source::Bytes(Vec::new().into()), blocks: Vec::new().into(), len: 0 }
    }
}

impl Table {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the value of a key.
    ///
    /// # Errors
    /// The file of the table cannot be read.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let next = self.blocks.partition_point(|(first, _)| **first <= *key);
        let Some(at) = next.checked_sub(1) else { return Ok(None) };
        let start = self.blocks[at].1;
        let end = self.blocks.get(next).map_or(self.len, |(_, start)| *start);
        let mut block = vec![0; usize::try_from(end - start).expect("a block is short")];
        let filled = self.source.fill(&mut block, start).map_err(ReadError::Io)?;
        let damaged = || ReadError::Journal(JournalError::Damaged);
        let mut reader = Reader(&block[..filled]);
        while !reader.0.is_empty() {
            let found = reader.bytes().ok_or_else(damaged)?;
            let value = reader.bytes().ok_or_else(damaged)?;
            match found.cmp(key) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(Some(value.to_vec())),
                Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    /// Returns the path in which every component has the name that the table has for the path up to
    /// it, if it has one.
    pub(crate) fn path_after(&self, path: &Path) -> Result<PathBuf, Error> {
        if self.is_empty() {
            return Ok(path.to_path_buf());
        }
        let (mut before, mut after) = (PathBuf::new(), PathBuf::new());
        for component in path {
            before.push(component);
            match self.get(before.as_os_str().as_bytes())? {
                Some(name) => after.push(OsStr::from_bytes(&name)),
                None => after.push(component),
            }
        }
        Ok(after)
    }
}

/// Writes the blocks of a table.
struct TableWriter {
    draft: Draft,
    blocks: Vec<(Box<[u8]>, u64)>,
    last: Option<Vec<u8>>,
}

impl TableWriter {
    fn new(folder: &Path) -> TableWriter {
        TableWriter { draft: Draft::new(folder), blocks: Vec::new(), last: None }
    }

    fn push(&mut self, pair: Pair) -> Result<(), Error> {
        if self.last.as_ref() == Some(&pair.key) {
            return Ok(());
        }
        let here = self.draft.len();
        if self.blocks.last().is_none_or(|(_, start)| here - start >= BLOCK_LEN as u64) {
            self.blocks.push((pair.key.clone().into(), here));
        }
        self.draft.put(|out| pair.put(out))?;
        self.last = Some(pair.key);
        Ok(())
    }

    fn finish(self) -> Result<Table, Error> {
        let (source, len) = self.draft.finish()?;
        Ok(Table { source, blocks: self.blocks.into(), len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn sorter() -> Sorter {
        Sorter::new(&std::env::temp_dir())
    }

    proptest! {
        #[test]
        fn keys_of_paths_have_their_order(a in "(/[a!-]{1,3}){1,4}", b in "(/[a!-]{1,3}){1,4}") {
            let (a, b) = (Path::new(&a), Path::new(&b));
            prop_assert_eq!(path_key(a).cmp(&path_key(b)), a.cmp(b));
            prop_assert_eq!(path_of_key(path_key(a)), a);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_table_finds_what_a_map_finds(
            pairs in prop::collection::vec(("[a-d/]{0,5}", prop::collection::vec(any::<u8>(), 0..900)), 0..60),
            sought in prop::collection::vec("[a-d/]{0,5}", 0..40),
            spilled in prop::collection::vec(any::<bool>(), 60),
        ) {
            let (mut sorter, mut map) = (sorter(), BTreeMap::<String, Vec<u8>>::new());
            for ((key, value), spilled) in pairs.iter().zip(spilled) {
                sorter.push(key.clone().into_bytes(), value.clone()).unwrap();
                let first = map.entry(key.clone()).or_insert_with(|| value.clone());
                *first = first.clone().min(value.clone());
                if spilled {
                    sorter.spill().unwrap();
                }
            }

            let table = sorter.table().unwrap();

            for key in sought.iter().chain(map.keys()) {
                let found = table.get(key.as_bytes()).unwrap();
                prop_assert_eq!(found.as_ref(), map.get(key));
            }
            prop_assert_eq!(table.is_empty(), map.is_empty());
        }
    }

    #[test]
    fn a_long_table_is_in_a_file_and_holds_little() {
        let mut sorter = sorter();
        let key = |number: u32| format!("/some/directory/of/a/tree/{:06}", number * 2).into_bytes();
        for number in 0..100_000_u32 {
            let number = number * 7 % 100_000;
            sorter.push(key(number), number.to_le_bytes().to_vec()).unwrap();
            assert!(sorter.held_len <= HELD_LEN_MAX);
        }

        let table = sorter.table().unwrap();

        assert!(matches!(table.source, Source::File(_)));
        assert!(table.blocks.len() < 100_000 / 50, "{}", table.blocks.len());
        for number in (0..100_000).step_by(61) {
            assert_eq!(table.get(&key(number)).unwrap().unwrap(), number.to_le_bytes());
            let odd = format!("/some/directory/of/a/tree/{:06}", number * 2 + 1);
            assert_eq!(table.get(odd.as_bytes()).unwrap(), None);
        }
    }

    #[test]
    fn each_component_of_a_path_has_its_new_name() {
        let mut sorter = sorter();
        for (path, name) in [("/a", "x"), ("/a/b/c", "z"), ("b", "no")] {
            sorter.push(path.into(), name.into()).unwrap();
        }
        let table = sorter.table().unwrap();
        let after = |path: &str| table.path_after(Path::new(path)).unwrap();
        assert_eq!(after("/a/b/c/d"), Path::new("/x/b/z/d"));
        assert_eq!(after("/b/a"), Path::new("/b/a"));
        assert_eq!(after("b/a"), Path::new("no/a"));
    }
}
