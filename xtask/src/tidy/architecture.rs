//! Every path that ARCHITECTURE.md names exists.
//!
//! What is a path: a word in backticks, without blanks, that ends in `.rs`, `.md`, `.toml` or `/`,
//! or begins with one of the folders at the root (`crates/`, `docs/`, …). Blocks of code are not
//! read.
//!
//! Where it is looked for: first from the folder that the heading above names in backticks, if it
//! names one (`### The library: crates/silkmill/src`), which holds until the next heading; and then
//! from the root. In a row of a table whose first cell names a folder, that folder comes before
//! both. So a row may say `pool/`, and then `queue.rs` for what is in it.

use super::tree::{Tree, Violation};

const PAGE: &str = "ARCHITECTURE.md";

/// How a path in backticks ends.
const ENDS: [&str; 4] = [".rs", ".md", ".toml", "/"];

/// How a path in backticks may begin, however it ends.
const BEGINNINGS: [&str; 5] = ["crates/", "xtask/", "benches/", "fuzz/", "docs/"];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let page = tree.text(PAGE).unwrap_or_default();
    let (mut violations, mut heading, mut is_code) = (Vec::new(), String::new(), false);
    for (place, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        if line.starts_with('#') {
            let folder = paths(line).into_iter().find(|path| tree.has(path));
            heading = folder.map_or(String::new(), with_slash);
        }
        let row = folder_of_row(tree, line, &heading);
        let bases = [row.as_deref().unwrap_or(&heading), &heading, ""];
        for path in paths(line) {
            if !bases.iter().any(|base| tree.has(&format!("{base}{path}"))) {
                let what = format!("there is no `{path}` in {}", shown(&bases));
                violations.push(Violation::new(PAGE, place + 1, what));
            }
        }
    }
    violations
}

/// The folder that the first cell of a table's row names, from the root and with a slash at its
/// end.
fn folder_of_row(tree: &Tree, line: &str, heading: &str) -> Option<String> {
    let cell = line.strip_prefix('|')?.split('|').next()?;
    let folders = paths(cell).into_iter().filter(|path| path.ends_with('/'));
    let from_root = folders.map(|folder| format!("{heading}{folder}"));
    from_root.into_iter().find(|folder| tree.has(folder))
}

/// The paths in backticks.
fn paths(line: &str) -> Vec<&str> {
    let quoted = line.split('`').skip(1).step_by(2);
    let is_path = |word: &&str| {
        let is_word = !word.contains(|letter: char| letter.is_whitespace() || letter == '…');
        let is_named = ENDS.iter().any(|end| word.ends_with(end) && word != end)
            || BEGINNINGS.iter().any(|beginning| word.starts_with(beginning));
        is_word && is_named && !word.contains("://")
    };
    quoted.filter(is_path).collect()
}

fn with_slash(path: &str) -> String {
    format!("{}/", path.trim_end_matches('/'))
}

/// The folders that were looked in, for a message.
fn shown(bases: &[&str]) -> String {
    let mut names: Vec<&str> =
        bases.iter().map(|base| if base.is_empty() { "the root" } else { base }).collect();
    names.dedup();
    names.join(" nor in ")
}

#[cfg(test)]
mod tests {
    use super::{Tree, check};

    /// Checks a page in a small repository.
    fn violations_of(page: &str) -> Vec<String> {
        let tree = Tree::of(&[
            ("ARCHITECTURE.md", page),
            ("README.md", ""),
            ("crates/a/src/lib.rs", ""),
            ("crates/a/src/pool.rs", ""),
            ("crates/a/src/pool/queue.rs", ""),
            ("crates/a/tests/it/main.rs", ""),
        ]);
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn paths_from_the_root_are_found_anywhere() {
        assert!(
            violations_of("See `README.md`, `crates/a/src/lib.rs` and `crates/a/tests`.")
                .is_empty()
        );
        let missing = violations_of("one\nSee `crates/b` and `NEWS.md`.");
        let expected = [
            "ARCHITECTURE.md:2: there is no `crates/b` in the root",
            "ARCHITECTURE.md:2: there is no `NEWS.md` in the root",
        ];
        assert_eq!(missing, expected);
    }

    #[test]
    fn a_heading_that_names_a_folder_holds_until_the_next() {
        let page =
            "## `crates/a/src`\n\n`pool.rs`, `pool/`, `README.md`\n\n## Words\n\n`pool.rs`\n";
        assert_eq!(violations_of(page), ["ARCHITECTURE.md:7: there is no `pool.rs` in the root"]);
    }

    #[test]
    fn a_row_whose_first_cell_names_a_folder_has_its_files() {
        let row = |cell, file| format!("## `crates/a/src`\n| {cell} | has `{file}` |\n");
        assert!(violations_of(&row("`pool.rs`, `pool/`", "queue.rs")).is_empty());
        assert_eq!(violations_of(&row("`pool.rs`", "queue.rs")).len(), 1);
        assert_eq!(violations_of(&row("`pool/`", "sleep.rs")).len(), 1);
    }

    #[test]
    fn other_words_in_backticks_are_no_paths() {
        let page = "`Thread<T>`, `cargo xtask test`, `a/b`, `http://a/`, `/`, `.rs`, `edit`";
        assert!(violations_of(page).is_empty());
        assert!(violations_of("```\n`no.rs`\n```\n").is_empty());
    }
}
