//! The parts that `ureq` makes a connection from, each of which notes what it does in a [`Trace`].
//! What is asked over the connection is `client`'s.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, NextTimeout, RustlsConnector, TcpConnector,
    Transport,
};

use crate::address;
use crate::outcome::Phase;
use crate::trace::Trace;

/// How long a host's addresses are good for. The system does not tell us what the zone says.
const NAME_AGE_MAX: Duration = Duration::from_secs(60);
/// Hosts remembered at once; beyond that all are forgotten, which costs lookups and nothing else.
const NAMES_MAX: usize = 4096;
/// Addresses of one host that are tried, as many as `ureq` takes.
const ADDRESSES_MAX: usize = 16;

/// What the clients of one run share: the addresses of hosts, and the set-up of TLS.
#[derive(Clone, Default)]
pub(crate) struct Shared {
    /// Written and read by every worker, for the time of one look.
    names: Arc<Mutex<HashMap<String, Remembered>>>,
    tls: Arc<RustlsConnector>,
}

/// The addresses of a host, and since when they are known.
type Remembered = (Instant, Vec<IpAddr>);

impl Shared {
    /// The resolver for one client.
    pub(crate) fn resolver(&self, trace: &Trace) -> impl Resolver + use<> {
        Names { shared: self.clone(), trace: trace.clone(), system: DefaultResolver::default() }
    }

    /// The connector for one client: TCP, then TLS if the address wants it.
    pub(crate) fn connector(&self, trace: &Trace) -> impl Connector<Out: Transport> + use<> {
        ().chain(Mark { trace: trace.clone() })
            .chain(TcpConnector::default())
            .chain(Tls { trace: trace.clone(), inner: Arc::clone(&self.tls) })
            .chain(Tracing { trace: trace.clone() })
    }

    fn remembered(&self, host: &str) -> Option<Vec<IpAddr>> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, addresses) = names.get(host)?;
        (since.elapsed() < NAME_AGE_MAX).then(|| addresses.clone())
    }

    fn remember(&self, host: &str, addresses: Vec<IpAddr>) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(host.to_owned(), (Instant::now(), addresses));
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Why a host is not asked: a public server led to it, and all its addresses are private.
#[derive(Debug)]
pub(crate) struct Blocked {
    host: String,
}

impl StdError for Blocked {}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a public server redirected to {:?}, whose address is private", self.host)
    }
}

/// Finds addresses: written in the URL, remembered, or asked of the system.
///
/// `ureq` asks before every request, also when a connection is there already, and the system's
/// answer takes it a thread; so the answers are remembered.
#[derive(Debug)]
struct Names {
    shared: Shared,
    trace: Trace,
    system: DefaultResolver,
}

impl Names {
    fn addresses(
        &self,
        uri: &Uri,
        host: &str,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<Vec<IpAddr>, ureq::Error> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        if let Some(addresses) = self.shared.remembered(host) {
            return Ok(addresses);
        }
        let since = Instant::now();
        let found = self.system.resolve(uri, config, timeout);
        self.trace.looked_up(since.elapsed());
        let addresses: Vec<IpAddr> = found?.iter().map(SocketAddr::ip).collect();
        self.shared.remember(host, addresses.clone());
        Ok(addresses)
    }
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port =
            uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let found = self.addresses(uri, host, config, timeout)?;
        self.trace.resolved(found.iter().any(|&address| !address::is_private(address)));
        let permitted = address::permitted(found, self.trace.redirected_by_public());
        if permitted.is_empty() {
            return Err(ureq::Error::Other(Box::new(Blocked { host: host.to_owned() })));
        }
        let mut addresses = self.empty();
        for address in permitted.into_iter().take(ADDRESSES_MAX) {
            addresses.push(SocketAddr::new(address, port));
        }
        Ok(addresses)
    }
}

/// Stands before the TCP connector and notes that it is its turn.
#[derive(Debug)]
struct Mark {
    trace: Trace,
}

impl<In: Transport> Connector<In> for Mark {
    type Out = In;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<In>, ureq::Error> {
        self.trace.enter(Phase::Connect);
        Ok(chained)
    }
}

/// TLS with one set-up for all clients, so that a session of one can be resumed by another.
#[derive(Debug)]
struct Tls {
    trace: Trace,
    inner: Arc<RustlsConnector>,
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, <RustlsConnector as Connector<In>>::Out>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        if !details.needs_tls() {
            return Ok(chained.map(Either::A));
        }
        self.trace.enter(Phase::Tls);
        Ok(self.inner.connect(details, chained)?.map(Either::B))
    }
}

/// Stands after all others, and wraps the connection so that it notes what comes and goes.
#[derive(Debug)]
struct Tracing {
    trace: Trace,
}

impl<In: Transport> Connector<In> for Tracing {
    type Out = Traced<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        self.trace.enter(Phase::Request);
        Ok(chained.map(|inner| Traced { inner, trace: self.trace.clone() }))
    }
}

/// A connection that notes what comes and goes.
#[derive(Debug)]
struct Traced<T> {
    inner: T,
    trace: Trace,
}

impl<T: Transport> Transport for Traced<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.trace.enter(Phase::Request);
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.trace.awaits();
        let some = self.inner.await_input(timeout)?;
        if some {
            self.trace.received();
        }
        Ok(some)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(url: &str, redirected_by_public: bool) -> Result<Vec<SocketAddr>, ureq::Error> {
        let trace = Trace::new();
        trace.begin(redirected_by_public);
        let names = Shared::default().resolver(&trace);
        let uri: Uri = url.parse().unwrap();
        let found = names.resolve(&uri, &Config::default(), NextTimeout::default())?;
        Ok(found.iter().copied().collect())
    }

    #[test]
    fn an_address_in_the_url_needs_no_lookup() {
        assert_eq!(resolve("http://127.0.0.1/", false).unwrap(), ["127.0.0.1:80".parse().unwrap()]);
        assert_eq!(resolve("https://[::1]/", false).unwrap(), ["[::1]:443".parse().unwrap()]);
        assert_eq!(
            resolve("http://1.1.1.1:8080/", true).unwrap(),
            ["1.1.1.1:8080".parse().unwrap()]
        );
    }

    #[test]
    fn a_public_server_cannot_redirect_into_a_private_network() {
        for url in ["http://127.0.0.1/", "http://169.254.169.254/", "https://[::1]/"] {
            let Err(ureq::Error::Other(why)) = resolve(url, true) else {
                panic!("{url} is let in")
            };
            assert!(why.is::<Blocked>());
        }
    }

    #[test]
    fn a_name_is_looked_up_once() {
        let shared = Shared::default();

        assert_eq!(shared.remembered("a.example"), None);
        shared.remember("a.example", vec![[1, 1, 1, 1].into()]);
        assert_eq!(shared.remembered("a.example"), Some(vec![[1, 1, 1, 1].into()]));
    }
}
