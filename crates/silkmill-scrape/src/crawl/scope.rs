//! Which URLs a crawl asks for: the scope, what is included and excluded, and the bounds that keep
//! it out of traps. Pure, and decided on the workers.

use std::collections::BTreeSet;

use regex_automata::meta::Regex;
use url::{Host, Position, Url};

use crate::crawl::refusal::Refusal;

/// The most bytes of a URL that is found in a page.
pub(crate) const LINK_BYTES_MAX: usize = 4096;
/// How often a segment of a path may stand in a row. Links that are relative by mistake lead
/// deeper for ever.
pub(crate) const SEGMENTS_IN_A_ROW_MAX: usize = 2;

/// How far a crawl goes from its seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Pages whose path begins like that of a seed, up to its last slash.
    Prefix,
    /// Pages of the hosts of the seeds, by http and https.
    #[default]
    Host,
    /// Pages of the registrable domains of the seeds, by the public suffix list.
    Domain,
    /// Every page.
    Any,
}

impl Scope {
    /// Returns the name, as options have it.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Prefix => "prefix",
            Scope::Host => "host",
            Scope::Domain => "domain",
            Scope::Any => "any",
        }
    }
}

/// Decides which URLs are followed.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    scope: Scope,
    /// By scope: hosts, domains, or hosts with the start of a path.
    places: BTreeSet<String>,
    include: Vec<Regex>,
    exclude: Vec<Regex>,
}

impl Filter {
    pub(crate) fn new(scope: Scope, include: Vec<Regex>, exclude: Vec<Regex>) -> Filter {
        Filter { scope, places: BTreeSet::new(), include, exclude }
    }

    /// Takes the places around a seed into the scope.
    pub(crate) fn add_seed(&mut self, seed: &Url) {
        match self.scope {
            Scope::Prefix => {
                let path = seed.path();
                let folder = &path[..path.rfind('/').map_or(0, |at| at + 1)];
                self.places.insert(format!("{}{folder}", site(seed)));
            }
            Scope::Host => drop(self.places.insert(site(seed).to_owned())),
            Scope::Domain => drop(self.places.insert(domain(seed))),
            Scope::Any => {}
        }
    }

    /// Returns why a link to `url` is not followed, if it is not.
    pub(crate) fn refusal(&self, url: &Url) -> Option<Refusal> {
        // What is excluded is not requested even to be checked, wherever it lies.
        if self.is_excluded(url) {
            return Some(Refusal::Excluded);
        }
        if !self.is_in_scope(url) {
            return Some(Refusal::Scope);
        }
        let is_included = |regex: &Regex| regex.is_match(without_fragment(url));
        if !self.include.is_empty() && !self.include.iter().any(is_included) {
            return Some(Refusal::NotIncluded);
        }
        None
    }

    pub(crate) fn is_excluded(&self, url: &Url) -> bool {
        self.exclude.iter().any(|regex| regex.is_match(without_fragment(url)))
    }

    fn is_in_scope(&self, url: &Url) -> bool {
        match self.scope {
            Scope::Any => true,
            Scope::Host => self.places.contains(site(url)),
            Scope::Domain => self.places.contains(&domain(url)),
            Scope::Prefix => {
                // The places that the URL could lie in are its own prefixes.
                let place = format!("{}{}", site(url), url.path());
                let folders = place.match_indices('/').map(|(at, _)| &place[..=at]);
                folders.into_iter().any(|folder| self.places.contains(folder))
            }
        }
    }
}

/// Returns why no page has a link to `url` followed, whatever the scope.
pub(crate) fn trap(url: &Url) -> Option<Refusal> {
    if without_fragment(url).len() > LINK_BYTES_MAX {
        return Some(Refusal::TooLong);
    }
    let (mut last, mut row) = ("", 0);
    for segment in url.path().split('/').filter(|segment| !segment.is_empty()) {
        row = if segment == last { row + 1 } else { 1 };
        last = segment;
        if row > SEGMENTS_IN_A_ROW_MAX {
            return Some(Refusal::RepeatedSegment);
        }
    }
    None
}

pub(crate) fn without_fragment(url: &Url) -> &str {
    &url[..Position::AfterQuery]
}

