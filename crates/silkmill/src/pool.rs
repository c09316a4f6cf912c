//! A pool: the queue, the workers and the statistics that one executor, its workers and its futures
//! share.
//!
//! This file queues tasks, cancels them and counts. How workers start, run tasks and end stands in
//! `worker`, as further methods of [`Pool`].

pub(crate) mod advice;
mod at_exit;
pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod limit;
pub(crate) mod meter;
#[cfg(all(test, loom))]
mod models;
pub(crate) mod priority;
pub(crate) mod probe;
pub(crate) mod queue;
pub(crate) mod queue_delay;
pub(crate) mod share;
pub(crate) mod sleep;
pub(crate) mod stats;
pub(crate) mod timer;
pub(crate) mod worker;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cancel::CancelToken;
use crate::error::TaskError;
use crate::pool::clock::{Clock, thread_cpu_now};
use crate::pool::config::{HeldTaskHooks, PoolConfig, Release};
use crate::pool::meter::{Counts, WorkerMeter};
use crate::pool::priority::{Place, Priority, Queued, Slot};
use crate::pool::probe::WaitSamples;
use crate::pool::queue::{Queue, Refused, Submitter, WaitPolicy};
use crate::pool::stats::{RunningTask, Stats, Totals};
use crate::pool::timer::Timer;
use crate::sync::Mutex;
use crate::sync::spin::AdaptiveSpin;
use crate::task::job::{ContextRunner, Job};
use crate::task::observer::{Afterwards, Claim, Ended, Observer};
use crate::task::scope_latch::Latch;
use crate::task::{Claimed, NewTask, QueuedTask, TaskHandle};
use crate::thread::fork::Home;
use crate::unwind::caught;

/// What the executor, its workers and its futures share.
pub(crate) struct Pool {
    pub(crate) queue: Queue,
    /// Lets threads that wait for a result spin before they sleep.
    spin: AdaptiveSpin,
    clock: Clock,
    /// The process whose threads the workers are.
    home: Home,
    /// What the builder asked for. `measure_cpu` is false where the system has no clock for it.
    config: PoolConfig,
    cancelled: AtomicU64,
    /// The hooks around each task, until the pool has ended; `None` without any.
    task_hooks: Option<HeldTaskHooks>,
    /// Drops closures of the user's, once no worker will ever need them.
    releases: Mutex<Vec<Release>>,
    /// Set when the end of the process has closed the pool, and not a shutdown before. Written
    /// before the queue is closed, whose lock orders it.
    drains_at_exit: AtomicBool,
    /// The number of items that were handed over in batches, less one for each batch, which is one
    /// task of the queue. It wraps around; it orders nothing.
    batched: AtomicU64,
    /// The meters of living workers, and the sums of those that exited. Written when a worker
    /// starts or exits.
    meters: Mutex<Meters>,
    /// What workers were seen waiting for.
    wait_samples: WaitSamples,
    /// The handles of workers, and of the timer's thread, that were started and not joined.
    /// Finished ones are dropped when the next is started.
    handles: Mutex<Vec<JoinHandle<()>>>,
    /// The number of workers that were ever started, for their names. It orders nothing.
    started: AtomicUsize,
    /// Set once a shutdown gave up waiting. Read by the executor's `drop`, which the same owner
    /// calls later, so it orders nothing.
    abandoned: AtomicBool,
    /// The message of the initializer's last failure. Written once, before the queue is closed
    /// because of it.
    broken: OnceLock<Arc<String>>,
    /// The number of initializers that failed since one did not. It orders nothing.
    initializer_failures: AtomicU32,
    /// Cancelled when the pool is shut down for good.
    token: CancelToken,
    /// Ends queued tasks whose time is up.
    timer: Arc<Timer>,
    /// Set once the end of the process waits for this pool.
    known_at_exit: OnceLock<()>,
}

struct Meters {
    living: Vec<Arc<WorkerMeter>>,
    departed: Counts,
}

impl Pool {
    pub(crate) fn new(max_workers: usize, mut config: PoolConfig) -> Self {
        config.measure_cpu &= thread_cpu_now().is_some();
        let mut releases = config.make_releasable();
        let task_hooks = config.take_task_hooks(&mut releases);
        Pool {
            queue: Queue::new(config.queue_capacity, max_workers),
            spin: AdaptiveSpin::new(),
            clock: Clock::new(),
            home: Home::here(),
            task_hooks,
            releases: Mutex::new(releases),
            drains_at_exit: AtomicBool::new(false),
            cancelled: AtomicU64::new(0),
            batched: AtomicU64::new(0),
            meters: Mutex::new(Meters { living: Vec::new(), departed: Counts::default() }),
            wait_samples: WaitSamples::default(),
            handles: Mutex::new(Vec::new()),
            started: AtomicUsize::new(0),
            abandoned: AtomicBool::new(false),
            broken: OnceLock::new(),
            initializer_failures: AtomicU32::new(0),
            token: CancelToken::new(),
            timer: Arc::new(Timer::new()),
            known_at_exit: OnceLock::new(),
            config,
        }
    }

