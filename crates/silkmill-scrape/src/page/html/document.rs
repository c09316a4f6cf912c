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
    /// A processing instruction, which only XML has. Its name is the target.
    Instruction,
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
    /// Where the text of the subtree lies: in `comments` for a comment and an instruction, else in
    /// `text`.
    pub(crate) text: (u32, u32),
    /// Where the attributes lie in `attributes`.
    pub(crate) attributes: (u32, u32),
}

#[derive(Debug)]
pub(crate) struct Attribute {
    /// The name as written, prefix included: `xlink:href`. In XML it is without its prefix.
    pub(crate) name: LocalName,
    /// Where the value lies in `values`.
    pub(crate) value: (u32, u32),
}

/// A prefix and the namespace that it stands for. Both may be empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Qualifier {
    pub(crate) prefix: Box<str>,
    pub(crate) uri: Box<str>,
}

/// The index of the qualifier of the prefix `xml`, behind that of no prefix and no namespace.
pub(crate) const XML_QUALIFIER: u16 = 1;

/// What the names of an XML document have besides their local part. HTML needs none of it.
#[derive(Debug, Default)]
pub(crate) struct XmlNames {
    pub(crate) qualifiers: Vec<Qualifier>,
    /// The index of the qualifier of every node, and of every attribute.
    pub(crate) of_nodes: Vec<u16>,
    pub(crate) of_attributes: Vec<u16>,
    /// The qualifiers that elements declare, in document order.
    pub(crate) declarations: Vec<(NodeId, u16)>,
    /// Whether an element has two attributes whose names differ in their prefixes alone.
    pub(crate) has_twins: bool,
}

/// The namespace of elements that are HTML's in an XML document, too.
pub(crate) const XHTML: &str = "http://www.w3.org/1999/xhtml";
pub(crate) const SVG: &str = "http://www.w3.org/2000/svg";

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
    /// The prefixes and namespaces, if the page is XML.
    pub(crate) xml: Option<Box<XmlNames>>,
}

impl Document {
    pub(crate) const ROOT: NodeId = 0;

    /// Makes the tree of a page that has no markup.
    pub(crate) fn empty() -> Document {
        let root = Node {
            kind: Kind::Document,
            name: LocalName::from(""),
            parent: NONE,
            previous_sibling: NONE,
            end: 1,
            text: (0, 0),
            attributes: (0, 0),
        };
        Document { nodes: vec![root], ..Document::default() }
    }

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
        let is_aside = matches!(node.kind, Kind::Comment | Kind::Instruction);
        slice(if is_aside { &self.comments } else { &self.text }, node.text)
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

    /// Returns the value of an element's attribute. In XML a name without prefix is that of an
    /// attribute without one, if there is such, and else of one with any prefix.
    pub(crate) fn attribute_named(&self, id: NodeId, name: &str) -> Option<&str> {
        let value = |index| self.attribute(index).1;
        if self.xml.is_none() {
            return self.attributes(id).find(|&at| &**self.attribute(at).0 == name).map(value);
        }
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        let named = || self.attributes(id).filter(|&at| &**self.attribute(at).0 == local);
        let has_prefix = |&at: &u32| {
            self.attribute_qualifier(at).map_or("", |qualifier| &qualifier.prefix) == prefix
        };
        let exact = named().find(has_prefix);
        exact.or_else(|| named().next().filter(|_| prefix.is_empty())).map(value)
    }

    /// Tells whether the page is XML, where names are the same only if their case is.
    pub(crate) fn is_xml(&self) -> bool {
        self.xml.is_some()
    }

    /// Returns the prefix and namespace of an element, if it has any.
    pub(crate) fn qualifier(&self, id: NodeId) -> Option<&Qualifier> {
        let names = self.xml.as_deref()?;
        names.qualifier(names.of_nodes[id as usize])
    }

    /// Returns the prefix and namespace of an attribute, if it has any.
    pub(crate) fn attribute_qualifier(&self, index: u32) -> Option<&Qualifier> {
        let names = self.xml.as_deref()?;
        names.qualifier(names.of_attributes[index as usize])
    }

    /// Returns `document.title`: the first `title` element of HTML in tree order, its own text
    /// only, with ASCII whitespace stripped and collapsed. A title in a template is not in the
    /// document. The title of an SVG document is a child of its root.
    pub(crate) fn title(&self) -> Option<String> {
        let svg = self.children(Document::ROOT).find(|&id| self.is_svg(id, "svg"));
        let id = match svg {
            Some(root) => self.children(root).find(|&id| self.is_svg(id, "title"))?,
            None => self.elements().find(|&id| self.is_html_title(id))?,
        };
        let texts = self.children(id).filter(|&child| self.kind(child) == Kind::Text);
        let text: String = texts.map(|child| self.text(child)).collect();
        Some(text.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Tells whether a node is an element of SVG with that name, in XML. In HTML the root of a page
    /// never is one.
    pub(crate) fn is_svg(&self, id: NodeId, name: &str) -> bool {
        &**self.name(id) == name && self.qualifier(id).is_some_and(|it| &*it.uri == SVG)
    }

    /// Tells whether a node is a `title` element of HTML.
    pub(crate) fn is_html_title(&self, id: NodeId) -> bool {
        self.kind(id) == Kind::Html && &**self.name(id) == "title"
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }
}

impl XmlNames {
    fn qualifier(&self, number: u16) -> Option<&Qualifier> {
        (number != 0).then(|| &self.qualifiers[usize::from(number)])
    }
}

fn some(id: NodeId) -> Option<NodeId> {
    (id != NONE).then_some(id)
}

fn slice(arena: &str, (start, end): (u32, u32)) -> &str {
    &arena[start as usize..end as usize]
}
