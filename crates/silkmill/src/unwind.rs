//! Panics of the user's code: stopping them where they must not go further, and noting where they
//! happened.
//!
//! A caught panic does not say where it happened; only the panic hook learns that. So the first
//! thread or pool puts a hook in front of the program's, which notes the location for the panicking
//! thread and then calls the program's. A program that sets its own hook later loses nothing but
//! the location.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

/// Runs `f`, and ignores its panic: std has printed the message.
pub(crate) fn caught(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        forget_location();
        dispose(payload);
    }
}

/// Drops a panic's payload. Its drop may panic as well, and the payload of that panic is leaked.
fn dispose(payload: Box<dyn Any + Send>) {
    if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(worse);
    }
}

thread_local! {
    /// Whether one of the two below may be there. Looked at once a task, which is cheap because it
    /// needs no drop at the thread's end.
    static IS_NOTED: Cell<bool> = const { Cell::new(false) };
    /// The location of the last panic on this thread. Written by the hook, taken by the code that
    /// catches the panic.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
    /// The name of the last task that panicked on this thread, likewise.
    static TASK: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// Puts the hook in place. Calling it again costs next to nothing.
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
            IS_NOTED.set(true);
            // A panic while the thread's locals are dropped has nowhere to be noted.
            let _ = LOCATION.try_with(|last| *last.borrow_mut() = place);
            before(info);
        }));
    });
}

/// Notes the name of the task that has just panicked on the calling thread.
pub(crate) fn note_task(name: Arc<str>) {
    IS_NOTED.set(true);
    let _ = TASK.try_with(|last| last.replace(Some(name)));
}

/// Returns the name of the task that has just panicked on the calling thread, if it has one.
pub(crate) fn take_task() -> Option<Arc<str>> {
    TASK.try_with(|last| last.take()).ok().flatten()
}

/// Forgets the location of a panic that was caught, and the name of the task.
#[inline]
pub(crate) fn forget_location() {
    if IS_NOTED.get() {
        forget_noted();
    }
}

#[cold]
fn forget_noted() {
    IS_NOTED.set(false);
    take_location();
    take_task();
}

/// Returns where the calling thread has just panicked, as `file:line:column`.
pub(crate) fn take_location() -> Option<String> {
    LOCATION.try_with(|last| last.borrow_mut().take()).ok().flatten()
}
