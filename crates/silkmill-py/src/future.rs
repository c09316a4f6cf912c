//! The base class of `silkmill.Future`: a state word, an outcome, and those who wait for it.
//!
//! A future of the standard library makes a condition, which is most of what it costs. This one
//! makes it when somebody touches `_condition` or `_waiters`, as the standard library's `wait` and
//! `as_completed` do. From then on every transition happens with the condition held and tells its
//! waiters, so such code sees what it would see on its own futures.
//!
//! It is one file, because all of it is one state machine and the methods that look at it.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use pyo3::{import_exception, intern};

use crate::error::edge;
use crate::port::Port;
use crate::process;
use crate::sleep::{self, Sleeper, lock};

import_exception!(concurrent.futures, CancelledError);
import_exception!(concurrent.futures, InvalidStateError);
import_exception!(concurrent.futures, TimeoutError);

/// A future that no executor made has no generation.
const NO_GENERATION: u32 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Running,
    Cancelled,
    CancelledAndNotified,
    Finished,
}

impl State {
    const ALL: [Self; 5] =
        [Self::Pending, Self::Running, Self::Cancelled, Self::CancelledAndNotified, Self::Finished];

    /// The standard library's word, as `_state` has it.
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Cancelled => "CANCELLED",
            Self::CancelledAndNotified => "CANCELLED_AND_NOTIFIED",
            Self::Finished => "FINISHED",
        }
    }

    fn is_cancelled(self) -> bool {
        matches!(self, Self::Cancelled | Self::CancelledAndNotified)
    }

    /// Nobody's `result()` waits any more.
    fn is_done(self) -> bool {
        self.is_cancelled() || self == Self::Finished
    }

    /// `wait` and `as_completed` have been told: a future that is merely cancelled is told of when
    /// its turn comes.
    pub(crate) fn is_settled(self) -> bool {
        matches!(self, Self::CancelledAndNotified | Self::Finished)
    }
}

/// What the standard library's functions need once they have touched the future.
#[derive(Debug)]
struct Shared {
    condition: Py<PyAny>,
    waiters: Py<PyList>,
}

#[derive(Debug)]
struct Core {
    state: State,
    result: Option<Py<PyAny>>,
    exception: Option<Py<PyAny>>,
    callbacks: Vec<Py<PyAny>>,
    sleepers: Vec<Arc<Sleeper>>,
    ports: Vec<Arc<Port>>,
    shared: Option<Box<Shared>>,
}

/// What somebody who waits gets.
enum Outcome {
    Result(Py<PyAny>),
    Exception(Py<PyAny>),
    Cancelled,
}

/// What a transition leaves to do once the lock is let go.
#[must_use]
#[derive(Debug)]
pub(crate) struct Aftermath {
    /// Those who slept for this future. A worker wakes them when it has nothing to run, after it
    /// has detached.
    pub(crate) sleepers: Vec<Arc<Sleeper>>,
    pub(crate) callbacks: Vec<Py<PyAny>>,
}

impl Aftermath {
    const NOTHING: Self = Self { sleepers: Vec::new(), callbacks: Vec::new() };

    /// Wakes those who slept, and returns the callbacks.
    pub(crate) fn wake(self) -> Vec<Py<PyAny>> {
        for sleeper in &self.sleepers {
            sleeper.wake();
        }
        self.callbacks
    }
}

/// A future's native part.
///
/// Its lock orders everything in it, and is held for a few instructions at a time, by attached
/// threads.
#[pyclass(subclass, frozen, weakref, module = "silkmill._silkmill")]
#[derive(Debug)]
pub(crate) struct FutureBase {
    core: Mutex<Core>,
    generation: std::sync::atomic::AtomicU32,
}

impl FutureBase {
    pub(crate) fn pending() -> Self {
        Self {
            core: Mutex::new(Core {
                state: State::Pending,
                result: None,
                exception: None,
                callbacks: Vec::new(),
                sleepers: Vec::new(),
                ports: Vec::new(),
                shared: None,
            }),
            generation: NO_GENERATION.into(),
        }
    }

