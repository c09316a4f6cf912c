//! Did the work wait or compute? The pool measures, and says whether more workers would help.

use std::hint::black_box;
use std::time::Duration;

use silkmill::ThreadPoolExecutor;

fn advice_on(name: &str, task: fn(u32)) -> Result<(), silkmill::BuildError> {
    let pool = ThreadPoolExecutor::builder().max_workers(2).measure_cpu(true).build()?;
    pool.map(0..40, task).for_each(drop);
    let stats = pool.stats();
    println!(
        "{name}: {} tasks, {:.0?} of wall time, {:.0?} of processor time",
        stats.completed,
        stats.wall_total,
        stats.cpu_total.unwrap_or_default()
    );
    println!("  {}", stats.advice());
    Ok(())
}

fn main() -> Result<(), silkmill::BuildError> {
    advice_on("naps", |_| std::thread::sleep(Duration::from_millis(5)))?;
    advice_on("sums", |n| {
        black_box((0..2_000_000u64).fold(u64::from(n), |sum, n| sum.wrapping_mul(31) ^ n));
    })
}
