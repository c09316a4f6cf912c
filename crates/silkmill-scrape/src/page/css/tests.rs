//! Compares selectors with what a browser found in test pages: see `tests/browser/README.md`.

use super::*;
use crate::page::html::cost_limit::Until;
use crate::page::html::parse::parse;

/// The pages, each with its answers. A line has a selector, what the browser found and, after
/// another tab, what is found here where that differs. `!` is a selector that is refused.
const PAGES: [(&str, &str, &str); 6] = [
    (
        "structure",
        include_str!("tests/browser/structure.html"),
        include_str!("tests/browser/structure.txt"),
    ),
    (
        "attributes",
        include_str!("tests/browser/attributes.html"),
        include_str!("tests/browser/attributes.txt"),
    ),
    ("forms", include_str!("tests/browser/forms.html"), include_str!("tests/browser/forms.txt")),
    ("ranges", include_str!("tests/browser/ranges.html"), include_str!("tests/browser/ranges.txt")),
    (
        "language",
        include_str!("tests/browser/language.html"),
        include_str!("tests/browser/language.txt"),
    ),
    ("quirks", include_str!("tests/browser/quirks.html"), include_str!("tests/browser/quirks.txt")),
];

/// Returns the ids, or else the names, of the elements that a selector matches; `!` where it is
/// refused.
fn found(document: &Document, selector: &str) -> String {
    let Ok(css) = Css::compile(selector) else { return "!".to_owned() };
    let mut names = Vec::new();
    let is_finished = css.parts[0].find(document, |id| {
        names.push(document.attribute_named(id, "id").unwrap_or(document.name(id)));
        true
    });
    assert!(is_finished, "{selector}");
    names.join(" ")
}

