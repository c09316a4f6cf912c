//! Submitting tasks to a pool, and what its workers do with them.

use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use silkmill::{TaskErrorKind, ThreadPoolExecutor, TrySubmitError, current};

use crate::{occupy, patiently, pool};

#[test]
fn submit_returns_the_value() {
    let pool = pool(2);

    assert_eq!(pool.submit(|| 25).result().unwrap(), 25);
}

#[test]
fn a_panic_is_a_result_and_the_worker_lives_on() {
    let pool =
        ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("mill").build().unwrap();

    let error = pool.submit(|| panic!("broken")).result().unwrap_err();

    assert_eq!(error.message(), "broken");
    assert_eq!(error.thread_name(), Some("mill-0"));
    assert_eq!(pool.submit(|| current().name().to_owned()).result().unwrap(), "mill-0");
    assert_eq!(pool.stats().panicked, 1);
}

#[test]
fn workers_are_started_on_demand_and_never_more_than_allowed() {
    let pool = pool(3);
    assert_eq!(pool.stats().workers, 0);

    let barrier = Arc::new(Barrier::new(3));
    let futures: Vec<_> = (0..6)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            // This ends only when three run at once.
            pool.submit(move || barrier.wait().is_leader())
        })
        .collect();

    let leaders = futures.into_iter().filter_map(|future| future.result().ok()).filter(|l| *l);
    assert_eq!(leaders.count(), 2);
    assert_eq!(pool.stats().workers, 3);
}

#[test]
fn who_reads_a_result_and_submits_again_meets_the_same_worker() {
    let pool = pool(8);

    for n in 0..1000 {
        assert_eq!(pool.submit(move || n).result().unwrap(), n);
    }

    assert_eq!(pool.stats().workers, 1);
}

#[test]
fn tasks_start_in_the_order_of_their_submission() {
    let pool = pool(1);
    let (gate, first) = occupy(&pool);
    let (sender, receiver) = channel();
    let rest: Vec<_> = (0..100)
        .map(|n| {
            let sender = sender.clone();
            pool.submit(move || sender.send(n).unwrap())
        })
        .collect();

    gate.open();
    first.result().unwrap();
    rest.into_iter().for_each(|future| future.result().unwrap());

    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_full_queue_refuses_and_gives_the_closure_back() {
    let pool = ThreadPoolExecutor::builder().max_workers(1).queue_capacity(2).build().unwrap();
    let (gate, running) = occupy(&pool);
    let queued = [pool.submit(|| 1), pool.try_submit(|| 2).unwrap()];

    let text = "not lost".to_owned();
    let refused = pool.try_submit(move || text).unwrap_err();
    assert!(refused.is_full());
    assert_eq!(refused.into_task()(), "not lost");
    let timed_out = pool.submit_timeout(|| 3, Duration::from_millis(1)).unwrap_err();
    assert!(timed_out.is_full());

    gate.open();
    running.result().unwrap();
    assert_eq!(queued.map(|future| future.result().unwrap()), [1, 2]);
}

#[test]
fn a_full_queue_holds_submit_back_until_there_is_room() {
    let pool =
        Arc::new(ThreadPoolExecutor::builder().max_workers(1).queue_capacity(1).build().unwrap());
    let (gate, running) = occupy(&pool);
    let queued = pool.submit(|| 1);
    let (sender, receiver) = channel();
    let theirs = Arc::clone(&pool);
    let submitter = silkmill::Thread::spawn(move || {
        let future = theirs.submit(|| 2);
        sender.send(()).unwrap();
        future.result().unwrap()
    });

    assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err(), "there is no room yet");
    gate.open();

    running.result().unwrap();
    assert_eq!(queued.result().unwrap(), 1);
    assert_eq!(submitter.join().unwrap(), 2);
}

#[test]
fn blocked_submitters_are_served_in_order() {
    let pool =
        Arc::new(ThreadPoolExecutor::builder().max_workers(1).queue_capacity(1).build().unwrap());
    let (gate, running) = occupy(&pool);
    let first = pool.submit(|| ());
    let (sender, receiver) = channel();
    let submitters: Vec<_> = (0..5)
        .map(|n| {
            let (theirs, sender) = (Arc::clone(&pool), sender.clone());
            let thread = silkmill::Thread::spawn(move || {
                theirs.submit(move || sender.send(n).unwrap()).result().unwrap();
            });
            patiently("it stands in line", || pool.stats().submitters_waiting == n + 1);
            thread
        })
        .collect();
    // A submitter in the middle gives up; those behind it are not forgotten.
    assert!(pool.submit_timeout(|| (), Duration::from_millis(1)).is_err());

    gate.open();

    running.result().unwrap();
    first.result().unwrap();
    submitters.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_cancelled_task_gives_its_room_back_at_once() {
    let pool = ThreadPoolExecutor::builder().max_workers(1).queue_capacity(1).build().unwrap();
    let (gate, running) = occupy(&pool);

    for _ in 0..1000 {
        let queued = pool.try_submit(|| ()).unwrap();
        assert!(queued.cancel());
    }
    assert_eq!(pool.stats().queued, 0);
    assert_eq!(pool.stats().cancelled, 1000);

    gate.open();
    running.result().unwrap();
    assert_eq!(pool.submit(|| 5).result().unwrap(), 5);
}

#[test]
fn a_cancelled_task_never_runs_and_a_running_one_cannot_be_cancelled() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let (ran, has_run) = channel();
    let queued = pool.submit(move || ran.send(()).unwrap());

    assert!(!running.cancel());
    assert!(queued.cancel());
    assert!(queued.cancel(), "cancelled is cancelled, however often one asks");
    assert!(queued.cancelled() && queued.done() && !queued.running());
    gate.open();

    running.result().unwrap();
    assert_eq!(queued.result().unwrap_err().kind(), TaskErrorKind::Cancelled);
    drop(pool);
    assert!(has_run.recv().is_err());
}

