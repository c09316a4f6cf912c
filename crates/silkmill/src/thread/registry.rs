//! The identity of the threads of this process, and which of those that this crate started are
//! alive.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use crate::sync::Deadline;
use crate::sync::blocking::blocking;

/// The identity of a thread. Equal when it is the same thread.
///
/// ```
/// use silkmill::{Thread, current};
///
/// let thread = Thread::builder().name("reader").daemon(true).spawn(current)?;
/// let info = thread.join()?;
/// assert_eq!((info.name(), info.is_daemon()), ("reader", true));
/// assert_ne!(info.ident(), current().ident());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ThreadInfo {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    ident: u64,
    /// Set by the thread itself, before it does anything else.
    native_id: OnceLock<Option<u32>>,
    daemon: bool,
    home: u32,
}

impl ThreadInfo {
    pub(super) fn new(name: &str, ident: u64, daemon: bool) -> Self {
        let name = name.to_owned();
        let home = process::id();
        let inner = Inner { name, ident, native_id: OnceLock::new(), daemon, home };
        ThreadInfo { inner: Arc::new(inner) }
    }

    /// Returns the name; empty for a thread that has none and was not started through this crate.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Returns a number that no other thread of this process has or will have.
    pub fn ident(&self) -> u64 {
        self.inner.ident
    }

    /// Returns the operating system's thread id (`gettid` on Linux). `None` until the thread runs,
    /// and where the system has no such id.
    pub fn native_id(&self) -> Option<u32> {
        self.inner.native_id.get().copied().flatten()
    }

    /// Returns whether the thread ends with the process instead of being waited for.
    pub fn is_daemon(&self) -> bool {
        self.inner.daemon
    }

    /// Returns whether the thread belongs to this process, and not to one that has forked it.
    pub(super) fn is_here(&self) -> bool {
        self.inner.home == process::id()
    }

    /// Returns whether the process `here` waits for the thread before it ends.
    fn is_awaited(&self, here: u32) -> bool {
        !self.inner.daemon && self.inner.home == here
    }
}

impl PartialEq for ThreadInfo {
    fn eq(&self, other: &Self) -> bool {
        self.ident() == other.ident()
    }
}

impl Eq for ThreadInfo {}

/// Returns the identity of the calling thread, whether or not this crate started it.
///
/// ```
/// use silkmill::{Builder, current};
///
/// let thread = Builder::new().name("reader").spawn(|| current().name().to_owned())?;
/// assert_eq!(thread.join()?, "reader");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn current() -> ThreadInfo {
    // After the thread's locals are gone there is nothing to look up, only to make.
    let ours = ENTRY.try_with(|entry| entry.borrow().as_ref().map(|entry| entry.info.clone()));
    ours.ok().flatten().unwrap_or_else(|| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        // The process ends when its main thread does, and waits for no other that std started.
        let info = ThreadInfo::new(name, ident(), name != "main");
        info.inner.native_id.get_or_init(native_id);
        info
    })
}

/// Returns the living threads that were started through this crate, workers of executors included,
/// oldest first.
///
/// ```
/// use silkmill::{Thread, threads};
///
/// let (go, wait) = std::sync::mpsc::channel::<()>();
/// let thread = Thread::builder().name("waiter").spawn(move || wait.recv().is_ok())?;
/// assert!(threads().iter().any(|living| living.name() == "waiter"));
/// go.send(())?;
/// assert!(thread.join()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn threads() -> Vec<ThreadInfo> {
    let here = process::id();
    let registry = registry();
    let alive = registry.values().filter(|living| living.alive && living.info.inner.home == here);
    alive.map(|living| living.info.clone()).collect()
}

/// Returns the number of living threads that were started through this crate. The main thread is
/// not counted.
///
/// ```
/// use silkmill::{Thread, active_count};
///
/// let (go, wait) = std::sync::mpsc::channel::<()>();
/// let thread = Thread::spawn(move || wait.recv().is_ok());
/// assert!(active_count() >= 1);
/// go.send(())?;
/// assert!(thread.join()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn active_count() -> usize {
    threads().len()
}

/// Returns whether this crate started the calling thread. It holds to the thread's very end, when
/// the registry no longer says so: the C library has dropped the thread's locals, its entry among
/// them.
pub(crate) fn is_ours() -> bool {
    IS_OURS.get() == process::id()
}

/// Returns whether this crate started the calling thread, and the process waits for it.
pub(crate) fn is_ours_and_no_daemon() -> bool {
    let is_awaited = |entry: &Entry| entry.info.is_awaited(process::id());
    let ours = ENTRY.try_with(|entry| entry.borrow().as_ref().map(is_awaited));
    ours.ok().flatten().unwrap_or(false)
}

/// Returns whether a thread lives that is no daemon.
pub(crate) fn has_non_daemons() -> bool {
    let here = process::id();
    registry().values().any(|living| living.info.is_awaited(here))
}

