//! A row as cells in columns, for CSV and SQLite. The columns are the keys of the JSON record in
//! their order, with the fields, the timing and the error flattened.

use std::borrow::Cow;
use std::collections::HashMap;
use std::iter;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::value::RawValue;
use silkmill_scrape::{Row, Value, ValueType};

use crate::sink::schema::{INPUT_PREFIX, Kind, Schema};

/// The largest number below which every integer is a number of SQLite's and CSV's readers.
const EXACT_MAX: f64 = (1_u64 << 53) as f64;

/// A column: its name, and its type in SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column<'a> {
    pub(super) name: &'a str,
    pub(super) declared: &'static str,
}

/// The columns before the fields, and those after them, with their types.
const BEFORE_FIELDS: &[(&str, &str)] = &[
    // SQLite's name for its own row number, which makes the index unique.
    ("index", "INTEGER PRIMARY KEY"),
    ("url", "TEXT NOT NULL"),
    ("final_url", "TEXT"),
    ("status", "INTEGER"),
];
const TITLE: (&str, &str) = ("title", "TEXT");
const AFTER_FIELDS: &[(&str, &str)] = &[
    ("charset", "TEXT"),
    ("bytes", "INTEGER NOT NULL"),
    ("truncated", "INTEGER NOT NULL"),
    ("attempts", "INTEGER NOT NULL"),
    ("redirects", "TEXT NOT NULL"),
    ("elapsed_ms", "REAL NOT NULL"),
    ("dns_ms", "REAL"),
    ("connect_ms", "REAL"),
    ("tls_ms", "REAL"),
    ("first_byte_ms", "REAL"),
    ("total_ms", "REAL"),
    ("worker", "TEXT NOT NULL"),
    ("error_kind", "TEXT"),
    ("error_phase", "TEXT"),
    ("error_message", "TEXT"),
];

/// The columns of a crawl, behind all others.
const OF_CRAWL: &[(&str, &str)] =
    &[("depth", "INTEGER"), ("parent", "INTEGER"), ("links", "INTEGER"), ("canonical", "TEXT")];

/// The value of a row in a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Integer(u64),
    Real(f64),
    Boolean(bool),
    Text(Cow<'a, str>),
}

pub(super) fn columns(schema: &Schema) -> Vec<Column<'_>> {
    let fixed = |&(name, declared): &(&'static str, &'static str)| Column { name, declared };
    let fields = schema.fields.iter().map(|(name, value_type)| Column {
        name,
        declared: match value_type {
            ValueType::Text => "TEXT",
            ValueType::Number => "NUMERIC",
            ValueType::Boolean => "INTEGER",
        },
    });
    let title = schema.kind.has_fields().then(|| fixed(&TITLE));
    // A column without a type keeps numbers as numbers, and texts as texts.
    let input = schema.input.iter().flatten().map(|name| Column { name, declared: "" });
    let of_crawl = if schema.kind == Kind::Crawl { OF_CRAWL } else { &[] };
    BEFORE_FIELDS
        .iter()
        .map(fixed)
        .chain(title)
        .chain(fields)
        .chain(AFTER_FIELDS.iter().map(fixed))
        .chain(input)
        .chain(of_crawl.iter().map(fixed))
        .collect()
}

/// Returns the cells of a row, one for each column.
pub(super) fn cells<'a>(row: &'a Row, schema: &Schema) -> Vec<Cell<'a>> {
    let mut cells = vec![
        Cell::Integer(row.index),
        text(&row.url),
        text_or_null(row.final_url.as_deref()),
        row.status.map_or(Cell::Null, |status| Cell::Integer(status.into())),
    ];
    if schema.kind.has_fields() {
        cells.push(text_or_null(row.title.as_deref()));
        // A row without a page has no fields at all.
        let fields = row.fields.iter().map(|(_, values)| field(values));
        cells.extend(fields.chain(iter::repeat(Cell::Null)).take(schema.fields.len()));
    }
    let timing = &row.timing;
    let error = row.error.as_ref();
    cells.extend([
        text_or_null(row.charset.as_deref()),
        Cell::Integer(row.bytes),
        Cell::Boolean(row.truncated),
        Cell::Integer(row.attempts.into()),
        Cell::Text(Cow::Owned(json(&row.redirects))),
        Cell::Real(millis(row.elapsed)),
        millis_or_null(timing.dns),
        millis_or_null(timing.connect),
        millis_or_null(timing.tls),
        millis_or_null(timing.first_byte),
        millis_or_null(timing.total),
        text(&row.worker),
        text_or_null(error.map(|error| error.kind.name())),
        text_or_null(error.map(|error| error.phase.name())),
        text_or_null(error.map(|error| error.message.as_str())),
    ]);
    if let Some(names) = &schema.input {
        let carried = carried(row);
        cells.extend(names.iter().map(|name| {
            let name = name.strip_prefix(INPUT_PREFIX).unwrap_or(name);
            carried.get(name).map_or(Cell::Null, |value| json_cell(value))
        }));
    }
    if schema.kind == Kind::Crawl {
        let crawled = row.crawled.as_deref();
        let integer = |number: Option<u64>| number.map_or(Cell::Null, Cell::Integer);
        cells.extend([
            integer(crawled.map(|crawled| crawled.depth.into())),
            integer(crawled.and_then(|crawled| crawled.parent)),
            integer(crawled.map(|crawled| crawled.links)),
            text_or_null(crawled.and_then(|crawled| crawled.canonical.as_deref())),
        ]);
    }
    cells
}

