//! The selectors that can be written, and the errors of those that cannot.
//!
//! `selectors` parses them; this file decides which pseudo-classes there are. A list within `:is()`
//! or `:where()` skips an unknown selector, as in browsers, but never one that browsers know and
//! that cannot be told here: the values would be wrong without an error.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::fmt;

use cssparser::{
    BasicParseErrorKind, ParseError, ParseErrorKind, Parser as CssParser, ToCss,
    match_ignore_ascii_case, serialize_identifier,
};
use html5ever::LocalName;
use precomputed_hash::PrecomputedHash;
use selectors::parser::{PseudoElement, SelectorImpl, SelectorParseErrorKind};

use super::pseudo_class::PseudoClass;
use crate::page::problem::Problem;

type Error = ParseError<SelectorParseErrorKind>;

/// Parses one selector, and remembers what it refused.
pub(super) struct Grammar<'t> {
    text: &'t str,
    refused: RefCell<Option<Refused>>,
}

struct Refused {
    problem: Problem,
    severity: Severity,
}

/// Whether a forgiving list, such as that of `:is()`, may pass over what was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Forgivable,
    Final,
}

impl<'t> Grammar<'t> {
    pub(super) fn new(text: &'t str) -> Grammar<'t> {
        Grammar { text, refused: RefCell::default() }
    }

    /// Returns the parser's result, or the problem as a user should read it. `stopped_at` is where
    /// the parser stopped.
    pub(super) fn judge<T>(
        self,
        result: Result<T, ParseErrorKind<SelectorParseErrorKind>>,
        stopped_at: usize,
    ) -> Result<T, Problem> {
        use SelectorParseErrorKind::{InvalidState, UnsupportedPseudoClassOrElement};
        let text = self.text;
        let refused = self.refused.into_inner();
        match (result, refused) {
            (_, Some(Refused { problem, severity: Severity::Final })) => Err(problem),
            (Ok(parsed), _) => Ok(parsed),
            (
                Err(ParseErrorKind::Custom(UnsupportedPseudoClassOrElement)),
                Some(Refused { problem, .. }),
            ) => Err(problem),
            (Err(ParseErrorKind::Custom(InvalidState)), _) if text.contains("::") => {
                let at = text.find("::").unwrap_or(stopped_at);
                Err(Problem::meaning(NO_PSEUDO_ELEMENTS.to_owned(), at))
            }
            (Err(kind), _) => {
                let at = prefix_start(&kind, text).unwrap_or(stopped_at);
                Err(Problem::syntax(message(&kind).to_owned(), at))
            }
        }
    }

    /// Refuses a pseudo-class, or its argument, whose name or text is `part` of the selector. A
    /// forgiving list passes over it.
    fn refuse(&self, part: &str, message: &str) -> Error {
        self.note(part, message, Severity::Forgivable)
    }

    /// Refuses a pseudo-class wherever it stands, in a forgiving list, too.
    fn refuse_for_good(&self, part: &str, message: &str) -> Error {
        self.note(part, message, Severity::Final)
    }

    fn note(&self, part: &str, message: &str, severity: Severity) -> Error {
        let mut refused = self.refused.borrow_mut();
        if refused.as_ref().is_none_or(|earlier| earlier.severity != Severity::Final) {
            let problem = Problem::meaning(message.to_owned(), self.place(part));
            *refused = Some(Refused { problem, severity });
        }
        ParseError::custom(SelectorParseErrorKind::UnsupportedPseudoClassOrElement)
    }

    /// Returns where `part` stands with its colons. A name with an escape in it is not a slice of
    /// the selector: there the position of the first colon has to do.
    fn place(&self, part: &str) -> usize {
        let offset = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        match self.text.get(..offset) {
            Some(before) => before.trim_end_matches(':').len(),
            None => unquoted(self.text)
                .into_iter()
                .find(|&at| self.text.as_bytes()[at] == b':')
                .unwrap_or(0),
        }
    }
}

const NO_PSEUDO_ELEMENTS: &str = "a pseudo-element is not in the page; only ::text and \
                                  ::attr(NAME) may follow a selector";

/// Returns why a pseudo-class that browsers know is not supported here.
fn why_unknowable(name: &str) -> Option<&'static str> {
    match_ignore_ascii_case! { name,
        "valid" | "invalid" => Some("what a form would accept cannot be told from the page alone"),
        "target" | "target-within" | "local-link" =>
            Some("it depends on the address of the page, which a selector does not see"),
        "playing" | "paused" | "seeking" | "buffering" | "stalled" | "muted" | "volume-locked" =>
            Some("it depends on a player, and nothing is played here"),
        "host" | "host-context" | "state" | "has-slotted" =>
            Some("shadow trees and custom states are made by scripts, and none has run"),
        _ => None,
    }
}

