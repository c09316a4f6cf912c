//! Archives as a reader sees them that knows nothing of how they were written.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// A record of an archive: its fields by name, and its block.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) fields: BTreeMap<String, String>,
    pub(super) block: Vec<u8>,
}

impl Record {
    pub(super) fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    pub(super) fn is(&self, kind: &str, path: &str) -> bool {
        self.get("WARC-Type") == kind && self.get("WARC-Target-URI").ends_with(path)
    }
}

/// Reads an archive, all of whose records must be whole.
pub(super) fn records(path: &Path) -> Vec<Record> {
    let bytes = fs::read(path).unwrap();
    let mut text = Vec::new();
    match bytes.starts_with(b"WARC/") {
        true => text = bytes,
        false => assert!(MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap() > 0),
    }
    let mut records = Vec::new();
    let mut rest = &text[..];
    while !rest.is_empty() {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(rest[..end].to_vec()).unwrap();
        let (first, lines) = head.split_once("\r\n").unwrap();
        assert_eq!(first, "WARC/1.1");
        let fields: BTreeMap<String, String> = lines
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length: usize = fields["Content-Length"].parse().unwrap();
        let (block, after) = rest[end + 4..].split_at(length);
        rest = after.strip_prefix(b"\r\n\r\n").unwrap();
        records.push(Record { fields, block: block.to_vec() });
    }
    records
}

pub(super) fn one<'a>(records: &'a [Record], kind: &str, path: &str) -> &'a Record {
    let mut found = records.iter().filter(|record| record.is(kind, path));
    let record = found.next().unwrap_or_else(|| panic!("no {kind} of {path} in {records:#?}"));
    assert!(found.next().is_none(), "two {kind} of {path}");
    record
}

pub(super) fn texts(records: &[Record], kind: &str) -> usize {
    records.iter().filter(|record| record.get("WARC-Type") == kind).count()
}
