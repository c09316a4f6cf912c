//! What a run writes: the command it belongs to, its fields, and what to do with an existing file.

use silkmill_scrape::ValueType;

/// The command whose rows they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fetch,
    Scrape,
}

/// The form that all rows of a run share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) kind: Kind,
    /// The names of the fields, and the types of their values.
    pub(crate) fields: Vec<(String, ValueType)>,
}

/// The policy for an output file that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    Refuse,
    Overwrite,
    Resume,
}
