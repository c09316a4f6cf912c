//! The sitemaps whose pages are a list.

use clap::Args;

/// Which sitemaps are a list, and which of their pages are requested.
#[derive(Debug, Args)]
pub(crate) struct SitemapArgs {
    /// Request the pages that the sitemap at URL lists, after those of -i: the pages of an index's
    /// sitemaps, of a feed (RSS, Atom) or of a plain list; gzip is known. Sitemaps are read before
    /// any page is requested, and a list that one is missing of is not begun [repeatable]
    #[arg(long, value_name = "URL", group = "list")]
    pub(crate) sitemap: Vec<String>,

    /// Leave out pages of sitemaps that say they were changed last before DATE: 2026-11-28,
    /// 2026-11, 2026, or 2026-11-28T10:00:00Z
    #[arg(long, value_name = "DATE", requires = "sitemap")]
    pub(crate) since: Option<String>,
}
