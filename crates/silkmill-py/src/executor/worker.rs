//! A worker's native part: takes the next task for the thread that runs it, and completes the last
//! one.
//!
//! The loop itself, and every call of a task or of a callback, is in Python (`work` in
//! `executor.py`). CPython up to 3.13 ends daemon threads by unwinding them when the interpreter
//! ends, and a native frame below the call would make of this the end of the process (measured:
//! every process with a busy daemon worker was aborted).

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTraceback, PyTuple};

use crate::error::edge;
use crate::executor::queue::{From, Next, Queue, Report, Step};
use crate::executor::stats::{Clock, is_timed};
use crate::executor::task::{Fate, Item, Task};
use crate::future::{Aftermath, FutureBase, State, call_callbacks};
use crate::process;
use crate::sleep::{Sleeper, lock};

const NEW: u8 = 0;
const CLAIMED: u8 = 1;
const ABANDONED: u8 = 2;

thread_local! {
    /// The queue that this thread works for, as an address, or null.
    static QUEUE: Cell<*const Queue> = const { Cell::new(std::ptr::null()) };
}

/// Whether this thread is a worker of `queue`.
pub(crate) fn works_for(queue: &Arc<Queue>) -> bool {
    QUEUE.get() == Arc::as_ptr(queue)
}

/// A worker that was decided on: its thread claims it, or the thread that starts that one gives it
/// up.
#[pyclass(frozen, weakref, module = "silkmill._silkmill")]
#[derive(Debug)]
pub(crate) struct Worker {
    queue: Arc<Queue>,
    /// Written once, by the thread that comes or by the one that gives it up, whichever is first.
    fate: AtomicU8,
    #[pyo3(get)]
    number: usize,
    /// `(future, callbacks) -> None` in Python.
    call_callbacks: Py<PyAny>,
    /// `(item) -> None` in Python.
    run_foreign: Py<PyAny>,
    /// Its thread's own. The lock is never waited for.
    desk: Mutex<Desk>,
}

/// What a worker has before it.
#[derive(Debug)]
struct Desk {
    me: Option<Arc<Sleeper>>,
    from: From,
    /// The future of the task that runs. `None` while a callback or somebody else's work item does.
    future: Option<Py<FutureBase>>,
    clock: Option<Clock>,
    /// How many tasks it has taken.
    taken: u64,
    /// Those who are to be woken once the worker has let go of the interpreter.
    awake: Vec<Arc<Sleeper>>,
    report: Report,
}

/// What the loop in Python is to do.
enum Order<'py> {
    /// Call the first with the second and, if there are any, the keywords.
    Call(Bound<'py, PyAny>, Bound<'py, PyTuple>, Option<Bound<'py, PyDict>>),
    /// Let go of what the last task left, and `take`.
    Take,
    Leave,
}

impl Worker {
    pub(crate) fn new(
        queue: &Arc<Queue>,
        number: usize,
        call_callbacks: Py<PyAny>,
        run_foreign: Py<PyAny>,
    ) -> Self {
        let desk = Desk {
            me: None,
            from: From::Start,
            future: None,
            clock: None,
            taken: 0,
            awake: Vec::new(),
            report: Report::default(),
        };
        Self {
            queue: Arc::clone(queue),
            fate: AtomicU8::new(NEW),
            number,
            call_callbacks,
            run_foreign,
            desk: Mutex::new(desk),
        }
    }

