//! Writes a unified diff of one file, from its known changes and not by comparison.
//!
//! `patch -p0` and `git apply -p0` turn the old bytes into exactly the new ones, including CRLF,
//! invalid UTF-8 and a missing last line end. The time grows with the file, not with its square.

pub(crate) mod moved;

use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::text::edit::Change;

/// How many unchanged lines are shown around a change, unless the caller says. Changes that are
/// nearer than twice that share a hunk.
pub(crate) const CONTEXT_LINES: usize = 3;

/// An excerpt cuts lines that are longer by this many bytes than what changes in them.
const EXCERPT_LINE_MAX: usize = 400;

/// Adds a change of `old` to those before it. Changes of one line become one, so that the lines
/// bound their number.
pub(crate) fn push(changes: &mut Vec<Change>, old: &[u8], change: Change) {
    match changes.last_mut() {
        Some(last) if memchr::memchr(b'\n', &old[last.old.end..change.old.start]).is_none() => {
            last.old.end = change.old.end;
            last.new.end = change.new.end;
        }
        _ => changes.push(change),
    }
}

/// Returns the diff from `old` to `new`, which differ by `changes` (left to right, at least one),
/// with `context` unchanged lines around each.
pub(crate) fn unified(
    path: &Path,
    old: &[u8],
    new: &[u8],
    changes: &[Change],
    context: usize,
) -> Vec<u8> {
    between(path, path, old, new, changes, context)
}

/// Returns the diff of a file whose name may change, too.
fn between(
    from: &Path,
    to: &Path,
    old: &[u8],
    new: &[u8],
    changes: &[Change],
    context: usize,
) -> Vec<u8> {
    let mut out = Vec::new();
    for (mark, path) in [(b"--- ", from), (b"+++ ", to)] {
        out.extend_from_slice(mark);
        out.extend_from_slice(&header_name(path));
        out.push(b'\n');
    }
    let blocks = blocks(old, new, changes);
    let mut numbers = LineNumbers { context, ..LineNumbers::default() };
    for hunk in hunks(old, &blocks, context) {
        write_hunk(old, new, hunk, &mut numbers, &mut out);
    }
    out
}

/// How an excerpt is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excerpt {
    /// How many unchanged lines are shown around the change.
    pub(crate) context: usize,
    /// How many lines come before the text.
    pub(crate) lines_before: usize,
}

/// Returns a hunk with one change alone: what is at `old` becomes `new`. Of very long lines it has
/// only what is near the change.
pub(crate) fn excerpt(text: &[u8], old: Range<usize>, new: &[u8], how: Excerpt) -> Vec<u8> {
    let (mut start, mut end) = (line_start(text, old.start), line_end(text, old.end));
    if end - start > old.len() + EXCERPT_LINE_MAX {
        start = start.max(old.start.saturating_sub(EXCERPT_LINE_MAX / 2));
        end = end.min(old.end + EXCERPT_LINE_MAX / 2);
    } else {
        start = lines_above(text, start, how.context);
        end = lines_below(text, end, how.context);
    }
    let near = &text[start..end];
    let change = Change {
        old: old.start - start..old.end - start,
        new: old.start - start..old.start - start + new.len(),
    };
    let edited = [&near[..change.old.start], new, &near[change.old.end..]].concat();
    let blocks = blocks(near, &edited, &[change]);
    let old_line = how.lines_before + memchr::memchr_iter(b'\n', &text[..start]).count();
    let mut numbers = LineNumbers { old_line, context: how.context, ..LineNumbers::default() };
    let mut out = Vec::new();
    for hunk in hunks(near, &blocks, how.context) {
        write_hunk(near, &edited, hunk, &mut numbers, &mut out);
    }
    out
}

/// Complete lines that became other complete lines.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    old_start: usize,
    old_end: usize,
    new_start: usize,
    new_end: usize,
}

