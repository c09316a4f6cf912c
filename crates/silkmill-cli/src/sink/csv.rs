//! Writes and reads rows as CSV (RFC 4180, but with `\n`). Every column is there from the first row
//! on.

use std::io::{BufRead, Read};

use anyhow::{Result, bail};
use silkmill_scrape::{Row, Value};

use crate::messages::reason;
use crate::sink::columns::{Cell, cells, columns};
use crate::sink::resume::{FoundRow, Visit};
use crate::sink::schema::Schema;

/// The initial size of the `csv` crate's buffer for one row.
const BUFFER_BYTES: usize = 1024;

/// Returns the first line: the names of the columns.
pub(super) fn header(schema: &Schema) -> Vec<u8> {
    let mut line = Vec::new();
    write(columns(schema).iter().map(|column| column.name.to_owned()), &mut line);
    line
}

/// Appends the row.
pub(super) fn record(row: &Row, schema: &Schema, to: &mut Vec<u8>) {
    write(cells(row, schema).into_iter().map(text_of), to);
}

/// Returns a cell as text. A missing value and an empty text look the same.
fn text_of(cell: Cell<'_>) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => Value::Number(number).to_string(),
        Cell::Boolean(truth) => truth.to_string(),
        Cell::Text(text) => text.into_owned(),
    }
}

pub(super) fn write(cells: impl Iterator<Item = String>, to: &mut Vec<u8>) {
    let mut writer = ::csv::WriterBuilder::new().buffer_capacity(BUFFER_BYTES).from_writer(to);
    writer.write_record(cells).expect("a row goes to memory");
    writer.flush().expect("a row goes to memory");
}

/// Finds the rows of a file. Returns how many of its bytes are whole rows.
pub(super) fn scan(from: &mut dyn BufRead, schema: &Schema, visit: &mut Visit<'_>) -> Result<u64> {
    let header = header(schema);
    let mut start = Vec::new();
    if let Err(error) = from.take(header.len() as u64).read_to_end(&mut start) {
        bail!("{}", reason(&error));
    }
    if start != header {
        return match header.starts_with(&start) {
            true => Ok(0),
            false => bail!("its first line does not have the columns of this run"),
        };
    }
    let mut rows = Records::new(from, &header);
    let columns = columns(schema);
    let place = |name| columns.iter().position(|column| column.name == name).unwrap_or_default();
    let (url, error) = (place("url"), place("error_kind"));
    let mut length = rows.length;
    while rows.next()? {
        let cells = parse(&rows.record).filter(|cells| cells.len() == columns.len());
        let known = cells.as_ref().and_then(|cells| {
            let index = std::str::from_utf8(&cells[0]).ok()?.parse().ok()?;
            Some((index, std::str::from_utf8(&cells[url]).ok()?, !cells[error].is_empty()))
        });
        let Some((index, url, is_error)) = known else {
            bail!("line {} is no row of this run", rows.line);
        };
        visit(&FoundRow { index, url, is_error, bytes: &rows.record, line: rows.line })?;
        length = rows.length;
    }
    Ok(length)
}

fn parse(record: &[u8]) -> Option<::csv::ByteRecord> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(record);
    reader.byte_records().next()?.ok()
}

/// Splits a file into records. A line end within quotes does not end a record.
struct Records<R> {
    from: R,
    record: Vec<u8>,
    /// Bytes read so far, then the number of the line on which the record starts, and of the last
    /// line.
    length: u64,
    line: u64,
    lines: u64,
}

impl<R: BufRead> Records<R> {
    /// Reads the records that follow `header`, which has been read.
    fn new(from: R, header: &[u8]) -> Records<R> {
        let lines = header.iter().filter(|&&byte| byte == b'\n').count() as u64;
        Records { from, record: Vec::new(), length: header.len() as u64, line: 0, lines }
    }

    /// Reads the next record. Returns false when there is none, or it has no end.
    fn next(&mut self) -> Result<bool> {
        self.record.clear();
        self.line = self.lines + 1;
        loop {
            match self.from.read_until(b'\n', &mut self.record) {
                Ok(0) => return Ok(false),
                Ok(length) => self.length += length as u64,
                Err(error) => bail!("{}", reason(&error)),
            }
            self.lines += 1;
            let quotes = self.record.iter().filter(|&&byte| byte == b'"').count();
            if self.record.ends_with(b"\n") && quotes.is_multiple_of(2) {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use silkmill_scrape::ValueType;

    use super::*;
    use crate::sink::resume::WrittenRows;
    use crate::sink::schema::Kind;

    fn schema() -> Schema {
        Schema {
            kind: Kind::Scrape,
            fields: vec![("price".to_owned(), ValueType::Text)],
            input: None,
        }
    }

    fn row(index: u64, title: &str) -> Row {
        Row {
            index,
            url: format!("http://a/{index}"),
            title: Some(title.to_owned()),
            fields: vec![("price".to_owned(), vec!["1".into()])],
            ..Row::default()
        }
    }

    fn scanned(bytes: &[u8]) -> (Result<u64>, WrittenRows) {
        let (mut from, mut written) = (bytes, WrittenRows::default());
        (scan(&mut from, &schema(), &mut |row| written.note(row)), written)
    }

    #[test]
    fn the_columns_are_those_of_the_record() {
        let expected = "index,url,final_url,status,title,price,charset,bytes,truncated,attempts,redirects,\
                        elapsed_ms,dns_ms,connect_ms,tls_ms,first_byte_ms,total_ms,worker,error_kind,\
                        error_phase,error_message\n";
        assert_eq!(String::from_utf8(header(&schema())).unwrap(), expected);
        let mut line = Vec::new();
        record(&row(3, "a, \"b\"\nc"), &schema(), &mut line);
        let expected = "3,http://a/3,,,\"a, \"\"b\"\"\nc\",1,,0,false,0,[],0,,,,,,,,,\n";
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn a_file_that_ends_anywhere_is_cut_after_its_last_whole_row() {
        let mut whole = header(&schema());
        let mut ends = vec![whole.len()];
        for (index, title) in [(1, "a\n\"b\", c"), (0, "d")] {
            record(&row(index, title), &schema(), &mut whole);
            ends.push(whole.len());
        }
        for length in 0..=whole.len() {
            let (scanned, written) = scanned(&whole[..length]);

            let rows = ends.iter().filter(|&&end| end <= length).count();
            let expected = if rows == 0 { 0 } else { ends[rows - 1] as u64 };
            assert_eq!(scanned.unwrap(), expected, "{length}");
            assert_eq!(written.rows(), rows.saturating_sub(1) as u64);
        }
    }

    #[test]
    fn a_file_of_another_kind_is_left_alone() {
        let header = String::from_utf8(header(&schema())).unwrap();
        for (text, says) in [
            ("precious".to_owned(), "columns"),
            ("a,b\n1,2\n".to_owned(), "columns"),
            ("\"".repeat(3), "columns"),
            (header.replace("price", "size"), "columns"),
            (format!("{header}x\n"), "line 2 is no row"),
            (format!("{header}x,,,,,,,,,,,,,,,,,,,,\n"), "line 2 is no row"),
        ] {
            let error = scanned(text.as_bytes()).0.unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
