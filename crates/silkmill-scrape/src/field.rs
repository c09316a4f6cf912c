//! A field of a page: a name, and the expression that finds its values.

use std::fmt;

use crate::budget::Values;
use crate::css::Css;
use crate::document::Document;
use crate::problem::Problem;
use crate::xpath::XPath;

/// A name and a compiled query, to be evaluated on every page.
///
/// Both constructors take `[NAME=]QUERY`. A name is a letter or `_`, then letters, digits, `_`, `.`
/// and `-`, directly followed by `=`; what starts like that is always a name, so to compare an
/// element `a` with an element `b` in XPath write `a = b`, with a space. Without a name the query
/// itself is the name.
///
/// ```
/// use silkmill_scrape::Field;
///
/// assert_eq!(Field::xpath("price=//p[@class='price']")?.name(), "price");
/// assert_eq!(Field::xpath("//a[@rel='next']/@href")?.name(), "//a[@rel='next']/@href");
/// assert_eq!(Field::css("next=a[rel=next]@href")?.name(), "next");
/// # Ok::<(), silkmill_scrape::FieldError>(())
/// ```
#[derive(Debug)]
pub struct Field {
    name: String,
    query: Query,
}

#[derive(Debug)]
enum Query {
    XPath(XPath),
    Css(Css),
}

impl Field {
    /// A field that XPath 1.0 finds: `[NAME=]EXPR`. A node becomes its string-value, that is its
    /// text with that of all elements in it; a string, number or boolean becomes what `string()`
    /// makes of it (`3`, not `3.0`).
    ///
    /// # Errors
    ///
    /// When `EXPR` does not parse, or could not be evaluated on any page: an unknown function, a
    /// variable, a namespace prefix, a number where nodes are needed.
    pub fn xpath(spec: &str) -> Result<Field, FieldError> {
        let (name, text) = split_name(spec);
        let query =
            XPath::compile(text).map_err(|problem| FieldError::new(XPATH, text, problem))?;
        Ok(Field { name: name.to_owned(), query: Query::XPath(query) })
    }

    /// A field that a CSS selector finds: `[NAME=]SELECTOR[@attr]`. Every match gives its text with
    /// that of all elements in it, or the attribute; a match without that attribute gives nothing.
    ///
    /// # Errors
    ///
    /// When `SELECTOR` does not parse, or asks for a pseudo-class or pseudo-element that a page at
    /// rest does not have.
    pub fn css(spec: &str) -> Result<Field, FieldError> {
        let (name, text) = split_name(spec);
        let query = Css::compile(text).map_err(|problem| FieldError::new(CSS, text, problem))?;
        Ok(Field { name: name.to_owned(), query: Query::Css(query) })
    }

    /// The name under which the values are reported.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn evaluate(&self, document: &Document) -> Values {
        match &self.query {
            Query::XPath(xpath) => xpath.evaluate(document),
            Query::Css(css) => css.evaluate(document),
        }
    }
}

/// Splits `[NAME=]QUERY`. Without a name, the query is the name too.
fn split_name(spec: &str) -> (&str, &str) {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_more = |byte: u8| is_start(byte) || byte.is_ascii_digit() || b".-".contains(&byte);
    match spec.split_once('=') {
        Some((name, query))
            if name.bytes().next().is_some_and(is_start) && name.bytes().all(is_more) =>
        {
            (name, query)
        }
        _ => (spec, spec),
    }
}

const XPATH: &str = "XPath";
const CSS: &str = "CSS selector";

/// Why a field, or a list of fields, is refused. The message names the expression; a second and
/// third line repeat it with a caret at the place.
///
/// ```
/// let error = silkmill_scrape::Field::xpath("//a[").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "XPath \"//a[\" does not parse: expected an expression\n  //a[\n      ^"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError(Reason);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Query { language: &'static str, text: String, problem: Problem },
    DuplicateName(String),
}

impl FieldError {
    fn new(language: &'static str, text: &str, problem: Problem) -> FieldError {
        FieldError(Reason::Query { language, text: text.to_owned(), problem })
    }

    pub(crate) fn duplicate_name(name: &str) -> FieldError {
        FieldError(Reason::DuplicateName(name.to_owned()))
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (language, text, problem) = match &self.0 {
            Reason::DuplicateName(name) => return write!(f, "two fields are named {name:?}"),
            Reason::Query { language, text, problem } => (language, text, problem),
        };
        let verdict = if problem.is_syntax { "does not parse" } else { "cannot be used" };
        writeln!(f, "{language} {text:?} {verdict}: {}", problem.message)?;
        // A control character would break the line or move the caret.
        let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let before = text[..text.floor_char_boundary(problem.position)].chars().count();
        write!(f, "  {shown}\n  {:before$}^", "")
    }
}

impl std::error::Error for FieldError {}
