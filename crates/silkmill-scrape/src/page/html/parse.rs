//! Turns markup into a [`Document`], at a bounded cost.
//!
//! The tokenizer and the tree construction are `html5ever`'s, which follow the WHATWG standard. The
//! standard itself has no bounds: 69 KB of markup can mean nine million nodes, and nested elements
//! cost time that grows with the square of their number. So a [`CostLimit`] stands between the two
//! and counts the work that every token causes, and the tokenizer is fed in pieces, for the one
//! case that no token shows: a tag that does not end. Where a page is cut is a pure function of the
//! page, never of the clock: it gives the same tree on every machine.
//!
//! The tree itself is [`crate::page::html::tree_sink`] while it grows, and then
//! [`crate::page::html::document`].

use html5ever::TokenizerResult;
use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};

use crate::page::html::cost_limit::{CostLimit, PIECE_BYTES_MAX, Until};
use crate::page::html::document::Document;
use crate::page::html::tag_scan::TagScan;
use crate::page::html::tree_sink::DocumentBuilder;

/// The work of feeding a piece, however short.
const PIECE_WORK: u64 = 128;

/// Parses a page. Scripting is off: the content of `noscript` is markup.
pub(crate) fn parse(html: &str, until: Until) -> Document {
    let builder = TreeBuilder::new(
        DocumentBuilder::new(),
        TreeBuilderOpts { scripting_enabled: false, drop_doctype: true, ..Default::default() },
    );
    let cost_limit = CostLimit::new(builder, html.len());
    let tokenizer = Tokenizer::new(cost_limit, TokenizerOpts::default());
    let stopped = feed(&tokenizer, html, until);
    if !stopped {
        tokenizer.end();
    }
    tokenizer.sink.into_document(until)
}

/// Feeds the page piece by piece until it ends, the title is known or the budget is spent. Returns
/// whether it stopped before the end.
fn feed(tokenizer: &Tokenizer<CostLimit>, html: &str, until: Until) -> bool {
    let cost_limit = &tokenizer.sink;
    let queue = BufferQueue::default();
    let push = |text: &str| {
        let tokens = cost_limit.tokens();
        queue.push_back(StrTendril::from_slice(text));
        while !matches!(tokenizer.feed(&queue), TokenizerResult::Done) {}
        cost_limit.tokens() > tokens
    };
    let mut scan = TagScan::default();
    for piece in pieces(html, until) {
        let (most, last) = piece.split_at(piece.floor_char_boundary(piece.len() - 1));
        let tokens = (push(most), push(last));
        match tokens {
            // A token ends where the piece does, and a tag may start there.
            (_, true) => scan = TagScan::at_start(),
            (true, false) => scan = TagScan::default(),
            (false, false) => cost_limit.charge(scan.work(piece)),
        }
        cost_limit.charge(PIECE_WORK);
        let title_is_known = until == Until::Title && cost_limit.builder.sink.title_is_decided();
        if cost_limit.is_cut() || title_is_known {
            return true;
        }
    }
    false
}

