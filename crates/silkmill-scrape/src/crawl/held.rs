//! The window of a host: how many of its URLs are in memory.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::crawl::frontier::Place;
use crate::input::lease::Lease;
use crate::run::throttle::Learned;

/// The most URLs of one host in memory, but where more may be requested at once.
const WINDOW_MIN: usize = 64;
/// As many URLs as may be requested at once are enough for a host.
const WINDOW_PER_REQUEST: usize = 4;
/// The most URLs in memory of a host that has not answered yet: all of them may have to wait.
const WINDOW_UNKNOWN: usize = 4;
/// The most URLs in memory of a host that wants a delay between two requests.
const WINDOW_SLOW: usize = 2;

/// How hosts are treated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The most requests to a host at once.
    pub(super) per_host: usize,
    /// How long a host is left alone between two requests, whatever it wants.
    pub(super) delay: Duration,
    /// Whether an earlier run may have asked the hosts just before.
    pub(super) goes_on: bool,
    /// Whether hosts are asked as fast as they answer.
    pub(super) is_throttled: bool,
}

impl Pace {
    /// Returns the most URLs in memory of a host that answers at once.
    pub(super) fn window(self) -> usize {
        self.per_host.saturating_mul(WINDOW_PER_REQUEST).max(WINDOW_MIN)
    }
}

/// A host that is leased.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) name: String,
    /// The URLs of the host that are leased.
    pub(super) places: HashSet<Place>,
    /// The rows of the host, and its pages that are leased.
    pub(super) rows: u64,
    pub(super) has_answered: bool,
    pub(super) delay: Duration,
    /// What was learned of how the host is to be asked.
    pub(super) learned: Learned,
    /// Until when the host may be requested.
    pub(super) lease: Lease,
    /// The time before which the host is not asked.
    pub(super) not_before: Option<Instant>,
    /// Whether the host is among the thirsty.
    pub(super) is_thirsty: bool,
    /// Whether the host is to go to another process when nothing of it is under way.
    pub(super) is_leaving: bool,
    /// Whether what is left of the host is deeper than what is under way, and waits for it.
    pub(super) awaits_depth: bool,
}

impl Held {
    /// Returns the most URLs of the host in memory, where that is `window` for a host that answers
    /// at once.
    pub(super) fn window(&self, window: usize) -> usize {
        match self {
            Held { has_answered: false, .. } => WINDOW_UNKNOWN,
            Held { delay, .. } if !delay.is_zero() => WINDOW_SLOW,
            Held { .. } => window,
        }
    }

    /// Tells whether the window is to be filled: it is half empty, or nothing is left in it.
    pub(super) fn wants_more(&self, window: usize) -> bool {
        let may_have_more = !self.awaits_depth && !self.is_leaving;
        let has_room = self.places.len() <= self.window(window) / 2 && may_have_more;
        !self.is_thirsty && (has_room || self.places.is_empty())
    }
}
