//! Regexes over the text of a page, each match at a bounded cost.
//!
//! `regex-automata` searches in a time that grows with the text, whatever the pattern. But all
//! matches of a pattern may take the square of that: each search may read to the end before it
//! knows that the match it has found is the one. So the end of a match is found by stepping through
//! a lazy DFA here, which counts the bytes it reads; what lies in between is left to the crate.

use std::fmt;

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::meta;
use regex_automata::util::captures::Captures;
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input, PatternID};

use crate::page::budget::{Values, VisitBudget};
use crate::page::problem::Problem;

/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 4096;

/// The most memory of a compiled pattern.
const PATTERN_MEMORY_MAX: usize = 4 << 20;

/// The most bytes of a page that all searches for one field read together, some of them often. A
/// step takes two to four nanoseconds.
const STEPS_MAX: u64 = 1 << 28;

/// The steps that a byte counts for where the lazy DFA cannot tell: at `\b` beside a letter that is
/// not ASCII.
const SLOW_STEPS: u64 = 16;

/// The most matches of one field. There may be one, an empty one, at every character.
const MATCHES_MAX: usize = 1 << 19;

/// A checked pattern.
pub(crate) struct Regex {
    whole: meta::Regex,
    forward: DFA,
    caches: Pool<Cache, MakeCache>,
}

type MakeCache =
    Box<dyn Fn() -> Cache + Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>;

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whole.fmt(f)
    }
}

impl Regex {
    pub(crate) fn compile(pattern: &str) -> Result<Regex, Problem> {
        Regex::compile_with(pattern, false)
    }

    /// Compiles a pattern, which may match letters of either case.
    pub(crate) fn compile_with(pattern: &str, ignores_case: bool) -> Result<Regex, Problem> {
        if pattern.len() > PATTERN_BYTES_MAX {
            let message = format!("longer than {PATTERN_BYTES_MAX} bytes");
            return Err(Problem::meaning(message, pattern.floor_char_boundary(PATTERN_BYTES_MAX)));
        }
        let syntax = regex_automata::util::syntax::Config::new().case_insensitive(ignores_case);
        let too_large = || Problem::meaning("it takes too much memory".to_owned(), 0);
        let whole = meta::Builder::new()
            .configure(meta::Config::new().nfa_size_limit(Some(PATTERN_MEMORY_MAX)))
            .syntax(syntax)
            .build(pattern)
            .map_err(|error| match error.syntax_error() {
                Some(error) => syntax_problem(error),
                None => too_large(),
            })?;
        let forward = DFA::builder()
            .configure(DFA::config().unicode_word_boundary(true).skip_cache_capacity_check(true))
            .syntax(syntax)
            .build(pattern)
            .map_err(|_| too_large())?;
        let for_caches = forward.clone();
        let make: MakeCache = Box::new(move || for_caches.create_cache());
        Ok(Regex { whole, forward, caches: Pool::new(make) })
    }

    /// Returns the first group of every match that has one, or else the match.
    pub(crate) fn evaluate(&self, text: &str) -> Values {
        let mut values = Values::default();
        let mut count = 0;
        let steps = VisitBudget::new(STEPS_MAX);
        let is_finished = self.find_all(text, &steps, |captures| {
            count += 1;
            values.push(&text[first_group(captures)]) && count < MATCHES_MAX
        });
        values.truncated |= !is_finished || count >= MATCHES_MAX;
        values
    }

    /// Returns the index of a group by its number or name.
    pub(crate) fn group(&self, name: &str) -> Option<usize> {
        let info = self.whole.group_info();
        let index = name.parse().ok().or_else(|| info.to_index(PatternID::ZERO, name))?;
        (index < info.group_len(PatternID::ZERO)).then_some(index)
    }

    /// Tells whether the pattern matches anywhere. One search never takes more than one step for
    /// each byte.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }

