//! The case of a character at the beginning of a word.

/// Returns a character in title case, as Unicode has it: `ß` is `Ss`, and the ligature of `fi` is
/// `Fi`.
pub(crate) fn title_case(char: char) -> String {
    // These are the characters whose title case is another character than their upper case.
    let digraph = match char {
        '\u{1C4}'..='\u{1C6}' => Some('\u{1C5}'),
        '\u{1C7}'..='\u{1C9}' => Some('\u{1C8}'),
        '\u{1CA}'..='\u{1CC}' => Some('\u{1CB}'),
        '\u{1F1}'..='\u{1F3}' => Some('\u{1F2}'),
        _ => None,
    };
    if let Some(digraph) = digraph {
        return digraph.to_string();
    }
    let mut upper = char.to_uppercase();
    let first: String = upper.next().into_iter().collect();
    let rest: String = upper.collect();
    // The apostrophe of `\u{149}` is no letter, so the letter behind it is the first.
    let starts_word = first.chars().any(char::is_uppercase);
    first + &if starts_word { rest.to_lowercase() } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_of_several_is_upper_case() {
        for (char, want) in [
            ('a', "A"),
            ('\u{df}', "Ss"),
            ('\u{fb03}', "Ffi"),
            ('\u{1c6}', "\u{1c5}"),
            ('\u{149}', "\u{2bc}N"),
            ('1', "1"),
        ] {
            assert_eq!(title_case(char), want);
        }
    }
}
