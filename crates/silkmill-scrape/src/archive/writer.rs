//! Appends records to a WARC file (WARC 1.1), each as a gzip member of its own, or to files in a
//! folder, one after the other. All workers share the writer; a record is there once the call that
//! writes it has returned.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::archive::record::{NewRecord, broken, date, labelled, new_id, sha1};
use crate::archive::scan::{Place, has_record_behind, scan};
use crate::archive::spool::{MEMORY_BYTES_MAX, Spool};
use crate::archive::tape::{Tape, Truncated};
use crate::error::{Error, ErrorKind, io_error_in_words};
use crate::sync::Mutex;

/// A folder goes on with another file when one has as many bytes, as the standard suggests.
const FILE_BYTES_MAX: u64 = 1_000_000_000;
/// The most bodies of which is known that they are in the archive already.
const PAYLOADS_MAX: usize = 64 * 1024;
/// How long an archive is waited for that another run writes to, and how often it is tried.
const LOCK_WAIT: Duration = Duration::from_millis(500);
const LOCK_POLL: Duration = Duration::from_millis(10);
/// Archives have cookies and passwords in them: others cannot read a file that is made.
const MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

const IDENTICAL: &str = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest";
const NOT_MODIFIED: &str = "http://netpreserve.org/warc/1.1/revisit/server-not-modified";
const REQUEST: &str = "application/http; msgtype=request";
const RESPONSE: &str = "application/http; msgtype=response";

/// What a body is stored as that the archive has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeated {
    /// As a reference to it (`revisit`).
    Reference,
    /// As another copy.
    Copy,
}

/// A WARC file that grows.
#[derive(Debug)]
pub(crate) struct Writer {
    /// The folder of the files; or that of the one file.
    folder: Arc<Path>,
    is_folder: bool,
    repeated: Repeated,
    agent: String,
    packs: bool,
    /// Written by every worker, for the time that it takes to append a record.
    growing: Mutex<Growing>,
    /// Set by a worker whose record could not be written, and read by all: no lock is taken for it.
    has_failed: AtomicBool,
}

#[derive(Debug)]
struct Growing {
    path: PathBuf,
    file: File,
    packs: bool,
    length: u64,
    number: u32,
    /// The first response with each payload, by its digest.
    payloads: HashMap<Box<str>, Earlier>,
    /// Set once, when a record could not be written. No other is tried then.
    failure: Option<String>,
}

#[derive(Clone, Debug)]
struct Earlier {
    id: Box<str>,
    uri: Box<str>,
    date: Box<str>,
}

/// Where a response was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) number: u32,
    pub(crate) offset: u64,
    pub(crate) date: String,
}

/// Tells whether a path that is to be written to is a folder of archives, and not one archive.
pub(super) fn is_folder(path: &Path) -> bool {
    let is_file_name = path.extension().is_some_and(|ending| ending == "gz" || ending == "warc");
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") || !is_file_name
}

/// Returns the path of a file in a folder of archives.
pub(super) fn path_in(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("silkmill-{number:05}.warc.gz"))
}

impl Writer {
    /// Opens an archive to append to it. One that is not there is made; a record that the end of
    /// another run has torn is cut off.
    pub(crate) fn open(path: &Path, repeated: Repeated, agent: &str) -> Result<Writer, Error> {
        let is_folder = is_folder(path);
        let opened = match is_folder {
            true => open_in(path),
            false => open_file(path.to_owned(), 0),
        };
        let failed = |why: String| Error::from(ErrorKind::Archive(path.to_owned(), "open", why));
        let mut growing = opened.map_err(|error| failed(io_error_in_words(&error)))?;
        let folder = match is_folder {
            true => path,
            false => path.parent().filter(|up| *up != Path::new("")).unwrap_or(Path::new(".")),
        };
        begin(&mut growing, agent).map_err(|error| failed(io_error_in_words(&error)))?;
        Ok(Writer {
            folder: folder.into(),
            is_folder,
            repeated,
            agent: agent.to_owned(),
            packs: growing.packs,
            growing: Mutex::new(growing),
            has_failed: AtomicBool::new(false),
        })
    }

