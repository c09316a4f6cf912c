//! Any journal means the same when it is written again, or is refused.
//!
//! The first byte says what the rest is: a file as it lies on disk, or records that are given right
//! checksums first, for no fuzzer would find those.

#![no_main]

use libfuzzer_sys::fuzz_target;
use silkmill_replace::check_journal;

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    check_journal(rest, *kind == b'r');
});
