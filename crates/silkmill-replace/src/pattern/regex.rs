//! Reads and compiles regexes, and finds their matches: of one, or of several of which the longest
//! match wins.

use std::ops::Range;

use regex_automata::meta::{self, Regex};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::captures::Captures;
use regex_automata::{Anchored, Input, PatternID};
use regex_syntax::ast::{self, Ast};
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, Look};

use crate::error::Error;
use crate::pattern::line::{self, is_line_end};
use crate::pattern::newline::Newlines;
use crate::pattern::posix_class::misspelt;
use crate::pattern::skeleton::Skeleton;
use crate::pattern::syntax::{Case, Syntax};

/// The largest compiled regex, in bytes, so that `\w{999}{999}` is an error and not a hang.
const REGEX_SIZE_MAX: usize = 10 << 20;

/// The same for several regexes at once.
const REGEXES_SIZE_MAX: usize = 32 << 20;

/// Regexes to search for at once. Of those that match at the leftmost place the longest match is
/// found, and of equally long ones the first.
#[derive(Debug)]
pub(crate) struct Regexes {
    regex: Regex,
    /// The regexes that may match at a place. `None` for one regex alone.
    rivals: Option<Rivals>,
    lines: Vec<Lines>,
    means_bytes: Vec<bool>,
    may_be_streamed: bool,
}

/// Whether a text is a sequence of lines or one whole. It is one whole if a regex that may span
/// lines names the ends of the text by `\A` or `\z`. Then there is a place after the last line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    Apart,
    Together,
}

/// What one worker needs to search.
#[derive(Debug)]
pub(crate) struct Cache {
    regex: meta::Cache,
    groups: Captures,
}

impl Cache {
    /// Returns the groups of the last match, if the search needed them.
    pub(crate) fn groups(&self) -> &Captures {
        &self.groups
    }
}

/// Where a search continues.
#[derive(Debug)]
pub(crate) struct Position {
    at: usize,
    last_end: Option<usize>,
}

impl Position {
    pub(crate) fn from(at: usize) -> Position {
        Position { at, last_end: None }
    }
}

impl Regexes {
    pub(crate) fn new(parsed: Vec<Parsed>) -> Result<Regexes, Error> {
        let lines = parsed.iter().map(|parsed| parsed.lines).collect();
        let means_bytes = parsed.iter().map(|parsed| parsed.means_bytes).collect();
        let may_be_streamed = parsed.iter().all(|parsed| parsed.may_be_streamed);
        let hirs: Vec<Hir> = parsed.into_iter().map(|parsed| parsed.hir).collect();
        let rivals = (hirs.len() > 1).then(|| Rivals::new(&hirs));
        let regex = compile(&hirs, WhichCaptures::All)?;
        Ok(Regexes { regex, rivals, lines, means_bytes, may_be_streamed })
    }

    /// Returns whether each line can be searched alone.
    pub(crate) fn may_be_streamed(&self) -> bool {
        self.may_be_streamed
    }

    /// Returns whether a regex names `\r`, so that `\n` in its replacement is the byte.
    pub(crate) fn means_bytes(&self, which: usize) -> bool {
        self.means_bytes[which]
    }

    /// Returns the names of a regex's groups, the whole match first. A group without a name is
    /// `None`.
    pub(crate) fn group_names(&self, which: usize) -> Vec<Option<&str>> {
        let id = PatternID::must(which);
        self.regex.group_info().pattern_names(id).collect()
    }

    pub(crate) fn cache(&self) -> Cache {
        Cache { regex: self.regex.create_cache(), groups: self.regex.create_captures() }
    }

    /// Returns the next match. `needs_groups` says of which regexes the groups are needed.
    pub(crate) fn find(
        &self,
        cache: &mut Cache,
        text: &[u8],
        position: &mut Position,
        needs_groups: impl Fn(usize) -> bool,
    ) -> Option<(usize, Range<usize>)> {
        loop {
            if position.at > text.len() {
                return None;
            }
            let (id, span) = self.search(cache, text, position.at, &needs_groups)?;
            // An empty match right after another match would be found again and again.
            if span.is_empty() && position.last_end == Some(span.end) {
                position.at = span.end + 1;
                position.last_end = None;
                continue;
            }
            *position = Position { at: span.end, last_end: Some(span.end) };
            let which = id.as_usize();
            if self.lines[which] == Lines::Together || !is_on_no_line(text, &span) {
                return Some((which, span));
            }
        }
    }

