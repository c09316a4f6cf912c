//! The queue and the hand-over: which worker takes which item, who is woken, and when a worker more
//! is wanted. It is one file, because one lock guards all of it together.
//!
//! # The protocol
//!
//! One lock orders everything. Workers that found nothing to do are in `parked`, the one that came
//! last on top, and sleep detached. A wake takes one out, and at most one wake is on its way at any
//! time (`is_waking`): with one interpreter lock a second woken worker could only wait for it. The
//! woken worker takes an item and, if more are there, wakes the next before it runs its own. So
//! after every step under the lock: **items and parked workers are not both there unless a wake is
//! on its way**.
//!
//! A worker more is wanted when there are more items than workers that will look for one: parked,
//! woken, or being started.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::executor::stats::{Counts, Figures, Sample};
use crate::executor::task::{Fate, Item, Task};
use crate::process;
use crate::sleep::{Sleeper, lock};

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    generation: AtomicU32,
}

#[derive(Debug)]
struct State {
    items: VecDeque<Item>,
    /// How many of the items are signs to look, and no work.
    signs: usize,
    parked: Vec<Arc<Sleeper>>,
    is_waking: bool,
    /// Workers that were decided on and have not yet looked for an item.
    coming: usize,
    /// Workers that live, with those that are coming.
    workers: usize,
    /// How many were ever started, for their names.
    started: usize,
    workers_max: usize,
    /// How many tasks may wait, if there is a bound.
    capacity: Option<usize>,
    /// Those who wait for room, in their order.
    submitters: VecDeque<Arc<Sleeper>>,
    /// Submitters that were let in and have not yet put in their task.
    admitted: usize,
    is_shut: bool,
    is_collected: bool,
    /// Why no worker can be had: what the initializer's failure left.
    broken: Option<String>,
    counts: Counts,
}

/// Why a task was not taken. The task comes back, to be dropped without the lock.
#[derive(Debug)]
pub(crate) enum Refusal {
    Broken(String),
    Shut,
    Exiting,
    Forked,
    /// The queue is full. The sleeper is woken when there is room, or when there will be none.
    Full(Arc<Sleeper>),
}

/// What the submitter is to do after its task was taken.
#[derive(Debug)]
pub(crate) enum Then {
    Nothing,
    Wake(Arc<Sleeper>),
    /// Start this worker, which is counted already.
    Start(usize),
}

/// What a worker is to do.
#[derive(Debug)]
pub(crate) enum Next {
    Run(Item),
    Sleep,
    Leave,
}

/// Where a worker comes from when it looks for an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Start,
    Sleep,
    Work,
}

/// What a worker does next, and whom it wakes before: outside of the lock.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) next: Next,
    pub(crate) worker: Option<Arc<Sleeper>>,
    pub(crate) submitter: Option<Arc<Sleeper>>,
}

/// How a submitter comes to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The bound holds for it.
    Bounded,
    /// It has waited, and was let in.
    Admitted,
    /// It is one of the queue's own workers, which could wait for itself.
    Free,
}

/// Why a queue is closed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Closing {
    Shutdown,
    /// The executor is gone, and nobody can submit any more.
    Collected,
}

/// What a worker that is not the binding's got.
#[derive(Debug)]
pub(crate) enum Taken {
    Item(Item),
    /// There is nothing. If the worker gave a sleeper, it is parked.
    Nothing,
}

/// What ended since the worker looked last.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) fate: Fate,
    pub(crate) sample: Option<Sample>,
}

/// How full a queue is and how many work on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) queued: usize,
    pub(crate) workers: usize,
    pub(crate) idle: usize,
    pub(crate) submitted: u64,
    pub(crate) returned: u64,
    pub(crate) raised: u64,
    pub(crate) cancelled: u64,
    pub(crate) figures: Figures,
}

impl State {
    fn tasks(&self) -> usize {
        self.items.len() - self.signs
    }

    fn is_closing(&self) -> bool {
        self.is_shut || self.is_collected || process::exiting()
    }

    /// Workers that look for an item soon.
    fn takers(&self) -> usize {
        self.parked.len() + usize::from(self.is_waking) + self.coming
    }

