//! Keeps the items that wait, by host, and decides which of them may start.
//!
//! An item may start when its own time has come, when fewer items of its host are under way than
//! the limit, and when the host's time has come: the delay since its last start has passed, and so
//! has any pause that it asked for. Of the items that may start, the first of the input goes first,
//! so that none starves. A host that is not ready does not hold up the others.
//!
//! The schedule is told the time, and uses no clock, no lock and no I/O. Every call costs at most
//! the logarithm of the number of waiting items.

mod later;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use crate::run::schedule::later::Later;
use crate::run::throttle::{Learned, Throttle};

/// The most hosts without items that are remembered while their delay or pause lasts. Beyond that,
/// the host whose time comes soonest is forgotten.
const HOSTS_REMEMBERED_MAX: usize = 16 * 1024;

/// A delay that a host has shown to need matters at once where it is this long: another run could
/// otherwise begin before it is known.
const URGENT_DELAY: Duration = Duration::from_millis(50);

/// The limits of every host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    /// The most items of one host under way at once, at least 1.
    pub(crate) per_host: usize,
    /// The time between two starts at one host.
    pub(crate) delay: Duration,
    /// Whether the first item of a host goes alone until [`Schedule::set_crawl_delay`] is called
    /// for the host: that item finds out what the host allows.
    pub(crate) first_alone: bool,
    /// How many requests at once the delay of a host is meant for that is asked as fast as it
    /// answers; `None` when hosts are not throttled.
    pub(crate) throttle: Option<f64>,
}

/// A host of a schedule. It is valid while an item of the host is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HostId(usize);

/// How a host wants to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// The least time between two starts that it asks for.
    pub(crate) delay: Duration,
    /// The end of the last pause that it asked for.
    pub(crate) pause_ends: Option<Instant>,
    /// What its answers have shown.
    pub(crate) learned: Learned,
}

/// An item that may start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Turn<T> {
    pub(crate) host: HostId,
    /// Whether the host is given up, so that the item is not to be requested.
    pub(crate) is_given_up: bool,
    pub(crate) item: T,
}

/// Items that wait for their turn.
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    limits: Limits,
    names: HashMap<Box<str>, HostId>,
    /// By id; an empty place is free.
    hosts: Vec<Option<Host<T>>>,
    free: Vec<HostId>,
    /// The hosts of which an item may start, by the place of that item in the input.
    ready: BTreeSet<(u64, HostId)>,
    /// The hosts that change with time alone, by the time of the change.
    timers: BTreeSet<(Instant, HostId)>,
    /// The hosts without items, by the time until which they are remembered.
    remembered: BTreeSet<(Instant, HostId)>,
    waiting: usize,
    running: usize,
    /// The number of items that could start now, all at once.
    startable: usize,
}

#[derive(Debug)]
struct Host<T> {
    name: Box<str>,
    /// Items whose own time has come, by their place in the input.
    due: BTreeMap<u64, T>,
    later: BinaryHeap<Reverse<Later<T>>>,
    running: usize,
    running_max: usize,
    delay: Duration,
    throttle: Option<Throttle>,
    /// No item of the host starts before this time.
    not_before: Option<Instant>,
    /// Refusals since the last response that was none. Those that were under way at the same time
    /// count once.
    refusals: u32,
    pause_ends: Option<Instant>,
    /// What [`Schedule::news`] has told last.
    told: Wishes,
    /// Whether the items are not to be requested. They all start at once, to be told so.
    is_given_up: bool,
    /// The host's entries in the sets of the schedule.
    entries: Entries,
}

/// A host's entries in `ready`, `timers` and `remembered`, and its part of `startable`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entries {
    ready: Option<u64>,
    timer: Option<Instant>,
    remembered: Option<Instant>,
    startable: usize,
}

impl<T> Schedule<T> {
    pub(crate) fn new(limits: Limits) -> Schedule<T> {
        assert!(limits.per_host > 0, "nothing would ever start");
        Schedule {
            limits,
            names: HashMap::new(),
            hosts: Vec::new(),
            free: Vec::new(),
            ready: BTreeSet::new(),
            timers: BTreeSet::new(),
            waiting: 0,
            remembered: BTreeSet::new(),
            running: 0,
            startable: 0,
        }
    }

