//! Threads that return a value, and the registry of those that live.
//!
//! Rust ends a process when `main` returns, whatever its threads do. Here that is a choice: a daemon thread ends with
//! the process, any other is joined before the process ends (see `exit`).

pub(crate) mod exit;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{SpawnError, TaskError};
use crate::location;
use crate::sync::Deadline;
use crate::task::{Claim, Ended, Host, NewTask, TaskHandle};

/// A running thread that will return a `T`.
///
/// Dropping the handle lets the thread run on; unless it is a daemon the process waits for it before it ends.
///
/// ```
/// use silkmill::Thread;
///
/// let words = vec!["one", "two", "three"];
/// let thread = Thread::spawn(move || words.len());
/// assert_eq!(thread.join()?, 3);
/// # Ok::<(), silkmill::TaskError>(())
/// ```
pub struct Thread<T> {
    task: TaskHandle<T>,
    info: ThreadInfo,
}

impl Thread<()> {
    /// Describes a thread before it is started: its name, whether it is a daemon, its stack.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl<T: Send + 'static> Thread<T> {
    /// Starts a thread that runs `f`. It is no daemon: the process does not end before it does.
    ///
    /// # Panics
    /// When the operating system refuses a thread. [`Builder::spawn`] returns that as an error.
    pub fn spawn<F>(f: F) -> Thread<T>
    where
        F: FnOnce() -> T + Send + 'static,
    {
        match Builder::new().spawn(f) {
            Ok(thread) => thread,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits for the thread to end, thread-locals and all, and returns its value.
    ///
    /// # Errors
    /// The panic, when the thread panicked; [`JoinedItself`](crate::TaskErrorKind::JoinedItself) when it is called on
    /// the very thread it would wait for.
    pub fn join(self) -> Result<T, TaskError> {
        match self.join_until(Deadline::NEVER) {
            Ok(result) => result,
            Err(_) => unreachable!("a deadline that is never does not pass"),
        }
    }

    /// Waits for at most `timeout`. A thread that is not done by then is given back as the `Err`, so that it can be
    /// joined later. `Duration::ZERO` only looks; a timeout too long for the clock means for ever.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silkmill::Thread;
    ///
    /// let mut thread = Thread::spawn(|| 25);
    /// let value = loop {
    ///     match thread.join_timeout(Duration::from_millis(10)) {
    ///         Ok(result) => break result?,
    ///         Err(not_done) => thread = not_done,
    ///     }
    /// };
    /// assert_eq!(value, 25);
    /// # Ok::<(), silkmill::TaskError>(())
    /// ```
    ///
    /// # Errors
    /// The thread itself, when it is not done. What the thread ended with is in the `Ok`, as [`join`](Thread::join)
    /// returns it.
    pub fn join_timeout(self, timeout: Duration) -> Result<Result<T, TaskError>, Thread<T>> {
        self.join_until(Deadline::after(timeout))
    }

    fn join_until(mut self, deadline: Deadline) -> Result<Result<T, TaskError>, Thread<T>> {
        if self.info.ident() == ident() {
            return Ok(Err(TaskError::joined_itself()));
        }
        if !self.task.wait_until(deadline) || !wait_until_gone(self.info.ident(), deadline) {
            return Err(self);
        }
        Ok(self.task.take_result().expect("join consumes the only handle, so the result is there"))
    }

    /// Whether the thread has its value, so that [`join`](Thread::join) would wait for no more than its thread-locals.
    pub fn is_finished(&self) -> bool {
        self.task.is_done()
    }

    /// The thread's name, number, and whether it is a daemon.
    pub fn info(&self) -> &ThreadInfo {
        &self.info
    }
}

impl<T> fmt::Debug for Thread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread")
            .field("name", &self.info.name())
            .field("daemon", &self.info.is_daemon())
            .field("state", &self.task)
            .finish()
    }
}

/// Describes a thread before it is started.
///
/// ```
/// let thread = silkmill::Builder::new().name("count").daemon(true).spawn(|| 25)?;
/// assert_eq!(thread.info().name(), "count");
/// assert_eq!(thread.join()?, 25);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts no thread until `spawn`"]
pub struct Builder {
    name: Option<String>,
    daemon: bool,
    stack_size: Option<usize>,
}