    /// Says that an executor of this process completes the future.
    pub(crate) fn belongs_to_this_process(&self) {
        self.generation.store(process::generation(), std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn state(&self) -> State {
        lock(&self.core).state
    }

    /// Whether the standard library's functions look at this future, so that its condition rules.
    pub(crate) fn is_shared(&self) -> bool {
        lock(&self.core).shared.is_some()
    }

    pub(crate) fn has_exception(&self) -> bool {
        lock(&self.core).exception.is_some()
    }

    /// Lets `port` hear of the future's end. Returns the state; a future that is settled keeps no
    /// port.
    pub(crate) fn watch(&self, port: &Arc<Port>) -> State {
        let mut core = lock(&self.core);
        if !core.state.is_settled() {
            core.ports.push(Arc::clone(port));
        }
        core.state
    }

    pub(crate) fn unwatch(&self, port: &Arc<Port>) {
        lock(&self.core).ports.retain(|other| !Arc::ptr_eq(other, port));
    }

    /// Begins to run. Returns whether the task is to be run: it is not when it was cancelled.
    pub(crate) fn start(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let this = slf.get();
        {
            let mut core = lock(&this.core);
            if core.state == State::Pending && core.shared.is_none() {
                core.state = State::Running;
                return Ok(true);
            }
        }
        Self::start_slowly(slf)
    }

    #[cold]
    fn start_slowly(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        let held = Held::acquire(slf)?;
        let mut ports = Vec::new();
        let (before, is_to_run) = {
            let mut core = lock(&slf.get().core);
            let before = core.state;
            match before {
                State::Pending => core.state = State::Running,
                State::Cancelled => {
                    core.state = State::CancelledAndNotified;
                    ports = std::mem::take(&mut core.ports);
                }
                _ => {}
            }
            (before, before == State::Pending)
        };
        if before == State::Cancelled {
            held.tell(intern!(py, "add_cancelled"), slf)?;
        }
        held.release()?;
        for port in ports {
            port.push(slf.as_ptr() as usize, false);
        }
        if matches!(before, State::Pending | State::Cancelled) {
            return Ok(is_to_run);
        }
        let words = ("Future %s in unexpected state: %s", slf.as_ptr() as usize, before.name());
        logger(py)?.call_method1(intern!(py, "critical"), words)?;
        Err(PyRuntimeError::new_err("Future in unexpected state"))
    }

    /// Ends with what the task returned or raised. Sleepers and callbacks are the caller's to wake
    /// and to call.
    pub(crate) fn end(
        slf: &Bound<'_, Self>,
        outcome: Result<Py<PyAny>, Py<PyAny>>,
    ) -> PyResult<Aftermath> {
        let this = slf.get();
        let is_shared = lock(&this.core).shared.is_some();
        let held = if is_shared { Held::acquire(slf)? } else { Held::NOTHING };
        let failed = outcome.is_err();
        let mut core = lock(&this.core);
        if core.state.is_done() {
            let state = core.state;
            drop(core);
            held.release()?;
            return Err(already_over(slf, state));
        }
        if core.shared.is_some() && !is_shared {
            // Another thread of an interpreter without a lock asked for the condition in between.
            drop(core);
            return Self::end(slf, outcome);
        }
        // Code that writes `_result` may have left something there, which is dropped after the
        // lock.
        let before = match outcome {
            Ok(value) => core.result.replace(value),
            Err(exception) => core.exception.replace(exception),
        };
        core.state = State::Finished;
        let ports = std::mem::take(&mut core.ports);
        let aftermath = Aftermath {
            sleepers: std::mem::take(&mut core.sleepers),
            callbacks: std::mem::take(&mut core.callbacks),
        };
        drop(core);
        drop(before);
        let tell = if failed { "add_exception" } else { "add_result" };
        held.tell(&PyString::new(slf.py(), tell), slf)?;
        held.notify_all()?;
        held.release()?;
        for port in ports {
            port.push(slf.as_ptr() as usize, failed);
        }
        Ok(aftermath)
    }

    /// Cancels a future that is pending. Returns whether it is cancelled.
    pub(crate) fn cancel_now(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let this = slf.get();
        let is_shared = lock(&this.core).shared.is_some();
        let held = if is_shared { Held::acquire(slf)? } else { Held::NOTHING };
        let (answer, aftermath) = {
            let mut core = lock(&this.core);
            match core.state {
                State::Running | State::Finished => (false, Aftermath::NOTHING),
                State::Cancelled | State::CancelledAndNotified => (true, Aftermath::NOTHING),
                State::Pending => {
                    core.state = State::Cancelled;
                    let sleepers = std::mem::take(&mut core.sleepers);
                    let callbacks = std::mem::take(&mut core.callbacks);
                    (true, Aftermath { sleepers, callbacks })
                }
            }
        };
        held.notify_all()?;
        held.release()?;
        call_callbacks(slf, aftermath.wake())?;
        Ok(answer)
    }

    /// Waits until the future is done. `None` when `timeout` has passed.
    fn wait(slf: &Bound<'_, Self>, timeout: Option<f64>) -> PyResult<Option<Outcome>> {
        let py = slf.py();
        let this = slf.get();
        if let Some(outcome) = this.outcome(py) {
            return Ok(Some(outcome));
        }
        this.refuse_in_a_child()?;
        let deadline = sleep::deadline(timeout)?;
        if timeout.is_some_and(|seconds| seconds <= 0.0) {
            return Ok(None);
        }
        let sleeper = Sleeper::new();
        {
            let mut core = lock(&this.core);
            if !core.state.is_done() {
                core.sleepers.push(Arc::clone(&sleeper));
            } else {
                sleeper.wake();
            }
        }
        let slept = sleep::sleep_detached(py, &sleeper, deadline);
        if !matches!(slept, Ok(true)) {
            lock(&this.core).sleepers.retain(|other| !Arc::ptr_eq(other, &sleeper));
        }
        slept?;
        if this.is_shared() {
            // Code that writes `_state` writes the outcome beside it, under the condition.
            Held::acquire(slf)?.release()?;
        }
        Ok(this.outcome(py))
    }

    fn outcome(&self, py: Python<'_>) -> Option<Outcome> {
        let core = lock(&self.core);
        match core.state {
            State::Pending | State::Running => None,
            State::Cancelled | State::CancelledAndNotified => Some(Outcome::Cancelled),
            State::Finished => Some(match (&core.exception, &core.result) {
                (Some(exception), _) => Outcome::Exception(exception.clone_ref(py)),
                (None, Some(result)) => Outcome::Result(result.clone_ref(py)),
                (None, None) => Outcome::Result(py.None()),
            }),
        }
    }

    fn refuse_in_a_child(&self) -> PyResult<()> {
        let generation = self.generation.load(std::sync::atomic::Ordering::Relaxed);
        if generation == NO_GENERATION || generation == process::generation() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "the future belongs to an executor of the parent process, whose threads did not come along with \
             fork: read it there, or submit the work to a new executor here",
        ))
    }

