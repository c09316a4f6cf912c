//! Regexes with look-around, backreferences, atomic groups and `\K`, which no linear engine can
//! search for. A search is bounded: it backtracks so many times and then fails.
//!
//! Without `-U` each line is searched by itself, so that neither a match nor a look around it
//! leaves the line. A text that every match must hold, where there is one, finds the lines that are
//! worth a search.

use std::ops::Range;
use std::sync::OnceLock;

use fancy_regex::{BytesMode, Expr, Regex, RegexBuilder, RegexInput};
use memchr::memmem::Finder;
use regex_syntax::hir::Look;

use crate::error::Error;
use crate::pattern::line;
use crate::pattern::newline::Newlines;
use crate::pattern::posix_class::misspelt;
use crate::pattern::regex::{is_on_no_line, names_line_end, names_upper_case, parse};
use crate::pattern::skeleton::Skeleton;
use crate::pattern::syntax::{Case, Syntax};

/// How many times a search backtracks at most in a short text. A second has some ten millions.
const STEPS_MIN: usize = 1 << 20;

/// How many times it backtracks at most for every byte of a longer text. Every place where no match
/// begins is one step.
const STEPS_PER_BYTE: usize = 32;

/// How many bounds there are, each twice the one before.
const BOUNDS: usize = 16;

/// The largest compiled part of a regex, in bytes.
const PART_SIZE_MAX: usize = 10 << 20;

/// The most instructions of a compiled regex, which may call its groups as subroutines.
const INSTRUCTIONS_MAX: usize = 100_000;

/// A search took more steps than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManySteps;

/// Regexes to search for at once, with the rules of [`crate::pattern::regex::Regexes`]: of those
/// that match at the leftmost place the longest match is found, and of equally long ones the first.
#[derive(Debug)]
pub(crate) struct Fancy {
    regexes: Vec<Bounded>,
    lines: Lines,
    /// What every match holds, if something is known.
    needle: Option<Finder<'static>>,
}

/// What a search looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    /// Each line by itself.
    Apart,
    /// The whole text.
    Together,
}

/// A regex, compiled with as many bounds as there was a need for.
#[derive(Debug)]
struct Bounded {
    pattern: String,
    insensitive: bool,
    by_bound: [OnceLock<Regex>; BOUNDS],
    /// The names of its groups, the whole match first.
    names: Vec<Option<String>>,
    means_bytes: bool,
    /// Whether it names the start or the end of the text.
    names_ends: bool,
    /// Whether a match depends on where its search began.
    names_search_start: bool,
    key: String,
}

/// What one worker needs to search.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// The next match of each regex, by the place from where it was searched for.
    next: Vec<Option<Next>>,
    groups: Vec<Option<Range<usize>>>,
}

#[derive(Clone, Debug)]
struct Next {
    line: Range<usize>,
    from: usize,
    span: Option<Range<usize>>,
}

impl Cache {
    /// Returns the groups of the last match, if the search needed them.
    pub(crate) fn groups(&self) -> &[Option<Range<usize>>] {
        &self.groups
    }
}

/// Where a search continues.
#[derive(Debug)]
pub(crate) struct Position {
    at: usize,
    last_end: Option<usize>,
    /// The line, or the text, that is being searched.
    line: Option<Range<usize>>,
}

impl Position {
    pub(crate) fn from(at: usize) -> Position {
        Position { at, last_end: None, line: None }
    }
}

impl Fancy {
    /// Compiles the regexes. `error_of` names the one that is at fault.
    pub(crate) fn new(
        olds: &[&[u8]],
        syntax: Syntax,
        error_of: impl Fn(usize, Error) -> Error,
    ) -> Result<Fancy, Error> {
        let compile = |(which, old): (usize, &&[u8])| {
            Bounded::new(old, syntax).map_err(|error| error_of(which, error))
        };
        let regexes: Vec<Bounded> =
            olds.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
        let needle = match &regexes[..] {
            [one] => one.needle().map(|needle| Finder::new(&needle).into_owned()),
            _ => None,
        };
        let lines = if syntax.multiline { Lines::Together } else { Lines::Apart };
        Ok(Fancy { regexes, lines, needle })
    }

