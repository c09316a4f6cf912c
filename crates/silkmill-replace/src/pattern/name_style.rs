//! Writes a name in other styles: `old_name`, `OldName`, `OLD_NAME`, `old-name`, `Old name`.
//!
//! A name of one word looks the same in several styles. Then the style of the new name, as the user
//! wrote it, decides: `colour` to `paint_colour` makes `Colour` a `PaintColour`, and to
//! `paint-colour` a `Paint-Colour`.

use std::collections::HashSet;

use crate::error::Error;
use crate::pattern::pairs::Pair;
use crate::pattern::title_case::title_case;

/// The separators between the words of a name.
const SEPARATORS: [char; 3] = ['_', '-', ' '];

/// The longest name, in words, any of which may be an acronym.
const ACRONYM_WORDS_MAX: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// `OLDNAME`
    ScreamingFlat,
    /// `oldname`
    Flat,
    /// `Oldname`
    CapitalFlat,
}

use Style::{
    Camel, CapitalFlat, Flat, Kebab, Pascal, ScreamingFlat, ScreamingKebab, ScreamingSnake,
    ScreamingWords, Sentence, Snake, Title, Train, Words,
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
        let mut add = |old: String, new: String| {
            if seen.insert(old.clone().into_bytes()) {
                let (old, new) = (old.into_bytes(), new.into_bytes());
                variants.push(Pair { old, new, place: pair.place.clone() });
            }
        };
        for style in new.styles() {
            add(old.written(style), new.written(style));
        }
        for (old, style) in old.with_acronyms() {
            add(old, new.written(style));
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

    /// Returns the name as names with acronyms have it, `HTTPServer` and `userID`, and as one word
    /// in upper case, and the style of each. A name of one word has no such form.
    fn with_acronyms(&self) -> Vec<(String, Style)> {
        let count = self.words.len();
        if !(2..=ACRONYM_WORDS_MAX).contains(&count) {
            return Vec::new();
        }
        let form = |acronyms: u32, style: Style| {
            let word = |(place, word): (usize, &&str)| match (place, style) {
                (0, Camel) => word.to_lowercase(),
                _ if acronyms >> place & 1 == 1 => word.to_uppercase(),
                _ => capitalized(word),
            };
            let words: String = self.words.iter().enumerate().map(word).collect();
            (format!("{}{words}{}", self.before, self.after), style)
        };
        let all = 1_u32 << count;
        let mut forms = vec![form(all - 1, ScreamingFlat)];
        forms.extend((1..all - 1).map(|acronyms| form(acronyms, Pascal)));
        forms.extend((2..all).step_by(2).map(|acronyms| form(acronyms, Camel)));
        forms
    }

    fn written(&self, style: Style) -> String {
        let separator = match style {
            Snake | ScreamingSnake => "_",
            Camel | Pascal | ScreamingFlat | Flat | CapitalFlat => "",
            Kebab | Train | ScreamingKebab => "-",
            Words | Sentence | Title | ScreamingWords => " ",
        };
        let word = |(place, word): (usize, &&str)| match style {
            Snake | Kebab | Words | Flat => word.to_lowercase(),
            ScreamingSnake | ScreamingKebab | ScreamingWords | ScreamingFlat => word.to_uppercase(),
            CapitalFlat if place > 0 => word.to_lowercase(),
            Camel | Sentence if (place == 0) == matches!(style, Camel) => word.to_lowercase(),
            Camel | Pascal | Train | Title | Sentence | CapitalFlat => capitalized(word),
        };
        let words: Vec<String> = self.words.iter().enumerate().map(word).collect();
        format!("{}{}{}", self.before, words.join(separator), self.after)
    }
}

/// What a name in any mixture of cases becomes.
#[derive(Debug)]
pub(crate) struct Restyled {
    /// The number of characters of each of OLD's words, and of the separators before them.
    old_lens: Vec<usize>,
    before_len: usize,
    new: String,
}

/// The cases of a word's letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Lower,
    /// One letter of upper case is both.
    Capital {
        is_upper: bool,
    },
    Upper,
    Mixed,
}

impl Restyled {
    /// Returns `None` for texts that are not UTF-8 or have no words.
    pub(crate) fn new(pair: &Pair) -> Option<Restyled> {
        let old = Name::new(std::str::from_utf8(&pair.old).ok()?);
        let new = String::from_utf8(pair.new.clone()).ok()?;
        let old_lens = old.words.iter().map(|word| word.chars().count()).collect::<Vec<_>>();
        let before_len = old.before.chars().count();
        (!old_lens.is_empty()).then_some(Restyled { old_lens, before_len, new })
    }

    /// Returns what a name becomes, in the style it has, or `None` if that cannot be told.
    pub(crate) fn of(&self, name: &[u8]) -> Option<String> {
        let chars: Vec<char> = std::str::from_utf8(name).ok()?.chars().collect();
        let (mut at, mut words, mut separator) = (self.before_len, Vec::new(), None);
        for (place, len) in self.old_lens.iter().enumerate() {
            if place > 0 && chars.get(at).is_some_and(|char| SEPARATORS.contains(char)) {
                separator = Some(chars[at]);
                at += 1;
            }
            words.push(Word::of(chars.get(at..at + len)?));
            at += len;
        }
        let new = Name::new(&self.new);
        let style = match separator {
            Some(separator) => style_of(&words, separator),
            None => flat_style_of(&words),
        };
        match (style, separator) {
            (Some(style), _) => Some(new.written(style)),
            // Each word keeps its own case, if there is a word for each.
            (None, Some(separator)) if words.len() == new.words.len() => {
                let word = |(case, word): (&Word, &&str)| case.write(word);
                let written: Option<Vec<_>> = words.iter().zip(&new.words).map(word).collect();
                let inner = written?.join(&separator.to_string());
                Some(format!("{}{inner}{}", new.before, new.after))
            }
            _ => None,
        }
    }
}

