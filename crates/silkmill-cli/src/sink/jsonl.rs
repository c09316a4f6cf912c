//! Writes and reads rows as JSON, one object a line. The keys and their order are a contract.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead, Read};

use anyhow::{Result, anyhow, bail};
use serde::de::IgnoredAny;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use silkmill_scrape::{Row, Timing, Value};

use crate::messages::reason;
use crate::sink::columns::millis;
use crate::sink::resume::{FoundRow, Visit};
use crate::sink::schema::{Kind, Schema};

/// The first bytes of every row.
const START: &[u8] = b"{\"index\":";
/// The first line of an array of rows.
const ARRAY_START: &[u8] = b"[\n";

/// Appends the row as one line.
pub(crate) fn record(row: &Row, schema: &Schema, to: &mut Vec<u8>) {
    let record = Record::new(row, schema);
    serde_json::to_writer(&mut *to, &record).expect("a record has string keys and goes to memory");
    to.push(b'\n');
}

/// Finds the rows of a file. Returns how many of its bytes are whole rows.
pub(super) fn scan(from: &mut dyn BufRead, schema: &Schema, visit: &mut Visit<'_>) -> Result<u64> {
    let (mut length, mut line) = (0, Vec::new());
    for number in 1u64.. {
        read_line(from, &mut line)?;
        let is_start = line.starts_with(START) || START.starts_with(&line);
        if is_start && !line.ends_with(b"\n") {
            // The end of the file, or a torn row.
            break;
        }
        note(&line, number, schema, visit)?;
        length += line.len() as u64;
    }
    Ok(length)
}

/// Does the same for a file that is an array of rows, one a line.
pub(super) fn scan_array(
    from: &mut dyn BufRead,
    schema: &Schema,
    visit: &mut Visit<'_>,
) -> Result<u64> {
    let mut line = Vec::new();
    read_some(from, ARRAY_START.len(), &mut line)?;
    match line.as_slice() {
        ARRAY_START => {}
        b"[]" if is_over(from)? => return Ok(0),
        start if ARRAY_START.starts_with(start) => return Ok(0),
        _ => bail!("it is no array of rows of this run"),
    }
    // Where the last row ends, and where the next one begins.
    let (mut length, mut next) = (0, ARRAY_START.len() as u64);
    for number in 2u64.. {
        read_line(from, &mut line)?;
        let is_start = line.starts_with(START) || START.starts_with(&line);
        if is_start && !line.ends_with(b"\n") || b"]".as_slice() == line.as_slice() {
            // The end of the file, or a torn row.
            break;
        }
        if line == b"]\n" && length > 0 && from.fill_buf().is_ok_and(<[u8]>::is_empty) {
            break;
        }
        let row = line.strip_suffix(b"\n").unwrap_or(&line);
        let row = row.strip_suffix(b",").unwrap_or(row);
        note(row, number, schema, visit)?;
        length = next + row.len() as u64;
        next += line.len() as u64;
    }
    Ok(length)
}

/// Reads a line if it starts as a row does. A file of another kind may have no line ends at all.
fn read_line(from: &mut dyn BufRead, line: &mut Vec<u8>) -> Result<()> {
    read_some(from, START.len(), line)?;
    match line.as_slice() {
        START => {
            from.read_until(b'\n', line).map(drop).map_err(|error| anyhow!("{}", reason(&error)))
        }
        _ => Ok(()),
    }
}

/// Reads a line, but no more than `most` bytes.
fn read_some(from: &mut dyn BufRead, most: usize, line: &mut Vec<u8>) -> Result<()> {
    line.clear();
    let read = from.take(most as u64).read_until(b'\n', line);
    read.map(drop).map_err(|error| anyhow!("{}", reason(&error)))
}

/// Returns whether nothing but a line end is left of a file.
fn is_over(from: &mut dyn BufRead) -> Result<bool> {
    let mut rest = Vec::new();
    from.take(2).read_to_end(&mut rest).map_err(|error| anyhow!("{}", reason(&error)))?;
    Ok(rest.is_empty() || rest == b"\n")
}