    /// Returns where long bodies may wait.
    pub(crate) fn folder(&self) -> &Arc<Path> {
        &self.folder
    }

    /// Tells whether a record could not be written.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Writes the records of an exchange: the request, and the response or the reference that
    /// stands for it. `not_modified` says that the response is one that a server did not send
    /// again, since it was sent at that date.
    pub(crate) fn write(
        &self,
        tape: &Tape,
        truncated: Option<Truncated>,
        not_modified: Option<&str>,
    ) -> io::Result<Written> {
        let written = self.try_write(tape, truncated, not_modified);
        if let Err(error) = &written {
            self.growing.lock().failure.get_or_insert_with(|| io_error_in_words(error));
            self.has_failed.store(true, Ordering::Relaxed);
        }
        written
    }

    fn try_write(
        &self,
        tape: &Tape,
        truncated: Option<Truncated>,
        not_modified: Option<&str>,
    ) -> io::Result<Written> {
        if let Some(failure) = &tape.failure {
            return Err(io::Error::new(failure.kind(), io_error_in_words(failure)));
        }
        let (request_id, response_id) = (new_id()?, new_id()?);
        let asked = date(tape.asked);
        let request = request(tape, &request_id, &response_id, &asked);
        let digest = labelled(&tape.payload.clone().finish());
        let earlier = match not_modified {
            None if truncated.is_none() => self.earlier(&digest, tape),
            _ => None,
        };
        let response = Response { id: &response_id, request_id: &request_id, date: &asked };
        let head = response.head(tape, &digest, truncated, earlier.as_ref(), not_modified);
        let body = (earlier.is_none() && not_modified.is_none()).then_some(&tape.body);
        let records = [
            Record { head: &request, parts: vec![&tape.request, tape.data()], body: None },
            Record { head: &head, parts: vec![&tape.head], body },
        ];
        let packed = pack(&records, self.packs)?;
        let mut growing = self.growing.lock();
        let number = growing.number;
        let offset = growing.append(&records, packed)?;
        if self.repeated == Repeated::Reference && body.is_some() && truncated.is_none() {
            growing.remember(digest, &response_id, &tape.uri, &asked);
        }
        if self.is_folder && growing.length >= FILE_BYTES_MAX {
            growing.go_on(&self.folder, &self.agent)?;
        }
        Ok(Written { number, offset, date: asked })
    }

    /// Returns the response that has the same payload, if one is known.
    fn earlier(&self, digest: &str, tape: &Tape) -> Option<Earlier> {
        let may_refer = self.repeated == Repeated::Reference && tape.body.length() > 0;
        may_refer.then(|| self.growing.lock().payloads.get(digest).cloned()).flatten()
    }

    /// Forces to disk what was written.
    ///
    /// # Errors
    ///
    /// When that fails, or a record could not be written.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let growing = self.growing.lock();
        let synced = growing.file.sync_data();
        let why = growing.failure.clone().or(synced.err().map(|why| io_error_in_words(&why)));
        match why {
            Some(why) => Err(ErrorKind::Archive(growing.path.clone(), "write", why).into()),
            None => Ok(()),
        }
    }
}

impl Tape {
    fn data(&self) -> &[u8] {
        self.data.as_deref().unwrap_or_default()
    }
}

/// A record that is about to be written.
struct Record<'a> {
    head: &'a [u8],
    parts: Vec<&'a [u8]>,
    body: Option<&'a Spool>,
}

impl Record<'_> {
    fn length(&self) -> u64 {
        let parts: usize = self.parts.iter().map(|part| part.len()).sum();
        (self.head.len() + parts) as u64 + self.body.map_or(0, Spool::length)
    }

    fn write(&self, packs: bool, out: &mut dyn Write) -> io::Result<()> {
        if !packs {
            return self.write_plain(out);
        }
        let mut member = GzEncoder::new(out, Compression::fast());
        self.write_plain(&mut member)?;
        member.finish().map(|_| ())
    }

    fn write_plain(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.head)?;
        for part in &self.parts {
            out.write_all(part)?;
        }
        if let Some(body) = self.body {
            body.copy_to(out)?;
        }
        out.write_all(b"\r\n\r\n")
    }
}