/// Cuts the page into pieces: before a comment, so that its text cannot be taken for a tag, or else
/// before a `<` where there is one. Where only the title is wanted, a piece ends at what looks like
/// the end of a title, since nothing after it may be needed.
fn pieces(html: &str, until: Until) -> impl Iterator<Item = &str> {
    let mut rest = html;
    std::iter::from_fn(move || {
        let window = &rest[..rest.floor_char_boundary(PIECE_BYTES_MAX)];
        let comment = window.match_indices("<!--").map(|(at, _)| at).find(|&at| at > 0);
        let end = match (comment, window.rfind('<')) {
            (Some(at), _) => at,
            (None, Some(at)) if at > 0 && window.len() < rest.len() => at,
            _ => window.len(),
        };
        let end = match until {
            Until::Title => title_end(&rest[..end]).unwrap_or(end),
            Until::End => end,
        };
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Returns one past the first `</title>` of a piece.
fn title_end(piece: &str) -> Option<usize> {
    const TAG: &[u8] = b"</title>";
    let is_tag = |&at: &usize| {
        piece.as_bytes()[at..].get(..TAG.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(TAG))
    };
    piece.match_indices("</").map(|(at, _)| at).find(is_tag).map(|at| at + TAG.len())
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::page::html::cost_limit::{FORMATTING_ELEMENTS_MAX, NODES_MAX, OPEN_ELEMENTS_MAX};
    use crate::page::html::document::{Attribute, Kind, NodeId};
    use crate::page::html::tree_sink::ATTRIBUTES_MAX;

    /// Runs a test on a stack as small as a worker may have.
    pub(crate) fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
        let thread = std::thread::Builder::new().stack_size(SMALL_STACK);
        thread.spawn(test).unwrap().join().unwrap();
    }

    /// Without optimization the frames are twice as large.
    const SMALL_STACK: usize = if cfg!(debug_assertions) { 256 * 1024 } else { 128 * 1024 };

    /// Makes pieces of markup which, put together at random, exercise the code that moves nodes
    /// about: tables, formatting elements, templates, foreign content, raw text.
    pub(crate) fn broken_html() -> impl Strategy<Value = String> {
        let tags = "html head body title template table tr td caption p b i a font div svg math \
                    desc foreignObject select option frameset noscript script style textarea li \
                    button form h1 br img plaintext annotation-xml object";
        let tags: Vec<&str> = tags.split_whitespace().collect();
        let piece = (prop::sample::select(tags), 0..8u8).prop_map(|(tag, shape)| match shape {
            0..=2 => format!("<{tag}>"),
            3 => format!("<{tag} a=1 href='x y'>"),
            4 | 5 => format!("</{tag}>"),
            6 => format!("<{tag}/> text "),
            _ => format!("<!-- {tag} -->&amp;\0"),
        });
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    fn parse_all(html: &str) -> Document {
        parse(html, Until::End)
    }

    /// Writes the tree as text, one letter for each kind of node.
    fn outline(html: &str) -> String {
        let document = parse_all(html);
        let mut outline = String::new();
        let mut ends = Vec::new();
        for id in document.descendants(Document::ROOT) {
            while ends.last() == Some(&id) {
                ends.pop();
                outline.push(')');
            }
            match document.kind(id) {
                Kind::Text => outline += &format!("'{}'", document.text(id)),
                Kind::Comment => outline += &format!("!{}!", document.text(id)),
                _ => {
                    outline += &format!("{}(", document.name(id));
                    ends.push(document.nodes[id as usize].end);
                }
            }
        }
        outline + &")".repeat(ends.len())
    }

    #[test]
    fn misnested_markup_becomes_the_tree_of_the_standard() {
        let cases = [
            ("", "html(head()body())"),
            ("<p>a<p>b", "html(head()body(p('a')p('b')))"),
            ("<b>1<p>2</b>3</p>", "html(head()body(b('1')p(b('2')'3')))"),
            ("<table>a<tr><td>b", "html(head()body('a'table(tbody(tr(td('b'))))))"),
            ("<table>a<td>b</td>c</table>d", "html(head()body('ac'table(tbody(tr(td('b'))))'d'))"),
            ("<!--x--><template><p>y", "!x!html(head(template(p('y')))body())"),
            ("<noscript><p>y</noscript>", "html(head(noscript())body(p('y')))"),
            ("a<!-- x -->b", "html(head()body('a'! x !'b'))"),
            ("<a>1<div>2<a>3", "html(head()body(a('1')div(a('2')a('3'))))"),
        ];
        for (html, expected) in cases {
            assert_eq!(outline(html), expected, "{html}");
        }
    }

    #[test]
    fn links_between_nodes_agree() {
        let document = parse_all("<table>a<b>c<tr><td>d<i>e</table>f<!--g--><p id=h>i</i>j");
        for id in 0..document.nodes.len() as NodeId {
            let children: Vec<NodeId> = document.children(id).collect();
            for pair in children.windows(2) {
                assert_eq!(document.previous_sibling(pair[1]), Some(pair[0]));
            }
            assert!(children.iter().all(|&child| document.parent(child) == Some(id)));
            let texts =
                document.descendants(id).filter(|&below| document.kind(below) == Kind::Text);
            let text: String = texts.map(|below| document.text(below)).collect();
            if matches!(document.kind(id), Kind::Html | Kind::Document) {
                assert_eq!(document.text(id), text);
            }
        }
    }

    #[test]
    fn a_second_body_tag_adds_what_the_first_one_lacks() {
        let document = parse_all("<body a=1 b=2><p c=3><body b=4 d=5>");
        let body = (0..).find(|&id| &**document.name(id) == "body").unwrap();
        let attributes: Vec<_> = document
            .attributes(body)
            .map(|index| document.attribute(index))
            .map(|(name, value)| (name.to_string(), value))
            .collect();
        assert_eq!(attributes, [("a", "1"), ("b", "2"), ("d", "5")].map(|(n, v)| (n.into(), v)));
    }

    #[test]
    fn where_the_page_is_cut_into_pieces_does_not_show() {
        let page = "<p class='a &amp; b'>é\r\n<script>if (a < b) '<!--'</script>&notit;<br/></p>";
        let single = outline(page);
        let inner = single.split_once("body(").unwrap().1.trim_end_matches(')');
        let copies = 3 * PIECE_BYTES_MAX / page.len();
        for shift in 0..page.len() {
            let html = format!("<body>{}{}", "-".repeat(shift), page.repeat(copies));
            assert_eq!(outline(&html).matches(inner).count(), copies, "{shift}");
        }
    }

    /// Returns pages that cost time or memory out of proportion, and whether a part of them is cut.
    fn bombs() -> Vec<(&'static str, String, bool)> {
        let fonts: String = (0..3000).map(|size| format!("<font size={size}>")).collect();
        let attributes: String = (0..20_000).map(|number| format!(" a{number}=1")).collect();
        let many: String = (0..256).map(|number| format!(" a{number}")).collect();
        let bold: String = (0..100).map(|id| format!("<b id={id}{many}>")).collect();
        let open: String = (0..500).map(|id| format!("<b id={id}>")).collect();
        vec![
            ("attributes reopened", format!("<p>{bold}{}", "</p><p>x".repeat(1000)), true),
            ("nested elements", "<div>".repeat(100_000), true),
            ("reopened elements", format!("<p>{fonts}{}", "</p><p>x".repeat(3000)), true),
            ("adopted elements", "<b>".repeat(20_000) + &"</p>".repeat(20_000), true),
            ("attributes", format!("<div{attributes}>x"), true),
            ("an endless tag", format!("<div{}", attributes.repeat(20)), true),
            ("one attribute", format!("<div a='{}'>", "x y ".repeat(20_000)), false),
            ("a long comment", format!("<!--{}-->", "word <p> ".repeat(50_000)), false),
            ("comments in a comment", "<!--".repeat(50_000), false),
            ("body tags", (0..5000).map(|n| format!("<body a{n}>")).collect(), true),
            ("adoption", open + &"<div><b></div></b>".repeat(20_000), true),
            ("fostered text", "<table>x<b>y".repeat(20_000), true),
            ("nodes", "<i></i>".repeat(600_000), true),
            ("a large table", "<tr><td>1<td>2".repeat(20_000), false),
        ]
    }

    #[test]
    fn a_bomb_costs_little_and_keeps_the_title() {
        for (name, bomb, is_cut) in bombs() {
            on_a_small_stack(move || {
                let document = parse_all(&format!("<title>T</title>{bomb}"));
                assert_eq!(document.title().as_deref(), Some("T"), "{name}");
                assert_eq!(document.truncated, is_cut, "{name}");
                // One token may add the open elements and the reopened ones.
                let slack = OPEN_ELEMENTS_MAX + FORMATTING_ELEMENTS_MAX;
                assert!(document.nodes.len() < (NODES_MAX + slack) as usize, "{name}");
                assert!(depth(&document) <= OPEN_ELEMENTS_MAX + 2, "{name}");
                let attributes = FORMATTING_ELEMENTS_MAX as usize * ATTRIBUTES_MAX;
                let bytes = document.attributes.len() * size_of::<Attribute>();
                assert!(bytes < 64 * bomb.len() + attributes * size_of::<Attribute>(), "{name}");
            });
        }
    }

    #[test]
    fn nothing_is_parsed_past_the_end_of_the_title() {
        for end in ["</title>", "</TITLE>"] {
            let page = format!("<head><title>T{end}{}", "<p>".repeat(50));
            let document = parse(&page, Until::Title);
            assert_eq!(document.title().as_deref(), Some("T"));
            assert!(document.nodes.len() < 10, "{}", document.nodes.len());
        }
        assert_eq!(title_end("</p>é</TiTle></title>"), Some("</p>é</TiTle>".len()));
        assert_eq!(title_end("é</titl"), None);
    }

    fn depth(document: &Document) -> u32 {
        let mut depths = vec![0];
        for id in document.descendants(Document::ROOT) {
            let parent = document.parent(id).unwrap();
            depths.push(depths[parent as usize] + 1);
        }
        depths.into_iter().max().unwrap()
    }

    #[test]
    fn a_long_page_is_read_whole() {
        let shapes = [
            ("<pre>", "line of text<br>\n"),
            ("<div>", "<img src=a alt=b>"),
            ("<div>", "<!-- comment -->"),
            ("<div>", "x</i><!---->"),
            ("<div>", "<p class=a><b id=c>x</b> <a href=y title=z>y</a>"),
            ("<table>", "<tr class=a><td>1<td><b>2</b>"),
            ("<ul>", "<li><a href=x><span>y</span></a>"),
            ("<svg>", "<path d=x /><g><title>y</title></g>"),
            ("<select>", "<option value=x>y"),
        ];
        for (open, part) in shapes {
            let depth = "<div>".repeat(100);
            let document = parse_all(&format!("{depth}{open}{}", part.repeat(50_000)));
            assert!(!document.truncated, "{part}");
        }
    }

    #[test]
    fn elements_beyond_the_depth_become_siblings() {
        let document = parse_all(&("<div>".repeat(1000) + "<p>x"));
        let elements = document.descendants(Document::ROOT).filter(|&id| document.is_element(id));
        assert_eq!(elements.count(), 3 + 1000 + 1);
        assert_eq!(document.text(Document::ROOT), "x");
    }
}
