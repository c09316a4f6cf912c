//! One input on its way to its row: how often it was tried, and where its redirects have led.

use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use crate::fetch::cookie::Jar;
use crate::input::{Input, Target, URL_BYTES_MAX};
use crate::net::host::host_of;
use crate::options::Method;

/// The most bytes of the URLs of one chain of redirects together.
const CHAIN_BYTES_MAX: usize = 2 * URL_BYTES_MAX;

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) index: u64,
    pub(crate) input: Input,
    pub(crate) url: Url,
    /// What is requested when there is no HTTPS at `url`, if that is not known yet.
    by_http: Option<Url>,
    /// Why there was no HTTPS, if that was tried and `url` is by HTTP.
    without_https: Option<String>,
    pub(crate) attempts: u32,
    /// Whether a server would not say in response to `HEAD` what becomes of a page that is only
    /// checked, which is then requested with `GET`.
    pub(crate) wants_body: bool,
    /// When the first attempt began.
    pub(crate) started: Option<Instant>,
    /// Where the attempt goes on, or `None` before one begins.
    pub(crate) chain: Option<Box<RedirectChain>>,
}

impl Job {
    pub(crate) fn new(index: u64, input: Input, target: Target) -> Job {
        let Target { url, by_http } = target;
        Job {
            index,
            input,
            url,
            by_http,
            without_https: None,
            attempts: 0,
            wants_body: false,
            started: None,
            chain: None,
        }
    }

    /// Tells whether a transient failure of the last attempt leaves another. The one that found no
    /// HTTPS does not count.
    pub(crate) fn may_retry(&self, retries: u32) -> bool {
        self.attempts - u32::from(self.without_https.is_some()) <= retries
    }

    /// Goes on by HTTP, since HTTPS has failed, if the input left the scheme open.
    pub(crate) fn give_up_https(&mut self, why: &str) -> bool {
        let Some(url) = self.by_http.take() else { return false };
        self.url = url;
        self.without_https = Some(why.to_owned());
        self.start_anew();
        true
    }

    /// Tells whether HTTPS is tried only because the input named no scheme.
    pub(crate) fn guesses_https(&self) -> bool {
        self.by_http.is_some() && self.chain.is_none()
    }

    /// Returns why there was no HTTPS, if that was tried first.
    pub(crate) fn without_https(&self) -> Option<&str> {
        self.without_https.as_deref()
    }

    /// Lets the attempt go on at the end of `chain` later.
    pub(crate) fn go_to(&mut self, chain: Box<RedirectChain>) {
        self.chain = Some(chain);
    }

    /// Lets the next attempt begin with the URL that was given.
    pub(crate) fn start_anew(&mut self) {
        self.chain = None;
    }

    /// Tells whether the page may be requested by this process no more.
    pub(crate) fn has_lost_its_lease(&self) -> bool {
        self.input.ticket().is_some_and(|ticket| ticket.lease.has_ended())
    }

    /// Returns the host that the job wants next, as a name or an IP address with a port.
    pub(crate) fn host(&self) -> String {
        match &self.chain {
            Some(chain) => chain.host().to_owned(),
            None => host_of(&self.url),
        }
    }

    /// Returns the bytes of the job's URLs, and of what it carries.
    pub(crate) fn bytes(&self) -> usize {
        let chain = self.chain.as_ref().map_or(0, |chain| chain.chain_bytes());
        // The other URL of an input without a scheme is as long.
        let urls = self.url.as_str().len() * (1 + usize::from(self.by_http.is_some()));
        let carried = self.input.carried().map_or(0, str::len);
        self.input.shown().len() + carried + urls + chain
    }
}

/// An attempt on its way along a chain of redirects.
#[derive(Debug)]
pub(crate) struct RedirectChain {
    /// The URL that is requested next, or was requested last.
    pub(crate) url: Url,
    /// The scheme, host and port of `url`. A connection to an origin serves all of its URLs.
    pub(crate) origin: String,
    pub(crate) redirects: Vec<String>,
    /// The method and the body of the next request.
    pub(crate) method: Method,
    pub(crate) data: Option<Arc<[u8]>>,
    pub(crate) cookies: Jar,
    /// Whether `url` has the origin of the URL that was given.
    pub(crate) same_origin: bool,
    /// Whether a server on the Internet redirected here, or to a server that did.
    pub(crate) from_public_network: bool,
    /// The time that the attempt has left. It does not pass while the job waits for its turn.
    pub(crate) left: Duration,
    /// The status of the last response.
    pub(crate) status: Option<u16>,
    /// The pause that the last response asked for.
    pub(crate) retry_after: Option<Duration>,
}

