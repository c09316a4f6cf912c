//! The commands: each turns words into work, and its result into words and an exit code.

pub(crate) mod demo;
pub(crate) mod fetch;
pub(crate) mod replace;
pub(crate) mod scrape;
