//! What an executor knows of its work. Most tasks are not timed: two clocks cost more than a short
//! task.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// So many tasks of each worker are timed from the first one on.
const TIMED_FIRST: u64 = 16;

/// From then on one task in so many is.
const TIMED_EVERY: u64 = 16;

/// Whether the task of this number is timed.
pub(crate) fn is_timed(number: u64) -> bool {
    number < TIMED_FIRST || number.is_multiple_of(TIMED_EVERY)
}

/// What one task took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) wall: Duration,
    /// Of the processor, by the worker's thread. A wait for the interpreter's lock is none.
    pub(crate) cpu: Duration,
}

#[derive(Debug)]
pub(crate) struct Clock {
    wall: Instant,
    cpu: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_time() }
    }

    pub(crate) fn stop(self) -> Sample {
        Sample { wall: self.wall.elapsed(), cpu: cpu_time().saturating_sub(self.cpu) }
    }
}

fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Sums over the life of an executor, written and read under its queue's lock.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) submitted: u64,
    pub(crate) returned: u64,
    pub(crate) raised: u64,
    pub(crate) cancelled: u64,
    timed: u64,
    wall: Duration,
    cpu: Duration,
    delays: u64,
    delay: Duration,
    delay_max: Duration,
    busy: usize,
    busy_since: Option<Instant>,
    busy_time: Duration,
    workers_busy_max: usize,
}

/// The figures, as `silkmill.Stats` wants them. Times are in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) busy: usize,
    pub(crate) workers_busy_max: usize,
    pub(crate) timed: u64,
    pub(crate) wall_mean: f64,
    pub(crate) cpu_mean: f64,
    pub(crate) delay_mean: f64,
    pub(crate) delay_max: f64,
    pub(crate) busy_time: f64,
}

impl Counts {
    pub(crate) fn is_next_delay_measured(&self) -> bool {
        is_timed(self.submitted)
    }

    pub(crate) fn add_sample(&mut self, sample: Sample) {
        self.timed += 1;
        self.wall += sample.wall;
        self.cpu += sample.cpu;
    }

    pub(crate) fn add_delay(&mut self, submitted: Instant) {
        let delay = submitted.elapsed();
        self.delays += 1;
        self.delay += delay;
        self.delay_max = self.delay_max.max(delay);
    }

    /// A worker goes from waiting to work. The clock is read for the first one alone.
    pub(crate) fn becomes_busy(&mut self) {
        self.busy += 1;
        self.workers_busy_max = self.workers_busy_max.max(self.busy);
        if self.busy == 1 {
            self.busy_since = Some(Instant::now());
        }
    }

    pub(crate) fn becomes_idle(&mut self) {
        self.busy -= 1;
        if self.busy == 0
            && let Some(since) = self.busy_since.take()
        {
            self.busy_time += since.elapsed();
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        let now = self.busy_since.map_or(Duration::ZERO, |since| since.elapsed());
        Figures {
            busy: self.busy,
            workers_busy_max: self.workers_busy_max,
            timed: self.timed,
            wall_mean: mean(self.wall, self.timed),
            cpu_mean: mean(self.cpu, self.timed),
            delay_mean: mean(self.delay, self.delays),
            delay_max: self.delay_max.as_secs_f64(),
            busy_time: (self.busy_time + now).as_secs_f64(),
        }
    }
}

fn mean(sum: Duration, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum.as_secs_f64() / count as f64 }
}
