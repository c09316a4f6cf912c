//! The files of the repository as the rules see them, and what they find wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::program::root;

/// Every file of the repository by its path from the root, with `/` between folders. The text is there
/// for source files and documents, and empty for all others.
pub(super) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the files that git tracks, and those that it would track: a new file is checked before it
    /// is added. A file that is tracked and deleted is left out.
    pub(super) fn read() -> anyhow::Result<Tree> {
        let mut list = Command::new("git");
        list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let output = list.current_dir(root()).output().context("failed to start git")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "git cannot list the files: {said}");
        let listed = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
        let mut files = BTreeMap::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let on_disk = root().join(path);
            if on_disk.is_file() {
                let is_read = path.ends_with(".rs") || path.ends_with(".md");
                let read = || {
                    std::fs::read_to_string(&on_disk)
                        .with_context(|| format!("failed to read {on_disk:?}"))
                };
                files.insert(path.to_owned(), if is_read { read()? } else { String::new() });
            }
        }
        Ok(Tree { files })
    }

    /// Makes up a tree.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Tree {
        let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        Tree { files: files.iter().map(owned).collect() }
    }

    /// The text of one file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// All Rust files: path and text.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.below("").filter(|(path, _)| path.ends_with(".rs"))
    }

    /// All files whose paths begin like this: path and text.
    pub(super) fn below(&self, beginning: &str) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        files.filter(move |(path, _)| path.starts_with(beginning))
    }

    /// Returns whether this is the path of a file or, with or without a slash at its end, of a folder.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path) || self.below(&folder).next().is_some()
    }
}

/// What is wrong, and where: in the order in which violations are shown.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Violation {
    path: String,
    /// The first line is 1. What concerns a whole file or folder has 0.
    line: usize,
    what: String,
}

impl Violation {
    pub(super) fn new(path: &str, line: usize, what: impl Into<String>) -> Violation {
        Violation { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Tree, Violation};

    #[test]
    fn files_and_folders_are_there_and_beginnings_of_names_are_not() {
        let tree = Tree::of(&[("a/b/c.rs", ""), ("a/d.rs", "")]);
        assert!(["a", "a/", "a/b", "a/b/c.rs", "a/d.rs"].iter().all(|path| tree.has(path)));
        assert!(["a/b/c", "b", "a/d.rs/", "c.rs"].iter().all(|path| !tree.has(path)));
    }

    #[test]
    fn the_repository_can_be_read_and_has_this_file() {
        let tree = Tree::read().unwrap();
        assert_eq!(tree.text("xtask/src/tidy/tree.rs"), Some(include_str!("tree.rs")));
    }

    #[test]
    fn violations_are_sorted_by_file_and_by_the_number_of_the_line() {
        let mut violations = [("b.rs", 1), ("a.rs", 10), ("a.rs", 9)]
            .map(|(path, line)| Violation::new(path, line, "is long"));
        violations.sort();
        let shown = violations.map(|violation| violation.to_string());
        assert_eq!(shown, ["a.rs:9: is long", "a.rs:10: is long", "b.rs:1: is long"]);
    }
}
