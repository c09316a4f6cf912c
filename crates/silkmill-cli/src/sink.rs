//! Where rows go: a file or standard output, as text, JSON lines, CSV or an SQLite database.
//!
//! A file is also the state of the run: [`Output::open`] can continue where an earlier run ended,
//! however it ended, and returns which rows the file has.

mod columns;
mod csv;
mod jsonl;
mod line_file;
mod resume;
mod schema;
mod sqlite;
mod text;

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::{Result, bail};
use silkmill_scrape::Row;

use crate::args::Format;
use crate::sink::line_file::LineFile;
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
}

/// Writes rows. At every [`pause`](Output::pause) the output is whole rows, and it stays so however
/// the process ends.
pub(crate) struct Output {
    schema: Schema,
    backend: Backend,
    name: String,
}

enum Backend {
    Text(LineFile),
    Jsonl(LineFile),
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
        let path = destination.path.filter(|path| *path != Path::new("-"));
        let format = match (destination.format, path) {
            (Some(format), _) => format,
            (None, None) => Format::Text,
            (None, Some(path)) => format_of(path)?,
        };
        if matches!(format, Format::Csv | Format::Sqlite) {
            columns::check_names(&schema)?;
        }
        let mut written = WrittenRows::default();
        let backend = match (format, path) {
            (Format::Sqlite, None) => {
                bail!("failed to write a database to standard output: give -o FILE")
            }
            (Format::Sqlite, Some(path)) => Backend::Sqlite(Database::open(
                path,
                destination.existing,
                &schema,
                is_input,
                &mut written,
            )?),
            (_, None) => lines(format, LineFile::stdout(), &schema, 0),
            (_, Some(path)) if destination.existing == Existing::Resume => {
                let (file, length) = resume(path, format, &schema, is_input, &mut written)?;
                lines(format, file, &schema, length)
            }
            (_, Some(path)) => {
                lines(format, LineFile::create(path, destination.existing, is_input)?, &schema, 0)
            }
        };
        let name = path.map_or("standard output".to_owned(), |path| format!("{path:?}"));
        Ok((Output { schema, backend, name }, written))
    }

    /// Takes a row, which is written at the next pause or before.
    pub(crate) fn write(&mut self, row: &Row) -> io::Result<()> {
        let kind = self.schema.kind;
        match &mut self.backend {
            Backend::Text(file) => file.row(|line| match kind {
                Kind::Fetch => text::fetch_row(row, line),
                Kind::Scrape => text::scrape_row(row, line),
            }),
            Backend::Jsonl(file) => file.row(|line| jsonl::record(row, kind, line)),
            Backend::Csv(file) => file.row(|line| csv::record(row, &self.schema, line)),
            Backend::Sqlite(database) => database.insert(row, &self.schema),
        }
    }

    /// Writes the rows taken so far. The caller calls this when no row is ready, at least several
    /// times a second.
    pub(crate) fn pause(&mut self) -> io::Result<()> {
        match &mut self.backend {
            Backend::Text(file) | Backend::Jsonl(file) | Backend::Csv(file) => file.flush(),
            Backend::Sqlite(database) => database.commit_in_time(),
        }
    }

    /// Writes the rows taken so far, and forces them to disk.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match &mut self.backend {
            Backend::Text(file) | Backend::Jsonl(file) | Backend::Csv(file) => file.finish(),
            Backend::Sqlite(database) => database.commit(),
        }
    }

    /// Returns the name of the output in error messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Wraps a file of lines, of which `length` bytes exist, in its format.
fn lines(format: Format, mut file: LineFile, schema: &Schema, length: u64) -> Backend {
    match format {
        Format::Jsonl => Backend::Jsonl(file),
        Format::Csv => {
            if length == 0 {
                file.start_with(csv::header(schema));
            }
            Backend::Csv(file)
        }
        _ => Backend::Text(file),
    }
}

/// Opens a file of lines to append to it, cut after its last whole row. Returns its length as well.
fn resume(
    path: &Path,
    format: Format,
    schema: &Schema,
    is_input: impl FnOnce(&File) -> bool,
    written: &mut WrittenRows,
) -> Result<(LineFile, u64)> {
    let scan = match format {
        Format::Jsonl => jsonl::scan,
        Format::Csv => csv::scan,
        _ => bail!(
            "failed to resume {path:?}: rows as text do not say which line they are of \
             (--format jsonl, csv and sqlite do)"
        ),
    };
    LineFile::resume(path, is_input, |file| scan(file, schema, written))
}

fn format_of(path: &Path) -> Result<Format> {
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    match extension.as_ref().map(|extension| extension.to_str()) {
        None | Some(Some("txt" | "tsv" | "text")) => Ok(Format::Text),
        Some(Some("jsonl" | "ndjson")) => Ok(Format::Jsonl),
        Some(Some("csv")) => Ok(Format::Csv),
        Some(Some("sqlite" | "sqlite3" | "db")) => Ok(Format::Sqlite),
        Some(_) => bail!("failed to tell the format of {path:?} by its name: give --format"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_says_the_format() {
        for (name, format) in [
            ("a.jsonl", Format::Jsonl),
            ("a.NDJSON", Format::Jsonl),
            ("a.txt", Format::Text),
            ("a", Format::Text),
            ("/dev/stdout", Format::Text),
            ("a.csv", Format::Csv),
            ("a.db", Format::Sqlite),
            ("a.SQLite", Format::Sqlite),
        ] {
            assert_eq!(format_of(Path::new(name)).unwrap(), format, "{name}");
        }
    }

    #[test]
    fn an_extension_we_do_not_know_is_not_guessed() {
        for name in ["a.xlsx", "a.json", "a.parquet"] {
            let error = format_of(Path::new(name)).unwrap_err();
            assert!(error.to_string().contains("--format"), "{error}");
        }
    }
}
