//! A mutex whose guard needs no `unwrap`.
//!
//! Poisoning is ignored on purpose. What the locks of this crate guard is complete after every
//! statement, so a panic under one of them leaves nothing half done.

use std::sync::{self, MutexGuard, PoisonError};

/// A mutex that other threads can use after one of them has panicked.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
