//! Any bytes are a list, in each of its formats: no input is kept that is longer than its bound, a
//! list in UTF-16 says the same as one in UTF-8, and what a row carries is JSON.

#![no_main]

use std::num::NonZeroU64;

use libfuzzer_sys::fuzz_target;
use silkmill_scrape::{CsvList, Input, JsonList, UrlList, host_bucket};

/// The most bytes of a line that are shown, and a little for the mark of a cut.
const SHOWN_BYTES_MAX: usize = 3 * 64 * 1024 + 3;

fn check(input: Input) -> String {
    let shown = input.shown().to_owned();
    assert!(shown.len() <= SHOWN_BYTES_MAX);
    if let Some(carried) = input.carried() {
        assert!(carried.starts_with('{') && carried.ends_with('}'));
    }
    let parts = NonZeroU64::new(7).expect("seven parts are some");
    assert!(host_bucket(&shown, parts) < 7);
    shown
}

fuzz_target!(|bytes: &[u8]| {
    let lines: Vec<String> = UrlList::new(bytes).map(|input| check(input.unwrap())).collect();
    if let Ok(list) = CsvList::open(bytes, None) {
        list.for_each(|input| drop(check(input.unwrap())));
    }
    let mut list = JsonList::new(bytes, None);
    list.columns().expect("memory can be read");
    list.for_each(|input| drop(check(input.unwrap())));
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.starts_with('\u{feff}')
    {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        let utf16: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
        let again: Vec<String> =
            UrlList::new(utf16.as_slice()).map(|input| check(input.unwrap())).collect();
        assert_eq!(lines, again);
    }
});