    /// Returns whether each line can be searched alone.
    pub(crate) fn may_be_streamed(&self) -> bool {
        self.lines == Lines::Apart && !self.regexes.iter().any(|regex| regex.names_ends)
    }

    /// Returns whether a regex names `\r`, so that `\n` in its replacement is the byte.
    pub(crate) fn means_bytes(&self, which: usize) -> bool {
        self.regexes[which].means_bytes
    }

    /// Returns the names of a regex's groups, the whole match first.
    pub(crate) fn group_names(&self, which: usize) -> Vec<Option<&str>> {
        self.regexes[which].names.iter().map(Option::as_deref).collect()
    }

    /// Returns a text that is equal for regexes that match the same, as far as that is plain.
    pub(crate) fn key(&self, which: usize) -> &str {
        &self.regexes[which].key
    }

    pub(crate) fn cache(&self) -> Cache {
        Cache { next: vec![None; self.regexes.len()], groups: Vec::new() }
    }

    /// Returns the next match. `needs_groups` says of which regexes the groups are needed.
    pub(crate) fn find(
        &self,
        cache: &mut Cache,
        text: &[u8],
        position: &mut Position,
        needs_groups: impl Fn(usize) -> bool,
    ) -> Result<Option<(usize, Range<usize>)>, TooManySteps> {
        loop {
            let line = match &position.line {
                Some(line) => line.clone(),
                None => match self.line_from(text, position.at) {
                    Some(line) => {
                        cache.next.fill(None);
                        *position = Position {
                            at: position.at.max(line.start),
                            last_end: None,
                            line: Some(line.clone()),
                        };
                        line
                    }
                    None => return Ok(None),
                },
            };
            let found = match position.at <= line.end {
                true => self.first(cache, text, &line, position.at)?,
                false => None,
            };
            let Some((which, span)) = found else {
                if self.lines == Lines::Together {
                    return Ok(None);
                }
                *position = Position::from(behind_line(text, line.end));
                continue;
            };
            let at = position.at;
            let is_repeated = span.is_empty() && position.last_end == Some(span.end);
            let is_within_char = |place| text.get(place).is_some_and(|byte| byte & 0xC0 == 0x80);
            // A match that begins before its search did is found by `\K` in a look-behind.
            if is_repeated || span.start < at || (span.is_empty() && is_within_char(span.end)) {
                position.at = at.max(span.end) + 1;
                position.last_end = None;
                continue;
            }
            position.at = span.end;
            position.last_end = Some(span.end);
            let is_elsewhere = self.lines == Lines::Together
                && !self.regexes[which].names_ends
                && is_on_no_line(text, &span);
            if is_elsewhere {
                continue;
            }
            if needs_groups(which) {
                self.regexes[which].capture(cache, text, &line, at)?;
            }
            return Ok(Some((which, span)));
        }
    }

    /// Returns the first line at or after a place that may hold a match, or all of the text.
    fn line_from(&self, text: &[u8], from: usize) -> Option<Range<usize>> {
        let needed = match &self.needle {
            Some(needle) => from + needle.find(text.get(from..)?)?,
            None => from,
        };
        if self.lines == Lines::Together {
            return (from <= text.len()).then_some(0..text.len());
        }
        let start = memchr::memrchr2(b'\r', b'\n', &text[from..needed]);
        let start = start.map_or(from, |at| from + at + 1);
        if start >= text.len() {
            return None;
        }
        let end = memchr::memchr2(b'\r', b'\n', &text[start..]);
        Some(start..end.map_or(text.len(), |end| start + end))
    }

