//! How the text to search for is read.

/// When letters of different case are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// Never.
    #[default]
    Sensitive,
    /// Always.
    Insensitive,
    /// When the text to search for has no upper-case letter.
    Smart,
}

/// How the text to search for is read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Syntax {
    pub(crate) regex: bool,
    /// Whether a regex may need the backtracking engine.
    pub(crate) fancy: bool,
    pub(crate) case: Case,
    pub(crate) word: bool,
    pub(crate) multiline: bool,
    /// Also searches for the text in other styles of names, and writes the new one in the same
    /// style.
    pub(crate) preserve_case: bool,
}

#[cfg(test)]
impl Syntax {
    /// A regex, with the default of everything else.
    pub(crate) const REGEX: Syntax = Syntax {
        regex: true,
        fancy: false,
        case: Case::Sensitive,
        word: false,
        multiline: false,
        preserve_case: false,
    };

    /// The same, for the backtracking engine.
    pub(crate) const FANCY: Syntax = Syntax { fancy: true, ..Syntax::REGEX };
}
