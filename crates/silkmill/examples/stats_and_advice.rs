//! Statistics, and the advice drawn from them, on loads of several kinds.
//!
//! Run it with `cargo run --release -p silkmill --example stats_and_advice`. With the argument
//! `all` it prints a table over many loads and numbers of workers, which takes half a minute.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use silkmill::{Advice, BuildError, ThreadPoolExecutor};

const NAP: Duration = Duration::from_millis(2);

fn sleepy() {
    std::thread::sleep(NAP);
}

fn computing() {
    let mut sum = 0u64;
    for n in 0..400_000u64 {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(n));
    }
}

fn mixed() {
    sleepy();
    computing();
}

fn locked() {
    static LOCK: Mutex<()> = Mutex::new(());
    let _guard = LOCK.lock();
    sleepy();
}

fn fsync() {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed) % 64;
    let path = std::env::temp_dir().join(format!("silkmill-{}-{number}", std::process::id()));
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&[b'x'; 4096])?;
        file.sync_all()
    });
    let removed = std::fs::remove_file(&path);
    black_box((written.is_ok(), removed.is_ok()));
}

fn tiny() {
    black_box(0);
}

/// Runs a load, and tells how many tasks a second that were, and what the pool says of it.
fn run(
    pool: &ThreadPoolExecutor,
    workers: usize,
    tasks: usize,
    task: impl Fn() + Send + Sync + 'static,
) -> Row {
    // Taken first, so that the advice compares this number of workers with the one before.
    let earlier = pool.stats();
    pool.set_max_workers(workers);
    let started = Instant::now();
    pool.map(0..tasks, move |_| task()).for_each(drop);
    let rate = tasks as f64 / started.elapsed().as_secs_f64();
    Row { rate, advice: pool.stats().advice_since(&earlier) }
}

struct Row {
    rate: f64,
    advice: Advice,
}

fn main() -> Result<(), BuildError> {
    let builder = ThreadPoolExecutor::builder().measure_cpu(true);
    if std::env::args().nth(1).is_none_or(|argument| argument != "all") {
        for (name, task) in [("naps", sleepy as fn()), ("sums", computing)] {
            let pool = builder.clone().max_workers(4).build()?;
            let Row { rate, advice } = run(&pool, 4, 200, task);
            println!("{name} on 4 workers: {rate:.0} a second; {advice}");
        }
        return Ok(());
    }
    let loads: [(&str, usize, fn()); 7] = [
        ("sleepy", 300, sleepy),
        ("computing", 600, computing),
        ("mixed", 300, mixed),
        ("locked", 200, locked),
        ("fsync", 200, fsync),
        ("tiny", 200_000, tiny),
        ("nested", 300, sleepy),
    ];
    for (name, tasks, task) in loads {
        let pool = Arc::new(builder.clone().max_workers(1).build()?);
        for workers in [1, 2, 8, 32] {
            let own = Arc::clone(&pool);
            let Row { rate, advice } = match name {
                // Each task waits for another of the same pool.
                "nested" => run(&pool, workers, tasks, move || drop(own.submit(task).result())),
                _ => run(&pool, workers, tasks, task),
            };
            println!("| {name} | {workers} | {rate:.0} | {advice} |");
        }
    }
    Ok(())
}
