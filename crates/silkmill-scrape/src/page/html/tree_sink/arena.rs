//! The nodes of a tree under construction and the links between them.
//!
//! A node has five links, so that it can be put anywhere and taken out again at once, and so that
//! the whole tree can be walked without a stack.

use html5ever::{Attribute as Markup, LocalName, local_name};

use crate::page::html::document::{Attribute, Document, Kind, NONE, Node, NodeId};

#[derive(Debug)]
pub(super) struct Linked {
    pub(super) kind: Kind,
    pub(super) name: LocalName,
    pub(super) parent: NodeId,
    pub(super) first_child: NodeId,
    pub(super) last_child: NodeId,
    pub(super) previous: NodeId,
    pub(super) next: NodeId,
    /// The range of the attributes of an element, or the first and last chunk of a text or comment.
    pub(super) content: (u32, u32),
}

/// A run of text. A text node is a chain of them, because the parser may add to an old one.
#[derive(Debug)]
struct Chunk {
    start: u32,
    end: u32,
    next: u32,
}

#[derive(Debug, Default)]
pub(super) struct Arena {
    pub(super) nodes: Vec<Linked>,
    chunks: Vec<Chunk>,
    pub(super) text: String,
    pub(super) attributes: Vec<Attribute>,
    pub(super) values: String,
}

/// Makes room for a quarter more, and not for twice as many: these are the largest vectors of a
/// page.
fn make_room<T>(items: &mut Vec<T>) {
    if items.len() == items.capacity() {
        items.reserve_exact(items.len() / 4 + ROOM_MIN);
    }
}

const ROOM_MIN: usize = 64;

/// The most memory that one of each costs. While a vector grows by a quarter it exists twice, so
/// that a node takes two and a quarter times its size; when the tree is laid out it takes less,
/// since both forms of a node have one size.
const NODE_MEMORY: usize = size_of::<Linked>() * 9 / 4;
const CHUNK_MEMORY: usize = size_of::<Chunk>() * 9 / 4;
const ATTRIBUTE_MEMORY: usize = size_of::<Attribute>() * 9 / 4;
/// A string doubles, and the old one exists while it is copied.
const STRING_FACTOR: usize = 3;
const _: () = assert!(size_of::<Linked>() == size_of::<Node>());

impl Arena {
    /// Returns the most bytes that the tree takes while it grows and while it is laid out.
    pub(super) fn memory(&self) -> usize {
        self.nodes.len() * NODE_MEMORY
            + self.chunks.len() * CHUNK_MEMORY
            + self.attributes.len() * ATTRIBUTE_MEMORY
            + (self.text.len() + self.values.len()) * STRING_FACTOR
    }

    pub(super) fn node(&mut self, id: NodeId) -> &mut Linked {
        &mut self.nodes[id as usize]
    }

    pub(super) fn create(&mut self, kind: Kind, name: LocalName, content: (u32, u32)) -> NodeId {
        let id = self.nodes.len() as NodeId;
        make_room(&mut self.nodes);
        self.nodes.push(Linked {
            kind,
            name,
            parent: NONE,
            first_child: NONE,
            last_child: NONE,
            previous: NONE,
            next: NONE,
            content,
        });
        id
    }

    pub(super) fn create_text(&mut self, kind: Kind, text: &str) -> NodeId {
        let chunk = self.chunk(text);
        self.create(kind, local_name!(""), (chunk, chunk))
    }

    fn chunk(&mut self, text: &str) -> u32 {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        make_room(&mut self.chunks);
        self.chunks.push(Chunk { start, end: self.text.len() as u32, next: NONE });
        self.chunks.len() as u32 - 1
    }

    /// Adds to a text node: in place when no text was written since, otherwise as a new chunk.
    fn extend_text(&mut self, id: NodeId, text: &str) {
        let last = self.node(id).content.1;
        if self.chunks[last as usize].end == self.text.len() as u32 {
            self.text.push_str(text);
            self.chunks[last as usize].end = self.text.len() as u32;
        } else {
            let chunk = self.chunk(text);
            self.chunks[last as usize].next = chunk;
            self.node(id).content.1 = chunk;
        }
    }

    pub(super) fn push_attribute(&mut self, attribute: &Markup) {
        let name = match &attribute.name.prefix {
            Some(prefix) if !prefix.is_empty() => {
                LocalName::from(format!("{prefix}:{}", attribute.name.local))
            }
            _ => attribute.name.local.clone(),
        };
        let start = self.values.len() as u32;
        self.values.push_str(&attribute.value);
        make_room(&mut self.attributes);
        self.attributes.push(Attribute { name, value: (start, self.values.len() as u32) });
    }

