//! A page as the XPath evaluator sees it: nodes that know their relatives, and count each visit.
//!
//! When the visits are spent, every node is alone and empty, so that an evaluation soon comes to
//! its end; [`crate::page::xpath`] then drops its result. The evaluation itself is `xpath-eval`'s.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::ops::Range;

use xpath_eval::{ExpandedName, Node, NodeKind};

use super::extension::Call;
use crate::page::budget::{VALUES_BYTES_MAX, VisitBudget};
use crate::page::html::document::{Document, Kind, NONE, NodeId, Qualifier, XML_QUALIFIER};

/// Makes a call for a context node, and returns what the node answers.
pub(super) type Answer = fn(usize, XPathNode<'_>) -> String;

/// A page and the visits that are left.
pub(crate) struct XPathDocument<'a> {
    pub(crate) document: &'a Document,
    pub(crate) visits: VisitBudget,
    /// Makes the URL of a link.
    pub(super) resolve: &'a dyn Fn(&str) -> String,
    pub(super) calls: &'a [Call],
    /// Makes the call with that number for a context node.
    answer: Answer,
    /// The call that the next node makes when it is asked for its string-value.
    pub(super) armed: Cell<Option<usize>>,
    /// The texts of nodes that calls gave, and for every call which of them it gave last.
    found: RefCell<Vec<String>>,
    nodes: RefCell<Vec<Range<u32>>>,
    found_bytes: Cell<usize>,
}

impl<'a> XPathDocument<'a> {
    pub(super) fn new(
        document: &'a Document,
        visits: u64,
        calls: &'a [Call],
        answer: Answer,
        resolve: &'a dyn Fn(&str) -> String,
    ) -> XPathDocument<'a> {
        XPathDocument {
            document,
            visits: VisitBudget::new(visits),
            resolve,
            calls,
            answer,
            armed: Cell::new(None),
            found: RefCell::default(),
            nodes: RefCell::new(vec![0..0; calls.len()]),
            found_bytes: Cell::new(0),
        }
    }

    pub(crate) fn root(&'a self) -> XPathNode<'a> {
        XPathNode {
            page: self,
            id: Document::ROOT,
            attribute: NO_ATTRIBUTE,
            found_from: NO_ATTRIBUTE,
        }
    }

    /// Keeps the texts of the nodes that a call gives.
    pub(super) fn keep(&self, number: usize, texts: Vec<String>) {
        let mut found = self.found.borrow_mut();
        let start = found.len() as u32;
        let bytes: usize = texts.iter().map(|text| text.len() + size_of::<String>()).sum();
        self.found_bytes.set(self.found_bytes.get() + bytes);
        if self.found_bytes.get() > FOUND_BYTES_MAX {
            self.visits.spend();
            return;
        }
        found.extend(texts);
        self.nodes.borrow_mut()[number] = start..found.len() as u32;
    }

    /// Returns the nodes that a call gave last.
    pub(super) fn nodes_of(&self, number: usize) -> Range<u32> {
        self.nodes.borrow()[number].clone()
    }

    pub(super) fn found_node(&'a self, index: u32) -> XPathNode<'a> {
        XPathNode { id: NONE, attribute: index, ..self.root() }
    }
}

/// The most bytes of nodes that the calls of an expression give on one page.
const FOUND_BYTES_MAX: usize = 2 * VALUES_BYTES_MAX;

/// A node, or one attribute or namespace of an element, or a node that a call gave, which is alone.
#[derive(Clone, Copy)]
pub(crate) struct XPathNode<'a> {
    page: &'a XPathDocument<'a>,
    /// [`NONE`] for a node that a call gave.
    id: NodeId,
    /// The number of a node that a call gave; or the index of the attribute, or that of a qualifier
    /// beyond [`NAMESPACES`].
    attribute: u32,
    /// The attribute whose parent this was found as.
    found_from: u32,
}

const NO_ATTRIBUTE: u32 = u32::MAX;
/// The prefixes that are compared in the time of a visit.
const BINDINGS_PER_VISIT: usize = 8;
/// A page has fewer attributes than this.
const NAMESPACES: u32 = 1 << 31;

