//! Runs a list of inputs on workers and hands on their rows. One thread decides: the caller's reads
//! the source, feeds the [`Sink`] and counts; a worker takes an input and returns a row.

pub(crate) mod frontier;
pub(crate) mod host_errors;
pub(crate) mod schedule;
pub(crate) mod throttle;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use silkmill::{CancelToken, Stats, ThreadPoolExecutor};

use crate::error::{Error, ErrorKind};
use crate::fetch::job::Job;
use crate::fetch::{Fetched, Fetcher, Next};
use crate::input::Input;
use crate::options::Options;
use crate::row::Row;
use crate::run::frontier::{
    Completed, Frontier, HostNews, Item, LOOK_AHEAD_MAX, Outcome, WorkerExit, room_for_rows,
};
use crate::run::host_errors::HostErrors;
use crate::run::schedule::{HostId, Limits};
use crate::run::throttle::Learned;
use crate::sink::{Progress, Sink};

/// The most inputs taken and not handed on, for each worker, when rows come in order: those behind
/// a slow one wait for it. Without order the frontier's look-ahead is the bound.
const IN_FLIGHT_PER_WORKER_ORDERED: usize = 16;
/// The inputs put into the frontier before rows are taken again.
const BATCH: usize = 64;
/// How long a worker takes item after item as one task of the executor. Then another task takes its
/// place, so that the executor's statistics stay fresh.
const TASK_SLICE: Duration = Duration::from_millis(200);
/// How often a run that waits for rows checks whether it was cancelled, and calls [`Sink::pause`].
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long a run that ends early waits for its workers. None of them waits for a server any more,
/// but one may be reading a page, or be in a connector of the caller's.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// The result of a run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The rows handed on.
    pub rows: u64,
    /// The rows handed on that have an error.
    pub errors: u64,
    /// Whether the run ended before its source did, because it was cancelled or the sink had
    /// enough.
    pub interrupted: bool,
    /// The rows that were ready and not handed on, because an ordered run ended before an earlier
    /// one was ready.
    pub held_back: u64,
    /// The responses that came from a [cache](crate::OptionsBuilder::cache).
    pub cached: u64,
    /// Those of them of which the server had said that they are valid.
    pub validated: u64,
    /// The time from the start of the run to its end.
    pub elapsed: Duration,
    /// What the executor counted and measured.
    pub stats: Stats,
}

/// Requests every input's URL on the workers of `options` and passes each row to `sink`, on this
/// thread: exactly one row for every input, whatever happens to it. [`run_into`] does the same for
/// a sink that is more than a closure.
///
/// The source is read ahead, by a bounded number of inputs, so that workers find a host that is
/// ready while others must wait. It is read on this thread, too. It should not block for long, but
/// return [`Input::waiting`], since rows are handed on between inputs.
///
/// When `cancel` is set, or when `sink` breaks, no further input is taken, requests are broken off,
/// and rows that are not ready are not made up. After a cancel the rows that are ready are still
/// handed on; in an ordered run only as far as there is no gap, so that its rows are always the
/// beginning of the list. That takes half a second at most, since whatever a worker waits for is
/// broken off. A worker that reads a page, or is in a connector of the [`Options`], is left to end
/// on its own, and so is a lookup, on a thread that no worker waits for.
///
/// # Errors
/// When no workers can be started, or the archive cannot be written. The failure of one URL is in
/// its row.
pub fn run(
    source: impl IntoIterator<Item = Input>,
    options: &Options,
    cancel: &CancelToken,
    sink: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    run_into(source, options, cancel, &mut Closure(sink))
}

/// A sink that only takes rows.
struct Closure<'a>(&'a mut dyn FnMut(Row) -> ControlFlow<()>);

impl Sink for Closure<'_> {
    fn row(&mut self, row: Row) -> ControlFlow<()> {
        (self.0)(row)
    }
}

/// Does the same as [`run()`], for a sink that also wants to know when to write down its rows.
///
/// # Errors
/// As for [`run()`].
pub fn run_into(
    source: impl IntoIterator<Item = Input>,
    options: &Options,
    cancel: &CancelToken,
    sink: &mut dyn Sink,
) -> Result<Summary, Error> {
    run_watched(source, options, cancel, sink, None)
}

