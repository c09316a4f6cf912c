//! Every way for a server to misbehave is one row, of the right kind, in bounded time.

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use silkmill_scrape::{FailureKind, Phase};
use silkmill_testkit::{Reply, Server};

use crate::{FAR_TOO_LONG, fault, hasty, once, row};

/// A server that answers everything the same way.
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
    let options = silkmill_scrape::Options::scrape(extractor).retries(0).body_bytes_max(10_000);

    let row = row(&options, &server.url("/"));

    assert_eq!((row.title.as_deref(), row.truncated), (Some("Endless"), true));
}

/// A server on which every path misbehaves in the way it names.
fn zoo() -> Server {
    let bomb = Reply::gzip(&vec![b'x'; 20_000_000]);
    Server::start(move |request| match request.path() {
        "/silence" => Reply::silence(),
        "/drip-head" => Reply::drip_head(),
        "/drip-body" => Reply::drip_body("x".repeat(100)),
        "/endless-body" => Reply::endless_body("<p>again"),
        "/endless-headers" => Reply::endless_headers(),
        "/bomb" => bomb.clone(),
        "/loop" => Reply::redirect("/loop"),
        "/short" => Reply::short("<p>half", 100),
        "/bad-chunk" => Reply::bad_chunk("<p>one"),
        "/reset" => Reply::reset(""),
        "/reset-body" => Reply::reset("x".repeat(1_000_000)),
        "/garbage" => Reply::raw("SSH-2.0-OpenSSH\r\n"),
        "/nul" => Reply::html("<title>\0N\0U\0L</title>\0"),
        "/lengths" => Reply::html("x").header("Content-Length", "7"),
        _ => Reply::html("<title>good</title>"),
    })
    .unwrap()
}

#[test]
fn a_zoo_of_hosts_gives_one_row_each_and_holds_up_no_good_one() {
    let zoo = zoo();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap().port();
    drop(listener);
    let cages = [
        ("/silence", Some((FailureKind::Timeout, Phase::Response))),
        ("/drip-head", Some((FailureKind::Timeout, Phase::Response))),
        ("/drip-body", Some((FailureKind::Timeout, Phase::Body))),
        ("/endless-body", None),
        ("/endless-headers", Some((FailureKind::Protocol, Phase::Response))),
        ("/bomb", None),
        ("/loop", Some((FailureKind::Redirects, Phase::Response))),
        ("/short", Some((FailureKind::Body, Phase::Body))),
        ("/bad-chunk", Some((FailureKind::Protocol, Phase::Body))),
        ("/reset", Some((FailureKind::Protocol, Phase::Response))),
        ("/reset-body", Some((FailureKind::Body, Phase::Body))),
        ("/garbage", Some((FailureKind::Protocol, Phase::Response))),
        ("/nul", None),
        ("/lengths", Some((FailureKind::Protocol, Phase::Response))),
    ];
    // Every page has a host of its own; one of twenty is hostile, and all kinds are among them.
    let mut urls = Vec::new();
    let mut expected = Vec::new();
    for page in 0..20 * cages.len() * 2 {
        let host = format!("host-{page}.test");
        if page % 20 == 7 {
            let (path, fault) = cages[page / 20 % cages.len()];
            urls.push(zoo.url_of(&host, path));
            expected.push(fault);
        } else if page % 20 == 11 {
            urls.push(format!("http://{host}:{closed}/"));
            expected.push(Some((FailureKind::Connect, Phase::Connect)));
        } else {
            urls.push(zoo.url_of(&host, "/"));
            expected.push(None);
        }
    }
    let extractor = silkmill_scrape::Extractor::new(Vec::new()).unwrap();
    let options = silkmill_scrape::Options::scrape(extractor)
        .workers(16)
        .retries(1)
        .timeout(std::time::Duration::from_secs(2))
        .body_bytes_max(1_000_000)
        .resolver(|_| Ok(vec![[127, 0, 0, 1].into()]));

    let (rows, summary) = crate::rows(&options, &urls);

    assert_eq!(rows.len(), urls.len());
    for (row, expected) in rows.iter().zip(expected) {
        let found = row.error.as_ref().map(|error| (error.kind, error.phase));
        assert_eq!(found, expected, "{row:?}");
        assert!(row.elapsed < FAR_TOO_LONG, "{row:?}");
    }
    assert!(summary.elapsed < FAR_TOO_LONG, "{summary:?}");
}

#[test]
fn bombs_of_every_encoding_are_cut() {
    // A megabyte of one letter, many times over, for a body of several frames is all of them; and
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
