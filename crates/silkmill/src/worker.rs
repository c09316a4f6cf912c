//! The worker loop, and what a worker knows of itself.

use std::cell::RefCell;
use std::sync::Arc;

use crate::executor::{Core, Seat};
use crate::future::Future;

thread_local! {
    /// The pool this thread works for. Set once, before the first task.
    static POOL: RefCell<Option<(Arc<Core>, Arc<Seat>)>> = const { RefCell::new(None) };
}

/// Works for `core` until there is nothing left to do and nothing more to come.
pub(crate) fn work(core: Arc<Core>, seat: Arc<Seat>) {
    POOL.set(Some((Arc::clone(&core), Arc::clone(&seat))));
    while let Some(task) = core.queue.pop() {
        core.run_claimed(&*task, &seat, &mut |_| core.queue.mark_free());
        core.let_go(task);
    }
    // The next thing this thread drops may be the pool's last handle; it must not wait for itself.
    POOL.set(None);
}

/// Whether the calling thread works for `core`.
pub(crate) fn is_of(core: &Arc<Core>) -> bool {
    with_pool(|own, _| Arc::ptr_eq(own, core)).unwrap_or(false)
}

/// The seat of the calling thread, if it works for a pool.
pub(crate) fn with_pool<R>(f: impl FnOnce(&Arc<Core>, &Arc<Seat>) -> R) -> Option<R> {
    POOL.try_with(|pool| pool.borrow().as_ref().map(|(core, seat)| f(core, seat))).ok().flatten()
}

/// Runs `wait`, which blocks until one of `futures` is done. If the calling thread works for the pool of one of them,
/// the pool may start another worker meanwhile: else its workers could all end up waiting for what none is left to run.
pub(crate) fn while_blocked_on<'a, T: Send + 'static, R>(
    futures: impl IntoIterator<Item = &'a Future<T>>,
    wait: impl FnOnce() -> R,
) -> R {
    let own = with_pool(|own, _| Arc::clone(own));
    let Some(own) = own else { return wait() };
    if !futures.into_iter().any(|future| Arc::ptr_eq(future.core(), &own)) {
        return wait();
    }
    own.block();
    let waited = wait();
    own.queue.unblock();
    waited
}