/// Does the same as [`run_into`], and tells `watcher` what each host asks for.
pub(crate) fn run_watched(
    source: impl IntoIterator<Item = Input>,
    options: &Options,
    cancel: &CancelToken,
    sink: &mut dyn Sink,
    watcher: Option<Watcher<'_>>,
) -> Result<Summary, Error> {
    let started = Instant::now();
    let (cached_before, validated_before) = options.archives.cached();
    let pool = ThreadPoolExecutor::builder()
        .max_workers(options.workers)
        .thread_name_prefix(options.worker_name())
        .measure_cpu(options.measure_cpu)
        // A caller that ends the process in the middle of a run does not want to wait for servers.
        .daemon(true)
        .build()
        .map_err(ErrorKind::Workers)?;
    let mut run = Run::new(pool, options, cancel, watcher);
    let flow = run.go(&mut source.into_iter(), sink);
    let interrupted = flow.is_break();
    if interrupted {
        run.end(sink);
    }
    let (rows, errors, held_back) = (run.rows, run.errors, run.held_back());
    let (elapsed, stats) = (started.elapsed(), run.pool.stats());
    options.archives.sync()?;
    let (cached, validated) = options.archives.cached();
    let (cached, validated) = (cached - cached_before, validated - validated_before);
    Ok(Summary { rows, errors, interrupted, held_back, cached, validated, elapsed, stats })
}

/// Is told what the hosts ask for.
pub(crate) type Watcher<'a> = Box<dyn FnMut(HostNews) + 'a>;

/// A run under way.
struct Run<'a> {
    pool: ThreadPoolExecutor,
    frontier: Arc<Frontier<Job>>,
    fetcher: Fetcher,
    cancel: &'a CancelToken,
    /// Set for the workers when the caller cancels or the sink breaks.
    over: CancelToken,
    /// The inputs that were taken and not handed on.
    in_flight: usize,
    in_flight_max: usize,
    /// The inputs that a worker was at when the rows were last taken.
    running: usize,
    workers_max: usize,
    /// The rows that wait for an earlier one, if the run is ordered; `None` stands for an input
    /// that has its row already. Each counts as in flight, so the window bounds them.
    ahead: Option<BTreeMap<u64, Option<Row>>>,
    /// The index of the row that is handed on next, if the run is ordered.
    turn: u64,
    /// When the sink was last told how far the run is.
    paused: Instant,
    /// Whether the sink broke.
    sink_is_full: bool,
    taken: u64,
    rows: u64,
    errors: u64,
    watcher: Option<Watcher<'a>>,
}

/// Whether the source may have more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SourceState {
    HasMore,
    /// The source has no more before further rows have been handed on.
    AfterRows,
    Ended,
}

