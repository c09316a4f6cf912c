//! JSONPath (RFC 9535): checked once, evaluated on many pages, each evaluation at a bounded cost.
//!
//! Parsing and evaluating are `serde_json_path`'s. It makes all results of a path at once, and each
//! `..` of a path multiplies them by the depth of the value. So a path is taken apart into its
//! segments, which are evaluated one after the other, and each pays before for the most nodes that
//! it can visit.

use serde_json::Value;
use serde_json_path::JsonPath;

use crate::page::budget::{Values, VisitBudget};
use crate::page::problem::Problem;

/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 4096;

/// The deepest nesting of brackets: filters are parsed and evaluated recursively.
const DEPTH_MAX: usize = 16;

/// The most nodes that the segments of a path visit together. One takes up to 50 ns.
const VISITS_MAX: u64 = 1 << 25;

/// The most nodes that one segment may lead to. Memory is the bound here: each takes eight bytes,
/// several times.
const NODES_MAX: u64 = 1 << 22;

/// The most values of a field.
const VALUES_MAX: usize = 1 << 19;

/// What a filter with `match()` or `search()` costs for a node: its pattern may be the page's own,
/// and is compiled each time.
const PATTERN_VISITS: u64 = 1 << 12;

/// A checked path.
#[derive(Debug)]
pub(crate) struct Path {
    segments: Vec<Segment>,
    /// Whether a filter asks for the root, so that the path can only be evaluated as a whole.
    whole: Option<JsonPath>,
}

#[derive(Debug)]
struct Segment {
    /// The segment alone, with the root before it.
    path: JsonPath,
    is_deep: bool,
    has_filter: bool,
    /// How often `..` stands in its filters.
    deep_in_filters: u32,
    /// How many selectors it has. Each may select every node.
    selectors: u64,
    /// The visits for each node and selector: many where a pattern is compiled.
    weight: u64,
}

impl Path {
    pub(crate) fn compile(text: &str) -> Result<Path, Problem> {
        if text.len() > PATH_BYTES_MAX {
            let message = format!("longer than {PATH_BYTES_MAX} bytes");
            return Err(Problem::meaning(message, text.floor_char_boundary(PATH_BYTES_MAX)));
        }
        check_nesting(text)?;
        if !text.starts_with('$') {
            return Err(Problem::syntax("a path starts with \"$\"".to_owned(), 0));
        }
        let parsed = JsonPath::parse(text);
        let parsed =
            parsed.or_else(|error| without_spaces(text).ok_or(error)).map_err(|error| {
                let position = error.position().saturating_sub(1).min(text.len());
                Problem::syntax(plain(error.message()), text.floor_char_boundary(position))
            })?;
        let asks_root = unquoted(text).any(|(at, byte)| at > 0 && byte == b'$');
        let segments = split(text).into_iter().map(Segment::new).collect::<Option<Vec<_>>>();
        match segments {
            Some(segments) if !asks_root => Ok(Path { segments, whole: None }),
            segments => Ok(Path { segments: segments.unwrap_or_default(), whole: Some(parsed) }),
        }
    }

    /// Returns what the path leads to in every value: strings as they are, everything else as JSON.
    pub(crate) fn evaluate(&self, roots: &[Value]) -> Values {
        let visits = VisitBudget::new(VISITS_MAX);
        let mut values = Values::default();
        for root in roots {
            let Some(found) = self.find(root, &visits) else { return Values::unfinished() };
            for value in found {
                let has_room = match value {
                    Value::String(text) => values.push(text),
                    // A part of the page, which has a bound.
                    other => values.push(&other.to_string()),
                };
                if !has_room || values.list.len() >= VALUES_MAX {
                    values.truncated = true;
                    return values;
                }
            }
        }
        values
    }

    /// Returns the nodes that the path leads to, or nothing when the visits are spent before.
    fn find<'v>(&self, root: &'v Value, visits: &VisitBudget) -> Option<Vec<&'v Value>> {
        if let Some(whole) = &self.whole {
            // Every filter may look at the whole value for every node that it tests.
            let Size { nodes, depths } = Size::of(root);
            let steps = self.segments.len().max(1) as u64;
            let weights = self.segments.iter().map(|it| it.weight.saturating_mul(it.selectors));
            let weight = weights.max().unwrap_or(1);
            let cost = depths.saturating_mul(nodes).saturating_mul(steps).saturating_mul(weight);
            return visits.take_many(cost).then(|| whole.query(root).all());
        }
        let mut nodes = vec![root];
        for segment in &self.segments {
            let mut found = Vec::new();
            let room = VisitBudget::new(NODES_MAX);
            for node in nodes {
                let Cost { visits: cost, nodes } = segment.cost(node);
                if !visits.take_many(cost) || !room.take_many(nodes) {
                    return None;
                }
                found.extend(segment.path.query(node).all());
            }
            nodes = found;
        }
        Some(nodes)
    }
}

