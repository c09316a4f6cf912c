//! A flag to wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use silkmill::{Event, Thread};

use crate::FAR_TOO_LONG;

#[test]
fn a_set_event_lets_everyone_through_until_it_is_cleared() {
    let event = Event::new();
    assert!(!event.is_set() && !event.wait_timeout(Duration::ZERO));
    event.set();
    event.set();
    event.wait();
    assert!(event.is_set() && event.wait_timeout(Duration::ZERO));
    event.clear();
    assert!(!event.is_set() && !event.wait_timeout(Duration::from_millis(1)));
}

#[test]
fn everyone_who_waits_is_woken() {
    let event = Arc::new(Event::new());
    let waiting: Vec<_> = [Duration::MAX, FAR_TOO_LONG, FAR_TOO_LONG]
        .map(|timeout| {
            let event = Arc::clone(&event);
            Thread::spawn(move || event.wait_timeout(timeout))
        })
        .into();
    event.set();
    assert!(waiting.into_iter().all(|thread| thread.join().unwrap()));
}

#[test]
fn a_pulse_wakes_whoever_waited_before_it() {
    let event = Arc::new(Event::new());
    let woken = Arc::new(AtomicBool::new(false));
    let waiting = Thread::spawn({
        let (event, woken) = (Arc::clone(&event), Arc::clone(&woken));
        move || {
            event.wait();
            woken.store(true, Ordering::Relaxed);
        }
    });
    // It begins to wait at an unknown time; the next pulse is for it.
    crate::patiently("a pulse has woken it", || {
        event.set();
        event.clear();
        woken.load(Ordering::Relaxed)
    });
    waiting.join().unwrap();
    assert_eq!(format!("{event:?}"), "Event { is_set: false }");
}
