//! Divides a list by the hosts of its lines, so that any number of machines can share it. The hash
//! is a contract: see `docs/shards.md`.

use std::hash::Hasher;
use std::num::NonZeroU64;

use siphasher::sip::SipHasher24;

use crate::input::Input;

/// Returns the part, from 0, of a list in `parts` parts that a line belongs to. All lines of a host
/// are in one part, whatever their paths and schemes are.
///
/// The part is the 64-bit SipHash-2-4 with a key of zeros, modulo `parts`, of the URL's host as the
/// URL standard serializes it: in lower-case ASCII, with brackets around an IPv6 address, and with
/// a colon and the port where that is not the scheme's own. A line that names no URL has the empty
/// host. This will not change.
///
/// ```
/// use std::num::NonZeroU64;
/// use silkmill_scrape::host_bucket;
///
/// let parts = NonZeroU64::new(4).unwrap();
/// assert_eq!(host_bucket("https://Example.com/a", parts), 1);
/// assert_eq!(host_bucket("http://example.com:80/b", parts), 1);
/// ```
pub fn host_bucket(line: &str, parts: NonZeroU64) -> u64 {
    hash(&host_key(&Input::url(line))) % parts
}

/// Returns the host that an input is counted under.
fn host_key(input: &Input) -> String {
    let Ok(target) = input.parse() else { return String::new() };
    let host = target.url.host_str().unwrap_or_default();
    match target.url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(0, 0);
    hasher.write(key.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lines of the table in the documentation: a line, its key, its hash, and its part
    /// of 2, 3, 10 and 1,000.
    fn vectors() -> Vec<[&'static str; 7]> {
        let page = include_str!("../../../../docs/shards.md");
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let cells = |row: &'static str| {
            let cells: Vec<&str> = row
                .trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().trim_matches('`'))
                .collect();
            cells.try_into().unwrap()
        };
        rows.map(cells).collect()
    }

    #[test]
    fn the_hash_is_the_one_that_is_documented() {
        let vectors = vectors();
        assert!(vectors.len() >= 16);
        for [line, key, hash, parts @ ..] in vectors {
            assert_eq!(host_key(&Input::url(line)), key, "{line}");
            assert_eq!(format!("{:016x}", super::hash(key)), hash, "{line}");
            for (parts, expected) in [2, 3, 10, 1000].into_iter().zip(parts) {
                let part = host_bucket(line, NonZeroU64::new(parts).unwrap());
                assert_eq!(part.to_string(), expected, "{line} of {parts}");
            }
        }
    }

    #[test]
    fn the_hash_is_the_one_of_the_paper() {
        // These come from another implementation, which was held to the vector of the paper.
        for (key, expected) in [("", 0x1e92_4b9d_7377_00d7), ("a", 0x96c2_0860_cd93_a249_u64)] {
            assert_eq!(hash(key), expected, "{key:?} {:x}", hash(key));
        }
    }

    #[test]
    fn hosts_are_spread_evenly() {
        let mut counts = [0; 10];
        for host in 0..10_000 {
            let line = format!("http://host{host}.example/");
            counts[host_bucket(&line, NonZeroU64::new(10).unwrap()) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    }
}
