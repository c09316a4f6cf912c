//! How a pool was described, checked by the executor's builder.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::error::TaskError;
use crate::sync::blocking::WaitHook;
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
}
