//! Start a thread, do something else, join it. A panic is a value like any other.

use silkmill::{TaskError, Thread};

fn main() -> Result<(), TaskError> {
    let thread = Thread::spawn(|| println!("hello from the thread"));
    println!("hello from main");
    thread.join()?;

    let doomed = Thread::spawn(|| -> u32 { panic!("out of luck") });
    match doomed.join() {
        Ok(value) => println!("it returned {value}"),
        Err(error) => println!("it panicked with {:?}", error.message()),
    }
    Ok(())
}