/// Tells whether a row carries keys for which there is no column.
pub(super) fn has_other_keys(row: &Row, schema: &Schema) -> bool {
    let Some(names) = &schema.input else { return false };
    let is_column = |key: &String| {
        names.iter().any(|name| name.strip_prefix(INPUT_PREFIX) == Some(key.as_str()))
    };
    !carried(row).keys().all(is_column)
}

/// Returns the keys and values that came with the URL.
fn carried(row: &Row) -> HashMap<String, &RawValue> {
    let object = row.carried.as_deref().and_then(|text| serde_json::from_str(text).ok());
    object.unwrap_or_default()
}

/// Turns a JSON value into a cell: an object or an array stays JSON, and so does a number that a
/// cell cannot hold.
fn json_cell(value: &RawValue) -> Cell<'static> {
    let text = value.get();
    let as_it_is = || Cell::Text(Cow::Owned(text.to_owned()));
    match text.as_bytes().first() {
        Some(b'n') => Cell::Null,
        Some(b't' | b'f') => Cell::Boolean(text == "true"),
        Some(b'"') => match serde_json::from_str(text) {
            Ok(text) => Cell::Text(Cow::Owned(text)),
            Err(_) => as_it_is(),
        },
        Some(b'-' | b'0'..=b'9') => match (text.parse(), text.parse::<f64>()) {
            (Ok(number), _) => Cell::Integer(number),
            (_, Ok(number)) if number.is_finite() && number.abs() <= EXACT_MAX => {
                Cell::Real(number)
            }
            _ => as_it_is(),
        },
        _ => as_it_is(),
    }
}

/// Turns the values of a field into one cell: none into no value, one into itself, and several into
/// a JSON array. One value that looks like an array is put into one, so that every array in the
/// column is ours.
fn field(values: &[Value]) -> Cell<'_> {
    match values {
        [] => Cell::Null,
        [Value::Text(one)] if !one.starts_with('[') => text(one),
        [Value::Number(number)] => Cell::Real(*number),
        [Value::Boolean(truth)] => Cell::Boolean(*truth),
        many => {
            let many: Vec<String> = many.iter().map(Value::to_string).collect();
            Cell::Text(Cow::Owned(json(&many)))
        }
    }
}

fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}

fn text_or_null(text: Option<&str>) -> Cell<'_> {
    text.map_or(Cell::Null, |text| Cell::Text(Cow::Borrowed(text)))
}

fn millis_or_null(time: Option<Duration>) -> Cell<'static> {
    time.map_or(Cell::Null, |time| Cell::Real(millis(time)))
}

fn json(texts: &[String]) -> String {
    serde_json::to_string(texts).expect("strings go to memory")
}

/// Returns milliseconds, with three decimals.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// Refuses a field that has the name of another column. To SQLite `Price` and `price` are one name.
pub(super) fn check_names(schema: &Schema) -> Result<()> {
    let columns = columns(schema);
    for (place, column) in columns.iter().enumerate() {
        let is_same = |other: &Column<'_>| other.name.eq_ignore_ascii_case(column.name);
        if columns[..place].iter().any(is_same) || columns[place + 1..].iter().any(is_same) {
            let fields = schema.fields.iter().map(|(name, _)| name);
            let field = fields.into_iter().find(|name| name.eq_ignore_ascii_case(column.name));
            let Some(name) = field else {
                bail!(
                    "two columns are called {:?}: rename one in the input, or give -o rows.jsonl",
                    column.name
                );
            };
            bail!(
                "field {name:?} is called like another column: give it another name, as in NAME=EXPR"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(names: &[&str]) -> Schema {
        let fields = names.iter().map(|name| ((*name).to_owned(), ValueType::Text)).collect();
        Schema { kind: Kind::Scrape, fields, input: None }
    }

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        let row = Row { fields: vec![("a".to_owned(), Vec::new())], ..Row::default() };
        let fetched = Schema { kind: Kind::Fetch, fields: Vec::new(), input: None };
        let crawled = Schema { kind: Kind::Crawl, ..schema(&["a"]) };

        for (row, schema) in [
            (&row, schema(&["a"])),
            (&Row::default(), schema(&["a"])),
            (&Row::default(), fetched),
            (&row, crawled),
        ] {
            assert_eq!(cells(row, &schema).len(), columns(&schema).len());
        }
    }

    #[test]
    fn one_value_is_itself_and_several_are_an_array() {
        for (values, expected) in [
            (vec![], Cell::Null),
            (vec!["a".into()], text("a")),
            (vec!["".into()], text("")),
            (vec!["[a]".into()], text(r#"["[a]"]"#)),
            (vec!["a".into(), "b\"".into()], text(r#"["a","b\""]"#)),
            (vec![Value::Number(2.0)], Cell::Real(2.0)),
            (vec![Value::Boolean(true)], Cell::Boolean(true)),
        ] {
            assert_eq!(field(&values), expected);
        }
    }

    #[test]
    fn a_field_that_is_called_like_a_column_is_refused() {
        assert!(check_names(&schema(&["price", "//h1"])).is_ok());
        for names in [&["URL"][..], &["price", "Price"], &["error_kind"]] {
            let error = check_names(&schema(names)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("field {:?} is called", names[0])), "{error}");
        }
    }
}
