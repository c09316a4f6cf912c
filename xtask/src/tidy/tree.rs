//! The files of the repository as the rules see them, and what they find wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::program::root;

/// Every file of the repository by its path from the root, with `/` between folders. The text is
/// there for source files and documents, and empty for all others.
pub(super) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the files that git tracks, and those that it would track: a new file is checked before
    /// it is added. A file that is tracked and deleted is left out.
    pub(super) fn read() -> anyhow::Result<Tree> {
        let paths = match listed_by_git() {
            Some(paths) => paths,
            None => walked(root())?,
        };
        let mut files = BTreeMap::new();
        for path in paths {
            let on_disk = root().join(&path);
            let read = || {
                let text = std::fs::read_to_string(&on_disk);
                text.with_context(|| format!("failed to read {on_disk:?}"))
            };
            if on_disk.is_file() {
                let is_read = path.ends_with(".rs") || path.ends_with(".md");
                let text = if is_read { read()? } else { String::new() };
                files.insert(path, text);
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

    /// Returns whether this is the path of a file or, with or without a slash at its end, of a
    /// folder.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path) || self.below(&folder).next().is_some()
    }
}

/// Asks git for the paths. `None` where there is no git, or no repository: an unpacked release is
/// none.
fn listed_by_git() -> Option<Vec<String>> {
    let mut list = Command::new("git");
    // Git refuses a repository that belongs to another user, as that of a build machine may.
    list.arg("-c").arg(format!("safe.directory={}", root().display()));
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = list.current_dir(root()).output().ok()?;
    let paths = String::from_utf8(output.stdout).ok()?;
    let is_listed = output.status.success() && !paths.is_empty();
    is_listed.then(|| paths.split_terminator('\0').map(str::to_owned).collect())
}

/// Lists all files, but those of builds and those in hidden folders.
fn walked(root: &Path) -> anyhow::Result<Vec<String>> {
    let (mut paths, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = folder.read_dir().with_context(|| format!("failed to read {folder:?}"))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !path.is_dir() {
                let below = path.strip_prefix(root).context("a folder is below itself")?;
                paths.push(below.to_string_lossy().into_owned());
            } else if name != "target" && !name.starts_with('.') {
                folders.push(path);
            }
        }
    }
    Ok(paths)
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
    use super::{Tree, Violation, root, walked};

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
    fn a_walk_finds_the_sources_that_git_lists() {
        let walked = walked(root()).unwrap();
        let tree = Tree::read().unwrap();
        assert!(tree.sources().all(|(path, _)| walked.iter().any(|walked| walked == path)));
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