impl Segment {
    fn new(text: &str) -> Option<Segment> {
        let path = JsonPath::parse(&format!("${text}")).ok()?;
        let filters: Vec<usize> =
            unquoted(text).filter(|(_, byte)| *byte == b'?').map(|(at, _)| at).collect();
        let in_filters = filters.first().map_or("", |&start| &text[start..]);
        let deep_in_filters = unquoted(in_filters)
            .filter(|&(at, byte)| byte == b'.' && in_filters[at + 1..].starts_with('.'))
            .count();
        let selectors = 1 + unquoted(text).filter(|(_, byte)| *byte == b',').count();
        let compiles = ["match(", "search("].iter().any(|name| in_filters.contains(name));
        Some(Segment {
            path,
            is_deep: text.starts_with(".."),
            has_filter: !filters.is_empty(),
            deep_in_filters: deep_in_filters as u32,
            selectors: selectors as u64,
            weight: if compiles { PATTERN_VISITS } else { 1 },
        })
    }

    /// Returns what the segment costs at most from `node`.
    fn cost(&self, node: &Value) -> Cost {
        if !self.is_deep && !self.has_filter {
            let children = match node {
                Value::Array(items) => items.len(),
                Value::Object(members) => members.len(),
                _ => 0,
            };
            let nodes = (children as u64 + 1).saturating_mul(self.selectors);
            return Cost { visits: nodes, nodes };
        }
        let Size { nodes, depths } = Size::of(node);
        // A filter compares what is below every node that it tests.
        let mut visits = if self.has_filter { depths } else { nodes };
        for _ in 0..self.deep_in_filters {
            visits = visits.saturating_mul(depths.div_ceil(nodes));
        }
        Cost {
            visits: visits.saturating_mul(self.selectors).saturating_mul(self.weight),
            nodes: nodes.saturating_mul(self.selectors),
        }
    }
}

/// The most that a segment visits, and the most nodes that it leads to.
struct Cost {
    visits: u64,
    nodes: u64,
}

/// The size of a value.
struct Size {
    /// How many values it is, with those in it.
    nodes: u64,
    /// The sum of their depths, which is that of the sizes of all of them.
    depths: u64,
}

impl Size {
    fn of(value: &Value) -> Size {
        let mut size = Size { nodes: 0, depths: 0 };
        size.add(value, 1);
        size
    }

    /// Adds a value, which `serde_json` keeps from nesting deeper than 128.
    fn add(&mut self, value: &Value, depth: u64) {
        self.nodes += 1;
        self.depths += depth;
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.add(item, depth + 1)),
            Value::Object(members) => members.values().for_each(|item| self.add(item, depth + 1)),
            _ => {}
        }
    }
}

/// Parses a path without the spaces between its segments, which `serde_json_path` does not take
/// everywhere.
fn without_spaces(text: &str) -> Option<JsonPath> {
    let segments = split(text);
    let are_segments = segments.iter().all(|segment| segment.starts_with(['.', '[']));
    are_segments.then(|| JsonPath::parse(&format!("${}", segments.concat())).ok()).flatten()
}

/// Splits a path behind its root into segments: `.name`, `..name`, `.*`, `[…]`, `..[…]`.
fn split(path: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    let mut rest = path[1..].trim_start_matches(is_space);
    while !rest.is_empty() {
        let dots = rest.len() - rest.trim_start_matches('.').len();
        let end = if rest[dots..].starts_with('[') {
            let mut depth = 0;
            let close = unquoted(&rest[dots..]).find(|(_, byte)| {
                match byte {
                    b'[' => depth += 1,
                    b']' => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            close.map_or(rest.len(), |(at, _)| dots + at + 1)
        } else {
            let name = rest[dots..].find(|char| matches!(char, '.' | '[') || is_space(char));
            name.map_or(rest.len(), |at| dots + at)
        };
        let (segment, after) = rest.split_at(end.max(1));
        segments.push(segment);
        rest = after.trim_start_matches(is_space);
    }
    segments
}

fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r')
}

/// Returns the bytes of a path that are ASCII and in no string, with their places.
fn unquoted(text: &str) -> impl Iterator<Item = (usize, u8)> + '_ {
    let (mut quote, mut is_escaped) = (None, false);
    text.bytes().enumerate().filter(move |&(_, byte)| {
        match (quote, byte) {
            _ if is_escaped => is_escaped = false,
            (Some(_), b'\\') => is_escaped = true,
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, _) => return byte.is_ascii(),
        }
        false
    })
}

fn check_nesting(text: &str) -> Result<(), Problem> {
    let mut depth = 0usize;
    for (at, byte) in unquoted(text) {
        match byte {
            b'[' | b'(' | b'!' => depth += 1,
            b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(Problem::too_deep(at));
        }
    }
    Ok(())
}