impl RedirectChain {
    pub(crate) fn new(url: &Url, time: Duration) -> RedirectChain {
        RedirectChain {
            url: url.clone(),
            origin: origin(url),
            redirects: Vec::new(),
            method: Method::Get,
            data: None,
            cookies: Jar::default(),
            same_origin: true,
            from_public_network: false,
            left: time,
            status: None,
            retry_after: None,
        }
    }

    /// Goes on to `next`, in the chain that began at `given`. Tells whether `next` is at another
    /// host.
    pub(crate) fn follow(&mut self, next: Url, given: &Url) -> bool {
        let origin = origin(&next);
        let is_elsewhere = host_in(&origin) != self.host();
        self.redirects.push(next.as_str().to_owned());
        self.same_origin = origin == self::origin(given);
        (self.url, self.origin) = (next, origin);
        is_elsewhere
    }

    /// Lets the next request be a plain one, as after most redirects of others.
    pub(crate) fn change_method(&mut self, method: Method) {
        (self.method, self.data) = (method, None);
    }

    /// Tells whether the chain has room for one more URL.
    pub(crate) fn has_room_for(&self, next: &Url) -> bool {
        self.chain_bytes() + next.as_str().len() <= CHAIN_BYTES_MAX
    }

    /// Returns the chain that requests the robots.txt of the host where this chain is.
    pub(crate) fn for_robots(&self, url: Url) -> RedirectChain {
        RedirectChain {
            same_origin: self.same_origin,
            from_public_network: self.from_public_network,
            ..RedirectChain::new(&url, self.left)
        }
    }

    fn host(&self) -> &str {
        host_in(&self.origin)
    }

    fn chain_bytes(&self) -> usize {
        self.redirects.iter().map(String::len).sum()
    }
}

fn origin(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}://{}:{port}", url.scheme(), url.host_str().unwrap_or_default())
}

fn host_in(origin: &str) -> &str {
    origin.split_once("://").map_or(origin, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn job_of(text: &str) -> Job {
        let input = Input::url(text);
        let target = input.parse().unwrap();
        Job::new(0, input, target)
    }

    #[test]
    fn a_host_is_asked_by_http_once_there_is_no_https() {
        let mut job = job_of("a.test/x");
        assert_eq!((job.host().as_str(), job.may_retry(0)), ("a.test:443", true));
        job.attempts = 1;
        assert!(!job.may_retry(0) && job.give_up_https("refused"));

        assert_eq!((job.host().as_str(), job.url.as_str()), ("a.test:80", "http://a.test/x"));
        assert_eq!((job.may_retry(0), job.without_https()), (true, Some("refused")));
        job.attempts = 2;
        assert!(!job.may_retry(0) && !job.give_up_https("again"));
        assert!(!job_of("https://a.test/").give_up_https("it was asked for"));
    }

    #[test]
    fn a_host_is_a_name_with_a_port() {
        for (text, host) in [
            ("http://A.test/x", "a.test:80"),
            ("https://a.test/", "a.test:443"),
            ("http://[::1]:81/", "[::1]:81"),
            // An IP address is the same host however it is written.
            ("http://0x7f000001/", "127.0.0.1:80"),
            ("http://2130706433/", "127.0.0.1:80"),
        ] {
            assert_eq!(job_of(text).host(), host);
        }
    }

    #[test]
    fn a_redirect_leads_elsewhere_when_the_host_or_port_is_another() {
        let given = url("http://a.test/");
        let mut chain = RedirectChain::new(&given, Duration::ZERO);
        for (next, elsewhere) in [
            ("http://a.test:80/x", false),
            ("http://a.test:81/", true),
            ("https://a.test:81/", false),
            ("https://b.test:81/", true),
        ] {
            assert_eq!(chain.follow(url(next), &given), elsewhere, "{next}");
        }
        assert_eq!(chain.redirects.len(), 4);
    }

    #[test]
    fn only_the_origin_of_the_given_address_is_home() {
        let given = url("http://a.test/");
        let mut chain = RedirectChain::new(&given, Duration::ZERO);
        assert!(chain.same_origin);
        for (next, home) in
            [("http://a.test/x", true), ("https://a.test/", false), ("http://a.test:81/", false)]
        {
            chain.follow(url(next), &given);
            assert_eq!(chain.same_origin, home, "{next}");
        }
    }

    #[test]
    fn a_chain_has_a_bound() {
        let mut chain = RedirectChain::new(&url("http://a.test/"), Duration::ZERO);
        let long = url(&format!("http://a.test/{}", "x".repeat(URL_BYTES_MAX - 20)));
        while chain.has_room_for(&long) {
            chain.follow(long.clone(), &long);
        }
        assert_eq!(chain.redirects.len(), 2);
    }
}
