//! Texts in pieces are edited as the whole is, by either engine.

use super::*;
use crate::pattern::syntax::{Case, Syntax};
use crate::text::edit::edit;
use proptest::prelude::*;

/// Edits the text in pieces of these lengths, in turn.
fn streamed(pattern: &Pattern, text: &[u8], lens: &[usize], limit: u64) -> (Vec<u8>, u64) {
    let mut cache = pattern.cache();
    let mut stream = Stream::new(pattern, &mut cache, limit).unwrap();
    let mut out = Vec::new();
    let mut pass = |piece: Piece<'_>| {
        let (Piece::Same(bytes) | Piece::New(bytes)) = piece;
        out.extend_from_slice(bytes);
        Ok(())
    };
    let (mut rest, mut lens) = (text, lens.iter().cycle());
    while !rest.is_empty() {
        let room = stream.room().unwrap();
        let len = (*lens.next().unwrap()).min(rest.len()).min(room.len());
        room[..len].copy_from_slice(&rest[..len]);
        rest = &rest[len..];
        stream.advance(len, &mut pass).unwrap();
    }
    stream.finish(&mut pass).unwrap();
    let count = stream.count();
    (out, count)
}

fn whole(pattern: &Pattern, text: &[u8], limit: u64) -> (Vec<u8>, u64) {
    let mut out = Vec::new();
    let count = edit(pattern, &mut pattern.cache(), text, limit, &mut out, |_, _| ()).unwrap();
    if count == 0 { (text.to_vec(), 0) } else { (out, count) }
}

#[test]
fn a_line_longer_than_the_largest_window_is_refused_and_a_literal_has_no_lines() {
    let line = vec![b'x'; WINDOW_LEN_MAX + 1];
    let regex = Pattern::of_texts(&[("x+$", "y")], Syntax::REGEX);
    let mut cache = regex.cache();
    let mut stream = Stream::new(&regex, &mut cache, u64::MAX).unwrap();
    let mut rest = &line[..];
    let refused = loop {
        match stream.room() {
            Ok(room) => {
                let len = room.len().min(rest.len());
                room[..len].copy_from_slice(&rest[..len]);
                rest = &rest[len..];
                stream.advance(len, |_| Ok(())).unwrap();
            }
            Err(LineTooLong) => break true,
        }
        if rest.is_empty() {
            break false;
        }
    };
    assert!(refused);

    let literal = Pattern::of_texts(&[("xx", "y")], Syntax::default());
    let (out, count) = streamed(&literal, &line, &[WINDOW_LEN], u64::MAX);
    assert_eq!((out.len(), count), (WINDOW_LEN_MAX / 2 + 1, WINDOW_LEN_MAX as u64 / 2));
}

#[test]
fn bare_returns_end_lines_where_no_newline_does() {
    let text = b"old text\r".repeat(WINDOW_LEN_MAX / 4);
    let regex = Pattern::of_texts(&[("^old", "new"), ("t$", "T")], Syntax::REGEX);

    let (out, count) = streamed(&regex, &text, &[100_000], u64::MAX);

    assert_eq!(count, WINDOW_LEN_MAX as u64 / 2);
    assert!(out.starts_with(b"new texT\rnew texT\r") && out.ends_with(b"new texT\r"));
}

