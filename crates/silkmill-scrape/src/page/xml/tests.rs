//! Documents, and what is read of them.

use super::parse::{Parsed, parse};
use crate::page::html::cost_limit::Until;
use crate::page::html::document::{Document, Kind};

fn read(text: &str) -> Parsed {
    parse(text, Until::End)
}

/// Writes the tree as text, one sign for each kind of node.
fn outline(document: &Document, parent: u32) -> String {
    let children = document.children(parent).map(|id| match document.kind(id) {
        Kind::Text => format!("'{}'", document.text(id)),
        Kind::Comment => format!("!{}!", document.text(id)),
        Kind::Instruction => format!("?{} {}?", document.name(id), document.text(id)),
        _ => {
            let attributes = document.attributes(id).map(|index| {
                let (name, value) = document.attribute(index);
                format!(" {name}={value}")
            });
            let attributes: String = attributes.collect();
            format!("{}{attributes}({})", document.name(id), outline(document, id))
        }
    });
    children.collect()
}

fn tree(text: &str) -> String {
    let parsed = read(text);
    assert_eq!(parsed.flaw, None, "{text}");
    outline(&parsed.document, Document::ROOT)
}

fn flaw(text: &str) -> (String, String) {
    let parsed = read(text);
    let flaw = parsed.flaw.map_or(String::new(), |flaw| flaw.to_string());
    (outline(&parsed.document, Document::ROOT), flaw)
}

#[test]
fn documents_are_read_by_the_rules_of_xml() {
    for (text, expected) in [
        ("<a/>", "a()"),
        ("<a><link/>x<BR/><br></br></a>", "a(link()'x'BR()br())"),
        ("<a><script src='x'/><p/></a>", "a(script src=x()p())"),
        ("<a>x<![CDATA[<b>&amp;]]>y</a>", "a('x<b>&amp;y')"),
        ("<a>x &amp; y&#x2014;&lt;</a>", "a('x & y—<')"),
        ("<a>1\r\n2\r3&#13;</a>", "a('1\n2\n3\r')"),
        ("<a b='x\ty&#9;z'/>", "a b=x y\tz()"),
        ("<?xml version='1.0'?>\n<!DOCTYPE a><!-- x --><?y  z ?><a/><!--v-->", "! x !?y z ?a()!v!"),
        ("\n <?xml version='1.0'?><a/>", "a()"),
        ("<x:a xmlns:x='u' x:b='1' c='2'/>", "a b=1 c=2()"),
        ("<größe 価='1'/>", "größe 価=1()"),
        ("<a>x<!-- y -->z</a>", "a('x'! y !'z')"),
        ("<a> <b> </b> </a>", "a(' 'b(' ')' ')"),
    ] {
        assert_eq!(tree(text), expected, "{text}");
    }
}

#[test]
fn what_comes_before_a_mistake_is_kept_and_the_place_is_told() {
    for (text, expected, says) in [
        ("<a><b>x</b><c>y</a>", "a(b('x')c('y'))", "line 1, column 16: expected </c>, found </a>"),
        ("<a>\n<b>x & y</b></a>", "a('\n'b('x '))", "line 2, column 6: \"&\" that begins no"),
        ("<a>x&nbsp;y</a>", "a('x')", "line 1, column 5: the entity &nbsp; is not declared"),
        ("<a>x&b y;</a>", "a('x')", "line 1, column 5: \"&\""),
        ("<a><b c=d/></a>", "a()", "line 1, column 4: the value of an attribute without quotes"),
        ("<a><b c/></a>", "a()", "an attribute without a value"),
        ("<a b='1'c='2'/>", "", "no space before the attribute \"c\""),
        ("<?xml?><a/>", "", "an XML declaration without a version"),
        ("<a b='1' b='2'/>", "", "two attributes named \"b\""),
        ("<a><1/></a>", "a()", "an element named \"1\""),
        ("<a>< b/></a>", "a()", "an element named \"\""),
        ("<a/><b/>", "a()", "<b> behind the end of the root"),
        ("<a/>x", "a()", "line 1, column 5: text behind the end of the root"),
        ("x<a/>", "", "text before the first element"),
        ("<a>x", "a('x')", "column 5: the end, where <a> is still open"),
        ("<a><b", "a()", "a tag without an end"),
        ("", "", "the end, and no element before it"),
        ("<a>é\u{8}</a>", "a('é')", "column 5: the character U+0008, which XML has not"),
        ("<a><!-- b -- c --></a>", "a()", "\"--\" in a comment"),
        ("<a>]]></a>", "a()", "\"]]>\" in a text"),
        ("<a/><?xml version='1.0'?>", "a()", "an XML declaration that is not at the start"),
        ("<a b='&lt;<'/>", "", "\"<\" in the value of an attribute"),
        ("<a>&#0;</a>", "a()", "&#0; is no character of XML"),
    ] {
        let (tree, flaw) = flaw(text);
        assert_eq!(tree, expected, "{text}");
        assert!(flaw.starts_with("not well-formed XML at line ") && flaw.contains(says), "{flaw}");
    }
}

