//! Rows in a table of PostgreSQL, whose columns are those of CSV and SQLite and one more, and rows
//! that are read from it again.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use silkmill_scrape::{
    Crawled, Failure, FailureKind, Phase, Row, RowTable, Timing, Value, ValueType,
};

use crate::sink::columns::{Cell, Column, cells, check_names, columns};
use crate::sink::schema::Schema;

/// The column that says whether a row has fields at all: one without a page has none.
const HAS_FIELDS: &str = "has_fields";

/// The longest name that PostgreSQL keeps whole.
const NAME_BYTES_MAX: usize = 63;

/// Returns the table of a crawl's rows.
pub(crate) fn row_table(schema: &Schema) -> Result<RowTable> {
    check_names(schema)?;
    for (name, _) in &schema.fields {
        ensure!(
            name.len() <= NAME_BYTES_MAX,
            "field {name:?} is longer than the {NAME_BYTES_MAX} bytes that PostgreSQL keeps of a \
             name: give it another name, as in NAME=EXPR"
        );
    }
    let columns = columns(schema);
    let declared =
        |column: &Column<'_>| (column.name.to_owned(), declared(column, schema).to_owned());
    let last = (HAS_FIELDS.to_owned(), "boolean NOT NULL".to_owned());
    let declared: Vec<_> = columns.iter().map(declared).chain([last]).collect();
    ensure!(
        schema.fields.iter().all(|(name, _)| !name.eq_ignore_ascii_case(HAS_FIELDS)),
        "field {HAS_FIELDS:?} is called like another column: give it another name, as in NAME=EXPR"
    );
    let schema = schema.clone();
    Ok(RowTable::new(declared, move |row| texts(row, &schema)))
}

/// Returns what PostgreSQL is told of a column.
fn declared(column: &Column<'_>, schema: &Schema) -> &'static str {
    let field = schema.fields.iter().find(|(name, _)| name == column.name);
    match (field, column.name, column.declared) {
        (Some((_, ValueType::Text)), ..) => "text",
        (Some((_, ValueType::Number)), ..) => "double precision",
        (Some((_, ValueType::Boolean)), ..) => "boolean",
        (None, "truncated", _) => "boolean NOT NULL",
        (None, _, "INTEGER PRIMARY KEY") => "bigint PRIMARY KEY",
        (None, _, "INTEGER NOT NULL") => "bigint NOT NULL",
        (None, _, "INTEGER") => "bigint",
        (None, _, "REAL NOT NULL") => "double precision NOT NULL",
        (None, _, "REAL") => "double precision",
        (None, _, "TEXT NOT NULL") => "text NOT NULL",
        (None, ..) => "text",
    }
}

fn texts(row: &Row, schema: &Schema) -> Vec<Option<String>> {
    let has_fields = Some((!row.fields.is_empty()).to_string());
    cells(row, schema).into_iter().map(text).chain([has_fields]).collect()
}

fn text(cell: Cell<'_>) -> Option<String> {
    match cell {
        Cell::Null => None,
        Cell::Integer(number) => Some(number.to_string()),
        Cell::Real(number) => Some(number.to_string()),
        Cell::Boolean(truth) => Some(truth.to_string()),
        Cell::Text(text) => Some(text.into_owned()),
    }
}

/// Reads a row from its cells.
pub(crate) fn row_of(cells: &[Option<String>], schema: &Schema) -> Result<Row> {
    let columns = columns(schema);
    ensure!(cells.len() == columns.len() + 1, "it has other columns than this crawl");
    let names = columns.iter().map(|column| column.name).chain([HAS_FIELDS]);
    let cells = Cells(names.zip(cells.iter().map(Option::as_deref)).collect());
    let fields = match cells.needed(HAS_FIELDS)? {
        false => Vec::new(),
        true => schema
            .fields
            .iter()
            .map(|(name, value_type)| Ok((name.clone(), values(cells.get(name), *value_type)?)))
            .collect::<Result<_>>()?,
    };
    let error = match cells.get("error_kind") {
        None => None,
        Some(kind) => Some(Failure {
            kind: known(FailureKind::of_name(kind), kind)?,
            phase: known(Phase::of_name(cells.get("error_phase").unwrap_or_default()), "a phase")?,
            message: cells.text("error_message").unwrap_or_default(),
        }),
    };
    let mut crawled = Crawled::default();
    crawled.depth = cells.number("depth")?.unwrap_or_default();
    crawled.parent = cells.number("parent")?;
    crawled.links = cells.number("links")?.unwrap_or_default();
    crawled.canonical = cells.text("canonical");
    Ok(Row {
        index: cells.needed("index")?,
        url: cells.text("url").unwrap_or_default(),
        carried: None,
        final_url: cells.text("final_url"),
        status: cells.number("status")?,
        title: cells.text("title"),
        fields,
        charset: cells.text("charset"),
        bytes: cells.needed("bytes")?,
        truncated: cells.needed("truncated")?,
        attempts: cells.needed("attempts")?,
        redirects: serde_json::from_str(cells.get("redirects").unwrap_or("[]"))?,
        elapsed: cells.time("elapsed_ms")?.unwrap_or_default(),
        timing: Timing {
            dns: cells.time("dns_ms")?,
            connect: cells.time("connect_ms")?,
            tls: cells.time("tls_ms")?,
            first_byte: cells.time("first_byte_ms")?,
            total: cells.time("total_ms")?,
        },
        worker: cells.get("worker").unwrap_or_default().into(),
        error,
        crawled: Some(Box::new(crawled)),
    })
}

fn values(cell: Option<&str>, value_type: ValueType) -> Result<Vec<Value>> {
    let Some(cell) = cell else { return Ok(Vec::new()) };
    Ok(match value_type {
        ValueType::Number => vec![Value::Number(parsed(cell)?)],
        ValueType::Boolean => vec![Value::Boolean(parsed(cell)?)],
        ValueType::Text if cell.starts_with('[') => {
            let many: Vec<String> = serde_json::from_str(cell)?;
            many.into_iter().map(Value::Text).collect()
        }
        ValueType::Text => vec![Value::Text(cell.to_owned())],
    })
}

/// The cells of a row by the names of their columns.
struct Cells<'a>(HashMap<&'a str, Option<&'a str>>);

impl<'a> Cells<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied().flatten()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        self.get(name).map(parsed).transpose()
    }

    fn needed<T: FromStr>(&self, name: &str) -> Result<T> {
        match self.number(name)? {
            Some(number) => Ok(number),
            None => bail!("its column {name:?} is empty"),
        }
    }

    /// Reads milliseconds, with three decimals.
    fn time(&self, name: &str) -> Result<Option<Duration>> {
        let millis: Option<f64> = self.number(name)?;
        Ok(millis.map(|millis| Duration::from_micros((millis * 1000.0).round() as u64)))
    }
}

