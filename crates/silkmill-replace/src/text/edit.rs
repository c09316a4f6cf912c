//! Edits bytes. Never touches the disk: see [`crate::transaction::stage`].

use std::ops::Range;

use crate::pattern::fancy::TooManySteps;
use crate::pattern::{Cache, Match, Pattern};

/// How long a text may become, in bytes. A one-byte match with a long replacement could fill any
/// memory.
pub(crate) const EDITED_SIZE_MAX: usize = 2 << 30;

/// The byte order mark of a UTF-8 file, which is not part of its text.
pub(crate) const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One replacement: the range of the old bytes, and that of the new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) old: Range<usize>,
    pub(crate) new: Range<usize>,
}

/// Why a text is not edited.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EditError {
    /// The edited text would be longer than [`EDITED_SIZE_MAX`].
    TooLarge,
    /// The search took more steps than it may.
    TooManySteps,
}

/// Returns where the text of a file begins: after its byte order mark.
pub(crate) fn text_start(bytes: &[u8]) -> usize {
    if bytes.starts_with(BOM) { BOM.len() } else { 0 }
}

/// Writes what the bytes of a file become to `out`, and calls `seen` with every change and its new
/// text, from left to right. Returns how many changes there are, at most `limit`. If there is none,
/// `out` holds nothing of use. The file's text begins at `start`.
///
/// A match that equals its replacement is no change.
pub(crate) fn edit_from(
    start: usize,
    pattern: &Pattern,
    cache: &mut Cache,
    text: &[u8],
    limit: u64,
    out: &mut Vec<u8>,
    seen: impl FnMut(Change, &[u8]),
) -> Result<u64, EditError> {
    let (count, undecided) = (0, 0);
    let mut editor =
        Editor { text, start, copied: None, out, count, undecided, too_large: false, seen };
    if limit > 0 {
        let searched = pattern.for_each_match(cache, &text[start..], |found| {
            editor.replace(&found) && editor.count < limit
        });
        cache.note_undecided(editor.undecided);
        searched.map_err(|TooManySteps| EditError::TooManySteps)?;
    }
    editor.finish()
}

/// Edits bytes that need no decoding.
#[cfg(test)]
pub(crate) fn edit(
    pattern: &Pattern,
    cache: &mut Cache,
    text: &[u8],
    limit: u64,
    out: &mut Vec<u8>,
    seen: impl FnMut(Change, &[u8]),
) -> Result<u64, EditError> {
    edit_from(text_start(text), pattern, cache, text, limit, out, seen)
}

struct Editor<'a, F> {
    text: &'a [u8],
    /// Where the pattern's text begins within the file's.
    start: usize,
    /// How much of the file's text is in `out`, edited. `None` before the first match: most files
    /// have none, and are never copied.
    copied: Option<usize>,
    out: &'a mut Vec<u8>,
    count: u64,
    /// Names whose style cannot be told.
    undecided: u64,
    too_large: bool,
    seen: F,
}

