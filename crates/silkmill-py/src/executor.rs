//! The base class of `silkmill.ThreadPoolExecutor`: what happens on every call. What happens once
//! in the life of an executor or of a thread (its arguments, starting threads, joining them) is in
//! Python, in `executor.py`.
//!
//! It is one file, because a Python class has one block of methods.

pub(crate) mod facade;
pub(crate) mod map;
pub(crate) mod queue;
pub(crate) mod stats;
pub(crate) mod task;
pub(crate) mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use pyo3::exceptions::{PyException, PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use pyo3::{import_exception, intern};

use crate::error::edge;
use crate::executor::facade::{IdleSemaphore, WorkQueue};
use crate::executor::queue::{Closing, Entry, Queue, Refusal, Then};
use crate::executor::task::{Item, Task};
use crate::executor::worker::{Worker, works_for};
use crate::future::{FutureBase, call_callbacks};
use crate::sleep;

import_exception!(concurrent.futures.thread, BrokenThreadPool);

/// An executor's native part. Made by `__new__`, which takes what a subclass is given, and filled
/// in by `_setup`.
#[pyclass(subclass, frozen, weakref, module = "silkmill._silkmill")]
#[derive(Debug)]
pub(crate) struct ExecutorBase {
    setup: OnceLock<Setup>,
    /// Somebody has put a queue of their own in the place of ours: all goes the standard library's
    /// way.
    is_plain: AtomicBool,
}

#[derive(Debug)]
struct Setup {
    queue: Arc<Queue>,
    work_queue: Py<WorkQueue>,
    /// Makes the futures that are handed out.
    future_class: Py<PyType>,
    /// The standard library's class, and its `submit` as it was written.
    base: Py<PyType>,
    original_submit: Option<Py<PyAny>>,
    /// `contextvars.copy_context`, if every task runs in a copy of its submitter's context.
    copy_context: Option<Py<PyAny>>,
    /// What workers call for the callbacks of a future, and for somebody else's work item.
    call_callbacks: Py<PyAny>,
    run_foreign: Py<PyAny>,
    /// The class has a way of its own to start workers.
    has_hook: bool,
}

impl ExecutorBase {
    fn setup(&self) -> PyResult<&Setup> {
        self.setup.get().ok_or_else(|| {
            PyRuntimeError::new_err("ThreadPoolExecutor.__init__ was not called, or not yet")
        })
    }

    fn queue(&self) -> PyResult<&Arc<Queue>> {
        Ok(&self.setup()?.queue)
    }

    /// Tracing libraries put a `submit` of theirs into the standard library's class, to see every
    /// task. They are to see ours too.
    fn is_patched(&self, py: Python<'_>, setup: &Setup) -> PyResult<bool> {
        let submit = setup.base.bind(py).getattr(intern!(py, "submit"))?;
        Ok(!setup.original_submit.as_ref().is_some_and(|original| submit.is(original)))
    }

    fn submit_natively<'py>(
        slf: &Bound<'py, Self>,
        setup: &Setup,
        call: Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, FutureBase>> {
        let py = slf.py();
        let future = setup.future_class.bind(py).call0()?.cast_into::<FutureBase>()?;
        future.get().belongs_to_this_process();
        let task = Task {
            future: future.clone().unbind(),
            call: call.unbind(),
            args: args.unbind(),
            kwargs: kwargs.map(|kwargs| kwargs.clone().unbind()),
            submitted: None,
        };
        Self::push(slf, setup, task)?;
        Ok(future)
    }

    /// Hands a task to the queue, waits for room if there must be, and sees to it that a worker
    /// comes.
    fn push(slf: &Bound<'_, Self>, setup: &Setup, mut task: Task) -> PyResult<()> {
        let py = slf.py();
        let queue = &setup.queue;
        let future = task.future.as_ptr();
        let mut entry = if works_for(queue) { Entry::Free } else { Entry::Bounded };
        let then = loop {
            match queue.submit(task, entry, !setup.has_hook) {
                Ok(then) => break then,
                Err((given_back, Refusal::Full(sleeper))) => {
                    if let Err(error) = sleep::sleep_detached(py, &sleeper, None) {
                        queue.stop_waiting_for_room(&sleeper);
                        return Err(error);
                    }
                    task = given_back;
                    entry = Entry::Admitted;
                }
                Err((_, refusal)) => return Err(refused(refusal)),
            }
        };
        if setup.has_hook {
            if let Then::Wake(sleeper) = then {
                sleeper.wake();
            }
            return slf.call_method0(intern!(py, "_adjust_thread_count")).map(drop);
        }
        match then {
            Then::Nothing => Ok(()),
            Then::Wake(sleeper) => {
                sleeper.wake();
                Ok(())
            }
            Then::Start(number) => {
                let Err(error) = Self::start_worker(slf, setup, number) else { return Ok(()) };
                // The system has no thread to give. While there are workers, they will come to the
                // task.
                if error.is_instance_of::<PyException>(py) && queue.workers() > 0 {
                    return Ok(());
                }
                drop(queue.withdraw(future));
                Err(error)
            }
        }
    }

    fn start_worker(slf: &Bound<'_, Self>, setup: &Setup, number: usize) -> PyResult<()> {
        let py = slf.py();
        let worker = Bound::new(py, setup.worker(py, number))?;
        let started = slf.call_method1(intern!(py, "_start_worker"), (&worker,));
        if started.is_err() {
            // `_start_worker` gives it up as well; this is for what went wrong before it could.
            worker.get().abandon();
        }
        started.map(drop)
    }

    /// Submits through the standard library's `submit`, whatever has been put in its place.
    #[cold]
    fn submit_through_base<'py>(
        slf: &Bound<'py, Self>,
        setup: &Setup,
        call: Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let is_bounded = !works_for(&setup.queue);
        if is_bounded {
            Self::enter(py, &setup.queue)?;
        }
        let mut all = vec![slf.clone().into_any(), call];
        all.extend(args.iter());
        let submit = setup.base.bind(py).getattr(intern!(py, "submit"))?;
        let submitted = submit.call(PyTuple::new(py, all)?, kwargs);
        if is_bounded {
            setup.queue.go_in();
        }
        submitted
    }

    /// Waits until a task may go in. Its place is kept until `go_in`.
    fn enter(py: Python<'_>, queue: &Arc<Queue>) -> PyResult<()> {
        let Err(sleeper) = queue.enter() else { return Ok(()) };
        let slept = sleep::sleep_detached(py, &sleeper, None);
        if slept.is_err() {
            queue.stop_waiting_for_room(&sleeper);
        }
        slept.map(drop)
    }

    /// Submits the next of `arguments` for `map`, with a future that is never handed out. `None` at
    /// their end.
    pub(crate) fn submit_mapped<'py>(
        slf: &Bound<'py, Self>,
        call: &Bound<'py, PyAny>,
        arguments: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Py<FutureBase>>> {
        let py = slf.py();
        let setup = slf.get().setup()?;
        let Some(args) = arguments.cast::<pyo3::types::PyIterator>()?.clone().next() else {
            return Ok(None);
        };
        let (call, args) = setup.in_context(call.clone(), args?.cast_into::<PyTuple>()?)?;
        let future = Py::new(py, FutureBase::pending())?;
        future.get().belongs_to_this_process();
        let (call, args) = (call.unbind(), args.unbind());
        let task = Task { future: future.clone_ref(py), call, args, kwargs: None, submitted: None };
        Self::push(slf, setup, task)?;
        Ok(Some(future))
    }
}