    fn settle(&self, fate: u8) -> bool {
        let is_first =
            self.fate.compare_exchange(NEW, fate, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if is_first {
            process::worker_has_started();
        }
        is_first
    }

    /// Completes the task that ran, and says what to call next.
    fn complete<'py>(
        &self,
        py: Python<'py>,
        outcome: Result<Py<PyAny>, Py<PyAny>>,
    ) -> PyResult<Order<'py>> {
        let (future, clock) = {
            let mut desk = lock(&self.desk);
            (desk.future.take(), desk.clock.take())
        };
        let Some(future) = future else { return self.look(py) };
        let future = future.into_bound(py);
        let fate = if outcome.is_ok() { Fate::Returned } else { Fate::Raised };
        let sample = clock.map(Clock::stop);
        let Aftermath { sleepers, callbacks } = FutureBase::end(&future, outcome)?;
        let mut desk = lock(&self.desk);
        desk.report = Report { fate, sample };
        desk.awake.extend(sleepers);
        if callbacks.is_empty() {
            drop(desk);
            return self.look(py);
        }
        // Callbacks take their time, and those who wait for the result do not wait for them.
        let awake = std::mem::take(&mut desk.awake);
        drop(desk);
        awake.iter().for_each(|sleeper| sleeper.wake());
        let args = (future, callbacks).into_pyobject(py)?;
        Ok(Order::Call(self.call_callbacks.bind(py).clone(), args, None))
    }

    /// Asks the queue what to run.
    fn look<'py>(&self, py: Python<'py>) -> PyResult<Order<'py>> {
        loop {
            let (me, from, report) = {
                let mut desk = lock(&self.desk);
                let me = Arc::clone(desk.me.get_or_insert_with(Sleeper::new));
                (me, desk.from, std::mem::take(&mut desk.report))
            };
            let Step { next, worker, submitter } = self.queue.next(&me, from, report);
            let mut desk = lock(&self.desk);
            desk.awake.extend(worker);
            desk.awake.extend(submitter);
            if let Next::Sleep = next {
                desk.from = From::Sleep;
                return Ok(Order::Take);
            }
            desk.from = From::Work;
            let awake = std::mem::take(&mut desk.awake);
            drop(desk);
            awake.iter().for_each(|sleeper| sleeper.wake());
            match next {
                Next::Run(Item::Task(task)) => {
                    if let Some(order) = self.take_up(py, task)? {
                        return Ok(order);
                    }
                }
                Next::Run(Item::Foreign(item)) => {
                    let args = PyTuple::new(py, [item])?;
                    return Ok(Order::Call(self.run_foreign.bind(py).clone(), args, None));
                }
                Next::Run(Item::Nothing) => {}
                Next::Sleep | Next::Leave => {
                    QUEUE.set(std::ptr::null());
                    return Ok(Order::Leave);
                }
            }
        }
    }

    /// Begins a task, unless it was cancelled.
    fn take_up<'py>(&self, py: Python<'py>, task: Task) -> PyResult<Option<Order<'py>>> {
        let Task { future, call, args, kwargs, submitted: _ } = task;
        if !FutureBase::start(future.bind(py))? {
            lock(&self.desk).report.fate = Fate::Cancelled;
            return Ok(None);
        }
        let mut desk = lock(&self.desk);
        desk.clock = is_timed(desk.taken).then(Clock::start);
        desk.taken += 1;
        desk.future = Some(future);
        drop(desk);
        let kwargs = kwargs.map(|kwargs| kwargs.into_bound(py));
        Ok(Some(Order::Call(call.into_bound(py), args.into_bound(py), kwargs)))
    }

    /// Puts the order into words of Python: a tuple, False, or None.
    fn tell<'py>(py: Python<'py>, order: PyResult<Order<'py>>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match order? {
            Order::Call(call, args, kwargs) => (call, args, kwargs).into_pyobject(py)?.into_any(),
            Order::Take => PyBool::new(py, false).to_owned().into_any(),
            Order::Leave => py.None().into_bound(py),
        })
    }
}

#[pymethods]
impl Worker {
    /// Says that the worker's thread has come. Returns whether it is still wanted.
    fn claim(&self) -> bool {
        self.settle(CLAIMED)
    }

    /// Gives the worker up. Returns whether its thread had not come before; it leaves at once if it
    /// comes yet.
    pub(crate) fn abandon(&self) -> bool {
        let is_first = self.settle(ABANDONED);
        if is_first {
            self.queue.abandon();
        }
        is_first
    }

    /// Leaves without having worked: its initializer has failed.
    fn resign(&self) {
        self.queue.abandon();
    }

    /// Returns what to call first: `(callable, args, kwargs or None)`; False, if `take` is to wait
    /// for it; None, if it is to leave.
    fn begin<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        edge(|| {
            QUEUE.set(Arc::as_ptr(&self.queue));
            Self::tell(py, self.look(py))
        })
    }

    /// Completes the last call with what it returned, and returns what to call next, as `begin`
    /// does.
    fn next<'py>(&self, py: Python<'py>, result: Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
        edge(|| Self::tell(py, self.complete(py, Ok(result))))
    }

    /// Completes the last call with what it raised, and returns what to call next, as `begin` does.
    ///
    /// The first frame of its traceback is the worker's loop, which goes on, and is taken off.
    fn fail<'py>(&self, py: Python<'py>, error: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        edge(|| {
            let traceback = error.getattr(intern!(py, "__traceback__"))?;
            if traceback.is_instance_of::<PyTraceback>() {
                let rest = traceback.getattr(intern!(py, "tb_next"))?;
                error.setattr(intern!(py, "__traceback__"), rest)?;
            }
            Self::tell(py, self.complete(py, Err(error.unbind())))
        })
    }

    /// Completes the last call, if one was under way, after the loop itself was interrupted.
    fn abort(&self, py: Python<'_>, error: Py<PyAny>) -> PyResult<()> {
        edge(|| {
            let future = lock(&self.desk).future.take();
            let Some(future) = future else { return Ok(()) };
            let future = future.bind(py);
            lock(&self.desk).report.fate = Fate::Raised;
            call_callbacks(future, FutureBase::end(future, Err(error))?.wake())
        })
    }

    /// Whether what ran last was a task, whose future tells of its error, or a callback, whose
    /// error nobody would see.
    fn runs_a_task(&self) -> bool {
        lock(&self.desk)
            .future
            .as_ref()
            .is_some_and(|future| future.get().state() == State::Running)
    }

    /// Wakes those who wait for the last result, waits for the next task, and returns it, as
    /// `begin` does.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        edge(|| {
            let (me, awake) = {
                let mut desk = lock(&self.desk);
                let me = Arc::clone(desk.me.get_or_insert_with(Sleeper::new));
                (me, std::mem::take(&mut desk.awake))
            };
            // Those who are woken want to attach, and can as soon as they are awake: this thread
            // has let go before.
            py.detach(|| {
                awake.iter().for_each(|sleeper| sleeper.wake());
                me.sleep(None)
            });
            me.rearm();
            Self::tell(py, self.look(py))
        })
    }
}
