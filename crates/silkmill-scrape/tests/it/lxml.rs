//! Compares titles and XPath results with those of lxml, on pages that both read as the same tree.
//!
//! Needs `python3` with `lxml` 5 or newer. Without it the test prints that it was skipped; with
//! `SILKMILL_REQUIRE=1` that is a failure.

mod xml;

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use silkmill_scrape::{Extractor, Field};

/// Evaluates every expression on every page. `html5lib` builds the tree of the standard, where lxml
/// would repair a broken page in its own way.
const SCRIPT: &str = r#"
import json, sys
import lxml.etree, lxml.html
given = json.load(sys.stdin)
def text(result):
    if isinstance(result, (bool, float)):
        return [str(result)] if result != result or abs(result) == float("inf") else [result]
    if isinstance(result, list):
        return [str(r) if isinstance(r, str) else r.xpath("string()") for r in result]
    return [str(result)]
def tree(page):
    if given["builder"] == "lxml.etree":
        return lxml.etree.fromstring(page.encode())
    if given["builder"] == "lxml":
        return lxml.html.document_fromstring(page)
    import html5lib
    # Its own lxml tree mislays text, so its DOM tree is copied.
    dom = html5lib.parse(page, treebuilder="dom", namespaceHTMLElements=False)
    root = copied(dom.documentElement)
    place = dom.childNodes.index(dom.documentElement)
    comment = lambda child: lxml.etree.Comment(child.data)
    is_comment = lambda child: child.nodeType == child.COMMENT_NODE
    for child in filter(is_comment, dom.childNodes[:place]): root.addprevious(comment(child))
    for child in filter(is_comment, reversed(dom.childNodes[place:])): root.addnext(comment(child))
    return root
def copied(dom):
    node = lxml.etree.Element(dom.tagName, dict(dom.attributes.items()))
    last = None
    for child in dom.childNodes:
        if child.nodeType == child.TEXT_NODE:
            if last is None: node.text = (node.text or "") + child.data
            else: last.tail = (last.tail or "") + child.data
        else:
            is_comment = child.nodeType == child.COMMENT_NODE
            last = lxml.etree.Comment(child.data) if is_comment else copied(child)
            node.append(last)
    return node
def is_well_formed(page):
    parser = lxml.etree.XMLParser()
    try:
        lxml.etree.fromstring(page.encode(), parser)
        return True
    except lxml.etree.XMLSyntaxError:
        # An undeclared prefix breaks no rule of XML itself, and hides what comes behind it.
        is_other = any(entry.domain_name == "NAMESPACE" for entry in parser.error_log)
        return None if is_other else False
def read(page):
    if given["builder"] == "lxml.etree.verdict":
        return is_well_formed(page)
    root = tree(page)
    return [text(root.xpath(e)) for e in given["expressions"]]
json.dump([read(page) for page in given["pages"]], sys.stdout)
"#;

const EXPRESSIONS: &[&str] = &[
    "//title/text()",
    "//h1",
    "//*[@id='content']/div[1]/div[2]/p[3]/i[1]/@class",
    "//*[@id='content']/div[1]/div[2]/p[1]",
    "//a/@href",
    "//img/@src | //a/@href",
    "//meta[@name='viewport']/@content",
    "count(//a)",
    "count(//p) * 2 + 1",
    "count(//p) div 4",
    "string(//h1)",
    "normalize-space(//p[@class='price'])",
    "//p[contains(@class, 'rating')]/@class",
    "//ul[@class='breadcrumb']/li[last() - 1]/a/text()",
    "//ul[@class='breadcrumb']/li[position() < 3]",
    "//th[text() = 'UPC']/following-sibling::td/text()",
    "//th[starts-with(., 'Price')]/../td",
    "//table//tr/th",
    "//table/tbody/tr[2]/td",
    "//td/ancestor::table/@class",
    "//div//text()[normalize-space()]",
    "//div[@class='row'][2]",
    "(//div[@class='row'])[2]/@class",
    "//a[not(contains(@href, '..'))]/@href",
    "//*[self::h1 or self::h2]",
    "//h2/following::p[1]",
    "//h2/preceding::h1",
    "//comment()",
    "//p[string-length(.) > 40]",
    "substring-before(//p[@class='price'], '.')",
    "translate(//h1, 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ')",
    "boolean(//nosuch)",
    "sum(//td[@class='n'])",
    "name(//*[@class][1])",
    "//*[@*[name() = 'data-text']]",
    "//div[count(a) > 1]",
    "//a[@href = //li/a/@href]/text()",
    "//p[preceding-sibling::h1]",
    "concat(//h1, ' - ', //p[@class='price'])",
    "//script[not(@src)]",
    "id('about')/h2",
    "//p[2]/preceding-sibling::*[1]",
    "round(3.5) = 4",
    "//link[@rel=\"stylesheet\"][2]/@href",
    "//ul/li[position() mod 2 = 1]/a",
    "//li[last()]/preceding-sibling::li[1]",
    "//*[not(*)][normalize-space() = '']/@class",
    "//body/*[last()]/@class",
];

