//! Reads the records of a WARC file one after the other, compressed or not, and says where the last
//! whole one ends: a process that was killed leaves a torn one behind it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flate2::bufread::GzDecoder;

use crate::archive::record::{RecordHead, broken};
use crate::archive::spool::FileReader;

/// The bytes at the beginning of each block that a visitor sees.
const BLOCK_START_BYTES: u64 = 16 * 1024;
const BUFFER_BYTES: usize = 64 * 1024;
/// The first bytes of a gzip member, and of a record that is not compressed.
const GZIP: &[u8] = &[0x1f, 0x8b];
const PLAIN: &[u8] = b"WARC/";

/// Where a record begins: at a place of the file, or, in a gzip member that has several, behind
/// some of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) skip: u64,
}

/// Is shown the place and the head of each whole record, and how its block begins.
pub(super) type Visit<'a> = dyn FnMut(Place, &RecordHead, &[u8]) -> io::Result<()> + 'a;

/// Where the whole records of a file end, and where the file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) whole: u64,
    pub(super) file: u64,
}

/// Visits every whole record. A record that the end of the file has torn is passed over; anything
/// else that is no record is an error that says where it is.
pub(super) fn scan(file: &Arc<File>, visit: &mut Visit<'_>) -> io::Result<Ends> {
    let end = file.metadata()?.len();
    let mut at = 0;
    while at < end {
        let mut first = [0; PLAIN.len()];
        let length = file.read_at(&mut first, at)?;
        let first = &first[..length];
        let reader = FileReader { file: Arc::clone(file), at };
        let mut reader =
            Counting { inner: BufReader::with_capacity(BUFFER_BYTES, reader), bytes: 0 };
        let read = if first.starts_with(GZIP) {
            member(&mut reader, at, visit)
        } else if first.starts_with(PLAIN) {
            plain(&mut reader, at, visit)
        } else if GZIP.starts_with(first) || PLAIN.starts_with(first) {
            // Not even that has come completely.
            return Ok(Ends { whole: at, file: end });
        } else if is_zero(&mut reader)? {
            // After a power cut a file may be longer than what was written to it.
            return Ok(Ends { whole: at, file: end });
        } else {
            Err(broken("there is no record"))
        };
        match read {
            Ok(()) => at += reader.bytes,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let mut rest = reader.inner;
                if rest.fill_buf()?.is_empty() && !begins_otherwise(file, at)? {
                    return Ok(Ends { whole: at, file: end });
                }
                return Err(damage(at, &broken("a record is shorter than it says")));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(damage(at, &error));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(damage(at, &broken("a record is not compressed as gzip does it")));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Ends { whole: end, file: end })
}

/// Opens the record at a place: its head, and a reader of its block.
pub(super) fn open(file: &Arc<File>, place: Place) -> io::Result<(RecordHead, Block)> {
    let mut first = [0; GZIP.len()];
    file.read_exact_at(&mut first, place.offset)?;
    let reader = FileReader { file: Arc::clone(file), at: place.offset };
    let reader = BufReader::with_capacity(BUFFER_BYTES, reader);
    let mut reader: Box<dyn BufRead + Send> = match first == GZIP {
        true => Box::new(BufReader::new(GzDecoder::new(reader))),
        false => Box::new(reader),
    };
    io::copy(&mut (&mut reader).take(place.skip), &mut io::sink())?;
    let head = RecordHead::read(&mut reader)?;
    let head = head.ok_or_else(|| broken("there is no record"))?;
    let length = head.length;
    Ok((head, reader.take(length)))
}

/// Tells whether a compressed record begins somewhere behind `at`. Then what is there was not torn
/// by the end of a run, but damaged later.
pub(super) fn has_record_behind(file: &Arc<File>, at: u64) -> io::Result<bool> {
    let mut piece = vec![0; BUFFER_BYTES];
    let mut at = at + 1;
    loop {
        let length = file.read_at(&mut piece, at)?;
        for place in memchr::memmem::find_iter(&piece[..length], GZIP) {
            let reader = FileReader { file: Arc::clone(file), at: at + place as u64 };
            let mut start = [0; PLAIN.len()];
            let mut member = GzDecoder::new(BufReader::with_capacity(512, reader));
            if member.read_exact(&mut start).is_ok() && start == PLAIN {
                return Ok(true);
            }
        }
        if length < GZIP.len() {
            return Ok(false);
        }
        // A member may begin with the last byte.
        at += (length - 1) as u64;
    }
}

/// A reader of the block of a record.
pub(super) type Block = io::Take<Box<dyn BufRead + Send>>;

fn damage(at: u64, error: &io::Error) -> io::Error {
    broken(&format!("at byte {at} {error}"))
}

/// Reads the records of one gzip member, of which there is usually one.
fn member(from: &mut impl BufRead, offset: u64, visit: &mut Visit<'_>) -> io::Result<()> {
    let mut member = BufReader::new(GzDecoder::new(from));
    let mut skip = 0;
    while !member.fill_buf()?.is_empty() {
        let place = Place { offset, skip };
        skip += match record(&mut member, place, visit) {
            // The member is whole, and so what is in it was no record from the beginning.
            Err(error)
                if error.kind() == io::ErrorKind::UnexpectedEof
                    && member.fill_buf().is_ok_and(<[u8]>::is_empty) =>
            {
                return Err(broken("a record is shorter than it says"));
            }
            read => read?.0,
        };
    }
    Ok(())
}

/// Tells whether what is torn was no record: another file, which must be left alone, may be torn,
/// too.
fn begins_otherwise(file: &Arc<File>, at: u64) -> io::Result<bool> {
    let mut first = [0; GZIP.len()];
    if file.read_at(&mut first, at)? < first.len() || first != GZIP {
        return Ok(false);
    }
    let reader = FileReader { file: Arc::clone(file), at };
    let mut member = GzDecoder::new(BufReader::with_capacity(512, reader));
    let mut start = [0; PLAIN.len()];
    Ok(member.read_exact(&mut start).is_ok() && start != PLAIN)
}

fn plain(from: &mut impl BufRead, offset: u64, visit: &mut Visit<'_>) -> io::Result<()> {
    let (_, is_whole) = record(from, Place { offset, skip: 0 }, visit)?;
    // The next record could not begin here.
    if is_whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Reads one record. Returns its length, and whether the line ends behind it came.
fn record(from: &mut dyn BufRead, place: Place, visit: &mut Visit<'_>) -> io::Result<(u64, bool)> {
    let head = RecordHead::read(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut start = Vec::new();
    let start_bytes = head.length.min(BLOCK_START_BYTES);
    let mut block = Read::take(&mut *from, head.length);
    (&mut block).take(start_bytes).read_to_end(&mut start)?;
    let rest = io::copy(&mut block, &mut io::sink())?;
    if start.len() as u64 + rest < head.length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut ends = 0;
    while let Some(b'\r' | b'\n') = from.fill_buf()?.first() {
        from.consume(1);
        ends += 1;
    }
    visit(place, &head, &start)?;
    Ok((head.bytes + head.length + ends, ends >= 4))
}

fn is_zero(from: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let piece = from.fill_buf()?;
        let length = piece.len();
        if length == 0 {
            return Ok(true);
        }
        if piece.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        from.consume(length);
    }
}

/// Counts the bytes that are taken.
struct Counting<R> {
    inner: R,
    bytes: u64,
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.bytes += amount as u64;
        self.inner.consume(amount);
    }
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(into)?;
        self.bytes += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::archive::record::NewRecord;

    fn a_record(block: &str) -> Vec<u8> {
        let mut record = NewRecord::new("resource", "<urn:uuid:1>", "2026-11-28T10:00:00Z")
            .end(block.len() as u64);
        record.extend_from_slice(block.as_bytes());
        record.extend_from_slice(b"\r\n\r\n");
        record
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Arc::new(file)
    }

    fn scanned(bytes: &[u8]) -> (io::Result<Ends>, Vec<(Place, String)>) {
        let mut seen = Vec::new();
        let ends = scan(&file(bytes), &mut |place, _, start| {
            seen.push((place, String::from_utf8(start.to_vec()).unwrap()));
            Ok(())
        });
        (ends, seen)
    }

    #[test]
    fn records_are_found_where_they_are_and_can_be_opened_there() {
        let (one, two, three) = (a_record("one"), a_record(&"2".repeat(90_000)), a_record("3"));
        for bytes in [
            [packed(&one), packed(&two), packed(&three)].concat(),
            [one.clone(), two.clone(), three.clone()].concat(),
            // A file that was compressed as a whole, and one that has both.
            packed(&[one.clone(), two.clone(), three.clone()].concat()),
            [packed(&[one.clone(), two.clone()].concat()), three.clone()].concat(),
        ] {
            let (ends, seen) = scanned(&bytes);
            let length = bytes.len() as u64;
            assert_eq!(ends.unwrap(), Ends { whole: length, file: length });
            let starts: Vec<usize> = seen.iter().map(|(_, start)| start.len()).collect();
            assert_eq!(starts, [3, BLOCK_START_BYTES as usize, 1]);
            let file = file(&bytes);
            for ((place, start), length) in seen.iter().zip([3, 90_000, 1]) {
                let (head, mut block) = open(&file, *place).unwrap();
                let mut text = String::new();
                block.read_to_string(&mut text).unwrap();
                assert_eq!((head.length, text.len()), (length, length as usize));
                assert!(text.starts_with(start.as_str()));
            }
        }
    }

    #[test]
    fn a_torn_record_is_passed_over_wherever_it_is_torn() {
        for (first, second) in [
            (packed(&a_record("first")), packed(&a_record("second, which is torn"))),
            (a_record("first"), a_record("second, which is torn")),
        ] {
            let whole = first.len() as u64;
            for torn in 1..second.len() {
                let bytes = [&first[..], &second[..torn]].concat();
                let (ends, seen) = scanned(&bytes);
                let ends = ends.unwrap_or_else(|error| panic!("torn at {torn}: {error}"));
                assert_eq!(ends, Ends { whole, file: bytes.len() as u64 }, "torn at {torn}");
                // Line ends may be missing behind a record that is whole.
                assert!(seen.len() == 1 || torn >= second.len() - 4, "torn at {torn}");
            }
            let (ends, _) = scanned(&[&first[..], &[0; 5000]].concat());
            assert_eq!(ends.unwrap().whole, whole);
        }
    }

    #[test]
    fn what_is_no_archive_is_an_error_that_says_where() {
        let record = packed(&a_record("first"));
        let mut damaged = packed(&a_record(&"x".repeat(500)));
        let middle = damaged.len() - 12;
        damaged[middle] ^= 0xff;
        let noise: Vec<u8> = (0..20_000u32).map(|at| (at * at / 7 % 251) as u8).collect();
        for (bytes, place) in [
            (b"<html>no archive</html>".to_vec(), "at byte 0 "),
            (b"SQLite format 3\0".to_vec(), "at byte 0 "),
            (packed(b"<html>compressed</html>"), "at byte 0 "),
            (packed(&noise)[..1000].to_vec(), "at byte 0 "),
            ([&record[..], b"garbage"].concat(), &format!("at byte {} ", record.len())),
            ([&record[..], &damaged, &record].concat(), &format!("at byte {} ", record.len())),
        ] {
            let error = scanned(&bytes).0.unwrap_err().to_string();
            assert!(error.starts_with(place), "{error}");
        }
    }
}
