//! Any bytes decode, in an encoding with a name, and UTF-8 that is declared as such decodes to
//! itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use silkmill_scrape::charset::decode;

fuzz_target!(|body: &[u8]| {
    let guessed = decode(body, None);
    assert!(!guessed.charset.is_empty());
    assert_eq!(guessed.charset, guessed.charset.to_ascii_lowercase());

    let header = body.iter().position(|byte| *byte == b'\n').map(|end| body.split_at(end));
    if let Some((header, body)) = header
        && let Ok(header) = std::str::from_utf8(header)
    {
        decode(body, Some(header));
    }

    let has_mark =
        [&b"\xEF\xBB\xBF"[..], b"\xFE\xFF", b"\xFF\xFE"].iter().any(|mark| body.starts_with(mark));
    if let Ok(text) = std::str::from_utf8(body)
        && !has_mark
    {
        let told = decode(body, Some("text/html; charset=utf-8"));
        assert_eq!((&*told.text, told.charset), (text, "utf-8"));
    }
});
