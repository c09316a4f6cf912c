//! A fast path for the paths that most people write, walked on the tree itself:
//! `//div[@class='x']/a/@href`.
//!
//! It knows steps down to elements, attributes and texts, tests of attributes, and one position a
//! step. The result is that of the evaluator, with which a property test compares it, in a part of
//! the time: a node is a number here, and a set of them is found in order.

use html5ever::LocalName;
use xpath_eval::{
    Axis, EqualityOp, Expr, FilterExpr, FunctionCall, LocationPath, NodeTest, PathExpr,
    PrimaryExpr, QName, Step,
};

use crate::page::budget::{Values, VisitBudget};
use crate::page::html::document::{Document, Kind, NodeId};

/// A path, and what is wanted of the nodes it leads to.
#[derive(Debug)]
pub(super) struct FastPath {
    steps: Vec<FastStep>,
    end: End,
    is_count: bool,
}

/// A step to elements.
#[derive(Debug)]
struct FastStep {
    /// Whether the step goes to any depth. Otherwise it goes to the children.
    is_deep: bool,
    /// The name of the elements; any element where there is none.
    name: Option<LocalName>,
    tests: Vec<Test>,
}

/// The test of an element that a predicate makes.
#[derive(Debug)]
enum Test {
    Has(LocalName),
    Is(LocalName, String),
    Contains(LocalName, String),
    StartsWith(LocalName, String),
    Not(Box<Test>),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    /// The element's place, from 1, among its siblings of the same name that pass the tests before.
    Nth(usize),
}

/// The nodes to which the last step leads.
#[derive(Debug)]
enum End {
    Elements,
    /// The attributes of the elements, or of all elements below.
    Attributes {
        is_deep: bool,
        name: LocalName,
    },
    Texts {
        is_deep: bool,
    },
}

