//! The tree of one page, as XPath and CSS read it: flat, immutable, in document order.
//!
//! A node is an index, and indices grow in document order, so comparing two positions is comparing
//! two numbers and a subtree is a range. The text of the page lies in one string in the same order,
//! so the string-value of any element is a slice of it: nothing is copied and nothing recurses, and
//! a tree of any depth is walked and dropped on a small stack.
//!
//! [`crate::page::html::parse`] makes a tree of markup, and cuts it where it must.

use std::ops::Range;

use html5ever::LocalName;

/// The index of a node. The document itself is [`Document::ROOT`].
pub(crate) type NodeId = u32;

/// The index that stands for no node.
pub(crate) const NONE: NodeId = NodeId::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Document,
    /// An element in the HTML namespace.
    Html,
    /// An element in any other namespace: SVG, MathML.
    Foreign,
    Text,
    Comment,
}

/// One node. It has forty bytes, because a page may have half a million.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) name: LocalName,
    pub(crate) parent: NodeId,
    pub(crate) previous_sibling: NodeId,
    /// One past the last node of the subtree.
    pub(crate) end: NodeId,
    /// Where the text of the subtree lies: in `comments` for a comment, else in `text`.
    pub(crate) text: (u32, u32),
    /// Where the attributes lie in `attributes`.
    pub(crate) attributes: (u32, u32),
}

#[derive(Debug)]
pub(crate) struct Attribute {
    /// The name as written, prefix included: `xlink:href`.
    pub(crate) name: LocalName,
    /// Where the value lies in `values`.
    pub(crate) value: (u32, u32),
}

/// A parsed page.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) nodes: Vec<Node>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) text: String,
    pub(crate) comments: String,
    pub(crate) values: String,
    /// Whether a bound cut the page.
    pub(crate) truncated: bool,
    /// Whether browsers show the page in quirks mode, where names of classes and ids are the same
    /// in upper and lower case.
    pub(crate) quirks: bool,
}

impl Document {
    pub(crate) const ROOT: NodeId = 0;

    pub(crate) fn kind(&self, id: NodeId) -> Kind {
        self.node(id).kind
    }

    pub(crate) fn is_element(&self, id: NodeId) -> bool {
        matches!(self.kind(id), Kind::Html | Kind::Foreign)
    }

    /// Returns the name of an element; it is empty for every other node.
    pub(crate) fn name(&self, id: NodeId) -> &LocalName {
        &self.node(id).name
    }

    /// Returns the string-value: all text below an element, or the content of a text or comment.
    pub(crate) fn text(&self, id: NodeId) -> &str {
        let node = self.node(id);
        let arena = if node.kind == Kind::Comment { &self.comments } else { &self.text };
        slice(arena, node.text)
    }

    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        some(self.node(id).parent)
    }

    pub(crate) fn previous_sibling(&self, id: NodeId) -> Option<NodeId> {
        some(self.node(id).previous_sibling)
    }

    pub(crate) fn next_sibling(&self, id: NodeId) -> Option<NodeId> {
        let node = self.node(id);
        let parent = some(node.parent)?;
        (node.end < self.node(parent).end).then_some(node.end)
    }

    pub(crate) fn first_child(&self, id: NodeId) -> Option<NodeId> {
        (id + 1 < self.node(id).end).then_some(id + 1)
    }

    pub(crate) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(self.first_child(id), |&child| self.next_sibling(child))
    }

    /// Iterates over the elements that are in the document. The contents of a template are not.
    pub(crate) fn elements(&self) -> impl Iterator<Item = NodeId> + '_ {
        let end = self.nodes.len() as NodeId;
        let mut next = Document::ROOT + 1;
        let nodes = std::iter::from_fn(move || {
            let id = (next < end).then_some(next)?;
            next = if self.is_template(id) { self.descendants(id).end } else { id + 1 };
            Some(id)
        });
        nodes.filter(|&id| self.is_element(id))
    }

    pub(crate) fn is_template(&self, id: NodeId) -> bool {
        self.kind(id) == Kind::Html && &**self.name(id) == "template"
    }

    /// Returns the nodes below `id`, in document order.
    pub(crate) fn descendants(&self, id: NodeId) -> Range<NodeId> {
        id + 1..self.node(id).end
    }

    /// Returns the indices of an element's attributes, as [`attribute`](Self::attribute) takes
    /// them.
    pub(crate) fn attributes(&self, id: NodeId) -> Range<u32> {
        let (start, end) = self.node(id).attributes;
        start..end
    }

    /// Returns the name and value of an attribute.
    pub(crate) fn attribute(&self, index: u32) -> (&LocalName, &str) {
        let attribute = &self.attributes[index as usize];
        (&attribute.name, slice(&self.values, attribute.value))
    }

    /// Returns the value of an element's attribute.
    pub(crate) fn attribute_named(&self, id: NodeId, name: &str) -> Option<&str> {
        self.attributes(id)
            .map(|index| self.attribute(index))
            .find_map(|(candidate, value)| (&**candidate == name).then_some(value))
    }

    /// Returns `document.title`: the first `title` element of HTML in tree order, its own text
    /// only, with ASCII whitespace stripped and collapsed. A title in a template is not in the
    /// document.
    pub(crate) fn title(&self) -> Option<String> {
        let is_title = |&id: &NodeId| self.kind(id) == Kind::Html && &**self.name(id) == "title";
        let id = self.elements().find(is_title)?;
        let texts = self.children(id).filter(|&child| self.kind(child) == Kind::Text);
        let text: String = texts.map(|child| self.text(child)).collect();
        Some(text.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }
}

fn some(id: NodeId) -> Option<NodeId> {
    (id != NONE).then_some(id)
}

fn slice(arena: &str, (start, end): (u32, u32)) -> &str {
    &arena[start as usize..end as usize]
}
