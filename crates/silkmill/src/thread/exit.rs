//! The end of the process: what it waits for, and how a program ends it sooner.
//!
//! `main` that returns, `main` that returns an error, and [`std::process::exit`] all end in C's
//! `exit`, which calls the functions given to `atexit`; std has no such hook. A process that is
//! killed or aborts does not wait. `Builder::daemon` tells what happens when a thread of this crate
//! calls `exit` itself.
//!
//! # Pools at the end
//!
//! A pool is drained together with all others, because their tasks may submit to each other: all
//! are closed to the rest of the program, and each takes what a task of any of them submits
//! ([`may_submit_at_exit`]). A pass looks at all threads and pools and waits for each. When a pass
//! has found them all at rest, and no pool has taken a task since it began, no task is left that
//! could submit one.
//!
//! # Two ends at once
//!
//! std lets one thread end the process and parks every other that tries. So [`exit`] waits before
//! it calls `process::exit`; and where that would park it, because `main` has returned, or because
//! another call of [`exit`] waits already, it ends the process by `_exit`.

use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::time::Duration;

use crate::sync::Deadline;
use crate::thread::registry;

/// What the end of the process does with a pool that was not shut down: when `main` returns, and
/// when the program calls [`std::process::exit`]. [`exit`](crate::exit()) cancels whatever this
/// says.
///
/// ```
/// use silkmill::{AtExit, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::builder().at_exit(AtExit::CancelQueue).build()?;
/// # drop(pool);
/// # Ok::<(), silkmill::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtExit {
    /// Runs what is queued, and what running tasks submit, and waits for all of it.
    #[default]
    RunQueue,
    /// Cancels what is queued, asks running tasks to stop, and waits for them.
    CancelQueue,
    /// Waits for nothing: tasks end with the process, in the middle of what they do.
    Abandon,
}

/// A pool, which the end of the process shuts down and waits for.
pub(crate) trait PoolAtExit: Send + Sync {
    /// Closes the pool, as it was told to end with the process.
    fn close_at_exit(&self);

    /// Closes the pool, cancels what is queued, and asks running tasks to stop.
    fn cancel_at_exit(&self);

    /// Waits until the pool has at most `left` workers, unless it is not waited for any more.
    /// Returns false when the deadline came first.
    fn wait_at_exit(&self, left: usize, deadline: Deadline) -> bool;

    /// Returns whether the calling thread works for this pool.
    fn is_own(&self) -> bool;

    /// Returns whether the pool belongs to this process, and not to one that has forked it.
    fn is_here(&self) -> bool;

    /// Returns whether the pool has workers, and the number of tasks that it has taken so far.
    fn activity(&self) -> (bool, u64);
}

/// The pools that the process waits for, some of which may be gone. Process-wide, because a process
/// has one end. Written by every pool that starts its first worker, read at exit.
static POOLS: Mutex<Vec<Weak<dyn PoolAtExit>>> = Mutex::new(Vec::new());

/// The process that is to wait. A forked child has another number, this memory, and none of the
/// threads in it; it waits once it has threads of its own. It orders nothing.
static WAITING_PROCESS: AtomicU32 = AtomicU32::new(0);

/// Set once the end of the process drains the pools. Written by the ending thread before it closes
/// the first pool, whose lock orders it for submitters that find the pool closed.
static DRAINS: AtomicBool = AtomicBool::new(false);

/// The number of calls of [`exit`]. It orders nothing.
static EXIT_CALLS: AtomicU32 = AtomicU32::new(0);

/// Who ends the process. Written by the ending thread and by [`exit`].
static END: Mutex<End> = Mutex::new(End::NotBegun);

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    NotBegun,
    /// C's `exit` has called [`at_exit`], which waits. std parks every other thread that exits.
    Waits,
    /// [`exit`] has waited, and calls C's `exit`.
    HasWaited,
}

/// Makes the end of the process wait. Calling it again costs next to nothing.
pub(crate) fn join_threads_at_exit() {
    static ONCE: Once = Once::new();
    WAITING_PROCESS.store(process::id(), Ordering::Relaxed);
    ONCE.call_once(|| {
        #[expect(unsafe_code, reason = "std offers no hook at the end of the process")]
        // SAFETY: `atexit` may be called from any thread at any time, and `at_exit` has the type it
        // wants. It does not unwind: a panic in an `extern "C"` function aborts.
        let refused = unsafe { libc::atexit(at_exit) };
        // C promises room for 32 functions and Linux for as many as memory holds. Without room,
        // non-daemon threads end with `main`, as std's do; no caller could be told.
        debug_assert_eq!(refused, 0, "atexit has room for one more function");
    });
}

/// Makes the end of the process wait for this pool.
pub(crate) fn shut_down_at_exit(pool: Weak<dyn PoolAtExit>) {
    join_threads_at_exit();
    let mut pools = pools();
    pools.retain(|pool| pool.strong_count() > 0);
    pools.push(pool);
}

fn pools() -> MutexGuard<'static, Vec<Weak<dyn PoolAtExit>>> {
    POOLS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn living_pools() -> Vec<Arc<dyn PoolAtExit>> {
    let living: Vec<_> = pools().iter().filter_map(Weak::upgrade).collect();
    living.into_iter().filter(|pool| pool.is_here()).collect()
}

fn end() -> MutexGuard<'static, End> {
    END.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The locks of this file, held while the process forks.
