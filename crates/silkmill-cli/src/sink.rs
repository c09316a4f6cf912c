//! Where rows go: a file or standard output, as text, JSON lines, a JSON array, CSV or an SQLite
//! database.
//!
//! A file is also the state of the run: [`Output::open`] can continue where an earlier run ended,
//! however it ended, and returns which rows the file has.

mod columns;
mod csv;
pub(crate) mod edges;
mod form;
mod jsonl;
mod line_file;
pub(crate) mod marked;
mod open;
mod packing;
mod resume;
mod schema;
mod sqlite;
#[cfg(feature = "postgres")]
pub(crate) mod table;
pub(crate) mod text;

use std::fs::File;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use silkmill_scrape::Row;

use crate::args::Format;
use crate::sink::form::Form;
pub(crate) use crate::sink::form::is_stdout;
use crate::sink::line_file::{Encoding, Framing, LineFile};
pub(crate) use crate::sink::open::is_special;
use crate::sink::resume::Visit;
pub(crate) use crate::sink::resume::{LineState, WrittenRows};
pub(crate) use crate::sink::schema::{Existing, Kind, Schema};
use crate::sink::sqlite::Database;

/// The place and the format of the rows.
#[derive(Debug)]
pub(crate) struct Destination<'a> {
    /// `-` and `None` mean standard output.
    pub(crate) path: Option<&'a Path>,
    pub(crate) format: Option<Format>,
    pub(crate) existing: Existing,
    /// Whether rows of an existing output that are errors are to be replaced.
    pub(crate) retry_errors: bool,
}

impl Destination<'_> {
    /// Tells whether all columns of the rows must be known before the first row.
    pub(crate) fn has_columns(&self) -> Result<bool> {
        let path = self.path.filter(|path| !is_stdout(path));
        Ok(matches!(Form::of(self.format, path)?.format, Format::Csv | Format::Sqlite))
    }

    /// Tells whether [`Output::open`] refuses a file that exists.
    pub(crate) fn is_refused(&self) -> bool {
        let is_file = |path: &&Path| !is_stdout(path) && path.is_file();
        matches!(self.existing, Existing::Refuse) && self.path.as_ref().is_some_and(is_file)
    }
}

/// Writes rows. At every [`pause`](Output::pause) the output is whole rows, and it stays so however
/// the process ends.
pub(crate) struct Output {
    schema: Schema,
    backend: Backend,
    name: String,
    form: Form,
    path: Option<PathBuf>,
    /// Whether rows of the output may be errors that this run replaces.
    retry_errors: bool,
    /// The rows that carried keys for which there is no column.
    with_other_keys: u64,
}

enum Backend {
    Text(LineFile),
    Json(LineFile),
    Csv(LineFile),
    Sqlite(Database),
}

impl Output {
    /// Opens the output, and finds the rows that are in it. A file that exists is refused unless
    /// `existing` says otherwise; a file that is also the input is always refused.
    pub(crate) fn open(
        schema: Schema,
        destination: &Destination<'_>,
        is_input: impl FnOnce(&File) -> bool,
    ) -> Result<(Output, WrittenRows)> {
        let path = destination.path.filter(|path| !is_stdout(path));
        let form = Form::of(destination.format, path)?;
        let format = form.format;
        if matches!(format, Format::Csv | Format::Sqlite) {
            columns::check_names(&schema)?;
        }
        let retry_errors = destination.retry_errors;
        let mut written = WrittenRows::new(retry_errors);
        let existing = destination.existing;
        let backend = match (format, path) {
            (Format::Sqlite, None) => {
                bail!("failed to write a database to standard output: give -o FILE")
            }
            (_, None) if existing == Existing::Resume => {
                bail!("failed to resume standard output: give -o FILE")
            }
            (Format::Sqlite, Some(path)) => {
                let database = Database::open(path, existing, &schema, is_input, &mut written)?;
                Backend::Sqlite(database)
            }
            (_, None) => started(format, LineFile::stdout(encoding(form)), start(format, &schema)),
            (_, Some(path)) if existing == Existing::Resume => {
                let file = resume(path, form, &schema, is_input, &mut written)?;
                started(format, file, None)
            }
            (_, Some(path)) => {
                let file = LineFile::create(path, existing, encoding(form), is_input)?;
                started(format, file, start(format, &schema))
            }
        };
        let name = path.map_or("standard output".to_owned(), |path| format!("{path:?}"));
        let path = path.map(Path::to_owned);
        Ok((
            Output { schema, backend, name, form, path, retry_errors, with_other_keys: 0 },
            written,
        ))
    }

