//! Compares the tree and the choice of an encoding with the html5lib tests, which browsers are
//! tested with as well. The tests are read where they are installed, from the source of PyPI's
//! `html5lib`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::page::charset;
use crate::page::html::cost_limit::Until;
use crate::page::html::document::{Document, Kind, NodeId};
use crate::page::html::parse::parse;

/// The environment variable with the folder of the tests. Without it they are where `.ci/run` puts
/// them.
const VARIABLE: &str = "SILKMILL_HTML5LIB_TESTS";
const USUAL_PLACE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/html5lib/html5lib-1.1/html5lib/tests/testdata"
);

/// Returns the folder `name` of the tests, and `None` when it is missing and not required.
#[expect(clippy::print_stderr, reason = "it says which tests were skipped")]
fn folder(name: &str) -> Option<PathBuf> {
    let tests = std::env::var_os(VARIABLE).map_or(PathBuf::from(USUAL_PLACE), PathBuf::from);
    let folder = tests.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    let required = std::env::var("SILKMILL_REQUIRE").as_deref() == Ok("1");
    assert!(!required, "the html5lib tests are missing: {VARIABLE} says where they are");
    eprintln!(
        "SKIPPED: the html5lib tests are not here ({VARIABLE} says where), so nothing was compared"
    );
    None
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "dat"))
        .collect();
    files.sort();
    files
}

/// Splits a file into its tests, and each into its parts: `#data`, `#document`, ….
fn tests(text: &[u8]) -> Vec<Vec<(String, Vec<u8>)>> {
    let mut tests: Vec<Vec<(String, Vec<u8>)>> = Vec::new();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let heading = line.strip_prefix(b"#").map(|name| name.trim_ascii_end());
        match heading.and_then(|name| std::str::from_utf8(name).ok()) {
            Some("data") => tests.push(vec![("data".to_owned(), Vec::new())]),
            Some(name) if HEADINGS.contains(&name) && !tests.is_empty() => {
                tests.last_mut().unwrap().push((name.to_owned(), Vec::new()));
            }
            _ => {
                if let Some(part) = tests.last_mut().and_then(|test| test.last_mut()) {
                    part.1.extend_from_slice(line);
                }
            }
        }
    }
    tests
}

const HEADINGS: &[&str] = &[
    "errors",
    "new-errors",
    "document-fragment",
    "script-on",
    "script-off",
    "document",
    "encoding",
];

fn part<'a>(test: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a [u8]> {
    let (_, text) = test.iter().find(|(heading, _)| heading == name)?;
    Some(text.strip_suffix(b"\n").unwrap_or(text))
}

/// Writes the tree as the tests do. A template's contents are its children here, and there is no
/// doctype.
fn dump(document: &Document) -> String {
    let mut lines = String::new();
    dump_children(document, Document::ROOT, 0, &mut lines);
    lines
}

fn dump_children(document: &Document, parent: NodeId, depth: usize, to: &mut String) {
    for id in document.children(parent) {
        let indent = format!("| {}", "  ".repeat(depth));
        match document.kind(id) {
            Kind::Text => *to += &format!("{indent}\"{}\"\n", document.text(id)),
            Kind::Comment => *to += &format!("{indent}<!-- {} -->\n", document.text(id)),
            kind => {
                let space = if kind == Kind::Foreign { namespace(document, id) } else { "" };
                *to += &format!("{indent}<{space}{}>\n", document.name(id));
                let mut attributes: Vec<String> = document
                    .attributes(id)
                    .map(|index| document.attribute(index))
                    .map(|(name, value)| format!("{}=\"{value}\"", apart(name, kind)))
                    .collect();
                attributes.sort_unstable();
                for attribute in attributes {
                    *to += &format!("{indent}  {attribute}\n");
                }
                let is_template = kind == Kind::Html && &**document.name(id) == "template";
                if is_template {
                    *to += &format!("{indent}  content\n");
                }
                dump_children(document, id, depth + 1 + usize::from(is_template), to);
            }
        }
    }
}

