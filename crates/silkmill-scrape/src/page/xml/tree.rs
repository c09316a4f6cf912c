//! The tree of an XML document while it grows. Its nodes come in document order, so it is laid out
//! as it is read.

use std::borrow::Cow;

use html5ever::{LocalName, local_name};

use super::lexis::split_prefix;
use super::namespaces::{Namespaces, QualifierId};
use crate::page::html::cost_limit::{NODES_MAX, OPEN_ELEMENTS_MAX};
use crate::page::html::document::{
    Attribute, Document, Kind, NONE, Node, NodeId, SVG, XHTML, XmlNames,
};
use crate::page::html::tree_sink::ATTRIBUTES_MAX;

/// A vector or a string doubles when it grows, and the old one exists while it is copied.
const GROWTH: usize = 3;

/// An attribute as it is written, but with its references replaced.
#[derive(Debug)]
pub(super) struct Markup<'a> {
    pub(super) name: &'a str,
    pub(super) value: Cow<'a, str>,
}

/// An element that is open.
#[derive(Debug)]
struct Open {
    id: NodeId,
    last_child: NodeId,
}

/// The tree so far.
#[derive(Debug)]
pub(super) struct Tree {
    document: Document,
    names: XmlNames,
    namespaces: Namespaces,
    /// The document and the elements that are open, the innermost last.
    open: Vec<Open>,
    /// The elements that are open beyond the greatest depth. They contain nothing.
    beyond: usize,
    /// Whether an element of the page is, or was, its root.
    pub(super) has_root: bool,
    /// Whether the title is complete.
    pub(super) title_is_decided: bool,
}

impl Tree {
    pub(super) fn new() -> Tree {
        let mut tree = Tree {
            document: Document::default(),
            names: XmlNames::default(),
            namespaces: Namespaces::new(),
            open: Vec::new(),
            beyond: 0,
            has_root: false,
            title_is_decided: false,
        };
        tree.push(Kind::Document, local_name!(""), 0, NONE, (0, 0));
        tree.open.push(Open { id: Document::ROOT, last_child: NONE });
        tree
    }

    /// Tells whether an element is open, and text may come.
    pub(super) fn is_in_root(&self) -> bool {
        self.open.len() > 1
    }

    /// Returns the name of the innermost open element, if it is in the tree as such.
    pub(super) fn innermost(&self) -> Option<&str> {
        let open = self.open.last().filter(|_| self.is_in_root())?;
        Some(self.document.name(open.id))
    }

    /// Opens an element. Where it is too deep, it is put in and closed at once.
    pub(super) fn open(&mut self, name: &str, attributes: &[Markup<'_>]) {
        self.has_root = true;
        let declared = attributes.iter().filter_map(|attribute| {
            let prefix = match attribute.name {
                "xmlns" => "",
                name => name.strip_prefix("xmlns:")?,
            };
            Some((prefix, &*attribute.value))
        });
        let declared = self.namespaces.enter(declared);
        let (prefix, local) = split_prefix(name);
        let qualifier = self.namespaces.of_element(prefix);
        let is_html = &*self.namespaces.qualifiers[usize::from(qualifier)].uri == XHTML;
        let kind = if is_html { Kind::Html } else { Kind::Foreign };
        let attributes = self.push_attributes(attributes);
        let id = self.append(kind, LocalName::from(local), qualifier, attributes);
        self.names.declarations.extend(declared.into_iter().map(|declared| (id, declared)));
        if self.open.len() > OPEN_ELEMENTS_MAX as usize || self.beyond > 0 {
            self.beyond += 1;
            self.document.truncated = true;
        } else {
            self.open.push(Open { id, last_child: NONE });
        }
    }

    /// Notes that an element had more attributes than are kept.
    pub(super) fn drop_markup(&mut self) {
        self.document.truncated = true;
    }

    /// Closes the innermost element.
    pub(super) fn close(&mut self) {
        self.namespaces.leave();
        if self.beyond > 0 {
            self.beyond -= 1;
            return;
        }
        if let Some(Open { id, .. }) = self.open.pop() {
            self.end(id);
            self.note_title(id);
        }
    }

    /// Adds text to the innermost element.
    pub(super) fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let last = self.document.nodes.len() - 1;
        let parent = self.open.last().map_or(NONE, |open| open.id);
        let extends = self.document.nodes[last].kind == Kind::Text
            && self.document.nodes[last].parent == parent;
        if !extends {
            self.append(Kind::Text, local_name!(""), 0, (0, 0));
        }
        self.document.text.push_str(text);
        let end = self.document.text.len() as u32;
        if let Some(node) = self.document.nodes.last_mut() {
            node.text.1 = end;
        }
    }

    pub(super) fn comment(&mut self, text: &str) {
        self.aside(Kind::Comment, local_name!(""), text);
    }

    pub(super) fn instruction(&mut self, target: &str, text: &str) {
        self.aside(Kind::Instruction, LocalName::from(target), text);
    }

