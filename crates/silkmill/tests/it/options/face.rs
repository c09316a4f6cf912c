//! What makes the library easy to hold: options for groups, conversions, traits, statics.

use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use silkmill::prelude::*;
use silkmill::{SpawnError, TaskErrorKind, ThreadBuilder, TimedOut, TryMapError, TrySubmitError};

use crate::{FAR_TOO_LONG, occupy, patiently, pool};

static OPEN: Semaphore = Semaphore::new(2);
static READY: Event = Event::new();

#[test]
fn semaphores_and_events_may_be_statics() {
    let pool = pool(4);
    pool.map(0..20, |_| drop(OPEN.acquire())).for_each(drop);
    assert_eq!(OPEN.available(), 2);
    let waiting = pool.submit(|| READY.wait());
    READY.set();
    waiting.result().unwrap();
}

#[test]
fn options_of_a_group_hold_for_each_of_its_tasks() {
    let pool = pool(2);
    let stop = CancelToken::new();
    let ran = AtomicUsize::new(0);
    let overdue = pool.task().timeout(Duration::ZERO).map(0..5, |n| n);
    let kinds: Vec<_> = overdue.map(|result| result.unwrap_err().kind()).collect();
    assert_eq!(kinds, [TaskErrorKind::TimedOut; 5]);
    assert_eq!(pool.task().timeout(FAR_TOO_LONG).map_unordered(0..500, |n| n).count(), 500);
    stop.cancel();
    let cancelled = pool.task().token(&stop).map_with(|| 0, 0..5, |_, n: u32| n);
    assert!(cancelled.map(|result| result.unwrap_err()).all(|error| error.is_cancelled()));
    pool.scope(|scope| {
        let count = |_| ran.fetch_add(1, Ordering::SeqCst);
        let overdue = scope.task().timeout(Duration::ZERO).map(0..5, count);
        assert!(overdue.flat_map(|result| result.err()).count() == 5);
        assert!(scope.task().token(&stop).submit(|| ()).result().unwrap_err().is_cancelled());
        assert!(scope.task().token(&stop).map_unordered(0..5, count).all(|one| one.is_err()));
        assert!(scope.task().priority(Priority::High).map(0..5, count).all(|one| one.is_ok()));
    });
    assert_eq!(ran.load(Ordering::SeqCst), 5);
}

#[test]
fn a_scope_has_states_and_refuses_without_waiting() {
    let pool = ThreadPoolExecutor::builder().max_workers(1).queue_capacity(1).build().unwrap();
    let words = ["a", "b", "c"].map(str::to_owned);
    let made = AtomicUsize::new(0);
    let joined: Vec<String> = pool.scope(|scope| {
        let init = || made.fetch_add(1, Ordering::SeqCst).to_string();
        scope
            .map_with(init, &words, |state, word| format!("{state}{word}"))
            .map(Result::unwrap)
            .collect()
    });
    assert_eq!(joined, ["0a", "0b", "0c"]);
    let (gate, running) = occupy(&pool);
    let mut gate = Some(gate);
    let mut calls = 0;
    pool.scope(|scope| {
        let queued = scope.try_submit(|| calls += 1).unwrap();
        assert!(matches!(scope.try_submit(|| words.len()), Err(TrySubmitError::Full(_))));
        gate.take().unwrap().open();
        queued.result().unwrap();
    });
    running.result().unwrap();
    assert_eq!(calls, 1);
    pool.shutdown();
    pool.scope(|scope| {
        assert!(matches!(scope.try_submit(|| words.len()), Err(TrySubmitError::Shutdown(_))));
        assert_eq!(scope.submit(|| 1).result().unwrap_err().kind(), TaskErrorKind::Shutdown);
    });
}

#[test]
fn waiting_by_value_gives_futures_that_can_be_read() {
    let pool = pool(2);
    let (gate, running) = occupy(&pool);
    let futures = vec![running, pool.submit(|| ())];
    let waited = wait(futures, ReturnWhen::FirstCompleted, FAR_TOO_LONG);
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    gate.open();
    join_all(waited.done.into_iter().chain(waited.not_done)).unwrap();
}

#[test]
fn join_all_keeps_the_order_and_stops_at_the_first_error() {
    let pool = pool(3);
    let nap = |n: u64| {
        move || {
            std::thread::sleep(Duration::from_millis(5 - n));
            n
        }
    };
    assert_eq!(join_all((0..5).map(|n| pool.submit(nap(n)))).unwrap(), [0, 1, 2, 3, 4]);
    assert!(join_all(Vec::<silkmill::Future<u8>>::new()).unwrap().is_empty());

    let single = crate::pool(1);
    let (gate, running) = occupy(&single);
    let failed = pool.submit(|| panic!("the first"));
    let queued = single.submit(|| ());
    let error = join_all([running, queued, failed]).unwrap_err();
    assert_eq!(error.message(), "the first");
    gate.open();
    single.shutdown();
    assert_eq!((single.stats().completed, single.stats().cancelled), (1, 1));
}

