//! Turns XML into a [`Document`], at a bounded cost.
//!
//! The markup is `quick-xml`'s to split. This file adds what makes a document well-formed and
//! `quick-xml` leaves to its users: names, references, one root, no text around it. A document that
//! is not well-formed is kept up to where it breaks, as a browser shows it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use quick_xml::Reader;
use quick_xml::errors::{Error, IllFormedError, SyntaxError};
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesStart, Event};

use super::lexis::{first_forbidden, is_name, is_space, with_line_feeds};
use super::reference::{Entities, Referent};
use super::tree::{Markup, Tree};
use crate::page::html::cost_limit::{Until, memory_max};
use crate::page::html::document::Document;
use crate::page::html::tree_sink::ATTRIBUTES_MAX;

/// The most attributes and declarations of namespaces of one element that are looked at. Those
/// beyond are dropped, before each is compared with all others.
const MARKUP_MAX: usize = 2 * ATTRIBUTES_MAX;

/// The most attributes that are compared one by one. Of more a set is kept.
const COMPARED_MAX: usize = 16;

/// A document, as far as it could be read.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) document: Document,
    pub(crate) flaw: Option<Flaw>,
}

/// Where a document breaks the rules of XML, or needs its DTD.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    line: usize,
    column: usize,
    message: String,
    /// Whether the document just ended too early.
    pub(crate) is_at_end: bool,
    /// Whether reading ended here.
    is_fatal: bool,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flaw { line, column, message, .. } = self;
        let what = if self.is_fatal { "not well-formed XML" } else { "XML with a DTD" };
        write!(f, "{what} at line {line}, column {column}: {message}")
    }
}

/// Parses a document, or as much of it as decides the title.
pub(crate) fn parse(text: &str, until: Until) -> Parsed {
    let text = with_line_feeds(text);
    // Many servers write an empty line before the declaration, which XML does not allow.
    let start = if text.trim_start_matches(is_space).starts_with("<?xml") {
        text.len() - text.trim_start_matches(is_space).len()
    } else {
        0
    };
    let forbidden = first_forbidden(&text);
    let end = forbidden.map_or(text.len(), |(at, _)| at);
    let mut parser = Parser {
        text: &text,
        offset: start,
        entities: Entities::default(),
        tree: Tree::new(),
        flaw: None,
    };
    let outcome = parser.read(&text[start..end], until, memory_max(text.len()));
    let mut is_cut = false;
    match (outcome, forbidden) {
        (Ok(End::Cut), _) => is_cut = true,
        (Ok(End::Early), _) => {}
        (Ok(End::OfText), None) => parser.check_end(text.len()),
        (Err(broken), None) => parser.fail(broken),
        (Err(broken), Some(_)) if !broken.is_at_end => parser.fail(broken),
        (_, Some((at, char))) => {
            let message = format!("the character U+{:04X}, which XML has not", u32::from(char));
            parser.fail(Broken { at, message, is_at_end: false });
        }
    }
    Parsed { document: parser.tree.finish(is_cut), flaw: parser.flaw }
}

/// Why reading ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    OfText,
    /// The title is known.
    Early,
    /// A bound was reached.
    Cut,
}

/// Why a document is not well-formed, and at which byte.
struct Broken {
    at: usize,
    message: String,
    is_at_end: bool,
}

impl Broken {
    fn new(at: usize, message: impl Into<String>) -> Broken {
        Broken { at, message: message.into(), is_at_end: false }
    }
}

struct Parser<'a> {
    /// The whole document, and where in it reading started.
    text: &'a str,
    offset: usize,
    entities: Entities,
    tree: Tree,
    flaw: Option<Flaw>,
}