#[test]
fn every_selector_finds_what_a_browser_finds() {
    let mut wrong = String::new();
    for (page, html, facts) in PAGES {
        let document = parse(html, Until::End);
        for line in facts.lines().filter(|line| !line.starts_with("// ")) {
            let mut columns = line.split('\t');
            let selector = columns.next().unwrap();
            let theirs = columns.next().expect("a tab follows the selector");
            let expected = columns.next().unwrap_or(theirs);
            let ours = found(&document, selector);
            if ours != expected {
                wrong += &format!("{page}: {selector}\n  found {ours}\n  not   {expected}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn an_error_points_at_its_culprit_and_says_what_is_wrong() {
    let no_pseudo_class = "there is no such pseudo-class";
    for (text, culprit, says) in [
        ("p:contains(\"x\")", ":contains", no_pseudo_class),
        ("a[title=':b']:first-child:chequed > b", ":chequed", no_pseudo_class),
        ("li:not(p:fokus) a", ":fokus", no_pseudo_class),
        (":is(:foo) p:bar", ":bar", no_pseudo_class),
        ("p:nth-child", ":nth-child", "expected an argument"),
        ("p:first-child()", ":first-child", no_pseudo_class),
        ("p::before", "::before", "a pseudo-element is not in the page"),
        ("p b:first-line", ":first-line", "a pseudo-element is not in the page"),
        ("p::slotted(b)", "::slotted", "a pseudo-element is not in the page"),
        ("p:not(b::before)", "::before", "a pseudo-element is not in the page"),
        ("p a:target", ":target", "the address of the page"),
        (":is(p, input:valid)", ":valid", "what a form would accept"),
        (":where(a, :is(b, video:playing), :foo)", ":playing", "a player"),
        ("p:lang(en) b:lang(1)", "1)", "expected languages"),
        ("p:dir('x')", "'x'", "expected ltr or rtl"),
        ("ns|p", "ns|p", "prefixes are not declared"),
        ("*|b |a div > größe|p", "größe", "prefixes are not declared"),
        ("a[x|='1'] > ns|p", "ns|p", "prefixes are not declared"),
        ("p:\\66 oo", ":\\66", no_pseudo_class),
    ] {
        let problem = Css::compile(text).unwrap_err();
        assert_eq!(Some(problem.position), text.find(culprit), "{text}: {problem:?}");
        assert!(problem.message.contains(says), "{text}: {problem:?}");
    }
}

#[test]
fn every_sort_of_mistake_has_its_words() {
    for (text, says) in [
        ("", "expected a selector"),
        ("p,", "expected a selector"),
        ("p >", "after the combinator"),
        ("p.", "it ends too early"),
        ("p..x", "a class name"),
        ("p[=x]", "the name of an attribute"),
        ("p[x!=y]", "expected =, ~="),
        ("p[x=1]", "put in quotes"),
        ("p:", "it ends too early"),
        ("p:(x)", "the name of a pseudo-class"),
        ("p:not()", "expected a selector"),
        ("p!", "expected a selector here"),
        (":has(:has(p))", "expected a selector here"),
    ] {
        let problem = Css::compile(text).unwrap_err();
        assert!(problem.message.contains(says), "{text}: {problem:?}");
        assert!(problem.position <= text.len(), "{text}: {problem:?}");
    }
}

#[test]
fn an_attribute_follows_an_at_sign_that_css_has_no_use_for() {
    let page = "<p title='a@b' class='w@c'>x<svg viewBox='1' xlink:href='2'>";
    let document = parse(page, Until::End);
    for (text, expected) in [
        ("p@title", Some("a@b")),
        ("p@TITLE", Some("a@b")),
        ("[title='a@b']", Some("x")),
        ("[title=\"a@b\"]@class", Some("w@c")),
        (".w\\@c", Some("x")),
        (".w\\@c@title", Some("a@b")),
        ("svg@viewBox", Some("1")),
        ("svg@viewbox", None),
        ("svg@xlink:href", Some("2")),
    ] {
        let values = Css::compile(text).unwrap().evaluate(&document, &str::to_owned);
        let list: Vec<_> = values.list.iter().map(|value| value.to_string()).collect();
        assert_eq!(list.first().map(String::as_str), expected, "{text}");
    }
    for text in ["p@1", "p@", "@title", "p@a b", "p\\@title@"] {
        assert!(Css::compile(text).is_err(), "{text}");
    }
}

/// Returns the values of a selector on a page of HTML.
fn values(page: &str, selector: &str) -> Vec<String> {
    let resolve = |link: &str| format!("<{link}>");
    let values = Css::compile(selector).unwrap().evaluate(&parse(page, Until::End), &resolve);
    assert!(!values.truncated && !values.unfinished, "{selector}");
    values.list.iter().map(|value| value.to_string()).collect()
}

#[test]
fn an_ending_says_what_is_wanted_of_a_match() {
    let page = "<p class=x>a<b>b</b>c<p id=y title=t>d<i>e</i><br><a href='?1&2' title='\"'>f</a>\
                <!--g--><script>1 < 2</script>";
    for (selector, expected) in [
        ("p::text", &["a", "c", "d"][..]),
        ("p.x ::text", &["a", "b", "c"]),
        ("p ::text", &["a", "b", "c", "d", "e", "f", "1 < 2"]),
        ("p > *::text", &["b", "e", "f", "1 < 2"]),
        ("p *::text", &["b", "e", "f", "1 < 2"]),
        ("i::text, b::text", &["b", "e"]),
        ("a::text, a::attr(title), p::attr(title)", &["t", "\"", "f"]),
        ("#y ::attr(title)", &["t", "\""]),
        ("p::attr( TITLE )", &["t"]),
        ("p b, i::text", &["b", "e"]),
        ("p:is(.x, .z)::text", &["a", "c"]),
        ("a[title='::text,']::text", &[]),
        ("a@abs:href", &["<?1&2>"]),
        ("a@href, i", &[]),
        ("i, a@href", &["?1&2"]),
        ("a@html", &["<a href=\"?1&amp;2\" title=\"&quot;\">f</a>"]),
        (
            "#y@inner-html",
            &["d<i>e</i><br><a href=\"?1&amp;2\" title=\"&quot;\">f</a><!--g-->\
            <script>1 < 2</script>"],
        ),
        ("i, b@html", &["<b>b</b>", "<i>e</i>"]),
    ] {
        let found = match selector {
            "a@href, i" => {
                assert!(Css::compile(selector).is_err());
                continue;
            }
            _ => values(page, selector),
        };
        assert_eq!(found, expected, "{selector}");
    }
    assert_eq!(values("x<p>y", "::text"), ["x", "y"]);
}

#[test]
fn a_mistake_in_a_list_has_its_place_in_the_whole() {
    for (text, culprit) in [
        ("a::text, b::before", "::before"),
        ("a::text, p:foo::text", ":foo"),
        ("a::attr(1)", "::attr"),
        ("a::text b", "::text"),
        ("a::text::text", "::text::text"),
    ] {
        let problem = Css::compile(text).unwrap_err();
        assert_eq!(Some(problem.position), text.find(culprit), "{text}: {problem:?}");
    }
}

#[test]
fn values_that_repeat_the_page_as_markup_are_cut() {
    let page = parse(&("<div>".repeat(500) + &"text ".repeat(50_000)), Until::End);
    let values = Css::compile("div@html").unwrap().evaluate(&page, &str::to_owned);
    assert!(values.truncated && !values.list.is_empty());
    let values = Css::compile("div ::text").unwrap().evaluate(&page, &str::to_owned);
    assert!(!values.truncated && values.list.len() == 1);
}

#[test]
fn a_deep_page_fits_a_small_stack() {
    crate::page::html::parse::tests::on_a_small_stack(|| {
        let deep = parse(&format!("<p class=a>{}<b>x", "<div>".repeat(500)), Until::End);
        let chain = "div ".repeat(200);
        let nested = format!("{}b{}", ":is(div ".repeat(60), ")".repeat(60));
        for (selector, expected) in [
            ("p:has(b)", 0),
            ("div:has(b)", 500),
            ("body:has(.none, u)", 0),
            (":has(:dir(rtl))", 0),
            ("b:lang(en)", 0),
            (&format!("{chain} b"), 1),
            (&nested, 1),
        ] {
            let mut count = 0;
            let is_finished = Css::compile(selector).unwrap().parts[0].find(&deep, |_| {
                count += 1;
                true
            });
            assert!(is_finished && count == expected, "{selector}: {count}");
        }
    });
}

#[test]
fn a_page_that_costs_too_much_has_no_values() {
    let wide = parse(&"<i></i>".repeat(60_000), Until::End);
    let deep = parse(&("<p dir=auto>".to_owned() + &"<b>1</b>".repeat(100_000)), Until::End);
    let costly = Css::compile("i:not(i ~ u):has(~ u)").unwrap();
    let bounded = Css::compile("b:dir(rtl)").unwrap();

    assert!(costly.evaluate(&wide, &str::to_owned).unfinished);
    assert!(bounded.evaluate(&deep, &str::to_owned).unfinished);
}
