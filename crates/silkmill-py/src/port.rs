//! Where the ends of many futures arrive, for the thread that waits for them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::sleep::{Sleeper, lock};

/// What ends a `wait` before all are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    All,
    First,
    FirstException,
}

/// Hears of the ends of many futures.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) until: Until,
    /// How many of the futures are still open. It may go below zero for an instant, while they are
    /// being counted.
    pub(crate) open: isize,
    /// The ends in their order, as addresses of futures that the reader keeps alive. Of use for
    /// `as_completed` alone.
    pub(crate) ended: VecDeque<usize>,
    pub(crate) keeps_order: bool,
    pub(crate) sleeper: Option<Arc<Sleeper>>,
}

impl Port {
    pub(crate) fn new(until: Until, keeps_order: bool) -> Arc<Self> {
        let inner = Inner { until, open: 0, ended: VecDeque::new(), keeps_order, sleeper: None };
        Arc::new(Self { inner: Mutex::new(inner) })
    }

    /// Notes that the future at `address` is settled, and wakes the reader if that is what it waits
    /// for.
    pub(crate) fn push(&self, address: usize, failed: bool) {
        let sleeper = {
            let mut inner = lock(&self.inner);
            inner.open -= 1;
            if inner.keeps_order {
                inner.ended.push_back(address);
            }
            let is_enough = match inner.until {
                Until::First => true,
                Until::FirstException => failed || inner.open <= 0,
                Until::All => inner.open <= 0,
            };
            if is_enough { inner.sleeper.take() } else { None }
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }
}
