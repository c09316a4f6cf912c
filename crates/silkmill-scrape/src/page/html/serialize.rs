//! Writes a part of a tree as markup: of HTML by the standard's "serializing HTML fragments", of
//! XML so that it stands for itself, with the namespaces that it needs.

use std::fmt::Write as _;

use crate::page::budget::VisitBudget;
use crate::page::html::document::{Document, Kind, NodeId, Qualifier};

/// How much of an element is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The element with its tags.
    Outer,
    /// What is in it.
    Inner,
}

/// Elements of HTML without an end tag.
const VOID: [&str; 18] = [
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input",
    "keygen", "link", "meta", "param", "source", "track", "wbr",
];

/// Elements of HTML whose text is written as it is.
const RAW: [&str; 7] = ["style", "script", "xmp", "iframe", "noembed", "noframes", "plaintext"];

/// The prefixes that are compared in the time of a visit.
const BINDINGS_PER_VISIT: usize = 8;

/// Returns the markup of an element. Stops some way past `bytes_max`, and when the visits are
/// spent.
pub(crate) fn serialize(
    document: &Document,
    id: NodeId,
    extent: Extent,
    bytes_max: usize,
    visits: &VisitBudget,
) -> String {
    let mut writer =
        Writer { document, markup: String::new(), open: Vec::new(), bound: Vec::new(), visits };
    let below = document.descendants(id);
    let start = if extent == Extent::Outer { id } else { below.start };
    for node in start..below.end {
        writer.close_before(node);
        if writer.markup.len() > bytes_max || !visits.take() {
            return writer.markup;
        }
        writer.node(node);
    }
    writer.close_before(NodeId::MAX);
    writer.markup
}

struct Writer<'a> {
    document: &'a Document,
    markup: String,
    /// The open elements: where each ends, itself, and how many bindings there were before it.
    open: Vec<(NodeId, NodeId, usize)>,
    /// The prefixes and namespaces that the markup has declared, the innermost last.
    bound: Vec<(&'a str, &'a str)>,
    visits: &'a VisitBudget,
}

impl<'a> Writer<'a> {
    /// Closes the elements that end before a node.
    fn close_before(&mut self, node: NodeId) {
        while let Some((_, id, bound)) = self.open.pop_if(|(end, ..)| *end <= node) {
            self.bound.truncate(bound);
            self.markup.push_str("</");
            self.name(id);
            self.markup.push('>');
        }
    }

    fn node(&mut self, id: NodeId) {
        let document = self.document;
        let text = document.text(id);
        match document.kind(id) {
            Kind::Document => {}
            Kind::Text if self.is_raw(id) => self.markup.push_str(text),
            Kind::Text => self.escape(text, false),
            Kind::Comment => self.markup.extend(["<!--", text, "-->"]),
            Kind::Instruction => {
                let space = if text.is_empty() { "" } else { " " };
                self.markup.extend(["<?", document.name(id), space, text, "?>"]);
            }
            Kind::Html | Kind::Foreign => self.start_tag(id),
        }
    }

    fn start_tag(&mut self, id: NodeId) {
        let document = self.document;
        let bound = self.bound.len();
        self.markup.push('<');
        self.name(id);
        if document.is_xml() {
            match document.qualifier(id) {
                Some(Qualifier { prefix, uri }) => self.declare(prefix, uri),
                None => self.declare("", ""),
            }
            for index in document.attributes(id) {
                if let Some(Qualifier { prefix, uri }) = document.attribute_qualifier(index) {
                    self.declare(prefix, uri);
                }
            }
        }
        for index in document.attributes(id) {
            let (name, value) = document.attribute(index);
            self.markup.push(' ');
            self.prefix(document.attribute_qualifier(index));
            self.markup.extend([name, "=\""]);
            self.escape(value, true);
            self.markup.push('"');
        }
        let end = document.descendants(id).end;
        if document.is_xml() && end == id + 1 {
            self.bound.truncate(bound);
            self.markup.push_str("/>");
            return;
        }
        self.markup.push('>');
        let is_html = document.kind(id) == Kind::Html && !document.is_xml();
        if !(is_html && VOID.contains(&&**document.name(id))) {
            self.open.push((end, id, bound));
        }
    }

    fn name(&mut self, id: NodeId) {
        self.prefix(self.document.qualifier(id));
        self.markup.push_str(self.document.name(id));
    }

    fn prefix(&mut self, qualifier: Option<&Qualifier>) {
        if let Some(Qualifier { prefix, .. }) = qualifier.filter(|it| !it.prefix.is_empty()) {
            self.markup.extend([prefix, ":"]);
        }
    }

