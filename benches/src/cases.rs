//! The cases: what each contender has to do. Each function makes its pool, runs one case once and
//! returns the figure.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rustix::time::{ClockId, clock_gettime};

use crate::pools::{Pool, Rayon, Silkmill};

/// How many tasks a batch has, from one producer or several, and how many items a map.
const TASKS: u32 = 200_000;

const ROUND_TRIPS: u32 = 20_000;

/// How many round trips come alone, and the pause before each.
const ROUND_TRIPS_ALONE: u32 = 500;
const PAUSE: Duration = Duration::from_millis(1);

/// How long a short item takes.
const SHORT_TIME: Duration = Duration::from_micros(1);

const SLEEPERS: u32 = 20_000;
const SLEEPER_WORKERS: usize = 1_000;
const SLEEPER_TIME: Duration = Duration::from_millis(10);

const BURST: usize = 1_000;
const BURST_TIME: Duration = Duration::from_millis(1);

/// A task is submitted once in this time, for so many times.
const TRICKLE_PERIOD: Duration = Duration::from_millis(1);
const TRICKLE_SUBMITS: u32 = 5_000;
/// How often the loop that submits nothing goes round. Its processor time is subtracted.
const TRICKLE_BARE: u32 = 1_000;

const PARKED: usize = 256;
const IDLE_TIME: Duration = Duration::from_secs(5);

/// How long a case waits until its workers have fallen asleep.
const SETTLE: Duration = Duration::from_millis(50);

/// Returns nanoseconds a task: several threads each submit their share, then read it. One is the
/// calling thread.
pub fn batch<P: Pool>(pool: &P, producers: u32) -> f64 {
    let share = TASKS / producers;
    let started = Instant::now();
    match producers {
        1 => submit_and_read(pool, share),
        _ => std::thread::scope(|scope| {
            (0..producers).for_each(|_| drop(scope.spawn(|| submit_and_read(pool, share))));
        }),
    }
    nanos_each(started, TASKS)
}

fn submit_and_read<P: Pool>(pool: &P, tasks: u32) {
    let handles: Vec<_> = (0..tasks).map(|n| pool.submit(move || n + 1)).collect();
    let sum: u64 = handles.into_iter().map(|handle| u64::from(pool.read(handle))).sum();
    assert_eq!(sum, (1..=u64::from(tasks)).sum());
}

/// Returns the nanoseconds it takes to submit one task and read it, one after the other: both sides
/// stay awake.
pub fn round_trip<P: Pool>(pool: &P) -> f64 {
    std::thread::sleep(SETTLE);
    let started = Instant::now();
    for n in 0..ROUND_TRIPS {
        assert_eq!(pool.read(pool.submit(move || n + 1)), n + 1);
    }
    nanos_each(started, ROUND_TRIPS)
}

