//! Functions beyond XPath 1.0: `re:test()`, `re:match()` and `re:replace()` of EXSLT as lxml has
//! them, `has-class()` and `resolve-uri()`.
//!
//! `xpath-eval` has no place for functions of its users, so a call is put into its words when it is
//! compiled. `re:test(@a, 'b')`, the call with the number 0, becomes `boolean(concat($call0, .))`.
//! To evaluate the variable arms call 0; then the evaluator asks the context node for its
//! string-value, and that node answers with the result of the call. A call that gives nodes keeps
//! them instead, and becomes `self::node()[concat($call0, .)] | $nodes0`.
//!
//! The patterns are literals, so that they are compiled once, and not for every node.

use xpath_eval::{
    Axis, Expr, FilterExpr, FunctionCall, LocationPath, NodeTest, PathExpr, PrimaryExpr, QName,
    Step,
};

use super::signature::{Kind, Takes};
use crate::page::problem::Problem;
use crate::page::regex::Regex;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Test,
    Match,
    Replace,
    HasClass,
    ResolveUri,
}

/// The functions: prefix and name, the least and the most arguments, what they take and give.
type Signature = (Option<&'static str>, &'static str, usize, usize, Takes, Kind);

const FUNCTIONS: [(Function, Signature); 5] = [
    (Function::Test, (Some("re"), "test", 2, 3, Takes::Anything, Kind::Boolean)),
    (Function::Match, (Some("re"), "match", 2, 3, Takes::Anything, Kind::Set)),
    (Function::Replace, (Some("re"), "replace", 4, 4, Takes::Anything, Kind::Text)),
    (Function::HasClass, (None, "has-class", 1, usize::MAX, Takes::Anything, Kind::Boolean)),
    (Function::ResolveUri, (None, "resolve-uri", 0, 1, Takes::Anything, Kind::Set)),
];

/// Returns the function that a name calls, if it is one of these, and its signature.
pub(super) fn named(name: &QName) -> Option<(Function, Signature)> {
    FUNCTIONS
        .into_iter()
        .find(|(_, (prefix, local, ..))| name.prefix.as_deref() == *prefix && name.local == *local)
}

/// Returns what to write instead of a function that XPath 1.0 has not.
pub(super) fn instead(name: &str) -> Option<&'static str> {
    Some(match name {
        "matches" => "write re:test(text, 'regex'), with 'i' behind it to ignore case",
        "lower-case" => {
            "write translate(text, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')"
        }
        "upper-case" => {
            "write translate(text, 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ')"
        }
        "ends-with" => "write re:test(text, 'end$')",
        "replace" => "write re:replace(text, 'regex', 'g', 'replacement')",
        "tokenize" | "str:tokenize" | "str:split" => "write re:match(text, '[^,]+', 'g')",
        "string-join" | "str:concat" => "every node is a value of its own",
        "str:replace" => "write re:replace(text, 'regex', 'g', 'replacement')",
        "exists" => "write boolean(nodes)",
        "empty" => "write not(nodes)",
        "abs" | "math:abs" => "write number * (1 - 2 * (number < 0))",
        "avg" => "write sum(nodes) div count(nodes)",
        "max" | "math:max" => "write nodes[not(nodes > .)]",
        "min" | "math:min" => "write nodes[not(nodes < .)]",
        "distinct-values" | "set:distinct" => {
            "write nodes[not(. = preceding::node())], or drop duplicates from the row"
        }
        "contains-token" | "hasclass" | "has-token" | "re:has-class" => "write has-class('name')",
        "data" | "text-content" | "inner-text" => "write string(nodes), or the nodes alone",
        "html" | "inner-html" | "outer-html" => "write --css 'SELECTOR@html' for markup",
        "url-join" | "absolute-url" | "base-uri" => "write resolve-uri(@href)",
        "test" => "write re:test(text, 'regex')",
        "match" => "write re:match(text, 'regex')",
        _ => return None,
    })
}

/// A call, ready to be made.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) arguments: Vec<Expr>,
    /// The pattern of a function with one.
    pub(super) regex: Option<Regex>,
    /// Whether all matches are meant, and not just the first.
    pub(super) is_global: bool,
}

impl Call {
    /// Makes a call of checked arguments. `place` finds a text in the expression.
    fn new(
        function: Function,
        arguments: Vec<Expr>,
        place: &dyn Fn(&str) -> usize,
    ) -> Result<Call, Problem> {
        let plain = Call { function, arguments, regex: None, is_global: false };
        if matches!(function, Function::HasClass | Function::ResolveUri) {
            return Ok(plain);
        }
        let arguments = &plain.arguments;
        let Some(pattern) = arguments.get(1).and_then(literal) else {
            return Err(Problem::meaning(
                "the regex must be a text in quotes".to_owned(),
                place("re:"),
            ));
        };
        let flags = match arguments.get(2) {
            Some(flags) => literal(flags)
                .filter(|flags| flags.chars().all(|flag| matches!(flag, 'g' | 'i')))
                .ok_or_else(|| {
                    let message = "the flags are 'g' (all matches), 'i' (any case) or ''";
                    Problem::meaning(message.to_owned(), place("re:"))
                })?,
            None => "",
        };
        let start = place(pattern);
        let regex = Regex::compile_with(pattern, flags.contains('i'))
            .map_err(|problem| Problem { position: start + problem.position, ..problem })?;
        if let Some(replacement) = arguments.get(3).and_then(literal) {
            Template::parse(replacement, &regex)
                .map_err(|message| Problem::meaning(message, place(replacement)))?;
        }
        let is_global = flags.contains('g');
        Ok(Call { regex: Some(regex), is_global, ..plain })
    }
}

