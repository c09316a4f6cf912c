//! Connections that no worker uses at the moment, by host. Their number is bounded: the one that
//! has waited longest is closed for a newer one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::net::connection::Connection;
use crate::sync::Mutex;

/// Many servers close a connection that has been idle for this long.
const IDLE_AGE_MAX: Duration = Duration::from_secs(15);
/// A connection that was used less than this ago is taken to be still open. If it is not, the
/// request is made again over a new one, so this saves work and nothing depends on it.
const FRESH_AGE_MAX: Duration = Duration::from_millis(500);

/// The idle connections of one run.
#[derive(Debug)]
pub(crate) struct IdlePool {
    /// Locked by every worker before and after a request, to take or to put one connection.
    shelf: Mutex<Shelf<Connection>>,
}

impl IdlePool {
    /// Keeps at most `max` connections.
    pub(crate) fn new(max: usize) -> IdlePool {
        IdlePool { shelf: Mutex::new(Shelf::new(max)) }
    }

    /// Takes a connection to `host` that `fits`, the one used last.
    pub(crate) fn take(
        &self,
        host: &str,
        fits: impl Fn(&Connection) -> bool,
    ) -> Option<Connection> {
        loop {
            let mut connection = self.shelf.lock().take(host, &fits)?;
            let age = connection.idle_since.take().map_or(IDLE_AGE_MAX, |since| since.elapsed());
            if age < FRESH_AGE_MAX || (age < IDLE_AGE_MAX && connection.is_quiet()) {
                return Some(connection);
            }
        }
    }

    pub(crate) fn put(&self, host: &str, mut connection: Connection) {
        connection.idle_since = Some(Instant::now());
        let too_many = self.shelf.lock().put(host, connection);
        // The connection is closed without the lock.
        drop(too_many);
    }

    pub(crate) fn clear(&self) {
        let mut shelf = self.shelf.lock();
        let max = shelf.max;
        *shelf = Shelf::new(max);
    }
}

/// Values by host, the oldest of which make room.
#[derive(Debug)]
struct Shelf<C> {
    max: usize,
    /// The values of each host, the oldest first, with the number under which each was put.
    hosts: HashMap<Box<str>, VecDeque<(u64, C)>>,
    /// The hosts by those numbers.
    order: BTreeMap<u64, Box<str>>,
    puts: u64,
}

impl<C> Shelf<C> {
    fn new(max: usize) -> Shelf<C> {
        Shelf { max, hosts: HashMap::new(), order: BTreeMap::new(), puts: 0 }
    }

    fn take(&mut self, host: &str, fits: impl Fn(&C) -> bool) -> Option<C> {
        let of_host = self.hosts.get_mut(host)?;
        let at = of_host.iter().rposition(|(_, one)| fits(one))?;
        let (number, one) = of_host.remove(at)?;
        if of_host.is_empty() {
            self.hosts.remove(host);
        }
        self.order.remove(&number);
        Some(one)
    }

    /// Puts a value, and returns the one that had to make room.
    fn put(&mut self, host: &str, one: C) -> Option<C> {
        self.puts += 1;
        let name = match self.hosts.get_mut(host) {
            Some(of_host) => {
                of_host.push_back((self.puts, one));
                host.into()
            }
            None => {
                let name: Box<str> = host.into();
                self.hosts.insert(name.clone(), VecDeque::from([(self.puts, one)]));
                name
            }
        };
        self.order.insert(self.puts, name);
        if self.order.len() <= self.max {
            return None;
        }
        let (_, oldest) = self.order.pop_first()?;
        let of_host = self.hosts.get_mut(&oldest)?;
        // The host's own oldest is the oldest of all.
        let (_, one) = of_host.pop_front()?;
        if of_host.is_empty() {
            self.hosts.remove(&oldest);
        }
        Some(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_used_last_is_taken_and_the_oldest_makes_room() {
        let mut shelf = Shelf::new(3);
        for (host, one) in [("a", 1), ("a", 2), ("b", 3)] {
            assert_eq!(shelf.put(host, one), None);
        }

        assert_eq!(shelf.put("b", 4), Some(1));
        assert_eq!(shelf.take("b", |_| true), Some(4));
        assert_eq!(shelf.take("b", |&one| one == 4), None);
        assert_eq!(shelf.take("c", |_| true), None);
        assert_eq!(shelf.take("a", |_| true), Some(2));
        assert_eq!(shelf.take("b", |_| true), Some(3));
        assert!(shelf.hosts.is_empty() && shelf.order.is_empty());
    }

    #[test]
    fn a_shelf_without_room_keeps_nothing() {
        let mut shelf = Shelf::new(0);
        assert_eq!(shelf.put("a", 1), Some(1));
        assert!(shelf.hosts.is_empty() && shelf.order.is_empty());
    }
}
