//! Writes and reads rows in an SQLite database: one table, `rows`, with an index on `url`.
//!
//! Rows go into a transaction that is committed several times a second. The database is in WAL
//! mode, so that a commit is one write and other processes can read meanwhile. SQLite keeps the
//! database whole when the process is killed. The table's primary key keeps two rows from having
//! one index, also across runs. A lock on the file keeps out other runs, which SQLite would let
//! write in turn; it does not keep out readers.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, params_from_iter};
use silkmill_scrape::Row;

use crate::messages::reason;
use crate::sink::columns::{Cell, cells, columns};
use crate::sink::resume::WrittenRows;
use crate::sink::schema::{Existing, Schema};

/// The longest time from the first row of a transaction to its commit.
const COMMIT_EVERY: Duration = Duration::from_millis(250);

/// The most rows in a transaction, and so the most that are lost when the disk is full.
const COMMIT_ROWS_MAX: u32 = 256;

/// The longest time that a commit waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The suffixes of files that SQLite keeps beside an open database, and leaves there when the
/// process is killed.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A database that takes rows.
pub(super) struct Database {
    connection: Connection,
    insert: String,
    /// When the first row of the open transaction was inserted.
    since: Option<Instant>,
    /// Rows in the open transaction.
    open: u32,
    /// Rows that were committed.
    committed: u64,
    /// Locked until the connection is closed. It must not be closed before: that would end the
    /// locks that SQLite has on the file.
    _lock: File,
}

impl Database {
    /// Opens a database, and finds the rows in it.
    pub(super) fn open(
        path: &Path,
        existing: Existing,
        schema: &Schema,
        is_input: impl FnOnce(&File) -> bool,
        written: &mut WrittenRows,
    ) -> Result<Database> {
        let what = if existing == Existing::Resume { "resume" } else { "create" };
        let fail = |why: String| anyhow!("failed to {what} {path:?}: {why}");
        let file = prepare(path, existing, is_input).map_err(fail)?;
        let replaces = written.retries_errors();
        let database = Database::connect(path, file, schema, replaces)
            .map_err(|error| fail(sqlite_reason(&error)))?;
        let contents =
            database.read(schema, written).map_err(|error| fail(sqlite_reason(&error)))?;
        match contents {
            Contents::Rows => Ok(database),
            Contents::Empty => {
                database.make(schema).map_err(|error| fail(sqlite_reason(&error)))?;
                Ok(database)
            }
            Contents::Foreign(why) => Err(fail(why.to_owned())),
        }
    }

    /// Connects to a database, whose file is locked. With `replaces` a row takes the place of
    /// another of its index, else it is an error.
    fn connect(
        path: &Path,
        lock: File,
        schema: &Schema,
        replaces: bool,
    ) -> rusqlite::Result<Database> {
        // SQLITE_OPEN_URI is left out: a path that looks like a URI is a path.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let count = columns(schema).len();
        let or = if replaces { " OR REPLACE" } else { "" };
        let insert = format!("INSERT{or} INTO rows VALUES (?{})", ", ?".repeat(count - 1));
        Ok(Database { connection, insert, since: None, open: 0, committed: 0, _lock: lock })
    }