/// Widens the changes to complete lines, and joins those that touch.
fn blocks(old: &[u8], new: &[u8], changes: &[Change]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for change in changes {
        let old_start = line_start(old, change.old.start);
        // Both texts must have a line end here, or the block would join its last line to the next
        // one.
        let whole = is_line_start(old, change.old.end) && is_line_start(new, change.new.end);
        let old_end = if whole { change.old.end } else { line_end(old, change.old.end) };
        let new_end = |old_end: usize| change.new.end + (old_end - change.old.end);
        match blocks.last_mut() {
            Some(last) if old_start <= last.old_end => {
                // The last block may already reach further than this change does.
                last.old_end = last.old_end.max(old_end);
                last.new_end = new_end(last.old_end);
            }
            _ => {
                let new_start = change.new.start - (change.old.start - old_start);
                blocks.push(Block { old_start, old_end, new_start, new_end: new_end(old_end) });
            }
        }
    }
    for block in &mut blocks {
        trim(old, new, block);
    }
    blocks.retain(|block| block.old_start < block.old_end || block.new_start < block.new_end);
    blocks
}

/// Removes lines from both ends of a block that did not change.
fn trim(old: &[u8], new: &[u8], block: &mut Block) {
    loop {
        let (a, b) = (&old[block.old_start..block.old_end], &new[block.new_start..block.new_end]);
        let len = line_end(a, 0);
        if len == 0 || len != line_end(b, 0) || a[..len] != b[..len] {
            break;
        }
        block.old_start += len;
        block.new_start += len;
    }
    loop {
        let (a, b) = (&old[block.old_start..block.old_end], &new[block.new_start..block.new_end]);
        let len = last_line_len(a);
        if len == 0 || len != last_line_len(b) || a[a.len() - len..] != b[b.len() - len..] {
            break;
        }
        block.old_end -= len;
        block.new_end -= len;
    }
}

/// Groups blocks that are near enough to share their context.
fn hunks<'a>(
    old: &'a [u8],
    blocks: &'a [Block],
    context: usize,
) -> impl Iterator<Item = &'a [Block]> {
    let gap_max = context.saturating_mul(2);
    blocks.chunk_by(move |a, b| {
        let gap = &old[a.old_end..b.old_start];
        memchr::memchr_iter(b'\n', gap).take(gap_max.saturating_add(1)).count() <= gap_max
    })
}

/// How far the hunks have come in both files.
#[derive(Default)]
struct LineNumbers {
    /// How many unchanged lines are shown around a change.
    context: usize,
    old_at: usize,
    old_line: usize,
    /// The lines that the hunks so far have added, less those they removed.
    added: isize,
}

fn write_hunk(
    old: &[u8],
    new: &[u8],
    blocks: &[Block],
    numbers: &mut LineNumbers,
    out: &mut Vec<u8>,
) {
    let (first, last) = (&blocks[0], &blocks[blocks.len() - 1]);
    let start = lines_above(old, first.old_start, numbers.context);
    let end = lines_below(old, last.old_end, numbers.context);

    let mut body = Vec::new();
    let mut copied = start;
    let (mut old_lines, mut new_lines) = (0, 0);
    for block in blocks {
        let context = write_lines(b' ', &old[copied..block.old_start], &mut body);
        let removed = write_lines(b'-', &old[block.old_start..block.old_end], &mut body);
        let added = write_lines(b'+', &new[block.new_start..block.new_end], &mut body);
        old_lines += context + removed;
        new_lines += context + added;
        copied = block.old_end;
    }
    let context = write_lines(b' ', &old[copied..end], &mut body);
    old_lines += context;
    new_lines += context;

    numbers.old_line += memchr::memchr_iter(b'\n', &old[numbers.old_at..start]).count();
    numbers.old_at = start;
    let new_line = numbers.old_line.checked_add_signed(numbers.added);
    let new_line = new_line.expect("hunks remove only lines that are there");
    numbers.added += new_lines as isize - old_lines as isize;
    let (old_span, new_span) = (span(numbers.old_line, old_lines), span(new_line, new_lines));
    out.extend_from_slice(format!("@@ -{old_span} +{new_span} @@\n").as_bytes());
    out.append(&mut body);
}

/// Writes `START,COUNT`. An empty span has the number of the line before it, and a single line
/// needs no count.
fn span(lines_before: usize, lines: usize) -> String {
    match lines {
        0 => format!("{lines_before},0"),
        1 => format!("{}", lines_before + 1),
        _ => format!("{},{lines}", lines_before + 1),
    }
}

/// Writes every line of `text` after `mark`. Returns how many there are.
fn write_lines(mark: u8, text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut lines = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        lines += 1;
        out.push(mark);
        out.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            out.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
    lines
}

