//! Writes a name in other styles: `old_name`, `OldName`, `OLD_NAME`, `old-name`, `Old name`.
//!
//! A name of one word looks the same in several styles. Then the style of the new name, as the user
//! wrote it, decides: `colour` to `paint_colour` makes `Colour` a `PaintColour`, and to
//! `paint-colour` a `Paint-Colour`.

use std::collections::HashSet;

use crate::error::Error;
use crate::pattern::pairs::Pair;

/// The separators between the words of a name.
const SEPARATORS: [char; 3] = ['_', '-', ' '];

#[derive(Clone, Copy, Debug)]
enum Style {
    /// `old_name`
    Snake,
    /// `OLD_NAME`
    ScreamingSnake,
    /// `oldName`
    Camel,
    /// `OldName`
    Pascal,
    /// `old-name`
    Kebab,
    /// `Old-Name`
    Train,
    /// `OLD-NAME`
    ScreamingKebab,
    /// `old name`
    Words,
    /// `Old name`
    Sentence,
    /// `Old Name`
    Title,
    /// `OLD NAME`
    ScreamingWords,
}

use Style::{
    Camel, Kebab, Pascal, ScreamingKebab, ScreamingSnake, ScreamingWords, Sentence, Snake, Title,
    Train, Words,
};

const SNAKE: [Style; 4] = [Snake, ScreamingSnake, Camel, Pascal];
const CAMEL: [Style; 4] = [Camel, Pascal, ScreamingSnake, Snake];
const KEBAB: [Style; 3] = [Kebab, Train, ScreamingKebab];
const WORDS: [Style; 4] = [Words, Sentence, ScreamingWords, Title];

/// Returns the variants of the pairs in other styles, without those whose OLD is given or comes
/// from an earlier pair.
pub(crate) fn variants(pairs: &[Pair]) -> Result<Vec<Pair>, Error> {
    let mut seen: HashSet<Vec<u8>> = pairs.iter().map(|pair| pair.old.clone()).collect();
    let mut variants = Vec::new();
    for pair in pairs {
        let text = |bytes, what| {
            let words = || Error::pattern(format!("{what} is not UTF-8, and so has no words"));
            std::str::from_utf8(bytes).map_err(|_| pair.error(words()))
        };
        let (old, new) = (Name::new(text(&pair.old, "OLD")?), Name::new(text(&pair.new, "NEW")?));
        for style in new.styles() {
            let (old, new) = (old.written(style).into_bytes(), new.written(style).into_bytes());
            if seen.insert(old.clone()) {
                variants.push(Pair { old, new, place: pair.place.clone() });
            }
        }
    }
    Ok(variants)
}

/// A name and its words.
struct Name<'a> {
    text: &'a str,
    /// The separators at its ends, which are kept.
    before: &'a str,
    after: &'a str,
    words: Vec<&'a str>,
}

impl Name<'_> {
    fn new(text: &str) -> Name<'_> {
        let rest = text.trim_start_matches(SEPARATORS);
        let inner = rest.trim_end_matches(SEPARATORS);
        let before = &text[..text.len() - rest.len()];
        let after = &rest[inner.len()..];
        let words = inner.split(SEPARATORS).flat_map(humps).collect();
        Name { text, before, after, words }
    }

    /// Returns all styles, beginning with those that go with the name as the user wrote it.
    fn styles(&self) -> impl Iterator<Item = Style> {
        let inner = &self.text[self.before.len()..self.text.len() - self.after.len()];
        let mut families: [&'static [Style]; 4] = [&SNAKE, &CAMEL, &KEBAB, &WORDS];
        let own = match inner.find(SEPARATORS).map(|at| inner.as_bytes()[at]) {
            Some(b'_') => 0,
            Some(b'-') => 2,
            Some(_) => 3,
            None if self.words.len() > 1 => 1,
            None => 0,
        };
        families[..=own].rotate_right(1);
        families.into_iter().flatten().copied()
    }

    fn written(&self, style: Style) -> String {
        let separator = match style {
            Snake | ScreamingSnake => "_",
            Camel | Pascal => "",
            Kebab | Train | ScreamingKebab => "-",
            Words | Sentence | Title | ScreamingWords => " ",
        };
        let word = |(place, word): (usize, &&str)| match style {
            Snake | Kebab | Words => word.to_lowercase(),
            ScreamingSnake | ScreamingKebab | ScreamingWords => word.to_uppercase(),
            Camel | Sentence if (place == 0) == matches!(style, Camel) => word.to_lowercase(),
            Camel | Pascal | Train | Title | Sentence => capitalized(word),
        };
        let words: Vec<String> = self.words.iter().enumerate().map(word).collect();
        format!("{}{}{}", self.before, words.join(separator), self.after)
    }
}

