//! Writes rows to a file, a pipe or a device. The formats decide what is in a row.
//!
//! Rows are buffered until [`LineFile::pause`]. When a write fails, a file is cut after its last
//! whole row, so that what was written stays readable; when the process is killed during a write,
//! the next run cuts the file there. That is one file, for what is buffered, what is written and
//! where a whole row ends change together.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, anyhow, bail};

use crate::messages::reason;
use crate::sink::open::{is_special, lock, open};
use crate::sink::packing::{BLOCK_BYTES, BLOCK_EVERY, Packing, Unpacked};
use crate::sink::resume::{FoundRow, Scan, Visit, WrittenRows};
use crate::sink::schema::Existing;

/// The buffer is written when it holds this many bytes, without waiting for a pause.
const BUFFERED_BYTES_MAX: usize = 64 * 1024;
/// The end of the name of a file that is written to take the place of another.
const PART_SUFFIX: &str = ".silkmill-part";

/// What is around the rows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Every row is a line, or several.
    Lines,
    /// The rows are the elements of a JSON array, one a line.
    Array,
}

/// How rows become the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) framing: Framing,
    pub(super) packing: Packing,
}

/// The first bytes of an array, what stands between two elements, and the end.
const ARRAY_START: &[u8] = b"[\n";
const ARRAY_BETWEEN: &[u8] = b",\n";
const ARRAY_END: &[u8] = b"\n]\n";

/// Takes rows.
pub(super) struct LineFile {
    to: Box<dyn Write + Send>,
    /// The same file, when it is a regular file, which can be cut.
    file: Option<File>,
    encoding: Encoding,
    /// Bytes in the file; all of them are whole rows.
    length: u64,
    buffered: Vec<u8>,
    /// The end of each buffered row, and of what comes before the first.
    ends: Vec<usize>,
    /// Whether the first of the ends is that of no row.
    has_header: bool,
    /// When the first of the buffered rows came.
    since: Option<Instant>,
    /// Whether a row was taken, or was in the file before.
    has_rows: bool,
    /// Whether the end of the array is behind the last row.
    is_closed: bool,
    /// The rows that were written.
    rows: u64,
    /// The file whose place this one has taken. Its lock keeps out a run that had opened it.
    _replaced: Option<File>,
}

impl LineFile {
    pub(super) fn stdout(encoding: Encoding) -> LineFile {
        LineFile::new(Box::new(io::stdout()), None, encoding, 0)
    }

    /// Opens a file to write it from its start.
    pub(super) fn create(
        path: &Path,
        existing: Existing,
        encoding: Encoding,
        is_input: impl FnOnce(&File) -> bool,
    ) -> Result<LineFile> {
        let mut options = OpenOptions::new();
        options.write(true);
        match existing {
            // A device or a pipe has nothing to lose.
            Existing::Refuse if is_special(path) => &mut options,
            Existing::Refuse => options.create_new(true),
            // The file is truncated only when it is known not to be the input.
            Existing::Overwrite | Existing::Resume => options.create(true).truncate(false),
        };
        let file = open(&options, path, "create")?;
        if is_input(&file) {
            bail!("failed to create {path:?}: it is the input");
        }
        // What is no file cannot be cut.
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        if is_file {
            lock(&file, path, "create")?;
            if let Err(error) = file.set_len(0) {
                bail!("failed to empty {path:?}: {}", reason(&error));
            }
        }
        LineFile::of(file, is_file, encoding, 0, path)
    }

