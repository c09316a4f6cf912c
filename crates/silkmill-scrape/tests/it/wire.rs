//! Responses that the standard does not allow, or allows and few servers send, and that browsers or
//! curl read all the same.

mod sent;

use std::sync::atomic::{AtomicU64, Ordering};

use silkmill_scrape::{Extractor, FailureKind, Options, OptionsBuilder, Phase, Row};
use silkmill_testkit::{Reply, Server};

use crate::{FAR_TOO_LONG, SHORT, fault, hasty, once, row, rows};

fn titles() -> OptionsBuilder {
    once().extractor(Extractor::new(Vec::new()).unwrap())
}

/// The row of a server that writes these bytes and closes the connection.
fn of_bytes(options: &OptionsBuilder, bytes: impl Into<Vec<u8>>) -> Row {
    let reply = Reply::raw(bytes);
    let server = Server::start(move |_| reply.clone()).unwrap();
    row(options, &server.url("/"))
}

/// Fails unless the bytes are a page with the title "T".
fn assert_page(bytes: impl AsRef<[u8]>, what: &str) {
    let row = of_bytes(&titles(), bytes.as_ref());
    let found = (row.status, row.title.as_deref(), row.attempts);
    assert_eq!(found, (Some(200), Some("T"), 1), "{what}: {row:?}");
    assert_eq!(row.error, None, "{what}");
}

const PAGE: &str = "<title>T</title>";

/// A response with these header lines, each with its line end, and the page as its body.
fn response(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn announcements_may_come_with_the_response() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    let page = String::from_utf8(response("", PAGE)).unwrap();
    for before in [early.to_owned(), early.repeat(3), format!("{go_on}{early}"), go_on.repeat(15)] {
        assert_page(format!("{before}{page}"), &before);
    }
    let endless = of_bytes(&once(), format!("{}{page}", go_on.repeat(100)));
    assert_eq!(fault(&endless), (FailureKind::Protocol, Phase::Response));
    let other = of_bytes(&once(), "HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n");
    assert_eq!(fault(&other), (FailureKind::Protocol, Phase::Response));
    assert!(other.error.unwrap().message.contains("101"));
}

#[test]
fn a_connection_is_used_again_after_an_announcement() {
    let server = Server::start(|_| {
        let early = "HTTP/1.1 103 Early Hints\r\n\r\n";
        Reply::html(PAGE).before(early)
    })
    .unwrap();

    let (rows, _) = rows(&titles().workers(1), &vec![server.url("/"); 3]);

    assert!(rows.iter().all(|row| row.title.as_deref() == Some("T")), "{rows:?}");
    assert_eq!((server.requests(), server.connections()), (3, 1));
}

#[test]
fn status_lines_of_many_kinds_are_read() {
    for line in ["HTTP/1.1  200 OK", "HTTP/2 200", "HTTP/2.0 200 OK", "HTTP/1.1 200", "HTTP 200 OK"]
    {
        assert_page(format!("{line}\r\nContent-Length: 16\r\n\r\n{PAGE}"), line);
        assert_page(format!("{line}\n\n{PAGE}"), line);
    }
}

#[test]
fn a_long_head_is_read_to_the_bounds_of_browsers() {
    let long = format!("X-Long: {}\r\n", "x".repeat(60_000));
    assert_page(response(&long, PAGE), "60 KB in one line");
    assert_page(response(&long.repeat(4), PAGE), "240 KB");
    assert_page(response(&"Set-Cookie: a=b\r\n".repeat(300), PAGE), "300 lines");
    assert_page(response(&"A: b\r\n".repeat(998), PAGE), "999 lines");
    for (headers, word) in
        [("A: b\r\n".repeat(1001), "1000 headers"), (long.repeat(5), "262144 bytes")]
    {
        let row = of_bytes(&once(), response(&headers, PAGE));
        assert_eq!(fault(&row), (FailureKind::Protocol, Phase::Response));
        assert!(row.error.as_ref().unwrap().message.contains(word), "{row:?}");
    }
}