    /// Adds attributes to an element. They lie together, so the old ones are repeated at the end.
    pub(super) fn add_attributes(&mut self, id: NodeId, added: &[Markup]) {
        let (start, end) = self.node(id).content;
        let new_start = self.attributes.len() as u32;
        for index in start..end {
            let &Attribute { ref name, value } = &self.attributes[index as usize];
            let name = name.clone();
            make_room(&mut self.attributes);
            self.attributes.push(Attribute { name, value });
        }
        for attribute in added {
            self.push_attribute(attribute);
        }
        self.node(id).content = (new_start, self.attributes.len() as u32);
    }

    pub(super) fn append(&mut self, parent: NodeId, child: NodeId) {
        let last = std::mem::replace(&mut self.node(parent).last_child, child);
        let node = self.node(child);
        node.parent = parent;
        node.previous = last;
        match last {
            NONE => self.node(parent).first_child = child,
            _ => self.node(last).next = child,
        }
    }

    pub(super) fn insert_before(&mut self, sibling: NodeId, child: NodeId) {
        let &mut Linked { parent, previous, .. } = self.node(sibling);
        self.node(sibling).previous = child;
        let node = self.node(child);
        node.parent = parent;
        node.previous = previous;
        node.next = sibling;
        match previous {
            NONE => self.node(parent).first_child = child,
            _ => self.node(previous).next = child,
        }
    }

    pub(super) fn detach(&mut self, id: NodeId) {
        let node = self.node(id);
        let (parent, previous, next) = (node.parent, node.previous, node.next);
        (node.parent, node.previous, node.next) = (NONE, NONE, NONE);
        if parent == NONE {
            return;
        }
        match previous {
            NONE => self.node(parent).first_child = next,
            _ => self.node(previous).next = next,
        }
        match next {
            NONE => self.node(parent).last_child = previous,
            _ => self.node(next).previous = previous,
        }
    }

    /// Adds text after `last`, a child of the same parent, if `last` is a text. Returns whether it
    /// was.
    pub(super) fn extends(&mut self, last: NodeId, text: &str) -> bool {
        let is_text = last != NONE && self.node(last).kind == Kind::Text;
        if is_text {
            self.extend_text(last, text);
        }
        is_text
    }

    /// Walks the tree in document order with its links alone: no stack, no recursion.
    pub(super) fn lay_out(&self, document: &mut Document) {
        let mut parent = NONE;
        let mut previous = NONE;
        let mut id_in_arena = Document::ROOT;
        loop {
            let id = document.nodes.len() as NodeId;
            let node = self.laid_out(id_in_arena, parent, previous, document);
            document.nodes.push(node);
            let node = &self.nodes[id_in_arena as usize];
            if node.first_child != NONE {
                (parent, previous, id_in_arena) = (id, NONE, node.first_child);
                continue;
            }
            let mut closed = id;
            loop {
                close(document, closed);
                let node = &self.nodes[id_in_arena as usize];
                if node.parent == NONE {
                    return;
                }
                if node.next != NONE {
                    (previous, id_in_arena) = (closed, node.next);
                    break;
                }
                id_in_arena = node.parent;
                closed = parent;
                parent = document.nodes[closed as usize].parent;
            }
        }
    }

    fn laid_out(
        &self,
        id_in_arena: NodeId,
        parent: NodeId,
        previous: NodeId,
        to: &mut Document,
    ) -> Node {
        let node = &self.nodes[id_in_arena as usize];
        let arena = if node.kind == Kind::Comment { &mut to.comments } else { &mut to.text };
        let start = arena.len() as u32;
        if matches!(node.kind, Kind::Text | Kind::Comment) {
            let mut next = node.content.0;
            while next != NONE {
                let chunk = &self.chunks[next as usize];
                arena.push_str(&self.text[chunk.start as usize..chunk.end as usize]);
                next = chunk.next;
            }
        }
        Node {
            kind: node.kind,
            name: node.name.clone(),
            parent,
            previous_sibling: previous,
            end: NONE,
            text: (start, arena.len() as u32),
            attributes: match node.kind {
                Kind::Html | Kind::Foreign => node.content,
                _ => (0, 0),
            },
        }
    }
}

/// Marks the end of a subtree, and of its text.
fn close(document: &mut Document, id: NodeId) {
    let end = document.nodes.len() as NodeId;
    let text_end = document.text.len() as u32;
    let node = &mut document.nodes[id as usize];
    node.end = end;
    if node.kind != Kind::Comment {
        node.text.1 = text_end;
    }
}
