//! How a pool was described, checked by the executor's builder.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::error::TaskError;
use crate::sync::Mutex;
use crate::sync::blocking::WaitHook;
use crate::task::hooks::{AfterTask, BeforeTask, TaskHooks};
use crate::task::job::ContextRunner;
use crate::thread::exit::AtExit;
use crate::thread::start::ThreadStart;

/// Receives an error that no reader and no callback got.
pub(crate) type UnreadErrorHook = Arc<dyn Fn(&TaskError) + Send + Sync>;

/// Runs on every worker before its first task. The error is its failure's message.
pub(crate) type Initializer = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Has a thread run a worker.
pub(crate) type SpawnHandler = Arc<dyn Fn(ThreadStart) -> io::Result<()> + Send + Sync>;

/// Captures the submitter's context and returns what runs a task in it.
pub(crate) type ContextHook = Arc<dyn Fn() -> ContextRunner + Send + Sync>;

/// How a pool was described, except for the number of its workers, which may change.
#[derive(Clone)]
pub(crate) struct PoolConfig {
    pub(crate) thread_name_prefix: String,
    pub(crate) queue_capacity: Option<usize>,
    pub(crate) stack_size: Option<usize>,
    pub(crate) measure_cpu: bool,
    pub(crate) idle_timeout: Duration,
    pub(crate) at_exit: AtExit,
    pub(crate) initializer: Option<Initializer>,
    pub(crate) spawn_handler: Option<SpawnHandler>,
    pub(crate) wait_hook: Option<WaitHook>,
    pub(crate) context: Option<ContextHook>,
    pub(crate) unread_error: UnreadErrorHook,
    pub(crate) before_task: Option<BeforeTask>,
    pub(crate) after_task: Option<AfterTask>,
}

/// The hooks around each task, until the pool has ended.
pub(crate) type HeldTaskHooks = Arc<Mutex<Option<Arc<TaskHooks>>>>;

impl PoolConfig {
    /// Makes the closures that only a living pool calls ones that can be dropped before the
    /// configuration is, for a future keeps its pool's. Returns what drops them.
    pub(crate) fn make_releasable(&mut self) -> Vec<Release> {
        let mut releases = Vec::new();
        if let Some(hook) = self.initializer.take() {
            let held = hold(hook, &mut releases);
            self.initializer = Some(Arc::new(move || held.lock().clone().map_or(Ok(()), |f| f())));
        }
        if let Some(hook) = self.spawn_handler.take() {
            let held = hold(hook, &mut releases);
            let gone = || io::Error::other("the pool has ended");
            self.spawn_handler = Some(Arc::new(move |start| {
                let handler = held.lock().clone();
                handler.ok_or_else(gone).and_then(|handler| handler(start))
            }));
        }
        if let Some(hook) = self.context.take() {
            let held = hold(hook, &mut releases);
            self.context = Some(Arc::new(move || {
                let capture = held.lock().clone();
                capture.map_or_else(|| Box::new(|task: &mut dyn FnMut()| task()) as _, |f| f())
            }));
        }
        if let Some(hook) = self.wait_hook.take() {
            let held = hold(hook, &mut releases);
            self.wait_hook = Some(Arc::new(move |wait| {
                let hook = held.lock().clone();
                match hook {
                    Some(hook) => hook(wait),
                    None => wait(),
                }
            }));
        }
        releases
    }

    /// Takes the hooks around each task out, if there are any, to be dropped with `releases`.
    pub(crate) fn take_task_hooks(&mut self, releases: &mut Vec<Release>) -> Option<HeldTaskHooks> {
        let (before, after) = (self.before_task.take(), self.after_task.take());
        if before.is_none() && after.is_none() {
            return None;
        }
        let unread_error = Arc::clone(&self.unread_error);
        Some(hold(Arc::new(TaskHooks { before, after, unread_error }), releases))
    }
}

/// Drops one of a pool's closures.
pub(crate) type Release = Box<dyn FnOnce() + Send + Sync>;

/// Holds `hook` until the last of `releases` is called.
fn hold<H: Send + Sync + 'static>(hook: H, releases: &mut Vec<Release>) -> Arc<Mutex<Option<H>>> {
    let held = Arc::new(Mutex::new(Some(hook)));
    let theirs = Arc::clone(&held);
    releases.push(Box::new(move || {
        // Dropped once the lock is released, because its drop is the user's code.
        let hook = theirs.lock().take();
        drop(hook);
    }));
    held
}