    /// Takes out the parked worker that is to be woken, if one is.
    fn waken(&mut self) -> Option<Arc<Sleeper>> {
        if self.is_waking {
            return None;
        }
        let sleeper = self.parked.pop()?;
        self.is_waking = true;
        Some(sleeper)
    }

    /// Counts a worker more, if one is wanted and may be. Returns its number.
    fn reserve(&mut self) -> Option<usize> {
        if self.tasks() <= self.takers() || self.workers >= self.workers_max {
            return None;
        }
        self.coming += 1;
        self.workers += 1;
        self.started += 1;
        process::worker_is_starting();
        Some(self.started - 1)
    }

    fn after_push(&mut self) -> Then {
        // When items outnumber those who will look, a wake is on its way if anyone is parked at
        // all.
        if let Some(number) = self.reserve() {
            return Then::Start(number);
        }
        self.wake_one()
    }

    fn wake_one(&mut self) -> Then {
        self.waken().map_or(Then::Nothing, Then::Wake)
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        match &item {
            Item::Task(task) => {
                if let Some(submitted) = task.submitted {
                    self.counts.add_delay(submitted);
                }
            }
            Item::Foreign(_) => {}
            Item::Nothing => self.signs -= 1,
        }
        Some(item)
    }

    fn has_room(&self) -> bool {
        self.capacity.is_none_or(|capacity| self.tasks() + self.admitted < capacity)
    }

    /// The submitter that may go on, now that there is room.
    fn admit(&mut self) -> Option<Arc<Sleeper>> {
        if self.submitters.is_empty() || !self.has_room() {
            return None;
        }
        self.admitted += 1;
        self.submitters.pop_front()
    }

    fn refusal(&self) -> Option<Refusal> {
        if let Some(broken) = &self.broken {
            return Some(Refusal::Broken(broken.clone()));
        }
        if self.is_shut {
            return Some(Refusal::Shut);
        }
        process::exiting().then_some(Refusal::Exiting)
    }

    fn note(&mut self, report: Report) {
        match report.fate {
            Fate::Unknown => {}
            Fate::Returned => self.counts.returned += 1,
            Fate::Raised => self.counts.raised += 1,
            Fate::Cancelled => self.counts.cancelled += 1,
        }
        if let Some(sample) = report.sample {
            self.counts.add_sample(sample);
        }
    }
}

