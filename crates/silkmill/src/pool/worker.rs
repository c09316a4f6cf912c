//! The worker loop, and what a worker knows of itself.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::cancel::CurrentToken;
use crate::pool::Crew;
use crate::pool::meter::Seat;
use crate::sync::Deadline;
use crate::sync::parker::Parker;
use crate::task::{Claim, TaskHandle};

/// How many tasks a worker may be in the middle of, each waiting for the next, before it lets another worker run the
/// next one. Each takes a piece of the worker's stack.
const ON_THE_SPOT_MAX: usize = 16;

thread_local! {
    /// The pool this thread works for. Set once, before the first task.
    static POOL: RefCell<Option<(Arc<Crew>, Arc<Seat>)>> = const { RefCell::new(None) };
    /// How many tasks this thread runs on the spot, each inside the one before.
    static ON_THE_SPOT: Cell<usize> = const { Cell::new(0) };
}

/// Works for `crew` until there is nothing left to do and nothing more to come.
pub(crate) fn work(crew: &Arc<Crew>, seat: &Arc<Seat>) {
    POOL.set(Some((Arc::clone(crew), Arc::clone(seat))));
    let current = CurrentToken::set(crew.token().clone());
    if crew.initialize() {
        crew.queue.started();
        let parker = Arc::new(Parker::new());
        let idle_deadline = || Deadline::after(crew.idle_timeout());
        while let Some(task) = crew.queue.pop(&parker, idle_deadline) {
            let mut next = Some(task);
            while let Some(task) = next {
                next = crew.run_popped(task, seat);
            }
        }
    }
    drop(current);
    // The next thing this thread drops may be the pool's last handle; it must not wait for itself.
    POOL.set(None);
}

/// Whether the calling thread works for `crew`.
pub(crate) fn is_of(crew: &Arc<Crew>) -> bool {
    with_pool(|own, _| Arc::ptr_eq(own, crew)).unwrap_or(false)
}

fn with_pool<R>(f: impl FnOnce(&Arc<Crew>, &Arc<Seat>) -> R) -> Option<R> {
    POOL.try_with(|pool| pool.borrow().as_ref().map(|(crew, seat)| f(crew, seat))).ok().flatten()
}

/// Runs the task here and now, if the calling thread works for `crew`, nobody has started the task, and the stack is not
/// too deep. Whoever is about to wait for the task does well to try this first.
pub(crate) fn runs_on_the_spot<T: Send>(crew: &Arc<Crew>, task: &TaskHandle<T>) -> bool {
    if !task.is_pending() {
        return false;
    }
    let own = with_pool(|own, seat| Arc::ptr_eq(own, crew).then(|| Arc::clone(seat))).flatten();
    let Some(seat) = own else { return false };
    // When no substitute may be had any more, depth is the lesser evil.
    if ON_THE_SPOT.get() >= ON_THE_SPOT_MAX && !crew.queue.substitutes_are_spent() {
        return false;
    }
    let Some(claimed) = task.claim(Claim::ToRun) else { return false };
    ON_THE_SPOT.set(ON_THE_SPOT.get() + 1);
    // The task has a token of its own or the pool's, not that of the one which waits for it.
    let current = CurrentToken::set(crew.token().clone());
    crew.run_on_the_spot(claimed, &seat);
    drop(current);
    ON_THE_SPOT.set(ON_THE_SPOT.get() - 1);
    true
}

/// Runs `wait`, which blocks until a task of one of `pools` is done. If the calling thread works for one of them,
/// that pool may start another worker meanwhile: else its workers could all end up waiting for what none is left to run.
pub(crate) fn while_blocked_on<'a, R>(
    pools: impl IntoIterator<Item = &'a Arc<Crew>>,
    wait: impl FnOnce() -> R,
) -> R {
    let own = with_pool(|own, _| Arc::clone(own));
    let Some(own) = own else { return wait() };
    if !pools.into_iter().any(|crew| Arc::ptr_eq(crew, &own)) {
        return wait();
    }
    blocked(&own, wait)
}

/// Blocks with `wait` until tasks of `crew` `are_done`. A worker of that pool may be replaced meanwhile, as in
/// [`while_blocked_on`]; once no substitute may be had any more, it first runs whatever is queued, for that may be what it
/// waits for.
pub(crate) fn wait_in(crew: &Arc<Crew>, are_done: impl Fn() -> bool, wait: impl FnOnce()) {
    let own = with_pool(|own, seat| Arc::ptr_eq(own, crew).then(|| Arc::clone(seat))).flatten();
    let Some(seat) = own else { return wait() };
    while crew.queue.substitutes_are_spent() && !are_done() {
        let current = CurrentToken::set(crew.token().clone());
        let helped = crew.helps(&seat);
        drop(current);
        if !helped {
            break;
        }
    }
    blocked(crew, wait);
}

fn blocked<R>(own: &Arc<Crew>, wait: impl FnOnce() -> R) -> R {
    own.start_workers(own.queue.block());
    let waited = wait();
    own.queue.unblock();
    waited
}
