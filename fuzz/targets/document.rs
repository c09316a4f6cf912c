//! Any bytes are a page that is read at a bounded cost, and the fast way to the title agrees with
//! the slow one.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use silkmill_scrape::{Extractor, Field};

/// Without a field to read, the parser stops where the title is decided.
static TITLE: LazyLock<Extractor> =
    LazyLock::new(|| Extractor::new(Vec::new()).expect("no names, no two alike"));

static FIELDS: LazyLock<Extractor> = LazyLock::new(|| {
    let fields = vec![
        Field::xpath("nodes=//*[@id or @class]/@*"),
        Field::xpath("count=count(//text())"),
        Field::xpath("near=//p/following-sibling::*[1]/ancestor::div"),
        Field::css("links=a[href]:not(nav a)@href"),
        Field::css("cells=table td:nth-child(2n+1)"),
        Field::css(
            "states=:checked, :default, :indeterminate, :disabled, :read-write, :out-of-range",
        ),
        Field::css("texts=:lang(en):not(:empty) :dir(rtl), :has(> :link)"),
    ];
    let fields = fields.into_iter().collect::<Result<_, _>>().expect("the fields parse");
    Extractor::new(fields).expect("the names differ")
});

fuzz_target!(|body: &[u8]| {
    let short = TITLE.extract(body, Some("text/html; charset=utf-8"));
    let whole = FIELDS.extract(body, Some("text/html; charset=utf-8"));
    if !whole.truncated {
        assert_eq!(short.title, whole.title);
    }
});
