//! XPath 1.0 expressions: checked once, evaluated on many pages.
//!
//! The grammar, the functions and the evaluation are `xpath-eval`'s. This file adds what it leaves
//! open: an expression is refused when it is compiled if it could fail later, names are compared
//! without their namespace, and an evaluation has bounds. The results are those of lxml, with these
//! differences: the tree is the standard's (a `tr` has a `tbody` around it, `svg` keeps its
//! camelCase), a number prints all its digits (`1 div 3` gives sixteen, libxml2 fifteen; large ones
//! have no exponent), `lang()` reads `lang`, where libxml2 knows only `xml:lang`, `id()` finds
//! every `id`, where libxml2 needs the DTD of an XML document, regexes have the syntax of the crate
//! `regex` and not Python's, and namespace prefixes are refused. [`extension`] has the functions
//! beyond XPath 1.0.

mod call;
mod check;
mod extension;
mod fast_path;
mod node;
mod signature;

use xpath_eval::{Expr, Value};

use crate::page::budget::{VISITS_GATHERED_MAX, VISITS_MAX, Values};
use crate::page::html::document::Document;
use crate::page::problem::Problem;
use crate::page::value::ValueType;
use crate::page::xpath::node::XPathDocument;

use call::{answer, evaluate_at};
use check::{Check, check_nesting};
use extension::Call;
use fast_path::FastPath;
use signature::Kind;

/// The most nodes of a page on which an expression may compare two node-sets. It compares them pair
/// by pair, so that the cost is the square of this.
const COMPARED_NODES_MAX: usize = 1 << 16;

/// A predicate of so few operations takes no more time than the visit to the node does. One
/// operation takes about 10 ns.
const PREDICATE_SIZE_FREE: u64 = 4;

/// A checked expression.
#[derive(Debug)]
pub(crate) struct XPath {
    expression: Expr,
    /// The fast path, where the expression has one.
    fast_path: Option<FastPath>,
    /// The calls of functions beyond XPath 1.0.
    calls: Vec<Call>,
    gives: Kind,
    compares_sets: bool,
    gathers: bool,
    /// The operations of the longest predicate.
    predicate_size: u64,
}

impl XPath {
    pub(crate) fn compile(text: &str) -> Result<XPath, Problem> {
        check_nesting(text)?;
        let mut expression = xpath_eval::parse(text)
            .map_err(|error| Problem::syntax(plain(&error.message), error.position))?;
        let mut check = Check {
            text,
            compares_sets: false,
            gathers: false,
            size: 0,
            predicate_size: 0,
            called: None,
        };
        let gives = check.kind_of(&expression, 0)?;
        let Check { compares_sets, gathers, predicate_size, .. } = check;
        let mut calls = Vec::new();
        let place = |part: &str| text.find(part).unwrap_or(0);
        extension::rewrite(&mut expression, &mut calls, &place)?;
        let fast_path = FastPath::new(&expression);
        Ok(XPath { expression, fast_path, calls, gives, compares_sets, gathers, predicate_size })
    }

    /// Returns the type of the values.
    pub(crate) fn value_type(&self) -> ValueType {
        match self.gives {
            Kind::Set | Kind::Text => ValueType::Text,
            Kind::Number => ValueType::Number,
            Kind::Boolean => ValueType::Boolean,
        }
    }

    /// Returns the result: every node of a node-set in document order by its string-value, or the
    /// one string, number or boolean. `resolve` makes the URL of a link.
    pub(crate) fn evaluate(&self, document: &Document, resolve: &dyn Fn(&str) -> String) -> Values {
        // A predicate is evaluated for every node that is visited.
        let visits =
            VISITS_MAX * PREDICATE_SIZE_FREE / self.predicate_size.max(PREDICATE_SIZE_FREE);
        let most = if self.gathers { VISITS_GATHERED_MAX } else { VISITS_MAX };
        self.evaluate_within(visits.min(most), document, resolve)
    }

