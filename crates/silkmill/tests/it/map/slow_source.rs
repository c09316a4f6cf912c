//! Maps over iterators that block, and sets of tasks that grow while they are read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use silkmill::{CancelToken, TimedOut};

use crate::{FAR_TOO_LONG, gate, occupy, patiently, pool};

/// Reads a map whose iterator yields an item only once the result before was handed out.
fn lockstep(items: u32, next: &mut dyn FnMut() -> Option<u32>, sender: Sender<u32>) {
    let mut sender = Some(sender);
    for n in 0..items {
        sender.as_ref().unwrap().send(n).unwrap();
        if n + 1 == items {
            sender = None;
        }
        assert_eq!(next(), Some(n));
    }
    assert_eq!(next(), None);
}

#[test]
fn a_prefetching_map_hands_out_each_result_while_the_iterator_blocks() {
    let pool = pool(4);
    let slowly = |n: u32| {
        std::thread::sleep(Duration::from_millis(u64::from(n % 3)));
        n
    };
    for in_flight in [1, 2, 100] {
        let (sender, receiver) = channel();
        let mut ordered = pool.map(receiver, slowly).in_flight(in_flight).prefetch();
        lockstep(100, &mut || ordered.next().map(Result::unwrap), sender);
        let (sender, receiver) = channel();
        let mut unordered = pool.map_unordered(receiver, slowly).in_flight(in_flight).prefetch();
        lockstep(100, &mut || unordered.next().map(Result::unwrap), sender);
    }
}

#[test]
fn results_do_not_wait_for_an_iterator_that_has_been_slow() {
    let pool = pool(4);
    for ordered in [true, false] {
        let taken = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&taken);
        let items = (0..6usize).inspect(move |_| {
            std::thread::sleep(Duration::from_millis(30));
            counting.fetch_add(1, Ordering::SeqCst);
        });
        let mut ahead = Vec::new();
        let results: Box<dyn Iterator<Item = _>> = match ordered {
            true => Box::new(pool.map(items, |n| n)),
            false => Box::new(pool.map_unordered(items, |n| n)),
        };
        for (yielded, result) in results.enumerate() {
            result.unwrap();
            ahead.push(taken.load(Ordering::SeqCst) - yielded);
        }
        // The first pull is not known to be slow, and a busy machine may be late at times.
        let at_once = ahead.iter().filter(|ahead| **ahead == 1).count();
        assert!(at_once >= 2, "{ahead:?}");
    }
}

#[test]
fn a_crawler_whose_results_feed_its_channel_reaches_every_page_once() {
    let pool = pool(4);
    let (found, pages) = channel();
    found.send(1u32).unwrap();
    let mut seen = Vec::new();
    for page in pool.map_unordered(pages, |page| page).prefetch() {
        let page = page.unwrap();
        seen.push(page);
        for next in [2 * page, 2 * page + 1] {
            if next < 1024 {
                found.send(next).unwrap();
            }
        }
        if seen.len() == 1023 {
            break;
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, Vec::from_iter(1..1024));
}

#[test]
fn a_prefetching_map_takes_no_more_items_than_may_be_in_flight() {
    let pool = pool(2);
    for in_flight in [1, 3, 600] {
        let taken = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&taken);
        let items = (0..2_000).inspect(move |_| {
            counting.fetch_add(1, Ordering::SeqCst);
        });
        let map = pool.map(items, |n: usize| n).in_flight(in_flight).prefetch();
        for (yielded, result) in map.enumerate() {
            assert_eq!(result.unwrap(), yielded);
            assert!(taken.load(Ordering::SeqCst) <= yielded + in_flight);
        }
        assert_eq!(taken.load(Ordering::SeqCst), 2_000);
    }
}

#[test]
fn a_panic_of_a_prefetched_iterator_reaches_the_reader_after_the_items_before() {
    let pool = pool(2);
    let items = (0..5).inspect(|n| assert_ne!(*n, 3, "the source breaks"));
    let mut map = pool.map(items, |n| n).prefetch();
    let mut read = Vec::new();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        for result in map.by_ref() {
            read.push(result.unwrap());
        }
    }));
    assert!(caught.is_err());
    read.extend(map.map(Result::unwrap));
    assert_eq!(read, [0, 1, 2]);
}

#[test]
fn dropping_a_prefetching_map_lets_its_thread_end() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let pool = pool(2);
    let dropped = Arc::new(AtomicBool::new(false));
    let held = Dropped(Arc::clone(&dropped));
    let endless = std::iter::from_fn(move || Some(held.0.load(Ordering::SeqCst)));
    let mut map = pool.map(endless, |n| n).prefetch();
    assert!(!map.next().unwrap().unwrap());
    drop(map);
    patiently("the iterator is dropped", || dropped.load(Ordering::SeqCst));
}