impl<'a> XPathNode<'a> {
    pub(super) fn page(self) -> &'a XPathDocument<'a> {
        self.page
    }

    /// Returns the index of a node of the tree.
    pub(super) fn element(self) -> Option<NodeId> {
        self.is_node().then_some(self.id)
    }

    /// Returns the string-value, without counting a visit.
    pub(crate) fn text(self) -> Cow<'a, str> {
        let document = self.page.document;
        match self.part() {
            Part::Node => document.text(self.id).into(),
            Part::Attribute(index) => document.attribute(index).1.into(),
            Part::Namespace(qualifier) => (&*qualifier.uri).into(),
            Part::Found(index) => self.page.found.borrow()[index as usize].clone().into(),
        }
    }

    fn part(self) -> Part<'a> {
        let document = self.page.document;
        if self.id == NONE {
            return Part::Found(self.attribute);
        }
        match self.attribute {
            NO_ATTRIBUTE => Part::Node,
            index if index < NAMESPACES => Part::Attribute(index),
            number => {
                let qualifiers = document.xml.as_ref().map(|names| &names.qualifiers);
                let qualifiers = qualifiers.expect("only XML has nodes of namespaces");
                Part::Namespace(&qualifiers[(number - NAMESPACES) as usize])
            }
        }
    }

    fn is_node(self) -> bool {
        self.attribute == NO_ATTRIBUTE && self.id != NONE
    }

    fn with(self, id: NodeId) -> XPathNode<'a> {
        XPathNode { id, attribute: NO_ATTRIBUTE, found_from: NO_ATTRIBUTE, ..self }
    }

    /// Returns the name without its namespace: in XML that is the part behind the prefix.
    fn name(self) -> Option<&'a str> {
        let document = self.page.document;
        match self.part() {
            Part::Attribute(index) => Some(document.attribute(index).0),
            Part::Namespace(qualifier) => Some(&qualifier.prefix),
            Part::Found(_) => None,
            Part::Node => match document.kind(self.id) {
                Kind::Html | Kind::Foreign | Kind::Instruction => Some(document.name(self.id)),
                _ => None,
            },
        }
    }

    /// Returns the prefix and the namespace, if the page is XML and the name has any.
    fn qualifier(self) -> Option<&'a Qualifier> {
        match self.part() {
            Part::Node => self.page.document.qualifier(self.id),
            Part::Attribute(index) => self.page.document.attribute_qualifier(index),
            Part::Namespace(_) | Part::Found(_) => None,
        }
    }

    /// Returns the namespaces in scope of an element of XML. The evaluator looks here for the
    /// prefix of a name, by its namespace: that of the element, or of the attribute that it came
    /// from. So this one comes first; where it has no prefix, others of its namespace, which the
    /// evaluator would prefer, are left out.
    fn scope(self) -> Vec<u32> {
        let Some(names) = self.page.document.xml.as_deref() else { return Vec::new() };
        let of = |number: u16| &names.qualifiers[usize::from(number)];
        let wanted = match names.of_attributes.get(self.found_from as usize) {
            Some(&of_attribute) => of_attribute,
            None => names.of_nodes[self.id as usize],
        };
        let mut found = vec![wanted];
        let mut add = |number: u16| {
            self.page.visits.take_many((found.len() / BINDINGS_PER_VISIT) as u64);
            if !found.iter().any(|&it| it != 0 && of(it).prefix == of(number).prefix) {
                found.push(number);
            }
        };
        let mut element = Some(self.id);
        while let Some(id) = element.filter(|_| self.page.visits.take()) {
            let start = names.declarations.partition_point(|(declarer, _)| *declarer < id);
            let own =
                names.declarations[start..].iter().take_while(|(declarer, _)| *declarer == id);
            own.take_while(|_| self.page.visits.take()).for_each(|(_, number)| add(*number));
            element = self.page.document.parent(id);
        }
        // Only the prefix `xml` needs no declaration.
        add(XML_QUALIFIER);
        let is_hidden = |it: &Qualifier| of(wanted).prefix.is_empty() && it.uri == of(wanted).uri;
        found.retain(|&it| !of(it).uri.is_empty() && (it == wanted || !is_hidden(of(it))));
        found.into_iter().map(|number| NAMESPACES + u32::from(number)).collect()
    }

    /// Returns the position in document order: an element, then its attributes, then its children.
    fn order(self) -> (NodeId, u32) {
        (self.id, self.attribute.wrapping_add(1))
    }

    fn visit(self) -> Option<XPathNode<'a>> {
        self.page.visits.take().then_some(self)
    }
}

