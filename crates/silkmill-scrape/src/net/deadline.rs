//! A time to end by, with the limit that it came from, which an error message names.

use std::time::{Duration, Instant};

/// A time to end by, and the limit that set it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) limit: Duration,
}
