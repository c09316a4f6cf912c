//! A flag that says "please stop", shared by the thread that asks and the work that stops.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
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
    /// Written by the canceller of this token or of one above it, under the lock of the listeners;
    /// read by all. Release and acquire, so that what the canceller wrote before (a reason, say) is
    /// seen by the work that stops because of it.
    cancelled: AtomicBool,
    /// When the time of this token or of one above it is up.
    deadline: Option<Instant>,
    /// The tokens above, each with this token's key among its listeners. Set once, when the token
    /// is made. A token keeps those above it alive, and is known to them by a weak reference.
    parents: OnceLock<Vec<(Arc<Inner>, u64)>>,
    listeners: Mutex<Listeners>,
}

/// Those that are told of a cancellation, by the key under which they leave.
#[derive(Default)]
struct Listeners {
    key_next: u64,
    all: BTreeMap<u64, Listener>,
}

enum Listener {
    Child(Weak<Inner>),
    Sleeper(Arc<Parker>),
    Work(Arc<dyn OnCancel>),
}

/// Work that does something when its token is cancelled.
pub(crate) trait OnCancel: Send + Sync {
    /// Runs on the thread that cancels, which holds no lock.
    fn on_cancel(&self);
}

impl Inner {
    /// Adds a listener, unless the token is cancelled: then there is nothing to wait for.
    fn listen(&self, listener: Listener) -> Option<u64> {
        let mut listeners = self.listeners.lock();
        if self.cancelled.load(Ordering::Acquire) {
            return None;
        }
        let key = listeners.key_next;
        listeners.key_next += 1;
        listeners.all.insert(key, listener);
        Some(key)
    }

    fn forget(&self, key: u64) {
        let listener = self.listeners.lock().all.remove(&key);
        drop(listener);
    }
}

impl Drop for Inner {
    /// Leaves the tokens above. If this was the last to know them they are dropped here, one after
    /// the other, because a chain of thousands is too deep for the stack.
    fn drop(&mut self) {
        let mut above = self.parents.take().unwrap_or_default();
        while let Some((parent, key)) = above.pop() {
            parent.forget(key);
            if let Some(mut last) = Arc::into_inner(parent) {
                above.append(&mut last.parents.take().unwrap_or_default());
            }
        }
    }
}

/// Leaves the listeners of a token when it is dropped.
pub(crate) struct Listening<'a> {
    token: &'a CancelToken,
    key: Option<u64>,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.token.inner.forget(key);
        }
    }
}

impl CancelToken {
    /// Makes a token that is not cancelled.
    pub fn new() -> Self {
        CancelToken::default()
    }

    /// Returns the token of the task that the calling thread runs. Outside of tasks it is a new
    /// one, which no other thread can cancel.
    pub fn current() -> Self {
        CancelToken::of_current(|_| true).unwrap_or_default()
    }

    /// Returns the own token of the task that the calling thread runs, if it has one: what a task
    /// that it submits inherits.
    pub(crate) fn inherited() -> Option<Self> {
        if !CancelToken::is_inherited() {
            return None;
        }
        CancelToken::of_current(|current| current.is_own)
    }

    /// Returns whether tasks that the calling thread submits inherit a token.
    pub(crate) fn is_inherited() -> bool {
        IS_OWN.get()
    }

    fn of_current(which: impl FnOnce(&Current) -> bool) -> Option<Self> {
        let token = CURRENT.try_with(|current| {
            let current = current.borrow();
            current.as_ref().filter(|current| which(current)).map(|current| current.token.clone())
        });
        token.ok().flatten()
    }

    /// Makes a token that is cancelled with this one, and can be cancelled without it.
    pub fn child(&self) -> Self {
        CancelToken::with([Some(self.clone()), None], None)
    }

    /// Makes a child of this token whose time is up after `timeout`. `Duration::MAX` and everything
    /// else the clock cannot express mean never.
    pub fn child_with_timeout(&self, timeout: Duration) -> Self {
        CancelToken::with([Some(self.clone()), None], Instant::now().checked_add(timeout))
    }

    pub(crate) fn with(parents: [Option<CancelToken>; 2], deadline: Option<Instant>) -> Self {
        let above = parents.iter().flatten().filter_map(CancelToken::deadline);
        let deadline = above.chain(deadline).min();
        let mut inner = Inner::default();
        inner.deadline = deadline;
        let inner = Arc::new(inner);
        let mut known = Vec::with_capacity(parents.len());
        for parent in parents.into_iter().flatten() {
            match parent.inner.listen(Listener::Child(Arc::downgrade(&inner))) {
                Some(key) => known.push((parent.inner, key)),
                None => inner.cancelled.store(true, Ordering::Release),
            }
        }
        inner.parents.get_or_init(|| known);
        CancelToken { inner }
    }

