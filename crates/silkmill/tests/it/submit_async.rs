//! Submitting from async code: waiting for room without blocking the thread.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use silkmill::{CancelToken, TaskErrorKind, ThreadPoolExecutor};

use crate::{block_on, occupy, patiently};

fn bounded(max_workers: usize, capacity: usize) -> ThreadPoolExecutor {
    ThreadPoolExecutor::builder().max_workers(max_workers).queue_capacity(capacity).build().unwrap()
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll_once<F: Future + Unpin>(future: &mut F, wakes: &Arc<Wakes>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(wakes));
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

#[test]
fn with_room_it_is_ready_at_once_and_before_that_it_does_nothing() {
    let pool = bounded(1, 1);
    let lazy = pool.submit_async(|| 1);
    assert_eq!(pool.stats().submitted, 0);
    drop(lazy);
    let wakes = Arc::default();
    let Poll::Ready(future) = poll_once(&mut pool.submit_async(|| 25), &wakes) else {
        panic!("there is room")
    };
    assert_eq!(future.result().unwrap(), 25);
    let unbounded = ThreadPoolExecutor::builder().max_workers(1).build().unwrap();
    assert!(poll_once(&mut unbounded.submit_async(|| 25), &wakes).is_ready());
}

#[test]
fn without_room_it_waits_and_is_woken_when_there_is_some() {
    let pool = bounded(1, 1);
    let (gate, running) = occupy(&pool);
    let queued = pool.submit(|| ());
    let wakes = Arc::default();
    let mut waiting = pool.submit_async(|| 25);
    assert!(poll_once(&mut waiting, &wakes).is_pending());
    assert!(poll_once(&mut waiting, &wakes).is_pending(), "polled in vain");
    assert_eq!(pool.stats().submitters_waiting, 1);
    assert!(pool.try_submit(|| ()).is_err_and(|refused| refused.is_full()));

    gate.open();
    running.result().unwrap();
    queued.result().unwrap();
    patiently("the submitter is woken", || wakes.0.load(Ordering::SeqCst) > 0);

    let Poll::Ready(future) = poll_once(&mut waiting, &wakes) else { panic!("there is room") };
    assert_eq!(future.result().unwrap(), 25);
    assert_eq!(pool.stats().submitters_waiting, 0);
}

#[test]
fn threads_and_async_tasks_are_served_in_the_order_in_which_they_came() {
    let pool = bounded(1, 1);
    let (gate, running) = occupy(&pool);
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let order = Arc::clone(&order);
        move || order.lock().unwrap().push(name)
    };
    let queued = pool.submit(note("queued"));
    let mut first = pool.submit_async(note("async"));
    let wakes = Arc::default();
    assert!(poll_once(&mut first, &wakes).is_pending());
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| pool.submit(note("thread")).result());
        patiently("the thread waits", || pool.stats().submitters_waiting == 2);
        let mut last = pool.submit_async(note("last"));
        assert!(poll_once(&mut last, &wakes).is_pending());
        gate.open();
        running.result().unwrap();
        queued.result().unwrap();
        block_on(async { first.await.await.unwrap() });
        block_on(async { last.await.await.unwrap() });
        blocked.join().unwrap().unwrap();
    });
    assert_eq!(*order.lock().unwrap(), ["queued", "async", "thread", "last"]);
}

#[test]
fn one_that_is_dropped_never_runs_and_leaves_its_room_to_the_next() {
    let pool = bounded(1, 1);
    let (gate, running) = occupy(&pool);
    let queued = pool.submit(|| ());
    let ran = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&ran);
    let wakes = Arc::<Wakes>::default();
    let mut waiting = pool.submit_async(move || counting.fetch_add(1, Ordering::SeqCst));
    assert!(poll_once(&mut waiting, &wakes).is_pending());
    std::thread::scope(|scope| {
        let behind = scope.spawn(|| pool.submit(|| 25).result());
        patiently("the thread waits, too", || pool.stats().submitters_waiting == 2);
        gate.open();
        running.result().unwrap();
        queued.result().unwrap();
        patiently("the first is woken", || wakes.0.load(Ordering::SeqCst) > 0);
        drop(waiting);
        assert_eq!(behind.join().unwrap().unwrap(), 25);
    });
    assert_eq!(Arc::strong_count(&ran), 1, "the closure is dropped");
    assert_eq!(Arc::strong_count(&wakes), 1, "and so is the waker");
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    assert_eq!(pool.stats().submitters_waiting, 0);
}

