//! The words of `silkmill replace`.

use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::args::When;

const EXAMPLES: &str = "\
Examples:
  silkmill replace colour color                      every text file below \".\"
  silkmill replace -n colour color docs              show the change as a diff, write nothing
  silkmill replace -n old new > change.patch         for `patch -p0` or `git apply -p0`
  silkmill replace -e '(\\w+)@old\\.org' '$1@new.org'  a regex; ${1} where a letter follows
  silkmill replace -w -g '*.rs' -g '!gen/*' id key   whole words, chosen files
  silkmill replace --expect 3 v1.2.3 v1.2.4          refuse unless exactly 3 would change
  silkmill replace -U -e '\\r\\n' '\\n' notes.txt        a match that spans lines
  silkmill replace -- -old -new                      text that begins with a dash

Exit status: 0 something was (or would be) replaced, 1 nothing matched, 2 an error, 130 interrupted
and nothing changed.";

/// Replace text in many files.
///
/// All files change, or none does, whatever crashes: every changed file is first written to a store; when
/// all of them are on disk, each changes places with its original, which is kept for `silkmill undo`. A
/// run that is cut off is finished by the next one, or by `silkmill undo --list`. Mode, owner, extended attributes, links, line ends and bytes that are no
/// UTF-8 stay as they are. Binary and UTF-16 files are passed over; a read-only file is replaced like
/// any other if its directory allows it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReplaceArgs {
    /// The text to look for
    pub(crate) old: OsString,
    /// What to put in its place
    pub(crate) new: OsString,
    /// Files, and directories to walk [default: .]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// OLD is a regex; NEW knows $1 ${name} \n \t \r \\ \$ \xNN \u{N} and \U \L \u \l \E
    ///
    /// ^ and $ match at every line, CRLF included; a match stays within its line. \xNN is one byte,
    /// \u{N} one character. \U and \L change the case of what follows, up to \E; \u and \l that of
    /// one character.
    #[arg(short = 'e', long, help_heading = "What to look for")]
    pub(crate) regex: bool,
    /// Ignore case
    #[arg(short, long, overrides_with = "smart_case", help_heading = "What to look for")]
    pub(crate) ignore_case: bool,
    /// Ignore case unless OLD has an upper-case letter
    #[arg(short = 'S', long, overrides_with = "ignore_case", help_heading = "What to look for")]
    pub(crate) smart_case: bool,
    /// Whole words only
    #[arg(short, long, help_heading = "What to look for")]
    pub(crate) word: bool,
    /// Let a regex match across lines
    #[arg(short = 'U', long, help_heading = "What to look for")]
    pub(crate) multiline: bool,
    /// Replace at most N matches in each file
    #[arg(long, value_name = "N", help_heading = "What to look for")]
    pub(crate) max_count: Option<NonZeroU64>,

    /// Only files that match GLOB, or with a leading "!" do not (repeatable)
    ///
    /// A file is chosen when it matches at least one GLOB without "!", if there is any, and none with
    /// "!", whatever their order; its type, a leading dot and ignore files can still leave it out. A
    /// GLOB without "/" is matched with the file's name; one with "/" with its path below PATH, where
    /// "*" stops at a "/" and "**" does not. "!" also leaves all that is in a directory it matches.
    /// Globs count for files that are named, too.
    #[arg(short, long, value_name = "GLOB", help_heading = "Which files")]
    pub(crate) glob: Vec<String>,
    /// Only files of TYPE, such as rust or py (repeatable)
    ///
    /// With several, of any of them. It counts for files that are named, too.
    #[arg(short, long = "type", value_name = "TYPE", help_heading = "Which files")]
    pub(crate) types: Vec<String>,
    /// Also hidden files and directories; .git never
    ///
    /// A file or directory that is named need not be asked for with this or with --no-ignore.
    #[arg(long, help_heading = "Which files")]
    pub(crate) hidden: bool,
    /// Also files that .gitignore and .ignore exclude
    #[arg(long, help_heading = "Which files")]
    pub(crate) no_ignore: bool,
    /// Leave files larger than BYTES alone, and report them; K, M and G may follow [default: 1G]
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Which files")]
    pub(crate) max_file_size: Option<u64>,

    /// Write nothing; print a unified diff that `patch -p0` and `git apply -p0` accept
    #[arg(short = 'n', long, help_heading = "How to run")]
    pub(crate) dry_run: bool,
    /// Change nothing unless exactly N replacements would be made
    #[arg(long, value_name = "N", help_heading = "How to run")]
    pub(crate) expect: Option<u64>,
    /// Change nothing if any file cannot be read
    #[arg(long, help_heading = "How to run")]
    pub(crate) strict: bool,
    /// What becomes of a file that has several names
    #[arg(long, value_name = "POLICY", value_enum, default_value_t, help_heading = "How to run")]
    pub(crate) hard_links: HardLinkPolicy,
    /// Do not keep the originals for `silkmill undo`
    #[arg(long, help_heading = "How to run")]
    pub(crate) no_undo: bool,
    /// Do not force the new files to disk: faster at times, and not safe from a power cut
    #[arg(long, help_heading = "How to run")]
    pub(crate) no_sync: bool,
    /// Threads that read and write [default: processors + 4, at most 32]
    #[arg(short = 'j', long, value_name = "N", help_heading = "How to run")]
    pub(crate) workers: Option<NonZeroUsize>,

    /// Print one JSON object for each file, and a summary
    #[arg(long, help_heading = "What to print")]
    pub(crate) json: bool,
    /// Print nothing but errors
    #[arg(short, long, help_heading = "What to print")]
    pub(crate) quiet: bool,
    /// Name the files that are passed over, too
    #[arg(short, long, conflicts_with = "quiet", help_heading = "What to print")]
    pub(crate) verbose: bool,
    /// Say whether more workers would help, as measured
    #[arg(long, help_heading = "What to print")]
    pub(crate) stats: bool,
    /// Show how far the run is
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "What to print")]
    pub(crate) progress: When,
    /// Colour the diff
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "What to print")]
    pub(crate) color: When,
}

/// What becomes of a file that has several names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum HardLinkPolicy {
    /// All names show the new text: the file is written in place, after a copy of it was made
    #[default]
    Keep,
    /// The name that was found gets a file of its own
    Split,
    /// Such a file is an error
    Refuse,
}

/// `4096`, `64K`, `10M` or `1G`; a K is 1024.
fn bytes(word: &str) -> Result<u64, String> {
    let (digits, unit) = match word.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&word[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&word[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&word[..at], 1 << 30),
        _ => (word, 1),
    };
    let number: u64 = digits.parse().map_err(|error| format!("{error}"))?;
    number.checked_mul(unit).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        let claims = [("0", 0), ("4096", 4096), ("2k", 2048), ("3M", 3 << 20), ("1G", 1 << 30)];
        for (word, want) in claims {
            assert_eq!(bytes(word), Ok(want), "{word}");
        }
        for word in ["", "K", "-1", "1T", "1 K", "1KB", "99999999999999G"] {
            assert!(bytes(word).is_err(), "{word}");
        }
    }
}
