//! The date of a cookie, as RFC 6265, section 5.1.1, reads it: dates in any order, with dashes,
//! with two-digit years, with names of days in any place.

/// Seconds in a day.
const DAY: i64 = 24 * 60 * 60;
/// The least year that a date may have.
const YEAR_MIN: u32 = 1601;
const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// Returns the seconds from 1970 to the date, or `None` when the text has no date.
pub(crate) fn parse(text: &[u8]) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(|&byte| is_delimiter(byte)).filter(|token| !token.is_empty()) {
        if time.is_none()
            && let Some(found) = time_of(token)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = number(token, 1, 2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = month_of(token)
        {
            month = Some(found);
        } else if year.is_none()
            && let Some(found) = number(token, 2, 4)
        {
            year = Some(match found {
                70..=99 => found + 1900,
                0..=69 => found + 2000,
                _ => found,
            });
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    let is_valid = year >= YEAR_MIN
        && (1..=days_in(month, year)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 59;
    let of_day = i64::from(hour * 3600 + minute * 60 + second);
    is_valid.then(|| days_since_1970(year, month, day) * DAY + of_day)
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, 0x09 | 0x20..=0x2f | 0x3b..=0x40 | 0x5b..=0x60 | 0x7b..=0x7e)
}

/// Returns the number that `token` begins with, if it has so many digits.
fn number(token: &[u8], digits_min: usize, digits_max: usize) -> Option<u32> {
    let digits = token.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits_min..=digits_max).contains(&digits).then(|| {
        token[..digits].iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
    })
}

/// Parses `08:49:37`, perhaps with fewer digits, and with other text behind it.
fn time_of(token: &[u8]) -> Option<(u32, u32, u32)> {
    let mut parts = token.splitn(3, |&byte| byte == b':');
    let mut whole = || {
        let part = parts.next()?;
        number(part, 1, 2).filter(|_| part.iter().all(u8::is_ascii_digit))
    };
    let (hour, minute) = (whole()?, whole()?);
    Some((hour, minute, number(parts.next()?, 1, 2)?))
}

/// Returns the month, from 1.
fn month_of(token: &[u8]) -> Option<u32> {
    let name = token.get(..3)?;
    let at = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    u32::try_from(at + 1).ok()
}

fn days_in(month: u32, year: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Counts the days from 1970 to a day of the Gregorian calendar, with years that begin in March.
fn days_since_1970(year: u32, month: u32, day: u32) -> i64 {
    let (year, month) = match month {
        1 | 2 => (i64::from(year) - 1, i64::from(month) + 9),
        _ => (i64::from(year), i64::from(month) - 3),
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    // Counted from 1 March of the year 0, 719,468 days before 1970.
    365 * year + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn dates_are_read_in_every_form_in_which_servers_write_them() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 01-Jan-1970 00:00:00 GMT", 0),
            ("Thu, 01-Jan-70 00:00:01 GMT", 1),
            ("Thursday, 01-Jan-1970 0:0:2 GMT", 2),
            ("Thu Jan  1 00:00:03 1970", 3),
            ("1970 jan 1 00:00:04", 4),
            ("00:00:05 01 January 1970", 5),
            ("01/Jan/1970;00:00:06", 6),
            ("1st Jan 1970 00:00:07.500Z", 7),
            ("Sat, 29-Feb-2020 12:34:56 GMT", 1_582_979_696),
            ("Fri, 31-Dec-69 23:59:59", 3_155_759_999),
            ("Tue, 31 Dec 1601 00:00:00", -11_613_024_000),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "0",
            "-1",
            "Thu, 01 Jan 1970",
            "Thu, 01 Jan 00:00:00",
            "Thu, 32 Jan 1970 00:00:00",
            "Sat, 30 Feb 2020 00:00:00",
            "Fri, 29 Feb 2019 00:00:00",
            "Thu, 01 Jan 1970 24:00:00",
            "Thu, 01 Jan 1970 00:60:00",
            "Thu, 01 Jan 1600 00:00:00",
            "Thu, 01 Jan 19700 00:00:00",
            "Thu, 01 Foo 1970 00:00:00",
            "Thu, 001 Jan 1970 000:00:00",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_date_is_the_same_as_another_reader_finds(seconds in 0..253_402_300_799u64) {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            prop_assert_eq!(parse(text.as_bytes()), i64::try_from(seconds).ok());
            prop_assert_eq!(parse(text.replace(' ', "-").as_bytes()), i64::try_from(seconds).ok());
        }
    }
}
