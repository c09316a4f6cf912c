//! The meter of a worker: what it counts, and how it measures time without reading a clock for
//! every task.
//!
//! Tasks that take microseconds must not be slowed by the clock. So a worker measures *stretches*:
//! the time from when it becomes busy until it finds nothing to do, or until the system's timer has
//! ticked, whichever comes first. The wall and processor times of all tasks are the sum of the
//! stretches. For a task that takes longer than a tick (some milliseconds) a stretch is that task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::pool::clock::{Clock, coarse_tick, thread_cpu_now};
use crate::pool::probe::RunQueueDelay;
use crate::pool::queue_delay::SampledArrival;
use crate::sync::Mutex;
use crate::task::name::RunningName;
use crate::task::observer::Ended;

/// What a worker counts. Written by that worker alone, read by threads that ask for statistics; it
/// orders nothing, save that a task is counted before its result is published.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) started: AtomicU64,
    pub(crate) completed: AtomicU64,
    /// Those of the completed whose items the reader of their map had all taken out before they
    /// began. The items are tasks of their own then, and these are none.
    pub(crate) emptied: AtomicU64,
    pub(crate) panicked: AtomicU64,
    /// Tasks that were cancelled or overdue when their turn came.
    pub(crate) not_started: AtomicU64,
    pub(crate) wall_ns: AtomicU64,
    pub(crate) cpu_ns: AtomicU64,
    /// The time for which tasks were ready to run and waited for a processor.
    pub(crate) run_queue_ns: AtomicU64,
    /// The time for which tasks waited for tasks of their own pool.
    pub(crate) nested_ns: AtomicU64,
    /// The number of tasks that the queue delay stands for. The sum of their delays follows.
    pub(crate) delayed: AtomicU64,
    pub(crate) delay_ns: AtomicU64,
    pub(crate) delay_ns_max: AtomicU64,
    /// How long the worker has existed; set when it exits.
    pub(crate) alive_ns: AtomicU64,
}

/// Adds to a number that no other thread writes.
fn add(number: &AtomicU64, more: u64) {
    number.store(number.load(Ordering::Relaxed).saturating_add(more), Ordering::Relaxed);
}

