//! What the system knows of a worker's waits: for a processor, and for other threads.
//!
//! Both come from Linux's `/proc`, and cost a few microseconds, so they are read only where
//! processor time is measured. Elsewhere, and where `/proc` does not tell, they are not known.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pool::clock::coarse_tick;

/// The worker's own file of scheduler statistics, kept open.
pub(crate) struct RunQueueDelay(Option<File>);

impl RunQueueDelay {
    /// Opens that of the calling thread.
    pub(crate) fn of_this_thread() -> Self {
        RunQueueDelay(File::open("/proc/thread-self/schedstat").ok())
    }

    pub(crate) fn unknown() -> Self {
        RunQueueDelay(None)
    }

    pub(crate) fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the time for which the thread was ready to run and waited for a processor, in
    /// nanoseconds: the second of three numbers.
    #[cfg(unix)]
    pub(crate) fn now(&self) -> Option<u64> {
        use std::os::unix::fs::FileExt;
        let mut text = [0; 64];
        let len = self.0.as_ref()?.read_at(&mut text, 0).ok()?;
        std::str::from_utf8(&text[..len]).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
    }

    #[cfg(not(unix))]
    pub(crate) fn now(&self) -> Option<u64> {
        None
    }
}

/// The number of the system call in which Linux threads wait for each other: for a mutex, a
/// condition variable, a channel, a semaphore.
#[cfg(target_arch = "x86_64")]
const FUTEX: &str = "202";
#[cfg(not(target_arch = "x86_64"))]
const FUTEX: &str = "98";

/// Samples of workers that were in the middle of a task, taken by other workers of the pool.
#[derive(Default)]
pub(crate) struct WaitSamples {
    /// The tick of the last sample: there is one a tick at most.
    tick: AtomicU64,
    waiting: AtomicU64,
    for_threads: AtomicU64,
}

impl WaitSamples {
    /// Returns whether the calling worker is to take a sample now.
    pub(crate) fn is_due(&self) -> bool {
        let tick = coarse_tick();
        self.tick.swap(tick, Ordering::Relaxed) != tick
    }

    /// Looks at what a thread, given by its native id, is doing.
    pub(crate) fn take(&self, native_id: u32) {
        let path = format!("/proc/self/task/{native_id}/syscall");
        let Ok(text) = std::fs::read_to_string(path) else { return };
        // A thread that runs, or waits for a processor, is in no system call.
        if text.starts_with("running") || text.starts_with("-1") {
            return;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // The call's number and its arguments, of which the fourth is the time limit: a sleep that
        // can be interrupted has one.
        let mut words = text.split_ascii_whitespace();
        if words.next() == Some(FUTEX) && words.nth(3) == Some("0x0") {
            self.for_threads.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the number of samples of workers that waited, and of those among them that waited
    /// for other threads.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.waiting.load(Ordering::Relaxed), self.for_threads.load(Ordering::Relaxed))
    }
}
