//! The executor beside its peers, one round of everything: `cargo xtask bench executor` runs several and takes medians.
//!
//! Each line of output is a case, a contender and its nanoseconds a task, parted by tabs. Every contender does the same
//! whole job: hand a closure over, run it on another thread, hand its value back.

use std::hint::black_box;
use std::sync::mpsc;
use std::time::Instant;

/// Tasks of the case that submits all and then reads all.
const TASKS: u32 = 200_000;

/// Workers of that case.
const WORKERS: usize = 8;

/// Round trips of the case that submits one and reads it.
const ROUND_TRIPS: u32 = 20_000;

/// A pool, reduced to what is compared.
trait Pool {
    /// Runs `n -> n + 1` for every `n` below `tasks`; all are submitted before the first result is read.
    fn batch(&self, tasks: u32) -> u64;

    /// The same, one at a time.
    fn one(&self, n: u32) -> u32;
}

struct Silkmill(silkmill::ThreadPoolExecutor);

impl Pool for Silkmill {
    fn batch(&self, tasks: u32) -> u64 {
        let futures: Vec<_> = (0..tasks).map(|n| self.0.submit(move || n + 1)).collect();
        futures.into_iter().map(|future| u64::from(future.result().expect("it adds"))).sum()
    }

    fn one(&self, n: u32) -> u32 {
        self.0.submit(move || n + 1).result().expect("it adds")
    }
}

struct Rayon(rayon_core::ThreadPool);

impl Rayon {
    fn submit(&self, n: u32) -> oneshot::Receiver<u32> {
        let (sender, receiver) = oneshot::channel();
        self.0.spawn(move || sender.send(n + 1).unwrap_or_default());
        receiver
    }
}

impl Pool for Rayon {
    fn batch(&self, tasks: u32) -> u64 {
        let receivers: Vec<_> = (0..tasks).map(|n| self.submit(n)).collect();
        receivers.into_iter().map(|receiver| u64::from(receiver.recv().expect("it adds"))).sum()
    }

    fn one(&self, n: u32) -> u32 {
        self.submit(n).recv().expect("it adds")
    }
}

struct Threadpool(threadpool::ThreadPool);

impl Threadpool {
    fn submit(&self, n: u32) -> mpsc::Receiver<u32> {
        let (sender, receiver) = mpsc::channel();
        self.0.execute(move || sender.send(n + 1).unwrap_or_default());
        receiver
    }
}

impl Pool for Threadpool {
    fn batch(&self, tasks: u32) -> u64 {
        let receivers: Vec<_> = (0..tasks).map(|n| self.submit(n)).collect();
        receivers.into_iter().map(|receiver| u64::from(receiver.recv().expect("it adds"))).sum()
    }

    fn one(&self, n: u32) -> u32 {
        self.submit(n).recv().expect("it adds")
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// What people write by hand: threads that read closures from a channel.
struct Crossbeam {
    jobs: Option<crossbeam_channel::Sender<Job>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Crossbeam {
    fn new(workers: usize) -> Self {
        let (jobs, receiver) = crossbeam_channel::unbounded::<Job>();
        let work = |receiver: crossbeam_channel::Receiver<Job>| {
            move || receiver.iter().for_each(|job| job())
        };
        let threads = (0..workers).map(|_| std::thread::spawn(work(receiver.clone()))).collect();
        Crossbeam { jobs: Some(jobs), threads }
    }

    fn submit(&self, n: u32) -> oneshot::Receiver<u32> {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || sender.send(n + 1).unwrap_or_default());
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).expect("the pool is open");
        receiver
    }
}

impl Drop for Crossbeam {
    fn drop(&mut self) {
        self.jobs = None;
        self.threads.drain(..).for_each(|thread| thread.join().expect("a worker does not panic"));
    }
}

impl Pool for Crossbeam {
    fn batch(&self, tasks: u32) -> u64 {
        let receivers: Vec<_> = (0..tasks).map(|n| self.submit(n)).collect();
        receivers.into_iter().map(|receiver| u64::from(receiver.recv().expect("it adds"))).sum()
    }

    fn one(&self, n: u32) -> u32 {
        self.submit(n).recv().expect("it adds")
    }
}

fn contenders() -> Vec<(&'static str, Box<dyn Pool>)> {
    let silkmill = silkmill::ThreadPoolExecutor::builder().max_workers(WORKERS).build();
    let rayon = rayon_core::ThreadPoolBuilder::new().num_threads(WORKERS).build();
    vec![
        ("silkmill", Box::new(Silkmill(silkmill.expect("eight workers are some")))),
        ("rayon spawn + oneshot", Box::new(Rayon(rayon.expect("eight threads can be had")))),
        ("threadpool + mpsc", Box::new(Threadpool(threadpool::ThreadPool::new(WORKERS)))),
        ("crossbeam-channel + oneshot", Box::new(Crossbeam::new(WORKERS))),
    ]
}

fn main() {
    for (name, pool) in contenders() {
        // The first tasks start the threads.
        black_box(pool.batch(1_000));
        let started = Instant::now();
        assert_eq!(pool.batch(TASKS), (1..=u64::from(TASKS)).sum());
        println!("batch\t{name}\t{}", started.elapsed().as_nanos() / u128::from(TASKS));
        let started = Instant::now();
        for n in 0..ROUND_TRIPS {
            assert_eq!(pool.one(n), n + 1);
        }
        println!("round-trip\t{name}\t{}", started.elapsed().as_nanos() / u128::from(ROUND_TRIPS));
    }
}
