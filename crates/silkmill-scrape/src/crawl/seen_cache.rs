//! The URLs that were seen last, so that the links that every page of a site has are not looked up
//! on disk each time.

/// The places of the cache, each of which has room for one URL.
const PLACES: usize = 64 * 1024;

/// Remembers the latest URLs, each in the one place where it fits.
#[derive(Debug)]
pub(crate) struct SeenCache(Box<[(i64, u64)]>);

impl SeenCache {
    pub(crate) fn new() -> SeenCache {
        SeenCache(vec![(0, 0); PLACES].into())
    }

    /// Remembers a URL, by the number of its host, which is not 0, and its hash. Returns false when
    /// it is there already. True means nothing: it may have been forgotten.
    pub(crate) fn insert(&mut self, host: i64, hash: u64) -> bool {
        let mixed = hash ^ host.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = &mut self.0[(mixed % PLACES as u64) as usize];
        let is_known = *place == (host, hash);
        *place = (host, hash);
        !is_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_known_until_another_takes_its_place() {
        let mut seen = SeenCache::new();
        assert!(seen.insert(1, 5) && !seen.insert(1, 5) && seen.insert(2, 5));
        assert!(seen.insert(1, 5 + PLACES as u64));
        assert!(seen.insert(1, 5));
    }
}