impl<'a> Run<'a> {
    fn new(
        pool: ThreadPoolExecutor,
        options: &Options,
        cancel: &'a CancelToken,
        watcher: Option<Watcher<'a>>,
    ) -> Run<'a> {
        let over = CancelToken::new();
        let in_flight_max = match options.ordered {
            true => options.workers.saturating_mul(IN_FLIGHT_PER_WORKER_ORDERED),
            false => LOOK_AHEAD_MAX + options.workers,
        };
        // Only pauses depend on the seed.
        let seed = u64::from(std::process::id()) << 32
            | u64::from(Instant::now().elapsed().subsec_nanos());
        let host_errors = HostErrors::new(options.host_errors_max);
        let mut frontier = Frontier::new(limits(options), host_errors, options.workers, seed);
        if watcher.is_some() {
            frontier.watch_hosts();
        }
        Run {
            pool,
            frontier: Arc::new(frontier),
            fetcher: Fetcher::new(options, &over),
            cancel,
            over,
            in_flight: 0,
            in_flight_max,
            running: 0,
            workers_max: options.workers,
            ahead: options.ordered.then(BTreeMap::new),
            turn: 0,
            paused: Instant::now(),
            sink_is_full: false,
            taken: 0,
            rows: 0,
            errors: 0,
            watcher,
        }
    }

    /// Takes inputs and hands on rows until both have ended.
    fn go(
        &mut self,
        source: &mut dyn Iterator<Item = Input>,
        sink: &mut dyn Sink,
    ) -> ControlFlow<()> {
        let mut state = SourceState::HasMore;
        let mut ready = room_for_rows(self.workers_max);
        loop {
            if self.cancel.is_cancelled() || self.fetcher.has_unwritten_records() {
                return ControlFlow::Break(());
            }
            let rows = self.rows;
            let demand = self.frontier.take_rows(&mut ready);
            self.running = demand.running;
            if demand.wants_worker {
                self.spawn_worker();
            }
            let has_news = self.tell_watcher();
            for row in ready.drain(..) {
                self.hand_on(row, sink)?;
            }
            for mut job in self.frontier.stranded() {
                let why = "no thread was to be had for it".to_owned();
                self.hand_on(job.input.failed(job.index, why), sink)?;
            }
            let room = demand.room.min(self.in_flight_max.saturating_sub(self.in_flight));
            if state != SourceState::Ended && room > 0 {
                state = self.take(source, room.min(BATCH), sink)?;
                if state == SourceState::AfterRows {
                    self.frontier.wait(POLL_INTERVAL, false);
                }
            } else if state == SourceState::Ended && self.in_flight == 0 {
                return self.pause(sink);
            } else {
                self.frontier.wait(POLL_INTERVAL, state != SourceState::Ended && demand.room == 0);
            }
            if self.rows > rows || has_news || self.paused.elapsed() >= POLL_INTERVAL {
                self.pause(sink)?;
            }
        }
    }

    /// Tells the watcher what hosts ask for. Returns whether there was anything.
    fn tell_watcher(&mut self) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let news = self.frontier.take_host_news();
        let any = !news.is_empty();
        news.into_iter().for_each(watcher);
        any
    }

    /// Puts up to `many` inputs into the frontier, and fewer when the source has no more at the
    /// moment. Each is put at once, since the source may take its time for the next.
    fn take(
        &mut self,
        source: &mut dyn Iterator<Item = Input>,
        many: usize,
        sink: &mut dyn Sink,
    ) -> ControlFlow<(), SourceState> {
        for _ in 0..many {
            let mut input = match source.next() {
                Some(input) if input.is_waiting() => {
                    return ControlFlow::Continue(SourceState::HasMore);
                }
                Some(input) if input.is_after_rows() => {
                    return ControlFlow::Continue(SourceState::AfterRows);
                }
                Some(input) if input.is_answered() => {
                    self.pass_over(sink)?;
                    continue;
                }
                Some(input) => match input.withdrawal() {
                    Some(host) => {
                        for job in self.frontier.withdraw(host) {
                            self.hand_on(Row::given_back(job.index), sink)?;
                        }
                        continue;
                    }
                    None => input,
                },
                None => return ControlFlow::Continue(SourceState::Ended),
            };
            let index = self.taken;
            self.taken += 1;
            self.in_flight += 1;
            match input.parse() {
                Ok(target) => {
                    if self.frontier.put(Box::new(Job::new(index, input, target))) {
                        self.spawn_worker();
                    }
                }
                Err(error) => self.hand_on(input.refused(index, error), sink)?,
            }
        }
        ControlFlow::Continue(SourceState::HasMore)
    }

    /// Starts one more worker, which ends when it has nothing to do.
    fn spawn_worker(&self) {
        let mut worker =
            Worker { frontier: Arc::clone(&self.frontier), exit: WorkerExit::NeverStarted };
        let fetcher = self.fetcher.clone();
        drop(self.pool.submit(move || worker.work(&fetcher)));
    }

    /// Counts an input whose row exists already.
    fn pass_over(&mut self, sink: &mut dyn Sink) -> ControlFlow<()> {
        let index = self.taken;
        self.taken += 1;
        let Some(ahead) = &mut self.ahead else { return ControlFlow::Continue(()) };
        ahead.insert(index, None);
        self.in_flight += 1;
        self.hand_on_turns(sink)
    }

    /// Passes a row to the sink, or keeps it until its turn. A row that waits counts as in flight.
    fn hand_on(&mut self, row: Row, sink: &mut dyn Sink) -> ControlFlow<()> {
        let Some(ahead) = &mut self.ahead else { return self.give(row, sink) };
        ahead.insert(row.index, Some(row));
        self.hand_on_turns(sink)
    }

    /// Passes to the sink every row whose turn has come.
    fn hand_on_turns(&mut self, sink: &mut dyn Sink) -> ControlFlow<()> {
        while let Some(next) = self.ahead.as_mut().and_then(|ahead| ahead.remove(&self.turn)) {
            self.turn += 1;
            match next {
                Some(row) => self.give(row, sink)?,
                None => self.in_flight -= 1,
            }
        }
        ControlFlow::Continue(())
    }

    fn give(&mut self, row: Row, sink: &mut dyn Sink) -> ControlFlow<()> {
        self.in_flight -= 1;
        self.rows += 1;
        self.errors += u64::from(row.error.is_some());
        let flow = sink.row(row);
        self.sink_is_full = flow.is_break();
        flow
    }

    /// Tells the sink that no row is ready at the moment, and how far the run is.
    fn pause(&mut self, sink: &mut dyn Sink) -> ControlFlow<()> {
        self.paused = Instant::now();
        let (rows, errors, in_flight) = (self.rows, self.errors, self.in_flight);
        let progress = Progress { rows, errors, in_flight, running: self.running };
        let flow = sink.pause(&progress);
        self.sink_is_full = flow.is_break();
        flow
    }

    /// Ends the run early. Hands on the rows that are ready, unless the sink has had enough; rows
    /// that are not ready are lost, by design.
    fn end(&mut self, sink: &mut dyn Sink) {
        let (mut last, mut broken_off) = (Vec::new(), Vec::new());
        self.frontier.take_rows(&mut last);
        self.stop();
        self.frontier.take_rows(&mut broken_off);
        // From here on an error may only mean that the request was broken off.
        last.extend(broken_off.into_iter().filter(|row| row.error.is_none()));
        for row in last {
            if self.sink_is_full {
                return;
            }
            let _ = self.hand_on(row, sink);
        }
    }

    /// Counts the rows that wait for an earlier one.
    fn held_back(&self) -> u64 {
        self.ahead.iter().flat_map(BTreeMap::values).flatten().count() as u64
    }

    /// Ends everything that is under way.
    fn stop(&self) {
        self.frontier.end();
        self.over.cancel();
        self.fetcher.stop();
        self.pool.shutdown_timeout(SHUTDOWN_GRACE);
    }
}

