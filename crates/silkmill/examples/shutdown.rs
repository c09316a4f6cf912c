//! The ways to end a pool: wait for everything, cancel what is queued, or do either for a while
//! and learn what is left.

use std::time::Duration;

use silkmill::{Future, ThreadPoolExecutor};

fn pool_with_naps() -> Result<(ThreadPoolExecutor, Vec<Future<()>>), silkmill::BuildError> {
    let pool = ThreadPoolExecutor::builder().max_workers(2).thread_name_prefix("nap").build()?;
    let futures = (0..6)
        .map(|_| pool.submit(|| std::thread::sleep(Duration::from_millis(30))))
        .collect::<Vec<_>>();
    while pool.stats().running < 2 {
        std::thread::yield_now();
    }
    Ok((pool, futures))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (pool, futures) = pool_with_naps()?;
    pool.shutdown();
    println!("shutdown: {} of 6 done", futures.iter().filter(|future| future.done()).count());

    let (pool, futures) = pool_with_naps()?;
    pool.shutdown_now();
    let cancelled = futures.iter().filter(|future| future.cancelled()).count();
    println!("shutdown_now: {cancelled} of 6 cancelled");

    let (pool, _futures) = pool_with_naps()?;
    let report = pool.shutdown_timeout(Duration::from_millis(10));
    println!("shutdown_timeout: {} cancelled, still running:", report.cancelled);
    for task in report.running {
        println!("- on {} for {:.0?}", task.worker, task.running_for);
    }

    let pool = ThreadPoolExecutor::builder().build()?;
    let stuck = pool.task().name("GET /slow").submit(|| {
        // It does not look at its token.
        std::thread::sleep(Duration::from_millis(100));
    });
    while !stuck.running() {}
    let report = pool.shutdown_now_timeout(Duration::from_millis(10));
    println!("shutdown_now_timeout: still running: {:?}", report.running[0].task);
    Ok(())
}