impl Counts {
    /// Adds another's counts. The caller makes sure that no other thread writes these.
    pub(crate) fn add(&self, other: &Counts) {
        let pairs = [
            (&self.started, &other.started),
            (&self.completed, &other.completed),
            (&self.emptied, &other.emptied),
            (&self.panicked, &other.panicked),
            (&self.not_started, &other.not_started),
            (&self.wall_ns, &other.wall_ns),
            (&self.cpu_ns, &other.cpu_ns),
            (&self.run_queue_ns, &other.run_queue_ns),
            (&self.nested_ns, &other.nested_ns),
            (&self.delayed, &other.delayed),
            (&self.delay_ns, &other.delay_ns),
            (&self.alive_ns, &other.alive_ns),
        ];
        for (sum, more) in pairs {
            add(sum, more.load(Ordering::Relaxed));
        }
        self.delay_ns_max.fetch_max(other.delay_ns_max.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// A task that works on several items, which a shutdown cancels in the middle of it.
pub(crate) trait CancelItems: Send + Sync {
    /// Cancels and counts the items that have not begun.
    fn cancel_items(&self);
}

pub(crate) struct WorkerMeter {
    pub(crate) name: String,
    pub(crate) native_id: Option<u32>,
    /// The name of the task that runs, if it has one.
    pub(crate) task_name: RunningName,
    /// The tasks with several items that the worker is in the middle of, each inside the one
    /// before. Written by the worker, read by a shutdown.
    pub(crate) cancellable: Mutex<Vec<Arc<dyn CancelItems>>>,
    /// Whether to measure processor time as well.
    measure_cpu: bool,
    run_queue_delay: RunQueueDelay,
    /// Set while the worker waits for a task of its own pool. Read by workers that take samples; it
    /// orders nothing.
    waits_for_own_pool: AtomicBool,
    pub(crate) counts: Counts,
    /// When the worker started, by the pool's clock.
    pub(crate) since: u64,
    /// When the stretch began; 0 while the worker has nothing to do. Close enough to when its task
    /// began. Only the worker uses the fields below.
    stretch_since: AtomicU64,
    stretch_cpu_since: AtomicU64,
    stretch_run_queue_since: AtomicU64,
    tick: AtomicU64,
}

impl WorkerMeter {
    /// Makes the meter of the calling thread.
    pub(crate) fn new(name: String, native_id: Option<u32>, since: u64, measure_cpu: bool) -> Self {
        WorkerMeter {
            name,
            native_id,
            task_name: RunningName::default(),
            cancellable: Mutex::default(),
            measure_cpu,
            run_queue_delay: match measure_cpu {
                true => RunQueueDelay::of_this_thread(),
                false => RunQueueDelay::unknown(),
            },
            waits_for_own_pool: AtomicBool::new(false),
            counts: Counts::default(),
            since,
            stretch_since: AtomicU64::new(0),
            stretch_cpu_since: AtomicU64::new(0),
            stretch_run_queue_since: AtomicU64::new(0),
            tick: AtomicU64::new(0),
        }
    }

    /// Returns when the current stretch began; `None` while the worker has nothing to do.
    pub(crate) fn busy_since(&self) -> Option<u64> {
        let since = self.stretch_since.load(Ordering::Relaxed);
        (since > 0).then_some(since)
    }

    /// Returns whether the waits for a processor are measured.
    pub(crate) fn knows_run_queue_delay(&self) -> bool {
        self.run_queue_delay.is_known()
    }

    /// Returns whether the worker is in the middle of a task, and not of one that waits for a task
    /// of its own pool.
    pub(crate) fn is_at_work(&self) -> bool {
        self.busy_since().is_some() && !self.waits_for_own_pool.load(Ordering::Relaxed)
    }

    /// Runs `wait`, which blocks until a task of the worker's own pool is done.
    pub(crate) fn while_nested<R>(&self, clock: &Clock, wait: impl FnOnce() -> R) -> R {
        let began = clock.now();
        self.waits_for_own_pool.store(true, Ordering::Relaxed);
        let waited = wait();
        self.waits_for_own_pool.store(false, Ordering::Relaxed);
        add(&self.counts.nested_ns, clock.now().saturating_sub(began));
        waited
    }

    /// Runs `work`, which is the worker's task, and lets a shutdown cancel `items` meanwhile.
    pub(crate) fn while_cancellable<R>(
        &self,
        items: Arc<dyn CancelItems>,
        work: impl FnOnce() -> R,
    ) -> R {
        self.cancellable.lock().push(items);
        let result = work();
        let items = self.cancellable.lock().pop();
        drop(items);
        result
    }

    /// Returns the number of tasks that the worker is in the middle of.
    pub(crate) fn running(&self) -> u64 {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let ended = count(&self.counts.completed) + count(&self.counts.not_started);
        count(&self.counts.started).saturating_sub(ended)
    }

    /// Notes that a task begins.
    pub(crate) fn begin(&self, clock: &Clock, arrival: Option<SampledArrival>) {
        add(&self.counts.started, 1);
        let goes_on = self.busy_since().is_some() && !self.has_ticked();
        if goes_on && arrival.is_none() {
            return;
        }
        let now = clock.now();
        if let Some(arrival) = arrival {
            let delay = now.saturating_sub(arrival.ticks());
            add(&self.counts.delayed, arrival.stands_for());
            add(&self.counts.delay_ns, delay.saturating_mul(arrival.stands_for()));
            if delay > self.counts.delay_ns_max.load(Ordering::Relaxed) {
                self.counts.delay_ns_max.store(delay, Ordering::Relaxed);
            }
        }
        if !goes_on {
            self.close(now);
            self.open(now);
        }
    }

    /// Returns whether the system's timer has ticked since the last look.
    fn has_ticked(&self) -> bool {
        let tick = coarse_tick();
        let ticked = tick != self.tick.load(Ordering::Relaxed);
        self.tick.store(tick, Ordering::Relaxed);
        ticked
    }

    /// Notes that a task begins inside of another, whose stretch goes on.
    pub(crate) fn begin_inside(&self) {
        add(&self.counts.started, 1);
    }

    /// Notes that a task has ended.
    pub(crate) fn end(&self, how: Ended) {
        match how {
            Ended::Returned => {}
            Ended::Panicked => add(&self.counts.panicked, 1),
            Ended::NotStarted => return add(&self.counts.not_started, 1),
        }
        add(&self.counts.completed, 1);
    }

    /// Counts the items of a batch, beside the task that ran them; or the batch, if it had none
    /// left when its turn came.
    pub(crate) fn count_batch(&self, items: u64, panicked: u64) {
        // The task is one itself, and is counted as such when it ends.
        let Some(more) = items.checked_sub(1) else { return add(&self.counts.emptied, 1) };
        add(&self.counts.started, more);
        add(&self.counts.completed, more);
        add(&self.counts.panicked, panicked);
    }

    /// Notes that the worker has nothing to do, for now.
    pub(crate) fn rest(&self, clock: &Clock) {
        self.close(clock.now());
    }

    /// Notes that the worker has something to do that is no task of its own.
    pub(crate) fn resume(&self, clock: &Clock) {
        if self.busy_since().is_none() {
            self.open(clock.now());
        }
    }

    fn open(&self, now: u64) {
        self.stretch_since.store(now, Ordering::Relaxed);
        if self.measure_cpu {
            self.stretch_cpu_since.store(thread_cpu_now().unwrap_or(0), Ordering::Relaxed);
            let delay = self.run_queue_delay.now().unwrap_or(0);
            self.stretch_run_queue_since.store(delay, Ordering::Relaxed);
        }
    }

    fn close(&self, now: u64) {
        let Some(since) = self.busy_since() else { return };
        self.stretch_since.store(0, Ordering::Relaxed);
        let wall_ns = now.saturating_sub(since);
        add(&self.counts.wall_ns, wall_ns);
        if self.measure_cpu
            && let Some(cpu_now) = thread_cpu_now()
        {
            let cpu_since = self.stretch_cpu_since.load(Ordering::Relaxed);
            add(&self.counts.cpu_ns, cpu_now.saturating_sub(cpu_since));
            if let Some(delay) = self.run_queue_delay.now() {
                let since = self.stretch_run_queue_since.load(Ordering::Relaxed);
                add(&self.counts.run_queue_ns, delay.saturating_sub(since));
            }
        }
    }
}
