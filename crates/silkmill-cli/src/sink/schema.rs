//! What a run writes: the command it belongs to, its fields, and what to do with an existing file.

use silkmill_scrape::ValueType;

/// The command whose rows they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fetch,
    Scrape,
    Crawl,
}

impl Kind {
    /// Tells whether the rows have a title and fields.
    pub(super) fn has_fields(self) -> bool {
        self != Kind::Fetch
    }
}

/// The form that all rows of a run share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) kind: Kind,
    /// The names of the fields, and the types of their values.
    pub(crate) fields: Vec<(String, ValueType)>,
    /// The names of the columns that come from the input, beside the URL; `None` when the input has
    /// no columns. Each begins with [`INPUT_PREFIX`].
    pub(crate) input: Option<Vec<String>>,
}

/// What the names of columns that come from the input begin with.
pub(super) const INPUT_PREFIX: &str = "input_";

impl Schema {
    /// Adds the columns of the input.
    pub(crate) fn with_input(mut self, names: &[String]) -> Schema {
        self.input = Some(names.iter().map(|name| format!("{INPUT_PREFIX}{name}")).collect());
        self
    }
}

/// The policy for an output file that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    Refuse,
    Overwrite,
    Resume,
}