/// Returns the host as a scope counts it: a name or an IP address, with its port where that is not
/// the usual one of the scheme.
fn site(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

/// Returns the registrable domain of a URL: the part of its name that is one label longer than the
/// public suffix. An IP address, and a name that has none, stand for themselves.
fn domain(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            psl::domain_str(name).unwrap_or(name).to_owned()
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn filter(scope: Scope, seeds: &[&str]) -> Filter {
        let mut filter = Filter::new(scope, Vec::new(), Vec::new());
        seeds.iter().for_each(|seed| filter.add_seed(&url(seed)));
        filter
    }

    #[test]
    fn each_scope_has_its_border() {
        let seed = "http://www.a.co.uk/docs/index.html";
        for (link, prefix, host, domain) in [
            ("http://www.a.co.uk/docs/", true, true, true),
            ("http://www.a.co.uk/docs/x/y?z", true, true, true),
            ("https://www.a.co.uk/docs/x", true, true, true),
            ("http://www.a.co.uk/docsx", false, true, true),
            ("http://www.a.co.uk/", false, true, true),
            ("http://a.co.uk/docs/", false, false, true),
            ("http://www.a.co.uk:8080/docs/", false, false, true),
            ("http://b.co.uk/docs/", false, false, false),
            ("http://xwww.a.co.uk.evil.test/docs/", false, false, false),
        ] {
            let is = |scope| filter(scope, &[seed]).refusal(&url(link)).is_none();
            assert_eq!(is(Scope::Prefix), prefix, "prefix {link}");
            assert_eq!(is(Scope::Host), host, "host {link}");
            assert_eq!(is(Scope::Domain), domain, "domain {link}");
            assert!(is(Scope::Any), "any {link}");
        }
    }

    #[test]
    fn a_site_is_a_name_or_an_address_with_the_port_where_it_is_unusual() {
        for (text, expected) in [
            ("http://user:word@A.test/x?y#z", "a.test"),
            ("https://a.test:443", "a.test"),
            ("https://a.test:80/x", "a.test:80"),
            ("http://[1:0::0]:8080/x", "[1::]:8080"),
            ("http://0x7f.1", "127.0.0.1"),
        ] {
            assert_eq!(site(&url(text)), expected);
        }
    }

    #[test]
    fn an_address_and_a_name_without_a_domain_are_their_own_domain() {
        let filter = filter(Scope::Domain, &["http://127.0.0.1:80/", "http://localhost/"]);
        assert!(filter.refusal(&url("http://127.0.0.1:81/")).is_none());
        assert!(filter.refusal(&url("http://localhost:8080/")).is_none());
        assert!(filter.refusal(&url("http://127.0.0.2/")).is_some());
    }

    #[test]
    fn exclusion_wins_over_inclusion() {
        let regex = |text| vec![Regex::new(text).unwrap()];
        let mut filter = Filter::new(Scope::Host, regex("/blog/"), regex("page=[0-9]"));
        filter.add_seed(&url("http://a.test/"));

        assert_eq!(filter.refusal(&url("http://a.test/blog/x#page=1")), None);
        assert_eq!(filter.refusal(&url("http://a.test/x")), Some(Refusal::NotIncluded));
        assert_eq!(filter.refusal(&url("http://a.test/blog/?page=2")), Some(Refusal::Excluded));
        assert_eq!(filter.refusal(&url("http://b.test/blog/")), Some(Refusal::Scope));
    }

    #[test]
    fn a_trap_is_known_by_its_address() {
        let long = format!("http://a.test/{}", "x".repeat(LINK_BYTES_MAX));
        for (link, refusal) in [
            ("http://a.test/a/a/b/a", None),
            ("http://a.test/a/a/a", Some(Refusal::RepeatedSegment)),
            ("http://a.test/x//y/y//y/z", Some(Refusal::RepeatedSegment)),
            ("http://a.test/aa/aa?a/a/a", None),
            (&long, Some(Refusal::TooLong)),
            (&long[..LINK_BYTES_MAX], None),
        ] {
            assert_eq!(trap(&url(link)), refusal, "{link}");
        }
    }
}
