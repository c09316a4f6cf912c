//! The end of the process waits for threads that are no daemons.
//!
//! `main` that returns, `main` that returns an error, and [`std::process::exit`] all end in C's
//! `exit`, which calls the functions given to `atexit`; std has no such hook. A process that is
//! killed or aborts does not wait. `Builder::daemon` tells what happens when a thread of this crate
//! calls `exit` itself.

use std::process;
use std::sync::{Mutex, OnceLock, PoisonError, Weak};

use crate::thread::registry;

/// A pool, which the end of the process shuts down and waits for.
pub(crate) trait AtExit: Send + Sync {
    fn shut_down_at_exit(&self);
}

/// The pools whose tasks the process waits for, some of which may be gone. Process-wide, because a
/// process has one end. Written by every pool that starts its first worker, read at exit.
static POOLS: Mutex<Vec<Weak<dyn AtExit>>> = Mutex::new(Vec::new());

/// The process that is to wait. A forked child has another number, this memory, and none of the
/// threads in it.
static WAITING_PROCESS: OnceLock<u32> = OnceLock::new();

/// Makes the end of the process wait. Calling it again costs next to nothing.
pub(crate) fn join_threads_at_exit() {
    WAITING_PROCESS.get_or_init(|| {
        #[expect(unsafe_code, reason = "std offers no hook at the end of the process")]
        // SAFETY: `atexit` may be called from any thread at any time, and `at_exit` has the type it
        // wants. It does not unwind: a panic in an `extern "C"` function aborts.
        let refused = unsafe { libc::atexit(at_exit) };
        // C promises room for 32 functions and Linux for as many as memory holds. Without room,
        // non-daemon threads end with `main`, as std's do; no caller could be told.
        debug_assert_eq!(refused, 0, "atexit has room for one more function");
        process::id()
    });
}

/// Makes the end of the process run what is queued in this pool, and wait for it.
pub(crate) fn shut_down_at_exit(pool: Weak<dyn AtExit>) {
    join_threads_at_exit();
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools.retain(|pool| pool.strong_count() > 0);
    pools.push(pool);
}

extern "C" fn at_exit() {
    if WAITING_PROCESS.get() != Some(&process::id()) || registry::is_ours() {
        return;
    }
    // Threads may use pools, and what pools run may start threads and pools.
    loop {
        registry::join_non_daemons();
        let pools = std::mem::take(&mut *POOLS.lock().unwrap_or_else(PoisonError::into_inner));
        if pools.is_empty() {
            return;
        }
        pools.iter().filter_map(Weak::upgrade).for_each(|pool| pool.shut_down_at_exit());
    }
}