/// Puts the calls of an expression into words of XPath 1.0, and into `calls`.
pub(super) fn rewrite(
    expression: &mut Expr,
    calls: &mut Vec<Call>,
    place: &dyn Fn(&str) -> usize,
) -> Result<(), Problem> {
    match expression {
        Expr::Or(left, right)
        | Expr::And(left, right)
        | Expr::Equality(left, _, right)
        | Expr::Relational(left, _, right)
        | Expr::Additive(left, _, right)
        | Expr::Multiplicative(left, _, right)
        | Expr::Union(left, right) => {
            rewrite(left, calls, place)?;
            rewrite(right, calls, place)
        }
        Expr::Negate(operand) => rewrite(operand, calls, place),
        Expr::Path(PathExpr::Location(path)) => rewrite_path(path, calls, place),
        Expr::Path(PathExpr::Filter(filter)) => rewrite_filter(filter, calls, place),
        Expr::Path(PathExpr::FilterLocation(filter, path)) => {
            rewrite_filter(filter, calls, place)?;
            rewrite_path(path, calls, place)
        }
    }
}

fn rewrite_path(
    path: &mut LocationPath,
    calls: &mut Vec<Call>,
    place: &dyn Fn(&str) -> usize,
) -> Result<(), Problem> {
    let mut predicates = path.steps.iter_mut().flat_map(|step| &mut step.predicates);
    predicates.try_for_each(|predicate| rewrite(predicate, calls, place))
}

fn rewrite_filter(
    filter: &mut FilterExpr,
    calls: &mut Vec<Call>,
    place: &dyn Fn(&str) -> usize,
) -> Result<(), Problem> {
    filter.predicates.iter_mut().try_for_each(|predicate| rewrite(predicate, calls, place))?;
    match &mut filter.primary {
        PrimaryExpr::Parenthesized(inner) => rewrite(inner, calls, place),
        PrimaryExpr::Function(call) => {
            call.args.iter_mut().try_for_each(|argument| rewrite(argument, calls, place))?;
            if let Some((function, (.., gives))) = named(&call.name) {
                let number = calls.len();
                calls.push(Call::new(function, std::mem::take(&mut call.args), place)?);
                filter.primary = PrimaryExpr::Parenthesized(words(number, gives).into());
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Returns the words of XPath 1.0 that make a call.
fn words(number: usize, gives: Kind) -> Expr {
    let call = primary(PrimaryExpr::Variable(variable(CALL, number)));
    let made = function("concat", vec![call, this(Vec::new())]);
    match gives {
        Kind::Boolean => function("boolean", vec![made]),
        Kind::Set => {
            let nodes = primary(PrimaryExpr::Variable(variable(NODES, number)));
            Expr::Union(this(vec![function("boolean", vec![made])]).into(), nodes.into())
        }
        Kind::Text | Kind::Number => made,
    }
}

const CALL: &str = "call";
const NODES: &str = "nodes";

fn variable(what: &str, number: usize) -> QName {
    QName { prefix: Some(what.to_owned()), local: number.to_string() }
}

/// What the evaluator asks for when it asks for a variable, and the number of the call.
pub(super) enum Asked {
    ToCall(usize),
    ForNodes(usize),
}

impl Asked {
    pub(super) fn by(name: &QName) -> Option<Asked> {
        let number = name.local.parse().ok()?;
        match name.prefix.as_deref()? {
            CALL => Some(Asked::ToCall(number)),
            NODES => Some(Asked::ForNodes(number)),
            _ => None,
        }
    }
}

/// Returns `.`, filtered.
fn this(predicates: Vec<Expr>) -> Expr {
    let step = Step { axis: Axis::SelfAxis, node_test: NodeTest::Node, predicates };
    Expr::Path(PathExpr::Location(LocationPath { is_absolute: false, steps: vec![step] }))
}

fn function(name: &str, args: Vec<Expr>) -> Expr {
    let name = QName { prefix: None, local: name.to_owned() };
    primary(PrimaryExpr::Function(FunctionCall { name, args }))
}

fn primary(primary: PrimaryExpr) -> Expr {
    Expr::Path(PathExpr::Filter(FilterExpr { primary, predicates: Vec::new() }))
}

/// Returns the text of a literal.
fn literal(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Path(PathExpr::Filter(FilterExpr {
            primary: PrimaryExpr::Literal(text),
            predicates,
        })) if predicates.is_empty() => Some(text),
        _ => None,
    }
}

/// What replaces a match, as Python's `re.sub` reads it: `\1`, `\g<1>`, `\g<name>`, `\\`, `\n`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Group(usize),
}

impl Template {
    pub(super) fn parse(text: &str, regex: &Regex) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let digits =
                rest.len() - rest.trim_start_matches(|char: char| char.is_ascii_digit()).len();
            let (group, length) = if let Some(name) = rest.strip_prefix("g<") {
                let end = name.find('>').ok_or("\\g< without its >")?;
                (regex.group(&name[..end]), end + 3)
            } else if digits > 0 {
                let digits = digits.min(2);
                (regex.group(&rest[..digits]), digits)
            } else {
                let char = rest.chars().next();
                plain.push(match char {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(other) => other,
                    None => '\\',
                });
                rest = &rest[char.map_or(0, char::len_utf8)..];
                continue;
            };
            let group = group.ok_or_else(|| {
                format!("the regex has no group for \"\\{}\" in the replacement", &rest[..length])
            })?;
            pieces.extend([Piece::Text(std::mem::take(&mut plain)), Piece::Group(group)]);
            rest = &rest[length..];
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Template(pieces))
    }

    /// Writes what replaces a match. `group` returns the text of a group.
    pub(super) fn expand<'t>(&self, group: impl Fn(usize) -> &'t str, to: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => to.push_str(text),
                Piece::Group(index) => to.push_str(group(*index)),
            }
        }
    }
}
