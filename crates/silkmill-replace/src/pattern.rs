//! What to search for, and what each match becomes, compiled and checked once.
//!
//! A pattern holds no state. What a search needs besides is a [`Cache`], of which each worker has
//! its own.

pub(crate) mod fancy;
pub(crate) mod line;
pub(crate) mod literal;
pub(crate) mod name_style;
pub(crate) mod newline;
pub(crate) mod pairs;
mod posix_class;
pub(crate) mod regex;
pub(crate) mod replacement;
mod skeleton;
pub(crate) mod syntax;
mod title_case;

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use crate::error::Error;
use crate::pattern::fancy::{Fancy, TooManySteps};
use crate::pattern::literal::{Hit, Literal, Literals};
use crate::pattern::name_style::Restyled;
use crate::pattern::newline::LineEnds;
use crate::pattern::pairs::Pair;
use crate::pattern::regex::{Parsed, Position, Regexes};
use crate::pattern::replacement::{Groups, Replacement};
use crate::pattern::syntax::{Case, Syntax};

/// What to search for, and what each match becomes.
#[derive(Debug)]
pub(crate) struct Pattern {
    matcher: Matcher,
    /// One for each text or regex.
    replacements: Vec<Replacement>,
    /// What a text in any mixture of cases becomes, where it follows the style it has. Empty unless
    /// styles are kept.
    restyled: Vec<Option<Restyled>>,
}

#[derive(Debug)]
enum Matcher {
    Literals(Literals),
    Regexes(Regexes),
    Fancy(Box<Fancy>),
}

/// What one worker needs to search with a [`Pattern`].
#[derive(Debug)]
pub(crate) enum Cache {
    Literals {
        cache: literal::Cache,
        /// How many names were found whose style cannot be told, since this was last asked.
        undecided: u64,
    },
    Regexes(Box<regex::Cache>),
    Fancy(Box<fancy::Cache>),
}

impl Cache {
    /// Returns how many names were found whose style cannot be told, and begins to count anew.
    pub(crate) fn take_undecided(&mut self) -> u64 {
        match self {
            Cache::Literals { undecided, .. } => std::mem::take(undecided),
            Cache::Regexes(_) | Cache::Fancy(_) => 0,
        }
    }

    /// Counts names whose style cannot be told.
    pub(crate) fn note_undecided(&mut self, names: u64) {
        if let Cache::Literals { undecided, .. } = self {
            *undecided += names;
        }
    }
}

/// How much of a text decides whether there is a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This many bytes from the start of the match, and the character before it. `within_line` says
    /// that no match holds a line end.
    Bytes { ahead: usize, within_line: bool },
    /// The line of the match.
    Line,
    /// The whole text.
    Text,
}

/// One match: its place, and what it becomes.
pub(crate) struct Match<'a> {
    pub(crate) span: Range<usize>,
    text: &'a [u8],
    replacement: &'a Replacement,
    groups: Option<Groups<'a>>,
    /// What `\n` writes.
    line_end: &'static [u8],
    /// What a name in a mixture of cases becomes. The inner `None` leaves it as it is.
    restyled: Option<Option<String>>,
}

impl Match<'_> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match &self.restyled {
            Some(Some(name)) => out.extend_from_slice(name.as_bytes()),
            Some(None) => out.extend_from_slice(&self.text[self.span.clone()]),
            None => self.write_replacement(out),
        }
    }

    /// Returns whether this is a name whose style cannot be told. It becomes itself.
    pub(crate) fn is_undecided(&self) -> bool {
        self.restyled == Some(None)
    }

    fn write_replacement(&self, out: &mut Vec<u8>) {
        self.replacement.write(self.text, self.groups, self.line_end, out);
    }
}

impl Pattern {
    /// Compiles one pair.
    #[cfg(test)]
    pub(crate) fn new(old: Vec<u8>, new: Vec<u8>, syntax: Syntax) -> Result<Pattern, Error> {
        Pattern::of_pairs(vec![Pair { old, new, place: None }], syntax)
    }

    /// Compiles pairs that are known to be valid.
    #[cfg(test)]
    pub(crate) fn of_texts(pairs: &[(&str, &str)], syntax: Syntax) -> Pattern {
        let pair =
            |&(old, new): &(&str, &str)| Pair { old: old.into(), new: new.into(), place: None };
        Pattern::of_pairs(pairs.iter().map(pair).collect(), syntax).unwrap()
    }

