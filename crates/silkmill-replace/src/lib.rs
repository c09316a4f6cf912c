//! Finds text in many files and replaces it safely.

mod diff;
mod edit;
mod error;
mod line;
mod pattern;
mod replacement;

pub use crate::error::{Error, ErrorKind};
pub use crate::pattern::Case;
