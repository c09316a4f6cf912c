//! A pool of threads for work that waits.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{BuildError, SpawnError, TaskError, TrySubmitError};
use crate::future::Future;
use crate::map::{Map, MapUnordered};
use crate::queue::{Patience, Pushed, Queue, Refused};
use crate::stats::{Counters, Stats};
use crate::sync::{Deadline, Mutex};
use crate::task::{Run, Task};
use crate::thread::Builder;
use crate::worker;

/// The default number of workers is this at most, however many processors there are.
const WORKERS_DEFAULT_MAX: usize = 32;

/// The default number of workers is that of the processors plus this, for the work waits.
const WORKERS_DEFAULT_EXTRA: usize = 4;

/// Runs closures on a bounded number of threads and hands out [`Future`]s for their results.
///
/// It is made for work that waits, for files, networks and other processes: workers are started when tasks find none
/// free, a task that blocks holds up no other as long as a worker is free or can be started, and a queue with a capacity
/// holds submitters back. Panics are results. A task may wait for tasks of its own pool.
///
/// Dropping the executor runs what is queued and waits for it, like [`shutdown`](ThreadPoolExecutor::shutdown).
///
/// ```
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(8).thread_name_prefix("length").build()?;
/// let lengths: Result<Vec<usize>, _> = pool.map(["one", "three"], |word| word.len()).collect();
/// assert_eq!(lengths?, [3, 5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ThreadPoolExecutor {
    core: Arc<Core>,
}

impl ThreadPoolExecutor {
    /// Describes an executor before it is built.
    pub fn builder() -> ThreadPoolExecutorBuilder {
        ThreadPoolExecutorBuilder::default()
    }

    /// Queues `f` and returns the handle to its result. Blocks while the queue is at its capacity; those who block are
    /// served in order.
    ///
    /// After a shutdown `f` is dropped, and the result is an error that says so. A task that submits to its own pool
    /// is never held back, for it might be waiting for itself.
    pub fn submit<F, T>(&self, f: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match self.push(self.patience(Deadline::NEVER), f) {
            Ok(future) => future,
            Err(_) => {
                let task = Arc::new(Task::failed(TaskError::shutdown()));
                Future::new(task, Arc::clone(&self.core))
            }
        }
    }

