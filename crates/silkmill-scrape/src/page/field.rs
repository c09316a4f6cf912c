//! A field of a page: a name, and the expression that finds its values.

use std::cell::OnceCell;
use std::fmt;

use crate::page::budget::Values;
use crate::page::content::Content;
use crate::page::css::Css;
use crate::page::json::path::Path;
use crate::page::json::texts::JsonTexts;
use crate::page::problem::Problem;
use crate::page::regex::Regex;
use crate::page::value::ValueType;
use crate::page::xpath::XPath;

/// A name and a compiled query, which is evaluated on every page.
///
/// All constructors take `[NAME=]QUERY`. A name is a letter or `_`, then letters, digits, `_`, `.`
/// and `-`, of any script, directly followed by `=`. A text that starts like that always has a
/// name, so to compare an element `a` with an element `b` in XPath write `a = b`, with a space.
/// Without a name the query itself is the name.
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
    Regex(Box<Regex>),
    JsonPath(Path),
}

/// What a field reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// The tree of a page with markup.
    Tree,
    /// The text of anything.
    Text,
    /// JSON, which may be all of the text or parts of the tree.
    Json,
}

impl Field {
    /// Compiles a field that XPath 1.0 finds: `[NAME=]EXPR`. A node becomes its string-value, that
    /// is its text with that of all elements in it; a string, number or boolean is one value of
    /// that type.
    ///
    /// # Errors
    ///
    /// When `EXPR` does not parse, or could not be evaluated on any page: an unknown function, a
    /// variable, a namespace prefix, a number where nodes are needed.
    pub fn xpath(spec: &str) -> Result<Field, FieldError> {
        let (name, text) = split_name(spec);
        let query =
            XPath::compile(text).map_err(|problem| FieldError::new(XPATH, name, text, problem))?;
        Ok(Field { name: name.to_owned(), query: Query::XPath(query) })
    }

    /// Compiles a field that a CSS selector finds: `[NAME=]SELECTOR[@attr]`. Every match gives its
    /// text with that of all elements in it, or the attribute; a match without that attribute gives
    /// nothing.
    ///
    /// Selectors are those of Selectors 4, and match what a browser's `querySelectorAll` finds in a
    /// page before any user input and any script: `:checked`, `:lang(de)`, `:has(> b)` and
    /// `:not(.x, .y)` work, `:hover` and `:visited` match nothing.
    ///
    /// # Errors
    ///
    /// When `SELECTOR` does not parse, or depends on more than the page: a pseudo-element,
    /// `:target`, `:valid`, the state of a player, a shadow tree.
    pub fn css(spec: &str) -> Result<Field, FieldError> {
        let (name, text) = split_name(spec);
        let query =
            Css::compile(text).map_err(|problem| FieldError::new(CSS, name, text, problem))?;
        Ok(Field { name: name.to_owned(), query: Query::Css(query) })
    }

    /// Compiles a field that a regex finds in the decoded text of any response: `[NAME=]RE`. Every
    /// match gives its first group, or itself where the regex has none.
    ///
    /// The syntax is that of the crate `regex`: Unicode, `(?i)`, `(?s)`, `\b`, but no look-around
    /// and no backreferences, so that a search always takes a time in proportion to the text.
    ///
    /// ```
    /// use silkmill_scrape::{Extractor, Field};
    ///
    /// let extractor = Extractor::new(vec![Field::regex(r"prices=£(\d+)")?])?;
    /// let found = extractor.extract("£51 or £7".as_bytes(), Some("text/plain"));
    /// assert_eq!(found.fields[0].1, ["51".into(), "7".into()]);
    /// # Ok::<(), silkmill_scrape::FieldError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When `RE` does not parse, or is too large.
    pub fn regex(spec: &str) -> Result<Field, FieldError> {
        let (name, text) = split_name(spec);
        let query =
            Regex::compile(text).map_err(|problem| FieldError::new(REGEX, name, text, problem))?;
        Ok(Field { name: name.to_owned(), query: Query::Regex(query.into()) })
    }

