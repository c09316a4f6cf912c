//! Any text is a media type, a refresh and the date of a cookie, or is none. A media type stays
//! what it is; a refresh says where to in a part of its text; a date is one of the calendar's.

#![no_main]

use libfuzzer_sys::fuzz_target;
use silkmill_scrape::fuzzing::{cookie_date, mime_type, refresh};

/// The seconds from 1970 to the years 1601 and 10000.
const DATES: std::ops::Range<i64> = -11_644_473_600..253_402_300_800;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let once = mime_type(&text);
    assert_eq!(mime_type(&once), once);
    assert!(refresh(&text).is_none_or(|(_, reference)| text.contains(&reference)));
    assert!(cookie_date(bytes).is_none_or(|date| DATES.contains(&date)));
});
