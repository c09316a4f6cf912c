//! What a run writes: whose rows, with which fields, over what is there already.

use silkmill_scrape::ValueType;

/// Whose rows they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fetch,
    Scrape,
}

/// What every row has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) kind: Kind,
    /// The fields' names, and of what sort their values are.
    pub(crate) fields: Vec<(String, ValueType)>,
}

/// What becomes of an output file that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    Refuse,
    Overwrite,
    Resume,
}