    /// Returns the leftmost match in a line, and of those there the longest.
    fn first(
        &self,
        cache: &mut Cache,
        text: &[u8],
        line: &Range<usize>,
        at: usize,
    ) -> Result<Option<(usize, Range<usize>)>, TooManySteps> {
        let mut best: Option<(usize, Range<usize>)> = None;
        for (which, regex) in self.regexes.iter().enumerate() {
            let known = cache.next[which].as_ref().filter(|next| {
                let is_ahead = next.span.as_ref().is_none_or(|span| span.start >= at);
                next.line == *line && next.from <= at && is_ahead && !regex.names_search_start
            });
            let span = match known {
                Some(next) => next.span.clone(),
                None => {
                    let span = regex.find(text, line, at)?;
                    if self.regexes.len() > 1 {
                        let (line, span) = (line.clone(), span.clone());
                        cache.next[which] = Some(Next { line, from: at, span });
                    }
                    span
                }
            };
            let Some(span) = span else { continue };
            let is_better = best.as_ref().is_none_or(|(_, other)| {
                (span.start, std::cmp::Reverse(span.end))
                    < (other.start, std::cmp::Reverse(other.end))
            });
            if is_better {
                best = Some((which, span));
            }
        }
        Ok(best)
    }
}

/// Returns where the line after the line end at `end` begins.
fn behind_line(text: &[u8], end: usize) -> usize {
    match text.get(end..) {
        Some([b'\r', b'\n', ..]) => end + 2,
        _ => (end + 1).min(text.len()),
    }
}

impl Bounded {
    fn new(old: &[u8], syntax: Syntax) -> Result<Bounded, Error> {
        let old = std::str::from_utf8(old)
            .map_err(|_| Error::pattern("OLD is not a valid regex: it is not UTF-8"))?;
        let newlines = Newlines::read_extended(old);
        let skeleton = Skeleton::of(&newlines.pattern);
        let insensitive = match syntax.case {
            Case::Sensitive => false,
            Case::Insensitive => true,
            Case::Smart => !names_upper_case(&skeleton.pattern),
        };
        // What is wrong is said of the regex as it was typed.
        compile(&newlines.pattern, insensitive, STEPS_MIN)
            .map_err(|error| Error::pattern(message(old, &error)))?;
        if let Some(class) = misspelt(&skeleton.pattern) {
            return Err(Error::pattern(format!(
                "OLD is not a valid regex: `{class}` is a set of letters; write `[{class}]`"
            )));
        }
        if newlines.is_in_class() {
            return Err(Error::pattern(
                r"OLD is not a valid regex: `\R` is no character, so a class cannot hold it",
            ));
        }
        let hir = parse(&skeleton.pattern, insensitive).ok();
        let looks = hir.as_ref().map(|hir| hir.properties().look_set());
        let is_end = |look| matches!(look, Look::Start | Look::End);
        let names_ends = looks.is_some_and(|looks| looks.iter().any(is_end));
        if !syntax.multiline && hir.is_some_and(|hir| line::confine(hir).is_err()) {
            return Err(names_line_end());
        }
        let pattern =
            if syntax.multiline { newlines.rewritten() } else { newlines.pattern.clone() };
        let pattern = in_words(pattern, syntax.word, insensitive);
        let regex = compile(&pattern, insensitive, STEPS_MIN)
            .map_err(|error| Error::pattern(message(old, &error)))?;
        let bounded = Bounded {
            names: regex.capture_names().map(|name| name.map(str::to_owned)).collect(),
            key: format!("{insensitive} {old}"),
            pattern,
            insensitive,
            by_bound: [const { OnceLock::new() }; BOUNDS],
            means_bytes: newlines.names_return(),
            names_ends,
            names_search_start: skeleton.names_search_start,
        };
        let _ = bounded.by_bound[0].set(regex);
        Ok(bounded)
    }

    /// Returns the regex with the bound for a text of this length.
    fn for_len(&self, len: usize) -> &Regex {
        let factor = len.saturating_mul(STEPS_PER_BYTE).div_ceil(STEPS_MIN).max(1);
        let bound = factor.next_power_of_two().trailing_zeros() as usize;
        let bound = bound.min(BOUNDS - 1);
        self.by_bound[bound].get_or_init(|| {
            compile(&self.pattern, self.insensitive, STEPS_MIN << bound)
                .expect("it has been compiled with another bound")
        })
    }

