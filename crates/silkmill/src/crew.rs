//! The workers of one pool, with the queue they work from: starting them, seating them, running their tasks, ending them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::builder::ThreadPoolExecutorBuilder;
use crate::error::{SpawnError, TaskError, TrySubmitError};
use crate::executor::RunningTask;
use crate::future::Future;
use crate::queue::{Pushed, Queue, Refused};
use crate::stats::{Clock, Counters, Stats};
use crate::sync::Mutex;
use crate::task::{Host, Run, Task};
use crate::thread::Builder;
use crate::worker;

/// What the executor, its workers and its futures share.
pub(crate) struct Crew {
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
    /// Set once a shutdown gave up waiting. Read by `drop`, which the same owner calls later, so it orders nothing.
    abandoned: AtomicBool,
}

/// Where a worker sits: its name, and since when it runs its task.
pub(crate) struct Seat {
    name: String,
    busy_since: Mutex<Option<Instant>>,
}

impl Crew {
    pub(crate) fn new(max_workers: usize, described: ThreadPoolExecutorBuilder) -> Self {
        Crew {
            queue: Queue::new(described.queue_capacity, max_workers),
            counters: Counters::new(described.measure_cpu),
            max_workers,
            prefix: described.thread_name_prefix,
            stack_size: described.stack_size,
            seats: Mutex::new(Vec::new()),
            handles: Mutex::new(Vec::new()),
            started: AtomicUsize::new(0),
            abandoned: AtomicBool::new(false),
        }
    }

    pub(crate) fn max_workers(&self) -> usize {
        self.max_workers
    }

    /// What the names of the workers begin with.
    pub(crate) fn name(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn stats(&self) -> Stats {
        self.counters.stats(self.queue.census())
    }

    /// Says that nobody waits for what still runs.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    pub(crate) fn push<F, T>(
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
    pub(crate) fn start_worker(self: &Arc<Self>) {
        if let Err(error) = self.spawn_worker() {
            self.queue.worker_failed();
            while let Some(task) = self.queue.take_stranded() {
                self.counters.count_cancelled();
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
        let crew = Arc::clone(self);
        let started = builder.start(move || {
            crew.seats.lock().push(Arc::clone(&seat));
            worker::work(Arc::clone(&crew), Arc::clone(&seat));
            crew.seats.lock().retain(|other| !Arc::ptr_eq(other, &seat));
        })?;
        let mut handles = self.handles.lock();
        handles.retain(|handle| !handle.is_finished());
        handles.push(started.handle);
        Ok(())
    }

    /// Runs a task that the calling worker has claimed out of the queue with [`Queue::pop`].
    pub(crate) fn run_popped(self: &Arc<Self>, task: &dyn Run, seat: &Seat) {
        self.run(task, seat, true);
    }

    /// Runs a task that the calling worker waits for and has claimed in the queue.
    pub(crate) fn run_on_the_spot(self: &Arc<Self>, task: &dyn Run, seat: &Seat) {
        self.queue.count_husk();
        self.run(task, seat, false);
    }

    fn run(self: &Arc<Self>, task: &dyn Run, seat: &Seat, frees_worker: bool) {
        let outer = seat.busy_since.lock().replace(Instant::now());
        let clock = self.counters.start(task.submitted());
        task.run_claimed(&Working { crew: self, seat, outer, clock, frees_worker });
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

    /// Cancels everything that is queued, one after the other, and says how much that was.
    pub(crate) fn cancel_queued(&self) -> usize {
        let mut cancelled = 0;
        while let Some(task) = self.queue.take_to_cancel() {
            self.counters.count_cancelled();
            task.fail_claimed(TaskError::cancelled());
            cancelled += 1;
        }
        cancelled
    }

    pub(crate) fn running_tasks(&self) -> Vec<RunningTask> {
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
    pub(crate) fn join_handles(&self) {
        let handles = std::mem::take(&mut *self.handles.lock());
        for handle in handles {
            // A worker does not panic: tasks, callbacks and drops are all caught.
            let _ = handle.join();
        }
    }
}

/// A worker at a task.
struct Working<'a> {
    crew: &'a Arc<Crew>,
    seat: &'a Seat,
    /// Since when the worker runs the task that waits for this one, if one does.
    outer: Option<Instant>,
    clock: Clock,
    /// Whether the worker looks for work next. One that runs a task on the spot goes on with another.
    frees_worker: bool,
}

impl Host for Working<'_> {
    fn ended(&self, panicked: bool) {
        self.crew.counters.finish(&self.clock, panicked);
        *self.seat.busy_since.lock() = self.outer;
        if self.frees_worker {
            self.crew.queue.mark_free();
        }
    }

    fn interlude(&self, f: &mut dyn FnMut()) {
        if !self.frees_worker {
            return f();
        }
        if self.crew.queue.mark_busy() {
            self.crew.start_worker();
        }
        f();
        self.crew.queue.mark_free();
    }
}
