//! No folder has more than 16 source files beside each other. Folders below it are folders of their
//! own.

use std::collections::BTreeMap;

use super::tree::{Tree, Violation};

const FILES_MAX: usize = 16;

/// Folders of this name may be as full as they like: cargo finds examples only beside each other.
const EXEMPT: &str = "examples";

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, _) in tree.sources() {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        *counts.entry(folder).or_default() += 1;
    }
    counts.retain(|folder, count| *count > FILES_MAX && folder.rsplit('/').next() != Some(EXEMPT));
    let violation = |(folder, count): (&str, usize)| {
        let what = format!("{count} source files beside each other; {FILES_MAX} are the most");
        Violation::new(folder, 0, what)
    };
    counts.into_iter().map(violation).collect()
}

#[cfg(test)]
mod tests {
    use super::{FILES_MAX, Tree, check};

    fn violations_of(folder: &str, sources: usize) -> usize {
        let mut paths: Vec<String> = (0..sources).map(|n| format!("{folder}/f{n}.rs")).collect();
        paths.extend([format!("{folder}/below/g.rs"), format!("{folder}/page.html")]);
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
        check(&Tree::of(&files)).len()
    }

    #[test]
    fn sixteen_files_are_the_most() {
        assert_eq!(violations_of("crates/a/src", FILES_MAX), 0);
        assert_eq!(violations_of("crates/a/src", FILES_MAX + 1), 1);
    }

    #[test]
    fn examples_may_be_more() {
        assert_eq!(violations_of("crates/a/examples", FILES_MAX + 1), 0);
        assert_eq!(violations_of("crates/a/examples_of_b", FILES_MAX + 1), 1);
    }
}
