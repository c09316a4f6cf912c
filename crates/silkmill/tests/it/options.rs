//! The options of a pool and of a task.

mod advice;
mod context;
mod face;
mod hooks;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use silkmill::{CancelToken, Priority, TaskErrorKind, ThreadPoolExecutor, TrySubmitError};

use crate::{FAR_TOO_LONG, gate, occupy, patiently, pool};

#[test]
fn the_initializer_runs_once_on_every_worker_before_its_first_task() {
    thread_local!(static READY: Cell<u32> = const { Cell::new(0) });
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let initializer = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        READY.set(READY.get() + 1);
    };
    let pool =
        ThreadPoolExecutor::builder().max_workers(2).initializer(initializer).build().unwrap();

    let seen: Vec<u32> = pool.map(0..50, |_| READY.get()).map(Result::unwrap).collect();

    assert_eq!(seen, [1; 50]);
    patiently("every worker has come", || runs.load(Ordering::SeqCst) == pool.stats().workers);
}

#[test]
fn an_initializer_that_panics_fails_what_is_queued_and_what_comes_later() {
    let (gate, opened) = gate();
    let opened = Mutex::new(opened);
    let initializer = move || {
        // Every later one finds the gate gone.
        let _ = opened.lock().unwrap().recv();
        panic!("no database")
    };
    let pool =
        ThreadPoolExecutor::builder().max_workers(1).initializer(initializer).build().unwrap();
    let queued = [pool.submit(|| 1), pool.submit(|| 2)];

    gate.open();

    for future in queued {
        let error = future.result().unwrap_err();
        assert_eq!(error.kind(), TaskErrorKind::NotInitialized);
        assert_eq!(error.message(), "no database");
    }
    assert_eq!(pool.submit(|| 3).result().unwrap_err().kind(), TaskErrorKind::NotInitialized);
    let refused = pool.try_submit(|| 4).unwrap_err();
    assert!(matches!(&refused, TrySubmitError::NotInitialized(_, why) if why == "no database"));
    assert!(!refused.is_full() && refused.to_string().ends_with("failed: no database"));
    pool.shutdown();
    assert_eq!(pool.stats().workers, 0);
}

#[test]
fn a_failed_initializer_retires_its_worker_and_not_the_pool() {
    // The first two workers fail, and so does every second one after that.
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let initializer = move || match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Err("no database yet"),
        1 => panic!("no database yet"),
        n if n % 2 == 1 => Err("busy"),
        _ => Ok(()),
    };
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .idle_timeout(Duration::ZERO)
        .try_initializer(initializer)
        .build()
        .unwrap();

    for round in 0..10 {
        assert_eq!(pool.submit(move || round).result().unwrap(), round);
        patiently("the worker has left", || pool.stats().workers == 0);
    }

    assert!(runs.load(Ordering::SeqCst) > 10);
    assert!(pool.try_submit(|| ()).is_ok());
}

#[test]
fn initializers_that_fail_end_a_pool_and_not_its_running_tasks() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let initializer = move || {
        if first.swap(false, Ordering::SeqCst) { Ok(()) } else { Err("no more licences") }
    };
    let pool =
        ThreadPoolExecutor::builder().max_workers(2).try_initializer(initializer).build().unwrap();
    let (gate, running) = occupy(&pool);

    let error = pool.submit(|| panic!("no worker for it")).result().unwrap_err();

    assert_eq!(error.kind(), TaskErrorKind::NotInitialized);
    assert_eq!(error.message(), "no more licences");
    gate.open();
    running.result().unwrap();
}

#[test]
fn idle_workers_leave_and_the_next_task_starts_one() {
    let pool = ThreadPoolExecutor::builder()
        .max_workers(4)
        .idle_timeout(Duration::from_millis(5))
        .build()
        .unwrap();
    for round in 1..=3 {
        let sum: u32 = pool.map(0..8, |n| n).map(Result::unwrap).sum();
        assert_eq!(sum, 28);
        patiently("all workers have left", || pool.stats().workers == 0);
        assert_eq!(pool.stats().completed, 8 * round);
    }
}