    fn aside(&mut self, kind: Kind, name: LocalName, text: &str) {
        let id = self.append(kind, name, 0, (0, 0));
        let start = self.document.comments.len() as u32;
        self.document.comments.push_str(text);
        self.document.nodes[id as usize].text = (start, self.document.comments.len() as u32);
    }

    /// Tells whether the tree is as large as it may be.
    pub(super) fn is_full(&self, memory_max: usize) -> bool {
        let Document { nodes, attributes, text, comments, values, .. } = &self.document;
        let memory = nodes.len() * (size_of::<Node>() + size_of::<QualifierId>())
            + attributes.len() * (size_of::<Attribute>() + size_of::<QualifierId>())
            + self.names.declarations.len() * size_of::<(NodeId, u16)>()
            + text.len()
            + comments.len()
            + values.len();
        nodes.len() > NODES_MAX as usize || memory * GROWTH > memory_max
    }

    /// Closes what is open and returns the tree.
    pub(super) fn finish(mut self, is_cut: bool) -> Document {
        while let Some(Open { id, .. }) = self.open.pop() {
            self.end(id);
        }
        self.document.truncated |= is_cut || self.namespaces.overflowed;
        self.names.qualifiers = self.namespaces.qualifiers;
        self.document.xml = Some(Box::new(self.names));
        self.document
    }

    /// Keeps all attributes but declarations of namespaces.
    fn push_attributes(&mut self, attributes: &[Markup<'_>]) -> (u32, u32) {
        let start = self.document.attributes.len() as u32;
        for Markup { name, value } in attributes.iter().filter(|it| !is_declaration(it.name)) {
            if self.document.attributes.len() as u32 - start >= ATTRIBUTES_MAX as u32 {
                self.document.truncated = true;
                break;
            }
            let (prefix, local) = split_prefix(name);
            let local = LocalName::from(local);
            if !prefix.is_empty() || self.has_prefixed(start) {
                let earlier = &self.document.attributes[start as usize..];
                self.names.has_twins |= earlier.iter().any(|earlier| earlier.name == local);
            }
            let value_start = self.document.values.len() as u32;
            self.document.values.push_str(value);
            let value = (value_start, self.document.values.len() as u32);
            self.document.attributes.push(Attribute { name: local, value });
            self.names.of_attributes.push(self.namespaces.of_attribute(prefix));
        }
        (start, self.document.attributes.len() as u32)
    }

    /// Tells whether one of the attributes from `start` on has a prefix.
    fn has_prefixed(&self, start: u32) -> bool {
        self.names.of_attributes[start as usize..].iter().any(|&qualifier| qualifier != 0)
    }

    /// Puts a node behind the last child of the innermost element.
    fn append(
        &mut self,
        kind: Kind,
        name: LocalName,
        qualifier: QualifierId,
        attributes: (u32, u32),
    ) -> NodeId {
        let id = self.document.nodes.len() as NodeId;
        let previous = match self.open.last_mut() {
            Some(open) => std::mem::replace(&mut open.last_child, id),
            None => NONE,
        };
        self.push(kind, name, qualifier, previous, attributes);
        id
    }

    fn push(
        &mut self,
        kind: Kind,
        name: LocalName,
        qualifier: QualifierId,
        previous_sibling: NodeId,
        attributes: (u32, u32),
    ) {
        let end = self.document.nodes.len() as NodeId + 1;
        let text = self.document.text.len() as u32;
        let parent = self.open.last().map_or(NONE, |open| open.id);
        let text = (text, text);
        self.document.nodes.push(Node {
            kind,
            name,
            parent,
            previous_sibling,
            end,
            text,
            attributes,
        });
        self.names.of_nodes.push(qualifier);
    }

    /// Marks the end of a subtree, and of its text.
    fn end(&mut self, id: NodeId) {
        let end = self.document.nodes.len() as NodeId;
        let text_end = self.document.text.len() as u32;
        let node = &mut self.document.nodes[id as usize];
        (node.end, node.text.1) = (end, text_end);
    }

    /// Notes whether the element that was just closed is the title.
    fn note_title(&mut self, id: NodeId) {
        let root = self.open.get(1).map_or(id, |open| open.id);
        let is_title = match self.is_svg(root, "svg") {
            true => self.open.len() == 2 && self.is_svg(id, "title"),
            false => {
                self.document.is_html_title(id)
                    && !self.open.iter().any(|open| self.document.is_template(open.id))
            }
        };
        self.title_is_decided |= is_title;
    }

    fn is_svg(&self, id: NodeId, name: &str) -> bool {
        let qualifier = usize::from(self.names.of_nodes[id as usize]);
        &**self.document.name(id) == name && &*self.namespaces.qualifiers[qualifier].uri == SVG
    }
}

/// Tells whether an attribute declares a namespace.
fn is_declaration(name: &str) -> bool {
    name == "xmlns" || name.starts_with("xmlns:")
}
