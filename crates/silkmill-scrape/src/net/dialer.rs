//! Makes a connection: looks up the host, checks its IP addresses against the rule, connects and
//! agrees on TLS; or does all that through a proxy. Each step has its deadline, and the interrupter
//! ends it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::{Host, Url};

use crate::net::address::{self, Rule};
use crate::net::connect::connect;
use crate::net::connection::{Connection, Socket, Stream};
use crate::net::deadline::Deadline;
use crate::net::fault::Fault;
use crate::net::interrupter::Interrupter;
use crate::net::proxy::{Destination, Kind, Proxies, Proxy};
use crate::net::resolver::{Lookup, LookupError, Resolver};
use crate::net::tls::{Tls, Trust};
use crate::net::trace::Trace;
use crate::row::{FailureKind, Phase};

/// The most IP addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;
/// The least time that each IP address gets while another is left.
const ADDRESS_TIME_MIN: Duration = Duration::from_millis(250);

/// Opens a TCP connection instead of the system.
pub(crate) type Connect = dyn Fn(SocketAddr, Duration) -> io::Result<TcpStream> + Send + Sync;

/// The options of a run that matter to its connections.
pub(crate) struct DialerSettings {
    /// Stands for the system's lookup, if it is set.
    pub(crate) lookup: Option<Arc<Lookup>>,
    /// Stands for the system's connect, if it is set.
    pub(crate) connect: Option<Arc<Connect>>,
    pub(crate) trust: Trust,
    pub(crate) proxies: Proxies,
    /// The time for a whole attempt.
    pub(crate) timeout: Duration,
    /// The time for each step of an attempt: the lookup, then the connection with TLS.
    pub(crate) connect_timeout: Duration,
}

/// Makes the connections of one run.
pub(crate) struct Dialer {
    resolver: Resolver,
    tls: Tls,
    proxies: Proxies,
    /// Stands for the system's connect, if it is set.
    connect: Option<Arc<Connect>>,
    timeout: Duration,
    connect_timeout: Duration,
}

impl Dialer {
    pub(crate) fn new(settings: DialerSettings) -> Dialer {
        Dialer {
            resolver: Resolver::new(settings.lookup),
            tls: Tls::new(settings.trust),
            proxies: settings.proxies,
            connect: settings.connect,
            timeout: settings.timeout,
            connect_timeout: settings.connect_timeout,
        }
    }

    /// Ends every wait for a lookup, for good.
    pub(crate) fn stop(&self) {
        self.resolver.stop();
    }

    /// Makes a connection over which `url` can be requested, if `rule` permits it, by `ends` at the
    /// latest.
    pub(crate) fn dial(
        &self,
        url: &Url,
        rule: Rule,
        ends: Instant,
        interrupter: &Interrupter,
        trace: &mut Trace,
    ) -> Result<Connection, Fault> {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Fault::permanent(
                FailureKind::Url,
                Phase::Input,
                "the address has no host",
            ));
        };
        let mut dial = Dial { dialer: self, rule, ends, interrupter, trace };
        let server = Server { url, host, port };
        let proxy = self.proxies.proxy_for(url).map_err(|why| {
            Fault::permanent(FailureKind::Connect, Phase::Connect, why.to_string())
        })?;
        let (mut stream, is_private, forwarded) = match proxy {
            None => {
                let (stream, is_private) = dial.directly(&server)?;
                (stream, is_private, None)
            }
            Some(proxy) => {
                let (stream, is_private) = dial.through(proxy, &server)?;
                (stream, is_private, (!server.needs_tunnel(proxy)).then(|| proxy.authorization()))
            }
        };
        dial.watch(&stream)?;
        if url.scheme() == "https" {
            dial.trace.enter(Phase::Tls);
            let secured = self.secured(stream, url.host_str().unwrap_or_default());
            stream = secured.map_err(|error| dial.fault(&error))?;
        }
        let mut connection = Connection::new(stream, is_private);
        connection.forwarded = forwarded.map(Into::into);
        Ok(connection)
    }

    /// Agrees on TLS with `host`. Never inlined: the room that it needs on the stack would
    /// otherwise be taken for every connection, on every thread.
    #[inline(never)]
    fn secured(&self, stream: Stream, host: &str) -> io::Result<Stream> {
        stream.secured(self.tls.session(host)?)
    }
}

/// One connection under way.
struct Dial<'a> {
    dialer: &'a Dialer,
    rule: Rule,
    ends: Instant,
    interrupter: &'a Interrupter,
    trace: &'a mut Trace,
}

/// The server that is wanted.
struct Server<'a> {
    url: &'a Url,
    host: Host<&'a str>,
    port: u16,
}

impl Server<'_> {
    /// Tells whether the proxy only passes bytes on. Otherwise the page itself is requested from
    /// it.
    fn needs_tunnel(&self, proxy: &Proxy) -> bool {
        proxy.kind != Kind::Http || self.url.scheme() == "https"
    }
}

