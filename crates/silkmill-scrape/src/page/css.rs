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
mod wanted;

use cssparser::Parser as CssParser;
use selectors::context::{
    MatchingContext, MatchingForInvalidation, MatchingMode, NeedsSelectorFlags, QuirksMode,
    SelectorCaches,
};
use selectors::matching::matches_selector_list;
use selectors::parser::{ParseRelative, SelectorList};

use crate::page::budget::{VISITS_MAX, Values, VisitBudget};
use crate::page::html::document::{Document, NodeId};
use crate::page::problem::Problem;

use element::{CssElement, Reading};
use grammar::{Grammar, Types};
use wanted::{Finds, Wanted};

/// The longest selector, in bytes. `cssparser` bounds the nesting.
pub(crate) const SELECTOR_BYTES_MAX: usize = 4096;

/// Checked selectors, each with what is wanted of the elements that it matches.
#[derive(Debug)]
pub(crate) struct Css {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    selectors: SelectorList<Types>,
    wanted: Wanted,
}

impl Css {
    /// Compiles `SELECTOR`, with `@attr` or another ending of [`wanted`] behind it. Each selector
    /// of a list may have a pseudo-element of its own: `h1::text, img::attr(alt)`.
    pub(crate) fn compile(text: &str) -> Result<Css, Problem> {
        if text.len() > SELECTOR_BYTES_MAX {
            let message = format!("longer than {SELECTOR_BYTES_MAX} bytes");
            return Err(Problem::meaning(message, text.floor_char_boundary(SELECTOR_BYTES_MAX)));
        }
        let parts = wanted::split(text).into_iter().map(|(start, part)| {
            Part::compile(part)
                .map_err(|problem| Problem { position: problem.position + start, ..problem })
        });
        Ok(Css { parts: parts.collect::<Result<_, _>>()? })
    }

    /// Returns what is wanted of every match, in document order and each once. `resolve` makes the
    /// URL of a link.
    pub(crate) fn evaluate(&self, document: &Document, resolve: &dyn Fn(&str) -> String) -> Values {
        let visits = VisitBudget::new(VISITS_MAX);
        let mut finds = Finds::new(document, &visits);
        for part in &self.parts {
            finds.begin_part();
            let is_finished = part.find(document, |id| finds.add(&part.wanted, id));
            if !is_finished || visits.are_spent() {
                return Values::unfinished();
            }
        }
        let mut values = Values::default();
        for find in finds.in_order() {
            if !find.push(document, resolve, &visits, &mut values) {
                break;
            }
        }
        if visits.are_spent() {
            return Values::unfinished();
        }
        values
    }
}

impl Part {
    fn compile(text: &str) -> Result<Part, Problem> {
        let (selector, wanted) = Wanted::split_off(text);
        let grammar = Grammar::new(selector);
        let mut input = CssParser::new(selector);
        let result = input
            .parse_entirely(|input| SelectorList::parse(&grammar, input, ParseRelative::No))
            .map_err(|error| error.kind);
        let selectors = grammar.judge(result, input.position().byte_index())?;
        Ok(Part { selectors, wanted })
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
}
