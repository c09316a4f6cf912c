//! A pool: named workers, started when there are tasks for them, as many as allowed.

use std::time::{Duration, Instant};

use silkmill::{ThreadPoolExecutor, current};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder()
        .max_workers(10)
        .thread_name_prefix("sleeper")
        .queue_capacity(100)
        .build()?;
    let started = Instant::now();
    let futures: Vec<_> = (0..20)
        .map(|_| {
            pool.submit(|| {
                std::thread::sleep(Duration::from_millis(20));
                current().name().to_owned()
            })
        })
        .collect();
    for future in futures {
        print!("{} ", future.result()?);
    }
    println!("\n20 naps of 20 ms on {} workers: {:.0?}", pool.stats().workers, started.elapsed());
    Ok(())
}