    /// What the future came to, for `map`: the result, or the error to raise.
    pub(crate) fn result_within(
        slf: &Bound<'_, Self>,
        timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        match Self::wait(slf, timeout)? {
            Some(Outcome::Result(result)) => Ok(result),
            Some(Outcome::Exception(exception)) => {
                Err(PyErr::from_value(exception.into_bound(slf.py())))
            }
            Some(Outcome::Cancelled) => Err(CancelledError::new_err(())),
            None => Err(TimeoutError::new_err(())),
        }
    }
}

#[pymethods]
impl FutureBase {
    #[new]
    #[pyo3(signature = ())]
    fn new() -> Self {
        Self::pending()
    }

    /// Does nothing: the standard library's would make a condition.
    #[pyo3(signature = ())]
    fn __init__(&self) {}

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let class = slf.get_type().name()?;
        let py = slf.py();
        let (state, value) = {
            let core = lock(&slf.get().core);
            let value = core.exception.as_ref().or(core.result.as_ref());
            (core.state, value.map(|value| (value.clone_ref(py), core.exception.is_some())))
        };
        let words = match (state, value) {
            (State::Finished, Some((value, true))) => {
                format!("finished raised {}", value.bind(py).get_type().name()?)
            }
            (State::Finished, Some((value, false))) => {
                format!("finished returned {}", value.bind(py).get_type().name()?)
            }
            (State::Finished, None) => "finished returned NoneType".to_owned(),
            (State::Pending, _) => "pending".to_owned(),
            (State::Running, _) => "running".to_owned(),
            (State::Cancelled | State::CancelledAndNotified, _) => "cancelled".to_owned(),
        };
        Ok(format!("<{class} at {:#x} state={words}>", slf.as_ptr() as usize))
    }

    /// Cancels the call if it has not begun. Returns whether it is cancelled.
    fn cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        edge(|| Self::cancel_now(slf))
    }

    /// Whether the call was cancelled.
    fn cancelled(&self) -> bool {
        self.state().is_cancelled()
    }

    /// Whether the call is being run.
    fn running(&self) -> bool {
        self.state() == State::Running
    }

    /// Whether the call was cancelled or has ended.
    fn done(&self) -> bool {
        self.state().is_done()
    }

    /// Waits for the call, at most `timeout` seconds, and returns what it returned or raises what
    /// it raised.
    #[pyo3(signature = (timeout=None))]
    fn result(slf: &Bound<'_, Self>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        edge(|| Self::result_within(slf, timeout))
    }

    /// Waits for the call, at most `timeout` seconds, and returns what it raised, or None.
    #[pyo3(signature = (timeout=None))]
    fn exception(slf: &Bound<'_, Self>, timeout: Option<f64>) -> PyResult<Option<Py<PyAny>>> {
        edge(|| match Self::wait(slf, timeout)? {
            Some(Outcome::Result(_)) => Ok(None),
            Some(Outcome::Exception(exception)) => Ok(Some(exception)),
            Some(Outcome::Cancelled) => Err(CancelledError::new_err(())),
            None => Err(TimeoutError::new_err(())),
        })
    }

    /// Calls `fn` with this future when it is done: now, if it is.
    #[pyo3(signature = (r#fn))]
    fn add_done_callback(slf: &Bound<'_, Self>, r#fn: Py<PyAny>) -> PyResult<()> {
        edge(|| {
            {
                let mut core = lock(&slf.get().core);
                if !core.state.is_done() {
                    core.callbacks.push(r#fn);
                    return Ok(());
                }
            }
            call_callbacks(slf, vec![r#fn])
        })
    }

    /// For executors and tests: begins to run, or says that the call was cancelled.
    fn set_running_or_notify_cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        edge(|| Self::start(slf))
    }

    /// For executors and tests: ends with a result.
    fn set_result(slf: &Bound<'_, Self>, result: Py<PyAny>) -> PyResult<()> {
        edge(|| call_callbacks(slf, Self::end(slf, Ok(result))?.wake()))
    }

    /// For executors and tests: ends with an exception.
    fn set_exception(slf: &Bound<'_, Self>, exception: Py<PyAny>) -> PyResult<()> {
        edge(|| call_callbacks(slf, Self::end(slf, Err(exception))?.wake()))
    }

    /// What asyncio copies: whether it is done, whether it was cancelled, the result, and the
    /// exception.
    fn _get_snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (state, result, exception) = {
            let core = lock(&self.core);
            let result = core.result.as_ref().map(|result| result.clone_ref(py));
            (core.state, result, core.exception.as_ref().map(|error| error.clone_ref(py)))
        };
        match state.is_done() {
            false => (false, false, py.None(), py.None()).into_pyobject(py),
            true => (true, state.is_cancelled(), result, exception).into_pyobject(py),
        }
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let class = slf.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "cannot pickle '{class}' object: a future belongs to threads of this process; send what result() returns"
        )))
    }

    #[getter]
    fn _state(&self) -> &'static str {
        self.state().name()
    }

    #[setter(_state)]
    fn set_state(slf: &Bound<'_, Self>, state: &str) -> PyResult<()> {
        let state = State::ALL
            .into_iter()
            .find(|known| known.name() == state)
            .ok_or_else(|| PyValueError::new_err(format!("a future has no state {state:?}")))?;
        let (sleepers, ports, failed) = {
            let mut core = lock(&slf.get().core);
            core.state = state;
            let sleepers =
                if state.is_done() { std::mem::take(&mut core.sleepers) } else { Vec::new() };
            let ports =
                if state.is_settled() { std::mem::take(&mut core.ports) } else { Vec::new() };
            (sleepers, ports, core.exception.is_some())
        };
        for sleeper in sleepers {
            sleeper.wake();
        }
        for port in ports {
            port.push(slf.as_ptr() as usize, failed);
        }
        Ok(())
    }

    #[getter]
    fn _result(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.core).result.as_ref().map(|result| result.clone_ref(py))
    }

    #[setter(_result)]
    fn write_result(&self, py: Python<'_>, result: Py<PyAny>) {
        let result = if result.is_none(py) { None } else { Some(result) };
        let before = std::mem::replace(&mut lock(&self.core).result, result);
        drop(before);
    }

    #[getter]
    fn _exception(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.core).exception.as_ref().map(|error| error.clone_ref(py))
    }

    #[setter(_exception)]
    fn write_exception(&self, py: Python<'_>, exception: Py<PyAny>) {
        let exception = if exception.is_none(py) { None } else { Some(exception) };
        let before = std::mem::replace(&mut lock(&self.core).exception, exception);
        drop(before);
    }

    /// The condition under which the standard library's functions look at the future.
    #[getter]
    fn _condition(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.share(py, |shared| shared.condition.clone_ref(py))
    }

    /// What the standard library's functions put in to hear of the end.
    #[getter]
    fn _waiters(&self, py: Python<'_>) -> PyResult<Py<PyList>> {
        self.share(py, |shared| shared.waiters.clone_ref(py))
    }

    /// The callbacks that are still to be called, in order. A copy.
    #[getter]
    fn _done_callbacks(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        lock(&self.core).callbacks.iter().map(|callback| callback.clone_ref(py)).collect()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // The collector runs on an attached thread, where the lock is free; elsewhere a collection
        // that sees nothing collects nothing.
        let Ok(core) = self.core.try_lock() else { return Ok(()) };
        visit.call(&core.result)?;
        visit.call(&core.exception)?;
        for callback in &core.callbacks {
            visit.call(callback)?;
        }
        if let Some(shared) = &core.shared {
            visit.call(&shared.condition)?;
            visit.call(&shared.waiters)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        let dropped = {
            let mut core = lock(&self.core);
            let callbacks = std::mem::take(&mut core.callbacks);
            (core.result.take(), core.exception.take(), callbacks, core.shared.take())
        };
        drop(dropped);
    }
}