    /// Reads the rows of the database, if it has any.
    fn read(&self, schema: &Schema, written: &mut WrittenRows) -> rusqlite::Result<Contents> {
        let tables: i64 =
            self.connection
                .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables == 0 {
            return Ok(Contents::Empty);
        }
        let mut info = self.connection.prepare("SELECT name FROM pragma_table_info('rows')")?;
        let names = info.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        if !names.iter().map(String::as_str).eq(columns(schema).iter().map(|column| column.name)) {
            return Ok(Contents::Foreign(
                "its table \"rows\" does not have the columns of this run",
            ));
        }
        let mut query =
            self.connection.prepare("SELECT \"index\", url, error_kind IS NOT NULL FROM rows")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let url = row.get_ref(1)?.as_str().unwrap_or_default();
            let Ok(index) = u64::try_from(row.get::<_, i64>(0)?) else {
                return Ok(Contents::Foreign("it has a row with a negative index"));
            };
            written.insert(index, url, row.get(2)?);
        }
        // The run that made the database may have been killed before it set the mode.
        self.set_mode()?;
        Ok(Contents::Rows)
    }

    fn make(&self, schema: &Schema) -> rusqlite::Result<()> {
        self.set_mode()?;
        let columns: Vec<String> = columns(schema)
            .iter()
            .map(|column| format!("{} {}", quoted(column.name), column.declared))
            .collect();
        self.connection.execute_batch(&format!(
            "BEGIN; CREATE TABLE rows ({}); CREATE INDEX rows_url ON rows (url); COMMIT;",
            columns.join(", ")
        ))
    }

    fn set_mode(&self) -> rusqlite::Result<()> {
        self.connection.pragma_update(None, "journal_mode", "WAL")?;
        // A commit survives the death of the process. After a power cut the database is whole, and
        // may lack the newest commits.
        self.connection.pragma_update(None, "synchronous", "NORMAL")
    }

    pub(super) fn insert(&mut self, row: &Row, schema: &Schema) -> io::Result<()> {
        self.try_insert(row, schema).map_err(|error| self.failed(&error))?;
        self.open += 1;
        if self.open >= COMMIT_ROWS_MAX { self.commit() } else { Ok(()) }
    }

    fn try_insert(&mut self, row: &Row, schema: &Schema) -> rusqlite::Result<()> {
        if self.since.is_none() {
            self.connection.execute_batch("BEGIN")?;
            self.since = Some(Instant::now());
        }
        let mut insert = self.connection.prepare_cached(&self.insert)?;
        insert.execute(params_from_iter(cells(row, schema)))?;
        Ok(())
    }

    /// Removes the rows from index `rows` on. From then on a commit is forced to disk. Fails, with
    /// the reason, when there are not as many rows before.
    pub(super) fn cut(&self, rows: u64) -> Result<(), String> {
        let cut = || {
            self.connection.pragma_update(None, "synchronous", "FULL")?;
            let delete = "DELETE FROM rows WHERE \"index\" >= ?";
            self.connection.execute(delete, [rows.cast_signed()])?;
            self.connection.query_row("SELECT count(*) FROM rows", [], |row| row.get::<_, i64>(0))
        };
        let left = cut().map_err(|error| sqlite_reason(&error))?.cast_unsigned();
        if left < rows {
            return Err(format!("it has {left} rows, and {rows} when the crawl was left"));
        }
        Ok(())
    }

    /// Counts the rows that were committed.
    pub(super) fn rows(&self) -> io::Result<u64> {
        let query = "SELECT max(\"index\") + 1 FROM rows";
        let rows = self.connection.query_row(query, [], |row| row.get::<_, Option<i64>>(0));
        rows.map(|rows| rows.unwrap_or(0).cast_unsigned()).map_err(|error| self.failed(&error))
    }

    /// Commits if the open transaction is old enough.
    pub(super) fn commit_in_time(&mut self) -> io::Result<()> {
        match self.since {
            Some(since) if since.elapsed() >= COMMIT_EVERY => self.commit(),
            _ => Ok(()),
        }
    }

    pub(super) fn commit(&mut self) -> io::Result<()> {
        if self.since.is_none() {
            return Ok(());
        }
        self.connection.execute_batch("COMMIT").map_err(|error| self.failed(&error))?;
        self.since = None;
        self.committed += u64::from(std::mem::take(&mut self.open));
        Ok(())
    }

    /// Commits what can be committed after a failure. On a full disk the rows that were inserted
    /// may still fit; a rollback would lose them.
    pub(super) fn give_up(&mut self) {
        if self.connection.is_autocommit() {
            // SQLite has rolled the transaction back by itself.
            (self.since, self.open) = (None, 0);
        } else if self.commit().is_err() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// Returns how many rows were committed.
    pub(super) fn rows_written(&self) -> u64 {
        self.committed
    }

    /// Turns an error of SQLite into an I/O error.
    fn failed(&self, error: &rusqlite::Error) -> io::Error {
        let kind = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => io::ErrorKind::StorageFull,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, sqlite_reason(error))
    }
}

/// The contents of a database before the run.
enum Contents {
    Empty,
    Rows,
    Foreign(&'static str),
}

/// Creates or empties the file, as `existing` says, and locks it against other runs.
fn prepare(
    path: &Path,
    existing: Existing,
    is_input: impl FnOnce(&File) -> bool,
) -> Result<File, String> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match existing {
        Existing::Refuse => options.create_new(true),
        Existing::Overwrite | Existing::Resume => options.create(true).truncate(false),
    };
    let file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            "it exists (--resume goes on with it, --force overwrites it)".to_owned()
        }
        _ => reason(&error),
    })?;
    if is_input(&file) {
        return Err("it is the input".to_owned());
    }
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err("a database must be a file".to_owned());
    }
    // Where the filesystem has no locks, nothing is locked.
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Err("another run is writing to it".to_owned());
    }
    if existing == Existing::Overwrite {
        empty(&file, path).map_err(|error| reason(&error))?;
    }
    Ok(file)
}

