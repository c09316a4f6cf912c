//! One function over many items.

mod slow_source;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use silkmill::TaskErrorKind;

use crate::{occupy, pool};

#[test]
fn map_yields_results_in_the_order_of_the_items() {
    let pool = pool(4);

    let squares: Result<Vec<u64>, _> = pool.map(0..1000u64, |n| n * n).collect();

    assert_eq!(squares.unwrap(), (0..1000).map(|n| n * n).collect::<Vec<_>>());
}

#[test]
fn a_panic_is_the_result_of_its_item_alone() {
    let pool = pool(2);

    let results: Vec<_> = pool.map(0..4, |n| assert_ne!(n, 2)).collect();

    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
}

#[test]
fn map_takes_exactly_as_many_items_as_may_be_in_flight() {
    let pool = pool(2);
    let taken = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&taken);
    let endless = (0..).inspect(move |_| {
        counting.fetch_add(1, Ordering::Relaxed);
    });

    let mut map = pool.map(endless, |n| n).in_flight(5);
    assert_eq!(taken.load(Ordering::Relaxed), 0, "a map is lazy");

    assert_eq!(map.next().unwrap().unwrap(), 0);
    assert_eq!(taken.load(Ordering::Relaxed), 5);
    assert_eq!(map.next().unwrap().unwrap(), 1);
    assert_eq!(taken.load(Ordering::Relaxed), 6);
}

#[test]
fn map_unordered_yields_what_is_done_first() {
    let pool = pool(2);
    let (gate, opened) = crate::gate();
    let opened = Mutex::new(opened);

    let mut map = pool.map_unordered(0..3, move |n| {
        if n == 0 {
            opened.lock().unwrap().recv().unwrap();
        }
        n
    });

    assert_eq!(map.next().unwrap().unwrap(), 1);
    assert_eq!(map.next().unwrap().unwrap(), 2);
    gate.open();
    assert_eq!(map.next().unwrap().unwrap(), 0);
    assert!(map.next().is_none());
}

#[test]
fn map_unordered_yields_every_item_once() {
    let pool = pool(4);

    let mut all: Vec<u32> = pool.map_unordered(0..5000, |n| n).map(Result::unwrap).collect();

    all.sort_unstable();
    assert_eq!(all, (0..5000).collect::<Vec<_>>());
}

/// Yields three items, then panics: so a map is left with three tasks in its window.
fn three_then_a_panic() -> impl Iterator<Item = u32> {
    (0..4).inspect(|n| assert_ne!(*n, 3, "the source breaks"))
}

#[test]
fn dropping_a_map_cancels_what_has_not_started() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let ran = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&ran);
    let count = move |_| counting.fetch_add(1, Ordering::Relaxed);

    let mut ordered = pool.map(three_then_a_panic(), count.clone()).in_flight(4);
    assert!(catch_unwind(AssertUnwindSafe(|| ordered.next().is_none())).is_err());
    assert_eq!(pool.stats().queued, 3);
    drop(ordered);
    assert_eq!(pool.stats().queued, 0);

    let mut unordered = pool.map_unordered(three_then_a_panic(), count).in_flight(4);
    assert!(catch_unwind(AssertUnwindSafe(|| unordered.next().is_none())).is_err());
    assert_eq!(pool.stats().queued, 3);
    drop(unordered);
    assert_eq!(pool.stats().queued, 0);

    gate.open();
    running.result().unwrap();
    drop(pool);
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[test]
fn every_worker_has_a_state_of_its_own_and_a_panic_loses_it() {
    let pool = pool(2);
    let made = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&made);

    let results: Vec<_> = pool
        .map_with(
            move || {
                counting.fetch_add(1, Ordering::Relaxed);
                0
            },
            0..100,
            |uses, n| {
                *uses += 1;
                assert_ne!(n, 50, "this one's state is lost");
                *uses
            },
        )
        .collect();

    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
    assert!(made.load(Ordering::Relaxed) <= 3, "two workers and one loss");
    assert!(results.iter().flatten().max().unwrap() >= &33);
}

