//! One future: reading it, cancelling it, awaiting it, its callbacks.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use silkmill::{CancelToken, TaskErrorKind};

use crate::{block_on, occupy, patiently, pool};

/// Panics when it is dropped, also when it is the payload of a panic.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("the bomb went off"));
    }
}

#[test]
fn a_future_can_be_awaited_without_a_runtime_of_its_own() {
    let pool = pool(2);

    let sum = block_on(async {
        let one = pool.submit(|| 1);
        let two = pool.submit(|| 2);
        one.await.unwrap() + two.await.unwrap()
    });

    assert_eq!(sum, 3);
}

#[test]
fn a_future_that_was_not_done_wakes_its_awaiter() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let opener = silkmill::Thread::spawn(move || gate.open());

    block_on(running).unwrap();

    opener.join().unwrap();
}

#[test]
fn a_cancelled_future_wakes_its_awaiter() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let queued = pool.submit(|| ());
    assert!(queued.cancel());

    assert!(block_on(queued).unwrap_err().is_cancelled());

    gate.open();
    running.result().unwrap();
}

#[test]
fn result_timeout_gives_the_future_back_until_it_is_done() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);

    let running = running.result_timeout(Duration::ZERO).unwrap_err();
    let running = running.result_timeout(Duration::from_millis(1)).unwrap_err();
    gate.open();

    running.result_timeout(Duration::MAX).unwrap().unwrap();
}

#[test]
fn callbacks_run_in_order_before_the_result_is_seen_and_a_panicking_one_harms_nobody() {
    let pool = pool(1);
    let (gate, opened) = crate::gate();
    let future = pool.submit(move || {
        opened.recv().unwrap();
        25
    });
    let seen = Arc::new(Mutex::new(Vec::new()));
    for n in 0..3 {
        let seen = Arc::clone(&seen);
        future.add_done_callback(move |result| {
            seen.lock().unwrap().push((n, result.copied().unwrap()));
            assert_ne!(n, 1, "a callback may panic");
        });
    }

    gate.open();

    assert_eq!(future.result().unwrap(), 25);
    assert_eq!(*seen.lock().unwrap(), [(0, 25), (1, 25), (2, 25)]);
    assert_eq!(pool.submit(|| 1).result().unwrap(), 1);
}

#[test]
fn a_callback_added_late_runs_at_once_and_leaves_the_result_there() {
    let pool = pool(1);
    let future = pool.submit(|| "value".to_owned());
    while !future.done() {
        std::thread::yield_now();
    }
    let (sender, receiver) = channel();

    future.add_done_callback(move |result| sender.send(result.unwrap().len()).unwrap());

    assert_eq!(receiver.try_recv().unwrap(), 5);
    assert_eq!(future.result().unwrap(), "value");
}

#[test]
fn a_callback_hears_of_a_cancellation_on_the_thread_that_cancels() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let queued = pool.submit(|| ());
    let (sender, receiver) = channel();
    queued.add_done_callback(move |result| {
        sender
            .send((result.is_err_and(|e| e.is_cancelled()), std::thread::current().id()))
            .unwrap();
    });

    assert!(queued.cancel());

    assert_eq!(receiver.try_recv().unwrap(), (true, std::thread::current().id()));
    gate.open();
    running.result().unwrap();
}

#[test]
fn a_callback_whose_panic_panics_again_harms_nobody() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    running.add_done_callback(|_| std::panic::resume_unwind(Box::new(Bomb)));
    let queued = pool.submit(|| ());
    queued.add_done_callback(|_| std::panic::resume_unwind(Box::new(Bomb)));

    assert!(queued.cancel());
    gate.open();

    assert!(queued.result().unwrap_err().is_cancelled());
    running.result().unwrap();
    assert_eq!(pool.submit(|| 1).result().unwrap(), 1);
}

#[test]
fn a_result_or_closure_whose_drop_panics_harms_no_worker() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let bomb = Bomb;
    drop(pool.submit(move || bomb));
    let bomb = Bomb;
    let cancelled = pool.submit(move || std::mem::forget(bomb));

    assert!(cancelled.cancel());
    gate.open();

    running.result().unwrap();
    assert_eq!(pool.submit(|| 1).result().unwrap(), 1);
    assert_eq!(pool.stats().workers, 1);
}

