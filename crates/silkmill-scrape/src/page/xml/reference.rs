//! What `&…;` stands for. Entities that a DTD declares are never expanded: one line of them can
//! stand for gigabytes.

use std::borrow::Cow;

use quick_xml::escape::{resolve_html5_entity, resolve_xml_entity};

use super::lexis::is_char;

/// The entities of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Entities {
    /// The five of XML. Any other reference breaks the document.
    #[default]
    Predefined,
    /// Those of HTML as well, which browsers know in documents with a DTD of XHTML.
    Html,
    /// There is a DTD, which may declare more.
    Declared,
}

/// What a reference stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Referent {
    Char(char),
    Text(&'static str),
    /// Something that the DTD may declare.
    Unread,
}

impl Entities {
    /// Returns the entities of a document with this document type declaration.
    pub(super) fn of_doctype(declaration: &str) -> Entities {
        const HTML: [&str; 4] = [
            "-//W3C//DTD XHTML",
            "-//W3C//DTD MathML",
            "-//WAPFORUM//DTD XHTML",
            "-//W3C//DTD HTML",
        ];
        let is_html = HTML.iter().any(|id| declaration.contains(id));
        if is_html { Entities::Html } else { Entities::Declared }
    }

    /// Returns what `&name;` stands for, or why it may not be there.
    pub(super) fn referent(self, name: &str) -> Result<Referent, String> {
        if let Some(number) = name.strip_prefix('#') {
            let code = match number.strip_prefix('x') {
                Some(digits) => parsed(digits, 16),
                None => parsed(number, 10),
            };
            let char = code.and_then(char::from_u32).filter(|&char| is_char(char));
            return match char {
                Some(char) => Ok(Referent::Char(char)),
                None => Err(format!("&{name}; is no character of XML")),
            };
        }
        if let Some(text) = resolve_xml_entity(name) {
            return Ok(Referent::Text(text));
        }
        match self {
            Entities::Html => match resolve_html5_entity(name) {
                Some(text) => Ok(Referent::Text(text)),
                None => Ok(Referent::Unread),
            },
            Entities::Declared => Ok(Referent::Unread),
            Entities::Predefined => Err(format!("the entity &{name}; is not declared")),
        }
    }

    /// Returns the value of an attribute: its references replaced, its white space made spaces
    /// (section 3.3.3). Calls `unread` with the name of every entity that is left as it is.
    pub(super) fn attribute_value<'a>(
        self,
        raw: &'a str,
        mut unread: impl FnMut(&str),
    ) -> Result<Cow<'a, str>, String> {
        let is_plain = |byte: &u8| !matches!(byte, b'&' | b'\t' | b'\n' | b'\r' | b'<');
        if raw.bytes().all(|byte| is_plain(&byte)) {
            return Ok(Cow::Borrowed(raw));
        }
        let mut value = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(at) = rest.find(['&', '\t', '\n', '\r', '<']) {
            value.push_str(&rest[..at]);
            let special = rest.as_bytes()[at];
            rest = &rest[at + 1..];
            match special {
                b'&' => {
                    let (name, after) = split_reference(rest)?;
                    rest = after;
                    match self.referent(name)? {
                        Referent::Char(char) => value.push(char),
                        Referent::Text(text) => value.push_str(text),
                        Referent::Unread => {
                            unread(name);
                            value.extend(["&", name, ";"]);
                        }
                    }
                }
                b'<' => return Err("\"<\" in the value of an attribute".to_owned()),
                _ => value.push(' '),
            }
        }
        value.push_str(rest);
        Ok(Cow::Owned(value))
    }
}

/// Splits what follows a `&` at its semicolon.
fn split_reference(text: &str) -> Result<(&str, &str), String> {
    let is_end =
        |char: char| !char.is_alphanumeric() && !matches!(char, '#' | '_' | ':' | '-' | '.');
    match text.find(is_end).filter(|&at| at > 0 && text[at..].starts_with(';')) {
        Some(at) => Ok((&text[..at], &text[at + 1..])),
        None => Err("\"&\" that begins no reference: it is written &amp;".to_owned()),
    }
}

fn parsed(digits: &str, radix: u32) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    is_number.then(|| u32::from_str_radix(digits, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(raw: &str, entities: Entities) -> Result<String, String> {
        entities.attribute_value(raw, |_| {}).map(Cow::into_owned)
    }

    #[test]
    fn references_are_replaced_and_white_space_is_a_space() {
        for (raw, expected) in [
            ("plain", "plain"),
            ("a &amp; b &lt;&gt;&quot;&apos;", "a & b <>\"'"),
            ("a\tb\nc&#10;d", "a b c\nd"),
            ("&#x4e2d;&#20013;&#x1F600;", "中中😀"),
        ] {
            assert_eq!(value(raw, Entities::Predefined).unwrap(), expected);
        }
        assert_eq!(value("a&nbsp;b", Entities::Html).unwrap(), "a\u{a0}b");
        assert_eq!(value("a&own;b", Entities::Declared).unwrap(), "a&own;b");
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for raw in [
            "a & b",
            "a&b=c;",
            "&",
            "&;",
            "&amp",
            "&nbsp;",
            "&#0;",
            "&#xD800;",
            "&#;",
            "&#x;",
            "&#-1;",
            "&#+1;",
            "&#X41;",
            "&#99999999999;",
            "a<b",
        ] {
            assert!(value(raw, Entities::Predefined).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_document_type_says_which_entities_there_are() {
        for (declaration, entities) in [
            ("html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"x.dtd\"", Entities::Html),
            ("html", Entities::Declared),
            ("x [<!ENTITY a 'b'>]", Entities::Declared),
        ] {
            assert_eq!(Entities::of_doctype(declaration), entities);
        }
    }
}
