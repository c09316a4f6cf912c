//! An output that can be cut back to a mark: the rows of a crawl, whose job keeps the mark.
//!
//! The mark says how far the rows go that the job knows of. What was written since is cut off when
//! the crawl goes on, since the pages are asked for again. It also has a checksum of the bytes
//! before it, so that a file that was changed meanwhile is not taken for the one that was left.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use silkmill_scrape::{Edge, Row};

use crate::args::Format;
use crate::messages::reason;
use crate::sink::edges::EdgeFormat;
use crate::sink::form::Form;
use crate::sink::line_file::{Encoding, Framing, LineFile};
use crate::sink::open::{lock, open};
use crate::sink::packing::Packing;
use crate::sink::resume::WrittenRows;
use crate::sink::schema::{Existing, Schema};
use crate::sink::sqlite::Database;
use crate::sink::{columns, csv, jsonl, text};

/// The bytes before a mark that its checksum is of.
const CHECKED_BYTES: u64 = 4096;

/// An output whose rows, and links if they are wanted, are forced to disk now and then.
pub(crate) struct MarkedOutput {
    schema: Schema,
    rows: Rows,
    links: Option<(LineFile, EdgeFormat)>,
    name: String,
}

/// The place that the rows go to.
enum Rows {
    Lines(LineFile, Format),
    Database(Database),
}

/// The files that an output goes to.
#[derive(Debug)]
pub(crate) struct Files<'a> {
    pub(crate) rows: &'a Path,
    pub(crate) format: Option<Format>,
    pub(crate) links: Option<&'a Path>,
}

/// The lengths of all files of an output.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Marks {
    rows: Option<Mark>,
    links: Option<Mark>,
}

/// How far an output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    /// A file of lines with so many bytes, and the checksum of the last ones.
    Bytes { length: u64, checksum: u32 },
    /// A database with so many rows.
    Rows(u64),
}

impl MarkedOutput {
    /// Opens a file, or creates it, and cuts it back to `mark`, which is empty where nothing was
    /// ever forced to disk.
    pub(crate) fn open(schema: Schema, files: &Files<'_>, mark: &[u8]) -> Result<MarkedOutput> {
        let path = files.rows;
        let format = MarkedOutput::check(&schema, files)?;
        let marks = match mark {
            [] => Marks::default(),
            mark => serde_json::from_slice(mark).map_err(|_| {
                anyhow!("failed to go on with {path:?}: its job was written by another program")
            })?,
        };
        let links = files.links.map(|path| open_links(path, marks.links)).transpose()?;
        let rows = match format {
            Format::Sqlite => {
                let mut written = WrittenRows::default();
                let database =
                    Database::open(path, Existing::Resume, &schema, |_| false, &mut written)?;
                let rows = match marks.rows {
                    Some(Mark::Rows(rows)) => rows,
                    _ => 0,
                };
                database
                    .cut(rows)
                    .map_err(|why| anyhow!("failed to go on with {path:?}: {why}"))?;
                Rows::Database(database)
            }
            format => {
                let mut file = cut_file(path, marks.rows)?;
                if format == Format::Csv && file.length() == 0 {
                    file.start_with(csv::header(&schema));
                }
                Rows::Lines(file, format)
            }
        };
        Ok(MarkedOutput { schema, rows, links, name: format!("{path:?}") })
    }

    /// Checks what can be without opening a file. Returns the format of the rows.
    pub(crate) fn check(schema: &Schema, files: &Files<'_>) -> Result<Format> {
        let path = files.rows;
        let Form { format, packing } = Form::of(files.format, Some(path))?;
        if format == Format::Json || packing != Packing::None {
            bail!(
                "failed to write {path:?}: a crawl writes text, jsonl, csv or sqlite, not packed"
            );
        }
        if matches!(format, Format::Csv | Format::Sqlite) {
            columns::check_names(schema)?;
        }
        files.links.map(EdgeFormat::of).transpose()?;
        Ok(format)
    }