/// Expressions with every axis, every function, and a comparison of every two types.
const LANGUAGE: &[&str] = &[
    "//td/ancestor-or-self::*[@class]/@class",
    "//div/descendant::a/@href",
    "//p/descendant-or-self::node()[self::text()]",
    "//h2/preceding::*[1]",
    "//a/parent::*/attribute::*",
    "//li/child::a/self::a/@href",
    "//h1/following-sibling::*[2]",
    "(//p)[last()]/preceding-sibling::*[position() = 2]",
    "//li[2]/following::*[3]",
    "//*[count(ancestor::*) = 4]/@class",
    "string-length(normalize-space(//body))",
    "substring(//h1, 2)",
    "substring(//h1, 0, 3)",
    "substring('12345', 1.5, 2.6)",
    "substring('12345', 0 div 0, 3)",
    "substring('12345', -42, 1 div 0)",
    "substring-after(//p[@class='price'], '.')",
    "floor(-1.5) + ceiling(1.2) + round(-2.5)",
    "number(//td[@class='n'][1]) - 1",
    "number('x')",
    "1 div 0",
    "-1 div 0",
    "7 mod -3",
    "-7 mod 3",
    "local-name(//*[@class])",
    "namespace-uri(//a)",
    "string(//a/@href)",
    "string(1 = 1)",
    "concat(1 div 4, true(), 'x')",
    "boolean('false') and not(false())",
    "number(true()) + number('  12  ')",
    "starts-with(//h1, '')",
    "translate('bar', 'abc', 'AB')",
    "id('about content')/@class",
    "count(id(//@id))",
    "//td > 40",
    "//td[@class='n'] = //td[2]",
    "//td != //td",
    "//nosuch = //nosuch",
    "//nosuch = ''",
    "//a/@href = 'x'",
    "//p = true()",
    "//nosuch = false()",
    "'1' = 1",
    "'a' < 'b'",
    "true() > false()",
    "1 = 1 = true()",
    "2 > 1 > 0",
    "count(//p) >= 2 or 1 div 0 < 0",
    "//h1 | //title | //h1",
    "(//p | //h2)[1]",
    "//a[@href][1]",
    "//li[a][position() = last()]",
    "//*[position() = 2][self::p]",
    "//table//*[not(self::tr)][1]",
    "//*/@*[1]",
    "//h1/..",
    "/html/*[2]/@class",
    "/descendant::p[2]",
    "/descendant-or-self::node()/child::p[2]",
    "//p/text()[1]",
    "//comment()/following::a[1]",
    "//a[@href='../0/']/text()",
];

/// Expressions that find nodes on any page, for broken pages. Trees differ in their texts and
/// places.
const TREE: &[&str] = &[
    "string(//title)",
    "//title/text()",
    "//body//text()",
    "//*",
    "//*/@*",
    "//*/text()[1]",
    "//comment()",
    "//p",
    "//p//b | //p//i",
    "//a/@href",
    "//table//text()",
    "//tr/td[1]",
    "//li",
    "//div/*[1]",
    "//div[p]/p[last()]",
    "//b/ancestor::*[1]",
    "//i/following::text()[1]",
    "//td/preceding::*[2]",
    "//*[self::p or self::div]/following-sibling::*[1]",
    "//*[not(*)]",
    "//*[count(*) > 1]/*[2]",
    "count(//*)",
    "count(//text())",
    "count(//p/ancestor::*)",
    "count(//b) * 100 + count(//i)",
    "string(//body)",
    "normalize-space(/html)",
    "name(//body/*[1])",
    "name(//body/*[last()])",
    "name(//table/..)",
    "name(//*[@a][last()])",
    "concat(name(/*/*[1]), name(/*/*[2]))",
    "string-length(//body)",
    "boolean(//table//p)",
    "count(//td//input)",
    "count(/descendant::node())",
    "//head/*",
    "//h1 | //h2",
    "//dd//text()",
    "//a//i",
    "//font/@size",
    "//*[@id]/parent::*/@id",
];

