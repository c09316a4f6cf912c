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
    // RFC 6761 keeps `.invalid` from ever being found; the answer may need a server to say so.
    let row = row(&once().timeout(FAR_TOO_LONG / 2), "http://no-such-host.invalid/");

    let (kind, phase) = fault(&row);
    assert_eq!(phase, Phase::Resolve);
    assert!(matches!(kind, FailureKind::Dns | FailureKind::Timeout), "{kind}");
}

#[test]
fn a_title_is_read_from_a_page_that_was_cut() {
    let server = always(|| Reply::endless_body("<title>Endless</title>"));
    let extractor = silkmill_scrape::Extractor::new(Vec::new()).unwrap();
    let options = silkmill_scrape::Options::scrape(extractor).retries(0).body_bytes_max(10_000);

    let row = row(&options, &server.url("/"));

    assert_eq!((row.title.as_deref(), row.truncated), (Some("Endless"), true));
}
