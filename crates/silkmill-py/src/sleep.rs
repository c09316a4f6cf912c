//! The one way in which a thread of Python waits: detached from the interpreter, and looking for
//! signals.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

/// The main thread looks for signals at least this often while it waits.
const SLICE: Duration = Duration::from_millis(100);

/// Waits of more than this (a thousand years) are waits without an end.
const SECONDS_MAX: f64 = 3.2e10;

/// A thread that waits to be woken. Made by that thread, and handed to those that may wake it.
#[derive(Debug)]
pub(crate) struct Sleeper {
    thread: Thread,
    /// Written by the waker (`Release`) after what it has to say; read by the sleeper (`Acquire`).
    /// The token of `unpark` alone does not do: others may set and take it.
    woken: AtomicBool,
}

impl Sleeper {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { thread: std::thread::current(), woken: AtomicBool::new(false) })
    }

    pub(crate) fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }

    /// Makes the sleeper ready for its next sleep. Only for a sleeper that no one can wake any
    /// more.
    pub(crate) fn rearm(&self) {
        self.woken.store(false, Ordering::Relaxed);
    }

    /// Sleeps until it is woken or `deadline` has passed. The caller is detached. Returns whether
    /// it was woken.
    pub(crate) fn sleep(&self, deadline: Option<Instant>) -> bool {
        while !self.is_woken() {
            match deadline {
                None => std::thread::park(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return self.is_woken();
                    }
                    std::thread::park_timeout(left);
                }
            }
        }
        true
    }
}

/// Detaches, sleeps until `sleeper` is woken or `deadline` has passed, and attaches. Returns
/// whether it was woken.
///
/// # Errors
///
/// What a signal's handler raised, on the main thread: KeyboardInterrupt, mostly.
pub(crate) fn sleep_detached(
    py: Python<'_>,
    sleeper: &Sleeper,
    deadline: Option<Instant>,
) -> PyResult<bool> {
    // Handlers run on the main thread alone, so others need not look. Which one this is costs a
    // call, and is asked when it has waited.
    let mut slice = Some(SLICE);
    loop {
        let end = slice.map(|slice| Instant::now() + slice);
        let end = match (end, deadline) {
            (Some(end), Some(deadline)) => Some(end.min(deadline)),
            (end, deadline) => end.or(deadline),
        };
        if py.detach(|| sleeper.sleep(end)) {
            return Ok(true);
        }
        py.check_signals()?;
        if sleeper.is_woken() {
            return Ok(true);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(false);
        }
        if slice.is_some() && !is_main_thread(py)? {
            slice = None;
        }
    }
}

/// Returns whether this is the thread on which the handlers of signals run.
pub(crate) fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import(intern!(py, "threading"))?;
    let main = threading.call_method0(intern!(py, "main_thread"))?.getattr(intern!(py, "ident"))?;
    main.eq(threading.call_method0(intern!(py, "get_ident"))?)
}

/// When a wait of `timeout` seconds from now ends. `None` is a wait without an end; a negative one
/// has ended.
pub(crate) fn deadline(timeout: Option<f64>) -> PyResult<Option<Instant>> {
    let Some(seconds) = timeout else { return Ok(None) };
    if seconds.is_nan() {
        return Err(PyValueError::new_err("Invalid value NaN (not a number)"));
    }
    if seconds > SECONDS_MAX {
        return Ok(None);
    }
    let timeout = Duration::try_from_secs_f64(seconds.max(0.0))
        .map_err(|_| PyOverflowError::new_err("timeout value is too large"))?;
    Ok(Instant::now().checked_add(timeout))
}

/// Locks, also after a panic of ours: what is locked is changed in single steps, each of which
/// leaves it whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
