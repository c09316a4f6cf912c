//! The file of a job: how it is opened, what is in a new one, and whether it is the one of these
//! words.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::crawl::frontier::job::check;
use crate::crawl::frontier::words::differences;
use crate::error::{Error, ErrorKind, io_error_in_words};

/// Says that a database is the job of a crawl: "silk".
const APPLICATION_ID: i32 = 0x7369_6c6b;
/// The version of the tables.
const VERSION: i32 = 2;
/// The size of a page of the database. Larger ones hold more of a host's URLs each.
const PAGE_BYTES: u32 = 8192;
/// The memory that the database keeps pages in.
const CACHE_KIB: i32 = 32 * 1024;
/// The pages of the database that are logged before they are written to their places.
const CHECKPOINT_PAGES: u32 = 4096;
/// The suffixes of files that SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

const TABLES: &str = "
    CREATE TABLE words (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE reached (
        one INTEGER PRIMARY KEY CHECK (one = 1), rows INTEGER NOT NULL, errors INTEGER NOT NULL,
        found INTEGER NOT NULL, key_low INTEGER NOT NULL, key_high INTEGER NOT NULL, mark BLOB
    );
    CREATE TABLE refusal (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE seed (url TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE host (
        number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, rows INTEGER NOT NULL DEFAULT 0,
        delay_ms INTEGER NOT NULL DEFAULT 0, pause_ends_ms INTEGER NOT NULL DEFAULT 0,
        learned_ms INTEGER NOT NULL DEFAULT 0, latency_ms INTEGER
    );
    CREATE TABLE seen (
        host INTEGER NOT NULL, hash INTEGER NOT NULL, PRIMARY KEY (host, hash)
    ) WITHOUT ROWID;
    CREATE TABLE queue (
        host INTEGER NOT NULL, depth INTEGER NOT NULL, number INTEGER NOT NULL,
        url TEXT NOT NULL, parent INTEGER, purpose INTEGER NOT NULL, is_seed INTEGER NOT NULL,
        is_public INTEGER NOT NULL, hops INTEGER NOT NULL, PRIMARY KEY (host, depth, number)
    ) WITHOUT ROWID;
";

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // SQLITE_OPEN_URI is left out: a path that looks like a URI is a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Makes the tables of a new job, and its words, in one transaction.
pub(super) fn make(connection: &Connection, words: &[(String, String)]) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(TABLES)?;
    connection.execute_batch(check::TABLES)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    // SQLite has a good source of random numbers, which is all the key needs.
    connection.execute("INSERT INTO reached VALUES (1, 0, 0, 0, random(), random(), NULL)", [])?;
    let mut insert = connection.prepare("INSERT INTO words VALUES (?, ?)")?;
    for (name, value) in words {
        insert.execute([name, value])?;
    }
    drop(insert);
    connection.execute_batch("COMMIT")
}

/// Checks that a database is a job of these words.
pub(super) fn check(
    connection: &Connection,
    path: &Path,
    words: &[(String, String)],
) -> Result<(), Error> {
    let fail = |error: rusqlite::Error| failure(path, "open", &error);
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let refuse = |why: &str| Err(ErrorKind::Job(path.to_owned(), "open", why.to_owned()).into());
    if pragma("application_id").map_err(fail)? != APPLICATION_ID {
        return refuse("it is not the job of a crawl");
    }
    let version = pragma("user_version").map_err(fail)?;
    if version != VERSION {
        return refuse(&format!("it is of version {version}, and this program knows {VERSION}"));
    }
    let read = || -> rusqlite::Result<Vec<(String, String)>> {
        let mut query = connection.prepare("SELECT name, value FROM words")?;
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let differences = differences(&read().map_err(fail)?, words);
    match differences.is_empty() {
        true => Ok(()),
        false => refuse(&format!("it is of a crawl with other words: {}", differences.join("; "))),
    }
}

/// Removes a job and the files beside it.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    // The database goes first: without its log it would be another, and with an empty database
    // SQLite takes no log for one of it.
    for companion in [""].into_iter().chain(COMPANIONS) {
        let mut name = path.as_os_str().to_owned();
        name.push(companion);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let why = io_error_in_words(&error);
                return Err(ErrorKind::Job(path.to_owned(), "remove", why).into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Words an error of SQLite as our errors are worded.
pub(super) fn failure(path: &Path, what: &'static str, error: &rusqlite::Error) -> Error {
    let text = match (error.sqlite_error_code(), error) {
        (Some(ErrorCode::DatabaseBusy), _) => "another run is working on it".to_owned(),
        (Some(ErrorCode::DiskFull), _) => "the disk is full".to_owned(),
        (_, rusqlite::Error::SqliteFailure(_, Some(text))) => {
            // The error names the path itself.
            let named = format!(": {}", path.to_string_lossy());
            text.strip_suffix(&named).unwrap_or(text).to_owned()
        }
        (_, other) => other.to_string(),
    };
    ErrorKind::Job(path.to_owned(), what, text).into()
}
