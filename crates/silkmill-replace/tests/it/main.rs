//! Drives the crate by its public face.
