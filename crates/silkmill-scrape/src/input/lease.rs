//! Until when a host may be requested by this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(any(feature = "postgres", test))]
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The end of a lease that was taken back. No lease ends then by itself.
const REVOKED: u64 = 0;

/// The lease of a host: until it ends, no other process requests the host. The crawl that has the
/// lease extends it; its workers look at it before each request.
///
/// A lease is measured by a clock that also counts while the machine sleeps: who wakes up late must
/// find that the time has passed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lease(Option<Arc<AtomicU64>>);

impl Lease {
    /// Leases a host until `end`. The default is a lease that does not end.
    #[cfg(any(feature = "postgres", test))]
    pub(crate) fn until(end: Moment) -> Lease {
        Lease(Some(Arc::new(AtomicU64::new(end.0))))
    }

    /// Lets the lease last until `end`, unless it was taken back.
    #[cfg(any(feature = "postgres", test))]
    pub(crate) fn extend(&self, end: Moment) {
        let Some(lease) = &self.0 else { return };
        // Only this thread extends the lease or takes it back.
        if lease.load(Ordering::Relaxed) != REVOKED {
            lease.store(end.0, Ordering::Relaxed);
        }
    }

    /// Takes the lease back for ever.
    pub(crate) fn revoke(&self) {
        if let Some(lease) = &self.0 {
            lease.store(REVOKED, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.0.as_ref().is_some_and(|lease| lease.load(Ordering::Relaxed) == REVOKED)
    }

    /// Tells whether the host must not be requested any more. A lease that has ended and was not
    /// taken back may be extended.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.as_ref().is_some_and(|lease| lease.load(Ordering::Relaxed) <= Moment::now().0)
    }
}

/// Two leases are equal if one ends with the other.
impl PartialEq for Lease {
    fn eq(&self, other: &Lease) -> bool {
        match (&self.0, &other.0) {
            (Some(lease), Some(other)) => Arc::ptr_eq(lease, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for Lease {}

/// A time on the clock of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn now() -> Moment {
        // `Instant` stands still on Linux while the machine sleeps.
        #[cfg(target_os = "linux")]
        let clock = ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = ClockId::Monotonic;
        let time = clock_gettime(clock);
        let seconds = time.tv_sec.unsigned_abs();
        // The first second of a machine is no time at which it crawls.
        Moment((seconds * 1_000_000_000 + time.tv_nsec.unsigned_abs()).max(1))
    }

    #[cfg(any(feature = "postgres", test))]
    pub(crate) fn after(self, time: Duration) -> Moment {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_add(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_unless_it_is_extended() {
        let past = Moment(1);
        let future = Moment::now().after(Duration::from_secs(3600));
        let lease = Lease::until(past);
        assert!(lease.has_ended() && !lease.is_revoked());

        lease.extend(future);
        assert!(!lease.has_ended() && lease.clone() == lease);

        lease.clone().revoke();
        lease.extend(future);
        assert!(lease.has_ended() && lease.is_revoked());
    }

    #[test]
    fn the_lease_of_a_crawl_alone_does_not_end() {
        let lease = Lease::default();
        lease.revoke();
        assert!(!lease.has_ended() && !lease.is_revoked());
        assert!(lease != Lease::until(Moment::now()));
    }
}
