//! An initializer that each worker runs once, before its first task.
//!
//! Run it with `cargo run -p silkmill --example initializer`.

use std::cell::RefCell;

use silkmill::ThreadPoolExecutor;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder()
        .max_workers(2)
        .initializer(|| BUFFER.with_borrow_mut(|buffer| buffer.reserve(64 * 1024)))
        .build()?;

    let capacity = pool.submit(|| BUFFER.with_borrow(Vec::capacity)).result()?;

    println!("the worker's buffer holds {capacity} bytes");
    assert!(capacity >= 64 * 1024);
    Ok(())
}