    /// Queues `f` if there is room now and nobody is waiting for it.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).queue_capacity(1).build()?;
    /// let (go, wait) = std::sync::mpsc::channel::<()>();
    /// let running = pool.submit(move || wait.recv().is_ok());
    /// while !running.running() {}
    /// let queued = pool.submit(|| true);
    /// assert!(pool.try_submit(|| true).is_err_and(|refused| refused.is_full()));
    /// go.send(())?;
    /// assert!(running.result()? && queued.result()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Gives `f` back when the queue is full or the executor was shut down.
    pub fn try_submit<F, T>(&self, f: F) -> Result<Future<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.core.push(f, |queue, make| queue.try_push(make))
    }

    /// Queues `f`, waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// Gives `f` back when there was no room in time or the executor was shut down.
    pub fn submit_timeout<F, T>(
        &self,
        f: F,
        timeout: Duration,
    ) -> Result<Future<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.push(self.patience(Deadline::after(timeout)), f)
    }

    fn push<F, T>(&self, patience: Patience, f: F) -> Result<Future<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.core.push(f, |queue, make| queue.push(patience, make))
    }

    fn patience(&self, deadline: Deadline) -> Patience {
        let own = worker::is_of(&self.core);
        if own { Patience::Unbounded } else { Patience::Until(deadline) }
    }

    /// Applies `f` to every item and yields the results in the items' order.
    ///
    /// Lazy: items are taken from the iterator on the calling thread and only as results are read, so it may be endless.
    /// At most [`in_flight`](Map::in_flight) items are taken and not yielded; dropping the iterator early cancels those
    /// that have not started.
    pub fn map<I, F, T>(&self, items: I, f: F) -> Map<'_, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.map_with(|| (), items, move |(), item| f(item))
    }

    /// Like [`map`](ThreadPoolExecutor::map), but yields each result as soon as it is there.
    pub fn map_unordered<I, F, T>(
        &self,
        items: I,
        f: F,
    ) -> MapUnordered<'_, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.map_unordered_with(|| (), items, move |(), item| f(item))
    }

    /// Like [`map`](ThreadPoolExecutor::map), with a state that `f` may use and change: a buffer, a connection.
    ///
    /// `init` makes a state when a worker needs one and none is at hand, so there are never more of them than workers.
    /// The state of a call that panics is dropped.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
    /// let hex: Result<Vec<String>, _> = pool
    ///     .map_with(String::new, [10, 11, 12], |buffer, n| {
    ///         buffer.clear();
    ///         buffer.push_str(&format!("{n:x}"));
    ///         buffer.clone()
    ///     })
    ///     .collect();
    /// assert_eq!(hex?, ["a", "b", "c"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_with<I, S, N, F, T>(
        &self,
        init: N,
        items: I,
        f: F,
    ) -> Map<'_, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        Map::new(self, items.into_iter(), init, f)
    }

    /// [`map_with`](ThreadPoolExecutor::map_with), yielding each result as soon as it is there.
    pub fn map_unordered_with<I, S, N, F, T>(
        &self,
        init: N,
        items: I,
        f: F,
    ) -> MapUnordered<'_, I::IntoIter, I::Item, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        MapUnordered::new(self, items.into_iter(), init, f)
    }

    /// How many workers there may be. A worker that waits for a task of its own pool is not counted.
    pub fn max_workers(&self) -> usize {
        self.core.max_workers
    }

    /// What the executor has counted and measured so far.
    pub fn stats(&self) -> Stats {
        self.core.counters.stats(self.core.queue.census())
    }

    /// Takes no more tasks, runs what is queued, and waits until every worker has ended.
    ///
    /// It may be called again, from several threads too. A task that shuts its own pool down does not wait.
    pub fn shutdown(&self) {
        self.core.queue.close();
        self.wait_for_workers(Deadline::NEVER);
    }

    /// Takes no more tasks, cancels what is queued, and waits for what runs.
    pub fn shutdown_now(&self) {
        self.core.queue.close();
        self.core.cancel_queued();
        self.wait_for_workers(Deadline::NEVER);
    }

    /// Takes no more tasks, runs what is queued for as long as `timeout` allows, then cancels the rest and tells what
    /// still runs. Nothing waits for that any more: neither dropping the executor nor the end of the process.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("slow").build()?;
    /// let (go, wait) = std::sync::mpsc::channel::<()>();
    /// let stuck = pool.submit(move || wait.recv().is_ok());
    /// while !stuck.running() {}
    /// let report = pool.shutdown_timeout(Duration::from_millis(10));
    /// assert_eq!(report.running[0].worker, "slow-0");
    /// # go.send(())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shutdown_timeout(&self, timeout: Duration) -> ShutdownReport {
        self.core.queue.close();
        if self.wait_for_workers(Deadline::after(timeout)) {
            return ShutdownReport::default();
        }
        let cancelled = self.core.cancel_queued();
        self.core.abandoned.store(1, Ordering::Relaxed);
        ShutdownReport { running: self.core.running_tasks(), cancelled }
    }

    fn wait_for_workers(&self, deadline: Deadline) -> bool {
        if worker::is_of(&self.core) {
            return false;
        }
        let ended = self.core.queue.wait_for_workers(deadline);
        if ended {
            self.core.join_handles();
        }
        ended
    }
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        self.core.queue.close();
        if self.core.abandoned.load(Ordering::Relaxed) == 0 {
            self.wait_for_workers(Deadline::NEVER);
        }
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolExecutor")
            .field("thread_name_prefix", &self.core.prefix)
            .field("max_workers", &self.core.max_workers)
            .field("census", &self.core.queue.census())
            .finish()
    }
}

