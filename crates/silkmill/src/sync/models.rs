//! Models of [`Semaphore`] and [`Event`], checked by loom in every interleaving.
//!
//! There is one model for each change of state that two threads can race for; each says which
//! mistake it would catch. loom has no clock, so a wait that takes too long is one whose deadline
//! has passed when it begins to wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::spawn;

use crate::sync::Deadline;
use crate::sync::event::Event;
use crate::sync::semaphore::{Semaphore, Taking};

fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

fn too_late() -> Deadline {
    Deadline::NEVER.or_sooner(Some(Instant::now() - Duration::from_secs(1)))
}

/// Catches a permit given back that wakes no waiter, two threads that are inside at once, and a
/// permit that does not order what was done under it: a relaxed load may see an old value then.
#[test]
fn a_permit_holder_is_alone_and_sees_what_was_done_before() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let visits = Arc::new(AtomicUsize::new(0));
        let visit = {
            let (semaphore, visits) = (Arc::clone(&semaphore), Arc::clone(&visits));
            move || {
                let _permit = semaphore.acquire();
                let before = visits.load(Ordering::Relaxed);
                visits.store(before + 1, Ordering::Relaxed);
            }
        };
        let other = spawn(visit.clone());
        visit();
        other.join().unwrap();
        let _permit = semaphore.try_acquire().unwrap();
        assert_eq!(visits.load(Ordering::Relaxed), 2);
    });
}

/// Catches permits added together that wake only the first waiter.
#[test]
fn two_permits_wake_two() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let threads = [(); 2].map(|()| {
            let semaphore = Arc::clone(&semaphore);
            spawn(move || semaphore.acquire().forget())
        });
        semaphore.add_permits(2);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(semaphore.available(), 0);
    });
}

/// Catches a permit that is lost when it is handed to a waiter that gives up just then, and one
/// that is there twice.
#[test]
fn a_permit_handed_to_a_waiter_that_gives_up_is_not_lost() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let gives_up = {
            let semaphore = Arc::clone(&semaphore);
            spawn(move || match semaphore.take_or_wait(1) {
                Taking::Taken => true,
                Taking::Waiting(parker) => semaphore.wait_for_permits(&parker, too_late()),
            })
        };
        semaphore.add_permits(1);
        let taken = gives_up.join().unwrap();
        assert_eq!(semaphore.available(), usize::from(!taken));
    });
}

/// Catches a waiter that wants more than there is, gives up, and leaves those behind waiting for
/// what is there.
#[test]
fn a_waiter_that_gives_up_lets_those_behind_go() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let Taking::Waiting(greedy) = semaphore.take_or_wait(2) else {
            unreachable!("one is there")
        };
        let behind = {
            let semaphore = Arc::clone(&semaphore);
            spawn(move || semaphore.acquire().forget())
        };
        assert!(!semaphore.wait_for_permits(&greedy, too_late()));
        behind.join().unwrap();
        assert_eq!(semaphore.available(), 0);
    });
}

/// Catches a newcomer that takes what the first waiter has not enough of yet, or was just handed.
#[test]
fn try_acquire_does_not_overtake() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let Taking::Waiting(first) = semaphore.take_or_wait(2) else {
            unreachable!("one is there")
        };
        let newcomer = {
            let semaphore = Arc::clone(&semaphore);
            spawn(move || semaphore.try_acquire().is_some())
        };
        semaphore.add_permits(1);
        assert!(semaphore.wait_for_permits(&first, Deadline::NEVER));
        assert!(!newcomer.join().unwrap());
    });
}

/// Catches a set that wakes no waiter, or only one, and a flag that does not order what was done
/// before.
#[test]
fn a_set_wakes_every_waiter() {
    model(|| {
        let event = Arc::new(Event::new());
        let done_before = Arc::new(AtomicUsize::new(0));
        let threads = [(); 2].map(|()| {
            let (event, done_before) = (Arc::clone(&event), Arc::clone(&done_before));
            spawn(move || {
                event.wait();
                assert_eq!(done_before.load(Ordering::Relaxed), 1);
            })
        });
        done_before.store(1, Ordering::Relaxed);
        event.set();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Catches a wait that looks at the flag alone: the flag is cleared before it wakes, and it would
/// sleep again.
#[test]
fn a_wait_that_began_before_a_set_ends_though_the_flag_is_cleared() {
    model(|| {
        let event = Arc::new(Event::new());
        let times_set = event.look().unwrap();
        let waits = {
            let event = Arc::clone(&event);
            spawn(move || event.wait_for_change(times_set, Deadline::NEVER))
        };
        event.set();
        event.clear();
        assert!(waits.join().unwrap());
        assert!(!event.is_set());
    });
}

/// Catches two threads that set the event at once, each leaving it to the other to wake the waiter.
#[test]
fn one_of_two_sets_wakes() {
    model(|| {
        let event = Arc::new(Event::new());
        let sets = {
            let event = Arc::clone(&event);
            spawn(move || event.set())
        };
        let waits = {
            let event = Arc::clone(&event);
            spawn(move || event.wait())
        };
        event.set();
        sets.join().unwrap();
        waits.join().unwrap();
    });
}
