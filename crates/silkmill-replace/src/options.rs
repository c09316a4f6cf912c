//! What a run is to do, checked: patterns compile, groups exist, globs are well formed.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Error;
use crate::original::Reading;
use crate::pattern::Pattern;
use crate::pattern::pairs::{Pair, Pairs};
use crate::pattern::syntax::{Case, Syntax};
use crate::text::diff::CONTEXT_LINES;
use crate::text::encoding::Charset;
use crate::text::revise::Rules;
use crate::walk::filter::Filter;

/// What a run is to do. Its pattern has compiled.
///
/// ```
/// use silkmill_replace::{Case, Options};
///
/// let options = Options::builder("colour", "color").case(Case::Smart).path("docs").build()?;
/// assert!(!options.changes_nothing());
///
/// let error = Options::builder("(colour", "color").regex(true).build().unwrap_err();
/// assert!(error.to_string().contains("unclosed group"));
/// # Ok::<(), silkmill_replace::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) pattern: Arc<Pattern>,
    pub(crate) changes_nothing: bool,
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) filter: Filter,
    pub(crate) mode: Mode,
    pub(crate) context_lines: usize,
    pub(crate) expect: Option<u64>,
    pub(crate) file_replacements_max: u64,
    pub(crate) file_size_max: Option<u64>,
    pub(crate) charset: Option<Charset>,
    /// Whether changes that may break a text that is not UTF-8 are errors.
    pub(crate) guards_foreign: bool,
    /// Whether text that is not UTF-8 may hide a match: a text to search for is not ASCII, or a
    /// regex.
    pub(crate) foreign_hides: bool,
    pub(crate) edits_binary: bool,
    pub(crate) strict: bool,
    pub(crate) workers: Option<usize>,
    pub(crate) measure_cpu: bool,
    pub(crate) sync: bool,
    /// A description for people of what is replaced by what.
    pub(crate) what: String,
    pub(crate) hard_links: HardLinks,
    pub(crate) undo: bool,
    pub(crate) renames: Renames,
    pub(crate) state_directory: Option<PathBuf>,
}

/// What a run does with the new text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It writes the new text to the files.
    #[default]
    Write,
    /// It reports unified diffs, and writes nothing.
    Diff,
    /// It counts the replacements, and writes nothing.
    Count,
}

/// Whether names are changed, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Renames {
    /// Texts alone change.
    #[default]
    No,
    /// Names of files, directories and links in which the pattern matches change with the texts.
    Also,
    /// Names change, and texts do not.
    Only,
}

/// What becomes of a file that has several names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HardLinks {
    /// All names keep their file. The text is written in place, once a copy of the old text is on
    /// disk.
    #[default]
    Keep,
    /// The name that was found gets a file of its own.
    Split,
    /// Such a file fails.
    Refuse,
}

impl Options {
    /// Begins options that replace `old` with `new`. A regex and its template must be UTF-8.
    pub fn builder(old: impl Into<Vec<u8>>, new: impl Into<Vec<u8>>) -> OptionsBuilder {
        let pair = Pair { old: old.into(), new: new.into(), place: None };
        OptionsBuilder { pairs: vec![pair], ..OptionsBuilder::default() }
    }

    /// Begins options that look for `old`, and whose caller decides in a
    /// [`review`](crate::review()), or in a [`preview`](crate::preview), what each match becomes:
    /// with [`Answer::Edit`](crate::Answer::Edit). The groups of a match are
    /// [`Proposal::groups`](crate::Proposal::groups).
    pub fn asking(old: impl Into<Vec<u8>>) -> OptionsBuilder {
        OptionsBuilder { asks: true, ..Options::builder(old, "") }
    }

    /// Begins options that replace many texts in one pass. Of texts that overlap the leftmost is
    /// replaced, and of those at one place the longest. No pair sees what another pair wrote, so
    /// two texts can be swapped.
    pub fn with_pairs(pairs: Pairs) -> OptionsBuilder {
        OptionsBuilder { pairs: pairs.pairs, ..OptionsBuilder::default() }
    }