    /// Takes a row, which is written at the next pause or before.
    pub(crate) fn write(&mut self, row: &Row) -> io::Result<()> {
        let kind = self.schema.kind;
        if matches!(self.form.format, Format::Csv | Format::Sqlite) {
            self.with_other_keys += u64::from(columns::has_other_keys(row, &self.schema));
        }
        match &mut self.backend {
            Backend::Text(file) => file.row(|line| text::row(row, kind, line)),
            Backend::Json(file) => file.row(|line| jsonl::record(row, &self.schema, line)),
            Backend::Csv(file) => file.row(|line| csv::record(row, &self.schema, line)),
            Backend::Sqlite(database) => database.insert(row, &self.schema),
        }
    }

    /// Writes the rows taken so far. The caller calls this when no row is ready, at least several
    /// times a second.
    pub(crate) fn pause(&mut self) -> io::Result<()> {
        match &mut self.backend {
            Backend::Text(file) | Backend::Json(file) | Backend::Csv(file) => file.pause(),
            Backend::Sqlite(database) => database.commit_in_time(),
        }
    }

    /// Writes the rows taken so far, takes out the errors that they replace, and forces all to
    /// disk.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let file = match &mut self.backend {
            Backend::Text(file) | Backend::Json(file) | Backend::Csv(file) => file,
            Backend::Sqlite(database) => return database.commit(),
        };
        file.finish()?;
        let path = self.path.as_ref().filter(|_| self.retry_errors && file.rows_written() > 0);
        let (Some(path), Some(scan)) = (path, scanner(self.form.format)) else { return Ok(()) };
        let scan = |from: &mut dyn BufRead, visit: &mut Visit<'_>| scan(from, &self.schema, visit);
        let mut written = WrittenRows::default();
        let start = start(self.form.format, &self.schema);
        file.read_back(&scan, &mut written)
            .and_then(|()| file.drop_replaced(path, start, &scan, &mut written))
            .map_err(|error| io::Error::other(format!("{error}")))
    }

    /// Keeps what can be kept of the rows taken so far, after a write has failed.
    pub(crate) fn give_up(&mut self) {
        match &mut self.backend {
            // A file was cut after its last whole row.
            Backend::Text(_) | Backend::Json(_) | Backend::Csv(_) => {}
            Backend::Sqlite(database) => database.give_up(),
        }
    }

    /// Returns how many rows this run has written so far, of those that it took, in their order.
    pub(crate) fn rows_written(&self) -> u64 {
        match &self.backend {
            Backend::Text(file) | Backend::Json(file) | Backend::Csv(file) => file.rows_written(),
            Backend::Sqlite(database) => database.rows_written(),
        }
    }

    /// Returns how many rows carried keys for which the output has no column.
    pub(crate) fn rows_with_other_keys(&self) -> u64 {
        self.with_other_keys
    }

    /// Returns the name of the output in error messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether another run can go on with the output.
    pub(crate) fn can_be_resumed(&self) -> bool {
        self.path.as_deref().is_some_and(Path::is_file) && self.form.format != Format::Text
    }
}

/// Returns what stands before the first row.
fn start(format: Format, schema: &Schema) -> Option<Vec<u8>> {
    (format == Format::Csv).then(|| csv::header(schema))
}

fn encoding(form: Form) -> Encoding {
    let framing = match form.format {
        Format::Json => Framing::Array,
        _ => Framing::Lines,
    };
    Encoding { framing, packing: form.packing }
}

/// Wraps a file in its format, and lets it begin with `start`.
fn started(format: Format, mut file: LineFile, start: Option<Vec<u8>>) -> Backend {
    if let Some(start) = start {
        file.start_with(start);
    }
    match format {
        Format::Json | Format::Jsonl => Backend::Json(file),
        Format::Csv => Backend::Csv(file),
        Format::Text | Format::Sqlite => Backend::Text(file),
    }
}

/// Reads the rows of a file in one format.
type Scanner = fn(&mut dyn BufRead, &Schema, &mut Visit<'_>) -> Result<u64>;

/// Returns what reads the rows of a file again, where the format lets it.
fn scanner(format: Format) -> Option<Scanner> {
    match format {
        Format::Json => Some(jsonl::scan_array),
        Format::Jsonl => Some(jsonl::scan),
        Format::Csv => Some(csv::scan),
        Format::Text | Format::Sqlite => None,
    }
}

/// Opens a file to append to it, cut after its last whole row.
fn resume(
    path: &Path,
    form: Form,
    schema: &Schema,
    is_input: impl FnOnce(&File) -> bool,
    written: &mut WrittenRows,
) -> Result<LineFile> {
    let Some(scan) = scanner(form.format) else {
        bail!(
            "failed to resume {path:?}: rows as text do not say which line they are of \
             (--format jsonl, json, csv and sqlite do)"
        );
    };
    let scan = |from: &mut dyn BufRead, visit: &mut Visit<'_>| scan(from, schema, visit);
    let start = start(form.format, schema);
    LineFile::resume(path, encoding(form), start, is_input, &scan, written)
}
