//! The hook that carries the submitter's context, here one that clears what it has set.

use std::cell::Cell;
use std::sync::mpsc::channel;

use silkmill::{ReturnWhen, ThreadPoolExecutor, as_completed, wait};

use crate::occupy;

thread_local!(static REQUEST: Cell<u32> = const { Cell::new(0) });

fn pool(max_workers: usize) -> ThreadPoolExecutor {
    let capture = || {
        let request = REQUEST.get();
        move |task: &mut dyn FnMut()| {
            REQUEST.set(request);
            task();
            REQUEST.set(0);
        }
    };
    ThreadPoolExecutor::builder().max_workers(max_workers).context(capture).build().unwrap()
}

#[test]
fn a_task_that_waits_for_another_keeps_its_context() {
    for workers in [1, 2] {
        let pool = std::sync::Arc::new(pool(workers));
        let own = std::sync::Arc::clone(&pool);
        REQUEST.set(7);
        let outer = pool.submit(move || {
            let mut seen = Vec::new();
            REQUEST.set(8);
            assert_eq!(own.submit(|| REQUEST.get()).result().unwrap(), 8);
            seen.push(REQUEST.get());
            let futures = [own.submit(|| REQUEST.get()), own.submit(|| REQUEST.get())];
            wait(&futures, ReturnWhen::All, None);
            seen.push(REQUEST.get());
            for done in as_completed(futures) {
                assert_eq!(done.result().unwrap(), 8);
            }
            seen.push(REQUEST.get());
            own.scope(|scope| drop(scope.submit(|| assert_eq!(REQUEST.get(), 8))));
            seen.push(REQUEST.get());
            assert!(own.map(0..100, |_| REQUEST.get()).all(|request| request.unwrap() == 8));
            assert!(own.map_unordered(0..9, |_| REQUEST.get()).all(|seen| seen.unwrap() == 8));
            seen.push(REQUEST.get());
            seen
        });
        assert_eq!(outer.result().unwrap(), [8; 5]);
        assert_eq!(REQUEST.get(), 7);
    }
}

#[test]
fn every_item_of_a_map_runs_in_the_context_in_which_it_was_taken() {
    let pool = pool(2);
    let items = || (1..5_000u32).inspect(|n| REQUEST.set(*n));
    let is_own = |n: u32| REQUEST.get() == n;
    assert!(pool.map(items(), is_own).all(Result::unwrap));
    assert!(pool.map_unordered(items(), is_own).all(Result::unwrap));
    assert!(pool.map_with(|| (), items(), move |(), n| is_own(n)).all(Result::unwrap));
    assert!(pool.scope(|scope| scope.map(items(), is_own).all(Result::unwrap)));
}

#[test]
fn what_goes_on_from_a_value_has_the_context_of_the_thread_that_asked_for_it() {
    let pool = pool(1);
    let (gate, future) = occupy(&pool);
    REQUEST.set(3);
    let mapped = future.map(|()| REQUEST.get());
    REQUEST.set(4);
    let twice = mapped.map(|seen| (seen, REQUEST.get()));
    REQUEST.set(5);
    gate.open();
    assert_eq!(twice.result().unwrap(), (3, 4));
    assert_eq!(REQUEST.get(), 5);
}

#[test]
fn a_callback_on_a_worker_has_the_context_of_the_thread_that_added_it() {
    let pool = pool(1);
    let (sender, receiver) = channel();
    let (gate, running) = occupy(&pool);
    REQUEST.set(5);
    let future = pool.submit(|| REQUEST.get());
    for request in [6, 7] {
        REQUEST.set(request);
        let sender = sender.clone();
        future.add_done_callback(move |_| sender.send(REQUEST.get()).unwrap());
    }
    gate.open();
    running.result().unwrap();
    assert_eq!(future.result().unwrap(), 5);
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [6, 7]);
    assert_eq!(pool.submit(|| REQUEST.get()).result().unwrap(), 7);
}

#[test]
fn a_callback_elsewhere_leaves_the_context_of_its_thread_alone() {
    let pool = pool(1);
    let (sender, receiver) = channel();
    let (gate, running) = occupy(&pool);
    let late = sender.clone();
    REQUEST.set(5);
    let queued = pool.submit(|| ());
    queued.add_done_callback(move |_| sender.send(REQUEST.get()).unwrap());
    REQUEST.set(6);
    assert!(queued.cancel());
    assert_eq!((receiver.try_recv(), REQUEST.get()), (Ok(6), 6));
    gate.open();
    crate::patiently("the task is done", || running.done());
    running.add_done_callback(move |_| late.send(REQUEST.get()).unwrap());
    assert_eq!((receiver.try_recv(), REQUEST.get()), (Ok(6), 6));
}