#[test]
fn chunks_are_read_in_the_ways_servers_write_them() {
    let chunked =
        |headers: &str, end: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n10\r\n{PAGE}\r\n{end}");
    let once = "Transfer-Encoding: chunked\r\n";
    for (headers, end) in [
        ("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        (once, "0\r\n"),
        (once, "0\r\nX: y\r\n"),
    ] {
        assert_page(chunked(headers, end), &format!("{headers:?} {end:?}"));
    }
    let cut = of_bytes(&titles(), chunked(once, ""));
    assert_eq!(fault(&cut), (FailureKind::Body, Phase::Body));
}

#[test]
fn a_location_without_a_url_is_no_redirect() {
    for location in ["", " "] {
        let text = format!(
            "HTTP/1.1 302 Found\r\nLocation:{location}\r\nContent-Length: 16\r\n\r\n{PAGE}"
        );
        let row = of_bytes(&titles(), text);
        assert_eq!((row.status, row.title.as_deref()), (Some(302), Some("T")), "{row:?}");
        assert_eq!((row.error, row.redirects.len()), (None, 0));
    }
}

#[test]
fn a_content_encoding_is_undone_if_it_is_one() {
    for name in ["UTF-8", "none", "binary", "aws-chunked", "identity", "", "utf-8, identity,"] {
        assert_page(response(&format!("Content-Encoding: {name}\r\n"), PAGE), name);
    }
    let gzip = |bytes: &[u8]| {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let once = gzip(PAGE.as_bytes());
    let twice = gzip(&once);
    for (headers, body) in [
        ("Content-Encoding: gzip, gzip\r\n", &twice[..]),
        ("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", &twice),
        ("Content-Encoding: identity, gzip\r\n", &once),
        ("Content-Encoding: gzip,\r\n", &once),
        ("Content-Encoding: gzip\r\n", &[&once[..], b"\0\0\0\0"].concat()),
        ("Content-Encoding: gzip\r\n", &[&once[..], b"\r\n<!-- cache -->"].concat()),
        ("Content-Encoding: gzip\r\n", &once[..once.len() - 8]),
    ] {
        assert_page(response(headers, body), headers);
    }
}

#[test]
fn a_body_that_cannot_be_decoded_leaves_its_status() {
    for options in [once(), titles()] {
        let row = of_bytes(&options, response("Content-Encoding: gzip, compress\r\n", PAGE));
        assert_eq!((row.status, fault(&row)), (Some(200), (FailureKind::Body, Phase::Body)));
        assert!(row.error.unwrap().message.contains("compress"));
    }
}

#[test]
fn robots_txt_may_be_encoded_as_any_page_may() {
    let file = "User-agent: *\nDisallow: /no\n";
    let server = Server::start(move |request| match request.path() {
        "/robots.txt" => Reply::html(file).header("Content-Encoding", "UTF-8"),
        _ => Reply::html(PAGE),
    })
    .unwrap();

    let (rows, _) = rows(&once().robots(true), &[server.url("/no"), server.url("/yes")]);

    assert_eq!(fault(&rows[0]), (FailureKind::Robots, Phase::Request));
    assert_eq!(rows[1].status, Some(200));
}

#[test]
fn of_two_content_types_the_last_that_is_one_counts() {
    for (headers, title) in [
        ("Content-Type: text/plain\r\nContent-Type: text/html\r\n", Some("T")),
        ("Content-Type: text/plain, text/html; charset=utf-8\r\n", Some("T")),
        ("Content-Type: text/html\r\nContent-Type: nonsense\r\n", Some("T")),
        ("Content-Type: text/html\r\nContent-Type: application/pdf\r\n", None),
        ("Content-Type: unknown/unknown\r\n", Some("T")),
        ("Content-Type: application/unknown; charset=utf-8\r\n", Some("T")),
        ("Content-Type: */*\r\n", Some("T")),
    ] {
        let row = of_bytes(&titles(), response(headers, PAGE));
        assert_eq!((row.status, row.title.as_deref()), (Some(200), title), "{headers}");
    }
    let headers = "Content-Type: text/html; charset=gbk\r\nContent-Type: text/html; x=y\r\n";
    let row = of_bytes(&titles(), response(headers, b"<title>\xd6\xd0</title>"));
    assert_eq!((row.title.as_deref(), row.charset.as_deref()), (Some("中"), Some("gbk")));
}

#[test]
fn a_connection_that_ends_with_408_is_not_the_next_requests_fault() {
    let asked = AtomicU64::new(0);
    let late = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = Server::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        1 => Reply::raw(late),
        _ => Reply::html(PAGE),
    })
    .unwrap();

    let (rows, _) = rows(&once().workers(1), &vec![server.url("/"); 2]);

    assert!(rows.iter().all(|row| row.status == Some(200) && row.attempts == 1), "{rows:?}");
    assert_eq!((server.requests(), server.connections()), (3, 2));
    // On a connection of its own it is what the server says.
    assert_eq!(of_bytes(&once(), late).status, Some(408));
}

