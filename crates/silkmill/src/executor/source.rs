//! Items on their way into a map: taken by the thread that reads the map, or by one of their own.
//!
//! An iterator may block: a channel, a terminal, a directory of a slow disk. The thread that reads
//! a map cannot hand a result out while it is inside the iterator. So before each item that the
//! iterator does not promise it hands out what is finished, and decides whether to wait for a
//! result ([`Pace`]). A [`Feed`] needs no such decision: its thread
//! takes the items, and the reader waits for items and results alike.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::executor::feed::{Feed, Taken};
use crate::pool::clock::coarse_now;
use crate::task::waiter::Waiter;

/// The time for which results are waited for in vain before an iterator of unknown length is known
/// not to block.
const PATIENCE_FIRST: Duration = Duration::from_millis(10);

/// The share of a map's time that may go the same way, as a divisor.
const PATIENCE_SHARE: u32 = 64;

/// The longest wait for a result while the iterator may have an item.
const PATIENCE_MAX: Duration = Duration::from_secs(10);

/// The number of times that waiting in vain halves the patience.
const DOUBTS_MAX: u32 = 5;

/// The time that the items of one batch may take to come.
const GATHER_MAX: Duration = Duration::from_micros(500);

/// The default number of items that a map takes for each worker: one to work on, one to go on with
/// at once.
pub(super) const IN_FLIGHT_PER_WORKER: usize = 2;

/// Where a map's items come from.
pub(super) enum Source<I, A> {
    /// The reader takes them from the iterator.
    Own(I, Pace),
    /// A thread takes them.
    Fed(Feed<A>),
    /// There are no more: an iterator need not say so twice.
    Ended,
}

/// Items that were taken one after the other, and the payload if the iterator panicked then.
pub(super) struct Gathered<A> {
    pub(super) items: Vec<A>,
    pub(super) panic: Option<Box<dyn std::any::Any + Send>>,
    /// Whether the iterator was the slow side.
    pub(super) slowly: bool,
}

impl<I: Iterator<Item = A>, A> Source<I, A> {
    pub(super) fn new(items: I) -> Self {
        Source::Own(items, Pace::new())
    }

    /// Returns whether the iterator may keep the reader waiting for its next item, or for ever,
    /// because it does not say that there is one.
    pub(super) fn may_block(&self) -> bool {
        match self {
            Source::Own(_, pace) if pace.always_ready => false,
            Source::Own(items, _) => matches!(items.size_hint(), (0, most) if most != Some(0)),
            Source::Fed(_) | Source::Ended => false,
        }
    }

    /// Notes that the iterator never keeps the reader waiting, whatever its size hint says.
    pub(super) fn is_always_ready(&mut self) {
        if let Source::Own(_, pace) = self {
            pace.always_ready = true;
        }
    }

    /// Returns how long to wait for a result before the next item is taken. `None` means that a
    /// result that is there may wait for the item, too: it will be there at once.
    pub(super) fn patience(&self) -> Option<Duration> {
        let Source::Own(_, pace) = self else { return None };
        let may_block = self.may_block();
        let patience = pace.patience(may_block);
        (may_block || !patience.is_zero()).then_some(patience)
    }

    /// Returns whether a thread takes the items.
    pub(super) fn is_fed(&self) -> bool {
        matches!(self, Source::Fed(_))
    }

    /// Takes no more items.
    pub(super) fn end(&mut self) {
        *self = Source::Ended;
    }

    /// Learns from a wait for a result.
    pub(super) fn waited(&mut self, time: Duration, in_vain: bool) {
        if let Source::Own(_, pace) = self {
            pace.waited(time, in_vain);
        }
    }

    /// Lets a feed take so many items more than the reader has. Nothing happens without a feed.
    pub(super) fn make_room(&mut self, room: usize) {
        if let Source::Fed(feed) = self {
            feed.make_room(room);
        }
    }

    /// Takes the next item. Blocks if the iterator does, unless a thread feeds it.
    pub(super) fn take(&mut self) -> Taken<A> {
        let taken = match self {
            Source::Own(items, pace) => {
                let before = coarse_now();
                let item = items.next();
                pace.took(coarse_now().saturating_sub(before));
                item.map_or(Taken::Ended, Taken::Items)
            }
            Source::Fed(feed) => feed.take(),
            Source::Ended => Taken::Ended,
        };
        if let Taken::Ended = taken {
            *self = Source::Ended;
        }
        taken
    }