impl Parser<'_> {
    fn read(&mut self, text: &str, until: Until, memory_max: usize) -> Result<End, Broken> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_comments = true;
        loop {
            let at = self.offset + reader.buffer_position() as usize;
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => {
                    let at = self.offset + reader.error_position() as usize;
                    return Err(broken(&error, at));
                }
            };
            if event == Event::Eof {
                return Ok(End::OfText);
            }
            self.take(&event, at)?;
            if self.tree.is_full(memory_max) {
                return Ok(End::Cut);
            }
            if until == Until::Title && self.tree.title_is_decided {
                return Ok(End::Early);
            }
        }
    }

    fn take(&mut self, event: &Event<'_>, at: usize) -> Result<(), Broken> {
        match event {
            Event::Start(tag) => self.open(tag, at)?,
            Event::Empty(tag) => {
                self.open(tag, at)?;
                self.tree.close();
            }
            Event::End(_) => self.tree.close(),
            Event::Text(text) => self.text(text, at)?,
            Event::CData(text) => {
                self.check_place(at)?;
                self.tree.text(text);
            }
            Event::GeneralRef(name) => self.reference(name, at)?,
            Event::Comment(text) => self.tree.comment(text),
            Event::PI(instruction) => {
                let target = instruction.target();
                if !is_name(target) || target.eq_ignore_ascii_case("xml") {
                    return Err(Broken::new(at, format!("an instruction named {target:?}")));
                }
                let content = instruction.content().trim_start_matches(is_space);
                self.tree.instruction(target, content);
            }
            Event::Decl(declaration) if at == self.offset => {
                let version = declaration.version();
                version.map_err(|_| Broken::new(at, "an XML declaration without a version"))?;
            }
            Event::Decl(_) => {
                return Err(Broken::new(at, "an XML declaration that is not at the start"));
            }
            Event::DocType(_) if self.tree.has_root => {
                return Err(Broken::new(at, "a document type behind the first element"));
            }
            Event::DocType(declaration) => self.entities = Entities::of_doctype(declaration),
            Event::Eof => {}
        }
        Ok(())
    }

    fn open(&mut self, tag: &BytesStart<'_>, at: usize) -> Result<(), Broken> {
        let name = tag.name().0;
        if !is_name(name) {
            return Err(Broken::new(at, format!("an element named {:?}", shown(name))));
        }
        if self.tree.has_root && !self.tree.is_in_root() {
            return Err(Broken::new(at, format!("<{}> behind the end of the root", shown(name))));
        }
        let mut markup: Vec<Markup<'_>> = Vec::new();
        let mut names = HashSet::new();
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| Broken::new(at, attribute_words(&error)))?;
            let name = attribute.key.0;
            if !is_name(name) {
                return Err(Broken::new(at, format!("an attribute named {:?}", shown(name))));
            }
            if !is_apart(name, tag.attributes_raw()) {
                let message = format!("no space before the attribute {:?}", shown(name));
                return Err(Broken::new(at, message));
            }
            if markup.len() == MARKUP_MAX {
                self.tree.drop_markup();
                break;
            }
            let is_twin = match names.is_empty() {
                true => markup.iter().any(|earlier| earlier.name == name),
                false => !names.insert(name),
            };
            if is_twin {
                return Err(Broken::new(at, format!("two attributes named {:?}", shown(name))));
            }
            let value = match attribute.value {
                Cow::Borrowed(raw) => self.attribute_value(raw, at)?,
                Cow::Owned(raw) => Cow::Owned(self.attribute_value(&raw, at)?.into_owned()),
            };
            markup.push(Markup { name, value });
            if markup.len() == COMPARED_MAX {
                names.extend(markup.iter().map(|markup| markup.name));
            }
        }
        self.tree.open(name, &markup);
        Ok(())
    }

    fn attribute_value<'v>(&mut self, raw: &'v str, at: usize) -> Result<Cow<'v, str>, Broken> {
        let mut unread = None;
        let value = self.entities.attribute_value(raw, |name| {
            unread.get_or_insert_with(|| name.to_owned());
        });
        if let Some(name) = unread {
            self.note_unread(&name, at);
        }
        value.map_err(|message| Broken::new(at, message))
    }

    fn text(&mut self, text: &str, at: usize) -> Result<(), Broken> {
        if self.tree.is_in_root() {
            if let Some(place) = text.find("]]>") {
                return Err(Broken::new(at + place, "\"]]>\" in a text"));
            }
            self.tree.text(text);
            return Ok(());
        }
        match text.find(|char| !is_space(char)) {
            Some(place) => self.check_place(at + place),
            None => Ok(()),
        }
    }

    fn reference(&mut self, name: &str, at: usize) -> Result<(), Broken> {
        self.check_place(at)?;
        if !name.starts_with('#') && !is_name(name) {
            let message = "\"&\" that begins no reference: it is written &amp;";
            return Err(Broken::new(at, message));
        }
        let referent = self.entities.referent(name).map_err(|message| Broken::new(at, message))?;
        match referent {
            Referent::Char(char) => self.tree.text(char.encode_utf8(&mut [0; 4])),
            Referent::Text(text) => self.tree.text(text),
            Referent::Unread => {
                self.note_unread(name, at);
                self.tree.text(&format!("&{name};"));
            }
        }
        Ok(())
    }

    fn check_place(&self, at: usize) -> Result<(), Broken> {
        match (self.tree.is_in_root(), self.tree.has_root) {
            (true, _) => Ok(()),
            (false, true) => Err(Broken::new(at, "text behind the end of the root")),
            (false, false) => Err(Broken::new(at, "text before the first element")),
        }
    }

    /// Notes that a document ended too early.
    fn check_end(&mut self, at: usize) {
        let message = match self.tree.innermost() {
            Some(name) => format!("the end, where <{}> is still open", shown(name)),
            None if self.tree.has_root => return,
            None => "the end, and no element before it".to_owned(),
        };
        self.fail(Broken { at, message, is_at_end: true });
    }

    /// Notes an entity that only the DTD knows, if it is the first.
    fn note_unread(&mut self, name: &str, at: usize) {
        if self.flaw.is_none() {
            let message =
                format!("the entity &{}; is left as it is, for no DTD is read", shown(name));
            self.flaw = Some(self.flaw_at(Broken::new(at, message), false));
        }
    }

    fn fail(&mut self, broken: Broken) {
        self.flaw = Some(self.flaw_at(broken, true));
    }

    fn flaw_at(&self, broken: Broken, is_fatal: bool) -> Flaw {
        let Broken { at, message, is_at_end } = broken;
        let before = &self.text[..self.text.floor_char_boundary(at)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Flaw {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message,
            is_at_end,
            is_fatal,
        }
    }
}