#[test]
fn a_map_over_nothing_yields_nothing_and_starts_no_worker() {
    let pool = pool(2);

    assert!(pool.map(std::iter::empty::<u8>(), |n| n).next().is_none());
    assert_eq!(pool.stats().workers, 0);
}

#[test]
fn thousands_of_trivial_items_come_in_order_with_their_panics() {
    let pool = pool(4);
    let all = pool.map(0..20_000u32, |n| if n % 1_000 == 999 { panic!("asked for") } else { n });
    for (n, result) in (0..20_000).zip(all) {
        match result {
            Ok(value) => assert_eq!(value, n),
            Err(error) => assert_eq!((n % 1_000, error.is_panic()), (999, true)),
        }
    }
    let states = Arc::new(AtomicUsize::new(0));
    let made = Arc::clone(&states);
    let init = move || made.fetch_add(1, Ordering::SeqCst);
    assert_eq!(pool.map_with(init, 0..20_000u32, |_, n| n).map(Result::unwrap).count(), 20_000);
    assert!(states.load(Ordering::SeqCst) <= 4, "there are never more states than workers");
}

#[test]
fn among_trivial_items_each_panic_is_one_items_result_and_loses_one_state() {
    let pool = pool(1);
    let made = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&made);
    let init = move || {
        counting.fetch_add(1, Ordering::SeqCst);
    };
    // Panics stand alone, side by side, and by the run, whatever batches they fall into.
    let fails = |n: u32| n % 997 < 2 || (5_000..5_300).contains(&n);
    let map = pool.map_with(init, 0..20_000, move |(), n| {
        assert!(!fails(n), "{n}");
        n
    });
    for (n, result) in (0..).zip(map) {
        match result {
            Ok(value) => assert!(value == n && !fails(n)),
            Err(error) => assert_eq!((error.message(), fails(n)), (n.to_string().as_str(), true)),
        }
    }
    let panics = (0..20_000).filter(|n| fails(*n)).count();
    assert_eq!(made.load(Ordering::SeqCst), panics + 1);
}

#[test]
fn trivial_items_may_be_followed_by_some_that_wait_for_each_other() {
    let pool = pool(4);
    let barrier = Arc::new(Barrier::new(4));
    // The first thousands are so short that many go into a task; the last four only end together.
    let step = move |n: u32| {
        if n >= 9_996 {
            barrier.wait();
        }
        n
    };
    let all: Vec<u32> = pool.map(0..10_000, step).map(Result::unwrap).collect();
    assert_eq!(all, Vec::from_iter(0..10_000));
}

#[test]
fn a_map_of_trivial_items_takes_no_more_than_it_was_told() {
    let pool = pool(2);
    for in_flight in [1, 7, 64, 500] {
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&taken);
        let items = (0..5_000).inspect(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let mut yielded = 0;
        for result in pool.map(items, |n: usize| n).in_flight(in_flight) {
            assert_eq!(result.unwrap(), yielded);
            let ahead = taken.load(Ordering::SeqCst) - yielded;
            assert!(ahead <= in_flight, "{ahead} of {in_flight}");
            yielded += 1;
        }
        assert_eq!(yielded, 5_000);
    }
}

