//! A future: look at it, wait for it, wait for a while, cancel it, have it call back.

use std::sync::mpsc::channel;
use std::time::Duration;

use silkmill::ThreadPoolExecutor;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
    let (go, wait) = channel();
    let first = pool.submit(move || wait.recv().map_or(0, |n: u32| n * 2));
    let second = pool.submit(|| "never wanted");

    first.add_done_callback(|result| println!("called back with {result:?}"));
    println!("second cancelled: {}", second.cancel());

    let first = match first.result_timeout(Duration::from_millis(10)) {
        Ok(_) => unreachable!("it waits for a number"),
        Err(not_done) => not_done,
    };
    println!("first done: {}", first.done());
    go.send(21)?;
    println!("first: {}", first.result()?);
    if let Err(error) = second.result() {
        println!("second: {error}");
    }
    Ok(())
}