#[test]
fn the_worker_that_slept_last_is_called_first() {
    let pool = ThreadPoolExecutor::builder().max_workers(2).build().unwrap();
    let (first, second) = (occupy(&pool), occupy(&pool));
    first.0.open();
    first.1.result().unwrap();
    second.0.open();
    second.1.result().unwrap();
    patiently("both are idle", || pool.stats().workers_idle == 2);

    let name = || std::thread::current().name().map(str::to_owned);
    let used: std::collections::BTreeSet<_> =
        (0..20).map(|_| pool.submit(name).result().unwrap()).collect();

    // A worker may still be on its way to sleep at first, so that the other is woken; later it is
    // always the same.
    let again = pool.submit(name).result().unwrap();
    assert!(used.contains(&again));
    assert_eq!(pool.stats().workers, 2);
}

#[test]
fn higher_priorities_go_first_and_none_starves() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |priority: Priority| {
        let order = Arc::clone(&order);
        pool.task().priority(priority).submit(move || order.lock().unwrap().push(priority))
    };
    let futures: Vec<_> = [Priority::Low, Priority::Normal, Priority::High]
        .into_iter()
        .flat_map(|priority| std::iter::repeat_n(priority, 30))
        .map(note)
        .collect();

    gate.open();
    running.result().unwrap();
    futures.into_iter().for_each(|future| future.result().unwrap());

    let order = order.lock().unwrap();
    assert_eq!(order[..8], [Priority::High; 8]);
    let first = |priority| order.iter().position(|other| *other == priority).unwrap();
    assert!(first(Priority::Normal) <= 9, "{order:?}");
    assert!(first(Priority::Low) <= 10, "{order:?}");
    let last_high = order.iter().rposition(|other| *other == Priority::High).unwrap();
    assert!(last_high < 45, "high tasks had most of the turns: {order:?}");
}

#[test]
fn a_task_that_arrives_late_goes_before_a_lower_one() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |priority: Priority| {
        let order = Arc::clone(&order);
        pool.task().priority(priority).submit(move || order.lock().unwrap().push(priority))
    };
    let futures = [note(Priority::Low), note(Priority::Normal)];

    gate.open();
    running.result().unwrap();
    futures.into_iter().for_each(|future| future.result().unwrap());

    assert_eq!(*order.lock().unwrap(), [Priority::Normal, Priority::Low]);
}

#[test]
fn a_task_whose_time_is_up_in_the_queue_does_not_start() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let late = pool.task().timeout(Duration::ZERO).submit(|| panic!("it must not run"));
    let in_time = pool.task().timeout(Duration::MAX).submit(|| 25);

    gate.open();

    running.result().unwrap();
    assert_eq!(late.result().unwrap_err().kind(), TaskErrorKind::TimedOut);
    assert_eq!(in_time.result().unwrap(), 25);
}

#[test]
fn a_task_whose_time_is_up_while_it_runs_finds_its_token_cancelled() {
    let pool = pool(1);
    // Long enough to start within, on a machine that is slow or watched.
    let limit = Duration::from_secs(1);
    let asked = pool.task().timeout(limit).submit(|| CancelToken::current().sleep(FAR_TOO_LONG));

    let slept_it_all = asked.result().unwrap();

    assert!(!slept_it_all);
}

#[test]
fn a_token_cancels_a_task_that_runs_and_one_that_is_queued() {
    let pool = pool(1);
    let token = CancelToken::new();
    let (started, has_started) = channel();
    let running = pool.task().token(&token).submit(move || {
        started.send(()).unwrap();
        CancelToken::current().sleep(Duration::MAX)
    });
    let queued = pool.task().token(&token).submit(|| panic!("it must not run"));
    has_started.recv().unwrap();

    token.cancel();

    assert!(!running.result().unwrap());
    assert!(queued.result().unwrap_err().is_cancelled());
    assert_eq!(pool.submit(|| 25).result().unwrap(), 25);
}

