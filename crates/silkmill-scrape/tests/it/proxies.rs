//! Requests through proxies, which are small servers of the test's own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use silkmill_scrape::{FailureKind, OptionsBuilder, Phase};
use silkmill_testkit::{Authority, Identity, Reply, Server};

use crate::tls::trusting;
use crate::{fault, once, row};

/// The request that a proxy received, and the server to which it carries the bytes that follow.
type Served = io::Result<(String, Option<TcpStream>)>;
type Serve = fn(&mut BufReader<TcpStream>) -> Served;

/// Accepts connections for as long as the test lasts.
fn proxy(serve: Serve) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = BufReader::new(stream);
            let Ok((what, there)) = serve(&mut stream) else { continue };
            if sender.send(what).is_err() {
                return;
            }
            if let Some(there) = there {
                thread::spawn(move || join(stream.into_inner(), there));
            }
        }
    });
    (port, asked)
}

/// Carries bytes both ways until either side ends.
fn join(here: TcpStream, there: TcpStream) {
    let (mut from_here, mut to_there) = (here.try_clone().unwrap(), there.try_clone().unwrap());
    let forth = thread::spawn(move || {
        let _ = io::copy(&mut from_here, &mut to_there);
        let _ = to_there.shutdown(Shutdown::Write);
    });
    let (mut from_there, mut to_here) = (there, here);
    let _ = io::copy(&mut from_there, &mut to_here);
    let _ = to_here.shutdown(Shutdown::Both);
    let _ = forth.join();
}

/// Accepts TLS, and carries the bytes to a proxy that does not speak it.
fn secured(identity: &Identity, proxy: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let identity = identity.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let identity = identity.clone();
            // A client that closes ends this with an error, which is expected.
            thread::spawn(move || carry(&identity, stream, proxy));
        }
    });
    port
}

/// Carries bytes both ways on one thread, since a session of TLS has one. Bytes that do not come
/// soon are read in the next round.
fn carry(identity: &Identity, here: TcpStream, proxy: u16) -> io::Result<()> {
    let mut there = TcpStream::connect(("127.0.0.1", proxy))?;
    let tcp = here.try_clone()?;
    let mut here = identity.accept(here)?;
    // The handshake may take its time; only then are short reads no failure.
    here.flush()?;
    for stream in [&tcp, &there] {
        stream.set_read_timeout(Some(Duration::from_millis(2)))?;
    }
    loop {
        let ends = pass_on(&mut here, &mut there)? | pass_on(&mut there, &mut here)?;
        here.flush()?;
        if ends {
            return Ok(());
        }
    }
}

/// Carries the bytes that come soon. Returns whether the end came.
fn pass_on(from: &mut impl Read, to: &mut impl Write) -> io::Result<bool> {
    let mut bytes = [0; 16 * 1024];
    match from.read(&mut bytes) {
        Ok(length) => to.write_all(&bytes[..length]).map(|()| length == 0),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn read_head(from: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head)? == 0 {
            break;
        }
    }
    Ok(head)
}

/// Connects to the port at the end of `name:port`, on this machine whatever the name.
fn connect(target: &str) -> io::Result<TcpStream> {
    let port = target.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0);
    TcpStream::connect(("127.0.0.1", port))
}

fn http(stream: &mut BufReader<TcpStream>) -> Served {
    let head = read_head(stream)?;
    if head.starts_with("CONNECT") {
        let there = connect(head.split(' ').nth(1).unwrap_or_default())?;
        stream.get_mut().write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
        return Ok((head, Some(there)));
    }
    let body = "through the proxy";
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.get_mut().write_all(answer.as_bytes())?;
    Ok((head, None))
}

