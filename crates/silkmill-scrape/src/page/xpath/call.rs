//! Makes the calls of [`super::extension`] on a page.

use regex_automata::util::captures::Captures;
use xpath_eval::{EvaluationContext, Expr, Node as _, QName, Value, evaluate};

use super::extension::{Asked, Call, Function, Template};
use super::node::{XPathDocument, XPathNode};
use crate::page::budget::VALUES_BYTES_MAX;
use crate::page::html::document::Kind;

/// What a call answers.
const TRUE: &str = "1";
const FALSE: &str = "";

/// A text of so many bytes costs a visit to search.
const SEARCHED_BYTES_A_VISIT: usize = 8;

/// Evaluates an expression in the context of a node.
pub(super) fn evaluate_at<'a>(
    page: &'a XPathDocument<'a>,
    expression: &Expr,
    node: XPathNode<'a>,
) -> Value<XPathNode<'a>> {
    let lookup = |name: &QName| lookup(page, name);
    let mut context = EvaluationContext::new(node);
    context.variables = Some(&lookup);
    evaluate(expression, &context).expect("Check::kind_of refused every expression that could fail")
}

/// Answers for the variables that stand for calls.
fn lookup<'a>(page: &'a XPathDocument<'a>, name: &QName) -> Option<Value<XPathNode<'a>>> {
    match Asked::by(name)? {
        Asked::ToCall(number) => {
            page.armed.set(Some(number));
            Some(Value::String(String::new()))
        }
        Asked::ForNodes(number) => {
            let nodes = page.nodes_of(number).map(|index| page.found_node(index));
            Some(Value::NodeSet(nodes.collect()))
        }
    }
}

/// Makes the call with that number for a context node. Nodes that it gives are kept by the page.
pub(super) fn answer(number: usize, node: XPathNode<'_>) -> String {
    let page = node.page();
    let call = &page.calls[number];
    let text = |index: usize| {
        let argument = call.arguments.get(index);
        argument.map_or(String::new(), |it| evaluate_at(page, it, node).to_xpath_string())
    };
    match call.function {
        Function::Test => {
            let subject = text(0);
            let has_visits =
                page.visits.take_many((subject.len() / SEARCHED_BYTES_A_VISIT) as u64 + 1);
            let matches = call.regex.as_ref().is_some_and(|regex| regex.is_match(&subject));
            if has_visits && matches { TRUE } else { FALSE }.to_owned()
        }
        Function::Match => {
            page.keep(number, matched(page, call, &text(0)));
            String::new()
        }
        Function::Replace => replaced(page, call, &text(0), &text(3)),
        Function::HasClass => {
            let has = |index| {
                let class = text(index);
                node.classes().is_some_and(|classes| {
                    let mut classes = classes.split_ascii_whitespace();
                    classes.any(|one| page.visits.take_text(one) && one == class)
                })
            };
            if (0..call.arguments.len()).all(has) { TRUE } else { FALSE }.to_owned()
        }
        Function::ResolveUri => {
            let links = match call.arguments.first().map(|it| evaluate_at(page, it, node)) {
                None => vec![node.string_value()],
                Some(Value::NodeSet(nodes)) => {
                    nodes.into_iter().map(|it| it.string_value()).collect()
                }
                Some(other) => vec![other.to_xpath_string()],
            };
            let resolved = links.iter().take_while(|_| page.visits.take_many(LINK_VISITS));
            page.keep(number, resolved.map(|link| (page.resolve)(link)).collect());
            String::new()
        }
    }
}

/// To resolve a link takes as long as so many visits.
const LINK_VISITS: u64 = 32;

/// Returns what `re:match()` finds: the first match and its groups, or with `g` every match by its
/// groups.
fn matched(page: &XPathDocument<'_>, call: &Call, text: &str) -> Vec<String> {
    let Some(regex) = &call.regex else { return Vec::new() };
    let mut found = Vec::new();
    let mut bytes = 0;
    let is_finished = regex.find_all(text, &page.visits, |captures| {
        let group = |index| captures.get_group(index).map_or("", |span| &text[span.range()]);
        let groups = captures.group_len();
        if !call.is_global {
            found.extend((0..groups).map(|index| group(index).to_owned()));
            return false;
        }
        let first = if groups > 1 { 1 } else { 0 };
        found.push((first..groups).map(group).collect());
        bytes += found.last().map_or(0, String::len) + size_of::<String>();
        bytes <= VALUES_BYTES_MAX
    });
    if !is_finished || bytes > VALUES_BYTES_MAX {
        page.visits.spend();
    }
    found
}

/// Returns what `re:replace()` makes of a text.
fn replaced(page: &XPathDocument<'_>, call: &Call, text: &str, replacement: &str) -> String {
    let Some(regex) = &call.regex else { return String::new() };
    let template = Template::parse(replacement, regex).unwrap_or_default();
    let mut result = String::new();
    let mut written = 0;
    let is_finished = regex.find_all(text, &page.visits, |captures: &Captures| {
        let whole = captures.get_match().map_or(0..0, |found| found.range());
        result.push_str(&text[written..whole.start]);
        let group = |index| captures.get_group(index).map_or("", |span| &text[span.range()]);
        template.expand(group, &mut result);
        written = whole.end;
        call.is_global && result.len() <= VALUES_BYTES_MAX
    });
    if !is_finished || result.len() > VALUES_BYTES_MAX {
        page.visits.spend();
        return String::new();
    }
    result.push_str(&text[written..]);
    result
}

impl<'a> XPathNode<'a> {
    /// Returns the classes of an element.
    fn classes(self) -> Option<&'a str> {
        let (document, id) = (self.page().document, self.element()?);
        let is_element = matches!(document.kind(id), Kind::Html | Kind::Foreign);
        is_element.then(|| document.attribute_named(id, "class")).flatten()
    }
}
