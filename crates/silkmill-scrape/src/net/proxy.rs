//! Proxies: which one is used for a URL, and how it is told to connect.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use url::{Host, Url};

use crate::error::{Error, ErrorKind};

/// The most bytes of a proxy's answer to `CONNECT`, which is read byte by byte.
const ANSWER_BYTES_MAX: usize = 32 * 1024;

/// A server that makes requests, or connections, on behalf of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) kind: Kind,
    /// The URL that named the proxy.
    url: Url,
    user: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The page itself is requested from it, or a `CONNECT` where TLS goes through it.
    Http,
    /// SOCKS 5 (RFC 1928), given an IP address.
    Socks5,
    /// SOCKS 5, given a name.
    Socks5Name,
}

impl Proxy {
    /// Parses `http://`, `https://`, `socks5://` or `socks5h://`, with a user, host and port.
    /// Without a scheme it is `http`.
    pub(crate) fn parse(text: &str) -> Result<Proxy, Error> {
        let refuse = |why: &str| ErrorKind::Proxy(text.to_owned(), why.to_owned());
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&full).map_err(|error| refuse(&error.to_string()))?;
        let kind = match url.scheme() {
            "http" | "https" => Kind::Http,
            "socks5" => Kind::Socks5,
            "socks5h" => Kind::Socks5Name,
            _ => return Err(refuse("only http, https, socks5 and socks5h are known").into()),
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refuse("it has no host").into());
        }
        let user = (!url.username().is_empty())
            .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
        if let Some((name, password)) = &user
            && kind != Kind::Http
            && (name.len() > 255 || password.len() > 255)
        {
            return Err(refuse("the user's name or password is too long for SOCKS").into());
        }
        Ok(Proxy { kind, url, user })
    }

    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        let default = if self.kind == Kind::Http { 80 } else { 1080 };
        self.url.port_or_known_default().unwrap_or(default)
    }

    /// Tells whether the proxy is reached over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Returns the header line that identifies the user to the proxy, or nothing.
    pub(crate) fn authorization(&self) -> String {
        match &self.user {
            Some((name, password)) => {
                let pair = BASE64_STANDARD.encode(format!("{name}:{password}"));
                format!("Proxy-Authorization: Basic {pair}\r\n")
            }
            None => String::new(),
        }
    }

    /// Tells the proxy to connect to a host. Afterwards the stream leads to the host.
    pub(crate) fn connect(
        &self,
        stream: &mut (impl Read + Write),
        to: &Destination<'_>,
    ) -> io::Result<()> {
        match self.kind {
            Kind::Http => self.connect_http(stream, to),
            Kind::Socks5 | Kind::Socks5Name => self.connect_socks(stream, to),
        }
    }

    fn connect_http(
        &self,
        stream: &mut (impl Read + Write),
        to: &Destination<'_>,
    ) -> io::Result<()> {
        let (host, port) = to.host_and_port();
        let request = format!(
            "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{}\r\n",
            self.authorization()
        );
        stream.write_all(request.as_bytes())?;
        // Byte by byte, since everything after the head is the host's.
        let mut from = BufReader::with_capacity(1, stream);
        let mut head = Vec::new();
        loop {
            let before = head.len();
            from.by_ref().take((ANSWER_BYTES_MAX - before) as u64).read_until(b'\n', &mut head)?;
            if head.len() == before || head.last() != Some(&b'\n') {
                return Err(io::Error::other("its answer is not HTTP"));
            }
            if matches!(&head[before..], b"\r\n" | b"\n") {
                break;
            }
        }
        let line = String::from_utf8_lossy(&head);
        let line = line.lines().next().unwrap_or_default();
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
        match status.and_then(|status| status.parse::<u16>().ok()) {
            Some(200..=299) => Ok(()),
            Some(407) => Err(io::Error::other("it wants a user and a password")),
            Some(status) => Err(io::Error::other(format!("it refused with status {status}"))),
            None => Err(io::Error::other("its answer is not HTTP")),
        }
    }

    fn connect_socks(
        &self,
        stream: &mut (impl Read + Write),
        to: &Destination<'_>,
    ) -> io::Result<()> {
        let refuse = |why: &str| io::Error::other(format!("it {why}"));
        let method = if self.user.is_some() { 2 } else { 0 };
        stream.write_all(&[5, 1, method])?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer)?;
        match (&self.user, answer) {
            (_, [version, _]) if version != 5 => return Err(refuse("does not speak SOCKS 5")),
            (_, [_, chosen]) if chosen != method => return Err(refuse("wants another user")),
            (Some((name, password)), _) => {
                let mut bytes = vec![1, name.len() as u8];
                bytes.extend_from_slice(name.as_bytes());
                bytes.push(password.len() as u8);
                bytes.extend_from_slice(password.as_bytes());
                stream.write_all(&bytes)?;
                stream.read_exact(&mut answer)?;
                if answer[1] != 0 {
                    return Err(refuse("does not take the user and password"));
                }
            }
            (None, _) => {}
        }
        stream.write_all(&to.socks_request()?)?;
        let mut head = [0; 4];
        stream.read_exact(&mut head)?;
        if head[1] != 0 {
            return Err(refuse(socks_error(head[1])));
        }
        let length = match head[3] {
            1 => 4,
            4 => 16,
            3 => {
                let mut length = [0];
                stream.read_exact(&mut length)?;
                usize::from(length[0])
            }
            _ => return Err(refuse("does not speak SOCKS 5")),
        };
        stream.read_exact(&mut vec![0; length + 2])
    }
}

