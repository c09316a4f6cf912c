//! Reads the title and the wanted fields of a page, from one parse. Bytes in, values out: the bytes
//! are the caller's to find.

use std::cell::OnceCell;

use crate::page::charset;
use crate::page::content::Content;
use crate::page::field::{Field, FieldError, Reads};
use crate::page::flaw::PageFlaw;
use crate::page::html::cost_limit::Until;
use crate::page::html::document::Document;
use crate::page::json::texts::JsonTexts;
use crate::page::media::Media;
use crate::page::value::Value;

/// The fields to read from every page. One extractor serves all threads.
///
/// ```
/// use silkmill_scrape::{Extractor, Field};
///
/// let extractor = Extractor::new(vec![Field::css("link=a@href")?])?;
/// let page = b"<title> Mills\n </title><a href=silk>silk</a>";
/// let found = extractor.extract(page, Some("text/html; charset=utf-8"));
/// assert_eq!(found.title.as_deref(), Some("Mills"));
/// assert_eq!(found.fields, [("link".to_owned(), vec!["silk".into()])]);
/// # Ok::<(), silkmill_scrape::FieldError>(())
/// ```
#[derive(Debug)]
pub struct Extractor {
    fields: Vec<Field>,
}

/// The title and the fields of a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extracted {
    /// The browser's `document.title`: `None` where the page has no title element, `Some("")` where
    /// it has an empty one.
    pub title: Option<String>,
    /// The name and the values of every field, in the order of the fields.
    pub fields: Vec<(String, Vec<Value>)>,
    /// The character encoding in which the page was read, or, when it was not read, the one that
    /// the header names: its WHATWG name in lower case.
    pub charset: Option<&'static str>,
    /// Whether a bound cut something: the tree of a page that is too large or too deep, or the
    /// values of a field that are too many.
    pub truncated: bool,
    /// The names of the fields that cost too much on this page. They have no values then.
    pub unfinished: Vec<String>,
    /// Where XML or JSON breaks its rules. What comes before is read.
    pub flaw: Option<PageFlaw>,
}

