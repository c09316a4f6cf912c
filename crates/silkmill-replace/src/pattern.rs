//! What to look for and what it becomes, compiled and checked once.
//!
//! A pattern holds no state: what a search needs besides is a [`Cache`], one to a worker.

use std::ops::Range;

use memchr::memmem::Finder;
use regex_automata::meta::{self, Regex};
use regex_automata::util::captures::Captures;
use regex_automata::util::iter::Searcher;
use regex_automata::{Input, PatternID};
use regex_syntax::ast::{self, Ast};
use regex_syntax::hir::{Hir, Look};

use crate::error::Error;
use crate::line::{self, is_line_end};
use crate::replacement::Replacement;

/// A compiled regex larger than this is refused, so that `\w{999}{999}` is an error and not a hang.
const REGEX_SIZE_MAX: usize = 10 << 20;

/// When letters of different case are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// Never.
    #[default]
    Sensitive,
    /// Always.
    Insensitive,
    /// When the text to look for has no upper-case letter.
    Smart,
}

/// How the text to look for is to be read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Syntax {
    pub(crate) regex: bool,
    pub(crate) case: Case,
    pub(crate) word: bool,
    pub(crate) multiline: bool,
}

/// What to look for, and what it becomes.
#[derive(Debug)]
pub(crate) struct Pattern {
    matcher: Matcher,
    replacement: Replacement,
}

#[derive(Debug)]
enum Matcher {
    Literal(Box<Finder<'static>>),
    Regex { regex: Regex, lines: Lines },
}

/// Whether text is a sequence of lines, or one thing: it is when a regex that may span lines asks for
/// its ends, by `\A` or `\z`. Then there is a place behind the last line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    Apart,
    Together,
}

/// What one worker needs to search with a [`Pattern`].
#[derive(Debug)]
pub(crate) struct Cache {
    regex: Option<(meta::Cache, Captures)>,
}

/// One match: where it is, and how to write what it becomes.
pub(crate) struct Match<'a> {
    pub(crate) span: Range<usize>,
    text: &'a [u8],
    replacement: &'a Replacement,
    groups: Option<&'a Captures>,
}

impl Match<'_> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.replacement.write(self.text, self.groups, out);
    }
}

impl Pattern {
    /// Compiles `old` and checks `new` against it.
    pub(crate) fn new(old: Vec<u8>, new: Vec<u8>, syntax: Syntax) -> Result<Pattern, Error> {
        if old.is_empty() {
            return Err(Error::pattern("OLD is empty: there is nothing to look for"));
        }
        if syntax.regex {
            return Pattern::from_regex(&old, &new, syntax);
        }
        let insensitive = match syntax.case {
            Case::Sensitive => false,
            Case::Insensitive => true,
            Case::Smart => !String::from_utf8_lossy(&old).chars().any(char::is_uppercase),
        };
        let matcher = if insensitive || syntax.word {
            let hir = literal_hir(&old, insensitive)?;
            let regex = compile(&in_words(hir, syntax.word), false)?;
            Matcher::Regex { regex, lines: Lines::Together }
        } else {
            Matcher::Literal(Box::new(Finder::new(&old).into_owned()))
        };
        Ok(Pattern { matcher, replacement: Replacement::literal(new) })
    }

    fn from_regex(old: &[u8], new: &[u8], syntax: Syntax) -> Result<Pattern, Error> {
        let old = std::str::from_utf8(old).map_err(|_| {
            Error::pattern(r"OLD is not a valid regex: it is not UTF-8; write a byte as (?-u:\xNN)")
        })?;
        let insensitive = match syntax.case {
            Case::Sensitive => false,
            Case::Insensitive => true,
            Case::Smart => !names_upper_case(old),
        };
        let mut hir = parse(old, insensitive)?;
        if !syntax.multiline {
            hir = line::confine(hir).map_err(|line::NamesLineEnd| {
                Error::pattern("OLD names a line end, and a match spans lines only with -U")
            })?;
        }
        let names_ends =
            hir.properties().look_set().iter().any(|look| matches!(look, Look::Start | Look::End));
        let lines = if syntax.multiline && names_ends { Lines::Together } else { Lines::Apart };
        let regex = compile(&in_words(hir, syntax.word), true)?;
        let names: Vec<_> = regex.group_info().pattern_names(PatternID::ZERO).collect();
        let replacement = Replacement::parse(new, &names)?;
        Ok(Pattern { matcher: Matcher::Regex { regex, lines }, replacement })
    }

    pub(crate) fn cache(&self) -> Cache {
        Cache {
            regex: match &self.matcher {
                Matcher::Literal(_) => None,
                Matcher::Regex { regex, .. } => {
                    Some((regex.create_cache(), regex.create_captures()))
                }
            },
        }
    }

