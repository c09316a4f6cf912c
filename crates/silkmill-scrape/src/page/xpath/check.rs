//! Checks an expression when it is compiled: refuses what could fail on a page, and learns what it
//! returns and what it costs.

use xpath_eval::{
    Axis, Expr, FilterExpr, FunctionCall, LocationPath, NodeTest, PathExpr, PrimaryExpr, QName,
    Step,
};

use super::extension;
use super::signature::{Kind, Takes};
use crate::page::problem::Problem;

/// The longest expression, in bytes.
pub(super) const EXPRESSION_BYTES_MAX: usize = 4096;

/// The deepest nesting of brackets. An expression is parsed and evaluated recursively, also on a
/// worker's small stack; a level takes five kilobytes of it.
pub(super) const BRACKETS_DEPTH_MAX: usize = 12;

/// The deepest nesting of all kinds: a chain of operators nests as well, at half a kilobyte a
/// level.
pub(super) const EXPRESSION_DEPTH_MAX: usize = 48;
/// Refuses an expression that nests too deep for a recursive parser: brackets, and signs before
/// signs.
pub(super) fn check_nesting(text: &str) -> Result<(), Problem> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let message = format!("longer than {EXPRESSION_BYTES_MAX} bytes");
        return Err(Problem::meaning(message, text.floor_char_boundary(EXPRESSION_BYTES_MAX)));
    }
    let (mut depth, mut signs, mut quote) = (0usize, 0, None);
    for (position, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'(' | b'[') => depth += 1,
            (None, b')' | b']') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        signs = match byte {
            b'-' => signs + 1,
            b' ' | b'\t' | b'\r' | b'\n' => signs,
            _ => 0,
        };
        if depth > BRACKETS_DEPTH_MAX || signs > EXPRESSION_DEPTH_MAX {
            return Err(Problem::too_deep(position));
        }
    }
    Ok(())
}

/// Finds the errors that the evaluator would only find when it gets there.
pub(super) struct Check<'a> {
    pub(super) text: &'a str,
    pub(super) compares_sets: bool,
    /// Whether a step may find one node from many others.
    pub(super) gathers: bool,
    /// The operations seen so far in the current predicate.
    pub(super) size: u64,
    pub(super) predicate_size: u64,
    /// The function whose arguments are checked, outside of their predicates, if it is one that
    /// does not know the position in which it is called.
    pub(super) called: Option<String>,
}

impl Check<'_> {
    pub(super) fn kind_of(&mut self, expression: &Expr, depth: usize) -> Result<Kind, Problem> {
        if depth > EXPRESSION_DEPTH_MAX {
            return Err(Problem::too_deep(0));
        }
        let depth = depth + 1;
        self.size += 1;
        match expression {
            Expr::Equality(left, _, right) | Expr::Relational(left, _, right) => {
                let kinds = (self.kind_of(left, depth)?, self.kind_of(right, depth)?);
                self.compares_sets |= kinds == (Kind::Set, Kind::Set);
                Ok(Kind::Boolean)
            }
            Expr::Or(left, right) | Expr::And(left, right) => {
                self.kind_of(left, depth)?;
                self.kind_of(right, depth)?;
                Ok(Kind::Boolean)
            }
            Expr::Additive(left, _, right) | Expr::Multiplicative(left, _, right) => {
                self.kind_of(left, depth)?;
                self.kind_of(right, depth)?;
                Ok(Kind::Number)
            }
            Expr::Negate(operand) => self.kind_of(operand, depth).map(|_| Kind::Number),
            Expr::Union(left, right) => {
                self.set(left, "|", depth)?;
                self.set(right, "|", depth)
            }
            Expr::Path(PathExpr::Location(path)) => {
                // A path starts from one node; its later steps from many.
                self.gathers |= path.steps.iter().skip(1).any(|step| multiplies(step.axis));
                self.path(path, depth)
            }
            Expr::Path(PathExpr::Filter(filter)) => self.filter(filter, depth),
            Expr::Path(PathExpr::FilterLocation(filter, path)) => {
                if self.filter(filter, depth)? != Kind::Set {
                    return Err(self.problem("only nodes can be followed by a path", "/"));
                }
                self.gathers |= path.steps.iter().any(|step| multiplies(step.axis));
                self.path(path, depth)
            }
        }
    }

    fn set(&mut self, expression: &Expr, user: &str, depth: usize) -> Result<Kind, Problem> {
        match self.kind_of(expression, depth)? {
            Kind::Set => Ok(Kind::Set),
            _ => Err(self.problem(&format!("{user} takes nodes"), user)),
        }
    }

    fn path(&mut self, path: &LocationPath, depth: usize) -> Result<Kind, Problem> {
        for Step { node_test, predicates, .. } in &path.steps {
            match node_test {
                NodeTest::NamespaceWildcard(prefix)
                | NodeTest::QName(QName { prefix: Some(prefix), .. }) => {
                    let message = "a name has no prefix here, it matches in every namespace: \
                                   write the part behind the colon";
                    return Err(self.problem(message, &format!("{prefix}:")));
                }
                _ => self.predicates(predicates, depth)?,
            }
        }
        Ok(Kind::Set)
    }

    fn predicates(&mut self, predicates: &[Expr], depth: usize) -> Result<(), Problem> {
        let called = self.called.take();
        for predicate in predicates {
            let before = self.size;
            self.kind_of(predicate, depth)?;
            self.predicate_size = self.predicate_size.max(self.size - before);
        }
        self.called = called;
        Ok(())
    }

    fn filter(&mut self, filter: &FilterExpr, depth: usize) -> Result<Kind, Problem> {
        let kind = match &filter.primary {
            PrimaryExpr::Parenthesized(inner) => self.kind_of(inner, depth)?,
            PrimaryExpr::Literal(_) => Kind::Text,
            PrimaryExpr::Number(_) => Kind::Number,
            PrimaryExpr::Function(call) => self.function(call, depth)?,
            PrimaryExpr::Variable(name) => {
                return Err(self.problem("there are no variables", &format!("${}", name.local)));
            }
        };
        if !filter.predicates.is_empty() && kind != Kind::Set {
            return Err(self.problem("only nodes can be filtered", "["));
        }
        self.predicates(&filter.predicates, depth)?;
        Ok(kind)
    }

    fn function(&mut self, call: &FunctionCall, depth: usize) -> Result<Kind, Problem> {
        let prefix = call.name.prefix.as_ref().map(|prefix| format!("{prefix}:"));
        let name = &(prefix.unwrap_or_default() + &call.name.local);
        let extension = extension::named(&call.name);
        let known = FUNCTIONS.iter().find(|known| known.0 == name);
        let (least, most, takes, gives) = match (known, extension) {
            (Some(&(_, least, most, takes, gives)), _) => (least, most, takes, gives),
            (None, Some((_, (_, _, least, most, takes, gives)))) => (least, most, takes, gives),
            (None, None) => return Err(self.unknown(name)),
        };
        if !(least..=most).contains(&call.args.len()) {
            let message = format!("{name}() does not take {} arguments", call.args.len());
            return Err(self.problem(&message, name));
        }
        if let (Some(called), "position" | "last") = (&self.called, name.as_str()) {
            let message = format!("{name}() is not known in the arguments of {called}()");
            return Err(self.problem(&message, name));
        }
        let called = self.called.clone();
        if extension.is_some() {
            self.size += EXTENSION_SIZE;
            self.called = Some(name.clone());
        }
        for argument in &call.args {
            match takes {
                Takes::Nodes => self.set(argument, &format!("{name}()"), depth)?,
                Takes::Anything => self.kind_of(argument, depth)?,
            };
        }
        self.called = called;
        Ok(gives)
    }

    fn unknown(&self, name: &str) -> Problem {
        let message = match extension::instead(name) {
            Some(instead) => format!("there is no function {name}() in XPath 1.0: {instead}"),
            None => format!("there is no function {name}()"),
        };
        self.problem(&message, name)
    }

    /// Makes a problem at the first position where `culprit` is written.
    fn problem(&self, message: &str, culprit: &str) -> Problem {
        let culprit = culprit.trim_end_matches("()");
        Problem::meaning(message.to_owned(), self.text.find(culprit).unwrap_or(0))
    }
}