/// Returns the first line of a message of `serde_json_path`, without its position.
fn plain(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let words = line.split_once(", ").filter(|(place, _)| place.starts_with("at position"));
    words.map_or(line, |(_, words)| words).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn found(path: &str, value: &Value) -> Vec<String> {
        let values = Path::compile(path).unwrap().evaluate(std::slice::from_ref(value));
        assert!(!values.truncated && !values.unfinished, "{path}");
        values.list.iter().map(|value| value.to_string()).collect()
    }

    #[test]
    fn a_path_leads_to_texts_and_to_json() {
        let value = json!({"z": {"name": "A", "price": 51.77, "id": 12345678901234567890u64},
            "a": [{"name": "B", "tags": ["x", null, true]}, {"name": "C.d", "é b": 1}]});
        for (path, expected) in [
            ("$.z.name", &["A"][..]),
            ("$..name", &["A", "B", "C.d"]),
            ("$.z.*", &["A", "51.77", "12345678901234567890"]),
            ("$['z']['price']", &["51.77"]),
            ("$.a[0].tags", &["[\"x\",null,true]"]),
            ("$.a[*].tags[*]", &["x", "null", "true"]),
            ("$.a[-1]['é b']", &["1"]),
            ("$.a[?@.name == 'C.d'].name", &["C.d"]),
            ("$.a[?@['é b'] && @.name != ']']", &["{\"name\":\"C.d\",\"é b\":1}"]),
            ("$..[?search(@.name, '[.]')].name", &["C.d"]),
            ("$ .a [1] ..name", &["C.d"]),
            ("$.a[?@.name == $.a[0].name].name", &["B"]),
            ("$.a[0:1].name", &["B"]),
            ("$..*.name", &["A", "B", "C.d"]),
            ("$.nowhere", &[]),
            ("$.a[?length(@.tags) > 2].name", &["B"]),
        ] {
            assert_eq!(found(path, &value), expected, "{path}");
        }
        assert_eq!(found("$", &json!(1)), ["1"]);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in
            ["", "a", ".a", "$.", "$[", "$..", "$.a b", "$[?]", "$['a", "$[?@.a = 1]", "$.a["]
        {
            let problem = Path::compile(path).unwrap_err();
            assert!(problem.is_syntax && problem.position <= path.len(), "{path}: {problem:?}");
            assert!(!problem.message.is_empty() && !problem.message.contains('\n'), "{problem:?}");
        }
        assert!(!Path::compile(&format!("${}", "[?@".repeat(50))).unwrap_err().is_syntax);
        assert!(!Path::compile(&format!("$.{}", "a".repeat(5000))).unwrap_err().is_syntax);
    }

    #[test]
    fn a_path_that_multiplies_has_no_values() {
        let mut deep = json!(0);
        for _ in 0..100 {
            deep = json!([deep, deep.as_array().map_or(0, Vec::len), 1, 2]);
        }
        let wide = json!(vec![json!({"a": [1, 2]}); 20_000]);
        for (path, value) in [
            ("$..*..*..*..*..*", &deep),
            ("$..[*,*,*,*,*,*]..[*,*,*,*,*,*]..[*,*,*,*,*,*]", &deep),
            ("$..[?@..a]..[?@..a]..*..*..*", &deep),
            ("$..[?@.b == $.a]..[?@.b == $.a]", &wide),
            ("$[?match(@.b, @.c)]..[?match(@.b, @.c)]", &wide),
            (&format!("$[*]{}", "[*,*,*,*]".repeat(20)), &json!([[1, 2, 3]; 3].repeat(2))),
        ] {
            let values = Path::compile(path).unwrap().evaluate(std::slice::from_ref(value));
            assert!(values.unfinished || values.list.len() < 100_000, "{path}");
        }
        assert!(Path::compile("$..*..*..*..*..*").unwrap().evaluate(&[deep]).unfinished);
        assert_eq!(found("$..a[0]", &wide).len(), 20_000);
    }

    /// Makes values that nest a little.
    fn values() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!(null)), Just(json!(2.5))];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let members = prop::collection::vec(("[abc]", inner.clone()), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::Array),
                members.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn segments_lead_where_the_path_leads(
            value in values(),
            segments in prop::collection::vec(prop::sample::select(vec![".a", "..b", "[*]", "..*",
                "[0]", "[-1,0]", "['a','b']", "[?@.a]", "..[?@==1]", "[?@..b]", " .c", " ..c", "[::-1]"]), 0..4),
        ) {
            let text = format!("${}", segments.concat());
            let path = Path::compile(&text).unwrap();
            let whole = JsonPath::parse(&text.replace(' ', "")).unwrap().query(&value).all();
            let visits = VisitBudget::new(VISITS_MAX);
            prop_assert_eq!(path.find(&value, &visits).unwrap(), whole, "{}", text);
        }

        #[test]
        fn any_text_can_be_a_path(text in "[$.\\[\\]*?@'\"a-b0-9,:()=!&| ]{0,40}") {
            if let Ok(path) = Path::compile(&format!("${text}")) {
                path.evaluate(&[json!({"a": [1, {"b": "x"}]})]);
            }
        }
    }
}