/// Empties a database. The files beside it belong to the old database and would corrupt the new
/// one.
fn empty(file: &File, path: &Path) -> io::Result<()> {
    let path = path.canonicalize()?;
    for companion in COMPANIONS {
        let mut name = path.clone().into_os_string();
        name.push(companion);
        match fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    file.set_len(0)
}

/// Words an error of SQLite as our errors are worded.
fn sqlite_reason(error: &rusqlite::Error) -> String {
    let text = match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        other => other.to_string(),
    };
    reason(&io::Error::other(text))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Cell::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            // A number this large would need a body of eight million terabytes.
            Cell::Integer(number) => {
                ToSqlOutput::Owned(i64::try_from(*number).unwrap_or(i64::MAX).into())
            }
            // SQLite stores NaN as NULL.
            Cell::Real(number) => ToSqlOutput::Owned((*number).into()),
            Cell::Boolean(truth) => ToSqlOutput::Owned((*truth).into()),
            Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

#[cfg(test)]
mod tests {
    use silkmill_scrape::{Value, ValueType};

    use super::*;
    use crate::sink::schema::Kind;

    fn schema() -> Schema {
        let fields =
            [("pri\"ce", ValueType::Text), ("n", ValueType::Number), ("b", ValueType::Boolean)];
        let fields = fields.map(|(name, value_type)| (name.to_owned(), value_type)).to_vec();
        Schema { kind: Kind::Scrape, fields, input: None }
    }

    fn open(path: &Path, existing: Existing) -> Result<(Database, WrittenRows)> {
        let mut written = WrittenRows::default();
        Database::open(path, existing, &schema(), |_| false, &mut written)
            .map(|opened| (opened, written))
    }

    fn row(index: u64) -> Row {
        let values = ["007".into(), Value::Number(3.0), Value::Boolean(true)];
        let names = ["pri\"ce", "n", "b"].map(str::to_owned);
        let fields =
            names.into_iter().zip(values).map(|(name, value)| (name, vec![value])).collect();
        Row { index, url: format!("http://a/{index}"), fields, ..Row::default() }
    }

    #[test]
    fn columns_have_types_and_url_has_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.db");
        let (mut database, _) = open(&path, Existing::Refuse).unwrap();
        database.insert(&row(5), &schema()).unwrap();
        database.commit().unwrap();
        drop(database);

        let reader = Connection::open(&path).unwrap();
        let ask =
            |query: &str| -> String { reader.query_row(query, [], |row| row.get(0)).unwrap() };
        let types = "typeof(\"index\") || typeof(url) || typeof(status) || typeof(\"pri\"\"ce\") || \
                     typeof(n) || typeof(b) || typeof(elapsed_ms) || typeof(truncated)";
        assert_eq!(
            ask(&format!("SELECT {types} FROM rows")),
            "integertextnulltextintegerintegerrealinteger"
        );
        let plan = "SELECT group_concat(name) FROM pragma_index_info('rows_url')";
        assert_eq!(ask(plan), "url");
        assert_eq!(ask("PRAGMA journal_mode"), "wal");
        assert_eq!(ask("PRAGMA integrity_check"), "ok");
    }

    #[test]
    fn rows_that_are_there_are_found_again_and_no_index_comes_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.db");
        let (mut database, _) = open(&path, Existing::Refuse).unwrap();
        database.insert(&row(5), &schema()).unwrap();
        database.commit().unwrap();
        drop(database);

        let (mut database, written) = open(&path, Existing::Resume).unwrap();

        assert_eq!(
            (written.rows(), written.state(5, "http://a/5")),
            (1, crate::sink::resume::LineState::Written)
        );
        assert!(database.insert(&row(5), &schema()).is_err());
        drop(database);
        assert!(open(&path, Existing::Refuse).err().unwrap().to_string().contains("--resume"));
        assert_eq!(open(&path, Existing::Overwrite).unwrap().1.rows(), 0);
    }

    #[test]
    fn a_file_of_another_kind_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.db");
        fs::write(&path, "precious\n".repeat(200)).unwrap();
        let error = open(&path, Existing::Resume).err().unwrap().to_string();
        assert!(error.ends_with(": file is not a database"), "{error}");
        assert_eq!(fs::read(&path).unwrap().len(), 1800);

        fs::remove_file(&path).unwrap();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE rows (a)").unwrap();
        let error = open(&path, Existing::Resume).err().unwrap().to_string();
        assert!(error.ends_with("does not have the columns of this run"), "{error}");
    }
}
