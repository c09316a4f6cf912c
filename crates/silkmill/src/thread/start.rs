//! A worker thread that is about to start, for programs that start threads in a way of their own.

use std::fmt;

use crate::thread::registry::{self, Entry, ThreadInfo};

/// A worker that is to be started, given to
/// [`spawn_handler`](crate::ThreadPoolExecutorBuilder::spawn_handler): a thread must call
/// [`run`](ThreadStart::run).
///
/// Dropping it instead is a failure to start a thread.
///
/// ```
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder()
///     .spawn_handler(|start| {
///         let thread = std::thread::Builder::new().name(format!("our {}", start.name()));
///         thread.spawn(|| start.run()).map(drop)
///     })
///     .build()?;
/// assert_eq!(pool.submit(|| 25).result()?, 25);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a start that is dropped is a failure to start a thread"]
pub struct ThreadStart {
    name: String,
    stack_size: Option<usize>,
    /// The worker's body; `None` once it has begun.
    body: Option<Box<dyn FnOnce() + Send>>,
    /// Runs when the start is dropped before the body has begun.
    on_drop: Option<Box<dyn FnOnce() + Send>>,
}

impl ThreadStart {
    pub(crate) fn new(
        name: String,
        stack_size: Option<usize>,
        body: impl FnOnce() + Send + 'static,
        on_drop: impl FnOnce() + Send + 'static,
    ) -> Self {
        let (body, on_drop) = (Some(Box::new(body) as Box<_>), Some(Box::new(on_drop) as Box<_>));
        ThreadStart { name, stack_size, body, on_drop }
    }

    /// Returns the name that the thread should have.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the size that the thread's stack should have, in bytes, if the builder set one.
    pub fn stack_size(&self) -> Option<usize> {
        self.stack_size
    }

    /// Works, until the pool needs this worker no more. Meanwhile the calling thread is one of this
    /// crate: [`current`](crate::current()) has its name.
    pub fn run(mut self) {
        self.on_drop = None;
        let Some(body) = self.body.take() else { return };
        // Workers are daemons: the end of the process waits for pools.
        let info = ThreadInfo::new(&self.name, registry::next_ident(), true);
        Entry::register(info).lend(body);
    }
}

impl Drop for ThreadStart {
    fn drop(&mut self) {
        if let Some(on_drop) = self.on_drop.take() {
            on_drop();
        }
    }
}

impl fmt::Debug for ThreadStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadStart")
            .field("name", &self.name)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}