    /// Opens a file to append to it, or creates it, and notes its rows in `written`. What is behind
    /// the last whole row is cut off. A file without rows begins with `start`.
    pub(super) fn resume(
        path: &Path,
        encoding: Encoding,
        start: Option<Vec<u8>>,
        is_input: impl FnOnce(&File) -> bool,
        scan: &Scan<'_>,
        written: &mut WrittenRows,
    ) -> Result<LineFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = open(&options, path, "resume")?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            bail!("failed to resume {path:?}: it is no file");
        }
        if is_input(&file) {
            bail!("failed to resume {path:?}: it is the input");
        }
        lock(&file, path, "resume")?;
        let fail = |error: anyhow::Error| anyhow!("failed to resume {path:?}: {error}");
        let length = read_rows(&file, encoding.packing, scan, &mut |row| written.note(row));
        let length = length.map_err(fail)?;
        file.set_len(length)
            .and_then(|()| (&file).seek(SeekFrom::Start(length)))
            .map_err(|error| fail(in_words(error)))?;
        let mut lines = LineFile::of(file, true, encoding, length, path)?;
        if written.has_replaced() {
            // A run that replaced errors was killed.
            lines.drop_replaced(path, start, scan, written).map_err(fail)?;
        } else if let Some(start) = start.filter(|_| length == 0) {
            lines.start_with(start);
        }
        if encoding.framing == Framing::Array && length > 0 {
            // The file is a whole array while the first rows are awaited, too.
            lines.close().map_err(|error| fail(in_words(error)))?;
        }
        Ok(lines)
    }

    /// Takes the errors out of the file that later rows of it have replaced: writes the other rows
    /// into a new file, and puts that in its place.
    pub(super) fn drop_replaced(
        &mut self,
        path: &Path,
        start: Option<Vec<u8>>,
        scan: &Scan<'_>,
        written: &mut WrittenRows,
    ) -> Result<()> {
        let Some(old) = &self.file else { return Ok(()) };
        let old = old.try_clone().map_err(in_words)?;
        (&old).seek(SeekFrom::Start(0)).map_err(in_words)?;
        // A link stays one: the file that it leads to is replaced.
        let path = path.canonicalize().map_err(in_words)?;
        let mut name = path.clone().into_os_string();
        name.push(PART_SUFFIX);
        let part = PathBuf::from(name);
        let mut rows = LineFile::part(&part, &old, self.encoding)?;
        if let Some(start) = start {
            rows.start_with(start);
        }
        let mut keep = |row: &FoundRow<'_>| match written.take_replaced(row.index) {
            true => Ok(()),
            false => rows.row(|to| to.extend(row.bytes)).map_err(in_words),
        };
        let replaced = read_rows(&old, self.encoding.packing, scan, &mut keep)
            .and_then(|_| rows.finish().map_err(in_words))
            .and_then(|()| fs::rename(&part, &path).map_err(in_words));
        if let Err(error) = replaced {
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        rows.rows = self.rows;
        rows._replaced = Some(old);
        *self = rows;
        Ok(())
    }

    /// Notes the rows that are in the file now.
    pub(super) fn read_back(&self, scan: &Scan<'_>, written: &mut WrittenRows) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut file = file;
        file.seek(SeekFrom::Start(0)).map_err(in_words)?;
        read_rows(file, self.encoding.packing, scan, &mut |row| written.note(row)).map(drop)
    }

    /// Creates the file that is to take the place of `old`, with the same permissions.
    fn part(part: &Path, old: &File, encoding: Encoding) -> Result<LineFile> {
        let made = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(part);
        let file = made.and_then(|file| {
            file.set_permissions(old.metadata()?.permissions())?;
            Ok(file)
        });
        let file = file.map_err(|error| anyhow!("failed to write {part:?}: {}", reason(&error)))?;
        lock(&file, part, "create")?;
        LineFile::of(file, true, encoding, 0, part)
    }

    /// Makes the lines of a file that has `length` bytes, all of which are whole rows.
    pub(super) fn of(
        file: File,
        is_file: bool,
        encoding: Encoding,
        length: u64,
        path: &Path,
    ) -> Result<LineFile> {
        let copy = match is_file.then(|| file.try_clone()).transpose() {
            Ok(copy) => copy,
            Err(error) => bail!("failed to open {path:?}: {}", reason(&error)),
        };
        Ok(LineFile::new(Box::new(file), copy, encoding, length))
    }

    fn new(
        to: Box<dyn Write + Send>,
        file: Option<File>,
        encoding: Encoding,
        length: u64,
    ) -> LineFile {
        LineFile {
            to,
            file,
            encoding,
            length,
            buffered: Vec::new(),
            ends: Vec::new(),
            has_header: false,
            since: None,
            has_rows: length > 0,
            is_closed: false,
            rows: 0,
            _replaced: None,
        }
    }

    /// Returns the bytes that were written; all of them are whole rows.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the file, if it is a regular one.
    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// Buffers what comes before the first row.
    pub(super) fn start_with(&mut self, bytes: Vec<u8>) {
        self.buffered = bytes;
        self.ends.push(self.buffered.len());
        self.has_header = true;
    }

    /// Buffers the row that `write` appends.
    pub(super) fn row(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        if self.encoding.framing == Framing::Array {
            self.buffered.extend(if self.has_rows { ARRAY_BETWEEN } else { ARRAY_START });
        }
        write(&mut self.buffered);
        if self.encoding.framing == Framing::Array && self.buffered.ends_with(b"\n") {
            self.buffered.pop();
        }
        self.has_rows = true;
        self.ends.push(self.buffered.len());
        self.since.get_or_insert_with(Instant::now);
        let bytes_max = match self.encoding.packing {
            Packing::None => BUFFERED_BYTES_MAX,
            _ => BLOCK_BYTES,
        };
        if self.buffered.len() >= bytes_max { self.flush() } else { Ok(()) }
    }

    /// Writes the buffered rows; those that are packed only when they are many, or old.
    pub(super) fn pause(&mut self) -> io::Result<()> {
        let is_old = self.since.is_some_and(|since| since.elapsed() >= BLOCK_EVERY);
        match self.encoding.packing == Packing::None || is_old {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Writes the buffered rows.
    fn flush(&mut self) -> io::Result<()> {
        if self.buffered.is_empty() {
            return Ok(());
        }
        self.since = None;
        let rows_length = self.buffered.len();
        let is_packed = self.encoding.packing != Packing::None;
        let mut bytes = std::mem::take(&mut self.buffered);
        if is_packed {
            bytes = self.encoding.packing.pack(bytes)?;
        }
        let packed_length = bytes.len();
        // Only in a file can the end of the array be written over later.
        let closes = self.encoding.framing == Framing::Array && self.file.is_some();
        if closes {
            bytes.extend(ARRAY_END);
        }
        let reopened = self.reopen();
        let (written, result) = match reopened {
            Ok(()) => write_all(&mut self.to, &bytes),
            Err(error) => (0, Err(error)),
        };
        self.is_closed = closes && result.is_ok();
        let ends = std::mem::take(&mut self.ends);
        let (whole, count) = match is_packed {
            true if written >= packed_length => (packed_length, ends.len()),
            true => (0, 0),
            false => {
                let count = ends.partition_point(|&end| end <= written.min(rows_length));
                (ends[..count].last().copied().unwrap_or(0), count)
            }
        };
        self.length += whole as u64;
        self.rows += (count - usize::from(self.has_header && count > 0)) as u64;
        self.has_header &= count == 0;
        if result.is_err() {
            self.cut();
        }
        if !is_packed {
            // The same memory serves the next rows.
            bytes.clear();
            self.buffered = bytes;
        }
        result.and_then(|()| self.to.flush())
    }

    /// Goes back to the end of the last row, to write over the end of the array.
    fn reopen(&mut self) -> io::Result<()> {
        match (&self.file, self.is_closed) {
            (Some(file), true) => (&*file).seek(SeekFrom::Start(self.length)).map(drop),
            _ => Ok(()),
        }
    }

    /// Cuts a file after its last whole row, when a write has failed. If that fails, too, the last
    /// row is torn, and the next run repairs it.
    fn cut(&mut self) {
        let Some(file) = &self.file else { return };
        let cut = file.set_len(self.length);
        if cut.is_ok() && self.encoding.framing == Framing::Array && self.length > 0 {
            let mut file = file;
            let _ = file.seek(SeekFrom::Start(self.length)).and_then(|_| file.write_all(ARRAY_END));
        }
    }

    /// Writes the buffered rows, and forces the file to disk.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        if self.encoding.framing == Framing::Array {
            self.close()?;
        }
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    /// Writes the end of the array, unless it is there.
    fn close(&mut self) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let end = if self.has_rows { ARRAY_END } else { b"[]\n" };
        let (_, result) = write_all(&mut self.to, end);
        self.is_closed = result.is_ok();
        result.and_then(|()| self.to.flush())
    }

    /// Returns how many rows were written.
    pub(super) fn rows_written(&self) -> u64 {
        self.rows
    }
}

