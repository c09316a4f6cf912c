//! Threads that return a value.
//!
//! Rust ends a process when `main` returns, whatever its threads do. Here that is a choice: a
//! daemon thread ends with the process, any other is joined before the process ends (see `exit`).
//! The `registry` knows which threads live.

pub(crate) mod exit;
pub(crate) mod fork;
pub(crate) mod registry;
pub(crate) mod start;

use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{SpawnError, TaskError};
use crate::sync::Deadline;
use crate::task::observer::{Afterwards, Claim, Ended, Observer};
use crate::task::{NewTask, TaskHandle};
use crate::thread::registry::{Entry, ThreadInfo};
use crate::unwind::note_panics;

/// A running thread that will return a `T`.
///
/// Dropping the handle lets the thread run on; unless it is a daemon the process waits for it
/// before it ends.
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
    /// The panic, when the thread panicked; [`JoinedItself`](crate::TaskErrorKind::JoinedItself)
    /// when it is called on the very thread it would wait for;
    /// [`Forked`](crate::TaskErrorKind::Forked) in a process that was forked while it ran.
    pub fn join(self) -> Result<T, TaskError> {
        match self.join_until(Deadline::NEVER) {
            Ok(result) => result,
            Err(_) => unreachable!("a deadline that is never does not pass"),
        }
    }

    /// Waits for at most `timeout`. A thread that is not done by then is given back as the `Err`,
    /// so that it can be joined later. `Duration::ZERO` only looks; a timeout too long for the
    /// clock means for ever.
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
    /// The thread itself, when it is not done. What the thread ended with is in the `Ok`, as
    /// [`join`](Thread::join) returns it.
    pub fn join_timeout(self, timeout: Duration) -> Result<Result<T, TaskError>, Thread<T>> {
        self.join_until(Deadline::after(timeout))
    }

    fn join_until(mut self, deadline: Deadline) -> Result<Result<T, TaskError>, Thread<T>> {
        if self.info.ident() == registry::ident() {
            return Ok(Err(TaskError::joined_itself()));
        }
        if !self.task.is_done() && !self.info.is_here() {
            return Ok(Err(TaskError::forked()));
        }
        if !self.task.wait_until(deadline)
            || !registry::wait_until_gone(self.info.ident(), deadline)
        {
            return Err(self);
        }
        Ok(self.task.take_result().expect("join consumes the only handle, so the result is there"))
    }

    /// Returns whether the thread has its value, so that [`join`](Thread::join) would wait for no
    /// more than its thread-locals.
    pub fn is_finished(&self) -> bool {
        self.task.is_done()
    }

    /// Returns the thread's name, its number, and whether it is a daemon.
    pub fn info(&self) -> &ThreadInfo {
        &self.info
    }
}

// Nothing of the result is seen before it is whole.
impl<T> UnwindSafe for Thread<T> {}
impl<T> RefUnwindSafe for Thread<T> {}

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
/// let thread = silkmill::ThreadBuilder::new().name("count").daemon(true).spawn(|| 25)?;
/// assert_eq!(thread.info().name(), "count");
/// assert_eq!(thread.join()?, 25);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts no thread until `spawn`"]
pub struct ThreadBuilder {
    name: Option<String>,
    daemon: bool,
    stack_size: Option<usize>,
}

impl ThreadBuilder {
    /// Describes a thread called `thread-N` that is no daemon and has std's stack size.
    pub fn new() -> Self {
        ThreadBuilder::default()
    }

    /// Names the thread. Linux shows the first 15 bytes in its tools; panics show all.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets whether the thread ends with the process. If not (the default) the process waits for
    /// it, when `main` returns and when `main` calls [`std::process::exit`].
    ///
    /// A thread started through this crate that calls `exit` itself waits for no other thread,
    /// because another may be waiting for it. And std lets one thread end the process and parks
    /// every other that tries, so a thread that is no daemon and calls `exit` once `main` has
    /// returned is waited for in vain. Let it return instead, or call
    /// [`exit`](crate::exit()), as the handler of a signal does.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Sets the size of the thread's stack in bytes; the system may round it up.
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
        note_panics();
        let (theirs, task) = NewTask::new(f).into_owners();
        // The value is dropped on the thread when no handle wants it, and the process waits for
        // that too.
        let started = self.start(move || {
            if let Some(claimed) = theirs.claim(Claim::ToRun) {
                claimed.run(&ThreadObserver);
            }
        })?;
        Ok(Thread { task, info: started.info })
    }

    /// Starts a registered thread that runs `body`.
    pub(crate) fn start(self, body: impl FnOnce() + Send + 'static) -> Result<Started, SpawnError> {
        let ident = registry::next_ident();
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
            // std drops the closure, and the entry with it.
            Err(source) => Err(SpawnError::new(Some(name), source)),
        }
    }
}

/// The same as [`ThreadBuilder`], by its earlier name.
pub type Builder = ThreadBuilder;

/// A thread that was started, with std's handle to it.
pub(crate) struct Started {
    pub(crate) info: ThreadInfo,
    pub(crate) handle: std::thread::JoinHandle<()>,
}

/// The number in the name of the next thread that is given none.
static NAMELESS_NEXT: AtomicU64 = AtomicU64::new(1);

/// Observes a thread whose value is about to be seen: a reader that has seen it does not find the
/// thread among the living.
struct ThreadObserver;

impl Observer for ThreadObserver {
    fn ended(&self, _how: Ended, _error: Option<&TaskError>) {}

    fn free(&self, _afterwards: Afterwards) {
        registry::leave();
    }

    fn busy(&self) {}

    /// std's panic hook has reported it, with the thread's name.
    fn unread(&self, _error: &TaskError) {}
}
