//! A task may wait for tasks of its own pool, at any depth and with one worker.

use std::sync::Arc;

use silkmill::ThreadPoolExecutor;

fn fibonacci(pool: &Arc<ThreadPoolExecutor>, n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let inner = Arc::clone(pool);
    let left = pool.submit(move || fibonacci(&inner, n - 1));
    let right = fibonacci(pool, n - 2);
    left.result().expect("a sum does not panic") + right
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(1).build()?);
    let inner = Arc::clone(&pool);
    println!("fibonacci(15) = {}", pool.submit(move || fibonacci(&inner, 15)).result()?);
    Ok(())
}