    /// Declares what a prefix means, if the markup has not done so.
    fn declare(&mut self, prefix: &'a str, uri: &'a str) {
        self.visits.take_many((self.bound.len() / BINDINGS_PER_VISIT) as u64);
        let is_known = match self.bound.iter().rev().find(|(bound, _)| *bound == prefix) {
            Some((_, bound)) => *bound == uri,
            None => uri.is_empty(),
        };
        if is_known || prefix == "xml" {
            return;
        }
        self.bound.push((prefix, uri));
        let colon = if prefix.is_empty() { "" } else { ":" };
        // Writing to a string cannot fail.
        let _ = write!(self.markup, " xmlns{colon}{prefix}=\"");
        self.escape(uri, true);
        self.markup.push('"');
    }

    /// Tells whether a text is in an element that keeps it as it is.
    fn is_raw(&self, id: NodeId) -> bool {
        let document = self.document;
        !document.is_xml()
            && document.parent(id).is_some_and(|parent| {
                document.kind(parent) == Kind::Html && RAW.contains(&&**document.name(parent))
            })
    }

    fn escape(&mut self, text: &str, is_attribute: bool) {
        let is_xml = self.document.is_xml();
        let mut written = 0;
        for (at, char) in text.char_indices() {
            let escaped = match char {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' if is_attribute => "&quot;",
                '\u{a0}' if !is_xml => "&nbsp;",
                '\r' if is_xml => "&#13;",
                '\t' if is_xml && is_attribute => "&#9;",
                '\n' if is_xml && is_attribute => "&#10;",
                _ => continue,
            };
            self.markup.extend([&text[written..at], escaped]);
            written = at + char.len_utf8();
        }
        self.markup.push_str(&text[written..]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::page::html::cost_limit::Until;
    use crate::page::html::parse::parse;
    use crate::page::html::parse::tests::broken_html;

    fn written(document: &Document, id: NodeId, extent: Extent, bytes_max: usize) -> String {
        serialize(document, id, extent, bytes_max, &VisitBudget::new(1 << 20))
    }

    fn inner(document: &Document) -> String {
        written(document, Document::ROOT, Extent::Inner, usize::MAX)
    }

    #[test]
    fn html_is_written_as_the_standard_writes_it() {
        for (page, body) in [
            ("<p a=1 B>x &amp; y&nbsp;<br>z", "<p a=\"1\" b=\"\">x &amp; y&nbsp;<br>z</p>"),
            ("<a title='\"<&>'>", "<a title=\"&quot;&lt;&amp;&gt;\"></a>"),
            ("<div><!--c--><script>a<b</script>", "<div><!--c--><script>a<b</script></div>"),
            (
                "<svg viewBox=1><a xlink:href=x /></svg>",
                "<svg viewBox=\"1\"><a xlink:href=\"x\"></a></svg>",
            ),
            ("<template><i>x", "<template><i>x</i></template>"),
            ("<div>1</div>2", "<div>1</div>2"),
        ] {
            let markup = inner(&parse(&format!("<body>{page}"), Until::End));
            assert_eq!(markup, format!("<html><head></head><body>{body}</body></html>"));
        }
    }

    #[test]
    fn xml_stands_for_itself() {
        let text = "<r xmlns='u' xmlns:x='v'><x:a x:b='1'><c xmlns=''>t &lt;&#13;</c><d/></x:a>\
                    <?p q?><!--e--><f b='&#10;&quot;'/></r>";
        let document = crate::page::xml::parse::parse(text, Until::End).document;
        let a = document.elements().find(|&id| &**document.name(id) == "a").unwrap();
        assert_eq!(
            written(&document, a, Extent::Outer, usize::MAX),
            "<x:a xmlns:x=\"v\" x:b=\"1\"><c>t &lt;&#13;</c><d xmlns=\"u\"/></x:a>"
        );
        assert_eq!(
            written(&document, a, Extent::Inner, usize::MAX),
            "<c>t &lt;&#13;</c><d xmlns=\"u\"/>"
        );
        let whole = inner(&document);
        let again = crate::page::xml::parse::parse(&whole, Until::End);
        assert_eq!((again.flaw, inner(&again.document)), (None, whole));
    }

    #[test]
    fn bindings_that_pile_up_are_paid_for() {
        let open: String = (0..500).map(|n| format!("<a xmlns:p{n}='u{n}' p{n}:b=''>")).collect();
        let xml = format!("{open}{}{}", "<c/>".repeat(2000), "</a>".repeat(500));
        let document = crate::page::xml::parse::parse(&xml, Until::End).document;
        let visits = VisitBudget::new(50_000);
        serialize(&document, Document::ROOT, Extent::Inner, usize::MAX, &visits);
        assert!(visits.are_spent());
    }

    proptest! {
        #[test]
        fn every_element_is_written_in_bounds(html in broken_html(), bytes_max in 0..200usize) {
            let document = parse(&html, Until::End);
            for id in document.elements() {
                let whole = written(&document, id, Extent::Outer, usize::MAX);
                let part = written(&document, id, Extent::Outer, bytes_max);
                prop_assert!(whole == part || part.len() > bytes_max && whole.starts_with(&part));
                let start = "<".to_owned() + document.name(id);
                prop_assert!(whole.starts_with(&start));
            }
        }
    }
}
