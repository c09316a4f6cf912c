//! A cache of one user (RFC 9111): a folder of archives, and an index of the responses in them that
//! may be used again. [`crate::archive::freshness`] decides on that.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, params};

use crate::archive::freshness::{self, Headers, Use, may_store, seconds, updated, use_of, variant};
use crate::archive::record::target_uri;
use crate::archive::scan::Place;
use crate::archive::stored::Stored;
use crate::archive::tape::{Tape, Truncated};
use crate::archive::writer::{Repeated, Writer, Written, path_in};
use crate::error::{Error, ErrorKind};
use crate::sync::Mutex;
use url::Url;

/// The name of the index in the folder.
const INDEX: &str = "index.db";
/// The layout of the index. Another one is not read.
const LAYOUT: i64 = 1;
/// The most variants of a response that are looked at.
const VARIANTS_MAX: u32 = 16;
/// Headers of a request that ask for a part of a response, or have a condition of the user's own:
/// what comes is then for the user, and not for the cache.
const OWN_CONDITIONS: [&str; 6] =
    ["if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"];

#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    writer: Writer,
    /// Read and written by every worker, for the time of one query.
    index: Mutex<Connection>,
    fresh: AtomicU64,
    validated: AtomicU64,
}

/// A stored response to a request.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) stored: Stored,
    /// The head with what servers have said of it since.
    pub(crate) head: Vec<u8>,
    pub(crate) is_public: bool,
    /// The header lines that ask whether it is still what the server would send; nothing for a
    /// response that is fresh.
    pub(crate) condition: Option<String>,
    row: i64,
    date: String,
}

impl Hit {
    /// Returns when the response was asked for, as its record has it.
    pub(super) fn date(&self) -> &str {
        &self.date
    }
}

impl Cache {
    /// Opens a cache, or makes it.
    pub(crate) fn open(folder: &Path, agent: &str) -> Result<Cache, Error> {
        let failed = |why: String| Error::from(ErrorKind::Archive(folder.to_owned(), "open", why));
        if folder.exists() && !folder.is_dir() {
            return Err(failed("a cache is a folder".to_owned()));
        }
        let mut name = folder.as_os_str().to_owned();
        name.push("/");
        let writer = Writer::open(Path::new(&name), Repeated::Copy, agent)?;
        let index = open_index(&folder.join(INDEX)).map_err(|error| failed(error.to_string()))?;
        Ok(Cache {
            folder: folder.to_owned(),
            writer,
            index: Mutex::new(index),
            fresh: AtomicU64::new(0),
            validated: AtomicU64::new(0),
        })
    }

    /// Returns where long bodies may wait.
    pub(crate) fn folder(&self) -> &Arc<Path> {
        self.writer.folder()
    }

    /// Returns a stored response that may be used for a request.
    pub(crate) fn find(&self, method: &str, url: &Url, request: &[u8]) -> Option<Hit> {
        let request = Headers::parse(request);
        if !may_use(method, &request) {
            return None;
        }
        // An index that cannot be read, or whose archive is gone, is one that has nothing.
        self.look_up(&target_uri(url), &request).ok().flatten()
    }

    fn look_up(&self, uri: &str, request: &Headers) -> io::Result<Option<Hit>> {
        let entries = self.entries(uri).map_err(io::Error::other)?;
        let is_variant = |entry: &&Entry| {
            let vary = Headers::parse(&entry.head).list("vary").unwrap_or_default();
            variant(&vary, request) == entry.variant
        };
        let Some(entry) = entries.iter().find(is_variant) else { return Ok(None) };
        let headers = Headers::parse(&entry.head);
        let facts = freshness::Stored {
            status: entry.status,
            headers: &headers,
            asked: entry.asked,
            came: entry.came,
        };
        let now = seconds(SystemTime::now()).unwrap_or_default();
        let condition = match use_of(&facts, request, now) {
            Use::Fresh => None,
            Use::Validated(lines) => Some(lines),
            Use::Never => return Ok(None),
        };
        let file = Arc::new(File::open(path_in(&self.folder, entry.number))?);
        let stored = Stored::open(&file, Place { offset: entry.offset, skip: 0 })?;
        // After a power cut another record may be where this one was.
        if stored.record.uri != uri || stored.record.date != entry.date {
            return Ok(None);
        }
        if condition.is_none() {
            self.fresh.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Some(Hit {
            stored,
            head: entry.head.clone(),
            is_public: entry.is_public,
            condition,
            row: entry.row,
            date: entry.date.clone(),
        }))
    }

    fn entries(&self, uri: &str) -> rusqlite::Result<Vec<Entry>> {
        let index = self.index.lock();
        let mut select = index.prepare_cached(
            "SELECT rowid, variant, status, head, asked, came, is_public, number, offset, date
             FROM response WHERE uri = ?1 ORDER BY came DESC, rowid DESC LIMIT ?2",
        )?;
        let rows = select.query_map(params![uri, VARIANTS_MAX], |row| {
            Ok(Entry {
                row: row.get(0)?,
                variant: row.get(1)?,
                status: row.get(2)?,
                head: row.get(3)?,
                asked: row.get::<_, i64>(4)?.cast_unsigned(),
                came: row.get::<_, i64>(5)?.cast_unsigned(),
                is_public: row.get(6)?,
                number: row.get(7)?,
                offset: row.get::<_, i64>(8)?.cast_unsigned(),
                date: row.get(9)?,
            })
        })?;
        rows.collect()
    }

