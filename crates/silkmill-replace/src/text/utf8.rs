//! Recognizes text that is not UTF-8, and changes that may break a character of it. Pure.
//!
//! Where the encoding of a text is not known, a byte of ASCII behind one of 0x80 and more may be
//! the second half of a character: in Shift_JIS, GBK, Big5 and others, half of all characters end
//! in one. Bytes of 0x80 and more may spell a character of UTF-8 by chance. And new text in UTF-8
//! would be a second encoding beside the first.

use std::ops::Range;

use crate::text::edit::BOM;

/// The longest part of a character that is not complete, in bytes.
const PART_LEN_MAX: usize = 3;

/// Why a change may break a text that turns out not to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The match may begin or end within a character.
    Match,
    /// The new text is not ASCII.
    New,
}

impl Doubt {
    /// Returns what is doubtful about a change of these bytes, if anything.
    pub(crate) fn of(text: &[u8], old: &Range<usize>, new: &[u8]) -> Option<Doubt> {
        let before = old.start.checked_sub(1).map(|before| text[before]);
        // No character of any encoding that extends ASCII ends in a byte below 0x30: spaces, line
        // ends and most punctuation stand for themselves.
        let may_be_within = before.is_some_and(|before| !before.is_ascii())
            && text.get(old.start).is_some_and(|first| *first >= 0x30);
        if may_be_within || !text[old.clone()].is_ascii() {
            Some(Doubt::Match)
        } else if !new.is_ascii() {
            Some(Doubt::New)
        } else {
            None
        }
    }
}

/// Returns whether a file's bytes are text in an encoding that is not known. A mark says that it is
/// UTF-8, and a NUL that it is no text.
pub(crate) fn is_foreign(bytes: &[u8]) -> bool {
    let mut check = Utf8Check::default();
    check.see(bytes);
    check.is_foreign_at_end()
}

/// Checks a text piece by piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct Utf8Check {
    /// The bytes seen so far, up to the length of a mark.
    head: Vec<u8>,
    /// The beginning of a character at the end of what was seen.
    part: Vec<u8>,
    is_broken: bool,
    holds_nul: bool,
}

impl Utf8Check {
    /// Takes the next bytes.
    pub(crate) fn see(&mut self, bytes: &[u8]) {
        let in_head = bytes.len().min(BOM.len().saturating_sub(self.head.len()));
        self.head.extend_from_slice(&bytes[..in_head]);
        if self.is_broken {
            self.holds_nul = self.holds_nul || memchr::memchr(0, bytes).is_some();
            return;
        }
        let mut rest = bytes;
        while let ([_, ..], Some((first, after))) = (&self.part[..], rest.split_first()) {
            self.part.push(*first);
            match std::str::from_utf8(&self.part) {
                Ok(_) => self.part.clear(),
                Err(error) if error.error_len().is_some() => return self.break_at(bytes),
                Err(_) => {}
            }
            rest = after;
        }
        match std::str::from_utf8(rest) {
            Ok(text) => {
                self.holds_nul = self.holds_nul || memchr::memchr(0, text.as_bytes()).is_some()
            }
            Err(error) if error.error_len().is_none() => {
                let part = &rest[error.valid_up_to()..];
                debug_assert!(part.len() <= PART_LEN_MAX);
                self.part.extend_from_slice(part);
                self.holds_nul = self.holds_nul || memchr::memchr(0, rest).is_some();
            }
            Err(_) => self.break_at(bytes),
        }
    }

    fn break_at(&mut self, bytes: &[u8]) {
        self.is_broken = true;
        self.part.clear();
        self.holds_nul = self.holds_nul || memchr::memchr(0, bytes).is_some();
    }

    /// Returns whether what was seen is text in an encoding that is not known. The beginning of a
    /// character at its end may still be completed.
    pub(crate) fn is_foreign(&self) -> bool {
        self.is_broken && self.is_unmarked_text()
    }

    /// Returns the same when no more text follows.
    pub(crate) fn is_foreign_at_end(&self) -> bool {
        (self.is_broken || !self.part.is_empty()) && self.is_unmarked_text()
    }

    fn is_unmarked_text(&self) -> bool {
        !self.holds_nul && self.head != BOM
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_change_is_doubtful_beside_and_upon_bytes_that_are_not_ascii() {
        let doubt = |text: &[u8], old, new: &str| Doubt::of(text, &old, new.as_bytes());

        assert_eq!(doubt(b"\x95\\", 1..2, "/"), Some(Doubt::Match));
        assert_eq!(doubt(b"\xC3\xA9", 0..2, "e"), Some(Doubt::Match));
        assert_eq!(doubt(b"\x95\\ a", 2..2, "/"), None);
        assert_eq!(doubt(b"a\xE9", 0..1, "b"), None);
        assert_eq!(doubt(b"a\xE9", 0..1, "\u{e9}"), Some(Doubt::New));
    }

    #[test]
    fn a_mark_makes_a_text_utf_8_and_a_nul_makes_it_none() {
        let claims: &[(&[u8], bool)] = &[
            (b"", false),
            (b"caf\xC3\xA9", false),
            (b"caf\xE9", true),
            (b"caf\xE9 ", true),
            (b"\xEF\xBB\xBFcaf\xE9 ", false),
            (b"\0caf\xE9 ", false),
            (b"caf\xE9 \0", false),
        ];
        for (bytes, want) in claims {
            assert_eq!(is_foreign(bytes), *want, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_text_in_pieces_is_judged_as_the_whole_is(
            text in "[a\u{e9}\u{4e2d}\u{1F600}]{0,12}",
            broken in prop::option::of((0_usize..20, any::<u8>())),
            lens in prop::collection::vec(1_usize..5, 1..4),
        ) {
            let mut bytes = text.into_bytes();
            if let Some((at, byte)) = broken
                && at < bytes.len()
            {
                bytes[at] = byte;
            }
            let mut check = Utf8Check::default();
            let (mut rest, mut lens) = (&bytes[..], lens.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(*lens.next().unwrap()));
                check.see(piece);
                rest = after;
            }

            let is_text = !bytes.contains(&0) && !bytes.starts_with(BOM);
            let want = is_text && std::str::from_utf8(&bytes).is_err();
            prop_assert_eq!(check.is_foreign_at_end(), want);
            prop_assert_eq!(is_foreign(&bytes), want);
        }
    }
}
