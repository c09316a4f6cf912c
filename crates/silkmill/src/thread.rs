//! Threads that return a value, and the registry of those that live.
//!
//! Rust ends a process when `main` returns, whatever its threads do. Here that is a choice: a daemon thread ends with
//! the process, any other is joined before the process ends (see `exit`).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{SpawnError, TaskError};
use crate::exit;
use crate::sync::Deadline;
use crate::task::Task;

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
    task: Arc<Task<T>>,
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

    /// Waits for the thread to end and returns its value.
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

    fn join_until(self, deadline: Deadline) -> Result<Result<T, TaskError>, Thread<T>> {
        if self.info.ident == ident() {
            return Ok(Err(TaskError::joined_itself()));
        }
        if !self.task.wait_until(deadline) {
            return Err(self);
        }
        Ok(self.task.take_result().expect("join consumes the only handle, so the result is there"))
    }

    /// Whether the thread has ended, so that [`join`](Thread::join) would not wait.
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
            .field("name", &self.info.name)
            .field("daemon", &self.info.daemon)
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
    /// when any thread calls [`std::process::exit`].
    ///
    /// std lets one thread end the process and parks every other that tries: so a thread that is no daemon and calls
    /// `exit` once `main` has returned is waited for in vain. Let it return instead.
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
        let task = Arc::new(Task::running());
        let theirs = Arc::clone(&task);
        let started = self.start(move |entry| {
            let result = catch_unwind(AssertUnwindSafe(f)).map_err(TaskError::panicked);
            // Whoever has joined a thread does not find it among the living.
            theirs.complete(result, &mut |_| entry.mark_dead());
            // The value is dropped here when nobody wants it, and the process waits for that too.
            drop(theirs);
        })?;
        Ok(Thread { task, info: started.info })
    }

    /// Starts a registered thread that runs `body`.
    pub(crate) fn start(
        self,
        body: impl FnOnce(&Entry) + Send + 'static,
    ) -> Result<Started, SpawnError> {
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
        let info =
            ThreadInfo { name: name.as_str().into(), ident, native_id: None, daemon: self.daemon };
        let entry = Entry::register(info.clone());
        let mut builder = std::thread::Builder::new().name(name.clone());
        if let Some(bytes) = self.stack_size {
            builder = builder.stack_size(bytes);
        }
        let handle = builder.spawn(move || {
            entry.adopt();
            body(&entry);
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

/// Who a thread is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadInfo {
    name: Arc<str>,
    ident: u64,
    native_id: Option<u32>,
    daemon: bool,
}

impl ThreadInfo {
    /// The name; empty for a thread that has none and was not started through this crate.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A number that no other thread of this process has or will have.
    pub fn ident(&self) -> u64 {
        self.ident
    }

    /// The operating system's number for the thread (`gettid` on Linux). `None` until the thread runs, and where the
    /// system has no such number.
    pub fn native_id(&self) -> Option<u32> {
        self.native_id
    }

    /// Whether the thread ends with the process instead of being waited for.
    pub fn is_daemon(&self) -> bool {
        self.daemon
    }
}

/// The calling thread, whoever started it.
///
/// ```
/// let name = silkmill::Builder::new().name("reader").spawn(|| silkmill::current().name().to_owned())?;
/// assert_eq!(name.join()?, "reader");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn current() -> ThreadInfo {
    // After the thread's locals are gone there is nothing to look up, only to make.
    let ours = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
    ours.unwrap_or_else(|| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        ThreadInfo {
            name: name.into(),
            ident: ident(),
            native_id: native_id(),
            // The process ends when its main thread does, and waits for no other that std started.
            daemon: name != "main",
        }
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

/// Waits until no other thread is left that is not a daemon.
pub(crate) fn join_non_daemons() {
    let own = ident();
    let mut registry = registry();
    while registry.iter().any(|(other, living)| *other != own && !living.info.daemon) {
        registry = GONE.wait(registry).unwrap_or_else(PoisonError::into_inner);
    }
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
    static CURRENT: RefCell<Option<ThreadInfo>> = const { RefCell::new(None) };
    /// Beside `CURRENT` and without a destructor, so that it can be read while the process ends. Zero means none yet.
    static IDENT: Cell<u64> = const { Cell::new(0) };
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

/// A thread's place in the registry, held by the thread; dropping it gives the place up.
pub(crate) struct Entry {
    ident: u64,
}

impl Entry {
    fn register(info: ThreadInfo) -> Entry {
        let ident = info.ident;
        registry().insert(ident, Living { info, alive: true });
        Entry { ident }
    }

    /// Tells the calling thread who it is.
    fn adopt(&self) {
        IDENT.set(self.ident);
        if let Some(living) = registry().get_mut(&self.ident) {
            living.info.native_id = native_id();
            CURRENT.set(Some(living.info.clone()));
        }
    }

    pub(crate) fn mark_dead(&self) {
        if let Some(living) = registry().get_mut(&self.ident) {
            living.alive = false;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        registry().remove(&self.ident);
        GONE.notify_all();
    }
}