#[test]
fn whole_lines_are_passed_on_at_once() {
    for pattern in [
        Pattern::of_texts(&[("old", "new")], Syntax::default()),
        Pattern::of_texts(&[("o.*", "new")], Syntax::REGEX),
    ] {
        let mut cache = pattern.cache();
        let mut stream = Stream::new(&pattern, &mut cache, u64::MAX).unwrap();
        let mut out = Vec::new();
        stream.room().unwrap()[..6].copy_from_slice(b"old\nol");
        stream
            .advance(6, |piece| {
                let (Piece::Same(bytes) | Piece::New(bytes)) = piece;
                out.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
        assert_eq!(out, b"new\n");
    }
}

#[test]
fn a_regex_that_needs_the_whole_text_is_not_streamed() {
    for (regex, multiline) in [(r"\Aa", false), (r"a\z", false), ("a", true)] {
        let pattern = Pattern::of_texts(&[(regex, "")], Syntax { multiline, ..Syntax::REGEX });
        assert!(Stream::new(&pattern, &mut pattern.cache(), 1).is_none(), "{regex}");
    }
}

proptest! {
    #[test]
    fn literals_in_pieces_are_edited_as_the_whole_is(
        text in "(\u{feff})?(ab|ba|a|b|B|\u{e9}|-| |_|\r|\n|\r\n){0,40}",
        broken in prop::option::of(0_usize..40),
        pairs in prop::collection::hash_map("[abB\u{e9}\r\n-]{1,4}", "[ab\n]{0,3}", 1..5),
        lens in prop::collection::vec(1_usize..9, 1..5),
        limit in prop::sample::select(vec![0, 1, 3, u64::MAX]),
        insensitive: bool,
        word: bool,
    ) {
        let case = if insensitive { Case::Insensitive } else { Case::Sensitive };
        let mut pairs: Vec<_> = pairs.iter().map(|(old, new)| (&**old, &**new)).collect();
        // Texts that are equal when case is ignored are refused.
        let mut seen = std::collections::HashSet::new();
        pairs.retain(|(old, _)| !insensitive || seen.insert(old.to_lowercase()));
        let pattern = Pattern::of_texts(&pairs, Syntax { case, word, ..Syntax::default() });
        let mut text = text.into_bytes();
        if let Some(byte) = broken.and_then(|at| text.get_mut(at)) {
            *byte = 0xE9;
        }

        prop_assert_eq!(streamed(&pattern, &text, &lens, limit), whole(&pattern, &text, limit));
    }

    #[test]
    fn regexes_in_pieces_are_edited_as_the_whole_is(
        text in "(\u{feff})?(ab|ba|a|b|\u{e9}|-| |\r|\n|\r\n){0,40}",
        pairs in prop::sample::subsequence(
            vec![
                ("^", "> "), ("$", ";"), ("a*", "<$0>"), (r"\bb", "B"), (r"(a)(b)?", "$2$1"),
                (r"\s+$", ""), ("[^a]+", "_"), ("^$", "-"), (r"\w+", r"\u$0"), ("(?s).", "."),
                ("(?-u:\\xC3)", "?"), ("b|", "|"), ("-", r"<\n>"), ("ba", r"\r\n\x0A"),
            ],
            1..4,
        ),
        lens in prop::collection::vec(1_usize..9, 1..5),
        limit in prop::sample::select(vec![1, 3, u64::MAX]),
        word: bool,
    ) {
        let pattern = Pattern::of_texts(&pairs, Syntax { word, ..Syntax::REGEX });
        let text = text.as_bytes();

        prop_assert_eq!(streamed(&pattern, text, &lens, limit), whole(&pattern, text, limit));
    }

    #[test]
    fn regexes_that_backtrack_in_pieces_are_edited_as_the_whole_is(
        text in "(\u{feff})?(ab|ba|a|b|\u{e9}|-| |\r|\n|\r\n){0,40}",
        pairs in prop::sample::subsequence(
            vec![
                ("(?<=a)b", "B"), ("a(?!b)", "<$0>"), (r"(\w)\1", "$1"), (r"^\K", "> "),
                (r"(?<!\s)$", ";"), (r"-\K[^-]", r"\n"), ("(?>b+)", "_"), ("(?<![ab])", "|"),
            ],
            1..4,
        ),
        lens in prop::collection::vec(1_usize..9, 1..5),
        limit in prop::sample::select(vec![1, 3, u64::MAX]),
        word: bool,
    ) {
        let pattern = Pattern::of_texts(&pairs, Syntax { word, ..Syntax::FANCY });
        let text = text.as_bytes();

        prop_assert_eq!(streamed(&pattern, text, &lens, limit), whole(&pattern, text, limit));
    }

    #[test]
    fn both_engines_find_the_same(
        text in "(\u{feff})?(ab|ba|a|b|\u{e9}|-| |\r|\n|\r\n){0,40}",
        pairs in prop::sample::subsequence(
            vec![
                ("^", "> "), ("$", ";"), ("a*", "<$0>"), (r"\bb", "B"), (r"(a)(b)?", "$2$1"),
                (r"\s+$", ""), ("[^a]+", "_"), ("^$", "-"), (r"\w+", r"\u$0"), ("(?s).", "."),
                ("b|", "|"), ("-", r"<\n>"), ("ba", r"\r\n\x0A"), (r"\Aa", "A"), (r"b\z", "Z"),
            ],
            1..4,
        ),
        multiline: bool,
        word: bool,
    ) {
        let linear = Pattern::of_texts(&pairs, Syntax { word, multiline, ..Syntax::REGEX });
        let fancy = Pattern::of_texts(&pairs, Syntax { word, multiline, ..Syntax::FANCY });
        let text = text.as_bytes();

        prop_assert_eq!(whole(&fancy, text, u64::MAX), whole(&linear, text, u64::MAX));
    }
}
