//! Eight workers, but never more than two at the same thing.

use std::sync::Arc;
use std::time::Duration;

use silkmill::{Semaphore, ThreadPoolExecutor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder().max_workers(8).build()?;
    let printers = Arc::new(Semaphore::new(2));
    let pages = pool.map_unordered(1..=6, {
        let printers = Arc::clone(&printers);
        move |page| {
            let permit = printers.acquire();
            std::thread::sleep(Duration::from_millis(10));
            drop(permit);
            page
        }
    });
    for page in pages {
        println!("page {} is printed", page?);
    }

    match printers.acquire_timeout(Duration::from_millis(1)) {
        Some(_permit) => println!("a printer is free, and ours until the permit is dropped"),
        None => println!("all printers are busy"),
    }
    println!("{} printers are free", printers.available());
    Ok(())
}
