//! What the statistics of a pool say about its number of workers.

use std::fmt;
use std::time::Duration;

use crate::pool::stats::Stats;

/// Fewer finished tasks than this are too few to advise on.
const TASKS_MIN: u64 = 10;

/// Tasks compute that wait for less than this share of their time, and compute for more than it of
/// the time for which they compute or wait. A pool may be short of processors when its tasks wait
/// for one for more than this share.
const COMPUTING: f64 = 0.2;

/// It is short of them because of its own tasks when these use this share of the processors.
/// Otherwise other programs are at work.
const PROCESSORS_USED_MIN: f64 = 0.25;

/// A pool is short of workers when they are busy for at least this share of their time, and tasks
/// wait for them.
const BUSY_MIN: f64 = 0.5;

/// Tasks wait for workers when they do so, on average, for this share of what they take.
const QUEUED_MIN: f64 = 0.1;

/// Fewer samples than this of what workers wait for say nothing.
const SAMPLES_MIN: u64 = 5;

/// Tasks wait for each other when this share of the samples says so.
const SHARED_MIN: f64 = 0.5;

/// More workers help when so many times as many do at least so many times as much.
const MORE_WORKERS: f64 = 1.5;
const MORE_DONE: f64 = 1.1;

impl Stats {
    /// Tells whether more workers would help, from what was measured since the pool was built.
    ///
    /// The processor time must be measured for that:
    /// [`measure_cpu`](crate::ThreadPoolExecutorBuilder::measure_cpu).
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
        self.advise(processors(), None)
    }

    /// Tells the same from what was measured since `earlier`, which was taken from the same pool,
    /// and compares it with what was measured before: if `earlier` was taken just before
    /// [`set_max_workers`](crate::ThreadPoolExecutor::set_max_workers), whether that helped.
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use std::time::Duration;
    /// use silkmill::{ThreadPoolExecutor, Verdict};
    ///
    /// static LOCK: Mutex<()> = Mutex::new(());
    /// let one_at_a_time = |_| {
    ///     let _guard = LOCK.lock();
    ///     std::thread::sleep(Duration::from_millis(2));
    /// };
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).measure_cpu(true).build()?;
    /// pool.map(0..20, one_at_a_time).for_each(drop);
    /// let earlier = pool.stats();
    /// pool.set_max_workers(4);
    /// pool.map(0..40, one_at_a_time).for_each(drop);
    /// let advice = pool.stats().advice_since(&earlier);
    /// let measured = advice.measured().expect("enough was measured");
    /// assert_eq!(measured.verdict, Verdict::SomethingIsShared, "{advice}");
    /// # Ok::<(), silkmill::BuildError>(())
    /// ```
    pub fn advice_since(&self, earlier: &Stats) -> Advice {
        self.since(earlier).advise(processors(), Some(earlier))
    }

    fn advise(&self, processors: usize, before: Option<&Stats>) -> Advice {
        if self.cpu_total.is_none() {
            return Advice::NotMeasured;
        }
        let (Some(waiting_share), true) = (self.waiting_share(), self.completed >= TASKS_MIN)
        else {
            return Advice::TooFew { ended: self.completed, needed: TASKS_MIN };
        };
        let own_wall = self.own_wall_total().as_secs_f64();
        let share = |time: Option<Duration>| time.map(|time| time.as_secs_f64() / own_wall);
        let mut measured = Measured {
            verdict: Verdict::EnoughWorkers,
            waiting_share,
            processor_wait_share: share(self.run_queue_delay_total),
            workers_busy_processors: workers_for(processors, share(self.cpu_total)),
            processors,
            max_workers: self.max_workers,
            utilization: self.utilization().unwrap_or_default(),
            queue_delay_mean: self.queue_delay_mean().unwrap_or_default(),
            wall_mean: self.wall_mean().unwrap_or_default(),
        };
        let computing_share = share(self.cpu_total).unwrap_or_default();
        measured.verdict = self.verdict(&measured, computing_share, before);
        Advice::Measured(measured)
    }

    fn verdict(&self, measured: &Measured, computing: f64, before: Option<&Stats>) -> Verdict {
        let processor_wait = measured.processor_wait_share.unwrap_or_default();
        let processors_used = measured.max_workers as f64 * measured.utilization * computing;
        let short_of_processors = processor_wait > COMPUTING
            && processors_used > PROCESSORS_USED_MIN * measured.processors as f64;
        // What little is left beside a busy machine is waiting or computing.
        let computes = measured.waiting_share < COMPUTING
            && computing >= COMPUTING * (measured.waiting_share + computing);
        if short_of_processors || computes {
            return Verdict::Computing;
        }
        let (samples, for_threads) = self.waits_sampled;
        let wait_for_each_other =
            samples >= SAMPLES_MIN && for_threads as f64 >= SHARED_MIN * samples as f64;
        if wait_for_each_other || before.is_some_and(|before| self.did_no_more_than(before)) {
            return Verdict::SomethingIsShared;
        }
        let queued =
            measured.queue_delay_mean.as_secs_f64() / measured.wall_mean.as_secs_f64().max(1e-9);
        let is_short = measured.utilization >= BUSY_MIN && queued >= QUEUED_MIN;
        match is_short && measured.max_workers < measured.workers_busy_processors {
            true => Verdict::MoreWorkersHelp,
            false => Verdict::EnoughWorkers,
        }
    }

    /// Returns whether there were clearly more workers than `before`, and no more was done: tasks
    /// took longer by as much.
    fn did_no_more_than(&self, before: &Stats) -> bool {
        if before.completed < TASKS_MIN {
            return false;
        }
        let mean = |stats: &Stats| stats.own_wall_total().as_secs_f64() / stats.completed as f64;
        let more_workers = self.max_workers as f64 / before.max_workers.max(1) as f64;
        let more_done = more_workers * mean(before) / mean(self).max(1e-12);
        more_workers >= MORE_WORKERS && more_done < MORE_DONE
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns the number of tasks that keep the processors busy when each computes for this share of
/// its time (Goetz, *Java Concurrency in Practice*, §8.2).
fn workers_for(processors: usize, computing_share: Option<f64>) -> usize {
    let computing = computing_share.unwrap_or(1.0).clamp(1e-6, 1.0);
    (processors as f64 / computing).ceil() as usize
}

/// The conclusion that [`Stats::advice`] draws from the numbers.
///
/// ```
/// use silkmill::{Advice, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).measure_cpu(true).build()?;
/// pool.map(0..100, |n| n).for_each(drop);
/// match pool.stats().advice() {
///     Advice::Measured(measured) => println!("{:?}", measured.verdict),
///     other => println!("{other}"),
/// }
/// # Ok::<(), silkmill::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Advice {
    /// Processor time is not measured. It is for pools built with
    /// [`measure_cpu(true)`](crate::ThreadPoolExecutorBuilder::measure_cpu), where the system has
    /// such a clock.
    NotMeasured,
    /// Too few tasks have ended.
    TooFew {
        /// The number of tasks that have ended.
        ended: u64,
        /// The number of tasks that would be enough.
        needed: u64,
    },
    /// Enough was measured.
    Measured(Measured),
}

