//! A storm over whole pools: random tasks, submitted and treated in random ways by several threads,
//! until a random end. After each round everything must add up.
//!
//! `SILKMILL_SEED` names the round to begin with, `SILKMILL_SOAK_SECONDS` how long it goes on;
//! `cargo xtask soak` sets that. What threads do with a plan is not the same twice, so a seed that
//! failed is worth many tries.
//!
//! To add to the storm: a way to submit is an arm of [`Producer::submit`], a step between
//! submissions a line in [`DEEDS`], a thing that a task does a [`Body`].
//!
//! It is one file, though a long one, because each part needs all others: the plan, the producers
//! that follow it, and the sums that check them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::Write;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use silkmill::{
    CancelToken, Future, Priority, ReturnWhen, Stats, TaskError, TaskErrorKind, ThreadPoolExecutor,
    as_completed, wait,
};

/// A task or a thread that takes so long hangs.
const FAR_TOO_LONG: Duration = Duration::from_secs(60);

const SOAK_SECONDS_DEFAULT: u64 = 5;

/// A task that waits for a scope of its own keeps its worker; the pool has substitutes for 64 at
/// once.
const NESTED_SCOPES_MAX: u32 = 16;

/// The number of tasks that have ended, in whatever way. The watchdog looks at it.
static ENDED: AtomicU64 = AtomicU64::new(0);
/// The round that runs, for the watchdog.
static SEED: AtomicU64 = AtomicU64::new(0);

/// The only test here: it counts the threads of the whole process.
#[test]
fn nothing_is_lost_in_a_storm() {
    let from_clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let first = number_from("SILKMILL_SEED").unwrap_or_else(from_clock);
    let seconds = number_from("SILKMILL_SOAK_SECONDS").unwrap_or(SOAK_SECONDS_DEFAULT);
    println!("SILKMILL_SEED={first}, for {seconds} s");
    let (over, is_over) = channel::<()>();
    let watchdog = std::thread::spawn(move || watch(&is_over));
    let (started, mut rounds) = (Instant::now(), 0);
    while rounds == 0 || started.elapsed() < Duration::from_secs(seconds) {
        let seed = first.wrapping_add(rounds);
        SEED.store(seed, SeqCst);
        play(seed);
        rounds += 1;
    }
    drop(over);
    watchdog.join().unwrap();
    println!("{rounds} rounds, {} tasks", ENDED.load(SeqCst));
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Ends the process when no task has ended for too long: nothing else could, with threads that wait
/// for each other.
fn watch(is_over: &std::sync::mpsc::Receiver<()>) {
    let (mut last, mut since) = (0, Instant::now());
    while is_over.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        let now = ENDED.load(SeqCst);
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > FAR_TOO_LONG {
            let seed = SEED.load(SeqCst);
            // This is not `eprintln!`, which the test harness keeps to itself until the test has
            // ended.
            let line =
                format!("round SILKMILL_SEED={seed}: nothing has ended for {FAR_TOO_LONG:?}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            std::process::abort();
        }
    }
}

/// How a round ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Shutdown,
    ShutdownTwiceAtOnce,
    ShutdownNow,
    ShutdownTimeout(Duration),
    Drop,
}

