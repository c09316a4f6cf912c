//! Limits and tokens of tasks that are queued: they act at once, and not when the task's turn
//! comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use silkmill::{CancelToken, TaskErrorKind, Thread, ThreadPoolExecutor};

use crate::{block_on, occupy, patiently, pool};

const SOON: Duration = Duration::from_millis(20);

#[test]
fn a_queued_task_ends_when_its_time_is_up_though_every_worker_is_busy() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let must_not_run = || panic!("its time was up");

    let read = pool.task().timeout(SOON).submit(must_not_run);
    let told = pool.task().timeout(SOON).submit(must_not_run);
    let awaited = pool.task().timeout(SOON).submit(must_not_run);
    let overdue = pool.task().timeout(Duration::ZERO).submit(must_not_run);
    let in_time = pool.task().timeout(Duration::MAX).submit(|| 25);
    let (sender, receiver) = channel();
    told.add_done_callback(move |result| sender.send(result.unwrap_err().kind()).unwrap());

    // The worker is busy until all of these have ended.
    assert_eq!(read.result().unwrap_err().kind(), TaskErrorKind::TimedOut);
    assert_eq!(receiver.recv().unwrap(), TaskErrorKind::TimedOut);
    assert_eq!(block_on(awaited).unwrap_err().kind(), TaskErrorKind::TimedOut);
    patiently("the overdue task has ended", || overdue.done());
    assert!(!overdue.cancelled() && !overdue.running(), "it was not cancelled, but too late");
    assert_eq!(pool.stats().queued, 1, "only one still waits");
    gate.open();
    running.result().unwrap();
    assert_eq!(in_time.result().unwrap(), 25);
    pool.shutdown();
    let stats = pool.stats();
    assert_eq!((stats.submitted, stats.completed, stats.cancelled), (6, 2, 4));
}

#[test]
fn a_queued_task_ends_when_its_token_is_cancelled_or_one_above_it() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let root = CancelToken::new();
    let (own, child) = (root.clone(), root.child());
    let grandchild = child.child_with_timeout(Duration::from_secs(600));
    let other = CancelToken::new();
    let must_not_run = || panic!("it was cancelled");
    let cancelled: Vec<_> = [&own, &child, &grandchild]
        .map(|token| pool.task().token(token).submit(must_not_run))
        .into_iter()
        .collect();
    let goes_on = pool.task().token(&other).submit(|| 25);

    root.cancel();

    assert!(cancelled.iter().all(|future| future.done() && future.cancelled()));
    let late = pool.task().token(&child).submit(must_not_run);
    assert!(late.done() && late.result().unwrap_err().is_cancelled());
    assert!(!goes_on.done());
    gate.open();
    running.result().unwrap();
    assert_eq!(goes_on.result().unwrap(), 25);
}

#[test]
fn a_task_that_ends_before_its_turn_gives_its_room_back() {
    for by_time in [false, true] {
        let builder = ThreadPoolExecutor::builder().max_workers(1).queue_capacity(2);
        let pool = builder.build().unwrap();
        let (gate, running) = occupy(&pool);
        let token = CancelToken::new();
        let task = pool.task().token(&token);
        let task = if by_time { task.timeout(SOON) } else { task };
        let ended = [task.clone(), task].map(|task| task.submit(|| ()));
        if !by_time {
            assert!(pool.try_submit(|| ()).is_err_and(|refused| refused.is_full()));
            token.cancel();
        }

        // These wait for room, which only the limits can give.
        let first = pool.submit(|| 1);
        let second = pool.submit(|| 2);

        // Neither has had its turn: the worker is still occupied.
        for ended in ended {
            let error = ended.result().unwrap_err();
            assert_eq!(error.kind() == TaskErrorKind::TimedOut, by_time, "{error}");
            assert_eq!(error.is_cancelled(), !by_time, "{error}");
        }
        gate.open();
        running.result().unwrap();
        assert_eq!(first.result().unwrap() + second.result().unwrap(), 3);
    }
}

#[test]
fn a_submitter_waits_for_room_no_longer_than_its_task_may_take() {
    let pool = ThreadPoolExecutor::builder().max_workers(1).queue_capacity(1).build().unwrap();
    let (gate, running) = occupy(&pool);
    let queued = pool.submit(|| 25);

    let late = pool.task().timeout(SOON).submit(|| panic!("there was no room in time"));
    assert_eq!(late.result().unwrap_err().kind(), TaskErrorKind::TimedOut);

    let token = CancelToken::new();
    std::thread::scope(|threads| {
        let submitter = threads.spawn(|| {
            let task = || panic!("it was cancelled");
            let refused = pool.task().token(&token).submit_timeout(task, Duration::MAX);
            assert!(refused.is_err());
            pool.task().token(&token).submit(task).result().unwrap_err().kind()
        });
        patiently("the submitter waits", || pool.stats().submitters_waiting == 1);
        token.cancel();
        assert_eq!(submitter.join().unwrap(), TaskErrorKind::Cancelled);
    });
    gate.open();
    running.result().unwrap();
    assert_eq!(queued.result().unwrap(), 25);
}

