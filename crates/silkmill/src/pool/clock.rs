//! The clocks of an executor: one to measure with, one that costs next to nothing.

use std::time::{Duration, Instant};

/// Measures the time since it was made, in nanoseconds, never 0.
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Clock { epoch: Instant::now() }
    }

    pub(crate) fn now(&self) -> u64 {
        nanos(self.epoch.elapsed()).saturating_add(1)
    }
}

/// Returns a number that changes every few milliseconds, with the system's timer tick. It costs a
/// fifth of a real clock.
#[cfg(target_os = "linux")]
pub(crate) fn coarse_tick() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    (time.tv_sec.cast_unsigned() << 30) | time.tv_nsec.cast_unsigned()
}

/// Returns a new tick at every call, where there is no such clock.
#[cfg(not(target_os = "linux"))]
pub(crate) fn coarse_tick() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    LOOKS.fetch_add(1, Ordering::Relaxed)
}

/// Returns the time since some moment, with the resolution of the system's timer tick, a few
/// milliseconds.
#[cfg(target_os = "linux")]
pub(crate) fn coarse_now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// Returns the time since the first call, where there is no such clock.
#[cfg(not(target_os = "linux"))]
pub(crate) fn coarse_now() -> Duration {
    use std::sync::OnceLock;
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    EPOCH.get_or_init(Instant::now).elapsed()
}

/// Returns the processor time of the calling thread (`CLOCK_THREAD_CPUTIME_ID`), in nanoseconds.
pub(crate) fn thread_cpu_now() -> Option<u64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(nanos(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?)))
}

/// Converts a duration. Saturates after 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
