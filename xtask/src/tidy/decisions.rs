//! Every decision has one style of title, a status, and a line in the index.
//!
//! A page is `docs/decisions/NNN-words.md`. Its first line is `# NNN: title`, and the next line
//! that is not empty begins with `Status: `. `docs/decisions/README.md` links every page; what it
//! says of the numbers that have none is for people.

use super::tree::{Tree, Violation};

const FOLDER: &str = "docs/decisions/";
const INDEX: &str = "docs/decisions/README.md";

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let index = tree.text(INDEX).unwrap_or_default();
    let pages = tree.below(FOLDER).filter(|(path, _)| path.ends_with(".md") && *path != INDEX);
    pages.flat_map(|(path, text)| check_page(path, text, index)).collect()
}

fn check_page(path: &str, text: &str, index: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let name = path.strip_prefix(FOLDER).unwrap_or(path);
    let number = name.split('-').next().unwrap_or_default();
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, title) = lines.next().unwrap_or_default();
    if !title.starts_with(&format!("# {number}: ")) {
        violations.push(Violation::new(path, 1, format!("the title is not \"# {number}: …\"")));
    }
    let (place, status) = lines.next().unwrap_or_default();
    if !status.starts_with("Status: ") {
        let what = "there is no \"Status: …\" line under the title";
        violations.push(Violation::new(path, place + 1, what));
    }
    if !index.contains(&format!("({name})")) {
        violations.push(Violation::new(INDEX, 0, format!("{name} is not linked")));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{Tree, check};

    fn violations_of(page: &str, index: &str) -> Vec<String> {
        let files = [("docs/decisions/007-x.md", page), ("docs/decisions/README.md", index)];
        check(&Tree::of(&files)).iter().map(ToString::to_string).collect()
    }

    const GOOD: &str = "# 007: what was chosen\n\nStatus: accepted.\n\n**Question.** Why?\n";
    const INDEX: &str = "- [007](007-x.md): what was chosen";

    #[test]
    fn a_page_with_a_title_a_status_and_a_link_passes() {
        assert!(violations_of(GOOD, INDEX).is_empty());
    }

    #[test]
    fn a_title_without_its_number_is_found() {
        for title in ["# What", "# 008: what", "## 007: what", "007: what"] {
            let page = GOOD.replace("# 007: what was chosen", title);
            assert_eq!(violations_of(&page, INDEX).len(), 1, "{title}");
        }
    }

    #[test]
    fn a_status_elsewhere_or_nowhere_is_found() {
        let below = "# 007: what\n\nAn opening.\n\nStatus: accepted.\n";
        let expected = "docs/decisions/007-x.md:3: there is no \"Status: …\" line under the title";
        assert_eq!(violations_of(below, INDEX), [expected]);
        assert_eq!(violations_of("# 007: what\n", INDEX).len(), 1);
    }

    #[test]
    fn a_page_that_the_index_does_not_link_is_found() {
        let violations = violations_of(GOOD, "007-x.md is about x");
        assert_eq!(violations, ["docs/decisions/README.md: 007-x.md is not linked"]);
    }
}