#[test]
fn entities_of_a_dtd_stay_as_they_are_and_those_of_xhtml_are_known() {
    let (tree, flaw) = flaw("<!DOCTYPE a [<!ENTITY own 'x'>]>\n<a b='&own;'>&own;&amp;</a>");
    assert_eq!(tree, "a b=&own;('&own;&')");
    assert_eq!(
        flaw,
        "XML with a DTD at line 2, column 1: the entity &own; is left as it is, for no DTD is read"
    );
    let xhtml = "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"x.dtd\">";
    assert_eq!(self::tree(&format!("{xhtml}<p>a&nbsp;b</p>")), "p('a\u{a0}b')");
}

#[test]
fn an_entity_bomb_is_one_reference() {
    let mut bomb = "<!DOCTYPE a [<!ENTITY e0 'lol'>".to_owned();
    for level in 1..30 {
        let reference = format!("&e{};", level - 1);
        bomb += &format!("<!ENTITY e{level} '{}'>", reference.repeat(10));
    }
    let (tree, flaw) = flaw(&(bomb + "]><a>&e29;</a>"));
    assert_eq!(tree, "a('&e29;')");
    assert!(flaw.contains("&e29;"), "{flaw}");
}

#[test]
fn the_title_is_that_of_a_browser() {
    let xhtml = "xmlns='http://www.w3.org/1999/xhtml'";
    let svg = "xmlns='http://www.w3.org/2000/svg'";
    for (text, title) in [
        (format!("<html {xhtml}><head><title> a\n b </title></head></html>"), Some("a b")),
        (format!("<h:html xmlns:h{}><h:title>x</h:title></h:html>", &xhtml[5..]), Some("x")),
        (format!("<html {xhtml}><title>a<b>c</b>d</title></html>"), Some("ad")),
        (format!("<html {xhtml}><title/><title>x</title></html>"), Some("")),
        (format!("<html {xhtml}><template><title>x</title></template></html>"), None),
        (format!("<html {xhtml}><svg {svg}><title>x</title></svg></html>"), None),
        (format!("<svg {svg}><g><title>x</title></g><title>y</title></svg>"), Some("y")),
        (format!("<svg {svg}><foreignObject><title {xhtml}>x</title></foreignObject></svg>"), None),
        ("<html><title>no namespace</title></html>".to_owned(), None),
        ("<rss><channel><title>x</title></channel></rss>".to_owned(), None),
        (format!("<rss><channel><title {xhtml}>x</title></channel></rss>"), Some("x")),
    ] {
        for until in [Until::End, Until::Title] {
            let document = parse(&text, until).document;
            assert_eq!(document.title().as_deref(), title, "{text}");
        }
    }
}

#[test]
fn nothing_is_parsed_past_the_end_of_the_title() {
    let text = "<html xmlns='http://www.w3.org/1999/xhtml'><title>T</title><p>&</html>";
    let parsed = parse(text, Until::Title);
    assert_eq!((parsed.document.title().as_deref(), parsed.flaw), (Some("T"), None));
    assert!(parsed.document.nodes.len() < 5);
}

#[test]
fn a_bomb_costs_little() {
    let attributes: String = (0..100_000).map(|number| format!(" a{number}='1'")).collect();
    let spaces: String = (0..100_000).map(|number| format!("<a xmlns='u{number}'/>")).collect();
    let twins: String = (0..250).map(|number| format!(" a{number}=''")).collect();
    for (name, bomb, is_cut) in [
        ("nested elements", "<a>".repeat(200_000), true),
        ("nested and closed", "<a>".repeat(100_000) + &"</a>".repeat(100_000), true),
        ("attributes", format!("<a{attributes}/>"), true),
        ("elements with attributes", format!("<a{twins}/>").repeat(500), false),
        ("one attribute", format!("<a b='{}'/>", "x &amp; ".repeat(300_000)), false),
        ("references", "&lt;".repeat(500_000), false),
        ("nodes", "<a/>".repeat(600_000), true),
        ("namespaces", spaces, true),
        ("comments", "<!---->".repeat(100_000), false),
        ("an endless tag", format!("<a{attributes}"), true),
    ] {
        crate::page::html::parse::tests::on_a_small_stack(move || {
            let document = read(&format!("<r>{bomb}</r>")).document;
            assert_eq!(document.truncated, is_cut, "{name}");
            assert_eq!(document.title(), None);
        });
    }
}

#[test]
fn elements_beyond_the_depth_become_siblings() {
    let text = "<a>".repeat(1000) + "<p>x</p>" + &"</a>".repeat(999) + "<z/></a>";
    let parsed = read(&text);
    assert_eq!(parsed.flaw, None);
    let document = &parsed.document;
    assert_eq!(document.elements().count(), 1002);
    assert_eq!(document.text(Document::ROOT), "x");
    let last = document.elements().last().unwrap();
    assert_eq!((&**document.name(last), document.parent(last)), ("z", Some(1)));
}