impl<'i> selectors::Parser<'i> for Grammar<'_> {
    type Impl = Types;
    type Error = SelectorParseErrorKind;

    fn parse_is_and_where(&self) -> bool {
        true
    }

    fn parse_has(&self) -> bool {
        true
    }

    fn parse_nth_child_of(&self) -> bool {
        true
    }

    /// An `&` without a rule around it is the scope.
    fn parse_parent_selector(&self) -> bool {
        true
    }

    fn parse_non_ts_pseudo_class(&self, name: &str) -> Result<PseudoClass, Error> {
        PseudoClass::named(name).ok_or_else(|| match why_unknowable(name) {
            Some(why) => self.refuse_for_good(name, why),
            None if takes_an_argument(name) => {
                self.refuse(name, "expected an argument in parentheses")
            }
            None => self.refuse(name, "there is no such pseudo-class"),
        })
    }

    fn parse_non_ts_functional_pseudo_class(
        &self,
        name: &str,
        input: &mut CssParser<'i>,
        _after_part: bool,
    ) -> Result<PseudoClass, Error> {
        let start = input.position().byte_index();
        match PseudoClass::with_argument(name, input) {
            Some(Ok(class)) => Ok(class),
            Some(Err(expected)) => Err(self.refuse(self.text.get(start..).unwrap_or(""), expected)),
            None => Err(match why_unknowable(name) {
                Some(why) => self.refuse_for_good(name, why),
                None => self.refuse(name, "there is no such pseudo-class with an argument"),
            }),
        }
    }

    fn parse_pseudo_element(&self, name: &str) -> Result<NoPseudoElement, Error> {
        Err(self.refuse(name, NO_PSEUDO_ELEMENTS))
    }

    fn parse_functional_pseudo_element(
        &self,
        name: &str,
        _: &mut CssParser<'i>,
    ) -> Result<NoPseudoElement, Error> {
        Err(self.refuse(name, NO_PSEUDO_ELEMENTS))
    }
}

fn takes_an_argument(name: &str) -> bool {
    match_ignore_ascii_case! { name,
        "is" | "where" | "not" | "has" | "lang" | "dir" | "nth-child" | "nth-last-child"
            | "nth-of-type" | "nth-last-of-type" => true,
        _ => false,
    }
}

fn message(kind: &ParseErrorKind<SelectorParseErrorKind>) -> &'static str {
    use SelectorParseErrorKind as Kind;
    let kind = match kind {
        ParseErrorKind::Custom(kind) => kind,
        ParseErrorKind::Basic(BasicParseErrorKind::EndOfInput) => return "it ends too early",
        ParseErrorKind::Basic(_) => return "expected a selector here",
    };
    match kind {
        Kind::EmptySelector => "expected a selector",
        Kind::DanglingCombinator => "expected a selector after the combinator",
        Kind::ExpectedNamespace => "prefixes are not declared here, *| stands for any namespace",
        Kind::ClassNeedsIdent => "expected a class name",
        Kind::NoQualifiedNameInAttributeSelector | Kind::InvalidQualNameInAttr => {
            "expected the name of an attribute"
        }
        Kind::UnexpectedTokenInAttributeSelector => "expected =, ~=, |=, ^=, $=, *= or ]",
        Kind::BadValueInAttr => "expected a value: what is no name is put in quotes",
        Kind::PseudoElementExpectedIdent => "expected the name of a pseudo-class",
        _ => "expected a selector here",
    }
}

/// Returns where a name with an undeclared prefix starts. The parser only tells where it stopped.
fn prefix_start(kind: &ParseErrorKind<SelectorParseErrorKind>, text: &str) -> Option<usize> {
    if *kind != ParseErrorKind::Custom(SelectorParseErrorKind::ExpectedNamespace) {
        return None;
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '\\');
    let bars = unquoted(text)
        .into_iter()
        .filter(|&at| text.as_bytes()[at] == b'|' && text.as_bytes().get(at + 1) != Some(&b'='));
    let mut starts = bars.map(|bar| (text[..bar].trim_end_matches(is_name).len(), bar));
    starts.find(|(start, bar)| start < bar).map(|(start, _)| start)
}

/// Returns the positions of the bytes of a selector that are ASCII, not in a string and not
/// escaped.
pub(super) fn unquoted(text: &str) -> Vec<usize> {
    let mut quote = None;
    let mut escaped = false;
    let mut places = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            _ if escaped => escaped = false,
            (_, b'\\') => escaped = true,
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, _) if byte.is_ascii() => places.push(at),
            (None, _) => {}
        }
    }
    places
}

/// The types that `selectors` works with.
#[derive(Clone, Debug)]
pub(super) struct Types;

impl SelectorImpl for Types {
    type ExtraMatchingData<'a> = ();
    type AttrValue = Word;
    type Identifier = Word;
    type LocalName = Word;
    type NamespaceUrl = Word;
    type NamespacePrefix = Word;
    type BorrowedNamespaceUrl = LocalName;
    type BorrowedLocalName = LocalName;
    type NonTSPseudoClass = PseudoClass;
    type PseudoElement = NoPseudoElement;
}

/// A name or value in a selector. It is interned as those of the page are, so comparing is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word(pub(super) LocalName);

impl From<&str> for Word {
    fn from(text: &str) -> Word {
        Word(LocalName::from(text))
    }
}

impl AsRef<str> for Word {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<LocalName> for Word {
    fn borrow(&self) -> &LocalName {
        &self.0
    }
}

impl PrecomputedHash for Word {
    fn precomputed_hash(&self) -> u32 {
        self.0.precomputed_hash()
    }
}

impl ToCss for Word {
    fn to_css<W: fmt::Write>(&self, to: &mut W) -> fmt::Result {
        serialize_identifier(&self.0, to)
    }
}

/// A pseudo-element. None is supported, so the type has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoPseudoElement {}

impl ToCss for NoPseudoElement {
    fn to_css<W: fmt::Write>(&self, _: &mut W) -> fmt::Result {
        match *self {}
    }
}

impl PseudoElement for NoPseudoElement {}