#[test]
fn what_cannot_be_built_says_why() {
    let zero = ThreadPoolExecutor::builder().max_workers(0).build().unwrap_err();
    assert!(zero.to_string().contains("max_workers must be greater than 0"), "{zero}");
    assert!(ThreadPoolExecutor::builder().queue_capacity(0).build().is_err());
    assert!(ThreadPoolExecutor::builder().thread_name_prefix("a\0b").build().is_err());
}

#[test]
fn tasks_fail_when_no_thread_can_be_had_and_none_is_stranded() {
    let pool = ThreadPoolExecutor::builder().stack_size(usize::MAX / 2).build().unwrap();

    let error = pool.submit(|| 1).result().unwrap_err();

    assert_eq!(error.kind(), TaskErrorKind::NoThread);
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(pool.stats().workers, 0);
}

#[test]
fn the_default_size_follows_the_processors_and_is_at_most_32() {
    let processors = std::thread::available_parallelism().unwrap().get();

    let pool = ThreadPoolExecutor::builder().build().unwrap();

    assert_eq!(pool.max_workers(), 32.min(processors + 4));
}

#[test]
fn workers_are_named_by_the_prefix_and_a_number() {
    let pool =
        ThreadPoolExecutor::builder().max_workers(2).thread_name_prefix("fetch").build().unwrap();
    let barrier = Arc::new(Barrier::new(2));

    let names: BTreeSet<String> = pool
        .map([Arc::clone(&barrier), barrier], |barrier| {
            barrier.wait();
            current().name().to_owned()
        })
        .map(|name| name.unwrap())
        .collect();

    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["fetch-0", "fetch-1"]);
}

#[test]
fn a_result_nobody_wants_is_dropped_without_holding_up_the_pool() {
    struct Slow(std::sync::mpsc::Sender<()>, std::sync::mpsc::Receiver<()>);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            self.1.recv().unwrap();
        }
    }
    let pool = pool(3);
    let (gate, opened) = crate::gate();
    let (occupied, running) = occupy(&pool);
    // The second worker drops a value that takes its time, and only when the future is gone.
    let (go, wait) = channel::<()>();
    let (dropping, is_dropping) = channel();
    drop(pool.submit(move || {
        wait.recv().unwrap();
        Slow(dropping, opened)
    }));
    go.send(()).unwrap();
    is_dropping.recv().unwrap();

    // The third worker takes this task, because the second is not free.
    assert_eq!(pool.submit(|| 7).result().unwrap(), 7);

    assert_eq!(pool.stats().workers, 3);
    gate.open();
    occupied.open();
    running.result().unwrap();
}

#[test]
fn what_is_submitted_is_counted() {
    let pool = ThreadPoolExecutor::builder().max_workers(1).measure_cpu(true).build().unwrap();
    let (gate, running) = occupy(&pool);
    let queued = pool.submit(|| ());

    let stats = pool.stats();
    assert_eq!((stats.submitted, stats.running, stats.queued), (2, 1, 1));
    assert_eq!((stats.workers, stats.workers_idle), (1, 0));

    gate.open();
    running.result().unwrap();
    queued.result().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.completed, stats.running, stats.queued), (2, 0, 0));
    assert!(stats.queue_delay_max <= stats.queue_delay_total);
    assert!(stats.cpu_total.unwrap() <= stats.wall_total);
}

#[test]
fn many_threads_may_submit_at_once() {
    let pool =
        Arc::new(ThreadPoolExecutor::builder().max_workers(4).queue_capacity(3).build().unwrap());
    let submitters: Vec<_> = (0..8u64)
        .map(|base| {
            let pool = Arc::clone(&pool);
            silkmill::Thread::spawn(move || {
                let futures: Vec<_> =
                    (0..500).map(|n| pool.submit(move || base * 1000 + n)).collect();
                futures.into_iter().map(|future| future.result().unwrap()).sum::<u64>()
            })
        })
        .collect();

    let sum: u64 = submitters.into_iter().map(|thread| thread.join().unwrap()).sum();

    assert_eq!(sum, (0..8).map(|base| base * 1000 * 500 + 499 * 500 / 2).sum::<u64>());
}

#[test]
fn try_submit_after_shutdown_gives_the_closure_back() {
    let pool = pool(1);
    pool.shutdown();

    let refused = pool.try_submit(|| 1).unwrap_err();

    assert!(matches!(refused, TrySubmitError::Shutdown(_)));
}