impl Setup {
    fn worker(&self, py: Python<'_>, number: usize) -> Worker {
        let call_callbacks = self.call_callbacks.clone_ref(py);
        Worker::new(&self.queue, number, call_callbacks, self.run_foreign.clone_ref(py))
    }

    /// Puts a copy of the submitter's context around the call, if the executor is to.
    fn in_context<'py>(
        &self,
        call: Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let Some(copy_context) = &self.copy_context else { return Ok((call, args)) };
        let py = call.py();
        let run = copy_context.bind(py).call0()?.getattr(intern!(py, "run"))?;
        let mut all = Vec::with_capacity(1 + args.len());
        all.push(call);
        all.extend(args.iter());
        Ok((run, PyTuple::new(py, all)?))
    }
}

#[pymethods]
impl ExecutorBase {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { setup: OnceLock::new(), is_plain: AtomicBool::new(false) }
    }

    /// Fills in what `__init__` has checked.
    #[pyo3(signature = (*, max_workers, queue_capacity, future_class, item_class, base, original_submit, copy_context, call_callbacks, run_foreign, has_hook))]
    #[expect(clippy::too_many_arguments, reason = "they have names where it is called")]
    fn _setup(
        &self,
        py: Python<'_>,
        max_workers: usize,
        queue_capacity: Option<usize>,
        future_class: Py<PyType>,
        item_class: Py<PyAny>,
        base: Py<PyType>,
        original_submit: Option<Py<PyAny>>,
        copy_context: Option<Py<PyAny>>,
        call_callbacks: Py<PyAny>,
        run_foreign: Py<PyAny>,
        has_hook: bool,
    ) -> PyResult<()> {
        let queue = Queue::new(max_workers, queue_capacity);
        let work_queue = Py::new(py, WorkQueue { queue: Arc::clone(&queue), item_class })?;
        let setup = Setup {
            queue,
            work_queue,
            future_class,
            base,
            original_submit,
            copy_context,
            call_callbacks,
            run_foreign,
            has_hook,
        };
        self.setup
            .set(setup)
            .map_err(|_| PyRuntimeError::new_err("ThreadPoolExecutor.__init__ was called twice"))
    }

    /// Schedules `fn(*args, **kwargs)` on a worker and returns the future of its result.
    ///
    /// With a `queue_capacity` it waits while the queue is full. Raises RuntimeError after
    /// `shutdown`.
    #[pyo3(signature = (r#fn, /, *args, **kwargs))]
    fn submit<'py>(
        slf: &Bound<'py, Self>,
        r#fn: Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        edge(|| {
            let this = slf.get();
            let setup = this.setup()?;
            let (call, args) = setup.in_context(r#fn, args)?;
            if this.is_plain.load(Ordering::Relaxed) || this.is_patched(slf.py(), setup)? {
                return Self::submit_through_base(slf, setup, call, &args, kwargs);
            }
            Self::submit_natively(slf, setup, call, args, kwargs).map(Bound::into_any)
        })
    }

    /// Starts a worker if the queue wants one. A subclass may start its own instead.
    fn _adjust_thread_count(slf: &Bound<'_, Self>) -> PyResult<()> {
        edge(|| {
            let this = slf.get();
            let setup = this.setup()?;
            if this.is_plain.load(Ordering::Relaxed) {
                let adjust = setup.base.bind(slf.py()).getattr("_adjust_thread_count")?;
                return adjust.call1((slf,)).map(drop);
            }
            match setup.queue.reserve() {
                Some(number) => Self::start_worker(slf, setup, number),
                None => Ok(()),
            }
        })
    }

    /// Whether `map` may use futures of its own, that no patch and no subclass wants to see.
    fn _maps_natively(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let this = slf.get();
        let setup = this.setup()?;
        Ok(!this.is_plain.load(Ordering::Relaxed) && !this.is_patched(slf.py(), setup)?)
    }

    /// Closes the queue and, if asked, cancels what is in it. Returns how many were cancelled.
    fn _close(&self, py: Python<'_>, cancel_futures: bool) -> PyResult<u64> {
        edge(|| {
            let queue = self.queue()?;
            queue.close(Closing::Shutdown);
            if !cancel_futures {
                return Ok(0);
            }
            let mut cancelled = 0;
            let mut failure = Ok(());
            for item in queue.drain() {
                match cancel(py, item) {
                    Ok(was_cancelled) => cancelled += u64::from(was_cancelled),
                    Err(error) => failure = failure.and(Err(error)),
                }
            }
            queue.note_cancelled(cancelled);
            failure.map(|()| cancelled)
        })
    }

    /// Fails every task that waits, for no worker can be had: an initializer has failed.
    fn _break(&self, py: Python<'_>, why: String) -> PyResult<()> {
        edge(|| {
            let queue = self.queue()?;
            queue.set_broken(Some(why.clone()));
            for item in queue.drain() {
                let error = BrokenThreadPool::new_err(why.clone()).into_value(py).into_any();
                match item {
                    Item::Task(task)
                        if task.future.get().state() == crate::future::State::Pending =>
                    {
                        let future = task.future.bind(py);
                        call_callbacks(future, FutureBase::end(future, Err(error))?.wake())?;
                    }
                    Item::Foreign(item) => {
                        let future = item.bind(py).getattr(intern!(py, "future"))?;
                        future.call_method1(intern!(py, "set_exception"), (error,))?;
                    }
                    Item::Task(_) | Item::Nothing => {}
                }
            }
            Ok(())
        })
    }

    /// Whether workers were decided on that have not begun.
    fn _is_starting(&self) -> PyResult<bool> {
        Ok(self.queue()?.is_starting())
    }

    /// Whether this executor came along with a fork, and its threads did not.
    fn _is_inherited(&self) -> PyResult<bool> {
        Ok(self.queue()?.is_inherited())
    }

    /// The figures of `silkmill.Stats`, in its order.
    fn _figures<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let load = self.queue()?.load();
        let figures = PyDict::new(py);
        figures.set_item("workers", load.workers)?;
        figures.set_item("idle", load.idle)?;
        figures.set_item("running", load.figures.busy)?;
        figures.set_item("queued", load.queued)?;
        figures.set_item("submitted", load.submitted)?;
        figures.set_item("returned", load.returned)?;
        figures.set_item("raised", load.raised)?;
        figures.set_item("cancelled", load.cancelled)?;
        figures.set_item("running_max", load.figures.workers_busy_max)?;
        figures.set_item("timed", load.figures.timed)?;
        figures.set_item("task_seconds", load.figures.wall_mean)?;
        figures.set_item("task_cpu_seconds", load.figures.cpu_mean)?;
        figures.set_item("queue_seconds", load.figures.delay_mean)?;
        figures.set_item("queue_seconds_max", load.figures.delay_max)?;
        figures.set_item("busy_seconds", load.figures.busy_time)?;
        Ok(figures)
    }

    #[getter]
    fn _native_queue(&self, py: Python<'_>) -> PyResult<Py<WorkQueue>> {
        Ok(self.setup()?.work_queue.clone_ref(py))
    }

    fn _make_idle_semaphore(&self) -> PyResult<IdleSemaphore> {
        Ok(IdleSemaphore { queue: Arc::clone(self.queue()?) })
    }

    /// From now on everything goes the standard library's way.
    fn _become_plain(&self) {
        self.is_plain.store(true, Ordering::Relaxed);
    }

    #[getter]
    fn _is_plain(&self) -> bool {
        self.is_plain.load(Ordering::Relaxed)
    }

    #[getter]
    fn _max_workers(&self) -> PyResult<usize> {
        Ok(self.queue()?.workers_max())
    }

    #[setter(_max_workers)]
    fn set_max_workers(&self, max_workers: usize) -> PyResult<()> {
        self.queue()?.set_workers_max(max_workers);
        Ok(())
    }

    /// False, or why the executor takes no tasks.
    #[getter]
    fn _broken(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.queue()?.broken() {
            Some(why) => Ok(why.into_pyobject(py)?.into_any().unbind()),
            None => Ok(false.into_pyobject(py)?.to_owned().into_any().unbind()),
        }
    }

    #[setter(_broken)]
    fn set_broken(&self, broken: &Bound<'_, PyAny>) -> PyResult<()> {
        let why = if broken.is_truthy()? { Some(broken.str()?.to_string()) } else { None };
        self.queue()?.set_broken(why);
        Ok(())
    }

    #[getter]
    fn _shutdown(&self) -> PyResult<bool> {
        Ok(self.queue()?.is_shut())
    }

    #[setter(_shutdown)]
    fn set_shutdown(&self, is_shut: bool) -> PyResult<()> {
        let queue = self.queue()?;
        if is_shut {
            queue.close(Closing::Shutdown);
        } else {
            queue.reopen();
        }
        Ok(())
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let class = slf.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "cannot pickle '{class}' object: an executor is threads of this process; make one where you need it"
        )))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(setup) = self.setup.get() else { return Ok(()) };
        visit.call(&setup.future_class)?;
        visit.call(&setup.base)
    }
}

