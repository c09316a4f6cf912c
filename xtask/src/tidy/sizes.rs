//! A source file of more than 500 lines, tests included, says in its header why it is one file.
//!
//! The header is the `//!` lines that the file begins with. One of its sentences must have the
//! words "is one file", "are one file" or "so one file": "It is one file, for it is one state
//! machine."

use super::tree::{Tree, Violation};

/// The longest file that needs no reason, in lines.
const LINES_MAX: usize = 500;

/// The words of a header that defend the length of a file.
const REASONS: [&str; 3] = ["is one file", "are one file", "so one file"];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in tree.sources() {
        let lines = text.lines().count();
        let header = header(text);
        if lines > LINES_MAX && !REASONS.iter().any(|reason| header.contains(reason)) {
            let what =
                format!("{lines} lines; over {LINES_MAX} the header says why it \"is one file\"");
            violations.push(Violation::new(path, 0, what));
        }
    }
    violations
}

/// The documentation that a file begins with, as one line.
fn header(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{LINES_MAX, Tree, check};

    /// Checks a file that begins with a header and has so many lines.
    fn violations_of(header: &str, lines: usize) -> usize {
        let rest = "\n".repeat(lines - header.lines().count());
        check(&Tree::of(&[("a.rs", &format!("{header}\n{rest}"))])).len()
    }

    #[test]
    fn a_short_file_needs_no_reason() {
        assert_eq!(violations_of("//! Short.", LINES_MAX), 0);
        assert_eq!(violations_of("//! Long.", LINES_MAX + 1), 1);
    }

    #[test]
    fn a_long_file_with_a_reason_passes_wherever_the_reason_is_wrapped() {
        assert_eq!(violations_of("//! Long.\n//!\n//! It is one\n//! file, for it is.", 900), 0);
        assert_eq!(violations_of("//! All is guarded by one lock, and so one file.", 900), 0);
    }

    #[test]
    fn a_reason_outside_the_header_does_not_count() {
        assert_eq!(violations_of("//! Long.\n\n/// It is one file.\nfn a() {}", 900), 1);
        assert_eq!(violations_of("//! Takes the bytes of one file.", 900), 1);
    }
}