/// Asserts that the values of a page are those that lxml found.
fn assert_same(found: &silkmill_scrape::Extracted, expected: &Value, page: &str) {
    for (index, (name, values)) in found.fields.iter().enumerate() {
        let expected = expected[index].as_array().unwrap();
        let same = values.len() == expected.len()
            && values.iter().zip(expected).all(|(value, expected)| is_same(value, expected));
        assert!(same, "{name}: {values:?} and not {expected:?}\n{page}");
    }
}

fn extractor(expressions: &[&str]) -> Extractor {
    let numbered = expressions.iter().enumerate();
    let field =
        |(number, text): (usize, &&str)| Field::xpath(&format!("_{number}={text}")).unwrap();
    Extractor::new(numbered.map(field).collect()).unwrap()
}

/// Reads every page and compares it with what Python finds.
fn compare(builder: &str, pages: &[String], expressions: &[&str]) {
    let Some(expected) = python(builder, pages, expressions) else { return };
    let expected = expected.as_array().unwrap();
    let extractor = extractor(expressions);
    for (page, expected) in pages.iter().zip(expected) {
        let found = extractor.extract(page.as_bytes(), Some("text/html; charset=utf-8"));
        assert!(!found.truncated && found.unfinished.is_empty());
        assert_same(&found, expected, page);
        if expressions == TREE {
            let words = expected[0][0].as_str().unwrap().split_ascii_whitespace();
            assert_eq!(
                found.title.unwrap_or_default(),
                words.collect::<Vec<_>>().join(" "),
                "{page}"
            );
        }
    }
    for (index, expression) in expressions.iter().enumerate().filter(|(_, e)| !e.contains("nosuch"))
    {
        assert!(expected.iter().any(|page| page[index] != json!([])), "{expression} finds nothing");
    }
}

#[test]
fn titles_and_xpath_results_are_those_of_lxml() {
    let pages: Vec<String> = (0..100).map(page).collect();
    compare("lxml", &pages, EXPRESSIONS);
}

#[test]
fn the_whole_of_xpath_is_that_of_lxml() {
    let pages: Vec<String> = (0..20).map(page).collect();
    compare("lxml", &pages, LANGUAGE);
}

#[test]
fn broken_pages_have_the_tree_of_the_standard() {
    let mut dice = Dice(0x5111);
    let pages: Vec<String> = (0..600).map(|_| broken(&mut dice)).collect();
    compare("html5lib", &pages, TREE);
}

/// Reads real pages, where the environment names a folder of them.
#[test]
fn real_pages_are_read_as_lxml_reads_them() {
    let Some(folder) = std::env::var_os("SILKMILL_PAGES") else {
        eprintln!("SKIPPED: SILKMILL_PAGES names no folder of pages, so none were compared");
        return;
    };
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let pages: Vec<String> =
        paths.iter().map(|path| String::from_utf8(std::fs::read(path).unwrap()).unwrap()).collect();
    assert!(!pages.is_empty());
    for (builder, expressions) in [("lxml", EXPRESSIONS), ("lxml", LANGUAGE), ("html5lib", TREE)] {
        // The standard has a `tbody` in every table, lxml only in one that has it in its markup.
        let expressions = expressions
            .iter()
            .copied()
            .filter(|text| !text.contains("tbody") && !text.contains("table//*"));
        let expressions: Vec<&str> = expressions.collect();
        let Some(expected) = python(builder, &pages, &expressions) else { return };
        let extractor = extractor(&expressions);
        for (page, expected) in pages.iter().zip(expected.as_array().unwrap()) {
            let found = extractor.extract(page.as_bytes(), Some("text/html; charset=utf-8"));
            assert_same(&found, expected, page);
        }
    }
    eprintln!("{} real pages compared", pages.len());
}

