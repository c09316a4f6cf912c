//! What a job says in words: its options, its counts, its names.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use crate::crawl::refusal::{Refusal, Refusals};

/// Returns in what the words of a job differ from those of this process.
pub(super) fn differences(old: &[(String, String)], new: &[(String, String)]) -> Vec<String> {
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

pub(super) fn refusals_to_json(refusals: &Refusals) -> String {
    let counts: HashMap<&str, u64> =
        refusals.iter().map(|(refusal, count)| (refusal.name(), count)).collect();
    serde_json::to_string(&counts).expect("names and numbers go to memory")
}

pub(super) fn add_refusals(all: &mut Refusals, json: &str) {
    let counts: HashMap<String, u64> = serde_json::from_str(json).unwrap_or_default();
    for refusal in Refusal::ALL {
        all.add(refusal, counts.get(refusal.name()).copied().unwrap_or(0));
    }
}

pub(super) fn random() -> u128 {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the system has random numbers");
    u128::from_le_bytes(bytes)
}

/// Writes a random number as a UUID.
pub(super) fn uuid(number: u128) -> String {
    let digits = format!("{number:032x}");
    let (a, b, c, d, e) =
        (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// Returns the milliseconds of a time, the last one counted in full.
pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}
