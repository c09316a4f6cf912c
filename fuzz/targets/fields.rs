//! Any bytes are XML, JSON and text that are read at a bounded cost, and the fast way to the title
//! of XML agrees with the slow one.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use silkmill_scrape::{Extractor, Field};

/// Without a field to read, the parser stops where the title is decided.
static TITLE: LazyLock<Extractor> =
    LazyLock::new(|| Extractor::new(Vec::new()).expect("no names, no two alike"));

static FIELDS: LazyLock<Extractor> = LazyLock::new(|| {
    let fields = vec![
        Field::xpath("names=//*[name() != local-name()]/@*"),
        Field::xpath("spaces=count(//namespace::*)"),
        Field::xpath("asides=//processing-instruction() | //comment()"),
        Field::xpath("replaced=re:replace(/*, '(a+)b?', 'g', '\\1')"),
        Field::xpath("matched=//*[re:test(., '^.b')] | re:match(/*, '[a-c]', 'g')"),
        Field::xpath("links=resolve-uri(//@href)"),
        Field::css("classes=*:not(:empty) > [a|=b]@html"),
        Field::css("inner=*@inner-html"),
        Field::css("texts=* ::text"),
        Field::regex("words=a.*b|\\bé?\\w"),
        Field::jsonpath("all=$..*"),
        Field::jsonpath("some=$..[?@.a || @[0] == 'b'][*]"),
    ];
    let fields = fields.into_iter().collect::<Result<_, _>>().expect("the fields parse");
    Extractor::new(fields).expect("the names differ")
});

fuzz_target!(|body: &[u8]| {
    for content_type in ["application/xml", "application/json", "text/html", "text/plain"] {
        let short = TITLE.extract(body, Some(content_type));
        let whole = FIELDS.extract_from(body, Some(content_type), Some("http://a.test/b/c"));
        if !whole.truncated {
            assert_eq!(short.title, whole.title);
        }
        // A mistake has its place in the page.
        if let Some(flaw) = whole.flaw {
            assert!(!flaw.to_string().is_empty());
        }
    }
});
