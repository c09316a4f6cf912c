//! What is wrong with a page that breaks the rules of XML or JSON.

use std::fmt;

/// Where and how a page breaks the rules of its language, in words.
///
/// ```
/// let extractor = silkmill_scrape::Extractor::new(Vec::new())?;
/// let flaw = extractor.extract(b"<a>\n<b></a>", Some("text/xml")).flaw.unwrap();
/// assert_eq!(
///     flaw.to_string(),
///     "not well-formed XML at line 2, column 4: expected </b>, found </a>"
/// );
/// # Ok::<(), silkmill_scrape::FieldError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFlaw {
    pub(crate) message: String,
    pub(crate) is_at_end: bool,
}

impl PageFlaw {
    /// Tells whether the page only ended too early, as one does that was cut.
    pub fn is_at_end(&self) -> bool {
        self.is_at_end
    }
}

impl fmt::Display for PageFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
