use proptest::prelude::*;

use super::*;
use crate::page::html::cost_limit::Until;
use crate::page::html::parse::parse;

const PAGE: &str = "http://a.test/dir/page.html?q#f";

fn all(html: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let document = parse(html, Until::End);
    of_document(&document, &Url::parse(PAGE).unwrap(), "utf-8", Texts::Kept, |link| {
        links.push(link);
        true
    });
    links
}

fn targets(html: &str) -> Vec<String> {
    let of = |link: Link| link.target.map_or_else(|text| format!("!{text}"), String::from);
    all(html).into_iter().map(of).collect()
}

fn of_role(html: &str, role: Role) -> Vec<String> {
    let links = all(html).into_iter().filter(|link| link.role == role);
    links.map(|link| link.target.unwrap().into()).collect()
}

#[test]
fn every_element_that_leads_to_a_page_is_a_link() {
    let html = "<a href=x>one</a><map><area href='/y' alt=Y></map><iframe src=//b.test/z></iframe>\
                <svg><a xlink:href=svg /><a href=svg2 /></svg><a name=n>none</a>\
                <meta http-equiv=Refresh content='5; url=later'>";
    assert_eq!(
        of_role(html, Role::Page),
        [
            "http://a.test/dir/x",
            "http://a.test/y",
            "http://b.test/z",
            "http://a.test/dir/svg",
            "http://a.test/dir/svg2",
            "http://a.test/dir/later",
        ]
    );
    assert_eq!(
        of_role("<frameset><frame src=f1><frame src=f2>", Role::Page),
        ["http://a.test/dir/f1", "http://a.test/dir/f2",]
    );
}

#[test]
fn references_are_resolved_as_browsers_do() {
    for (html, target) in [
        ("<a href=' \n x\ty \n'>", "http://a.test/dir/xy"),
        ("<a href=''>", "http://a.test/dir/page.html?q"),
        ("<a href='#x'>", "http://a.test/dir/page.html?q#x"),
        ("<a href='?z'>", "http://a.test/dir/page.html?z"),
        ("<a href='..\\x'>", "http://a.test/x"),
        ("<a href='HTTP:x'>", "http://a.test/dir/x"),
        ("<a href='http:/x'>", "http://a.test/x"),
        ("<a href='https:x'>", "https://x/"),
        ("<a href='é?é'>", "http://a.test/dir/%C3%A9?%C3%A9"),
        ("<a href='http://[x/'>", "!http://[x/"),
        ("<a href='mailto:a@b'>", "mailto:a@b"),
        ("<base href=/other/><a href=x>", "http://a.test/other/x"),
        ("<a href=x><base href=http://b.test/>", "http://b.test/x"),
        ("<base target=_top><base href=b/><base href=c/><a href=x>", "http://a.test/dir/b/x"),
        ("<base href='http://[/'><a href=x>", "http://a.test/dir/x"),
        ("<base href='data:,x'><a href=x>", "http://a.test/dir/x"),
        ("<base href='data:,x'><base href=b/><a href=x>", "http://a.test/dir/x"),
    ] {
        assert_eq!(targets(html), [target], "{html}");
    }
}

#[test]
fn a_query_is_in_the_encoding_of_the_page() {
    let document = parse("<a href='é?é'>", Until::End);
    let target = |charset| {
        let mut target = None;
        of_document(&document, &Url::parse(PAGE).unwrap(), charset, Texts::Kept, |link| {
            target = link.target.ok().map(String::from);
            true
        });
        target.unwrap()
    };
    assert_eq!(target("windows-1252"), "http://a.test/dir/%C3%A9?%E9");
    assert_eq!(target("utf-16le"), "http://a.test/dir/%C3%A9?%C3%A9");
    assert_eq!(target("utf-8"), "http://a.test/dir/%C3%A9?%C3%A9");
}

#[test]
fn a_template_has_no_links_and_noscript_has() {
    assert!(targets("<template><a href=x></a></template>").is_empty());
    assert!(targets("<template><base href=/b/></template><!-- <a href=x> -->").is_empty());
    assert_eq!(targets("<noscript><a href=x></a></noscript>"), ["http://a.test/dir/x"]);
    assert_eq!(
        targets("<head><noscript><meta http-equiv=refresh content='0;url=x'>"),
        ["http://a.test/dir/x"]
    );
    assert!(
        targets("<script>document.write('<a href=x>')</script><textarea><a href=x>").is_empty()
    );
}

