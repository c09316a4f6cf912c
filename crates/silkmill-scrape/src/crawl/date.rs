//! Dates as sitemaps and feeds have them: W3C dates (a profile of ISO 8601) and those of mail.

/// The seconds of a day.
const DAY: i64 = 86_400;

/// The seconds that a date with its precision covers, from 1970 on: a day, a month, a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Moment {
    /// Parses `2026`, `2026-11`, `2026-11-28` or `2026-11-28T10:00:05.5+01:00`, whose seconds may
    /// be left out. Without a zone it is UTC.
    pub(crate) fn parse(text: &str) -> Option<Moment> {
        let (date, time) = match text.split_once(['T', 't', ' ']) {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let mut numbers = date.splitn(3, '-');
        let year = number(numbers.next()?, 4)?;
        let month = numbers.next().map(|text| number(text, 2));
        let day = numbers.next().map(|text| number(text, 2));
        let (month, day) = (transposed(month)?, transposed(day)?);
        let start = days(year, month.unwrap_or(1), day.unwrap_or(1))? * DAY;
        let end = match (month, day) {
            (None, _) => days(year + 1, 1, 1)? * DAY,
            (Some(12), None) => days(year + 1, 1, 1)? * DAY,
            (Some(month), None) => days(year, month + 1, 1)? * DAY,
            _ => start + DAY,
        };
        match time {
            None => Some(Moment { first: start, last: end - 1 }),
            Some(_) if day.is_none() => None,
            Some(time) => {
                let (clock, zone) = split_zone(time)?;
                let seconds = seconds_of(clock)?;
                let moment = start + seconds - zone;
                let precision = if clock.matches(':').count() > 1 { 1 } else { 60 };
                Some(Moment { first: moment, last: moment + precision - 1 })
            }
        }
    }
}

/// Parses the date of a feed or a mail: `Sat, 28 Nov 2026 10:00:05 +0100`.
pub(crate) fn rfc_2822(text: &str) -> Option<Moment> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let text = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut words = text.split_ascii_whitespace();
    let day: i64 = words.next()?.parse().ok()?;
    let name = words.next()?.get(..3)?.to_ascii_lowercase();
    let month = MONTHS.iter().position(|month| *month == name)? as i64 + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let clock = seconds_of(words.next()?)?;
    let zone = match words.next() {
        Some(zone) if zone.starts_with(['+', '-']) => zone_of(zone)?,
        _ => 0,
    };
    let first = days(year, month, day)? * DAY + clock - zone;
    Some(Moment { first, last: first })
}

fn transposed(number: Option<Option<i64>>) -> Option<Option<i64>> {
    match number {
        Some(None) => None,
        Some(some) => Some(some),
        None => Some(None),
    }
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn split_zone(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    match time.find(['+', '-']) {
        Some(at) => Some((&time[..at], zone_of(&time[at..])?)),
        None => Some((time, 0)),
    }
}

/// Parses `+01:00` or `+0100`, in seconds.
fn zone_of(zone: &str) -> Option<i64> {
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits: String = zone[1..].chars().filter(|char| *char != ':').collect();
    let (hours, minutes) = (digits.get(..2)?, digits.get(2..).unwrap_or("00"));
    let minutes = if minutes.is_empty() { 0 } else { number(minutes, 2)? };
    Some(sign * (number(hours, 2)? * 3600 + minutes * 60))
}

/// Parses `10:00` or `10:00:05.5`.
fn seconds_of(clock: &str) -> Option<i64> {
    let mut parts = clock.split(':');
    let (hours, minutes) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let seconds = parts.next().unwrap_or("00").split('.').next()?;
    let seconds = number(seconds, 2)?;
    (hours < 24 && minutes < 60 && seconds <= 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

/// Counts the days from 1970 to a date of the Gregorian calendar (Hinnant's algorithm).
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_date_covers_what_it_says() {
        for (text, first, last) in [
            ("1970", 0, 365 * DAY - 1),
            ("1970-02", 31 * DAY, 59 * DAY - 1),
            ("1971-12", 699 * DAY, 730 * DAY - 1),
            ("1970-01-02", DAY, 2 * DAY - 1),
            ("1970-01-01T00:01Z", 60, 119),
            ("1970-01-01T01:00:05.75+01:00", 5, 5),
            ("1970-01-01 00:00:05", 5, 5),
            ("2000-02-29T23:59:59-00:01", 951_868_859, 951_868_859),
            ("2026-11-28", 1_795_824_000, 1_795_910_399),
        ] {
            assert_eq!(Moment::parse(text), Some(Moment { first, last }), "{text}");
        }
        for text in [
            "",
            "x",
            "26-11-28",
            "2026-13",
            "2026-11-32",
            "2026-1-1",
            "2026T10:00Z",
            "2026-11-28T25:00Z",
            "2026-11-28T1",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_date_of_a_feed_is_that_of_a_mail() {
        for (text, first) in [
            ("Thu, 01 Jan 1970 00:00:05 GMT", 5),
            ("1 Jan 1970 01:00 +0100", 0),
            ("Sat, 28 November 2026 00:00:00 -0100", 1_795_827_600),
        ] {
            assert_eq!(rfc_2822(text).map(|moment| moment.first), Some(first), "{text}");
        }
        assert_eq!(rfc_2822("yesterday"), None);
    }

    proptest! {
        #[test]
        fn any_text_can_be_a_date(text in "[0-9TZ:+. a-zé,-]{0,30}") {
            Moment::parse(&text);
            rfc_2822(&text);
        }
    }
}
