//! A page as the XPath evaluator sees it: nodes that know their relatives, and count each visit.
//!
//! When the visits are spent, every node is alone and empty, so that an evaluation soon comes to
//! its end; [`crate::page::xpath`] then drops its result. The evaluation itself is `xpath-eval`'s.

use std::cmp::Ordering;

use xpath_eval::{ExpandedName, Node, NodeKind};

use crate::page::budget::VisitBudget;
use crate::page::html::document::{Document, Kind, NodeId};

/// A page and the visits that are left.
#[derive(Debug)]
pub(crate) struct XPathDocument<'a> {
    pub(crate) document: &'a Document,
    pub(crate) visits: VisitBudget,
}

impl<'a> XPathDocument<'a> {
    pub(crate) fn root(&'a self) -> XPathNode<'a> {
        XPathNode { page: self, id: Document::ROOT, attribute: NO_ATTRIBUTE }
    }
}

/// A node, or one attribute of an element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct XPathNode<'a> {
    page: &'a XPathDocument<'a>,
    id: NodeId,
    attribute: u32,
}

const NO_ATTRIBUTE: u32 = u32::MAX;

impl<'a> XPathNode<'a> {
    /// Returns the string-value, without counting a visit.
    pub(crate) fn text(self) -> &'a str {
        let document = self.page.document;
        match self.is_attribute() {
            true => document.attribute(self.attribute).1,
            false => document.text(self.id),
        }
    }

    fn is_attribute(self) -> bool {
        self.attribute != NO_ATTRIBUTE
    }

    fn with(self, id: NodeId) -> XPathNode<'a> {
        XPathNode { page: self.page, id, attribute: NO_ATTRIBUTE }
    }

    /// Returns the name of an element or attribute.
    fn name(self) -> Option<&'a str> {
        let document = self.page.document;
        match self.kind() {
            NodeKind::Attribute => Some(document.attribute(self.attribute).0),
            NodeKind::Element => Some(document.name(self.id)),
            _ => None,
        }
    }

    /// Returns the position in document order: an element, then its attributes, then its children.
    fn order(self) -> (NodeId, u32) {
        (self.id, self.attribute.wrapping_add(1))
    }

    fn visit(self) -> Option<XPathNode<'a>> {
        self.page.visits.take().then_some(self)
    }
}

impl PartialEq for XPathNode<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for XPathNode<'_> {}

impl<'a> Node<'a> for XPathNode<'a> {
    fn kind(self) -> NodeKind {
        if self.is_attribute() {
            return NodeKind::Attribute;
        }
        match self.page.document.kind(self.id) {
            Kind::Document => NodeKind::Root,
            Kind::Html | Kind::Foreign => NodeKind::Element,
            Kind::Text => NodeKind::Text,
            Kind::Comment => NodeKind::Comment,
        }
    }

    fn parent(self) -> Option<Self> {
        if self.is_attribute() {
            return self.with(self.id).visit();
        }
        self.page.document.parent(self.id).and_then(|parent| self.with(parent).visit())
    }

    fn children(self) -> impl Iterator<Item = Self> + 'a {
        let document = self.page.document;
        let first = if self.is_attribute() { None } else { document.first_child(self.id) };
        std::iter::successors(first, move |&child| document.next_sibling(child))
            .map_while(move |child| self.with(child).visit())
    }

    fn attributes(self) -> impl Iterator<Item = Self> + 'a {
        let indices =
            if self.is_attribute() { 0..0 } else { self.page.document.attributes(self.id) };
        indices.map_while(move |attribute| XPathNode { attribute, ..self }.visit())
    }

    /// HTML has no namespace nodes.
    fn namespaces(self) -> impl Iterator<Item = Self> + 'a {
        std::iter::empty()
    }

    fn expanded_name(self) -> Option<ExpandedName> {
        let local_name = self.name()?.to_owned();
        Some(ExpandedName { namespace_uri: None, local_name })
    }

    fn has_expanded_name(self, namespace: Option<&str>, local_name: &str) -> bool {
        namespace.is_none() && self.name() == Some(local_name)
    }

    fn string_value(self) -> String {
        self.with_string_value(str::to_owned)
    }

    fn with_string_value<R>(self, read: impl FnOnce(&str) -> R) -> R {
        let text = self.text();
        read(if self.page.visits.take_text(text) { text } else { "" })
    }

    fn document_order(self, other: Self) -> Ordering {
        self.order().cmp(&other.order())
    }

    fn is_id_attribute(self) -> bool {
        self.is_attribute() && self.name() == Some("id")
    }
}
