//! Tests the crate through its public face, on real files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod commit;
mod encoding;
mod files;
mod many;
mod tree;
