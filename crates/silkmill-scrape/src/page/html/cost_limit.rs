//! Stands between the tokenizer and the tree construction, and counts what every token costs.
//!
//! It closes elements that are opened too deep, and drops everything after the budget is spent.
//! What it lets through is a pure function of the tokens. [`crate::page::html::parse`] decides what
//! the tokenizer is fed, and when to stop.

use std::cell::Cell;

use html5ever::interface::Tracer;
use html5ever::tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult};
use html5ever::tree_builder::TreeBuilder;
use html5ever::{LocalName, local_name};

use crate::page::html::document::{Document, NodeId};
use crate::page::html::tree_sink::{ATTRIBUTES_MAX, DocumentBuilder, Handle};

/// The most elements open at once. A deeper one is closed where it opens, so that it keeps its
/// place and its attributes, but the nodes that follow become its siblings. Blink has the same
/// limit.
pub(crate) const OPEN_ELEMENTS_MAX: u32 = 512;

/// The most formatting elements (`b`, `font`, …) that a later block may reopen.
pub(crate) const FORMATTING_ELEMENTS_MAX: u32 = 128;

/// The most nodes of a page.
pub(crate) const NODES_MAX: u32 = 1 << 19;

/// The most memory of a tree for each byte of its markup, beyond a floor, and of any tree. Tags of
/// one letter with a letter between them take some 50 bytes for each byte of theirs. Reopened
/// elements with their attributes take more: 140 KB of markup can ask for two gigabytes.
const MEMORY_PER_BYTE: usize = 56;
const MEMORY_FLOOR: usize = 256 * 1024;
const MEMORY_MAX: usize = 56 << 20;

/// The memory for each byte of a larger page, which its text alone may take.
const TEXT_MEMORY_PER_BYTE: usize = 4;

/// The most work for one page. A unit is one visit to an open element, an attribute or a node,
/// which takes one to three nanoseconds.
const WORK_MAX: u64 = 1 << 28;

/// The most bytes that the tokenizer is fed at a time. The budget is checked in between.
pub(crate) const PIECE_BYTES_MAX: usize = 4 * 1024;

/// The most attributes of a tag that are not charged while the tag is still being read.
const PIECE_ATTRIBUTES: u64 = PIECE_BYTES_MAX as u64;

/// The work of comparing one attribute of two formatting elements: both are copied and sorted.
const ATTRIBUTE_CLONE_WORK: u64 = 32;

/// The most nodes created between two counts of the open elements.
const COUNT_EVERY: u32 = 64;

/// Returns the most memory that the tree of a page of so many bytes may take.
pub(crate) fn memory_max(page_bytes: usize) -> usize {
    (MEMORY_FLOOR + MEMORY_PER_BYTE * page_bytes)
        .min(MEMORY_MAX.max(TEXT_MEMORY_PER_BYTE * page_bytes))
}

/// How much of a page is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// All of it.
    End,
    /// Enough to know the title.
    Title,
}

/// Passes tokens to the tree construction, and counts what they cost.
pub(crate) struct CostLimit {
    pub(crate) builder: TreeBuilder<Handle, DocumentBuilder>,
    memory_max: usize,
    tokens: Cell<u64>,
    work: Cell<u64>,
    /// An upper bound of the open elements at the last count, of the formatting elements, and the
    /// number of nodes then.
    open: Cell<u32>,
    formatting: Cell<u32>,
    counted_at: Cell<u32>,
    /// The number of nodes at which the next exact count is due.
    count_due: Cell<u32>,
    /// Whether the budget is spent, and the rest of the page is dropped.
    cut: Cell<bool>,
    /// Whether something was left out: the rest, attributes, or that an element contains the nodes
    /// after it.
    lossy: Cell<bool>,
    /// Whether something was left out before the title was decided.
    lossy_for_title: Cell<bool>,
}

impl CostLimit {
    /// Makes the limit for a page of so many bytes.
    pub(crate) fn new(
        builder: TreeBuilder<Handle, DocumentBuilder>,
        page_bytes: usize,
    ) -> CostLimit {
        CostLimit {
            builder,
            memory_max: memory_max(page_bytes),
            tokens: Cell::default(),
            work: Cell::default(),
            open: Cell::default(),
            formatting: Cell::default(),
            counted_at: Cell::default(),
            count_due: Cell::new(COUNT_EVERY),
            cut: Cell::default(),
            lossy: Cell::default(),
            lossy_for_title: Cell::default(),
        }
    }