    /// Takes up to `size` items for one batch, but no more once they come slowly.
    pub(super) fn gather(&mut self, size: usize) -> Taken<Gathered<A>> {
        let mut items = Vec::with_capacity(size);
        let began = coarse_now();
        let mut taking = AssertUnwindSafe((self, &mut items));
        let gathering = catch_unwind(move || {
            let (source, items) = &mut *taking;
            source.gather_into(items, size, began)
        });
        let (last, panic) = match gathering {
            Ok(last) => (last, None),
            Err(payload) => (Taken::NotYet, Some(payload)),
        };
        match last {
            Taken::Ended if items.is_empty() => Taken::Ended,
            Taken::NotYet if items.is_empty() && panic.is_none() => Taken::NotYet,
            Taken::Items(slowly) => Taken::Items(Gathered { items, panic, slowly }),
            _ => Taken::Items(Gathered { items, panic, slowly: false }),
        }
    }

    /// Returns whether the items came slowly, or why there were not `size`.
    fn gather_into(&mut self, items: &mut Vec<A>, size: usize, began: Duration) -> Taken<bool> {
        let Source::Own(iterator, pace) = self else {
            while items.len() < size {
                match self.take() {
                    Taken::Items(item) => items.push(item),
                    Taken::NotYet => return Taken::NotYet,
                    Taken::Ended => return Taken::Ended,
                }
            }
            return Taken::Items(false);
        };
        let mut last = began;
        // No more than are promised: the next may keep those waiting that are here.
        let promised = if pace.always_ready { size } else { iterator.size_hint().0 };
        let size = size.min(promised).max(1);
        while items.len() < size {
            let Some(item) = iterator.next() else {
                *self = Source::Ended;
                return Taken::Ended;
            };
            items.push(item);
            // The clock ticks every few milliseconds, which is enough: what is missed is short.
            let now = coarse_now();
            let took = now.saturating_sub(std::mem::replace(&mut last, now));
            if took > GATHER_MAX {
                pace.took(took);
                return Taken::Items(true);
            }
        }
        pace.took(Duration::ZERO);
        Taken::Items(false)
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Source::Ended)
    }

    /// Returns the size hint of a map that has taken `pending` items and not yielded them. A map
    /// that does not promise all results may end early.
    pub(super) fn size_hint_with(
        &self,
        pending: usize,
        promises_all: bool,
    ) -> (usize, Option<usize>) {
        let (least, most) = match self {
            Source::Own(items, _) => items.size_hint(),
            Source::Fed(feed) => (feed.waiting(), None),
            Source::Ended => (0, Some(0)),
        };
        let least = if promises_all { least } else { 0 };
        (least.saturating_add(pending), most.and_then(|most| most.checked_add(pending)))
    }
}

impl<I, A> Source<I, A>
where
    I: Iterator<Item = A> + Send + 'static,
    A: Send + 'static,
{
    /// Moves the iterator to a thread of its own, which notifies `waiter` of `FED`. If no thread
    /// can be had, the reader goes on taking the items.
    pub(super) fn feed(&mut self, name: String, waiter: &Arc<Waiter>) {
        if let Source::Own(items, pace) = std::mem::replace(self, Source::Ended) {
            *self = match Feed::start(items, name, waiter) {
                Ok(feed) => Source::Fed(feed),
                Err(items) => Source::Own(items, pace),
            };
        }
    }
}

/// How fast an iterator is, and so whether to hand results out, or wait for them, before its next
/// item is taken.
///
/// The reader waits for a result for as long as the iterator has lately kept it waiting: an
/// iterator that yields an item a second costs nothing then, and results are handed out as they
/// come. While items come at once there is no wait. So waiting at most doubles the time that the
/// iterator takes, and much less when it was in vain before.
///
/// An iterator that does not promise an item may read a channel, and block from its second item on.
/// So the reader waits for results of such an iterator at first, too, within a budget.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long the iterator took for an item lately: the last time, or half of what it was.
    lately: Duration,
    /// How often the patience was halved because the wait was in vain.
    doubts: u32,
    /// When the map began.
    began: Instant,
    /// The time spent waiting while the iterator had an item.
    spent: Duration,
    /// The time waited since the last item.
    waited: Duration,
    /// Whether the user has said that the iterator never blocks.
    always_ready: bool,
}

impl Pace {
    fn new() -> Self {
        Pace {
            lately: Duration::ZERO,
            doubts: 0,
            began: Instant::now(),
            spent: Duration::ZERO,
            waited: Duration::ZERO,
            always_ready: false,
        }
    }