impl FastPath {
    /// Returns the fast path of an expression, and `None` where it has none.
    pub(super) fn new(expression: &Expr) -> Option<FastPath> {
        match expression {
            Expr::Path(PathExpr::Location(path)) => FastPath::along(path),
            Expr::Path(PathExpr::Filter(FilterExpr { primary, predicates })) => {
                let PrimaryExpr::Function(call) = primary else { return None };
                match (call.args.as_slice(), predicates.as_slice()) {
                    ([Expr::Path(PathExpr::Location(path))], []) if is_named(call, "count") => {
                        FastPath::along(path)
                            .map(|fast_path| FastPath { is_count: true, ..fast_path })
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Follows a path, which starts at the document whether it says so or not.
    fn along(path: &LocationPath) -> Option<FastPath> {
        let mut fast_path = FastPath { steps: Vec::new(), end: End::Elements, is_count: false };
        let mut steps = path.steps.iter().peekable();
        steps.peek()?;
        while let Some(mut step) = steps.next() {
            let mut is_deep = false;
            if is_any_depth(step) {
                (is_deep, step) = (true, steps.next()?);
            }
            match (step.axis, &step.node_test, step.predicates.as_slice()) {
                (Axis::Attribute, NodeTest::QName(name), []) if steps.peek().is_none() => {
                    fast_path.end = End::Attributes { is_deep, name: local(name)? };
                }
                (Axis::Child, NodeTest::Text, []) if steps.peek().is_none() => {
                    fast_path.end = End::Texts { is_deep };
                }
                (Axis::Child, test @ (NodeTest::AnyName | NodeTest::QName(_)), predicates) => {
                    let name = match test {
                        NodeTest::QName(name) => Some(local(name)?),
                        _ => None,
                    };
                    let tests = predicates.iter().map(Test::new).collect::<Option<Vec<_>>>()?;
                    let places = tests.iter().filter(|test| matches!(test, Test::Nth(_)));
                    if places.count() > 1 {
                        return None;
                    }
                    fast_path.steps.push(FastStep { is_deep, name, tests });
                }
                _ => return None,
            }
        }
        Some(fast_path)
    }

    /// Returns the values, or spends all `visits` when it could not finish.
    pub(super) fn evaluate(&self, document: &Document, visits: &VisitBudget) -> Values {
        let mut nodes = vec![Document::ROOT];
        for step in &self.steps {
            nodes = step.from(&nodes, document, visits);
        }
        let mut collector =
            Collector { values: Values::default(), count: 0, is_count: self.is_count };
        match &self.end {
            End::Elements => {
                nodes.iter().all(|&id| collector.take(document.text(id)));
            }
            End::Attributes { is_deep, name } => {
                let from = match is_deep {
                    true => with_all_below(&nodes, document, visits),
                    false => nodes,
                };
                let values = from.iter().filter_map(|&id| attribute(document, visits, id, name));
                values.take_while(|value| collector.take(value)).for_each(drop);
            }
            End::Texts { is_deep } => {
                let is_text = |id: NodeId| document.kind(id) == Kind::Text;
                let texts = match is_deep {
                    true => below(&nodes, document, visits, is_text),
                    false => children(&nodes, document, visits, is_text),
                };
                texts.iter().all(|&id| collector.take(document.text(id)));
            }
        }
        collector.values()
    }
}

/// Collects the values as they are found, or counts them.
struct Collector {
    values: Values,
    count: usize,
    is_count: bool,
}

impl Collector {
    /// Takes a value. Returns false when there is no room for more.
    fn take(&mut self, value: &str) -> bool {
        self.count += 1;
        self.is_count || self.values.push(value)
    }

    fn values(mut self) -> Values {
        if self.is_count {
            self.values.list.push(crate::page::value::Value::Number(self.count as f64));
        }
        self.values
    }
}

impl FastStep {
    fn from(&self, nodes: &[NodeId], document: &Document, visits: &VisitBudget) -> Vec<NodeId> {
        let is_it = |id| self.passes(id, self.tests.len(), document, visits);
        match self.is_deep {
            true => below(nodes, document, visits, is_it),
            false => children(nodes, document, visits, is_it),
        }
    }

    /// Tells whether a node has the name, and passes the first `tests` tests.
    fn passes(&self, id: NodeId, tests: usize, document: &Document, visits: &VisitBudget) -> bool {
        let is_named = match &self.name {
            Some(name) => document.name(id) == name,
            None => true,
        };
        is_named
            && document.is_element(id)
            && self.tests[..tests].iter().enumerate().all(|(at, test)| match test {
                Test::Nth(place) => self.is_nth(*place, id, at, document, visits),
                test => test.passes(id, document, visits),
            })
    }

    fn is_nth(
        &self,
        place: usize,
        id: NodeId,
        tests: usize,
        document: &Document,
        visits: &VisitBudget,
    ) -> bool {
        let before = std::iter::successors(document.previous_sibling(id), |&id| {
            document.previous_sibling(id)
        });
        let before = before
            .take_while(|_| visits.take())
            .filter(|&id| self.passes(id, tests, document, visits));
        // One more than fits is enough to know.
        before.take(place).count() + 1 == place
    }
}

impl Test {
    fn new(predicate: &Expr) -> Option<Test> {
        match predicate {
            Expr::And(left, right) => {
                Some(Test::And(Test::truth(left)?.into(), Test::truth(right)?.into()))
            }
            Expr::Or(left, right) => {
                Some(Test::Or(Test::truth(left)?.into(), Test::truth(right)?.into()))
            }
            Expr::Equality(left, EqualityOp::Eq, right) => {
                let (name, text) = match (attribute_name(left), attribute_name(right)) {
                    (Some(name), None) => (name, literal(right)?),
                    (None, Some(name)) => (name, literal(left)?),
                    _ => return None,
                };
                Some(Test::Is(name, text.to_owned()))
            }
            Expr::Path(PathExpr::Filter(FilterExpr { primary, predicates }))
                if predicates.is_empty() =>
            {
                Test::of_primary(primary)
            }
            other => attribute_name(other).map(Test::Has),
        }
    }

    /// Returns a test that is part of another, where a number is a boolean and no place.
    fn truth(expression: &Expr) -> Option<Test> {
        Test::new(expression).filter(|test| !matches!(test, Test::Nth(_)))
    }

    fn of_primary(primary: &PrimaryExpr) -> Option<Test> {
        match primary {
            PrimaryExpr::Number(number) => {
                let is_place = *number >= 1.0 && *number <= 1e6 && number.fract() == 0.0;
                is_place.then_some(Test::Nth(*number as usize))
            }
            PrimaryExpr::Parenthesized(inner) => Test::new(inner),
            PrimaryExpr::Function(call) => match call.args.as_slice() {
                [inner] if is_named(call, "not") => Some(Test::Not(Test::truth(inner)?.into())),
                [from, text] => {
                    let (name, text) = (attribute_name(from)?, literal(text)?.to_owned());
                    match () {
                        () if is_named(call, "contains") => Some(Test::Contains(name, text)),
                        () if is_named(call, "starts-with") => Some(Test::StartsWith(name, text)),
                        () => None,
                    }
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn passes(&self, id: NodeId, document: &Document, visits: &VisitBudget) -> bool {
        let value = |name| attribute(document, visits, id, name);
        match self {
            Test::Has(name) => value(name).is_some(),
            Test::Is(name, text) => value(name) == Some(text),
            // A missing attribute is an empty text.
            Test::Contains(name, text) => value(name).unwrap_or("").contains(text.as_str()),
            Test::StartsWith(name, text) => value(name).unwrap_or("").starts_with(text.as_str()),
            Test::Not(test) => !test.passes(id, document, visits),
            Test::And(left, right) => {
                left.passes(id, document, visits) && right.passes(id, document, visits)
            }
            Test::Or(left, right) => {
                left.passes(id, document, visits) || right.passes(id, document, visits)
            }
            Test::Nth(_) => unreachable!("FastStep::passes takes places itself"),
        }
    }
}

/// Returns the value of an attribute, and takes the visits for finding and reading it.
fn attribute<'a>(
    document: &'a Document,
    visits: &VisitBudget,
    id: NodeId,
    name: &LocalName,
) -> Option<&'a str> {
    let indices = document.attributes(id);
    visits.take_many((indices.len() / ATTRIBUTES_PER_VISIT) as u64);
    let mut found = indices.map(|index| document.attribute(index));
    let (_, value) = found.find(|(found, _)| *found == name)?;
    visits.take_text(value).then_some(value)
}

/// The attributes that are compared in the time of a visit.
const ATTRIBUTES_PER_VISIT: usize = 8;

/// Returns the wanted nodes below others, in order and each once. The given nodes are in order,
/// too.
fn below(
    nodes: &[NodeId],
    document: &Document,
    visits: &VisitBudget,
    is_wanted: impl Fn(NodeId) -> bool,
) -> Vec<NodeId> {
    let mut found = Vec::new();
    let mut seen = Document::ROOT;
    for &node in nodes {
        let below = document.descendants(node);
        for id in below.start.max(seen)..below.end {
            if !visits.take() {
                return found;
            }
            if is_wanted(id) {
                found.push(id);
            }
        }
        seen = seen.max(below.end);
    }
    found
}

/// Returns the nodes and all below them.
fn with_all_below(nodes: &[NodeId], document: &Document, visits: &VisitBudget) -> Vec<NodeId> {
    let mut all = below(nodes, document, visits, |_| true);
    all.extend_from_slice(nodes);
    all.sort_unstable();
    all.dedup();
    all
}

fn children(
    nodes: &[NodeId],
    document: &Document,
    visits: &VisitBudget,
    is_wanted: impl Fn(NodeId) -> bool,
) -> Vec<NodeId> {
    let mut found = Vec::new();
    for &node in nodes {
        let children = document.children(node).take_while(|_| visits.take());
        found.extend(children.filter(|&id| is_wanted(id)));
    }
    // The children of a node within another stand among the children of that one.
    if !found.is_sorted() {
        found.sort_unstable();
    }
    found
}

/// Tells whether a step is what `//` stands for.
fn is_any_depth(step: &Step) -> bool {
    step.axis == Axis::DescendantOrSelf
        && step.node_test == NodeTest::Node
        && step.predicates.is_empty()
}

fn attribute_name(expression: &Expr) -> Option<LocalName> {
    let Expr::Path(PathExpr::Location(path)) = expression else { return None };
    match path.steps.as_slice() {
        [Step { axis: Axis::Attribute, node_test: NodeTest::QName(name), predicates }]
            if predicates.is_empty() && !path.is_absolute =>
        {
            local(name)
        }
        _ => None,
    }
}

fn literal(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Path(PathExpr::Filter(FilterExpr {
            primary: PrimaryExpr::Literal(text),
            predicates,
        })) if predicates.is_empty() => Some(text),
        _ => None,
    }
}

fn local(name: &QName) -> Option<LocalName> {
    name.prefix.is_none().then(|| LocalName::from(name.local.as_str()))
}

fn is_named(call: &FunctionCall, name: &str) -> bool {
    call.name.prefix.is_none() && call.name.local == name
}
