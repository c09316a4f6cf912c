//! Reads records of hosts and of URLs that wait from the tables of a job.

use std::time::Duration;

use rusqlite::Row;

use crate::crawl::frontier::{HostNumber, LeasedHost, Origin, Place, Waiting};
use crate::input::lease::Lease;
use crate::input::ticket::Purpose;
use crate::retry::RETRY_AFTER_MAX;
use crate::run::throttle::Learned;

/// Reads a row of the hosts. An earlier run may have asked the host right before this one began,
/// `age` ago; there is none if it is `None`.
pub(super) fn leased_host(
    number: HostNumber,
    row: &Row<'_>,
    now: i64,
    age: Option<Duration>,
) -> rusqlite::Result<LeasedHost> {
    let delay = Duration::from_millis(row.get::<_, i64>(1)?.cast_unsigned());
    let delay = age.map_or(Duration::ZERO, |age| delay.saturating_sub(age));
    let pause = u64::try_from(row.get::<_, i64>(2)? - now).unwrap_or(0);
    // A clock that was set back must not make a pause longer than any host may ask for.
    let pause = Duration::from_millis(pause).min(RETRY_AFTER_MAX);
    let rows = row.get::<_, i64>(0)?.cast_unsigned();
    let learned = Learned {
        delay: Duration::from_millis(row.get::<_, i64>(4)?.cast_unsigned()),
        latency: row
            .get::<_, Option<i64>>(5)?
            .map(|latency| Duration::from_millis(latency.cast_unsigned())),
    };
    Ok(LeasedHost {
        number,
        name: row.get(3)?,
        rows,
        rest: delay.max(pause),
        learned,
        lease: Lease::default(),
    })
}

/// Reads a row of the queue, whose columns begin with the depth and the number.
pub(super) fn waiting(place: Place, row: &Row<'_>) -> rusqlite::Result<Waiting> {
    let origin = Origin {
        parent: row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
        purpose: Purpose::of_number(row.get(4)?),
        is_seed: row.get(5)?,
        from_public_network: row.get(6)?,
        hops: row.get(7)?,
    };
    Ok(Waiting { place, url: row.get(2)?, origin })
}
