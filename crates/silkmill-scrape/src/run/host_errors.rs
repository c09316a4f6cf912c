//! Counts the rows in a row that a host has failed, to find the hosts that are down for good. Its
//! memory is bounded, however many hosts there are. The hosts' names are the schedule's.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

use crate::fetch::ending::Sign;

/// The most hosts that are remembered for certain; up to twice as many are. When there are more,
/// those that have failed longest ago are forgotten, and their count starts anew.
const HOSTS_MAX: usize = 4 * 1024;

/// Stands before a host in the key of its failures by HTTPS where the scheme was left open.
const HTTPS: &str = "https";

/// The failures in a row of each host. Hosts are kept by the hashes of their names, and only while
/// they fail.
#[derive(Debug)]
pub(crate) struct HostErrors {
    /// 0 for no limit.
    errors_max: u32,
    hasher: RandomState,
    /// The hosts that failed last, and those before them. When the first table is full, it takes
    /// the place of the second, whose hosts are forgotten unless they have moved to the first.
    recent: HashMap<u64, u32>,
    older: HashMap<u64, u32>,
    hosts_max: usize,
}

impl HostErrors {
    /// Gives a host up after `errors_max` rows in a row; never if that is 0.
    pub(crate) fn new(errors_max: u32) -> HostErrors {
        HostErrors {
            errors_max,
            hasher: RandomState::new(),
            recent: HashMap::new(),
            older: HashMap::new(),
            hosts_max: HOSTS_MAX,
        }
    }

    /// Notes what a row says about its host. Returns whether the host is given up, if the row says
    /// anything about that.
    pub(crate) fn note(&mut self, host: &str, sign: Sign) -> Option<bool> {
        match sign {
            Sign::None => None,
            Sign::Answer => Some(!self.is_empty() && self.count(host, |_| 0)),
            Sign::Failure => Some(self.count(host, |count| count + 1)),
            // An answer by HTTP says nothing about HTTPS, so that this count only grows.
            Sign::NoHttps => {
                self.count((HTTPS, host), |count| count + 1);
                None
            }
        }
    }

    /// Tells whether a host is given up.
    pub(crate) fn is_given_up(&mut self, host: &str) -> bool {
        !self.is_empty() && self.count(host, |count| count)
    }

    /// Tells whether HTTPS has failed on a host as often as a host may fail.
    pub(crate) fn is_without_https(&mut self, host: &str) -> bool {
        !self.is_empty() && self.count((HTTPS, host), |count| count)
    }

    /// Changes the count of a key, which is thereby kept from being forgotten. Returns whether the
    /// limit is reached.
    fn count(&mut self, key: impl Hash, change: impl FnOnce(u32) -> u32) -> bool {
        if self.errors_max == 0 {
            return false;
        }
        let key = self.hasher.hash_one(key);
        let count = self.recent.remove(&key).or_else(|| self.older.remove(&key)).unwrap_or(0);
        let count = change(count.min(self.errors_max));
        if count > 0 {
            self.put(key, count);
        }
        count >= self.errors_max
    }

    fn put(&mut self, key: u64, count: u32) {
        if self.recent.len() >= self.hosts_max {
            // The old table is used again, so that the memory of both stays as it is.
            std::mem::swap(&mut self.recent, &mut self.older);
            self.recent.clear();
        }
        self.recent.insert(key, count);
    }

    fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.older.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_given_up_after_so_many_failures_in_a_row() {
        let mut errors = HostErrors::new(3);
        for (sign, given_up) in [
            (Sign::Failure, Some(false)),
            (Sign::Failure, Some(false)),
            (Sign::Answer, Some(false)),
            (Sign::Failure, Some(false)),
            (Sign::Failure, Some(false)),
            (Sign::None, None),
            (Sign::Failure, Some(true)),
            (Sign::Failure, Some(true)),
            (Sign::Answer, Some(false)),
            (Sign::Failure, Some(false)),
        ] {
            assert_eq!(errors.note("a.test:80", sign), given_up);
            assert_eq!(errors.is_given_up("a.test:80"), given_up == Some(true));
            assert!(!errors.is_given_up("a.test:443"));
        }
    }

    #[test]
    fn a_host_without_https_is_not_a_host_that_fails() {
        let mut errors = HostErrors::new(2);
        for without in [false, true, true] {
            assert_eq!(errors.note("a.test:80", Sign::NoHttps), None);
            assert_eq!(errors.note("a.test:80", Sign::Answer), Some(false));
            assert_eq!(errors.is_without_https("a.test:80"), without);
        }
    }

    #[test]
    fn with_zero_no_host_is_given_up() {
        let mut errors = HostErrors::new(0);
        assert!((0..100).all(|_| errors.note("a", Sign::Failure) == Some(false)));
        assert!(!errors.is_given_up("a") && errors.is_empty());
    }

    #[test]
    fn a_million_hosts_are_not_kept_and_one_that_is_asked_for_is() {
        let mut errors = HostErrors { hosts_max: 100, ..HostErrors::new(2) };
        errors.note("dead", Sign::Failure);
        assert_eq!(errors.note("dead", Sign::Failure), Some(true));
        for host in 0..100_000 {
            errors.note(&host.to_string(), Sign::Failure);
            errors.note(&format!("good {host}"), Sign::Answer);
            assert!(host % 50 != 0 || errors.is_given_up("dead"));
        }

        assert!(errors.recent.len() <= 100 && errors.older.len() <= 100);
        assert!(!errors.is_given_up("7"));
    }
}
