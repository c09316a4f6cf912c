//! What a job says in texts: its counts, its names.

use std::collections::HashMap;

use ring::rand::{SecureRandom, SystemRandom};

use crate::crawl::refusal::{Refusal, Refusals};

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

/// Quotes a name for SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
