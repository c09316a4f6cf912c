//! Why an expression is refused, and at which byte.

/// Why an expression is refused. [`crate::FieldError`] makes the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Whether the text is no expression at all. Otherwise it is one that cannot be used here.
    pub(crate) is_syntax: bool,
    pub(crate) message: String,
    /// The byte of the expression at which the problem shows.
    pub(crate) position: usize,
}

impl Problem {
    pub(crate) fn syntax(message: String, position: usize) -> Problem {
        Problem { is_syntax: true, message, position }
    }

    pub(crate) fn meaning(message: String, position: usize) -> Problem {
        Problem { is_syntax: false, message, position }
    }

    pub(crate) fn too_deep(position: usize) -> Problem {
        Problem::meaning("nested too deep".to_owned(), position)
    }
}