impl FutureBase {
    fn share<T>(&self, py: Python<'_>, read: impl Fn(&Shared) -> T) -> PyResult<T> {
        if let Some(shared) = &lock(&self.core).shared {
            return Ok(read(shared));
        }
        let threading = py.import(intern!(py, "threading"))?;
        let condition = threading.call_method0(intern!(py, "Condition"))?.unbind();
        let made = Box::new(Shared { condition, waiters: PyList::empty(py).unbind() });
        let mut core = lock(&self.core);
        // Two may have made one at the same time, and the first is it. The other is dropped after
        // the lock.
        let (first, second) = match core.shared.take() {
            Some(first) => (first, Some(made)),
            None => (made, None),
        };
        let read = read(core.shared.insert(first));
        drop(core);
        drop(second);
        Ok(read)
    }
}

/// The future's condition, held, and its waiters; or nothing, for a future that has none.
struct Held<'py>(Option<(Bound<'py, PyAny>, Bound<'py, PyList>)>);

impl<'py> Held<'py> {
    const NOTHING: Self = Self(None);

    fn acquire(slf: &Bound<'py, FutureBase>) -> PyResult<Self> {
        let py = slf.py();
        let shared = {
            let core = lock(&slf.get().core);
            core.shared.as_ref().map(|it| (it.condition.clone_ref(py), it.waiters.clone_ref(py)))
        };
        let Some((condition, waiters)) = shared else { return Ok(Self::NOTHING) };
        let condition = condition.into_bound(py);
        condition.call_method0(intern!(py, "acquire"))?;
        Ok(Self(Some((condition, waiters.into_bound(py)))))
    }

