//! What `scrape` reads: XML, JSON, and fields of every kind.

use serde_json::{Value, json};
use silkmill_testkit::{Reply, Server};

use crate::sandbox::{stderr, stdout};
use crate::silkmill;

/// Serves one body under one media type.
fn serve(content_type: &'static str, body: &'static [u8]) -> Server {
    Server::start(move |_| Reply::html(body).header("Content-Type", content_type)).unwrap()
}

/// Scrapes the page of a server, and returns its record and the exit code.
fn record(server: &Server, fields: &[&str]) -> (Value, Option<i32>) {
    let url = server.url("/shop/index.html?a=1");
    let output =
        silkmill().args(["scrape", "--format", "jsonl", &url]).args(fields).output().unwrap();
    (serde_json::from_str(&stdout(&output)).unwrap(), output.status.code())
}

#[test]
fn a_feed_is_read_by_the_rules_of_xml() {
    let feed = b"<?xml version='1.0' encoding='windows-1252'?><rss xmlns:m='urn:m'><channel>\
        <title>Feed</title><item><title><![CDATA[caf\xe9 & <b>]]></title><link>http://a/1</link>\
        <m:content url='u'/></item></channel></rss>";
    for content_type in ["application/rss+xml", "text/xml", "text/html"] {
        let server = serve(content_type, feed);
        let fields =
            ["--xpath", "t=//item/title", "--xpath", "l=//item/link", "--css", "c=content@url"];
        let (record, code) = record(&server, &fields);
        assert_eq!(
            (code, &record["title"], &record["error"]),
            (Some(0), &Value::Null, &Value::Null)
        );
        assert_eq!(record["charset"], "windows-1252");
        assert_eq!(
            record["fields"],
            json!({"t": ["caf\u{e9} & <b>"], "l": ["http://a/1"], "c": ["u"]})
        );
    }
}

#[test]
fn an_empty_script_of_xhtml_swallows_nothing() {
    let page = b"<html xmlns='http://www.w3.org/1999/xhtml'><head><script src='a.js'/>\
        <title>T</title></head><body><p>one</p></body></html>";
    let (record, code) = record(&serve("application/xhtml+xml", page), &["--css", "p=p"]);
    assert_eq!(
        (code, &record["title"], &record["fields"]["p"]),
        (Some(0), &json!("T"), &json!(["one"]))
    );
}

#[test]
fn xml_that_breaks_is_kept_up_to_there_and_the_row_says_where() {
    let server = serve("application/xml", b"<a>\n<b>1</b><b>2 & 3</b><b>4</b></a>");
    let (record, code) = record(&server, &["--xpath", "b=//b"]);
    assert_eq!((code, &record["status"]), (Some(1), &json!(200)));
    assert_eq!(record["fields"]["b"], json!(["1", "2 "]));
    let message = "not well-formed XML at line 2, column 14: \"&\" that begins no reference: it is \
                   written &amp;";
    assert_eq!(record["error"], json!({"kind": "body", "phase": "extract", "message": message}));
}

#[test]
fn xml_that_was_cut_is_truncated_and_no_error() {
    let server = serve("application/xml", b"<a><b>1</b><b>2</b></a>");
    let (record, code) = record(&server, &["--xpath", "b=//b", "--max-body", "17"]);
    assert_eq!(
        (code, &record["error"], &record["truncated"]),
        (Some(0), &Value::Null, &json!(true))
    );
    assert_eq!(record["fields"]["b"], json!(["1", "2"]));
}

#[test]
fn fields_of_every_kind_come_from_one_page() {
    let page = b"<base href='/b/'><title>T</title><p class='x y'>SKU: 12 <b>bold</b> SKU: 7</p>\
        <a href='c?d'>link</a><script type='application/ld+json'>{\"@type\": \"Product\",\
        \"offers\": [{\"price\": 51.77, \"ids\": [1, null]}]}</script>";
    let server = serve("text/html", page);
    let fields = [
        "--regex",
        "sku=SKU: (\\d+)",
        "--jsonpath",
        "price=$..price",
        "--jsonpath",
        "ids=$.offers[0].ids",
        "--css",
        "texts=p::text",
        "--css",
        "class=p::attr(class)",
        "--css",
        "html=p b@html",
        "--css",
        "inner=p b@inner-html",
        "--css",
        "to=a@abs:href",
        "--xpath",
        "x=//p[has-class('y') and re:test(., 'SKU')]/b",
        "--xpath",
        "m=re:match(//p, '\\d+', 'g')",
        "--xpath",
        "r=re:replace(//b, 'o', '', '0')",
        "--xpath",
        "u=resolve-uri(//a/@href)",
    ];
    let (record, code) = record(&server, &fields);
    let link = server.url("/b/c?d");
    assert_eq!((code, &record["title"]), (Some(0), &json!("T")));
    assert_eq!(
        record["fields"],
        json!({"sku": ["12", "7"], "price": ["51.77"], "ids": ["[1,null]"],
            "texts": ["SKU: 12 ", " SKU: 7"], "class": ["x y"], "html": ["<b>bold</b>"],
            "inner": ["bold"], "to": [link], "x": ["bold"], "m": ["12", "7"], "r": ["b0ld"],
            "u": [link]})
    );
}

