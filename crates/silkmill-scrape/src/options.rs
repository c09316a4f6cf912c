//! How to fetch, checked once. Nothing past this point sees a bad header or no worker.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, io_error_in_words};
use crate::input::URL_BYTES_MAX;
use crate::net::deadline::Deadline;
use crate::net::dialer::{Connect, DialerSettings};
use crate::net::proxy::{Exceptions, Proxies, Proxy};
use crate::net::resolver::Lookup;
use crate::net::tls::Trust;
use crate::page::extract::Extractor;
use crate::save::Folder;

/// Threads, when nothing else is said. Each waits for one server at a time.
const WORKERS: usize = 64;
/// Requests to one host at once.
const PER_HOST: usize = 8;
/// For one attempt, redirects and body included.
const TIMEOUT: Duration = Duration::from_secs(30);
/// To find the host's address, and again to connect to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts after the first.
const RETRIES: u32 = 2;
const REDIRECTS_MAX: u32 = 10;
const BODY_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Headers that say how the connection is used, which is not the user's to say.
const RESERVED_HEADERS: [&str; 3] = ["connection", "content-length", "transfer-encoding"];
const USER_AGENT: &str = concat!("silkmill/", env!("CARGO_PKG_VERSION"));

/// How to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// For the whole response.
    #[default]
    Get,
    /// For everything but the body.
    Head,
}

/// How to fetch a list of addresses, and what to read from the pages.
///
/// ```
/// use std::time::Duration;
/// use silkmill_scrape::Options;
///
/// let options = Options::fetch().workers(8).timeout(Duration::from_secs(5)).header("Accept: text/html")?;
/// # let _ = options;
/// # Ok::<(), silkmill_scrape::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) extractor: Option<Arc<Extractor>>,
    pub(crate) workers: usize,
    /// 0 for no limit.
    pub(crate) per_host: usize,
    pub(crate) delay: Duration,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// `None` for as long as the attempt may take.
    pub(crate) first_byte_timeout: Option<Duration>,
    pub(crate) retries: u32,
    pub(crate) redirects_max: u32,
    pub(crate) body_bytes_max: u64,
    pub(crate) method: Method,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) user_agent: String,
    pub(crate) ordered: bool,
    pub(crate) save: Option<Folder>,
    pub(crate) measure_cpu: bool,
    pub(crate) deny_private: bool,
    pub(crate) robots: bool,
    pub(crate) trust: Trust,
    pub(crate) proxies: Proxies,
    pub(crate) lookup: Hook<Lookup>,
    pub(crate) connect: Hook<Connect>,
}

/// Something that stands for the system, if it is set.
pub(crate) struct Hook<F: ?Sized>(pub(crate) Option<Arc<F>>);

impl<F: ?Sized> Clone for Hook<F> {
    fn clone(&self) -> Hook<F> {
        Hook(self.0.clone())
    }
}

impl<F: ?Sized> fmt::Debug for Hook<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "set" } else { "the system" })
    }
}

impl Options {
    /// Asks for every page and reads nothing from it but its length.
    pub fn fetch() -> Options {
        Options {
            extractor: None,
            workers: WORKERS,
            per_host: PER_HOST,
            delay: Duration::ZERO,
            timeout: TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            first_byte_timeout: None,
            retries: RETRIES,
            redirects_max: REDIRECTS_MAX,
            body_bytes_max: BODY_BYTES_MAX,
            method: Method::Get,
            headers: Vec::new(),
            user_agent: USER_AGENT.to_owned(),
            ordered: false,
            save: None,
            measure_cpu: false,
            deny_private: false,
            robots: false,
            trust: Trust::default(),
            proxies: Proxies::default(),
            lookup: Hook(None),
            connect: Hook(None),
        }
    }

    /// Asks for every page and reads its title and fields.
    pub fn scrape(extractor: Extractor) -> Options {
        Options { extractor: Some(Arc::new(extractor)), ..Options::fetch() }
    }