    /// Passes the captures of every match to `more`, until that returns false. Returns false when
    /// the steps are spent before.
    pub(crate) fn find_all(
        &self,
        text: &str,
        steps: &VisitBudget,
        mut more: impl FnMut(&Captures) -> bool,
    ) -> bool {
        let mut captures = self.whole.create_captures();
        let mut cache = self.caches.get();
        let mut at = 0;
        let mut last_end = None;
        while at <= text.len() {
            let end = match self.match_end(&mut cache, text, at, steps) {
                Scan::Match(end) => end,
                Scan::None => return true,
                Scan::Spent => return false,
                Scan::Unknown => {
                    if !steps.take_many((text.len() - at) as u64 * SLOW_STEPS) {
                        return false;
                    }
                    text.len()
                }
            };
            self.whole.search_captures(&Input::new(text).span(at..end), &mut captures);
            let Some(found) = captures.get_match() else { return true };
            // A match that is empty, right behind the last one, is none.
            let is_new = !found.is_empty() || last_end != Some(found.end());
            if is_new && !more(&captures) {
                return true;
            }
            last_end = Some(found.end());
            at = found.end();
            if found.is_empty() {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
            }
        }
        true
    }

    /// Finds where the first match from `at` on ends.
    fn match_end(&self, cache: &mut Cache, text: &str, at: usize, steps: &VisitBudget) -> Scan {
        let bytes = text.as_bytes();
        let input = Input::new(text).range(at..).anchored(Anchored::No);
        let Ok(mut state) = self.forward.start_state_forward(cache, &input) else {
            return Scan::Unknown;
        };
        let mut end = None;
        let mut read = at;
        let mut is_over = false;
        while read < bytes.len() {
            match self.forward.next_state(cache, state, bytes[read]) {
                Ok(next) => state = next,
                Err(_) => return Scan::Unknown,
            }
            if state.is_tagged() {
                match Seen::in_state(state) {
                    // A lazy DFA tells of a match one byte late.
                    Seen::Match if text.is_char_boundary(read) => end = Some(read),
                    Seen::Dead => is_over = true,
                    Seen::Quit => return Scan::Unknown,
                    Seen::Match | Seen::Nothing => {}
                }
            }
            read += 1;
            if is_over || (read - at).is_multiple_of(STEPS_AT_ONCE) && steps.are_spent() {
                break;
            }
        }
        if !steps.take_many((read - at) as u64 + 1) {
            return Scan::Spent;
        }
        if !is_over {
            match self.forward.next_eoi_state(cache, state) {
                Ok(last) if last.is_match() => end = Some(bytes.len()),
                Ok(_) => {}
                Err(_) => return Scan::Unknown,
            }
        }
        end.map_or(Scan::None, Scan::Match)
    }
}

/// How often a search looks whether steps are left.
const STEPS_AT_ONCE: usize = 1 << 20;

/// What a search found.
enum Scan {
    /// The end of the match.
    Match(usize),
    None,
    /// The lazy DFA cannot tell.
    Unknown,
    Spent,
}

/// What a tagged state of the lazy DFA means.
enum Seen {
    Match,
    Dead,
    Quit,
    Nothing,
}

impl Seen {
    fn in_state(state: LazyStateID) -> Seen {
        if state.is_match() {
            Seen::Match
        } else if state.is_dead() {
            Seen::Dead
        } else if state.is_quit() {
            Seen::Quit
        } else {
            Seen::Nothing
        }
    }
}

/// Returns the first group that took part in a match; the match itself where there are no groups.
fn first_group(captures: &Captures) -> std::ops::Range<usize> {
    let whole = captures.get_match().map_or(0..0, |found| found.range());
    let groups = captures.group_len();
    match (1..groups).find_map(|index| captures.get_group(index)) {
        Some(group) => group.range(),
        None if groups > 1 => whole.start..whole.start,
        None => whole,
    }
}

