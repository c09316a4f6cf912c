//! A thread that takes a map's items from their iterator, for a reader who takes what is there.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::cancel::{CancelToken, CurrentToken};
use crate::sync::{Condvar, Mutex};
use crate::task::waiter::Waiter;
use crate::thread::Builder;
use crate::unwind::caught;

/// The index that a feed notifies its reader's waiter of; no future has it.
pub(super) const FED: usize = usize::MAX;

/// What became of taking items.
pub(super) enum Taken<B> {
    Items(B),
    /// None is there yet.
    NotYet,
    Ended,
}

/// Items that a thread takes from an iterator, as many as there is room for. Dropping it lets the
/// thread end with its next item.
pub(super) struct Feed<A> {
    shared: Arc<Shared<A>>,
}

struct Shared<A> {
    state: Mutex<State<A>>,
    /// Notified when there is room, or the feed is dropped. The thread waits here.
    has_room: Condvar,
    reader: Arc<Waiter>,
}

struct State<A> {
    items: VecDeque<A>,
    /// How many items the thread may take, the one that it is taking not counted.
    room: usize,
    is_taking: bool,
    has_ended: bool,
    panic: Option<Box<dyn std::any::Any + Send>>,
    dropped: bool,
    /// Set when the reader was notified, and has not looked since.
    notified: bool,
}

impl<A: Send + 'static> Feed<A> {
    /// Gives the iterator back when no thread can be started.
    pub(super) fn start<I>(items: I, name: String, reader: &Arc<Waiter>) -> Result<Self, I>
    where
        I: Iterator<Item = A> + Send + 'static,
    {
        let shared = Arc::new(Shared::new(reader));
        // Kept here, so that it is not lost with the closure of a thread that is refused.
        let items = Arc::new(Mutex::new(Some(items)));
        let (theirs, taken) = (Arc::clone(&shared), Arc::clone(&items));
        let token = CancelToken::current();
        let started = Builder::new().name(name).daemon(true).start(move || {
            let items = taken.lock().take();
            let _current = CurrentToken::set(token);
            items.into_iter().for_each(|items| theirs.run(items));
        });
        match (started, items) {
            (Ok(_), _) => Ok(Feed { shared }),
            (Err(_), items) => match items.lock().take() {
                Some(items) => Err(items),
                None => Ok(Feed { shared }),
            },
        }
    }
}

impl<A> Feed<A> {
    pub(super) fn make_room(&self, room: usize) {
        let mut state = self.shared.state.lock();
        let had_room = state.room > 0;
        let has = state.items.len() + usize::from(state.is_taking);
        state.room = room.saturating_sub(has);
        let wake = state.room > 0 && !had_room;
        drop(state);
        if wake {
            self.shared.has_room.notify_one();
        }
    }

    pub(super) fn take(&self) -> Taken<A> {
        let mut state = self.shared.state.lock();
        state.notified = false;
        if let Some(item) = state.items.pop_front() {
            return Taken::Items(item);
        }
        if let Some(payload) = state.panic.take() {
            drop(state);
            resume_unwind(payload);
        }
        if state.has_ended { Taken::Ended } else { Taken::NotYet }
    }

    pub(super) fn waiting(&self) -> usize {
        self.shared.state.lock().items.len()
    }
}

impl<A> Drop for Feed<A> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.dropped = true;
        let items = std::mem::take(&mut state.items);
        drop(state);
        self.shared.has_room.notify_one();
        drop(items);
    }
}

impl<A> Shared<A> {
    fn new(reader: &Arc<Waiter>) -> Self {
        let state = State {
            items: VecDeque::new(),
            room: 0,
            is_taking: false,
            has_ended: false,
            panic: None,
            dropped: false,
            notified: false,
        };
        let reader = Arc::clone(reader);
        Shared { state: Mutex::new(state), has_room: Condvar::new(), reader }
    }

    /// Takes items whenever there is room, until they end or the reader has gone.
    fn run<I: Iterator<Item = A>>(&self, items: I) {
        let mut items = Some(items);
        while let Some(iterator) = &mut items
            && self.wait_for_room()
        {
            let item = catch_unwind(AssertUnwindSafe(|| iterator.next()));
            if let Ok(None) = item {
                // Dropped before the reader learns of the end, as it would be without a thread.
                caught(|| drop(items.take()));
            }
            if !self.put(item) {
                break;
            }
        }
        caught(|| drop(items));
    }

    /// Returns false when the reader has gone.
    fn wait_for_room(&self) -> bool {
        let mut state = self.state.lock();
        while state.room == 0 && !state.dropped {
            state = self.has_room.wait(state);
        }
        state.room = state.room.saturating_sub(1);
        state.is_taking = true;
        !state.dropped
    }

    /// Returns false when there will be no more, or the reader has gone.
    fn put(&self, item: std::thread::Result<Option<A>>) -> bool {
        let mut state = self.state.lock();
        state.is_taking = false;
        if state.dropped {
            drop(state);
            caught(|| drop(item));
            return false;
        }
        match item {
            Ok(Some(item)) => state.items.push_back(item),
            Ok(None) => state.has_ended = true,
            Err(payload) => {
                state.panic = Some(payload);
                state.has_ended = true;
            }
        }
        let goes_on = !state.has_ended;
        let notify = !std::mem::replace(&mut state.notified, true);
        drop(state);
        if notify {
            self.reader.notify(FED);
        }
        goes_on
    }
}

/// What a reader and the thread that feeds it do to each other, in interleavings of up to three
/// preemptions.
#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::sync::Deadline;

    /// Starts a thread that feeds two items.
    fn feed(waiter: &Arc<Waiter>) -> (Feed<u8>, loom::thread::JoinHandle<()>) {
        let shared = Arc::new(Shared::new(waiter));
        let theirs = Arc::clone(&shared);
        (Feed { shared }, loom::thread::spawn(move || theirs.run([1, 2].into_iter())))
    }

    /// Checks a model with few preemptions; with more the models take minutes.
    fn check(f: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(f);
    }

    #[test]
    fn every_item_and_the_end_reach_a_reader_that_waits() {
        for room in [1, 2] {
            check(move || {
                let waiter = Arc::new(Waiter::new());
                let (feed, thread) = feed(&waiter);
                let mut seen = Vec::new();
                loop {
                    feed.make_room(room);
                    match feed.take() {
                        Taken::Items(item) => seen.push(item),
                        Taken::NotYet => drop(waiter.next(Deadline::NEVER)),
                        Taken::Ended => break,
                    }
                }
                assert_eq!(seen, [1, 2]);
                thread.join().expect("the thread does not panic");
            });
        }
    }

    #[test]
    fn a_thread_ends_when_its_reader_goes() {
        check(|| {
            let waiter = Arc::new(Waiter::new());
            let (feed, thread) = feed(&waiter);
            feed.make_room(1);
            drop(feed);
            thread.join().expect("the thread does not panic");
        });
    }
}
