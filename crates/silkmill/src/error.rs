//! What can go wrong, and what is known about it.

pub(crate) mod try_map;
pub(crate) mod try_submit;

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::sync::Mutex;
use crate::unwind::{take_location, take_task};

/// Why a task or a thread has no value.
///
/// It tells which of the few reasons it was ([`kind`](TaskError::kind)) and, for a panic, all that
/// is known of it: its message, its payload, where it happened, and the name of the thread it
/// happened on.
///
/// ```
/// use silkmill::Thread;
///
/// let thread = Thread::builder().name("counter").spawn(|| -> u32 { panic!("lost count") })?;
/// let error = thread.join().unwrap_err();
/// assert!(error.is_panic());
/// assert_eq!(error.message(), "lost count");
/// assert!(error.location().unwrap().contains(".rs:"));
/// assert!(error.to_string().starts_with("the task panicked on thread \"counter\" at "));
/// # Ok::<(), silkmill::SpawnError>(())
/// ```
///
/// A clone tells the same; the payload of a panic is shared, and goes to the first that takes it.
#[derive(Clone)]
pub struct TaskError {
    reason: Reason,
}

/// The reasons a task may have no value.
///
/// ```
/// use silkmill::{TaskErrorKind, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
/// pool.shutdown();
/// let late = pool.submit(|| 25);
/// match late.result().unwrap_err().kind() {
///     TaskErrorKind::Shutdown => {} // Too late.
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), silkmill::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskErrorKind {
    /// The closure panicked.
    Panicked,
    /// The task was cancelled before it started.
    Cancelled,
    /// The task was submitted after the executor's shutdown, and not by one of its running tasks.
    Shutdown,
    /// No thread could be started to run the task.
    NoThread,
    /// The task's time was up before it started.
    TimedOut,
    /// The pool's initializer failed too often, so the pool runs nothing; or the states of a map
    /// could not be made too often, so the map ends.
    NotInitialized,
    /// The thread tried to join itself, which would never end.
    JoinedItself,
    /// The result was taken before, by an await through a reference.
    Taken,
    /// The task's pool, or the thread, belongs to the process that has forked this one.
    Forked,
}

#[derive(Clone)]
enum Reason {
    Panicked(Arc<Panic>),
    Cancelled,
    Shutdown,
    NoThread(Arc<io::Error>),
    TimedOut,
    NotInitialized(Arc<String>),
    NoState(Arc<String>),
    JoinedItself,
    Taken,
    Forked,
}

/// Why a task's closure was not called when its turn came. As the payload of an unwinding task it
/// is no panic, and does not stay one.
pub(crate) enum NotStarted {
    Cancelled,
    TimedOut,
    /// The task that it goes on from has no value.
    Failed(TaskError),
}

struct Panic {
    /// Whether it was a hook around the task that panicked, and not the task.
    in_hook: bool,
    message: String,
    /// As `file:line:column`.
    location: Option<String>,
    thread_name: Option<String>,
    task_name: Option<Arc<str>>,
    /// In a mutex because a payload is `Send` but not `Sync`, and an error should be both. `None`
    /// once it was taken.
    payload: Mutex<Option<Box<dyn Any + Send>>>,
}

impl TaskError {
    pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Self {
        let payload = match payload.downcast::<NotStarted>() {
            Err(payload) => payload,
            Ok(not_started) => return TaskError::not_started(*not_started),
        };
        TaskError::of_panic(payload, false)
    }

    /// Makes the error of a hook around a task that panicked.
    pub(crate) fn panicked_in_hook(payload: Box<dyn Any + Send>) -> Self {
        TaskError::of_panic(payload, true)
    }

    fn of_panic(payload: Box<dyn Any + Send>, in_hook: bool) -> Self {
        let message = message_of(&*payload);
        let location = take_location();
        let thread_name = std::thread::current().name().map(str::to_owned);
        TaskError {
            reason: Reason::Panicked(Arc::new(Panic {
                in_hook,
                message,
                location,
                thread_name,
                task_name: take_task(),
                payload: Mutex::new(Some(payload)),
            })),
        }
    }

    pub(crate) fn not_started(why: NotStarted) -> Self {
        match why {
            NotStarted::Cancelled => TaskError::cancelled(),
            NotStarted::TimedOut => TaskError::timed_out(),
            NotStarted::Failed(error) => error,
        }
    }

