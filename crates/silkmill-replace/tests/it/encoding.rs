//! Text that is not UTF-8 keeps every byte outside its matches.

use proptest::prelude::*;
use silkmill_replace::Options;

fn utf16(text: &str, big_endian: bool) -> Vec<u8> {
    let unit = |unit: u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
    std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(unit).collect()
}

fn edited(label: &str, old: &str, new: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let builder = Options::builder(old, new).regex(true).encoding(label);
    let edited = builder.build().unwrap().edit(bytes).map_err(|error| error.to_string())?;
    Ok(edited.unwrap_or_else(|| bytes.to_vec()))
}

#[test]
fn utf_16_is_known_by_its_mark_and_written_as_it_was() {
    for big_endian in [false, true] {
        let bytes = utf16("caf\u{e9} \u{1F600}\r\nx\n", big_endian);
        let want = utf16("CAF\u{c9}! \u{1F600}\r\nX!\n", big_endian);
        assert_eq!(edited("utf-8", r"^(\w+)", r"\U$1!", &bytes).unwrap(), want);
    }
}

#[test]
fn what_is_no_character_stays_and_is_no_text() {
    // An unpaired high surrogate, an `a`, an unpaired low one, and a byte too many.
    let bytes = b"\xFF\xFE\x00\xD8a\0\x01\xDC!";

    assert_eq!(edited("utf-8", "a", "b", bytes).unwrap(), b"\xFF\xFE\x00\xD8b\0\x01\xDC!");
    assert_eq!(edited("utf-8", ".", "b", bytes).unwrap(), b"\xFF\xFE\x00\xD8b\0\x01\xDC!");
    // A group that captures a surrogate writes it again.
    let with_bytes = r"(?s-u:(..)a)";
    let error = edited("utf-8", with_bytes, "$1", bytes).unwrap_err();
    assert!(error.ends_with("a match begins or ends within a character"), "{error}");
    let doubled = edited("utf-8", r"(?s-u:(...)a)", "$1$1", bytes).unwrap();
    assert_eq!(doubled, b"\xFF\xFE\x00\xD8\x00\xD8\x01\xDC!");
}

#[test]
fn other_encodings_are_named() {
    assert_eq!(edited("latin1", "\u{e9}t", "\u{e8}", b"\xE9t\xE9\x81").unwrap(), b"\xE8\xE9\x81");
    // The second byte of this character is a backslash.
    let ban = b"\x95\x5C\\\x95\x5C\xFF\\";
    assert_eq!(edited("shift_jis", r"\\", "/", ban).unwrap(), b"\x95\x5C/\x95\x5C\xFF/");
    assert_eq!(
        edited("gb18030", "\u{4e2d}", "\u{1F600}", b"a\xD6\xD0").unwrap(),
        b"a\x94\x39\xFC\x36"
    );
    assert_eq!(edited("utf-16be", "a", "b", b"\0a\0c").unwrap(), b"\0b\0c");
    // This code decodes to two characters.
    assert_eq!(edited("big5", "x", "y", b"x\x88\x62x").unwrap(), b"y\x88\x62y");
}

#[test]
fn what_an_encoding_cannot_write_is_an_error() {
    let error = edited("latin1", "a", "\u{20ac}\u{4e2d}", b"a").unwrap_err();
    assert!(
        error.ends_with("it would hold '\u{4e2d}', which windows-1252 cannot write"),
        "{error}"
    );
    let error = edited("utf-16le", "a", r"\xFF", b"a\0").unwrap_err();
    assert!(error.ends_with("no text, which UTF-16LE cannot write"), "{error}");
    // The escape that leads to the second character's state is before the first character.
    let error = edited("iso-2022-jp", "\u{3042}", "a", b"\x1B$B$\"$$\x1B(B").unwrap_err();
    assert!(error.contains("ISO-2022-JP"), "{error}");
}

proptest! {
    #[test]
    fn utf_16_is_edited_as_its_units_are(
        text in prop::collection::vec(
            prop::sample::select(vec![0x61, 0x62, 0x0A, 0xE9, 0x4E2D, 0xD83D, 0xDE00, 0xFEFF]), 0..30,
        ),
        old in "[ab\u{e9}\u{4e2d}\u{1F600}\n]{1,2}",
        new in "[ab\u{e9}\u{1F600}]{0,3}",
        big_endian: bool,
        tail in prop::option::of(any::<u8>()),
    ) {
        let bytes_of = |units: &[u16]| {
            let bytes = |&unit: &u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
            let mut all: Vec<u8> = units.iter().flat_map(bytes).collect();
            all.extend(tail);
            all
        };
        let old_units: Vec<u16> = old.encode_utf16().collect();
        let (mut want, mut rest) = (vec![0xFEFF], &text[..]);
        while let Some((&first, after)) = rest.split_first() {
            if let Some(after) = rest.strip_prefix(&old_units[..]) {
                want.extend(new.encode_utf16());
                rest = after;
            } else {
                want.push(first);
                rest = after;
            }
        }
        let marked: Vec<u16> = std::iter::once(0xFEFF).chain(text).collect();

        let options = Options::builder(old, new).build().unwrap();
        let bytes = bytes_of(&marked);
        let got = options.edit(&bytes).unwrap().unwrap_or(bytes);
        prop_assert_eq!(got, bytes_of(&want));
    }
}