#[test]
fn its_token_and_its_time_limit_end_the_waiting() {
    let pool = bounded(1, 1);
    let (gate, running) = occupy(&pool);
    let queued = pool.submit(|| ());
    let stop = CancelToken::new();
    let mut cancelled = pin!(pool.task().token(&stop).submit_async(|| ()));
    assert!(poll_once(&mut cancelled, &Arc::default()).is_pending());
    let mut before = pool.task().token(&stop).submit_async(|| ());
    std::thread::scope(|scope| {
        let kinds = scope.spawn(|| {
            let error = block_on(async { cancelled.await.await.unwrap_err() });
            let timed = pool.task().timeout(Duration::from_millis(2)).submit_async(|| ());
            let late = block_on(async { timed.await.await.unwrap_err() });
            (error.kind(), late.kind())
        });
        stop.cancel();
        assert_eq!(kinds.join().unwrap(), (TaskErrorKind::Cancelled, TaskErrorKind::TimedOut));
    });
    // Cancelled before it was ever polled.
    let Poll::Ready(future) = poll_once(&mut before, &Arc::default()) else {
        panic!("it does not wait")
    };
    assert!(future.result().unwrap_err().is_cancelled());
    gate.open();
    running.result().unwrap();
    queued.result().unwrap();
}

#[test]
fn a_shutdown_refuses_those_that_wait() {
    for now in [false, true] {
        let pool = bounded(1, 1);
        let (gate, running) = occupy(&pool);
        let queued = pool.submit(|| ());
        let mut waiting = pool.submit_async(|| ());
        assert!(poll_once(&mut waiting, &Arc::default()).is_pending());
        std::thread::scope(|scope| {
            scope.spawn(|| if now { pool.shutdown_now() } else { pool.shutdown() });
            let error = block_on(async { waiting.await.await.unwrap_err() });
            assert_eq!(error.kind(), TaskErrorKind::Shutdown);
            // The queue refuses what waits a moment before it gives up what it has.
            while now && !queued.is_done() {
                std::thread::yield_now();
            }
            gate.open();
        });
        running.result().unwrap();
        assert_eq!(queued.result().is_err(), now);
    }
}

#[test]
fn a_task_that_submits_to_its_own_pool_does_not_wait() {
    let pool = bounded(1, 1);
    let theirs = pool.clone();
    let both = pool.submit(move || {
        let first = theirs.submit(|| 1);
        let second = block_on(theirs.submit_async(|| 2));
        first.result().unwrap() + second.result().unwrap()
    });
    assert_eq!(both.result().unwrap(), 3);
}

#[test]
fn many_async_submitters_lose_no_task_and_keep_to_the_capacity() {
    const TASKS: u32 = 2_000;
    let pool = bounded(2, 3);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (sender, sums) = channel();
    runtime.block_on(async {
        let submitters: Vec<_> = (0..8)
            .map(|_| {
                let (pool, sender) = (pool.clone(), sender.clone());
                tokio::spawn(async move {
                    let mut sum = 0;
                    for n in 0..TASKS / 8 {
                        let submitted = pool.submit_async(move || n).await;
                        assert!(pool.stats().queued <= 3);
                        sum += submitted.await.unwrap();
                    }
                    sender.send(sum).unwrap();
                })
            })
            .collect();
        for submitter in submitters {
            submitter.await.unwrap();
        }
    });
    drop(sender);
    assert_eq!(sums.iter().collect::<Vec<_>>(), [(0..TASKS / 8).sum::<u32>(); 8]);
    assert_eq!(pool.stats().submitted, u64::from(TASKS));
}