    /// Keeps a response, if it may be used again. One that may not takes the place of an earlier
    /// one all the same.
    pub(crate) fn keep(&self, tape: &Tape, truncated: Option<Truncated>) -> io::Result<()> {
        let request = Headers::parse(&tape.request);
        let response = Headers::parse(&tape.head);
        if !matches!(tape.method.as_str(), "GET" | "HEAD") {
            // What has changed something at the server may have changed its page (section 4.4).
            if is_unsafe(&tape.method) && tape.status < 400 {
                self.forget(&tape.uri).map_err(io::Error::other)?;
            }
            return Ok(());
        }
        if !may_use(&tape.method, &request)
            || truncated.is_some()
            || !may_store(tape.status, &request, &response)
        {
            return Ok(());
        }
        let written = self.writer.write(tape, None, None)?;
        self.insert(tape, &request, &response, &written).map_err(io::Error::other)
    }

    fn insert(
        &self,
        tape: &Tape,
        request: &Headers,
        response: &Headers,
        written: &Written,
    ) -> rusqlite::Result<()> {
        let variant = variant(&response.list("vary").unwrap_or_default(), request);
        let index = self.index.lock();
        index
            .prepare_cached("DELETE FROM response WHERE uri = ?1 AND variant = ?2")?
            .execute(params![tape.uri, variant])?;
        index
            .prepare_cached(
                "INSERT INTO response (uri, variant, status, head, asked, came, is_public, number,
                   offset, date) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                tape.uri,
                variant,
                tape.status,
                tape.head,
                seconds(tape.asked).unwrap_or_default().cast_signed(),
                seconds(tape.answered).unwrap_or_default().cast_signed(),
                tape.is_private != Some(true),
                written.number,
                written.offset.cast_signed(),
                written.date,
            ])
            .map(|_| ())
    }

    fn forget(&self, uri: &str) -> rusqlite::Result<()> {
        let index = self.index.lock();
        let mut delete = index.prepare_cached("DELETE FROM response WHERE uri = ?1")?;
        delete.execute(params![uri]).map(|_| ())
    }

    /// Notes that a server has said that a stored response is what it would send. Returns the head
    /// of the response from now on.
    pub(crate) fn note_valid(&self, hit: &Hit, tape: &Tape) -> io::Result<Vec<u8>> {
        self.validated.fetch_add(1, Ordering::Relaxed);
        let head = updated(&hit.head, &tape.head);
        self.writer.write(tape, None, Some(&hit.date))?;
        let index = self.index.lock();
        index
            .prepare_cached("UPDATE response SET head = ?1, asked = ?2, came = ?3 WHERE rowid = ?4")
            .and_then(|mut update| {
                update.execute(params![
                    head,
                    seconds(tape.asked).unwrap_or_default().cast_signed(),
                    seconds(tape.answered).unwrap_or_default().cast_signed(),
                    hit.row
                ])
            })
            .map_err(io::Error::other)?;
        Ok(head)
    }

    /// Returns how many responses were used, and of how many of them a server had said that they
    /// are valid.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let validated = self.validated.load(Ordering::Relaxed);
        (self.fresh.load(Ordering::Relaxed) + validated, validated)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.writer.has_failed()
    }

    /// Forces to disk what was stored.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.writer.sync()
    }
}

/// A line of the index.
struct Entry {
    row: i64,
    variant: String,
    status: u16,
    head: Vec<u8>,
    asked: u64,
    came: u64,
    is_public: bool,
    number: u32,
    offset: u64,
    date: String,
}

/// Tells whether a request is one that the cache may answer.
fn may_use(method: &str, request: &Headers) -> bool {
    method == "GET" && !OWN_CONDITIONS.iter().any(|name| request.get(name).is_some())
}

fn is_unsafe(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

fn open_index(path: &Path) -> Result<Connection, String> {
    let open = || -> rusqlite::Result<(Connection, Option<i64>)> {
        let index = Connection::open(path)?;
        index.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")?;
        let layout: i64 = index.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let tables = "SELECT 1 FROM sqlite_master LIMIT 1";
        let is_used = index.query_row(tables, [], |_| Ok(())).optional()?.is_some();
        Ok((index, is_used.then_some(layout)))
    };
    let make = |index: &Connection| {
        index.execute_batch(&format!(
            "BEGIN;
             CREATE TABLE response (uri TEXT NOT NULL, variant TEXT NOT NULL,
               status INTEGER NOT NULL, head BLOB NOT NULL, asked INTEGER NOT NULL,
               came INTEGER NOT NULL, is_public INTEGER NOT NULL, number INTEGER NOT NULL,
               offset INTEGER NOT NULL, date TEXT NOT NULL);
             CREATE INDEX by_uri ON response (uri, variant);
             PRAGMA user_version = {LAYOUT};
             COMMIT;",
        ))
    };
    let (index, layout) = open().map_err(|error| format!("its {INDEX} cannot be read: {error}"))?;
    match layout {
        None => make(&index).map_err(|error| format!("its {INDEX} cannot be made: {error}"))?,
        Some(LAYOUT) => {}
        Some(_) => return Err(format!("its {INDEX} is of another version or another program")),
    }
    Ok(index)
}
