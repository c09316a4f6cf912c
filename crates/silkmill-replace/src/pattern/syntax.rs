//! How the text to look for is to be read.

/// When letters of different case are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// Never.
    #[default]
    Sensitive,
    /// Always.
    Insensitive,
    /// When the text to look for has no upper-case letter.
    Smart,
}

/// How the text to look for is to be read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Syntax {
    pub(crate) regex: bool,
    pub(crate) case: Case,
    pub(crate) word: bool,
    pub(crate) multiline: bool,
    /// Also looks for the text in other styles of names, and writes the new one in the same.
    pub(crate) preserve_case: bool,
}

#[cfg(test)]
impl Syntax {
    /// A regex, and everything else as it is by default.
    pub(crate) const REGEX: Syntax = Syntax {
        regex: true,
        case: Case::Sensitive,
        word: false,
        multiline: false,
        preserve_case: false,
    };
}
