//! Finds literal texts, one or a thousand, in one pass over the text. Knows no replacements.
//!
//! Of several texts that begin at the same place the longest is found; of those that overlap, the
//! leftmost. The search finds parts of words, too, and this module checks their ends: where a text
//! is not a whole word, a shorter one may be.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind, StartKind};
use memchr::memmem;
use regex_automata::meta::{self, Regex};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir};

use crate::error::Error;
use crate::pattern::line::is_line_end;
use crate::pattern::regex;

/// The length of the longest character, in bytes.
pub(crate) const CHAR_LEN_MAX: usize = 4;

/// A text to search for.
#[derive(Clone, Debug)]
pub(crate) struct Literal {
    pub(crate) text: Vec<u8>,
    /// Whether letters of different case are equal.
    pub(crate) insensitive: bool,
}

/// Texts to search for at once.
#[derive(Debug)]
pub(crate) struct Literals {
    finder: Finder,
    word: bool,
    len_max: usize,
    names_line_end: bool,
}

#[derive(Debug)]
enum Finder {
    One(Box<memmem::Finder<'static>>),
    Many(AhoCorasick),
    /// Letters of different case are equal. Of two alternatives that match, a regex takes the
    /// first, so they are sorted by falling length. `places` maps them to the literals.
    Folded {
        regex: Box<Regex>,
        places: Vec<usize>,
    },
}

/// What one worker needs to search. Only a regex needs a cache.
pub(crate) type Cache = Option<Box<meta::Cache>>;

/// Which literal was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) which: usize,
    pub(crate) span: Range<usize>,
}

impl Literals {
    /// Compiles the literals. Of those that are equal, or differ only in case that does not matter,
    /// the first is found.
    pub(crate) fn new(literals: &[Literal], word: bool) -> Result<Literals, Error> {
        let names_line_end =
            literals.iter().flat_map(|literal| &literal.text).any(|&b| is_line_end(b));
        let mut len_max = literals.iter().map(|literal| literal.text.len()).max().unwrap_or(0);
        let finder = match literals {
            [one] if !one.insensitive => {
                Finder::One(Box::new(memmem::Finder::new(&one.text).into_owned()))
            }
            many if many.iter().all(|literal| !literal.insensitive) => {
                Finder::Many(automaton(many)?)
            }
            _ => {
                let (regex, places, len) = folded(literals)?;
                len_max = len;
                Finder::Folded { regex: Box::new(regex), places }
            }
        };
        Ok(Literals { finder, word, len_max, names_line_end })
    }

    pub(crate) fn cache(&self) -> Cache {
        match &self.finder {
            Finder::Folded { regex, .. } => Some(Box::new(regex.create_cache())),
            Finder::One(_) | Finder::Many(_) => None,
        }
    }

    /// Returns how many bytes from its start decide a match.
    pub(crate) fn decided_by(&self) -> usize {
        self.len_max + if self.word { CHAR_LEN_MAX } else { 0 }
    }

    /// Returns whether a match may hold a line end.
    pub(crate) fn names_line_end(&self) -> bool {
        self.names_line_end
    }

    /// Returns the first match at or after `from`. The text before `from` is its context.
    pub(crate) fn find(&self, cache: &mut Cache, text: &[u8], mut from: usize) -> Option<Hit> {
        loop {
            let found = self.search(cache, text, from..text.len(), Anchored::No)?;
            if !self.word {
                return Some(found);
            }
            let start = found.span.start;
            if starts_word(text, start)
                && let Some(word) = self.longest_word(cache, text, found)
            {
                return Some(word);
            }
            from = start + 1;
        }
    }

    /// Returns the longest literal at the place of `found` that ends where a word does.
    fn longest_word(&self, cache: &mut Cache, text: &[u8], mut found: Hit) -> Option<Hit> {
        while !ends_word(text, found.span.end) {
            let shorter = found.span.start..found.span.end - 1;
            found = self.search(cache, text, shorter, Anchored::Yes)?;
        }
        Some(found)
    }

