//! Threads that wait for a signal, and one that gives up waiting.

use std::sync::Arc;
use std::time::Duration;

use silkmill::{Event, Thread};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let start = Arc::new(Event::new());
    let runners: Vec<_> = (1..=3)
        .map(|number| {
            let start = Arc::clone(&start);
            Thread::spawn(move || {
                start.wait();
                println!("runner {number} is off");
            })
        })
        .collect();

    if !start.wait_timeout(Duration::from_millis(10)) {
        println!("nobody has given the signal yet");
    }
    start.set();
    for runner in runners {
        runner.join()?;
    }
    start.clear();
    println!("ready for the next race: {start:?}");
    Ok(())
}