impl Queue {
    pub(crate) fn new(workers_max: usize, capacity: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                signs: 0,
                parked: Vec::new(),
                is_waking: false,
                coming: 0,
                workers: 0,
                started: 0,
                workers_max,
                capacity,
                submitters: VecDeque::new(),
                admitted: 0,
                is_shut: false,
                is_collected: false,
                broken: None,
                counts: Counts::default(),
            }),
            generation: process::generation().into(),
        })
    }

    /// Whether the queue's workers are threads of a parent process.
    pub(crate) fn is_inherited(&self) -> bool {
        self.generation.load(Ordering::Relaxed) != process::generation()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Takes the task, or gives it back.
    ///
    /// `starts_workers` says that workers are the binding's to start. A subclass may have its own
    /// way.
    pub(crate) fn submit(
        &self,
        mut task: Task,
        entry: Entry,
        starts_workers: bool,
    ) -> Result<Then, (Task, Refusal)> {
        if self.is_inherited() {
            return Err((task, Refusal::Forked));
        }
        let mut state = self.state();
        if entry == Entry::Admitted {
            state.admitted -= 1;
        }
        if let Some(refusal) = state.refusal() {
            return Err((task, refusal));
        }
        if entry == Entry::Bounded && !(state.submitters.is_empty() && state.has_room()) {
            let sleeper = Sleeper::new();
            state.submitters.push_back(Arc::clone(&sleeper));
            return Err((task, Refusal::Full(sleeper)));
        }
        if state.counts.is_next_delay_measured() {
            task.submitted = Some(Instant::now());
        }
        state.counts.submitted += 1;
        state.items.push_back(Item::Task(task));
        Ok(if starts_workers { state.after_push() } else { state.wake_one() })
    }

    /// Keeps a place for a task that comes by another way, or says for what to wait.
    pub(crate) fn enter(&self) -> Result<(), Arc<Sleeper>> {
        let mut state = self.state();
        // A queue that takes nothing more has an error to tell, and keeps no one waiting.
        let is_open = state.refusal().is_none() && !self.is_inherited();
        if is_open && !(state.submitters.is_empty() && state.has_room()) {
            let sleeper = Sleeper::new();
            state.submitters.push_back(Arc::clone(&sleeper));
            return Err(sleeper);
        }
        state.admitted += 1;
        Ok(())
    }

    /// Gives back the place that `enter` kept: the task is there, or will not come.
    pub(crate) fn go_in(&self) {
        let next = {
            let mut state = self.state();
            state.admitted -= 1;
            state.admit()
        };
        if let Some(next) = next {
            next.wake();
        }
    }

    /// The submitter that `sleeper` stands for waits no longer.
    pub(crate) fn stop_waiting_for_room(&self, sleeper: &Arc<Sleeper>) {
        let next = {
            let mut state = self.state();
            let before = state.submitters.len();
            state.submitters.retain(|other| !Arc::ptr_eq(other, sleeper));
            if state.submitters.len() == before {
                // It was let in. Its place is the next one's.
                state.admitted -= 1;
            }
            state.admit()
        };
        if let Some(next) = next {
            next.wake();
        }
    }

    /// Puts in what others made: a work item, or a sign to look.
    pub(crate) fn put(&self, item: Item) {
        if self.is_inherited() {
            return;
        }
        let woken = {
            let mut state = self.state();
            if matches!(item, Item::Nothing) {
                if state.is_closing() {
                    // The workers look at more than signs when they close, so the sign itself is
                    // not kept.
                    state.waken()
                } else {
                    state.signs += 1;
                    state.items.push_back(item);
                    state.waken()
                }
            } else {
                state.counts.submitted += 1;
                state.items.push_back(item);
                state.waken()
            }
        };
        if let Some(sleeper) = woken {
            sleeper.wake();
        }
    }

    /// Counts a worker more, if one is wanted and may be. Returns its number.
    pub(crate) fn reserve(&self) -> Option<usize> {
        if self.is_inherited() {
            return None;
        }
        self.state().reserve()
    }

    /// A worker that was decided on will not work.
    pub(crate) fn abandon(&self) {
        if self.is_inherited() {
            return;
        }
        let mut state = self.state();
        state.coming -= 1;
        state.workers -= 1;
    }

    /// Takes back the task of `future`, which no worker will run. Returns it if it is still there.
    pub(crate) fn withdraw(&self, future: *mut pyo3::ffi::PyObject) -> Option<Item> {
        let mut state = self.state();
        let place = state
            .items
            .iter()
            .rposition(|item| matches!(item, Item::Task(task) if task.future.as_ptr() == future))?;
        state.counts.submitted -= 1;
        state.items.remove(place)
    }

    /// What a worker does next.
    ///
    /// A worker that is to sleep is parked already: it detaches, wakes whom it has to wake, and
    /// sleeps until it is woken.
    pub(crate) fn next(&self, me: &Arc<Sleeper>, from: From, report: Report) -> Step {
        if self.is_inherited() {
            return Step { next: Next::Leave, worker: None, submitter: None };
        }
        let mut state = self.state();
        match from {
            From::Start => state.coming -= 1,
            From::Sleep => state.is_waking = false,
            From::Work => state.note(report),
        }
        loop {
            match state.pop() {
                Some(Item::Nothing) => {}
                Some(item) => {
                    if from != From::Work {
                        state.counts.becomes_busy();
                    }
                    let worker = if state.items.is_empty() { None } else { state.waken() };
                    let submitter = state.admit();
                    return Step { next: Next::Run(item), worker, submitter };
                }
                None => break,
            }
        }
        if from == From::Work {
            state.counts.becomes_idle();
        }
        if state.is_closing() {
            state.workers -= 1;
            let worker = state.waken();
            return Step { next: Next::Leave, worker, submitter: None };
        }
        state.parked.push(Arc::clone(me));
        Step { next: Next::Sleep, worker: None, submitter: None }
    }

    /// Takes an item for a worker that is not the binding's, or parks it.
    pub(crate) fn take(&self, me: Option<&Arc<Sleeper>>, was_woken: bool) -> Taken {
        let (taken, worker, submitter) = {
            let mut state = self.state();
            if was_woken {
                state.is_waking = false;
            }
            match state.pop() {
                Some(item) => {
                    let worker = if state.items.is_empty() { None } else { state.waken() };
                    (Taken::Item(item), worker, state.admit())
                }
                None if me.is_some() && state.is_closing() => {
                    (Taken::Item(Item::Nothing), state.waken(), None)
                }
                None => {
                    if let Some(me) = me {
                        state.parked.push(Arc::clone(me));
                    }
                    (Taken::Nothing, None, None)
                }
            }
        };
        for sleeper in [worker, submitter].into_iter().flatten() {
            sleeper.wake();
        }
        taken
    }

    /// A worker that is not the binding's sleeps no longer, for its time is over.
    pub(crate) fn stop_waiting_for_items(&self, me: &Arc<Sleeper>) {
        let worker = {
            let mut state = self.state();
            let before = state.parked.len();
            state.parked.retain(|other| !Arc::ptr_eq(other, me));
            if state.parked.len() == before {
                // It had been woken for an item, which is another's now.
                state.is_waking = false;
            }
            if state.items.is_empty() { None } else { state.waken() }
        };
        if let Some(worker) = worker {
            worker.wake();
        }
    }

    /// Closes the queue to new tasks. What is in it is run.
    pub(crate) fn close(&self, why: Closing) {
        if self.is_inherited() {
            return;
        }
        let (worker, submitters) = {
            let mut state = self.state();
            match why {
                Closing::Shutdown => state.is_shut = true,
                Closing::Collected => state.is_collected = true,
            }
            state.admitted += state.submitters.len();
            let submitters = std::mem::take(&mut state.submitters);
            (state.waken(), submitters)
        };
        for sleeper in worker.into_iter().chain(submitters) {
            sleeper.wake();
        }
    }

    pub(crate) fn set_broken(&self, why: Option<String>) {
        self.state().broken = why;
    }

    pub(crate) fn broken(&self) -> Option<String> {
        self.state().broken.clone()
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.state().is_shut
    }

    /// Opens a queue that was closed, for code that writes `_shutdown`.
    pub(crate) fn reopen(&self) {
        self.state().is_shut = false;
    }

    /// Takes out all items, which nobody runs then.
    pub(crate) fn drain(&self) -> VecDeque<Item> {
        if self.is_inherited() {
            return VecDeque::new();
        }
        let mut state = self.state();
        state.signs = 0;
        std::mem::take(&mut state.items)
    }

    pub(crate) fn note_cancelled(&self, count: u64) {
        self.state().counts.cancelled += count;
    }

    pub(crate) fn items(&self) -> usize {
        if self.is_inherited() { 0 } else { self.state().items.len() }
    }

    pub(crate) fn workers(&self) -> usize {
        self.state().workers
    }

    /// Whether workers were decided on that have not begun.
    pub(crate) fn is_starting(&self) -> bool {
        self.state().coming > 0
    }

    /// How many more items the workers that look for one could take.
    pub(crate) fn idle(&self) -> usize {
        if self.is_inherited() {
            return 0;
        }
        let state = self.state();
        state.takers().saturating_sub(state.tasks())
    }

    /// Whether a worker looks for the newest item soon, or for the next one if there is none.
    pub(crate) fn has_taker(&self) -> bool {
        if self.is_inherited() {
            return false;
        }
        let state = self.state();
        state.takers() >= state.tasks().max(1)
    }

    pub(crate) fn workers_max(&self) -> usize {
        self.state().workers_max
    }

    pub(crate) fn set_workers_max(&self, workers_max: usize) {
        self.state().workers_max = workers_max;
    }

    pub(crate) fn load(&self) -> Load {
        let state = self.state();
        Load {
            queued: state.tasks(),
            workers: state.workers,
            idle: state.parked.len(),
            submitted: state.counts.submitted,
            returned: state.counts.returned,
            raised: state.counts.raised,
            cancelled: state.counts.cancelled,
            figures: state.counts.figures(),
        }
    }
}