    fn input<'a>(text: &'a [u8], line: &Range<usize>, at: usize) -> RegexInput<'a, [u8]> {
        RegexInput::new(&text[line.clone()])
            .from_pos(at - line.start)
            .start_text(line.start == 0)
            .end_text(line.end == text.len())
    }

    fn find(
        &self,
        text: &[u8],
        line: &Range<usize>,
        at: usize,
    ) -> Result<Option<Range<usize>>, TooManySteps> {
        let found = self.for_len(line.len()).find_input(Bounded::input(text, line, at));
        let found = found.map_err(|_| TooManySteps)?;
        Ok(found.map(|found| line.start + found.start()..line.start + found.end()))
    }

    /// Searches once more, for the groups of the match that was found.
    fn capture(
        &self,
        cache: &mut Cache,
        text: &[u8],
        line: &Range<usize>,
        at: usize,
    ) -> Result<(), TooManySteps> {
        let captures = self.for_len(line.len()).captures_input(Bounded::input(text, line, at));
        let captures = captures.map_err(|_| TooManySteps)?;
        cache.groups.clear();
        let Some(captures) = captures else { return Ok(()) };
        let group = |place| {
            let found = captures.get(place)?;
            Some(line.start + found.start()..line.start + found.end())
        };
        cache.groups.extend((0..captures.len()).map(group));
        Ok(())
    }

    /// Returns the longest text that is known to be in every match.
    fn needle(&self) -> Option<Vec<u8>> {
        if self.insensitive {
            return None;
        }
        let tree = Expr::parse_tree(&self.pattern).ok()?;
        let mut literals = Literals::default();
        literals.see(&tree.expr);
        literals.end();
        Some(literals.longest).filter(|longest| !longest.is_empty())
    }
}

/// Collects the texts that a match must hold.
#[derive(Default)]
struct Literals {
    current: Vec<u8>,
    longest: Vec<u8>,
}

impl Literals {
    fn see(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal { val, casei: false } => self.current.extend_from_slice(val.as_bytes()),
            Expr::Concat(parts) => parts.iter().for_each(|part| self.see(part)),
            Expr::Group(inner) => self.see(inner),
            Expr::Repeat { child, lo: 1.., .. } => {
                self.end();
                self.see(child);
                self.end();
            }
            _ => self.end(),
        }
    }

    fn end(&mut self) {
        let current = std::mem::take(&mut self.current);
        if current.len() > self.longest.len() {
            self.longest = current;
        }
    }
}

fn compile(pattern: &str, insensitive: bool, steps_max: usize) -> fancy_regex::Result<Regex> {
    RegexBuilder::new(pattern)
        .bytes_mode(BytesMode::UnicodeBytes)
        .multi_line(true)
        .crlf(true)
        .case_insensitive(insensitive)
        .allow_input_assertion_overrides(true)
        .backtrack_limit(steps_max)
        .delegate_size_limit(PART_SIZE_MAX)
        .max_prog_size(INSTRUCTIONS_MAX)
        .build()
}

/// Adds half boundaries, so that `-w -- --flag` finds a flag: no word character before it, none
/// after it.
fn in_words(pattern: String, word: bool, insensitive: bool) -> String {
    if !word {
        return pattern;
    }
    let within = |end: &str| format!(r"\b{{start-half}}(?:{pattern}{end})\b{{end-half}}");
    match compile(&within(""), insensitive, STEPS_MIN) {
        Ok(_) => within(""),
        // A comment at the end of a regex with spaces would take the parenthesis in.
        Err(_) => within("\n"),
    }
}

/// Says what is wrong with a regex, and where.
fn message(pattern: &str, error: &fancy_regex::Error) -> String {
    use fancy_regex::Error::{CompileError, ParseError};
    let lower = |text: String| {
        let mut chars = text.chars();
        chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
    };
    match error {
        ParseError(at, why) => {
            let column = pattern.get(..*at).map_or(0, |before| before.chars().count());
            let why = lower(why.to_string());
            format!("OLD is not a valid regex: {why}\n    {pattern}\n    {:column$}^", "")
        }
        CompileError(why) => format!("OLD is not a valid regex: {}", lower(why.to_string())),
        other => format!("OLD is not a valid regex: {}", lower(other.to_string())),
    }
}
