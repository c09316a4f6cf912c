//! Urgent tasks overtake the others; none is passed over for ever.
//!
//! Run it with `cargo run -p silkmill --example priorities`.

use std::sync::mpsc::channel;

use silkmill::{Priority, ThreadPoolExecutor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
    let (go, wait) = channel::<()>();
    let first = pool.submit(move || wait.recv().is_ok());

    let mut futures = Vec::new();
    for priority in [Priority::Low, Priority::Normal, Priority::High] {
        for number in 1..=2 {
            let say = move || println!("{priority:?} {number}");
            futures.push(pool.task().priority(priority).submit(say));
        }
    }

    go.send(())?;
    assert!(first.result()?);
    for future in futures {
        future.result()?;
    }
    Ok(())
}