    pub(crate) fn rules(&self) -> Rules<'_> {
        Rules {
            pattern: &self.pattern,
            limit: self.file_replacements_max,
            leaves_nul: !self.edits_binary,
            guards_foreign: self.guards_foreign,
            lists_changes: false,
        }
    }

    pub(crate) fn reading(&self) -> Reading {
        Reading { charset: self.charset, leaves_nul: !self.edits_binary }
    }

    /// Returns the names of the regex's groups after the whole match, in their order; a group
    /// without a name is `None`.
    pub fn group_names(&self) -> Vec<Option<String>> {
        self.pattern.group_names()
    }

    /// Returns whether every match equals its replacement already. Then a run reads no file.
    pub fn changes_nothing(&self) -> bool {
        self.changes_nothing
    }
}

/// Collects what a run is to do: see [`Options::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct OptionsBuilder {
    pairs: Vec<Pair>,
    asks: bool,
    syntax: Syntax,
    paths: Vec<PathBuf>,
    lists_paths: bool,
    globs: Vec<String>,
    types: Vec<String>,
    hidden: bool,
    ignored: bool,
    follow: bool,
    mode: Mode,
    context_lines: Option<usize>,
    expect: Option<u64>,
    file_replacements_max: Option<u64>,
    file_size_max: Option<u64>,
    encoding: Option<String>,
    edits_binary: bool,
    strict: bool,
    workers: Option<usize>,
    measure_cpu: bool,
    no_sync: bool,
    hard_links: HardLinks,
    no_undo: bool,
    renames: Renames,
    state_directory: Option<PathBuf>,
}

impl OptionsBuilder {
    /// Reads `old` as a regex and `new` as a template: `$1 ${name} \n \t \r \\ \$ \xNN \u{N}`, and
    /// `\U \L \u \l \E` for a change of case. Otherwise both are literal.
    pub fn regex(mut self, regex: bool) -> Self {
        self.syntax.regex = regex;
        self
    }

    /// Reads `old` as a regex that may also have look-around, backreferences, atomic groups and
    /// `\K`, by the syntax of the `fancy-regex` crate, and `new` as [`OptionsBuilder::regex`] does.
    /// It is found by backtracking. A file in which that takes too many steps fails.
    pub fn fancy(mut self, fancy: bool) -> Self {
        self.syntax.fancy = fancy;
        self
    }

    /// Sets when letters of different case are equal.
    pub fn case(mut self, case: Case) -> Self {
        self.syntax.case = case;
        self
    }

    /// Finds whole words only.
    pub fn word(mut self, word: bool) -> Self {
        self.syntax.word = word;
        self
    }

    /// Also searches for the literal text in other styles of names, and writes the new one in the
    /// same style: `old_name`, `OldName`, `OLD_NAME`, `old-name`, `Old name` and so on.
    pub fn preserve_case(mut self, preserve_case: bool) -> Self {
        self.syntax.preserve_case = preserve_case;
        self
    }

    /// Lets a regex match across line ends.
    pub fn multiline(mut self, multiline: bool) -> Self {
        self.syntax.multiline = multiline;
        self
    }

    /// Adds a file, or a directory to walk. Without any path, the current directory is walked.
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Adds the paths of a list. If the list is empty and no other path was added, there is nothing
    /// to do.
    pub fn paths(mut self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        self.paths.extend(paths);
        self.lists_paths = true;
        self
    }

    /// Adds a glob that files must match, or one of several; with a leading `!`, must not match.
    /// Without a `/` it applies to their names, and with `!` to those of the directories above;
    /// otherwise to their paths below the path that was added, and to their paths as that was
    /// written. With a `/` at its end it means directories. What `!` matches is left out even if it
    /// was added itself.
    pub fn glob(mut self, glob: impl Into<String>) -> Self {
        self.globs.push(glob.into());
        self
    }