impl Drop for ExecutorBase {
    fn drop(&mut self) {
        // Its workers finish what is in the queue, and leave.
        if let Some(setup) = self.setup.get() {
            setup.queue.close(Closing::Collected);
        }
    }
}

/// Cancels what was taken out of a queue, and tells those who wait: nobody else will. Returns
/// whether it was cancelled.
fn cancel(py: Python<'_>, item: Item) -> PyResult<bool> {
    match item {
        Item::Task(task) => {
            let future = task.future.bind(py);
            let is_cancelled = FutureBase::cancel_now(future)?;
            if is_cancelled && future.get().state() == crate::future::State::Cancelled {
                FutureBase::start(future)?;
            }
            Ok(is_cancelled)
        }
        Item::Foreign(item) => {
            let future = item.bind(py).getattr(intern!(py, "future"))?;
            let is_cancelled = future.call_method0(intern!(py, "cancel"))?.is_truthy()?;
            if is_cancelled {
                future.call_method0(intern!(py, "set_running_or_notify_cancel"))?;
            }
            Ok(is_cancelled)
        }
        Item::Nothing => Ok(false),
    }
}

fn refused(refusal: Refusal) -> PyErr {
    match refusal {
        Refusal::Broken(why) => BrokenThreadPool::new_err(why),
        Refusal::Shut => PyRuntimeError::new_err("cannot schedule new futures after shutdown"),
        Refusal::Exiting => {
            PyRuntimeError::new_err("cannot schedule new futures after interpreter shutdown")
        }
        Refusal::Forked => PyRuntimeError::new_err(
            "cannot schedule new futures in a child process: the executor's threads did not come along with fork; \
             make a new executor after it",
        ),
        Refusal::Full(_) => unreachable!("the submitter waits while the queue is full"),
    }
}