#[test]
fn a_server_that_hangs_before_its_first_byte_is_asked_again() {
    let asked = AtomicU64::new(0);
    let server = Server::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::silence(),
        _ => Reply::html(PAGE),
    })
    .unwrap();
    let options = once().retries(1).first_byte_timeout(SHORT);

    let answered = row(&options, &server.url("/"));
    assert_eq!((answered.status, answered.attempts), (Some(200), 2));

    for reply in [Reply::drip_head(), Reply::drip_body("x".repeat(100))] {
        let server = Server::start(move |_| reply.clone()).unwrap();
        let slow = row(&hasty().retries(2), &server.url("/"));
        assert_eq!((fault(&slow).0, slow.attempts), (FailureKind::Timeout, 1), "{slow:?}");
    }
}

#[test]
fn a_robots_txt_that_fails_once_is_asked_for_again() {
    for status in [429, 502, 503, 504] {
        let asked = AtomicU64::new(0);
        let server = Server::start(move |request| match request.path() {
            "/robots.txt" => match asked.fetch_add(1, Ordering::Relaxed) {
                0 => Reply::status(status).header("Retry-After", "0"),
                _ => Reply::html("User-agent: *\nDisallow: /no"),
            },
            _ => Reply::html(PAGE),
        })
        .unwrap();
        let list: Vec<String> = ["/a", "/no", "/b"].map(|path| server.url(path)).to_vec();

        let (rows, _) = rows(&once().robots(true).retries(2), &list);

        let found: Vec<_> = rows.iter().map(|row| row.status).collect();
        assert_eq!(found, [Some(200), None, Some(200)], "{rows:?}");
        assert_eq!(server.requests_to("/robots.txt"), 2, "{status}");
    }
}

#[test]
fn a_robots_txt_that_keeps_failing_forbids_everything() {
    let server = Server::start(|request| match request.path() {
        "/robots.txt" => Reply::status(503).header("Retry-After", "0"),
        _ => Reply::html(PAGE),
    })
    .unwrap();
    let list: Vec<String> = (0..20).map(|page| server.url(&format!("/{page}"))).collect();
    let options = Options::builder().robots(true).retries(1).timeout(FAR_TOO_LONG);

    let (rows, summary) = rows(&options, &list);

    assert_eq!((rows.len(), summary.errors), (20, 20));
    for row in &rows {
        assert_eq!(fault(row), (FailureKind::Robots, Phase::Request));
        assert!(row.error.as_ref().unwrap().message.contains("503"));
    }
    assert!(server.requests_to("/robots.txt") < 10, "{}", server.requests_to("/robots.txt"));
}
