//! What is wanted of an element that a selector matches, by what stands behind the selector: its
//! text (nothing), the texts in it (`::text`), an attribute (`@name`, `::attr(name)`), a link made
//! absolute (`@abs:name`), its markup (`@html`, `@inner-html`).

use super::grammar::unquoted;
use crate::page::budget::{Values, VisitBudget};
use crate::page::html::document::{Document, Kind, NodeId};
use crate::page::html::serialize::{Extent, serialize};

#[derive(Debug)]
pub(super) struct Wanted {
    what: What,
    /// Whether it is wanted of all elements below the match, too: `p ::text`.
    is_deep: bool,
}

#[derive(Debug)]
enum What {
    /// All text of the element as one.
    Text,
    /// Every text in the element by itself.
    Texts,
    Attribute(Attribute),
    Link(Attribute),
    Markup(Extent),
}

/// The name of an attribute as it was written, and as HTML writes it.
#[derive(Debug)]
struct Attribute {
    name: String,
    name_lower: String,
}

/// To resolve a link takes as long as so many visits.
const LINK_VISITS: u64 = 32;

/// Splits a list of which a selector has a pseudo-element into its selectors, with their places. An
/// `@` counts for a whole list.
pub(super) fn split(text: &str) -> Vec<(usize, &str)> {
    if !text.contains("::") {
        return vec![(0, text)];
    }
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut commas = unquoted(text).into_iter().filter(|&at| {
        match bytes[at] {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && bytes[at] == b','
    });
    let mut parts = Vec::new();
    let mut start = 0;
    loop {
        let comma = commas.next();
        parts.push((start, &text[start..comma.unwrap_or(text.len())]));
        match comma {
            Some(comma) => start = comma + 1,
            None => return parts,
        }
    }
}

impl Wanted {
    /// Splits a selector from what is wanted of its matches. An `@` that is neither quoted nor
    /// escaped has no meaning in CSS, so the last one with a name after it up to the end starts an
    /// attribute.
    pub(super) fn split_off(text: &str) -> (&str, Wanted) {
        if let Some((selector, what)) = split_pseudo_element(text) {
            let trimmed = selector.trim_end();
            // `p ::text` means the texts of `p *`, and those of `p` itself.
            let is_deep =
                trimmed.len() < selector.len() && !trimmed.ends_with(['>', '+', '~', ',']);
            let selector = if trimmed.is_empty() { "*" } else { trimmed };
            return (selector, Wanted { what, is_deep: is_deep && !trimmed.is_empty() });
        }
        let at = unquoted(text).into_iter().rfind(|&at| text.as_bytes()[at] == b'@');
        let (selector, what) = match at.map(|at| (&text[..at], &text[at + 1..])) {
            Some((selector, "html")) => (selector, What::Markup(Extent::Outer)),
            Some((selector, "inner-html")) => (selector, What::Markup(Extent::Inner)),
            Some((selector, name)) => match name.strip_prefix("abs:") {
                Some(name) if is_attribute_name(name) => {
                    (selector, What::Link(Attribute::new(name)))
                }
                None if is_attribute_name(name) => {
                    (selector, What::Attribute(Attribute::new(name)))
                }
                _ => (text, What::Text),
            },
            None => (text, What::Text),
        };
        (selector, Wanted { what, is_deep: false })
    }
}

/// Splits off `::text` or `::attr(name)`.
fn split_pseudo_element(text: &str) -> Option<(&str, What)> {
    let text = text.trim_end();
    let at = unquoted(text).into_iter().rfind(|&at| text[at..].starts_with("::"))?;
    let (selector, name) = (&text[..at], &text[at + 2..]);
    if name.eq_ignore_ascii_case("text") {
        return Some((selector, What::Texts));
    }
    let (function, argument) = name.strip_suffix(')')?.split_once('(')?;
    let argument = argument.trim();
    let is_attribute = function.eq_ignore_ascii_case("attr") && is_attribute_name(argument);
    is_attribute.then(|| (selector, What::Attribute(Attribute::new(argument))))
}

impl Attribute {
    fn new(name: &str) -> Attribute {
        Attribute { name: name.to_owned(), name_lower: name.to_ascii_lowercase() }
    }

    fn value<'a>(&self, document: &'a Document, id: NodeId) -> Option<&'a str> {
        let is_html = document.kind(id) == Kind::Html && !document.is_xml();
        document.attribute_named(id, if is_html { &self.name_lower } else { &self.name })
    }
}