#[test]
fn json_and_plain_text_have_fields_too() {
    let server = serve("application/json", b"{\"items\": [{\"name\": \"A\"}, {\"name\": \"B\"}]}");
    let fields = ["--jsonpath", "n=$.items[*].name", "--regex", "r=\"(A|B)\"", "--css", "c=p"];
    let (found, code) = record(&server, &fields);
    assert_eq!(
        (code, &found["title"], &found["charset"]),
        (Some(0), &Value::Null, &json!("utf-8"))
    );
    assert_eq!(found["fields"], json!({"n": ["A", "B"], "r": ["A", "B"], "c": []}));

    let (found, code) =
        record(&serve("text/plain; charset=latin1", b"\xa351"), &["--regex", "\u{a3}\\d+"]);
    assert_eq!((code, &found["charset"]), (Some(0), &json!("windows-1252")));
    assert_eq!(found["fields"]["\u{a3}\\d+"], json!(["\u{a3}51"]));
}

#[test]
fn json_that_is_none_is_an_error_of_the_row() {
    let server = serve("application/json", b"{\"a\": 1");
    let (found, code) = record(&server, &["--jsonpath", "a=$.a"]);
    assert_eq!((code, &found["status"], &found["fields"]["a"]), (Some(1), &json!(200), &json!([])));
    let message = found["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("invalid JSON: EOF while parsing an object at line 1"),
        "{message}"
    );
}

#[test]
fn a_charset_behind_the_first_kilobyte_counts() {
    let page: &'static [u8] = [
        b"<script>".as_slice(),
        &[b'x'; 1200],
        b"</script><meta charset=koi8-r><title>\xd4\xc5\xd3\xd4</title>",
    ]
    .concat()
    .leak();
    let (found, _) = record(&serve("text/html", page), &[]);
    assert_eq!((&found["charset"], &found["title"]), (&json!("koi8-r"), &json!("тест")));
}

#[test]
fn a_field_that_cannot_be_is_refused_before_any_request() {
    let server = serve("text/html", b"x");
    for (option, field, says) in [
        ("--regex", "n=a(b", "regex \"a(b\" of field \"n\" does not parse: unclosed group"),
        ("--regex", "(?=a)", "look-around"),
        ("--jsonpath", "n=$.a[", "JSONPath \"$.a[\" of field \"n\" does not parse"),
        ("--jsonpath", "a.b", "a path starts with \"$\""),
        ("--css", "p::before", "only ::text and ::attr(NAME) may follow a selector"),
        (
            "--xpath",
            "//a[matches(., 'x')]",
            "there is no function matches() in XPath 1.0: write re:test(",
        ),
        ("--xpath", "lower-case(//a)", "write translate("),
        ("--xpath", "//a[re:test(., '(')]", "unclosed group"),
    ] {
        let output = silkmill().args(["scrape", option, field, &server.url("/")]).output().unwrap();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{field}: {message}");
        assert!(message.contains(says), "{field}: {message}");
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn fields_whose_work_has_no_end_are_bounded() {
    let line: &'static [u8] = b"a".repeat(300_000).leak();
    let (found, code) = record(&serve("text/plain", line), &["--regex", "r=a.*b|a"]);
    assert_eq!((code, &found["truncated"]), (Some(0), &json!(true)));
    assert!(!found["fields"]["r"].as_array().unwrap().is_empty());

    let deep = format!("{}1{}", "[1,2,3,".repeat(100), "]".repeat(100));
    let deep: &'static [u8] = deep.into_bytes().leak();
    let (found, code) =
        record(&serve("application/json", deep), &["--jsonpath", "j=$..*..*..*..*..*"]);
    assert_eq!((code, &found["fields"]["j"]), (Some(1), &json!([])));
    assert_eq!(found["error"]["message"], "field \"j\" costs too much on this page");
}