/// Hands on the row in a line.
fn note(line: &[u8], number: u64, schema: &Schema, visit: &mut Visit<'_>) -> Result<()> {
    let row: Option<ExistingRow<'_>> = serde_json::from_slice(line).ok();
    let Some(row) = row else {
        bail!("line {number} is no row of this run");
    };
    if !row.is_of(schema) {
        bail!("line {number} is no row of this run: it has other fields");
    }
    let (index, is_error) = (row.index, row.error.is_some());
    visit(&FoundRow { index, url: &row.url, is_error, bytes: line, line: number })
}

/// The part of a row that a resumed run must know.
#[derive(Deserialize)]
struct ExistingRow<'a> {
    index: u64,
    #[serde(borrow)]
    url: Cow<'a, str>,
    fields: Option<HashMap<String, IgnoredAny>>,
    error: Option<IgnoredAny>,
    input: Option<IgnoredAny>,
}

impl ExistingRow<'_> {
    /// Returns whether a run with this schema could have written the row.
    fn is_of(&self, schema: &Schema) -> bool {
        let names = &schema.fields;
        if self.input.is_some() != schema.input.is_some() {
            return false;
        }
        match (&self.fields, schema.kind) {
            (None, Kind::Fetch) => true,
            (None, Kind::Scrape | Kind::Crawl) | (Some(_), Kind::Fetch) => false,
            (Some(fields), Kind::Scrape | Kind::Crawl) => {
                let all = names.iter().all(|(name, _)| fields.contains_key(name));
                // A row without a page has no fields, whatever those of the run are.
                let has_no_page = fields.is_empty() && self.error.is_some();
                has_no_page || (all && fields.len() == names.len())
            }
        }
    }
}

#[derive(Serialize)]
struct Record<'a> {
    index: u64,
    url: &'a str,
    final_url: Option<&'a str>,
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Fields<'a>>,
    charset: Option<&'a str>,
    bytes: u64,
    truncated: bool,
    attempts: u32,
    redirects: &'a [String],
    elapsed_ms: f64,
    timing: Millis,
    worker: &'a str,
    error: Option<RecordError<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical: Option<Option<&'a str>>,
}

/// The fields as an object that keeps their order.
struct Fields<'a>(&'a [(String, Vec<Value>)]);

struct Values<'a>(&'a [Value]);

struct ScalarValue<'a>(&'a Value);

#[derive(Serialize)]
struct Millis {
    dns_ms: Option<f64>,
    connect_ms: Option<f64>,
    tls_ms: Option<f64>,
    first_byte_ms: Option<f64>,
    total_ms: Option<f64>,
}

#[derive(Serialize)]
struct RecordError<'a> {
    kind: &'static str,
    phase: &'static str,
    message: &'a str,
}

impl<'a> Record<'a> {
    fn new(row: &'a Row, schema: &Schema) -> Record<'a> {
        let scraped = schema.kind.has_fields();
        let crawled = row.crawled.as_deref();
        let carried = || serde_json::from_str(row.carried.as_deref().unwrap_or("{}"));
        let error = row.error.as_ref().map(|error| RecordError {
            kind: error.kind.name(),
            phase: error.phase.name(),
            message: &error.message,
        });
        Record {
            index: row.index,
            url: &row.url,
            final_url: row.final_url.as_deref(),
            status: row.status,
            title: scraped.then_some(row.title.as_deref()),
            fields: scraped.then_some(Fields(&row.fields)),
            charset: row.charset.as_deref(),
            bytes: row.bytes,
            truncated: row.truncated,
            attempts: row.attempts,
            redirects: &row.redirects,
            elapsed_ms: millis(row.elapsed),
            timing: Millis::new(&row.timing),
            worker: &row.worker,
            error,
            input: schema.input.as_ref().and_then(|_| carried().ok()),
            depth: crawled.map(|crawled| crawled.depth),
            parent: crawled.map(|crawled| crawled.parent),
            links: crawled.map(|crawled| crawled.links),
            canonical: crawled.map(|crawled| crawled.canonical.as_deref()),
        }
    }
}

impl Millis {
    fn new(timing: &Timing) -> Millis {
        Millis {
            dns_ms: timing.dns.map(millis),
            connect_ms: timing.connect.map(millis),
            tls_ms: timing.tls.map(millis),
            first_byte_ms: timing.first_byte.map(millis),
            total_ms: timing.total.map(millis),
        }
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, values)| (name, Values(values))))
    }
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for value in self.0 {
            list.serialize_element(&ScalarValue(value))?;
        }
        list.end()
    }
}

