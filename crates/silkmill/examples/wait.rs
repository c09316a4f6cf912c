//! Many futures at once: the first, all, or each as it is done.

use std::time::Duration;

use silkmill::{ReturnWhen, ThreadPoolExecutor, as_completed, wait};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder().max_workers(3).build()?;
    let futures: Vec<_> = [60, 20, 40]
        .map(|milliseconds| {
            pool.submit(move || {
                std::thread::sleep(Duration::from_millis(milliseconds));
                milliseconds
            })
        })
        .into();

    let waited = wait(&futures, ReturnWhen::FirstCompleted, None);
    println!("{} done, {} not", waited.done.len(), waited.not_done.len());
    let waited = wait(&futures, ReturnWhen::All, Duration::from_millis(1));
    println!("a millisecond later: {} done, {} not", waited.done.len(), waited.not_done.len());

    for done in as_completed(futures) {
        println!("the nap of {} ms is over", done.result()?);
    }
    Ok(())
}
