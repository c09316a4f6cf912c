//! Decides the format and the packing of the rows: by `--format`, or by the name of the output.

use std::path::Path;

use anyhow::{Result, bail};

use crate::args::Format;
use crate::sink::packing::Packing;

/// The names of standard output.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// The format of the rows, and how they are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) format: Format,
    pub(super) packing: Packing,
}

/// Returns whether a path is a name of standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    STDOUT.iter().any(|name| path == Path::new(name))
}

impl Form {
    /// Returns the form of the rows at `path`, or on standard output.
    pub(super) fn of(given: Option<Format>, path: Option<&Path>) -> Result<Form> {
        let Some(path) = path else {
            return Ok(Form { format: given.unwrap_or(Format::Text), packing: Packing::None });
        };
        let packing = extension(path).map_or(Packing::None, |name| Packing::of_extension(&name));
        let unpacked = match packing {
            Packing::None => path.to_owned(),
            _ => path.with_extension(""),
        };
        let format = match (given, extension(&unpacked).as_deref()) {
            (Some(format), _) => format,
            (None, None | Some("txt" | "tsv" | "text")) => Format::Text,
            (None, Some("jsonl" | "ndjson")) => Format::Jsonl,
            (None, Some("json")) => Format::Json,
            (None, Some("csv")) => Format::Csv,
            (None, Some("sqlite" | "sqlite3" | "db")) => Format::Sqlite,
            (None, Some(_)) => {
                bail!("failed to tell the format of {path:?} by its name: give --format")
            }
        };
        if packing != Packing::None && matches!(format, Format::Json | Format::Sqlite) {
            bail!("failed to pack {path:?}: only lines can be packed (jsonl, csv and text)");
        }
        Ok(Form { format, packing })
    }
}

fn extension(path: &Path) -> Option<String> {
    // A name that is no text has an extension that we do not know.
    path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(given: Option<Format>, name: &str) -> Result<Form> {
        Form::of(given, Some(Path::new(name)))
    }

    #[test]
    fn the_extension_says_the_format() {
        for (name, format, packing) in [
            ("a.jsonl", Format::Jsonl, Packing::None),
            ("a.NDJSON", Format::Jsonl, Packing::None),
            ("a.json", Format::Json, Packing::None),
            ("a.txt", Format::Text, Packing::None),
            ("a", Format::Text, Packing::None),
            ("/dev/null", Format::Text, Packing::None),
            ("a.csv", Format::Csv, Packing::None),
            ("a.db", Format::Sqlite, Packing::None),
            ("a.SQLite", Format::Sqlite, Packing::None),
            ("a.jsonl.gz", Format::Jsonl, Packing::Gzip),
            ("a.ndjson.ZST", Format::Jsonl, Packing::Zstd),
            ("a.csv.zst", Format::Csv, Packing::Zstd),
            ("b.x/a.gz", Format::Text, Packing::Gzip),
        ] {
            assert_eq!(form(None, name).unwrap(), Form { format, packing }, "{name}");
        }
        assert_eq!(form(Some(Format::Jsonl), "a.gz").unwrap().packing, Packing::Gzip);
        assert_eq!(form(Some(Format::Csv), "a.jsonl").unwrap().format, Format::Csv);
    }

    #[test]
    fn what_we_do_not_know_is_not_guessed() {
        for (name, says) in [
            ("a.xlsx", "--format"),
            ("a.parquet", "--format"),
            ("a.xml.gz", "--format"),
            ("a.json.gz", "only lines"),
            ("a.db.zst", "only lines"),
        ] {
            let error = form(None, name).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
