//! Decides when to retry, and how long to wait before. Never waits itself.

use std::time::{Duration, SystemTime};

/// The pause before the second attempt, and for a host that asks to be left alone without saying
/// for how long. It is short, since most transient failures are over by then.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest pause that is chosen here.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The longest pause that a server may choose with `Retry-After`; a longer one is cut to this.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Tells whether a status is transient: too many requests, or a gateway whose server does not
/// respond.
pub(crate) fn is_transient_status(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// Tells whether a server asks to be left alone with this status.
pub(crate) fn is_refusal(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// Returns how long to wait after so many attempts or refusals: twice as long each time, to a
/// bound. `roll` is a random number that shortens the pause by up to a half, so that jobs that
/// failed at the same time are not all retried at the same time.
pub(crate) fn pause(times: u32, roll: u32) -> Duration {
    let doublings = times.saturating_sub(1).min(16);
    let pause = PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX);
    pause - (pause / 2).mul_f64(f64::from(roll) / f64::from(u32::MAX))
}

/// Returns the wait that a `Retry-After` header asks for (RFC 9110, section 10.2.3), a number of
/// seconds or a date, cut to the bound. `None` when it is neither.
pub(crate) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    let wait = match header.bytes().all(|byte| byte.is_ascii_digit()) && !header.is_empty() {
        // A number that does not fit is longer than the bound.
        true => Duration::from_secs(header.parse().unwrap_or(u64::MAX)),
        // A date in the past asks for no wait.
        false => httpdate::parse_http_date(header).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// Pseudo-random numbers for pauses (Marsaglia's xorshift). An attacker gains nothing by guessing
/// them.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Jitter {
        Jitter(seed | 1)
    }

    pub(crate) fn roll(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_to_its_bound() {
        let pauses = [1, 2, 3, 9, u32::MAX].map(|times| pause(times, 0).as_millis());

        assert_eq!(pauses, [200, 400, 800, 5000, 5000]);
    }

    #[test]
    fn chance_shortens_a_pause_by_half_at_the_most() {
        assert_eq!(pause(2, u32::MAX), PAUSE_MIN);
        let mut jitter = Jitter::new(7);
        let rolls: Vec<Duration> = (0..100).map(|_| pause(1, jitter.roll())).collect();
        assert!(rolls.iter().all(|pause| (PAUSE_MIN / 2..=PAUSE_MIN).contains(pause)));
        assert!(rolls.iter().any(|pause| *pause != rolls[0]));
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:40 GMT").unwrap();
        for (header, seconds) in [
            ("0", Some(0)),
            (" 17 ", Some(17)),
            ("3600", Some(60)),
            ("99999999999999999999999", Some(60)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(19)),
            ("Friday, 31-Dec-99 23:59:59 GMT", Some(19)),
            ("Fri Dec 31 23:59:59 1999", Some(19)),
            ("Fri, 31 Dec 1999 23:59:00 GMT", Some(0)),
            ("Sat, 01 Jan 2000 23:59:59 GMT", Some(60)),
            ("", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("١٢", None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(retry_after(header, now), expected, "{header:?}");
        }
    }
}
