//! Wait for a thread for a while. A thread that is not done is given back, and can be joined later.

use std::time::Duration;

use silkmill::Thread;

fn main() -> Result<(), silkmill::TaskError> {
    let mut thread = Thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(50));
        "done at last"
    });
    let mut looks = 0;
    let value = loop {
        looks += 1;
        match thread.join_timeout(Duration::from_millis(10)) {
            Ok(result) => break result?,
            Err(not_done) => thread = not_done,
        }
    };
    println!("{value}, after {looks} looks");
    Ok(())
}
