//! Describes an executor before it is built.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{BuildError, TaskError};
use crate::executor::ThreadPoolExecutor;
use crate::pool::Pool;
use crate::pool::config::PoolConfig;
use crate::task::hooks::{TaskEnd, TaskStart};
use crate::thread::exit::AtExit;
use crate::thread::start::ThreadStart;
use crate::unwind::note_panics;

/// The largest default number of workers, however many processors there are.
const WORKERS_DEFAULT_MAX: usize = 32;

/// The default number of workers is that of the processors plus this, because the work waits.
const WORKERS_DEFAULT_EXTRA: usize = 4;

/// The default time for which a worker sleeps before it exits. Long enough for bursts that follow
/// each other, short enough that a program which has stopped using a pool soon has none of its
/// threads.
const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Describes an executor before it is built.
///
/// ```
/// use std::time::Duration;
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder()
///     .max_workers(8)
///     .thread_name_prefix("fetch")
///     .queue_capacity(100)
///     .idle_timeout(Duration::from_secs(1))
///     .build()?;
/// assert_eq!(pool.max_workers(), 8);
/// # Ok::<(), silkmill::BuildError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder makes no executor until `build`"]
pub struct ThreadPoolExecutorBuilder {
    max_workers: Option<usize>,
    config: PoolConfig,
}

impl ThreadPoolExecutor {
    /// Describes an executor before it is built.
    pub fn builder() -> ThreadPoolExecutorBuilder {
        ThreadPoolExecutorBuilder::default()
    }
}

impl Default for ThreadPoolExecutorBuilder {
    fn default() -> Self {
        ThreadPoolExecutorBuilder {
            max_workers: None,
            config: PoolConfig {
                thread_name_prefix: "silkmill".to_owned(),
                queue_capacity: None,
                stack_size: None,
                measure_cpu: false,
                idle_timeout: IDLE_TIMEOUT_DEFAULT,
                at_exit: AtExit::RunQueue,
                initializer: None,
                spawn_handler: None,
                wait_hook: None,
                context: None,
                unread_error: Arc::new(print_unread_error),
                before_task: None,
                after_task: None,
            },
        }
    }
}

