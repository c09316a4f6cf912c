//! The Python module `silkmill._silkmill`: what `python/silkmill` is made of.
//!
//! | file | what it is |
//! |---|---|
//! | `future.rs` | the base class of `silkmill.Future`: a state word, an outcome, the waiters |
//! | `completion.rs`, `port.rs` | `wait` and `as_completed` over many futures |
//! | `executor.rs`, `executor/` | the base class of `silkmill.ThreadPoolExecutor` |
//! | `replace.rs`, `replace/` | `replace`, `undo`, `redo`, `runs` |
//! | `scrape.rs`, `scrape/` | `fetch`, `scrape`, `crawl`, `extract`, `title`: runs, rows, tables |
//! | `command.rs` | the `silkmill` command |
//! | `keywords.rs` | the options of a call, checked |
//! | `engine.rs` | a job of the engine on a thread of its own, served by the caller |
//! | `sleep.rs` | how a thread of Python waits: detached, and looking for signals |
//! | `process.rs` | what a process does once: it forks, and it ends |
//! | `error.rs` | panics become `silkmill.InternalError` |
//!
//! # Rules of this crate
//!
//! * Python is touched only on threads that Python gave us. No thread of ours ever attaches to the
//!   interpreter.
//! * Locks are held for a few instructions, by threads that are attached or, where a run hands over
//!   its rows, by a thread of the engine, which never waits for the interpreter; and never over a
//!   call into Python: not over a call, not over an allocation of a Python object, not over the
//!   drop of one. So a collector, a signal handler or a weak reference's callback that runs on the
//!   same thread never meets a lock which that thread holds; and as only one thread is attached
//!   while a process forks, no lock is held in the child but those of its parent's runs, which it
//!   leaves alone.
//! * Classes are frozen, and importing the module starts nothing.
//! * Without the interpreter's lock the second rule does not hold: several threads are attached
//!   while a process forks. A free-threaded interpreter is told so, and takes its lock back.

mod command;
mod completion;
mod engine;
mod error;
mod executor;
mod future;
mod keywords;
mod port;
mod process;
mod replace;
mod scrape;
mod sleep;

use pyo3::prelude::*;

#[pymodule(gil_used = true)]
mod _silkmill {
    #[pymodule_export]
    use crate::command::run_command;
    #[pymodule_export]
    use crate::completion::{AsCompleted, wait_for};
    #[pymodule_export]
    use crate::error::InternalError;
    #[pymodule_export]
    use crate::executor::ExecutorBase;
    #[pymodule_export]
    use crate::executor::facade::{IdleSemaphore, WorkQueue};
    #[pymodule_export]
    use crate::executor::map::{MapIterator, begin_map};
    #[pymodule_export]
    use crate::executor::worker::Worker;
    #[pymodule_export]
    use crate::future::FutureBase;
    #[pymodule_export]
    use crate::process::{after_fork_in_child, after_fork_in_parent, before_exit, before_fork};
    #[pymodule_export]
    use crate::replace::{forget_runs, list_runs, revert_run, run_replace};
    #[pymodule_export]
    use crate::scrape::page::{extract_page, host_buckets};
    #[pymodule_export]
    use crate::scrape::row::{Row, RowError};
    #[pymodule_export]
    use crate::scrape::run::ListRun;
    #[pymodule_export]
    use crate::scrape::table::{Table, TableRows};
}
