//! Turns markup into a [`Document`], at a bounded cost.
//!
//! The tokenizer and the tree construction are `html5ever`'s, which follow the WHATWG standard. The
//! standard itself has no bounds: 69 KB of markup can mean nine million nodes, and nested elements
//! cost time that grows with the square of their number. So a [`Gate`] stands between the two. It
//! counts the work that every token causes, closes elements that are opened too deep, and drops
//! what comes after the budget is spent. What was cut is a pure function of the markup, never of
//! the clock: the same page gives the same tree on every machine.
//!
//! The tree itself is [`crate::draft`] while it grows, then [`crate::document`].

use std::cell::Cell;

use html5ever::buffer_queue::BufferQueue;
use html5ever::interface::Tracer;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};
use html5ever::{LocalName, TokenizerResult, local_name};

use crate::document::{Document, NodeId};
use crate::draft::{ATTRIBUTES_MAX, Draft, Handle};

/// Most elements open at once. A deeper one is closed where it opens, so that it keeps its place
/// and its attributes but what follows becomes its sibling. Blink has the same limit.
pub(crate) const OPEN_ELEMENTS_MAX: u32 = 512;

/// Most formatting elements (`b`, `font`, …) that a later block may reopen.
pub(crate) const FORMATTING_ELEMENTS_MAX: u32 = 128;

/// Most nodes of a page: with the page's own text this is 45 MB.
pub(crate) const NODES_MAX: u32 = 1 << 19;

/// Most work for one page. A unit is one look at an open element, an attribute or a node, which
/// takes one or two nanoseconds; a page of 10 MiB as people write them takes a tenth of it.
const WORK_MAX: u64 = 1 << 29;

/// How much longer than the markup the stored text may be. A reference (`&nGt;`) grows a little, a
/// NUL triples; what grows more is attributes repeated by reopened elements.
const STORED_FACTOR_MAX: usize = 3;
const STORED_FLOOR: usize = 64 * 1024;

/// Bytes handed to the tokenizer at a time: the budget is looked at in between.
const PIECE_BYTES: usize = 4 * 1024;

/// What it costs to compare one attribute of two formatting elements: both are copied and sorted.
const ATTRIBUTE_CLONE_WORK: u64 = 32;

/// Nodes created between two exact counts of the open ones.
const COUNT_EVERY: u32 = 64;

/// How much of a page is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// All of it.
    End,
    /// Enough to know the title.
    Title,
}

/// Parses a page. Scripting is off: the content of `noscript` is markup.
pub(crate) fn parse(html: &str, until: Until) -> Document {
    let draft = TreeBuilder::new(
        Draft::new(),
        TreeBuilderOpts { scripting_enabled: false, drop_doctype: true, ..Default::default() },
    );
    let gate = Gate::new(draft, STORED_FLOOR + STORED_FACTOR_MAX * html.len());
    let tokenizer = Tokenizer::new(gate, TokenizerOpts::default());
    let stopped = feed(&tokenizer, html, until);
    if !stopped {
        tokenizer.end();
    }
    let Gate { builder, cut, flattened, .. } = tokenizer.sink;
    builder.sink.freeze(cut.get() || flattened.get())
}

/// Feeds the page piece by piece until it ends, the title is known or the budget is spent. Says
/// whether it stopped before the end.
fn feed(tokenizer: &Tokenizer<Gate>, html: &str, until: Until) -> bool {
    let gate = &tokenizer.sink;
    let queue = BufferQueue::default();
    let mut silent = Silence::default();
    for piece in pieces(html) {
        let tokens = gate.tokens.get();
        queue.push_back(StrTendril::from_slice(piece));
        while !matches!(tokenizer.feed(&queue), TokenizerResult::Done) {}
        gate.charge(silent.work(piece, gate.tokens.get() > tokens));
        let title_is_known = until == Until::Title && gate.builder.sink.title_is_decided();
        if gate.cut.get() || title_is_known {
            return true;
        }
    }
    false
}