impl Word {
    fn of(chars: &[char]) -> Word {
        let cased = chars.iter().filter(|char| char.is_uppercase() || char.is_lowercase());
        let mut upper = cased.map(|char| char.is_uppercase());
        let first = upper.next();
        let rest: Vec<bool> = upper.collect();
        match first {
            Some(true) if rest.is_empty() => Word::Capital { is_upper: true },
            Some(true) if rest.iter().all(|upper| !upper) => Word::Capital { is_upper: false },
            Some(true) if rest.iter().all(|upper| *upper) => Word::Upper,
            Some(false) | None if rest.iter().all(|upper| !upper) => Word::Lower,
            _ => Word::Mixed,
        }
    }

    fn is_upper(self) -> bool {
        matches!(self, Word::Upper | Word::Capital { is_upper: true })
    }

    fn is_capital(self) -> bool {
        matches!(self, Word::Capital { .. })
    }

    fn write(self, word: &str) -> Option<String> {
        match self {
            Word::Lower => Some(word.to_lowercase()),
            Word::Capital { .. } => Some(capitalized(word)),
            Word::Upper => Some(word.to_uppercase()),
            Word::Mixed => None,
        }
    }
}

/// Returns the style of words with a separator.
fn style_of(words: &[Word], separator: char) -> Option<Style> {
    let [lower, upper, capital] = match separator {
        '_' => [Some(Snake), Some(ScreamingSnake), None],
        '-' => [Some(Kebab), Some(ScreamingKebab), Some(Train)],
        _ => [Some(Words), Some(ScreamingWords), Some(Title)],
    };
    match words {
        all if all.iter().all(|word| *word == Word::Lower) => lower,
        all if all.iter().all(|word| word.is_upper()) => upper,
        all if all.iter().all(|word| word.is_capital()) => capital,
        [first, rest @ ..]
            if first.is_capital() && rest.iter().all(|word| *word == Word::Lower) =>
        {
            (separator == ' ').then_some(Sentence)
        }
        _ => None,
    }
}

/// Returns the style of words without a separator.
fn flat_style_of(words: &[Word]) -> Option<Style> {
    let is_hump = |word: &Word| word.is_capital() || word.is_upper();
    match words {
        all if all.iter().all(|word| *word == Word::Lower) => Some(Flat),
        all if all.iter().all(|word| word.is_upper()) => Some(ScreamingFlat),
        all if all.iter().all(is_hump) => Some(Pascal),
        [Word::Lower, rest @ ..] if rest.iter().all(is_hump) => Some(Camel),
        [first, rest @ ..]
            if first.is_capital() && rest.iter().all(|word| *word == Word::Lower) =>
        {
            Some(CapitalFlat)
        }
        _ => None,
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
    let first = chars.next().map(title_case).unwrap_or_default();
    first + &chars.as_str().to_lowercase()
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
            ("OLDNAME", "NEWLONGNAME"),
            ("OLDName", "NewLongName"),
            ("OldNAME", "NewLongName"),
            ("oldNAME", "newLongName"),
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
    fn acronyms_and_flat_names_follow_the_style_they_have() {
        let made = made("http_server", "web_host");
        for (old, new) in [
            ("HTTPServer", "WebHost"),
            ("HTTPSERVER", "WEBHOST"),
            ("HttpSERVER", "WebHost"),
            ("httpSERVER", "webHost"),
        ] {
            assert!(made.contains(&(old.into(), new.into())), "{old}: {made:?}");
        }
        let pair = |old: &str, new: &str| Pair { old: old.into(), new: new.into(), place: None };
        let restyled = Restyled::new(&pair("http_server", "web_host")).unwrap();
        for (name, want) in [
            ("HTTPServer", Some("WebHost")),
            ("httpSERVER", Some("webHost")),
            ("HTTPSERVER", Some("WEBHOST")),
            ("httpserver", Some("webhost")),
            ("Httpserver", Some("Webhost")),
            ("Http_Server", Some("Web_Host")),
            ("HTTP_server", Some("WEB_host")),
            ("Http server", Some("Web host")),
            ("HTTP-Server", Some("WEB-Host")),
            ("hTtPserver", None),
            ("HTTPserver", None),
            ("hTTP_server", None),
        ] {
            assert_eq!(restyled.of(name.as_bytes()).as_deref(), want, "{name}");
        }
        let longer = Restyled::new(&pair("user_id", "account_key_of_old")).unwrap();
        assert_eq!(longer.of(b"UserID").as_deref(), Some("AccountKeyOfOld"));
        assert_eq!(longer.of(b"User_ID"), None);
    }

    #[test]
    fn what_was_given_is_not_made_again() {
        let pair = |old: &str, new: &str| Pair { old: old.into(), new: new.into(), place: None };

        let made = variants(&[pair("a_b", "x_y"), pair("A_B", "Z")]).unwrap();

        assert!(made.iter().all(|pair| pair.old != b"A_B"));
    }
}
