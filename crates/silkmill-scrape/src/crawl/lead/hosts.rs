//! Which hosts a crawl has leased, and how many of their URLs.

use std::time::{Duration, Instant};

use crate::crawl::frontier::{Committed, HostNumber, LeasedHost, Place};
use crate::crawl::held::Held;
use crate::crawl::lead::Lead;
use crate::error::Error;
use crate::run::throttle::Learned;

/// The most hosts that are leased together.
const HOSTS_AT_ONCE: usize = 64;
/// The most hosts that have URLs in memory.
const HOSTS_MAX: usize = 8 * 1024;
/// How long others may take hosts that were let go for them.
const YIELD: Duration = Duration::from_secs(1);

impl Lead<'_> {
    /// Returns how long a host is still to be left alone that an earlier run may have asked right
    /// before this one began.
    fn rest(&self, learned: Learned) -> Duration {
        let delay =
            if self.pace.goes_on { self.pace.delay.max(learned.delay) } else { Duration::ZERO };
        delay.saturating_sub(self.started.elapsed())
    }

    /// Leases more hosts, if there are any and there is room.
    pub(super) fn lease_hosts(&mut self) -> Result<bool, Error> {
        let room = HOSTS_MAX.saturating_sub(self.hosts.len()).min(HOSTS_AT_ONCE);
        let is_time = self.look_again.is_some_and(|time| time <= Instant::now());
        let yields = self.yields_until.is_some_and(|time| time > Instant::now());
        if !self.may_have_hosts && !is_time || room == 0 || yields {
            return Ok(false);
        }
        let is_held = |host: HostNumber| self.hosts.contains_key(&host);
        let leased = self.frontier.lease_hosts(room, self.hosts.len(), &is_held)?;
        self.may_have_hosts = leased.len() == room;
        self.look_again = match self.may_have_hosts {
            true => None,
            false => self.frontier.look_again()?.map(|wait| Instant::now() + wait),
        };
        let any = !leased.is_empty();
        for LeasedHost { number, name, rows, rest, learned, lease } in leased {
            let learned = if self.pace.is_throttled { learned } else { Learned::default() };
            let rest = rest.max(self.rest(learned));
            let not_before = (!rest.is_zero()).then(|| Instant::now() + rest);
            self.numbers.insert(name.clone(), number);
            let held = Held { name, rows, not_before, learned, lease, ..Held::default() };
            self.hosts.insert(number, held);
            self.make_thirsty(number);
        }
        Ok(any)
    }

    /// Fills the window of a host from disk.
    pub(super) fn lease_urls(&mut self, host: HostNumber) -> Result<(), Error> {
        let Some(held) = self.hosts.get_mut(&host) else { return Ok(()) };
        let window = held.window(self.window);
        held.is_thirsty = false;
        let left = self.options.rows_per_host_max.saturating_sub(held.rows);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if left == 0 && held.places.is_empty() {
            self.frontier.set_aside(host)?;
            self.release(host);
            return Ok(());
        }
        if held.is_leaving {
            if held.places.is_empty() {
                self.release(host);
            }
            return Ok(());
        }
        let room = window.saturating_sub(held.places.len()).min(left);
        if room == 0 {
            return Ok(());
        }
        // What was found and is not committed may be less deep than what is.
        let is_by_depth = self.options.depth_max < u32::MAX;
        if is_by_depth && held.places.is_empty() && self.frontier.has_pending(host) {
            self.commit_for(host);
            return Ok(());
        }
        let is_held = |place: &Place| held.places.contains(place);
        let mut urls = self.frontier.lease_urls(host, room, held.places.len(), &is_held)?;
        if is_by_depth {
            // A page may be found at a lesser depth by one that is under way.
            let depth = held.places.iter().map(|place| place.depth).min();
            let depth = depth.or(urls.first().map(|url| url.place.depth));
            let found = urls.len();
            urls.retain(|url| Some(url.place.depth) <= depth);
            held.awaits_depth = urls.len() < found;
        }
        if held.places.is_empty() && urls.is_empty() {
            if !self.frontier.has_pending(host) {
                self.release(host);
                return Ok(());
            }
            // If what was added is new, it can be leased at once.
            self.commit_for(host);
            return Ok(());
        }
        held.rows += urls.len() as u64;
        held.places.extend(urls.iter().map(|url| url.place));
        self.ready.extend(urls);
        Ok(())
    }

    /// Commits, since the host may have URLs then.
    fn commit_for(&mut self, host: HostNumber) {
        self.commit();
        if !self.is_broken() {
            self.make_thirsty(host);
        }
    }

    fn release(&mut self, host: HostNumber) {
        if let Some(held) = self.hosts.remove(&host) {
            self.numbers.remove(&held.name);
            self.frontier.release(host);
        }
    }

    /// Forgets a host whose lease has gone to another process: what is under way is void.
    fn lose(&mut self, host: HostNumber) {
        let Some(held) = self.hosts.remove(&host) else { return };
        held.lease.revoke();
        self.numbers.remove(&held.name);
        self.ready.retain(|waiting| waiting.place.host != host);
        self.withdrawn.push_back(held.name);
    }

    /// Lets some hosts go, once nothing of them is under way, to processes that have none.
    fn share(&mut self, hungry: usize) {
        let is_sharing = self.hosts.values().any(|held| held.is_leaving);
        if hungry == 0 || self.hosts.len() < 2 || is_sharing {
            return;
        }
        let kept = self.hosts.len().div_ceil(hungry + 1);
        let leaving: Vec<HostNumber> = self.hosts.keys().copied().skip(kept).collect();
        for host in leaving {
            if let Some(held) = self.hosts.get_mut(&host) {
                held.is_leaving = true;
                self.withdrawn.push_back(held.name.clone());
            }
            self.make_thirsty(host);
        }
        self.yields_until = Some(Instant::now() + YIELD);
    }

    /// Takes a URL out of the window of its host: it waits on disk again.
    pub(super) fn forget(&mut self, place: Place) {
        if let Some(held) = self.hosts.get_mut(&place.host) {
            held.rows -= u64::from(held.places.remove(&place));
        }
        self.make_thirsty(place.host);
    }

    /// Takes note of what a commit has shown.
    pub(super) fn learn(&mut self, committed: Committed) {
        let Committed { lost, grown, has_new_hosts, counts, seeds, hungry } = committed;
        lost.into_iter().for_each(|host| self.lose(host));
        self.may_have_hosts |= has_new_hosts;
        grown.into_iter().for_each(|host| self.make_thirsty(host));
        seeds.iter().flat_map(|seed| seed.parse()).for_each(|seed| self.finder.add_seed(&seed));
        if let Some((rows, errors)) = counts {
            (self.reached.rows, self.reached.errors) = (rows, errors);
        }
        self.share(hungry);
    }

    /// Has the window of a host filled, if it is half empty.
    pub(super) fn make_thirsty(&mut self, host: HostNumber) {
        let Some(held) = self.hosts.get_mut(&host) else { return };
        if held.wants_more(self.window) {
            held.is_thirsty = true;
            self.thirsty.push_back(host);
        }
    }
}
