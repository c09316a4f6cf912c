//! What an executor counts and measures, and the advice drawn from it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::queue::Census;

/// Fewer finished tasks than this are too few to advise on.
const TASKS_MIN: u64 = 10;

/// Above this share of waiting a task waits; below its complement it computes.
const MOSTLY: f64 = 0.8;

/// What an executor has done so far. Taken while it works, the numbers may be a task apart from each other.
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
    /// Tasks taken since the executor was built.
    pub submitted: u64,
    /// Tasks that ran to their end, those that panicked included.
    pub completed: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks that were cancelled before they started, or that no thread could be had for.
    pub cancelled: u64,
    /// The time from submission to start, summed over all tasks that started.
    pub queue_delay_total: Duration,
    /// The longest time from submission to start.
    pub queue_delay_max: Duration,
    /// The time from start to end, summed over all tasks that ended.
    pub wall_total: Duration,
    /// The processor time of all tasks that ended; `None` unless
    /// [`measure_cpu`](crate::ThreadPoolExecutorBuilder::measure_cpu) was asked for and the system has such a clock.
    pub cpu_total: Option<Duration>,
}

impl Stats {
    /// The share of their time that tasks spent waiting, from 0 to 1. `None` when it was not measured.
    pub fn waiting_share(&self) -> Option<f64> {
        let cpu = self.cpu_total?.as_secs_f64();
        let wall = self.wall_total.as_secs_f64();
        (wall > 0.0).then(|| (1.0 - cpu / wall).clamp(0.0, 1.0))
    }

    /// Whether the tasks wait, so that more workers help, or compute, so that they do not.
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
                queue_delay_mean: self.queue_delay_total.div_f64(self.completed as f64),
            }),
            _ => Advice::TooLittle,
        }
    }
}

/// How many tasks keep the processors busy when each computes for `1 - waiting_share` of its time (Goetz, *Java
/// Concurrency in Practice*, §8.2).
fn workers_for(processors: usize, waiting_share: f64) -> usize {
    let computing = (1.0 - waiting_share).max(1e-6);
    (processors as f64 / computing).ceil() as usize
}

/// What [`Stats::advice`] makes of the numbers.
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
    /// How many workers would keep every processor busy with such tasks. More are of no use.
    pub workers_busy_processors: usize,
    /// How many processors there are.
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

/// The running totals. Every number is written by workers and read by `stats`, and orders nothing.
pub(crate) struct Counters {
    measure_cpu: bool,
    submitted: AtomicU64,
    started: AtomicU64,
    completed: AtomicU64,
    panicked: AtomicU64,
    cancelled: AtomicU64,
    queue_delay_ns: AtomicU64,
    queue_delay_ns_max: AtomicU64,
    wall_ns: AtomicU64,
    cpu_ns: AtomicU64,
}

/// When a task started, by both clocks.
pub(crate) struct Clock {
    wall: Instant,
    cpu: Option<Duration>,
}

impl Counters {
    pub(crate) fn new(measure_cpu: bool) -> Self {
        Counters {
            measure_cpu: measure_cpu && cpu_now().is_some(),
            submitted: AtomicU64::new(0),
            started: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            panicked: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            queue_delay_ns: AtomicU64::new(0),
            queue_delay_ns_max: AtomicU64::new(0),
            wall_ns: AtomicU64::new(0),
            cpu_ns: AtomicU64::new(0),
        }
    }

    pub(crate) fn count_submitted(&self) {
        self.submitted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_cancelled(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn start(&self, submitted: Instant) -> Clock {
        let wall = Instant::now();
        let delay = nanos(wall.saturating_duration_since(submitted));
        self.started.fetch_add(1, Ordering::Relaxed);
        self.queue_delay_ns.fetch_add(delay, Ordering::Relaxed);
        self.queue_delay_ns_max.fetch_max(delay, Ordering::Relaxed);
        Clock { wall, cpu: if self.measure_cpu { cpu_now() } else { None } }
    }

    pub(crate) fn finish(&self, clock: &Clock, panicked: bool) {
        self.wall_ns.fetch_add(nanos(clock.wall.elapsed()), Ordering::Relaxed);
        if let (Some(start), Some(end)) = (clock.cpu, clock.cpu.and_then(|_| cpu_now())) {
            self.cpu_ns.fetch_add(nanos(end.saturating_sub(start)), Ordering::Relaxed);
        }
        if panicked {
            self.panicked.fetch_add(1, Ordering::Relaxed);
        }
        self.completed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self, census: Census) -> Stats {
        let completed = self.completed.load(Ordering::Relaxed);
        let started = self.started.load(Ordering::Relaxed);
        let nanos_of = |counter: &AtomicU64| Duration::from_nanos(counter.load(Ordering::Relaxed));
        Stats {
            queued: census.queued,
            submitters_waiting: census.in_line,
            workers: census.workers,
            workers_idle: census.free,
            running: started.saturating_sub(completed),
            submitted: self.submitted.load(Ordering::Relaxed),
            completed,
            panicked: self.panicked.load(Ordering::Relaxed),
            cancelled: self.cancelled.load(Ordering::Relaxed),
            queue_delay_total: nanos_of(&self.queue_delay_ns),
            queue_delay_max: nanos_of(&self.queue_delay_ns_max),
            wall_total: nanos_of(&self.wall_ns),
            cpu_total: self.measure_cpu.then(|| nanos_of(&self.cpu_ns)),
        }
    }
}

/// Saturates after 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The processor time of the calling thread (`CLOCK_THREAD_CPUTIME_ID`).
fn cpu_now() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}
