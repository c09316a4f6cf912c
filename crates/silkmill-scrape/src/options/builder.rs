//! Collects what a caller sets, and checks it once, in [`OptionsBuilder::build`]. What cannot be
//! wrong goes straight into the [`Options`]; what can waits as it was given.

mod archives;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::archive::{ArchivePaths, Archives};
use crate::error::{Error, ErrorKind, io_error_in_words};
use crate::fetch::cookie::CookieJar;
use crate::input::URL_BYTES_MAX;
use crate::net::proxy::{Exceptions, Proxies, Proxy};
use crate::net::tls::Trust;
use crate::options::{Hook, Method, Options};
use crate::page::extract::Extractor;
use crate::save::Folder;

/// Threads, each of which waits for one server at a time.
const WORKERS: usize = 64;
/// Requests to one host at once.
const PER_HOST: usize = 8;
/// The time for one attempt, redirects and body included.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The time for a lookup, and again for the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts after the first.
const RETRIES: u32 = 2;
/// The rows of a host in a row that fail before it is given up.
const HOST_ERRORS_MAX: u32 = 30;
const REDIRECTS_MAX: u32 = 10;
const BODY_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// The most bytes of the body of a request.
const DATA_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Headers that say how the connection is used, which the fetcher alone decides.
const RESERVED_HEADERS: [&str; 3] = ["connection", "content-length", "transfer-encoding"];
const USER_AGENT: &str = concat!("silkmill/", env!("CARGO_PKG_VERSION"));

/// Collects [`Options`], and checks them in [`build`](OptionsBuilder::build).
///
/// ```
/// use silkmill_scrape::{Extractor, Field, Options};
///
/// let extractor = Extractor::new(vec![Field::css("price=.price")?])?;
/// let options = Options::builder().extractor(extractor).per_host(2).robots(true).build()?;
/// # let _ = options;
/// assert!(Options::builder().header("no header").build().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options have no effect until they are built and run"]
pub struct OptionsBuilder {
    options: Options,
    /// `None` for the usual one: `POST` where there is a body, else `GET`.
    method: Option<Method>,
    headers: Vec<String>,
    save: Option<PathBuf>,
    archives: ArchivePaths,
    trust_files: Vec<PathBuf>,
    http_proxy: Option<String>,
    https_proxy: Option<String>,
    /// For `http` and `https`.
    environment_proxies: [Option<String>; 2],
}

impl Options {
    /// Returns a builder of options that fetch every URL and read nothing from it but its length.
    /// With an [extractor](OptionsBuilder::extractor) they scrape.
    pub fn builder() -> OptionsBuilder {
        let options = Options {
            extractor: None,
            workers: WORKERS,
            per_host: PER_HOST,
            delay: Duration::ZERO,
            throttle: None,
            timeout: TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            first_byte_timeout: None,
            retries: RETRIES,
            host_errors_max: HOST_ERRORS_MAX,
            redirects_max: REDIRECTS_MAX,
            body_bytes_max: BODY_BYTES_MAX,
            method: Method::Get,
            data: None,
            retry_post: false,
            follow_refresh: false,
            cookie_jar: None,
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
            archives: Archives::default(),
            finder: None,
        };
        OptionsBuilder {
            options,
            method: None,
            headers: Vec::new(),
            save: None,
            archives: ArchivePaths::default(),
            trust_files: Vec::new(),
            http_proxy: None,
            https_proxy: None,
            environment_proxies: [None, None],
        }
    }
}

impl OptionsBuilder {
    /// Reads the title and the fields of every page. Without it pages are only fetched.
    pub fn extractor(mut self, extractor: Extractor) -> Self {
        self.options.extractor = Some(Arc::new(extractor));
        self
    }

    /// Sets how many threads make requests at once, at least one. The default is 64.
    pub fn workers(mut self, workers: usize) -> Self {
        self.options.workers = workers.max(1);
        self
    }

    /// Sets how many requests to one host there may be at once; 0 means no limit. The default is 8.
    /// A host is a name or an IP address, with a port. While a host must wait, the run goes on with
    /// others, as far as it looks ahead: 8,192 inputs, or as many as have 8 MiB of URLs.
    pub fn per_host(mut self, requests: usize) -> Self {
        self.options.per_host = requests;
        self
    }