    fn evaluate_within(
        &self,
        visits: u64,
        document: &Document,
        resolve: &dyn Fn(&str) -> String,
    ) -> Values {
        let size = document.nodes.len() + document.attributes.len();
        if self.compares_sets && size > COMPARED_NODES_MAX {
            return Values::unfinished();
        }
        let page = XPathDocument::new(document, visits, &self.calls, answer, resolve);
        // The fast path takes one attribute of a name.
        let has_twins = document.xml.as_ref().is_some_and(|names| names.has_twins);
        if let Some(fast_path) = self.fast_path.as_ref().filter(|_| !has_twins) {
            let values = fast_path.evaluate(document, &page.visits);
            return if page.visits.are_spent() { Values::unfinished() } else { values };
        }
        let value = evaluate_at(&page, &self.expression, page.root());
        if page.visits.are_spent() {
            return Values::unfinished();
        }
        let mut values = Values::default();
        match value {
            Value::NodeSet(nodes) => {
                nodes.into_iter().all(|node| values.push(&node.text()));
            }
            Value::String(text) => {
                values.push(&text);
            }
            Value::Number(number) => values.list.push(crate::page::value::Value::Number(number)),
            Value::Boolean(truth) => values.list.push(crate::page::value::Value::Boolean(truth)),
        }
        values
    }
}