    /// Adds an item, which does not start before `not_before` if that is given. `place` is its
    /// place in the input, which no other item has. Returns the host.
    pub(crate) fn put(
        &mut self,
        now: Instant,
        name: &str,
        place: u64,
        item: T,
        not_before: Option<Instant>,
    ) -> HostId {
        let id = self.id_of(name);
        let host = self.host_mut(id);
        match not_before.filter(|&time| time > now) {
            Some(not_before) => host.later.push(Reverse(Later { not_before, place, item })),
            None => drop(host.due.insert(place, item)),
        }
        self.waiting += 1;
        self.settle(id, now);
        id
    }

    /// Takes the next item, if any may start at `now`. The caller reports its end to
    /// [`Schedule::done`].
    pub(crate) fn take(&mut self, now: Instant) -> Option<Turn<T>> {
        self.advance(now);
        let &(_, id) = self.ready.first()?;
        let host = self.host_mut(id);
        let (_, item) = host.due.pop_first().expect("a host is ready when an item of it is due");
        host.running += 1;
        let is_given_up = host.is_given_up;
        let delay = host.delay_now();
        if !delay.is_zero() && !is_given_up {
            host.not_before = host.not_before.max(Some(now + delay));
        }
        self.waiting -= 1;
        self.running += 1;
        self.settle(id, now);
        Some(Turn { host: id, is_given_up, item })
    }

    /// Notes that an item of the host has ended.
    pub(crate) fn done(&mut self, now: Instant, id: HostId) {
        let host = self.host_mut(id);
        host.running -= 1;
        self.running -= 1;
        self.settle(id, now);
        if self.remembered.len() > HOSTS_REMEMBERED_MAX {
            let soonest = self.remembered.first().copied();
            soonest.into_iter().for_each(|(_, id)| self.forget(id));
        }
    }

    /// Notes a response that is no refusal, and after what time its first byte came.
    pub(crate) fn note_ok(&mut self, id: HostId, latency: Option<Duration>) {
        let host = self.host_mut(id);
        host.refusals = 0;
        if let (Some(throttle), Some(latency)) = (&mut host.throttle, latency) {
            throttle.note_answer(latency);
        }
    }

    /// Notes that the host did not answer in time.
    pub(crate) fn note_timeout(&mut self, id: HostId) {
        self.host_mut(id).throttle.iter_mut().for_each(Throttle::note_strain);
    }

    /// Pauses a host that asks to be left alone. `pause` returns for how long, given the number of
    /// refusals since the last good response; refusals of items that were under way at the same
    /// time count once.
    pub(crate) fn back_off(
        &mut self,
        now: Instant,
        id: HostId,
        pause: impl FnOnce(u32) -> Duration,
    ) {
        let host = self.host_mut(id);
        if host.pause_ends.is_none_or(|end| end <= now) {
            host.refusals = host.refusals.saturating_add(1);
        }
        host.throttle.iter_mut().for_each(Throttle::note_strain);
        host.pause_ends = host.pause_ends.max(Some(now + pause(host.refusals)));
        host.not_before = host.not_before.max(host.pause_ends);
        self.settle(id, now);
    }

    /// Gives the host up, or takes that back. The items of a host that is given up start at once,
    /// whatever their own time and the host's limits are.
    pub(crate) fn give_up(&mut self, now: Instant, id: HostId, yes: bool) {
        let host = self.host_mut(id);
        if host.is_given_up != yes {
            host.is_given_up = yes;
            self.settle(id, now);
        }
    }

    /// Returns the name of the host.
    pub(crate) fn name(&self, id: HostId) -> &str {
        self.hosts[id.0].as_ref().map_or("", |host| &host.name)
    }

