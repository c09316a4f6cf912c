//! The content of one page while its fields are read: its text and its tree, each made once.

use std::borrow::Cow;
use std::cell::OnceCell;

use url::Url;

use crate::page::charset::{Change, Detected};
use crate::page::html;
use crate::page::html::cost_limit::Until;
use crate::page::html::document::{Document, Kind, NodeId};
use crate::page::media::Media;
use crate::page::xml;
use crate::page::xml::parse::Flaw;

/// The longest link that is resolved, and the longest base. The base is copied for each link.
const LINK_BYTES_MAX: usize = 8 * 1024;

/// What is read of a page.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    pub(crate) media: Media,
    /// The whole page, decoded.
    pub(crate) text: Cow<'a, str>,
    pub(crate) charset: &'static str,
    /// The tree; an empty one where the page has no markup.
    pub(crate) document: Document,
    /// Where the page breaks the rules of XML.
    pub(crate) flaw: Option<Flaw>,
    /// The URL of the page.
    url: Option<&'a str>,
    base: OnceCell<Option<Url>>,
}

impl<'a> Content<'a> {
    /// Returns the URL against which the links of the page are resolved: the standard's "document
    /// base URL".
    fn base(&self) -> Option<&Url> {
        let base = self.base.get_or_init(|| {
            let url = self.url.and_then(|url| Url::parse(url).ok());
            let document = &self.document;
            let is_base =
                |&id: &NodeId| document.kind(id) == Kind::Html && &**document.name(id) == "base";
            let mut bases = document.elements().filter(is_base);
            let href = bases.find_map(|id| document.attribute_named(id, "href"));
            let Some(href) = href.filter(|href| href.len() <= LINK_BYTES_MAX) else { return url };
            let based = Url::options().base_url(url.as_ref()).parse(href).ok();
            based.filter(|base| !matches!(base.scheme(), "data" | "javascript")).or(url)
        });
        base.as_ref()
    }

    /// Resolves a link of the page. One that cannot be resolved stays as it is.
    pub(crate) fn resolve(&self, link: &str) -> String {
        if link.len() > LINK_BYTES_MAX {
            return link.to_owned();
        }
        let url = Url::options().base_url(self.base()).parse(link);
        url.map_or_else(|_| link.to_owned(), String::from)
    }

    /// Decodes and parses a page, or as much of it as is needed.
    pub(crate) fn read(
        body: &'a [u8],
        content_type: Option<&str>,
        url: Option<&'a str>,
        until: Until,
    ) -> Content<'a> {
        let media = Media::of(content_type, body);
        match media {
            Media::Html => Content::read_html(Detected::of_html(body, content_type), url, until),
            Media::Xml => {
                let decoded = Detected::of_xml(body, content_type).decode();
                let xml::parse::Parsed { document, flaw } = xml::parse::parse(&decoded.text, until);
                let (text, charset) = (decoded.text, decoded.charset);
                Content { media, text, charset, document, flaw, url, base: OnceCell::new() }
            }
            Media::Json | Media::Other => {
                let decoded = Detected::of_xml(body, content_type).decode();
                let (text, charset) = (decoded.text, decoded.charset);
                Content {
                    media,
                    text,
                    charset,
                    document: Document::empty(),
                    flaw: None,
                    url,
                    base: OnceCell::new(),
                }
            }
        }
    }

    fn read_html(detected: Detected<'a>, url: Option<&'a str>, until: Until) -> Content<'a> {
        let parsed = |detected: Detected<'a>, until| {
            let decoded = detected.decode();
            let document = html::parse::parse(&decoded.text, until);
            let (text, charset) = (decoded.text, decoded.charset);
            Content {
                media: Media::Html,
                text,
                charset,
                document,
                flaw: None,
                url,
                base: OnceCell::new(),
            }
        };
        if !detected.may_change() {
            return parsed(detected, until);
        }
        let content = parsed(detected, Until::End);
        match late_declaration(&content.document, detected) {
            Some(changed) => parsed(changed, until),
            None => content,
        }
    }
}