    /// Adds a file type, by ripgrep's names (`rust`, `py`). Files of no type that was added are
    /// skipped.
    pub fn file_type(mut self, name: impl Into<String>) -> Self {
        self.types.push(name.into());
        self
    }

    /// Includes hidden files and directories, except those of version control.
    pub fn hidden(mut self, hidden: bool) -> Self {
        self.hidden = hidden;
        self
    }

    /// Includes files that `.gitignore`, `.ignore` and git's own settings exclude.
    pub fn ignored(mut self, ignored: bool) -> Self {
        self.ignored = ignored;
        self
    }

    /// Follows the symbolic links that the walk finds: what they lead to is searched, and changed
    /// where it is; the links stay. A file that is reached twice changes once, and a link that
    /// leads nowhere, or to a directory that holds it, is passed over.
    pub fn follow(mut self, follow: bool) -> Self {
        self.follow = follow;
        self
    }

    /// Sets what a run does with the new text.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets how many unchanged lines a diff or a review shows around a change: 3 by default.
    pub fn context_lines(mut self, lines: usize) -> Self {
        self.context_lines = Some(lines);
        self
    }

    /// Refuses the run unless it makes exactly this many replacements.
    pub fn expect(mut self, replacements: u64) -> Self {
        self.expect = Some(replacements);
        self
    }

    /// Makes at most this many replacements in each file, from its start.
    pub fn file_replacements_max(mut self, replacements: u64) -> Self {
        self.file_replacements_max = Some(replacements);
        self
    }

    /// Reports files of more bytes than this, and leaves them alone. By default this applies to
    /// files that have to be held as a whole, and [`FILE_SIZE_MAX`](crate::FILE_SIZE_MAX) is the
    /// limit.
    pub fn file_size_max(mut self, bytes: u64) -> Self {
        self.file_size_max = Some(bytes);
        self
    }

    /// Reads files without a byte order mark in this encoding, by a label of the WHATWG's list:
    /// `latin1`, `shift_jis`, `utf-16le`. By default they are read as UTF-8 or any other extension
    /// of ASCII, byte for byte; but one that is not UTF-8 fails if a match is or follows a byte of
    /// 0x80 or more, which may be part of one of its characters, or if the new text is not ASCII.
    /// With `bytes` it is edited all the same.
    pub fn encoding(mut self, label: impl Into<String>) -> Self {
        self.encoding = Some(label.into());
        self
    }

    /// Edits files with a NUL as any other, byte for byte. By default they are skipped.
    pub fn binary(mut self, binary: bool) -> Self {
        self.edits_binary = binary;
        self
    }

    /// Refuses the run if any file cannot be read or staged, or changes meanwhile.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Sets how many threads read and stage. By default the executor decides.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Measures the CPU time of every file, on which the executor's advice depends.
    pub fn measure_cpu(mut self, measure_cpu: bool) -> Self {
        self.measure_cpu = measure_cpu;
        self
    }

    /// Forces new text to disk before it replaces the old, so that a power cut leaves one or the
    /// other. On by default.
    pub fn sync(mut self, sync: bool) -> Self {
        self.no_sync = !sync;
        self
    }

    /// Sets what becomes of files that have several names.
    pub fn hard_links(mut self, policy: HardLinks) -> Self {
        self.hard_links = policy;
        self
    }

    /// Also, or only, changes the names of files, directories and links in which the pattern
    /// matches, the deepest first, in the same transaction. The run is refused if a new name is
    /// taken, or would be that of two files.
    pub fn renames(mut self, renames: Renames) -> Self {
        self.renames = renames;
        self
    }

    /// Keeps the originals, so that the run can be undone. On by default.
    pub fn undo(mut self, undo: bool) -> Self {
        self.no_undo = !undo;
        self
    }

