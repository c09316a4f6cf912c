//! Parses sizes and times, as typed on the command line.

use std::time::Duration;

/// The longest time: a day.
const SECONDS_MAX: f64 = 86_400.0;

/// More requests at once than this are a typing error.
const THROTTLE_MAX: f64 = 1000.0;

/// Parses a size: `4096`, `64K`, `10M` or `1G`, where a K is 1024.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (number, shift) = match text.char_indices().next_back() {
        Some((end, 'k' | 'K')) => (&text[..end], 10),
        Some((end, 'm' | 'M')) => (&text[..end], 20),
        Some((end, 'g' | 'G')) => (&text[..end], 30),
        _ => (text, 0),
    };
    let number: u64 = number.parse().map_err(|_| "not a number of bytes".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too many bytes".to_owned())
}

/// Parses a time in seconds, with or without decimals.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if !(seconds > 0.0 && seconds <= SECONDS_MAX) {
        return Err(format!("must be more than 0 and at most {SECONDS_MAX}"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Parses a time in seconds that may be zero.
pub(super) fn delay(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0.0) => Ok(Duration::ZERO),
        _ => seconds(text),
    }
}

/// Parses a time in seconds that is a second at least.
pub(super) fn lease(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        time if time < Duration::from_secs(1) => Err("must be at least 1".to_owned()),
        time => Ok(time),
    }
}

/// Parses a number of requests at once, with or without decimals; 0 is none.
pub(super) fn throttle(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.0..=THROTTLE_MAX).contains(&number) {
        true => Ok(number),
        false => Err(format!("must be at least 0 and at most {THROTTLE_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, number) in [
            ("0", 0),
            ("77", 77),
            ("4096", 4096),
            ("2k", 2048),
            ("512K", 512 << 10),
            ("3M", 3 << 20),
            ("10m", 10 << 20),
            ("1G", 1 << 30),
            ("2G", 2 << 30),
        ] {
            assert_eq!(bytes(text), Ok(number), "{text:?}");
        }
        for text in ["", "K", "-1", "1.5M", "1T", "1 K", "10 M", "1KB", "10MB", "99999999999999G"] {
            assert!(bytes(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_delay_may_be_none() {
        assert_eq!(delay("0"), Ok(Duration::ZERO));
        assert_eq!(delay("0.5"), Ok(Duration::from_millis(500)));
        assert!(delay("-0.5").is_err());
    }

    #[test]
    fn seconds_are_positive_and_finite() {
        assert_eq!(seconds("0.3"), Ok(Duration::from_millis(300)));
        for text in ["0", "-1", "nan", "inf", "1e9", "", "3s"] {
            assert!(seconds(text).is_err(), "{text:?}");
        }
    }
}