    /// Takes a row.
    pub(crate) fn write(&mut self, row: &Row) -> io::Result<()> {
        let schema = &self.schema;
        match &mut self.rows {
            Rows::Database(database) => database.insert(row, schema),
            Rows::Lines(file, format) => file.row(|line| match format {
                Format::Csv => csv::record(row, schema, line),
                Format::Text => text::row(row, schema.kind, line),
                _ => jsonl::record(row, schema, line),
            }),
        }
    }

    /// Takes a link of the page that `from` is the row of.
    pub(crate) fn write_link(&mut self, from: &Row, edge: &Edge) -> io::Result<()> {
        let Some((file, format)) = &mut self.links else { return Ok(()) };
        file.row(|line| format.write(from, edge, line))
    }

    /// Forces everything to disk, and returns how far it goes.
    pub(crate) fn sync(&mut self) -> io::Result<Vec<u8>> {
        let rows = match &mut self.rows {
            Rows::Database(database) => {
                database.commit()?;
                Mark::Rows(database.rows()?)
            }
            Rows::Lines(file, _) => {
                file.finish()?;
                mark_of(file)?
            }
        };
        let links = match &mut self.links {
            Some((file, _)) => {
                file.finish()?;
                Some(mark_of(file)?)
            }
            None => None,
        };
        let marks = Marks { rows: Some(rows), links };
        Ok(serde_json::to_vec(&marks).expect("marks have string keys and go to memory"))
    }

    /// Returns the name of the output in error messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

fn open_links(path: &Path, mark: Option<Mark>) -> Result<(LineFile, EdgeFormat)> {
    let format = EdgeFormat::of(path)?;
    let mut file = cut_file(path, mark)?;
    if file.length() == 0 {
        format.header().into_iter().for_each(|line| file.start_with(line));
    }
    Ok((file, format))
}

fn mark_of(file: &LineFile) -> io::Result<Mark> {
    let length = file.length();
    let checksum = file.file().map_or(Ok(0), |file| checksum(file, length))?;
    Ok(Mark::Bytes { length, checksum })
}

/// Opens a file of lines to append to it, or creates it, and cuts it back to its mark.
fn cut_file(path: &Path, mark: Option<Mark>) -> Result<LineFile> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = open(&options, path, "resume")?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        bail!("failed to resume {path:?}: it is no file");
    }
    lock(&file, path, "resume")?;
    let length = cut(&file, mark).map_err(|why| anyhow!("failed to resume {path:?}: {why}"))?;
    file.set_len(length)
        .and_then(|()| (&file).seek(SeekFrom::Start(length)))
        .map_err(|error| anyhow!("failed to resume {path:?}: {}", reason(&error)))?;
    let encoding = Encoding { framing: Framing::Lines, packing: Packing::None };
    LineFile::of(file, true, encoding, length, path)
}

/// Returns the length that a file is cut to.
fn cut(file: &File, mark: Option<Mark>) -> Result<u64> {
    let Some(Mark::Bytes { length, checksum: expected }) = mark else { return Ok(0) };
    let actual = match file.metadata() {
        Ok(metadata) => metadata.len(),
        Err(error) => bail!("{}", reason(&error)),
    };
    if actual < length {
        bail!("it has {actual} bytes, and {length} when the crawl was left");
    }
    match checksum(file, length) {
        Ok(actual) if actual == expected => Ok(length),
        Ok(_) => bail!("it is not the file that the crawl wrote, or was changed since"),
        Err(error) => bail!("{}", reason(&error)),
    }
}

fn checksum(file: &File, length: u64) -> io::Result<u32> {
    let start = length.saturating_sub(CHECKED_BYTES);
    let mut bytes = vec![0; (length - start) as usize];
    file.read_exact_at(&mut bytes, start)?;
    Ok(crc32fast::hash(&bytes))
}
