//! How a pool was described, checked by the executor's builder.

use std::sync::Arc;
use std::time::Duration;

use crate::error::TaskError;
use crate::task::job::ContextRunner;

/// What is done with a panic that nobody has read.
pub(crate) type UnreadPanicHook = Arc<dyn Fn(&TaskError) + Send + Sync>;

/// Makes what carries the submitter's context into a task.
pub(crate) type ContextHook = Arc<dyn Fn() -> ContextRunner + Send + Sync>;

/// How a pool was described, less the number of its workers, which may change.
#[derive(Clone)]
pub(crate) struct PoolConfig {
    pub(crate) thread_name_prefix: String,
    pub(crate) queue_capacity: Option<usize>,
    pub(crate) stack_size: Option<usize>,
    pub(crate) measure_cpu: bool,
    pub(crate) idle_timeout: Duration,
    pub(crate) daemon: bool,
    pub(crate) initializer: Option<Arc<dyn Fn() + Send + Sync>>,
    pub(crate) context: Option<ContextHook>,
    pub(crate) unread_panic: UnreadPanicHook,
}