/// What an [`XPathNode`] is.
enum Part<'a> {
    Node,
    Attribute(u32),
    Namespace(&'a Qualifier),
    Found(u32),
}

impl PartialEq for XPathNode<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for XPathNode<'_> {}

impl<'a> Node<'a> for XPathNode<'a> {
    fn kind(self) -> NodeKind {
        match self.part() {
            Part::Attribute(_) => return NodeKind::Attribute,
            Part::Namespace(_) => return NodeKind::Namespace,
            Part::Found(_) => return NodeKind::Element,
            Part::Node => {}
        }
        match self.page.document.kind(self.id) {
            Kind::Document => NodeKind::Root,
            Kind::Html | Kind::Foreign => NodeKind::Element,
            Kind::Text => NodeKind::Text,
            Kind::Comment => NodeKind::Comment,
            Kind::Instruction => NodeKind::ProcessingInstruction,
        }
    }

    fn parent(self) -> Option<Self> {
        if self.id == NONE {
            return None;
        }
        if !self.is_node() {
            return XPathNode { found_from: self.attribute, ..self.with(self.id) }.visit();
        }
        self.page.document.parent(self.id).and_then(|parent| self.with(parent).visit())
    }

    fn children(self) -> impl Iterator<Item = Self> + 'a {
        let document = self.page.document;
        let first = if self.is_node() { document.first_child(self.id) } else { None };
        std::iter::successors(first, move |&child| document.next_sibling(child))
            .map_while(move |child| self.with(child).visit())
    }

    fn attributes(self) -> impl Iterator<Item = Self> + 'a {
        let indices = if self.is_node() { self.page.document.attributes(self.id) } else { 0..0 };
        indices.map_while(move |attribute| XPathNode { attribute, ..self }.visit())
    }

    /// HTML has no namespace nodes.
    fn namespaces(self) -> impl Iterator<Item = Self> + 'a {
        let scope = if self.is_node() { self.scope() } else { Vec::new() };
        scope.into_iter().map_while(move |number| XPathNode { attribute: number, ..self }.visit())
    }

    fn expanded_name(self) -> Option<ExpandedName> {
        let local = self.name()?;
        let (namespace_uri, local_name) = match self.qualifier() {
            None => (None, local.to_owned()),
            // A prefix that is bound to nothing is a part of the name.
            Some(it) if it.uri.is_empty() && it.prefix.is_empty() => (None, local.to_owned()),
            Some(it) if it.uri.is_empty() => (None, format!("{}:{local}", it.prefix)),
            Some(it) => (Some(it.uri.to_string()), local.to_owned()),
        };
        Some(ExpandedName { namespace_uri, local_name })
    }

    /// Name tests see no namespaces.
    fn has_expanded_name(self, namespace: Option<&str>, local_name: &str) -> bool {
        namespace.is_none() && self.name() == Some(local_name)
    }

    fn string_value(self) -> String {
        self.with_string_value(str::to_owned)
    }

    fn with_string_value<R>(self, read: impl FnOnce(&str) -> R) -> R {
        if let Some(number) = self.page.armed.take() {
            return read(&(self.page.answer)(number, self));
        }
        let text = self.text();
        read(if self.page.visits.take_text(&text) { &text } else { "" })
    }

    fn document_order(self, other: Self) -> Ordering {
        self.order().cmp(&other.order())
    }

    fn is_id_attribute(self) -> bool {
        matches!(self.part(), Part::Attribute(_)) && self.name() == Some("id")
    }
}
