//! A task with a time limit, and one that a token stops: cooperatively, because no thread can be
//! stopped from outside.
//!
//! Run it with `cargo run -p silkmill --example time_limits`.

use std::time::Duration;

use silkmill::{CancelToken, ThreadPoolExecutor};

/// Works in small steps until its token is cancelled.
fn steps() -> usize {
    let token = CancelToken::current();
    (0..).take_while(|_| token.sleep(Duration::from_millis(5))).count()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;

    let limited = pool.task().timeout(Duration::from_millis(60)).submit(steps);
    println!("the time was up after {} steps", limited.result()?);

    let token = CancelToken::new();
    let stopped = pool.task().token(&token).submit(steps);
    std::thread::sleep(Duration::from_millis(30));
    token.cancel();
    println!("it was stopped after {} steps", stopped.result()?);

    let late = pool.task().timeout(Duration::ZERO).submit(steps);
    if let Err(error) = late.result() {
        println!("too late to begin: {error}");
    }
    Ok(())
}
