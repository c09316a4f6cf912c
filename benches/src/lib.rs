//! The executor beside its peers: every pool behind one trait, and the cases that each of them
//! runs.
//!
//! Two programs use this library. `silkmill-benches` runs every case that measures time; `queued`
//! counts allocations, which would slow the other cases down. Each runs one case with one contender
//! and ends, so that no pool shares a process with another. `cargo xtask bench executor` starts
//! them in turn and takes medians.

pub mod cases;
pub mod pools;
pub mod watchdog;
