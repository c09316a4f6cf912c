//! The contenders, reduced to what is compared: each takes a closure, runs it on another thread,
//! and hands its value back.
//!
//! A pool that has no handle for results gets the fastest that people add to it: a oneshot channel.

use std::num::NonZero;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use silkmill::{CancelToken, ThreadPoolExecutor};
use tokio::runtime::{Builder, Runtime};

/// How long an idle worker stays, where the pool lets us choose: longer than any case lasts.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// A pool with a fixed number of workers.
pub trait Pool: Sync {
    /// What a result is read from.
    type Handle<T: Send + 'static>: Send;

    fn new(workers: usize) -> Self;

    fn submit<T, F>(&self, f: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;

    fn read<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T;

    /// Keeps one worker busy until the other end of `gate` is dropped, or the pool asks it to stop.
    fn hold(&self, gate: mpsc::Receiver<()>) -> Self::Handle<()> {
        self.submit(move || gate.recv().unwrap_or_default())
    }
}

/// A pool that can drop what is queued.
pub trait Cancel: Pool {
    /// Cancels every task, lets the worker behind `gate` end, and waits until it has ended.
    fn cancel(self, handles: Vec<Self::Handle<usize>>, gate: mpsc::Sender<()>);
}

pub struct Silkmill(pub ThreadPoolExecutor);

impl Pool for Silkmill {
    type Handle<T: Send + 'static> = silkmill::Future<T>;

    fn new(workers: usize) -> Self {
        let pool = ThreadPoolExecutor::builder().max_workers(workers).idle_timeout(KEEP_ALIVE);
        Silkmill(pool.build().expect("there is at least one worker"))
    }

    fn submit<T, F>(&self, f: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.0.submit(f)
    }

    fn read<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T {
        handle.result().expect("no task fails")
    }

    fn hold(&self, gate: mpsc::Receiver<()>) -> Self::Handle<()> {
        self.submit(move || {
            let token = CancelToken::current();
            while gate.try_recv() == Err(mpsc::TryRecvError::Empty)
                && token.sleep(Duration::from_millis(50))
            {}
        })
    }
}

impl Cancel for Silkmill {
    fn cancel(self, handles: Vec<Self::Handle<usize>>, _gate: mpsc::Sender<()>) {
        self.0.shutdown_now();
        drop(handles);
    }
}

/// The method `rayon_core::ThreadPool::spawn`, with a oneshot channel for the result.
pub struct Rayon(pub rayon_core::ThreadPool);

impl Pool for Rayon {
    type Handle<T: Send + 'static> = oneshot::Receiver<T>;

    fn new(workers: usize) -> Self {
        let pool = rayon_core::ThreadPoolBuilder::new().num_threads(workers).build();
        Rayon(pool.expect("the threads can be had"))
    }

    fn submit<T, F>(&self, f: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.0.spawn(move || sender.send(f()).unwrap_or_default());
        receiver
    }

    fn read<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T {
        handle.recv().expect("no task fails")
    }
}

/// The crate `threadpool`, with a oneshot channel for the result: std's costs it several times as
/// much as its own work.
pub struct Threadpool(threadpool::ThreadPool);

impl Pool for Threadpool {
    type Handle<T: Send + 'static> = oneshot::Receiver<T>;

    fn new(workers: usize) -> Self {
        Threadpool(threadpool::ThreadPool::new(workers))
    }

    fn submit<T, F>(&self, f: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.0.execute(move || sender.send(f()).unwrap_or_default());
        receiver
    }

    fn read<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T {
        handle.recv().expect("no task fails")
    }
}

/// The crate `rusty_pool`, with its own handle.
pub struct RustyPool(rusty_pool::ThreadPool);

impl Pool for RustyPool {
    type Handle<T: Send + 'static> = rusty_pool::JoinHandle<T>;

    fn new(workers: usize) -> Self {
        RustyPool(rusty_pool::ThreadPool::new(workers, workers, KEEP_ALIVE))
    }

    fn submit<T, F>(&self, f: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.0.evaluate(f)
    }

    fn read<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T {
        handle.await_complete()
    }
}

/// The function `tokio::task::spawn_blocking`. Tokio's one async worker has nothing to do.
pub struct Tokio(Runtime);

impl Pool for Tokio {
    type Handle<T: Send + 'static> = tokio::task::JoinHandle<T>;

    fn new(workers: usize) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(workers)
            .thread_keep_alive(KEEP_ALIVE)
            .build();
        Tokio(runtime.expect("a thread can be had"))
    }

    fn submit<T, F>(&self, f: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.0.handle().spawn_blocking(f)
    }

    fn read<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T {
        self.0.handle().block_on(handle).expect("no task fails")
    }
}

impl Cancel for Tokio {
    fn cancel(self, handles: Vec<Self::Handle<usize>>, gate: mpsc::Sender<()>) {
        handles.iter().for_each(|handle| handle.abort());
        drop(gate);
        drop(self.0);
        drop(handles);
    }
}

/// The function `blocking::unblock`. Its pool belongs to the process and never ends.
pub struct Blocking;

impl Pool for Blocking {
    type Handle<T: Send + 'static> = blocking::Task<T>;

    fn new(workers: usize) -> Self {
        let workers = NonZero::new(workers).expect("there is at least one worker");
        blocking::set_max_blocking_threads(workers);
        Blocking
    }

    fn submit<T, F>(&self, f: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        blocking::unblock(f)
    }

    fn read<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T {
        pollster::block_on(handle)
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A pool as people write it by hand: threads that read closures from a channel.
pub struct Crossbeam {
    jobs: Option<crossbeam_channel::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool for Crossbeam {
    type Handle<T: Send + 'static> = oneshot::Receiver<T>;

    fn new(workers: usize) -> Self {
        let (jobs, receiver) = crossbeam_channel::unbounded::<Job>();
        let work = |receiver: crossbeam_channel::Receiver<Job>| {
            move || receiver.iter().for_each(|job| job())
        };
        let threads = (0..workers).map(|_| std::thread::spawn(work(receiver.clone()))).collect();
        Crossbeam { jobs: Some(jobs), threads }
    }

    fn submit<T, F>(&self, f: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || sender.send(f()).unwrap_or_default());
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).expect("the pool is open");
        receiver
    }

    fn read<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T {
        handle.recv().expect("no task fails")
    }
}

impl Drop for Crossbeam {
    fn drop(&mut self) {
        self.jobs = None;
        self.threads.drain(..).for_each(|thread| thread.join().expect("a worker does not panic"));
    }
}