#[test]
fn every_task_of_a_token_that_is_cancelled_ends_once_whatever_the_workers_do() {
    const TASKS: usize = 2_000;
    let pool = pool(4);
    let (token, ran) = (CancelToken::new(), Arc::new(AtomicUsize::new(0)));
    let futures: Vec<_> = (0..TASKS)
        .map(|_| {
            let ran = Arc::clone(&ran);
            pool.task().token(&token).submit(move || _ = ran.fetch_add(1, Ordering::Relaxed))
        })
        .collect();
    let theirs = token.clone();
    let canceller = Thread::spawn(move || theirs.cancel());

    let results: Vec<_> = futures.into_iter().map(|future| future.result()).collect();

    canceller.join().unwrap();
    let ended_well = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(ended_well, ran.load(Ordering::Relaxed));
    assert!(results.iter().flat_map(|result| result.as_ref().err()).all(|e| e.is_cancelled()));
    pool.shutdown();
    let stats = pool.stats();
    assert_eq!((stats.queued, stats.submitted), (0, TASKS as u64));
    assert_eq!(stats.completed + stats.cancelled, TASKS as u64);
}

#[test]
fn a_pool_whose_tasks_had_limits_leaves_no_thread() {
    let name = "limited-pool";
    let pool = ThreadPoolExecutor::builder().thread_name_prefix(name).build().unwrap();
    let task = pool.task().timeout(Duration::from_secs(600)).submit(|| 25);
    assert_eq!(task.result().unwrap(), 25);

    drop(pool);

    let left = silkmill::threads().into_iter().filter(|thread| thread.name().starts_with(name));
    assert_eq!(left.count(), 0);
}

#[test]
fn a_limit_ends_its_task_in_time_whatever_the_thread_for_limits_waits_for() {
    let name = "timed-pool";
    let builder = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix(name);
    let pool = builder.idle_timeout(Duration::from_millis(1)).build().unwrap();
    let (gate, running) = occupy(&pool);
    let times_out = || {
        let task = pool.task().timeout(SOON).submit(|| panic!("its time was up"));
        assert_eq!(task.result().unwrap_err().kind(), TaskErrorKind::TimedOut);
    };
    // Once it has waited for nothing, and ended; and while it has an hour to wait for.
    times_out();
    let is_timer = |thread: &silkmill::ThreadInfo| thread.name() == "timed-pool-timer";
    patiently("it has ended", || !silkmill::threads().iter().any(is_timer));
    times_out();
    let later = pool.task().timeout(Duration::from_secs(3600)).submit(|| 25);
    (0..3).for_each(|_| times_out());
    gate.open();
    running.result().unwrap();
    assert_eq!(later.result().unwrap(), 25);
}

#[test]
fn a_shutdown_does_not_wait_for_the_time_of_a_limit() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let far_too_late = Duration::from_secs(1 << 20);
    let queued = pool.task().timeout(far_too_late).submit(|| 25);
    std::thread::scope(|threads| {
        threads.spawn(|| pool.shutdown());
        patiently("the pool is closed", || pool.try_submit(|| ()).is_err());
        // The limit is the timer's last entry, and goes while the shutdown waits.
        gate.open();
    });
    running.result().unwrap();
    assert_eq!(queued.result().unwrap(), 25);
}

/// The length of a chain of tokens that overflows a stack when it is walked by recursion.
const CHAIN: usize = 50_000;

#[test]
fn a_chain_of_tokens_may_be_as_long_as_one_likes() {
    let root = CancelToken::new();
    let mut leaf = root.clone();
    for _ in 0..CHAIN {
        leaf = leaf.child();
    }
    assert!(!leaf.is_cancelled() && leaf.deadline().is_none());

    root.cancel();

    assert!(leaf.is_cancelled());
    drop((root, leaf));
}

#[test]
fn children_come_and_go_by_the_thousand() {
    let root = CancelToken::new();
    let children: Vec<_> = (0..CHAIN).map(|_| root.child()).collect();
    let last = children.last().unwrap().clone();
    drop(children);

    root.cancel();

    assert!(last.is_cancelled());
    assert!(root.child().is_cancelled(), "also one that comes late");
}

#[test]
fn every_sleeper_wakes_when_a_token_far_above_is_cancelled() {
    const SLEEPERS: usize = 200;
    let root = CancelToken::new();
    let far_below = root.child().child().child();
    let sleeping: Vec<_> = (0..SLEEPERS)
        .map(|_| {
            let token = far_below.child();
            Thread::spawn(move || token.sleep(Duration::from_secs(3600)))
        })
        .collect();

    root.cancel();

    assert!(sleeping.into_iter().all(|thread| !thread.join().unwrap()));
}