fn socks(stream: &mut BufReader<TcpStream>) -> Served {
    let mut greeting = [0; 3];
    stream.read_exact(&mut greeting)?;
    stream.get_mut().write_all(&[5, 0])?;
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    let host = match head[3] {
        1 => {
            let mut address = [0; 4];
            stream.read_exact(&mut address)?;
            std::net::Ipv4Addr::from(address).to_string()
        }
        _ => {
            let mut length = [0];
            stream.read_exact(&mut length)?;
            let mut name = vec![0; usize::from(length[0])];
            stream.read_exact(&mut name)?;
            String::from_utf8_lossy(&name).into_owned()
        }
    };
    let mut port = [0; 2];
    stream.read_exact(&mut port)?;
    let target = format!("{host}:{}", u16::from_be_bytes(port));
    let there = connect(&target)?;
    stream.get_mut().write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok((target, Some(there)))
}

fn refusing(stream: &mut BufReader<TcpStream>) -> Served {
    let head = read_head(stream)?;
    stream.get_mut().write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n")?;
    Ok((head, None))
}

fn through(scheme: &str, port: u16) -> OptionsBuilder {
    once().proxy(format!("{scheme}://127.0.0.1:{port}"))
}

#[test]
fn a_page_is_asked_of_the_proxy_itself() {
    let (port, asked) = proxy(http);
    let options = once().proxy(format!("http://me:secret@127.0.0.1:{port}"));

    let row = row(&options, "http://nowhere.invalid/a?b");

    assert_eq!((row.status, row.bytes), (Some(200), "through the proxy".len() as u64));
    let head = asked.recv().unwrap();
    assert!(head.starts_with("GET http://nowhere.invalid/a?b HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"), "{head}");
}