impl Advice {
    /// Returns the verdict and the numbers behind it, if enough was measured.
    pub fn measured(&self) -> Option<&Measured> {
        match self {
            Advice::Measured(measured) => Some(measured),
            _ => None,
        }
    }
}

/// Whether more workers would help.
///
/// ```
/// use std::time::Duration;
/// use silkmill::{Advice, ThreadPoolExecutor, Verdict};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).measure_cpu(true).build()?;
/// let nap = |_| std::thread::sleep(Duration::from_millis(1));
/// pool.map(0..100, nap).for_each(drop);
/// pool.shutdown();
/// if let Advice::Measured(measured) = pool.stats().advice() {
///     assert_ne!(measured.verdict, Verdict::Computing, "they slept");
/// }
/// # Ok::<(), silkmill::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Tasks wait, workers were busy, and tasks were queued meanwhile.
    MoreWorkersHelp,
    /// Tasks found workers free, or there are enough to keep the processors busy.
    EnoughWorkers,
    /// Tasks compute, or wait for processors.
    Computing,
    /// Tasks wait for each other: for a lock, a channel, something that only so many can use at
    /// once.
    SomethingIsShared,
}

/// The numbers behind an [`Advice`].
///
/// ```
/// use std::time::Duration;
/// use silkmill::{Advice, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).measure_cpu(true).build()?;
/// let nap = |_| std::thread::sleep(Duration::from_millis(1));
/// pool.map(0..100, nap).for_each(drop);
/// pool.shutdown();
/// if let Advice::Measured(measured) = pool.stats().advice() {
///     println!("{:.0} % waiting", 100.0 * measured.waiting_share);
/// }
/// # Ok::<(), silkmill::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measured {
    /// Whether more workers would help.
    pub verdict: Verdict,
    /// The share of their time that tasks spent waiting, but not for a processor, from 0 to 1.
    pub waiting_share: f64,
    /// The share of their time that tasks spent waiting for a processor, from 0 to 1; `None` where
    /// the system does not tell, and then it counts as waiting.
    pub processor_wait_share: Option<f64>,
    /// The number of workers that would keep every processor busy with such tasks. More are of no
    /// use.
    pub workers_busy_processors: usize,
    /// The number of processors.
    pub processors: usize,
    /// The number of workers that may exist.
    pub max_workers: usize,
    /// The share of their time for which workers ran tasks, from 0 to 1.
    pub utilization: f64,
    /// The mean time a task waited for a worker.
    pub queue_delay_mean: Duration,
    /// The mean time from a task's start to its end.
    pub wall_mean: Duration,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Advice::NotMeasured => f.write_str(
                "processor time is not measured, which advice needs: build the pool with \
                 measure_cpu(true)",
            ),
            Advice::TooFew { ended, needed } => {
                write!(f, "advice needs {needed} tasks that have ended, and there are {ended} yet")
            }
            Advice::Measured(measured) => measured.fmt(f),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tasks waited for {:.1} % of their time", self.waiting_share * 100.0)?;
        let processor_wait = self.processor_wait_share.unwrap_or_default();
        if processor_wait > COMPUTING {
            write!(f, ", and for a processor for another {:.1} %", processor_wait * 100.0)?;
        }
        let most = self.workers_busy_processors;
        match self.verdict {
            Verdict::MoreWorkersHelp => {
                write!(f, ": more workers than {} help, up to about {most}", self.max_workers)
            }
            Verdict::EnoughWorkers if self.max_workers >= most => {
                write!(f, ": about {most} workers keep the processors busy")
            }
            Verdict::EnoughWorkers => {
                f.write_str(", and seldom for a worker, so more workers do not help")
            }
            Verdict::Computing => {
                let processors = self.processors;
                write!(f, ": they compute, so more than {processors} workers do not help")
            }
            Verdict::SomethingIsShared => {
                f.write_str(": they wait for each other, so more workers do not help")
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::pool::queue::QueueSnapshot;
    use crate::pool::stats::Totals;

    const MS: Duration = Duration::from_millis(1);

    /// Returns statistics of 100 tasks that each took 10 ms, of which they computed and waited for
    /// a processor for so many.
    fn stats(computed: u32, waited_for_processor: u32) -> Stats {
        Stats {
            completed: 100,
            submitted: 100,
            max_workers: 8,
            wall_total: 1_000 * MS,
            cpu_total: Some(100 * computed * MS),
            run_queue_delay_total: Some(100 * waited_for_processor * MS),
            workers_total: 1_100 * MS,
            queue_delay_total: 500 * MS,
            ..Totals::default().into_stats(QueueSnapshot::default(), 0, true)
        }
    }

    fn verdict(stats: &Stats) -> Verdict {
        stats.advise(2, None).measured().expect("enough was measured").verdict
    }

    #[test]
    fn waiting_for_a_processor_is_not_waiting() {
        assert_eq!(verdict(&stats(1, 8)), Verdict::Computing);
        assert_eq!(verdict(&stats(3, 4)), Verdict::Computing);
        assert_eq!(stats(1, 8).waiting_share().map(|share| (share * 10.0).round()), Some(1.0));
        let elsewhere = Stats { max_workers: 1, ..stats(0, 4) };
        assert_eq!(verdict(&elsewhere), Verdict::MoreWorkersHelp, "other programs are at work");
    }

    #[test]
    fn more_workers_help_only_when_tasks_were_queued_and_workers_busy() {
        let waiting = Stats { max_workers: 1, ..stats(1, 0) };
        assert_eq!(verdict(&waiting), Verdict::MoreWorkersHelp);
        let not_queued = Stats { queue_delay_total: MS, ..waiting };
        assert_eq!(verdict(&not_queued), Verdict::EnoughWorkers);
        let not_busy = Stats { workers_total: 10_000 * MS, ..waiting };
        assert_eq!(verdict(&not_busy), Verdict::EnoughWorkers);
        let enough = Stats { max_workers: 100_000, ..waiting };
        assert_eq!(verdict(&enough), Verdict::EnoughWorkers);
    }

    #[test]
    fn tasks_that_wait_for_threads_share_something() {
        let few = Stats { max_workers: 1, waits_sampled: (4, 4), ..stats(1, 0) };
        assert_eq!(verdict(&few), Verdict::MoreWorkersHelp);
        let locked = Stats { waits_sampled: (100, 60), ..few };
        assert_eq!(verdict(&locked), Verdict::SomethingIsShared);
    }

    #[test]
    fn more_workers_that_did_no_more_share_something() {
        let before = Stats { max_workers: 2, ..stats(1, 0) };
        let after = |wall_each: u32, workers: usize| Stats {
            max_workers: workers,
            completed: 200,
            wall_total: before.wall_total + 100 * wall_each * MS,
            cpu_total: Some(200 * MS),
            queue_delay_total: 2 * before.queue_delay_total + 100 * wall_each * MS,
            workers_total: before.workers_total + 110 * wall_each * MS,
            ..before
        };
        let since = |after: Stats| {
            after.since(&before).advise(2, Some(&before)).measured().map(|m| m.verdict)
        };
        assert_eq!(since(after(40, 8)), Some(Verdict::SomethingIsShared));
        assert_eq!(
            since(after(10, 8)),
            Some(Verdict::MoreWorkersHelp),
            "it did four times as much"
        );
        assert_eq!(
            since(after(40, 2)),
            Some(Verdict::MoreWorkersHelp),
            "as many workers as before"
        );
    }

    #[test]
    fn waiting_for_tasks_of_the_same_pool_is_no_time_of_the_task() {
        let nested = Stats { nested_wait_total: 900 * MS, ..stats(1, 0) };
        assert_eq!(verdict(&nested), Verdict::Computing);
    }

    #[test]
    fn too_few_tasks_and_no_measurement_are_told_apart() {
        let few = Stats { completed: 3, ..stats(1, 0) };
        assert_eq!(few.advice(), Advice::TooFew { ended: 3, needed: 10 });
        let unmeasured = Stats { cpu_total: None, ..stats(1, 0) };
        assert_eq!(unmeasured.advice(), Advice::NotMeasured);
        assert!(unmeasured.advice().to_string().contains("measure_cpu(true)"));
    }
}
