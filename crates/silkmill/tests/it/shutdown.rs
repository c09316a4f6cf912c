//! The three ways in which a pool is shut down, and what each leaves.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use silkmill::{TaskErrorKind, ThreadPoolExecutor};

use crate::{occupy, patiently, pool};

#[test]
fn shutdown_runs_what_is_queued() {
    let pool = pool(2);
    let futures: Vec<_> = (0..100).map(|n| pool.submit(move || n)).collect();

    pool.shutdown();

    assert!(futures.iter().all(|future| future.done()));
    assert_eq!(futures.into_iter().map(|future| future.result().unwrap()).sum::<i32>(), 4950);
    assert_eq!(pool.stats().workers, 0);
    pool.shutdown();
}

#[test]
fn shutdown_now_cancels_what_is_queued_and_waits_for_what_runs() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let queued: Vec<_> = (0..10).map(|n| pool.submit(move || n)).collect();
    // The only worker is busy until the shutdown has cancelled what is queued.
    queued[9].add_done_callback(move |_| gate.open());

    pool.shutdown_now();

    assert!(running.done());
    assert!(queued.into_iter().all(|future| future.result().is_err_and(|e| e.is_cancelled())));
}

#[test]
fn shutdown_timeout_reports_what_still_runs_and_waits_no_longer() {
    let pool =
        ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("slow").build().unwrap();
    let (gate, running) = occupy(&pool);
    let queued = pool.submit(|| ());

    let report = pool.shutdown_timeout(Duration::from_millis(5));

    assert!(!report.is_complete());
    assert_eq!(report.cancelled, 1);
    assert_eq!(report.running.len(), 1);
    assert_eq!(report.running[0].worker, "slow-0");
    assert!(report.running[0].running_for >= Duration::from_millis(5));
    assert!(queued.result().unwrap_err().is_cancelled());
    drop(pool);
    gate.open();
    running.result().unwrap();
}

#[test]
fn shutdown_timeout_counts_every_task_that_it_cancelled() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let token = silkmill::CancelToken::new();
    let queued = [
        pool.submit(|| ()),
        pool.task().token(&token).submit(|| ()),
        pool.task().timeout(Duration::MAX).submit(|| ()),
        pool.task().priority(silkmill::Priority::Low).submit(|| ()),
    ];

    assert_eq!(pool.shutdown_timeout(Duration::ZERO).cancelled, 4);

    assert!(queued.into_iter().all(|future| future.result().is_err_and(|e| e.is_cancelled())));
    gate.open();
    running.result().unwrap();
}

#[test]
fn shutdown_timeout_of_an_idle_pool_is_complete() {
    let pool = pool(2);
    pool.submit(|| ()).result().unwrap();

    assert!(pool.shutdown_timeout(Duration::MAX).is_complete());
}

#[test]
fn a_task_submitted_after_shutdown_fails_and_says_so() {
    let pool = pool(1);
    pool.shutdown();

    let error = pool.submit(|| 1).result().unwrap_err();

    assert_eq!(error.kind(), TaskErrorKind::Shutdown);
}

#[test]
fn a_task_submitted_after_a_shutdown_that_gave_up_waiting_fails_and_says_so() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    assert!(!pool.shutdown_timeout(Duration::ZERO).is_complete());

    let late = pool.submit(|| panic!("it must not run"));

    assert!(late.done());
    assert_eq!(late.result().unwrap_err().kind(), TaskErrorKind::Shutdown);
    gate.open();
    running.result().unwrap();
}

#[test]
fn dropping_the_pool_runs_what_is_queued() {
    let ran = Arc::new(AtomicUsize::new(0));
    let pool = pool(2);
    for _ in 0..100 {
        let ran = Arc::clone(&ran);
        drop(pool.submit(move || ran.fetch_add(1, Ordering::Relaxed)));
    }

    drop(pool);

    assert_eq!(ran.load(Ordering::Relaxed), 100);
}

#[test]
fn a_blocked_submitter_is_refused_by_a_shutdown() {
    let pool =
        Arc::new(ThreadPoolExecutor::builder().max_workers(1).queue_capacity(1).build().unwrap());
    let (gate, running) = occupy(&pool);
    let queued = pool.submit(|| ());
    let theirs = Arc::clone(&pool);
    let submitter = silkmill::Thread::spawn(move || theirs.submit(|| ()).result());

    let report = pool.shutdown_timeout(Duration::from_millis(5));

    assert_eq!(report.running.len(), 1);
    let error = submitter.join().unwrap().unwrap_err();
    // Whether it was queued for a moment or never, its future reports the shutdown.
    assert!(matches!(error.kind(), TaskErrorKind::Shutdown | TaskErrorKind::Cancelled));
    gate.open();
    running.result().unwrap();
    drop(queued);
}

#[test]
fn a_task_may_shut_its_own_pool_down_and_hold_its_last_handle() {
    let pool = Arc::new(pool(1));
    let theirs = Arc::clone(&pool);
    let future = pool.submit(move || {
        theirs.shutdown();
        drop(theirs);
    });
    drop(pool);

    future.result().unwrap();
}

#[test]
fn submits_that_race_a_shutdown_all_end() {
    for _ in 0..200 {
        let pool = Arc::new(pool(2));
        let theirs = Arc::clone(&pool);
        let submitter = silkmill::Thread::spawn(move || {
            (0..20).map(|n| theirs.submit(move || n)).collect::<Vec<_>>()
        });

        pool.shutdown();

        for (n, future) in submitter.join().unwrap().into_iter().enumerate() {
            match future.result() {
                Ok(value) => assert_eq!(value, n),
                Err(error) => assert_eq!(error.kind(), TaskErrorKind::Shutdown),
            }
        }
    }
}

#[test]
fn a_report_counts_the_items_of_batches_that_were_queued_or_running() {
    let pool = pool(1);
    let (gate, opened) = crate::gate();
    let (opened, reached) = (Mutex::new(opened), Arc::new(AtomicBool::new(false)));
    let noting = Arc::clone(&reached);
    // Items are so short that hundreds go into a task, until one of them blocks.
    let mut map = pool.map(0..1_000_000, move |n: u32| {
        if n == 9_000 {
            noting.store(true, Ordering::SeqCst);
            opened.lock().unwrap().recv().unwrap();
        }
        n
    });
    let mut read = 0;
    while read < 9_000 && !reached.load(Ordering::SeqCst) {
        assert_eq!(map.next().unwrap().unwrap(), read);
        read += 1;
    }
    patiently("the item blocks", || reached.load(Ordering::SeqCst));

    let report = pool.shutdown_timeout(Duration::ZERO);

    let stats = pool.stats();
    assert_eq!(report.running.len(), 1);
    assert_eq!(report.cancelled as u64, stats.submitted - 9_001, "{stats:?}");
    assert_eq!(stats.cancelled, stats.submitted - 9_001);
    gate.open();
    for n in read..=9_000 {
        assert_eq!(map.next().unwrap().unwrap(), n);
    }
    let mut left = 0;
    while left < report.cancelled {
        assert!(map.next().unwrap().unwrap_err().is_cancelled());
        left += 1;
    }
    drop(map);
    patiently("the worker has ended", || pool.stats().workers == 0);
    let stats = pool.stats();
    assert_eq!(stats.completed + stats.cancelled, stats.submitted, "{stats:?}");
}
