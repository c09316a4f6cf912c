//! `map`: submits ahead, and yields results in the order of the arguments.
//!
//! Its futures are seen by nobody, so they are native objects without the class that Python sees.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

use crate::error::edge;
use crate::executor::ExecutorBase;
use crate::future::FutureBase;
use crate::sleep::{self, lock};

/// Where the arguments that are still to be submitted come from.
#[derive(Debug)]
struct Source {
    /// Weak, so that an executor nobody else has is collected, and its `map` ends with what was
    /// submitted.
    executor: Py<PyWeakrefReference>,
    call: Py<PyAny>,
    arguments: Py<PyAny>,
}

/// Submits the call for each of the tuples that `arguments` yields: all of them now, or `ahead` of
/// them.
#[pyfunction]
#[pyo3(signature = (executor, r#fn, arguments, timeout, ahead))]
pub(crate) fn begin_map(
    executor: &Bound<'_, ExecutorBase>,
    r#fn: Bound<'_, PyAny>,
    arguments: Bound<'_, PyAny>,
    timeout: Option<f64>,
    ahead: Option<usize>,
) -> PyResult<MapIterator> {
    edge(|| MapIterator::begin(executor, r#fn, arguments, timeout, ahead))
}

#[pyclass(frozen, weakref, module = "silkmill._silkmill")]
#[derive(Debug)]
pub(crate) struct MapIterator {
    /// The oldest at the front.
    futures: Mutex<VecDeque<Py<FutureBase>>>,
    source: Mutex<Option<Source>>,
    deadline: Option<Instant>,
    /// An iterator from which nothing was taken lets its tasks run when it is dropped, as a
    /// generator does that was never begun.
    was_read: AtomicBool,
}

impl MapIterator {
    fn begin(
        executor: &Bound<'_, ExecutorBase>,
        call: Bound<'_, PyAny>,
        arguments: Bound<'_, PyAny>,
        timeout: Option<f64>,
        ahead: Option<usize>,
    ) -> PyResult<Self> {
        let deadline = sleep::deadline(timeout)?;
        let mut futures = VecDeque::new();
        let mut is_over = false;
        while ahead.is_none_or(|ahead| futures.len() < ahead) {
            match ExecutorBase::submit_mapped(executor, &call, &arguments)? {
                Some(future) => futures.push_back(future),
                None => {
                    is_over = true;
                    break;
                }
            }
        }
        let source = if is_over {
            None
        } else {
            let executor = PyWeakrefReference::new(executor.as_any())?.unbind();
            Some(Source { executor, call: call.unbind(), arguments: arguments.unbind() })
        };
        let (futures, source) = (Mutex::new(futures), Mutex::new(source));
        Ok(Self { futures, source, deadline, was_read: AtomicBool::new(false) })
    }

    /// Submits the next, for the one that was waited for.
    fn submit_next(&self, py: Python<'_>) -> PyResult<()> {
        let Some(source) = lock(&self.source).take() else { return Ok(()) };
        let Some(executor) = source.executor.bind(py).upgrade() else { return Ok(()) };
        let executor = executor.cast_into::<ExecutorBase>()?;
        let next = ExecutorBase::submit_mapped(
            &executor,
            source.call.bind(py),
            source.arguments.bind(py),
        )?;
        if let Some(future) = next {
            lock(&self.futures).push_back(future);
            *lock(&self.source) = Some(source);
        }
        Ok(())
    }

    fn next(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.was_read.store(true, Ordering::Relaxed);
        let Some(future) = lock(&self.futures).pop_front() else { return Ok(None) };
        let left = self.deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let future = future.bind(py);
        let result = FutureBase::result_within(future, left.map(|left| left.as_secs_f64()));
        // When the wait was cut short, the call is not to be run for nobody. One that has ended
        // does not mind.
        if result.is_err() {
            FutureBase::cancel_now(future)?;
        }
        let result = result?;
        self.submit_next(py)?;
        Ok(Some(result))
    }

    fn cancel_rest(&self, py: Python<'_>) -> PyResult<()> {
        let source = lock(&self.source).take();
        drop(source);
        let futures = std::mem::take(&mut *lock(&self.futures));
        for future in futures {
            FutureBase::cancel_now(future.bind(py))?;
        }
        Ok(())
    }
}

#[pymethods]
impl MapIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        edge(|| {
            let next = self.next(py);
            if next.is_err() {
                self.cancel_rest(py)?;
            }
            next
        })
    }

    /// Cancels what has not begun.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        edge(|| if self.was_read.load(Ordering::Relaxed) { self.cancel_rest(py) } else { Ok(()) })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(futures) = self.futures.try_lock() {
            for future in futures.iter() {
                visit.call(future)?;
            }
        }
        if let Ok(source) = self.source.try_lock()
            && let Some(source) = &*source
        {
            visit.call(&source.executor)?;
            visit.call(&source.call)?;
            visit.call(&source.arguments)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        let dropped = (lock(&self.source).take(), std::mem::take(&mut *lock(&self.futures)));
        drop(dropped);
    }
}

impl Drop for MapIterator {
    fn drop(&mut self) {
        if self.was_read.load(Ordering::Relaxed) && !lock(&self.futures).is_empty() {
            // Objects of Python are dropped on threads that are attached, so this does not wait for
            // anything.
            Python::attach(|py| {
                let _ = self.cancel_rest(py);
            });
        }
    }
}