/// Lets `scan` read the rows of a file, and returns how many bytes of the file are whole rows.
fn read_rows(file: &File, packing: Packing, scan: &Scan<'_>, visit: &mut Visit<'_>) -> Result<u64> {
    let mut from = BufReader::new(file);
    if packing == Packing::None {
        return scan(&mut from, visit);
    }
    let mut from = Unpacked::new(from, packing);
    let length = scan(&mut from, visit)?;
    if length != from.unpacked {
        bail!("a block of it ends in the middle of a row");
    }
    Ok(from.whole)
}

fn in_words(error: io::Error) -> anyhow::Error {
    anyhow!("{}", reason(&error))
}

/// Writes as many bytes as possible. Returns how many those were.
fn write_all(to: &mut dyn Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(length) => written += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Takes this many bytes and no more.
    struct Full(File, usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.1);
            if length == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.1 -= length;
            self.0.write(&bytes[..length])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn encoding(framing: Framing, packing: Packing) -> Encoding {
        Encoding { framing, packing }
    }

    /// Writes four rows to a disk with room for `room` bytes. Returns what is in the file then, and
    /// how many rows were written.
    fn written(encoding: Encoding, room: usize) -> (String, u64) {
        let file = tempfile::tempfile().unwrap();
        let (copy, mut reader) = (file.try_clone().unwrap(), file.try_clone().unwrap());
        let mut lines = LineFile::new(Box::new(Full(file, room)), Some(copy), encoding, 0);
        for _ in 0..2 {
            lines.row(|line| line.extend(b"11\n")).unwrap();
            lines.row(|line| line.extend(b"222\n")).unwrap();
        }

        let error = lines.flush().unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        reader.seek(SeekFrom::Start(0)).unwrap();
        let mut bytes = Vec::new();
        match encoding.packing {
            Packing::None => reader.read_to_end(&mut bytes).unwrap(),
            packing => {
                Unpacked::new(BufReader::new(reader), packing).read_to_end(&mut bytes).unwrap()
            }
        };
        (String::from_utf8(bytes).unwrap(), lines.rows_written())
    }

    #[test]
    fn a_full_disk_leaves_whole_rows() {
        for room in 0..13 {
            let (rows, count) = written(encoding(Framing::Lines, Packing::None), room);
            assert!("11\n222\n11\n222\n".starts_with(&rows) && rows.len() <= room);
            assert!(rows.is_empty() || rows.ends_with('\n'), "{room}: {rows:?}");
            assert_eq!(rows.lines().count() as u64, count, "{room}");
            let (rows, count) = written(encoding(Framing::Lines, Packing::Gzip), room);
            assert_eq!((rows.as_str(), count), ("", 0));
        }
    }

    #[test]
    fn a_full_disk_leaves_a_whole_array() {
        for room in 0..20 {
            let (rows, count) = written(encoding(Framing::Array, Packing::None), room);
            let array: Vec<u32> = match rows.as_str() {
                "" => Vec::new(),
                rows => serde_json::from_str(rows).unwrap(),
            };
            assert!([11, 222, 11, 222].starts_with(&array), "{rows}");
            assert_eq!(array.len() as u64, count, "{room}: {rows}");
        }
    }

    #[test]
    fn an_array_is_whole_after_every_pause_and_in_a_pipe_at_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = || fs::read_to_string(file.path()).unwrap();
        let array = encoding(Framing::Array, Packing::None);
        let mut lines = LineFile::of(file.reopen().unwrap(), true, array, 0, file.path()).unwrap();
        for (row, expected) in [(1, "[\n1\n]\n"), (2, "[\n1,\n2\n]\n")] {
            lines.row(|line| line.extend(format!("{row}\n").bytes())).unwrap();
            lines.pause().unwrap();
            assert_eq!(text(), expected);
        }
        lines.finish().unwrap();
        assert_eq!((text().as_str(), lines.rows_written()), ("[\n1,\n2\n]\n", 2));

        for (rows, expected) in [(0, "[]\n"), (1, "[\n0\n]\n"), (2, "[\n0,\n1\n]\n")] {
            let file = tempfile::NamedTempFile::new().unwrap();
            let pipe = Box::new(file.reopen().unwrap());
            let mut lines = LineFile::new(pipe, None, array, 0);
            for row in 0..rows {
                lines.row(|line| line.extend(row.to_string().bytes())).unwrap();
                lines.pause().unwrap();
            }
            lines.finish().unwrap();
            assert_eq!(fs::read_to_string(file.path()).unwrap(), expected);
        }
    }
}
