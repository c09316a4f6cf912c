//! A task that has not started can be cancelled; a running one can be asked to stop.

use silkmill::{CancelToken, ThreadPoolExecutor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
    let token = CancelToken::new();
    let asked = token.clone();
    let running = pool.submit(move || {
        let mut rounds = 0u64;
        while !asked.is_cancelled() {
            rounds += 1;
            std::thread::yield_now();
        }
        rounds
    });
    while !running.running() {
        std::thread::yield_now();
    }
    let queued = pool.submit(|| unreachable!("it is cancelled before its turn"));

    println!("queued cancelled: {}, running cancelled: {}", queued.cancel(), running.cancel());
    token.cancel();
    println!("the running task stopped when asked, after some rounds: {}", running.result()? > 0);
    queued.result().map_err(|error| println!("the queued one: {error}")).ok();
    Ok(())
}
