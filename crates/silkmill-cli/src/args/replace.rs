//! The arguments of `silkmill replace`.

use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::args::units::bytes;
use crate::args::when::When;

const USAGE: &str = "\
silkmill replace [OPTIONS] OLD NEW [PATH]...
       silkmill replace [OPTIONS] --pairs FILE [PATH]...
       silkmill replace [OPTIONS] OLD NEW -";

const EXAMPLES: &str = "\
Examples:
  silkmill replace colour color                      every text file below \".\"
  silkmill replace -n colour color docs              show a diff, write nothing
  silkmill replace -n old new > change.patch         for `patch -p0`
  silkmill replace -l -0 old new | xargs -0 ls -l    the files that would change
  silkmill replace -e '(\\w+)@old\\.org' '$1@new.org'  regex; ${1} before a letter
  silkmill replace --fancy '(?<!un)safe' sound        where \"un\" is not before it
  silkmill replace -w -g '*.rs' -g '!gen/*' id key   whole words, chosen files
  silkmill replace -P old_name new_name              OldName, OLD_NAME, old-name
  silkmill replace --pairs names.tsv src             many texts in one pass
  silkmill replace --expect 3 v1.2.3 v1.2.4          if exactly 3 would change
  silkmill replace -U -e '\\r\\n' '\\n' notes.txt       a match that spans lines
  silkmill replace -I colour color                   ask about every change
  silkmill replace --rename old_mod new_mod src      texts and names of files
  git ls-files -z | silkmill replace a b --files-from - -0
  git diff --name-only -z --diff-filter=d | silkmill replace a b --files-from - -0
  tail -f log | silkmill replace secret '***' -      a filter
  silkmill replace -- -old -new                      text that begins with \"-\"

Exit status: 0 something was (or would be) replaced, 1 nothing matched, 2 an error, \
130 interrupted and nothing changed.";