    fn search(
        &self,
        cache: &mut Cache,
        text: &[u8],
        from: usize,
        needs_groups: &impl Fn(usize) -> bool,
    ) -> Option<(PatternID, Range<usize>)> {
        let input = Input::new(text).range(from..);
        let Some(rivals) = &self.rivals else {
            if !needs_groups(0) {
                let found = self.regex.search_with(&mut cache.regex, &input)?;
                return Some((found.pattern(), found.range()));
            }
            self.regex.search_captures_with(&mut cache.regex, &input, &mut cache.groups);
            let found = cache.groups.get_match()?;
            return Some((found.pattern(), found.range()));
        };
        let first = self.regex.search_with(&mut cache.regex, &input)?;
        let (id, span) = self.longest(rivals, cache, text, first.start());
        if needs_groups(id.as_usize()) {
            let input = at_place(text, span.start, id);
            self.regex.search_captures_with(&mut cache.regex, &input, &mut cache.groups);
        }
        Some((id, span))
    }

    /// Returns the longest match at a place where there is one.
    fn longest(
        &self,
        rivals: &Rivals,
        cache: &mut Cache,
        text: &[u8],
        start: usize,
    ) -> (PatternID, Range<usize>) {
        let matches = rivals.at(text.get(start)).iter().filter_map(|&id| {
            let found = self.regex.search_with(&mut cache.regex, &at_place(text, start, id))?;
            Some((id, found.range()))
        });
        let longest =
            matches.reduce(|best, next| if next.1.end > best.1.end { next } else { best });
        longest.expect("one of them was found there")
    }
}

/// The regexes that may match where a certain byte is, in their order. The last list is for the end
/// of the text.
#[derive(Debug)]
struct Rivals {
    by_byte: Vec<Vec<PatternID>>,
}

impl Rivals {
    const END: usize = 256;

    fn new(hirs: &[Hir]) -> Rivals {
        let mut by_byte = vec![Vec::new(); Rivals::END + 1];
        for (which, hir) in hirs.iter().enumerate() {
            let prefixes = Extractor::new().kind(ExtractKind::Prefix).extract(hir);
            let firsts = prefixes.literals().map(|literals| {
                literals
                    .iter()
                    .map(|literal| literal.as_bytes().first())
                    .collect::<Option<Vec<_>>>()
            });
            let id = PatternID::must(which);
            match firsts.flatten() {
                Some(mut firsts) => {
                    firsts.sort_unstable();
                    firsts.dedup();
                    firsts.into_iter().for_each(|&byte| by_byte[usize::from(byte)].push(id));
                }
                // This regex may begin with any byte, or match nothing.
                None => by_byte.iter_mut().for_each(|ids| ids.push(id)),
            }
        }
        Rivals { by_byte }
    }

    fn at(&self, byte: Option<&u8>) -> &[PatternID] {
        &self.by_byte[byte.map_or(Rivals::END, |&byte| usize::from(byte))]
    }
}

fn at_place(text: &[u8], start: usize, id: PatternID) -> Input<'_> {
    Input::new(text).range(start..).anchored(Anchored::Pattern(id))
}

/// Returns whether a match belongs to no line: it is empty, and after the last line end or within a
/// CRLF. `^` would otherwise add a prefix after the last line.
pub(crate) fn is_on_no_line(text: &[u8], span: &Range<usize>) -> bool {
    let at = span.start;
    span.is_empty()
        && match (text[..at].last(), text.get(at)) {
            (before, None) => before.is_none_or(|&before| is_line_end(before)),
            (Some(b'\r'), Some(b'\n')) => true,
            _ => false,
        }
}

/// A regex that was parsed.
#[derive(Debug)]
pub(crate) struct Parsed {
    hir: Hir,
    lines: Lines,
    /// Whether the regex names `\r`.
    means_bytes: bool,
    may_be_streamed: bool,
}

impl Parsed {
    /// Returns a text that is equal for regexes that match the same, as far as that is plain.
    pub(crate) fn key(&self) -> String {
        self.hir.to_string()
    }