    /// Spins until `is_true`, if that may pay off. Returns whether it became true. With a wait hook
    /// a thread that spins may hold a lock that the other needs.
    pub(crate) fn spin_until(&self, is_true: impl Fn() -> bool) -> bool {
        self.config.wait_hook.is_none() && self.spin.until(is_true)
    }

    /// Returns the prefix of the workers' names.
    pub(crate) fn name(&self) -> &str {
        &self.config.thread_name_prefix
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        self.config.idle_timeout
    }

    /// Captures the calling thread's context for a task that it submits, if the pool has a context
    /// hook.
    pub(crate) fn capture_context(&self) -> Option<ContextRunner> {
        self.config.context.as_ref().map(|capture| capture())
    }

    /// Returns whether tasks have a context to run in.
    pub(crate) fn has_context(&self) -> bool {
        self.config.context.is_some()
    }

    /// Returns whether there are hooks around each task.
    pub(crate) fn has_task_hooks(&self) -> bool {
        self.task_hooks.is_some()
    }

    /// Tells the hook, if there is one, of the task whose closure has just ended.
    fn tell_of_end(&self, error: Option<&TaskError>) {
        if self.has_task_hooks() {
            crate::task::hooks::end(error);
        }
    }

    /// Returns the token that shutdowns cancel.
    pub(crate) fn token(&self) -> &CancelToken {
        &self.token
    }

    /// Notes that the shutdown no longer waits for tasks that still run.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Queues `job` and returns the handle to its result. A task with a limit is queued in that
    /// slot; its submitter waits for room no longer than its token allows.
    ///
    /// # Errors
    /// Gives `job` back with the reason.
    pub(crate) fn push<J, T>(
        self: &Arc<Self>,
        job: J,
        priority: Priority,
        wait_policy: WaitPolicy<'_>,
        submitter: Submitter,
        limit: Option<(&Arc<Slot>, &CancelToken)>,
    ) -> Result<TaskHandle<T>, (J, Refused)>
    where
        J: Job<T> + 'static,
        T: Send + 'static,
    {
        let mut new = Some(NewTask::new(job));
        let mut handle = None;
        let token = limit.map(|(_, token)| token);
        let pushed = self.push_made(priority, wait_policy, submitter, token, || {
            let new = new.take().expect("a task is queued once");
            let (queued, theirs) = new.into_owners();
            handle = Some(theirs);
            place(queued, limit)
        });
        match pushed {
            Ok(()) => Ok(handle.expect("a push that succeeds has made its task")),
            Err(refused) => {
                let new = new.expect("a push that is refused makes no task");
                Err((new.into_job(), refused))
            }
        }
    }

