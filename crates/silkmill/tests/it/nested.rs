//! Tasks that wait for tasks of their own pool.

use std::sync::Arc;

use std::time::Duration;

use silkmill::{ReturnWhen, ThreadPoolExecutor, active_count, as_completed, wait};

use crate::{block_on, occupy, patiently, pool};

fn depth(pool: &Arc<ThreadPoolExecutor>, left: u32) -> u32 {
    if left == 0 {
        return 0;
    }
    let inner = Arc::clone(pool);
    1 + pool.submit(move || depth(&inner, left - 1)).result().unwrap()
}

#[test]
fn one_worker_may_wait_for_its_own_pool_at_any_depth() {
    let pool = Arc::new(pool(1));

    assert_eq!(depth(&pool, 10), 10);
    assert_eq!(pool.stats().workers, 1, "the awaited task ran on the spot");

    assert_eq!(depth(&pool, 500), 500);
    assert!(pool.stats().workers <= 1 + 500 / 16 + 1, "one substitute for each 16 levels");
}

#[test]
fn a_tree_of_tasks_that_wait_for_each_other_ends() {
    fn sum(pool: &Arc<ThreadPoolExecutor>, from: u64, to: u64) -> u64 {
        if to - from <= 2 {
            return (from..to).sum();
        }
        let middle = from.midpoint(to);
        let halves: Vec<_> = [(from, middle), (middle, to)]
            .into_iter()
            .map(|(from, to)| {
                let inner = Arc::clone(pool);
                pool.submit(move || sum(&inner, from, to))
            })
            .collect();
        halves.into_iter().map(|half| half.result().unwrap()).sum()
    }
    for workers in [1, 2, 3] {
        let pool = Arc::new(pool(workers));

        assert_eq!(sum(&pool, 0, 500), 499 * 500 / 2);
    }
}

#[test]
fn a_worker_that_waits_for_many_of_its_own_pool_is_replaced_meanwhile() {
    let pool = Arc::new(pool(1));
    let inner = Arc::clone(&pool);

    let sum = pool.submit(move || {
        let futures: Vec<_> = (0..10).map(|n| inner.submit(move || n)).collect();
        assert_eq!(wait(&futures, ReturnWhen::All, None).done.len(), 10);
        let more: Vec<_> = (10..20).map(|n| inner.submit(move || n)).collect();
        let all = as_completed(futures.into_iter().chain(more));
        all.map(|future| future.result().unwrap()).sum::<i32>()
    });

    assert_eq!(sum.result().unwrap(), 190);
}

#[test]
fn a_map_inside_a_task_of_the_same_pool_ends() {
    let pool = Arc::new(pool(1));
    let inner = Arc::clone(&pool);

    let sum = pool.submit(move || {
        let ordered: i32 = inner.map(0..50, |n| n).map(Result::unwrap).sum();
        let unordered: i32 = inner.map_unordered(0..50, |n| n).map(Result::unwrap).sum();
        ordered + unordered
    });

    assert_eq!(sum.result().unwrap(), 2450);
}

#[test]
fn a_task_is_not_held_back_by_its_own_pools_capacity() {
    let pool =
        Arc::new(ThreadPoolExecutor::builder().max_workers(1).queue_capacity(1).build().unwrap());
    let inner = Arc::clone(&pool);

    let sum = pool.submit(move || {
        let futures: Vec<_> = (0..10).map(|n| inner.submit(move || n)).collect();
        futures.into_iter().map(|future| future.result().unwrap()).sum::<i32>()
    });

    assert_eq!(sum.result().unwrap(), 45);
}

/// Blocks as many workers as there are `tasks`, each of which waits for a task that others run.
fn block_all(pool: &Arc<ThreadPoolExecutor>, tasks: usize) {
    let outer: Vec<_> = (0..tasks)
        .map(|_| {
            let inner = Arc::clone(pool);
            pool.submit(move || {
                let futures: Vec<_> = (0..4).map(|_| inner.submit(|| ())).collect();
                wait(&futures, ReturnWhen::All, Duration::from_secs(60)).done.len()
            })
        })
        .collect();
    assert!(outer.into_iter().all(|future| future.result().unwrap() == 4));
}

