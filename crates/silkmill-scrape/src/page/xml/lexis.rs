//! The characters and names of XML 1.0 (fifth edition, productions 2, 4 and 4a).

use std::borrow::Cow;

/// Turns every line end into a line feed, as XML does before it parses (section 2.11).
pub(super) fn with_line_feeds(text: &str) -> Cow<'_, str> {
    match memchr::memchr(b'\r', text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")),
    }
}

/// Returns the first character that no XML document may have, and where it is.
pub(super) fn first_forbidden(text: &str) -> Option<(usize, char)> {
    // Nearly every byte is decided by this one comparison: what is forbidden is a control character
    // or U+FFFE or U+FFFF, which start with the byte EF.
    let mut from = 0;
    loop {
        let suspect = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n') || *byte == 0xef;
        let at = from + text.as_bytes()[from..].iter().position(suspect)?;
        let char = text[at..].chars().next()?;
        if !is_char(char) {
            return Some((at, char));
        }
        from = at + char.len_utf8();
    }
}

/// Tells whether a document may have the character.
pub(super) fn is_char(char: char) -> bool {
    !matches!(char, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// Tells whether a text is the name of an element or an attribute.
pub(super) fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
}

/// Splits a name at its prefix. A name with a colon in a strange place has none.
pub(super) fn split_prefix(name: &str) -> (&str, &str) {
    match name.split_once(':') {
        Some((prefix, local)) if !prefix.is_empty() && is_name(local) && !local.contains(':') => {
            (prefix, local)
        }
        _ => ("", name),
    }
}

pub(super) fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r')
}

fn is_name_start(char: char) -> bool {
    matches!(char,
        'a'..='z' | 'A'..='Z' | '_' | ':'
        | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}'
        | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}'
        | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

fn is_name_char(char: char) -> bool {
    is_name_start(char)
        || matches!(char,
            '0'..='9' | '-' | '.' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_line_end_is_a_line_feed() {
        assert_eq!(with_line_feeds("a\r\nb\rc\nd\r"), "a\nb\nc\nd\n");
    }

    #[test]
    fn names_are_those_of_xml() {
        for name in ["a", "_", "größe", "価格", "a-1.b", "x:y", "a\u{300}"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1a", "-a", ".a", "a b", "a&", "a/", "\u{300}a"] {
            assert!(!is_name(name), "{name}");
        }
        assert_eq!(split_prefix("dc:creator"), ("dc", "creator"));
        for name in ["creator", ":creator", "dc:", "a:b:c", "a:1"] {
            assert_eq!(split_prefix(name), ("", name));
        }
    }

    proptest! {
        #[test]
        fn the_first_forbidden_character_is_found(text in "[ -~é中\u{ef}\u{feff}\u{fffd}\u{fffe}\0\t\n\u{8}]{0,20}") {
            let plain = text.char_indices().find(|(_, char)| !is_char(*char));
            prop_assert_eq!(first_forbidden(&text), plain);
        }
    }
}