/// Drops "end of input" from a message, since the caret shows it.
fn plain(message: &str) -> String {
    message.trim_start_matches("unexpected end of input, ").to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::check::{EXPRESSION_DEPTH_MAX, FUNCTIONS};
    use super::signature::Takes;
    use super::*;
    use crate::page::budget::VALUES_BYTES_MAX;
    use crate::page::html::cost_limit::Until;
    use crate::page::html::parse::parse;

    const NO_PREFIX: &str = "a name has no prefix here, it matches in every namespace: write the \
                             part behind the colon";

    fn refusal(text: &str) -> (bool, String, usize) {
        let problem = XPath::compile(text).unwrap_err();
        (problem.is_syntax, problem.message, problem.position)
    }

    fn evaluate(expression: &str, html: &str) -> Values {
        XPath::compile(expression).unwrap().evaluate(&parse(html, Until::End), &str::to_owned)
    }

    #[test]
    fn what_could_fail_later_is_refused_at_once() {
        let cases = [
            ("", true, "empty expression", 0),
            ("//a[", true, "expected an expression", 4),
            ("//a]", true, "unexpected trailing input", 3),
            ("'ü' ü §", true, "unexpected character '§'", 8),
            ("//a[foo(1)]", false, "there is no function foo()", 4),
            ("str:tokenise(., 'x')", false, "there is no function str:tokenise()", 0),
            ("//svg:a", false, NO_PREFIX, 2),
            ("//a/@x:*", false, NO_PREFIX, 5),
            ("//a[$n]", false, "there are no variables", 4),
            ("count('a')", false, "count() takes nodes", 0),
            ("//a | 1", false, "| takes nodes", 4),
            ("'a'/b", false, "only nodes can be followed by a path", 3),
            ("(1)[2]", false, "only nodes can be filtered", 3),
            ("//a[contains(.)]", false, "contains() does not take 1 arguments", 4),
            ("//a[true(1) and foo()]", false, "true() does not take 1 arguments", 4),
        ];
        for (text, is_syntax, message, position) in cases {
            assert_eq!(refusal(text), (is_syntax, message.to_owned(), position), "{text}");
        }
    }

    #[test]
    fn what_an_expression_gives_is_known_before_there_is_a_page() {
        let page = parse("<a href=1>2</a>", Until::End);
        for (text, expected) in [
            ("//a", ValueType::Text),
            ("string(//a)", ValueType::Text),
            ("'x'", ValueType::Text),
            ("(//a)[1]/@href", ValueType::Text),
            ("id('x')", ValueType::Text),
            ("count(//a)", ValueType::Number),
            ("//a + 1", ValueType::Number),
            ("-//a", ValueType::Number),
            ("(2)", ValueType::Number),
            ("//a = 2", ValueType::Boolean),
            ("//a < 2 or //b", ValueType::Boolean),
            ("not(//a)", ValueType::Boolean),
        ] {
            let xpath = XPath::compile(text).unwrap();
            assert_eq!(xpath.value_type(), expected, "{text}");
            let values = xpath.evaluate(&page, &str::to_owned).list;
            assert!(values.iter().all(|value| value.value_type() == expected), "{text}");
        }
        for (name, least, _, takes, gives) in FUNCTIONS {
            let argument = if matches!(takes, Takes::Nodes) { "//a" } else { "'1'" };
            let call = format!("{name}({})", vec![argument; *least].join(","));
            let xpath = XPath::compile(&call).unwrap();
            assert_eq!(xpath.gives, *gives);
            let values = xpath.evaluate(&page, &str::to_owned).list;
            assert!(values.iter().all(|value| value.value_type() == xpath.value_type()), "{call}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_it_is_parsed() {
        for deep in ["(", "a[", "not(", "-", "- "].map(|open| open.repeat(1000)) {
            assert_eq!(refusal(&deep).1, "nested too deep");
        }
        assert_eq!(refusal(&"1+".repeat(1000)).1, "expected an expression");
        assert_eq!(refusal(&("1".to_owned() + &"+1".repeat(1000))).1, "nested too deep");
        assert_eq!(refusal(&"a".repeat(5000)).1, "longer than 4096 bytes");
    }

    #[test]
    fn brackets_in_a_string_do_not_nest() {
        let text = format!("contains('{}', \"[\")", "(".repeat(100));
        assert_eq!(evaluate(&text, "").list, ["false"]);
    }

    #[test]
    fn the_deepest_expression_fits_a_small_stack() {
        // Expressions that nest, by their beginning, their middle and their end.
        let shapes = [
            ("*[", "1", "]"),
            ("(", "1", ")"),
            ("not(", "1", ")"),
            ("-", "1", ""),
            ("", "//b", " or //b"),
            ("", "1", "+1"),
            ("", "//b", "|//b"),
            ("", "1", "=1"),
            ("//b[concat(", "1", ", 1)]"),
            ("(//b)[", "1", "]/b"),
            ("re:replace(", "'a'", ", 'x', 'g', '')"),
            ("//b[re:test(", ".", ", 'x')]"),
            ("resolve-uri(", "//b", ")"),
        ];
        for (open, inner, close) in shapes {
            let nested = |depth: usize| open.repeat(depth) + inner + &close.repeat(depth);
            let deepest = (1..).take_while(|&depth| XPath::compile(&nested(depth)).is_ok()).last();
            let text = nested(deepest.unwrap());
            let html = "<b>".repeat(EXPRESSION_DEPTH_MAX + 5);
            crate::page::html::parse::tests::on_a_small_stack(move || drop(evaluate(&text, &html)));
        }
    }

    #[test]
    fn names_match_in_every_namespace() {
        let page = "<svg viewBox=1><a xlink:href=y>in</a><linearGradient/></svg><a>out</a>";
        assert_eq!(evaluate("//a", page).list, ["in", "out"]);
        assert_eq!(evaluate("count(//linearGradient)", page).list, ["1"]);
        assert_eq!(evaluate("//svg/@viewBox", page).list, ["1"]);
        assert_eq!(evaluate("//@*[name() = 'xlink:href']", page).list, ["y"]);
    }

    #[test]
    fn functions_beyond_xpath_are_those_of_lxml() {
        let page =
            "<p class='a b'>No. 12, 3<a href='/x?1' class=b>One</a><a href=y>two</a><!--c1-->";
        for (expression, expected) in [
            ("//a[re:test(., '^o')]", &[][..]),
            ("//a[re:test(., '^o', 'i')]", &["One"]),
            ("//a/@href[re:test(., '\\d$')]", &["/x?1"]),
            ("//text()[re:test(., 'w')]", &["two"]),
            ("//comment()[re:test(., '\\d')]", &["c1"]),
            ("re:test(//a, 'n')", &["true"]),
            ("re:test('b', 'a') = re:test('c', 'a')", &["true"]),
            ("re:match(//p, '(\\d)(\\d)')", &["12", "1", "2"]),
            ("re:match(//p, '\\d+', 'g')", &["12", "3"]),
            ("re:match(//p, '(\\d)(x?)', 'g')", &["1", "2", "3"]),
            ("re:match(//p, '\\d+', 'g')[2]", &["3"]),
            ("count(re:match(//p, '\\d+', 'g'))", &["2"]),
            ("//a[re:match(., 'n')]", &["One"]),
            ("number(re:match(//p, '\\d+')) + 1", &["13"]),
            ("re:match(//p, 'q')", &[]),
            ("re:replace(//p/text(), '(\\d)(\\d)', '', '\\2-\\g<1>')", &["No. 2-1, 3"]),
            ("re:replace('aXbx', 'x', 'gi', '$1')", &["a$1b$1"]),
            ("string-length(re:replace('aaa', 'a', 'g', 'bb'))", &["6"]),
            ("re:replace(re:replace('ab', 'a', '', 'c'), 'b', '', 'd')", &["cd"]),
            ("//a[re:replace(., 'O', '', 'o') = 'one']", &["One"]),
            ("//*[has-class('b')]", &["No. 12, 3Onetwo", "One"]),
            ("//*[has-class('a', 'b')]/@class", &["a b"]),
            ("//*[has-class('A')]", &[]),
            ("//a[not(has-class('b'))][1]", &["two"]),
            ("//a[2][has-class('b')]", &[]),
            ("resolve-uri(//a/@href)", &["</x?1>", "<y>"]),
            ("//a/@href[resolve-uri() = '<y>']", &["y"]),
            ("//a[starts-with(resolve-uri(@href), '</')]", &["One"]),
            ("string(resolve-uri(//a/@href))", &["</x?1>"]),
            ("resolve-uri('z')", &["<z>"]),
            ("//a[position() = 2 and re:test(., 't')]", &["two"]),
            ("//a[re:test(../a[last()], 't')]/@href", &["/x?1", "y"]),
            ("re:match(//a[1], 'O') | //a[2]", &["two", "O"]),
        ] {
            let resolve = |link: &str| format!("<{link}>");
            let xpath = XPath::compile(expression)
                .unwrap_or_else(|problem| panic!("{expression}: {problem:?}"));
            let values = xpath.evaluate(&parse(page, Until::End), &resolve);
            assert_eq!(values.list, *expected, "{expression}");
            let is_typed =
                |value: &crate::page::value::Value| value.value_type() == xpath.value_type();
            assert!(values.list.iter().all(is_typed), "{expression}");
        }
    }

    #[test]
    fn a_function_that_is_called_wrongly_is_refused_with_what_to_write() {
        for (text, says, position) in [
            ("//a[re:test(., @b)]", "the regex must be a text in quotes", 4),
            ("re:test('a', 'b', 'm')", "the flags are 'g'", 0),
            ("re:test('a', 'b(')", "unclosed group", 15),
            ("re:replace('a', '(b)', '', '\\2')", "no group for \"\\2\"", 28),
            ("re:replace('a', 'b', 'c')", "does not take 3 arguments", 0),
            (
                "//a[re:test(position(), '1')]",
                "position() is not known in the arguments of re:test()",
                12,
            ),
            ("has-class()", "does not take 0 arguments", 0),
            ("//a[matches(., 'x')]", "write re:test(text, 'regex')", 4),
            ("lower-case(//a)", "write translate(", 0),
            ("//a[ends-with(@b, 'c')]", "write re:test(", 4),
            ("//a[exists(b)]", "write boolean(", 4),
            ("re:has-class('a')", "write has-class('name')", 0),
        ] {
            let problem = XPath::compile(text).unwrap_err();
            assert!(problem.message.contains(says), "{text}: {problem:?}");
            assert_eq!(problem.position, position, "{text}: {problem:?}");
        }
    }

    #[test]
    fn calls_that_cost_too_much_have_no_values() {
        let page = "<i>x</i>".repeat(3000) + "<p>" + &"a".repeat(2_000_000);
        for expression in [
            "re:match(//p, 'a.*b|a', 'g')",
            "re:replace(//p, 'a', 'g', 'aaaaaaaaaaaa')",
            "//i[re:test(//p, 'b$')]",
            "//i[re:match(//p, '.+')]",
        ] {
            assert!(evaluate(expression, &page).unfinished, "{expression}");
        }
    }

    #[test]
    fn the_tree_is_that_of_the_standard() {
        assert_eq!(evaluate("//table/tr", "<table><tr><td>x</table>").list, [] as [&str; 0]);
        assert_eq!(evaluate("//table/tbody/tr", "<table><tr><td>x</table>").list, ["x"]);
        assert_eq!(evaluate("/html/body/p[2]", "<p>a<p>b").list, ["b"]);
        assert_eq!(evaluate("id('x')", "<p id=x>a<p>b").list, ["a"]);
    }

    #[test]
    fn an_expression_that_costs_too_much_has_no_value() {
        let page = parse(&"<i>x</i>".repeat(500), Until::End);
        let xpath = XPath::compile("count(//i[preceding::i[. = 'y']])").unwrap();
        assert_eq!(xpath.evaluate_within(1 << 16, &page, &str::to_owned), Values::unfinished());
        assert_eq!(xpath.evaluate_within(1 << 20, &page, &str::to_owned).list, ["0"]);
    }

    #[test]
    fn the_size_of_an_expression_is_that_of_its_longest_predicate() {
        for (text, size) in [
            ("//a | //b | //c", 0),
            ("//tr[count(preceding-sibling::tr) > 3]", 4),
            ("//a[1]/b[@c = 'd']", 3),
            ("//a[b[1 + 2]]", 4),
        ] {
            assert_eq!(XPath::compile(text).unwrap().predicate_size, size, "{text}");
        }
    }

    #[test]
    fn looks_that_take_memory_are_bounded_more_tightly() {
        for (text, gathers) in [
            ("//tr[count(preceding-sibling::tr) > 3]", false),
            ("//a/@href | //a/../b[1]", false),
            ("count(ancestor::div/p)", false),
            ("//div//p", true),
            ("//tr/preceding-sibling::tr", true),
            ("//td[../following::td/ancestor::*]", true),
            ("(//td)[1]/following::td", true),
        ] {
            assert_eq!(XPath::compile(text).unwrap().gathers, gathers, "{text}");
        }
    }

    #[test]
    fn comparing_all_pairs_of_a_large_page_is_not_begun() {
        let page = "<a href=x><b href=y>".repeat(30_000);
        assert_eq!(evaluate("//a/@href = //b/@href", &page), Values::unfinished());
        assert_eq!(evaluate("//a/@href = //b/@href", "<a href=x><b href=x>").list, ["true"]);
    }

    #[test]
    fn values_that_repeat_the_page_are_cut() {
        let page = "<div>".repeat(500) + &"text ".repeat(100_000);
        let values = evaluate("//div", &page);
        assert!(values.truncated);
        let bytes: usize = values.list.iter().map(|value| value.to_string().len()).sum();
        assert!(!values.list.is_empty() && bytes <= VALUES_BYTES_MAX);
    }

    /// Paths that have a fast path, and some that nearly have.
    fn paths() -> impl Strategy<Value = String> {
        let name =
            || prop::sample::select(vec!["p", "*", "div", "a", "b", "td", "li", "svg", "title"]);
        let attribute = || prop::sample::select(vec!["@a", "@href", "@class", "@b"]);
        let text = || prop::sample::select(vec!["'x'", "'1'", "''", "'x y'"]);
        let simple = (0..8u8, attribute(), text()).prop_map(|(shape, name, text)| match shape {
            0 => name.to_owned(),
            1 => format!("{name} = {text}"),
            2 => format!("{text} = {name}"),
            3 => format!("contains({name}, {text})"),
            4 => format!("starts-with({name}, {text})"),
            5 => format!("not({name})"),
            6 => "1".to_owned(),
            _ => "2".to_owned(),
        });
        let predicate =
            (simple.clone(), simple, 0..6u8).prop_map(|(one, two, shape)| match shape {
                0 => format!("[{one} and {two}]"),
                1 => format!("[{one} or ({two})]"),
                2 => format!("[{one}][{two}]"),
                3 => String::new(),
                _ => format!("[{one}]"),
            });
        let slash = || prop::sample::select(vec!["/", "//"]);
        let step = (slash(), name(), predicate)
            .prop_map(|(slash, name, test)| format!("{slash}{name}{test}"));
        let end = prop::sample::select(vec![
            "", "/@a", "//@href", "/text()", "//text()", "/..", "/node()",
        ]);
        (prop::collection::vec(step, 1..4), end, 0..4u8).prop_map(|(steps, end, shape)| {
            let path = steps.concat() + end;
            if shape == 0 { format!("count({path})") } else { path }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_path_that_is_walked_leads_where_the_evaluator_goes(
            html in crate::page::html::parse::tests::broken_html(),
            path in paths(),
        ) {
            let page = parse(&html, Until::End);
            let walked = XPath::compile(&path).unwrap();
            let evaluated = XPath { fast_path: None, ..XPath::compile(&path).unwrap() };
            let resolve = &str::to_owned;
            let walked = walked.evaluate(&page, resolve);
            prop_assert_eq!(walked, evaluated.evaluate(&page, resolve), "{}", path);
        }
    }

    #[test]
    fn the_paths_that_most_people_write_are_walked() {
        for (path, is_walked) in [
            ("//h1", true),
            ("/html/body/p", true),
            ("//*[contains(@class, 'price')]", true),
            ("//div[@id='x']//a[@href and not(@rel='nofollow')]/@href", true),
            ("//table/tbody/tr[2]/td[1]/text()", true),
            ("count(//p[starts-with(@class, 'a')])", true),
            ("//@href", true),
            ("//p[last()]", false),
            ("//p[. = 'x']", false),
            ("//p/..", false),
            ("/", false),
            ("string(//p)", false),
            ("//p[1][2]", false),
        ] {
            assert_eq!(XPath::compile(path).unwrap().fast_path.is_some(), is_walked, "{path}");
        }
    }
}
