//! Tasks that have a name, a limit of their run, or a token from the task that submitted them.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use silkmill::{CancelToken, TaskErrorKind, ThreadPoolExecutor};

use crate::{gate, occupy, patiently, pool};

/// Sleeps until its token is cancelled. Returns whether it was.
fn nap() -> bool {
    !CancelToken::current().sleep(Duration::from_secs(3600))
}

#[test]
fn a_shutdown_that_cancels_and_asks_waits_so_long_and_names_what_still_runs() {
    let pool = pool(2);
    let (gate, opened) = gate();
    let stuck = pool.task().name("GET /stuck").submit(move || opened.recv().is_ok());
    let polite = pool.task().name("GET /polite").submit(nap);
    patiently("both run", || stuck.running() && polite.running());
    let queued: Vec<_> = (0..10).map(|n| pool.submit(move || n)).collect();
    let names = |tasks: Vec<silkmill::RunningTask>| {
        let mut names: Vec<_> = tasks.into_iter().flat_map(|running| running.task).collect();
        names.sort();
        names
    };
    assert_eq!(names(pool.running_tasks()), ["GET /polite", "GET /stuck"]);

    let report = pool.shutdown_now_timeout(Duration::from_millis(50));

    assert_eq!((report.cancelled, report.workers), (10, 1));
    assert_eq!(names(report.running), ["GET /stuck"]);
    assert!(polite.result().unwrap(), "it was asked to stop");
    assert!(queued.into_iter().all(|future| future.result().is_err_and(|e| e.is_cancelled())));
    drop(pool);
    gate.open();
    assert!(stuck.result().unwrap());
}

#[test]
fn a_shutdown_that_waits_so_long_ends_with_the_last_task() {
    let pool = pool(2);
    let polite = pool.submit(nap);
    patiently("it runs", || polite.running());

    let report = pool.shutdown_now_timeout(Duration::MAX);

    assert_eq!((report.workers, report.cancelled, report.running.len()), (0, 0, 0));
    assert!(report.is_complete() && polite.result().unwrap());
}

#[test]
fn a_panic_has_the_name_of_its_task_and_of_no_other() {
    let (sender, receiver) = channel();
    let pool = Arc::new(
        ThreadPoolExecutor::builder()
            .max_workers(1)
            .on_unread_error(move |error| sender.send(error.to_string()).unwrap())
            .build()
            .unwrap(),
    );
    let named = |name: &str| pool.task().name(name).submit(|| panic!("no route"));

    assert_eq!(named("GET /x").result().unwrap_err().task_name(), Some("GET /x"));
    let plain = pool.submit(|| panic!("no name")).result().unwrap_err();
    assert_eq!(plain.task_name(), None);
    drop(named("GET /y"));
    assert!(receiver.recv().unwrap().starts_with("the task \"GET /y\" panicked"));

    // One inside of the other, on the same thread.
    let inner = Arc::clone(&pool);
    let names = pool.task().name("outer").submit(move || {
        let failed = inner.task().name("inner").submit(|| panic!("inner")).result().unwrap_err();
        let running = inner.running_tasks().remove(0).task;
        (failed.task_name().map(str::to_owned), running)
    });
    let (inner, outer) = names.result().unwrap();
    assert_eq!((inner.as_deref(), outer.as_deref()), (Some("inner"), Some("outer")));
    assert!(pool.running_tasks().is_empty() || pool.running_tasks()[0].task.is_none());
}

#[test]
fn a_limit_of_the_run_begins_when_the_task_does() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let limit = Duration::from_millis(10);
    let limited = pool.task().run_timeout(limit).submit(nap);
    let sooner = pool.task().run_timeout(Duration::MAX).timeout(limit).submit(nap);

    // It waits for longer than it may run, and so much longer than the other may take.
    assert_eq!(sooner.result().unwrap_err().kind(), TaskErrorKind::TimedOut);
    assert!(!limited.done());
    gate.open();

    running.result().unwrap();
    assert!(limited.result().unwrap(), "its time was up while it ran");
    assert!(!pool.submit(|| CancelToken::current().is_cancelled()).result().unwrap());
}

#[test]
fn a_nested_task_is_cancelled_with_the_task_that_submitted_it() {
    let pool = Arc::new(pool(4));
    let other = Arc::new(crate::pool(4));
    let token = CancelToken::new();
    let (theirs, others) = (Arc::clone(&pool), Arc::clone(&other));
    let (began, has_begun) = channel();
    let outer = pool.task().token(&token).submit(move || {
        let nested = [theirs.submit(nap), others.submit(nap), theirs.task().name("x").submit(nap)];
        let own = theirs
            .task()
            .token(&CancelToken::new())
            .submit(|| CancelToken::current().sleep(Duration::from_millis(1)));
        theirs.scope(|scope| {
            let scoped = scope.submit(nap);
            patiently("all run", || nested.iter().all(|future| future.running()));
            patiently("this, too", || scoped.running());
            began.send(()).unwrap();
            assert!(scoped.result().unwrap());
        });
        assert!(nested.into_iter().all(|future| future.result().unwrap()));
        own.result().unwrap()
    });
    has_begun.recv().unwrap();

    token.cancel();

    assert!(outer.result().unwrap(), "a task with a token of its own goes on");
}

#[test]
fn groups_of_nested_tasks_are_cancelled_with_the_task_that_submitted_them() {
    let pool = Arc::new(pool(4));
    let token = CancelToken::new();
    let (own, (began, has_begun)) = (Arc::clone(&pool), channel());
    let (go, wait) = channel::<()>();
    let outer = pool.task().token(&token).submit(move || {
        let mapped = own.task().token(&CancelToken::new()).submit(|| 1).map(|n| n + 1);
        assert_eq!(mapped.result().unwrap(), 2);
        let (look, done) = channel();
        let after = own.task().token(&CancelToken::new()).submit(|| 1).map(move |_| {
            look.send(()).unwrap();
            nap()
        });
        done.recv().unwrap();
        let mut set = own.task_set();
        set.submit("before", nap);
        began.send(()).unwrap();
        wait.recv().unwrap();
        set.submit("after", || true);
        let ends: Vec<_> = std::iter::from_fn(|| set.next()).collect();
        let cancelled = ends.iter().filter(|(key, end)| match end {
            Ok(slept) => *key == "before" && *slept,
            Err(error) => error.is_cancelled(),
        });
        assert_eq!(cancelled.count(), 2);
        assert!(own.try_map(0..9, Ok::<u32, ()>).is_err());
        assert!(after.result().unwrap());
    });
    has_begun.recv().unwrap();

    token.cancel();
    go.send(()).unwrap();

    outer.result().unwrap();
}

#[test]
fn a_nested_task_has_no_more_time_than_the_task_that_submitted_it() {
    let pool = Arc::new(pool(2));
    let inner = Arc::clone(&pool);

    let deadlines = pool.task().timeout(Duration::from_secs(600)).submit(move || {
        let look = || CancelToken::current().deadline();
        let later = inner.task().timeout(Duration::from_secs(6000)).submit(look);
        (look(), inner.submit(look).result().unwrap(), later.result().unwrap())
    });

    let (outer, nested, later) = deadlines.result().unwrap();
    assert!(outer.is_some() && nested == outer && later == outer);
    assert_eq!(pool.submit(|| CancelToken::current().deadline()).result().unwrap(), None);
}
