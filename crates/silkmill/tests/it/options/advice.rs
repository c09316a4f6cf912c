//! The advice on real loads.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use silkmill::{Advice, Stats, ThreadPoolExecutor, Verdict};

const NAP: Duration = Duration::from_millis(3);

fn measuring(max_workers: usize) -> ThreadPoolExecutor {
    ThreadPoolExecutor::builder().max_workers(max_workers).measure_cpu(true).build().unwrap()
}

fn verdict(stats: &Stats) -> Verdict {
    match stats.advice() {
        Advice::Measured(measured) => measured.verdict,
        other => panic!("{other}: {stats:?}"),
    }
}

fn compute() {
    let until = Instant::now() + NAP;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

#[test]
fn naps_that_queue_ask_for_more_workers_and_naps_that_come_alone_do_not() {
    let pool = measuring(2);
    pool.map(0..40, |_| std::thread::sleep(NAP)).for_each(drop);
    assert_eq!(verdict(&pool.stats()), Verdict::MoreWorkersHelp, "{:?}", pool.stats());

    let pool = measuring(2);
    for _ in 0..40 {
        pool.submit(|| std::thread::sleep(NAP)).result().unwrap();
    }
    let verdict = verdict(&pool.stats());
    assert!(verdict == Verdict::EnoughWorkers || pool.stats().queue_delay_max > NAP / 4);
}

#[test]
fn tasks_that_compute_on_more_workers_than_processors_do_not_ask_for_more() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = measuring(4 * processors);
    pool.map(0..40 * processors, |_| compute()).for_each(drop);
    let stats = pool.stats();
    if stats.run_queue_delay_total.is_some() {
        assert_ne!(verdict(&stats), Verdict::MoreWorkersHelp, "{stats:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn tasks_under_one_lock_share_something() {
    static LOCK: Mutex<()> = Mutex::new(());
    let pool = measuring(8);
    let locked = |_| {
        let _guard = LOCK.lock().unwrap();
        std::thread::sleep(NAP);
    };
    pool.map(0..150, locked).for_each(drop);
    if std::fs::read("/proc/thread-self/syscall").is_ok() {
        let advice = pool.stats().advice();
        let measured = advice.measured().unwrap();
        assert_eq!(measured.verdict, Verdict::SomethingIsShared, "{measured:?}");
    }
}

#[test]
fn statistics_since_a_moment_are_differences() {
    let pool = measuring(2);
    pool.map(0..10, |n| assert!(n > 0, "asked for")).for_each(drop);
    let earlier = pool.stats();
    pool.map(0..7, |_| std::thread::sleep(NAP)).for_each(drop);
    let since = pool.stats().since(&earlier);
    assert_eq!((since.submitted, since.completed, since.panicked), (7, 7, 0));
    assert!(since.wall_total >= 7 * NAP, "{since:?}");
    assert_eq!(pool.stats().advice_since(&earlier), Advice::TooFew { ended: 7, needed: 10 });
}

#[test]
fn a_wait_for_a_task_of_the_same_pool_is_told_apart() {
    let pool = std::sync::Arc::new(measuring(2));
    let own = std::sync::Arc::clone(&pool);
    let outer = pool.submit(move || {
        let inner = own.submit(|| std::thread::sleep(5 * NAP));
        while !inner.running() {
            std::thread::yield_now();
        }
        inner.result().unwrap();
    });
    outer.result().unwrap();
    pool.shutdown();
    let stats = pool.stats();
    assert!(stats.nested_wait_total > Duration::ZERO, "{stats:?}");
    assert!(stats.nested_wait_total <= stats.wall_total, "{stats:?}");
}
