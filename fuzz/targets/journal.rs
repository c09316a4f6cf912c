//! Any bytes are refused as a journal, or mean the same when they are written again.
//!
//! The first byte says what the rest is: a file as it is on disk, or records that get right
//! checksums first, since a fuzzer would not find those.

#![no_main]

use libfuzzer_sys::fuzz_target;
use silkmill_replace::check_journal;

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    check_journal(rest, *kind == b'r');
});