/// What was left when [`ThreadPoolExecutor::shutdown_timeout`] stopped waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// The tasks that still run, longest first.
    pub running: Vec<RunningTask>,
    /// How many tasks were queued, and are cancelled now.
    pub cancelled: usize,
}

impl ShutdownReport {
    /// Whether everything had ended in time.
    pub fn is_complete(&self) -> bool {
        self.running.is_empty() && self.cancelled == 0
    }
}

/// A task that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningTask {
    /// The name of the thread it runs on.
    pub worker: String,
    /// How long it has been running.
    pub running_for: Duration,
}

/// Describes an executor before it is built.
#[derive(Clone, Debug)]
#[must_use = "a builder makes no executor until `build`"]
pub struct ThreadPoolExecutorBuilder {
    max_workers: Option<usize>,
    thread_name_prefix: String,
    queue_capacity: Option<usize>,
    stack_size: Option<usize>,
    measure_cpu: bool,
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
        let core = Core {
            queue: Queue::new(self.queue_capacity, max_workers),
            counters: Counters::new(self.measure_cpu),
            max_workers,
            prefix: self.thread_name_prefix,
            stack_size: self.stack_size,
            seats: Mutex::new(Vec::new()),
            handles: Mutex::new(Vec::new()),
            started: AtomicUsize::new(0),
            abandoned: AtomicUsize::new(0),
        };
        Ok(ThreadPoolExecutor { core: Arc::new(core) })
    }
}

fn max_workers_default() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    WORKERS_DEFAULT_MAX.min(processors + WORKERS_DEFAULT_EXTRA)
}

/// What the executor, its workers and its futures share.
pub(crate) struct Core {
    pub(crate) queue: Queue,
    counters: Counters,
    max_workers: usize,
    prefix: String,
    stack_size: Option<usize>,
    /// The living workers. Written when one starts or ends, read by the shutdown report.
    seats: Mutex<Vec<Arc<Seat>>>,
    /// Of workers that were started and not joined. Finished ones are let go when the next is started.
    handles: Mutex<Vec<JoinHandle<()>>>,
    /// How many workers were ever started, for their names. Nothing is ordered by it.
    started: AtomicUsize,
    /// 1 once a shutdown gave up waiting. Read by `drop`, which the same owner calls later.
    abandoned: AtomicUsize,
}

/// Where a worker sits: its name, and since when it runs its task.
pub(crate) struct Seat {
    name: String,
    busy_since: Mutex<Option<Instant>>,
}