    fn tell(&self, method: &Bound<'py, PyString>, future: &Bound<'py, FutureBase>) -> PyResult<()> {
        let Some((_, waiters)) = &self.0 else { return Ok(()) };
        for waiter in waiters.iter() {
            waiter.call_method1(method, (future,))?;
        }
        Ok(())
    }

    fn notify_all(&self) -> PyResult<()> {
        let Some((condition, _)) = &self.0 else { return Ok(()) };
        condition.call_method0(intern!(condition.py(), "notify_all")).map(drop)
    }

    fn release(mut self) -> PyResult<()> {
        self.let_go()
    }

    fn let_go(&mut self) -> PyResult<()> {
        let Some((condition, _)) = self.0.take() else { return Ok(()) };
        condition.call_method0(intern!(condition.py(), "release")).map(drop)
    }
}

/// After an error on the way, whose word is the one to pass on.
impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _ = self.let_go();
    }
}

/// Calls each, and logs what is an `Exception`, as the standard library does. What is none goes to
/// the caller.
pub(crate) fn call_callbacks(
    future: &Bound<'_, FutureBase>,
    callbacks: Vec<Py<PyAny>>,
) -> PyResult<()> {
    let py = future.py();
    for callback in callbacks {
        let Err(error) = callback.bind(py).call1((future,)) else { continue };
        if !error.is_instance_of::<pyo3::exceptions::PyException>(py) {
            return Err(error);
        }
        log_exception(py, ("exception calling callback for %r", future), &error)?;
    }
    Ok(())
}

/// Logs `words` with the error's traceback, where `concurrent.futures` logs.
fn log_exception<'py, A>(py: Python<'py>, words: A, error: &PyErr) -> PyResult<()>
where
    A: pyo3::call::PyCallArgs<'py>,
{
    let exception = PyDict::new(py);
    exception.set_item(intern!(py, "exc_info"), error.value(py))?;
    logger(py)?.getattr(intern!(py, "error"))?.call(words, Some(&exception)).map(drop)
}

fn logger(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    LOGGER.import(py, "concurrent.futures._base", "LOGGER")
}

fn already_over(future: &Bound<'_, FutureBase>, state: State) -> PyErr {
    match future.repr() {
        Ok(words) => InvalidStateError::new_err(format!("{}: {words}", state.name())),
        Err(error) => error,
    }
}
