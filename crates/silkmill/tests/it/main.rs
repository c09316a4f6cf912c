//! The library from outside, as its users see it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod event;
mod executor;
mod future;
mod lifecycle;
mod map;
mod nested;
mod options;
mod priority;
mod property;
mod scope;
mod semaphore;
mod shutdown;
mod submit_async;
mod thread;
mod wait;

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

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

/// A test that takes so long hangs.
const FAR_TOO_LONG: Duration = Duration::from_secs(60);

/// Waits until `is_true`, but not for ever.
fn patiently(what: &str, is_true: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_true() {
        assert!(since.elapsed() < FAR_TOO_LONG, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// The smallest async runtime: one future, one thread.
fn block_on<F: std::future::Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