/// Tells whether the axes of several nodes may lead to the same many nodes, over and over.
fn multiplies(axis: Axis) -> bool {
    !matches!(axis, Axis::SelfAxis | Axis::Child | Axis::Attribute | Axis::Parent | Axis::Namespace)
}

/// The operations that a call of another function stands for.
const EXTENSION_SIZE: u64 = 8;

/// The functions of XPath 1.0: the least and the most arguments, their type, and the type of the
/// result.
pub(super) const FUNCTIONS: &[(&str, usize, usize, Takes, Kind)] = &[
    ("last", 0, 0, Takes::Anything, Kind::Number),
    ("position", 0, 0, Takes::Anything, Kind::Number),
    ("count", 1, 1, Takes::Nodes, Kind::Number),
    ("id", 1, 1, Takes::Anything, Kind::Set),
    ("local-name", 0, 1, Takes::Nodes, Kind::Text),
    ("namespace-uri", 0, 1, Takes::Nodes, Kind::Text),
    ("name", 0, 1, Takes::Nodes, Kind::Text),
    ("string", 0, 1, Takes::Anything, Kind::Text),
    ("concat", 2, usize::MAX, Takes::Anything, Kind::Text),
    ("starts-with", 2, 2, Takes::Anything, Kind::Boolean),
    ("contains", 2, 2, Takes::Anything, Kind::Boolean),
    ("substring-before", 2, 2, Takes::Anything, Kind::Text),
    ("substring-after", 2, 2, Takes::Anything, Kind::Text),
    ("substring", 2, 3, Takes::Anything, Kind::Text),
    ("string-length", 0, 1, Takes::Anything, Kind::Number),
    ("normalize-space", 0, 1, Takes::Anything, Kind::Text),
    ("translate", 3, 3, Takes::Anything, Kind::Text),
    ("boolean", 1, 1, Takes::Anything, Kind::Boolean),
    ("not", 1, 1, Takes::Anything, Kind::Boolean),
    ("true", 0, 0, Takes::Anything, Kind::Boolean),
    ("false", 0, 0, Takes::Anything, Kind::Boolean),
    ("lang", 1, 1, Takes::Anything, Kind::Boolean),
    ("number", 0, 1, Takes::Anything, Kind::Number),
    ("sum", 1, 1, Takes::Nodes, Kind::Number),
    ("floor", 1, 1, Takes::Anything, Kind::Number),
    ("ceiling", 1, 1, Takes::Anything, Kind::Number),
    ("round", 1, 1, Takes::Anything, Kind::Number),
];
