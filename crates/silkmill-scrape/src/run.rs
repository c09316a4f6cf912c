//! Puts workers to a list of inputs and hands on their rows. One thread decides: the source, the
//! [`Sink`] and the counting are the caller's; a worker gets an input and gives back a row.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use silkmill::{CancelToken, Stats, ThreadPoolExecutor};

use crate::client::Clients;
use crate::error::{Error, ErrorKind};
use crate::options::Options;
use crate::outcome::{Failure, FailureKind, Phase, Row};
use crate::sink::{Progress, Sink};
use crate::source::Input;

/// Inputs taken and not handed on, for each worker: one to work on, one to go on with at once.
const IN_FLIGHT_PER_WORKER: usize = 2;
/// The same when rows come in order: those behind a slow one wait for it.
const IN_FLIGHT_PER_WORKER_ORDERED: usize = 16;
/// How often a run that waits for rows looks whether it was cancelled, and lets the sink breathe.
const TICK: Duration = Duration::from_millis(50);
/// How long a run that ends early waits for its workers. One that is connecting, or looking up a
/// host, cannot be interrupted; its thread ends by itself within the connect timeout.
const GRACE: Duration = Duration::from_millis(500);

/// What a run came to.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Rows handed on.
    pub rows: u64,
    /// Those of them with an error.
    pub errors: u64,
    /// Whether the run ended before its source did: it was cancelled, or the sink had enough.
    pub interrupted: bool,
    /// From the start of the run to its end.
    pub elapsed: Duration,
    /// What the executor counted and measured.
    pub stats: Stats,
}

/// Asks for every input's address on `options`' workers and gives each row to `sink`, on this
/// thread: exactly one row for every input, whatever happens to it. [`run_into`] does the same for
/// a sink that is more than a closure.
///
/// The source is read as workers come free, on this thread, too; it should not block for long,
/// but say [`Input::waiting`], since rows are handed on between inputs. When `cancel` is set, or
/// when `sink` breaks, no further input is taken, requests are broken off, and rows that are not
/// ready are not made up. What is ready is still handed on after a cancel, in order where that is
/// asked for, though with gaps. That takes half a second at the most; a worker that is just connecting
/// is left to end on its own.
///
/// # Errors
/// When there are no workers to be had. What goes wrong with one address is in its row.
pub fn run(
    source: impl IntoIterator<Item = Input>,
    options: &Options,
    cancel: &CancelToken,
    sink: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    run_into(source, options, cancel, &mut Closure(sink))
}

/// A sink that only wants rows.
struct Closure<'a>(&'a mut dyn FnMut(Row) -> ControlFlow<()>);

impl Sink for Closure<'_> {
    fn row(&mut self, row: Row) -> ControlFlow<()> {
        (self.0)(row)
    }
}

/// What [`run()`] does, for a sink that also wants to know when to write down what it has.
///
/// # Errors
/// As for [`run()`].
pub fn run_into(
    source: impl IntoIterator<Item = Input>,
    options: &Options,
    cancel: &CancelToken,
    sink: &mut dyn Sink,
) -> Result<Summary, Error> {
    let started = Instant::now();
    let pool = ThreadPoolExecutor::builder()
        .max_workers(options.workers)
        .thread_name_prefix(options.worker_name())
        .measure_cpu(options.measure_cpu)
        // Whoever ends the process in the middle of a run does not want to wait for servers.
        .daemon(true)
        .build()
        .map_err(ErrorKind::Workers)?;
    let mut run = Run::new(pool, options, cancel);
    let flow = run.go(&mut source.into_iter(), sink);
    let interrupted = flow.is_break();
    if interrupted {
        run.end(sink);
    }
    let (rows, errors) = (run.rows, run.errors);
    Ok(Summary { rows, errors, interrupted, elapsed: started.elapsed(), stats: run.pool.stats() })
}

/// A run on its way.
struct Run<'a> {
    pool: ThreadPoolExecutor,
    clients: Clients,
    cancel: &'a CancelToken,
    /// Set for the workers, when the caller cancels or the sink breaks.
    over: CancelToken,
    sender: Sender<Done>,
    receiver: Receiver<Done>,
    in_flight: usize,
    in_flight_max: usize,
    /// Rows that wait for an earlier one, if the run is ordered; `None` stands for one that is passed
    /// over. Each counts as in flight, so that they are no more than the window has room for.
    ahead: Option<BTreeMap<u64, Option<Row>>>,
    /// The index whose turn it is, if the run is ordered.
    turn: u64,
    /// When the sink was last told how far the run is.
    paused: Instant,
    /// Whether the sink broke.
    sink_is_full: bool,
    taken: u64,
    rows: u64,
    errors: u64,
}

/// What a worker gives back: a row, or none when the run was over first.
type Done = Option<Row>;