#[test]
fn substitutes_leave_when_the_blocked_come_back() {
    let pool = Arc::new(pool(2));
    for _ in 0..50 {
        block_all(&pool, 2);
    }

    patiently("the surplus workers leave", || pool.stats().workers <= 2);
}

#[test]
fn however_many_tasks_wait_for_their_own_pool_the_threads_are_bounded() {
    let pool = Arc::new(pool(2));
    let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let outer: Vec<_> = (0..2000)
        .map(|_| {
            let (inner, most) = (Arc::clone(&pool), Arc::clone(&most));
            pool.submit(move || {
                let futures = [inner.submit(|| ())];
                wait(&futures, ReturnWhen::All, None);
                most.fetch_max(inner.stats().workers, std::sync::atomic::Ordering::Relaxed);
            })
        })
        .collect();
    outer.into_iter().for_each(|future| future.result().unwrap());

    let most = most.load(std::sync::atomic::Ordering::Relaxed);
    assert!(most <= 2 + 64, "{most} workers");
    assert!(active_count() < 2000);
}

#[test]
fn a_look_without_waiting_starts_no_second_worker() {
    let pool = Arc::new(pool(1));
    let inner = Arc::clone(&pool);

    let workers = pool.submit(move || {
        let futures = [inner.submit(|| ())];
        assert!(wait(&futures, ReturnWhen::All, Duration::ZERO).done.is_empty());
        let [future] = futures;
        let future = future.result_timeout(Duration::ZERO).unwrap_err();
        let workers = inner.stats().workers;
        future.result().unwrap();
        workers
    });

    assert_eq!(workers.result().unwrap(), 1);
}

#[test]
fn a_task_may_await_a_task_of_its_own_pool() {
    let pool = Arc::new(pool(1));
    let inner = Arc::clone(&pool);

    let sum = pool.submit(move || block_on(inner.submit(|| 25)).unwrap());

    assert_eq!(sum.result().unwrap(), 25);
}

#[test]
fn a_chain_of_waits_is_as_deep_as_there_are_threads_and_overflows_no_stack() {
    // Run on one thread, this many would overflow its stack.
    const DEEP: u32 = 10_000;
    let pool = Arc::new(pool(2));

    assert_eq!(depth(&pool, DEEP), DEEP);
    assert!(pool.stats().workers <= 2 + DEEP as usize / 16 + 1);
}

#[test]
fn a_chain_of_tasks_with_large_frames_overflows_no_stack() {
    /// Sixteen of these are more than a worker's stack.
    const FRAME: usize = 200_000;
    fn large(pool: &Arc<ThreadPoolExecutor>, left: u32) -> u32 {
        let frame = std::hint::black_box([left as u8; FRAME]);
        if left == 0 {
            return 0;
        }
        let inner = Arc::clone(pool);
        let deeper = pool.submit(move || large(&inner, left - 1)).result().unwrap();
        deeper + u32::from(std::hint::black_box(&frame)[FRAME - 1] == left as u8)
    }
    let pool = Arc::new(pool(1));

    assert_eq!(large(&pool, 100), 100);
}

#[test]
fn a_chain_of_scopes_overflows_no_stack() {
    fn scopes(pool: &ThreadPoolExecutor, left: u32, reached: &std::sync::atomic::AtomicU32) {
        reached.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if left > 0 {
            pool.scope(|scope| drop(scope.submit(|| scopes(pool, left - 1, reached))));
        }
    }
    let reached = std::sync::atomic::AtomicU32::new(0);

    scopes(&pool(1), 2_000, &reached);

    assert_eq!(reached.into_inner(), 2_001);
}

/// Polls once.
fn poll_once<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut context)
}