/// Splits `oldName`, `OldName` and `HTTPName` into words. Digits belong to the word before them.
fn humps(text: &str) -> Vec<&str> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let starts_hump = |place: usize| {
        let (before, this) = (chars[place - 1].1, chars[place].1);
        let next_is_lower = chars.get(place + 1).is_some_and(|(_, next)| next.is_lowercase());
        this.is_uppercase() && (!before.is_uppercase() || next_is_lower)
    };
    let mut humps = Vec::new();
    let mut start = 0;
    for place in 1..chars.len() {
        if starts_hump(place) {
            humps.push(&text[start..chars[place].0]);
            start = chars[place].0;
        }
    }
    if start < text.len() {
        humps.push(&text[start..]);
    }
    humps
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(chars.as_str().to_lowercase().chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(old: &str, new: &str) -> Vec<(String, String)> {
        let pair = Pair { old: old.into(), new: new.into(), place: None };
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let variants = variants(&[pair]).unwrap().into_iter();
        variants.map(|pair| (text(pair.old), text(pair.new))).collect()
    }

    #[test]
    fn every_style_becomes_the_same_style() {
        let want = [
            ("OLD_NAME", "NEW_LONG_NAME"),
            ("oldName", "newLongName"),
            ("OldName", "NewLongName"),
            ("old-name", "new-long-name"),
            ("Old-Name", "New-Long-Name"),
            ("OLD-NAME", "NEW-LONG-NAME"),
            ("old name", "new long name"),
            ("Old name", "New long name"),
            ("OLD NAME", "NEW LONG NAME"),
            ("Old Name", "New Long Name"),
        ];
        let want: Vec<_> = want.map(|(old, new)| (old.to_owned(), new.to_owned())).into();

        assert_eq!(made("old_name", "new_long_name"), want);
        for typed in ["oldName", "OldName", "old-name", "OLD_NAME", "Old name", "Old-Name"] {
            let made = made(typed, "new_long_name");
            assert!(want.iter().filter(|pair| pair.0 != typed).all(|pair| made.contains(pair)));
        }
    }

    #[test]
    fn one_word_takes_the_styles_of_the_new_name() {
        let claims = [
            ("new_name", [("COLOUR", "NEW_NAME"), ("Colour", "NewName")]),
            ("newName", [("Colour", "NewName"), ("COLOUR", "NEW_NAME")]),
            ("new-name", [("Colour", "New-Name"), ("COLOUR", "NEW-NAME")]),
            ("new name", [("Colour", "New name"), ("COLOUR", "NEW NAME")]),
            ("color", [("COLOUR", "COLOR"), ("Colour", "Color")]),
        ];
        for (new, want) in claims {
            let want = want.map(|(old, new)| (old.to_owned(), new.to_owned()));
            assert_eq!(made("colour", new), want, "{new}");
        }
    }

    #[test]
    fn words_are_parted_where_a_reader_parts_them() {
        let claims: [(&str, &[&str]); 6] = [
            ("oldName", &["old", "Name"]),
            ("HTTPServer2D", &["HTTP", "Server2", "D"]),
            ("utf8_name", &["utf8", "name"]),
            ("\u{c9}t\u{e9}Fin", &["\u{c9}t\u{e9}", "Fin"]),
            ("__init__", &["init"]),
            ("--", &[]),
        ];
        for (name, want) in claims {
            assert_eq!(Name::new(name).words, want, "{name}");
        }
        assert!(made("--old-name", "--new").contains(&("--OldName".into(), "--New".into())));
    }

    #[test]
    fn what_was_given_is_not_made_again() {
        let pair = |old: &str, new: &str| Pair { old: old.into(), new: new.into(), place: None };

        let made = variants(&[pair("a_b", "x_y"), pair("A_B", "Z")]).unwrap();

        assert!(made.iter().all(|pair| pair.old != b"A_B"));
    }
}
