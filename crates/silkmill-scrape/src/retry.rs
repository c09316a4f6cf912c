//! When to try again, and how long to wait before. Decides; never waits itself.

use std::time::Duration;

/// Before the second attempt. Short, since most of what passes has passed by then.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Between two attempts at the most: a worker waits meanwhile.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The statuses that ask for patience: too many requests, and a server whose own is not there.
pub(crate) fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// How long to wait after so many attempts: twice as long each time, to a bound.
pub(crate) fn pause(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_to_its_bound() {
        let pauses = [1, 2, 3, 9, u32::MAX].map(|attempts| pause(attempts).as_millis());

        assert_eq!(pauses, [100, 200, 400, 2000, 2000]);
    }
}