/// Returns the path as both tools read it: quoted as in C if it holds what would end or garble the
/// line, and followed by a tab if it holds a space, which the tools would take for its end.
fn header_name(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    let garbles = |&byte: &u8| byte.is_ascii_control() || byte == b'"' || byte == b'\\';
    if bytes.starts_with(b" ") || bytes.ends_with(b" ") || bytes.iter().any(garbles) {
        return quoted(bytes);
    }
    let mut name = bytes.to_vec();
    if bytes.contains(&b' ') {
        name.push(b'\t');
    }
    name
}

fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut name = vec![b'"'];
    for (place, &byte) in bytes.iter().enumerate() {
        let is_outer = place == 0 || place == bytes.len() - 1;
        match byte {
            b' ' if is_outer => name.extend_from_slice(b"\\040"),
            b'"' | b'\\' => name.extend_from_slice(&[b'\\', byte]),
            b'\n' => name.extend_from_slice(b"\\n"),
            b'\t' => name.extend_from_slice(b"\\t"),
            b' '..=b'~' => name.push(byte),
            _ => name.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
        }
    }
    name.push(b'"');
    name
}

fn is_line_start(text: &[u8], at: usize) -> bool {
    at == 0 || text[at - 1] == b'\n'
}

pub(crate) fn line_start(text: &[u8], at: usize) -> usize {
    memchr::memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1)
}

/// Returns the end of the line that holds `at`, including its line end.
pub(crate) fn line_end(text: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |newline| at + newline + 1)
}

/// Returns where the line starts that is so many lines above the one that starts at `start`.
pub(crate) fn lines_above(text: &[u8], start: usize, lines: usize) -> usize {
    let (mut start, mut left) = (start, lines);
    while start > 0 && left > 0 {
        start = line_start(text, start - 1);
        left -= 1;
    }
    start
}

/// Returns where the line ends that is so many lines below the one that ends at `end`.
pub(crate) fn lines_below(text: &[u8], end: usize, lines: usize) -> usize {
    let (mut end, mut left) = (end, lines);
    while end < text.len() && left > 0 {
        end = line_end(text, end);
        left -= 1;
    }
    end
}