/// Replace text in many files.
///
/// All files change, or none does, even after a crash: every changed file is first written to a
/// store; when all of them are on disk, each is exchanged with its original, which is kept for
/// `silkmill undo`. A run that was cut off is finished by the next one, or by `silkmill undo
/// --list`. Mode, owner, extended attributes, links, line ends and bytes that are not UTF-8 stay as
/// they are. UTF-16 is recognised by its byte order mark, and stays UTF-16. Binary files are passed
/// over. A read-only file is replaced like any other if its directory allows it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub(crate) struct ReplaceArgs {
    /// The text to look for
    #[arg(required_unless_present = "pairs")]
    pub(crate) old: Option<OsString>,
    /// The text to replace it with
    #[arg(required_unless_present = "pairs")]
    pub(crate) new: Option<OsString>,
    /// Files, and directories to walk [default: ., unless stdin is a pipe or a file]; "-" alone
    /// filters stdin to stdout
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// OLD is a regex; NEW may use $1 ${name} \n \t \r \\ \$ \xNN \u{N} and \U \L \u \l \E
    ///
    /// ^ and $ match at every line, also before CRLF; a match stays within its line. \n in NEW is
    /// the line end of the file, there where the match is; with -U, \n in OLD is LF or CRLF, and \R
    /// any line end. An OLD that names \r means bytes, as does \x0A. \xNN is one byte, \u{N} one
    /// character. \U and \L change the case of what follows, up to \E; \u and \l
    /// that of one character.
    #[arg(short = 'e', long, help_heading = "What to look for")]
    pub(crate) regex: bool,
    /// As -e; OLD may also have look-around, backreferences, atomic groups and \K
    ///
    /// (?=a) (?!a) (?<=a) (?<!a) look ahead and behind, \1 and \k<name> are what a group matched,
    /// (?>a) and a++ never give back, and what is before \K stays. Without -U a look ends with its
    /// line. Such a regex is found by backtracking, which takes longer, and is bounded: a file in
    /// which it takes too many steps is an error.
    #[arg(long, help_heading = "What to look for")]
    pub(crate) fancy: bool,
    /// Ignore case
    #[arg(short, long, overrides_with = "smart_case", help_heading = "What to look for")]
    pub(crate) ignore_case: bool,
    /// Ignore case unless OLD has an upper-case letter
    #[arg(short = 'S', long, overrides_with = "ignore_case", help_heading = "What to look for")]
    pub(crate) smart_case: bool,
    /// Match whole words only
    #[arg(short, long, help_heading = "What to look for")]
    pub(crate) word: bool,
    /// Also match other styles of names: old_name, OldName, OLD_NAME, oldName, old-name, Old-Name,
    /// Old name, OLDNAME, OLDName
    ///
    /// Each becomes NEW in the same style, HTTPServer in that of HttpServer. Where a name is one
    /// word, such as Colour, its style is ambiguous, and NEW as it was typed decides which one is
    /// meant. With -i, also oldname, and names whose words have different styles, such as OLD_Name.
    /// A name in no style at all, such as oLdname, is left as it is, and the summary counts it.
    #[arg(short = 'P', long, conflicts_with = "regex", help_heading = "What to look for")]
    pub(crate) preserve_case: bool,
    /// Replace many texts in one pass; FILE has two columns (.tsv, .csv), or is {"OLD": "NEW"}
    /// (.json)
    ///
    /// Where texts overlap, the leftmost is replaced, and of those that start at one place the
    /// longest. Replaced text is not searched again, so that two texts can be swapped. With -e each
    /// OLD is a regex and each NEW a template. A .tsv file has no quotes, a .csv file quotes with
    /// "". An OLD that is empty or repeated is an error that names its line. OLD and NEW are then
    /// not given on the command line.
    #[arg(long, value_name = "FILE", help_heading = "What to look for")]
    pub(crate) pairs: Option<PathBuf>,
    /// Let a regex match across lines
    #[arg(short = 'U', long, help_heading = "What to look for")]
    pub(crate) multiline: bool,
    /// Replace at most N matches in each file
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "What to look for")]
    pub(crate) max_count: Option<NonZeroU64>,

    /// Only files that match GLOB, or, with a leading "!", that do not (repeatable)
    ///
    /// A file is chosen when it matches at least one GLOB without "!", if there is any, and none
    /// with "!", whatever their order; its type, a leading dot and ignore files can still exclude
    /// it. A GLOB without "/" is matched with the file's name, and, with "!", with every directory
    /// of its path. One with "/" is matched with the path below PATH and with the path as it was
    /// typed, where "*" stops at a "/" and "**" does not. One that ends in "/" means directories,
    /// at any depth. "!" excludes everything in a directory that it matches, also what is named on
    /// the command line or in --files-from; a GLOB with "!" that excluded nothing is reported.
    #[arg(short, long, value_name = "GLOB", help_heading = "Which files")]
    pub(crate) glob: Vec<String>,
    /// Refused, with a hint: other programs have it.
    #[arg(long, alias = "exclude-dir", value_name = "GLOB", hide = true)]
    pub(crate) exclude: Option<String>,
    /// Only files of TYPE, such as rust or py (repeatable)
    ///
    /// With several, a file may be of any of them. Types also apply to files that are named on the
    /// command line.
    #[arg(short, long = "type", value_name = "TYPE", help_heading = "Which files")]
    pub(crate) types: Vec<String>,
    /// Also hidden files and directories, but never those of version control
    ///
    /// A file or directory that is named on the command line is included without this option or
    /// --no-ignore. .git, .hg, .svn, .jj, .bzr, _darcs, CVS and bare git repositories are never
    /// walked into.
    #[arg(long, help_heading = "Which files")]
    pub(crate) hidden: bool,
    /// Follow the symbolic links of the walk
    ///
    /// What a link leads to changes where it is, also outside of PATH, and the link stays a link. A
    /// file that is reached twice changes once. What "!GLOB" excludes where it really is stays
    /// excluded, as do stores and the files of version control. A link that leads nowhere, or to a
    /// directory that holds it, is passed over. Links that are named are always followed.
    #[arg(short = 'L', long, help_heading = "Which files")]
    pub(crate) follow: bool,
    /// Also files that .gitignore and .ignore exclude, which count without a repository, too
    #[arg(long, help_heading = "Which files")]
    pub(crate) no_ignore: bool,
    /// Take the files from FILE, one a line, instead of walking; "-" is stdin
    ///
    /// They are treated as if they were named on the command line: directories are walked, globs
    /// and types apply. Empty lines are skipped.
    #[arg(long, value_name = "FILE", help_heading = "Which files")]
    pub(crate) files_from: Option<PathBuf>,
    /// Names in --files-from, and those that -l and -c print, end in a NUL, not in a line end
    #[arg(short = '0', long, help_heading = "Which files")]
    pub(crate) null: bool,
    /// Read files without a byte order mark in this encoding, such as latin1, shift_jis or
    /// utf-16le; "bytes" edits bytes
    ///
    /// By default they are read as UTF-8, or as any other encoding that extends ASCII, and edited
    /// byte for byte. But a file that is not UTF-8 fails if a match may be part of one of its
    /// characters (it is a byte of 0x80 or more, or follows one and is no space, line end or most
    /// punctuation), or if NEW is not ASCII: name its encoding, or use "bytes". A byte order mark
    /// of UTF-8 or UTF-16 always decides. Only changed text is encoded anew; text that the encoding
    /// cannot represent is an error of its file.
    #[arg(long, value_name = "NAME", help_heading = "Which files")]
    pub(crate) encoding: Option<String>,
    /// What to do with a file that has a NUL and is not UTF-16: pass it over, or edit its bytes
    #[arg(long, value_name = "POLICY", value_enum, default_value_t, help_heading = "Which files")]
    pub(crate) binary: Binary,
    /// Leave files larger than BYTES alone, and report them; K, M and G are powers of 1024
    ///
    /// Without it, files over 1G are left alone only where they must be in memory as a whole: for
    /// -n, -I, a regex with -U, or an encoding other than UTF-8 and UTF-16. All others are read
    /// piece by piece.
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Which files")]
    pub(crate) max_file_size: Option<u64>,

    /// Write nothing; print a unified diff that `patch -p0` and `git apply -p0` accept
    ///
    /// If files outside of the current directory are named, the first line says in which directory
    /// the diff applies. On a terminal, long lines are cut around what changes in them.
    #[arg(short = 'n', long, help_heading = "How to run")]
    pub(crate) dry_run: bool,
    /// Ask about every change: y(es), n(o), e(dit), b(ack), f(ile: all of this one), s(kip file),
    /// a(ll that follow), q(uit), ?
    ///
    /// b asks about the change before again, also about one of the file before. q, and the end of
    /// the input, make no further change and keep those made so far; ^C keeps none. Nothing is
    /// written to any file before the last answer.
    #[arg(short = 'I', long, conflicts_with = "dry_run", help_heading = "How to run")]
    pub(crate) interactive: bool,
    /// Show N unchanged lines around each change of -n and -I [default: 3]
    #[arg(short = 'C', long = "context", value_name = "N", help_heading = "How to run")]
    pub(crate) context: Option<usize>,
    /// Also change the names of files, directories and links in which OLD matches
    ///
    /// Names and texts change in one run, all or none, and `silkmill undo` takes back both. -n
    /// shows names in a patch that `git apply -p0` accepts. The run is refused if a new name
    /// exists, or would be that of two files; with --pairs, names may change places. A directory
    /// takes everything in it along. Where a link leads is not changed. -I asks about names after
    /// all texts.
    #[arg(long, conflicts_with = "rename_only", help_heading = "How to run")]
    pub(crate) rename: bool,
    /// Change names as --rename does, and no text
    #[arg(long, help_heading = "How to run")]
    pub(crate) rename_only: bool,
    /// Change nothing unless exactly N replacements would be made
    #[arg(long, value_name = "N", help_heading = "How to run")]
    pub(crate) expect: Option<u64>,
    /// Change nothing if any file cannot be read
    #[arg(long, help_heading = "How to run")]
    pub(crate) strict: bool,
    /// What to do with a file that has several names (hard links)
    #[arg(long, value_name = "POLICY", value_enum, default_value_t, help_heading = "How to run")]
    pub(crate) hard_links: HardLinkPolicy,
    /// Do not keep the originals, which lie in ~/.local/state/silkmill for `silkmill undo`
    #[arg(long, help_heading = "How to run")]
    pub(crate) no_undo: bool,
    /// Do not force the new files to disk: sometimes faster, but not safe from a power cut
    #[arg(long, help_heading = "How to run")]
    pub(crate) no_sync: bool,
    /// Threads that read and write [default: processors + 4, at most 32]
    #[arg(short = 'j', long, value_name = "N", help_heading = "How to run")]
    pub(crate) workers: Option<NonZeroUsize>,

    /// Write nothing; print the names of the files that would change
    #[arg(
        short = 'l',
        long,
        conflicts_with_all = ["interactive", "json"],
        help_heading = "What to print"
    )]
    pub(crate) files_with_matches: bool,
    /// Write nothing; print NAME:COUNT for each file that would change
    #[arg(
        short = 'c',
        long,
        conflicts_with_all = ["interactive", "json", "files_with_matches"],
        help_heading = "What to print"
    )]
    pub(crate) count: bool,
    /// Print one JSON object for each file, and a summary
    #[arg(long, help_heading = "What to print")]
    pub(crate) json: bool,
    /// Print nothing but errors
    #[arg(short, long, help_heading = "What to print")]
    pub(crate) quiet: bool,
    /// Also name the files that are passed over
    #[arg(short, long, conflicts_with = "quiet", help_heading = "What to print")]
    pub(crate) verbose: bool,
    /// Print where the time went, and whether more workers would help
    #[arg(long, help_heading = "What to print")]
    pub(crate) stats: bool,
    /// Show how far the run is
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "What to print")]
    pub(crate) progress: When,
    /// Colour the diff
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "What to print")]
    pub(crate) color: When,
}

fn at_least_one(word: &str) -> Result<NonZeroU64, String> {
    let count: u64 = word.parse().map_err(|_| "it is no number".to_owned())?;
    NonZeroU64::new(count)
        .ok_or_else(|| "at least 1 match is replaced; -n shows what would be".to_owned())
}

impl ReplaceArgs {
    /// Returns whether names of files, or their counts, are all that is wanted.
    pub(crate) fn lists_files(&self) -> bool {
        self.files_with_matches || self.count
    }
}

/// The policy for a file that has several names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum HardLinkPolicy {
    /// All names show the new text: the file is overwritten in place, after a copy of it was made
    #[default]
    Keep,
    /// The name that was found gets a file of its own
    Split,
    /// Such a file is an error
    Refuse,
}

/// The policy for binary files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Binary {
    /// Pass them over
    #[default]
    Skip,
    /// Edit them byte for byte
    Edit,
}
