//! Rows as JSON, one object a line. The keys and their order are a contract.

use std::time::Duration;

use serde::{Serialize, Serializer};
use silkmill_scrape::{Row, Timing};

use super::Kind;

/// Appends the row as one line.
pub(crate) fn record(row: &Row, kind: Kind, to: &mut Vec<u8>) {
    let record = Record::new(row, kind);
    serde_json::to_writer(&mut *to, &record).expect("a record has string keys and goes to memory");
    to.push(b'\n');
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
}

/// An object that keeps the order of its fields.
struct Fields<'a>(&'a [(String, Vec<String>)]);

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
    fn new(row: &'a Row, kind: Kind) -> Record<'a> {
        let scraped = kind == Kind::Scrape;
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
        serializer.collect_map(self.0.iter().map(|(name, values)| (name, values)))
    }
}

/// Milliseconds, to the microsecond.
fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use silkmill_scrape::{Failure, FailureKind, Phase};

    use super::*;

    fn line(row: &Row, kind: Kind) -> String {
        let mut line = Vec::new();
        record(row, kind, &mut line);
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
            fields: vec![("z".to_owned(), vec!["1".to_owned()]), ("a".to_owned(), Vec::new())],
            charset: Some("utf-8".to_owned()),
            bytes: 9,
            attempts: 1,
            redirects: vec!["http://b/".to_owned()],
            elapsed: Duration::from_micros(1500),
            worker: "scrape-3".to_owned(),
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
}