impl Builder {
    /// A thread called `thread-N` that is no daemon and has std's stack size.
    pub fn new() -> Self {
        Builder::default()
    }

    /// Names the thread. Linux shows the first 15 bytes in its tools; panics show all.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether the thread ends with the process. If not (the default) the process waits for it, when `main` returns and
    /// when `main` calls [`std::process::exit`].
    ///
    /// A thread started through this crate that calls `exit` itself waits for nobody: another may be waiting for it. And std
    /// lets one thread end the process and parks every other that tries, so a thread that is no daemon and calls `exit`
    /// once `main` has returned is waited for in vain. Let it return instead.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// The size of the thread's stack in bytes; the system may round it up.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system refuses a thread, or the name holds a NUL.
    pub fn spawn<F, T>(self, f: F) -> Result<Thread<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        location::note_panics();
        let (theirs, task) = NewTask::new(f).into_owners();
        // The value is dropped on the thread when nobody wants it, and the process waits for that too.
        let started = self.start(move || {
            if let Some(claimed) = theirs.claim(Claim::ToRun) {
                claimed.run(&Leaving);
            }
        })?;
        Ok(Thread { task, info: started.info })
    }

    /// Starts a registered thread that runs `body`.
    pub(crate) fn start(self, body: impl FnOnce() + Send + 'static) -> Result<Started, SpawnError> {
        let ident = IDENT_NEXT.fetch_add(1, Ordering::Relaxed);
        let name = self
            .name
            .unwrap_or_else(|| format!("thread-{}", NAMELESS_NEXT.fetch_add(1, Ordering::Relaxed)));
        if name.contains('\0') {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "the name holds a NUL");
            return Err(SpawnError::new(Some(name), source));
        }
        if !self.daemon {
            exit::join_threads_at_exit();
        }
        let info = ThreadInfo::new(&name, ident, self.daemon);
        let entry = Entry::register(info.clone());
        let mut builder = std::thread::Builder::new().name(name.clone());
        if let Some(bytes) = self.stack_size {
            builder = builder.stack_size(bytes);
        }
        let handle = builder.spawn(move || {
            entry.adopt();
            body();
        });
        match handle {
            Ok(handle) => Ok(Started { info, handle }),
            // The closure, and the entry with it, is dropped by std.
            Err(source) => Err(SpawnError::new(Some(name), source)),
        }
    }
}

/// A thread that was started, with std's handle to it.
pub(crate) struct Started {
    pub(crate) info: ThreadInfo,
    pub(crate) handle: std::thread::JoinHandle<()>,
}

/// Who a thread is. Equal when it is the same thread.
#[derive(Clone, Debug)]
pub struct ThreadInfo {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    ident: u64,
    /// Set by the thread itself, first thing.
    native_id: OnceLock<Option<u32>>,
    daemon: bool,
}

impl ThreadInfo {
    fn new(name: &str, ident: u64, daemon: bool) -> Self {
        let inner = Inner { name: name.to_owned(), ident, native_id: OnceLock::new(), daemon };
        ThreadInfo { inner: Arc::new(inner) }
    }

    /// The name; empty for a thread that has none and was not started through this crate.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// A number that no other thread of this process has or will have.
    pub fn ident(&self) -> u64 {
        self.inner.ident
    }

    /// The operating system's number for the thread (`gettid` on Linux). `None` until the thread runs, and where the
    /// system has no such number.
    pub fn native_id(&self) -> Option<u32> {
        self.inner.native_id.get().copied().flatten()
    }

    /// Whether the thread ends with the process instead of being waited for.
    pub fn is_daemon(&self) -> bool {
        self.inner.daemon
    }
}

impl PartialEq for ThreadInfo {
    fn eq(&self, other: &Self) -> bool {
        self.ident() == other.ident()
    }
}

impl Eq for ThreadInfo {}

