//! One function over many items: in order, or as results come; lazily, so the items may be endless.

use std::time::Duration;

use silkmill::ThreadPoolExecutor;

fn nap(milliseconds: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder().max_workers(4).build()?;

    let ordered: Result<Vec<u64>, _> = pool.map([40, 10, 30, 20], nap).collect();
    println!("in the order of the items: {:?}", ordered?);

    let unordered: Result<Vec<u64>, _> = pool.map_unordered([40, 10, 30, 20], nap).collect();
    println!("as they were done:         {:?}", unordered?);

    let squares = pool.map(1u64.., |n| n * n).take_while(|n| n.as_ref().is_ok_and(|n| *n < 100));
    println!("of an endless iterator:    {:?}", squares.flatten().collect::<Vec<_>>());
    Ok(())
}