    /// Opens the host to as many items as any host may have, with at least `delay` between starts.
    pub(crate) fn set_crawl_delay(&mut self, now: Instant, id: HostId, delay: Duration) {
        let limits = self.limits;
        let host = self.host_mut(id);
        if (host.running_max, host.delay) == (limits.per_host, limits.delay.max(delay)) {
            return;
        }
        host.running_max = limits.per_host;
        host.delay = limits.delay.max(delay);
        if !host.delay.is_zero() {
            // The item that fetched the robots.txt has only just started.
            host.not_before = host.not_before.max(Some(now + host.delay));
        }
        self.settle(id, now);
    }

    /// Lets the host be asked as an earlier run has learned to ask it, if nothing newer is known.
    pub(crate) fn recall(&mut self, now: Instant, id: HostId, learned: Learned) {
        let host = self.host_mut(id);
        if let Some(throttle) = &mut host.throttle
            && throttle.recall(learned)
        {
            host.told.learned = throttle.learned();
            self.settle(id, now);
        }
    }

    /// Returns how the host wants to be asked, if that is another way than when it was told last,
    /// and whether it is one that matters at once. A throttle that lets requests come only a little
    /// sooner is not worth telling.
    pub(crate) fn news(&mut self, id: HostId) -> Option<(Wishes, bool)> {
        let host = self.hosts[id.0].as_mut()?;
        let (old, new) = (host.told, host.wishes());
        let is_asked = new.delay > old.delay || new.pause_ends > old.pause_ends;
        let is_slower = new.learned.delay > old.learned.delay;
        let is_quicker = new.learned.delay < old.learned.delay * 3 / 4;
        if !(is_slower || is_quicker) && (new.delay, new.pause_ends) == (old.delay, old.pause_ends)
        {
            return None;
        }
        host.told = new;
        Some((new, is_asked || new.learned.delay >= (old.learned.delay * 2).max(URGENT_DELAY)))
    }

    /// Tells whether an item may start at `now`.
    pub(crate) fn is_ready(&mut self, now: Instant) -> bool {
        self.advance(now);
        !self.ready.is_empty()
    }

    /// Returns the next time at which an item may start that may not yet, if nothing is put or done
    /// before. `None` means that time alone changes nothing.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.timers.first().map(|&(time, _)| time)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Returns how many items could start, all at once, at the time last given to the schedule.
    pub(crate) fn startable(&self) -> usize {
        self.startable
    }

    /// Removes everything that waits.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        let mut items = Vec::with_capacity(self.waiting);
        for host in self.hosts.iter_mut().flatten() {
            items.extend(host.drain());
            host.entries.ready = None;
            host.entries.startable = 0;
        }
        self.ready.clear();
        (self.waiting, self.startable) = (0, 0);
        items
    }

    /// Removes what waits for the host of this name.
    pub(crate) fn withdraw(&mut self, now: Instant, name: &str) -> Vec<T> {
        let Some(&id) = self.names.get(name) else { return Vec::new() };
        let items: Vec<T> = self.host_mut(id).drain().collect();
        self.waiting -= items.len();
        self.settle(id, now);
        items
    }

    /// Updates the hosts whose time has come.
    fn advance(&mut self, now: Instant) {
        while let Some(&(_, id)) = self.timers.first().filter(|(time, _)| *time <= now) {
            self.settle(id, now);
        }
        while let Some(&(_, id)) = self.remembered.first().filter(|(time, _)| *time <= now) {
            self.forget(id);
        }
    }

    /// Moves a host to where it belongs: among the ready, among those that wait for a time, among
    /// those that are only remembered, or nowhere.
    fn settle(&mut self, id: HostId, now: Instant) {
        let host = self.host_mut(id);
        host.advance(now);
        let (old, new) = (host.entries, host.entries_now());
        host.entries = new;
        let is_over = host.is_idle() && new.remembered.is_none();
        self.startable = self.startable + new.startable - old.startable;
        change(&mut self.ready, id, old.ready, new.ready);
        change(&mut self.timers, id, old.timer, new.timer);
        change(&mut self.remembered, id, old.remembered, new.remembered);
        if is_over {
            self.forget(id);
        }
    }

    /// Forgets a host without items.
    fn forget(&mut self, id: HostId) {
        let Some(host) = self.hosts[id.0].take() else { return };
        change(&mut self.remembered, id, host.entries.remembered, None);
        self.names.remove(&host.name);
        self.free.push(id);
    }

    fn id_of(&mut self, name: &str) -> HostId {
        if let Some(&id) = self.names.get(name) {
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.hosts.push(None);
            HostId(self.hosts.len() - 1)
        });
        self.hosts[id.0] = Some(Host::new(name, self.limits));
        self.names.insert(name.into(), id);
        id
    }

    fn host_mut(&mut self, id: HostId) -> &mut Host<T> {
        self.hosts[id.0].as_mut().expect("an id is good while its host has items")
    }
}