    /// Compiles a field that JSONPath (RFC 9535) finds: `[NAME=]EXPR`. It is looked for in a body
    /// that is JSON, or in every `<script>` of a page whose type is JSON, in the order of the page.
    /// A string is a value as it is, everything else is written as JSON.
    ///
    /// ```
    /// use silkmill_scrape::{Extractor, Field};
    ///
    /// let extractor = Extractor::new(vec![Field::jsonpath("names=$..name")?])?;
    /// let page = br#"<script type="application/ld+json">{"item": {"name": "silk"}}</script>"#;
    /// let found = extractor.extract(page, Some("text/html"));
    /// assert_eq!(found.fields[0].1, ["silk".into()]);
    /// # Ok::<(), silkmill_scrape::FieldError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When `EXPR` is not a path of RFC 9535.
    pub fn jsonpath(spec: &str) -> Result<Field, FieldError> {
        let (name, text) = split_name(spec);
        let query = Path::compile(text)
            .map_err(|problem| FieldError::new(JSON_PATH, name, text, problem))?;
        Ok(Field { name: name.to_owned(), query: Query::JsonPath(query) })
    }

    /// Returns the name under which the values are reported.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the type of the values, which is the same for every page.
    pub fn value_type(&self) -> ValueType {
        match &self.query {
            Query::XPath(xpath) => xpath.value_type(),
            Query::Css(_) | Query::Regex(_) | Query::JsonPath(_) => ValueType::Text,
        }
    }

    /// Returns what the field reads.
    pub(crate) fn reads(&self) -> Reads {
        match &self.query {
            Query::XPath(_) | Query::Css(_) => Reads::Tree,
            Query::Regex(_) => Reads::Text,
            Query::JsonPath(_) => Reads::Json,
        }
    }

    /// Returns the values of the field on a page. All paths of a page share its `json`.
    pub(crate) fn evaluate(&self, content: &Content<'_>, json: &OnceCell<JsonTexts>) -> Values {
        match &self.query {
            Query::XPath(_) | Query::Css(_) if !content.media.is_markup() => Values::default(),
            Query::XPath(xpath) => xpath.evaluate(&content.document, &|link| content.resolve(link)),
            Query::Css(css) => css.evaluate(&content.document, &|link| content.resolve(link)),
            Query::Regex(regex) => regex.evaluate(&content.text),
            Query::JsonPath(path) => {
                let texts = json.get_or_init(|| JsonTexts::of(content));
                match texts.is_too_large {
                    true => Values::unfinished(),
                    false => path.evaluate(&texts.values),
                }
            }
        }
    }
}

/// Splits `[NAME=]QUERY`. Without a name, the query is the name too.
fn split_name(spec: &str) -> (&str, &str) {
    match spec.split_once('=') {
        Some((name, query)) if is_name(name) => (name, query),
        _ => (spec, spec),
    }
}

fn is_name(text: &str) -> bool {
    let is_start = |c: char| c.is_alphabetic() || c == '_';
    let is_more = |c: char| is_start(c) || c.is_numeric() || is_mark(c) || matches!(c, '.' | '-');
    text.chars().next().is_some_and(is_start) && text.chars().all(is_more)
}

/// Tells whether a character combines with the letter before it: an accent that is written by
/// itself.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// Tells whether the text before the first `=` looks like a name but is none.
fn is_misnamed(spec: &str) -> bool {
    let before = spec.split_once('=').map(|(before, _)| before);
    before.is_some_and(|text| {
        text.len() <= NAME_BYTES_LIKELY && !text.contains(['[', '(', '"', '\''])
    })
}

/// A longer text before a `=` is not taken for a name.
const NAME_BYTES_LIKELY: usize = 40;
const NAME_RULE: &str = "a name before \"=\" starts with a letter or \"_\" and has only letters, \
                         digits, \"_\", \"-\" and \".\"";

/// The most characters of an expression that an error shows before and after the position.
const SHOWN_BEFORE: usize = 60;
const SHOWN_AFTER: usize = 20;

const XPATH: &str = "XPath";
const CSS: &str = "CSS selector";
const REGEX: &str = "regex";
const JSON_PATH: &str = "JSONPath";

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
    Query { language: &'static str, name: String, text: String, problem: Problem },
    DuplicateName(String),
}

