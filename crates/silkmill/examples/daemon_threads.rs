//! A daemon ends with the process. Any other thread is waited for, even when `main` has returned.

use std::time::Duration;

use silkmill::{Builder, Thread};

fn main() -> Result<(), silkmill::SpawnError> {
    drop(Builder::new().name("heartbeat").daemon(true).spawn(|| {
        loop {
            println!("still alive");
            std::thread::sleep(Duration::from_millis(20));
        }
    })?);
    drop(Thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(50));
        println!("the last line was written, although main was over");
    }));
    println!("main is over");
    Ok(())
}
