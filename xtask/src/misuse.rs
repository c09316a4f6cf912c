//! The error of words that mean nothing to `cargo xtask`. It is the mistake of the caller, and not
//! a command that failed, so it has an exit code of its own.

use std::fmt;

/// Words that mean nothing here.
#[derive(Debug)]
pub(crate) struct Misuse(String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// Makes the error that says `message`.
pub(crate) fn misuse(message: impl Into<String>) -> anyhow::Error {
    Misuse(message.into()).into()
}

/// Refuses the first of the `words` that is not a `known` one. `kind` says what they should name.
///
/// # Errors
///
/// The error lists the known words, and offers those that are spelled nearly like the unknown one.
pub(crate) fn know_all(kind: &str, words: &[&str], known: &[&str]) -> anyhow::Result<()> {
    match words.iter().find(|word| !known.contains(word)) {
        Some(word) => Err(unknown(kind, word, known)),
        None => Ok(()),
    }
}

/// Makes the error for one unknown word.
pub(crate) fn unknown(kind: &str, word: &str, known: &[&str]) -> anyhow::Error {
    let near: Vec<&str> = known.iter().copied().filter(|known| is_near(word, known)).collect();
    let offer = match near.as_slice() {
        [] => String::new(),
        near => format!(" (did you mean {}?)", near.join(" or ")),
    };
    misuse(format!("there is no {kind} {word:?}{offer}; there are: {}", known.join(", ")))
}

/// Returns whether a word may be a misspelling of a known one, or of its beginning. The shares of
/// letters that may be wrong are guesses.
fn is_near(word: &str, known: &str) -> bool {
    let distances = distances(word, known);
    let to_all = distances.last().copied().unwrap_or(0);
    let to_beginning = distances.iter().copied().min().unwrap_or(0);
    to_all <= known.len().div_ceil(3) || (word.len() > 1 && to_beginning <= word.len() / 5)
}

/// Counts the letters to insert, remove or replace to turn a word into each beginning of another,
/// the empty one first and the whole one last (Levenshtein's distances).
fn distances(from: &str, to: &str) -> Vec<usize> {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (place, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = place + 1;
        for (column, wanted) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::{distances, is_near, know_all};

    #[test]
    fn known_words_pass() {
        assert!(know_all("step", &["fmt", "doc"], &["doc", "fmt", "loom"]).is_ok());
        assert!(know_all("step", &[], &["doc"]).is_ok());
    }

    #[test]
    fn a_misspelled_word_is_refused_with_the_near_ones() {
        let error = know_all("step", &["fmt", "clipy"], &["fmt", "clippy"]).unwrap_err();
        let message = "there is no step \"clipy\" (did you mean clippy?); there are: fmt, clippy";
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn the_beginning_of_a_word_is_near_it_with_a_slip_too() {
        for word in ["sleep", "slepers", "sleepers-cold"] {
            assert!(is_near(word, "sleepers-cold"), "{word}");
        }
        assert!(!is_near("sleep", "burst"));
    }

    #[test]
    fn a_word_like_no_other_gets_no_offer() {
        let error = know_all("step", &["everything"], &["fmt", "doc"]).unwrap_err();
        assert_eq!(error.to_string(), "there is no step \"everything\"; there are: fmt, doc");
    }

    #[test]
    fn distances_are_levenshteins() {
        let pairs = [("", "abc"), ("kitten", "sitting"), ("fmt", "fmt"), ("flaw", "lawn")];
        assert_eq!(pairs.map(|(from, to)| distances(from, to).pop()), [3, 3, 0, 2].map(Some));
    }
}
