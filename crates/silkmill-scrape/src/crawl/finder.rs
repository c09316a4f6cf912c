//! Decides on a worker which links of a response a crawl follows. The same finder serves all
//! workers; only its scope changes, when a seed redirects.

use std::collections::{HashMap, HashSet};
use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher24;
use url::{Position, Url};

use crate::crawl::canonical::canonical_of;
use crate::crawl::date::Moment;
use crate::crawl::found::{Crawled, Edge, Found, FoundLink};
use crate::crawl::links::{self, Link, PageHeaders, Role, Texts};
use crate::crawl::refusal::{Refusal, Refusals};
use crate::crawl::scope::{Filter, trap, without_fragment};
use crate::crawl::sitemap::{self, Entry, SITEMAP_NESTING_MAX};
use crate::input::ticket::Purpose;
use crate::net::host::host_of;
use crate::page::html::document::Document;
use crate::sync::Mutex;

/// The most links of one page that are looked at.
pub(crate) const LINKS_MAX: usize = 10_000;

/// What a finder looks for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Whether pages may say that they are not to be followed.
    pub(crate) obeys_nofollow: bool,
    /// Whether links out of the scope, and to images and the like, are checked.
    pub(crate) checks: bool,
    /// Whether every link is written down.
    pub(crate) edges: bool,
    /// Whether fragments are checked.
    pub(crate) fragments: bool,
    /// Whether the host of a seed is asked for its sitemaps.
    pub(crate) sitemaps: bool,
    /// Whether every entry of a sitemap is taken, unless it is too old: no scope bounds a list, and
    /// what is no URL has a row that says so.
    pub(crate) takes_all: bool,
    /// Pages that a sitemap says were not changed since are not wanted.
    pub(crate) since: Option<Moment>,
    /// The first word of our user agent.
    pub(crate) product: String,
}

/// Finds the links to follow.
#[derive(Debug)]
pub(crate) struct Finder {
    pub(crate) wanted: Wanted,
    /// The key of the hashes, which is the crawl's own: a page whose author knew it could hide
    /// others.
    key: [u64; 2],
    /// Read by every worker for every page, and replaced by the caller's thread.
    filter: Mutex<Arc<Filter>>,
}

/// A response that links are looked for in.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    pub(crate) url: &'a Url,
    pub(crate) headers: &'a PageHeaders,
    /// The tree of the page and its encoding, if it is a page.
    pub(crate) document: Option<(&'a Document, &'a str)>,
}

impl Finder {
    pub(crate) fn new(wanted: Wanted, key: [u64; 2], filter: Filter) -> Finder {
        Finder { wanted, key, filter: Mutex::new(Arc::new(filter)) }
    }

    /// Takes the places around a seed into the scope.
    pub(crate) fn add_seed(&self, seed: &Url) {
        let mut filter = self.filter.lock();
        let mut wider = Filter::clone(&filter);
        wider.add_seed(seed);
        *filter = Arc::new(wider);
    }

    /// Returns the hash of the canonical form.
    pub(crate) fn hash(&self, url: &Url) -> u64 {
        self.hash_of(canonical_of(url).as_bytes())
    }