    fn search(
        &self,
        cache: &mut Cache,
        text: &[u8],
        span: Range<usize>,
        anchored: Anchored,
    ) -> Option<Hit> {
        match &self.finder {
            // The one literal has been found here, so there is no shorter one.
            Finder::One(_) if anchored != Anchored::No => None,
            Finder::One(finder) => {
                let start = span.start + finder.find(&text[span])?;
                Some(Hit { which: 0, span: start..start + finder.needle().len() })
            }
            Finder::Many(automaton) => {
                let anchored = match anchored {
                    Anchored::No => aho_corasick::Anchored::No,
                    _ => aho_corasick::Anchored::Yes,
                };
                let input = aho_corasick::Input::new(text).span(span).anchored(anchored);
                let found = automaton.find(input)?;
                Some(Hit { which: found.pattern().as_usize(), span: found.range() })
            }
            Finder::Folded { regex, places } => {
                let cache = cache.as_mut().expect("Literals::cache made it");
                let input = Input::new(text).span(span).anchored(anchored);
                let found = regex.search_with(cache, &input)?;
                Some(Hit { which: places[found.pattern().as_usize()], span: found.range() })
            }
        }
    }
}

fn automaton(literals: &[Literal]) -> Result<AhoCorasick, Error> {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .start_kind(StartKind::Both)
        .build(literals.iter().map(|literal| &literal.text))
        .map_err(|error| Error::pattern(format!("the texts to look for are too many: {error}")))
}

/// Returns the literals as one regex, the place of each alternative, and the longest match in
/// bytes.
fn folded(literals: &[Literal]) -> Result<(Regex, Vec<usize>, usize), Error> {
    let mut places: Vec<usize> = (0..literals.len()).collect();
    // Characters are counted, since the same letter may take more bytes in another case.
    places.sort_by_key(|&place| std::cmp::Reverse(char_count(&literals[place].text)));
    let hirs: Vec<Hir> = places.iter().map(|&place| hir(&literals[place])).collect();
    let len = hirs.iter().filter_map(|hir| hir.properties().maximum_len()).max();
    Ok((regex::compile(&hirs, WhichCaptures::Implicit)?, places, len.unwrap_or(0)))
}

/// Counts characters, and bytes that belong to none.
fn char_count(text: &[u8]) -> usize {
    text.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
}

/// Returns a regex that matches the literal. Case is a property of characters: invalid UTF-8 has
/// none.
fn hir(literal: &Literal) -> Hir {
    if !literal.insensitive {
        return Hir::literal(literal.text.clone());
    }
    let mut parts = Vec::new();
    for chunk in literal.text.utf8_chunks() {
        parts.extend(chunk.valid().chars().map(any_case));
        parts.push(Hir::literal(chunk.invalid()));
    }
    Hir::concat(parts)
}

/// Returns a text that is equal for texts that differ in case alone.
pub(crate) fn folded_key(text: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for char in chunk.valid().chars() {
            let folded = if char.is_ascii() { char.to_ascii_uppercase() } else { first_case(char) };
            key.extend_from_slice(folded.encode_utf8(&mut [0; 4]).as_bytes());
        }
        key.extend_from_slice(chunk.invalid());
    }
    key
}

/// Returns the first of the characters that differ from this one in case alone.
fn first_case(char: char) -> char {
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(char, char)]);
    class.case_fold_simple();
    class.ranges().first().map_or(char, ClassUnicodeRange::start)
}

/// Returns a regex that matches a character in each of its cases.
fn any_case(char: char) -> Hir {
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(char, char)]);
    class.case_fold_simple();
    Hir::class(Class::Unicode(class))
}

/// Returns whether a word may start at `at`: no character of a word is before it. As in a regex, a
/// byte that is not valid UTF-8 may be anything, so it counts as part of the word.
fn starts_word(text: &[u8], at: usize) -> bool {
    let near = &text[at.saturating_sub(CHAR_LEN_MAX)..at];
    let starts = near.iter().rposition(|&byte| byte & 0xC0 != 0x80);
    match starts.map(|start| std::str::from_utf8(&near[start..])) {
        Some(Ok(char)) => !is_word(char),
        Some(Err(_)) => false,
        None => near.is_empty(),
    }
}