impl<F: FnMut(Change, &[u8])> Editor<'_, F> {
    /// Returns whether to go on.
    fn replace(&mut self, found: &Match<'_>) -> bool {
        self.undecided += u64::from(found.is_undecided());
        let old = found.span.start + self.start..found.span.end + self.start;
        let copied = self.copied.unwrap_or_else(|| {
            self.out.clear();
            self.out.reserve(self.text.len());
            0
        });
        self.out.extend_from_slice(&self.text[copied..old.start]);
        let new_start = self.out.len();
        found.write(self.out);
        self.copied = Some(old.end);
        let new = new_start..self.out.len();
        if self.out[new.clone()] != self.text[old.clone()] {
            self.count += 1;
            (self.seen)(Change { old, new: new.clone() }, &self.out[new]);
        }
        self.too_large = self.out.len() > EDITED_SIZE_MAX;
        !self.too_large
    }

    fn finish(self) -> Result<u64, EditError> {
        if self.too_large {
            return Err(EditError::TooLarge);
        }
        if let Some(copied) = self.copied.filter(|_| self.count > 0) {
            self.out.extend_from_slice(&self.text[copied..]);
        }
        if self.count > 0 && self.out.len() > EDITED_SIZE_MAX {
            Err(EditError::TooLarge)
        } else {
            Ok(self.count)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::syntax::{Case, Syntax};
    use proptest::prelude::*;

    fn edited(old: &[u8], new: &[u8], syntax: Syntax, text: &[u8]) -> (Vec<u8>, u64) {
        edited_up_to(u64::MAX, old, new, syntax, text)
    }

    fn edited_up_to(
        limit: u64,
        old: &[u8],
        new: &[u8],
        syntax: Syntax,
        text: &[u8],
    ) -> (Vec<u8>, u64) {
        let pattern = Pattern::new(old.to_vec(), new.to_vec(), syntax).unwrap();
        let mut out = b"left from the file before".to_vec();
        let mut changes = Vec::new();
        let count =
            edit(&pattern, &mut pattern.cache(), text, limit, &mut out, |c, _| changes.push(c))
                .unwrap();
        assert_eq!(changes.len() as u64, count);
        for change in &changes {
            assert_ne!(text[change.old.clone()], out[change.new.clone()]);
        }
        if count == 0 { (text.to_vec(), 0) } else { (out, count) }
    }

    #[test]
    fn bytes_outside_the_matches_stay_whatever_they_are() {
        let text = b"\xEF\xBB\xBFold\r\n\xFF\xFEold\rold";
        let want = b"\xEF\xBB\xBFnew\r\n\xFF\xFEnew\rnew";

        assert_eq!(edited(b"old", b"new", Syntax::default(), text), (want.to_vec(), 3));
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        assert_eq!(edited(b"^a", b"b", Syntax::REGEX, b"\xEF\xBB\xBFa").0, b"\xEF\xBB\xBFb");
        assert_eq!(edited(b"\xEF\xBB\xBF", b"", Syntax::default(), b"\xEF\xBB\xBFa").1, 0);
    }

    #[test]
    fn a_replacement_that_contains_the_pattern_is_not_matched_again() {
        let edited = edited(b"foo", b"foofoo", Syntax::default(), b"foo foo");

        assert_eq!(edited, (b"foofoo foofoo".to_vec(), 2));
    }

    #[test]
    fn a_match_that_reads_as_its_replacement_is_no_change() {
        let syntax = Syntax { case: Case::Insensitive, ..Syntax::default() };

        assert_eq!(edited(b"foo", b"foo", syntax, b"foo Foo foo"), (b"foo foo foo".to_vec(), 1));
        assert_eq!(edited(b"foo", b"foo", syntax, b"foo foo").1, 0);
    }

    #[test]
    fn a_limit_counts_changes() {
        let syntax = Syntax { case: Case::Insensitive, ..Syntax::default() };

        assert_eq!(edited_up_to(1, b"a", b"a", syntax, b"aAA").0, b"aaA");
        assert_eq!(edited_up_to(0, b"a", b"b", syntax, b"aAA").1, 0);
    }

    #[test]
    fn anchors_insert_at_every_line_and_nowhere_else() {
        assert_eq!(edited(b"^", b"> ", Syntax::REGEX, b"a\r\nb\n").0, b"> a\r\n> b\n");
        assert_eq!(edited(b"$", b";", Syntax::REGEX, b"a\r\nb\n").0, b"a;\r\nb;\n");
        assert_eq!(edited(b"^", b"> ", Syntax::REGEX, b"a\nb").0, b"> a\n> b");
    }

    proptest! {
        #[test]
        fn a_literal_edit_is_what_str_replace_does(
            text in "[ab\u{e9}\n]{0,40}", old in "[ab\u{e9}\n]{1,3}", new in "[abc\n]{0,3}",
        ) {
            let want = text.replace(&old, &new);

            let (got, _) = edited(old.as_bytes(), new.as_bytes(), Syntax::default(), text.as_bytes());
            prop_assert_eq!(String::from_utf8(got).unwrap(), want);
        }

        #[test]
        fn a_multiline_regex_edit_is_what_replace_all_does_to_the_lines(
            text in "[ab \u{e9}\r\n]{0,30}",
            old in prop::sample::select(vec![
                "a*", "(a)(b?)", "^", "$", "b|", r"\s*", r"\ba", "a.b", r"\r?\n", "(?s)a.*?b", r"\z",
            ]),
            new in prop::sample::select(vec!["", "x", "${0}${0}", "<$0>"]),
        ) {
            let plain = regex::RegexBuilder::new(old).multi_line(true).crlf(true).build().unwrap();
            let want = plain.replace_all(&text, |groups: &regex::Captures<'_>| {
                let found = groups.get(0).unwrap();
                let (before, after) = text.split_at(found.start());
                let on_no_line = found.is_empty() && old != r"\z"
                    && (after.is_empty() && (before.is_empty() || before.ends_with(['\r', '\n']))
                        || before.ends_with('\r') && after.starts_with('\n'));
                let mut becomes = String::new();
                if !on_no_line {
                    groups.expand(new, &mut becomes);
                }
                becomes
            });

            let syntax = Syntax { multiline: true, ..Syntax::REGEX };
            let (got, _) = edited(old.as_bytes(), new.as_bytes(), syntax, text.as_bytes());
            prop_assert_eq!(String::from_utf8(got).unwrap(), want);
        }

        #[test]
        fn a_regex_within_lines_is_what_replace_all_does_to_each_line(
            lines in prop::collection::vec("[ab \u{e9}]{0,8}", 0..6),
            end in prop::sample::select(vec!["\n", "\r\n"]),
            last in "[ab]{0,3}",
            old in prop::sample::select(vec!["a*", "^", "$", "b|", r"\s*", r"[^a]+", "a.*", "^$"]),
        ) {
            let plain = regex::Regex::new(old).unwrap();
            let replaced = |line: &str| plain.replace_all(line, "<$0>").into_owned();
            let mut text: String = lines.iter().map(|line| format!("{line}{end}")).collect();
            let mut want: String =
                lines.iter().map(|line| format!("{}{end}", replaced(line))).collect();
            text.push_str(&last);
            if !last.is_empty() {
                want.push_str(&replaced(&last));
            }

            let (got, _) = edited(old.as_bytes(), b"<$0>", Syntax::REGEX, text.as_bytes());
            prop_assert_eq!(String::from_utf8(got).unwrap(), want);
        }
    }
}
