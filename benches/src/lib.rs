//! The executor beside its peers: every pool behind one trait, and the cases that each of them
//! runs.
//!
//! Two programs use this library. `silkmill-benches` runs every case that measures time; `queued`
//! counts allocations, which would slow the other cases down. Each runs one case and ends: with one
//! contender, so that no pool shares a process with another; or, where a task takes less than a
//! busy machine's ups and downs, with all of them at once, in turn (`together`). `cargo xtask bench
//! executor` starts them and takes medians.

pub mod cases;
pub mod pools;
pub mod together;
pub mod watchdog;
