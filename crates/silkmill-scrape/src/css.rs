//! CSS selectors: compiled once, matched on many pages.
//!
//! Parsing and matching are those of `selectors`, the crate that browsers match with. Here the tree
//! is shown to it, with every look counted. There is no style, no focus and no shadow tree, so the
//! pseudo-classes about them and all pseudo-elements are refused; the structural ones, `:is`,
//! `:where`, `:not` and `:has` work. Names of attributes are those of HTML, in lower case; classes
//! and ids are compared as written.

use std::borrow::Borrow;
use std::fmt;

use cssparser::{ParseErrorKind, Parser as CssParser, ToCss, serialize_identifier};
use html5ever::LocalName;
use precomputed_hash::PrecomputedHash;
use selectors::attr::{AttrSelectorOperation, CaseSensitivity, NamespaceConstraint};
use selectors::bloom::BloomFilter;
use selectors::context::{
    MatchingContext, MatchingForInvalidation, MatchingMode, NeedsSelectorFlags, QuirksMode,
    SelectorCaches,
};
use selectors::matching::{ElementSelectorFlags, matches_selector_list};
use selectors::parser::{
    NonTSPseudoClass, ParseRelative, PseudoElement, SelectorImpl, SelectorList,
    SelectorParseErrorKind,
};
use selectors::{Element, OpaqueElement};

use crate::budget::{LOOKS_MAX, Looks, Values};
use crate::document::{Document, Kind, NodeId};
use crate::problem::Problem;

/// Longest selector, in bytes. `cssparser` bounds the nesting.
pub(crate) const SELECTOR_BYTES_MAX: usize = 4096;

/// A checked selector, and what is wanted of the elements it matches.
#[derive(Debug)]
pub(crate) struct Css {
    selectors: SelectorList<Page>,
    attribute: Option<String>,
}

impl Css {
    /// Compiles `SELECTOR` or `SELECTOR@attr`. An `@` outside of quotes has no meaning in CSS, so
    /// the last one with a name after it up to the end starts the attribute.
    pub(crate) fn compile(text: &str) -> Result<Css, Problem> {
        if text.len() > SELECTOR_BYTES_MAX {
            let message = format!("longer than {SELECTOR_BYTES_MAX} bytes");
            return Err(Problem::meaning(message, text.floor_char_boundary(SELECTOR_BYTES_MAX)));
        }
        let (selector, attribute) = match text.rsplit_once('@') {
            Some((selector, name)) if is_attribute_name(name) => {
                (selector, Some(name.to_ascii_lowercase()))
            }
            _ => (text, None),
        };
        let mut input = CssParser::new(selector);
        let selectors = input
            .parse_entirely(|input| SelectorList::parse(&Grammar, input, ParseRelative::No))
            .map_err(|error| {
                let stopped_at = input.position().byte_index();
                problem(&error.kind, place(&error.kind, selector).unwrap_or(stopped_at))
            })?;
        Ok(Css { selectors, attribute })
    }

    /// The text, or the attribute where there is one, of every match in document order.
    pub(crate) fn evaluate(&self, document: &Document) -> Values {
        let looks = Looks::new(LOOKS_MAX);
        let mut caches = SelectorCaches::default();
        let mut context = MatchingContext::new(
            MatchingMode::Normal,
            None,
            &mut caches,
            QuirksMode::NoQuirks,
            NeedsSelectorFlags::No,
            MatchingForInvalidation::No,
        );
        let mut values = Values::default();
        for id in document.descendants(Document::ROOT).filter(|&id| document.is_element(id)) {
            let element = CssElement { document, looks: &looks, id };
            if !looks.take() {
                return Values::unfinished();
            }
            let matches = matches_selector_list(&self.selectors, element, &mut context);
            if matches && !self.read(document, id).is_none_or(|value| values.push(value)) {
                break;
            }
        }
        if looks.are_spent() { Values::unfinished() } else { values }
    }

    fn read<'a>(&self, document: &'a Document, id: NodeId) -> Option<&'a str> {
        match &self.attribute {
            Some(name) => document.attribute_named(id, name),
            None => Some(document.text(id)),
        }
    }
}

fn is_attribute_name(name: &str) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':');
    name.bytes().next().is_some_and(is_start)
        && name.bytes().all(|byte| is_start(byte) || byte.is_ascii_digit() || b"-.".contains(&byte))
}

