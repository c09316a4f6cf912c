//! Describes an executor before it is built.

use std::sync::Arc;

use crate::crew::Crew;
use crate::error::BuildError;
use crate::executor::ThreadPoolExecutor;

/// The default number of workers is this at most, however many processors there are.
const WORKERS_DEFAULT_MAX: usize = 32;

/// The default number of workers is that of the processors plus this, for the work waits.
const WORKERS_DEFAULT_EXTRA: usize = 4;

/// Describes an executor before it is built.
#[derive(Clone, Debug)]
#[must_use = "a builder makes no executor until `build`"]
pub struct ThreadPoolExecutorBuilder {
    max_workers: Option<usize>,
    pub(crate) thread_name_prefix: String,
    pub(crate) queue_capacity: Option<usize>,
    pub(crate) stack_size: Option<usize>,
    pub(crate) measure_cpu: bool,
}

impl Default for ThreadPoolExecutorBuilder {
    fn default() -> Self {
        ThreadPoolExecutorBuilder {
            max_workers: None,
            thread_name_prefix: "silkmill".to_owned(),
            queue_capacity: None,
            stack_size: None,
            measure_cpu: false,
        }
    }
}

impl ThreadPoolExecutorBuilder {
    /// How many tasks may run at once. By default the number of processors plus 4, at most 32.
    ///
    /// A task that waits for another of the same pool is not counted while it waits; when it goes on there may be one more
    /// than this, until the next of them ends.
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.max_workers = Some(max_workers);
        self
    }

    /// What the names of the workers begin with: `fetch` makes `fetch-0`, `fetch-1` and so on.
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.thread_name_prefix = prefix.into();
        self
    }

    /// How many tasks may wait for a worker. Without a capacity the queue grows as far as memory goes.
    pub fn queue_capacity(mut self, capacity: usize) -> Self {
        self.queue_capacity = Some(capacity);
        self
    }

    /// The size of each worker's stack in bytes; the system may round it up.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Whether to measure the processor time of every task (two system calls a task), so that
    /// [`Stats::advice`](crate::Stats::advice) can tell waiting from computing. Off by default.
    pub fn measure_cpu(mut self, yes: bool) -> Self {
        self.measure_cpu = yes;
        self
    }

    /// Builds the executor. No thread is started before there is a task.
    ///
    /// # Errors
    /// When there would be no worker or no room for a task, or the prefix holds a NUL.
    pub fn build(self) -> Result<ThreadPoolExecutor, BuildError> {
        let max_workers = self.max_workers.unwrap_or_else(max_workers_default);
        if max_workers == 0 {
            return Err(BuildError::new("max_workers must be greater than 0"));
        }
        if self.queue_capacity == Some(0) {
            return Err(BuildError::new("queue_capacity must be greater than 0"));
        }
        if self.thread_name_prefix.contains('\0') {
            return Err(BuildError::new("thread_name_prefix holds a NUL"));
        }
        let crew = Crew::new(max_workers, self);
        Ok(ThreadPoolExecutor { crew: Arc::new(crew) })
    }
}

fn max_workers_default() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    WORKERS_DEFAULT_MAX.min(processors + WORKERS_DEFAULT_EXTRA)
}