fn last_line_len(text: &[u8]) -> usize {
    match text.len() {
        0 => 0,
        len => len - line_start(text, len - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;
    use crate::pattern::syntax::Syntax;
    use crate::text::edit::edit;
    use proptest::prelude::*;

    fn changed(old: &str, new: &str, text: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let syntax = Syntax { multiline: true, ..Syntax::REGEX };
        let pattern = Pattern::new(old.into(), new.into(), syntax).unwrap();
        let (mut out, mut changes) = (Vec::new(), Vec::new());
        edit(&pattern, &mut pattern.cache(), text, u64::MAX, &mut out, |c, _| {
            push(&mut changes, text, c);
        })
        .unwrap();
        if changes.is_empty() {
            return (text.to_vec(), Vec::new());
        }
        let diff = unified(Path::new("f"), text, &out, &changes, CONTEXT_LINES);
        (out, diff)
    }

    fn diff(old: &str, new: &str, text: &str) -> String {
        String::from_utf8(changed(old, new, text.as_bytes()).1).unwrap()
    }

    #[test]
    fn two_changes_of_one_line_are_one_pair_of_lines() {
        assert_eq!(diff("a", "b", "a a\nc\n"), "--- f\n+++ f\n@@ -1,2 +1,2 @@\n-a a\n+b b\n c\n");
    }

    #[test]
    fn lines_next_to_each_other_are_changed_together() {
        assert_eq!(
            diff("a", "b", "a\na\na\n"),
            "--- f\n+++ f\n@@ -1,3 +1,3 @@\n-a\n-a\n-a\n+b\n+b\n+b\n"
        );
    }

    #[test]
    fn a_line_that_shrinks_and_grows_is_shown_as_it_ends_up() {
        let want = "--- f\n+++ f\n@@ -1 +1 @@\n-aaab\n\\ No newline at end of file\n\
                    +cbc\n\\ No newline at end of file\n";

        assert_eq!(diff("a*", "c", "aaab"), want);
    }

    #[test]
    fn changes_far_apart_are_two_hunks_with_right_numbers() {
        let text = "x\n1\n2\n3\n4\n5\n6\n7\nx\n";
        let want = "--- f\n+++ f\n@@ -1,4 +1,5 @@\n-x\n+y\n+z\n 1\n 2\n 3\n\
                    @@ -6,4 +7,5 @@\n 5\n 6\n 7\n-x\n+y\n+z\n";

        assert_eq!(diff("x", r"y\nz", text), want);
    }

    #[test]
    fn an_excerpt_has_one_change_and_the_numbers_of_its_lines() {
        let how = Excerpt { context: CONTEXT_LINES, lines_before: 0 };
        let text = b"1\n2\n3\n4\n5 a a\n6\n7\n8\n9";
        let want = "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5 a a\n+5 a b\n 6\n 7\n 8\n";
        assert_eq!(String::from_utf8(excerpt(text, 12..13, b"b", how)).unwrap(), want);

        let long = [b"x".repeat(5000), b"a".to_vec(), b"x".repeat(5000)].concat();
        let hunk = excerpt(&long, 5000..5001, b"b", how);
        assert!(hunk.len() < 1000 && memchr::memmem::find(&hunk, b"xbx").is_some());
    }

    #[test]
    fn a_missing_last_line_end_is_marked() {
        let want = "--- f\n+++ f\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n\
                    +b\n\\ No newline at end of file\n";

        assert_eq!(diff("a", "b", "a"), want);
    }

    #[test]
    fn a_file_that_becomes_empty_keeps_its_place() {
        assert_eq!(diff(r"a\n", "", "a\n"), "--- f\n+++ f\n@@ -1 +0,0 @@\n-a\n");
    }

    #[test]
    fn lines_that_did_not_change_are_not_shown_as_changed() {
        let want = "--- f\n+++ f\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n";

        assert_eq!(diff(r"a\nb\nc", r"a\nB\nc", "a\nb\nc\n"), want);
    }

    #[test]
    fn names_are_written_so_that_both_tools_read_them_back() {
        let claims = [
            ("plain.txt", "plain.txt"),
            ("with space", "with space\t"),
            (" lead", r#""\040lead""#),
            ("trail  ", r#""trail \040""#),
            ("q\"uote", r#""q\"uote""#),
            ("new\nline", r#""new\nline""#),
        ];
        for (name, want) in claims {
            assert_eq!(header_name(Path::new(name)), want.as_bytes());
        }
    }

    /// Applies a diff by its format, and checks every context line and every removed line.
    fn applied(old: &[u8], diff: &[u8]) -> Vec<u8> {
        let mut old_lines = old.split_inclusive(|&byte| byte == b'\n');
        let (mut out, mut taken) = (Vec::new(), 0);
        let mut lines = diff.split_inclusive(|&byte| byte == b'\n').skip(2).peekable();
        while let Some(line) = lines.next() {
            if let Some(header) = line.strip_prefix(b"@@ -") {
                let header = String::from_utf8(header.to_vec()).unwrap();
                let (start, count) = match header.split(' ').next().unwrap().split_once(',') {
                    Some((start, count)) => (start.parse::<usize>().unwrap(), count != "0"),
                    None => (header.split(' ').next().unwrap().parse().unwrap(), true),
                };
                let before = if count { start - 1 } else { start };
                for line in old_lines.by_ref().take(before - taken) {
                    out.extend_from_slice(line);
                }
                taken = before;
                continue;
            }
            let mut text = line[1..].to_vec();
            if lines.peek().is_some_and(|next| next.starts_with(b"\\")) {
                lines.next();
                text.pop();
            }
            if line[0] != b'+' {
                assert_eq!(old_lines.next(), Some(&text[..]), "context or removed line");
                taken += 1;
            }
            if line[0] != b'-' {
                out.extend_from_slice(&text);
            }
        }
        out.extend(old_lines.flatten());
        out
    }

    proptest! {
        #[test]
        fn a_diff_applied_gives_the_edited_bytes(
            text in "([ab]{0,2}(\r?\n)?){0,30}",
            old in prop::sample::select(vec![
                "a", "b+", r"\n", r"a\n", r"\na", "^", "$", r"\z", r"\A", r"(?s)a.b", "a*", r"\r", "^b\n",
            ]),
            new in prop::sample::select(vec!["", "c", r"\n", r"c\n", r"\nc", r"a\nb\nc\n", "$0$0"]),
        ) {
            let (edited, diff) = changed(old, new, text.as_bytes());

            prop_assert_eq!(applied(text.as_bytes(), &diff), edited);
        }
    }
}
