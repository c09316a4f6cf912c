//! A mutex whose guard needs no `unwrap`.
//!
//! Poisoning is ignored on purpose: what the locks of this crate guard is whole after every statement, so a panic
//! under one of them leaves nothing half done.

use std::sync::{self, MutexGuard, PoisonError};

/// std's mutex, which a panic of one thread does not take from the others.
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
