//! A pool below an interpreter with a global lock: its workers are the interpreter's threads, hold
//! its lock while they run tasks, and let it go while they wait.
//!
//! Run it with `cargo run -p silkmill --example bindings`.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use silkmill::{Event, ThreadPoolExecutor};

/// Stands for the interpreter's lock.
static GLOBAL: Mutex<u32> = Mutex::new(0);

thread_local! {
    /// The lock, while this thread holds it.
    static HELD: RefCell<Option<MutexGuard<'static, u32>>> = const { RefCell::new(None) };
}

fn attach() {
    let guard = GLOBAL.lock().unwrap_or_else(PoisonError::into_inner);
    HELD.set(Some(guard));
}

fn detach() {
    HELD.set(None);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder()
        .max_workers(2)
        .thread_name_prefix("interpreter")
        .spawn_handler(|start| {
            let thread = std::thread::Builder::new().name(start.name().to_owned());
            let run = || {
                attach();
                start.run();
                detach();
            };
            thread.spawn(run).map(drop)
        })
        .wait_hook(|wait| {
            detach();
            wait();
            attach();
        })
        .build()?;

    // The first task waits for the second, which needs the lock: no deadlock.
    let event = Arc::new(Event::new());
    let waits = pool.submit({
        let event = Arc::clone(&event);
        move || event.wait()
    });
    let counts = pool.submit(move || {
        let count = HELD.with_borrow_mut(|held| {
            let count = held.as_mut().expect("a task holds the lock");
            **count += 1;
            **count
        });
        event.set();
        count
    });
    waits.result()?;
    println!("the second task counted to {}", counts.result()?);
    Ok(())
}
