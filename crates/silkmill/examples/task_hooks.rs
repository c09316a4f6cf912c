//! Hooks around each task: a log of what took long, without a change of the tasks.

use std::sync::mpsc::channel;
use std::time::Duration;

use silkmill::ThreadPoolExecutor;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, log) = channel();
    let pool = ThreadPoolExecutor::builder()
        .max_workers(2)
        .before_task(|task| println!("{} begins", task.name.unwrap_or("?")))
        .after_task(move |task| {
            let outcome = if task.error.is_none() { "returned" } else { "panicked" };
            let name = task.name.unwrap_or("?").to_owned();
            // The log may be closed.
            let _ = sender.send((name, task.wait, task.wall, outcome));
        })
        .build()?;

    let pages = ["/", "/slow", "/broken"].map(|page| {
        pool.task().name(format!("GET {page}")).submit(move || match page {
            "/slow" => std::thread::sleep(Duration::from_millis(20)),
            "/broken" => panic!("no route"),
            _ => {}
        })
    });
    let failed = pages.into_iter().filter_map(|page| page.result().err()).count();
    assert_eq!(failed, 1);

    let log: Vec<_> = log.try_iter().collect();
    for (name, wait, wall, outcome) in &log {
        println!("{name} waited {wait:?}, ran {wall:?} and {outcome}");
    }
    assert_eq!(log.len(), 3);
    Ok(())
}
