//! Reads the rows of an output file back, whatever its format.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use ruzstd::decoding::StreamingDecoder;
use serde_json::Value;

/// The rows of a file, each with its cells by name. Cells without a value are left out.
pub(super) type Rows = Vec<BTreeMap<String, String>>;

pub(super) fn rows(path: &Path) -> Rows {
    match path.extension().unwrap().to_str().unwrap() {
        "jsonl" => json_lines(&fs::read(path).unwrap()),
        "gz" => {
            let mut text = Vec::new();
            let mut members = MultiGzDecoder::new(fs::File::open(path).unwrap());
            // A run that goes on may be in the middle of a member.
            let _ = members.read_to_end(&mut text);
            json_lines(&text)
        }
        "zst" => json_lines(&unpack_frames(&fs::read(path).unwrap())),
        "json" => match fs::read(path).unwrap().as_slice() {
            b"" => Rows::new(),
            text => {
                let records: Vec<Value> = serde_json::from_slice(text).unwrap();
                records.iter().map(json_row).collect()
            }
        },
        "csv" => csv_rows(path),
        _ => sqlite_rows(path),
    }
}

pub(super) fn indices(path: &Path) -> Vec<u64> {
    rows(path).iter().map(|row| row["index"].parse().unwrap()).collect()
}

/// Reads lines as far as they are whole.
fn json_lines(text: &[u8]) -> Rows {
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let lines = std::str::from_utf8(&text[..whole]).unwrap().lines();
    lines.map(|line| json_row(&serde_json::from_str(line).unwrap())).collect()
}

/// Unpacks the frames of a zstd file, as far as they are whole.
fn unpack_frames(mut bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    while !bytes.is_empty() {
        let Ok(mut frame) = StreamingDecoder::new(&mut bytes) else { break };
        if frame.read_to_end(&mut text).is_err() {
            break;
        }
    }
    text
}

/// Flattens a record as the other formats do.
fn json_row(record: &Value) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    for (key, value) in record.as_object().unwrap() {
        match (key.as_str(), value) {
            ("fields" | "timing", Value::Object(inner)) => {
                flat.extend(inner.iter().map(|(key, value)| (key.clone(), one_or_array(value))));
            }
            ("error", Value::Object(inner)) => {
                flat.extend(
                    inner.iter().map(|(key, value)| (format!("error_{key}"), plain(value))),
                );
            }
            _ => drop(flat.insert(key.clone(), plain(value))),
        }
    }
    flat.retain(|_, value| !value.is_empty());
    flat
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string().trim_end_matches(".0").to_owned(),
    }
}

fn one_or_array(value: &Value) -> String {
    match value.as_array().map(Vec::as_slice) {
        Some([one]) => plain(one),
        Some([]) => String::new(),
        _ => plain(value),
    }
}

fn csv_rows(path: &Path) -> Rows {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names = reader.headers().unwrap().clone();
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.unwrap();
        let cells = names.iter().zip(record.iter()).filter(|(_, cell)| !cell.is_empty());
        cells.map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect()
    };
    reader.records().map(row).collect()
}

fn sqlite_rows(path: &Path) -> Rows {
    let connection = Connection::open(path).unwrap();
    // A run that has just begun has no table yet.
    let Ok(mut query) = connection.prepare("SELECT * FROM rows ORDER BY rowid") else {
        return Rows::new();
    };
    let names: Vec<String> = query.column_names().map(str::to_owned).collect();
    let row = |row: &rusqlite::Row<'_>| {
        let mut cells = BTreeMap::new();
        for (at, name) in names.iter().enumerate() {
            let cell = match row.get(at)? {
                Cell::Null => continue,
                Cell::Integer(truth) if ["truncated", "has"].contains(&name.as_str()) => {
                    (truth == 1).to_string()
                }
                Cell::Integer(number) => number.to_string(),
                Cell::Real(number) => number.to_string(),
                Cell::Text(text) => text,
                Cell::Blob(_) => panic!("{name} is a blob"),
            };
            cells.insert(name.clone(), cell);
        }
        cells.retain(|_, cell| !cell.is_empty());
        Ok(cells)
    };
    query.query_map([], row).unwrap().map(Result::unwrap).collect()
}

/// Returns the rows by index, without what differs from run to run.
pub(super) fn lasting(path: &Path) -> BTreeMap<u64, BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for mut row in rows(path) {
        row.retain(|name, _| !name.ends_with("_ms") && name != "worker");
        let index = row["index"].parse().unwrap();
        assert!(all.insert(index, row).is_none(), "{index} comes twice");
    }
    all
}
