//! What an executor counts and measures. The advice drawn from it is `advice`'s.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::pool::meter::Counts;
use crate::pool::queue::QueueSnapshot;

/// What an executor has done so far. Taken while it works, the numbers may be a task apart from
/// each other.
///
/// ```
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
/// pool.map(0..100, |n| n).for_each(drop);
/// let before = pool.stats();
/// assert!(pool.submit(|| panic!("counted")).result().is_err());
/// pool.shutdown();
/// let since = pool.stats().since(&before);
/// assert_eq!((since.submitted, since.completed, since.panicked), (1, 1, 1));
/// assert_eq!(pool.stats().workers, 0);
/// # Ok::<(), silkmill::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks that wait for a worker.
    pub queued: usize,
    /// Submitters that wait for room in the queue.
    pub submitters_waiting: usize,
    /// Workers that exist.
    pub workers: usize,
    /// Workers that have nothing to do.
    pub workers_idle: usize,
    /// Tasks that run.
    pub running: u64,
    /// Tasks accepted since the executor was built.
    pub submitted: u64,
    /// Tasks that ran to their end, those that panicked included.
    pub completed: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks that never ran: they were cancelled or overdue before they started, or no thread could
    /// be started for them.
    pub cancelled: u64,
    /// The time from submission to start, summed over all tasks that started. While tasks come
    /// faster than one a microsecond, one in sixteen is measured and stands for the others.
    pub queue_delay_total: Duration,
    /// The longest time from submission to start, of those that were measured.
    pub queue_delay_max: Duration,
    /// The time for which workers ran tasks, summed over the workers. The time of a task that runs
    /// now is added when its worker finds nothing more to do, or begins a task some milliseconds
    /// later.
    pub wall_total: Duration,
    /// The processor time of that; `None` unless
    /// [`measure_cpu`](crate::ThreadPoolExecutorBuilder::measure_cpu) was set and the system has
    /// such a clock.
    pub cpu_total: Option<Duration>,
    /// The part of [`wall_total`](Stats::wall_total) in which tasks were ready to run and waited
    /// for a processor; `None` unless processor time is measured and the system tells (Linux
    /// does).
    pub run_queue_delay_total: Option<Duration>,
    /// The part of [`wall_total`](Stats::wall_total) in which tasks waited for tasks of the same
    /// pool.
    pub nested_wait_total: Duration,
    /// The time for which workers have existed, summed over them.
    pub workers_total: Duration,
    /// The number of workers that may exist.
    pub max_workers: usize,
    /// How often a worker was seen waiting in the middle of a task, and how often for other
    /// threads.
    pub(crate) waits_sampled: (u64, u64),
}

impl Stats {
    /// Returns the mean time from submission to start; `None` before the first task.
    pub fn queue_delay_mean(&self) -> Option<Duration> {
        let started = self.completed + self.running;
        (started > 0).then(|| self.queue_delay_total.div_f64(started as f64))
    }

    /// Returns the mean time from start to end; `None` before the first task has ended.
    pub fn wall_mean(&self) -> Option<Duration> {
        (self.completed > 0).then(|| self.wall_total.div_f64(self.completed as f64))
    }

    /// Returns the [`utilization`](Stats::utilization), by another spelling.
    #[doc(hidden)]
    pub fn utilisation(&self) -> Option<f64> {
        self.utilization()
    }

    /// Returns the share of their time for which workers ran tasks, from 0 to 1; `None` before
    /// there was a worker.
    pub fn utilization(&self) -> Option<f64> {
        let alive = self.workers_total.as_secs_f64();
        (alive > 0.0).then(|| (self.wall_total.as_secs_f64() / alive).clamp(0.0, 1.0))
    }

    /// Returns the time for which workers ran tasks, without that in which a task waited for
    /// others of its own pool.
    pub(crate) fn own_wall_total(&self) -> Duration {
        self.wall_total.saturating_sub(self.nested_wait_total)
    }

    /// Returns the share of their time that tasks spent waiting, from 0 to 1. `None` when it was
    /// not measured. Waiting for a processor is not counted, where the system tells, nor is waiting
    /// for tasks of the same pool.
    pub fn waiting_share(&self) -> Option<f64> {
        let computing = self.cpu_total? + self.run_queue_delay_total.unwrap_or_default();
        let wall = self.own_wall_total().as_secs_f64();
        (wall > 0.0).then(|| (1.0 - computing.as_secs_f64() / wall).clamp(0.0, 1.0))
    }

