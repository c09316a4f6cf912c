//! Where rows go: a file or stdout, as text or JSON lines.

mod jsonl;
mod text;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Result, bail};
use silkmill_scrape::Row;

use crate::args::Format;
use crate::words::reason;

/// Whose rows they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fetch,
    Scrape,
}

/// Writes rows, each whole and at once, so that whoever reads along sees it and whatever ends the
/// process leaves whole rows behind.
pub(crate) struct Sink {
    kind: Kind,
    format: Format,
    to: Box<dyn Write>,
    name: String,
    line: Vec<u8>,
}

impl Sink {
    /// Opens the output; `-` is stdout. A file that exists is left alone unless `force` is set, and
    /// one that is also the input is left alone in any case.
    pub(crate) fn open(
        kind: Kind,
        format: Option<Format>,
        output: Option<&Path>,
        force: bool,
        is_input: impl FnOnce(&File) -> bool,
    ) -> Result<Sink> {
        let output = output.filter(|path| *path != Path::new("-"));
        let format = match (format, output) {
            (Some(format), _) => format,
            (None, None) => Format::Text,
            (None, Some(path)) => format_of(path)?,
        };
        let (to, name): (Box<dyn Write>, _) = match output {
            None => (Box::new(io::stdout()), "standard output".to_owned()),
            Some(path) => (create(path, force, is_input)?, format!("{path:?}")),
        };
        Ok(Sink { kind, format, to, name, line: Vec::new() })
    }

    pub(crate) fn write(&mut self, row: &Row) -> io::Result<()> {
        self.line.clear();
        match (self.format, self.kind) {
            (Format::Text, Kind::Fetch) => text::fetched(row, &mut self.line),
            (Format::Text, Kind::Scrape) => text::scraped(row, &mut self.line),
            (Format::Jsonl, kind) => jsonl::record(row, kind, &mut self.line),
        }
        self.to.write_all(&self.line)?;
        self.to.flush()
    }

    /// What errors call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

fn format_of(path: &Path) -> Result<Format> {
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    match extension.as_ref().map(|extension| extension.to_str()) {
        None | Some(Some("txt" | "tsv" | "text")) => Ok(Format::Text),
        Some(Some("jsonl" | "ndjson")) => Ok(Format::Jsonl),
        Some(_) => bail!("failed to tell the format of {path:?} by its name: give --format"),
    }
}

fn create(
    path: &Path,
    force: bool,
    is_input: impl FnOnce(&File) -> bool,
) -> Result<Box<dyn Write>> {
    let mut options = OpenOptions::new();
    options.write(true);
    match force {
        // Not truncated before it is known not to be the input.
        true => options.create(true).truncate(false),
        false => options.create_new(true),
    };
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("failed to create {path:?}: it exists (--force overwrites it)")
        }
        Err(error) => bail!("failed to create {path:?}: {}", reason(&error)),
    };
    if is_input(&file) {
        bail!("failed to create {path:?}: it is the input");
    }
    // A device or a pipe has nothing to lose, and cannot be cut.
    let has_length = force && file.metadata().is_ok_and(|metadata| metadata.is_file());
    if has_length && let Err(error) = file.set_len(0) {
        bail!("failed to empty {path:?}: {}", reason(&error));
    }
    Ok(Box::new(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_says_the_format() {
        for (name, format) in [
            ("a.jsonl", Format::Jsonl),
            ("a.NDJSON", Format::Jsonl),
            ("a.txt", Format::Text),
            ("a", Format::Text),
            ("/dev/stdout", Format::Text),
        ] {
            assert_eq!(format_of(Path::new(name)).unwrap(), format, "{name}");
        }
    }

    #[test]
    fn an_extension_we_do_not_know_is_not_guessed() {
        for name in ["a.csv", "a.db", "a.json"] {
            let error = format_of(Path::new(name)).unwrap_err();
            assert!(error.to_string().contains("--format"), "{error}");
        }
    }
}