#[test]
fn a_refresh_without_an_address_is_no_link() {
    for content in ["5", "0;", "x; url=y", ""] {
        let html = format!("<meta http-equiv=refresh content='{content}'>");
        assert!(targets(&html).is_empty(), "{content}");
    }
    assert_eq!(
        targets("<meta http-equiv=refresh content=\"0;URL='x y'\">"),
        ["http://a.test/dir/x%20y"]
    );
}

#[test]
fn images_and_forms_of_the_page_are_no_pages() {
    let html = "<img src=i srcset='j 1x, k 2x'><picture><source srcset=l></picture>\
                <link rel=stylesheet href=s><link rel=alternate href=t><script src=u></script>";
    assert_eq!(of_role(html, Role::Asset).len(), 6);
    assert_eq!(of_role(html, Role::Alternate), ["http://a.test/dir/t"]);
    assert!(of_role(html, Role::Page).is_empty());
    assert_eq!(
        of_role("<link rel='x NEXT' href=n><link rel=prev href=p>", Role::Series),
        ["http://a.test/dir/n", "http://a.test/dir/p",]
    );
    assert_eq!(of_role("<link rel=canonical href=/c>", Role::Canonical), ["http://a.test/c"]);
}

#[test]
fn a_link_has_a_text_and_a_relation() {
    let link = &all("<a href=x rel='external NoFollow'> one\n <b>two</b></a>")[0];
    assert_eq!((link.text.as_str(), link.rel.as_str()), ("one two", "external NoFollow"));
    assert!(link.is_nofollow);
    let long = format!("<a href=x>{}</a>", "é".repeat(300));
    assert_eq!(all(&long)[0].text.chars().count(), TEXT_CHARS_MAX + 1);
    for (rel, expected) in [("ugc", true), ("sponsored x", true), ("nofollowx", false), ("", false)]
    {
        assert_eq!(all(&format!("<a href=x rel='{rel}'>"))[0].is_nofollow, expected, "{rel}");
    }
}

#[test]
fn a_page_says_in_its_markup_that_it_is_not_followed() {
    for (html, expected) in [
        ("<meta name=robots content=nofollow>", true),
        ("<meta name=ROBOTS content='noindex, NoFollow'>", true),
        ("<meta name=robots content=none>", true),
        ("<meta name=silkmill content=nofollow>", true),
        ("<meta name=googlebot content=nofollow>", false),
        ("<meta name=robots content=noindex>", false),
        ("<meta property=robots content=nofollow>", false),
        ("<template><meta name=robots content=nofollow></template>", false),
    ] {
        let document = parse(html, Until::End);
        let headers = PageHeaders::default();
        assert_eq!(is_nofollow(Some(&document), &headers, "silkmill"), expected, "{html}");
    }
}

#[test]
fn a_response_says_in_its_head_that_it_is_not_followed() {
    for (header, expected) in [
        ("nofollow", true),
        ("noindex, none", true),
        ("silkmill: nofollow", true),
        ("googlebot: nofollow", false),
        ("googlebot: noindex, nofollow", false),
        ("googlebot: noindex, Silkmill: nofollow", true),
        ("unavailable_after: 25 Jun 2030 15:00:00 PST, nofollow", true),
        ("noindex", false),
        ("", false),
    ] {
        let headers = PageHeaders { robots: vec![header.to_owned()], ..PageHeaders::default() };
        assert_eq!(is_nofollow(None, &headers, "silkmill"), expected, "{header}");
    }
}

#[test]
fn a_link_header_is_read_as_its_standard_has_it() {
    let mut links = Vec::new();
    let header = "<x>; rel=next; title=\"a, <b>; c\", </y> ; REL=\"prev foo\",<z>;rel=canonical; \
                  rel=next, <w>; rel=next; anchor=\"/other\", <v>";
    let headers = PageHeaders { link: Some(header.to_owned()), ..PageHeaders::default() };
    of_headers(&headers, &Url::parse(PAGE).unwrap(), |link| {
        links.push((String::from(link.target.unwrap()), link.role));
        true
    });
    assert_eq!(
        links,
        [
            ("http://a.test/dir/x".to_owned(), Role::Series),
            ("http://a.test/y".to_owned(), Role::Series),
            ("http://a.test/dir/z".to_owned(), Role::Canonical),
            ("http://a.test/dir/v".to_owned(), Role::Asset),
        ]
    );
}

proptest! {
    #[test]
    fn any_header_can_be_read(header in "[<>;,=\"\\\\ a-zé:]{0,60}") {
        of_link_header(&header);
        robots_tag_says_nofollow(&header, "silkmill");
    }
}
