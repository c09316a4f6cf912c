//! A set of files that takes a few bytes for each: filesystems number the files of a tree within
//! narrow ranges.

use std::collections::HashMap;

use crate::original::FileId;

/// How many numbers a chunk has, as a power of two.
const CHUNK_BITS: u32 = 16;

/// How many numbers a chunk lists before it becomes a bitmap, which is then as large.
const LISTED_MAX: usize = 4096;

/// The words of a bitmap.
const WORDS: usize = (1 << CHUNK_BITS) / 64;

/// A set of files.
#[derive(Debug, Default)]
pub(crate) struct FileSet {
    chunks: HashMap<(u64, u64), Chunk>,
}

/// The files of a chunk, by the lower bits of their inode numbers.
#[derive(Debug)]
enum Chunk {
    /// In ascending order.
    Listed(Vec<u16>),
    Bitmap(Box<[u64; WORDS]>),
}

impl FileSet {
    /// Adds a file. Returns whether it is new.
    pub(crate) fn insert(&mut self, file: FileId) -> bool {
        let (chunk, number) = place(file);
        let chunk = self.chunks.entry(chunk).or_insert_with(|| Chunk::Listed(Vec::new()));
        match chunk {
            Chunk::Listed(numbers) => {
                let Err(at) = numbers.binary_search(&number) else { return false };
                if numbers.len() < LISTED_MAX {
                    numbers.insert(at, number);
                    return true;
                }
                let mut words = Box::new([0; WORDS]);
                for number in numbers.iter().chain([&number]) {
                    words[usize::from(*number) / 64] |= 1 << (number % 64);
                }
                *chunk = Chunk::Bitmap(words);
                true
            }
            Chunk::Bitmap(words) => {
                let word = &mut words[usize::from(number) / 64];
                let is_new = *word >> (number % 64) & 1 == 0;
                *word |= 1 << (number % 64);
                is_new
            }
        }
    }

    pub(crate) fn contains(&self, file: FileId) -> bool {
        let (chunk, number) = place(file);
        match self.chunks.get(&chunk) {
            None => false,
            Some(Chunk::Listed(numbers)) => numbers.binary_search(&number).is_ok(),
            Some(Chunk::Bitmap(words)) => words[usize::from(number) / 64] >> (number % 64) & 1 == 1,
        }
    }

    pub(crate) fn remove(&mut self, file: FileId) {
        let (chunk, number) = place(file);
        match self.chunks.get_mut(&chunk) {
            None => {}
            Some(Chunk::Listed(numbers)) => {
                if let Ok(at) = numbers.binary_search(&number) {
                    numbers.remove(at);
                }
            }
            Some(Chunk::Bitmap(words)) => words[usize::from(number) / 64] &= !(1 << (number % 64)),
        }
    }
}

fn place(file: FileId) -> ((u64, u64), u16) {
    let low = file.ino & ((1 << CHUNK_BITS) - 1);
    ((file.dev, file.ino >> CHUNK_BITS), low as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn it_holds_what_a_plain_set_holds(
            steps in prop::collection::vec((0_u64..2, 0_u64..4, 0_u64..80, 0_u8..3), 0..200),
        ) {
            let (mut set, mut plain) = (FileSet::default(), HashSet::new());
            for (dev, high, low, step) in steps {
                let file = FileId { dev, ino: (high << 30) + low };
                match step {
                    0 => {
                        set.remove(file);
                        plain.remove(&file);
                    }
                    _ => prop_assert_eq!(set.insert(file), plain.insert(file)),
                }
                prop_assert_eq!(set.contains(file), plain.contains(&file));
            }
        }
    }

    #[test]
    fn a_full_chunk_becomes_a_bitmap_and_stays_the_same_set() {
        let file = |ino| FileId { dev: 1, ino };
        let mut set = FileSet::default();
        for ino in (0..60_000).rev().step_by(3) {
            assert!(set.insert(file(ino)) && !set.insert(file(ino)));
        }
        assert!(matches!(set.chunks[&(1, 0)], Chunk::Bitmap(_)));
        for ino in 0..60_000 {
            assert_eq!(set.contains(file(ino)), ino % 3 == 2, "{ino}");
        }
        set.remove(file(2));
        assert!(!set.contains(file(2)) && set.insert(file(2)));
    }
}
