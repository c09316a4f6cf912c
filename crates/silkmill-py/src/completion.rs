//! Waits for many futures at once: the native parts of `silkmill.wait` and `silkmill.as_completed`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use pyo3::prelude::*;

use crate::error::edge;
use crate::future::{FutureBase, TimeoutError};
use crate::port::{Port, Until};
use crate::sleep::{self, Sleeper, lock};

/// Waits until all of `futures` are settled, or what `until` names has happened, or `timeout`
/// seconds have passed. Which are, the caller looks up.
#[pyfunction]
#[pyo3(signature = (futures, timeout, until))]
pub(crate) fn wait_for(
    py: Python<'_>,
    futures: Vec<Py<FutureBase>>,
    timeout: Option<f64>,
    until: &str,
) -> PyResult<()> {
    edge(|| {
        let until = match until {
            "FIRST_COMPLETED" => Until::First,
            "FIRST_EXCEPTION" => Until::FirstException,
            _ => Until::All,
        };
        let deadline = sleep::deadline(timeout)?;
        let port = Port::new(until, false);
        let sleeper = Sleeper::new();
        lock(&port.inner).sleeper = Some(Arc::clone(&sleeper));
        let mut open = 0;
        let mut is_enough = false;
        for future in &futures {
            let future = future.get();
            if !future.watch(&port).is_settled() {
                open += 1;
            } else {
                is_enough |= match until {
                    Until::All => false,
                    Until::First => true,
                    Until::FirstException => future.has_exception(),
                };
            }
        }
        let is_over = {
            let mut inner = lock(&port.inner);
            inner.open += open;
            inner.open <= 0
        };
        let slept = if is_over || is_enough {
            Ok(true)
        } else {
            sleep::sleep_detached(py, &sleeper, deadline)
        };
        for future in &futures {
            future.get().unwatch(&port);
        }
        slept.map(drop)
    })
}

/// Yields futures as they are settled, and forgets each before it yields it.
#[pyclass(frozen, weakref, module = "silkmill._silkmill")]
#[derive(Debug)]
pub(crate) struct AsCompleted {
    port: Arc<Port>,
    open: Mutex<HashMap<usize, Py<FutureBase>>>,
    total: usize,
    deadline: Option<Instant>,
}

#[pymethods]
impl AsCompleted {
    #[new]
    #[pyo3(signature = (futures, timeout))]
    fn new(futures: Vec<Py<FutureBase>>, timeout: Option<f64>) -> PyResult<Self> {
        let deadline = sleep::deadline(timeout)?;
        let port = Port::new(Until::First, true);
        let mut open = HashMap::with_capacity(futures.len());
        for future in futures {
            open.entry(future.as_ptr() as usize).or_insert(future);
        }
        for (address, future) in &open {
            if future.get().watch(&port).is_settled() {
                lock(&port.inner).ended.push_back(*address);
            }
        }
        Ok(Self { port, total: open.len(), open: Mutex::new(open), deadline })
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<FutureBase>>> {
        edge(|| {
            loop {
                let sleeper = {
                    let mut inner = lock(&self.port.inner);
                    match inner.ended.pop_front() {
                        Some(address) => {
                            drop(inner);
                            match lock(&self.open).remove(&address) {
                                Some(future) => return Ok(Some(future)),
                                None => continue,
                            }
                        }
                        None if lock(&self.open).is_empty() => return Ok(None),
                        None => {
                            let sleeper = Sleeper::new();
                            inner.sleeper = Some(Arc::clone(&sleeper));
                            sleeper
                        }
                    }
                };
                if !sleep::sleep_detached(py, &sleeper, self.deadline)? {
                    let open = lock(&self.open).len();
                    let words = format!("{open} (of {}) futures unfinished", self.total);
                    return Err(TimeoutError::new_err(words));
                }
            }
        })
    }

    /// Stops, and lets go of the futures that are open.
    fn close(&self) {
        let open = std::mem::take(&mut *lock(&self.open));
        for future in open.values() {
            future.get().unwatch(&self.port);
        }
    }
}

impl Drop for AsCompleted {
    fn drop(&mut self) {
        self.close();
    }
}
