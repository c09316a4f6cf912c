//! Waiting for many futures.

use std::time::Duration;

use silkmill::{Future, ReturnWhen, as_completed, wait};

use crate::{occupy, pool};

#[test]
fn waiting_for_the_first_returns_with_one_done() {
    let pool = pool(2);
    let (gate, slow) = occupy(&pool);
    let futures = [slow, pool.submit(|| ())];

    let waited = wait(&futures, ReturnWhen::FirstCompleted, None);

    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    assert!(std::ptr::eq(waited.done[0], &futures[1]));
    gate.open();
    assert_eq!(wait(&futures, ReturnWhen::All, None).done.len(), 2);
}

#[test]
fn waiting_for_the_first_error_passes_over_values() {
    let pool = pool(2);
    let (gate, slow) = occupy(&pool);
    let futures = [slow, pool.submit(|| ()), pool.submit(|| panic!("first error"))];

    let waited = wait(&futures, ReturnWhen::FirstError, None);

    assert!(waited.done.iter().any(|future| std::ptr::eq(*future, &futures[2])));
    assert_eq!(waited.not_done.len(), 1);
    gate.open();
}

#[test]
fn waiting_for_the_first_error_of_none_waits_for_all() {
    let pool = pool(2);
    let futures = [pool.submit(|| 1), pool.submit(|| 2)];

    assert!(wait(&futures, ReturnWhen::FirstError, None).not_done.is_empty());
}

#[test]
fn a_timeout_ends_the_waiting_and_zero_only_looks() {
    let pool = pool(1);
    let (gate, slow) = occupy(&pool);
    let futures = [slow];

    assert!(wait(&futures, ReturnWhen::All, Duration::ZERO).done.is_empty());
    assert!(wait(&futures, ReturnWhen::All, Duration::from_millis(1)).done.is_empty());

    gate.open();
    assert_eq!(wait(&futures, ReturnWhen::All, Duration::MAX).done.len(), 1);
}

#[test]
fn waiting_for_nothing_returns_at_once() {
    let none: [Future<()>; 0] = [];

    let waited = wait(&none, ReturnWhen::FirstCompleted, None);

    assert!(waited.done.is_empty() && waited.not_done.is_empty());
    assert!(as_completed(none).next().is_none());
}

#[test]
fn cancelled_futures_are_done_also_when_a_shutdown_cancelled_them() {
    let pool = pool(1);
    let (gate, running) = occupy(&pool);
    let queued = [pool.submit(|| ()), pool.submit(|| ())];
    assert!(queued[0].cancel());

    // The only worker is busy until the shutdown has cancelled what is queued.
    queued[1].add_done_callback(move |_| gate.open());
    pool.shutdown_now();

    running.result().unwrap();
    assert_eq!(wait(&queued, ReturnWhen::All, None).done.len(), 2);
    assert!(as_completed(queued).all(|future| future.cancelled()));
}

#[test]
fn as_completed_yields_the_done_first_and_each_once() {
    let pool = pool(2);
    let (gate, slow) = occupy(&pool);
    let quick = pool.submit(|| ());

    let mut completed = as_completed([slow, quick]);
    assert_eq!(completed.size_hint(), (2, Some(2)));

    completed.next().unwrap().result().unwrap();
    gate.open();
    completed.next().unwrap().result().unwrap();
    assert!(completed.next().is_none());
}