#[test]
fn a_shutdown_cancels_the_token_of_every_running_task() {
    let sleeper = |pool: &ThreadPoolExecutor| {
        let (started, has_started) = channel();
        let future = pool.submit(move || {
            let token = CancelToken::current();
            started.send(()).unwrap();
            token.sleep(Duration::MAX)
        });
        has_started.recv().unwrap();
        future
    };
    let now = pool(2);
    let future = sleeper(&now);
    now.shutdown_now();
    assert!(!future.result().unwrap());

    let timed = pool(2);
    let future = sleeper(&timed);
    let report = timed.shutdown_timeout(Duration::from_millis(1));
    assert!(!future.result().unwrap());
    assert_eq!(report.cancelled, 0);
}

#[test]
fn outside_of_tasks_the_current_token_is_nobodys() {
    let token = CancelToken::current();
    token.cancel();
    assert!(token.is_cancelled());
    assert!(!CancelToken::current().is_cancelled());
}

#[test]
fn a_child_token_follows_its_parent_and_not_the_other_way_round() {
    let parent = CancelToken::new();
    let (one, two) = (parent.child(), parent.child_with_timeout(Duration::MAX));
    one.cancel();
    assert!(one.is_cancelled() && !two.is_cancelled() && !parent.is_cancelled());
    parent.cancel();
    assert!(two.is_cancelled());
    assert!(parent.child_with_timeout(Duration::ZERO).is_cancelled());
    assert!(!two.sleep(Duration::MAX));
}

#[test]
fn the_context_of_the_submitter_is_there_in_the_task() {
    thread_local!(static REQUEST: Cell<u32> = const { Cell::new(0) });
    let context = || {
        let request = REQUEST.get();
        move |task: &mut dyn FnMut()| {
            let outer = REQUEST.replace(request);
            task();
            REQUEST.set(outer);
        }
    };
    let pool = ThreadPoolExecutor::builder().max_workers(1).context(context).build().unwrap();
    let read = || REQUEST.get();
    for request in 1..4 {
        REQUEST.set(request);
        assert_eq!(pool.submit(read).result().unwrap(), request);
        assert_eq!(pool.task().priority(Priority::High).submit(read).result().unwrap(), request);
        assert_eq!(pool.map([()], move |()| read()).next().unwrap().unwrap(), request);
        assert_eq!(pool.scope(|scope| scope.submit(read).result()).unwrap(), request);
    }
}

#[test]
fn a_context_that_does_not_call_the_task_is_a_panic_of_the_task() {
    let pool = ThreadPoolExecutor::builder()
        .context(|| |_: &mut dyn FnMut()| {})
        .on_unread_error(|_| {})
        .build()
        .unwrap();
    let error = pool.submit(|| 25).result().unwrap_err();
    assert!(error.message().contains("context"), "{error}");
}

#[test]
fn only_a_panic_that_nobody_read_is_reported() {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let report = Arc::clone(&reported);
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .on_unread_error(move |error| {
            report.lock().unwrap().push(error.message().to_owned());
            panic!("a hook's panic harms nobody");
        })
        .build()
        .unwrap();
    let fail = |message: &'static str| pool.submit(move || panic!("{message}"));

    let (gate, running) = occupy(&pool);
    drop(fail("dropped before"));
    gate.open();
    running.result().unwrap();
    let _read = fail("read").result();
    let called = fail("told");
    called.add_done_callback(|_: Result<&(), _>| {});
    drop(called);
    let cancelled = pool.submit(|| ());
    cancelled.cancel();
    drop(cancelled);
    let after = fail("dropped after");
    patiently("it is done", || after.done());
    drop(after);
    pool.shutdown();

    assert_eq!(*reported.lock().unwrap(), ["dropped before", "dropped after"]);
}

#[test]
fn a_panic_says_where_it_happened() {
    let error = pool(1).submit(|| panic!("here")).result().unwrap_err();
    assert!(error.location().unwrap().contains("options.rs:"), "{error}");
    assert_eq!(error.message(), "here");
}