#[test]
fn results_before_a_slow_item_of_a_batch_are_handed_out() {
    let pool = pool(2);
    let (gate, opened) = gate();
    let opened = Mutex::new(opened);
    // Thousands of short items make batches grow; the last but a few blocks in the middle of one.
    let step = move |n: u32| {
        if n == 9_990 {
            opened.lock().unwrap().recv().unwrap();
        }
        n
    };
    let mut map = pool.map(0..10_000, step);
    for n in 0..9_990 {
        assert_eq!(map.next().unwrap().unwrap(), n);
    }
    gate.open();
    assert_eq!(map.map(Result::unwrap).collect::<Vec<_>>(), Vec::from_iter(9_990..10_000));
}

#[test]
fn grown_batches_end_when_the_iterator_becomes_slow() {
    let pool = pool(2);
    let taken = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&taken);
    let items = (0..20_010usize).inspect(move |n| {
        if *n >= 20_000 {
            std::thread::sleep(Duration::from_millis(20));
        }
        counting.store(*n + 1, Ordering::SeqCst);
    });
    let mut ahead = Vec::new();
    for (yielded, result) in pool.map(items, |n| n).enumerate() {
        assert_eq!(result.unwrap(), yielded);
        if yielded >= 20_001 {
            ahead.push(taken.load(Ordering::SeqCst) - yielded);
        }
    }
    let at_once = ahead.iter().filter(|ahead| **ahead <= 2).count();
    assert!(at_once >= 2, "{ahead:?}");
}

#[test]
fn an_iterator_that_panics_within_a_batch_loses_no_other_item() {
    let pool = pool(2);
    let ran = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&ran);
    let items = (0..30_000).inspect(|n| assert!(n % 10_007 != 9_999, "the source breaks"));
    let mut map = pool.map(items, move |n| {
        counting.fetch_add(1, Ordering::SeqCst);
        n
    });
    let mut read = Vec::new();
    loop {
        match catch_unwind(AssertUnwindSafe(|| map.next())) {
            Ok(None) => break,
            Ok(Some(result)) => read.push(result.unwrap()),
            Err(_) => {}
        }
    }
    let all: Vec<u32> = (0..30_000).filter(|n| n % 10_007 != 9_999).collect();
    assert_eq!(read, all);
    assert_eq!(ran.load(Ordering::SeqCst), all.len());
}

#[test]
fn statistics_count_every_item_of_a_map_and_every_panic() {
    let pool = pool(2);
    let fail = |n: u64| assert!(n % 1_000 != 7, "asked for");
    let failed = pool.map(0..100_000, fail).filter(Result::is_err).count();
    assert_eq!(failed, 100);
    let stats = pool.stats();
    assert_eq!((stats.panicked, stats.cancelled), (100, 0));
    assert_eq!((stats.submitted, stats.completed), (100_000, 100_000), "{stats:?}");
}

#[test]
fn statistics_count_what_a_dropped_map_cancels() {
    let pool = pool(2);
    let mut map = pool.map(0..1_000_000u32, |n| n);
    assert_eq!(map.by_ref().take(50_000).map(Result::unwrap).last(), Some(49_999));
    drop(map);
    pool.shutdown();
    let stats = pool.stats();
    assert_eq!(stats.completed + stats.cancelled, stats.submitted, "{stats:?}");
    assert!((50_000..60_000).contains(&stats.submitted), "{stats:?}");
}

#[test]
fn a_shutdown_that_cancels_ends_a_batch_between_two_items() {
    let pool = pool(1);
    let (gate, opened) = gate();
    let (opened, reached) = (Mutex::new(opened), Arc::new(AtomicBool::new(false)));
    let noting = Arc::clone(&reached);
    let step = move |n: u32| {
        if n == 9_000 {
            noting.store(true, Ordering::SeqCst);
            opened.lock().unwrap().recv().unwrap();
        }
        n
    };
    let ran = std::thread::scope(|scope| {
        let reader = scope.spawn(|| pool.map(0..10_000, step).filter(Result::is_ok).count());
        patiently("the slow item runs", || reached.load(Ordering::SeqCst));
        let shutdown = scope.spawn(|| pool.shutdown_now());
        patiently("the pool is closed", || pool.try_submit(|| ()).is_err());
        patiently("what is queued is cancelled", || pool.stats().queued == 0);
        gate.open();
        shutdown.join().unwrap();
        reader.join().unwrap()
    });
    assert!((9_000..=9_001).contains(&ran), "{ran}");
}

#[test]
fn a_timeout_on_a_map_and_on_futures_gives_nothing_up() {
    let pool = pool(2);
    let zero = Duration::ZERO;
    for ordered in [true, false] {
        let (gate, opened) = gate();
        let opened = Mutex::new(opened);
        let wait = move |n: u32| opened.lock().unwrap().recv().map(|()| n).unwrap();
        if ordered {
            let mut map = pool.map([25], wait);
            assert_eq!(map.next_timeout(zero).unwrap_err(), TimedOut);
            assert_eq!(map.next_timeout(Duration::from_millis(1)).unwrap_err(), TimedOut);
            gate.open();
            assert_eq!(map.next_timeout(FAR_TOO_LONG).unwrap().unwrap().unwrap(), 25);
            assert!(map.next_timeout(zero).unwrap().is_none());
        } else {
            let mut map = pool.map_unordered([25], wait);
            assert_eq!(map.next_timeout(zero).unwrap_err(), TimedOut);
            gate.open();
            assert_eq!(map.next_timeout(FAR_TOO_LONG).unwrap().unwrap().unwrap(), 25);
            assert!(map.next_timeout(zero).unwrap().is_none());
        }
    }
}