impl ThreadPoolExecutorBuilder {
    /// Sets the number of tasks that may run at once. By default it is the number of processors
    /// plus 4, at most 32.
    ///
    /// A task that waits for another of the same pool is not counted while it waits; when it goes
    /// on there may be one more than this for each that does, until as many tasks have ended.
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.max_workers = Some(max_workers);
        self
    }

    /// Sets the prefix of the workers' names: `fetch` makes `fetch-0`, `fetch-1` and so on.
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.config.thread_name_prefix = prefix.into();
        self
    }

    /// Sets the number of tasks that may wait for a worker. Without a capacity the queue grows as
    /// far as memory goes.
    pub fn queue_capacity(mut self, capacity: usize) -> Self {
        self.config.queue_capacity = Some(capacity);
        self
    }

    /// Sets the size of each worker's stack in bytes; the system may round it up.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.config.stack_size = Some(bytes);
        self
    }

    /// Sets whether to measure the processor time of every task (two system calls a task), so that
    /// [`Stats::advice`](crate::Stats::advice) can tell waiting from computing. Off by default.
    pub fn measure_cpu(mut self, yes: bool) -> Self {
        self.config.measure_cpu = yes;
        self
    }

    /// Sets how long a worker stays that has nothing to do, 10 seconds by default. When all have
    /// exited the pool has no threads; the next task starts one. `Duration::MAX` keeps them until
    /// the shutdown.
    ///
    /// Of several idle workers the one that worked last is woken first, so the others get to exit.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.config.idle_timeout = timeout;
        self
    }

    /// Sets what becomes of the pool when the process ends: when `main` returns, and when the
    /// program calls [`std::process::exit`]. By default what is queued is run first, in a pool that
    /// is kept in a static, say, or that another thread owns.
    ///
    /// A program that a person may interrupt also needs a handler that calls
    /// [`exit`](crate::exit()): `process::exit` runs the whole queue, however long that takes, and
    /// a second ^C does nothing then.
    ///
    /// Dropping the executor waits for its tasks in any case.
    pub fn at_exit(mut self, at_exit: AtExit) -> Self {
        self.config.at_exit = at_exit;
        self
    }

    /// Sets whether the end of the process cuts the pool off: `daemon(true)` is
    /// [`at_exit`](ThreadPoolExecutorBuilder::at_exit) with [`AtExit::Abandon`], and
    /// `daemon(false)` is the default, [`AtExit::RunQueue`].
    pub fn daemon(self, daemon: bool) -> Self {
        self.at_exit(if daemon { AtExit::Abandon } else { AtExit::RunQueue })
    }

    /// Runs `f` on every worker before its first task: to set a thread-local, a processor affinity,
    /// a name elsewhere.
    ///
    /// When it panics, that worker retires and another is started for what is queued. When it has
    /// failed three times in a row, the pool is of no use: what is queued and what is submitted
    /// from then on ends with [`NotInitialized`](crate::TaskErrorKind::NotInitialized). Tasks that
    /// already run go on.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// thread_local!(static READY: Cell<bool> = const { Cell::new(false) });
    ///
    /// let pool = ThreadPoolExecutor::builder().initializer(|| READY.set(true)).build()?;
    /// assert!(pool.submit(|| READY.get()).result()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn initializer(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.config.initializer = Some(Arc::new(move || {
            f();
            Ok(())
        }));
        self
    }

    /// Does what [`initializer`](ThreadPoolExecutorBuilder::initializer) does, for an `f` that may
    /// fail, which counts as a panic does. The message of the last error is that of the tasks'
    /// errors.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let connect = || std::fs::metadata("/").map(drop);
    /// let pool = ThreadPoolExecutor::builder().try_initializer(connect).build()?;
    /// assert_eq!(pool.submit(|| 25).result()?, 25);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_initializer<E: fmt::Display>(
        mut self,
        f: impl Fn() -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        self.config.initializer = Some(Arc::new(move || f().map_err(|error| error.to_string())));
        self
    }

    /// Sets how worker threads are started, for a binding or a runtime that starts threads in a way
    /// of its own: as threads that an interpreter knows, say.
    ///
    /// `f` runs on the thread whose task needs the worker, and has another thread call
    /// [`ThreadStart::run`], now or soon. When it returns an error, or drops what it was given, the
    /// worker is counted out, as when the system refuses a thread. A shutdown waits until every
    /// worker has left `run`'s loop, and does not join its thread. The thread that the pool keeps
    /// for [time limits](crate::TaskOptions::timeout) is not a worker, and not started by `f`.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder()
    ///     .thread_name_prefix("own")
    ///     .spawn_handler(|start| {
    ///         let thread = std::thread::Builder::new().name(start.name().to_owned());
    ///         thread.spawn(|| start.run()).map(drop)
    ///     })
    ///     .build()?;
    /// assert_eq!(pool.submit(|| silkmill::current().name().to_owned()).result()?, "own-0");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_handler(
        mut self,
        f: impl Fn(ThreadStart) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.config.spawn_handler = Some(Arc::new(f));
        self
    }

    /// Calls `hook` around every blocking wait of a worker, so that a lock can be let go that
    /// others need: an interpreter's, say, that workers hold while they run tasks.
    ///
    /// The hook lets the lock go, calls the closure that it is given, which waits, and takes the
    /// lock again. The waits are those of this crate: for a task, for room in a queue, for a
    /// result, a scope, a thread, a [`Semaphore`](crate::Semaphore), an [`Event`](crate::Event), or
    /// a [token's sleep](crate::CancelToken::sleep). No lock of this crate is held when the hook
    /// runs. A hook that does not call the closure, or panics, does not keep the worker from
    /// waiting.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// static WAITS: AtomicUsize = AtomicUsize::new(0);
    ///
    /// let pool = ThreadPoolExecutor::builder()
    ///     .wait_hook(|wait| {
    ///         // Here the lock is let go.
    ///         WAITS.fetch_add(1, Ordering::Relaxed);
    ///         wait();
    ///         // And here it is taken again.
    ///     })
    ///     .build()?;
    /// assert_eq!(pool.submit(|| 25).result()?, 25);
    /// pool.shutdown();
    /// assert!(WAITS.load(Ordering::Relaxed) > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_hook(mut self, hook: impl Fn(&mut dyn FnMut()) + Send + Sync + 'static) -> Self {
        self.config.wait_hook = Some(Arc::new(hook));
        self
    }

    /// Carries the submitter's context into each task: a tracing span, a request's number, a
    /// locale.
    ///
    /// `capture` runs on the thread that submits, and the closure that it returns runs on the
    /// worker, with the task as its argument, and calls the task. If it does not, the task ends
    /// with a panic that says so. The closure should leave the thread as it found it, though tasks
    /// that wait for each other have a worker each here, up to 64.
    ///
    /// Each item of a map runs in the context that is there when the item is taken, and
    /// [callbacks](crate::Future::add_done_callback) that a worker runs have the context of the
    /// thread that added them. Items are handed over one by one then, however short they are.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// thread_local!(static REQUEST: Cell<u32> = const { Cell::new(0) });
    ///
    /// let pool = ThreadPoolExecutor::builder()
    ///     .context(|| {
    ///         let request = REQUEST.get();
    ///         move |task: &mut dyn FnMut()| {
    ///             let before = REQUEST.replace(request);
    ///             task();
    ///             REQUEST.set(before);
    ///         }
    ///     })
    ///     .build()?;
    /// REQUEST.set(25);
    /// assert_eq!(pool.submit(|| REQUEST.get()).result()?, 25);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// With `tracing` it is `context(|| { let span = Span::current(); move |task: &mut dyn FnMut()|
    /// span.in_scope(task) })`.
    pub fn context<C>(mut self, capture: impl Fn() -> C + Send + Sync + 'static) -> Self
    where
        C: FnOnce(&mut dyn FnMut()) + Send + 'static,
    {
        self.config.context = Some(Arc::new(move || Box::new(capture())));
        self
    }

    /// Calls `hook` with each error that is never read, because its future was dropped and had no
    /// callback: a panic, and every reason for which a closure never ran, such as a shutdown, no
    /// thread, or a failed initializer. A task that was cancelled is not reported: its owner knows.
    /// By default a line on stderr reports the error.
    ///
    /// The hook runs on the thread that drops the future, or on the one that ends the task when it
    /// was dropped before. Its own panics are caught.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// let pool = ThreadPoolExecutor::builder()
    ///     .on_unread_error(move |error| sender.send(error.message().to_owned()).unwrap())
    ///     .build()?;
    /// drop(pool.submit(|| panic!("unread")));
    /// assert_eq!(receiver.recv()?, "unread");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_unread_error(mut self, hook: impl Fn(&TaskError) + Send + Sync + 'static) -> Self {
        self.config.unread_error = Arc::new(hook);
        self
    }

    /// Calls `hook` on the worker just before each task, with its name and how long it has waited.
    ///
    /// A task that never runs, because it was cancelled or its time was up, is not told of. Each
    /// item of a map is a task here. The hook runs outside of the submitter's
    /// [context](ThreadPoolExecutorBuilder::context). If it panics, the error goes where
    /// [unread](ThreadPoolExecutorBuilder::on_unread_error) ones go, and the task runs as if
    /// nothing had happened. With a hook a task costs a few looks at a clock more; without,
    /// nothing.
    ///
    /// See [`after_task`](ThreadPoolExecutorBuilder::after_task) for both together.
    pub fn before_task(mut self, hook: impl Fn(&TaskStart<'_>) + Send + Sync + 'static) -> Self {
        self.config.before_task = Some(Arc::new(hook));
        self
    }

    /// Calls `hook` on the worker just after each task, with its name, how long it waited and ran,
    /// and its panic if it did. It runs before the result can be read, and before the callbacks;
    /// for the rest it is like [`before_task`](ThreadPoolExecutorBuilder::before_task).
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use std::time::Duration;
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// static SLOWEST: Mutex<Option<(String, Duration)>> = Mutex::new(None);
    ///
    /// let pool = ThreadPoolExecutor::builder()
    ///     .after_task(|task| {
    ///         let mut slowest = SLOWEST.lock().unwrap();
    ///         if slowest.as_ref().is_none_or(|(_, wall)| task.wall > *wall) {
    ///             *slowest = Some((task.name.unwrap_or("?").to_owned(), task.wall));
    ///         }
    ///     })
    ///     .build()?;
    /// let pause = |millis| move || std::thread::sleep(Duration::from_millis(millis));
    /// pool.task().name("long").submit(pause(20)).result()?;
    /// pool.task().name("short").submit(pause(0)).result()?;
    /// let (name, wall) = SLOWEST.lock().unwrap().take().unwrap();
    /// assert!(name == "long" && wall >= Duration::from_millis(20));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn after_task(mut self, hook: impl Fn(&TaskEnd<'_>) + Send + Sync + 'static) -> Self {
        self.config.after_task = Some(Arc::new(hook));
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
        if self.config.queue_capacity == Some(0) {
            return Err(BuildError::new("queue_capacity must be greater than 0"));
        }
        if self.config.thread_name_prefix.contains('\0') {
            return Err(BuildError::new("thread_name_prefix holds a NUL"));
        }
        note_panics();
        Ok(ThreadPoolExecutor::new(Pool::new(max_workers, self.config)))
    }
}