fn syntax_problem(error: &regex_syntax::Error) -> Problem {
    let (message, position) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span().start.offset),
        regex_syntax::Error::Translate(error) => {
            (error.kind().to_string(), error.span().start.offset)
        }
        other => (other.to_string(), 0),
    };
    Problem::syntax(message, position)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(pattern: &str, text: &str) -> Vec<String> {
        let values = Regex::compile(pattern).unwrap().evaluate(text);
        assert!(!values.truncated && !values.unfinished);
        values.list.iter().map(|value| value.to_string()).collect()
    }

    #[test]
    fn a_match_gives_its_first_group_or_itself() {
        for (pattern, text, expected) in [
            (r"\d+", "a 12 b 3", &["12", "3"][..]),
            (r"£(\d+)\.(\d+)", "£51.77 £3.5", &["51", "3"]),
            (r"a(x)|b(y)", "ax by", &["x", "y"]),
            (r"a(b)?", "ab a", &["b", ""]),
            (r"(?:a)(?P<n>b)", "ab", &["b"]),
            (r"(?i)É", "é É", &["é", "É"]),
            (r"\bмир\b", "мир, миры, мир", &["мир", "мир"]),
            (r"(?s)<p>(.*?)</p>", "<p>a\nb</p><p>c</p>", &["a\nb", "c"]),
            (r"(?m)^\w$", "a\nb\ncc", &["a", "b"]),
            (r"x*", "axé", &["", "x", ""]),
            (r"", "é", &["", ""]),
            (r"$", "ab", &[""]),
            (r"q", "ab", &[]),
        ] {
            assert_eq!(found(pattern, text), expected, "{pattern}");
        }
    }

    #[test]
    fn a_mistake_has_its_place() {
        for (pattern, says, position) in [
            ("a(b", "unclosed group", 1),
            ("[z-a]", "invalid character class range", 1),
            (r"(a)\1", "backreferences are not supported", 3),
            ("x(?=y)", "look-around", 1),
            ("é*+?{", "repetition", 5),
        ] {
            let problem = Regex::compile(pattern).unwrap_err();
            assert!(problem.message.contains(says), "{problem:?}");
            assert_eq!((problem.is_syntax, problem.position), (true, position), "{pattern}");
        }
        assert!(!Regex::compile(r"(\w{100}){100}").unwrap_err().is_syntax);
        assert!(!Regex::compile(&"a".repeat(5000)).unwrap_err().is_syntax);
    }

    #[test]
    fn a_text_that_makes_every_search_long_is_cut() {
        let text = "a".repeat(200_000);
        for pattern in ["a.*b|a", r"\b{start}é|a.*b|a"] {
            let values = Regex::compile(pattern).unwrap().evaluate(&text);
            assert!(values.truncated && !values.list.is_empty(), "{pattern}");
        }
        for pattern in ["(a+)+$", "(a|aa)*b", "(.*)*x"] {
            assert!(!Regex::compile(pattern).unwrap().evaluate(&text).truncated, "{pattern}");
        }
    }

    #[test]
    fn empty_matches_are_bounded() {
        let values = Regex::compile("").unwrap().evaluate(&"a".repeat(1_000_000));
        assert!(values.truncated && values.list.len() == MATCHES_MAX);
    }

    proptest! {
        #[test]
        fn matches_are_those_of_the_crate(text in "[ab é\n]{0,30}", at in 0..12usize) {
            let pattern = ["a+", "a.*b|a", "(a|b)*?b", r"\b\w+\b", r"\ba", "^a|b$", "é?", r"\B", "(?m)^.*$",
                r"a{2,3}", "[^a]", r"(a)|é(\s)"][at];
            let plain = regex::Regex::new(pattern).unwrap();
            let expected: Vec<&str> = plain.captures_iter(&text).map(|captures| {
                let first = captures.iter().skip(1).flatten().next();
                let whole = if captures.len() > 1 { "" } else { captures.get(0).unwrap().as_str() };
                first.map_or(whole, |group| group.as_str())
            }).collect();
            prop_assert_eq!(found(pattern, &text), expected, "{}", pattern);
        }
    }
}
