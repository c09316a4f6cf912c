//! The bytes of requests, their number, and the connections they use.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use silkmill_scrape::{FailureKind, Method, Phase};
use silkmill_testkit::{Reply, Server};

use crate::{FAR_TOO_LONG, fault, once, row, rows};

#[test]
fn what_may_pass_is_asked_for_again() {
    let asked = AtomicU64::new(0);
    let server = Server::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::reset(""),
        1 => Reply::status(503),
        _ => Reply::html("at last"),
    })
    .unwrap();

    let row = row(&once().retries(5), &server.url("/"));

    assert_eq!((row.status, row.attempts, row.error), (Some(200), 3, None));
}

#[test]
fn what_does_not_pass_is_the_last_row_said() {
    let server = Server::start(|_| Reply::status(429)).unwrap();

    let row = row(&once().retries(2), &server.url("/"));

    assert_eq!((row.status, row.attempts, row.error), (Some(429), 3, None));
    assert_eq!(server.requests(), 3);
}

#[test]
fn a_status_that_stays_is_asked_for_once() {
    for status in [200, 204, 400, 404, 410, 500] {
        let server = Server::start(move |_| Reply::status(status)).unwrap();

        let row = row(&once().retries(2), &server.url("/"));

        assert_eq!((row.status, row.attempts, server.requests()), (Some(status), 1, 1));
    }
}

#[test]
fn one_worker_uses_one_connection() {
    let server = Server::start(|_| Reply::html("x".repeat(100_000))).unwrap();
    let urls: Vec<String> = (0..20).map(|page| server.url(&format!("/{page}"))).collect();

    let (rows, _) = rows(&once().workers(1), &urls);

    assert_eq!((server.requests(), server.connections()), (20, 1));
    let connected = rows.iter().filter(|row| row.timing.connect.is_some()).count();
    assert_eq!(connected, 1);
    assert!(rows.iter().all(|row| &*row.worker == "fetch-0" && row.timing.first_byte.is_some()));
    assert!(rows.iter().all(|row| row.timing.tls.is_none() && row.timing.dns.is_none()));
}

#[test]
fn all_workers_ask_at_once() {
    const WORKERS: u64 = 16;
    let asked = AtomicU64::new(0);
    // No request is answered before all have come.
    let server = Server::start(move |_| {
        asked.fetch_add(1, Ordering::Relaxed);
        let since = Instant::now();
        while asked.load(Ordering::Relaxed) < WORKERS {
            if since.elapsed() > FAR_TOO_LONG / 2 {
                return Reply::status(500);
            }
            thread::sleep(Duration::from_millis(1));
        }
        Reply::html("x")
    })
    .unwrap();
    let urls: Vec<String> = (0..WORKERS).map(|page| server.url(&format!("/{page}"))).collect();

    let (rows, _) = rows(&once().workers(WORKERS as usize).per_host(0), &urls);

    assert!(rows.iter().all(|row| row.status == Some(200)), "{rows:?}");
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_not_an_error() {
    // The server does not announce that it closes, and closes after every response.
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let server = Server::start(move |_| Reply::raw(answer)).unwrap();
    let urls = vec![server.url("/"); 50];

    let (rows, summary) = rows(&once().workers(2), &urls);

    assert_eq!((rows.len(), summary.errors), (50, 0));
    assert!(rows.iter().all(|row| row.attempts == 1 && row.status == Some(200)));
}

#[test]
fn head_asks_for_no_body() {
    let server = Server::start(|request| Reply::html(request.method())).unwrap();

    let row = row(&once().method(Method::Head), &server.url("/"));

    assert_eq!((row.status, row.bytes, row.error), (Some(200), 0, None));
}

#[test]
fn gzip_is_asked_for_and_decoded() {
    let server = Server::start(|request| {
        assert_eq!(request.header("Accept-Encoding"), Some("gzip, deflate, br, zstd"));
        Reply::gzip("<p>hello".repeat(1000).as_bytes())
    })
    .unwrap();

    let row = row(&once(), &server.url("/"));

    assert_eq!((row.status, row.bytes, row.truncated), (Some(200), 8000, false));
}

#[test]
fn our_name_and_the_users_headers_are_sent() {
    let server = Server::start(|request| {
        let header = |name| request.header(name).unwrap_or("none");
        Reply::html(format!("{}|{}", header("User-Agent"), header("X-Mine")))
    })
    .unwrap();
    let ours = once().user_agent("me").header("X-Mine: yes");

    assert_eq!(row(&ours, &server.url("/")).bytes, "me|yes".len() as u64);
    let name = concat!("silkmill/", env!("CARGO_PKG_VERSION"), "|none");
    assert_eq!(row(&once(), &server.url("/")).bytes, name.len() as u64);
}

#[test]
fn the_fragment_is_kept_in_the_row_and_not_sent() {
    let server = Server::start(|request| Reply::html(request.target())).unwrap();

    let row = row(&once(), &server.url("/a?b#c"));

    assert_eq!(row.bytes, "/a?b".len() as u64);
    assert_eq!(row.final_url, Some(server.url("/a?b#c")));
}

#[test]
fn the_header_says_the_charset_of_a_page_that_is_not_read() {
    let server =
        Server::start(|_| Reply::html("x").header("Content-Type", "text/html; charset=latin1"))
            .unwrap();

    assert_eq!(row(&once(), &server.url("/")).charset.as_deref(), Some("windows-1252"));
}

#[test]
fn a_body_that_is_deflated_is_decoded_to_the_bound() {
    let page = b"<p>hello".repeat(1000);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&page).unwrap();
    let zlib = zlib.finish().unwrap();
    // Without its header of two bytes and its checksum of four, it is the bare stream.
    let raw = zlib[2..zlib.len() - 4].to_vec();
    for body in [zlib, raw] {
        let reply = Reply::html(body).header("Content-Encoding", "deflate");
        let server = Server::start(move |_| reply.clone()).unwrap();

        let whole = row(&once(), &server.url("/"));
        let cut = row(&once().body_bytes_max(100), &server.url("/"));

        assert_eq!((whole.error, whole.bytes, whole.truncated), (None, 8000, false));
        assert_eq!((cut.error, cut.bytes, cut.truncated), (None, 100, true));
    }
}

#[test]
fn gzip_by_its_old_name_is_decoded() {
    let server = Server::start(|_| {
        Reply::gzip("<p>hello".repeat(1000).as_bytes()).header("Content-Encoding", "x-gzip")
    })
    .unwrap();

    assert_eq!(row(&once(), &server.url("/")).bytes, 8000);
}

#[test]
fn an_encoding_nobody_asked_for_is_a_body_error_that_names_it() {
    for name in ["compress", "exi"] {
        let server =
            Server::start(move |_| Reply::html("\x0b").header("Content-Encoding", name)).unwrap();

        let asked = row(&once(), &server.url("/"));
        let head = row(&once().method(Method::Head), &server.url("/"));

        assert_eq!((asked.status, fault(&asked)), (Some(200), (FailureKind::Body, Phase::Body)));
        assert!(asked.error.unwrap().message.contains(name));
        assert_eq!((head.status, head.error), (Some(200), None));
    }
}
