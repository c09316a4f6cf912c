//! The executor beside its peers: each pool behind one face, and what each of them is made to do.
//!
//! Two programs use this. `silkmill-benches` runs every case that is about time; `queued` counts what the allocator
//! hands out, which would slow the others down. Each runs one case with one contender and ends, so that no pool shares
//! a process with another. `cargo xtask bench executor` starts them in turn and takes medians.

pub mod cases;
pub mod pools;
pub mod watchdog;
