//! Lets tasks borrow, by waiting for them: this is what makes
//! [`into_scoped`](crate::task::NewTask::into_scoped) sound.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::sync::blocking::blocking;
use crate::sync::{Condvar, Mutex};

/// Counts the tasks of a scope that have not ended.
pub(crate) struct ScopeCounter {
    count: Mutex<Count>,
    zero: Condvar,
}

#[derive(Default)]
struct Count {
    tasks: usize,
    /// Set once the scope's own thread waits for zero. Before, none is notified, because that is a
    /// system call.
    is_awaited: bool,
}

impl ScopeCounter {
    pub(super) fn count_down(&self) {
        let mut count = self.count.lock();
        count.tasks -= 1;
        let notify = count.tasks == 0 && count.is_awaited;
        drop(count);
        if notify {
            self.zero.notify_all();
        }
    }

    /// Blocks until there are none.
    pub(crate) fn wait(&self) {
        if self.is_zero() {
            return;
        }
        blocking(|| {
            let mut count = self.count.lock();
            count.is_awaited = true;
            while count.tasks > 0 {
                count = self.zero.wait(count);
            }
        });
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.count.lock().tasks == 0
    }
}

/// Lets tasks borrow for `'scope`: code that has a latch is inside [`scoped`], which does not
/// return before they have all ended.
pub(crate) struct Latch<'scope, 'env: 'scope> {
    counter: Arc<ScopeCounter>,
    /// Invariant, so that no caller can make the scope longer or shorter.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl Latch<'_, '_> {
    /// Counts a task in. The thread that ends it counts it down.
    pub(super) fn count_up(&self) -> Arc<ScopeCounter> {
        self.counter.count.lock().tasks += 1;
        Arc::clone(&self.counter)
    }
}

impl Clone for Latch<'_, '_> {
    fn clone(&self) -> Self {
        Latch { counter: Arc::clone(&self.counter), scope: PhantomData, env: PhantomData }
    }
}

/// Runs `f` with a latch, waits until every task made with it has ended, at first with `wait`, and
/// returns what `f` did.
///
/// This is what makes it sound that [`NewTask::into_scoped`](crate::task::NewTask::into_scoped)
/// forgets what a task borrows. `f` must work for every `'scope`, so what a task borrows was there
/// before `f` began and is there after it. A closure and a result are dropped before the latch
/// counts the task out, save for a result that is read through the handle, which cannot leave `f`
/// either.
///
/// # Panics
/// When `f` does, once all tasks have ended.
pub(crate) fn scoped<'env, R>(
    f: impl for<'scope> FnOnce(Latch<'scope, 'env>) -> R,
    wait: impl FnOnce(&Arc<ScopeCounter>),
) -> R {
    let counter = Arc::new(ScopeCounter { count: Mutex::default(), zero: Condvar::new() });
    let latch = Latch { counter: Arc::clone(&counter), scope: PhantomData, env: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| f(latch)));
    let waited = catch_unwind(AssertUnwindSafe(|| wait(&counter)));
    counter.wait();
    match (result, waited) {
        (Ok(result), Ok(())) => result,
        (Err(payload), _) | (_, Err(payload)) => resume_unwind(payload),
    }
}