    /// Compiles everything to search for at once, and checks every replacement.
    pub(crate) fn of_pairs(pairs: Vec<Pair>, syntax: Syntax) -> Result<Pattern, Error> {
        if let Some(pair) = pairs.iter().find(|pair| pair.old.is_empty()) {
            return Err(pair.error(Error::pattern("OLD is empty: there is nothing to look for")));
        }
        if syntax.fancy {
            Pattern::of_fancy(&pairs, syntax)
        } else if syntax.regex {
            Pattern::of_regexes(&pairs, syntax)
        } else {
            Pattern::of_literals(pairs, syntax)
        }
    }

    fn of_literals(pairs: Vec<Pair>, syntax: Syntax) -> Result<Pattern, Error> {
        // The pairs of the caller come before their variants: of equal texts the first wins.
        if syntax.preserve_case && syntax.case == Case::Insensitive {
            refuse_equal(&pairs, |pair| literal::folded_key(&pair.old))?;
        }
        let mut exact =
            if syntax.preserve_case { name_style::variants(&pairs)? } else { Vec::new() };
        exact.splice(0..0, pairs);
        let (mut literals, mut replacements) = (Vec::new(), Vec::new());
        let mut restyled = Vec::new();
        let mut add = |pair: Pair, insensitive: bool| {
            if syntax.preserve_case {
                restyled.push(if insensitive { Restyled::new(&pair) } else { None });
            }
            literals.push(Literal { text: pair.old, insensitive });
            replacements.push(Replacement::literal(pair.new));
        };
        let (folded, exact): (Vec<Pair>, Vec<Pair>) =
            exact.into_iter().partition(|pair| match syntax.case {
                Case::Sensitive => false,
                Case::Insensitive => true,
                Case::Smart => !String::from_utf8_lossy(&pair.old).chars().any(char::is_uppercase),
            });
        if !syntax.preserve_case {
            refuse_equal(&folded, |pair| literal::folded_key(&pair.old))?;
        }
        exact.into_iter().for_each(|pair| add(pair, false));
        if syntax.preserve_case {
            // A text in a known style keeps its style. Any other becomes the first variant with its
            // separators.
            folded.iter().cloned().for_each(|pair| add(pair, false));
        }
        folded.into_iter().for_each(|pair| add(pair, true));
        let matcher = Matcher::Literals(Literals::new(&literals, syntax.word)?);
        Ok(Pattern { matcher, replacements, restyled })
    }

    fn of_regexes(pairs: &[Pair], syntax: Syntax) -> Result<Pattern, Error> {
        let parsed = pairs
            .iter()
            .map(|pair| Parsed::new(&pair.old, syntax).map_err(|error| pair.error(error)));
        let parsed: Vec<Parsed> = parsed.collect::<Result<_, _>>()?;
        refuse_repeated(pairs, parsed.iter().map(Parsed::key))?;
        let regexes = Regexes::new(parsed)?;
        let replacements = pairs.iter().enumerate().map(|(which, pair)| {
            let names = regexes.group_names(which);
            Replacement::parse(&pair.new, &names, regexes.means_bytes(which))
                .map_err(|error| pair.error(error))
        });
        let replacements = replacements.collect::<Result<_, _>>()?;
        let matcher = Matcher::Regexes(regexes);
        Ok(Pattern { matcher, replacements, restyled: Vec::new() })
    }

    fn of_fancy(pairs: &[Pair], syntax: Syntax) -> Result<Pattern, Error> {
        let olds: Vec<&[u8]> = pairs.iter().map(|pair| &pair.old[..]).collect();
        let fancy = Fancy::new(&olds, syntax, |which, error| pairs[which].error(error))?;
        refuse_repeated(pairs, (0..pairs.len()).map(|which| fancy.key(which)))?;
        let replacements = pairs.iter().enumerate().map(|(which, pair)| {
            Replacement::parse(&pair.new, &fancy.group_names(which), fancy.means_bytes(which))
                .map_err(|error| pair.error(error))
        });
        let replacements = replacements.collect::<Result<_, _>>()?;
        Ok(Pattern { matcher: Matcher::Fancy(Box::new(fancy)), replacements, restyled: Vec::new() })
    }

    /// Lets each match become its groups instead of a text, for one who decides later.
    pub(crate) fn give_groups(&mut self) {
        self.replacements.iter_mut().for_each(|replacement| *replacement = Replacement::groups());
    }

    /// Returns the names of the groups after the first, which is the whole match; a group without a
    /// name is `None`. A literal has no groups.
    pub(crate) fn group_names(&self) -> Vec<Option<String>> {
        match &self.matcher {
            Matcher::Literals(_) => Vec::new(),
            Matcher::Regexes(regexes) => {
                let names = regexes.group_names(0).into_iter().skip(1);
                names.map(|name| name.map(str::to_owned)).collect()
            }
            Matcher::Fancy(fancy) => {
                let names = fancy.group_names(0).into_iter().skip(1);
                names.map(|name| name.map(str::to_owned)).collect()
            }
        }
    }