#[test]
fn a_poll_never_runs_a_task_and_lets_another_worker_do_it() {
    let pool = Arc::new(pool(1));
    let inner = Arc::clone(&pool);

    let outer = pool.submit(move || {
        let own = std::thread::current().id();
        let mut first = inner.submit(move || std::thread::current().id() != own);
        let mut second = inner.submit(move || std::thread::current().id() != own);
        while poll_once(&mut first).is_pending() {
            std::thread::yield_now();
        }
        block_on(&mut second)
    });

    assert!(outer.result().unwrap().unwrap(), "another worker ran it");
    patiently("the substitute leaves", || pool.stats().workers <= 1);
}

#[test]
fn a_future_that_is_polled_and_kept_or_dropped_leaves_no_worker_too_many() {
    let pool = Arc::new(pool(1));
    let (gate, opened) = crate::gate();
    let inner = Arc::clone(&pool);
    let outer = pool.submit(move || {
        let mut kept = inner.submit(move || opened.recv().unwrap());
        let mut dropped = inner.submit(|| ());
        let mut both = [poll_once(&mut kept), poll_once(&mut dropped)].into_iter();
        assert!(both.all(|polled| polled.is_pending()));
        drop(dropped);
        kept
    });
    let kept = outer.result().unwrap();
    gate.open();
    block_on(kept).unwrap();

    // Once all are back, a task that waits outside of the pool is not replaced.
    patiently("the substitutes leave", || pool.stats().workers <= 1);
    let (gate, running) = occupy(&pool);
    let queued = pool.submit(|| ());
    assert_eq!(pool.stats().workers, 1);
    gate.open();
    running.result().unwrap();
    queued.result().unwrap();
}

#[test]
fn tasks_that_await_tasks_of_their_own_pool_end_at_any_depth() {
    fn depth(pool: &Arc<ThreadPoolExecutor>, left: u32) -> u32 {
        if left == 0 {
            return 0;
        }
        let inner = Arc::clone(pool);
        1 + block_on(pool.submit(move || depth(&inner, left - 1))).unwrap()
    }
    let pool = Arc::new(pool(1));

    assert_eq!(depth(&pool, 300), 300);
    let inner = Arc::clone(&pool);
    assert_eq!(pool.submit(move || depth(&inner, 300)).result().unwrap(), 300);
}

#[test]
fn a_task_that_shuts_its_pool_down_for_a_while_cancels_nothing() {
    let pool = Arc::new(pool(1));
    let (gate, opened) = crate::gate();
    let inner = Arc::clone(&pool);
    let outer = pool.submit(move || {
        opened.recv().unwrap();
        inner.shutdown_timeout(Duration::from_secs(60)).is_complete()
    });
    let queued = pool.submit(|| 25);

    gate.open();

    assert!(!outer.result().unwrap());
    assert_eq!(queued.result().unwrap(), 25);
}

#[test]
fn a_sleeping_worker_is_called_for_each_of_two_tasks() {
    let pool = pool(2);
    let barrier = Arc::new(std::sync::Barrier::new(2));
    for _ in 0..200 {
        let meet = || {
            let barrier = Arc::clone(&barrier);
            pool.submit(move || barrier.wait().is_leader())
        };
        let (one, other) = (meet(), meet());
        assert!(one.result().unwrap() != other.result().unwrap());
    }
    let (gate, running) = occupy(&pool);
    gate.open();
    running.result().unwrap();
}

#[test]
fn uneven_trees_of_tasks_that_wait_for_each_other_end_with_one_worker() {
    fn tree(pool: &Arc<ThreadPoolExecutor>, depth: usize, seed: u64) -> u64 {
        if depth == 0 {
            return 1;
        }
        let seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Mostly one child, so that it is deep; sometimes two, so that one of them runs elsewhere.
        let children = if seed >> 60 == 0 { 2 } else { 1 };
        let futures: Vec<_> = (0..children)
            .map(|child| {
                let theirs = Arc::clone(pool);
                pool.submit(move || tree(&theirs, depth - 1, seed + child))
            })
            .collect();
        futures.into_iter().map(|future| future.result().unwrap()).sum()
    }
    let pool = Arc::new(pool(1));
    for seed in 0..20 {
        let theirs = Arc::clone(&pool);
        assert!(pool.submit(move || tree(&theirs, 40, seed)).result().unwrap() >= 1);
    }
}
