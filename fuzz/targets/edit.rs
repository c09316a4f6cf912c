//! Checks that any file is edited as a naive replacement would edit it, and that any regex comes to
//! an end.
//!
//! The input is flags, OLD, NEW and the text, separated by newlines.

#![no_main]

use libfuzzer_sys::fuzz_target;
use silkmill_replace::Options;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(4, |byte| *byte == b'\n');
    let (Some(flags), Some(old), Some(new), Some(text)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    if matches!(text, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]) {
        // UTF-16 is the subject of another target.
        return;
    }
    let regex = flags.contains(&b'e');
    let builder = Options::builder(old, new).regex(regex).multiline(flags.contains(&b'U'));
    let builder = builder.word(flags.contains(&b'w'));
    let Ok(options) = builder.clone().encoding("bytes").build() else { return };
    let edited = options.edit(text).expect("the text is small");
    let guarded = builder.build().expect("the encoding does not matter to the words").edit(text);
    match guarded {
        Ok(guarded) => assert_eq!(guarded, edited),
        Err(_) => assert!(std::str::from_utf8(text).is_err(), "UTF-8 is edited in any case"),
    }
    if !regex && !flags.contains(&b'w') {
        assert_eq!(edited.as_deref().unwrap_or(text), naive(text, old, new));
    }
});

/// Replaces byte by byte. A byte order mark is not part of the text.
fn naive(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mark = b"\xEF\xBB\xBF";
    let (mut out, mut rest) = match text.strip_prefix(mark) {
        Some(rest) => (mark.to_vec(), rest),
        None => (Vec::new(), text),
    };
    while let Some((first, after)) = rest.split_first() {
        match rest.strip_prefix(old) {
            Some(after) => {
                out.extend_from_slice(new);
                rest = after;
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}
