//! A pool that shuts down runs what its own running tasks submit, and tells of what it never ran.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use silkmill::{TaskErrorKind, ThreadPoolExecutor};

use crate::{gate, occupy, patiently, pool};

/// Submits a binary tree of tasks, each of which submits its children and waits for none.
fn grow(pool: &Arc<ThreadPoolExecutor>, depth: u32, ran: &Arc<AtomicUsize>) {
    ran.fetch_add(1, Ordering::Relaxed);
    if depth == 0 {
        return;
    }
    for _ in 0..2 {
        let (theirs, ran) = (Arc::clone(pool), Arc::clone(ran));
        drop(pool.submit(move || grow(&theirs, depth - 1, &ran)));
    }
}

#[test]
fn a_tree_of_tasks_that_submit_their_children_is_run_to_its_end_by_a_shutdown() {
    for workers in [1, 2, 8] {
        let pool = Arc::new(pool(workers));
        let ran = Arc::new(AtomicUsize::new(0));
        let (theirs, runs) = (Arc::clone(&pool), Arc::clone(&ran));
        drop(pool.submit(move || grow(&theirs, 12, &runs)));

        pool.shutdown();

        assert_eq!(ran.load(Ordering::Relaxed), (1 << 13) - 1, "{workers} workers");
        assert_eq!(pool.stats().queued, 0);
    }
}

/// The ways in which a running task gives work to its own pool.
const WAYS: [&str; 7] =
    ["submit", "try_submit", "submit_timeout", "task", "map", "scope", "callback"];

fn submit_by(way: &str, pool: &Arc<ThreadPoolExecutor>, ran: &Arc<AtomicUsize>) {
    let count = {
        let ran = Arc::clone(ran);
        move || _ = ran.fetch_add(1, Ordering::Relaxed)
    };
    match way {
        "submit" => drop(pool.submit(count)),
        "try_submit" => drop(pool.try_submit(count).unwrap()),
        "submit_timeout" => drop(pool.submit_timeout(count, Duration::ZERO).unwrap()),
        "task" => drop(pool.task().timeout(Duration::from_secs(60)).submit(count)),
        "map" => pool.map([()], move |()| count()).for_each(|result| result.unwrap()),
        "scope" => pool.scope(|scope| scope.submit(&count).result().unwrap()),
        "callback" => {
            let theirs = Arc::clone(pool);
            let first = pool.submit(|| ());
            first.add_done_callback(move |_| drop(theirs.submit(count)));
        }
        other => panic!("no such way: {other}"),
    }
}

#[test]
fn a_closed_pool_takes_what_its_running_tasks_submit_in_every_way() {
    for way in WAYS {
        let pool = Arc::new(pool(1));
        let ran = Arc::new(AtomicUsize::new(0));
        let (go, wait) = gate();
        let (theirs, runs) = (Arc::clone(&pool), Arc::clone(&ran));
        let running = pool.submit(move || {
            wait.recv().unwrap();
            submit_by(way, &theirs, &runs);
        });
        while !running.running() {
            std::thread::yield_now();
        }

        std::thread::scope(|threads| {
            threads.spawn(|| pool.shutdown());
            while pool.try_submit(|| ()).is_ok() {
                std::thread::yield_now();
            }
            go.open();
        });

        running.result().unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), 1, "{way}");
    }
}

#[test]
fn what_a_running_task_submits_while_the_queue_is_cancelled_is_cancelled() {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let report = Arc::clone(&reported);
    let pool = Arc::new(
        ThreadPoolExecutor::builder()
            .max_workers(1)
            .on_unread_error(move |error| report.lock().unwrap().push(error.kind()))
            .build()
            .unwrap(),
    );
    let (go, wait) = gate();
    let (sender, kinds) = channel();
    let theirs = Arc::clone(&pool);
    let running = pool.submit(move || {
        wait.recv().unwrap();
        drop(theirs.submit(|| panic!("it must not run")));
        sender.send(theirs.submit(|| panic!("nor this")).result().unwrap_err().kind()).unwrap();
    });
    while !running.running() {
        std::thread::yield_now();
    }
    let queued = pool.submit(|| ());
    queued.add_done_callback(move |_| go.open());

    pool.shutdown_now();

    running.result().unwrap();
    assert_eq!(kinds.recv().unwrap(), TaskErrorKind::Cancelled);
    assert!(reported.lock().unwrap().is_empty(), "its owner cancelled all of it");
}

