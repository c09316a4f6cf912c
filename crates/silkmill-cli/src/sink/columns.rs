//! A row as cells in columns, for CSV and SQLite. The columns are the keys of the JSON record in
//! their order, with the fields, the timing and the error flattened.

use std::borrow::Cow;
use std::iter;
use std::time::Duration;

use anyhow::{Result, bail};
use silkmill_scrape::{Row, Value, ValueType};

use crate::sink::schema::{Kind, Schema};

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
    let title = (schema.kind == Kind::Scrape).then(|| fixed(&TITLE));
    BEFORE_FIELDS
        .iter()
        .map(fixed)
        .chain(title)
        .chain(fields)
        .chain(AFTER_FIELDS.iter().map(fixed))
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
    if schema.kind == Kind::Scrape {
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
    cells
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
            let name = field.map_or(column.name, String::as_str);
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
        Schema { kind: Kind::Scrape, fields }
    }

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        let row = Row { fields: vec![("a".to_owned(), Vec::new())], ..Row::default() };
        let fetched = Schema { kind: Kind::Fetch, fields: Vec::new() };

        for (row, schema) in
            [(&row, schema(&["a"])), (&Row::default(), schema(&["a"])), (&Row::default(), fetched)]
        {
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
