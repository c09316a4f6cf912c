//! Threads that return values, and a thread pool for work that waits.
//!
//! Programs reach for threads when their work waits: for files, for networks, for other processes.
//! This crate gives such programs what they would otherwise build out of std's parts:
//!
//! * [`Thread<T>`](Thread): a thread that returns a value, whose panic is a value too, that can be
//!   joined for a while ([`join_timeout`](Thread::join_timeout)), and that the process waits for
//!   unless it is a [daemon](ThreadBuilder::daemon).
//! * [`ThreadPoolExecutor`]: a bounded number of threads that run closures and hand out
//!   [`Future`]s, with a queue that can hold submitters back, cancellation of what has not started,
//!   and a [shutdown](ThreadPoolExecutor::shutdown) that says what is left.
//!   [`map`](ThreadPoolExecutor::map) runs one function over many items, lazily. A
//!   [`TaskSet`] has tasks that bring about further tasks.
//! * [`wait()`] and [`as_completed`], for many futures at once. A future can also be `.await`ed, on
//!   any runtime, and [`submit_async`](ThreadPoolExecutor::submit_async) waits for room in a
//!   bounded queue without blocking a thread.
//! * [`ThreadPoolExecutor::scope`]: tasks that borrow. [`ThreadPoolExecutor::task`]: a priority, a
//!   time limit, a token to stop it with ([`CancelToken`]) for a single task.
//! * [`Semaphore`] and [`Event`], which std lacks.
//! * [`before_task`](ThreadPoolExecutorBuilder::before_task) and
//!   [`after_task`](ThreadPoolExecutorBuilder::after_task): hooks that are told of each task's
//!   name, waiting time, running time and panic.
//! * [`Stats::advice`]: whether the tasks waited or computed, measured, and so whether more workers
//!   would help.
//!
//! In `Cargo.toml`, as long as it is not published, with the path of a copy:
//!
//! ```toml
//! [dependencies]
//! silkmill = { path = "../silkmill/crates/silkmill" }
//! ```
//!
//! ```
//! use silkmill::{Thread, ThreadPoolExecutor, as_completed};
//!
//! // One thread with a result.
//! let thread = Thread::spawn(|| 20 + 5);
//! assert_eq!(thread.join()?, 25);
//!
//! // Many tasks on a few threads, read as they finish.
//! let pool = ThreadPoolExecutor::builder().max_workers(4).thread_name_prefix("square").build()?;
//! let futures: Vec<_> = (1..=4u64).map(|n| pool.submit(move || n * n)).collect();
//! let mut sum = 0;
//! for done in as_completed(futures) {
//!     sum += done.result()?;
//! }
//! assert_eq!(sum, 30);
//!
//! // One function over many items, in order; a panic is one item's result.
//! let half = |n: i32| if n % 2 == 0 { n / 2 } else { panic!("{n} is odd") };
//! let halves: Vec<_> = pool.map([4, 3], half).collect();
//! assert_eq!(halves[0].as_ref().unwrap(), &2);
//! assert_eq!(halves[1].as_ref().unwrap_err().message(), "3 is odd");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Pages
//!
//! * [The end of the process](docs::exits): what it waits for.
//! * [Signals](docs::signals): the handler for ^C to write.
//! * [`panic = "abort"`](docs::aborts): what is left then.
//! * [Forks](docs::forks): what a child may use.
//!
//! # Map
//!
//! A folder belongs to the file of the same name, and imports run from the top down.
//!
//! | files | what they hold |
//! |---|---|
//! | `executor.rs`, `executor/` | what callers hold: executor, options, futures, maps, scopes |
//! | `pool.rs`, `pool/` | the inside: queue, workers, wake protocol, statistics |
//! | `thread.rs`, `thread/` | threads that return values, their registry, the end of the process |
//! | `task.rs`, `task/` | one closure and its result, the only `unsafe`; its listeners |
//! | `cancel.rs`, `error.rs`, `error/` | tokens that ask work to stop; why a task has no value |
//! | `sync.rs`, `sync/` | std's locks or loom's; parkers, spins, semaphores, events |
//! | `unwind.rs` | where panics are stopped, and where they happened |
//! | `docs.rs` | the pages above |
//!
//! # What it does not do
//!
//! Work that computes is rayon's; connections by the ten thousand are an async runtime's. Locks are
//! std's: `Mutex`, `RwLock`, `Condvar` and `Barrier` need no wrapper.
//!
//! # Panics
//!
//! A closure that panics ends its own task with a [`TaskError`] and nothing else: the worker lives,
//! and callbacks and drops that panic are caught as well. std prints the panic's message as always.

#![deny(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cancel;
#[cfg(any(doc, doctest))]
pub mod docs;
mod error;
mod executor;
mod pool;
mod sync;
mod task;
mod thread;
mod unwind;

pub use crate::cancel::CancelToken;
pub use crate::error::try_map::TryMapError;
pub use crate::error::try_submit::TrySubmitError;
pub use crate::error::{BuildError, SpawnError, TaskError, TaskErrorKind, TimedOut};
pub use crate::executor::builder::ThreadPoolExecutorBuilder;
pub use crate::executor::future::Future;
pub use crate::executor::map::Map;
pub use crate::executor::map_unordered::MapUnordered;
pub use crate::executor::scope::{Scope, ScopeTaskOptions};
pub use crate::executor::submit_async::SubmitAsync;
pub use crate::executor::task_options::TaskOptions;
pub use crate::executor::task_set::TaskSet;
pub use crate::executor::wait::{
    AsCompleted, Awaited, ReturnWhen, Waited, as_completed, join_all, wait,
};
pub use crate::executor::{ShutdownReport, ThreadPoolExecutor};
pub use crate::pool::advice::{Advice, Measured, Verdict};
pub use crate::pool::priority::Priority;
pub use crate::pool::stats::{RunningTask, Stats};
pub use crate::sync::event::Event;
pub use crate::sync::semaphore::{OwnedPermit, Permit, Semaphore};
pub use crate::task::hooks::{TaskEnd, TaskStart};
pub use crate::thread::exit::{AtExit, exit};
pub use crate::thread::fork::{ForkGuard, fork_guard};
pub use crate::thread::registry::{ThreadInfo, active_count, current, threads};
pub use crate::thread::start::ThreadStart;
pub use crate::thread::{Builder, Thread, ThreadBuilder};

/// What most programs use, to be imported at once.
///
/// It has no [`Future`], which would hide std's trait of that name.
///
/// ```
/// use silkmill::prelude::*;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
/// let futures = [pool.submit(|| 1), pool.submit(|| 2)];
/// assert_eq!(join_all(futures)?, [1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub mod prelude {
    pub use crate::{
        CancelToken, Event, Priority, ReturnWhen, Semaphore, TaskError, Thread, ThreadPoolExecutor,
        as_completed, join_all, wait,
    };
}
