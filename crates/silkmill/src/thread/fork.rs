//! Processes that fork without `exec`: what a child may use, and what a program holds meanwhile.
//!
//! A child has all of its parent's memory and one of its threads. What this crate keeps of threads
//! and pools carries the number of its process, and is passed over in another. What is left are
//! locks: one that another thread holds at that moment stays locked in the child. A program that
//! forks takes a [`ForkGuard`] before, which holds the locks that all threads and pools share.

use std::fmt;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::thread::exit::{self, ExitLocks};
use crate::thread::registry::{self, RegistryLock};

/// The number of guarded forks between the first process and this one. Written by the only thread
/// of a child, before it does anything else.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The process that something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    process: u32,
    forks: u32,
}

impl Home {
    /// Returns the calling process.
    pub(crate) fn here() -> Self {
        Home { process: process::id(), forks: FORKS.load(Ordering::Relaxed) }
    }

    /// Returns false in a child. This costs a system call.
    pub(crate) fn is_here(self) -> bool {
        self.process == process::id()
    }

    /// Returns false in a child that was forked under a guard. This costs next to nothing.
    pub(crate) fn is_here_if_guarded(self) -> bool {
        self.forks == FORKS.load(Ordering::Relaxed)
    }
}

/// Held while a process forks without `exec`; [`fork_guard`] makes it.
///
/// It is dropped on both sides: in the parent nothing has changed, and in the child the crate is
/// made anew. There, the parent's threads and pools are no longer known: submitting to such a pool
/// is refused with [`Forked`](crate::TaskErrorKind::Forked), reading a result that was not there
/// yet and joining a thread are errors of that kind, and dropping or shutting down such a pool does
/// nothing. New threads and pools work, and the child waits for them when it ends.
///
/// ```
/// let guard = silkmill::fork_guard();
/// // Here the program forks.
/// drop(guard);
/// ```
///
/// A child that was forked without a guard behaves in the same way, except that it may hang on a
/// lock that another thread held, and that a task it submits to a pool of its parent is refused
/// only when its result is read.
#[must_use = "a guard that is not kept holds nothing"]
pub struct ForkGuard {
    parent: Home,
    locks: Option<(ExitLocks, RegistryLock)>,
}

/// Holds what threads share, so that the program can fork; it may not start or end threads, make
/// pools or drop them until it has dropped the guard. Waits for threads that are about to.
pub fn fork_guard() -> ForkGuard {
    // A thread that ends takes the registry's lock alone, and so does one that starts.
    let locks = (exit::lock(), registry::lock());
    ForkGuard { parent: Home::here(), locks: Some(locks) }
}

impl Drop for ForkGuard {
    fn drop(&mut self) {
        let Some((exit, registry)) = self.locks.take() else { return };
        if !self.parent.is_here() {
            FORKS.store(self.parent.forks.wrapping_add(1), Ordering::Relaxed);
            exit.forget_parent();
            registry.forget_parent();
        }
    }
}

impl fmt::Debug for ForkGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForkGuard")
    }
}
