//! Fits a diff to a terminal: long lines are cut around what changes in them, and nothing in a file
//! or a name steers the terminal. A diff that goes elsewhere is a patch, and stays as it is.

use unicode_width::UnicodeWidthChar;

use crate::messages::printable;

/// The mark of what was cut off. It takes one column.
const CUT: char = '…';

/// The longest character of UTF-8, in bytes.
const CHAR_LEN_MAX: usize = 4;

/// The columns from one tab stop of a terminal to the next.
const TAB_COLUMNS: usize = 8;

/// Returns the diff as it is shown on a terminal of this width.
pub(super) fn fitted(diff: &[u8], columns: usize) -> Vec<u8> {
    let lines: Vec<&[u8]> = diff.split(|&byte| byte == b'\n').collect();
    let mut shown = Vec::with_capacity(diff.len().min(lines.len() * columns * CHAR_LEN_MAX));
    let mut show = |line: String, place: usize| {
        shown.extend_from_slice(line.as_bytes());
        if place + 1 < lines.len() {
            shown.push(b'\n');
        }
    };
    let mut at = lines.iter().take_while(|line| !line.starts_with(b"@@")).count();
    lines[..at].iter().enumerate().for_each(|(place, line)| show(printable(line), place));
    while at < lines.len() {
        let count = |from: usize, mark: &[u8]| {
            lines[from..].iter().take_while(|line| line.starts_with(mark)).count()
        };
        let removed = count(at, b"-");
        let added = count(at + removed, b"+");
        let end = at + (removed + added).max(1);
        for place in at..end {
            let other = if place < at + removed { place + removed } else { place - removed };
            let is_pair = removed == added && removed > 0;
            let changed = if is_pair { same_len(lines[place], lines[other]) } else { 0 };
            show(cut(lines[place], changed, columns), place);
        }
        at = end;
    }
    shown
}

/// Returns how many bytes two lines share behind their marks.
fn same_len(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).skip(1).take_while(|(one, other)| one == other).count()
}

/// Returns a line of a diff in at most this many columns, with what is at `changed` bytes behind
/// its mark.
fn cut(line: &[u8], changed: usize, columns: usize) -> String {
    let whole_len_max = columns.saturating_mul(CHAR_LEN_MAX);
    if line.len() <= whole_len_max {
        let whole = printable(line);
        if fitting(&whole, columns).len() == whole.len() {
            return whole;
        }
    }
    let near = if changed > columns / 2 { changed - columns / 3 } else { 0 };
    let start = 1 + near.min(line.len().saturating_sub(columns));
    let start = char_start(line, start);
    let end = char_start(line, line.len().min(start + whole_len_max));
    let piece = printable(&line[start..end]);
    let mut shown = printable(&line[..1]);
    if start > 1 {
        shown.push(CUT);
    }
    let room = columns.saturating_sub(shown.chars().count() + 1);
    shown.push_str(fitting(&piece, room));
    if end < line.len() || fitting(&piece, room).len() < piece.len() {
        shown.push(CUT);
    }
    shown
}

/// Returns the longest beginning of a text that takes at most this many columns.
fn fitting(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    for (at, char) in text.char_indices() {
        taken += match char {
            // Where the next tab stop is depends on where the text begins.
            '\t' => TAB_COLUMNS,
            _ => char.width().unwrap_or(1),
        };
        if taken > columns {
            return &text[..at];
        }
    }
    text
}

/// Returns where the character begins that holds this byte.
fn char_start(line: &[u8], at: usize) -> usize {
    let back = (0..CHAR_LEN_MAX.min(at))
        .find(|&back| line.get(at - back).is_none_or(|&byte| byte & 0b1100_0000 != 0b1000_0000));
    at - back.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(diff: &str, columns: usize) -> String {
        String::from_utf8(fitted(diff.as_bytes(), columns)).unwrap()
    }

    #[test]
    fn a_diff_that_fits_stays_as_it_is() {
        let diff = "--- a\n+++ a\n@@ -1,2 +1 @@\n-old\n+new\n\\ No newline at end of file\n same\n";
        assert_eq!(shown(diff, 80), diff);
    }

    #[test]
    fn a_long_line_is_cut_around_its_change() {
        let (before, after) = ("x".repeat(5000), "z".repeat(5000));
        let diff = format!("@@\n-{before}old{after}\n+{before}new{after}\n {before}\n");

        let shown = shown(&diff, 40);

        let lines: Vec<&str> = shown.lines().skip(1).collect();
        assert!(lines.iter().all(|line| line.chars().count() == 40), "{shown}");
        assert!(lines[0].starts_with("-…xxx") && lines[0].contains("xoldz"), "{shown}");
        assert!(lines[1].starts_with("+…xxx") && lines[1].contains("xnewz"), "{shown}");
        assert!(lines[2].starts_with(" xxx") && lines[2].ends_with("x…"), "{shown}");
    }

    #[test]
    fn wide_characters_take_two_columns_and_none_is_torn() {
        let text = "\u{6f22}".repeat(100);
        let shown = shown(&format!("@@\n-{text}a\n+{text}b\n"), 21);
        let width = |line: &str| line.chars().filter_map(char::width).sum::<usize>();
        assert!(shown.lines().skip(1).all(|line| (10..=21).contains(&width(line))), "{shown}");
        assert!(!shown.contains("\\x"), "{shown}");
    }

    #[test]
    fn no_text_steers_the_terminal() {
        assert_eq!(shown("@@\n-\u{1b}[2J\u{202e}\t\\\n", 80), "@@\n-\\u{1b}[2J\\u{202e}\t\\\n");
    }
}
