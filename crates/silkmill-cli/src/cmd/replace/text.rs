//! Prints a run for people: changes on standard output, the rest on standard error.

use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use silkmill_replace::{Action, Outcome, Summary};

use crate::cmd::replace::fit::fitted;
use crate::cmd::replace::stdout::Stdout;
use crate::messages::{count, in_one_line};

pub(crate) const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const CYAN: &str = "\x1b[36m";
pub(crate) const REVERSE: &str = "\x1b[7m";
pub(crate) const RESET: &str = "\x1b[0m";

/// The amount of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

/// What is printed of each file that would change, instead of a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    Names,
    Counts,
}

pub(crate) struct Text {
    verbosity: Verbosity,
    coloured: bool,
    /// The listing, and whether its names end in a NUL.
    listing: Option<(Listing, bool)>,
    is_terminal: bool,
}

impl Text {
    pub(crate) fn new(
        verbosity: Verbosity,
        coloured: bool,
        listing: Option<(Listing, bool)>,
    ) -> Text {
        Text { verbosity, coloured, listing, is_terminal: io::stdout().is_terminal() }
    }

    pub(crate) fn outcome(&self, outcome: &Outcome, out: &mut Stdout) {
        match &outcome.action {
            Action::Failed(error) => out.stderr(format_args!("silkmill: {error}")),
            Action::Skipped(reason) if self.verbosity == Verbosity::Verbose => {
                out.stderr(format_args!("silkmill: passed over {:?}: {reason}", outcome.path));
            }
            Action::Changed if self.verbosity >= Verbosity::Normal => {
                let count = count(outcome.replacements, "replacement");
                out.write(format!("{}: {count}\n", in_one_line(&outcome.path)).as_bytes());
            }
            Action::Renamed { to } if self.verbosity >= Verbosity::Normal => {
                let (from, to) = (in_one_line(&outcome.path), in_one_line(to));
                out.write(format!("{from} -> {to}: renamed\n").as_bytes());
            }
            Action::WouldChange { .. } | Action::WouldMove { .. } if self.listing.is_some() => {
                self.list(outcome, out);
            }
            Action::WouldChange { diff } | Action::WouldMove { diff } => match out.columns() {
                Some(columns) => self.diff(&fitted(diff, columns), out),
                None => self.diff(diff, out),
            },
            _ => {}
        }
    }

    fn diff(&self, diff: &[u8], out: &mut Stdout) {
        match self.coloured {
            true => out.write(&coloured(diff)),
            false => out.write(diff),
        }
    }

    /// Says where a patch applies, in a line that `patch` and `git apply` pass over.
    pub(crate) fn patch_directory(&self, directory: &Path, out: &mut Stdout) {
        if self.listing.is_some() {
            return;
        }
        let directory = in_one_line(directory);
        out.write(format!("# apply with: patch -p0 -d '{directory}'\n").as_bytes());
    }

    /// Prints the name of a file as it is, so that other programs can open it. On a terminal, no
    /// name can steer it.
    fn list(&self, outcome: &Outcome, out: &mut Stdout) {
        let Some((listing, ends_in_nul)) = self.listing else { return };
        if self.verbosity == Verbosity::Quiet {
            return;
        }
        let mut line = match ends_in_nul || !self.is_terminal {
            true => outcome.path.as_os_str().as_bytes().to_vec(),
            false => in_one_line(&outcome.path).into_bytes(),
        };
        if ends_in_nul {
            line.push(0);
        }
        match listing {
            Listing::Names if ends_in_nul => {}
            Listing::Names => line.push(b'\n'),
            Listing::Counts => {
                let colon = if ends_in_nul { "" } else { ":" };
                line.extend(format!("{colon}{}\n", outcome.replacements).bytes());
            }
        }
        out.write(&line);
    }

    pub(crate) fn summary(&self, summary: &Summary, dry_run: bool, out: &mut Stdout) {
        if self.verbosity > Verbosity::Quiet {
            out.stderr(message(summary, dry_run));
        }
    }