/// Where a proxy is to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination<'a> {
    Name(&'a str, u16),
    Address(SocketAddr),
}

impl Destination<'_> {
    fn host_and_port(&self) -> (String, u16) {
        match self {
            Destination::Name(name, port) => ((*name).to_owned(), *port),
            Destination::Address(SocketAddr::V4(address)) => {
                (address.ip().to_string(), address.port())
            }
            Destination::Address(SocketAddr::V6(address)) => {
                (format!("[{}]", address.ip()), address.port())
            }
        }
    }

    fn socks_request(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![5, 1, 0];
        let port = match self {
            Destination::Address(address) => {
                match address.ip() {
                    IpAddr::V4(ip) => {
                        bytes.push(1);
                        bytes.extend_from_slice(&ip.octets());
                    }
                    IpAddr::V6(ip) => {
                        bytes.push(4);
                        bytes.extend_from_slice(&ip.octets());
                    }
                }
                address.port()
            }
            Destination::Name(name, port) => {
                let length = u8::try_from(name.len())
                    .map_err(|_| io::Error::other("the host's name is too long for SOCKS"))?;
                bytes.extend_from_slice(&[3, length]);
                bytes.extend_from_slice(name.as_bytes());
                *port
            }
        };
        bytes.extend_from_slice(&port.to_be_bytes());
        Ok(bytes)
    }
}

fn socks_error(code: u8) -> &'static str {
    match code {
        2 => "does not allow the connection",
        3 => "cannot reach the network",
        4 => "cannot reach the host",
        5 => "says: connection refused",
        6 => "says: the time to live expired",
        _ => "failed to connect",
    }
}

/// Decodes `%xx` in a user's name or password.
pub(crate) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte =
            hex.filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A proxy; or why a name in the environment is none, which matters to the URLs that need it.
pub(crate) type Named = Result<Proxy, Arc<Error>>;

/// The proxies of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    pub(crate) http: Option<Named>,
    pub(crate) https: Option<Named>,
    pub(crate) exceptions: Exceptions,
}

impl Proxies {
    /// Returns the proxy for a URL, unless it is requested directly.
    pub(crate) fn proxy_for(&self, url: &Url) -> Result<Option<&Proxy>, &Error> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        match proxy.as_ref().filter(|_| !self.exceptions.include(url)) {
            Some(Ok(proxy)) => Ok(Some(proxy)),
            Some(Err(why)) => Err(why),
            None => Ok(None),
        }
    }
}