/// Where the culprit of an error starts. The parser only says where it stopped, which is after it.
fn place(kind: &ParseErrorKind<SelectorParseErrorKind>, text: &str) -> Option<usize> {
    let unquoted = unquoted(text);
    let bytes = text.as_bytes();
    let is_name_end = |c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_'));
    let mut starts = unquoted.iter().copied();
    match kind {
        ParseErrorKind::Custom(SelectorParseErrorKind::UnsupportedPseudoClassOrElement) => starts
            .find(|&at| {
                let name = text[at..].trim_start_matches(':');
                let name = &name[..name.find(is_name_end).unwrap_or(name.len())];
                let is_known = PSEUDO_CLASSES.contains(&name.to_ascii_lowercase().as_str())
                    && !text[at..].starts_with("::");
                bytes[at] == b':' && !is_known
            }),
        ParseErrorKind::Custom(SelectorParseErrorKind::ExpectedNamespace) => {
            let bar = starts.find(|&at| bytes[at] == b'|' && bytes.get(at + 1) != Some(&b'='))?;
            let before = text[..bar].char_indices().rev();
            Some(before.take_while(|&(_, c)| !is_name_end(c)).last().map_or(bar, |(at, _)| at))
        }
        _ => None,
    }
}

/// The pseudo-classes that are supported.
const PSEUDO_CLASSES: &[&str] = &[
    "empty",
    "first-child",
    "first-of-type",
    "has",
    "is",
    "last-child",
    "last-of-type",
    "not",
    "nth-child",
    "nth-last-child",
    "nth-last-of-type",
    "nth-of-type",
    "only-child",
    "only-of-type",
    "root",
    "scope",
    "where",
];

/// The places of the bytes of a selector that are ASCII and not in a string.
fn unquoted(text: &str) -> Vec<usize> {
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

fn problem(kind: &ParseErrorKind<SelectorParseErrorKind>, position: usize) -> Problem {
    let message = match kind {
        ParseErrorKind::Custom(SelectorParseErrorKind::EmptySelector) => "expected a selector",
        ParseErrorKind::Custom(SelectorParseErrorKind::DanglingCombinator) => {
            "expected a selector after the combinator"
        }
        ParseErrorKind::Custom(SelectorParseErrorKind::UnsupportedPseudoClassOrElement) => {
            let message = "this pseudo-class or pseudo-element is not supported \
                           (SELECTOR gives the text, SELECTOR@attr an attribute)";
            return Problem::meaning(message.to_owned(), position);
        }
        ParseErrorKind::Custom(SelectorParseErrorKind::ExpectedNamespace) => {
            let message = "a name has no prefix here, it matches in every namespace";
            return Problem::meaning(message.to_owned(), position);
        }
        ParseErrorKind::Custom(SelectorParseErrorKind::ClassNeedsIdent) => "expected a class name",
        ParseErrorKind::Custom(_) => "expected a selector here",
        ParseErrorKind::Basic(_) => "expected a selector here",
    };
    Problem::syntax(message.to_owned(), position)
}

/// The selectors this crate reads: those of `selectors`, without any pseudo-class of its own.
struct Grammar;

impl<'i> selectors::Parser<'i> for Grammar {
    type Impl = Page;
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

    /// A typing error within `:is()` is an error, not an empty list.
    fn allow_forgiving_selectors(&self) -> bool {
        false
    }
}

/// The types that `selectors` works with.
#[derive(Clone, Debug)]
struct Page;

impl SelectorImpl for Page {
    type ExtraMatchingData<'a> = ();
    type AttrValue = Word;
    type Identifier = Word;
    type LocalName = Word;
    type NamespaceUrl = Word;
    type NamespacePrefix = Word;
    type BorrowedNamespaceUrl = LocalName;
    type BorrowedLocalName = LocalName;
    type NonTSPseudoClass = Unsupported;
    type PseudoElement = Unsupported;
}

/// A name or value in a selector. Interned as those of the page are, so comparing is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Word(LocalName);

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

/// A pseudo-class or pseudo-element of our own: there is none, so there is no such value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Unsupported {}

impl ToCss for Unsupported {
    fn to_css<W: fmt::Write>(&self, _: &mut W) -> fmt::Result {
        match *self {}
    }
}

impl NonTSPseudoClass for Unsupported {
    fn is_active_or_hover(&self) -> bool {
        match *self {}
    }

    fn is_user_action_state(&self) -> bool {
        match *self {}
    }
}

impl PseudoElement for Unsupported {}

/// An element as `selectors` sees it.
#[derive(Clone, Copy, Debug)]
struct CssElement<'a> {
    document: &'a Document,
    looks: &'a Looks,
    id: NodeId,
}