    /// Queues a task that may borrow for as long as `latch` allows.
    ///
    /// # Errors
    /// Gives `job` back with the reason.
    pub(crate) fn push_scoped<'scope, J, T>(
        self: &Arc<Self>,
        job: J,
        latch: &Latch<'scope, '_>,
        priority: Priority,
        wait_policy: WaitPolicy<'_>,
        submitter: Submitter,
        limit: Option<(&Arc<Slot>, &CancelToken)>,
    ) -> Result<TaskHandle<T>, (J, Refused)>
    where
        J: Job<T> + 'scope,
        T: Send + 'scope,
    {
        let mut new = Some(job);
        let mut handle = None;
        let token = limit.map(|(_, token)| token);
        let pushed = self.push_made(priority, wait_policy, submitter, token, || {
            let job = new.take().expect("a task is queued once");
            let (queued, theirs) = NewTask::new(job).into_scoped(latch);
            handle = Some(theirs);
            place(queued, limit)
        });
        match pushed {
            Ok(()) => Ok(handle.expect("a push that succeeds has made its task")),
            Err(refused) => Err((new.expect("a push that is refused makes no task"), refused)),
        }
    }

    /// Queues a task that was made before. If it is refused, it ends with that error.
    pub(crate) fn push_later(self: &Arc<Self>, task: QueuedTask) {
        let submitter = worker::submitter(self);
        let mut task = Some(task);
        let pushed =
            self.push_made(Priority::Normal, WaitPolicy::Unbounded, submitter, None, || {
                Place::Own(task.take().expect("a task is queued once"))
            });
        if let (Err(refused), Some(task)) = (pushed, task) {
            match task.claim(Claim::ToCancel) {
                Some(claimed) => {
                    claimed.fail(self.refusal(refused), &CancelObserver { pool: self })
                }
                // Claimed, and counted as a tombstone, before it was queued.
                None => self.queue.remove_tombstone(),
            }
        }
    }

    fn push_made(
        self: &Arc<Self>,
        priority: Priority,
        wait_policy: WaitPolicy<'_>,
        submitter: Submitter,
        token: Option<&CancelToken>,
        make: impl FnOnce() -> Place,
    ) -> Result<(), Refused> {
        if !self.home.is_here_if_guarded() {
            return Err(Refused::Forked);
        }
        let start =
            self.queue.push(priority, wait_policy, submitter, token, || self.clock.now(), make)?;
        self.start_workers(start);
        Ok(())
    }

    /// Returns the error of a task that was `refused` for good.
    pub(crate) fn refusal(&self, refused: Refused) -> TaskError {
        // A child's copy of a pool says so whatever else is wrong with it.
        let broken_or = |otherwise: fn() -> TaskError| self.broken_or(otherwise);
        match refused {
            Refused::Cancelling | Refused::Cancelled => broken_or(TaskError::cancelled),
            Refused::Shutdown => broken_or(TaskError::shutdown),
            Refused::Forked => TaskError::forked(),
            // A submitter with all the time there is was refused by the task's own limit.
            Refused::Full => TaskError::timed_out(),
            Refused::InLine => unreachable!("a submitter that waits is not refused"),
        }
    }

    /// Returns the message of the initializer, if it failed too often.
    pub(crate) fn initializer_failure(&self) -> Option<&str> {
        self.broken.get().map(|message| message.as_str())
    }

    /// Returns the initializer's failure, if that is why no task is run, and `otherwise` if not.
    fn broken_or(&self, otherwise: impl FnOnce() -> TaskError) -> TaskError {
        match self.broken.get() {
            Some(message) => TaskError::not_initialized(Arc::clone(message)),
            None => otherwise(),
        }
    }

    /// Ends a task that was taken out of the queue with `error`, unless it was a tombstone.
    fn fail(&self, queued: Queued, error: TaskError) {
        let Some(claimed) = queued.claim(claim_for(&error)) else {
            return self.queue.remove_tombstone();
        };
        self.cancelled.fetch_add(1, Ordering::Relaxed);
        claimed.fail(error, &CancelObserver { pool: self });
    }

    /// Cancels a task that the caller has claimed in the queue.
    pub(crate) fn cancel_claimed(&self, task: Claimed<'_>) {
        self.end_claimed(task, TaskError::cancelled());
    }

    /// Ends a task with `error` that the caller has taken out of its slot in the queue.
    pub(crate) fn withdraw(&self, task: QueuedTask, error: TaskError) {
        if let Some(claimed) = task.claim(claim_for(&error)) {
            self.end_claimed(claimed, error);
        }
    }

    fn end_claimed(&self, task: Claimed<'_>, error: TaskError) {
        self.queue.add_tombstone();
        self.cancelled.fetch_add(1, Ordering::Relaxed);
        task.fail(error, &CancelObserver { pool: self });
    }

    /// Counts items beside the tasks of the queue as submitted, or, below 0, as not.
    pub(crate) fn count_batched_items(&self, items: i64) {
        self.batched.fetch_add(items as u64, Ordering::Relaxed);
    }

    /// Counts items beside the tasks of the queue as cancelled, or, below 0, as not.
    pub(crate) fn count_cancelled_items(&self, items: i64) {
        self.cancelled.fetch_add(items as u64, Ordering::Relaxed);
    }

    /// Returns the process that the pool belongs to.
    pub(crate) fn home(&self) -> Home {
        self.home
    }

    /// Returns whether the pool belongs to this process, and not to one that has forked it.
    pub(crate) fn is_here(&self) -> bool {
        self.home.is_here()
    }

    /// Drops the closures that workers and submitters need, for the pool has ended.
    pub(crate) fn release(&self) {
        let releases = std::mem::take(&mut *self.releases.lock());
        releases.into_iter().for_each(caught);
    }

    /// Closes the pool to tasks from outside. What is queued is still run.
    pub(crate) fn close(&self) {
        if !self.is_here() {
            return;
        }
        self.queue.close();
        self.timer.close();
    }

    /// Closes the queue, cancels what is in it, and asks running tasks to stop. Returns the number
    /// of tasks cancelled, also by others meanwhile.
    pub(crate) fn cancel_all(&self) -> usize {
        if !self.is_here() {
            return 0;
        }
        let before = self.cancelled.load(Ordering::Relaxed);
        self.close();
        // Before the running tasks are asked: a worker whose task has stopped takes no other.
        self.queue.begin_cancelling();
        // This cancels the tasks in the queue that have a token.
        self.token.cancel();
        while let Some(task) = self.queue.take_to_cancel() {
            self.fail(task, TaskError::cancelled());
        }
        // A batch that begins after this sees the token cancelled.
        let meters = self.meters.lock().living.clone();
        let running = meters.iter().flat_map(|meter| meter.cancellable.lock().clone());
        running.collect::<Vec<_>>().iter().for_each(|items| items.cancel_items());
        let cancelled = self.cancelled.load(Ordering::Relaxed).wrapping_sub(before);
        usize::try_from(cancelled).unwrap_or(usize::MAX)
    }

    /// Passes an error that no reader and no callback got to the pool's hook.
    pub(crate) fn report_unread(&self, error: &TaskError) {
        caught(|| (self.config.unread_error)(error));
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut totals = Totals::default();
        let meters = self.meters.lock();
        totals.add(&meters.departed);
        let now = self.clock.now();
        for meter in &meters.living {
            totals.add(&meter.counts);
            totals.alive_ns += now.saturating_sub(meter.since);
            totals.running += meter.running();
            totals.knows_run_queue_delay |= meter.knows_run_queue_delay();
        }
        drop(meters);
        let cancelled = self.cancelled.load(Ordering::Relaxed);
        let mut snapshot = self.queue.snapshot();
        snapshot.submitted = snapshot.submitted.wrapping_add(self.batched.load(Ordering::Relaxed));
        totals.max_workers = self.queue.workers_max();
        totals.waits_sampled = self.wait_samples.counts();
        totals.into_stats(snapshot, cancelled, self.config.measure_cpu)
    }

    /// Looks at what one of the other workers that are in the middle of a task waits for.
    fn sample_waits(&self, own: &WorkerMeter) {
        let meters = self.meters.lock();
        let others = || {
            let is_other = |meter: &&Arc<WorkerMeter>| !std::ptr::eq(Arc::as_ptr(meter), own);
            meters.living.iter().filter(is_other).filter(|meter| meter.is_at_work())
        };
        let count = others().count();
        // The count of samples chooses, so that all have their turn.
        let turn = self.wait_samples.counts().0 as usize;
        let native_id = others().nth(turn % count.max(1)).and_then(|meter| meter.native_id);
        drop(meters);
        if let Some(native_id) = native_id {
            self.wait_samples.take(native_id);
        }
    }

    pub(crate) fn running_tasks(&self) -> Vec<RunningTask> {
        let now = self.clock.now();
        let meters = self.meters.lock();
        let mut running: Vec<RunningTask> = meters
            .living
            .iter()
            .filter_map(|meter| {
                let running_for = Duration::from_nanos(now.saturating_sub(meter.busy_since()?));
                let task = meter.task_name.lock().as_deref().map(str::to_owned);
                Some(RunningTask { worker: meter.name.clone(), running_for, task })
            })
            .collect();
        running.sort_by_key(|task| std::cmp::Reverse(task.running_for));
        running
    }

    /// Joins workers that the queue has counted out and that have only their thread-locals left to
    /// drop.
    pub(crate) fn join_handles(&self) {
        let own = std::thread::current().id();
        let handles = std::mem::take(&mut *self.handles.lock());
        // A thread-local of a worker may own the pool; then the calling thread is that worker, at
        // its very end.
        for handle in handles.into_iter().filter(|handle| handle.thread().id() != own) {
            // A worker does not panic: tasks, callbacks and drops are all caught.
            let _ = handle.join();
        }
    }
}

/// Puts a task where the queue keeps it: in the slot of its limit, if it has one.
fn place(task: QueuedTask, limit: Option<(&Arc<Slot>, &CancelToken)>) -> Place {
    match limit {
        None => Place::Own(task),
        Some((slot, _)) => {
            slot.put(task);
            Place::Shared(Arc::clone(slot))
        }
    }
}

fn claim_for(error: &TaskError) -> Claim {
    if error.is_cancelled() { Claim::ToCancel } else { Claim::ToFail }
}

/// Observes a task that is ended without a worker.
struct CancelObserver<'a> {
    pool: &'a Pool,
}

impl Observer for CancelObserver<'_> {
    fn ended(&self, _how: Ended, _error: Option<&TaskError>) {}

    fn free(&self, _afterwards: Afterwards) {}

    fn busy(&self) {}

    fn unread(&self, error: &TaskError) {
        self.pool.report_unread(error);
    }
}
