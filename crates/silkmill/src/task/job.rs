//! The closure that a task runs, alone or with a token and its submitter's context.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cancel::{CancelToken, CurrentToken};
use crate::error::NotStarted;
use crate::task::hooks;
use crate::task::name::Named;
use crate::unwind::caught;

/// What a task runs to get its result.
pub(crate) trait Job<T>: Send {
    /// Calls the closure, unless that must not be any more.
    ///
    /// # Errors
    /// Why the closure was not called: no panic, which a program may not be able to catch.
    fn run(self) -> Result<T, NotStarted>;
}

impl<F: FnOnce() -> T + Send, T> Job<T> for F {
    fn run(self) -> Result<T, NotStarted> {
        Ok(self())
    }
}

/// Calls the closure it is given with the submitter's context in place.
pub(crate) type ContextRunner = Box<dyn FnOnce(&mut dyn FnMut()) + Send>;

thread_local! {
    /// Whether this thread is inside of a submitter's context.
    static IN_CONTEXT: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether the calling thread is inside of a submitter's context.
pub(crate) fn is_in_context() -> bool {
    IN_CONTEXT.get()
}

/// Calls `f` in a context.
pub(crate) fn run_in(context: ContextRunner, f: &mut dyn FnMut()) {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            IN_CONTEXT.set(self.0);
        }
    }
    let _before = Before(IN_CONTEXT.replace(true));
    context(f);
}

/// A closure with the token and the context that it runs under. A type of its own so that a refused
/// submitter gets the closure back.
pub(crate) struct WithContext<F, L> {
    pub(crate) f: F,
    pub(crate) token: Option<CancelToken>,
    pub(crate) name: Option<Arc<str>>,
    /// How long the closure may run, after which its token is cancelled.
    pub(crate) run_timeout: Option<Duration>,
    pub(crate) context: Option<ContextRunner>,
    /// When it was submitted, in a pool with hooks.
    pub(crate) submitted: Option<Instant>,
    /// Goes when the closure does, because the limit is one of waiting.
    pub(crate) limit: Option<L>,
}

impl<F: FnOnce() -> T + Send, L: Send, T> Job<T> for WithContext<F, L> {
    fn run(self) -> Result<T, NotStarted> {
        let WithContext { f, token, name, run_timeout, context, submitted, limit } = self;
        drop(limit);
        let not_started = match &token {
            Some(token) if token.was_cancelled() => Some(NotStarted::Cancelled),
            Some(token) if token.is_overdue() => Some(NotStarted::TimedOut),
            _ => None,
        };
        if let Some(not_started) = not_started {
            // What they own is the user's, and so is the code that drops it.
            caught(|| drop(f));
            caught(|| drop(context));
            return Err(not_started);
        }
        // Without a token of its own the task has its pool's, which is the worker's current one.
        let token = match run_timeout {
            Some(timeout) => {
                Some(token.unwrap_or_else(CancelToken::current).child_with_timeout(timeout))
            }
            None => token,
        };
        let _own = token.map(CurrentToken::set_own);
        let _running = submitted.map(|submitted| hooks::begin(submitted, name.clone()));
        let _named = name.map(Named::begin);
        let Some(context) = context else { return Ok(f()) };
        let mut f = Some(f);
        let mut result = None;
        run_in(context, &mut || {
            if let Some(f) = f.take() {
                result = Some(f());
            }
        });
        Ok(result.expect("a context hook calls the closure that it is given"))
    }
}