#[test]
fn iterators_that_are_said_to_be_ready_lose_nothing_and_keep_to_their_limits() {
    let pool = pool(3);
    let odd = || (0..40_000u32).filter(|n| n % 2 == 1);
    let all = Vec::from_iter(odd());
    let step = |n: u32| if n % 4_001 == 4_000 { panic!("asked for") } else { n };
    let expected: Vec<_> = all.iter().map(|n| (n % 4_001 != 4_000).then_some(*n)).collect();
    let read: Vec<_> = pool.map(odd(), step).always_ready().map(Result::ok).collect();
    assert!(read == expected);

    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let items = (0..5_000usize).flat_map(|n| [n, n]).inspect(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    for (yielded, result) in pool.map(items, |n| n).in_flight(64).always_ready().enumerate() {
        assert_eq!(result.unwrap(), yielded / 2);
        assert!(taken.load(Ordering::SeqCst) <= yielded + 64);
    }

    let mut unordered: Vec<_> =
        pool.map_unordered(odd().take(500), |n| n).always_ready().map(Result::unwrap).collect();
    unordered.sort_unstable();
    assert_eq!(unordered, all[..500]);
    // One that does wait after all is waited for.
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || (0..5_000).for_each(|n| sender.send(n).unwrap()));
        let read = pool.map(receiver, |n: usize| n).always_ready().map(Result::unwrap);
        assert!(read.eq(0..5_000));
    });
}

#[test]
fn a_state_that_cannot_be_made_is_the_value_of_its_item_alone() {
    let pool = pool(1);
    let tries = AtomicUsize::new(0);
    let init = move || match tries.fetch_add(1, Ordering::SeqCst) {
        0..3 => Err("no server"),
        number => Ok(number),
    };
    let results = pool.map_try_with(init, 0..6, |state, _| *state);
    let results: Vec<_> = results.map(Result::unwrap).collect();
    assert_eq!(results[..3], [Err("no server"); 3]);
    assert_eq!(results[3..], [Ok(3); 3]);
}

#[test]
fn a_map_ends_when_its_states_cannot_be_made_and_names_the_cause() {
    let pool = pool(4);
    for in_flight in [1, 16, 1_000] {
        let mut values = Vec::new();
        let init = || Err::<(), _>("no server");
        let map = pool.map_try_with(init, 0.., |(), n: u64| n).in_flight(in_flight);
        let mut errors: Vec<_> =
            map.filter_map(|result| result.map(|value| values.push(value)).err()).collect();
        assert!(values.len() >= 8 && values.iter().all(|value| *value == Err("no server")));
        let error = errors.pop().expect("the last error says why the map has ended");
        assert_eq!((error.kind(), error.message()), (TaskErrorKind::NotInitialized, "no server"));
        assert_eq!(error.to_string(), "the state of the task's map could not be made: no server");
        assert!(errors.iter().all(|error| error.kind() == TaskErrorKind::NotInitialized));
    }
    let panics = || -> () { panic!("no driver") };
    for ordered in [true, false] {
        let results: Vec<_> = match ordered {
            true => pool.map_with(panics, 0.., |(), n: u64| n).in_flight(2).collect(),
            false => pool.map_unordered_with(panics, 0.., |(), n: u64| n).in_flight(2).collect(),
        };
        let errors: Vec<_> = results.into_iter().map(Result::unwrap_err).collect();
        assert!(errors.iter().all(|error| error.message() == "no driver"), "{errors:?}");
        // The other item in flight may have begun to make its state before the eighth failed.
        let panics = errors.iter().filter(|error| error.is_panic()).count();
        assert!((8..=9).contains(&panics), "{errors:?}");
        assert!((panics + 1..=11).contains(&errors.len()), "{errors:?}");
    }
    let scoped = pool.scope(|scope| scope.map_with(panics, 0.., |(), n: u64| n).count());
    assert!(scoped > 8);
    assert_eq!(pool.submit(|| 25).result().unwrap(), 25, "the pool goes on");
}

#[test]
fn a_state_that_is_made_after_some_failures_forgets_them() {
    let pool = pool(1);
    let tries = AtomicUsize::new(0);
    let init = move || match tries.fetch_add(1, Ordering::SeqCst) % 8 {
        7 => Ok(()),
        _ => Err("busy"),
    };
    // Every item that succeeds loses its state by a panic, so the next makes one.
    let map = pool.map_try_with(init, 0..800, |(), n: u32| -> u32 { panic!("{n}") });
    let panics = map.filter(|result| result.as_ref().is_err_and(|error| error.is_panic()));
    assert_eq!(panics.count(), 100);
}