    pub(crate) fn nothing_to_do(&self, out: &mut Stdout) {
        if self.verbosity > Verbosity::Quiet {
            out.stderr("silkmill: OLD and NEW are the same: nothing to do");
        }
    }
}

fn message(summary: &Summary, dry_run: bool) -> String {
    if summary.files_seen == 0 {
        return "no file to look at (see -g, -t, --hidden and --no-ignore for those left out)"
            .to_owned();
    }
    let seen = count(summary.files_seen, "file");
    let mut message = if summary.replacements == 0 && summary.declined > 0 {
        format!("nothing replaced: {} declined in {seen}", count(summary.declined, "change"))
    } else if summary.replacements == 0 {
        let nothing = if summary.files_failed == 0 { "no match" } else { "nothing replaced" };
        format!("{nothing} in {seen}")
    } else {
        let made = count(summary.replacements, "replacement");
        let changed = count(summary.files_changed, "file");
        let would = if dry_run { "would make " } else { "" };
        let renamed = count(summary.renamed, "name");
        match (summary.files_changed, summary.renamed) {
            (_, 0) => format!("{would}{made} in {changed} of {}", summary.files_seen),
            (0, _) => format!("{would}{made} in {renamed} of {}", summary.files_seen),
            _ => format!("{would}{made} in {changed} of {} and in {renamed}", summary.files_seen),
        }
    };
    if summary.replacements > 0 && summary.declined > 0 {
        message += &format!(", {} declined", count(summary.declined, "change"));
    }
    if summary.ended_early {
        message += ", and no more looked at";
    }
    if summary.files_skipped > 0 {
        message += &format!(", {} passed over", summary.files_skipped);
    }
    if summary.files_failed > 0 {
        message += &format!(", {} failed", summary.files_failed);
    }
    if summary.names_undecided > 0 {
        let left = count(summary.names_undecided, "name");
        message += &format!("; {left} left, in no style that is known");
    }
    if summary.files_foreign > 0 {
        let are = if summary.files_foreign == 1 { "is" } else { "are" };
        message += &format!(
            "; {} {are} not UTF-8, and may hide a match: see --encoding",
            count(summary.files_foreign, "file")
        );
    }
    if let Some(run) = &summary.run {
        message += "; undo with: silkmill undo";
        // Without its name, a run is found from the directories of its files.
        if !summary.is_here {
            message += &format!(" {run}");
        }
    }
    message
}

fn coloured(diff: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(diff.len() * 2);
    let mut is_header = true;
    for line in diff.split_inclusive(|&byte| byte == b'\n') {
        // Below the first hunk's line, `---` and `+++` are text of the file.
        is_header &= !line.starts_with(b"@@");
        let colour = if is_header { BOLD } else { colour_of(line) };
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let reset = if colour.is_empty() { "" } else { RESET };
        out.extend_from_slice(&[colour.as_bytes(), text, reset.as_bytes(), b"\n"].concat());
    }
    out
}

/// Colours a line of a hunk.
pub(crate) fn coloured_line(line: &str) -> String {
    match colour_of(line.as_bytes()) {
        "" => line.to_owned(),
        colour => format!("{colour}{line}{RESET}"),
    }
}

pub(crate) fn colour_of(line: &[u8]) -> &'static str {
    match line.first() {
        Some(b'-') => RED,
        Some(b'+') => GREEN,
        Some(b'@') => CYAN,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_line_of_dashes_is_no_header() {
        let lines = coloured(b"--- f\n+++ f\n@@ -1 +1 @@\n--- x\n+y\n same\n");
        let lines = String::from_utf8(lines).unwrap();

        assert!(lines.starts_with("\x1b[1m--- f\x1b[0m\n\x1b[1m+++ f\x1b[0m\n\x1b[36m@@"));
        assert!(lines.ends_with("\x1b[31m--- x\x1b[0m\n\x1b[32m+y\x1b[0m\n same\n"));
    }
}