    /// Sets the store in which runs keep their files, if it is on the mount of the files they
    /// change. Otherwise, and by default, the store is `.silkmill` in the directory that holds all
    /// paths, or in the nearest one above that has one.
    pub fn state_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_directory = Some(path.into());
        self
    }

    /// Checks everything that can be checked without reading files.
    ///
    /// # Errors
    ///
    /// A pattern is empty or does not compile, a replacement names a group that does not exist, or
    /// a glob, file type or encoding is not known.
    pub fn build(mut self) -> Result<Options, Error> {
        self.syntax.regex |= self.syntax.fancy;
        if self.syntax.preserve_case && self.syntax.regex {
            return Err(Error::pattern(
                "a regex has no style of names to preserve: use -P without -e and --fancy",
            ));
        }
        if self.syntax.preserve_case && self.asks {
            return Err(Error::pattern("a style of names is kept of a NEW that is text"));
        }
        let edits_bytes = self.encoding.as_deref().is_some_and(is_bytes);
        let label = self.encoding.as_deref().filter(|_| !edits_bytes);
        let charset = label.map(charset).transpose()?.flatten();
        let foreign_hides = self.syntax.regex || self.pairs.iter().any(|pair| !pair.old.is_ascii());
        let exact = !self.syntax.regex && self.syntax.case == Case::Sensitive;
        let changes_nothing = exact && self.pairs.iter().all(|pair| pair.old == pair.new);
        // A directory that does not exist yet holds no runs.
        let store = self.state_directory.as_deref().and_then(|path| path.canonicalize().ok());
        let store = store.or_else(|| self.state_directory.clone());
        let mut filter = Filter::new(&self.globs, &self.types)?;
        (filter.hidden, filter.ignored) = (self.hidden, self.ignored);
        filter.follow = self.follow;
        filter.store = store;
        let here = || vec![PathBuf::from(".")];
        let asks = self.asks;
        let mut what = what(&self.pairs);
        if asks {
            what += "(asked for)";
        }
        let mut pattern = Pattern::of_pairs(self.pairs, self.syntax)?;
        if asks {
            pattern.give_groups();
        }
        Ok(Options {
            what,
            hard_links: self.hard_links,
            undo: !self.no_undo,
            renames: self.renames,
            state_directory: self.state_directory,
            pattern: Arc::new(pattern),
            changes_nothing,
            paths: if self.paths.is_empty() && !self.lists_paths { here() } else { self.paths },
            filter,
            mode: self.mode,
            context_lines: self.context_lines.unwrap_or(CONTEXT_LINES),
            expect: self.expect,
            file_replacements_max: self.file_replacements_max.unwrap_or(u64::MAX),
            file_size_max: self.file_size_max,
            charset,
            guards_foreign: !edits_bytes,
            foreign_hides: foreign_hides && !edits_bytes,
            edits_binary: self.edits_binary,
            strict: self.strict,
            workers: self.workers,
            measure_cpu: self.measure_cpu,
            sync: !self.no_sync,
        })
    }
}

/// The longest OLD or NEW that the description of a run shows, in characters.
const WHAT_LEN_MAX: usize = 40;

/// Returns `colour → color`, on one line; of several pairs the first, and the number of the others.
fn what(pairs: &[Pair]) -> String {
    let shown = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        let short: String = text.chars().take(WHAT_LEN_MAX).flat_map(char::escape_debug).collect();
        if text.chars().nth(WHAT_LEN_MAX).is_some() { format!("{short}…") } else { short }
    };
    match pairs {
        [] => String::new(),
        [Pair { old, new, .. }] => format!("{} → {}", shown(old), shown(new)),
        [Pair { old, new, .. }, rest @ ..] => {
            format!("{} → {} and {} more", shown(old), shown(new), rest.len())
        }
    }
}

fn is_bytes(label: &str) -> bool {
    label.eq_ignore_ascii_case("bytes")
}

fn charset(label: &str) -> Result<Option<Charset>, Error> {
    Charset::named(label)
        .ok_or_else(|| Error::encoding(format!("the encoding {label:?} is not known")))
}
