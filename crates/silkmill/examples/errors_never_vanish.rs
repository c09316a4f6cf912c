//! A panic that is never read is reported all the same, and so is a closure that never ran.
//!
//! Run it with `cargo run -p silkmill --example errors_never_vanish`.

use std::sync::mpsc::channel;

use silkmill::ThreadPoolExecutor;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, receiver) = channel();
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .thread_name_prefix("cleaner")
        .on_unread_error(move |error| {
            let place = error.location().unwrap_or("somewhere").to_owned();
            let _ = sender.send(format!("nobody read that {error} ({place})"));
        })
        .build()?;

    // The result of this task is never read.
    drop(pool.submit(|| panic!("the disk is full")));

    let told = receiver.recv()?;
    println!("{told}");
    assert!(told.contains("the disk is full"));

    // This closure is never run, because it comes too late.
    pool.shutdown();
    drop(pool.submit(|| println!("too late")));

    let told = receiver.recv()?;
    println!("{told}");
    assert!(told.contains("after the executor's shutdown"));
    Ok(())
}
