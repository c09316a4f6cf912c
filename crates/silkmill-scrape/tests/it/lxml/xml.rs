//! Compares what is read of XML with what `lxml.etree` reads.

use silkmill_scrape::{Extractor, Field};

use super::{Dice, assert_same, extractor, python};

/// Expressions that mean the same with namespaces and without.
const ALIKE: &[&str] = &[
    "//*",
    "//text()",
    "//comment()",
    "//processing-instruction()",
    "//processing-instruction('php')",
    "//@*",
    "count(//*) + count(//text()) * 100",
    "name(/*)",
    "local-name(/*)",
    "namespace-uri(/*)",
    "name(//*[@*][1]/@*[1])",
    "namespace-uri(//*[@*][last()]/@*[last()])",
    "name((//*)[3])",
    "name((//*)[last()])",
    "local-name((//*)[last()])",
    "namespace-uri((//*)[last()])",
    "string((//*)[2])",
    "(//*)[4]/@*",
    "//*[not(*)]",
    "//*[count(*) > 1]/*[2]",
    "//*/text()[1]",
    "//*/following-sibling::*[1]",
    "//*[lang('de')]",
    "//*[namespace-uri() = 'urn:one']",
    "//*[starts-with(name(), 'x:')]",
    "//@*[name() = 'y:k']",
    "normalize-space(/*)",
    "/node()",
];

/// Expressions as they are here, and as they are with namespaces.
const BLIND: &[(&str, &str)] = &[
    ("//a", "//*[local-name() = 'a']"),
    ("//a/b", "//*[local-name() = 'a']/*[local-name() = 'b']"),
    ("//c[1]", "//*[local-name() = 'c'][1]"),
    (
        "//b//c[@k]/@k",
        "//*[local-name() = 'b']//*[local-name() = 'c'][@*[local-name() = 'k']]/@*[local-name() = 'k']",
    ),
    ("//@k", "//@*[local-name() = 'k']"),
    ("count(//a/@k)", "count(//*[local-name() = 'a']/@*[local-name() = 'k'])"),
    ("//a[b = 'x']", "//*[local-name() = 'a'][*[local-name() = 'b'] = 'x']"),
    ("//link", "//*[local-name() = 'link']"),
];

fn declared(dice: &mut Dice) -> &'static str {
    [
        "",
        "",
        "",
        " xmlns='urn:one'",
        " xmlns:x='urn:two'",
        " xmlns:y='urn:four'",
        " xmlns=''",
        " xml:lang='de'",
    ][dice.roll(8)]
}

/// Makes a well-formed document, with everything that one may have but a DTD.
fn document(dice: &mut Dice) -> String {
    let mut text =
        ["", "<?xml version='1.0'?>\n", "<!-- before --><?php x y?>\n"][dice.roll(3)].to_owned();
    text += "<r xmlns:x='urn:one' xmlns:y='urn:three'>";
    let mut open: Vec<String> = Vec::new();
    for _ in 0..dice.roll(50) + 5 {
        let name = ["a", "b", "c", "link", "x:a", "x:b", "y:c", "Größe"][dice.roll(8)];
        let attribute =
            ["", "", " k='1'", " x:k='2\n3' k=\"&lt;'\"", " y:k='&#9;&#xe9;'"][dice.roll(5)];
        let declared = declared(dice);
        match dice.roll(10) {
            0..4 => {
                text += &format!("<{name}{declared}{attribute}>");
                open.push(name.to_owned());
            }
            4 => text += &format!("<{name}{declared}{attribute}/>"),
            5 | 6 => text += &open.pop().map_or(String::new(), |name| format!("</{name}\n>")),
            7 => {
                text +=
                    ["<![CDATA[<a>&amp;]] >]]>", "<!-- - -->", "<?php echo '<a>' ?>"][dice.roll(3)]
            }
            _ => text += ["x", " \r\n", "é&amp;&#65;", "]]", "中\r", "&gt;"][dice.roll(6)],
        }
    }
    while let Some(name) = open.pop() {
        text += &format!("</{name}>");
    }
    text + "</r>" + ["", "<!-- after -->", "\n<?php?>\n"][dice.roll(3)]
}

#[test]
fn documents_are_read_as_lxml_etree_reads_them() {
    let mut dice = Dice(0x3a1);
    let pages: Vec<String> = (0..400).map(|_| document(&mut dice)).collect();
    let ours: Vec<&str> = ALIKE.iter().copied().chain(BLIND.iter().map(|pair| pair.0)).collect();
    let theirs: Vec<&str> = ALIKE.iter().copied().chain(BLIND.iter().map(|pair| pair.1)).collect();
    let Some(expected) = python("lxml.etree", &pages, &theirs) else { return };
    let extractor = extractor(&ours);
    let expected = expected.as_array().unwrap();
    for (page, expected) in pages.iter().zip(expected) {
        let found = extractor.extract(page.as_bytes(), Some("application/xml; charset=utf-8"));
        assert_eq!((found.truncated, &found.flaw), (false, &None), "{page}");
        assert_same(&found, expected, page);
    }
    for (index, expression) in ours.iter().enumerate() {
        let finds =
            |page: &serde_json::Value| page[index].as_array().is_some_and(|all| !all.is_empty());
        assert!(expected.iter().any(finds), "{expression} finds nothing");
    }
}

/// Breaks a document at one place.
fn broken(dice: &mut Dice) -> String {
    let mut text = document(dice);
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let at = places[dice.roll(places.len())];
    let wrong = [
        "<",
        "&",
        ">",
        "</a>",
        "<a>",
        "<a k>",
        "<a k=1>",
        "<a k='1' k='2'/>",
        "&x;",
        "\u{1}",
        "<1/>",
        "]]>",
        "'",
        "\"",
        "/",
        "<!--",
        "--",
        "?>",
        "<![CDATA[",
        "&#0;",
        "<?xml?>",
    ];
    text.insert_str(at, wrong[dice.roll(wrong.len())]);
    text
}

/// Lets `lxml` read documents, and returns for each whether it is well-formed.
#[test]
fn what_lxml_refuses_has_a_flaw() {
    let mut dice = Dice(0xb0b);
    let pages: Vec<String> = (0..2000).map(|_| broken(&mut dice)).collect();
    let Some(expected) = python("lxml.etree.verdict", &pages, &[]) else { return };
    let extractor = Extractor::new(vec![Field::xpath("//*").unwrap()]).unwrap();
    let mut refused = 0;
    let mut wrong = String::new();
    for (page, expected) in pages.iter().zip(expected.as_array().unwrap()) {
        let found = extractor.extract(page.as_bytes(), Some("application/xml; charset=utf-8"));
        let Some(is_well_formed) = expected.as_bool() else { continue };
        // What an XML declaration says of versions is not looked at.
        let is_declared = page.starts_with("<?xml") && !page.starts_with("<?xml version='1.0'?>");
        if found.flaw.is_none() != is_well_formed && !is_declared {
            wrong += &format!("{:?}\n{page}\n\n", found.flaw);
        }
        refused += usize::from(!is_well_formed);
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(refused > 500 && refused < 1900, "{refused}");
}
