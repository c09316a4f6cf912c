//! Checks that an edit of text in any encoding comes to an end, keeps the bytes that do not match,
//! and treats UTF-16 by its units.
//!
//! The input is the label of an encoding, OLD, NEW and the text, separated by newlines.

#![no_main]

use libfuzzer_sys::fuzz_target;
use silkmill_replace::Options;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(4, |byte| *byte == b'\n');
    let (Some(label), Some(old), Some(new), Some(text)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    let label = String::from_utf8_lossy(label);
    let Ok(options) = Options::builder(old, new).encoding(label.clone()).build() else { return };
    // What the encoding cannot write is an error. A replacement that equals its match is no change.
    let Ok(edited) = options.edit(text) else { return };
    let (Ok(old), Ok(new)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else { return };
    match (text, &*label) {
        ([0xFF, 0xFE, text @ ..], _) => {
            check(&edited, &[0xFF, 0xFE], text, old, new, u16::to_le_bytes)
        }
        ([0xFE, 0xFF, text @ ..], _) => {
            check(&edited, &[0xFE, 0xFF], text, old, new, u16::to_be_bytes)
        }
        ([0xEF, 0xBB, 0xBF, ..], _) => {}
        (_, "utf-16le") => check(&edited, &[], text, old, new, u16::to_le_bytes),
        (_, "utf-16be") => check(&edited, &[], text, old, new, u16::to_be_bytes),
        _ => {}
    }
});

/// Replaces unit by unit, and compares.
fn check(
    edited: &Option<Vec<u8>>,
    mark: &[u8],
    text: &[u8],
    old: &str,
    new: &str,
    bytes: fn(u16) -> [u8; 2],
) {
    let units = |text: &str| text.encode_utf16().map(bytes).collect::<Vec<_>>();
    let (old, new) = (units(old), units(new).concat());
    let (mut rest, tail) = text.as_chunks::<2>();
    let mut want = mark.to_vec();
    while let Some((first, after)) = rest.split_first() {
        match rest.strip_prefix(&old[..]) {
            Some(after) => {
                want.extend_from_slice(&new);
                rest = after;
            }
            None => {
                want.extend_from_slice(first);
                rest = after;
            }
        }
    }
    want.extend_from_slice(tail);
    assert_eq!(edited.as_deref().unwrap_or(&[mark, text].concat()), want);
}