/// Cuts the page into pieces between characters.
fn pieces(html: &str) -> impl Iterator<Item = &str> {
    let mut rest = html;
    std::iter::from_fn(move || {
        let (piece, tail) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

/// A stretch of markup in which no token ends. It is a long tag or a long comment; which one, the
/// tokenizer does not tell. In a tag every new attribute is compared with all before it.
#[derive(Default)]
struct Silence {
    attributes: u64,
}

impl Silence {
    fn work(&mut self, piece: &str, had_token: bool) -> u64 {
        if had_token {
            self.attributes = 0;
            return 0;
        }
        // An attribute ends at a space, a slash or a quote; several in a row end only one.
        let ends =
            |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' | b'/' | b'"' | b'\'');
        let new =
            piece.as_bytes().windows(2).filter(|pair| ends(pair[0]) && !ends(pair[1])).count();
        self.attributes += new as u64;
        new as u64 * self.attributes
    }
}

/// Passes tokens to the tree construction, and knows what they cost.
struct Gate {
    builder: TreeBuilder<Handle, Draft>,
    stored_max: usize,
    tokens: Cell<u64>,
    work: Cell<u64>,
    /// The last exact count of what is open, and the number of nodes at that time.
    open: Cell<u32>,
    formatting: Cell<u32>,
    counted_at: Cell<u32>,
    /// The number of nodes at which the next count is due.
    count_due: Cell<u32>,
    /// The budget is spent, and the rest of the page is dropped.
    cut: Cell<bool>,
    /// An element was closed where it opened.
    flattened: Cell<bool>,
}

impl Gate {
    fn new(builder: TreeBuilder<Handle, Draft>, stored_max: usize) -> Gate {
        Gate {
            builder,
            stored_max,
            tokens: Cell::default(),
            work: Cell::default(),
            open: Cell::default(),
            formatting: Cell::default(),
            counted_at: Cell::default(),
            count_due: Cell::new(COUNT_EVERY),
            cut: Cell::default(),
            flattened: Cell::default(),
        }
    }

    fn nodes(&self) -> u32 {
        self.builder.sink.node_count()
    }

    /// An upper bound of the open elements.
    fn open_max(&self) -> u32 {
        self.open.get() + self.nodes() - self.counted_at.get()
    }

    fn charge(&self, work: u64) {
        self.work.set(self.work.get() + work);
        let stored = self.builder.sink.stored_bytes();
        if self.work.get() > WORK_MAX || self.nodes() > NODES_MAX || stored > self.stored_max {
            self.cut.set(true);
        }
    }

    /// What the tag costs before the tree construction sees it: its attributes were compared with
    /// each other, and those of a formatting element will be with every other's.
    fn charge_attributes(&self, tag: &Tag) {
        let attributes = tag.attrs.len() as u64;
        let mut work = attributes * attributes / 2;
        if tag.kind == TagKind::StartTag && is_formatting(&tag.name) {
            self.formatting.set(self.formatting.get() + 1);
            work += u64::from(self.formatting.get()) * attributes * ATTRIBUTE_CLONE_WORK;
        }
        self.charge(work);
    }

    /// Closes the element that the start tag `name` has just opened, if that is one too many.
    fn bound_open_elements(&self, name: LocalName, line: u64) {
        if self.nodes() < self.count_due.get() {
            return;
        }
        let count = OpenCount::of(&self.builder, self.nodes() - 1);
        let Some((open, formatting)) = count.exact() else {
            // A void element is not open, so it does not tell where the open ones end.
            return;
        };
        self.charge(u64::from(open + formatting));
        self.open.set(open);
        self.formatting.set(formatting);
        self.counted_at.set(self.nodes());
        let room = OPEN_ELEMENTS_MAX
            .saturating_sub(open)
            .min(FORMATTING_ELEMENTS_MAX.saturating_sub(formatting));
        self.count_due.set(self.nodes() + room.clamp(1, COUNT_EVERY));
        if open > OPEN_ELEMENTS_MAX || formatting > FORMATTING_ELEMENTS_MAX {
            self.flattened.set(true);
            self.close(name, line);
        }
    }

    fn close(&self, name: LocalName, line: u64) {
        let tag = Tag {
            kind: TagKind::EndTag,
            name,
            self_closing: false,
            attrs: Vec::new(),
            had_duplicate_attributes: false,
        };
        // An end tag never changes how the tokenizer goes on, except that of a script, which
        // `process_token` does not let come here.
        let _ = self.builder.process_token(Token::TagToken(tag), line);
    }
}

impl TokenSink for Gate {
    type Handle = Handle;

    fn process_token(&self, mut token: Token, line: u64) -> TokenSinkResult<Handle> {
        self.tokens.set(self.tokens.get() + 1);
        if let Token::TagToken(tag) = &mut token {
            self.charge_attributes(tag);
            if tag.attrs.len() > ATTRIBUTES_MAX {
                tag.attrs.truncate(ATTRIBUTES_MAX);
                self.flattened.set(true);
            }
        }
        if self.cut.get() {
            return TokenSinkResult::Continue;
        }
        let opened = match &token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => Some(tag.name.clone()),
            _ => None,
        };
        let before = self.nodes();
        let open = u64::from(self.open_max());
        let result = self.builder.process_token(token, line);
        let created = self.nodes() - before;
        self.charge(open * (1 + u64::from(created)) + self.builder.sink.take_extra_work());
        // Raw text holds no elements, and its own end tag closes it.
        if let (Some(name), true, TokenSinkResult::Continue) = (opened, created > 0, &result) {
            self.bound_open_elements(name, line);
        }
        result
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// Counts the elements that are open and those that wait to be reopened. `html5ever` shows them
/// one after the other: the document, the open elements with the newest last, the formatting
/// elements, and at most two more.
struct OpenCount {
    newest: NodeId,
    seen: Cell<u32>,
    newest_at: Cell<Option<u32>>,
}

impl OpenCount {
    fn of(builder: &TreeBuilder<Handle, Draft>, newest: NodeId) -> OpenCount {
        let count = OpenCount { newest, seen: Cell::new(0), newest_at: Cell::new(None) };
        builder.trace_handles(&count);
        count
    }

    /// The open elements and the formatting elements, when the newest element is an open one.
    fn exact(&self) -> Option<(u32, u32)> {
        let open = self.newest_at.get()?;
        Some((open, self.seen.get() - open - 1))
    }
}

impl Tracer for OpenCount {
    type Handle = Handle;

    fn trace_handle(&self, node: &Handle) {
        if node.id == self.newest && self.newest_at.get().is_none() {
            self.newest_at.set(Some(self.seen.get()));
        }
        self.seen.set(self.seen.get() + 1);
    }
}

fn is_formatting(name: &LocalName) -> bool {
    matches!(
        *name,
        local_name!("a")
            | local_name!("b")
            | local_name!("big")
            | local_name!("code")
            | local_name!("em")
            | local_name!("font")
            | local_name!("i")
            | local_name!("nobr")
            | local_name!("s")
            | local_name!("small")
            | local_name!("strike")
            | local_name!("strong")
            | local_name!("tt")
            | local_name!("u")
    )
}
