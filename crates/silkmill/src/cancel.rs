//! A flag that says "please stop", shared by whoever asks and whoever works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks running work to stop, cooperatively: the work looks, and ends when it suits it.
///
/// Clones share one flag. Once set it stays set.
///
/// ```
/// use silkmill::{CancelToken, Thread};
///
/// let token = CancelToken::new();
/// let seen = token.clone();
/// let thread = Thread::spawn(move || {
///     while !seen.is_cancelled() {
///         std::thread::yield_now();
///     }
///     "stopped"
/// });
/// token.cancel();
/// assert_eq!(thread.join()?, "stopped");
/// # Ok::<(), silkmill::TaskError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    /// Written once by whoever cancels, read by everyone. Release and acquire, so that what the canceller wrote
    /// before (a reason, say) is seen by the one who stops because of it.
    cancelled: Arc<AtomicBool>,
}

impl CancelToken {
    /// A token that nobody has cancelled yet.
    pub fn new() -> Self {
        CancelToken::default()
    }

    /// Asks everyone who looks at this token, or at a clone of it, to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    /// Whether somebody asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}