/// The hosts that are reached without a proxy, as `NO_PROXY` lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exceptions(Vec<Exception>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    Everything,
    /// A name and all below it, perhaps with a port.
    Name(String, Option<u16>),
    /// A network: an IP address, and how many of its bits count.
    Network(IpAddr, u32),
}

impl Exceptions {
    /// Parses names, IP addresses and networks (`10.0.0.0/8`), separated by commas or white space;
    /// `*` is everything. Anything else is ignored.
    pub(crate) fn parse(list: &str) -> Exceptions {
        let words = list
            .split(|char: char| char == ',' || char.is_whitespace())
            .filter(|word| !word.is_empty());
        Exceptions(words.filter_map(Exception::parse).collect())
    }

    fn include(&self, url: &Url) -> bool {
        self.0.iter().any(|exception| exception.includes(url))
    }
}

impl Exception {
    fn parse(word: &str) -> Option<Exception> {
        if word == "*" {
            return Some(Exception::Everything);
        }
        let bare = word.trim_matches(['[', ']']);
        let (address, bits) = match bare.split_once('/') {
            Some((address, bits)) => (address.trim_matches(['[', ']']), Some(bits.parse().ok()?)),
            None => (bare, None),
        };
        if let Ok(address) = address.parse::<IpAddr>() {
            let all = if address.is_ipv4() { 32 } else { 128 };
            return Some(Exception::Network(address, bits.unwrap_or(all).min(all)));
        }
        let (name, port) = match word.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (word, None),
        };
        let name = name.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
        Some(Exception::Name(name, port))
    }

    fn includes(&self, url: &Url) -> bool {
        match (self, url.host()) {
            (Exception::Everything, _) => true,
            (Exception::Name(name, port), Some(host)) => {
                let host = host.to_string();
                let below = host
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                below && port.is_none_or(|port| Some(port) == url.port_or_known_default())
            }
            (Exception::Network(network, bits), Some(Host::Ipv4(address))) => {
                is_in(*network, *bits, address.into())
            }
            (Exception::Network(network, bits), Some(Host::Ipv6(address))) => {
                is_in(*network, *bits, address.into())
            }
            _ => false,
        }
    }
}