    pub(crate) fn cancelled() -> Self {
        TaskError { reason: Reason::Cancelled }
    }

    pub(crate) fn shutdown() -> Self {
        TaskError { reason: Reason::Shutdown }
    }

    /// Makes an error with a copy of `source`, made by its code, so that every task that waited for
    /// the thread gets one.
    pub(crate) fn no_thread(source: &io::Error) -> Self {
        let copy = match source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(source.kind(), source.to_string()),
        };
        TaskError { reason: Reason::NoThread(Arc::new(copy)) }
    }

    pub(crate) fn not_initialized(message: Arc<String>) -> Self {
        TaskError { reason: Reason::NotInitialized(message) }
    }

    pub(crate) fn no_state(message: Arc<String>) -> Self {
        TaskError { reason: Reason::NoState(message) }
    }

    pub(crate) fn timed_out() -> Self {
        TaskError { reason: Reason::TimedOut }
    }

    pub(crate) fn taken() -> Self {
        TaskError { reason: Reason::Taken }
    }

    pub(crate) fn forked() -> Self {
        TaskError { reason: Reason::Forked }
    }

    pub(crate) fn joined_itself() -> Self {
        TaskError { reason: Reason::JoinedItself }
    }

    /// Returns which of the reasons it was.
    pub fn kind(&self) -> TaskErrorKind {
        match self.reason {
            Reason::Panicked(_) => TaskErrorKind::Panicked,
            Reason::Cancelled => TaskErrorKind::Cancelled,
            Reason::Shutdown => TaskErrorKind::Shutdown,
            Reason::NoThread(_) => TaskErrorKind::NoThread,
            Reason::TimedOut => TaskErrorKind::TimedOut,
            Reason::NotInitialized(_) | Reason::NoState(_) => TaskErrorKind::NotInitialized,
            Reason::JoinedItself => TaskErrorKind::JoinedItself,
            Reason::Taken => TaskErrorKind::Taken,
            Reason::Forked => TaskErrorKind::Forked,
        }
    }

    /// Returns whether the closure panicked.
    pub fn is_panic(&self) -> bool {
        self.kind() == TaskErrorKind::Panicked
    }

    /// Returns whether the task was cancelled before it started.
    pub fn is_cancelled(&self) -> bool {
        self.kind() == TaskErrorKind::Cancelled
    }

    /// Returns whether the owner of a task should be told of this error even if no thread reads it:
    /// the task was not cancelled, which is its owner's own doing.
    pub(crate) fn is_worth_reporting(&self) -> bool {
        !self.is_cancelled()
    }

    /// Returns the message of the task's panic, or of the initializer's; empty when the payload was
    /// no string, or when there was no panic.
    pub fn message(&self) -> &str {
        match &self.reason {
            Reason::Panicked(panic) => &panic.message,
            Reason::NotInitialized(message) | Reason::NoState(message) => message,
            _ => "",
        }
    }

    /// Returns where the task panicked, as `file:line:column`. `None` when there was no panic, and
    /// when the program has set a panic hook of its own after its first thread or pool was made:
    /// only a hook learns the location.
    pub fn location(&self) -> Option<&str> {
        self.panic()?.location.as_deref()
    }

    /// Returns the name of the thread that panicked, if it had one.
    pub fn thread_name(&self) -> Option<&str> {
        self.panic()?.thread_name.as_deref()
    }

    /// Returns the [name](crate::TaskOptions::name) of the task that panicked, if it had one.
    pub fn task_name(&self) -> Option<&str> {
        self.panic()?.task_name.as_deref()
    }

    /// Returns what was given to `panic!` or [`std::panic::panic_any`].
    ///
    /// # Errors
    /// Gives the error back unchanged when it is no panic, or when a clone of it has given the
    /// payload away.
    pub fn into_payload(self) -> Result<Box<dyn Any + Send>, TaskError> {
        let payload = self.panic().and_then(|panic| panic.payload.lock().take());
        payload.ok_or(self)
    }

    fn panic(&self) -> Option<&Panic> {
        match &self.reason {
            Reason::Panicked(panic) => Some(panic),
            _ => None,
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Panicked(panic) => {
                if panic.in_hook {
                    f.write_str("a hook around ")?;
                }
                match &panic.task_name {
                    Some(name) => write!(f, "the task {name:?} panicked")?,
                    None => f.write_str("the task panicked")?,
                }
                if let Some(name) = &panic.thread_name {
                    write!(f, " on thread {name:?}")?;
                }
                if let Some(location) = &panic.location {
                    write!(f, " at {location}")?;
                }
                let no_words = panic.message.is_empty();
                if no_words { Ok(()) } else { write!(f, ": {}", panic.message) }
            }
            Reason::Cancelled => f.write_str("the task was cancelled before it started"),
            Reason::Shutdown => f.write_str("the task was submitted after the executor's shutdown"),
            Reason::NoThread(_) => f.write_str("failed to start a thread for the task"),
            Reason::TimedOut => f.write_str("the task's time was up before it started"),
            Reason::NotInitialized(message) | Reason::NoState(message) => {
                f.write_str(match &self.reason {
                    Reason::NoState(_) => "the state of the task's map could not be made",
                    _ => "the initializer of the task's pool failed",
                })?;
                let no_words = message.is_empty();
                if no_words { Ok(()) } else { write!(f, ": {message}") }
            }
            Reason::JoinedItself => f.write_str("a thread cannot join itself"),
            Reason::Taken => f.write_str("the task's result was taken before"),
            Reason::Forked => {
                f.write_str("the task belongs to the process that has forked this one")
            }
        }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskError({:?}: {self})", self.kind())
    }
}

