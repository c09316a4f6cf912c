//! Every way for a server to misbehave is one row, of the right kind, in bounded time.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use silkmill_scrape::{FailureKind, Options, Phase};
use silkmill_testkit::{Authority, Reply, Request, Server};

use crate::tls::trusting;
use crate::{FAR_TOO_LONG, fault, hasty, once, row};

/// Starts a server that answers every request the same way.
fn always(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |_| reply()).unwrap()
}

#[test]
fn a_server_that_never_answers_is_a_timeout_of_the_response() {
    let server = always(Reply::silence);

    let row = row(&hasty(), &server.url("/"));

    assert_eq!(fault(&row), (FailureKind::Timeout, Phase::Response));
    assert_eq!((row.status, row.attempts), (None, 1));
    assert!(row.timing.connect.is_some() && row.timing.first_byte.is_none());
}

#[test]
fn one_byte_of_the_head_a_second_is_a_timeout_of_the_response() {
    let server = always(Reply::drip_head);

    let row = row(&hasty(), &server.url("/"));

    assert_eq!(fault(&row), (FailureKind::Timeout, Phase::Response));
}

#[test]
fn one_byte_of_the_body_a_second_is_a_timeout_of_the_body() {
    let server = always(|| Reply::drip_body("x".repeat(100)));

    let row = row(&hasty(), &server.url("/"));

    assert_eq!(fault(&row), (FailureKind::Timeout, Phase::Body));
    assert_eq!(row.status, Some(200));
}

#[test]
fn an_endless_body_is_cut() {
    let server = always(|| Reply::endless_body("<p>again"));

    let row = row(&once().body_bytes_max(100_000), &server.url("/"));

    assert_eq!((row.error.as_ref(), row.bytes, row.truncated), (None, 100_000, true));
}

#[test]
fn a_body_of_just_the_bound_is_not_cut() {
    let server = always(|| Reply::html("x".repeat(1000)));

    let whole = row(&once().body_bytes_max(1000), &server.url("/"));
    let cut = row(&once().body_bytes_max(999), &server.url("/"));

    assert_eq!((whole.bytes, whole.truncated), (1000, false));
    assert_eq!((cut.bytes, cut.truncated), (999, true));
}

#[test]
fn a_gzip_bomb_is_cut_by_its_decoded_length() {
    let bomb = Reply::gzip(&vec![b'x'; 50_000_000]);
    let server = Server::start(move |_| bomb.clone()).unwrap();

    let row = row(&once().body_bytes_max(1_000_000), &server.url("/"));

    assert_eq!((row.error.as_ref(), row.bytes, row.truncated), (None, 1_000_000, true));
}

#[test]
fn endless_headers_break_the_protocol() {
    let server = always(Reply::endless_headers);

    let row = row(&once(), &server.url("/"));

    assert_eq!(fault(&row), (FailureKind::Protocol, Phase::Response));
}

#[test]
fn a_body_shorter_than_promised_is_a_body_error() {
    let server = always(|| Reply::short("<p>half", 100));

    let row = row(&once(), &server.url("/"));

    assert_eq!(fault(&row), (FailureKind::Body, Phase::Body));
    assert_eq!(row.status, Some(200));
}

#[test]
fn a_chunk_without_a_size_breaks_the_protocol_in_the_body() {
    let server = always(|| Reply::bad_chunk("<p>one"));

    let row = row(&once(), &server.url("/"));

    assert_eq!(fault(&row), (FailureKind::Protocol, Phase::Body));
}

#[test]
fn broken_gzip_is_a_body_error() {
    let server = always(|| Reply::html("no gzip").header("Content-Encoding", "gzip"));

    let row = row(&once(), &server.url("/"));

    assert_eq!(fault(&row), (FailureKind::Body, Phase::Body));
}

#[test]
fn a_reset_instead_of_an_answer_breaks_the_protocol() {
    let server = always(|| Reply::reset(""));

    let row = row(&once(), &server.url("/"));

    assert_eq!(fault(&row), (FailureKind::Protocol, Phase::Response));
}

