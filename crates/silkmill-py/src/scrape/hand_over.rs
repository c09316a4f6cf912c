//! What lies between the thread of Python that consumes a run and the thread of the engine that
//! drives it: inputs one way, rows the other, both bounded.
//!
//! The lock is held for a few instructions by either thread, and never over a call into Python. The
//! engine's thread may hold it while the process forks, so a child never touches it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use silkmill::CancelToken;
use silkmill_scrape::{Input, Progress, Row};

use crate::scrape::crawl::Ending;
use crate::sleep::{Sleeper, lock};

/// The most rows that wait for the consumer. While there are so many, the run takes no more.
pub(crate) const ROWS_MAX: usize = 1024;
/// The most inputs that were pulled and not yet taken by the run.
pub(crate) const INPUTS_MAX: usize = 1024;
/// How long the engine waits for an input before it hands on rows.
const INPUT_WAIT: Duration = Duration::from_millis(10);
/// How often the engine looks whether it was cancelled while it waits for room.
const ROOM_WAIT: Duration = Duration::from_millis(50);

/// The runs that have begun and not ended. Changed by attached threads alone.
static LIVE: Mutex<Vec<Weak<HandOver>>> = Mutex::new(Vec::new());

pub(crate) struct HandOver {
    state: Mutex<State>,
    /// Inputs for the engine, or room for its rows.
    engine: Condvar,
    pub(crate) cancel: CancelToken,
}

#[derive(Default)]
struct State {
    inputs: VecDeque<Input>,
    /// The engine waits for an input, and wants to be told of one.
    engine_waits: bool,
    /// There will be no more inputs.
    inputs_ended: bool,
    rows: VecDeque<Row>,
    progress: Progress,
    /// How the run ended.
    ended: Option<Ended>,
    /// The consumer, if it sleeps.
    sleeper: Option<Arc<Sleeper>>,
    /// Where a loop of asyncio listens, and whether it does.
    watch: Option<(UnixStream, UnixStream)>,
    is_watched: bool,
}

impl State {
    /// Whether there is something to do for the consumer.
    fn calls(&self) -> bool {
        !self.rows.is_empty() || self.ended.is_some() || self.is_hungry()
    }

    /// Whether the engine has taken all inputs and could do with more.
    fn is_hungry(&self) -> bool {
        self.inputs.is_empty() && !self.inputs_ended
    }

    /// Takes whom to wake, if there is something to do.
    fn wake(&mut self) -> Option<Arc<Sleeper>> {
        if !self.calls() {
            return None;
        }
        if std::mem::take(&mut self.is_watched)
            && let Some((_, ours)) = &mut self.watch
        {
            // It is full only if it has a byte, and so is enough.
            let _ = ours.write(&[1]);
        }
        self.sleeper.take()
    }
}

/// Why a run failed as a whole.
#[derive(Clone, Debug)]
pub(crate) enum Failed {
    Run(String),
    /// A file could not be opened or written.
    File(String),
    /// A panic of ours.
    Defect(String),
}

pub(crate) type Ended = Result<Ending, Failed>;

/// What the consumer finds.
pub(crate) enum Found {
    Rows,
    /// The run has ended, and no row is left.
    Ended(Box<Ended>),
    /// The run wants inputs.
    Hungry,
    Nothing,
}