/// The calling thread, whoever started it.
///
/// ```
/// let name = silkmill::Builder::new().name("reader").spawn(|| silkmill::current().name().to_owned())?;
/// assert_eq!(name.join()?, "reader");
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

/// The living threads that were started through this crate, workers of executors included, oldest first.
pub fn threads() -> Vec<ThreadInfo> {
    registry().values().filter(|living| living.alive).map(|living| living.info.clone()).collect()
}

/// How many threads started through this crate are alive. The main thread is not counted.
pub fn active_count() -> usize {
    registry().values().filter(|living| living.alive).count()
}

/// Whether this crate started the calling thread. Holds to the thread's very end, when the registry does not say so any
/// more: the C library has dropped the thread's locals, its entry among them.
pub(crate) fn is_ours() -> bool {
    IS_OURS.get()
}

/// Waits until no thread is left that is not a daemon. Not to be called by a thread of ours: another may be waiting for it.
pub(crate) fn join_non_daemons() {
    let mut registry = registry();
    while registry.values().any(|living| !living.info.is_daemon()) {
        registry = GONE.wait(registry).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Waits until a thread of ours has left the registry. False when the deadline came first.
fn wait_until_gone(ident: u64, deadline: Deadline) -> bool {
    let mut registry = registry();
    while registry.contains_key(&ident) {
        registry = match deadline.at() {
            None => GONE.wait(registry).unwrap_or_else(PoisonError::into_inner),
            Some(at) if at <= Instant::now() => return false,
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now());
                GONE.wait_timeout(registry, left).unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
    true
}

static IDENT_NEXT: AtomicU64 = AtomicU64::new(1);

/// The number in the name of the next thread that is given none.
static NAMELESS_NEXT: AtomicU64 = AtomicU64::new(1);

/// Every thread of ours from before it is started until its last own statement. Process-wide, because a process has one
/// end. Written by starting and ending threads, read by `threads` and at exit.
static REGISTRY: Mutex<BTreeMap<u64, Living>> = Mutex::new(BTreeMap::new());

/// Notified when a thread leaves the registry.
static GONE: Condvar = Condvar::new();

thread_local! {
    /// The calling thread's place in the registry. Made before any thread-local of the user, so it is dropped after them
    /// (std drops them last first): a thread is gone when they are.
    static ENTRY: RefCell<Option<Entry>> = const { RefCell::new(None) };
    /// Beside `ENTRY` and without a destructor, so that it can be read while the process ends. Zero means none yet.
    static IDENT: Cell<u64> = const { Cell::new(0) };
    /// Whether this crate started the thread. Without a destructor, too.
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

struct Living {
    info: ThreadInfo,
    /// False once the result is as good as published.
    alive: bool,
}

fn registry() -> MutexGuard<'static, BTreeMap<u64, Living>> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ident() -> u64 {
    if IDENT.get() == 0 {
        IDENT.set(IDENT_NEXT.fetch_add(1, Ordering::Relaxed));
    }
    IDENT.get()
}

#[cfg(target_os = "linux")]
fn native_id() -> Option<u32> {
    u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).ok()
}

#[cfg(not(target_os = "linux"))]
fn native_id() -> Option<u32> {
    None
}

/// A thread's place in the registry; dropping it gives the place up.
struct Entry {
    info: ThreadInfo,
}

impl Entry {
    fn register(info: ThreadInfo) -> Entry {
        registry().insert(info.ident(), Living { info: info.clone(), alive: true });
        Entry { info }
    }

    /// Tells the calling thread who it is.
    fn adopt(self) {
        IDENT.set(self.info.ident());
        IS_OURS.set(true);
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

/// A thread whose value is about to be seen: whoever has seen it does not find the thread among the living.
struct Leaving;

impl Host for Leaving {
    fn ended(&self, _how: Ended) {}

    fn free(&self, _briefly: bool) {
        if let Some(living) = registry().get_mut(&ident()) {
            living.alive = false;
        }
    }

    fn busy(&self) {}

    /// std's panic hook has told of it, with the thread's name.
    fn unread(&self, _error: &TaskError) {}
}