fn is_attribute_name(name: &str) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':');
    name.bytes().next().is_some_and(is_start)
        && name.bytes().all(|byte| is_start(byte) || byte.is_ascii_digit() || b"-.".contains(&byte))
}

/// The nodes of which something is wanted.
pub(super) struct Finds<'w, 'd> {
    document: &'d Document,
    visits: &'d VisitBudget,
    list: Vec<Find<'w>>,
    parts: u32,
    /// Where the last match ends of which everything below is found already.
    covered: NodeId,
}

/// A node, and what is wanted of it.
pub(super) struct Find<'w> {
    id: NodeId,
    part: u32,
    what: &'w What,
}

impl<'w, 'd> Finds<'w, 'd> {
    pub(super) fn new(document: &'d Document, visits: &'d VisitBudget) -> Finds<'w, 'd> {
        Finds { document, visits, list: Vec::new(), parts: 0, covered: 0 }
    }

    /// Goes on to the next selector of a list.
    pub(super) fn begin_part(&mut self) {
        self.parts += 1;
        self.covered = 0;
    }

    /// Adds what is wanted of a match. The matches of one selector come in document order. Returns
    /// false when the visits are spent.
    pub(super) fn add(&mut self, wanted: &'w Wanted, id: NodeId) -> bool {
        if !wanted.is_deep {
            return self.add_of(&wanted.what, id);
        }
        let below = self.document.descendants(id);
        let all = id.max(self.covered)..below.end;
        self.covered = self.covered.max(below.end);
        all.into_iter().all(|id| {
            let is_element = self.document.is_element(id);
            self.visits.take() && (!is_element || self.add_of(&wanted.what, id))
        })
    }

    fn add_of(&mut self, what: &'w What, id: NodeId) -> bool {
        let part = self.parts;
        match what {
            What::Texts => {
                for child in self.document.children(id) {
                    if !self.visits.take() {
                        return false;
                    }
                    if self.document.kind(child) == Kind::Text {
                        self.list.push(Find { id: child, part, what });
                    }
                }
            }
            What::Attribute(attribute) | What::Link(attribute) => {
                if attribute.value(self.document, id).is_some() {
                    self.list.push(Find { id, part, what });
                }
            }
            What::Text | What::Markup(_) => self.list.push(Find { id, part, what }),
        }
        true
    }

    /// Returns the finds in document order. A text that two selectors of a list found counts once.
    pub(super) fn in_order(mut self) -> Vec<Find<'w>> {
        if !self.list.is_sorted_by_key(|find| (find.id, find.part)) {
            self.list.sort_unstable_by_key(|find| (find.id, find.part));
        }
        let is_same = |find: &mut Find<'_>, earlier: &mut Find<'_>| {
            find.id == earlier.id
                && match (find.what, earlier.what) {
                    (What::Texts, What::Texts) | (What::Text, What::Text) => true,
                    (What::Attribute(one), What::Attribute(other)) => one.name == other.name,
                    _ => false,
                }
        };
        self.list.dedup_by(is_same);
        self.list
    }
}

impl Find<'_> {
    /// Adds the value. Returns false when there is no room for more.
    pub(super) fn push(
        &self,
        document: &Document,
        resolve: &dyn Fn(&str) -> String,
        visits: &VisitBudget,
        values: &mut Values,
    ) -> bool {
        match self.what {
            What::Text | What::Texts => values.push(document.text(self.id)),
            What::Attribute(attribute) => {
                attribute.value(document, self.id).is_none_or(|value| values.push(value))
            }
            What::Link(attribute) => {
                let value = attribute.value(document, self.id);
                visits.take_many(LINK_VISITS);
                value.is_none_or(|value| values.push(&resolve(value)))
            }
            What::Markup(extent) => {
                let markup = serialize(document, self.id, *extent, values.room(), visits);
                values.push(&markup)
            }
        }
    }
}
