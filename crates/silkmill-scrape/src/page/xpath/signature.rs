//! The types of expressions, and of the arguments of functions.

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Set,
    Text,
    Number,
    Boolean,
}

/// The arguments that a function takes.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Nodes,
    /// Any type; each argument is converted.
    Anything,
}