    /// Returns how much of a text has to be in memory at once.
    pub(crate) fn reach(&self) -> Reach {
        match &self.matcher {
            Matcher::Literals(literals) => Reach::Bytes {
                ahead: literals.decided_by(),
                within_line: !literals.names_line_end(),
            },
            Matcher::Regexes(regexes) if regexes.may_be_streamed() => Reach::Line,
            Matcher::Fancy(fancy) if fancy.may_be_streamed() => Reach::Line,
            Matcher::Regexes(_) | Matcher::Fancy(_) => Reach::Text,
        }
    }

    pub(crate) fn cache(&self) -> Cache {
        match &self.matcher {
            Matcher::Literals(literals) => {
                Cache::Literals { cache: literals.cache(), undecided: 0 }
            }
            Matcher::Regexes(regexes) => Cache::Regexes(Box::new(regexes.cache())),
            Matcher::Fancy(fancy) => Cache::Fancy(Box::new(fancy.cache())),
        }
    }

    /// Calls `each` with every match from left to right, none overlapping, until it returns false.
    /// Fails if the search takes more steps than it may; only one by the backtracking engine does.
    pub(crate) fn for_each_match(
        &self,
        cache: &mut Cache,
        text: &[u8],
        each: impl FnMut(Match<'_>) -> bool,
    ) -> Result<(), TooManySteps> {
        self.for_each_match_from(cache, text, 0, each)
    }

    /// Does the same for the matches at or after `from`. For regexes, `from` is the start of a
    /// line.
    pub(crate) fn for_each_match_from(
        &self,
        cache: &mut Cache,
        text: &[u8],
        mut from: usize,
        mut each: impl FnMut(Match<'_>) -> bool,
    ) -> Result<(), TooManySteps> {
        match (&self.matcher, cache) {
            (Matcher::Literals(literals), Cache::Literals { cache, .. }) => {
                while let Some(Hit { which, span }) = literals.find(cache, text, from) {
                    from = span.end;
                    let replacement = &self.replacements[which];
                    let name = self.restyled.get(which).and_then(Option::as_ref);
                    let restyled = name.map(|name| name.of(&text[span.clone()]));
                    let line_end = b"\n";
                    if !each(Match { span, text, replacement, groups: None, line_end, restyled }) {
                        break;
                    }
                }
            }
            (Matcher::Regexes(regexes), Cache::Regexes(cache)) => {
                let (mut position, mut ends) = (Position::from(from), LineEnds::default());
                let needs_groups = |which: usize| self.replacements[which].needs_groups();
                while let Some((which, span)) =
                    regexes.find(cache, text, &mut position, needs_groups)
                {
                    let replacement = &self.replacements[which];
                    let groups = replacement.needs_groups().then(|| Groups::Linear(cache.groups()));
                    let line_end = replacement.line_end(&mut ends, text, span.start);
                    if !each(Match { span, text, replacement, groups, line_end, restyled: None }) {
                        break;
                    }
                }
            }
            (Matcher::Fancy(fancy), Cache::Fancy(cache)) => {
                let (mut position, mut ends) = (fancy::Position::from(from), LineEnds::default());
                let needs_groups = |which: usize| self.replacements[which].needs_groups();
                while let Some((which, span)) =
                    fancy.find(cache, text, &mut position, needs_groups)?
                {
                    let replacement = &self.replacements[which];
                    let groups = replacement.needs_groups().then(|| Groups::Fancy(cache.groups()));
                    let line_end = replacement.line_end(&mut ends, text, span.start);
                    if !each(Match { span, text, replacement, groups, line_end, restyled: None }) {
                        break;
                    }
                }
            }
            _ => unreachable!("a pattern is searched with its own cache"),
        }
        Ok(())
    }
}

/// Refuses pairs whose OLD is the same text when case is ignored: the later one would never be
/// found.
fn refuse_equal<K: Eq + Hash>(pairs: &[Pair], key: impl Fn(&Pair) -> K) -> Result<(), Error> {
    refuse_repeated(pairs, pairs.iter().map(key))
}

fn refuse_repeated<K: Eq + Hash>(
    pairs: &[Pair],
    keys: impl Iterator<Item = K>,
) -> Result<(), Error> {
    let mut seen = HashMap::new();
    for (pair, key) in pairs.iter().zip(keys) {
        if let Some(first) = seen.insert(key, pair) {
            return Err(pair.repeats(first));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