    /// Calls `each` with every match from left to right, none overlapping, until it says no.
    pub(crate) fn for_each_match(
        &self,
        cache: &mut Cache,
        text: &[u8],
        mut each: impl FnMut(Match<'_>) -> bool,
    ) {
        let replacement = &self.replacement;
        match &self.matcher {
            Matcher::Literal(finder) => {
                let len = finder.needle().len();
                finder
                    .find_iter(text)
                    .map(|at| Match { span: at..at + len, text, replacement, groups: None })
                    .all(each);
            }
            Matcher::Regex { regex, lines } => {
                let (cache, groups) = cache.regex.as_mut().expect("Pattern::cache made it");
                let mut searcher = Searcher::new(Input::new(text));
                let needs_groups = replacement.needs_groups();
                loop {
                    let found = searcher.advance(|input| {
                        if needs_groups {
                            regex.search_captures_with(cache, input, groups);
                            Ok(groups.get_match())
                        } else {
                            Ok(regex.search_with(cache, input))
                        }
                    });
                    let Some(found) = found else { return };
                    let span = found.range();
                    if *lines == Lines::Apart && is_on_no_line(text, &span) {
                        continue;
                    }
                    let groups = needs_groups.then_some(&*groups);
                    if !each(Match { span, text, replacement, groups }) {
                        return;
                    }
                }
            }
        }
    }
}

/// An empty match after the last line end, or within a CRLF, belongs to no line: `^` would
/// otherwise put a line's prefix behind the last line.
fn is_on_no_line(text: &[u8], span: &Range<usize>) -> bool {
    let at = span.start;
    span.is_empty()
        && match (text[..at].last(), text.get(at)) {
            (before, None) => before.is_none_or(|&before| is_line_end(before)),
            (Some(b'\r'), Some(b'\n')) => true,
            _ => false,
        }
}

fn parse(pattern: &str, insensitive: bool) -> Result<Hir, Error> {
    regex_syntax::ParserBuilder::new()
        .utf8(false)
        .multi_line(true)
        .crlf(true)
        .case_insensitive(insensitive)
        .build()
        .parse(pattern)
        .map_err(|error| Error::pattern(regex_error_words(&error)))
}

/// Bytes as they are, as a regex. Case is a property of characters: invalid UTF-8 has none.
fn literal_hir(bytes: &[u8], insensitive: bool) -> Result<Hir, Error> {
    if !insensitive {
        return Ok(Hir::literal(bytes));
    }
    let mut parts = Vec::new();
    for chunk in bytes.utf8_chunks() {
        parts.push(parse(&regex_syntax::escape(chunk.valid()), true)?);
        parts.push(Hir::literal(chunk.invalid()));
    }
    Ok(Hir::concat(parts))
}

/// Half boundaries, so that `-w -- --flag` finds a flag: no word character before, none after.
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

fn compile(hir: &Hir, groups: bool) -> Result<Regex, Error> {
    use regex_automata::nfa::thompson::WhichCaptures;

    let which = if groups { WhichCaptures::All } else { WhichCaptures::Implicit };
    let config = Regex::config()
        // An empty match never splits a character, or an edit would break it.
        .utf8_empty(true)
        .which_captures(which)
        .nfa_size_limit(Some(REGEX_SIZE_MAX));
    Regex::builder()
        .configure(config)
        .build_from_hir(hir)
        .map_err(|error| Error::pattern(format!("OLD is too large a regex: {error}")))
}

/// Whether a regex spells out an upper-case letter; `\W` and `\pL` do not.
fn names_upper_case(pattern: &str) -> bool {
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

    // A regex that does not parse is reported by the parse that compiles it.
    let Ok(ast) = ast::parse::Parser::new().parse(pattern) else { return false };
    let Ok(found) = ast::visit(&ast, Seeker(false));
    found
}

/// `regex_syntax` gives a heading, the pattern with carets below, and `error: WHY`. Here the why
/// comes first, so that the first line alone says enough.
fn regex_error_words(error: &regex_syntax::Error) -> String {
    let words = error.to_string();
    let lines: Vec<&str> = words.lines().collect();
    match lines.as_slice() {
        [_, place @ .., why] => {
            let why = why.strip_prefix("error: ").unwrap_or(why);
            format!("OLD is not a valid regex: {why}\n{}", place.join("\n"))
        }
        _ => format!("OLD is not a valid regex: {words}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(old: &str, syntax: Syntax, text: &str) -> Vec<(usize, usize)> {
        let pattern = Pattern::new(old.into(), Vec::new(), syntax).unwrap();
        let mut spans = Vec::new();
        pattern.for_each_match(&mut pattern.cache(), text.as_bytes(), |found| {
            spans.push((found.span.start, found.span.end));
            true
        });
        spans
    }

    fn error(old: &str, new: &str) -> String {
        let syntax = Syntax { regex: true, ..Syntax::default() };
        Pattern::new(old.into(), new.into(), syntax).unwrap_err().to_string()
    }

    const REGEX: Syntax =
        Syntax { regex: true, case: Case::Sensitive, word: false, multiline: false };

    #[test]
    fn a_literal_has_no_special_characters() {
        assert_eq!(spans("a.c$", Syntax::default(), "abc$ a.c$"), [(5, 9)]);
    }

    #[test]
    fn ignoring_case_knows_unicode_and_leaves_invalid_bytes_exact() {
        let syntax = Syntax { case: Case::Insensitive, ..Syntax::default() };
        assert_eq!(spans("é.", syntax, "É. éx"), [(0, 3)]);

        let pattern = Pattern::new(b"a\xFF".to_vec(), Vec::new(), syntax).unwrap();
        let mut found = 0;
        pattern.for_each_match(&mut pattern.cache(), b"A\xFF a\xFE", |_| {
            found += 1;
            true
        });
        assert_eq!(found, 1);
    }

    #[test]
    fn smart_case_looks_at_letters_and_not_at_classes() {
        let smart = Syntax { case: Case::Smart, ..Syntax::default() };
        let smart_regex = Syntax { case: Case::Smart, ..REGEX };

        assert_eq!(spans("foo", smart, "Foo foo").len(), 2);
        assert_eq!(spans("Foo", smart, "Foo foo").len(), 1);
        assert_eq!(spans(r"fo\wX?", smart_regex, "Foo foo").len(), 1);
        assert_eq!(spans(r"fo\w\W?", smart_regex, "Foo foo").len(), 2);
        assert_eq!(spans(r"[F]oo", smart_regex, "Foo foo").len(), 1);
    }

    #[test]
    fn whole_words_bind_every_alternative_and_allow_symbols() {
        let word = Syntax { word: true, ..Syntax::default() };
        let word_regex = Syntax { word: true, ..REGEX };

        assert_eq!(spans("foo", word, "foo foobar xfoo foo"), [(0, 3), (16, 19)]);
        assert_eq!(spans("--flag", word, "a --flag --flags"), [(2, 8)]);
        assert_eq!(spans("a|b", word_regex, "a ab b"), [(0, 1), (5, 6)]);
    }

    #[test]
    fn anchors_match_at_every_line_whatever_ends_it() {
        assert_eq!(spans("^b$", REGEX, "a\r\nb\r\nb\nb"), [(3, 4), (6, 7), (8, 9)]);
        assert_eq!(spans(r"\s+$", REGEX, "a \t\r\nb\n \n"), [(1, 3), (7, 8)]);
    }

    #[test]
    fn a_match_leaves_its_line_only_when_it_may() {
        let multiline = Syntax { multiline: true, ..REGEX };

        assert_eq!(spans(r"a[^x]*", REGEX, "a1\r\nb\na"), [(0, 2), (6, 7)]);
        assert_eq!(spans(r"a(?s).*", REGEX, "a1\r\nb"), [(0, 2)]);
        assert_eq!(spans(r"a[^x]*", multiline, "a1\r\nb\na"), [(0, 7)]);
        assert_eq!(spans(r"a.*", multiline, "a1\r\nb"), [(0, 2)]);
        assert!(error(r"a\nb", "").contains("-U"));
    }

    #[test]
    fn an_empty_match_after_the_last_line_end_is_on_no_line() {
        let multiline = Syntax { multiline: true, ..REGEX };

        assert_eq!(spans("^", REGEX, "a\nb\n"), [(0, 0), (2, 2)]);
        assert_eq!(spans("$", REGEX, "a\r\nb"), [(1, 1), (4, 4)]);
        assert_eq!(spans("x*", REGEX, "a\r\n"), [(0, 0), (1, 1)]);
        assert_eq!(spans("^$", REGEX, ""), Vec::new());
        for text in ["a\nb\n", "a\r\nb", "\n", "", "a\r\n\r\n"] {
            for regex in ["^", "$", "^$", "x*", "^|$"] {
                assert_eq!(
                    spans(regex, multiline, text),
                    spans(regex, REGEX, text),
                    "{regex} {text:?}"
                );
            }
        }
        assert_eq!(spans(r"\z", multiline, "a\nb\n"), [(4, 4)]);
        assert_eq!(spans(r"\A", multiline, ""), [(0, 0)]);
    }

    #[test]
    fn an_empty_match_never_splits_a_character() {
        assert_eq!(spans("x*", REGEX, "éx"), [(0, 0), (2, 3)]);
    }

    #[test]
    fn a_bad_regex_says_why_and_points_at_the_place() {
        assert_eq!(
            error("foo(bar", ""),
            "OLD is not a valid regex: unclosed group\n    foo(bar\n       ^"
        );
        assert!(error(r"\w{999}{999}", "").contains("too large"));
    }

    #[test]
    fn an_empty_text_to_look_for_is_an_error() {
        assert!(Pattern::new(Vec::new(), b"x".to_vec(), Syntax::default()).is_err());
    }
}
