//! No comment goes beyond column 100, where rustfmt ends code. rustfmt itself does not wrap
//! comments.

use super::rust::{Token, tokens};
use super::tree::{Tree, Violation};

/// The width of code in `rustfmt.toml`, in characters.
const COLUMNS_MAX: usize = 100;

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    tree.sources().flat_map(|(path, text)| check_file(path, text)).collect()
}

fn check_file(path: &str, text: &str) -> Vec<Violation> {
    let lines: Vec<&str> = text.lines().collect();
    let mut violations = Vec::new();
    for (first, token) in tokens(text) {
        let Token::Comment(comment) = token else { continue };
        for number in first..first + comment.lines().count() {
            let line = lines[number - 1];
            let columns = line.chars().count();
            if columns > COLUMNS_MAX && !ends_in_url(line) {
                let what = format!("a comment of {columns} columns; {COLUMNS_MAX} is the most");
                violations.push(Violation::new(path, number, what));
            }
        }
    }
    violations
}

/// Returns whether the last word is a URL, which cannot be wrapped, and all before it is within the
/// width.
fn ends_in_url(line: &str) -> bool {
    let last = line.split_whitespace().next_back().unwrap_or_default();
    let before = line.chars().count() - last.chars().count();
    last.contains("://") && before <= COLUMNS_MAX
}

#[cfg(test)]
mod tests {
    use super::check_file;

    fn lines(text: &str) -> Vec<String> {
        check_file("a.rs", text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_hundredth_column_is_the_last() {
        let exact = format!("// {}", "é".repeat(97));
        assert!(lines(&exact).is_empty());
        let longer = format!("\n    {exact}");
        assert_eq!(lines(&longer), ["a.rs:2: a comment of 104 columns; 100 is the most"]);
    }

    #[test]
    fn comments_of_every_kind_are_measured() {
        let long = "x ".repeat(60);
        for text in [
            format!("//! {long}"),
            format!("/// {long}"),
            format!("let a = 1; // {long}"),
            format!("/* {long}*/"),
        ] {
            assert_eq!(lines(&text).len(), 1, "{text}");
        }
        assert!(lines(&format!("/* a\n {long}\n*/"))[0].starts_with("a.rs:2:"));
    }

    #[test]
    fn code_and_strings_are_not_measured() {
        assert!(lines(&format!("let a = \"// {}\";", "x".repeat(120))).is_empty());
    }

    #[test]
    fn a_url_at_the_end_may_be_longer() {
        let url = format!("https://example.org/{}", "x".repeat(100));
        assert!(lines(&format!("// See {url}")).is_empty());
        assert_eq!(lines(&format!("// See {url} for more.")).len(), 1);
    }
}
