//! A queue with a capacity: `try_submit` refuses and gives the task back, `submit` waits for room.

use std::time::Duration;

use silkmill::{ThreadPoolExecutor, TrySubmitError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder().max_workers(1).queue_capacity(2).build()?;
    let nap = || std::thread::sleep(Duration::from_millis(20));

    let mut futures = Vec::new();
    let mut refused = 0;
    for _ in 0..10 {
        match pool.try_submit(nap) {
            Ok(future) => futures.push(future),
            Err(TrySubmitError::Full(nap)) => {
                refused += 1;
                futures.push(pool.submit(nap));
            }
            Err(error) => return Err(error.to_string().into()),
        }
    }
    println!("{refused} of 10 had to wait for room; {} are queued now", pool.stats().queued);
    for future in futures {
        future.result()?;
    }
    Ok(())
}
