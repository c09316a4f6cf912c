//! The hooks before and after each task: what they are told, and how they are called.
//!
//! A worker keeps its pool's hooks in a thread-local, so that a task need not carry them. The task
//! carries when it was submitted; without that no hook is called for it and no clock is read. The
//! time a task took is noted when its closure has ended, and told when the result is whole, which
//! the same thread does next.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::unwind::caught;

/// A task that is about to run, as a pool's
/// [`before_task`](crate::ThreadPoolExecutorBuilder::before_task) is told.
///
/// ```
/// use std::sync::mpsc;
/// use silkmill::ThreadPoolExecutor;
///
/// let (sender, names) = mpsc::channel();
/// let pool = ThreadPoolExecutor::builder()
///     .before_task(move |task| sender.send(task.name.map(str::to_owned)).unwrap())
///     .build()?;
/// pool.task().name("GET /x").submit(|| ()).result()?;
/// assert_eq!(names.recv()?.as_deref(), Some("GET /x"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TaskStart<'a> {
    /// The [name](crate::TaskOptions::name) of the task, if it has one.
    pub name: Option<&'a str>,
    /// The time from its submission until now.
    pub wait: Duration,
}

/// A task that has run, as a pool's [`after_task`](crate::ThreadPoolExecutorBuilder::after_task) is
/// told.
///
/// ```
/// use std::sync::mpsc;
/// use silkmill::ThreadPoolExecutor;
///
/// let (sender, failures) = mpsc::channel();
/// let pool = ThreadPoolExecutor::builder()
///     .after_task(move |task| drop(sender.send(task.error.map(ToString::to_string))))
///     .build()?;
/// let failed = pool.submit(|| panic!("no route"));
/// assert!(failed.result().is_err());
/// assert!(failures.recv()?.unwrap().ends_with("no route"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TaskEnd<'a> {
    /// The [name](crate::TaskOptions::name) of the task, if it has one.
    pub name: Option<&'a str>,
    /// The time from its submission to its start.
    pub wait: Duration,
    /// The time from its start to its end.
    pub wall: Duration,
    /// The outcome: the panic of the task, or `None` when it has returned.
    pub error: Option<&'a TaskError>,
}

pub(crate) type BeforeTask = Arc<dyn Fn(&TaskStart<'_>) + Send + Sync>;
pub(crate) type AfterTask = Arc<dyn Fn(&TaskEnd<'_>) + Send + Sync>;

/// The hooks of one pool.
pub(crate) struct TaskHooks {
    pub(crate) before: Option<BeforeTask>,
    pub(crate) after: Option<AfterTask>,
    /// Receives the panics of the two.
    pub(crate) unread_error: Arc<dyn Fn(&TaskError) + Send + Sync>,
}

impl TaskHooks {
    /// Runs a hook. Its panic is told of, and goes no further.
    fn call(&self, hook: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(hook)) {
            let error = TaskError::panicked_in_hook(payload);
            caught(|| (self.unread_error)(&error));
            caught(|| drop(error));
        }
    }
}

/// A task that has ended, except for its result.
struct Ended {
    name: Option<Arc<str>>,
    wait: Duration,
    wall: Duration,
}

thread_local! {
    /// The hooks of the pool that this thread works for, if it has any. Set before its first task
    /// and after its last.
    static HOOKS: RefCell<Option<Arc<TaskHooks>>> = const { RefCell::new(None) };
    /// The task whose closure has just ended. Written when it has, taken when its result is whole.
    static ENDED: Cell<Option<Ended>> = const { Cell::new(None) };
}

/// Sets the hooks of the calling worker.
pub(crate) fn set(hooks: Option<Arc<TaskHooks>>) {
    let before = HOOKS.replace(hooks);
    // What it may be the last to own is the user's.
    caught(|| drop(before));
}

/// Calls `f` with the hooks of the calling worker, if it has any.
fn with_hooks(f: impl FnOnce(&TaskHooks)) {
    let _ = HOOKS.try_with(|hooks| hooks.borrow().as_deref().map(f));
}

/// A task that runs; its time ends when this is dropped.
pub(crate) struct Running {
    name: Option<Arc<str>>,
    wait: Duration,
    started: Instant,
}

/// Tells the first hook that a task is about to run which was `submitted` then.
pub(crate) fn begin(submitted: Instant, name: Option<Arc<str>>) -> Running {
    let wait = submitted.elapsed();
    with_hooks(|hooks| {
        if let Some(before) = &hooks.before {
            hooks.call(|| before(&TaskStart { name: name.as_deref(), wait }));
        }
    });
    // The time of the hook is not the task's.
    Running { name, wait, started: Instant::now() }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = Ended { name: self.name.take(), wait: self.wait, wall: self.started.elapsed() };
        let _ = ENDED.try_with(|last| last.set(Some(ended)));
    }
}

/// Tells the second hook of the task whose closure has just ended, if it is one to be told of.
pub(crate) fn end(error: Option<&TaskError>) {
    let Some(Ended { name, wait, wall }) = ENDED.try_with(Cell::take).ok().flatten() else {
        return;
    };
    with_hooks(|hooks| {
        if let Some(after) = &hooks.after {
            hooks.call(|| after(&TaskEnd { name: name.as_deref(), wait, wall, error }));
        }
    });
}
