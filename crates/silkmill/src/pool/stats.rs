//! What an executor counts and measures, and the advice drawn from it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::pool::meter::Counts;
use crate::pool::queue::QueueSnapshot;

/// Fewer finished tasks than this are too few to advise on.
const TASKS_MIN: u64 = 10;

/// A task that waits for more than this share of its time waits; below the complement it computes.
const MOSTLY: f64 = 0.8;

/// What an executor has done so far. Taken while it works, the numbers may be a task apart from
/// each other.
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
    /// The time for which workers have existed, summed over them.
    pub workers_total: Duration,
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

    /// Returns the share of their time for which workers ran tasks, from 0 to 1; `None` before
    /// there was a worker.
    pub fn utilisation(&self) -> Option<f64> {
        let alive = self.workers_total.as_secs_f64();
        (alive > 0.0).then(|| (self.wall_total.as_secs_f64() / alive).clamp(0.0, 1.0))
    }

    /// Returns the share of their time that tasks spent waiting, from 0 to 1. `None` when it was
    /// not measured.
    pub fn waiting_share(&self) -> Option<f64> {
        let cpu = self.cpu_total?.as_secs_f64();
        let wall = self.wall_total.as_secs_f64();
        (wall > 0.0).then(|| (1.0 - cpu / wall).clamp(0.0, 1.0))
    }

    /// Tells whether the tasks wait, so that more workers help, or compute, so that they do not.
    ///
    /// ```
    /// use silkmill::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(8).measure_cpu(true).build()?;
    /// pool.map(0..20, |_| std::thread::sleep(std::time::Duration::from_millis(2))).for_each(drop);
    /// let advice = pool.stats().advice();
    /// assert!(advice.to_string().starts_with("tasks waited"), "{advice}");
    /// # Ok::<(), silkmill::BuildError>(())
    /// ```
    pub fn advice(&self) -> Advice {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        match self.waiting_share() {
            Some(share) if self.completed >= TASKS_MIN => Advice::Measured(Measured {
                waiting_share: share,
                workers_busy_processors: workers_for(processors, share),
                processors,
                queue_delay_mean: self.queue_delay_mean().unwrap_or_default(),
            }),
            _ => Advice::TooLittle,
        }
    }
}

/// Returns the number of tasks that keep the processors busy when each computes for `1 -
/// waiting_share` of its time (Goetz, *Java Concurrency in Practice*, §8.2).
fn workers_for(processors: usize, waiting_share: f64) -> usize {
    let computing = (1.0 - waiting_share).max(1e-6);
    (processors as f64 / computing).ceil() as usize
}

/// The conclusion that [`Stats::advice`] draws from the numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Advice {
    /// Too few tasks have ended, or the processor time was not measured.
    TooLittle,
    /// Enough was measured.
    Measured(Measured),
}

/// The numbers behind an [`Advice`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measured {
    /// The share of their time that tasks spent waiting, from 0 to 1.
    pub waiting_share: f64,
    /// The number of workers that would keep every processor busy with such tasks. More are of no
    /// use.
    pub workers_busy_processors: usize,
    /// The number of processors.
    pub processors: usize,
    /// The mean time a task waited for a worker.
    pub queue_delay_mean: Duration,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Advice::TooLittle => f.write_str("too little was measured to advise on"),
            Advice::Measured(measured) => measured.fmt(f),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting_share * 100.0;
        let most = self.workers_busy_processors;
        write!(f, "tasks waited for {waiting:.1} % of their time: ")?;
        if self.waiting_share >= MOSTLY {
            write!(f, "more workers help, up to about {most}")
        } else if self.waiting_share > 1.0 - MOSTLY {
            write!(f, "about {most} workers keep the processors busy")
        } else {
            write!(f, "they compute, so more than {} workers do not help", self.processors)
        }
    }
}

/// A task that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningTask {
    /// The name of the thread it runs on.
    pub worker: String,
    /// The time for which it has been running.
    pub running_for: Duration,
}

/// The sums over all workers.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) running: u64,
    /// The time for which the workers have existed, together.
    pub(crate) alive_ns: u64,
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
            completed: count(&counts.completed),
            panicked: count(&counts.panicked),
            cancelled: cancelled + count(&counts.not_started),
            queue_delay_total: Duration::from_nanos(delay_ns as u64),
            queue_delay_max: Duration::from_nanos(count(&counts.delay_ns_max)),
            wall_total: Duration::from_nanos(count(&counts.wall_ns)),
            cpu_total: measure_cpu.then(|| Duration::from_nanos(count(&counts.cpu_ns))),
            workers_total: Duration::from_nanos(self.alive_ns),
        }
    }
}
