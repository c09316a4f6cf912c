//! Runs the user's code where its panic must not go further: callbacks, wakers, and the drops of closures and results.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::location;

/// Runs `f`, and makes nothing of a panic: std has printed its message.
pub(crate) fn caught(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        location::forget();
        dispose(payload);
    }
}

/// Drops a panic's payload, whose own drop may panic as well, with a payload that had better not be dropped at all.
fn dispose(payload: Box<dyn Any + Send>) {
    if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(worse);
    }
}
