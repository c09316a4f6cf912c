//! Ends a benchmark that hangs: a pool that loses a task would otherwise stop the whole run.

use std::time::Duration;

/// The longest time for one case. On an idle machine none takes a tenth of it.
const SECONDS_MAX: u64 = 120;

/// Starts the thread that ends the process when its time is up. It sleeps until then and costs
/// nothing.
pub fn start() {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(SECONDS_MAX));
        eprintln!("stopped after {SECONDS_MAX} seconds");
        // `exit` would wait for the pools.
        std::process::abort();
    });
}
