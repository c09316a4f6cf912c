//! What a response says in a crawl: the title and fields of its page, as for a list, and its links.

use url::Url;

use crate::crawl::finder::{Finder, Response};
use crate::crawl::found::Crawled;
use crate::crawl::links::PageHeaders;
use crate::fetch::job::Job;
use crate::input::ticket::{Purpose, Ticket};
use crate::page::extract::{Extracted, Extractor};
use crate::page::html::document::Document;

/// Facts about a response that matter to its links.
#[derive(Debug)]
pub(super) struct OfCrawl {
    pub(super) headers: PageHeaders,
    pub(super) url: Url,
    /// The sitemaps that the robots.txt of its host names, for a seed.
    pub(super) sitemaps: Vec<String>,
    /// Where the response redirects to, when that page has a row of its own.
    pub(super) redirect: Option<Url>,
    /// Whether a server on the Internet sent it, or led to it.
    pub(super) is_public: bool,
}

/// A response, all of which is in memory.
#[derive(Debug)]
pub(super) struct Looked<'a> {
    pub(super) of_crawl: &'a OfCrawl,
    pub(super) content_type: Option<&'a str>,
    pub(super) body: &'a [u8],
    pub(super) status: Option<u16>,
}

/// Reads a response.
pub(super) fn look(
    finder: &Finder,
    extractor: &Extractor,
    ticket: &Ticket,
    looked: &Looked<'_>,
) -> (Extracted, Box<Crawled>) {
    let (extracted, mut crawled) = match (ticket.purpose, looked.of_crawl.redirect.as_ref()) {
        (Purpose::Page, Some(next)) => {
            (Extracted::default(), finder.redirected(next, ticket.is_seed))
        }
        (Purpose::Page, None) => page(finder, extractor, looked),
        (Purpose::Sitemap, _) if looked.status == Some(200) => {
            (Extracted::default(), finder.listed(&looked.of_crawl.url, looked.body, ticket.hops))
        }
        (Purpose::Check | Purpose::Sitemap, _) => <(Extracted, Crawled)>::default(),
    };
    if ticket.is_seed && ticket.purpose == Purpose::Page && finder.wanted.sitemaps {
        crawled
            .found
            .links
            .extend(finder.sitemaps_of(&looked.of_crawl.url, &looked.of_crawl.sitemaps));
    }
    crawled.found.is_public = looked.of_crawl.is_public;
    (extracted, Box::new(crawled))
}

fn page(finder: &Finder, extractor: &Extractor, looked: &Looked<'_>) -> (Extracted, Crawled) {
    let (url, headers) = (&looked.of_crawl.url, &looked.of_crawl.headers);
    let mut found = None;
    let mut look = |document: &Document, charset| {
        let document = Some((document, charset));
        found = Some(finder.look(&Response { url, headers, document }));
    };
    let extracted = extractor.extract_with(
        looked.body,
        looked.content_type,
        Some(url.as_str()),
        Some(&mut look),
    );
    // What is no page may have links in its headers.
    let of_headers = || finder.look(&Response { url, headers, document: None });
    (extracted, found.unwrap_or_else(of_headers))
}

/// Tells whether a page is only checked, and was requested with `HEAD`.
pub(super) fn is_checked(job: &Job) -> bool {
    let ticket = job.input.ticket();
    !job.wants_body && ticket.is_some_and(|ticket| ticket.purpose == Purpose::Check)
}