fn parsed<T: FromStr>(text: &str) -> Result<T> {
    match text.parse() {
        Ok(value) => Ok(value),
        Err(_) => bail!("{text:?} is not what its column has"),
    }
}

fn known<T>(value: Option<T>, name: &str) -> Result<T> {
    match value {
        Some(value) => Ok(value),
        None => bail!("{name:?} is unknown to this program"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::jsonl;
    use crate::sink::schema::Kind;

    fn schema() -> Schema {
        let fields =
            [("text", ValueType::Text), ("n", ValueType::Number), ("b", ValueType::Boolean)];
        let fields = fields.map(|(name, value_type)| (name.to_owned(), value_type)).to_vec();
        Schema { kind: Kind::Crawl, fields, input: None }
    }

    #[test]
    fn a_row_that_is_read_again_is_the_same() {
        let schema = schema();
        let field = |name: &str, values: Vec<Value>| (name.to_owned(), values);
        let error =
            Failure { kind: FailureKind::Body, phase: Phase::Body, message: "cut \"off\"".into() };
        let full = Row {
            index: 7,
            url: "http://a/?\u{1f9f5}".into(),
            final_url: Some("http://a/".into()),
            status: Some(200),
            title: Some("[a]".into()),
            fields: vec![
                field("text", vec!["[a]".into(), "b".into()]),
                field("n", vec![Value::Number(0.1)]),
                field("b", vec![Value::Boolean(true)]),
            ],
            charset: Some("utf-8".into()),
            bytes: 12,
            truncated: true,
            attempts: 2,
            redirects: vec!["http://a/".into()],
            elapsed: Duration::from_micros(1_234_567),
            timing: Timing { dns: Some(Duration::from_micros(1)), ..Timing::default() },
            worker: "w".into(),
            error: Some(error),
            ..Row::default()
        };
        let empty = vec![
            field("text", vec![]),
            field("n", vec![Value::Number(f64::INFINITY)]),
            field("b", vec![]),
        ];
        let page = Row { fields: empty, ..Row::default() };
        let one = vec![
            field("text", vec!["[a]".into()]),
            field("n", vec![]),
            field("b", vec![Value::Boolean(false)]),
        ];
        let another = Row { fields: one, ..page.clone() };
        for (number, mut row) in [full, page, another, Row::default()].into_iter().enumerate() {
            let mut crawled = Crawled::default();
            crawled.parent = (number > 0).then_some(number as u64);
            crawled.depth = 3;
            row.crawled = Some(Box::new(crawled));

            let read = row_of(&texts(&row, &schema), &schema).unwrap();

            assert_eq!(read, row);
            let line = |row: &Row| {
                let mut line = Vec::new();
                jsonl::record(row, &schema, &mut line);
                line
            };
            assert_eq!(line(&read), line(&row));
        }
    }

    #[test]
    fn every_kind_and_phase_has_a_name_by_which_it_is_found() {
        for kind in FailureKind::ALL {
            assert_eq!(FailureKind::of_name(kind.name()), Some(kind));
        }
        for phase in Phase::ALL {
            assert_eq!(Phase::of_name(phase.name()), Some(phase));
        }
    }

    #[test]
    fn a_name_that_the_database_would_cut_is_refused() {
        let mut schema = schema();
        schema.fields.push(("x".repeat(64), ValueType::Text));
        let error = row_table(&schema).unwrap_err().to_string();
        assert!(error.contains("63 bytes"), "{error}");
    }
}
