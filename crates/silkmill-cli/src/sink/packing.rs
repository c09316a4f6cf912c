//! Compresses rows in blocks, each of which can be read without those before it: the members of a
//! gzip file (RFC 1952), or the frames of a zstd file (RFC 8878). A file that ends in the middle of
//! a block loses no other.

use std::io::{self, BufRead, Read, Write};
use std::time::Duration;

use flate2::Compression;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// A block is written when the rows in it have this many bytes, or the first of them waits for so
/// long.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;
pub(super) const BLOCK_EVERY: Duration = Duration::from_secs(1);
/// The most bytes that a block of a file is unpacked to: more than any block of ours.
const UNPACKED_BYTES_MAX: u64 = 256 * 1024 * 1024;

const NOT_PACKED: &str = "it is not packed as its name says";

/// How the bytes of a file are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Packing {
    /// Returns the packing that an extension stands for.
    pub(super) fn of_extension(extension: &str) -> Packing {
        match extension {
            "gz" => Packing::Gzip,
            "zst" => Packing::Zstd,
            _ => Packing::None,
        }
    }

    /// Returns the bytes that every block begins with.
    fn magic(self) -> &'static [u8] {
        match self {
            Packing::None => b"",
            Packing::Gzip => b"\x1f\x8b",
            Packing::Zstd => b"\x28\xb5\x2f\xfd",
        }
    }

    /// Packs rows into one block.
    pub(super) fn pack(self, rows: Vec<u8>) -> io::Result<Vec<u8>> {
        match self {
            Packing::None => Ok(rows),
            Packing::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&rows)?;
                encoder.finish()
            }
            Packing::Zstd => Ok(compress_to_vec(rows.as_slice(), CompressionLevel::Fastest)),
        }
    }
}

/// Reads the blocks of a file. A block that is cut off at the end of the file is passed over.
pub(super) struct Unpacked<R> {
    from: Counted<R>,
    packing: Packing,
    block: Vec<u8>,
    taken: usize,
    /// The bytes of the file that are whole blocks, and those that they were unpacked to.
    pub(super) whole: u64,
    pub(super) unpacked: u64,
}

impl<R: BufRead> Unpacked<R> {
    pub(super) fn new(from: R, packing: Packing) -> Unpacked<R> {
        let from = Counted { from, count: 0 };
        Unpacked { from, packing, block: Vec::new(), taken: 0, whole: 0, unpacked: 0 }
    }

    /// Unpacks the next block, if there is a whole one.
    fn next_block(&mut self) -> io::Result<()> {
        self.block.clear();
        self.taken = 0;
        let start = self.from.fill_buf()?;
        if start.is_empty() {
            return Ok(());
        }
        // What does not begin as a block is no block that was cut off.
        if !start.iter().zip(self.packing.magic()).all(|(byte, magic)| byte == magic) {
            return Err(io::Error::other(NOT_PACKED));
        }
        let limit = UNPACKED_BYTES_MAX + 1;
        let read = match self.packing {
            Packing::None => return Err(io::Error::other(NOT_PACKED)),
            Packing::Gzip => flate2::bufread::GzDecoder::new(&mut self.from)
                .take(limit)
                .read_to_end(&mut self.block),
            Packing::Zstd => match StreamingDecoder::new(&mut self.from) {
                Ok(decoder) => decoder.take(limit).read_to_end(&mut self.block),
                Err(error) => Err(io::Error::other(error)),
            },
        };
        if self.block.len() as u64 > UNPACKED_BYTES_MAX {
            return Err(io::Error::other("it has blocks that are larger than any of ours"));
        }
        match read {
            Ok(length) => {
                self.whole = self.from.count;
                self.unpacked += length as u64;
            }
            // A block is broken where the file ends: a run was killed while it wrote it.
            Err(_) if self.from.fill_buf()?.is_empty() => self.block.clear(),
            Err(_) => return Err(io::Error::other(NOT_PACKED)),
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let many = bytes.len().min(to.len());
        to[..many].copy_from_slice(&bytes[..many]);
        self.consume(many);
        Ok(many)
    }
}

impl<R: BufRead> BufRead for Unpacked<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // A block may be empty, and is no end of the file.
        while self.taken == self.block.len() {
            let before = self.whole;
            self.next_block()?;
            if self.whole == before {
                return Ok(&[]);
            }
        }
        Ok(&self.block[self.taken..])
    }

    fn consume(&mut self, many: usize) {
        self.taken += many;
    }
}

/// Counts the bytes that are read.
struct Counted<R> {
    from: R,
    count: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let many = self.from.read(to)?;
        self.count += many as u64;
        Ok(many)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.from.fill_buf()
    }

    fn consume(&mut self, many: usize) {
        self.from.consume(many);
        self.count += many as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn unpacked(bytes: &[u8], packing: Packing) -> (io::Result<Vec<u8>>, u64) {
        let mut reader = Unpacked::new(BufReader::with_capacity(16, bytes), packing);
        let mut all = Vec::new();
        let read = reader.read_to_end(&mut all).map(|_| all);
        (read, reader.whole)
    }

    #[test]
    fn a_file_that_ends_anywhere_has_its_whole_blocks() {
        let blocks: [&[u8]; 3] = [b"one\ntwo\n", b"three\n", b"four\nfive\n"];
        for packing in [Packing::Gzip, Packing::Zstd] {
            let packed = blocks.map(|block| packing.pack(block.to_vec()).unwrap());
            let whole = packed.concat();
            for length in 0..=whole.len() {
                let mut ends = packed.iter().scan(0, |end, block| {
                    *end += block.len();
                    Some(*end)
                });
                let count = ends.by_ref().take_while(|end| *end <= length).count();
                let end: usize = packed[..count].iter().map(Vec::len).sum();

                let (rows, read) = unpacked(&whole[..length], packing);

                assert_eq!(rows.unwrap(), blocks[..count].concat(), "{packing:?} {length}");
                assert_eq!(read, end as u64, "{packing:?} {length}");
            }
        }
    }

    #[test]
    fn a_file_that_is_not_packed_is_told_from_one_that_is_cut_off() {
        let text = b"precious text that is longer than a header\n".repeat(20);
        for packing in [Packing::Gzip, Packing::Zstd] {
            assert!((1..text.len()).all(|length| unpacked(&text[..length], packing).0.is_err()));
            let mut broken = packing.pack(text.clone()).unwrap();
            broken.extend(&text);
            assert!(unpacked(&broken, packing).0.is_err());
        }
    }
}