#[test]
fn a_pool_grows_and_shrinks_when_told_to() {
    let pool = pool(1);
    let (first_gate, first) = occupy(&pool);
    let second = pool.submit(|| 25);
    assert!(!second.done());

    pool.set_max_workers(3);
    assert_eq!(second.result().unwrap(), 25);
    assert_eq!(pool.max_workers(), 3);

    pool.set_max_workers(1);
    first_gate.open();
    first.result().unwrap();
    patiently("one worker is left", || pool.stats().workers <= 1);
    assert_eq!(pool.submit(|| 26).result().unwrap(), 26);
}

#[test]
#[should_panic(expected = "greater than 0")]
fn no_workers_at_all_are_refused() {
    pool(1).set_max_workers(0);
}

#[test]
fn utilisation_and_means_follow_from_the_counts() {
    let pool = ThreadPoolExecutor::builder().max_workers(2).build().unwrap();
    assert_eq!(pool.stats().utilisation(), None);
    pool.map(0..10, |_| std::thread::sleep(Duration::from_millis(2))).for_each(drop);
    let stats = pool.stats();
    assert!(stats.wall_mean().unwrap() >= Duration::from_millis(2), "{stats:?}");
    assert!(stats.queue_delay_mean().is_some());
    let utilisation = stats.utilisation().unwrap();
    assert!(utilisation > 0.0 && utilisation <= 1.0, "{stats:?}");
}

#[test]
fn a_panic_that_somebody_caught_is_not_the_place_of_the_next() {
    let pool = pool(1);
    let caught = || std::panic::catch_unwind(|| panic!("caught")).is_err();
    assert!(pool.submit(caught).result().unwrap());
    let rethrown = pool.submit(|| std::panic::resume_unwind(Box::new("elsewhere")));
    let error = rethrown.result().unwrap_err();
    assert_eq!((error.message(), error.location()), ("elsewhere", None));
}

#[test]
fn what_was_overdue_or_cancelled_at_its_turn_counts_as_cancelled() {
    let pool = pool(1);
    let overdue = pool.task().timeout(Duration::ZERO).submit(|| ());
    let token = CancelToken::new();
    token.cancel();
    let cancelled = pool.task().token(&token).submit(|| ());
    assert!(overdue.result().is_err());
    assert!(cancelled.cancelled() || cancelled.result().is_err());
    pool.shutdown();
    let stats = pool.stats();
    assert_eq!((stats.completed, stats.cancelled, stats.running), (0, 2, 0));
}

#[test]
fn a_worker_whose_thread_local_owns_the_pool_does_not_join_itself() {
    thread_local!(static OWNED: Cell<Option<Arc<ThreadPoolExecutor>>> = const { Cell::new(None) });
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .idle_timeout(Duration::from_millis(1))
        .build()
        .unwrap();
    let pool = Arc::new(pool);
    let theirs = Arc::clone(&pool);
    pool.submit(move || OWNED.set(Some(theirs))).result().unwrap();
    let weak = Arc::downgrade(&pool);
    drop(pool);
    patiently("the worker has left and dropped the pool", || weak.strong_count() == 0);
}

#[test]
fn who_was_passed_over_once_is_not_owed_it_the_next_time() {
    let pool = pool(1);
    for _ in 0..4 {
        let (gate, running) = occupy(&pool);
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |priority: Priority| {
            let order = Arc::clone(&order);
            pool.task().priority(priority).submit(move || order.lock().unwrap().push(priority))
        };
        let normal = note(Priority::Normal);
        let high: Vec<_> = (0..5).map(|_| note(Priority::High)).collect();

        gate.open();
        running.result().unwrap();
        normal.result().unwrap();
        high.into_iter().for_each(|future| future.result().unwrap());

        let mut expected = vec![Priority::High; 5];
        expected.push(Priority::Normal);
        assert_eq!(*order.lock().unwrap(), expected);
    }
}