/// Records as they will be in the file, and where the last of them begins.
struct Packed {
    bytes: Vec<u8>,
    last: u64,
}

/// Packs records that are short enough for memory: without a lock, since that takes the most time.
fn pack(records: &[Record<'_>], packs: bool) -> io::Result<Option<Packed>> {
    if records.iter().map(Record::length).sum::<u64>() > 2 * MEMORY_BYTES_MAX as u64 {
        return Ok(None);
    }
    let mut packed = Packed { bytes: Vec::new(), last: 0 };
    for record in records {
        packed.last = packed.bytes.len() as u64;
        record.write(packs, &mut packed.bytes)?;
    }
    Ok(Some(packed))
}

impl Growing {
    /// Appends records, which have been packed if they are short. Returns where the last of them
    /// begins. What was written of them is cut off again when they cannot be written completely.
    fn append(&mut self, records: &[Record<'_>], packed: Option<Packed>) -> io::Result<u64> {
        if let Some(why) = &self.failure {
            return Err(io::Error::other(why.clone()));
        }
        let mut last = 0;
        let written = if let Some(packed) = packed {
            last = self.length + packed.last;
            let length = self.length + packed.bytes.len() as u64;
            self.file.write_all(&packed.bytes).map(|()| length)
        } else {
            let mut out = BufWriter::with_capacity(64 * 1024, &self.file);
            records
                .iter()
                .try_for_each(|record| {
                    out.flush()?;
                    last = self.file.metadata()?.len();
                    record.write(self.packs, &mut out)
                })
                .and_then(|()| out.flush())
                .and_then(|()| Ok(self.file.metadata()?.len()))
        };
        match written {
            Ok(length) => {
                self.length = length;
                Ok(last)
            }
            Err(error) => {
                let _ = self.file.set_len(self.length);
                self.failure = Some(io_error_in_words(&error));
                Err(error)
            }
        }
    }

    fn remember(&mut self, digest: String, id: &str, uri: &str, date: &str) {
        if self.payloads.len() < PAYLOADS_MAX && !digest.is_empty() {
            let earlier = Earlier { id: id.into(), uri: uri.into(), date: date.into() };
            self.payloads.entry(digest.into()).or_insert(earlier);
        }
    }

    /// Goes on with another file.
    fn go_on(&mut self, folder: &Path, agent: &str) -> io::Result<()> {
        self.file.sync_data()?;
        let number = self.number + 1;
        let mut next = open_file(path_in(folder, number), number)?;
        begin(&mut next, agent)?;
        next.payloads.extend(std::mem::take(&mut self.payloads));
        *self = next;
        Ok(())
    }
}

/// Opens the last file in a folder.
fn open_in(folder: &Path) -> io::Result<Growing> {
    if folder.is_file() {
        return Err(io::Error::other(
            "it is a file, and its name does not end in .warc.gz or .warc",
        ));
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    let mut last = 0;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| {
            name.strip_prefix("silkmill-")?.strip_suffix(".warc.gz")?.parse::<u32>().ok()
        });
        last = last.max(number.unwrap_or(0));
    }
    open_file(path_in(folder, last), last)
}

fn open_file(path: PathBuf, number: u32) -> io::Result<Growing> {
    let file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(&path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    lock(&file)?;
    let shared = Arc::new(file.try_clone()?);
    let mut growing = Growing {
        packs: path.extension().is_none_or(|ending| ending != "warc"),
        path,
        file,
        length: 0,
        number,
        payloads: HashMap::new(),
        failure: None,
    };
    let ends = scan(&shared, &mut |_: Place, head, _| {
        if head.kind == "response" && head.truncated.is_empty() {
            growing.remember(head.payload_digest.clone(), &head.id, &head.uri, &head.date);
        }
        Ok(())
    })?;
    if ends.whole < ends.file {
        if has_record_behind(&shared, ends.whole)? {
            return Err(broken(&format!("at byte {} a record is damaged", ends.whole)));
        }
        growing.file.set_len(ends.whole)?;
    }
    growing.length = ends.whole;
    if growing.length > 0 {
        let mut first = [0];
        growing.file.read_exact_at(&mut first, 0)?;
        growing.packs = first[0] != b'W';
    }
    Ok(growing)
}

/// Locks a file. A run that has just ended may have threads that still hold it.
fn lock(file: &File) -> io::Result<()> {
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if since.elapsed() < LOCK_WAIT => {
                thread::sleep(LOCK_POLL);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another run writes to it"));
            }
        }
    }
}

