//! Any bytes are a robots.txt. It has a decision for every path, which does not depend on how the
//! path is escaped, and it always allows the path of robots.txt itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use silkmill_scrape::robots::{CRAWL_DELAY_MAX, Rules, product};

fuzz_target!(|bytes: &[u8]| {
    // The last line is the path, and the one before it the user agent.
    let mut lines = bytes.rsplitn(3, |byte| *byte == b'\n');
    let (path, agent) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let (path, agent) = (String::from_utf8_lossy(path), String::from_utf8_lossy(agent));
    let rules = Rules::parse(lines.next().unwrap_or(bytes), product(&agent));

    let escaped: String = path
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => format!("%{byte:02x}"),
            byte => char::from(byte).to_string(),
        })
        .collect();
    if path.is_ascii() && !path.contains('%') {
        assert_eq!(rules.allows(&path), rules.allows(&escaped));
    }
    assert!(rules.allows("/robots.txt"));
    assert!(rules.crawl_delay().is_none_or(|delay| delay <= CRAWL_DELAY_MAX));
});