    fn hash_of(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.key[0], self.key[1]);
        hasher.write(bytes);
        hasher.finish()
    }

    /// Tells whether two URLs are those of one page.
    pub(crate) fn is_same(&self, one: &Url, other: &Url) -> bool {
        canonical_of(one) == canonical_of(other)
    }

    pub(crate) fn link(&self, url: &Url, purpose: Purpose) -> FoundLink {
        found_link(url, host_of(url).into(), self.hash(url), purpose)
    }

    /// Looks at every link of a response.
    pub(crate) fn look(&self, response: &Response<'_>) -> Crawled {
        let filter = Arc::clone(&self.filter.lock());
        let document = response.document.map(|(document, _)| document);
        let is_nofollow = self.wanted.obeys_nofollow
            && links::is_nofollow(document, response.headers, &self.wanted.product);
        let mut looking = Looking {
            finder: self,
            filter: &filter,
            is_nofollow,
            looked_at: 0,
            crawled: Crawled::default(),
            places: HashMap::new(),
            host: None,
        };
        links::of_headers(response.headers, response.url, |link| looking.take(link));
        if let Some((document, charset)) = response.document {
            let texts = match self.wanted.edges {
                true => Texts::Kept,
                false => Texts::LeftOut,
            };
            links::of_document(document, response.url, charset, texts, |link| looking.take(link));
            if self.wanted.fragments {
                let anchors = links::anchors_of(document);
                looking.crawled.found.anchors =
                    Some(anchors.map(|anchor| self.hash_of(anchor.as_bytes())).collect());
            }
        }
        looking.crawled
    }

    /// Returns what a redirect to `next` leads to.
    pub(crate) fn redirected(&self, next: &Url, is_seed: bool) -> Crawled {
        let filter = Arc::clone(&self.filter.lock());
        let mut crawled = Crawled { links: 1, ..Crawled::default() };
        let refusal = match trap(next) {
            Some(trap) => Some(trap),
            // A seed that redirects is the user's way to say where the site is.
            None if is_seed && !filter.is_excluded(next) => None,
            None => filter.refusal(next),
        };
        let purpose = self.purpose(refusal);
        if let Some(purpose) = purpose {
            let link = FoundLink { is_redirect: true, ..self.link(next, purpose) };
            crawled.found.links.push(link);
        }
        crawled.found.refusals = refusal.filter(|_| purpose.is_none()).map(one).unwrap_or_default();
        if self.wanted.edges {
            crawled.found.edges.push(Edge {
                to: next.as_str().to_owned(),
                element: "Location",
                text: String::new(),
                rel: String::new(),
                refusal,
            });
        }
        crawled
    }

    /// Returns the sitemaps of the host of `url`: those that its robots.txt names, and the usual
    /// one.
    pub(crate) fn sitemaps_of(&self, url: &Url, named: &[String]) -> Vec<FoundLink> {
        let named = named.iter().filter_map(|named| url.join(named).ok());
        let urls = named.chain(url.join("/sitemap.xml").ok());
        let urls = urls.filter(|url| matches!(url.scheme(), "http" | "https"));
        urls.map(|url| self.link(&url, Purpose::Sitemap)).collect()
    }

    /// Returns what a sitemap leads to. `hops` is how many sitemaps list each other before it.
    pub(crate) fn listed(&self, url: &Url, body: &[u8], hops: u32) -> Crawled {
        let filter = Arc::clone(&self.filter.lock());
        let sitemap = sitemap::read(body);
        let mut found = Found::default();
        if sitemap.is_cut {
            found.refusals.add(Refusal::TooManyLinks, 1);
        }
        let mut known = HashSet::new();
        for entry in &sitemap.entries {
            let wanted = self.wanted_of(entry, url, &filter, hops);
            let is_taken = |why: &Refusal| {
                self.wanted.takes_all && !entry.is_sitemap && *why != Refusal::TooOld
            };
            match wanted
                .or_else(|why| is_taken(&why).then(|| self.as_written(entry, url)).ok_or(why))
            {
                Ok(link) if known.insert(link.hash) => found.links.push(link),
                Ok(_) => {}
                Err(refusal) => found.refusals.add(refusal, 1),
            }
        }
        Crawled { found, ..Crawled::default() }
    }

    fn wanted_of(
        &self,
        entry: &Entry,
        url: &Url,
        filter: &Filter,
        hops: u32,
    ) -> Result<FoundLink, Refusal> {
        let page = url.join(&entry.url).map_err(|_| Refusal::Invalid)?;
        if !matches!(page.scheme(), "http" | "https") {
            return Err(Refusal::Scheme);
        }
        if entry.is_sitemap && hops >= SITEMAP_NESTING_MAX {
            return Err(Refusal::TooDeep);
        }
        let is_old =
            |since: Moment| entry.changed.is_some_and(|changed| changed.last < since.first);
        let refusal = match (trap(&page), self.wanted.since.is_some_and(is_old)) {
            (Some(trap), _) => Some(trap),
            (None, true) => Some(Refusal::TooOld),
            (None, false) if entry.is_sitemap => None,
            (None, false) => filter.refusal(&page),
        };
        let purpose = if entry.is_sitemap { Purpose::Sitemap } else { Purpose::Page };
        refusal.map_or_else(|| Ok(self.link(&page, purpose)), Err)
    }

    /// Returns what an entry of a sitemap leads to that is no URL, or none to follow.
    fn as_written(&self, entry: &Entry, base: &Url) -> FoundLink {
        let host = "".into();
        let url = base.join(&entry.url).map_or_else(|_| entry.url.clone(), String::from);
        let (purpose, hash) = (Purpose::Page, self.hash_of(url.as_bytes()));
        FoundLink { url, host, hash, purpose, is_redirect: false, fragments: Vec::new() }
    }

    /// Returns what a link is followed for, given why it is not followed for its own links.
    fn purpose(&self, refusal: Option<Refusal>) -> Option<Purpose> {
        match refusal {
            None => Some(Purpose::Page),
            Some(Refusal::Scope | Refusal::Asset | Refusal::NotIncluded) if self.wanted.checks => {
                Some(Purpose::Check)
            }
            Some(_) => None,
        }
    }
}

fn one(refusal: Refusal) -> Refusals {
    let mut refusals = Refusals::default();
    refusals.add(refusal, 1);
    refusals
}

