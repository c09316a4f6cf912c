//! A thread and a future carry a value of any type. There is nothing to subclass.

use std::collections::BTreeMap;

use silkmill::{Thread, ThreadPoolExecutor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lengths: Thread<BTreeMap<&str, usize>> =
        Thread::spawn(|| ["warp", "weft", "selvedge"].map(|word| (word, word.len())).into());
    println!("from a thread: {:?}", lengths.join()?);

    let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
    let sum = pool.submit(|| (1..=100u64).sum::<u64>());
    println!("from a future: {}", sum.result()?);
    Ok(())
}
