//! What the end of the process does with a pool; `thread::exit` decides when.

use std::sync::atomic::Ordering;

use crate::pool::{Pool, worker};
use crate::sync::Deadline;
use crate::thread::exit::{AtExit, PoolAtExit};

impl PoolAtExit for Pool {
    fn close_at_exit(&self) {
        if self.queue.is_open() {
            self.drains_at_exit.store(true, Ordering::Relaxed);
        }
        match self.config.at_exit {
            AtExit::CancelQueue => self.cancel_at_exit(),
            AtExit::RunQueue | AtExit::Abandon => self.close(),
        }
    }

    fn cancel_at_exit(&self) {
        self.cancel_all();
    }

    fn wait_at_exit(&self, left: usize, deadline: Deadline) -> bool {
        self.is_abandoned() || self.queue.wait_for_all_but(left, deadline)
    }

    fn is_own(&self) -> bool {
        worker::is_of(self)
    }

    fn is_here(&self) -> bool {
        self.home.is_here()
    }

    fn activity(&self) -> (bool, u64) {
        let snapshot = self.queue.snapshot();
        (snapshot.workers > 0 && !self.is_abandoned(), snapshot.submitted)
    }
}
