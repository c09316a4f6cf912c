//! What a process does once: it forks, and it ends.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use silkmill::{ForkGuard, fork_guard};

use crate::scrape::{cancel_live_runs, forget_live_runs};

/// How long the end of the process waits for threads that are being started at that moment.
const START_MAX: Duration = Duration::from_secs(1);

/// How long the end of the process waits for runs that it cancels.
const RUNS_MAX: Duration = Duration::from_millis(500);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(1);

/// How many forks lie between the first process and this one. An executor or a future of another
/// generation belongs to a parent, whose threads are not here. Written in a child before any other
/// code of it runs, so `Relaxed` does.
static GENERATION: AtomicU32 = AtomicU32::new(1);

/// The interpreter has begun to end, and takes no new tasks. Written once, by the thread that ends
/// it; whoever reads it late is told by the executor's queue, whose lock orders the two.
static EXITING: AtomicBool = AtomicBool::new(false);

/// Worker threads that were decided on and have not yet begun their work.
static STARTING: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

pub(crate) fn exiting() -> bool {
    EXITING.load(Ordering::SeqCst)
}

pub(crate) fn worker_is_starting() {
    STARTING.fetch_add(1, Ordering::SeqCst);
}

pub(crate) fn worker_has_started() {
    STARTING.fetch_sub(1, Ordering::SeqCst);
}

thread_local! {
    /// Held by the thread that forks the process.
    static GUARD: RefCell<Option<ForkGuard>> = const { RefCell::new(None) };
}

/// Holds what the threads of the engine share, until [`after_fork_in_parent`].
///
/// Another thread that forks may hold it, and needs the interpreter before it lets go: handlers of
/// others run in between. So the wait is detached. No thread of the engine that waits meanwhile
/// needs the interpreter.
#[pyfunction]
pub(crate) fn before_fork(py: Python<'_>) {
    py.detach(|| GUARD.set(Some(fork_guard())));
}

#[pyfunction]
pub(crate) fn after_fork_in_parent() {
    GUARD.set(None);
}

/// Makes executors and futures of the parent strangers to the child.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    GUARD.set(None);
    GENERATION.fetch_add(1, Ordering::Relaxed);
    forget_live_runs();
    STARTING.store(0, Ordering::Relaxed);
}

/// Closes every executor to new tasks, and lets threads that are being started get as far as being
/// joined.
///
/// The standard library then walks over its table of threads, and fails if one is added meanwhile.
#[pyfunction]
pub(crate) fn before_exit(py: Python<'_>) {
    EXITING.store(true, Ordering::SeqCst);
    py.detach(|| {
        let deadline = Instant::now() + START_MAX;
        while STARTING.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        cancel_live_runs(Instant::now() + RUNS_MAX);
    });
}
