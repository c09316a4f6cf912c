//! An element as `selectors` sees it. Every visit to the tree is counted.

use std::cell::OnceCell;

use html5ever::LocalName;
use selectors::attr::{AttrSelectorOperation, CaseSensitivity, NamespaceConstraint};
use selectors::bloom::BloomFilter;
use selectors::context::MatchingContext;
use selectors::matching::ElementSelectorFlags;
use selectors::{Element, OpaqueElement};

use super::controls::Controls;
use super::grammar::{NoPseudoElement, Types, Word};
use super::pseudo_class::PseudoClass;
use crate::page::budget::VisitBudget;
use crate::page::html::document::{Document, Kind, NodeId};

/// A page while one selector is matched on it.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) document: &'a Document,
    pub(super) visits: VisitBudget,
    /// Facts about the whole page, found when they are first needed.
    pub(super) controls: OnceCell<Controls<'a>>,
    pub(super) default_language: OnceCell<Option<&'a str>>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(document: &'a Document, visits: u64) -> Reading<'a> {
        Reading {
            document,
            visits: VisitBudget::new(visits),
            controls: OnceCell::new(),
            default_language: OnceCell::new(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct CssElement<'a> {
    pub(super) reading: &'a Reading<'a>,
    pub(super) id: NodeId,
}

impl<'a> CssElement<'a> {
    pub(super) fn new(reading: &'a Reading<'a>, id: NodeId) -> CssElement<'a> {
        CssElement { reading, id }
    }

    pub(super) fn document(self) -> &'a Document {
        self.reading.document
    }

    /// Returns the first element among `ids`. When the visits are spent there is none, so that
    /// matching soon comes to its end.
    fn first_element(self, ids: impl Iterator<Item = NodeId>) -> Option<CssElement<'a>> {
        let mut ids = ids.take_while(|_| self.reading.visits.take());
        ids.find(|&id| self.document().is_element(id)).map(|id| CssElement { id, ..self })
    }

    pub(super) fn is_html(self) -> bool {
        self.document().kind(self.id) == Kind::Html
    }

    pub(super) fn name(self) -> &'a LocalName {
        self.document().name(self.id)
    }

    /// Tells whether this is an HTML element with that name.
    pub(super) fn is(self, name: &str) -> bool {
        self.is_html() && &**self.name() == name
    }

    pub(super) fn is_one_of(self, names: &[&str]) -> bool {
        self.is_html() && names.contains(&&**self.name())
    }

    /// Iterates over this element, its parent, and so on up to the root.
    pub(super) fn and_ancestors(self) -> impl Iterator<Item = CssElement<'a>> {
        std::iter::successors(Some(self), CssElement::parent_element)
    }

    pub(super) fn ancestors(self) -> impl Iterator<Item = CssElement<'a>> {
        self.and_ancestors().skip(1)
    }

    /// Returns the value of an attribute in no namespace. Code that reads the value takes the
    /// visits for it.
    pub(super) fn attribute(self, name: &str) -> Option<&'a str> {
        self.attributes()
            .find(|(attribute, _)| attribute.namespace.is_none() && attribute.local == name)
            .map(|(_, value)| value)
    }

    pub(super) fn has_attribute(self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// Returns the value of an attribute in the namespace that `prefix` stands for.
    pub(super) fn attribute_in(self, prefix: &str, name: &str) -> Option<&'a str> {
        self.attributes()
            .find(|(attribute, _)| attribute.namespace == Some(prefix) && attribute.local == name)
            .map(|(_, value)| value)
    }

    /// Iterates over the attributes. A few of them cost no visit of their own; when the visits are
    /// spent there are none.
    fn attributes(self) -> impl Iterator<Item = (AttributeName<'a>, &'a str)> {
        let document = self.document();
        let is_html = self.is_html();
        let is_xml = document.is_xml();
        let mut indices = document.attributes(self.id);
        if !self.reading.visits.take_many((indices.len() / ATTRIBUTES_PER_VISIT) as u64) {
            indices.end = indices.start;
        }
        indices.map(move |index| {
            let (name, value) = document.attribute(index);
            let name = match document.attribute_qualifier(index) {
                Some(it) => AttributeName { namespace: Some(&it.prefix), local: name },
                None if is_xml => AttributeName { namespace: None, local: name },
                None => AttributeName::new(name, is_html),
            };
            (name, value)
        })
    }
}

/// The attributes that are compared in the time of a visit.
const ATTRIBUTES_PER_VISIT: usize = 8;

