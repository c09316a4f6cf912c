//! Permits: never more at once than there are, first come first served.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use silkmill::{Semaphore, Thread};

use crate::{FAR_TOO_LONG, patiently, pool};

fn waiting(semaphore: &Semaphore, count: usize) -> bool {
    format!("{semaphore:?}").ends_with(&format!("waiting: {count} }}"))
}

#[test]
fn no_more_are_inside_than_there_are_permits() {
    let semaphore = Arc::new(Semaphore::new(3));
    let inside = Arc::new(AtomicUsize::new(0));
    let pool = pool(8);
    let entries = pool.map(0..500, {
        let semaphore = Arc::clone(&semaphore);
        move |_| {
            let _permit = semaphore.acquire();
            let others = inside.fetch_add(1, Ordering::Relaxed);
            std::thread::yield_now();
            inside.fetch_sub(1, Ordering::Relaxed);
            others
        }
    });
    assert!(entries.map(Result::unwrap).all(|others| others < 3));
    assert_eq!(semaphore.available(), 3);
}

#[test]
fn who_came_first_is_served_first() {
    let semaphore = Arc::new(Semaphore::new(0));
    let (sender, served) = channel();
    let threads: Vec<_> = (0..5)
        .map(|number| {
            let (semaphore, sender) = (Arc::clone(&semaphore), sender.clone());
            let other = Arc::clone(&semaphore);
            let thread = Thread::spawn(move || {
                let permit = semaphore.acquire();
                sender.send(number).unwrap();
                drop(permit);
            });
            patiently("it stands in line", || waiting(&other, number + 1));
            thread
        })
        .collect();
    semaphore.add_permits(1);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(served.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn who_does_not_wait_overtakes_nobody() {
    let semaphore = Arc::new(Semaphore::new(1));
    let many = Thread::spawn({
        let semaphore = Arc::clone(&semaphore);
        move || drop(semaphore.acquire_many(2))
    });
    patiently("it waits for two", || waiting(&semaphore, 1));
    assert!(semaphore.try_acquire().is_none(), "one is there, but it is promised");
    semaphore.add_permits(1);
    many.join().unwrap();
    assert!(semaphore.try_acquire().is_some());
}

#[test]
fn who_gives_up_holds_up_nobody() {
    let semaphore = Arc::new(Semaphore::new(0));
    let gave_up = Thread::spawn({
        let semaphore = Arc::clone(&semaphore);
        move || semaphore.acquire_timeout(Duration::from_millis(20)).is_none()
    });
    let patient = Thread::spawn({
        let semaphore = Arc::clone(&semaphore);
        move || semaphore.acquire_timeout(FAR_TOO_LONG).is_some()
    });
    assert!(gave_up.join().unwrap());
    semaphore.add_permits(1);
    assert!(patient.join().unwrap());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn zero_only_looks_and_max_waits() {
    let semaphore = Arc::new(Semaphore::new(1));
    let permit = semaphore.acquire_timeout(Duration::ZERO).unwrap();
    assert!(semaphore.acquire_timeout(Duration::ZERO).is_none());
    assert!(semaphore.try_acquire_owned().is_none());
    let waits = Thread::spawn({
        let semaphore = Arc::clone(&semaphore);
        move || semaphore.acquire_timeout(Duration::MAX).is_some()
    });
    patiently("it stands in line", || waiting(&semaphore, 1));
    drop(permit);
    assert!(waits.join().unwrap());
}

#[test]
fn many_are_taken_and_given_back_together() {
    let semaphore = Semaphore::new(5);
    let three = semaphore.acquire_many(3);
    assert_eq!(semaphore.available(), 2);
    drop(semaphore.acquire_many(0));
    drop(three);
    assert_eq!(semaphore.available(), 5);
}

#[test]
fn what_is_forgotten_is_not_given_back() {
    let semaphore = Arc::new(Semaphore::new(3));
    semaphore.acquire().forget();
    semaphore.acquire_owned().forget();
    assert_eq!(semaphore.available(), 1);
    semaphore.add_permits(usize::MAX);
    assert_eq!(semaphore.available(), usize::MAX, "no more than can be counted");
}

#[test]
fn an_owned_permit_is_given_back_by_the_task_even_if_it_panics() {
    let semaphore = Arc::new(Semaphore::new(1));
    let pool = pool(2);
    for _ in 0..20 {
        let permit = semaphore.acquire_owned_timeout(FAR_TOO_LONG).expect("it is given back");
        let panics = pool.submit(move || {
            let _permit = permit;
            std::panic::resume_unwind(Box::new("asked for"))
        });
        let panics: silkmill::Future<()> = panics;
        panics.add_done_callback(|result| assert!(result.is_err()));
    }
    pool.shutdown();
    assert_eq!(semaphore.available(), 1);
}