/// Up to this number, a JSON number represents every whole number exactly.
const WHOLE_MAX: f64 = (1u64 << 53) as f64;

impl Serialize for ScalarValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Boolean(truth) => serializer.serialize_bool(*truth),
            // XPath has words for NaN and the infinities, JSON has none.
            Value::Number(number) if !number.is_finite() => serializer.collect_str(self.0),
            Value::Number(number) if number.fract() == 0.0 && number.abs() < WHOLE_MAX => {
                serializer.serialize_i64(*number as i64)
            }
            Value::Number(number) => serializer.serialize_f64(*number),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use silkmill_scrape::{Failure, FailureKind, Phase, ValueType};

    use super::*;
    use crate::sink::resume::WrittenRows;

    fn line(row: &Row, kind: Kind) -> String {
        let mut line = Vec::new();
        let schema = Schema { kind, fields: Vec::new(), input: None };
        record(row, &schema, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_scraped_row_has_every_key_in_order() {
        let row = Row {
            index: 3,
            url: "http://a/\n".to_owned(),
            final_url: Some("http://b/".to_owned()),
            status: Some(200),
            title: Some("A \"title\"".to_owned()),
            fields: vec![("z".to_owned(), vec!["1".into()]), ("a".to_owned(), Vec::new())],
            charset: Some("utf-8".to_owned()),
            bytes: 9,
            attempts: 1,
            redirects: vec!["http://b/".to_owned()],
            elapsed: Duration::from_micros(1500),
            worker: "scrape-3".into(),
            ..Row::default()
        };

        let expected = concat!(
            r#"{"index":3,"url":"http://a/\n","final_url":"http://b/","status":200,"#,
            r#""title":"A \"title\"","fields":{"z":["1"],"a":[]},"charset":"utf-8","bytes":9,"#,
            r#""truncated":false,"attempts":1,"redirects":["http://b/"],"elapsed_ms":1.5,"#,
            r#""timing":{"dns_ms":null,"connect_ms":null,"tls_ms":null,"first_byte_ms":null,"#,
            r#""total_ms":null},"worker":"scrape-3","error":null}"#,
            "\n"
        );
        assert_eq!(line(&row, Kind::Scrape), expected);
    }

    #[test]
    fn a_fetched_row_has_neither_title_nor_fields() {
        let error = Failure {
            kind: FailureKind::Timeout,
            phase: Phase::Body,
            message: "too slow".to_owned(),
        };

        let line = line(&Row { error: Some(error), ..Row::default() }, Kind::Fetch);

        assert!(!line.contains("title") && !line.contains("fields"), "{line}");
        let error = r#""error":{"kind":"timeout","phase":"body","message":"too slow"}"#;
        assert!(line.contains(error), "{line}");
    }

    #[test]
    fn numbers_and_truths_come_as_such() {
        let numbers = [2.0, 0.25, -0.0, 1e300, f64::NAN, f64::NEG_INFINITY].map(Value::Number);
        let values = numbers.into_iter().chain([Value::Boolean(true), "x".into()]).collect();
        let row = Row { fields: vec![("n".to_owned(), values)], ..Row::default() };

        let expected = r#""n":[2,0.25,0,1e+300,"NaN","-Infinity",true,"x"]"#;
        let line = line(&row, Kind::Scrape);
        assert!(line.contains(expected), "{line}");
    }

    fn schema() -> Schema {
        Schema {
            kind: Kind::Scrape,
            fields: vec![("price".to_owned(), ValueType::Text)],
            input: None,
        }
    }

    fn scanned(bytes: &[u8]) -> (Result<u64>, WrittenRows) {
        let (mut from, mut written) = (bytes, WrittenRows::default());
        (scan(&mut from, &schema(), &mut |row| written.note(row)), written)
    }

    fn lines() -> String {
        let row = |index| Row {
            index,
            url: "é \"".to_owned(),
            fields: vec![("price".to_owned(), Vec::new())],
            ..Row::default()
        };
        let error =
            Some(Failure { kind: FailureKind::Url, phase: Phase::Input, message: String::new() });
        let failed = Row { index: 7, error, ..Row::default() };
        [row(1), failed, row(0)].map(|row| line(&row, Kind::Scrape)).concat()
    }

    #[test]
    fn a_file_that_ends_anywhere_is_cut_after_its_last_whole_row() {
        let whole = lines();
        for length in 0..=whole.len() {
            let (scanned, written) = scanned(&whole.as_bytes()[..length]);

            let expected = whole.as_bytes()[..length].iter().rposition(|&byte| byte == b'\n');
            assert_eq!(scanned.unwrap(), expected.map_or(0, |end| end as u64 + 1), "{length}");
            let rows = whole.as_bytes()[..length].iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!((written.rows(), written.errors()), (rows as u64, u64::from(rows > 1)));
        }
    }

    #[test]
    fn a_file_of_another_kind_is_left_alone() {
        let first = lines();
        for (text, says) in [
            ("precious".to_owned(), "line 1 is no row"),
            ("200\thttp://a/\n".to_owned(), "line 1 is no row"),
            ("\n".to_owned(), "line 1 is no row"),
            (first.replace("price", "size"), "line 1 is no row of this run: it has other fields"),
            // A page was read, and had no fields.
            (
                first.replace("\"price\":[]", ""),
                "line 1 is no row of this run: it has other fields",
            ),
            (line(&Row::default(), Kind::Fetch), "line 1 is no row"),
            (format!("{first}{{\"index\":1 }}\n"), "line 4 is no row"),
            (format!("{first}{first}"), "line 4 is a second row of index 1"),
        ] {
            let error = scanned(text.as_bytes()).0.unwrap_err().to_string();
            assert!(error.starts_with(says), "{text}: {error}");
        }
    }

    #[test]
    fn an_array_that_ends_anywhere_is_cut_after_its_last_whole_row() {
        let rows = lines();
        let rows: Vec<&str> = rows.lines().collect();
        let whole = format!("[\n{}\n]\n", rows.join(",\n"));
        let mut ends = Vec::new();
        for row in &rows {
            ends.push(ends.last().map_or(2, |end: &usize| end + 2) + row.len());
        }
        for length in 0..=whole.len() {
            let (mut from, mut written) = (&whole.as_bytes()[..length], WrittenRows::default());

            let scanned = scan_array(&mut from, &schema(), &mut |row| written.note(row)).unwrap();

            // A row is whole when the line end after it is there.
            let expected = ends
                .iter()
                .enumerate()
                .rfind(|(place, end)| **end + if place + 1 < ends.len() { 2 } else { 1 } <= length);
            assert_eq!(scanned, expected.map_or(0, |(_, end)| *end as u64), "{length}");
            assert_eq!(written.rows(), expected.map_or(0, |(place, _)| place as u64 + 1));
        }
    }

    #[test]
    fn an_array_of_another_kind_is_left_alone() {
        let row = lines().lines().next().unwrap().to_owned();
        for text in [
            "precious".to_owned(),
            "[1, 2]".to_owned(),
            "[\n1\n]\n".to_owned(),
            "[]\nx".to_owned(),
            format!("[\n{row}\n]\nmore"),
            lines(),
        ] {
            let (mut from, mut written) = (text.as_bytes(), WrittenRows::default());
            let scanned = scan_array(&mut from, &schema(), &mut |row| written.note(row));
            assert!(scanned.is_err(), "{text}");
        }
    }
}
