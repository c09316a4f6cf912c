//! Any bytes are a file of cookies or are refused; what is written from one is read again, and is
//! the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use silkmill_scrape::CookieJar;

fuzz_target!(|bytes: &[u8]| {
    let jar = CookieJar::default();
    if jar.read(bytes).is_ok() {
        let written = jar.to_bytes();
        let again = CookieJar::default();
        again.read(&written).expect("what was written is a file of cookies");
        assert_eq!(again.to_bytes(), written);
    }
});
