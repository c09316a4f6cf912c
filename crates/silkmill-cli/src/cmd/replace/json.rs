//! Prints a run for programs (`--json`): one object a line, the summary last.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use silkmill_replace::{Action, Outcome, Progress};

use crate::cmd::replace::stdout::Stdout;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Record<'a> {
    File {
        path: JsonPath<'a>,
        action: &'static str,
        replacements: u64,
        bytes_before: u64,
        bytes_after: u64,
        reason: Option<String>,
    },
    Rename {
        path: JsonPath<'a>,
        to: JsonPath<'a>,
        action: &'static str,
        replacements: u64,
    },
    Summary {
        run: Option<&'a str>,
        files_seen: u64,
        files_changed: u64,
        /// Left out of a run that changes no names.
        #[serde(skip_serializing_if = "Option::is_none")]
        renamed: Option<u64>,
        files_skipped: u64,
        files_failed: u64,
        replacements: u64,
        elapsed_seconds: f64,
    },
}

/// A path in JSON, whose text must be Unicode, while a path need not be.
#[derive(Serialize)]
#[serde(untagged)]
enum JsonPath<'a> {
    Text(&'a str),
    Bytes { bytes: String },
}

impl JsonPath<'_> {
    fn new(path: &Path) -> JsonPath<'_> {
        match path.to_str() {
            Some(text) => JsonPath::Text(text),
            None => JsonPath::Bytes { bytes: STANDARD.encode(path.as_os_str().as_bytes()) },
        }
    }
}

/// Counts what it prints, so that a run that was refused or interrupted has a summary, too.
pub(crate) struct Json {
    started: Instant,
    files_seen: u64,
    files_changed: u64,
    /// `None` in a run that changes no names.
    renamed: Option<u64>,
    files_skipped: u64,
    files_failed: u64,
    replacements: u64,
}

impl Json {
    pub(crate) fn new(renames: bool) -> Json {
        Json {
            started: Instant::now(),
            files_seen: 0,
            files_changed: 0,
            renamed: renames.then_some(0),
            files_skipped: 0,
            files_failed: 0,
            replacements: 0,
        }
    }

    pub(crate) fn progress(&mut self, now: &Progress) {
        self.files_seen = now.files_seen;
    }

    pub(crate) fn outcome(&mut self, outcome: &Outcome, out: &mut Stdout) {
        self.count(outcome);
        let (action, reason) = match &outcome.action {
            Action::Changed => ("changed", None),
            Action::WouldChange { .. } => ("would-change", None),
            Action::Skipped(reason) => ("skipped", Some(reason.to_string())),
            Action::Failed(error) => ("failed", Some(error.to_string())),
            Action::Renamed { to } => return rename(outcome, to, "renamed", out),
            Action::WouldRename { to } => return rename(outcome, to, "would-rename", out),
            _ => return,
        };
        if let Action::Failed(error) = &outcome.action {
            out.stderr(format_args!("silkmill: {error}"));
        }
        let record = Record::File {
            path: JsonPath::new(&outcome.path),
            action,
            replacements: outcome.replacements,
            bytes_before: outcome.bytes_before,
            bytes_after: outcome.bytes_after,
            reason,
        };
        write(&record, out);
    }

    fn count(&mut self, outcome: &Outcome) {
        match outcome.action {
            Action::Changed | Action::WouldChange { .. } => {
                self.files_changed += 1;
                self.replacements += outcome.replacements;
            }
            Action::Renamed { .. } | Action::WouldRename { .. } => {
                self.renamed = self.renamed.map(|renamed| renamed + 1);
                self.replacements += outcome.replacements;
            }
            Action::Skipped(_) => self.files_skipped += 1,
            Action::Failed(_) => self.files_failed += 1,
            _ => {}
        }
    }

    pub(crate) fn summary(&self, run: Option<&str>, out: &mut Stdout) {
        let record = Record::Summary {
            run,
            files_seen: self.files_seen,
            files_changed: self.files_changed,
            renamed: self.renamed,
            files_skipped: self.files_skipped,
            files_failed: self.files_failed,
            replacements: self.replacements,
            elapsed_seconds: self.started.elapsed().as_secs_f64(),
        };
        write(&record, out);
    }
}

fn rename(outcome: &Outcome, to: &Path, action: &'static str, out: &mut Stdout) {
    let (path, to) = (JsonPath::new(&outcome.path), JsonPath::new(to));
    write(&Record::Rename { path, to, action, replacements: outcome.replacements }, out);
}

fn write(record: &Record<'_>, out: &mut Stdout) {
    let mut line = serde_json::to_vec(record).expect("a record has only keys that are text");
    line.push(b'\n');
    out.write(&line);
}