#[test]
fn a_reset_in_the_body_is_a_body_error() {
    let server = always(|| Reply::reset("x".repeat(1_000_000)));

    let row = row(&once(), &server.url("/"));

    assert_eq!(fault(&row), (FailureKind::Body, Phase::Body));
}

#[test]
fn an_answer_that_is_not_http_breaks_the_protocol() {
    for garbage in ["", "SSH-2.0-OpenSSH\r\n", "<html>no head</html>", "HTTP/9.9 what\r\n\r\n"] {
        let server = always(move || Reply::raw(garbage));

        let row = row(&once(), &server.url("/"));

        assert_eq!(fault(&row), (FailureKind::Protocol, Phase::Response), "{garbage:?}");
        assert!(!row.error.unwrap().message.starts_with("protocol"), "{garbage:?}");
    }
}

#[test]
fn bytes_that_are_no_text_do_not_break_the_row() {
    let page: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let server = Server::start(move |_| Reply::html(page.clone())).unwrap();

    let row = row(&once(), &server.url("/"));

    assert_eq!((row.error, row.bytes), (None, 70_000));
}

#[test]
fn plain_http_where_tls_is_asked_for_is_a_tls_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Speak TLS to me\r\n\r\n").unwrap();
    });

    let row = row(&once(), &url);
    server.join().unwrap();

    assert_eq!(fault(&row), (FailureKind::Tls, Phase::Tls));
}

#[test]
fn a_server_that_never_answers_the_tls_hello_is_a_timeout_of_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());

    let row = row(&hasty(), &url);

    assert_eq!(fault(&row), (FailureKind::Timeout, Phase::Tls));
}

#[test]
fn a_port_that_nobody_listens_on_is_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);

    let row = row(&once(), &url);

    assert_eq!(fault(&row), (FailureKind::Connect, Phase::Connect));
    assert_eq!(row.error.unwrap().message, "connection refused");
}

#[test]
fn a_name_that_is_nobodys_is_a_dns_error() {
    let options =
        once().retries(2).resolver(|_| Err(std::io::Error::other("Name or service not known")));

    let row = row(&options, "http://no-such-host.invalid/");

    assert_eq!((fault(&row), row.attempts), ((FailureKind::Dns, Phase::Resolve), 1));
    assert_eq!(row.error.unwrap().message, "name or service not known");
}

#[test]
fn a_title_is_read_from_a_page_that_was_cut() {
    let server = always(|| Reply::endless_body("<title>Endless</title>"));
    let extractor = silkmill_scrape::Extractor::new(Vec::new()).unwrap();
    let options = Options::builder().extractor(extractor).retries(0).body_bytes_max(10_000);

    let row = row(&options, &server.url("/"));

    assert_eq!((row.title.as_deref(), row.truncated), (Some("Endless"), true));
}

/// The failure that a row should have, if any.
type Expected = Option<(FailureKind, Phase)>;

/// Returns every way to misbehave on an open connection: its name, the reply, and the expected
/// failure.
fn kinds() -> Vec<(&'static str, Reply, Expected)> {
    use FailureKind::{Body, Protocol, Redirects, Timeout};
    let lengths = Reply::html("x").header("Content-Length", "7");
    let bomb = Reply::gzip(&vec![b'x'; 20_000_000]);
    vec![
        ("/silence", Reply::silence(), Some((Timeout, Phase::Response))),
        ("/drip-head", Reply::drip_head(), Some((Timeout, Phase::Response))),
        ("/drip-body", Reply::drip_body("x".repeat(100)), Some((Timeout, Phase::Body))),
        ("/endless-body", Reply::endless_body("<p>again"), None),
        ("/endless-headers", Reply::endless_headers(), Some((Protocol, Phase::Response))),
        ("/bomb", bomb, None),
        ("/loop", Reply::redirect("/loop"), Some((Redirects, Phase::Response))),
        ("/short", Reply::short("<p>half", 100), Some((Body, Phase::Body))),
        ("/bad-chunk", Reply::bad_chunk("<p>one"), Some((Protocol, Phase::Body))),
        ("/reset", Reply::reset(""), Some((Protocol, Phase::Response))),
        ("/reset-body", Reply::reset("x".repeat(1_000_000)), Some((Body, Phase::Body))),
        ("/nothing", Reply::raw(""), Some((Protocol, Phase::Response))),
        ("/garbage", Reply::raw("SSH-2.0-OpenSSH\r\n"), Some((Protocol, Phase::Response))),
        ("/nul", Reply::html("<title>\0N\0U\0L</title>\0"), None),
        ("/lengths", lengths, Some((Protocol, Phase::Response))),
    ]
}

