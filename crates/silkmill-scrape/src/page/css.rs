//! CSS selectors: compiled once, matched on many pages.
//!
//! A selector matches what a browser's `querySelectorAll` finds in the page as it was sent, before
//! any script and any user input. Parsing and matching are those of `selectors`, the crate that
//! Firefox matches with. [`grammar`] says which selectors there are, [`element`] how they see the
//! tree, and the modules for links, controls, languages and directions what a page at rest says of
//! those pseudo-classes.
//!
//! The files of `css/` import each other in a circle, the only one in this crate: `selectors` asks
//! an element for its pseudo-classes, those ask the element, and the facts about all controls of a
//! page hang on the element as well. Cut at any one place, the circle only grew.

mod controls;
mod direction;
mod element;
mod grammar;
mod language;
mod limits;
mod links;
mod pseudo_class;
#[cfg(test)]
mod tests;

use cssparser::Parser as CssParser;
use selectors::context::{
    MatchingContext, MatchingForInvalidation, MatchingMode, NeedsSelectorFlags, QuirksMode,
    SelectorCaches,
};
use selectors::matching::matches_selector_list;
use selectors::parser::{ParseRelative, SelectorList};

use crate::page::budget::{VISITS_MAX, Values};
use crate::page::html::document::{Document, Kind, NodeId};
use crate::page::problem::Problem;

use element::{CssElement, Reading};
use grammar::{Grammar, Types, unquoted};

/// The longest selector, in bytes. `cssparser` bounds the nesting.
pub(crate) const SELECTOR_BYTES_MAX: usize = 4096;

/// A checked selector, and the attribute that is wanted of the elements it matches, if one is.
#[derive(Debug)]
pub(crate) struct Css {
    selectors: SelectorList<Types>,
    attribute: Option<Attribute>,
}

/// The name of an attribute as it was written, and as HTML writes it.
#[derive(Debug)]
struct Attribute {
    name: String,
    name_lower: String,
}

impl Css {
    /// Compiles `SELECTOR` or `SELECTOR@attr`. An `@` that is neither quoted nor escaped has no
    /// meaning in CSS, so the last one with a name after it up to the end starts the attribute.
    pub(crate) fn compile(text: &str) -> Result<Css, Problem> {
        if text.len() > SELECTOR_BYTES_MAX {
            let message = format!("longer than {SELECTOR_BYTES_MAX} bytes");
            return Err(Problem::meaning(message, text.floor_char_boundary(SELECTOR_BYTES_MAX)));
        }
        let (selector, attribute) = split_attribute(text);
        let grammar = Grammar::new(selector);
        let mut input = CssParser::new(selector);
        let result = input
            .parse_entirely(|input| SelectorList::parse(&grammar, input, ParseRelative::No))
            .map_err(|error| error.kind);
        let selectors = grammar.judge(result, input.position().byte_index())?;
        Ok(Css { selectors, attribute })
    }

    /// Returns the text of every match in document order, or its attribute where one is wanted.
    pub(crate) fn evaluate(&self, document: &Document) -> Values {
        let mut values = Values::default();
        let is_finished = self
            .find(document, |id| self.read(document, id).is_none_or(|value| values.push(value)));
        if is_finished { values } else { Values::unfinished() }
    }

    /// Passes every match in document order to `more`, until that returns false. Returns false when
    /// the visits are spent before.
    fn find(&self, document: &Document, mut more: impl FnMut(NodeId) -> bool) -> bool {
        let reading = Reading::new(document, VISITS_MAX);
        let quirks = if document.quirks { QuirksMode::Quirks } else { QuirksMode::NoQuirks };
        let mut caches = SelectorCaches::default();
        let mut context = MatchingContext::new(
            MatchingMode::Normal,
            None,
            &mut caches,
            quirks,
            NeedsSelectorFlags::No,
            MatchingForInvalidation::No,
        );
        for id in document.elements() {
            if !reading.visits.take() {
                return false;
            }
            let element = CssElement::new(&reading, id);
            let matches = matches_selector_list(&self.selectors, element, &mut context);
            if reading.visits.are_spent() {
                return false;
            }
            if matches && !more(id) {
                break;
            }
        }
        true
    }

    fn read<'a>(&self, document: &'a Document, id: NodeId) -> Option<&'a str> {
        let Some(Attribute { name, name_lower }) = &self.attribute else {
            return Some(document.text(id));
        };
        let is_html = document.kind(id) == Kind::Html;
        document.attribute_named(id, if is_html { name_lower } else { name })
    }
}

fn split_attribute(text: &str) -> (&str, Option<Attribute>) {
    let at = unquoted(text).into_iter().rfind(|&at| text.as_bytes()[at] == b'@');
    match at.map(|at| (&text[..at], &text[at + 1..])) {
        Some((selector, name)) if is_attribute_name(name) => {
            let (name, name_lower) = (name.to_owned(), name.to_ascii_lowercase());
            (selector, Some(Attribute { name, name_lower }))
        }
        _ => (text, None),
    }
}

fn is_attribute_name(name: &str) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':');
    name.bytes().next().is_some_and(is_start)
        && name.bytes().all(|byte| is_start(byte) || byte.is_ascii_digit() || b"-.".contains(&byte))
}
