//! The library from outside, as its users see it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod executor;
mod future;
mod map;
mod nested;
mod property;
mod shutdown;
mod thread;
mod wait;

use std::sync::mpsc::{Receiver, Sender, channel};

use silkmill::{Future, ThreadPoolExecutor};

fn pool(max_workers: usize) -> ThreadPoolExecutor {
    ThreadPoolExecutor::builder().max_workers(max_workers).build().unwrap()
}

/// A task that runs until its gate is opened.
struct Gate(Sender<()>);

impl Gate {
    fn open(self) {
        self.0.send(()).unwrap();
    }
}

fn gate() -> (Gate, Receiver<()>) {
    let (sender, receiver) = channel();
    (Gate(sender), receiver)
}

/// Keeps one worker of `pool` busy; returns once it is.
fn occupy(pool: &ThreadPoolExecutor) -> (Gate, Future<()>) {
    let (gate, opened) = gate();
    let (started, has_started) = channel();
    let future = pool.submit(move || {
        started.send(()).unwrap();
        opened.recv().unwrap();
    });
    has_started.recv().unwrap();
    (gate, future)
}