fn max_workers_default() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    WORKERS_DEFAULT_MAX.min(processors + WORKERS_DEFAULT_EXTRA)
}

fn print_unread_error(error: &TaskError) {
    // In one write, so that lines of several threads do not mix. A closed stderr is no reason to
    // panic.
    let line = format!("silkmill: {error} (and nobody has read that)\n");
    let _ = io::stderr().write_all(line.as_bytes());
}

impl fmt::Debug for ThreadPoolExecutorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolExecutorBuilder")
            .field("max_workers", &self.max_workers)
            .field("thread_name_prefix", &self.config.thread_name_prefix)
            .field("queue_capacity", &self.config.queue_capacity)
            .field("stack_size", &self.config.stack_size)
            .field("measure_cpu", &self.config.measure_cpu)
            .field("idle_timeout", &self.config.idle_timeout)
            .field("at_exit", &self.config.at_exit)
            .field("initializer", &self.config.initializer.is_some())
            .field("spawn_handler", &self.config.spawn_handler.is_some())
            .field("wait_hook", &self.config.wait_hook.is_some())
            .field("context", &self.config.context.is_some())
            .field("before_task", &self.config.before_task.is_some())
            .field("after_task", &self.config.after_task.is_some())
            .finish_non_exhaustive()
    }
}