    /// Sets the least time between the starts of two requests to one host. The default is none.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.options.delay = delay;
        self
    }

    /// Asks each host as fast as it answers: the delay between two requests follows the time to the
    /// first byte of its responses, divided by `target`; it doubles when the host asks to be left
    /// alone or does not answer in time, and it is never less than the delay that is set or that
    /// robots.txt wants. The first requests go one by one. 0 asks without such a delay, which is
    /// the default.
    pub fn throttle(mut self, target: f64) -> Self {
        self.options.throttle = (target > 0.0).then_some(target);
        self
    }

    /// Sets the time for one attempt, redirects and body included. The default is 30 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Sets the time to look up the host, and again to connect to it, TLS included. The default is
    /// 10 seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// Sets the time from the connection to the first byte of the response, in which the request is
    /// sent; for every redirect anew. It is never more than the attempt has left, which is the
    /// default: only the caller can tell a server that thinks for long from one that is gone.
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.options.first_byte_timeout = Some(timeout);
        self
    }

    /// Sets how often to retry after a transient failure: no connection, no response on one, and
    /// the statuses 429, 502, 503 and 504. The default is twice. Before each retry there is a
    /// pause, twice as long every time, of five seconds at the most; or as long as `Retry-After`
    /// says, but no longer than a minute. After 429 and 503 the whole host is left alone for so
    /// long. No thread waits meanwhile.
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.retries = retries;
        self
    }

    /// Sets after how many rows a host is given up that ended in a row, without a retry left, in no
    /// response or in a status that is retried. Its other rows are failures of the kind
    /// [`Host`](crate::FailureKind::Host) at once. Any other answer, a 500 too, starts the count
    /// anew. 0 means never; the default is 30. A host is a name or an IP address, with a port.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use silkmill::CancelToken;
    /// use silkmill_scrape::{FailureKind, Input, Options, run};
    ///
    /// let options = Options::builder().workers(1).retries(0).host_errors_max(2).build()?;
    /// let inputs = (0..5).map(|page| Input::url(format!("http://127.0.0.1:1/{page}")));
    /// let mut given_up = 0;
    /// run(inputs, &options, &CancelToken::new(), &mut |row| {
    ///     given_up += u64::from(row.error.is_some_and(|error| error.kind == FailureKind::Host));
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert_eq!(given_up, 3);
    /// # Ok::<(), silkmill_scrape::Error>(())
    /// ```
    pub fn host_errors_max(mut self, rows: u32) -> Self {
        self.options.host_errors_max = rows;
        self
    }

    /// Sets how many redirects to follow in one attempt; one more is a failure. With 0 none is
    /// followed, and the redirect itself is the response. The default is 10.
    pub fn redirects_max(mut self, redirects: u32) -> Self {
        self.options.redirects_max = redirects;
        self
    }

    /// Sets how much of a body to read, in bytes after decompression. The default is 10 MiB.
    pub fn body_bytes_max(mut self, bytes: u64) -> Self {
        self.options.body_bytes_max = bytes;
        self
    }

    /// Sets the method of every request. The default is `GET`, or `POST` with [data](Self::data).
    /// Where redirects lead, it changes as the Fetch standard has it: `POST` becomes `GET` after
    /// 301 and 302, and every method but `HEAD` after 303.
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Sends these bytes, at most 64 MiB, as the body of every request: as a form, unless a header
    /// says `Content-Type`. A request with a body, or with a method that is not idempotent, is
    /// never sent a second time when it may have arrived, unless [`retry_post`](Self::retry_post)
    /// is set. A redirect with 307 or 308 takes it along.
    pub fn data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.options.data = Some(data.into().into());
        self
    }

    /// Retries every request, also one that does something a second time when it arrives twice.
    pub fn retry_post(mut self, yes: bool) -> Self {
        self.options.retry_post = yes;
        self
    }

    /// Takes `Refresh` headers and `<meta http-equiv=refresh>` for redirects, if they lead to
    /// another page within a minute. They are not waited for, and count as redirects.
    pub fn follow_refresh(mut self, yes: bool) -> Self {
        self.options.follow_refresh = yes;
        self
    }

    /// Sends and keeps cookies over the whole run. Without a jar each URL begins without cookies,
    /// and keeps those that are set on its way.
    pub fn cookie_jar(mut self, jar: &CookieJar) -> Self {
        self.options.cookie_jar = Some(jar.clone());
        self
    }

    /// Hands on the rows in the order of the input. By default each comes when it is ready.
    pub fn ordered(mut self, yes: bool) -> Self {
        self.options.ordered = yes;
        self
    }

    /// Keeps the bodies in a folder, each as a file that is named by the index of its row in at
    /// least eight digits: `00000042`. [`build`](Self::build) makes the folder. A body that cannot
    /// be kept is an error of its row.
    pub fn save(mut self, folder: impl AsRef<Path>) -> Self {
        self.save = Some(folder.as_ref().to_owned());
        self
    }

    /// Measures the CPU time of every request, for the advice in [`Summary`](crate::Summary).
    pub fn measure_cpu(mut self, yes: bool) -> Self {
        self.options.measure_cpu = yes;
        self
    }

    /// Adds a header to every request, as `Name: value`. `Authorization`, `Cookie`, `Host` and
    /// `Proxy-Authorization` go to the origin of the URL that was given, and to no other. What is
    /// no header is refused, and so is one that says how the connection is used.
    pub fn header(mut self, line: impl Into<String>) -> Self {
        self.headers.push(line.into());
        self
    }

    /// Sets the `User-Agent` header. The default is `silkmill/` and the version.
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.options.user_agent = name.into();
        self
    }

    /// Refuses every private, loopback and link-local IP address, after its name was looked up, for
    /// every redirect anew. Without it, a URL that was given may lead to a private address, and one
    /// that a server on the Internet redirects to may not.
    ///
    /// Behind a proxy that looks names up itself, only addresses that are written as such can be
    /// refused.
    pub fn deny_private(mut self, yes: bool) -> Self {
        self.options.deny_private = yes;
        self
    }

    /// Requests the robots.txt of every host first, and obeys it (RFC 9309): what it forbids is a
    /// row of the kind `robots`. The first word of the user agent is the name that files know the
    /// run by. A `Crawl-delay` is kept, too, up to a minute.
    pub fn robots(mut self, yes: bool) -> Self {
        self.options.robots = yes;
        self
    }

    /// Trusts the certificates of a PEM file besides the system's.
    pub fn trust_file(mut self, path: impl AsRef<Path>) -> Self {
        self.trust_files.push(path.as_ref().to_owned());
        self
    }

    /// Accepts every certificate. Then any machine on the way may read and change what is sent.
    pub fn insecure(mut self, yes: bool) -> Self {
        self.options.trust.accepts_any_certificate = yes;
        self
    }

    /// Sets the proxy for every URL: `http://`, `https://` for one that is reached over TLS,
    /// `socks5://` or, for one that looks names up, `socks5h://`, with a user and password if it
    /// wants them.
    pub fn proxy(self, proxy: impl Into<String>) -> Self {
        let proxy = proxy.into();
        self.proxy_for_http(proxy.clone()).proxy_for_https(proxy)
    }

    /// Sets the proxy for URLs that begin with `http:`.
    pub fn proxy_for_http(mut self, proxy: impl Into<String>) -> Self {
        self.http_proxy = Some(proxy.into());
        self
    }

    /// Sets the proxy for URLs that begin with `https:`.
    pub fn proxy_for_https(mut self, proxy: impl Into<String>) -> Self {
        self.https_proxy = Some(proxy.into());
        self
    }

    /// Sets the proxies for URLs that begin with `http:` and with `https:`, where none are set
    /// otherwise: those that an environment names for all programs. A name that is no proxy's is an
    /// error of the rows that need it, and not of the run.
    pub fn environment_proxies(mut self, http: Option<String>, https: Option<String>) -> Self {
        self.environment_proxies = [http, https];
        self
    }

    /// Names the hosts that are reached without a proxy, as the environment variable `NO_PROXY`
    /// lists them: names, with all below them, IP addresses and networks, separated by commas or
    /// spaces; `*` is all.
    pub fn no_proxy(mut self, hosts: &str) -> Self {
        self.options.proxies.exceptions = Exceptions::parse(hosts);
        self
    }

    /// Finds the IP addresses of a host with `lookup` instead of the system. It is called on
    /// threads of its own and may block: the deadlines hold.
    ///
    /// ```
    /// use silkmill_scrape::Options;
    ///
    /// // Every name is this machine's.
    /// let options = Options::builder().resolver(|_| Ok(vec![[127, 0, 0, 1].into()])).build()?;
    /// # let _ = options;
    /// # Ok::<(), silkmill_scrape::Error>(())
    /// ```
    pub fn resolver(
        mut self,
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        self.options.lookup = Hook(Some(Arc::new(lookup)));
        self
    }

    /// Opens every connection with `connect`, within a time, instead of the system. It sees every
    /// IP address that is about to be connected to, after all rules, and can lead it elsewhere.
    ///
    /// ```
    /// use std::io;
    /// use silkmill_scrape::Options;
    ///
    /// let connect = |_, _| Err(io::Error::other("not today"));
    /// let options = Options::builder().connector(connect).build()?;
    /// # let _ = options;
    /// # Ok::<(), silkmill_scrape::Error>(())
    /// ```
    pub fn connector(
        mut self,
        connect: impl Fn(SocketAddr, Duration) -> io::Result<TcpStream> + Send + Sync + 'static,
    ) -> Self {
        self.options.connect = Hook(Some(Arc::new(connect)));
        self
    }

    /// Checks what was set, reads the certificates and makes the folder for bodies.
    ///
    /// # Errors
    ///
    /// When the data is too long; when a header is none, or belongs to the connection; when a
    /// header cannot hold the user agent; when a proxy has no such URL; when a file of certificates
    /// cannot be read or holds none; when the folder cannot be made; when an archive cannot be
    /// opened.
    pub fn build(self) -> Result<Options, Error> {
        let mut options = self.options;
        if options.data.as_ref().is_some_and(|data| data.len() > DATA_BYTES_MAX) {
            return Err(ErrorKind::Data(DATA_BYTES_MAX).into());
        }
        options.method = match self.method {
            Some(method) => method,
            None if options.data.is_some() => Method::parse("POST")?,
            None => Method::Get,
        };
        for line in &self.headers {
            options.headers.push(header(line)?);
        }
        if !is_value(&options.user_agent) {
            return Err(ErrorKind::UserAgent(options.user_agent).into());
        }
        let given = |proxy: &str| Proxy::parse(proxy).map(Ok);
        let found = |proxy: &str| Proxy::parse(proxy).map_err(Arc::new);
        let [http_found, https_found] =
            self.environment_proxies.map(|name| name.as_deref().map(found));
        options.proxies.http = self.http_proxy.as_deref().map(given).transpose()?.or(http_found);
        options.proxies.https = self.https_proxy.as_deref().map(given).transpose()?.or(https_found);
        for path in &self.trust_files {
            options.trust.add_file(path)?;
        }
        options.save = self.save.map(folder).transpose()?;
        self.archives.open_for(&mut options)?;
        Ok(options)
    }
}

/// Splits a header line into its name and value.
fn header(line: &str) -> Result<(String, String), Error> {
    let bad = || ErrorKind::Header(line.to_owned());
    let (name, value) = line.split_once(':').ok_or_else(bad)?;
    let (name, value) = (name.trim(), value.trim());
    if !is_name(name) || !is_value(value) || line.len() > URL_BYTES_MAX {
        return Err(bad().into());
    }
    if RESERVED_HEADERS.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return Err(ErrorKind::HeaderNotOurs(name.to_owned()).into());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Makes the folder for bodies.
fn folder(path: PathBuf) -> Result<Folder, Error> {
    Folder::new(&path)
        .map_err(|error| ErrorKind::Save(path.clone(), io_error_in_words(&error)).into())
}

/// Tells whether a text can be the name of a header or a method: a token of RFC 9110.
pub(super) fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// Tells whether a text can be the value of a header.
fn is_value(value: &str) -> bool {
    !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t')
}
