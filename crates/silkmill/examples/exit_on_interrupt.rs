//! A program that ^C ends in time, however much is queued: the handler to write. A second ^C ends
//! it at once.
//!
//! Run it with `cargo run -p silkmill --example exit_on_interrupt`; it interrupts itself.

use std::time::Duration;

use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;
use silkmill::{CancelToken, Thread, ThreadPoolExecutor};

/// The time that running tasks have to end, after the first ^C.
const PATIENCE: Duration = Duration::from_secs(2);

fn exit_on_interrupt() -> Result<(), Box<dyn std::error::Error>> {
    let mut signals = Signals::new([SIGINT])?;
    // A daemon, because it waits for signals as long as the process lives.
    Thread::builder().name("interrupt").daemon(true).spawn(move || {
        for _ in signals.forever() {
            // On a thread each, so that this one is there for the second signal.
            std::thread::spawn(|| silkmill::exit(130, PATIENCE));
        }
    })?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    exit_on_interrupt()?;
    let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
    // An hour of work.
    let futures: Vec<_> = (0..7_200)
        .map(|_| {
            pool.submit(|| {
                if !CancelToken::current().sleep(Duration::from_secs(1)) {
                    println!("a task was asked to stop, and stops");
                }
            })
        })
        .collect();
    while pool.stats().running < 2 {
        std::thread::yield_now();
    }
    println!("{} tasks are queued; here comes ^C", pool.stats().queued);
    signal_hook::low_level::raise(SIGINT)?;
    drop(futures);
    // `main` returns, which would run the queue: the handler ends the process before.
    Ok(())
}