/// Returns the namespace of an element that is not of HTML. The tree does not keep it; the place
/// tells.
fn namespace(document: &Document, id: NodeId) -> &'static str {
    let name: &str = document.name(id);
    let parent = document.parent(id).unwrap();
    let holder: &str = document.name(parent);
    let is_outermost = document.kind(parent) != Kind::Foreign;
    match name {
        "svg" if is_outermost || SVG_HOLDERS.contains(&holder) => "svg ",
        "math" if is_outermost || MATH_HOLDERS.contains(&holder) => "math ",
        _ => namespace(document, parent),
    }
}

/// The elements of MathML in which `<svg>` is SVG, and of SVG in which `<math>` is MathML.
const SVG_HOLDERS: [&str; 6] = ["annotation-xml", "mi", "mn", "mo", "ms", "mtext"];
const MATH_HOLDERS: [&str; 3] = ["foreignObject", "desc", "title"];

/// Splits the prefix of an adjusted attribute from its name, as the tests write it.
fn apart(name: &str, kind: Kind) -> String {
    let adjusted = ["xlink:", "xml:", "xmlns:"].iter().any(|prefix| name.starts_with(prefix));
    if adjusted && kind == Kind::Foreign { name.replacen(':', " ", 1) } else { name.to_owned() }
}

/// Returns the expected tree without its doctype.
fn without_doctype(expected: &str) -> String {
    expected
        .split('\n')
        .filter(|line| !line.starts_with("| <!DOCTYPE"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Tests that are older than the standard's present rules for the contents of `select`, which allow
/// any element.
const SELECT_CHANGED: &[(&str, usize)] = &[
    ("menuitem-element", 13),
    ("tests1", 29),
    ("tests1", 101),
    ("tests10", 3),
    ("tests10", 4),
    ("tests10", 16),
    ("tests10", 17),
    ("tests18", 13),
    ("tests18", 14),
    ("tests7", 30),
    ("tests9", 4),
    ("tests9", 5),
    ("tests9", 17),
    ("tests9", 18),
];

#[test]
fn the_tree_is_that_of_the_html5lib_tests() {
    let Some(folder) = folder("tree-construction") else { return };
    let (mut compared, mut differing) = (0, Vec::new());
    for file in files(&folder) {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        for (number, test) in tests(&fs::read(&file).unwrap()).iter().enumerate() {
            let is_document =
                part(test, "document-fragment").is_none() && part(test, "script-on").is_none();
            let data = std::str::from_utf8(part(test, "data").unwrap());
            let (true, Ok(data)) = (is_document, data) else { continue };
            let expected = String::from_utf8_lossy(part(test, "document").unwrap()).into_owned();
            if SELECT_CHANGED.contains(&(&name, number)) {
                continue;
            }
            compared += 1;
            let (found, expected) = (dump(&parse(data, Until::End)), without_doctype(&expected));
            if found.trim_end() != expected.trim_end() {
                differing.push(format!(
                    "{name} {number}: {data:?}\nexpected\n{expected}\nfound\n{found}"
                ));
            }
        }
    }
    assert!(compared > 1000, "{compared}");
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn the_encoding_is_that_of_the_html5lib_tests() {
    let Some(folder) = folder("encoding") else { return };
    let mut compared = 0;
    let mut differing = Vec::new();
    for file in files(&folder) {
        for test in tests(&fs::read(&file).unwrap()) {
            let data = part(&test, "data").unwrap();
            let expected = String::from_utf8_lossy(part(&test, "encoding").unwrap()).to_lowercase();
            // A declaration counts in the first kilobyte only, and scripts do not run.
            let is_written = data.windows(15).any(|part| part == b"document.write(");
            if data.len() > 1024 || is_written {
                continue;
            }
            let found = charset::decode(data, None).charset;
            // An undeclared page in UTF-8 is read as such, which browsers refuse to guess.
            let undeclared = expected.trim() == "windows-1252" && std::str::from_utf8(data).is_ok();
            let expected = if undeclared && found == "utf-8" { found } else { expected.trim() };
            compared += 1;
            if found != expected {
                differing
                    .push(format!("{:?}: {expected} found {found}", String::from_utf8_lossy(data)));
            }
        }
    }
    assert!(compared > 50, "{compared}");
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
