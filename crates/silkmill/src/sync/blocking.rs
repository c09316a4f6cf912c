//! What a thread does around its blocking waits: a worker whose pool has a wait hook lets a lock go
//! meanwhile that others need.
//!
//! A wait runs inside of the hook as a whole, with the locks of this crate that it takes: so none
//! is held when the hook takes its own lock again.

use std::cell::RefCell;
use std::sync::Arc;

use crate::unwind::caught;

/// Calls the closure it is given, which blocks, once.
pub(crate) type WaitHook = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

thread_local! {
    /// The hook of this thread's pool. Taken out while it runs, so a wait inside of a wait is one.
    static HOOK: RefCell<Option<WaitHook>> = const { RefCell::new(None) };
}

/// Sets the calling thread's hook. Returns the one before.
pub(crate) fn set_hook(hook: Option<WaitHook>) -> Option<WaitHook> {
    HOOK.try_with(|current| current.replace(hook)).ok().flatten()
}

/// Runs `wait`, which may block, inside of the calling thread's hook. A hook that panics or does
/// not call its closure changes nothing: the wait is needed.
pub(crate) fn blocking<R>(wait: impl FnOnce() -> R) -> R {
    let Some(hook) = set_hook(None) else { return wait() };
    let mut wait = Some(wait);
    let mut result = None;
    caught(|| {
        hook(&mut || {
            if let Some(wait) = wait.take() {
                result = Some(wait());
            }
        });
    });
    let result = result.or_else(|| wait.take().map(|wait| wait()));
    set_hook(Some(hook));
    result.expect("a wait that has begun does not panic")
}