#[test]
fn a_task_set_yields_every_key_with_its_own_result_while_it_grows() {
    let pool = pool(4);
    let mut set = pool.task_set();
    set.submit("1".to_owned(), || 1u32);
    let mut seen = Vec::new();
    while let Some((key, result)) = set.next() {
        let page = result.unwrap();
        assert_eq!(key, page.to_string());
        seen.push(page);
        for next in [2 * page, 2 * page + 1] {
            if next < 512 {
                set.submit(next.to_string(), move || next);
            }
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, Vec::from_iter(1..512));
    assert!(set.is_empty());
    set.submit("again".to_owned(), || 25);
    assert_eq!(set.len(), 1);
    assert_eq!(set.next().map(|(_, result)| result.unwrap()), Some(25));
}

#[test]
fn a_task_set_tells_which_task_failed_and_times_out() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let mut set = pool.task_set();
    set.submit(3, || panic!("three"));
    assert_eq!(set.next_timeout(Duration::from_millis(1)).unwrap_err(), TimedOut);
    set.insert(4, pool.task().timeout(Duration::ZERO).submit(|| ()));
    gate.open();
    running.result().unwrap();
    let mut ended: Vec<_> =
        set.by_ref().map(|(key, result)| (key, result.unwrap_err().is_panic())).collect();
    ended.sort_unstable();
    assert_eq!(ended, [(3, true), (4, false)]);
    assert!(set.next_timeout(Duration::ZERO).unwrap().is_none());
}

#[test]
fn dropping_a_task_set_cancels_what_is_queued_and_asks_what_runs_to_stop() {
    let pool = pool(1);
    let ran = Arc::new(AtomicUsize::new(0));
    let both = Arc::new(Barrier::new(2));
    let mut set = pool.task_set();
    let (meeting, counting) = (Arc::clone(&both), Arc::clone(&ran));
    set.submit(0, move || {
        meeting.wait();
        assert!(!CancelToken::current().sleep(FAR_TOO_LONG), "it was asked to stop");
        counting.fetch_add(1, Ordering::SeqCst);
    });
    for key in 1..100 {
        let counting = Arc::clone(&ran);
        set.submit(key, move || {
            counting.fetch_add(1, Ordering::SeqCst);
        });
    }
    both.wait();
    drop(set);
    pool.shutdown();
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[test]
fn what_is_finished_is_handed_out_before_an_item_that_is_not_promised_is_taken() {
    let pool = pool(4);
    for ordered in [true, false] {
        let (done, read) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let kept_back = Arc::<Mutex<Vec<usize>>>::default();
        let (ended, given, noting) = (Arc::clone(&done), Arc::clone(&read), Arc::clone(&kept_back));
        // A filter promises nothing. Before each item all tasks before it have ended.
        let items = (0..50usize).filter(move |n| {
            patiently("the tasks before have ended", || ended.load(Ordering::SeqCst) >= *n);
            noting.lock().unwrap().push(n - given.load(Ordering::SeqCst));
            true
        });
        let task = move |n| {
            done.fetch_add(1, Ordering::SeqCst);
            n
        };
        let results: Box<dyn Iterator<Item = _>> = match ordered {
            true => Box::new(pool.map(items, task)),
            false => Box::new(pool.map_unordered(items, task)),
        };
        for result in results {
            result.unwrap();
            read.fetch_add(1, Ordering::SeqCst);
        }
        // A task may have ended whose result is not there yet, and a busy machine may be late.
        let kept_back = kept_back.lock().unwrap();
        let at_once = kept_back.iter().filter(|count| **count <= 1).count();
        assert!(at_once >= 40, "{kept_back:?}");
    }
}

#[test]
fn items_of_a_channel_that_has_grown_quiet_are_run_and_read() {
    let pool = pool(2);
    let (sender, receiver) = channel();
    let (ran, quiet) = (Arc::new(AtomicUsize::new(0)), 10_000);
    (0..quiet).for_each(|n| sender.send(n).unwrap());
    let counting = Arc::clone(&ran);
    let mut map = pool.map(receiver, move |n: usize| {
        counting.fetch_add(1, Ordering::SeqCst);
        n
    });
    for n in 0..quiet - 4 {
        assert_eq!(map.next().unwrap().unwrap(), n);
    }
    // The reader may be inside of the channel from here on, but no item waits in a batch with it.
    std::thread::scope(|scope| {
        let rest = scope.spawn(|| map.map(Result::unwrap).collect::<Vec<_>>());
        patiently("all have run", || ran.load(Ordering::SeqCst) == quiet);
        drop(sender);
        assert_eq!(rest.join().unwrap(), Vec::from_iter(quiet - 4..quiet));
    });
}
