//! Reads a list of URLs from CSV (RFC 4180, with the liberties that spreadsheets take). The first
//! record names the columns. Never holds more than one record, whose size is bounded.

use std::io::{self, BufRead};

use csv_core::{ReadRecordResult, Reader};
use serde::ser::{SerializeMap, Serializer};

use crate::input::decode::Utf8Reader;
use crate::input::{Input, RECORD_BYTES_MAX, is_url_column};

/// The most columns of a record.
const COLUMNS_MAX: usize = 4096;
/// The buffer of a record begins with this size.
const RECORD_BYTES_MIN: usize = 4 * 1024;

/// An iterator over the URLs of a list in CSV. Each comes with the other columns of its record: see
/// [`Input::carried`].
///
/// Blank lines are skipped. A record that is no text where its URL should be, is endless, or has
/// more cells than the first one, is still one input.
///
/// ```
/// use silkmill_scrape::CsvList;
///
/// let text = "id,url,note\n7,http://a.example/,\"one, two\"\n";
/// let list = CsvList::open(text.as_bytes(), None)?;
/// assert_eq!(list.columns(), ["id", "note"]);
/// let inputs = list.collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(inputs[0].shown(), "http://a.example/");
/// assert_eq!(inputs[0].carried(), Some(r#"{"id":"7","note":"one, two"}"#));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct CsvList<R> {
    records: Records<R>,
    /// The names of all columns, and the place of the one with the URL.
    names: Vec<String>,
    url_place: usize,
    others: Vec<String>,
}

impl<R: BufRead> CsvList<R> {
    /// Reads the names of the columns. The URLs are in the one that is called `url_column`; without
    /// that, in the one that is called `url` in capitals or not.
    ///
    /// # Errors
    ///
    /// When the list cannot be read, has no such column, or has no record at all.
    pub fn open(from: R, url_column: Option<&str>) -> io::Result<CsvList<R>> {
        let mut records = Records::new(from);
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        if !records.read()? {
            return Err(invalid("it is empty, and should begin with the names of columns".into()));
        }
        if records.is_too_long {
            return Err(invalid("its first line is too long to be the names of columns".into()));
        }
        let names = names(&records);
        let place = names.iter().position(|name| is_url_column(name, url_column));
        let Some(url_place) = place else {
            let shown: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
            let wanted = url_column.unwrap_or("url");
            return Err(invalid(format!(
                "it has no column {wanted:?}; its columns are {}",
                shown.join(", ")
            )));
        };
        let mut others = names.clone();
        others.remove(url_place);
        Ok(CsvList { records, names, url_place, others })
    }

    /// Returns the names of the columns other than the URL's, in their order.
    pub fn columns(&self) -> &[String] {
        &self.others
    }

    /// Returns the number of the line on which the record that was read last ends, from 1.
    pub fn line_number(&self) -> u64 {
        self.records.line
    }

    /// Returns how many bytes of the list have been read as records, in the list's own encoding.
    pub fn position(&self) -> u64 {
        self.records.from.position()
    }

    fn input(&self) -> Input {
        let records = &self.records;
        let url = records.cell(self.url_place);
        if records.is_too_long {
            let why = "the record is too long";
            return Input::unusable(url, why.to_owned());
        }
        let extra = (self.names.len()..records.len()).any(|place| !records.cell(place).is_empty());
        let input = match extra {
            true => Input::unusable(
                url,
                format!("the record has {} cells for {} columns", records.len(), self.names.len()),
            ),
            false => Input::from_bytes(url.trim_ascii()),
        };
        input.carrying(self.carried())
    }

    /// Returns the other cells of the record as a JSON object of strings. A cell that the record
    /// lacks is left out.
    fn carried(&self) -> String {
        let mut object = Vec::new();
        let mut serializer = serde_json::Serializer::new(&mut object);
        let mut map = serializer.serialize_map(None).expect("an object goes to memory");
        let places =
            (0..self.names.len().min(self.records.len())).filter(|&at| at != self.url_place);
        for place in places {
            let cell = String::from_utf8_lossy(self.records.cell(place));
            map.serialize_entry(&self.names[place], &cell).expect("texts go to memory");
        }
        map.end().expect("an object goes to memory");
        String::from_utf8(object).expect("JSON is UTF-8")
    }
}

impl<R: BufRead> Iterator for CsvList<R> {
    type Item = io::Result<Input>;