impl<'a> CssElement<'a> {
    /// The first element among `ids`. When the looks are spent there is none, so that matching
    /// soon comes to its end.
    fn first_element(self, ids: impl Iterator<Item = NodeId>) -> Option<CssElement<'a>> {
        let mut ids = ids.take_while(|_| self.looks.take());
        ids.find(|&id| self.document.is_element(id)).map(|id| CssElement { id, ..self })
    }

    /// The value of an attribute, which counts as a look.
    fn attribute(self, name: &str) -> Option<&'a str> {
        let value = self.document.attribute_named(self.id, name)?;
        self.looks.take_text(value).then_some(value)
    }
}

impl Element for CssElement<'_> {
    type Impl = Page;

    fn opaque(&self) -> OpaqueElement {
        OpaqueElement::new(&self.document.nodes[self.id as usize])
    }

    fn parent_element(&self) -> Option<Self> {
        self.first_element(self.document.parent(self.id).into_iter())
    }

    fn prev_sibling_element(&self) -> Option<Self> {
        let previous = |&id: &NodeId| self.document.previous_sibling(id);
        self.first_element(std::iter::successors(previous(&self.id), previous))
    }

    fn next_sibling_element(&self) -> Option<Self> {
        let next = |&id: &NodeId| self.document.next_sibling(id);
        self.first_element(std::iter::successors(next(&self.id), next))
    }

    fn first_element_child(&self) -> Option<Self> {
        self.first_element(self.document.children(self.id))
    }

    fn is_html_element_in_html_document(&self) -> bool {
        self.document.kind(self.id) == Kind::Html
    }

    fn has_local_name(&self, name: &LocalName) -> bool {
        self.document.name(self.id) == name
    }

    fn has_namespace(&self, _: &LocalName) -> bool {
        true
    }

    fn is_same_type(&self, other: &Self) -> bool {
        self.document.name(self.id) == other.document.name(other.id)
    }

    fn attr_matches(
        &self,
        _: &NamespaceConstraint<&Word>,
        name: &Word,
        operation: &AttrSelectorOperation<&Word>,
    ) -> bool {
        self.attribute(&name.0).is_some_and(|value| operation.eval_str(value))
    }

    fn has_id(&self, id: &Word, case: CaseSensitivity) -> bool {
        self.attribute("id").is_some_and(|value| case.eq(value.as_bytes(), id.0.as_bytes()))
    }

    fn has_class(&self, class: &Word, case: CaseSensitivity) -> bool {
        self.attribute("class").is_some_and(|classes| {
            let mut classes = classes.split_ascii_whitespace();
            classes.any(|value| case.eq(value.as_bytes(), class.0.as_bytes()))
        })
    }

    fn is_empty(&self) -> bool {
        let document = self.document;
        document.children(self.id).all(|child| document.kind(child) == Kind::Comment)
    }

    fn is_root(&self) -> bool {
        self.document.parent(self.id) == Some(Document::ROOT)
    }

    fn match_non_ts_pseudo_class(&self, pc: &Unsupported, _: &mut MatchingContext<Page>) -> bool {
        match *pc {}
    }

    fn match_pseudo_element(&self, pe: &Unsupported, _: &mut MatchingContext<Page>) -> bool {
        match *pe {}
    }

    fn apply_selector_flags(&self, _: ElementSelectorFlags) {}

    fn add_element_unique_hashes(&self, _: &mut BloomFilter) -> bool {
        false
    }

    fn parent_node_is_shadow_root(&self) -> bool {
        false
    }

    fn containing_shadow_host(&self) -> Option<Self> {
        None
    }

    fn is_pseudo_element(&self) -> bool {
        false
    }

    fn is_link(&self) -> bool {
        false
    }

    fn is_html_slot_element(&self) -> bool {
        false
    }

    fn has_custom_state(&self, _: &Word) -> bool {
        false
    }

    fn imported_part(&self, _: &Word) -> Option<Word> {
        None
    }

    fn is_part(&self, _: &Word) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_points_at_its_culprit() {
        for (text, culprit) in [
            ("p:hover", ":hover"),
            ("p:contains(\"x\")", ":contains"),
            ("a[title=':b']:first-child:checked > b", ":checked"),
            ("p::before", "::before"),
            ("li:not(p:focus) a", ":focus"),
            ("ns|p", "ns|p"),
            ("div > größe|p", "größe"),
            ("a[x|='1'] > ns|p", "ns|p"),
        ] {
            let problem = Css::compile(text).unwrap_err();
            assert_eq!(Some(problem.position), text.find(culprit), "{text}: {problem:?}");
        }
    }

    #[test]
    fn every_pseudo_class_we_call_known_is() {
        for name in PSEUDO_CLASSES {
            let tries = ["", "(a)", "(1)"].map(|arguments| format!(":{name}{arguments}"));
            assert!(tries.iter().any(|text| Css::compile(text).is_ok()), "{name}");
        }
    }
}