/// Returns a handler that misbehaves in the way that the path names.
fn every_hostile_server() -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let kinds = kinds();
    move |request| {
        let kind = kinds.iter().find(|(path, ..)| *path == request.path());
        kind.map_or_else(|| Reply::html("<title>good</title>"), |(_, reply, _)| reply.clone())
    }
}

const ZOO_BODY_BYTES_MAX: u64 = 1_000_000;

#[test]
fn every_kind_of_server_gives_the_same_row_over_tls() {
    let authority = Authority::new();
    let plain = Server::start(every_hostile_server()).unwrap();
    let tls = Server::start_tls(&authority.issue(&["a.test"]), every_hostile_server()).unwrap();
    let slow = trusting(hasty().body_bytes_max(ZOO_BODY_BYTES_MAX), &authority, "slow");
    let other = trusting(once().body_bytes_max(ZOO_BODY_BYTES_MAX), &authority, "other");
    for (path, _, expected) in kinds() {
        let is_slow = expected.is_some_and(|(kind, _)| kind == FailureKind::Timeout);
        let options = if is_slow { &slow } else { &other };
        let asked = [&plain, &tls].map(|server| row(options, &server.url_of("a.test", path)));

        for row in &asked {
            let found = row.error.as_ref().map(|error| (error.kind, error.phase));
            assert_eq!(found, expected, "{row:?}");
        }
        let [plain, tls] = asked;
        // The last request of a chain uses a connection that was open.
        let is_first = tls.redirects.is_empty();
        assert!(plain.timing.tls.is_none() && tls.timing.tls.is_some() == is_first, "{path}");
        assert_eq!(
            (tls.status, tls.bytes, tls.truncated),
            (plain.status, plain.bytes, plain.truncated)
        );
        assert_eq!(tls.redirects.len(), plain.redirects.len());
    }
}

/// Set in the process that [`a_zoo_of_hosts_gives_one_row_each_and_holds_up_no_good_one`] starts,
/// so that no other test is in its memory.
const ALONE: &str = "SILKMILL_ZOO_ALONE";

/// The most memory of that process, the servers of the zoo included. Twenty bombs that were not
/// cut, or a second of an endless body, are more.
const ZOO_MEMORY_MAX_KIB: u64 = 256 * 1024;

