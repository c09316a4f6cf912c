//! Tasks that wait for tasks of their own pool.

use std::sync::Arc;

use silkmill::{ReturnWhen, ThreadPoolExecutor, as_completed, wait};

use crate::pool;

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

    assert_eq!(depth(&pool, 200), 200);
    assert_eq!(pool.stats().workers, 1, "the awaited task ran on the spot");
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

#[test]
fn substitutes_leave_when_the_blocked_come_back() {
    let pool = Arc::new(pool(2));
    for _ in 0..50 {
        let outer: Vec<_> = (0..2)
            .map(|_| {
                let inner = Arc::clone(&pool);
                pool.submit(move || {
                    let futures: Vec<_> = (0..4).map(|_| inner.submit(|| ())).collect();
                    wait(&futures, ReturnWhen::All, None).done.len()
                })
            })
            .collect();
        assert!(outer.into_iter().all(|future| future.result().unwrap() == 4));
    }

    // Those that are left over leave on their own; until then they do no harm.
    while pool.stats().workers > 2 {
        std::thread::yield_now();
    }
}