/// Pseudo-random numbers that are the same on every machine (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// Makes markup that is nested, closed and quoted wrongly. Leaves out what has changed in the
/// standard since html5lib was written (`select`), and what html5lib does not know (`template`) or
/// gets wrong: forms and buttons, `textarea`, and lists within tables.
fn broken(dice: &mut Dice) -> String {
    const ANYWHERE: &[&str] = &[
        "p", "div", "b", "i", "a", "font", "input", "h1", "h2", "span", "br", "em", "title", "hr",
        "style",
    ];
    const IN_TABLES: &[&str] = &["table", "tr", "td", "th", "tbody", "caption"];
    const IN_LISTS: &[&str] = &["ul", "li", "dl", "dd", "dt"];
    let tags = [ANYWHERE, if dice.roll(2) == 0 { IN_TABLES } else { IN_LISTS }].concat();
    let mut page = String::new();
    for _ in 0..dice.roll(60) + 5 {
        let tag = tags[dice.roll(tags.len())];
        page += &match dice.roll(10) {
            0..4 => format!("<{tag}>"),
            4 => format!("<{tag} a=1 href=/{} id='x y'>", dice.roll(9)),
            5 | 6 => format!("</{tag}>"),
            7 => format!("<{tag} size={} a>w</{tag}>", dice.roll(3)),
            8 => format!("<!-- {tag} -->&amp;&lt"),
            _ => format!(" text {} ", dice.roll(100)),
        };
    }
    page
}

fn is_same(value: &silkmill_scrape::Value, expected: &Value) -> bool {
    match value {
        silkmill_scrape::Value::Text(text) => expected.as_str() == Some(text),
        // A JSON parser may read a number as its neighbour.
        silkmill_scrape::Value::Number(number) if number.is_finite() => expected
            .as_f64()
            .is_some_and(|expected| (number - expected).abs() <= number.abs() * f64::EPSILON),
        silkmill_scrape::Value::Number(number) => {
            expected.as_str() == Some(&number.to_string().to_lowercase())
        }
        silkmill_scrape::Value::Boolean(truth) => expected.as_bool() == Some(*truth),
    }
}

/// Returns what Python finds, or `None` when lxml is missing and not required.
fn python(builder: &str, pages: &[String], expressions: &[&str]) -> Option<Value> {
    let module = builder.trim_end_matches(".verdict");
    let import = format!("import lxml.html, {module}");
    let is_there = Command::new("python3").args(["-c", &import]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        assert_ne!(std::env::var("SILKMILL_REQUIRE").as_deref(), Ok("1"), "{builder} is missing");
        eprintln!("SKIPPED: python3 with lxml and {builder} is not here, so nothing was compared");
        return None;
    }
    let mut python = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let given = json!({ "builder": builder, "pages": pages, "expressions": expressions });
    python.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Makes a product page. The seed decides how much is on it.
fn page(seed: u32) -> String {
    let word = |at: u32| {
        ["silk", "mill", "&amp; wool", "café", "Größe", "l'eau", "中文"][((seed + at) % 7) as usize]
    };
    let many = |count: u32, part: &dyn Fn(u32) -> String| (0..count).map(part).collect::<String>();
    let crumbs = many(2 + seed % 3, &|n| format!("<li><a href='../{n}/'>{}</a></li>\n", word(n)));
    let rows = many(1 + seed % 4, &|n| {
        format!("<tr><th>Price {n}</th><td class='n'>{}.{n}</td></tr>\n", seed * 3 + n)
    });
    let related = many(seed % 6, &|n| {
        format!(
            "<li class='item'>\n <div class='row'><a href='{n}.html'><img src='{n}.jpg' alt='{}'></a>\
             <a href='{n}.html' data-text='{n}'>{}</a></div>\n</li>\n",
            word(n),
            word(n + 1)
        )
    });
    format!(
        "<!DOCTYPE html>\n<html lang='en'><head>\n<title>\n  {title} no. {seed}   | Shop\n</title>\n\
         <meta name='viewport' content='width={seed}'>\n<link rel='stylesheet' href='a.css'>\n\
         <link rel='stylesheet' href='b.css'>\n<script>if (1 < 2) {{ '<p>' }}</script>\n</head>\n\
         <body class='default'>\n<!-- {seed} -->\n<ul class='breadcrumb'>\n{crumbs}</ul>\n\
         <div id='content'><div class='row'>\n<div class='left'></div>\n\
         <div class='main'><h1>{title}</h1><p class='price'>£{seed}.50</p>\n\
         <p class='stock'>\n  In stock ({seed})\n</p><p class='rating Three'><i class='star'></i>\
         <i class='star'></i></p></div></div>\n<div id='about' class='row'><h2>About &lt;it&gt;</h2></div>\n\
         <p>{about}</p>\n<table class='t'><tbody><tr><th>UPC</th><td>u{seed}</td></tr>\n{rows}</tbody></table>\n\
         <ul>\n{related}</ul></div>\n<div class='end'></div>\n</body>\n</html>\n",
        title = word(0),
        about = many(3 + seed % 9, &|n| format!("{} &copy; ", word(n))),
    )
}
