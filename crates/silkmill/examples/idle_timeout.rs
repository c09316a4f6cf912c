//! A pool that has nothing to do has no threads; one that has more to do may be given more.
//!
//! Run it with `cargo run -p silkmill --example idle_timeout`.

use std::time::Duration;

use silkmill::ThreadPoolExecutor;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let idle = Duration::from_millis(20);
    let pool = ThreadPoolExecutor::builder().max_workers(2).idle_timeout(idle).build()?;
    let wait = |_| std::thread::sleep(Duration::from_millis(5));

    pool.map(0..8, wait).for_each(drop);
    println!("after some work: {} workers", pool.stats().workers);

    pool.set_max_workers(6);
    pool.map(0..24, wait).for_each(drop);
    println!("after more room: {} workers", pool.stats().workers);

    while pool.stats().workers > 0 {
        std::thread::sleep(idle);
    }
    println!("after a rest: none");
    assert_eq!(pool.submit(|| 25).result()?, 25);
    Ok(())
}
