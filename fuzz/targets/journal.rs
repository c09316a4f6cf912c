//! Checks that any journal means the same when it is written again, or is refused.
//!
//! The first byte says what the rest is: a file as it is on disk, or records whose checksums are
//! corrected first, since no fuzzer would find those.

#![no_main]

use libfuzzer_sys::fuzz_target;
use silkmill_replace::check_journal;

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    check_journal(rest, *kind == b'r');
});
