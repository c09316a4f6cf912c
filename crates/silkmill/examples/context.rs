//! The context of the submitter is carried into the task: here, the request that it belongs to.
//!
//! Run it with `cargo run -p silkmill --example context`.

use std::cell::Cell;

use silkmill::ThreadPoolExecutor;

thread_local! {
    static REQUEST: Cell<u32> = const { Cell::new(0) };
}

fn log(what: &str) -> String {
    format!("request {}: {what}", REQUEST.get())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder()
        .max_workers(2)
        .context(|| {
            let request = REQUEST.get();
            move |task: &mut dyn FnMut()| {
                let before = REQUEST.replace(request);
                task();
                REQUEST.set(before);
            }
        })
        .build()?;

    for request in 1..=3 {
        REQUEST.set(request);
        let line = pool.submit(|| log("read from the database")).result()?;
        println!("{line}");
        assert!(line.starts_with(&format!("request {request}:")));
    }
    Ok(())
}
