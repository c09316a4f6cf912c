//! What a page says: its title and the fields asked for, from one parse. Bytes in, values out.
//!
//! Which bytes are a page, and where they come from, is for others to say.

use crate::charset;
use crate::document::{Document, Kind};
use crate::field::{Field, FieldError};
use crate::parse::{Until, parse};

/// The fields to read from every page. One extractor serves all threads.
///
/// ```
/// use silkmill_scrape::{Extractor, Field};
///
/// let extractor = Extractor::new(vec![Field::css("link=a@href")?])?;
/// let page = b"<title> Mills\n </title><a href=silk>silk</a>";
/// let found = extractor.extract(page, Some("text/html; charset=utf-8"));
/// assert_eq!(found.title.as_deref(), Some("Mills"));
/// assert_eq!(found.fields, [("link".to_owned(), vec!["silk".to_owned()])]);
/// # Ok::<(), silkmill_scrape::FieldError>(())
/// ```
#[derive(Debug)]
pub struct Extractor {
    fields: Vec<Field>,
}

/// What a page says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// What a browser's `document.title` would be; `None` where the page has no title element,
    /// `Some("")` where it has an empty one.
    pub title: Option<String>,
    /// The name and the values of every field, in the order of the fields.
    pub fields: Vec<(String, Vec<String>)>,
    /// The character encoding in which the page was read: its WHATWG name in lower case.
    pub charset: &'static str,
    /// Whether a bound cut something: the tree of a page that is too large or too deep, the values
    /// of a field that are too many, or a field that costs too much and has none then.
    pub truncated: bool,
}

impl Extractor {
    /// # Errors
    ///
    /// When two fields have one name.
    pub fn new(fields: Vec<Field>) -> Result<Extractor, FieldError> {
        for (index, field) in fields.iter().enumerate() {
            if fields[..index].iter().any(|earlier| earlier.name() == field.name()) {
                return Err(FieldError::duplicate_name(field.name()));
            }
        }
        Ok(Extractor { fields })
    }

    /// Reads a page. `content_type` is the value of the HTTP header.
    ///
    /// Any bytes will do, at a bounded cost: see [`Extracted::truncated`]. Where only the title is
    /// asked for, nothing is parsed past what decides it, and nothing past it can be truncated.
    pub fn extract(&self, body: &[u8], content_type: Option<&str>) -> Extracted {
        let decoded = charset::decode(body, content_type);
        let until = if self.fields.is_empty() { Until::Title } else { Until::End };
        let document = parse(&decoded.text, until);
        let mut truncated = document.truncated;
        let mut fields = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let values = field.evaluate(&document);
            truncated |= values.truncated;
            fields.push((field.name().to_owned(), values.list));
        }
        Extracted { title: title(&document), fields, charset: decoded.charset, truncated }
    }
}

/// `document.title`: the first `title` element of HTML in tree order, its own text only, with ASCII
/// whitespace stripped and collapsed. What a template holds is not in the document.
pub(crate) fn title(document: &Document) -> Option<String> {
    let is = |id, name| document.kind(id) == Kind::Html && &**document.name(id) == name;
    let mut id = Document::ROOT;
    let end = document.nodes.len() as u32;
    while id < end && !is(id, "title") {
        id = if is(id, "template") { document.nodes[id as usize].end } else { id + 1 };
    }
    if id >= end {
        return None;
    }
    let texts = document.children(id).filter(|&child| document.kind(child) == Kind::Text);
    let text: String = texts.map(|child| document.text(child)).collect();
    Some(text.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}