/// Returns the same for round trips that come alone, with a pause between them: the median, because
/// a pause is long enough for another program to come in between.
pub fn round_trip_alone<P: Pool>(pool: &P) -> f64 {
    std::thread::sleep(SETTLE);
    let mut times: Vec<_> = (0..ROUND_TRIPS_ALONE)
        .map(|n| {
            std::thread::sleep(PAUSE);
            let started = Instant::now();
            assert_eq!(pool.read(pool.submit(move || n + 1)), n + 1);
            started.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e9
}

/// Returns nanoseconds an item of `ThreadPoolExecutor::map`, in order.
pub fn map_of_silkmill(workers: usize) -> f64 {
    let pool = Silkmill::new(workers);
    warm_up(&pool, workers);
    let started = Instant::now();
    let mapped: Result<Vec<u32>, _> = pool.0.map(0..TASKS, |n| n + 1).collect();
    let nanos = nanos_each(started, TASKS);
    assert_eq!(mapped.expect("no task fails").len(), TASKS as usize);
    nanos
}

/// Returns nanoseconds an item of rayon's parallel iterator, in order.
pub fn map_of_rayon(workers: usize) -> f64 {
    let pool = Rayon::new(workers);
    warm_up(&pool, workers);
    let started = Instant::now();
    let mapped: Vec<u32> =
        pool.0.install(|| (0..TASKS).into_par_iter().map(|n| black_box(n + 1)).collect());
    let nanos = nanos_each(started, TASKS);
    assert_eq!(mapped.len(), TASKS as usize);
    nanos
}

/// Computes for a microsecond.
fn short(n: u32) -> u32 {
    let started = Instant::now();
    while started.elapsed() < SHORT_TIME {
        std::hint::spin_loop();
    }
    n
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns nanoseconds an item of `ThreadPoolExecutor::map` over short items, in order, with a
/// worker for each processor.
pub fn short_map_of_silkmill() -> f64 {
    let pool = Silkmill::new(processors());
    warm_up(&pool, processors());
    let started = Instant::now();
    let mapped = pool.0.map(0..TASKS, short).map(|result| result.expect("no task fails"));
    assert_eq!(mapped.count(), TASKS as usize);
    nanos_each(started, TASKS)
}

/// Returns the same of rayon's parallel iterator.
pub fn short_map_of_rayon() -> f64 {
    let pool = Rayon::new(processors());
    warm_up(&pool, processors());
    let started = Instant::now();
    let mapped: Vec<u32> = pool.0.install(|| (0..TASKS).into_par_iter().map(short).collect());
    let nanos = nanos_each(started, TASKS);
    assert_eq!(mapped.len(), TASKS as usize);
    nanos
}

/// Returns the same of threads, one for each processor, of which each has its part of the items
/// from the beginning.
pub fn short_map_ideal() -> f64 {
    let part = TASKS / processors() as u32;
    let started = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..processors() {
            threads.spawn(|| (0..part).map(short).map(black_box).count());
        }
    });
    nanos_each(started, part * processors() as u32)
}

/// Returns the milliseconds until all sleepers have slept, on workers that run already.
pub fn sleepers_warm<P: Pool>() -> f64 {
    let pool = P::new(SLEEPER_WORKERS);
    warm_up(&pool, SLEEPER_WORKERS);
    sleep_all(&pool, Instant::now())
}

/// Returns the milliseconds until all sleepers have slept, the start of the pool and its workers
/// included.
pub fn sleepers_cold<P: Pool>() -> f64 {
    let started = Instant::now();
    sleep_all(&P::new(SLEEPER_WORKERS), started)
}

/// Returns the milliseconds that no pool can beat: every worker sleeps all the time.
pub fn sleepers_ideal() -> f64 {
    f64::from(SLEEPERS) / SLEEPER_WORKERS as f64 * SLEEPER_TIME.as_secs_f64() * 1e3
}

fn sleep_all<P: Pool>(pool: &P, started: Instant) -> f64 {
    let sleep = || std::thread::sleep(SLEEPER_TIME);
    let handles: Vec<_> = (0..SLEEPERS).map(|_| pool.submit(sleep)).collect();
    handles.into_iter().for_each(|handle| pool.read(handle));
    started.elapsed().as_secs_f64() * 1e3
}

/// Returns the microseconds from the first submit until the last task starts, when all workers
/// sleep.
pub fn burst<P: Pool>(workers: usize) -> f64 {
    let pool = P::new(workers);
    warm_up(&pool, workers);
    std::thread::sleep(SETTLE);
    let started = Instant::now();
    let task = || {
        let at = Instant::now();
        std::thread::sleep(BURST_TIME);
        at
    };
    let handles: Vec<_> = (0..BURST).map(|_| pool.submit(task)).collect();
    let last = handles.into_iter().map(|handle| pool.read(handle)).max();
    micros(last.expect("there are tasks") - started)
}

/// The result of submitting at a steady pace, whether or not the tasks keep up.
pub struct Trickle {
    /// The delay from submit to start, in microseconds.
    pub p50: f64,
    pub p999: f64,
    /// Milliseconds of processor time a second, without those of the loop that submits.
    pub cpu: f64,
}

pub fn trickle<P: Pool>(workers: usize) -> Trickle {
    let bare = cpu_a_second(TRICKLE_BARE, |_| ());
    let pool = P::new(workers);
    warm_up(&pool, workers);
    std::thread::sleep(SETTLE);
    let mut handles = Vec::with_capacity(TRICKLE_SUBMITS as usize);
    let busy = cpu_a_second(TRICKLE_SUBMITS, |submitted| {
        handles.push(pool.submit(move || submitted.elapsed()));
    });
    let mut delays: Vec<_> = handles.into_iter().map(|handle| pool.read(handle)).collect();
    delays.sort();
    let quantile = |share: f64| micros(delays[(delays.len() as f64 * share) as usize]);
    Trickle { p50: quantile(0.5), p999: quantile(0.999), cpu: (busy - bare).max(0.0) }
}

/// Calls `submit` at a steady pace. Returns the processor time of the process meanwhile, in
/// milliseconds a second.
fn cpu_a_second(submits: u32, mut submit: impl FnMut(Instant)) -> f64 {
    let before = cpu_time();
    let started = Instant::now();
    for n in 0..submits {
        let due = started + TRICKLE_PERIOD * n;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        submit(Instant::now());
    }
    (cpu_time() - before).as_secs_f64() * 1e3 / started.elapsed().as_secs_f64()
}

/// Returns the KiB of resident memory that an idle worker takes.
pub fn parked<P: Pool>() -> f64 {
    let before = resident_kib();
    let pool = P::new(PARKED);
    warm_up(&pool, PARKED);
    std::thread::sleep(SETTLE);
    (resident_kib() - before) / PARKED as f64
}

/// Returns the milliseconds of processor time that idle workers take.
pub fn idle_cpu<P: Pool>(workers: usize) -> f64 {
    let pool = P::new(workers);
    warm_up(&pool, workers);
    std::thread::sleep(SETTLE);
    let before = cpu_time();
    std::thread::sleep(IDLE_TIME);
    (cpu_time() - before).as_secs_f64() * 1e3
}

/// Makes every worker run a task, all at once: the first tasks start the threads.
pub fn warm_up<P: Pool>(pool: &P, workers: usize) {
    let barrier = Arc::new(Barrier::new(workers));
    let meet = |_| {
        let barrier = Arc::clone(&barrier);
        pool.submit(move || {
            barrier.wait();
        })
    };
    let handles: Vec<_> = (0..workers).map(meet).collect();
    handles.into_iter().for_each(|handle| pool.read(handle));
}

fn nanos_each(started: Instant, tasks: u32) -> f64 {
    started.elapsed().as_secs_f64() * 1e9 / f64::from(tasks)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Returns the processor time that the process has used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("a processor's time is not negative")
}

fn resident_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse().ok()).expect("Linux tells in kB")
}