#[test]
fn a_future_that_is_kept_keeps_none_of_the_closures_of_an_ended_pool() {
    let kept = Arc::new(());
    let owner = || Arc::clone(&kept);
    let (one, two, three, four) = (owner(), owner(), owner(), owner());
    let pool = ThreadPoolExecutor::builder()
        .initializer(move || drop(Arc::clone(&one)))
        .context(move || {
            let context = Arc::clone(&two);
            move |task: &mut dyn FnMut()| {
                let _context = context;
                task();
            }
        })
        .spawn_handler(move |start| {
            let _handler = Arc::clone(&three);
            std::thread::Builder::new().spawn(|| start.run()).map(drop)
        })
        .wait_hook(move |wait| {
            let _hook = &four;
            wait();
        })
        .build()
        .unwrap();
    let future = pool.submit(|| 25);
    assert!(Arc::strong_count(&kept) > 4);

    drop(pool);

    // A worker's thread that the handler started is not joined, and drops the last of its own.
    patiently("the closures are gone", || Arc::strong_count(&kept) == 1);
    assert_eq!(future.result().unwrap(), 25);
}

#[test]
fn every_closure_that_never_ran_is_told_of_unless_it_was_cancelled() {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let report = Arc::clone(&reported);
    let builder = ThreadPoolExecutor::builder()
        .max_workers(1)
        .on_unread_error(move |error| report.lock().unwrap().push(error.kind()));
    let seen = || std::mem::take(&mut *reported.lock().unwrap());

    // Refused by a shutdown.
    let pool = builder.clone().build().unwrap();
    pool.shutdown();
    drop(pool.submit(|| ()));
    pool.scope(|scope| drop(scope.submit(|| ())));
    assert_eq!(seen(), [TaskErrorKind::Shutdown, TaskErrorKind::Shutdown]);
    // The reader of an error knows, and so does the submitter who gets the closure back.
    assert!(pool.submit(|| ()).result().is_err() && pool.try_submit(|| ()).is_err());
    assert_eq!(seen(), []);

    // No thread, before and after the future is gone.
    let pool = builder.clone().stack_size(usize::MAX / 4).build().unwrap();
    drop(pool.submit(|| ()));
    assert_eq!(seen(), [TaskErrorKind::NoThread]);

    // The initializer failed.
    let pool = builder.clone().initializer(|| panic!("no database")).build().unwrap();
    drop(pool.submit(|| ()));
    pool.shutdown();
    assert_eq!(seen(), [TaskErrorKind::NotInitialized]);

    // The time was up before its turn.
    let pool = builder.clone().build().unwrap();
    let (gate, running) = occupy(&pool);
    drop(pool.task().timeout(Duration::ZERO).submit(|| ()));
    gate.open();
    running.result().unwrap();
    pool.shutdown();
    assert_eq!(seen(), [TaskErrorKind::TimedOut]);

    // Cancelled, in each way.
    let pool = builder.build().unwrap();
    let (gate, running) = occupy(&pool);
    pool.submit(|| ()).cancel();
    let token = silkmill::CancelToken::new();
    drop(pool.task().token(&token).submit(|| ()));
    token.cancel();
    let last = pool.submit(|| ());
    last.add_done_callback(move |_| gate.open());
    drop(last);
    pool.shutdown_now();
    running.result().unwrap();
    assert_eq!(seen(), []);
}