/// The name of an attribute in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AttributeName<'a> {
    /// The usual prefix of the namespace.
    namespace: Option<&'a str>,
    local: &'a str,
}

impl<'a> AttributeName<'a> {
    /// Splits a name of HTML. The parser gives eleven attributes of foreign elements a namespace,
    /// and no others.
    fn new(name: &'a str, is_html: bool) -> AttributeName<'a> {
        let none = AttributeName { namespace: None, local: name };
        if is_html {
            return none;
        }
        match name.split_once(':') {
            None if name == "xmlns" => AttributeName { namespace: Some("xmlns"), local: name },
            Some((prefix @ "xlink", local))
                if ["actuate", "arcrole", "href", "role", "show", "title", "type"]
                    .contains(&local) =>
            {
                AttributeName { namespace: Some(prefix), local }
            }
            Some((prefix @ "xml", local @ ("lang" | "space")))
            | Some((prefix @ "xmlns", local @ "xlink")) => {
                AttributeName { namespace: Some(prefix), local }
            }
            _ => none,
        }
    }
}

impl Element for CssElement<'_> {
    type Impl = Types;

    fn opaque(&self) -> OpaqueElement {
        OpaqueElement::new(&self.document().nodes[self.id as usize])
    }

    fn parent_element(&self) -> Option<Self> {
        self.first_element(self.document().parent(self.id).into_iter())
    }

    fn prev_sibling_element(&self) -> Option<Self> {
        let previous = |&id: &NodeId| self.document().previous_sibling(id);
        self.first_element(std::iter::successors(previous(&self.id), previous))
    }

    fn next_sibling_element(&self) -> Option<Self> {
        let next = |&id: &NodeId| self.document().next_sibling(id);
        self.first_element(std::iter::successors(next(&self.id), next))
    }

    /// The nodes in a template are not its children.
    fn first_element_child(&self) -> Option<Self> {
        match self.document().is_template(self.id) {
            true => None,
            false => self.first_element(self.document().children(self.id)),
        }
    }

    fn is_html_element_in_html_document(&self) -> bool {
        self.is_html() && !self.document().is_xml()
    }

    fn has_local_name(&self, name: &LocalName) -> bool {
        self.name() == name
    }

    /// No prefix is declared, so no element has a namespace that a selector could name.
    fn has_namespace(&self, _: &LocalName) -> bool {
        false
    }

    fn is_same_type(&self, other: &Self) -> bool {
        let namespace = |it: &Self| it.document().qualifier(it.id).map(|it| &it.uri);
        self.name() == other.name()
            && self.is_html() == other.is_html()
            && namespace(self) == namespace(other)
    }

    fn attr_matches(
        &self,
        namespace: &NamespaceConstraint<&Word>,
        name: &Word,
        operation: &AttrSelectorOperation<&Word>,
    ) -> bool {
        let is_any = matches!(namespace, NamespaceConstraint::Any);
        self.attributes()
            .filter(|(found, _)| found.local == &*name.0 && (is_any || found.namespace.is_none()))
            .any(|(_, value)| self.reading.visits.take_text(value) && operation.eval_str(value))
    }

    fn has_id(&self, id: &Word, case: CaseSensitivity) -> bool {
        self.attribute("id").is_some_and(|value| {
            self.reading.visits.take_text(value) && case.eq(value.as_bytes(), id.0.as_bytes())
        })
    }

    fn has_class(&self, class: &Word, case: CaseSensitivity) -> bool {
        self.attribute("class").is_some_and(|classes| {
            let mut classes = classes
                .split_ascii_whitespace()
                .take_while(|class| self.reading.visits.take_text(class));
            classes.any(|value| case.eq(value.as_bytes(), class.0.as_bytes()))
        })
    }

    fn is_empty(&self) -> bool {
        let document = self.document();
        let is_aside = |child| matches!(document.kind(child), Kind::Comment | Kind::Instruction);
        let is_nothing = |child| self.reading.visits.take() && is_aside(child);
        document.is_template(self.id) || document.children(self.id).all(is_nothing)
    }

    fn is_root(&self) -> bool {
        self.document().parent(self.id) == Some(Document::ROOT)
    }

    fn match_non_ts_pseudo_class(
        &self,
        class: &PseudoClass,
        _: &mut MatchingContext<Types>,
    ) -> bool {
        class.matches(*self)
    }

    fn match_pseudo_element(&self, none: &NoPseudoElement, _: &mut MatchingContext<Types>) -> bool {
        match *none {}
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
        super::links::is_link(*self)
    }

    fn is_html_slot_element(&self) -> bool {
        self.is("slot")
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