impl FieldError {
    fn new(language: &'static str, name: &str, text: &str, problem: Problem) -> FieldError {
        let (name, text) = (name.to_owned(), text.to_owned());
        FieldError(Reason::Query { language, name, text, problem })
    }

    pub(crate) fn duplicate_name(name: &str) -> FieldError {
        FieldError(Reason::DuplicateName(name.to_owned()))
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (language, name, text, problem) = match &self.0 {
            Reason::DuplicateName(name) => return write!(f, "two fields are named {name:?}"),
            Reason::Query { language, name, text, problem } => (language, name, text, problem),
        };
        let (shown, caret) = window(text, problem.position);
        let start = text.char_indices().nth(SHOWN_BEFORE + SHOWN_AFTER).map(|(at, _)| at);
        write!(f, "{language} {:?}", &text[..start.unwrap_or(text.len())])?;
        if start.is_some() {
            f.write_str("…")?;
        }
        if name != text {
            write!(f, " of field {name:?}")?;
        }
        let verdict = if problem.is_syntax { "does not parse" } else { "cannot be used" };
        write!(f, " {verdict}: {}", problem.message)?;
        if problem.is_syntax && name == text && is_misnamed(text) {
            write!(f, " ({NAME_RULE})")?;
        }
        write!(f, "\n  {shown}\n  {:caret$}^", "")
    }
}

/// Returns the part of `text` around the byte `position`, and how many characters it has before it.
fn window(text: &str, position: usize) -> (String, usize) {
    let (before, after) = text.split_at(text.floor_char_boundary(position));
    let skipped = before.chars().count().saturating_sub(SHOWN_BEFORE);
    let room = SHOWN_AFTER + SHOWN_BEFORE.saturating_sub(before.chars().count());
    let mut shown = String::new();
    if skipped > 0 {
        shown.push('…');
    }
    shown.extend(before.chars().skip(skipped));
    let caret = shown.chars().count();
    shown.extend(after.chars().take(room));
    if after.chars().nth(room).is_some() {
        shown.push('…');
    }
    // A control character would break the line or move the caret.
    (shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(), caret)
}

impl std::error::Error for FieldError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(error: &FieldError) -> Vec<String> {
        error.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_name_may_be_of_any_script() {
        for name in ["price", "_1", "größe", "цена-2", "価格", "a.b-c_d"] {
            assert_eq!(Field::xpath(&format!("{name}=//p")).unwrap().name(), name);
            assert_eq!(Field::css(&format!("{name}=p")).unwrap().name(), name);
        }
    }

    #[test]
    fn a_comparison_stays_one() {
        for spec in ["a/b=//p", "@x='1'", "//a=//b"] {
            assert_eq!(Field::xpath(spec).unwrap().name(), spec);
        }
    }

    #[test]
    fn a_name_that_is_none_is_answered_with_the_rule() {
        for spec in ["1p=//p", "my name=//p", "=//p", "a b=//p"] {
            let error = Field::xpath(spec).unwrap_err().to_string();
            assert!(error.contains("a name before \"=\""), "{error}");
        }
        assert!(Field::css("1p=p").unwrap_err().to_string().contains("a name before"));
        assert!(!Field::xpath("//a[x=1").unwrap_err().to_string().contains("a name before"));
    }

    #[test]
    fn an_error_names_the_field() {
        let error = Field::css("x=").unwrap_err();
        assert!(lines(&error)[0].starts_with("CSS selector \"\" of field \"x\" does not parse"));
    }

    #[test]
    fn a_long_expression_is_shown_about_the_place() {
        let error =
            Field::xpath(&format!("{}//b[{}", "//a".repeat(200), "c".repeat(5))).unwrap_err();

        let lines = lines(&error);
        assert!(lines.iter().all(|line| line.chars().count() < 200), "{error}");
        assert!(lines[1].starts_with("  …") && lines[1].ends_with("b[ccccc"), "{error}");
        assert_eq!(lines[1].chars().count(), lines[2].find('^').unwrap(), "{error}");
        let endless = Field::css(&"p".repeat(100_000)).unwrap_err();
        assert!(endless.to_string().len() < 500, "{endless}");
    }
}