impl<'a> Run<'a> {
    fn new(pool: ThreadPoolExecutor, options: &Options, cancel: &'a CancelToken) -> Run<'a> {
        let over = CancelToken::new();
        let (sender, receiver) = mpsc::channel();
        let per_worker =
            if options.ordered { IN_FLIGHT_PER_WORKER_ORDERED } else { IN_FLIGHT_PER_WORKER };
        Run {
            pool,
            clients: Clients::new(options, &over),
            cancel,
            over,
            sender,
            receiver,
            in_flight: 0,
            in_flight_max: options.workers.saturating_mul(per_worker),
            ahead: options.ordered.then(BTreeMap::new),
            turn: 0,
            paused: Instant::now(),
            sink_is_full: false,
            taken: 0,
            rows: 0,
            errors: 0,
        }
    }

    /// Takes inputs and hands on rows until both have ended.
    fn go(
        &mut self,
        source: &mut dyn Iterator<Item = Input>,
        sink: &mut dyn Sink,
    ) -> ControlFlow<()> {
        let mut more = true;
        while more || self.in_flight > 0 {
            if self.cancel.is_cancelled() {
                return ControlFlow::Break(());
            }
            let mut patience = TICK;
            if more && self.in_flight < self.in_flight_max {
                // The source may have waited; rows that are ready wait no longer.
                patience = Duration::ZERO;
                match source.next() {
                    Some(input) if input.is_waiting() => {}
                    Some(input) if input.is_answered() => self.pass_over(sink)?,
                    Some(input) => self.submit(input),
                    None => more = false,
                }
            }
            let rows = self.rows;
            let first = self.receiver.recv_timeout(patience).ok();
            for done in first.into_iter().chain(self.ready()) {
                self.hand_on(done, sink)?;
            }
            if self.rows > rows || self.paused.elapsed() >= TICK {
                self.pause(sink)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// What the workers have given back by now.
    fn ready(&self) -> Vec<Done> {
        self.receiver.try_iter().collect()
    }

    fn submit(&mut self, input: Input) {
        let clients = self.clients.clone();
        let ticket = Ticket { index: self.taken, input, sender: Some(self.sender.clone()) };
        self.taken += 1;
        self.in_flight += 1;
        drop(self.pool.submit(move || {
            let row = clients.read(ticket.index, &ticket.input);
            ticket.redeem(row);
        }));
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

    /// Gives a row to the sink, or keeps it until its turn. A row that waits counts as in flight.
    fn hand_on(&mut self, done: Done, sink: &mut dyn Sink) -> ControlFlow<()> {
        let Some(row) = done else { return ControlFlow::Continue(()) };
        let Some(ahead) = &mut self.ahead else { return self.give(row, sink) };
        ahead.insert(row.index, Some(row));
        self.hand_on_turns(sink)
    }

    /// Gives the sink every row whose turn has come.
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

    /// Tells the sink that no row is ready just now, and how far the run is.
    fn pause(&mut self, sink: &mut dyn Sink) -> ControlFlow<()> {
        self.paused = Instant::now();
        let progress = Progress { rows: self.rows, errors: self.errors, in_flight: self.in_flight };
        let flow = sink.pause(&progress);
        self.sink_is_full = flow.is_break();
        flow
    }

    /// Ends the run early. Rows that are here are handed on, unless the sink has had enough; others
    /// are lost, as they should be.
    fn end(&mut self, sink: &mut dyn Sink) {
        let mut last = self.ready();
        self.stop();
        // Past this point an error may only say that we broke the request off.
        last.extend(
            self.ready()
                .into_iter()
                .filter(|done| done.as_ref().is_some_and(|row| row.error.is_none())),
        );
        if self.sink_is_full {
            return;
        }
        let mut rows = self.ahead.take().unwrap_or_default();
        rows.extend(last.into_iter().flatten().map(|row| (row.index, Some(row))));
        for row in rows.into_values().flatten() {
            if self.give(row, sink).is_break() {
                return;
            }
        }
    }

    /// Ends what is under way.
    fn stop(&self) {
        self.over.cancel();
        self.clients.stop();
        self.pool.shutdown_timeout(GRACE);
    }
}

/// One input on its way through the pool. It gives back one row whatever becomes of the task.
struct Ticket {
    index: u64,
    input: Input,
    /// `None` once it has been used.
    sender: Option<Sender<Done>>,
}

impl Ticket {
    fn redeem(mut self, done: Done) {
        self.send(done);
    }

    fn send(&mut self, done: Done) {
        if let Some(sender) = self.sender.take() {
            // When nobody receives any more the run is over.
            let _ = sender.send(done);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let why = "the request was lost; this is a mistake in silkmill";
        let row = failed(self.index, &self.input, why.to_owned());
        self.send(Some(row));
    }
}

/// The row of an input that met a mistake of ours.
pub(crate) fn failed(index: u64, input: &Input, why: String) -> Row {
    let error = Some(Failure::new(FailureKind::Protocol, Phase::Internal, why));
    Row { index, url: input.shown().to_owned(), error, ..Row::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> (Ticket, Receiver<Done>) {
        let (sender, receiver) = mpsc::channel();
        (Ticket { index: 3, input: Input::url("http://a/"), sender: Some(sender) }, receiver)
    }

    #[test]
    fn a_lost_task_still_gives_its_row() {
        let (ticket, receiver) = ticket();

        drop(ticket);

        let row = receiver.recv().unwrap().unwrap();
        assert_eq!((row.index, row.url.as_str()), (3, "http://a/"));
        let error = row.error.unwrap();
        assert_eq!((error.kind, error.phase), (FailureKind::Protocol, Phase::Internal));
    }

    #[test]
    fn a_redeemed_ticket_gives_one_row() {
        let (ticket, receiver) = ticket();

        ticket.redeem(Some(Row::default()));

        assert_eq!(receiver.iter().count(), 1);
    }
}
