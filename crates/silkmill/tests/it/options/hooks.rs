//! The hooks before and after each task.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use silkmill::{Future, ThreadPoolExecutor};

use crate::{gate, occupy};

/// What hooks were told: the name, whether it was the first or the second, and the outcome.
type Told = Arc<Mutex<Vec<String>>>;

fn telling(max_workers: usize) -> (ThreadPoolExecutor, Told) {
    let told = Told::default();
    let (starts, ends) = (Arc::clone(&told), Arc::clone(&told));
    let pool = ThreadPoolExecutor::builder()
        .max_workers(max_workers)
        .before_task(move |task| {
            starts.lock().unwrap().push(format!("{} begins", task.name.unwrap_or("?")));
        })
        .after_task(move |task| {
            let outcome = task.error.map_or("ok", |error| error.message());
            ends.lock().unwrap().push(format!("{} ends: {outcome}", task.name.unwrap_or("?")));
        })
        .build()
        .unwrap();
    (pool, told)
}

fn take(told: &Told) -> Vec<String> {
    std::mem::take(&mut *told.lock().unwrap())
}

#[test]
fn hooks_are_told_of_each_task_before_its_result_can_be_read() {
    let (pool, told) = telling(1);
    pool.task().name("a").submit(|| ()).result().unwrap();
    assert_eq!(take(&told), ["a begins", "a ends: ok"]);
    assert!(pool.submit(|| panic!("no route")).result().is_err());
    assert_eq!(take(&told), ["? begins", "? ends: no route"]);
    let words = ["x".to_owned()];
    pool.scope(|scope| scope.task().name("s").submit(|| words.len()).result().unwrap());
    assert_eq!(take(&told), ["s begins", "s ends: ok"]);
}

#[test]
fn a_task_that_runs_inside_of_another_is_told_of_inside_of_it() {
    let (pool, told) = telling(1);
    let theirs = pool.clone();
    let outer = pool.task().name("outer").submit(move || {
        theirs.task().name("inner").submit(|| ()).result().unwrap();
    });
    outer.result().unwrap();
    let expected = ["outer begins", "inner begins", "inner ends: ok", "outer ends: ok"];
    assert_eq!(take(&told), expected);
}

#[test]
fn a_task_that_never_runs_is_not_told_of() {
    let (pool, told) = telling(1);
    let (gate, running) = occupy(&pool);
    let queued = pool.submit(|| ());
    let overdue = pool.task().timeout(Duration::ZERO).submit(|| ());
    assert!(queued.cancel());
    gate.open();
    running.result().unwrap();
    assert!(overdue.result().is_err());
    let mapped: Future<()> = pool.submit(|| -> u32 { panic!("first") }).map(|_| ());
    assert_eq!(mapped.result().unwrap_err().message(), "first");
    pool.shutdown();
    assert_eq!(take(&told), ["? begins", "? ends: ok", "? begins", "? ends: first"]);
}

#[test]
fn every_item_of_a_map_is_told_of_also_in_batches() {
    let (pool, told) = telling(2);
    let fail = |n: u32| assert_ne!(n, 4_999, "asked for");
    assert_eq!(pool.map(0..5_000, fail).filter(Result::is_ok).count(), 4_999);
    pool.shutdown();
    let told = take(&told);
    let count = |what: &str| told.iter().filter(|told| *told == what).count();
    assert_eq!((count("? begins"), count("? ends: ok")), (5_000, 4_999));
    assert_eq!(told.len(), 10_000);
}

#[test]
fn the_waiting_and_the_running_are_measured_apart() {
    let (sender, times) = channel();
    let sender = Mutex::new(sender);
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .after_task(move |task| {
            let name = task.name.unwrap_or("").to_owned();
            sender.lock().unwrap().send((name, task.wait, task.wall)).unwrap();
        })
        .build()
        .unwrap();
    let pause = Duration::from_millis(20);
    let (gate, opened) = gate();
    let first = pool.task().name("first").submit(move || {
        opened.recv().unwrap();
        std::thread::sleep(pause);
    });
    let second = pool.task().name("second").submit(|| ()).map(|()| ());
    gate.open();
    first.result().unwrap();
    second.result().unwrap();
    let (name, _, wall) = times.recv().unwrap();
    assert!(name == "first" && wall >= pause, "{wall:?}");
    let (name, wait, _) = times.recv().unwrap();
    assert!(name == "second" && wait >= pause, "{wait:?}");
    let (name, wait, _) = times.recv().unwrap();
    assert!(name.is_empty() && wait < pause, "{wait:?} after the one that it goes on from");
}

#[test]
fn a_hook_that_panics_is_reported_and_harms_no_task() {
    let (sender, reports) = channel();
    let sender = Mutex::new(sender);
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .before_task(|_| panic!("before"))
        .after_task(|task| panic!("after {}", task.error.is_some()))
        .on_unread_error(move |error| {
            let report = (error.message().to_owned(), error.to_string());
            sender.lock().unwrap().send(report).unwrap();
        })
        .build()
        .unwrap();
    assert_eq!(pool.submit(|| 25).result().unwrap(), 25);
    let error = pool.task().name("x").submit(|| panic!("the task")).result().unwrap_err();
    assert_eq!((error.message(), error.task_name()), ("the task", Some("x")));
    assert!(error.location().unwrap().contains("hooks.rs"), "{error}");
    assert_eq!(pool.map(0..300, |n| n).map(Result::unwrap).sum::<i32>(), 44_850);
    pool.shutdown();
    let reports: Vec<_> = reports.try_iter().collect();
    assert_eq!(reports.len(), 2 * 302);
    let words: Vec<&str> = reports.iter().map(|(message, _)| message.as_str()).collect();
    assert_eq!(words[..4], ["before", "after false", "before", "after true"]);
    assert!(reports[0].1.starts_with("a hook around the task panicked"), "{}", reports[0].1);
}

#[test]
fn a_pool_that_has_ended_keeps_no_hook() {
    let kept = Arc::new(());
    let theirs = Arc::clone(&kept);
    let hook = move |_: &silkmill::TaskStart<'_>| assert!(Arc::strong_count(&theirs) > 0);
    let pool = ThreadPoolExecutor::builder().before_task(hook).build().unwrap();
    let future = pool.submit(|| 25);
    pool.shutdown();
    assert_eq!(Arc::strong_count(&kept), 1);
    assert_eq!(future.result().unwrap(), 25);
}