#[test]
fn a_waker_that_panics_harms_no_worker() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("a bad runtime"));
        }
    }
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let waker = Waker::from(Arc::new(Panics));
    let mut running = pin!(running);
    assert!(running.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());

    gate.open();

    assert_eq!(pool.submit(|| 1).result().unwrap(), 1);
}

#[test]
fn a_future_that_is_let_go_lets_its_waker_go() {
    struct Nothing;
    impl Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let nothing = Arc::new(Nothing);
    let waker = Waker::from(Arc::clone(&nothing));
    let mut queued = Box::pin(pool.submit(|| ()));
    assert!(queued.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);

    drop(queued);

    assert_eq!(Arc::strong_count(&nothing), 1);
    gate.open();
    running.result().unwrap();
}

#[test]
fn two_threads_may_add_callbacks_to_a_finished_future() {
    let pool = pool(1);
    let future = Arc::new(pool.submit(|| 25));
    patiently("the task is done", || future.done());
    let (entered, has_entered) = channel();
    let (gate, opened) = crate::gate();
    let theirs = Arc::clone(&future);
    let first = silkmill::Thread::spawn(move || {
        theirs.add_done_callback(move |result| {
            entered.send(()).unwrap();
            opened.recv().unwrap();
            assert_eq!(result.ok(), Some(&25));
        });
    });
    has_entered.recv().unwrap();

    let (called, was_called) = channel();
    future.add_done_callback(move |result| called.send(result.copied().ok()).unwrap());
    assert!(future.done());
    gate.open();

    assert_eq!(was_called.recv().unwrap(), Some(25));
    first.join().unwrap();
    assert_eq!(Arc::into_inner(future).unwrap().result().unwrap(), 25);
}

#[test]
fn a_result_that_an_await_took_is_an_error_afterwards_and_no_panic() {
    let pool = pool(1);
    let mut future = pool.submit(|| 25);
    assert_eq!(block_on(&mut future).unwrap(), 25);

    let (sender, receiver) = channel();
    future.add_done_callback(move |result| sender.send(result.unwrap_err().kind()).unwrap());
    assert_eq!(receiver.recv().unwrap(), TaskErrorKind::Taken);
    assert_eq!(block_on(&mut future).unwrap_err().kind(), TaskErrorKind::Taken);
    assert!(future.done());
    assert_eq!(future.result().unwrap_err().kind(), TaskErrorKind::Taken);
}

#[test]
fn tokio_awaits_futures_while_it_does_other_things() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let pool = pool(2);
    let (gate, running) = occupy(&pool);
    let sum = runtime.block_on(async {
        let other = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            gate.open();
        });
        let value = pool.submit(|| 25);
        running.await.unwrap();
        other.await.unwrap();
        let mut failing = pool.submit(|| panic!("asked for"));
        assert!((&mut failing).await.is_err_and(|error| error.is_panic()));
        value.await.unwrap()
    });
    assert_eq!(sum, 25);
}

#[test]
fn a_panic_that_goes_through_a_mapped_future_is_counted_once() {
    let pool = pool(2);
    let mapped = pool.submit(|| -> u32 { panic!("asked for") }).map(|n| n + 1).map(|n| n + 1);
    assert!(mapped.result().unwrap_err().is_panic());
    let cancelled = CancelToken::new();
    cancelled.cancel();
    let mapped = pool.task().token(&cancelled).submit(|| 1).map(|n| n + 1);
    assert!(mapped.result().unwrap_err().is_cancelled());
    let failing = pool.submit(|| 1).map(|_| -> u32 { panic!("of its own") });
    assert!(failing.result().unwrap_err().is_panic());
    pool.shutdown();
    let stats = pool.stats();
    assert_eq!((stats.submitted, stats.completed, stats.panicked), (7, 3, 2));
    assert_eq!(stats.cancelled, 4, "the tasks that never ran");
}