pub(super) struct ExitLocks {
    end: MutexGuard<'static, End>,
    pools: MutexGuard<'static, Vec<Weak<dyn PoolAtExit>>>,
}

pub(super) fn lock() -> ExitLocks {
    ExitLocks { end: end(), pools: pools() }
}

impl ExitLocks {
    /// Begins anew, in a child.
    pub(super) fn forget_parent(mut self) {
        *self.end = End::NotBegun;
        DRAINS.store(false, Ordering::Relaxed);
        EXIT_CALLS.store(0, Ordering::Relaxed);
        // Weak references, so no pool is dropped here.
        self.pools.clear();
    }
}

/// Returns whether a pool that the end of the process has closed takes a task from the calling
/// thread: one that the process waits for. `is_waited_for` tells that of a worker.
pub(crate) fn may_submit_at_exit(is_waited_for: impl FnOnce() -> Option<bool>) -> bool {
    DRAINS.load(Ordering::Relaxed)
        && is_waited_for().unwrap_or_else(registry::is_ours_and_no_daemon)
}

extern "C" fn at_exit() {
    if WAITING_PROCESS.load(Ordering::Relaxed) != process::id() || registry::is_ours() {
        return;
    }
    {
        let mut end = end();
        if *end == End::HasWaited {
            return;
        }
        *end = End::Waits;
    }
    DRAINS.store(true, Ordering::Relaxed);
    // Threads may use pools, and what pools run may start threads and pools.
    while !drain_once() {}
    // The thread in `exit` ends the process, with its own code, as soon as it sees this too.
    if EXIT_CALLS.load(Ordering::Relaxed) > 0 {
        std::thread::park_timeout(LAST_WORD_MAX);
    }
}

/// The time for which a process that has nothing left to wait for leaves the last word to a thread
/// that called [`exit`], which is about to end it.
const LAST_WORD_MAX: Duration = Duration::from_secs(1);

/// Waits for every thread that is no daemon, and for every pool. Returns whether all were at rest
/// the whole time.
fn drain_once() -> bool {
    let activity = |pools: &[Arc<dyn PoolAtExit>]| {
        let each = pools.iter().map(|pool| pool.activity());
        each.fold((false, 0_u64), |all, one| (all.0 | one.0, all.1.wrapping_add(one.1)))
    };
    let had_threads = registry::has_non_daemons();
    registry::join_non_daemons(Deadline::NEVER);
    let pools = living_pools();
    pools.iter().for_each(|pool| pool.close_at_exit());
    let (had_workers, taken) = activity(&pools);
    for pool in &pools {
        pool.wait_at_exit(0, Deadline::NEVER);
    }
    let more = living_pools().len() > pools.len();
    !had_threads && !had_workers && !more && activity(&pools).1 == taken
}

/// Ends the process with `code`, soon: cancels what every pool has queued, asks running tasks to
/// stop (see [`CancelToken::current`](crate::CancelToken::current)), waits for them and for threads
/// that are no daemons, for at most `within`, and exits. A second call ends the process at once,
/// whatever the first waits for.
///
/// This is for handlers of signals, and for errors after which the program cannot go on.
/// [`std::process::exit`] runs all that is queued first, however long that takes, and a second call
/// of it does nothing. Call it on a thread of its own that waits for the signal, as the crates
/// `signal-hook` and `ctrlc` have it, and never in the signal handler itself, where nothing may
/// lock or allocate. It may also be called after `main` has returned, and by a task, which does not
/// wait for itself.
///
/// ```no_run
/// # fn wait_for_interrupt() {}
/// use std::time::Duration;
/// use silkmill::Thread;
///
/// let handler = Thread::builder().name("interrupt").daemon(true).spawn(|| {
///     loop {
///         wait_for_interrupt();
///         // On a thread each, so that a second ^C finds this one waiting for the next signal.
///         std::thread::spawn(|| silkmill::exit(130, Duration::from_secs(2)));
///     }
/// })?;
/// # Ok::<(), silkmill::SpawnError>(())
/// ```
///
/// The example `exit_on_interrupt` is a whole program.
pub fn exit(code: i32, within: Duration) -> ! {
    if EXIT_CALLS.fetch_add(1, Ordering::Relaxed) > 0 {
        exit_at_once(code);
    }
    let deadline = Deadline::after(within);
    let pools = living_pools();
    // Callbacks of cancelled tasks and drops of their closures are the user's code, and may take
    // longer than there is time.
    let cancelling = {
        let pools = pools.clone();
        let cancel = move || pools.iter().for_each(|pool| pool.cancel_at_exit());
        std::thread::Builder::new().name("exit".to_owned()).spawn(cancel)
    };
    if cancelling.is_err() {
        pools.iter().for_each(|pool| pool.cancel_at_exit());
    }
    // A worker that exits does not wait for itself.
    let in_time = pools.iter().all(|pool| pool.wait_at_exit(pool.is_own().into(), deadline));
    if in_time {
        registry::join_non_daemons(deadline);
    }
    let mut end = end();
    if *end == End::Waits {
        exit_at_once(code);
    }
    *end = End::HasWaited;
    drop(end);
    process::exit(code)
}

/// Ends the process without a look at anything.
fn exit_at_once(code: i32) -> ! {
    #[expect(unsafe_code, reason = "std parks a thread that exits while another does")]
    // SAFETY: `_exit` may be called from any thread at any time, and does not return.
    unsafe {
        libc::_exit(code)
    }
}
