//! What the prefixes of a document mean, element by element (Namespaces in XML 1.0).

use std::collections::HashMap;

use crate::page::html::document::Qualifier;

/// The namespace of `xml:lang`, which needs no declaration.
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// The most pairs of a prefix and a namespace in one document.
const QUALIFIERS_MAX: usize = u16::MAX as usize;

/// The most bytes of a namespace. Namespaces are compared and copied often.
const URI_BYTES_MAX: usize = 1024;

/// The number of a [`Qualifier`] in its document. The first is that of names without prefix and
/// namespace.
pub(super) type QualifierId = u16;

/// The bindings in scope while a document is read.
#[derive(Debug)]
pub(super) struct Namespaces {
    pub(super) qualifiers: Vec<Qualifier>,
    /// The number of every qualifier, by its prefix, a space and its namespace.
    numbers: HashMap<String, QualifierId>,
    /// For every prefix what it has meant, the innermost last.
    bindings: HashMap<Box<str>, Vec<QualifierId>>,
    /// The elements that bind prefixes: the depth of each, and its prefixes.
    scopes: Vec<(usize, Vec<Box<str>>)>,
    depth: usize,
    /// Whether there were more qualifiers than can be numbered, or too long ones.
    pub(super) overflowed: bool,
}

impl Namespaces {
    pub(super) fn new() -> Namespaces {
        let mut namespaces = Namespaces {
            qualifiers: Vec::new(),
            numbers: HashMap::new(),
            bindings: HashMap::new(),
            scopes: Vec::new(),
            depth: 0,
            overflowed: false,
        };
        namespaces.number("", "");
        let xml = namespaces.number("xml", XML);
        namespaces.bindings.insert("xml".into(), vec![xml]);
        namespaces
    }

    /// Enters an element that declares these prefixes and namespaces. Returns the qualifiers.
    pub(super) fn enter<'a>(
        &mut self,
        declared: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Vec<QualifierId> {
        self.depth += 1;
        let mut prefixes = Vec::new();
        let mut numbers = Vec::new();
        for (prefix, uri) in declared.filter(|(prefix, _)| !matches!(*prefix, "xml" | "xmlns")) {
            let number = self.number(prefix, uri);
            self.bindings.entry(prefix.into()).or_default().push(number);
            prefixes.push(prefix.into());
            numbers.push(number);
        }
        if !prefixes.is_empty() {
            self.scopes.push((self.depth, prefixes));
        }
        numbers
    }

    /// Leaves the innermost element.
    pub(super) fn leave(&mut self) {
        if let Some((_, prefixes)) = self.scopes.pop_if(|(depth, _)| *depth == self.depth) {
            for prefix in prefixes {
                self.bindings.get_mut(&prefix).and_then(Vec::pop);
            }
        }
        self.depth -= 1;
    }

    /// Returns what the prefix of an element means here.
    pub(super) fn of_element(&mut self, prefix: &str) -> QualifierId {
        match self.bindings.get(prefix).and_then(|numbers| numbers.last()) {
            Some(&number) => number,
            // Not bound, which only the namespaces forbid: the name keeps its prefix.
            None => self.number(prefix, ""),
        }
    }

    /// Returns what the prefix of an attribute means here. Without one it has no namespace.
    pub(super) fn of_attribute(&mut self, prefix: &str) -> QualifierId {
        if prefix.is_empty() { 0 } else { self.of_element(prefix) }
    }

    fn number(&mut self, prefix: &str, uri: &str) -> QualifierId {
        self.overflowed |= uri.len() > URI_BYTES_MAX;
        let uri = &uri[..uri.floor_char_boundary(URI_BYTES_MAX)];
        let key = format!("{prefix} {uri}");
        if let Some(&number) = self.numbers.get(&key) {
            return number;
        }
        if self.qualifiers.len() >= QUALIFIERS_MAX {
            self.overflowed = true;
            return 0;
        }
        let number = self.qualifiers.len() as QualifierId;
        self.qualifiers.push(Qualifier { prefix: prefix.into(), uri: uri.into() });
        self.numbers.insert(key, number);
        number
    }
}
