//! What code that knows the standard library's executor from within looks for: `_work_queue` and
//! `_idle_semaphore`.

use std::sync::Arc;

use pyo3::import_exception;
use pyo3::prelude::*;

use crate::error::edge;
use crate::executor::queue::{Queue, Taken};
use crate::executor::task::Item;
use crate::sleep::{self, Sleeper};

import_exception!(queue, Empty);

/// An executor's queue, in the shape of `queue.SimpleQueue`.
#[pyclass(frozen, weakref, module = "silkmill._silkmill")]
#[derive(Debug)]
pub(crate) struct WorkQueue {
    pub(crate) queue: Arc<Queue>,
    /// Makes a work item in Python: what runs on a daemon thread must not have native frames below
    /// it.
    pub(crate) item_class: Py<PyAny>,
}

impl WorkQueue {
    fn as_object<'py>(&self, py: Python<'py>, item: Item) -> PyResult<Bound<'py, PyAny>> {
        match item {
            Item::Task(task) => {
                self.item_class.bind(py).call1((task.future, task.call, task.args, task.kwargs))
            }
            Item::Foreign(item) => Ok(item.into_bound(py)),
            Item::Nothing => Ok(py.None().into_bound(py)),
        }
    }
}

#[pymethods]
impl WorkQueue {
    /// Puts in a work item, or None, which tells the workers to look whether they may leave.
    #[pyo3(signature = (item, block=true, timeout=None))]
    fn put(&self, py: Python<'_>, item: Py<PyAny>, block: bool, timeout: Option<f64>) {
        let _ = (block, timeout);
        let item = if item.is_none(py) { Item::Nothing } else { Item::Foreign(item) };
        self.queue.put(item);
    }

    fn put_nowait(&self, py: Python<'_>, item: Py<PyAny>) {
        self.put(py, item, false, None);
    }

    /// Takes out a work item, or None. Raises `queue.Empty` when none came in time.
    #[pyo3(signature = (block=true, timeout=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        edge(|| {
            if !block {
                return self.get_nowait(py);
            }
            let deadline = sleep::deadline(timeout)?;
            let me = Sleeper::new();
            let mut was_woken = false;
            loop {
                if let Taken::Item(item) = self.queue.take(Some(&me), was_woken) {
                    return self.as_object(py, item);
                }
                match sleep::sleep_detached(py, &me, deadline) {
                    Ok(true) => me.rearm(),
                    otherwise => {
                        self.queue.stop_waiting_for_items(&me);
                        return Err(otherwise.err().unwrap_or_else(|| Empty::new_err(())));
                    }
                }
                was_woken = true;
            }
        })
    }

    /// Takes out a work item, or None. Raises `queue.Empty` when there is none.
    fn get_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.queue.take(None, false) {
            Taken::Item(item) => self.as_object(py, item),
            Taken::Nothing => Err(Empty::new_err(())),
        }
    }

    /// How many items wait.
    fn qsize(&self) -> usize {
        self.queue.items()
    }

    /// Whether no item waits.
    fn empty(&self) -> bool {
        self.queue.items() == 0
    }

    fn __len__(&self) -> usize {
        self.queue.items()
    }

    fn __bool__(&self) -> bool {
        true
    }
}

/// How many workers have nothing to do, in the shape of `threading.Semaphore`.
///
/// It only tells: the queue counts its workers itself.
#[pyclass(frozen, weakref, module = "silkmill._silkmill")]
#[derive(Debug)]
pub(crate) struct IdleSemaphore {
    pub(crate) queue: Arc<Queue>,
}

#[pymethods]
impl IdleSemaphore {
    /// Whether a worker is free for an item more. Does not wait.
    #[pyo3(signature = (blocking=true, timeout=None))]
    fn acquire(&self, blocking: bool, timeout: Option<f64>) -> bool {
        let _ = (blocking, timeout);
        self.queue.has_taker()
    }

    /// Does nothing.
    #[pyo3(signature = (n=1))]
    fn release(&self, n: usize) {
        let _ = n;
    }

    #[getter]
    fn _value(&self) -> usize {
        self.queue.idle()
    }
}
