//! `:in-range` and `:out-of-range`: numbers, dates and times between `min` and `max`.

use super::controls::{InputType, is_disabled};
use super::element::CssElement;

/// Tells whether the value of an `input` is within its limits; `None` where it has none.
pub(super) fn keeps_its_limits(element: CssElement<'_>) -> Option<bool> {
    let input = InputType::of(element)?;
    let parse: fn(&str) -> Option<f64> = match input {
        // The browser puts a slider's value between its limits, which it always has.
        InputType::Range => return is_checked_at_all(element, input).then_some(true),
        InputType::Number => number,
        InputType::Date => date,
        InputType::Month => month,
        InputType::Week => week,
        InputType::Time => time,
        InputType::DatetimeLocal => date_and_time,
        _ => return None,
    };
    let limit = |name| element.attribute(name).and_then(parse);
    let (least, most) = (limit("min"), limit("max"));
    if least.or(most).is_none() || !is_checked_at_all(element, input) {
        return None;
    }
    let Some(value) = element.attribute("value").and_then(parse) else { return Some(true) };
    let below = least.is_some_and(|least| value < least);
    let above = most.is_some_and(|most| value > most);
    // A range of times may run over midnight.
    let is_reversed = input == InputType::Time && least.zip(most).is_some_and(|(l, m)| m < l);
    Some(if is_reversed { !(below && above) } else { !below && !above })
}

/// Tells whether limits are checked at all: not for a control that cannot be changed, nor for one
/// in a list of suggestions.
fn is_checked_at_all(element: CssElement<'_>, input: InputType) -> bool {
    let is_read_only = input.can_be_read_only() && element.has_attribute("readonly");
    !is_read_only
        && !is_disabled(element)
        && !element.ancestors().any(|ancestor| ancestor.is("datalist"))
}

/// Parses a valid floating-point number of HTML: no sign but `-`, a digit after the point, no
/// infinity.
pub(super) fn number(text: &str) -> Option<f64> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let is_mantissa = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole.is_empty() || digits(whole)) && digits(fraction),
        None => digits(mantissa),
    };
    let is_exponent =
        exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)));
    let number = (is_mantissa && is_exponent).then(|| text.parse::<f64>().ok())??;
    number.is_finite().then_some(number)
}

/// Returns the days since the first of March of the year 0.
fn date(text: &str) -> Option<f64> {
    let (month, day) = text.rsplit_once('-')?;
    let (year, month) = year_and_month(month)?;
    let day = digits(day, 2)?;
    (1..=month_length(year, month)).contains(&day).then(|| days(year, month, day) as f64)
}

/// Returns the months since the year 0.
fn month(text: &str) -> Option<f64> {
    let (year, month) = year_and_month(text)?;
    Some((12 * year + month) as f64)
}

/// Returns the weeks, of which a year counts 53, so that they are in order.
fn week(text: &str) -> Option<f64> {
    let (year, week) = text.split_once("-W")?;
    let (year, week) = (year_number(year)?, digits(week, 2)?);
    (1..=weeks(year)).contains(&week).then_some((53 * year + week) as f64)
}

/// Returns the seconds since midnight.
fn time(text: &str) -> Option<f64> {
    let mut parts = text.splitn(3, ':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let (second, fraction) = match parts.next() {
        Some(seconds) => match seconds.split_once('.') {
            Some((second, fraction)) => {
                let is_fraction = (1..=3).contains(&fraction.len())
                    && fraction.bytes().all(|byte| byte.is_ascii_digit());
                let fraction =
                    is_fraction.then(|| format!("0.{fraction}").parse::<f64>().ok())??;
                (digits(second, 2)?, fraction)
            }
            None => (digits(seconds, 2)?, 0.0),
        },
        None => (0, 0.0),
    };
    let is_time = hour < 24 && minute < 60 && second < 60;
    is_time.then_some((3600 * hour + 60 * minute + second) as f64 + fraction)
}

fn date_and_time(text: &str) -> Option<f64> {
    let (day, clock) = text.split_once(['T', ' '])?;
    Some(86_400.0 * date(day)? + time(clock)?)
}

/// Parses a number of exactly so many digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Parses four digits or more. Browsers end at 275760, and so the sums stay exact.
fn year_number(text: &str) -> Option<i64> {
    let year = (4..=6).contains(&text.len()).then(|| digits(text, text.len())).flatten()?;
    (year > 0).then_some(year)
}

fn year_and_month(text: &str) -> Option<(i64, i64)> {
    let (year, month) = text.split_once('-')?;
    let (year, month) = (year_number(year)?, digits(month, 2)?);
    (1..=12).contains(&month).then_some((year, month))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days of the proleptic Gregorian calendar. The year starts in March, so that leap
/// days end it.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1
}

/// Returns the weeks of a year by ISO 8601: 53 where it starts or ends on a Thursday.
fn weeks(year: i64) -> i64 {
    // 1 March of the year 0 was a Wednesday.
    let weekday = |month, day| (days(year, month, day) + 2) % 7;
    if weekday(1, 1) == 3 || weekday(12, 31) == 3 { 53 } else { 52 }
}