fn is_in(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let differ = u32::from(network) ^ u32::from(address);
            differ.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let differ = u128::from(network) ^ u128::from(address);
            differ.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_named_by_scheme_user_host_and_port() {
        let proxy = Proxy::parse("socks5://me:p%40ss@127.0.0.1:9050").unwrap();
        assert_eq!((proxy.kind, proxy.host(), proxy.port()), (Kind::Socks5, "127.0.0.1", 9050));
        assert_eq!(proxy.user, Some(("me".to_owned(), "p@ss".to_owned())));
        let bare = Proxy::parse("proxy.test:3128").unwrap();
        assert_eq!((bare.kind, bare.port()), (Kind::Http, 3128));
        assert_eq!(Proxy::parse("socks5h://p.test").unwrap().port(), 1080);
        let secure = Proxy::parse("https://p.test").unwrap();
        assert_eq!((secure.kind, secure.is_secure(), secure.port()), (Kind::Http, true, 443));
        for bad in ["", "https://", "ftp://p.test", "http://", "http://p.test:x"] {
            assert!(Proxy::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn exceptions_are_names_addresses_and_networks() {
        let exceptions = Exceptions::parse(
            "a.test, .b.test,10.0.0.0/8,::1,[fd00::]/8,192.0.2.1,c.test:8080, x:y",
        );
        for (url, included) in [
            ("http://a.test/", true),
            ("http://x.a.test/", true),
            ("http://xa.test/", false),
            ("http://B.test/", true),
            ("http://10.9.8.7/", true),
            ("http://11.9.8.7/", false),
            ("http://192.0.2.1:5/", true),
            ("http://192.0.2.2/", false),
            ("http://[::1]/", true),
            ("http://[fd12::1]/", true),
            ("http://[fe80::1]/", false),
            ("http://c.test:8080/", true),
            ("http://c.test/", false),
        ] {
            assert_eq!(exceptions.include(&Url::parse(url).unwrap()), included, "{url}");
        }
        let spaced = Exceptions::parse(" a.test  b.test\t10.0.0.1, c.test");
        for url in ["http://a.test/", "http://b.test/", "http://10.0.0.1/", "http://c.test/"] {
            assert!(spaced.include(&Url::parse(url).unwrap()), "{url}");
        }
        assert!(Exceptions::parse("*").include(&Url::parse("http://any.test/").unwrap()));
    }

    /// A stream that returns scripted bytes, and keeps what was written to it.
    struct Script<'a>(&'a [u8], Vec<u8>);

    impl Read for Script<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(into)
        }
    }

    impl Write for Script<'_> {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            self.1.write(from)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn connect(
        proxy: &str,
        to: &Destination<'_>,
        answer: &[u8],
    ) -> (io::Result<()>, Vec<u8>, usize) {
        let mut script = Script(answer, Vec::new());
        let result = Proxy::parse(proxy).unwrap().connect(&mut script, to);
        (result, script.1, script.0.len())
    }

    #[test]
    fn connect_reads_nothing_of_what_comes_after() {
        let (result, sent, left) = connect(
            "http://u:p@p.test",
            &Destination::Name("a.test", 443),
            b"HTTP/1.0 200 Fine\r\nX: y\r\n\r\nserver",
        );
        result.unwrap();
        let sent = String::from_utf8(sent).unwrap();
        assert!(sent.starts_with("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n"), "{sent}");
        assert!(sent.contains("Proxy-Authorization: Basic dTpw\r\n"), "{sent}");
        assert_eq!(left, "server".len());
    }

    #[test]
    fn a_proxy_that_refuses_is_quoted() {
        let to = Destination::Name("a.test", 443);
        let refused =
            |answer: &[u8]| connect("http://p.test", &to, answer).0.unwrap_err().to_string();
        assert!(refused(b"HTTP/1.1 403 No\r\n\r\n").contains("403"));
        assert!(refused(b"HTTP/1.1 407 No\r\n\r\n").contains("password"));
        assert!(refused(b"SSH-2.0\r\n\r\n").contains("not HTTP"));
        assert!(refused(b"").contains("not HTTP"));
        assert!(refused(b"HTTP/1.1 200 OK\r\n").contains("not HTTP"));
        assert!(refused(&b"HTTP/1.1 200 OK\r\n".repeat(9000)).contains("not HTTP"));
        let socks =
            |answer: &[u8]| connect("socks5://p.test", &to, answer).0.unwrap_err().to_string();
        assert!(socks(&[5, 0, 5, 5, 0, 1]).contains("connection refused"));
        assert!(socks(&[5, 255]).contains("user"));
        assert!(socks(b"HTTP").contains("SOCKS"));
    }

    #[test]
    fn socks_is_told_a_name_or_an_address() {
        let done = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let (result, sent, left) =
            connect("socks5h://p.test", &Destination::Name("a.test", 443), &done);
        assert!(result.is_ok() && left == 0);
        assert_eq!(sent, b"\x05\x01\x00\x05\x01\x00\x03\x06a.test\x01\xbb");

        let to = Destination::Address("127.0.0.1:80".parse().unwrap());
        let with_user = [5, 2, 1, 0, 5, 0, 0, 3, 1, b'x', 0, 0];
        let (result, sent, left) = connect("socks5://u:p@p.test", &to, &with_user);
        assert!(result.is_ok() && left == 0);
        assert_eq!(sent, b"\x05\x01\x02\x01\x01u\x01p\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50");
    }
}