    pub(crate) fn new(old: &[u8], syntax: Syntax) -> Result<Parsed, Error> {
        let old = std::str::from_utf8(old).map_err(|_| {
            Error::pattern(r"OLD is not a valid regex: it is not UTF-8; write a byte as (?-u:\xNN)")
        })?;
        let newlines = Newlines::read(old);
        let old = &newlines.pattern;
        let insensitive = match syntax.case {
            Case::Sensitive => false,
            Case::Insensitive => true,
            Case::Smart => !names_upper_case(old),
        };
        let mut hir = parse(old, insensitive)?;
        if let Some(class) = misspelt(old) {
            return Err(Error::pattern(format!(
                "OLD is not a valid regex: `{class}` is a set of letters; write `[{class}]`"
            )));
        }
        if newlines.is_in_class() {
            return Err(Error::pattern(
                r"OLD is not a valid regex: `\R` is no character, so a class cannot hold it",
            ));
        }
        if syntax.multiline {
            hir = parse(&newlines.rewritten(), insensitive)?;
        }
        if !syntax.multiline {
            hir = line::confine(hir).map_err(|line::NamesLineEnd| names_line_end())?;
        }
        let names_ends =
            hir.properties().look_set().iter().any(|look| matches!(look, Look::Start | Look::End));
        let lines = if syntax.multiline && names_ends { Lines::Together } else { Lines::Apart };
        let may_be_streamed = !syntax.multiline && !names_ends;
        let means_bytes = newlines.names_return();
        Ok(Parsed { hir: in_words(hir, syntax.word), lines, means_bytes, may_be_streamed })
    }
}

pub(crate) fn names_line_end() -> Error {
    Error::pattern("OLD names a line end, and a match spans lines only with -U")
}

pub(crate) fn parse(pattern: &str, insensitive: bool) -> Result<Hir, Error> {
    let parser = || {
        regex_syntax::ParserBuilder::new()
            .utf8(false)
            .multi_line(true)
            .crlf(true)
            .case_insensitive(insensitive)
            .build()
    };
    parser().parse(pattern).map_err(|error| {
        let skeleton = Skeleton::of(pattern);
        let needs_fancy = skeleton.is_extended && parser().parse(&skeleton.pattern).is_ok();
        Error::pattern(regex_error_message(&error, needs_fancy))
    })
}

/// Adds half boundaries, so that `-w -- --flag` finds a flag: no word character before it, none
/// after it.
fn in_words(hir: Hir, word: bool) -> Hir {
    if !word {
        return hir;
    }
    Hir::concat(vec![
        Hir::look(Look::WordStartHalfUnicode),
        hir,
        Hir::look(Look::WordEndHalfUnicode),
    ])
}

/// Compiles alternatives of which the first that matches wins.
pub(crate) fn compile(hirs: &[Hir], groups: WhichCaptures) -> Result<Regex, Error> {
    let size_max = if hirs.len() == 1 { REGEX_SIZE_MAX } else { REGEXES_SIZE_MAX };
    let config = Regex::config()
        // An empty match must not split a character, or an edit would break it.
        .utf8_empty(true)
        .which_captures(groups)
        .nfa_size_limit(Some(size_max));
    Regex::builder()
        .configure(config)
        .build_many_from_hir(hirs)
        .map_err(|error| Error::pattern(format!("OLD is too large a regex: {error}")))
}

/// Returns whether a regex spells out an upper-case letter; `\W` and `\pL` do not.
pub(crate) fn names_upper_case(pattern: &str) -> bool {
    struct Seeker(bool);

    impl Seeker {
        fn see(&mut self, literal: &ast::Literal) {
            self.0 |= literal.c.is_uppercase();
        }
    }

    impl ast::Visitor for Seeker {
        type Output = bool;
        type Err = std::convert::Infallible;

        fn finish(self) -> Result<bool, Self::Err> {
            Ok(self.0)
        }

        fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
            if let Ast::Literal(literal) = ast {
                self.see(literal);
            }
            Ok(())
        }

        fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), Self::Err> {
            match item {
                ast::ClassSetItem::Literal(literal) => self.see(literal),
                ast::ClassSetItem::Range(range) => {
                    self.see(&range.start);
                    self.see(&range.end);
                }
                _ => {}
            }
            Ok(())
        }
    }

    // If the regex does not parse, the parse that compiles it reports why.
    let Ok(ast) = ast::parse::Parser::new().parse(pattern) else { return false };
    let Ok(found) = ast::visit(&ast, Seeker(false));
    found
}

/// Rewrites an error of `regex_syntax`, which has a heading, the pattern with carets below, and
/// `error: WHY`. The why comes first here, so that the first line alone says enough.
fn regex_error_message(error: &regex_syntax::Error, needs_fancy: bool) -> String {
    let message = error.to_string();
    let lead = match needs_fancy {
        true => "OLD is not a valid regex without --fancy",
        false => "OLD is not a valid regex",
    };
    let lines: Vec<&str> = message.lines().collect();
    match lines.as_slice() {
        [_, place @ .., why] => {
            let why = why.strip_prefix("error: ").unwrap_or(why);
            format!("{lead}: {why}\n{}", place.join("\n"))
        }
        _ => format!("{lead}: {message}"),
    }
}