/// Waits until every thread that is left is a daemon, or the caller. Returns false when the
/// deadline came first. A thread of this crate must set one: another may be waiting for that
/// thread.
pub(crate) fn join_non_daemons(deadline: Deadline) -> bool {
    let own = ident();
    let here = process::id();
    let is_awaited = |living: &Living| living.info.is_awaited(here) && living.info.ident() != own;
    wait_while(deadline, |registry| registry.values().any(is_awaited))
}

/// Waits until a thread of this crate has left the registry. Returns false when the deadline came
/// first.
pub(super) fn wait_until_gone(ident: u64, deadline: Deadline) -> bool {
    wait_while(deadline, |registry| registry.contains_key(&ident))
}

fn wait_while(deadline: Deadline, holds: impl Fn(&BTreeMap<u64, Living>) -> bool) -> bool {
    blocking(|| sleep_while(deadline, holds))
}

fn sleep_while(deadline: Deadline, holds: impl Fn(&BTreeMap<u64, Living>) -> bool) -> bool {
    let mut registry = registry();
    while holds(&registry) {
        registry = match deadline.at() {
            None => GONE.wait(registry).unwrap_or_else(PoisonError::into_inner),
            Some(at) if at <= Instant::now() => return false,
            Some(at) => {
                let remaining = at.saturating_duration_since(Instant::now());
                GONE.wait_timeout(registry, remaining).unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
    true
}

/// Takes the calling thread from the living. It stays in the registry until its entry is dropped.
pub(super) fn leave() {
    if let Some(living) = registry().get_mut(&ident()) {
        living.alive = false;
    }
}

static IDENT_NEXT: AtomicU64 = AtomicU64::new(1);

/// Every thread of this crate, from before it is started until its last own statement.
/// Process-wide, because a process has one end. Written by starting and ending threads, read by
/// `threads` and at exit.
static REGISTRY: Mutex<BTreeMap<u64, Living>> = Mutex::new(BTreeMap::new());

/// Notified when a thread leaves the registry.
static GONE: Condvar = Condvar::new();

thread_local! {
    /// The calling thread's place in the registry. Made before any thread-local of the user, so it
    /// is dropped after them (std drops them last first): a thread is gone when they are.
    static ENTRY: RefCell<Option<Entry>> = const { RefCell::new(None) };
    /// Beside `ENTRY` and without a destructor, so that it can be read while the process ends. Zero
    /// means none yet.
    static IDENT: Cell<u64> = const { Cell::new(0) };
    /// The process in which this crate started the thread, 0 if it did not. It has no destructor
    /// either.
    static IS_OURS: Cell<u32> = const { Cell::new(0) };
}

struct Living {
    info: ThreadInfo,
    /// False once the result is as good as published.
    alive: bool,
}

fn registry() -> MutexGuard<'static, BTreeMap<u64, Living>> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn ident() -> u64 {
    if IDENT.get() == 0 {
        IDENT.set(next_ident());
    }
    IDENT.get()
}

/// Returns a number that no thread of this process has.
pub(super) fn next_ident() -> u64 {
    IDENT_NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(target_os = "linux")]
fn native_id() -> Option<u32> {
    u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).ok()
}

#[cfg(not(target_os = "linux"))]
fn native_id() -> Option<u32> {
    None
}

/// The registry's lock, held while the process forks.
pub(super) struct RegistryLock {
    registry: MutexGuard<'static, BTreeMap<u64, Living>>,
}

pub(super) fn lock() -> RegistryLock {
    RegistryLock { registry: registry() }
}

impl RegistryLock {
    /// Begins anew, in a child, whose only thread is not one that this process has started.
    pub(super) fn forget_parent(mut self) {
        self.registry.clear();
    }
}

/// A thread's place in the registry; dropping it gives the place up.
pub(super) struct Entry {
    info: ThreadInfo,
}

impl Entry {
    pub(super) fn register(info: ThreadInfo) -> Entry {
        registry().insert(info.ident(), Living { info: info.clone(), alive: true });
        Entry { info }
    }

    /// Makes this entry the calling thread's own while `body` runs, on a thread that may be used
    /// for something else before and afterwards.
    pub(super) fn lend(self, body: impl FnOnce()) {
        /// What the thread was before, and is again even if `body` panics.
        struct Before(u64, u32, Option<Entry>);
        impl Drop for Before {
            fn drop(&mut self) {
                IDENT.set(self.0);
                IS_OURS.set(self.1);
                let own = ENTRY.replace(self.2.take());
                drop(own);
            }
        }
        let _before = Before(IDENT.get(), IS_OURS.get(), ENTRY.take());
        self.adopt();
        body();
    }

    /// Makes this entry the calling thread's own.
    pub(super) fn adopt(self) {
        IDENT.set(self.info.ident());
        IS_OURS.set(process::id());
        self.info.inner.native_id.get_or_init(native_id);
        ENTRY.set(Some(self));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        registry().remove(&self.info.ident());
        GONE.notify_all();
    }
}
