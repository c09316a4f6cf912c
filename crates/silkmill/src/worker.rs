//! The worker loop, and what a worker knows of itself.

use std::cell::RefCell;
use std::sync::Arc;

use crate::crew::{Crew, Seat};
use crate::future::Future;

thread_local! {
    /// The pool this thread works for. Set once, before the first task.
    static POOL: RefCell<Option<(Arc<Crew>, Arc<Seat>)>> = const { RefCell::new(None) };
}

/// Works for `crew` until there is nothing left to do and nothing more to come.
pub(crate) fn work(crew: Arc<Crew>, seat: Arc<Seat>) {
    POOL.set(Some((Arc::clone(&crew), Arc::clone(&seat))));
    while let Some(task) = crew.queue.pop() {
        crew.run_claimed(&*task, &seat, &mut |_| crew.queue.mark_free());
        crew.let_go(task);
    }
    // The next thing this thread drops may be the pool's last handle; it must not wait for itself.
    POOL.set(None);
}

/// Whether the calling thread works for `crew`.
pub(crate) fn is_of(crew: &Arc<Crew>) -> bool {
    with_pool(|own, _| Arc::ptr_eq(own, crew)).unwrap_or(false)
}

/// The seat of the calling thread, if it works for a pool.
pub(crate) fn with_pool<R>(f: impl FnOnce(&Arc<Crew>, &Arc<Seat>) -> R) -> Option<R> {
    POOL.try_with(|pool| pool.borrow().as_ref().map(|(crew, seat)| f(crew, seat))).ok().flatten()
}

/// Runs `wait`, which blocks until one of `futures` is done. If the calling thread works for the pool of one of them,
/// the pool may start another worker meanwhile: else its workers could all end up waiting for what none is left to run.
pub(crate) fn while_blocked_on<'a, T: Send + 'static, R>(
    futures: impl IntoIterator<Item = &'a Future<T>>,
    wait: impl FnOnce() -> R,
) -> R {
    let own = with_pool(|own, _| Arc::clone(own));
    let Some(own) = own else { return wait() };
    if !futures.into_iter().any(|future| Arc::ptr_eq(future.crew(), &own)) {
        return wait();
    }
    own.block();
    let waited = wait();
    own.queue.unblock();
    waited
}
