//! The commands, one each.

pub(crate) mod fetch;
pub(crate) mod scrape;