#[test]
fn a_zoo_of_hosts_gives_one_row_each_and_holds_up_no_good_one() {
    if std::env::var_os(ALONE).is_none() {
        let name = "hostile::a_zoo_of_hosts_gives_one_row_each_and_holds_up_no_good_one";
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let output = alone.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}{complained}");
        return;
    }
    let authority = Authority::new();
    let servers = [
        Server::start(every_hostile_server()).unwrap(),
        Server::start_tls(&authority.issue(&["*.zoo.test"]), every_hostile_server()).unwrap(),
    ];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap().port();
    drop(listener);
    let cages = kinds();
    // Every page has a host of its own, and every other host speaks TLS. One of twenty is hostile,
    // and all kinds are among them, with TLS and without.
    let mut urls = Vec::new();
    let mut expected = Vec::new();
    for page in 0..20 * cages.len() * 2 {
        let host = format!("host-{page}.zoo.test");
        let server = &servers[page / 20 % 2];
        if page % 20 == 7 {
            let (path, _, fault) = &cages[page / 40];
            urls.push(server.url_of(&host, path));
            expected.push(*fault);
        } else if page % 20 == 11 {
            urls.push(format!("http://{host}:{closed}/"));
            expected.push(Some((FailureKind::Connect, Phase::Connect)));
        } else {
            urls.push(server.url_of(&host, "/"));
            expected.push(None);
        }
    }
    let extractor = silkmill_scrape::Extractor::new(Vec::new()).unwrap();
    let options = Options::builder()
        .extractor(extractor)
        .workers(16)
        .retries(1)
        .timeout(Duration::from_secs(2))
        .body_bytes_max(ZOO_BODY_BYTES_MAX);

    let (rows, summary) = crate::rows(&trusting(options, &authority, "zoo"), &urls);

    assert_eq!(rows.len(), urls.len());
    for (row, expected) in rows.iter().zip(expected) {
        let found = row.error.as_ref().map(|error| (error.kind, error.phase));
        assert_eq!(found, expected, "{row:?}");
        assert!(row.elapsed < FAR_TOO_LONG, "{row:?}");
    }
    assert!(summary.elapsed < FAR_TOO_LONG, "{summary:?}");
    let memory_kib = peak_memory_kib();
    eprintln!("the zoo took {:?} and {memory_kib:?} KiB", summary.elapsed);
    assert!(memory_kib.is_none_or(|kib| kib < ZOO_MEMORY_MAX_KIB), "{memory_kib:?}");
}

/// Returns the most memory that this process has had, where the system tells.
fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Starts a server that passes every connection to `misbehave`, once a byte has come over it.
fn before_tls(misbehave: impl Fn(TcpStream) + Send + 'static) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.peek(&mut [0]).unwrap();
        misbehave(stream);
    });
    (url, server)
}

/// Writes bytes over and over until the other side closes.
fn write_until_left(mut stream: TcpStream, bytes: &[u8], pause: Duration) {
    stream.set_write_timeout(Some(FAR_TOO_LONG)).unwrap();
    for byte in bytes.chunks(if pause.is_zero() { bytes.len() } else { 1 }).cycle() {
        if stream.write_all(byte).is_err() {
            return;
        }
        thread::sleep(pause);
    }
}

#[test]
fn a_server_may_misbehave_before_tls_stands() {
    /// Reads all of the hello, so that closing the connection is no reset.
    fn take_hello(stream: &mut TcpStream) {
        let length = stream.peek(&mut [0; 4096]).unwrap();
        stream.read_exact(&mut vec![0; length]).unwrap();
    }
    type Misbehave = fn(TcpStream);
    let reset: Misbehave = drop;
    let close: Misbehave = |mut stream| take_hello(&mut stream);
    let garbage: Misbehave =
        |stream| write_until_left(stream, b"HTTP/1.1 200 OK\r\n", Duration::ZERO);
    // An alert: handshake_failure.
    let alert: Misbehave = |mut stream| {
        take_hello(&mut stream);
        stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).unwrap();
    };
    // Records of a handshake message that claims to have sixteen megabytes.
    let endless: Misbehave = |stream| {
        let record = [&[22, 3, 3, 0x40, 0][..], &[2, 0xff, 0xff, 0xff], &[0; 0x3ffc]].concat();
        write_until_left(stream, &record, Duration::ZERO);
    };
    // A record that would take minutes to come, and empty records, one after the other.
    let drip: Misbehave = |stream| {
        let record = [&[22, 3, 3, 0x40, 0, 2][..], &[0; 1000]].concat();
        write_until_left(stream, &record, Duration::from_millis(20));
    };
    let empty: Misbehave =
        |stream| write_until_left(stream, &[20, 3, 3, 0, 1, 1].repeat(1000), Duration::ZERO);
    for (name, misbehave, kind) in [
        ("reset", reset, FailureKind::Tls),
        ("close", close, FailureKind::Tls),
        ("garbage", garbage, FailureKind::Tls),
        ("alert", alert, FailureKind::Tls),
        ("endless", endless, FailureKind::Tls),
        ("empty", empty, FailureKind::Tls),
        ("drip", drip, FailureKind::Timeout),
    ] {
        let (url, server) = before_tls(misbehave);
        let options = if kind == FailureKind::Timeout { hasty() } else { once() };

        let row = row(&options, &url);
        server.join().unwrap();

        assert_eq!(fault(&row), (kind, Phase::Tls), "{name}: {row:?}");
        assert_eq!((row.status, row.timing.tls), (None, None), "{name}");
        let message = row.error.unwrap().message;
        assert!(name != "alert" || message.contains("CBC"), "{message}");
        assert!(!message.contains("http") && !message.contains("rustls"), "{name}: {message}");
    }
}