impl Error for TaskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            Reason::NoThread(source) => Some(&**source),
            _ => None,
        }
    }
}

// An error is not changed once it is made, save for the payload, which is taken as a whole.
impl UnwindSafe for TaskError {}
impl RefUnwindSafe for TaskError {}

impl From<TaskError> for io::Error {
    /// The kind is `TimedOut` for a task whose time was up, that of the system's error when no
    /// thread could be started, and `Other` for everything else: `Interrupted` would make std try
    /// again. The task's error is the inner one.
    fn from(error: TaskError) -> Self {
        let kind = match &error.reason {
            Reason::TimedOut => io::ErrorKind::TimedOut,
            Reason::NoThread(source) => source.kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// Returns the message of a payload. `panic!` with a literal carries a `&str`, with arguments a
/// `String`; anything else has no message.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        String::new()
    }
}

/// A thread could not be started.
///
/// ```
/// use silkmill::Thread;
///
/// let too_much = Thread::builder().name("big").stack_size(usize::MAX / 2).spawn(|| ());
/// let error = too_much.unwrap_err();
/// assert!(error.to_string().starts_with("failed to start thread \"big\": "));
/// let io: std::io::Error = error.into();
/// assert!(io.get_ref().is_some());
/// ```
#[derive(Debug)]
pub struct SpawnError {
    name: Option<String>,
    source: io::Error,
}

impl SpawnError {
    pub(crate) fn new(name: Option<String>, source: io::Error) -> Self {
        SpawnError { name, source }
    }

    /// Returns the operating system's error.
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "failed to start thread {name:?}: {}", self.source),
            None => write!(f, "failed to start a thread: {}", self.source),
        }
    }
}

impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl From<SpawnError> for io::Error {
    /// The kind is that of the system's error; the whole is the inner one.
    fn from(error: SpawnError) -> Self {
        io::Error::new(error.source.kind(), error)
    }
}

/// There was no result in time.
///
/// ```
/// use std::time::Duration;
/// use silkmill::{TimedOut, ThreadPoolExecutor, as_completed};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
/// let (go, wait) = std::sync::mpsc::channel::<()>();
/// let mut futures = as_completed([pool.submit(move || wait.recv().is_ok())]);
/// assert_eq!(futures.next_timeout(Duration::ZERO).unwrap_err(), TimedOut);
/// go.send(())?;
/// assert!(futures.next().unwrap().result()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no result came in time")
    }
}

impl Error for TimedOut {}

impl From<TimedOut> for io::Error {
    fn from(error: TimedOut) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}

/// An executor was described in a way that cannot be built.
///
/// ```
/// use silkmill::ThreadPoolExecutor;
///
/// let error = ThreadPoolExecutor::builder().max_workers(0).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "failed to build the executor: max_workers must be greater than 0"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError {
    message: &'static str,
}

impl BuildError {
    pub(crate) fn new(message: &'static str) -> Self {
        BuildError { message }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to build the executor: {}", self.message)
    }
}

impl Error for BuildError {}