impl<T> Host<T> {
    fn new(name: &str, limits: Limits) -> Host<T> {
        Host {
            name: name.into(),
            due: BTreeMap::new(),
            later: BinaryHeap::new(),
            running: 0,
            running_max: if limits.first_alone { 1 } else { limits.per_host },
            delay: limits.delay,
            throttle: limits.throttle.map(Throttle::new),
            not_before: None,
            refusals: 0,
            pause_ends: None,
            told: Wishes { delay: limits.delay, ..Wishes::default() },
            is_given_up: false,
            entries: Entries::default(),
        }
    }

    fn drain(&mut self) -> impl Iterator<Item = T> {
        let due = std::mem::take(&mut self.due).into_values();
        due.chain(self.later.drain().map(|Reverse(later)| later.item))
    }

    fn wishes(&self) -> Wishes {
        let learned = self.throttle.as_ref().map(Throttle::learned).unwrap_or_default();
        Wishes { delay: self.delay, pause_ends: self.pause_ends, learned }
    }

    /// Returns the time between two starts: what the host wants, and what it can bear.
    fn delay_now(&self) -> Duration {
        self.throttle.as_ref().map_or(self.delay, |throttle| self.delay.max(throttle.delay()))
    }

    fn running_max_now(&self) -> usize {
        let throttled = self.throttle.as_ref().map_or(usize::MAX, Throttle::requests_max);
        self.running_max.min(throttled)
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.due.is_empty() && self.later.is_empty()
    }

    /// Lets the host's own pause end, and moves items whose time has come to `due`.
    fn advance(&mut self, now: Instant) {
        self.not_before = self.not_before.filter(|&time| time > now && !self.is_given_up);
        let may_start = |later: &Later<T>| later.not_before <= now || self.is_given_up;
        while self.later.peek().is_some_and(|Reverse(later)| may_start(later)) {
            let Some(Reverse(later)) = self.later.pop() else { return };
            self.due.insert(later.place, later.item);
        }
    }

    fn entries_now(&self) -> Entries {
        if self.is_idle() {
            return Entries { remembered: self.not_before, ..Entries::default() };
        }
        if self.room() == 0 {
            return Entries::default();
        }
        let item = self.later.peek().map(|Reverse(later)| later.not_before);
        let due = self.due.keys().next().copied();
        match self.not_before {
            None => {
                Entries { ready: due, timer: item, remembered: None, startable: self.startable() }
            }
            Some(time) if due.is_some() => Entries { timer: Some(time), ..Entries::default() },
            Some(time) => Entries { timer: item.map(|item| item.max(time)), ..Entries::default() },
        }
    }

    /// Returns how many items could start now, if the host's time has come.
    fn startable(&self) -> usize {
        // The first start sets the time of the next.
        let is_spaced = !self.delay_now().is_zero() && !self.is_given_up;
        self.due.len().min(if is_spaced { 1 } else { self.room() })
    }

    /// Returns how many more items may be under way.
    fn room(&self) -> usize {
        let max = if self.is_given_up { usize::MAX } else { self.running_max_now() };
        max.saturating_sub(self.running)
    }
}

/// Moves a host from one place in a set to another.
fn change<K: Ord>(set: &mut BTreeSet<(K, HostId)>, id: HostId, old: Option<K>, new: Option<K>) {
    if old == new {
        return;
    }
    if let Some(old) = old {
        set.remove(&(old, id));
    }
    if let Some(new) = new {
        set.insert((new, id));
    }
}

#[cfg(test)]
mod tests;