/// Returns the page in the encoding that the first `meta` with one declares, if that changes it.
fn late_declaration<'a>(document: &Document, detected: Detected<'a>) -> Option<Detected<'a>> {
    let is_meta = |&id: &NodeId| document.kind(id) == Kind::Html && &**document.name(id) == "meta";
    let mut changes = document.descendants(Document::ROOT).filter(is_meta).filter_map(|id| {
        let attribute = |name| document.attribute_named(id, name);
        detected.changed_by(attribute("charset"), attribute("http-equiv"), attribute("content"))
    });
    match changes.next()? {
        Change::To(changed) => Some(changed),
        Change::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8], content_type: Option<&str>) -> (String, &'static str) {
        let content = Content::read(body, content_type, None, Until::Title);
        (content.document.title().unwrap_or_default(), content.charset)
    }

    /// Makes a page with a title in GBK, and something behind its first kilobyte.
    fn page(before: &str, late: &str) -> Vec<u8> {
        let padding = "x".repeat(1100);
        let mut page = format!("{before}<script>{padding}</script>").into_bytes();
        page.extend_from_slice(b"<title>\xd6\xd0\xce\xc4</title>");
        page.extend_from_slice(late.as_bytes());
        page
    }

    #[test]
    fn a_declaration_behind_the_first_kilobyte_counts() {
        for late in [
            "<meta charset=gbk>",
            "<META CharSet='GB2312'>",
            "<body><p>x<meta charset=gbk>",
            "<meta http-equiv=Content-Type content='text/html; charset=gbk'>",
            "<meta name=a content='charset=big5'><meta charset=nonsense><meta charset=gbk>",
            "<meta charset=gbk><meta charset=big5>",
            "<!-- <meta charset=big5> --><meta charset=gbk>",
            "<script>'<meta charset=big5>'</script><meta charset=gbk>",
            "<textarea><meta charset=big5></textarea><meta charset=gbk>",
        ] {
            assert_eq!(read(&page("", late), None), ("中文".to_owned(), "gbk"), "{late}");
        }
    }

    #[test]
    fn links_are_resolved_as_a_browser_resolves_them() {
        let url = Some("http://a.test/b/c?d");
        for (page, url, link, expected) in [
            ("", url, "x", "http://a.test/b/x"),
            ("", url, " ?e ", "http://a.test/b/c?e"),
            ("", url, "//b.test", "http://b.test/"),
            ("", url, "mailto:x", "mailto:x"),
            ("", url, "http://[", "http://["),
            ("", None, "x", "x"),
            ("", None, "http://A.test", "http://a.test/"),
            ("<base target=x><base href=/f/><base href=/g/>", url, "x", "http://a.test/f/x"),
            ("<base href='http://b.test'>", None, "x", "http://b.test/x"),
            ("<base href='data:x'>", url, "x", "http://a.test/b/x"),
            ("<template><base href=/f/></template>", url, "x", "http://a.test/b/x"),
        ] {
            let content = Content::read(page.as_bytes(), Some("text/html"), url, Until::End);
            assert_eq!(content.resolve(link), expected, "{page} {link}");
        }
    }

    #[test]
    fn what_is_certain_is_not_changed() {
        let late = "<meta charset=gbk>";
        let header = Some("text/html; charset=big5");
        assert_eq!(read(&page("", late), header).1, "big5");
        assert_eq!(read(&page("<meta charset=big5>", late), None).1, "big5");
        let marked = [b"\xef\xbb\xbf", page("", late).as_slice()].concat();
        assert_eq!(read(&marked, None).1, "utf-8");
    }

    #[test]
    fn a_page_in_ascii_is_never_utf_16() {
        let page = format!("<script>{}</script><title>T</title>", "x".repeat(1100));
        for (label, expected) in [("utf-16", "utf-8"), ("x-user-defined", "windows-1252")] {
            let page = format!("{page}<meta charset={label}>");
            assert_eq!(read(page.as_bytes(), None), ("T".to_owned(), expected));
        }
    }

    #[test]
    fn xml_has_an_encoding_of_its_own_rules() {
        let cases: [(&[u8], Option<&str>, &str); 6] = [
            (b"<?xml version='1.0' encoding='gbk'?><a>\xd6\xd0</a>", None, "gbk"),
            (
                b"<?xml version='1.0' encoding='gbk'?><a>x</a>",
                Some("text/xml;charset=big5"),
                "big5",
            ),
            (b"<a><meta charset='gbk'/></a>", Some("text/xml"), "utf-8"),
            (b"<a>caf\xc3\xa9</a>", Some("application/xml"), "utf-8"),
            (b"\xff\xfe<\0a\0/\0>\0", Some("application/xml"), "utf-16le"),
            (b"<\0?\0x\0m\0l\0 \0?\0>\0<\0a\0/\0>\0", Some("application/xml"), "utf-16le"),
        ];
        for (body, header, expected) in cases {
            let content = Content::read(body, header, None, Until::End);
            assert_eq!((content.media, content.charset), (Media::Xml, expected), "{body:?}");
        }
    }
}