    /// Returns the number of tokens passed on so far.
    pub(crate) fn tokens(&self) -> u64 {
        self.tokens.get()
    }

    /// Tells whether the budget is spent.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// Returns the tree. It counts as truncated when a part of it that is needed was affected.
    pub(crate) fn into_document(self, until: Until) -> Document {
        let lossy = match until {
            Until::End => self.lossy.get(),
            Until::Title => self.lossy_for_title.get(),
        };
        self.builder.sink.freeze(lossy)
    }

    fn note_loss(&self) {
        self.lossy.set(true);
        if !self.builder.sink.title_is_decided() {
            self.lossy_for_title.set(true);
        }
    }

    fn nodes(&self) -> u32 {
        self.builder.sink.node_count()
    }

    /// Returns an upper bound of the number of open elements.
    fn open_max(&self) -> u32 {
        self.open.get() + self.nodes() - self.counted_at.get()
    }

    /// Adds to the work done for this page, and cuts the page when a bound is passed.
    pub(crate) fn charge(&self, work: u64) {
        self.work.set(self.work.get() + work);
        let memory = self.builder.sink.memory();
        if self.work.get() > WORK_MAX || self.nodes() > NODES_MAX || memory > self.memory_max {
            self.cut();
        }
    }

    #[cold]
    fn cut(&self) {
        self.cut.set(true);
        self.note_loss();
    }

    /// Charges what the tag costs before the tree construction sees it: its attributes were
    /// compared with each other, and those of a formatting element will be compared with every
    /// other's.
    fn charge_attributes(&self, tag: &Tag) {
        let attributes = tag.attrs.len() as u64;
        let uncharged = attributes.min(PIECE_ATTRIBUTES);
        let mut work = uncharged * uncharged / 2;
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
        let Some((open, formatting)) = self.count().exact() else {
            // A void element is not open, so it does not tell where the open ones end.
            return;
        };
        self.set_count(open, formatting);
        let room = OPEN_ELEMENTS_MAX
            .saturating_sub(open)
            .min(FORMATTING_ELEMENTS_MAX.saturating_sub(formatting));
        self.count_due.set(self.nodes() + room.clamp(1, COUNT_EVERY));
        if open > OPEN_ELEMENTS_MAX || formatting > FORMATTING_ELEMENTS_MAX {
            self.note_loss();
            self.close(name, line);
        }
    }

    /// Keeps the upper bounds close to the truth where no element is opened for long.
    fn refresh_bounds(&self) {
        if self.nodes() - self.counted_at.get() >= COUNT_EVERY {
            let total = self.count().total();
            self.set_count(total, total);
        }
    }

    fn count(&self) -> OpenCount {
        let count = OpenCount::of(&self.builder, self.nodes() - 1);
        self.charge(count.total().into());
        count
    }

    fn set_count(&self, open: u32, formatting: u32) {
        self.open.set(open);
        self.formatting.set(formatting);
        self.counted_at.set(self.nodes());
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

impl TokenSink for CostLimit {
    type Handle = Handle;

    fn process_token(&self, mut token: Token, line: u64) -> TokenSinkResult<Handle> {
        if matches!(token, Token::ParseError(_)) {
            return TokenSinkResult::Continue;
        }
        self.tokens.set(self.tokens.get() + 1);
        if let Token::TagToken(tag) = &mut token {
            self.charge_attributes(tag);
            if tag.attrs.len() > ATTRIBUTES_MAX {
                tag.attrs.truncate(ATTRIBUTES_MAX);
                self.note_loss();
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
        // Raw text contains no elements, and its own end tag closes it.
        if let (Some(name), true, TokenSinkResult::Continue) = (opened, created > 0, &result) {
            self.bound_open_elements(name, line);
        }
        self.refresh_bounds();
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
    fn of(builder: &TreeBuilder<Handle, DocumentBuilder>, newest: NodeId) -> OpenCount {
        let count = OpenCount { newest, seen: Cell::new(0), newest_at: Cell::new(None) };
        builder.trace_handles(&count);
        count
    }

    /// Returns the number of open elements and of formatting elements, when the newest element is
    /// an open one.
    fn exact(&self) -> Option<(u32, u32)> {
        let open = self.newest_at.get()?;
        Some((open, self.seen.get() - open - 1))
    }

    /// Returns an upper bound of either.
    fn total(&self) -> u32 {
        self.seen.get() - 1
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
