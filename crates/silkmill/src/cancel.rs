//! A flag that says "please stop", shared by the thread that asks and the work that stops.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::sync::parker::Parker;
use crate::sync::{Deadline, Mutex};

/// Asks running work to stop, cooperatively: the work looks at its token, and ends when it suits
/// it.
///
/// Clones share one flag. Once set it stays set. A token may have a parent and a deadline: it is
/// cancelled when its own flag is set, when its parent is cancelled, or when its time is up.
///
/// Inside a task [`CancelToken::current`] is the task's own token. [`shutdown_now`] cancels it,
/// [`shutdown_timeout`] does when it gives up waiting, and so does the end of the task's [timeout].
///
/// [`shutdown_now`]: crate::ThreadPoolExecutor::shutdown_now
/// [`shutdown_timeout`]: crate::ThreadPoolExecutor::shutdown_timeout
/// [timeout]: crate::TaskOptions::timeout
///
/// ```
/// use std::time::Duration;
/// use silkmill::{CancelToken, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
/// let polling = pool.submit(|| {
///     let token = CancelToken::current();
///     while token.sleep(Duration::from_millis(1)) {}
///     "stopped"
/// });
/// while !polling.running() {}
/// pool.shutdown_now();
/// assert_eq!(polling.result()?, "stopped");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct CancelToken {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Written once by the canceller, read by all. Release and acquire, so that what the canceller
    /// wrote before (a reason, say) is seen by the work that stops because of it.
    cancelled: AtomicBool,
    parents: [Option<CancelToken>; 2],
    deadline: Option<Instant>,
    /// The threads that sleep and want to be woken. Pruned when another is added.
    sleepers: Mutex<Vec<Weak<Parker>>>,
}

impl CancelToken {
    /// Makes a token that is not cancelled.
    pub fn new() -> Self {
        CancelToken::default()
    }

    /// Returns the token of the task that the calling thread runs. Outside of tasks it is a new
    /// one, which no other thread can cancel.
    pub fn current() -> Self {
        let current = CURRENT.try_with(|current| current.borrow().clone());
        current.ok().flatten().unwrap_or_default()
    }

    /// Makes a token that is cancelled with this one, and can be cancelled without it. Looking at
    /// it looks at all above it, so chains of thousands are not for stacks of ordinary size.
    pub fn child(&self) -> Self {
        CancelToken::with([Some(self.clone()), None], None)
    }

    /// Makes a child of this token whose time is up after `timeout`. `Duration::MAX` and everything
    /// else the clock cannot express mean never.
    pub fn child_with_timeout(&self, timeout: Duration) -> Self {
        CancelToken::with([Some(self.clone()), None], Instant::now().checked_add(timeout))
    }

    pub(crate) fn with(parents: [Option<CancelToken>; 2], deadline: Option<Instant>) -> Self {
        let inner = Inner { parents, deadline, ..Inner::default() };
        CancelToken { inner: Arc::new(inner) }
    }

    /// Asks all work that looks at this token, at a clone of it or at a child, to stop.
    pub fn cancel(&self) {
        self.inner.cancelled.store(true, Ordering::Release);
        let sleepers = std::mem::take(&mut *self.inner.sleepers.lock());
        sleepers.iter().filter_map(Weak::upgrade).for_each(|parker| parker.unpark());
    }

    /// Returns whether the token was cancelled, or its time is up.
    pub fn is_cancelled(&self) -> bool {
        self.was_cancelled() || self.is_overdue()
    }

    /// Returns whether the token, or one above it, was cancelled.
    pub(crate) fn was_cancelled(&self) -> bool {
        let inner = &*self.inner;
        inner.cancelled.load(Ordering::Acquire)
            || inner.parents.iter().flatten().any(CancelToken::was_cancelled)
    }

    /// Returns whether the time is up, of this token or of one above it.
    pub(crate) fn is_overdue(&self) -> bool {
        self.deadline().is_some_and(|at| at <= Instant::now())
    }

    /// Returns when the time is up, of this token or of one above it; `None` means never.
    pub fn deadline(&self) -> Option<Instant> {
        let above = self.inner.parents.iter().flatten().filter_map(CancelToken::deadline);
        above.chain(self.inner.deadline).min()
    }

    /// Sleeps for `duration`, or until the token is cancelled. Returns true when the work may go
    /// on: the token is not cancelled.
    ///
    /// `Duration::MAX` and everything else the clock cannot express mean until then.
    pub fn sleep(&self, duration: Duration) -> bool {
        let parker = Arc::new(Parker::new());
        self.register(&parker);
        let own = Deadline::after(duration);
        let until = match (own.at(), self.deadline()) {
            (Some(own), Some(theirs)) => Deadline::at_instant(own.min(theirs)),
            (None, Some(theirs)) => Deadline::at_instant(theirs),
            (_, None) => own,
        };
        while !self.is_cancelled() && !until.has_passed() {
            parker.park_until(until);
        }
        !self.is_cancelled()
    }

    /// Has `parker` unparked when this token or one above it is cancelled. The caller looks at the
    /// tokens afterwards, so no cancellation is missed: a canceller sets the flag first and then
    /// unparks those registered.
    fn register(&self, parker: &Arc<Parker>) {
        let mut sleepers = self.inner.sleepers.lock();
        sleepers.retain(|other| other.strong_count() > 0);
        sleepers.push(Arc::downgrade(parker));
        drop(sleepers);
        for parent in self.inner.parents.iter().flatten() {
            parent.register(parker);
        }
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("cancelled", &self.is_cancelled())
            .field("deadline", &self.deadline())
            .finish()
    }
}

thread_local! {
    /// The token of the task that runs on this thread; between tasks of a worker, its pool's.
    static CURRENT: RefCell<Option<CancelToken>> = const { RefCell::new(None) };
}

/// Makes a token the calling thread's [current](CancelToken::current) one, until it is dropped.
pub(crate) struct CurrentToken {
    outer: Option<CancelToken>,
}

impl CurrentToken {
    pub(crate) fn set(token: CancelToken) -> Self {
        let outer = CURRENT.try_with(|current| current.replace(Some(token))).ok().flatten();
        CurrentToken { outer }
    }
}

impl Drop for CurrentToken {
    fn drop(&mut self) {
        let outer = self.outer.take();
        let _ = CURRENT.try_with(|current| current.replace(outer));
    }
}