/// One worker, from its submission to the executor until it has nothing to do.
struct Worker {
    frontier: Arc<Frontier<Job>>,
    exit: WorkerExit,
}

impl Worker {
    fn work(&mut self, fetcher: &Fetcher) {
        self.exit = WorkerExit::Finished;
        let started = Instant::now();
        let mut last = None;
        while let Some(turn) = self.frontier.next(last.take()) {
            let fetched = match turn.is_given_up {
                true => fetcher.pass_over(turn.item),
                false => fetcher.fetch(turn.item),
            };
            let latest = completed(turn.host, fetched);
            if started.elapsed() > TASK_SLICE {
                self.frontier.hand_in(latest);
                return;
            }
            last = Some(latest);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.frontier.worker_left(self.exit);
    }
}

/// Returns the limits that the options set for every host.
fn limits(options: &Options) -> Limits {
    let per_host = if options.per_host == 0 { usize::MAX } else { options.per_host };
    Limits {
        per_host,
        delay: options.delay,
        first_alone: options.robots,
        throttle: options.throttle,
    }
}

/// Returns what the frontier needs to know of an attempt at `host`.
fn completed(host: HostId, fetched: Fetched) -> Completed<Job> {
    let outcome = match fetched.next {
        Next::Row(row) => Outcome::Row(row.map(|row| *row)),
        Next::Requeue(job, wait) => Outcome::Requeue(job, wait),
    };
    let Fetched { feedback, latency, crawl_delay, sign, .. } = fetched;
    Completed { host, feedback, latency, crawl_delay, sign, outcome }
}

impl Item for Job {
    fn place(&self) -> u64 {
        self.index
    }

    fn host(&self) -> String {
        Job::host(self)
    }

    fn not_before(&self) -> Option<Instant> {
        self.input.ticket()?.not_before
    }

    fn learned(&self) -> Option<Learned> {
        self.input.ticket().map(|ticket| ticket.learned)
    }

    fn bytes(&self) -> usize {
        Job::bytes(self)
    }

    fn guesses_https(&self) -> bool {
        Job::guesses_https(self)
    }

    fn go_by_http(&mut self) {
        self.give_up_https("not tried, since it has failed for too many rows of the host");
    }
}
