//! The names of runs, which sort by time and which a person can type.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns a name that sorts by time (UTC, to the second): `20261124-184502-a1b2`.
pub(crate) fn run_id(seconds: u64, seed: u64) -> String {
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // Knuth's multiplier gives neighbouring seeds suffixes that do not look alike.
    let suffix = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{suffix:04x}")
}

/// Returns year, month and day of a number of days since 1970, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, left + 1)
}

/// Returns whether [`run_id`] may have made this name.
pub(crate) fn is_run_id(name: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let hexes = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name.split('-').collect::<Vec<_>>()[..] {
        [date, time, suffix] => {
            (date.len(), time.len(), suffix.len()) == (8, 6, 4)
                && digits(date)
                && digits(time)
                && hexes(suffix)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (days, want) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (20_781, (2026, 11, 24)),
            (20_818, (2026, 12, 31)),
        ] {
            assert_eq!(date(days), want, "{days}");
        }
        let id = run_id(20_781 * 86_400 + 18 * 3600 + 45 * 60 + 2, 1);
        assert!(id.starts_with("20261124-184502-") && is_run_id(&id), "{id}");
        assert!(!is_run_id("trash") && !is_run_id("20261124-184502-a1b"));
    }
}