/// Tells whether the name of an attribute, a part of the markup of its tag, follows a space.
fn is_apart(name: &str, markup: &str) -> bool {
    let at = (name.as_ptr() as usize).wrapping_sub(markup.as_ptr() as usize);
    markup.get(..at).is_none_or(|before| before.ends_with(is_space))
}

/// The most characters of a name that a message shows.
const SHOWN_CHARS: usize = 40;

fn shown(name: &str) -> &str {
    name.char_indices().nth(SHOWN_CHARS).map_or(name, |(end, _)| &name[..end])
}

/// Puts what `quick-xml` refused into the words of the messages here.
fn broken(error: &Error, at: usize) -> Broken {
    let message = match error {
        Error::Syntax(error) => {
            let message = match error {
                SyntaxError::InvalidBangMarkup => "\"<!\" that begins nothing",
                SyntaxError::UnclosedPI => "an instruction without an end",
                SyntaxError::UnclosedXmlDecl => "an XML declaration without an end",
                SyntaxError::UnclosedComment => "a comment without an end",
                SyntaxError::UnclosedDoctype => "a document type without an end",
                SyntaxError::UnclosedCData => "a CDATA section without an end",
                SyntaxError::UnclosedTag => "a tag without an end",
                SyntaxError::UnclosedSingleQuotedAttributeValue
                | SyntaxError::UnclosedDoubleQuotedAttributeValue => {
                    "the value of an attribute without its closing quote"
                }
            };
            let is_at_end = !matches!(error, SyntaxError::InvalidBangMarkup);
            return Broken { at, message: message.to_owned(), is_at_end };
        }
        Error::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
            format!("expected </{}>, found </{}>", shown(expected), shown(found))
        }
        Error::IllFormed(IllFormedError::UnmatchedEndTag(name)) => {
            format!("</{}>, where no element is open", shown(name))
        }
        Error::IllFormed(IllFormedError::DoubleHyphenInComment) => "\"--\" in a comment".to_owned(),
        Error::IllFormed(IllFormedError::UnclosedReference) => {
            "\"&\" that begins no reference: it is written &amp;".to_owned()
        }
        Error::IllFormed(IllFormedError::MissingDoctypeName) => {
            "a document type without a name".to_owned()
        }
        other => other.to_string(),
    };
    Broken::new(at, message)
}

fn attribute_words(error: &AttrError) -> &'static str {
    match error {
        AttrError::ExpectedEq(_) => "an attribute without a value",
        AttrError::ExpectedValue(_) => "an attribute without a value behind its \"=\"",
        AttrError::UnquotedValue(_) => "the value of an attribute without quotes",
        AttrError::ExpectedQuote(..) => "the value of an attribute without its closing quote",
        AttrError::Duplicated(..) => "two attributes of one name",
    }
}