    /// How many threads ask at once; at least one. 64 at first.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Options {
        self.workers = workers.max(1);
        self
    }

    /// How many requests to one host there may be at once; 0 is no limit. 8 at first. A host is a name, or an
    /// address, with a port. Where a host must wait, the run goes on with others, as far as it looks ahead:
    /// 8,192 inputs, or as many as have 8 MiB of addresses.
    #[must_use]
    pub fn per_host(mut self, requests: usize) -> Options {
        self.per_host = requests;
        self
    }

    /// The least time between the starts of two requests to one host. None at first.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Options {
        self.delay = delay;
        self
    }

    /// For one attempt, redirects and body included. 30 seconds at first.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Options {
        self.timeout = timeout;
        self
    }

    /// To find the host's address, and again to connect to it, TLS included. 10 seconds at first.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Options {
        self.connect_timeout = timeout;
        self
    }

    /// From the time there is a connection until the first byte of the response comes over it, the request being
    /// sent meanwhile; for every redirect anew. No more than the attempt has left, which is what it is at first: a
    /// server that thinks for long is not the same as one that is gone, and only the user can tell.
    #[must_use]
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Options {
        self.first_byte_timeout = Some(timeout);
        self
    }

    /// How often to try again what may pass: no connection, no answer on one, and the statuses
    /// 429, 502, 503 and 504. Twice at first. Before each there is a pause, twice as long every time, of five
    /// seconds at the most; or as long as `Retry-After` says, but no longer than a minute. After 429
    /// and 503 the whole host is left alone for so long. No thread waits meanwhile.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Options {
        self.retries = retries;
        self
    }

    /// How many redirects to follow in one attempt; one more is a failure. With 0 none is
    /// followed, and the redirect itself is the response. 10 at first.
    #[must_use]
    pub fn redirects_max(mut self, redirects: u32) -> Options {
        self.redirects_max = redirects;
        self
    }

    /// How much of a body to read, in bytes after decompression. 10 MiB at first.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: u64) -> Options {
        self.body_bytes_max = bytes;
        self
    }

    /// How to ask. `GET` at first.
    #[must_use]
    pub fn method(mut self, method: Method) -> Options {
        self.method = method;
        self
    }

    /// Whether rows come in the order of the input. Else each comes when it is ready.
    #[must_use]
    pub fn ordered(mut self, ordered: bool) -> Options {
        self.ordered = ordered;
        self
    }

    /// Where to keep the bodies, each as a file that is named by the index of its row in at least eight
    /// digits: `00000042`. The folder is made. A body that cannot be kept is an error of its row.
    ///
    /// # Errors
    /// When there is no such folder to be had.
    pub fn save(mut self, folder: impl AsRef<Path>) -> Result<Options, Error> {
        let path = folder.as_ref();
        let refuse = |error| ErrorKind::Save(path.to_owned(), io_error_in_words(&error));
        let save = Folder::new(path).map_err(refuse)?;
        self.save = Some(save);
        Ok(self)
    }

    /// Whether a body is needed when it has been read.
    pub(crate) fn keeps_bodies(&self) -> bool {
        self.extractor.is_some() || self.save.is_some()
    }

    /// Whether to measure the CPU time of every request, for the advice in [`Summary`].
    ///
    /// [`Summary`]: crate::Summary
    #[must_use]
    pub fn measure_cpu(mut self, measure: bool) -> Options {
        self.measure_cpu = measure;
        self
    }

    /// A header to send, as `Name: value`. `Authorization`, `Cookie`, `Host` and
    /// `Proxy-Authorization` go to the address that was given and are not sent on to another host.
    ///
    /// # Errors
    /// When it is no header, or one that says how the connection is to be used.
    pub fn header(mut self, line: &str) -> Result<Options, Error> {
        let bad = || ErrorKind::Header(line.to_owned());
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        let (name, value) = (name.trim(), value.trim());
        if !is_name(name) || !is_value(value) || line.len() > URL_BYTES_MAX {
            return Err(bad().into());
        }
        if RESERVED_HEADERS.iter().any(|not| name.eq_ignore_ascii_case(not)) {
            return Err(ErrorKind::HeaderNotOurs(name.to_owned()).into());
        }
        self.headers.push((name.to_owned(), value.to_owned()));
        Ok(self)
    }

    /// Who to say that we are. `silkmill/` and the version at first.
    ///
    /// # Errors
    /// When a header cannot hold it.
    pub fn user_agent(mut self, name: &str) -> Result<Options, Error> {
        if !is_value(name) {
            return Err(ErrorKind::UserAgent(name.to_owned()).into());
        }
        self.user_agent = name.to_owned();
        Ok(self)
    }

    /// Whether to refuse every private, loopback and link-local address, after its name was looked up, for
    /// every redirect anew. Without it an address that was given may be private, and one that a server on the
    /// Internet redirects to may not.
    ///
    /// Behind a proxy that looks names up itself only addresses that are written as such can be refused.
    #[must_use]
    pub fn deny_private(mut self, deny: bool) -> Options {
        self.deny_private = deny;
        self
    }

    /// Whether to ask every host for its robots.txt first, and to do as it says (RFC 9309): what it
    /// forbids is a row of the kind `robots`. It is known to files by the first word of the user agent. A
    /// `Crawl-delay` is kept, too, to a minute.
    #[must_use]
    pub fn robots(mut self, obey: bool) -> Options {
        self.robots = obey;
        self
    }

    /// Certificates to trust besides the system's, in a file in PEM.
    ///
    /// # Errors
    /// When the file cannot be read, or has no certificate in it.
    pub fn trust_file(mut self, path: &Path) -> Result<Options, Error> {
        self.trust.add_file(path)?;
        Ok(self)
    }

    /// Whether to take every certificate, whoever it is of. Then anybody on the way may read and
    /// change what is sent.
    #[must_use]
    pub fn insecure(mut self, insecure: bool) -> Options {
        self.trust.accepts_any_certificate = insecure;
        self
    }

    /// The proxy to ask for every address: `http://`, `https://` for one that is spoken to over TLS,
    /// `socks5://` or, for one that looks names up, `socks5h://`, with a user and password if it wants them.
    ///
    /// # Errors
    /// When it is no such address.
    pub fn proxy(self, proxy: &str) -> Result<Options, Error> {
        self.proxy_for_http(proxy)?.proxy_for_https(proxy)
    }

    /// The proxy to ask for addresses that begin with `http:`.
    ///
    /// # Errors
    /// As for [`Options::proxy`].
    pub fn proxy_for_http(mut self, proxy: &str) -> Result<Options, Error> {
        self.proxies.http = Some(Proxy::parse(proxy)?);
        Ok(self)
    }

    /// The proxy to ask for addresses that begin with `https:`.
    ///
    /// # Errors
    /// As for [`Options::proxy`].
    pub fn proxy_for_https(mut self, proxy: &str) -> Result<Options, Error> {
        self.proxies.https = Some(Proxy::parse(proxy)?);
        Ok(self)
    }

    /// The hosts to ask without a proxy, as the environment variable `NO_PROXY` lists them: names, with all
    /// below them, addresses and networks, separated by commas; `*` is all.
    #[must_use]
    pub fn no_proxy(mut self, hosts: &str) -> Options {
        self.proxies.exceptions = Exceptions::parse(hosts);
        self
    }

    /// Who finds the addresses of a host, in the place of the system. It is called on threads of its own, and
    /// may block: the deadlines hold.
    ///
    /// ```
    /// use silkmill_scrape::Options;
    ///
    /// // Every name is this machine's.
    /// let options = Options::fetch().resolver(|_| Ok(vec![[127, 0, 0, 1].into()]));
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn resolver(
        mut self,
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Options {
        self.lookup = Hook(Some(Arc::new(lookup)));
        self
    }

    /// Who opens a connection to an address, within a time, in the place of the system. It sees every
    /// address that is about to be asked, after all rules, and can lead it elsewhere.
    ///
    /// ```
    /// use std::io;
    /// use silkmill_scrape::Options;
    ///
    /// let options = Options::fetch().connector(|address, _| Err(io::Error::other("not today")));
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn connector(
        mut self,
        connect: impl Fn(SocketAddr, Duration) -> io::Result<TcpStream> + Send + Sync + 'static,
    ) -> Options {
        self.connect = Hook(Some(Arc::new(connect)));
        self
    }

    pub(crate) fn dialer_settings(&self) -> DialerSettings {
        DialerSettings {
            lookup: self.lookup.0.clone(),
            connect: self.connect.0.clone(),
            trust: self.trust.clone(),
            proxies: self.proxies.clone(),
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
        }
    }

    /// When the first byte of a response must be there, if it is asked for now and all must be there when the
    /// attempt `ends`.
    pub(crate) fn first_byte_deadline(&self, ends: Instant) -> Deadline {
        let own =
            self.first_byte_timeout.map(|limit| Deadline { at: Instant::now() + limit, limit });
        own.filter(|own| own.at < ends).unwrap_or(Deadline { at: ends, limit: self.timeout })
    }

    /// Whether two requests to one host must start some time apart, or may have to.
    pub(crate) fn spaces_starts(&self) -> bool {
        self.robots || !self.delay.is_zero()
    }

    /// What the threads are called, before their number.
    pub(crate) fn worker_name(&self) -> &'static str {
        if self.extractor.is_some() { "scrape" } else { "fetch" }
    }
}

/// Whether a text can be the name of a header: a token of RFC 9110.
fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// Whether a text can be the value of a header.
fn is_value(value: &str) -> bool {
    !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let options = Options::fetch().header("X-One:  1:2 ").unwrap();

        assert_eq!(options.headers, [("X-One".to_owned(), "1:2".to_owned())]);
    }

    #[test]
    fn a_header_that_is_none_is_refused_and_named() {
        for line in ["", "name", "na me: x", "X: a\nb", ": x"] {
            let error = Options::fetch().header(line).unwrap_err();
            assert!(error.to_string().contains(&format!("{line:?}")), "{error}");
        }
    }

    #[test]
    fn the_headers_of_the_connection_are_not_the_users() {
        for line in ["Content-Length: 5", "transfer-encoding: chunked", "Connection: close"] {
            assert!(Options::fetch().header(line).is_err(), "{line}");
        }
    }
}
