//! The tree while it is being built: linked nodes that the parser may still move.
//!
//! [`DocumentBuilder`] is what `html5ever` writes to. When parsing ends,
//! [`DocumentBuilder::freeze`] walks it once and lays it out as a [`Document`]. It counts what it
//! stores, and leaves the limits to [`crate::page::html::cost_limit`]. The nodes and their links
//! are in [`arena`].

use std::borrow::Cow;
use std::cell::{Cell, RefCell, RefMut};

use html5ever::interface::{ElemName, ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::{Attribute as Markup, LocalName, Namespace, QualName, local_name, ns};

use crate::page::html::document::{Document, Kind, NONE, NodeId};

use arena::Arena;

mod arena;

/// The most attributes of one element; the rest are dropped. Pages in the wild stay below a
/// hundred.
pub(crate) const ATTRIBUTES_MAX: usize = 256;

/// The parser's handle to a node: the index, and the name that it asks for most.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(crate) id: NodeId,
    name: Name,
}

#[derive(Clone, Debug)]
pub(crate) struct Name {
    ns: Namespace,
    local: LocalName,
}

impl ElemName for &Name {
    fn ns(&self) -> &Namespace {
        &self.ns
    }

    fn local_name(&self) -> &LocalName {
        &self.local
    }
}

/// The tree that `html5ever` builds.
#[derive(Debug)]
pub(crate) struct DocumentBuilder {
    arena: RefCell<Arena>,
    /// The `head` element and the first title that is its child.
    head: Cell<NodeId>,
    head_title: Cell<NodeId>,
    head_title_is_closed: Cell<bool>,
    /// The nodes visited while moving children, and the attributes compared: work beyond the
    /// tokens.
    extra_work: Cell<u64>,
    /// Whether a second `<body>` tag had attributes that did not fit.
    dropped: Cell<bool>,
    /// The `annotation-xml` elements of MathML that declare to contain HTML, in the order they
    /// came.
    html_annotations: RefCell<Vec<NodeId>>,
    quirks: Cell<bool>,
}

impl DocumentBuilder {
    pub(crate) fn new() -> DocumentBuilder {
        let builder = DocumentBuilder {
            arena: RefCell::default(),
            head: Cell::new(NONE),
            head_title: Cell::new(NONE),
            head_title_is_closed: Cell::new(false),
            extra_work: Cell::new(0),
            dropped: Cell::new(false),
            html_annotations: RefCell::default(),
            quirks: Cell::new(false),
        };
        builder.create(Kind::Document, local_name!(""), (0, 0));
        builder
    }

    /// Returns the number of nodes created so far, which is the index that the next one gets.
    pub(crate) fn node_count(&self) -> u32 {
        self.arena.borrow().nodes.len() as u32
    }

    /// Returns the bytes of memory that the tree takes, now or when it is laid out, whichever is
    /// more.
    pub(crate) fn memory(&self) -> usize {
        self.arena.borrow().memory()
    }

    /// Returns the work done since the last call that no token accounts for.
    pub(crate) fn take_extra_work(&self) -> u64 {
        self.extra_work.take()
    }

    /// Tells whether a `title` in the head is complete. No later markup can put another title
    /// before it: only children of the head and of what precedes it come earlier in the tree, new
    /// ones are appended to the head, and what the parser inserts elsewhere it inserts below
    /// `body`.
    pub(crate) fn title_is_decided(&self) -> bool {
        self.head_title_is_closed.get()
    }

    fn arena(&self) -> RefMut<'_, Arena> {
        self.arena.borrow_mut()
    }

    fn create(&self, kind: Kind, name: LocalName, content: (u32, u32)) -> NodeId {
        self.arena().create(kind, name, content)
    }

    fn note_title(&self, parent: NodeId, child: NodeId) {
        let arena = self.arena.borrow();
        let is = |id: NodeId, name| {
            let node = &arena.nodes[id as usize];
            node.kind == Kind::Html && node.name == name
        };
        if self.head.get() == NONE && is(child, local_name!("head")) {
            self.head.set(child);
        } else if parent == self.head.get()
            && self.head_title.get() == NONE
            && is(child, local_name!("title"))
        {
            self.head_title.set(child);
        }
    }

    /// Lays the tree out in document order.
    pub(crate) fn freeze(self, truncated: bool) -> Document {
        let arena = self.arena.into_inner();
        let mut document = Document {
            nodes: Vec::with_capacity(arena.nodes.len()),
            text: String::with_capacity(arena.text.len()),
            truncated: truncated || self.dropped.get(),
            quirks: self.quirks.get(),
            ..Document::default()
        };
        arena.lay_out(&mut document);
        document.attributes = arena.attributes;
        document.values = arena.values;
        document
    }
}