impl Dial<'_> {
    /// Connects to the server itself, and tells whether it is in a private network.
    fn directly(&mut self, server: &Server<'_>) -> Result<(Stream, Option<bool>), Fault> {
        let addresses = self.permitted(&server.host)?;
        let (socket, address) = self.connect(&addresses, server.port)?;
        Ok((Stream::Plain(socket), Some(address::is_private(address))))
    }

    /// Connects to the proxy, and through it to the server where it only passes bytes on. Tells
    /// whether the server is in a private network, as far as that can be known.
    fn through(
        &mut self,
        proxy: &Proxy,
        server: &Server<'_>,
    ) -> Result<(Stream, Option<bool>), Fault> {
        let target = self.target(proxy, server)?;
        let stream = self.tunnel(proxy, server, &target);
        Ok((
            stream.map_err(|fault| fault.of_proxy(proxy.host(), proxy.port()))?,
            target.is_private(),
        ))
    }

    fn tunnel(
        &mut self,
        proxy: &Proxy,
        server: &Server<'_>,
        target: &Target,
    ) -> Result<Stream, Fault> {
        let addresses = self.addresses(proxy.host())?;
        let (socket, _) = self.connect(&addresses, proxy.port())?;
        let stream = Stream::Plain(socket);
        self.watch(&stream)?;
        let mut stream = match proxy.is_secure() {
            true => {
                self.dialer.secured(stream, proxy.host()).map_err(|error| self.fault(&error))?
            }
            false => stream,
        };
        if server.needs_tunnel(proxy) {
            proxy
                .connect(&mut stream, &target.as_destination(server.url))
                .map_err(|error| self.fault(&error))?;
        }
        Ok(stream)
    }

    /// Lets the interrupter end the waits for this connection.
    fn watch(&self, stream: &Stream) -> Result<(), Fault> {
        self.interrupter.watch(stream.tcp()).map_err(|error| self.fault(&error))
    }

    /// Returns the deadline of the next step: its own, or that of the whole attempt.
    fn step(&self) -> Deadline {
        let at = Instant::now() + self.dialer.connect_timeout;
        match at < self.ends {
            true => Deadline { at, limit: self.dialer.connect_timeout },
            false => Deadline { at: self.ends, limit: self.dialer.timeout },
        }
    }

    fn fault(&self, error: &io::Error) -> Fault {
        let is_early = Instant::now() < self.ends;
        let limit = if is_early { self.dialer.connect_timeout } else { self.dialer.timeout };
        Fault::new(error, self.trace.phase(), limit)
    }

    /// Returns the IP addresses of a host that the rule permits, at least one.
    fn permitted(&mut self, host: &Host<&str>) -> Result<Vec<IpAddr>, Fault> {
        let mut addresses = match host {
            Host::Domain(name) => self.addresses(name)?,
            Host::Ipv4(address) => vec![(*address).into()],
            Host::Ipv6(address) => vec![(*address).into()],
        };
        addresses.retain(|&address| self.rule.permits(address));
        if addresses.is_empty() {
            let why = self.rule.refusal(&host.to_string());
            return Err(Fault::permanent(FailureKind::Blocked, Phase::Resolve, why));
        }
        Ok(addresses)
    }

    fn addresses(&mut self, host: &str) -> Result<Vec<IpAddr>, Fault> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        let since = Instant::now();
        let deadline = self.step();
        let found = self.dialer.resolver.find(host, deadline.at);
        self.trace.looked_up(since.elapsed());
        match found {
            Ok(addresses) => Ok(addresses.iter().copied().take(ADDRESSES_MAX).collect()),
            Err(LookupError::TimedOut) => Err(Fault::timed_out(Phase::Resolve, deadline.limit)),
            Err(LookupError::NotFound(not_found)) => Err(Fault {
                is_transient: not_found.is_transient,
                ..Fault::permanent(FailureKind::Dns, Phase::Resolve, not_found.why)
            }),
        }
    }

    /// Returns where a proxy is sent, as far as that can be checked: an IP address, or with
    /// `socks5` the address of a name that is looked up here. A name that the proxy looks up is
    /// taken to be public.
    fn target(&mut self, proxy: &Proxy, server: &Server<'_>) -> Result<Target, Fault> {
        if matches!(server.host, Host::Domain(_)) && proxy.kind != Kind::Socks5 {
            return Ok(Target::Name(server.port));
        }
        let addresses = self.permitted(&server.host)?;
        Ok(Target::Address(SocketAddr::new(addresses[0], server.port)))
    }

    /// Connects to the first of the IP addresses that accepts, and returns it. Each has its share
    /// of the time.
    fn connect(&mut self, addresses: &[IpAddr], port: u16) -> Result<(Socket, IpAddr), Fault> {
        self.trace.enter(Phase::Connect);
        let deadline = self.step();
        let mut error = io::Error::from(io::ErrorKind::TimedOut);
        for (at, &address) in addresses.iter().enumerate() {
            let left = deadline.at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                error = io::ErrorKind::TimedOut.into();
                break;
            }
            let share = left / u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
            let time = share.max(ADDRESS_TIME_MIN).min(left);
            match self.connect_to(SocketAddr::new(address, port), time) {
                Ok(tcp) => {
                    // A socket that refuses is slower, and nothing else.
                    let _ = tcp.set_nodelay(true);
                    // The next step, TLS or the proxy's response, has the rest of the same time.
                    return Ok((Socket::new(tcp, deadline.at), address));
                }
                Err(refused) => error = refused,
            }
        }
        Err(Fault::new(&error, Phase::Connect, deadline.limit))
    }

    fn connect_to(&self, address: SocketAddr, time: Duration) -> io::Result<Arc<TcpStream>> {
        match &self.dialer.connect {
            None => connect(address, time, self.interrupter),
            Some(connect) => connect(address, time).map(Arc::new),
        }
    }
}

enum Target {
    Name(u16),
    Address(SocketAddr),
}

impl Target {
    fn as_destination<'a>(&self, url: &'a Url) -> Destination<'a> {
        match self {
            Target::Name(port) => Destination::Name(url.host_str().unwrap_or_default(), *port),
            Target::Address(address) => Destination::Address(*address),
        }
    }

    fn is_private(&self) -> Option<bool> {
        match self {
            Target::Name(_) => None,
            Target::Address(address) => Some(address::is_private(address.ip())),
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("resolver", &self.resolver).finish_non_exhaustive()
    }
}
