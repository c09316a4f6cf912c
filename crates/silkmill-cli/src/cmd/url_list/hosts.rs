//! Finds the slowest hosts with a table of bounded size, for the progress line.

use std::collections::HashMap;
use std::time::Duration;

/// The most hosts in the table. When it is full, a slower host replaces the fastest one.
const HOSTS_MAX: usize = 256;
/// The weight of the newest row in a host's moving average.
const NEWEST_WEIGHT: f64 = 0.25;

/// The moving average of the time that each host took for a row.
#[derive(Debug, Default)]
pub(super) struct Hosts(HashMap<String, f64>);

impl Hosts {
    pub(super) fn add(&mut self, url: &str, took: Duration) {
        let Some(host) = host_of(url) else { return };
        let took = took.as_secs_f64();
        if let Some(known) = self.0.get_mut(host) {
            *known += (took - *known) * NEWEST_WEIGHT;
            return;
        }
        if self.0.len() >= HOSTS_MAX {
            let fastest = self.0.iter().min_by(|(_, x), (_, y)| x.total_cmp(y));
            let Some((fastest, time)) = fastest.map(|(host, time)| (host.clone(), *time)) else {
                return;
            };
            if time >= took {
                return;
            }
            self.0.remove(&fastest);
        }
        self.0.insert(host.to_owned(), took);
    }

    /// Returns the host of all rows so far, if there is only one.
    pub(super) fn only(&self) -> Option<&str> {
        let mut hosts = self.0.keys();
        hosts.next().filter(|_| hosts.next().is_none()).map(String::as_str)
    }

    /// Returns the slowest hosts with their seconds, slowest first.
    pub(super) fn slowest(&self, most: usize) -> Vec<(&str, f64)> {
        let mut hosts: Vec<_> = self.0.iter().map(|(host, time)| (host.as_str(), *time)).collect();
        hosts.sort_unstable_by(|(a, x), (b, y)| y.total_cmp(x).then(a.cmp(b)));
        hosts.truncate(most);
        hosts
    }
}

/// Returns the host and port of a URL that has them.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_host_comes_first_and_the_table_is_bounded() {
        let mut hosts = Hosts::default();
        for number in 0..10_000u64 {
            hosts.add(&format!("http://h{number}/x"), Duration::from_millis(number % 5000));
        }

        assert_eq!(hosts.0.len(), HOSTS_MAX);
        assert_eq!(hosts.slowest(1), [("h4999", 4.999)]);
    }

    #[test]
    fn a_host_is_the_only_one_until_there_is_another() {
        let mut hosts = Hosts::default();
        assert_eq!(hosts.only(), None);
        hosts.add("http://a/1", Duration::ZERO);
        hosts.add("http://a/2", Duration::ZERO);
        assert_eq!(hosts.only(), Some("a"));
        hosts.add("http://a:8/", Duration::ZERO);
        assert_eq!(hosts.only(), None);
    }

    #[test]
    fn the_host_is_what_is_between_the_scheme_and_the_path() {
        for (url, host) in [
            ("http://a.b:8/c", Some("a.b:8")),
            ("https://user:word@a?b@c", Some("a")),
            ("http://[::1]:80/", Some("[::1]:80")),
            ("nowhere", None),
            ("file:///x", None),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
    }
}
