//! The exit codes, which are a contract.

/// The end of a run, as the shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Something was replaced, or every row has a response.
    Success,
    /// Nothing matched, or some rows are errors.
    Partial,
    /// A usage, set-up or file error. Each one was reported.
    Error,
    /// The run was interrupted by ^C.
    Interrupted,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Partial => 1,
            Exit::Error => 2,
            Exit::Interrupted => 130,
        }
    }
}