    /// Asks all work that looks at this token, at a clone of it or at a child, to stop. A task of
    /// such a token that is queued ends as cancelled now; its callbacks run on the calling thread.
    pub fn cancel(&self) {
        let mut tokens = vec![Arc::clone(&self.inner)];
        let mut work = Vec::new();
        while let Some(token) = tokens.pop() {
            let mut listeners = token.listeners.lock();
            token.cancelled.store(true, Ordering::Release);
            let all = std::mem::take(&mut listeners.all);
            drop(listeners);
            for listener in all.into_values() {
                match listener {
                    Listener::Child(child) => tokens.extend(child.upgrade()),
                    Listener::Sleeper(parker) => parker.unpark(),
                    Listener::Work(listener) => work.push(listener),
                }
            }
        }
        // Once all tokens are cancelled, because this runs code of the user.
        work.iter().for_each(|listener| listener.on_cancel());
    }

    /// Returns whether the token was cancelled, or its time is up.
    pub fn is_cancelled(&self) -> bool {
        self.was_cancelled() || self.is_overdue()
    }

    /// Returns whether the token, or one above it, was cancelled.
    pub(crate) fn was_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::Acquire)
    }

    /// Returns whether the time is up, of this token or of one above it.
    pub(crate) fn is_overdue(&self) -> bool {
        self.deadline().is_some_and(|at| at <= Instant::now())
    }

    /// Returns when the time is up, of this token or of one above it; `None` means never.
    pub fn deadline(&self) -> Option<Instant> {
        self.inner.deadline
    }

    /// Sleeps for `duration`, or until the token is cancelled. Returns true when the work may go
    /// on: the token is not cancelled.
    ///
    /// `Duration::MAX` and everything else the clock cannot express mean until then.
    pub fn sleep(&self, duration: Duration) -> bool {
        let parker = Arc::new(Parker::new());
        let until = Deadline::after(duration).or_sooner(self.deadline());
        let listening = self.unpark_on_cancel(&parker);
        while !self.is_cancelled() && !until.has_passed() {
            parker.park_until(until);
        }
        drop(listening);
        !self.is_cancelled()
    }

    /// Has `parker` unparked when this token or one above it is cancelled, for as long as the
    /// result is kept. The caller looks at the token afterwards, so no cancellation is missed.
    pub(crate) fn unpark_on_cancel(&self, parker: &Arc<Parker>) -> Listening<'_> {
        let key = self.inner.listen(Listener::Sleeper(Arc::clone(parker)));
        Listening { token: self, key }
    }

    /// Has `work` told when this token or one above it is cancelled, for as long as the token
    /// lives. The caller looks at the token afterwards, so no cancellation is missed.
    pub(crate) fn tell_on_cancel(&self, work: Arc<dyn OnCancel>) {
        self.inner.listen(Listener::Work(work));
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
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
    /// Whether that is a task's own token. Every submitter asks, and this needs no drop at the
    /// thread's end.
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

struct Current {
    token: CancelToken,
    /// Whether it is a task's own, and not its pool's.
    is_own: bool,
}

/// Makes a token the calling thread's [current](CancelToken::current) one, until it is dropped.
pub(crate) struct CurrentToken {
    outer: Option<Current>,
}

impl CurrentToken {
    /// Sets the token of a pool, for its tasks that have none of their own.
    pub(crate) fn set(token: CancelToken) -> Self {
        CurrentToken::replace(Current { token, is_own: false })
    }

    /// Sets the token of a task, which tasks that it submits inherit.
    pub(crate) fn set_own(token: CancelToken) -> Self {
        CurrentToken::replace(Current { token, is_own: true })
    }

    fn replace(current: Current) -> Self {
        let is_own = current.is_own;
        let outer = CURRENT.try_with(|outer| outer.replace(Some(current))).ok().flatten();
        IS_OWN.set(is_own);
        CurrentToken { outer }
    }
}

impl Drop for CurrentToken {
    fn drop(&mut self) {
        let outer = self.outer.take();
        IS_OWN.set(outer.as_ref().is_some_and(|outer| outer.is_own));
        let _ = CURRENT.try_with(|current| current.replace(outer));
    }
}
