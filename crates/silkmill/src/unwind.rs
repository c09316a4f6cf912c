//! Panics: where the user's may not go further, and where they happened.
//!
//! A caught panic does not say; only the panic hook is told. So the first thread or pool puts a
//! hook in front of the one there is, which notes the place for the panicking thread and then calls
//! that one. A program that sets its own hook later loses nothing but the location.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Runs `f`, and makes nothing of a panic: std has printed its message.
pub(crate) fn caught(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        forget_location();
        dispose(payload);
    }
}

/// Drops a panic's payload, whose own drop may panic as well, with a payload that had better not be
/// dropped at all.
fn dispose(payload: Box<dyn Any + Send>) {
    if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(worse);
    }
}

thread_local! {
    /// Of the last panic on this thread that nobody has asked for. Written by the hook, taken by
    /// whoever catches.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Puts the hook in place. Cheap to call again.
pub(crate) fn note_panics() {
    static ONCE: Once = Once::new();
    // A panicking thread may not change the hook. The next thread or pool will.
    if std::thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map(ToString::to_string);
            // A panic while the thread's locals are dropped has nowhere to be noted.
            let _ = LOCATION.try_with(|last| *last.borrow_mut() = place);
            before(info);
        }));
    });
}

/// Forgets a panic that somebody has caught.
pub(crate) fn forget_location() {
    take_location();
}

/// Where the calling thread has just panicked, as `file:line:column`.
pub(crate) fn take_location() -> Option<String> {
    LOCATION.try_with(|last| last.borrow_mut().take()).ok().flatten()
}