impl HandOver {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            engine: Condvar::new(),
            cancel: CancelToken::new(),
        })
    }

    // The consumer's side.

    /// Adds the run to those that are cancelled when the process ends.
    pub(crate) fn is_live(self: &Arc<Self>) {
        let mut live = lock(&LIVE);
        live.retain(|run| run.strong_count() > 0);
        live.push(Arc::downgrade(self));
    }

    /// Takes all rows that are ready, if `rows` is empty.
    pub(crate) fn take(&self, rows: &mut VecDeque<Row>) -> Found {
        let mut state = lock(&self.state);
        if !state.rows.is_empty() {
            let was_full = state.rows.len() >= ROWS_MAX;
            rows.append(&mut state.rows);
            drop(state);
            if was_full {
                self.engine.notify_all();
            }
            return Found::Rows;
        }
        match &state.ended {
            Some(ended) => Found::Ended(Box::new(ended.clone())),
            None if state.is_hungry() => Found::Hungry,
            None => Found::Nothing,
        }
    }

    /// Gives an input to the engine, or, with `None`, says that there are no more.
    pub(crate) fn give(&self, input: Option<Input>) {
        let mut state = lock(&self.state);
        match input {
            Some(input) => state.inputs.push_back(input),
            None => state.inputs_ended = true,
        }
        let waits = std::mem::take(&mut state.engine_waits);
        drop(state);
        if waits {
            self.engine.notify_all();
        }
    }

    /// Returns how many more inputs there is room for.
    pub(crate) fn room(&self) -> usize {
        let state = lock(&self.state);
        if state.inputs_ended { 0 } else { INPUTS_MAX.saturating_sub(state.inputs.len()) }
    }

    /// Lets `sleeper` be woken when there is something to do. Returns whether there is already.
    pub(crate) fn watch(&self, sleeper: &Arc<Sleeper>) -> bool {
        let mut state = lock(&self.state);
        if state.calls() {
            return true;
        }
        state.sleeper = Some(Arc::clone(sleeper));
        false
    }

    pub(crate) fn leave(&self) {
        lock(&self.state).sleeper = None;
    }

    /// Returns the descriptor on which a byte comes when there is something to do after
    /// [`HandOver::arm`].
    pub(crate) fn descriptor(&self) -> std::io::Result<i32> {
        let mut state = lock(&self.state);
        if let Some((theirs, _)) = &state.watch {
            return Ok(theirs.as_raw_fd());
        }
        let (theirs, ours) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        let descriptor = theirs.as_raw_fd();
        state.watch = Some((theirs, ours));
        Ok(descriptor)
    }

    /// Lets the descriptor become readable when there is something to do. Returns whether there is
    /// already.
    pub(crate) fn arm(&self) -> bool {
        let mut state = lock(&self.state);
        if let Some((theirs, _)) = &mut state.watch {
            let mut bytes = [0; 16];
            while theirs.read(&mut bytes).is_ok_and(|read| read == bytes.len()) {}
        }
        let calls = state.calls();
        state.is_watched = !calls;
        calls
    }

    pub(crate) fn progress(&self) -> Progress {
        lock(&self.state).progress
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        lock(&self.state).ended.clone()
    }

    /// Waits until the run has ended, at most until `deadline`. The caller is detached.
    pub(crate) fn wait_for_end(&self, deadline: Instant) -> bool {
        let mut state = lock(&self.state);
        while state.ended.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state =
                self.engine.wait_timeout(state, left).map_or_else(|e| e.into_inner().0, |it| it.0);
        }
        true
    }

    // The engine's side.

    /// Returns the next inputs, `None` after the last one, and nothing where none have come for a
    /// while.
    pub(crate) fn next_inputs(&self, inputs: &mut VecDeque<Input>) -> Option<()> {
        let mut state = lock(&self.state);
        if state.inputs.is_empty() && !state.inputs_ended {
            state.engine_waits = true;
            let waited = self.engine.wait_timeout(state, INPUT_WAIT);
            state = waited.map_or_else(|error| error.into_inner().0, |it| it.0);
        }
        if state.inputs.is_empty() {
            return (!state.inputs_ended).then_some(());
        }
        inputs.append(&mut state.inputs);
        let sleeper = state.wake();
        drop(state);
        wake(sleeper);
        Some(())
    }

    /// Hands rows to the consumer, once there is room for them. When the run was cancelled there
    /// always is, for no more are to come than are ready.
    pub(crate) fn put(&self, rows: &mut Vec<Row>, progress: Option<&Progress>) {
        let mut state = lock(&self.state);
        if let Some(progress) = progress {
            state.progress = *progress;
        }
        while !rows.is_empty() && state.rows.len() >= ROWS_MAX && !self.cancel.is_cancelled() {
            let waited = self.engine.wait_timeout(state, ROOM_WAIT);
            state = waited.map_or_else(|error| error.into_inner().0, |it| it.0);
        }
        state.rows.extend(rows.drain(..));
        let sleeper = state.wake();
        drop(state);
        wake(sleeper);
    }

    pub(crate) fn end(&self, how: Ended) {
        let mut state = lock(&self.state);
        state.ended = Some(how);
        state.inputs_ended = true;
        let sleeper = state.wake();
        drop(state);
        self.engine.notify_all();
        wake(sleeper);
    }
}

fn wake(sleeper: Option<Arc<Sleeper>>) {
    if let Some(sleeper) = sleeper {
        sleeper.wake();
    }
}

/// Cancels every run that goes on, and waits for their ends, at most until `deadline`. The caller
/// is detached.
pub(crate) fn cancel_live_runs(deadline: Instant) {
    let live: Vec<_> = lock(&LIVE).drain(..).filter_map(|run| run.upgrade()).collect();
    live.iter().for_each(|run| run.cancel.cancel());
    for run in &live {
        let _ = run.wait_for_end(deadline);
    }
}

/// Forgets the runs of the parent.
pub(crate) fn forget_live_runs() {
    lock(&LIVE).clear();
}
