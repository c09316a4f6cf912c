//! The words of a crawl: the options that decide which rows it has.

use std::collections::BTreeSet;

/// Returns in what the words of a job differ from those of this process.
pub(crate) fn differences(old: &[(String, String)], new: &[(String, String)]) -> Vec<String> {
    let find = |words: &[(String, String)], name: &str| {
        words.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    };
    let shown = |value: Option<String>| {
        value.map_or_else(|| "not given".to_owned(), |value| format!("{value:?}"))
    };
    let names: BTreeSet<&String> = old.iter().chain(new).map(|(name, _)| name).collect();
    names
        .into_iter()
        .map(|name| (name, find(old, name), find(new, name)))
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| format!("{name} was {} and is {}", shown(old), shown(new)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_that_differs_is_named() {
        let words = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        };
        let old = words(&[("same", "1"), ("other", "a"), ("gone", "b")]);
        let new = words(&[("new", "c"), ("same", "1"), ("other", "d")]);
        assert_eq!(
            differences(&old, &new),
            [
                "gone was \"b\" and is not given",
                "new was not given and is \"c\"",
                "other was \"a\" and is \"d\"",
            ]
        );
        assert!(differences(&old, &old).is_empty());
    }
}
