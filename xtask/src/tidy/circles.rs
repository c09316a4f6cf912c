//! Imports between the files of a crate run one way: no two files import each other, by however
//! many others.
//!
//! What counts as an import of the file that defines a module, or that names what is meant:
//!
//! * every path of a `use` that begins with `crate`, `super`, `self` or a module declared in the
//!   same place, nested groups and re-exports (`pub use`) included;
//! * every path in code that begins with `crate::` or `super::`.
//!
//! So a file that uses `super::Name` imports the face of its folder. A face that declares `mod
//! child;` and calls `child::run()` does not import the child by that: it is made of its children.
//! As soon as it has a `use` of something in the child, it does.
//!
//! Comments, strings, macros' own names and everything under `#[cfg(test)]` do not count. Between
//! crates cargo allows no circles.

mod graph;
mod imports;
mod modules;

use graph::Graph;
use modules::Crate;

use super::tree::{Tree, Violation};

/// Folders whose files may import each other, with the face of each.
///
/// `selectors::Element` makes the tree answer every question about an element by itself, so what a
/// selector says of controls, languages and links hangs on the element, and they on its tree.
const ALLOWED: [&str; 1] = ["crates/silkmill-scrape/src/page/css"];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, _) in tree.sources().filter(|(path, _)| is_root(path)) {
        let graph = Crate::read(tree, path).imports();
        let circles = graph.circles().into_iter().filter(|circle| !is_allowed(circle));
        violations.extend(circles.map(|circle| violation(&graph, &circle)));
    }
    violations
}

/// Returns whether a crate begins with this file. Crates of one file have no circles and are left
/// out.
fn is_root(path: &str) -> bool {
    ["/lib.rs", "/main.rs"].iter().any(|name| path.ends_with(name))
}

fn is_allowed(circle: &[&str]) -> bool {
    let is_within = |file: &&str, folder: &str| {
        let below = file.strip_prefix(folder);
        below.is_some_and(|below| below == ".rs" || below.starts_with('/'))
    };
    ALLOWED.iter().any(|folder| circle.iter().all(|file| is_within(file, folder)))
}

/// Names the shortest way round, and the line of each import on it.
fn violation(graph: &Graph, circle: &[&str]) -> Violation {
    let way = graph.shortest_way_round(circle);
    let steps: Vec<String> =
        way.iter().map(|(file, line, imported)| format!("{file}:{line} → {imported}")).collect();
    let what = format!(
        "{} files import each other; the shortest circle has {}: {}",
        circle.len(),
        way.len(),
        steps.join(", ")
    );
    let (file, line, _) = way.first().expect("a circle has a first import");
    Violation::new(file, *line, what)
}

#[cfg(test)]
mod tests {
    use super::{Tree, check};

    fn violations_of(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn files_that_import_one_way_pass() {
        let files = [
            ("a/src/lib.rs", "mod b; mod c; pub use b::B;"),
            ("a/src/b.rs", "mod d; use crate::c::C; fn f() { d::f(); }"),
            ("a/src/b/d.rs", "use super::B; fn f() { crate::c::f(); }"),
            ("a/src/c.rs", "//! See `crate::b`.\n#[cfg(test)] mod tests { use crate::b::B; }"),
        ];
        assert!(violations_of(&files).is_empty());
    }

    #[test]
    fn a_circle_is_named_with_the_lines_that_close_it() {
        let files = [
            ("a/src/lib.rs", "mod b;\nmod c;\nmod d;"),
            ("a/src/b.rs", "\nuse crate::{\n    c::C,\n};"),
            ("a/src/c.rs", "fn f() -> crate::d::D { todo!() }"),
            ("a/src/d.rs", "use super::b::B;"),
        ];
        let expected = "a/src/b.rs:3: 3 files import each other; the shortest circle has 3: \
             a/src/b.rs:3 → a/src/c.rs, a/src/c.rs:1 → a/src/d.rs, a/src/d.rs:1 → a/src/b.rs";
        assert_eq!(violations_of(&files), [expected]);
    }

    #[test]
    fn a_face_that_uses_a_child_closes_the_circle_with_it() {
        let circle = |face: &str| {
            violations_of(&[
                ("a/src/main.rs", "mod b;"),
                ("a/src/b.rs", face),
                ("a/src/b/c.rs", "use super::B;"),
            ])
            .len()
        };
        assert_eq!(circle("mod c; fn f() { c::f(); }"), 0);
        for face in ["mod c; use c::C;", "mod c; use self::c::C;", "mod c; pub use c::C;"] {
            assert_eq!(circle(face), 1, "{face}");
        }
    }

    #[test]
    fn one_folder_may_have_a_circle() {
        let circle_in = |folder: &str| {
            let path = |name: &str| format!("crates/silkmill-scrape/src/{name}");
            let files = [
                (path("lib.rs"), "mod page;"),
                (path("page.rs"), "mod css; mod other;"),
                (path(&format!("page/{folder}.rs")), "mod b; use b::B;"),
                (path(&format!("page/{folder}/b.rs")), "use super::B;"),
            ];
            let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
            violations_of(&files).len()
        };
        assert_eq!(circle_in("css"), 0);
        assert_eq!(circle_in("other"), 1);
    }
}
