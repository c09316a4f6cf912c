//! What a run gives another name: the records of a journal, or of the draft of one, read one by one
//! as often as they are needed, from the first to the last or back.

use std::sync::Arc;

use crate::error::Error;
use crate::store::journal::directories::Directories;
use crate::store::journal::placed_records::PlacedRecords;
use crate::store::journal::record::Kind;
use crate::store::journal::records::Records;
use crate::store::journal::rename::Rename;
use crate::store::journal::source::Source;

/// How many renames there are between two places from which one can read. As many are in memory
/// while they are read from the last to the first.
const BLOCK_LEN: u64 = 4 << 10;

/// All renames of a journal, the deepest first, those of one directory beside each other.
#[derive(Clone, Debug)]
pub(crate) struct Renames {
    source: Source,
    end: u64,
    len: u64,
    blocks: Arc<[Block]>,
}

/// A place from which renames can be read.
#[derive(Clone, Debug)]
struct Block {
    at: u64,
    /// The directories to which the records from here on may refer.
    directories: Directories,
}

/// The places from which renames can be read, noted while their records are written or read.
#[derive(Debug)]
pub(super) struct RenameIndex {
    /// Whether a record may refer to any directory before. Then there is one block.
    keeps_all_directories: bool,
    len: u64,
    blocks: Vec<Block>,
}

impl RenameIndex {
    pub(super) fn new(keeps_all_directories: bool) -> RenameIndex {
        RenameIndex { keeps_all_directories, len: 0, blocks: Vec::new() }
    }

    /// Notes that the record of a rename is at this place, behind these directories.
    pub(super) fn note(&mut self, at: u64, directories: &Directories) {
        let is_first = self.len == 0;
        if is_first || (self.len.is_multiple_of(BLOCK_LEN) && !self.keeps_all_directories) {
            self.blocks.push(Block { at, directories: directories.clone() });
        }
        self.len += 1;
    }

    /// Returns the renames, whose last record ends before `end`.
    pub(super) fn finish(self, source: Source, end: u64) -> Renames {
        Renames { source, end, len: self.len, blocks: self.blocks.into() }
    }
}

impl Renames {
    /// Returns how many there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads them from the first to the last. An error is the last item.
    pub(crate) fn iter(&self) -> Iter {
        self.from(0, self.end)
    }

    /// Reads them from the last to the first. An error may be followed by others.
    pub(crate) fn iter_back(&self) -> impl Iterator<Item = Result<Rename, Error>> {
        let ends = self.blocks.iter().skip(1).map(|block| block.at).chain([self.end]);
        let blocks: Vec<(usize, u64)> = ends.enumerate().collect();
        blocks.into_iter().rev().flat_map(|(block, end)| {
            let mut renames: Vec<_> = self.from(block, end).collect();
            renames.reverse();
            renames
        })
    }

    fn from(&self, block: usize, end: u64) -> Iter {
        let none = || (Records::new(self.source.clone(), end, end), Directories::new(false));
        let (records, directories) = self.blocks.get(block).map_or_else(none, |block| {
            (Records::new(self.source.clone(), block.at, end), block.directories.clone())
        });
        Iter(PlacedRecords::new(Kind::Rename, records, directories))
    }
}

/// Reads renames.
#[derive(Debug)]
pub(crate) struct Iter(PlacedRecords);

impl Iterator for Iter {
    type Item = Result<Rename, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(Rename::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::writer::Writer;
    use std::path::{Path, PathBuf};

    #[test]
    fn many_renames_are_read_in_either_direction() {
        for count in [0, 1, 5, BLOCK_LEN, 3 * BLOCK_LEN + 7, 100_000] {
            let rename = |number: u64| Rename {
                // Some directories are met again when no reader keeps them any more.
                directory: PathBuf::from(format!("/tree/{}", number / 7 % 300)).into(),
                from: format!("a{number}").into_bytes(),
                to: format!("b{number}").into_bytes(),
                inodes: [number, number + 1],
            };
            let mut draft = Writer::draft(std::env::temp_dir());
            (0..count).for_each(|number| draft.push_rename(rename(number)).unwrap());

            let renames = draft.finish_names_draft().unwrap();

            assert_eq!((renames.len(), renames.is_empty()), (count, count == 0));
            assert!(renames.iter().map(Result::unwrap).eq((0..count).map(rename)));
            assert!(renames.iter_back().map(Result::unwrap).eq((0..count).rev().map(rename)));
            assert!(renames.blocks.len() as u64 <= count.div_ceil(BLOCK_LEN));
        }
    }

    #[test]
    fn the_directories_of_an_earlier_version_are_all_kept_once() {
        let mut directories = Directories::new(true);
        directories.push(Path::new("/a").into());
        let mut index = RenameIndex::new(true);
        (0..2 * BLOCK_LEN).for_each(|_| index.note(0, &directories));
        assert_eq!(index.blocks.len(), 1);
    }
}