    /// Returns what was done since `earlier`, which was taken from the same pool: the counts and
    /// times are differences, and what is a matter of the moment (`queued`, `workers`, `running`
    /// and the like) is of now, as is the longest delay.
    pub fn since(&self, earlier: &Stats) -> Stats {
        let optional = |now: Option<Duration>, then: Option<Duration>| {
            now.map(|now| now.saturating_sub(then.unwrap_or_default()))
        };
        Stats {
            submitted: self.submitted.saturating_sub(earlier.submitted),
            completed: self.completed.saturating_sub(earlier.completed),
            panicked: self.panicked.saturating_sub(earlier.panicked),
            cancelled: self.cancelled.saturating_sub(earlier.cancelled),
            queue_delay_total: self.queue_delay_total.saturating_sub(earlier.queue_delay_total),
            wall_total: self.wall_total.saturating_sub(earlier.wall_total),
            nested_wait_total: self.nested_wait_total.saturating_sub(earlier.nested_wait_total),
            cpu_total: optional(self.cpu_total, earlier.cpu_total),
            run_queue_delay_total: optional(
                self.run_queue_delay_total,
                earlier.run_queue_delay_total,
            ),
            workers_total: self.workers_total.saturating_sub(earlier.workers_total),
            waits_sampled: (
                self.waits_sampled.0.saturating_sub(earlier.waits_sampled.0),
                self.waits_sampled.1.saturating_sub(earlier.waits_sampled.1),
            ),
            ..*self
        }
    }
}

/// A task that runs.
///
/// ```
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("web").build()?;
/// let (go, wait) = std::sync::mpsc::channel::<()>();
/// let future = pool.task().name("GET /x").submit(move || wait.recv().is_ok());
/// while pool.running_tasks().first().is_none_or(|running| running.task.is_none()) {}
/// let running = &pool.running_tasks()[0];
/// assert_eq!((running.worker.as_str(), running.task.as_deref()), ("web-0", Some("GET /x")));
/// go.send(())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningTask {
    /// The name of the thread it runs on.
    pub worker: String,
    /// The time for which it has been running.
    pub running_for: Duration,
    /// The [name](crate::TaskOptions::name) of the task, if it has one.
    pub task: Option<String>,
}

/// The sums over all workers.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) running: u64,
    /// The time for which the workers have existed, together.
    pub(crate) alive_ns: u64,
    pub(crate) max_workers: usize,
    pub(crate) waits_sampled: (u64, u64),
    pub(crate) knows_run_queue_delay: bool,
    counts: Counts,
}

impl Totals {
    pub(crate) fn add(&mut self, counts: &Counts) {
        self.counts.add(counts);
        self.alive_ns += counts.alive_ns.load(Ordering::Relaxed);
    }

    pub(crate) fn into_stats(
        self,
        snapshot: QueueSnapshot,
        cancelled: u64,
        measure_cpu: bool,
    ) -> Stats {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let counts = &self.counts;
        let knows_run_queue_delay = self.knows_run_queue_delay || count(&counts.run_queue_ns) > 0;
        let delayed = count(&counts.delayed);
        // The delay of the sampled tasks stands for all that started.
        let scale = count(&counts.started) as f64 / delayed.max(1) as f64;
        let delay_ns = count(&counts.delay_ns) as f64 * scale;
        Stats {
            queued: snapshot.queued,
            submitters_waiting: snapshot.submitters_waiting,
            workers: snapshot.workers,
            workers_idle: snapshot.free,
            running: self.running,
            submitted: snapshot.submitted,
            completed: count(&counts.completed).saturating_sub(count(&counts.emptied)),
            panicked: count(&counts.panicked),
            cancelled: cancelled + count(&counts.not_started),
            queue_delay_total: Duration::from_nanos(delay_ns as u64),
            queue_delay_max: Duration::from_nanos(count(&counts.delay_ns_max)),
            wall_total: Duration::from_nanos(count(&counts.wall_ns)),
            cpu_total: measure_cpu.then(|| Duration::from_nanos(count(&counts.cpu_ns))),
            run_queue_delay_total: (measure_cpu && knows_run_queue_delay)
                .then(|| Duration::from_nanos(count(&counts.run_queue_ns))),
            nested_wait_total: Duration::from_nanos(count(&counts.nested_ns)),
            workers_total: Duration::from_nanos(self.alive_ns),
            max_workers: self.max_workers,
            waits_sampled: self.waits_sampled,
        }
    }
}