/// Writes the first record of a new file, which says what the file is.
fn begin(growing: &mut Growing, agent: &str) -> io::Result<()> {
    if growing.length > 0 {
        return Ok(());
    }
    let text = format!(
        "software: silkmill/{}\r\nformat: WARC File Format 1.1\r\nconformsTo: \
         https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/\r\n\
         http-header-user-agent: {agent}\r\n",
        env!("CARGO_PKG_VERSION"),
    );
    let name = growing.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut digest = sha1();
    digest.update(text.as_bytes());
    let head = NewRecord::new("warcinfo", &new_id()?, &date(SystemTime::now()))
        .field("WARC-Filename", &name)
        .field("WARC-Block-Digest", &labelled(&digest.finish()))
        .field("Content-Type", "application/warc-fields")
        .end(text.len() as u64);
    let records = [Record { head: &head, parts: vec![text.as_bytes()], body: None }];
    let packed = pack(&records, growing.packs)?;
    growing.append(&records, packed).map(|_| ())
}

fn request(tape: &Tape, id: &str, response_id: &str, asked: &str) -> Vec<u8> {
    let mut block = sha1();
    block.update(&tape.request);
    block.update(tape.data());
    let payload = tape.data.as_ref().map(|data| {
        let mut payload = sha1();
        payload.update(data);
        labelled(&payload.finish())
    });
    NewRecord::new("request", id, asked)
        .field("WARC-Target-URI", &tape.uri)
        .field("WARC-Concurrent-To", response_id)
        .field_if("WARC-Payload-Digest", payload.as_deref())
        .field("WARC-Block-Digest", &labelled(&block.finish()))
        .field("Content-Type", REQUEST)
        .end((tape.request.len() + tape.data().len()) as u64)
}

struct Response<'a> {
    id: &'a str,
    request_id: &'a str,
    date: &'a str,
}

impl Response<'_> {
    fn head(
        &self,
        tape: &Tape,
        digest: &str,
        truncated: Option<Truncated>,
        earlier: Option<&Earlier>,
        not_modified: Option<&str>,
    ) -> Vec<u8> {
        let is_revisit = earlier.is_some() || not_modified.is_some();
        let kind = if is_revisit { "revisit" } else { "response" };
        let address = tape.address.map(|address| address.to_string());
        let mut record = NewRecord::new(kind, self.id, self.date)
            .field("WARC-Target-URI", &tape.uri)
            .field("WARC-Concurrent-To", self.request_id)
            .field_if("WARC-IP-Address", address.as_deref())
            .field_if("WARC-Truncated", truncated.map(Truncated::name));
        if let Some(sent) = not_modified {
            record = record
                .field("WARC-Profile", NOT_MODIFIED)
                .field("WARC-Refers-To-Target-URI", &tape.uri)
                .field("WARC-Refers-To-Date", sent);
        } else {
            record = record.field("WARC-Payload-Digest", digest);
        }
        if let Some(earlier) = earlier {
            record = record
                .field("WARC-Profile", IDENTICAL)
                .field("WARC-Refers-To", &earlier.id)
                .field("WARC-Refers-To-Target-URI", &earlier.uri)
                .field("WARC-Refers-To-Date", &earlier.date);
        }
        let (block, length) = match is_revisit {
            true => {
                let mut block = sha1();
                block.update(&tape.head);
                (block, tape.head.len() as u64)
            }
            false => (tape.block.clone(), tape.head.len() as u64 + tape.body.length()),
        };
        record
            .field("WARC-Block-Digest", &labelled(&block.finish()))
            .field("Content-Type", RESPONSE)
            .end(length)
    }
}