impl TreeSink for DocumentBuilder {
    type Handle = Handle;
    type Output = DocumentBuilder;
    type ElemName<'a> = &'a Name;

    fn finish(self) -> DocumentBuilder {
        self
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Handle {
        Handle { id: Document::ROOT, name: Name { ns: ns!(), local: local_name!("") } }
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> &'a Name {
        &target.name
    }

    fn create_element(
        &self,
        name: QualName,
        attributes: Vec<Markup>,
        flags: ElementFlags,
    ) -> Handle {
        let mut arena = self.arena();
        let start = arena.attributes.len() as u32;
        for attribute in &attributes {
            arena.push_attribute(attribute);
        }
        self.extra_work.set(self.extra_work.get() + attributes.len() as u64);
        let kind = if name.ns == ns!(html) { Kind::Html } else { Kind::Foreign };
        let end = arena.attributes.len() as u32;
        let id = arena.create(kind, name.local.clone(), (start, end));
        if flags.mathml_annotation_xml_integration_point {
            self.html_annotations.borrow_mut().push(id);
        }
        Handle { id, name: Name { ns: name.ns, local: name.local } }
    }

    fn create_comment(&self, text: StrTendril) -> Handle {
        let id = self.arena().create_text(Kind::Comment, &text);
        Handle { id, ..self.get_document() }
    }

    /// HTML has no processing instructions: the tokenizer turns them into comments.
    fn create_pi(&self, target: StrTendril, data: StrTendril) -> Handle {
        self.create_comment(format!("{target} {data}").into())
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        match child {
            NodeOrText::AppendNode(child) => {
                self.arena().append(parent.id, child.id);
                self.note_title(parent.id, child.id);
            }
            NodeOrText::AppendText(text) => {
                let mut arena = self.arena();
                let last = arena.node(parent.id).last_child;
                if !arena.extends(last, &text) {
                    let child = arena.create_text(Kind::Text, &text);
                    arena.append(parent.id, child);
                }
            }
        }
    }

    fn append_based_on_parent_node(
        &self,
        element: &Handle,
        previous: &Handle,
        child: NodeOrText<Handle>,
    ) {
        if self.arena().node(element.id).parent == NONE {
            self.append(previous, child);
        } else {
            self.append_before_sibling(element, child);
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    /// A template keeps its contents as children, as lxml does; a title in one does not count.
    fn get_template_contents(&self, target: &Handle) -> Handle {
        target.clone()
    }

    fn same_node(&self, x: &Handle, y: &Handle) -> bool {
        x.id == y.id
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.quirks.set(mode == QuirksMode::Quirks);
    }

    fn append_before_sibling(&self, sibling: &Handle, child: NodeOrText<Handle>) {
        let mut arena = self.arena();
        match child {
            NodeOrText::AppendNode(child) => {
                arena.detach(child.id);
                arena.insert_before(sibling.id, child.id);
            }
            NodeOrText::AppendText(text) => {
                let previous = arena.node(sibling.id).previous;
                if !arena.extends(previous, &text) {
                    let child = arena.create_text(Kind::Text, &text);
                    arena.insert_before(sibling.id, child);
                }
            }
        }
    }

    /// A second `<html>` or `<body>` tag adds what the first one lacks.
    fn add_attrs_if_missing(&self, target: &Handle, attributes: Vec<Markup>) {
        let mut arena = self.arena();
        let (start, end) = arena.node(target.id).content;
        let present = (end - start) as usize;
        self.extra_work.set(self.extra_work.get() + (present * attributes.len()) as u64);
        let known = &arena.attributes[start as usize..end as usize];
        let mut missing = attributes;
        missing.retain(|new| !known.iter().any(|old| old.name == new.name.local));
        let room = ATTRIBUTES_MAX.saturating_sub(present);
        self.dropped.set(self.dropped.get() || missing.len() > room);
        missing.truncate(room);
        if !missing.is_empty() {
            arena.add_attributes(target.id, &missing);
        }
    }

    fn is_mathml_annotation_xml_integration_point(&self, handle: &Handle) -> bool {
        self.html_annotations.borrow().binary_search(&handle.id).is_ok()
    }

    fn remove_from_parent(&self, target: &Handle) {
        self.arena().detach(target.id);
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        let mut arena = self.arena();
        let mut moved = 0;
        loop {
            let child = arena.node(node.id).first_child;
            if child == NONE {
                break;
            }
            arena.detach(child);
            arena.append(new_parent.id, child);
            moved += 1;
        }
        self.extra_work.set(self.extra_work.get() + moved);
    }

    fn pop(&self, node: &Handle) {
        if node.id == self.head_title.get() {
            self.head_title_is_closed.set(true);
        }
    }

    /// There are no shadow trees here: the template stays where it was written.
    fn allow_declarative_shadow_roots(&self, _: &Handle) -> bool {
        false
    }
}