    fn patience(&self, may_block: bool) -> Duration {
        let paced = self.lately / (1 << self.doubts);
        let budget = match may_block {
            true => PATIENCE_FIRST + self.began.elapsed() / PATIENCE_SHARE,
            false => Duration::ZERO,
        };
        paced.max(budget.saturating_sub(self.spent)).min(PATIENCE_MAX)
    }

    fn waited(&mut self, time: Duration, in_vain: bool) {
        self.waited += time;
        self.doubts = match in_vain {
            true => (self.doubts + 1).min(DOUBTS_MAX),
            false => self.doubts.saturating_sub(1),
        };
    }

    fn took(&mut self, time: Duration) {
        self.spent += std::mem::take(&mut self.waited).saturating_sub(time);
        let half = self.lately / 2;
        self.lately = time.max(if half < Duration::from_micros(1) { Duration::ZERO } else { half });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_iterator_that_is_fast_and_promises_its_items_is_never_waited_for() {
        let mut pace = Pace::new();
        assert_eq!(pace.patience(false), Duration::ZERO);
        pace.took(Duration::ZERO);
        assert_eq!(pace.patience(false), Duration::ZERO);
    }

    #[test]
    fn an_iterator_may_block_unless_it_promises_an_item_or_the_end() {
        assert!(!Source::new([1, 2].into_iter()).may_block());
        assert!(!Source::new(std::iter::repeat(1)).may_block());
        assert!(!Source::new(std::iter::empty::<u8>()).may_block());
        assert!(Source::new(std::sync::mpsc::channel::<u8>().1.into_iter()).may_block());
        assert!(Source::new(std::sync::mpsc::channel::<u8>().1.into_iter().take(3)).may_block());
        let mut chained = Source::new([1].into_iter().chain(std::iter::from_fn(|| None)));
        assert!(!chained.may_block());
        assert!(matches!(chained.take(), Taken::Items(1)));
        assert!(chained.may_block(), "the rest is not promised");
        assert_eq!(chained.patience().map(|patience| patience.is_zero()), Some(false));
    }

    #[test]
    fn an_iterator_that_is_said_to_be_ready_is_taken_ahead_whatever_it_promises() {
        let mut source = Source::new((0..1_000).filter(|n| n % 2 == 1));
        source.is_always_ready();
        assert!(!source.may_block() && source.patience().is_none());
        let Taken::Items(gathered) = source.gather(256) else { panic!("there are items") };
        assert_eq!(gathered.items, Vec::from_iter((0..256).map(|n| 2 * n + 1)));
        let Taken::Items(rest) = source.gather(256) else { panic!("there are items") };
        assert_eq!(rest.items.len(), 500 - 256);
        assert!(source.has_ended());
    }

    #[test]
    fn a_batch_takes_no_item_that_is_not_promised() {
        let mut source = Source::new([1, 2].into_iter().chain(std::iter::from_fn(|| Some(3))));
        let Taken::Items(gathered) = source.gather(256) else { panic!("there are items") };
        assert_eq!(gathered.items, [1, 2]);
    }

    #[test]
    fn patience_follows_the_iterator_and_is_halved_when_it_was_in_vain() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new();
        pace.took(second);
        assert_eq!(pace.patience(false), second);
        pace.waited(second, true);
        assert_eq!(pace.patience(false), second / 2);
        pace.waited(second / 4, false);
        assert_eq!(pace.patience(false), second);
        pace.took(Duration::ZERO);
        assert_eq!(pace.patience(false), second / 2, "it was fast once");
        (0..40).for_each(|_| pace.took(Duration::ZERO));
        assert_eq!(pace.patience(false), Duration::ZERO);
        pace.took(100 * second);
        assert_eq!(pace.patience(false), PATIENCE_MAX);
    }

    #[test]
    fn the_budget_of_an_unknown_iterator_is_spent_by_waits_that_were_not_needed() {
        let mut pace = Pace::new();
        assert!(pace.patience(true) >= PATIENCE_FIRST);
        pace.waited(Duration::from_secs(1), false);
        pace.took(Duration::from_secs(2));
        assert!(pace.patience(true) >= PATIENCE_FIRST, "the iterator had nothing meanwhile");
        let mut pace = Pace::new();
        pace.waited(Duration::from_secs(3600), false);
        pace.took(Duration::ZERO);
        assert_eq!(pace.patience(true), Duration::ZERO);
    }
}