#[test]
fn tls_goes_through_the_proxy_untouched() {
    let authority = Authority::new();
    let server =
        Server::start_tls(&authority.issue(&["a.test"]), |_| Reply::html("hello")).unwrap();
    let path = std::env::temp_dir().join(format!("silkmill-{}-proxy.pem", std::process::id()));
    std::fs::write(&path, authority.pem()).unwrap();
    for (scheme, serve) in [("http", http as Serve), ("socks5h", socks)] {
        let (port, asked) = proxy(serve);
        let options = through(scheme, port).trust_file(&path);

        let row = row(&options, &server.url_of("a.test", "/"));

        assert_eq!((row.status, row.bytes, row.error), (Some(200), 5, None), "{scheme}");
        // The proxy looks the name up.
        assert!(asked.recv().unwrap().contains(&format!("a.test:{}", server.port())));
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn socks_is_told_the_address_that_was_checked() {
    let server = Server::start(|_| Reply::html("hello")).unwrap();
    let (port, asked) = proxy(socks);
    let options = through("socks5", port).resolver(|_| Ok(vec![[127, 0, 0, 9].into()]));

    let page = row(&options, &server.url_of("a.test", "/"));
    assert_eq!((page.status, page.error), (Some(200), None));
    assert_eq!(asked.recv().unwrap(), format!("127.0.0.9:{}", server.port()));

    let denied = row(&options.deny_private(true), &server.url_of("a.test", "/"));
    assert_eq!(fault(&denied), (FailureKind::Blocked, Phase::Resolve));
    assert!(asked.try_recv().is_err());
}

#[test]
fn a_private_address_is_denied_behind_a_proxy_too_where_it_is_written() {
    let (port, asked) = proxy(http);
    let options = through("http", port).deny_private(true);

    let denied = row(&options, "http://10.0.0.1/");
    assert_eq!(fault(&denied), (FailureKind::Blocked, Phase::Resolve));
    assert!(asked.try_recv().is_err());
    // A name is taken to be public.
    assert_eq!(row(&options, "http://nowhere.invalid/").status, Some(200));
}

#[test]
fn hosts_that_are_excepted_are_asked_directly() {
    let server = Server::start(|_| Reply::html("directly")).unwrap();
    let (port, asked) = proxy(http);

    let row = row(&through("http", port).no_proxy("x.test, 127.0.0.0/8"), &server.url("/"));

    assert_eq!(row.bytes, "directly".len() as u64);
    assert!(asked.try_recv().is_err());
}

#[test]
fn a_proxy_that_refuses_is_a_connect_error_that_quotes_it() {
    let (port, _asked) = proxy(refusing);

    let row = row(&through("http", port), "https://nowhere.invalid/");

    assert_eq!(fault(&row), (FailureKind::Connect, Phase::Connect));
    assert!(row.error.unwrap().message.contains("403"));
}

#[test]
fn a_proxy_may_be_spoken_to_over_tls() {
    let authority = Authority::new();
    let (plain, asked) = proxy(http);
    let port = secured(&authority.issue(&["127.0.0.1"]), plain);
    let server =
        Server::start_tls(&authority.issue(&["a.test"]), |_| Reply::html("x".repeat(300_000)))
            .unwrap();
    let options = once().proxy(format!("https://me:secret@127.0.0.1:{port}"));
    let options = trusting(options, &authority, "secure-proxy");

    let page = row(&options, "http://nowhere.invalid/a?b");
    assert_eq!(
        (page.status, page.bytes),
        (Some(200), "through the proxy".len() as u64),
        "{page:?}"
    );
    let head = asked.recv().unwrap();
    assert!(head.starts_with("GET http://nowhere.invalid/a?b HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"), "{head}");

    let tunnelled = row(&options, &server.url_of("a.test", "/"));
    assert_eq!((tunnelled.status, tunnelled.bytes), (Some(200), 300_000), "{tunnelled:?}");
    assert!(asked.recv().unwrap().starts_with("CONNECT a.test:"));
}

#[test]
fn what_is_wrong_with_the_tls_of_a_proxy_is_said_to_be_the_proxys() {
    let authority = Authority::new();
    let (plain, asked) = proxy(http);
    let strange = secured(&Authority::new().issue(&["127.0.0.1"]), plain);
    for (port, says) in
        [(strange, "the proxy: the certificate's issuer is not trusted"), (plain, "the proxy: ")]
    {
        let options = once().proxy(format!("https://127.0.0.1:{port}"));

        let row = row(&trusting(options, &authority, "strange-proxy"), "http://nowhere.invalid/");

        assert_eq!(fault(&row).1, Phase::Connect, "{row:?}");
        let message = row.error.unwrap().message;
        assert!(message.starts_with(says), "{message}");
    }
    // No page was requested.
    assert!(!asked.try_iter().any(|head| head.contains("nowhere")));
}

#[test]
fn a_proxy_that_is_gone_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for (scheme, url) in [
        ("http", "http://a.test/"),
        ("http", "https://a.test/"),
        ("https", "http://a.test/"),
        ("socks5h", "http://a.test/"),
    ] {
        let row = row(&once().proxy(format!("{scheme}://{address}")), url);

        assert_eq!(fault(&row), (FailureKind::Connect, Phase::Connect), "{scheme}");
        let message = row.error.unwrap().message;
        assert_eq!(message, format!("the proxy: connection refused ({address})"), "{scheme}");
    }
}

#[test]
fn a_proxy_of_the_environment_that_is_none_fails_the_rows_that_need_it() {
    let server = Server::start(|_| Reply::html("x")).unwrap();
    for name in ["socks://127.0.0.1:9", "socks4://127.0.0.1:9"] {
        let options = once().environment_proxies(Some(name.to_owned()), Some(name.to_owned()));

        let needed = row(&options, &server.url("/"));
        let unneeded = row(&options.no_proxy("10.0.0.1 127.0.0.1"), &server.url("/"));

        assert_eq!(fault(&needed), (FailureKind::Connect, Phase::Connect));
        let message = needed.error.unwrap().message;
        assert!(message.contains("proxy") && message.contains("socks5"), "{message}");
        assert_eq!(unneeded.status, Some(200));
    }
}