impl Core {
    fn push<F, T>(
        self: &Arc<Self>,
        f: F,
        push: impl FnOnce(&Queue, &mut dyn FnMut() -> Arc<dyn Run>) -> Result<Pushed, Refused>,
    ) -> Result<Future<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let mut f = Some(f);
        let mut task = None;
        let pushed = push(&self.queue, &mut || {
            let f = f.take().expect("a task is made once");
            let made = Arc::new(Task::new(Box::new(f)));
            task = Some(Arc::clone(&made));
            made
        });
        match pushed {
            Ok(pushed) => {
                self.counters.count_submitted();
                if pushed == Pushed::StartWorker {
                    self.start_worker();
                }
                let task = task.expect("a push that succeeds has made its task");
                Ok(Future::new(task, Arc::clone(self)))
            }
            Err(refused) => {
                let f = f.take().expect("a push that is refused makes no task");
                Err(match refused {
                    Refused::Full => TrySubmitError::Full(f),
                    Refused::Shutdown => TrySubmitError::Shutdown(f),
                })
            }
        }
    }

    /// Starts the worker that the queue has counted in. When that fails and nobody else is left to run what is queued,
    /// the queued tasks end with that error.
    fn start_worker(self: &Arc<Self>) {
        if let Err(error) = self.spawn_worker() {
            for task in self.queue.worker_failed() {
                task.fail_claimed(TaskError::no_thread(error.io_error()));
            }
        }
    }

    fn spawn_worker(self: &Arc<Self>) -> Result<(), SpawnError> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", self.prefix);
        let seat = Arc::new(Seat { name: name.clone(), busy_since: Mutex::new(None) });
        let mut builder = Builder::new().name(name).daemon(true);
        if let Some(bytes) = self.stack_size {
            builder = builder.stack_size(bytes);
        }
        let core = Arc::clone(self);
        let started = builder.start(move |_| {
            core.seats.lock().push(Arc::clone(&seat));
            worker::work(Arc::clone(&core), Arc::clone(&seat));
            core.seats.lock().retain(|other| !Arc::ptr_eq(other, &seat));
        })?;
        let mut handles = self.handles.lock();
        handles.retain(|handle| !handle.is_finished());
        handles.push(started.handle);
        Ok(())
    }

    /// Runs a task that the calling worker has claimed.
    pub(crate) fn run_claimed(
        &self,
        task: &dyn Run,
        seat: &Seat,
        before_publishing: &mut dyn FnMut(bool),
    ) {
        let outer = seat.busy_since.lock().replace(Instant::now());
        let clock = self.counters.start(task.submitted());
        task.run_claimed(&mut |panicked| {
            self.counters.finish(&clock, panicked);
            *seat.busy_since.lock() = outer;
            before_publishing(panicked);
        });
    }

    /// Runs a task that the calling worker waits for and has claimed out of the queue.
    pub(crate) fn run_claimed_here(&self, task: &dyn Run) {
        self.queue.count_husk();
        let seat = worker::with_pool(|_, seat| Arc::clone(seat));
        let seat = seat.expect("only a worker of the pool runs a task on the spot");
        self.run_claimed(task, &seat, &mut |_| ());
    }

    /// Drops the worker's handle to a task it has run. If a result nobody read goes with it, that is the user's code and
    /// may take its time: until then the worker is not free after all.
    pub(crate) fn let_go(self: &Arc<Self>, task: Arc<dyn Run>) {
        if Arc::strong_count(&task) > 1 || !task.holds_result() {
            return;
        }
        if self.queue.mark_busy() {
            self.start_worker();
        }
        let dropped = std::panic::AssertUnwindSafe(|| drop(task));
        let _ = std::panic::catch_unwind(dropped);
        self.queue.mark_free();
    }

    /// See [`Queue::block`].
    pub(crate) fn block(self: &Arc<Self>) {
        if self.queue.block() {
            self.start_worker();
        }
    }

    /// Cancels a task that the caller has claimed out of the queue.
    pub(crate) fn cancel_claimed(&self, task: &dyn Run) {
        self.queue.count_husk();
        self.counters.count_cancelled();
        task.fail_claimed(TaskError::cancelled());
    }

    /// Cancels everything that is queued, and says how much that was.
    fn cancel_queued(&self) -> usize {
        let queued = self.queue.drain();
        for task in &queued {
            self.counters.count_cancelled();
            task.fail_claimed(TaskError::cancelled());
        }
        queued.len()
    }

    fn running_tasks(&self) -> Vec<RunningTask> {
        let now = Instant::now();
        let seats = self.seats.lock();
        let mut running: Vec<RunningTask> = seats
            .iter()
            .filter_map(|seat| {
                let since = (*seat.busy_since.lock())?;
                let running_for = now.saturating_duration_since(since);
                Some(RunningTask { worker: seat.name.clone(), running_for })
            })
            .collect();
        running.sort_by_key(|task| std::cmp::Reverse(task.running_for));
        running
    }

    /// Joins workers that have said goodbye to the queue and have only their thread-locals left to drop.
    fn join_handles(&self) {
        let handles = std::mem::take(&mut *self.handles.lock());
        for handle in handles {
            // A worker does not panic: tasks, callbacks and drops are all caught.
            let _ = handle.join();
        }
    }
}
