//! What a worker finds in one response of a crawl.

use std::sync::Arc;

use crate::crawl::refusal::Refusals;
use crate::input::ticket::Purpose;

/// What a crawl knows of a page beyond what a list does. It is in the page's row.
///
/// ```
/// let crawled = silkmill_scrape::Crawled::default();
/// assert_eq!((crawled.depth, crawled.parent, crawled.links), (0, None, 0));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Crawled {
    /// How many links lead from a seed here, as far as was known when the page was found.
    pub depth: u32,
    /// The index of the row of the page that led here; `None` for a seed and for a page of a
    /// sitemap.
    pub parent: Option<u64>,
    /// The links of the page that lead to http and https, every one counted.
    pub links: u64,
    /// The page's own address, as it says itself.
    pub canonical: Option<String>,
    pub(crate) found: Found,
    /// Whether the page was not requested, since the lease of its host had ended.
    pub(crate) is_given_back: bool,
}

/// What is to be done about the links of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Each URL once.
    pub(crate) links: Vec<FoundLink>,
    pub(crate) refusals: Refusals,
    /// Every link, when they are wanted.
    pub(crate) edges: Vec<Edge>,
    /// Whether a server on the Internet sent the response, or the crawl was led to it by one.
    pub(crate) is_public: bool,
    /// Hashes of the anchors of the page, when they are wanted and it is one.
    pub(crate) anchors: Option<Vec<u64>>,
}

/// A URL that a page leads to, and that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundLink {
    /// As it was written, without its fragment.
    pub(crate) url: String,
    pub(crate) host: Arc<str>,
    /// The keyed hash of the canonical form.
    pub(crate) hash: u64,
    pub(crate) purpose: Purpose,
    /// Whether it is where a response redirects to.
    pub(crate) is_redirect: bool,
    /// The fragments that links of the page have, when they are wanted, each with the hash of the
    /// anchor that it means.
    pub(crate) fragments: Vec<(String, u64)>,
}

/// One link of a page, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edge {
    /// The URL that the link leads to, with its fragment; the reference where it is no URL.
    pub to: String,
    /// The name of the element or header.
    pub element: &'static str,
    /// The text of the link, its white space collapsed, cut where it is long.
    pub text: String,
    /// The `rel` attribute.
    pub rel: String,
    /// Why the link is not followed, or `None` where it is.
    pub refusal: Option<crate::crawl::refusal::Refusal>,
}