fn play(seed: u64) {
    let mut rng = Rng::new(seed);
    let round = Arc::new(Round { seed, ..Round::default() });
    let pool = Arc::new(build(&mut rng, &round));
    let producers = rng.from(1, 4);
    let end = match rng.below(6) {
        0 | 1 => End::Shutdown,
        2 => End::ShutdownTwiceAtOnce,
        3 => End::ShutdownNow,
        4 => End::ShutdownTimeout(Duration::from_millis(rng.below(20))),
        _ => End::Drop,
    };
    // The round ends while the producers submit, or afterwards.
    let ends_early = rng.one_in(2).then(|| Duration::from_micros(rng.below(20_000)));
    let (_, left) = std::thread::scope(|threads| {
        let running: Vec<_> = (0..producers)
            .map(|number| {
                let rng = Rng::new(seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let (round, pool) = (Arc::clone(&round), Arc::clone(&pool));
                threads.spawn(move || Producer::new(round, pool, rng).produce())
            })
            .collect();
        let at_once = ends_early.map(|delay| {
            std::thread::sleep(delay);
            finish(end, &pool);
        });
        let left: Vec<Kept> =
            running.into_iter().flat_map(|producer| producer.join().unwrap()).collect();
        (at_once, left)
    });
    if ends_early.is_none() {
        finish(end, &pool);
    }
    let stats = match end {
        End::Drop => {
            drop(pool);
            None
        }
        _ => {
            // Tasks that run when a shutdown's time is up are not waited for.
            round.patiently("every worker has left", || pool.stats().workers == 0);
            Some(pool.stats())
        }
    };
    for kept in left {
        kept.read(&round);
    }
    round.patiently("every thread has ended", || silkmill::active_count() == 0);
    round.check(stats);
}

fn build(rng: &mut Rng, round: &Arc<Round>) -> ThreadPoolExecutor {
    let weak = Arc::downgrade(round);
    let mut builder = ThreadPoolExecutor::builder()
        .max_workers(rng.from(1, 8) as usize)
        .measure_cpu(rng.one_in(4))
        .daemon(rng.one_in(2))
        .on_unread_error(move |error| {
            assert!(!error.is_cancelled(), "its owner cancelled it");
            if let Some(round) = weak.upgrade().filter(|_| error.is_panic()) {
                round.unread_panics.fetch_add(1, SeqCst);
            }
        });
    if rng.one_in(2) {
        builder = builder.queue_capacity(rng.from(1, 16) as usize);
    }
    // Mostly for ever: a worker that exits and is started again would hide that it was not woken.
    let brief = [0, 100, 3000].map(Duration::from_micros);
    let idle_timeout = brief.get(rng.below(6) as usize).copied().unwrap_or(Duration::MAX);
    builder = builder.idle_timeout(idle_timeout);
    if rng.one_in(4) {
        builder = builder.initializer(std::thread::yield_now);
    }
    if rng.one_in(4) {
        builder = builder.context(|| |task: &mut dyn FnMut()| task());
    }
    builder.build().unwrap()
}

fn finish(end: End, pool: &ThreadPoolExecutor) {
    match end {
        End::Shutdown => pool.shutdown(),
        End::ShutdownTwiceAtOnce => std::thread::scope(|threads| {
            threads.spawn(|| pool.shutdown());
            pool.shutdown();
        }),
        End::ShutdownNow => pool.shutdown_now(),
        End::ShutdownTimeout(timeout) => drop(pool.shutdown_timeout(timeout)),
        End::Drop => {}
    }
}

/// All that is known of a round.
#[derive(Default)]
struct Round {
    seed: u64,
    tasks: Mutex<Vec<Arc<Entry>>>,
    nested_scopes: AtomicU32,
    unread_panics: AtomicU64,
}

impl Round {
    /// Makes a new task that does `body`.
    fn task(self: &Arc<Self>, pool: &Arc<ThreadPoolExecutor>, body: Body) -> Job {
        let mut tasks = self.tasks.lock().unwrap();
        let entry = Arc::new(Entry { number: tasks.len(), body, ..Entry::new() });
        tasks.push(Arc::clone(&entry));
        Job { entry, round: Arc::clone(self), pool: Arc::downgrade(pool) }
    }

    fn entry(&self, number: usize) -> Arc<Entry> {
        Arc::clone(&self.tasks.lock().unwrap()[number])
    }

    #[track_caller]
    fn claim(&self, holds: bool, what: impl FnOnce() -> String) {
        assert!(holds, "round SILKMILL_SEED={}: {}", self.seed, what());
    }

    fn patiently(&self, what: &str, is_true: impl Fn() -> bool) {
        let since = Instant::now();
        while !is_true() {
            let in_time = since.elapsed() < FAR_TOO_LONG;
            self.claim(in_time, || format!("waited in vain until {what}"));
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Checks, once all threads have ended, what must hold of each task, and of the sums. Without
    /// `stats` the pool was dropped.
    fn check(&self, stats: Option<Stats>) {
        let tasks = self.tasks.lock().unwrap();
        let count = |which: &dyn Fn(&Entry) -> bool| {
            tasks.iter().filter(|entry| which(entry)).count() as u64
        };
        for entry in &*tasks {
            let once = entry.ran.load(SeqCst) <= 1 && entry.dropped.load(SeqCst) == 1;
            self.claim(once, || format!("neither run nor dropped just once: {entry:?}"));
            let called = entry.callbacks_called.load(SeqCst);
            let all_called = called == entry.callbacks.load(SeqCst);
            self.claim(all_called, || format!("a callback was lost: {entry:?}"));
        }
        let panicked = count(&|entry| entry.panicked.load(SeqCst));
        let surely_unread = count(&|entry| entry.panicked.load(SeqCst) && entry.is_unread());
        let unread = self.unread_panics.load(SeqCst);
        let reported = (surely_unread..=panicked).contains(&unread);
        self.claim(reported, || {
            format!("{unread} of {surely_unread}..={panicked} panics reported")
        });

        let Some(stats) = stats else { return };
        let still = (stats.queued, stats.running, stats.workers, stats.submitters_waiting);
        self.claim(still == (0, 0, 0, 0), || format!("something is left: {stats:?}"));
        let ended = stats.completed + stats.cancelled;
        self.claim(stats.submitted == ended, || format!("the sums differ: {stats:?}"));
        let same = stats.panicked == panicked;
        self.claim(same, || format!("{panicked} tasks panicked: {stats:?}"));
        let ran = count(&|entry| entry.ran.load(SeqCst) > 0);
        let refused = count(&|entry| entry.was_refused());
        let unknown = count(&|entry| entry.is_unknown());
        let taken = tasks.len() as u64 - refused;
        self.claim((taken - unknown..=taken).contains(&stats.submitted), || {
            format!("{taken} tasks taken, less up to {unknown}: {stats:?}")
        });
        // A task that was cancelled by its token, or was too late, is completed and has not run.
        let skipped = count(&|entry| entry.ran.load(SeqCst) == 0) - refused;
        self.claim((ran..=ran + skipped).contains(&stats.completed), || {
            format!("{ran} tasks ran, and {skipped} may have been skipped: {stats:?}")
        });
    }
}

/// The things that a task does.
#[derive(Clone, Copy, Debug)]
enum Body {
    Nothing,
    Spin,
    Sleep(Duration),
    /// Sleeps until it is cancelled.
    Nap(Duration),
    Panic,
    /// Submits two to its own pool and waits for them, to this depth.
    Nested(u32),
    NestedScope,
}

impl Body {
    fn random(rng: &mut Rng) -> Body {
        match rng.below(100) {
            0..50 => Body::Nothing,
            50..70 => Body::Spin,
            70..72 => Body::Sleep(Duration::from_millis(rng.from(1, 100))),
            72..76 => Body::Nap(Duration::from_millis(rng.from(1, 30))),
            76..86 => Body::Panic,
            86..98 => Body::Nested(rng.below(4) as u32),
            _ => Body::NestedScope,
        }
    }
}

/// All that is known of one task.
#[derive(Debug)]
struct Entry {
    number: usize,
    body: Body,
    ran: AtomicU32,
    /// The number of times the closure was dropped. It must be once, whatever became of the task.
    dropped: AtomicU32,
    panicked: AtomicBool,
    callbacks: AtomicU32,
    callbacks_called: AtomicU32,
    /// Set once by the first thread that learns the result: `None` for a value.
    seen: OnceLock<Option<TaskErrorKind>>,
    /// Set for a task that was not submitted by itself, but by a map or a scope; which thread has
    /// read its result is not known.
    is_one_of_many: AtomicBool,
    given_back: AtomicBool,
}

impl Entry {
    fn new() -> Entry {
        Entry {
            number: 0,
            body: Body::Nothing,
            ran: AtomicU32::new(0),
            dropped: AtomicU32::new(0),
            panicked: AtomicBool::new(false),
            callbacks: AtomicU32::new(0),
            callbacks_called: AtomicU32::new(0),
            seen: OnceLock::new(),
            is_one_of_many: AtomicBool::new(false),
            given_back: AtomicBool::new(false),
        }
    }

    fn is_unread(&self) -> bool {
        let many = self.is_one_of_many.load(SeqCst);
        !many && self.seen.get().is_none() && self.callbacks.load(SeqCst) == 0
    }

    /// Returns whether it is unknown whether the pool took the task: a limit or a token may have
    /// ended it while its submitter waited for room.
    fn is_unknown(&self) -> bool {
        use TaskErrorKind::{Cancelled, TimedOut};
        let is_unknown = matches!(self.seen.get(), None | Some(Some(Cancelled | TimedOut)));
        self.ran.load(SeqCst) == 0 && is_unknown && !self.was_refused()
    }

    fn was_refused(&self) -> bool {
        self.given_back.load(SeqCst) || self.seen.get() == Some(&Some(TaskErrorKind::Shutdown))
    }

    /// Notes that a thread saw the result: it must be the same for every thread, and fit what the
    /// task has done.
    fn see(&self, round: &Round, result: Result<&usize, &TaskError>) {
        let kind = result.err().map(TaskError::kind);
        let same = *self.seen.get_or_init(|| kind) == kind;
        round.claim(same, || format!("{kind:?} was something else before: {self:?}"));
        let right = result.ok().is_none_or(|number| *number == self.number);
        round.claim(right, || format!("the result of another task: {self:?}"));
        let ran = self.ran.load(SeqCst) == 1;
        let (value, panicked) = (kind.is_none(), kind == Some(TaskErrorKind::Panicked));
        round.claim(ran == (value || panicked), || format!("{kind:?}: {self:?}"));
        let has_panicked = self.panicked.load(SeqCst);
        round.claim(has_panicked == panicked, || format!("{kind:?}: {self:?}"));
    }
}

/// The closure of a task.
struct Job {
    entry: Arc<Entry>,
    round: Arc<Round>,
    pool: Weak<ThreadPoolExecutor>,
}

impl Job {
    fn run(self) -> usize {
        let entry = &self.entry;
        entry.ran.fetch_add(1, SeqCst);
        match entry.body {
            Body::Nothing => {}
            Body::Spin => {
                let until = Instant::now() + Duration::from_micros(1);
                while Instant::now() < until {}
            }
            Body::Sleep(duration) => std::thread::sleep(duration),
            Body::Nap(duration) => drop(CancelToken::current().sleep(duration)),
            Body::Panic => {
                entry.panicked.store(true, SeqCst);
                resume_unwind(Box::new("asked for"));
            }
            Body::Nested(depth) => self.nest(depth),
            Body::NestedScope => {
                if let Some(pool) = self.pool.upgrade()
                    && self.round.nested_scopes.fetch_add(1, SeqCst) < NESTED_SCOPES_MAX
                {
                    scope(&self.round, &pool, 3);
                }
            }
        }
        entry.number
    }

    fn nest(&self, depth: u32) {
        let Some(pool) = self.pool.upgrade() else { return };
        let body = match depth {
            0 => Body::Panic,
            _ => Body::Nested(depth - 1),
        };
        let inner: Vec<Kept> = [Body::Nothing, body]
            .map(|body| self.round.task(&pool, body))
            .map(|job| (Arc::clone(&job.entry), pool.submit(move || job.run())))
            .map(|(entry, future)| Kept { entry, future })
            .into();
        for kept in inner {
            kept.read(&self.round);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.entry.dropped.fetch_add(1, SeqCst);
        ENDED.fetch_add(1, SeqCst);
    }
}

/// Submits tasks that borrow: all of them are over when the scope is.
fn scope(round: &Arc<Round>, pool: &Arc<ThreadPoolExecutor>, count: usize) {
    let ended = AtomicU32::new(0);
    let entries: Vec<Arc<Entry>> = pool.scope(|scope| {
        let bodies = [Body::Nothing, Body::Spin, Body::Panic].into_iter().cycle();
        let jobs = bodies.map(|body| round.task(pool, body)).take(count);
        let submit = |job: Job| {
            let (entry, ended) = (Arc::clone(&job.entry), &ended);
            entry.is_one_of_many.store(true, SeqCst);
            let future = scope.submit(move || {
                ended.fetch_add(1, SeqCst);
                job.run()
            });
            drop(future);
            entry
        };
        jobs.map(submit).collect()
    });
    let over = entries.iter().all(|entry| entry.dropped.load(SeqCst) == 1);
    round.claim(over, || "a task of a scope outlives it".to_owned());
    let ran: u32 = entries.iter().map(|entry| entry.ran.load(SeqCst)).sum();
    round.claim(ran == ended.load(SeqCst), || "a task of a scope is not counted".to_owned());
}

/// A future, and what is known of its task.
struct Kept {
    entry: Arc<Entry>,
    future: Future<usize>,
}

impl Kept {
    fn read(self, round: &Round) {
        let result = self.future.result();
        Kept::look(&self.entry, round, result);
    }

    /// Reads the result, or gives the future back if it is not done in time.
    fn read_timeout(self, round: &Round, timeout: Duration) -> Option<Kept> {
        match self.future.result_timeout(timeout) {
            Ok(result) => {
                Kept::look(&self.entry, round, result);
                None
            }
            Err(future) => Some(Kept { entry: self.entry, future }),
        }
    }

    fn look(entry: &Entry, round: &Round, result: Result<usize, TaskError>) {
        entry.see(round, result.as_ref());
        let (added, called) = (&entry.callbacks, &entry.callbacks_called);
        let all_called = called.load(SeqCst) == added.load(SeqCst);
        round.claim(all_called, || format!("read before its callbacks: {entry:?}"));
    }

    fn add_callback(&self, round: &Arc<Round>, panics: bool) {
        self.entry.callbacks.fetch_add(1, SeqCst);
        let (entry, round) = (Arc::clone(&self.entry), Arc::clone(round));
        self.future.add_done_callback(move |result| {
            // A mistake that `see` finds is swallowed here, as a callback's panic is; then this one
            // is not counted.
            entry.see(&round, result);
            entry.callbacks_called.fetch_add(1, SeqCst);
            if panics {
                resume_unwind(Box::new("asked for"));
            }
        });
    }
}

/// A thread that submits tasks, and does one thing or another with them.
struct Producer {
    round: Arc<Round>,
    pool: Arc<ThreadPoolExecutor>,
    rng: Rng,
    kept: Vec<Kept>,
    token: CancelToken,
}

type Deed = fn(&mut Producer);

/// What a producer does, and how often in comparison.
const DEEDS: &[(u64, Deed)] = &[
    (100, Producer::submit),
    (10, Producer::add_callback),
    (10, Producer::cancel),
    (10, Producer::drop_future),
    (5, Producer::read),
    (10, Producer::read_timeout),
    (2, Producer::wait),
    (2, Producer::as_completed),
    (3, Producer::map),
    (3, Producer::map_unordered),
    (2, Producer::scope),
    (2, Producer::resize),
    (1, Producer::cancel_token),
    (2, Producer::look),
];

impl Producer {
    fn new(round: Arc<Round>, pool: Arc<ThreadPoolExecutor>, rng: Rng) -> Self {
        Producer { round, pool, rng, kept: Vec::new(), token: CancelToken::new() }
    }

    /// Submits and treats its tasks. Returns those that are left to be read after the end.
    fn produce(mut self) -> Vec<Kept> {
        let weights: u64 = DEEDS.iter().map(|(weight, _)| weight).sum();
        for _ in 0..self.rng.from(1, 150) {
            let mut at = self.rng.below(weights);
            for (weight, deed) in DEEDS {
                if at < *weight {
                    deed(&mut self);
                    break;
                }
                at -= weight;
            }
        }
        if self.rng.one_in(2) {
            self.kept.drain(..).for_each(|kept| kept.read(&self.round));
        }
        self.kept
    }

    fn submit(&mut self) {
        let body = Body::random(&mut self.rng);
        let job = self.round.task(&self.pool, body);
        let (entry, pool, rng) = (Arc::clone(&job.entry), &self.pool, &mut self.rng);
        let run = move || job.run();
        let brief = Duration::from_micros(rng.below(3000));
        let priority = [Priority::Low, Priority::Normal, Priority::High][rng.below(3) as usize];
        let submitted = match rng.below(10) {
            0..4 => Ok(pool.submit(run)),
            4 => pool.try_submit(run),
            5 => pool.submit_timeout(run, brief),
            6 => Ok(pool.task().priority(priority).submit(run)),
            7 => pool.task().priority(priority).timeout(brief).submit_timeout(run, brief),
            8 => pool.task().token(&self.token).try_submit(run),
            _ => Ok(pool.task().priority(priority).token(&self.token).timeout(brief).submit(run)),
        };
        match submitted {
            Ok(future) => self.kept.push(Kept { entry, future }),
            Err(refused) => {
                entry.given_back.store(true, SeqCst);
                drop(refused.into_task());
            }
        }
    }

    fn any(&mut self) -> Option<Kept> {
        let count = self.kept.len() as u64;
        (count > 0).then(|| self.kept.swap_remove(self.rng.below(count) as usize))
    }

    fn add_callback(&mut self) {
        let Some(kept) = self.any() else { return };
        kept.add_callback(&self.round, self.rng.one_in(3));
        self.kept.push(kept);
    }

    fn cancel(&mut self) {
        let Some(kept) = self.any() else { return };
        if kept.future.cancel() {
            let ended = kept.future.cancelled() && kept.entry.ran.load(SeqCst) == 0;
            self.round.claim(ended, || format!("cancelled, and yet not: {:?}", kept.entry));
        }
        self.kept.push(kept);
    }

    fn drop_future(&mut self) {
        drop(self.any());
    }

    fn read(&mut self) {
        if let Some(kept) = self.any() {
            kept.read(&self.round);
        }
    }

    fn read_timeout(&mut self) {
        let timeout = Duration::from_micros(self.rng.below(2000));
        let kept = self.any().and_then(|kept| kept.read_timeout(&self.round, timeout));
        self.kept.extend(kept);
    }

    fn wait(&mut self) {
        let when = [ReturnWhen::FirstCompleted, ReturnWhen::FirstError, ReturnWhen::All];
        let when = when[self.rng.below(3) as usize];
        let timeout = self.rng.one_in(2).then(|| Duration::from_micros(self.rng.below(3000)));
        let waited = wait(self.kept.iter().map(|kept| &kept.future), when, timeout);
        let all_there = waited.done.len() + waited.not_done.len() == self.kept.len();
        let done = waited.done.iter().all(|future| future.done());
        self.round.claim(all_there && done, || format!("wait returned {waited:?}"));
    }

    fn as_completed(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        let (entries, futures): (Vec<_>, Vec<_>) =
            kept.into_iter().map(|kept| (kept.entry, kept.future)).unzip();
        // The scope does not tell which of them has failed.
        entries.iter().for_each(|entry| entry.is_one_of_many.store(true, SeqCst));
        let mut yielded = 0;
        for done in as_completed(futures) {
            yielded += 1;
            if let Ok(number) = done.result() {
                self.round.entry(number).see(&self.round, Ok(&number));
            }
        }
        self.round.claim(yielded == entries.len(), || "as_completed lost one".to_owned());
    }

    /// Makes some jobs for a map, of which none is much work; the map may be dropped before all are
    /// taken.
    fn jobs(&mut self) -> (impl Iterator<Item = Job> + use<>, usize, usize) {
        let (count, in_flight) = (self.rng.below(30), self.rng.from(1, 10));
        let (round, pool) = (Arc::clone(&self.round), Arc::clone(&self.pool));
        let bodies = [Body::Nothing, Body::Spin, Body::Panic];
        let jobs = (0..count).map(move |number| {
            let job = round.task(&pool, bodies[number as usize % 3]);
            job.entry.is_one_of_many.store(true, SeqCst);
            job
        });
        (jobs, in_flight as usize, self.rng.below(40) as usize)
    }

    fn map(&mut self) {
        let (jobs, in_flight, read) = self.jobs();
        let mut entries = Vec::new();
        let jobs = jobs.inspect(|job| entries.push(Arc::clone(&job.entry)));
        let results: Vec<_> =
            self.pool.map(jobs, Job::run).in_flight(in_flight).take(read).collect();
        for (entry, result) in entries.iter().zip(&results) {
            entry.see(&self.round, result.as_ref());
        }
    }

    fn map_unordered(&mut self) {
        let (jobs, in_flight, read) = self.jobs();
        let results = self.pool.map_unordered(jobs, Job::run).in_flight(in_flight);
        for number in results.take(read).flatten() {
            self.round.entry(number).see(&self.round, Ok(&number));
        }
    }

    fn scope(&mut self) {
        let count = self.rng.below(20) as usize;
        scope(&self.round, &self.pool, count);
    }

    fn resize(&mut self) {
        self.pool.set_max_workers(self.rng.from(1, 8) as usize);
    }

    fn cancel_token(&mut self) {
        std::mem::take(&mut self.token).cancel();
    }

    fn look(&mut self) {
        let stats = self.pool.stats();
        let fits = stats.panicked <= stats.submitted && stats.workers_idle <= stats.workers;
        self.round.claim(fits, || format!("{stats:?} of {:?}", self.pool));
    }
}

/// xorshift64*, begun with a step of splitmix64 so that neighbouring seeds differ.
struct Rng(u64);

impl Rng {
    fn new(seed: u64) -> Rng {
        let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Rng((mixed ^ (mixed >> 31)).max(1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Returns a number less than `end`.
    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// Returns a number from `first` to `last`, both included.
    fn from(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}