    fn next(&mut self) -> Option<io::Result<Input>> {
        match self.records.read() {
            Ok(true) => Some(Ok(self.input())),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// Returns the names in the first record: each once, and none empty.
fn names<R>(records: &Records<R>) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(records.len());
    for place in 0..records.len() {
        let mut name = String::from_utf8_lossy(records.cell(place)).trim().to_owned();
        if name.is_empty() {
            name = format!("column_{}", place + 1);
        }
        while names.contains(&name) {
            name.push_str("_2");
        }
        names.push(name);
    }
    names
}

/// Reads records of a bounded size.
#[derive(Debug)]
struct Records<R> {
    from: Utf8Reader<R>,
    reader: Box<Reader>,
    /// The cells of the record one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The number of cells.
    cells: usize,
    /// Whether the record is longer than the bound. Its beginning is kept.
    is_too_long: bool,
    line: u64,
}

impl<R> Records<R> {
    fn len(&self) -> usize {
        self.cells
    }

    fn cell(&self, place: usize) -> &[u8] {
        if place >= self.cells {
            return b"";
        }
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.bytes[start..self.ends[place]]
    }
}

impl<R: BufRead> Records<R> {
    fn new(from: R) -> Records<R> {
        Records {
            from: Utf8Reader::new(from),
            reader: Box::new(Reader::new()),
            bytes: vec![0; RECORD_BYTES_MIN],
            ends: vec![0; 64],
            cells: 0,
            is_too_long: false,
            line: 0,
        }
    }

    /// Reads one record. Returns false at the end of the list.
    fn read(&mut self) -> io::Result<bool> {
        let (mut written, mut ended) = (0, 0);
        self.is_too_long = false;
        loop {
            if self.is_too_long {
                return self.skip();
            }
            let bytes = self.from.fill_buf()?;
            let (result, read, bytes_out, ends_out) =
                self.reader.read_record(bytes, &mut self.bytes[written..], &mut self.ends[ended..]);
            self.from.consume(read);
            written += bytes_out;
            ended += ends_out;
            self.cells = ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.bytes.len() < RECORD_BYTES_MAX => {
                    self.bytes.resize(2 * self.bytes.len(), 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < COLUMNS_MAX => {
                    self.ends.resize(2 * self.ends.len(), 0);
                }
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    self.is_too_long = true;
                }
                ReadRecordResult::Record => return Ok(self.note_line()),
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// Reads the rest of a record that is too long, of which the whole cells so far are kept.
    fn skip(&mut self) -> io::Result<bool> {
        let (mut nowhere, mut no_ends) = ([0; 1024], [0; 64]);
        loop {
            let bytes = self.from.fill_buf()?;
            let (result, read, _, _) = self.reader.read_record(bytes, &mut nowhere, &mut no_ends);
            self.from.consume(read);
            if matches!(result, ReadRecordResult::Record | ReadRecordResult::End) {
                return Ok(self.note_line());
            }
        }
    }

    /// Notes the number of the line on which the record ends.
    fn note_line(&mut self) -> bool {
        self.line = self.reader.line().saturating_sub(1).max(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn read(text: &[u8], url_column: Option<&str>) -> Vec<(String, Option<String>)> {
        let list = CsvList::open(BufReader::with_capacity(5, text), url_column).unwrap();
        let inputs = list.map(Result::unwrap);
        inputs.map(|input| (input.shown().to_owned(), input.carried().map(str::to_owned))).collect()
    }

    #[test]
    fn every_record_is_a_url_with_its_other_columns() {
        let text =
            "id,URL,note\r\n1,http://a/,\"x \"\"y\"\"\nz\"\r\n\r\n2, http://b/ ,\r\n3,http://c/";
        let expected = [
            ("http://a/", r#"{"id":"1","note":"x \"y\"\nz"}"#),
            ("http://b/", r#"{"id":"2","note":""}"#),
            ("http://c/", r#"{"id":"3"}"#),
        ];
        let expected = expected.map(|(url, rest)| (url.to_owned(), Some(rest.to_owned())));
        for end in ["\r\n", "\n", "\r"] {
            assert_eq!(read(text.replace("\r\n", end).as_bytes(), None), expected, "{end:?}");
        }
        let marked: Vec<u8> =
            std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&marked, None), expected);
    }

    #[test]
    fn columns_have_names_that_differ() {
        let list = CsvList::open(&b"a,,url,a, b \n"[..], None).unwrap();
        assert_eq!(list.columns(), ["a", "column_2", "a_2", "b"]);
        assert_eq!(
            read(b"link,url\nhttp://a/,x\n", Some("link")),
            [("http://a/".to_owned(), Some(r#"{"url":"x"}"#.to_owned()))]
        );
    }

    #[test]
    fn a_list_without_the_column_is_refused_and_its_columns_are_named() {
        for (text, column, says) in [
            ("a,b\n", None, r#"it has no column "url"; its columns are "a", "b""#),
            ("url\n", Some("link"), r#"it has no column "link"; its columns are "url""#),
            ("", None, "it is empty, and should begin with the names of columns"),
        ] {
            let error = CsvList::open(text.as_bytes(), column).unwrap_err();
            assert_eq!(error.to_string(), says);
        }
    }

    #[test]
    fn a_record_that_does_not_fit_is_one_input_with_an_error() {
        let long = "x".repeat(3 * RECORD_BYTES_MAX);
        let many = ",x".repeat(2 * COLUMNS_MAX);
        for (record, says) in [
            ("http://a/,1,2".to_owned(), "the record has 3 cells for 2 columns"),
            (format!("http://a/,\"{long}\""), "the record is too long"),
            (format!("\"{long}\n\",1"), "the record is too long"),
            (format!("http://a/{many}"), "the record is too long"),
        ] {
            let text = format!("url,id\n{record}\nhttp://b/,2\n");
            let mut list = CsvList::open(text.as_bytes(), None).unwrap();
            let input = list.next().unwrap().unwrap();
            assert_eq!(input.parse().unwrap_err().message, says);
            assert!(list.records.bytes.len() <= 2 * RECORD_BYTES_MAX);
            assert_eq!(list.next().unwrap().unwrap().shown(), "http://b/");
            assert!(list.next().is_none());
        }
        // A cell that is empty is no loss.
        assert_eq!(read(b"url,id\nhttp://a/,1,,\n", None)[0].0, "http://a/");
    }
}
