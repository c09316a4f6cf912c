//! How long tasks wait in the queue, measured on a sample of them.

use std::num::NonZeroU64;

/// When a sampled task was queued. One word, because every queued task has room for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampledArrival(NonZeroU64);

const STANDS_FOR_BITS: u32 = 5;

impl SampledArrival {
    /// Makes an arrival at `ticks`, in nanoseconds up to 18 years. It stands for `stands_for`
    /// tasks, at most 31, that arrived at about the same time.
    pub(crate) fn new(ticks: u64, stands_for: u64) -> Option<Self> {
        debug_assert!(stands_for >> STANDS_FOR_BITS == 0, "it fits");
        NonZeroU64::new(ticks << STANDS_FOR_BITS | stands_for).map(SampledArrival)
    }

    pub(crate) fn ticks(self) -> u64 {
        self.0.get() >> STANDS_FOR_BITS
    }

    pub(crate) fn stands_for(self) -> u64 {
        self.0.get() & ((1 << STANDS_FOR_BITS) - 1)
    }
}

/// Chooses the tasks whose time of arrival is noted. Reading a clock takes as long as the rest of a
/// push, so when tasks come faster than one a microsecond, only every 16th is sampled, and stands
/// for the rest.
#[derive(Default)]
pub(super) struct DelaySampler {
    last: u64,
    /// The number of tasks that came since.
    since: u64,
    every: u64,
}

const SAMPLE_EVERY_MAX: u64 = 16;

impl DelaySampler {
    /// Returns the time of arrival, if this task is to be sampled.
    pub(super) fn sample(&mut self, now: impl FnOnce() -> u64) -> Option<SampledArrival> {
        self.since += 1;
        if self.since < self.every {
            return None;
        }
        let now = now();
        let fast = now.saturating_sub(self.last) < self.since * 1_000;
        let stands_for = std::mem::take(&mut self.since);
        self.every = if fast { (self.every.max(1) * 2).min(SAMPLE_EVERY_MAX) } else { 1 };
        self.last = now;
        SampledArrival::new(now, stands_for)
    }
}
