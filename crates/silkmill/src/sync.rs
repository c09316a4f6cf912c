//! The locks of this crate: std's, or loom's when the models are checked. The folder has what is
//! built of them.
//!
//! Poisoning is ignored on purpose. No lock here is held while a task, a callback or any other code
//! of the user runs, so only a bug of this crate can poison a lock, and its data is whole even
//! then.

pub(crate) mod blocking;
pub(crate) mod event;
#[cfg(all(test, loom))]
mod models;
pub(crate) mod parker;
pub(crate) mod semaphore;
pub(crate) mod spin;

#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;
#[cfg(loom)]
pub(crate) use loom::hint::spin_loop;
#[cfg(loom)]
use loom::sync as imp;
#[cfg(not(loom))]
pub(crate) use std::hint::spin_loop;
#[cfg(not(loom))]
use std::sync as imp;
use std::time::{Duration, Instant};

pub(crate) use imp::{MutexGuard, atomic};

/// std's cell with loom's interface, so that loom sees which thread reads and which writes.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// A mutex whose guard needs no `unwrap`.
#[derive(Debug)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

/// Makes a constructor `const`, except under loom, whose locks are made at run time.
macro_rules! const_unless_loom {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($arguments:tt)*) -> $result:ty $body:block) => {
        $(#[$attribute])*
        #[cfg(not(loom))]
        $visibility const fn $name($($arguments)*) -> $result $body

        $(#[$attribute])*
        #[cfg(loom)]
        $visibility fn $name($($arguments)*) -> $result $body
    };
}
pub(crate) use const_unless_loom;

impl<T> Mutex<T> {
    const_unless_loom! {
        pub(crate) fn new(value: T) -> Self {
            Mutex(imp::Mutex::new(value))
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

/// A condition variable that waits until a deadline, or for ever.
#[derive(Debug)]
pub(crate) struct Condvar(imp::Condvar);

impl Condvar {
    const_unless_loom! {
        pub(crate) fn new() -> Self {
            Condvar(imp::Condvar::new())
        }
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits once. The caller checks its condition and the clock again.
    pub(crate) fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Deadline,
    ) -> MutexGuard<'a, T> {
        match deadline.remaining() {
            None => self.wait(guard),
            Some(remaining) => {
                let waited = self.0.wait_timeout(guard, remaining);
                waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
            }
        }
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// The moment to give up at, or none. `Duration::MAX` and everything the clock cannot express mean
/// none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) const NEVER: Deadline = Deadline(None);

    /// Makes a deadline that has passed by the time it is checked.
    #[cfg(all(test, loom))]
    pub(crate) fn passed() -> Self {
        Deadline(Some(Instant::now()))
    }

    pub(crate) fn after(timeout: Duration) -> Self {
        Deadline(Instant::now().checked_add(timeout))
    }

    /// Returns the sooner of this deadline and `at`; `None` means never.
    pub(crate) fn or_sooner(self, at: Option<Instant>) -> Self {
        Deadline(self.0.into_iter().chain(at).min())
    }

    /// Returns the time that remains; `None` means for ever.
    fn remaining(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Returns the moment; `None` means never.
    pub(crate) fn at(self) -> Option<Instant> {
        self.0
    }

    /// Returns the earlier of the two.
    pub(crate) fn min(self, other: Deadline) -> Deadline {
        match (self.0, other.0) {
            (Some(at), Some(other)) => Deadline(Some(at.min(other))),
            (at, other) => Deadline(at.or(other)),
        }
    }

    pub(crate) fn is_never(self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn has_passed(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }
}

impl From<Option<Duration>> for Deadline {
    fn from(timeout: Option<Duration>) -> Self {
        timeout.map_or(Deadline::NEVER, Deadline::after)
    }
}