#[test]
fn try_map_returns_the_first_error_and_stops() {
    let pool = pool(2);
    assert_eq!(pool.try_map(0..100, Ok::<_, io::Error>).unwrap(), Vec::from_iter(0..100));
    let taken = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&taken);
    let items = (0..).inspect(move |_| {
        counting.fetch_add(1, Ordering::SeqCst);
    });
    let failed = pool.try_map(items, |n: usize| match n {
        3 => Err("three"),
        4.. => {
            CancelToken::current().sleep(FAR_TOO_LONG);
            Ok(n)
        }
        _ => Ok(n),
    });
    assert!(matches!(failed, Err(TryMapError::Item("three"))));
    assert!(taken.load(Ordering::SeqCst) < 20);
    pool.shutdown();
    let panicked = crate::pool(1).try_map([1], |_| -> Result<u8, io::Error> { panic!("one") });
    assert!(matches!(panicked, Err(TryMapError::Task(error)) if error.message() == "one"));
}

#[test]
fn a_mapped_future_has_the_value_or_the_error() {
    for workers in [1, 3] {
        let pool = pool(workers);
        let (gate, running) = occupy(&pool);
        let chain = running.map(|()| 1).map(|n| n + 1).map(|n| n * 10);
        assert!(!chain.done());
        let dropped = pool.submit(|| 1).map(|n| n + 1);
        gate.open();
        assert_eq!(chain.result().unwrap(), 20);
        drop(dropped);
        let failed = pool.submit(|| -> u8 { panic!("no value") }).map(|n| n + 1);
        assert_eq!(failed.result().unwrap_err().message(), "no value");

        let (gate, running) = occupy(&pool);
        let cancelled = running.map(|()| 1);
        assert!(cancelled.cancel());
        gate.open();
        assert!(cancelled.result().unwrap_err().is_cancelled());
        let own = pool.clone();
        let nested = pool.submit(move || own.submit(|| 6).map(|n| n * 7).result().unwrap());
        assert_eq!(nested.result().unwrap(), 42);
        let last = pool.submit(|| 1);
        pool.shutdown();
        assert_eq!(last.map(|n| n + 1).result().unwrap_err().kind(), TaskErrorKind::Shutdown);
        assert_eq!(pool.stats().queued, 0);
    }
}

#[test]
fn a_future_may_cancel_its_task_when_it_is_dropped() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    drop(pool.submit(|| panic!("it must not run")).cancel_on_drop());
    assert_eq!(pool.stats().queued, 0);
    gate.open();
    running.result().unwrap();
    assert_eq!(pool.submit(|| 25).cancel_on_drop().result().unwrap(), 25);
    assert_eq!(pool.stats().cancelled, 1);
}

#[test]
fn the_last_clone_of_an_executor_waits() {
    let ended = Arc::new(AtomicUsize::new(0));
    let first = pool(2);
    let second = first.clone();
    let ending = Arc::clone(&ended);
    let (gate, running) = occupy(&first);
    drop(first);
    assert_eq!(second.submit(|| 1).result().unwrap(), 1, "it is open");
    drop(second.submit(move || ending.fetch_add(1, Ordering::SeqCst)));
    gate.open();
    drop(second);
    assert!(running.done());
    assert_eq!(ended.load(Ordering::SeqCst), 1);

    // A task may own the last clone: then it does not wait for itself.
    let pool = pool(1);
    let own = pool.clone();
    let (gate, opened) = crate::gate();
    let last = pool.submit(move || {
        opened.recv().unwrap();
        drop(own);
    });
    gate.open();
    drop(pool);
    patiently("the task has ended", || last.done());
}

#[test]
fn errors_are_cloned_and_turned_into_those_of_io() {
    let error = pool(1).submit(|| -> u8 { panic!("once") }).result().unwrap_err();
    let clone = error.clone();
    assert_eq!(clone.to_string(), error.to_string());
    assert_eq!(*error.into_payload().unwrap().downcast::<&str>().unwrap(), "once");
    assert!(clone.into_payload().unwrap_err().is_panic(), "it was given away");
    let late = pool(1).task().timeout(Duration::ZERO).submit(|| ()).result().unwrap_err();
    assert_eq!(io::Error::from(late).kind(), io::ErrorKind::TimedOut);
    assert_eq!(io::Error::from(TimedOut).kind(), io::ErrorKind::TimedOut);
    let refused: SpawnError = ThreadBuilder::new().name("\0").spawn(|| ()).unwrap_err();
    assert_eq!(io::Error::from(refused).kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn what_is_held_may_cross_a_caught_panic() {
    fn is_safe<T: UnwindSafe + RefUnwindSafe>() {}
    is_safe::<ThreadPoolExecutor>();
    is_safe::<silkmill::Future<u8>>();
    is_safe::<Thread<u8>>();
    is_safe::<CancelToken>();
    is_safe::<Semaphore>();
    is_safe::<Event>();
    is_safe::<TaskError>();
}

#[test]
fn the_prelude_leaves_the_standard_trait_its_name() {
    fn is_a_future(_: &impl Future) {}
    let future = pool(1).submit(|| 25);
    is_a_future(&future);
    assert_eq!(future.result().unwrap(), 25);
}

#[test]
fn debug_shows_what_a_user_knows() {
    let pool = pool(2);
    let shown = format!("{pool:?}");
    for word in ["silkmill", "max_workers: 2", "queued: 0"] {
        assert!(shown.contains(word), "{shown}");
    }
    assert!(!shown.contains("Snapshot"), "{shown}");
}