/// Is shown the tree of a page and the name of its encoding.
pub(crate) type Look<'a> = &'a mut dyn FnMut(&Document, &'static str);

impl Extractor {
    /// Makes an extractor of these fields.
    ///
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
    /// Any bytes can be read, at a bounded cost: see [`Extracted::truncated`]. Without fields,
    /// nothing is parsed past the point that decides the title, and nothing past it can be
    /// truncated.
    ///
    /// The header tells whether the page is HTML or XML, each of which is parsed by its own rules.
    /// When it names another type, there is no title, and no value of XPath or CSS; regexes read
    /// the text of anything. A header that is missing, or names no type, is ignored, and the page
    /// shows what it is.
    pub fn extract(&self, body: &[u8], content_type: Option<&str>) -> Extracted {
        self.extract_from(body, content_type, None)
    }

    /// Reads a page that came from `url`, against which its links are resolved. Otherwise this is
    /// [`extract`](Self::extract).
    pub fn extract_from(
        &self,
        body: &[u8],
        content_type: Option<&str>,
        url: Option<&str>,
    ) -> Extracted {
        self.extract_with(body, content_type, url, None)
    }

    /// Does the same, and shows the whole tree of a page with markup to `look`.
    pub(crate) fn extract_with(
        &self,
        body: &[u8],
        content_type: Option<&str>,
        url: Option<&str>,
        look: Option<Look<'_>>,
    ) -> Extracted {
        let reads = |what| self.fields.iter().any(|field| field.reads() == what);
        let (reads_tree, reads_json) = (reads(Reads::Tree), reads(Reads::Json));
        let media = Media::of(content_type, body);
        if !media.is_markup() && !reads_json && !reads(Reads::Text) {
            let no_values = |field: &Field| (field.name().to_owned(), Vec::new());
            return Extracted {
                fields: self.fields.iter().map(no_values).collect(),
                charset: content_type.and_then(charset::named),
                ..Extracted::default()
            };
        }
        let is_whole = reads_tree || reads_json || look.is_some();
        let until = if is_whole { Until::End } else { Until::Title };
        let content = Content::read(body, content_type, url, until);
        if let Some(look) = look.filter(|_| media.is_markup()) {
            look(&content.document, content.charset);
        }
        let json = OnceCell::new();
        let mut truncated = content.document.truncated;
        let mut unfinished = Vec::new();
        let mut fields = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let values = field.evaluate(&content, &json);
            truncated |= values.truncated;
            if values.unfinished {
                unfinished.push(field.name().to_owned());
            }
            fields.push((field.name().to_owned(), values.list));
        }
        Extracted {
            title: content.document.title(),
            fields,
            charset: Some(content.charset),
            truncated,
            unfinished,
            flaw: content
                .flaw
                .map(|flaw| PageFlaw { is_at_end: flaw.is_at_end, message: flaw.to_string() })
                .or_else(|| json.into_inner().and_then(|texts: JsonTexts| texts.flaw)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::page::html::parse::parse;
    use crate::page::html::parse::tests::broken_html;

    fn title_of(html: &str) -> Option<String> {
        Extractor::new(Vec::new()).unwrap().extract(html.as_bytes(), UTF_8).title
    }

    fn field_of(field: Field, html: &str) -> Vec<Value> {
        let found = Extractor::new(vec![field]).unwrap().extract(html.as_bytes(), UTF_8);
        assert!(!found.truncated, "{html}");
        found.fields.into_iter().next().unwrap().1
    }

    fn xpath(expression: &str, html: &str) -> Vec<Value> {
        field_of(Field::xpath(expression).unwrap(), html)
    }

    fn css(selector: &str, html: &str) -> Vec<Value> {
        field_of(Field::css(selector).unwrap(), html)
    }

    const UTF_8: Option<&str> = Some("text/html; charset=utf-8");

    #[test]
    fn an_extractor_serves_all_threads() {
        fn assert_send_sync<T: Send + Sync>() {}
        assert_send_sync::<Extractor>();
        assert_send_sync::<Extracted>();
        assert_send_sync::<FieldError>();
    }

    /// Pages, the titles that XPath sees in each, and its `document.title`.
    const TITLES: &[(&str, &[&str], Option<&str>)] = &[
        ("<title>plain</title>", &["plain"], Some("plain")),
        ("<title>a<b>b</b>c</title>", &["a<b>b</b>c"], Some("a<b>b</b>c")),
        ("<title>a<!-- x -->b</title>", &["a<!-- x -->b"], Some("a<!-- x -->b")),
        ("<title>A<body><p>x", &["A<body><p>x"], Some("A<body><p>x")),
        ("<textarea><title>T</title></textarea>", &[], None),
        ("<script><title>T</title></script>", &[], None),
        ("<!-- <title>T</title> -->", &[], None),
        ("<body><svg><title>ICON</title></svg>", &["ICON"], None),
        ("<svg><title>ICON</title></svg><title>REAL</title>", &["ICON", "REAL"], Some("REAL")),
        ("<title>REAL</title><svg><title>ICON</title></svg>", &["REAL", "ICON"], Some("REAL")),
        ("<title>one</title><title>two</title>", &["one", "two"], Some("one")),
        ("<body><p>x<title>late</title>", &["late"], Some("late")),
        ("<template><title>T</title></template>", &["T"], None),
        ("<template><title>T</title></template><title>R</title>", &["T", "R"], Some("R")),
        ("<noscript><title>N</title></noscript>", &["N"], Some("N")),
        ("<title></title>", &[], Some("")),
        ("<title>  </title>", &["  "], Some("")),
        ("<title>\n a \t b\u{a0}c \n</title>", &["\n a \t b\u{a0}c \n"], Some("a b\u{a0}c")),
        ("<TITLE>up</TITLE>", &["up"], Some("up")),
        ("<title>a &amp; b &#x4e2d; &copy;</title>", &["a & b 中 ©"], Some("a & b 中 ©")),
        ("<title>a\0b</title>", &["a\u{fffd}b"], Some("a\u{fffd}b")),
        ("<html><head></head><title>after head</title>", &["after head"], Some("after head")),
        ("<table><tr><td><title>A</title></table>", &["A"], Some("A")),
        (
            "<table><tr><td><title>inner</title><tr><title>outer</title></table>",
            &["outer", "inner"],
            Some("outer"),
        ),
        (
            "<svg><desc><title>in svg, but HTML</title>",
            &["in svg, but HTML"],
            Some("in svg, but HTML"),
        ),
        ("", &[], None),
    ];

    #[test]
    fn a_title_is_what_a_browser_shows() {
        for (html, _, expected) in TITLES {
            assert_eq!(title_of(html).as_deref(), *expected, "{html}");
        }
    }

    #[test]
    fn xpath_sees_every_title_of_every_namespace() {
        for (html, expected, _) in TITLES {
            assert_eq!(xpath("//title/text()", html), *expected, "{html}");
        }
    }

    #[test]
    fn the_title_alone_is_what_it_is_with_fields() {
        for (html, _, expected) in TITLES {
            let extractor = Extractor::new(vec![Field::xpath("//*").unwrap()]).unwrap();
            let found = extractor.extract(html.as_bytes(), UTF_8);
            assert_eq!(found.title.as_deref(), *expected, "{html}");
        }
    }

    #[test]
    fn nodes_give_their_text_and_what_is_computed_comes_as_such() {
        let page = "<a href=x>one <b>two</b></a><a>three</a><!-- note -->";
        assert_eq!(xpath("//a", page), ["one two", "three"]);
        assert_eq!(xpath("//a/@href", page), ["x"]);
        assert_eq!(xpath("//a/text()", page), ["one ", "three"]);
        assert_eq!(xpath("//comment()", page), [" note "]);
        assert_eq!(xpath("count(//a) + 1", page), [Value::Number(3.0)]);
        assert_eq!(xpath("1 div 4", page), [Value::Number(0.25)]);
        assert_eq!(xpath("boolean(//i)", page), [Value::Boolean(false)]);
        assert_eq!(xpath("string(//b)", page), ["two"]);
        assert_eq!(xpath("//i", page), [] as [Value; 0]);
    }

    #[test]
    fn css_gives_texts_or_attributes() {
        let page = "<!DOCTYPE html><ul class='a B'><li id=1 data-x='y@z'>one<li>two <b>b</b></ul>\
                    <svg><a/></svg>";
        assert_eq!(css("li", page), ["one", "two b"]);
        assert_eq!(css("li@id", page), ["1"]);
        assert_eq!(css("li@DATA-X", page), ["y@z"]);
        assert_eq!(css("[data-x='y@z']", page), ["one"]);
        assert_eq!(css("ul.a.B > li:nth-child(2)", page), ["two b"]);
        assert_eq!(css("li:has(b), ul:not(.b) b", page), ["two b", "b"]);
        assert_eq!(css("LI:last-of-type", page), ["two b"]);
        assert_eq!(css("x=ul@class", page), ["a B"]);
        assert_eq!(css("svg a", page), [""]);
    }

    #[test]
    fn what_is_cut_behind_the_title_does_not_matter_to_it() {
        let divs = "<div>".repeat(200_000);
        for (page, title, truncated) in [
            (format!("<title>T</title>{divs}"), Some("T"), false),
            (format!("{}<title>T</title>", &divs[..5_000]), Some("T"), true),
            (divs.clone(), None, true),
        ] {
            let found = Extractor::new(Vec::new()).unwrap().extract(page.as_bytes(), UTF_8);
            assert_eq!((found.title.as_deref(), found.truncated), (title, truncated));
        }
        let extractor = Extractor::new(vec![Field::xpath("//p").unwrap()]).unwrap();
        assert!(extractor.extract(format!("<title>T</title>{divs}").as_bytes(), UTF_8).truncated);
    }

    #[test]
    fn what_is_no_markup_is_not_read() {
        let extractor = Extractor::new(vec![Field::xpath("n=count(//*)").unwrap()]).unwrap();
        let page = b"<title xmlns='http://www.w3.org/1999/xhtml'>T</title>";
        let read = |header| extractor.extract(page, header);
        for header in [
            None,
            Some(""),
            Some("nonsense"),
            Some("*/*"),
            Some("text/"),
            Some("Text/HTML; charset=utf-8"),
            Some("application/xhtml+xml"),
            Some("text/xml"),
            Some("application/rss+xml ;x=y"),
        ] {
            assert_eq!(read(header).title.as_deref(), Some("T"), "{header:?}");
        }
        for header in ["application/pdf", "application/json", "text/plain", "image/png; x=html"] {
            let found = read(Some(header));
            assert_eq!((found.title, found.charset, found.truncated), (None, None, false));
            assert_eq!(found.fields, [("n".to_owned(), Vec::new())]);
        }
        assert_eq!(read(Some("text/plain; charset=latin1")).charset, Some("windows-1252"));
    }

    const FEED: &str = "<?xml version='1.0'?><rss xmlns:media='urn:m' xmlns:xlink='urn:x'>\
        <item id='1'><title><![CDATA[A & <b>]]></title><link>http://a/1</link>\
        <media:content url='u1' Type='x'/></item><?php echo?>\
        <item id='2' xlink:href='h' xml:lang='de'><title>B</title><link>http://a/2</link></item></rss>";

    fn in_xml(field: Field, xml: &str) -> Vec<Value> {
        let found = Extractor::new(vec![field]).unwrap().extract(xml.as_bytes(), Some("text/xml"));
        assert_eq!((found.truncated, found.flaw), (false, None), "{xml}");
        found.fields.into_iter().next().unwrap().1
    }

    #[test]
    fn xpath_reads_xml_and_sees_no_namespaces_in_its_names() {
        for (expression, expected) in [
            ("//item/title", &["A & <b>", "B"][..]),
            ("//item/link", &["http://a/1", "http://a/2"]),
            ("//content/@url", &["u1"]),
            ("//*[name() = 'media:content']/@url", &["u1"]),
            ("//*[local-name() = 'content']/@url", &["u1"]),
            ("//*[namespace-uri() = 'urn:m']/@url", &["u1"]),
            ("//@href", &["h"]),
            ("name(//@href)", &["xlink:href"]),
            ("local-name(//@href)", &["href"]),
            ("//@Type | //@type", &["x"]),
            ("//Item", &[]),
            ("//processing-instruction()", &["echo"]),
            ("//processing-instruction('php')", &["echo"]),
            ("name(//processing-instruction())", &["php"]),
            ("//item[lang('de')]/title", &["B"]),
            ("id('2')/link", &["http://a/2"]),
            ("count(/rss/namespace::*)", &["3"]),
            ("/rss/namespace::media", &["urn:m"]),
            ("count(//@*)", &["6"]),
        ] {
            assert_eq!(in_xml(Field::xpath(expression).unwrap(), FEED), *expected, "{expression}");
        }
        let twins = "<a xmlns:x='u' b='1' x:b='2'/>";
        assert_eq!(in_xml(Field::xpath("//a/@b").unwrap(), twins), ["1", "2"]);
    }

    #[test]
    fn css_reads_xml_and_minds_the_case() {
        for (selector, expected) in [
            ("item > title", &["A & <b>", "B"][..]),
            ("ITEM", &[]),
            ("content@url", &["u1"]),
            ("content@URL", &[]),
            ("content@Type", &["x"]),
            ("content[type]", &[]),
            ("item@href", &["h"]),
            ("item@xlink:href", &["h"]),
            ("item:lang(de) link", &["http://a/2"]),
            ("[*|href] title", &["B"]),
            ("[href] title", &[]),
            ("item:empty, content:empty", &[""]),
            ("item:nth-child(2) title", &["B"]),
            ("rss:root > #\\32  > title", &["B"]),
        ] {
            assert_eq!(in_xml(Field::css(selector).unwrap(), FEED), *expected, "{selector}");
        }
        let xhtml =
            "<h:p xmlns:h='http://www.w3.org/1999/xhtml'><h:a href='x' TYPE='y'>z</h:a></h:p>";
        for (selector, expected) in [("a:link", &["z"][..]), ("A", &[]), ("a@TYPE", &["y"])] {
            assert_eq!(in_xml(Field::css(selector).unwrap(), xhtml), *expected, "{selector}");
        }
    }

    #[test]
    fn what_comes_before_a_mistake_of_xml_is_read() {
        let extractor = Extractor::new(vec![Field::xpath("b=//b").unwrap()]).unwrap();
        let read = |body: &str| extractor.extract(body.as_bytes(), Some("application/xml"));
        let found = read("<a><b>1</b><b>2</a>");
        assert_eq!(found.fields[0].1, ["1", "2"]);
        let flaw = found.flaw.unwrap();
        assert!(!flaw.is_at_end() && flaw.to_string().contains("line 1, column 16"), "{flaw}");
        assert!(read("<a><b>1</b>").flaw.unwrap().is_at_end());
        assert!(read("<a><b>1</").flaw.unwrap().is_at_end());
    }

    #[test]
    fn two_fields_of_one_name_are_refused() {
        let fields = vec![Field::xpath("x=//a").unwrap(), Field::css("x=a").unwrap()];
        let error = Extractor::new(fields).unwrap_err();
        assert_eq!(error.to_string(), "two fields are named \"x\"");
    }

    #[test]
    fn the_header_decides_the_charset_of_a_field() {
        let extractor = Extractor::new(vec![Field::xpath("//p").unwrap()]).unwrap();
        let found = extractor.extract(b"<p>\xd6\xd0", Some("text/html;charset=GB2312"));
        assert_eq!((found.charset, found.fields[0].1[0].clone()), (Some("gbk"), "中".into()));
    }

    proptest! {
        #[test]
        fn the_fast_title_is_the_title_of_the_whole_tree(html in broken_html()) {
            prop_assert_eq!(parse(&html, Until::Title).title(), parse(&html, Until::End).title());
        }

        #[test]
        fn any_bytes_can_be_read(
            body in prop::collection::vec(any::<u8>(), 0..400),
            markup in "[<>/a-c='\"&;!\\[\\]CDAT?x -]{0,80}",
            header in ".{0,40}",
        ) {
            let fields = vec![
                Field::xpath("//*|//@*|//text()").unwrap(),
                Field::xpath("re:match(/*, '.', 'g')").unwrap(),
                Field::css("* *").unwrap(),
                Field::css("*@html").unwrap(),
                Field::regex("a.*b|.").unwrap(),
                Field::jsonpath("$..*").unwrap(),
            ];
            let extractor = Extractor::new(fields).unwrap();
            for header in [&header, "text/html", "text/xml", "application/json"] {
                extractor.extract(&body, Some(header));
                extractor.extract(markup.as_bytes(), Some(header));
            }
        }

        #[test]
        fn the_fast_title_of_xml_is_the_title_of_the_whole_tree(
            parts in prop::collection::vec(prop::sample::select(vec!["<title>", "</title>", "<svg>", "x",
                "<title xmlns='http://www.w3.org/1999/xhtml'>", "<svg xmlns='http://www.w3.org/2000/svg'>",
                "<template xmlns='http://www.w3.org/1999/xhtml'>", "</svg>", "</template>", "&", " "]), 0..12),
        ) {
            let xml = parts.concat();
            let title = |until| crate::page::xml::parse::parse(&xml, until).document.title();
            prop_assert_eq!(title(Until::Title), title(Until::End));
        }

        #[test]
        fn any_text_can_be_a_field(spec in ".{0,60}", other in "[a-b/@.*()\\[\\]|=<>+\"', 0-9:-]{0,40}") {
            for spec in [spec, other] {
                let fields = [
                    Field::xpath(&spec),
                    Field::css(&spec),
                    Field::regex(&spec),
                    Field::jsonpath(&spec),
                ];
                for field in fields {
                    match field {
                        Ok(field) => {
                            let extractor = Extractor::new(vec![field]).unwrap();
                            extractor.extract(b"<a b=c>d", None);
                            extractor.extract(b"[1, {\"a\": 2}]", None);
                        }
                        Err(error) => drop(error.to_string()),
                    }
                }
            }
        }
    }
}