#[test]
fn what_ends_tls_too_early_ends_the_row() {
    let authority = Authority::new();
    let to_end = "HTTP/1.1 200 OK\r\n\r\nbody";
    let server =
        Server::start_tls(&authority.issue(&["a.test"]), move |request| match request.path() {
            "/ended" => Reply::raw(to_end),
            "/left" => Reply::raw(to_end).without_close_notify(),
            "/left-whole" => Reply::short("body", 0).without_close_notify(),
            "/left-half" => Reply::short("body", 9).without_close_notify(),
            "/left-at-once" => Reply::raw("").without_close_notify(),
            "/left-in-head" => Reply::raw("HTTP/1.1 200 OK\r\nX").without_close_notify(),
            _ => Reply::broken_record("x".repeat(50_000)),
        })
        .unwrap();
    let options = trusting(once(), &authority, "ends");
    for (path, expected, bytes) in [
        ("/ended", None, 4),
        ("/left", Some((FailureKind::Body, Phase::Body)), 0),
        ("/left-whole", None, 4),
        ("/left-half", Some((FailureKind::Body, Phase::Body)), 0),
        ("/left-at-once", Some((FailureKind::Protocol, Phase::Response)), 0),
        ("/left-in-head", Some((FailureKind::Protocol, Phase::Response)), 0),
        ("/broken", Some((FailureKind::Tls, Phase::Body)), 0),
    ] {
        let row = row(&options, &server.url_of("a.test", path));

        let found = row.error.as_ref().map(|error| (error.kind, error.phase));
        assert_eq!((found, row.bytes), (expected, bytes), "{path}: {row:?}");
        let message = row.error.map(|error| error.message).unwrap_or_default();
        assert!(!message.contains("http"), "{path}: {message}");
    }
}

#[test]
fn bombs_of_every_encoding_are_cut() {
    // A megabyte of one letter, many times over, since a body of several frames is all of them; and
    // twenty megabytes in one stream.
    let zstd = [
        0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x54, 0x00, 0x00, 0x10, 0x78, 0x78, 0x01, 0x00, 0xfb,
        0xff, 0x39, 0xc0, 0x02, 0x02, 0x00, 0x10, 0x78, 0x02, 0x00, 0x10, 0x78, 0x02, 0x00, 0x10,
        0x78, 0x02, 0x00, 0x10, 0x78, 0x02, 0x00, 0x10, 0x78, 0x02, 0x00, 0x10, 0x78, 0x03, 0x00,
        0x10, 0x78,
    ];
    let brotli = [
        0xcb, 0xff, 0xff, 0x3f, 0xf8, 0x25, 0xf0, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x8f, 0xff,
        0xff, 0x7f, 0xf0, 0x4b, 0x00, 0xc4, 0x61, 0x11, 0x80, 0xee, 0xfd, 0x5f, 0xfe, 0xb3, 0xc4,
        0xe0, 0x97, 0x00, 0x88, 0xc3, 0x02, 0x00, 0x5d, 0x92, 0x18,
    ];
    let bodies = [("zstd", zstd.repeat(20)), ("br", brotli.to_vec())];
    for (name, body) in bodies {
        let reply = Reply::html(body).header("Content-Encoding", name);
        let server = Server::start(move |_| reply.clone()).unwrap();

        let row = row(&once().body_bytes_max(5_000_000), &server.url("/"));

        assert_eq!((row.error, row.bytes, row.truncated), (None, 5_000_000, true), "{name}");
    }
}