/// Returns whether a word may end at `at`.
fn ends_word(text: &[u8], at: usize) -> bool {
    let near = &text[at..text.len().min(at + CHAR_LEN_MAX)];
    let Some(chunk) = near.utf8_chunks().next() else { return true };
    !chunk.valid().is_empty() && !is_word(chunk.valid())
}

/// Returns whether the first character belongs to a word.
fn is_word(text: &str) -> bool {
    text.chars().next().is_some_and(regex_syntax::is_word_character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn literals(texts: &[&str], insensitive: bool, word: bool) -> Literals {
        let literal = |text: &&str| Literal { text: text.as_bytes().to_vec(), insensitive };
        Literals::new(&texts.iter().map(literal).collect::<Vec<_>>(), word).unwrap()
    }

    fn found(literals: &Literals, text: &[u8]) -> Vec<(usize, usize, usize)> {
        let mut cache = literals.cache();
        let (mut all, mut from) = (Vec::new(), 0);
        while let Some(Hit { which, span }) = literals.find(&mut cache, text, from) {
            from = span.end;
            all.push((which, span.start, span.end));
        }
        all
    }

    #[test]
    fn the_leftmost_is_found_and_of_those_the_longest() {
        let texts = literals(&["ab", "abcd", "bcdef", "abc"], false, false);

        assert_eq!(found(&texts, b"xabcdef ab"), [(1, 1, 5), (0, 8, 10)]);
    }

    #[test]
    fn a_shorter_word_is_found_where_the_longest_is_none() {
        for insensitive in [false, true] {
            let texts = literals(&["a", "a-b", "a-b-c"], insensitive, true);
            assert_eq!(found(&texts, b"a-b-cd a-bx xa-b"), [(1, 0, 3), (0, 7, 8)]);
        }
    }

    #[test]
    fn a_case_that_takes_more_bytes_is_found() {
        let texts = literals(&["k", "ks"], true, false);

        assert_eq!(found(&texts, "K \u{212A}\u{17F}".as_bytes()), [(0, 0, 1), (1, 2, 7)]);
        assert_eq!(texts.decided_by(), 5);
    }

    #[test]
    fn words_end_at_what_is_no_word_and_not_at_broken_bytes() {
        let texts = literals(&["old"], false, true);

        assert_eq!(found(&texts, "old \u{e9}old old\u{e9} (old) old".as_bytes()).len(), 3);
        assert_eq!(found(&texts, b"\xE9old old\xE9"), []);
    }

    proptest! {
        #[test]
        fn literals_are_found_as_a_reference_scan_finds_them(
            text in "[abA \u{e9}_-]{0,30}",
            texts in prop::collection::hash_set("[abA\u{e9}-]{1,3}", 1..6),
            word: bool,
            insensitive: bool,
        ) {
            let texts: Vec<String> = texts.into_iter().collect();
            let given: Vec<&str> = texts.iter().map(String::as_str).collect();
            let same = |a: &str, b: &str| {
                if insensitive { a.to_lowercase() == b.to_lowercase() } else { a == b }
            };
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let whole = |start: usize, end: usize| {
                !text[..start].chars().next_back().is_some_and(is_word)
                    && !text[end..].chars().next().is_some_and(is_word)
            };
            let (mut want, mut at) = (Vec::new(), 0);
            while at < text.len() {
                let ends = (at..=text.len()).rev().filter(|&end| text.is_char_boundary(end));
                let hit = ends
                    .filter(|&end| !word || whole(at, end))
                    .find_map(|end| {
                        let which = given.iter().position(|known| same(known, &text[at..end]))?;
                        Some((which, at, end))
                    });
                want.extend(hit);
                at = hit.map_or(at + text[at..].chars().next().unwrap().len_utf8(), |hit| hit.2);
            }

            prop_assert_eq!(found(&literals(&given, insensitive, word), text.as_bytes()), want);
        }
    }
}