/// A finder at work on one page.
struct Looking<'a> {
    finder: &'a Finder,
    filter: &'a Filter,
    is_nofollow: bool,
    looked_at: usize,
    crawled: Crawled,
    /// Where each hash stands in the links found.
    places: HashMap<u64, usize>,
    /// The host of the link before: its URL up to the path, and its name.
    host: Option<(String, Arc<str>)>,
}

impl Looking<'_> {
    /// Takes one link. Returns false when no more are looked at.
    fn take(&mut self, link: Link) -> bool {
        self.looked_at += 1;
        if self.looked_at > LINKS_MAX {
            self.crawled.found.refusals.add(Refusal::TooManyLinks, 1);
            return false;
        }
        if link.role == Role::Canonical
            && self.crawled.canonical.is_none()
            && let Ok(target) = &link.target
        {
            self.crawled.canonical = Some(target.as_str().to_owned());
        }
        let refusal = self.refusal(&link);
        let is_page =
            link.target.as_ref().is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        self.crawled.links += u64::from(is_page);
        match (&link.target, self.finder.purpose(refusal)) {
            (Ok(url), Some(purpose)) => self.add(url, purpose),
            _ => refusal.into_iter().for_each(|why| self.crawled.found.refusals.add(why, 1)),
        }
        if self.finder.wanted.edges {
            let to = link.target.map_or_else(|text| text, String::from);
            let Link { element, text, rel, .. } = link;
            self.crawled.found.edges.push(Edge { to, element, text, rel, refusal });
        }
        true
    }

    fn refusal(&self, link: &Link) -> Option<Refusal> {
        let Ok(url) = &link.target else { return Some(Refusal::Invalid) };
        if !matches!(url.scheme(), "http" | "https") {
            return Some(Refusal::Scheme);
        }
        if let Some(trap) = trap(url) {
            return Some(trap);
        }
        // To be checked, other forms of a page are pages: a page that is found as a file first
        // would have its links lost.
        let refusal = match link.role {
            Role::Canonical | Role::Alternate if self.finder.wanted.checks => {
                self.filter.refusal(url)
            }
            Role::Page | Role::Series => self.filter.refusal(url),
            _ if self.filter.is_excluded(url) => Some(Refusal::Excluded),
            _ => Some(Refusal::Asset),
        };
        let is_nofollow = self.is_nofollow || link.is_nofollow;
        let is_left = is_nofollow && self.finder.wanted.obeys_nofollow;
        refusal.or(is_left.then_some(Refusal::Nofollow))
    }

    fn add(&mut self, url: &Url, purpose: Purpose) {
        let hash = self.finder.hash(url);
        let links = &mut self.crawled.found.links;
        let place = *self.places.entry(hash).or_insert_with(|| {
            links.push(found_link(url, host_after(&mut self.host, url), hash, purpose));
            links.len() - 1
        });
        let link = &mut links[place];
        if purpose == Purpose::Page {
            link.purpose = purpose;
        }
        let fragment = url.fragment().filter(|_| self.finder.wanted.fragments);
        if let Some(fragment) = fragment.filter(|fragment| needs_anchor(fragment))
            && !link.fragments.iter().any(|(known, _)| known == fragment)
        {
            let anchor = percent_decoded(fragment);
            link.fragments.push((fragment.to_owned(), self.finder.hash_of(&anchor)));
        }
    }
}

fn found_link(url: &Url, host: Arc<str>, hash: u64, purpose: Purpose) -> FoundLink {
    let url = without_fragment(url).to_owned();
    FoundLink { url, host, hash, purpose, is_redirect: false, fragments: Vec::new() }
}

/// Returns the host of `url`. Most links of a page lead to the host of the one before, whose name
/// they share.
fn host_after(before: &mut Option<(String, Arc<str>)>, url: &Url) -> Arc<str> {
    let origin = &url[..Position::BeforePath];
    match before {
        Some((known, host)) if known == origin => Arc::clone(host),
        _ => {
            let host: Arc<str> = host_of(url).into();
            *before = Some((origin.to_owned(), Arc::clone(&host)));
            host
        }
    }
}

/// Tells whether a fragment points to an anchor: all but the empty one and `top`, which lead to the
/// start of any page, and those that are directives or the state of a script.
fn needs_anchor(fragment: &str) -> bool {
    let is_top = fragment.is_empty() || fragment.eq_ignore_ascii_case("top");
    !is_top && !fragment.contains(":~:") && !fragment.starts_with(['!', '/'])
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.filter(|_| byte == b'%') {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_shared_with_the_link_before_only_where_it_is_the_same() {
        let mut before = None;
        for text in [
            "http://a.test/x",
            "http://a.test:80/y?z",
            "https://a.test/x",
            "http://a.test:8080/x",
            "http://me@a.test:8080/x",
            "http://a.test:8080",
            "http://b.test/x",
            "http://a.test/x",
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(*host_after(&mut before, &url), *host_of(&url), "{text}");
        }
    }
}
