//! Runs that are archived, and runs that are answered from archives.

mod cache;
mod records;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use silkmill_scrape::{Extractor, FailureKind, Field, Method, OptionsBuilder, Row};
use silkmill_testkit::{Reply, Request, Server};

use records::{one, records, texts};

use crate::{fault, once, row, rows};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A body that does not shrink much.
fn noise(length: usize) -> Vec<u8> {
    let mut seed = 0x5eed_u64;
    let next = |_| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        b'!' + (seed % 90) as u8
    };
    (0..length).map(next).collect()
}

fn chunked(pieces: &[&[u8]]) -> Reply {
    let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\
                      X-Kept: yes\r\n\r\n"
        .to_vec();
    for piece in pieces {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    Reply::raw(bytes)
}

/// Pages of every kind, well and badly behaved.
fn site(request: &Request) -> Reply {
    match request.path() {
        "/page" => Reply::html("<title>Page</title><p>text</p>").header("Set-Cookie", "a=b"),
        "/gzip" => Reply::gzip(b"<title>Gzip</title><p>packed</p>"),
        "/chunks" => chunked(&[b"<title>Ch", b"unks</title>", b"<p>in pieces</p>"]),
        // A body whose first line could be the size of a chunk.
        "/chunk-like" => chunked(&[b"5\r\nhello\r\n0\r\n\r\n"]),
        "/to" => Reply::redirect("/page"),
        "/loop" => Reply::redirect("/loop"),
        "/nowhere" => Reply::redirect("ftp://a.test/"),
        "/error" => Reply::html("<title>Sorry</title>").with_status(500),
        "/empty" => Reply::status(204),
        "/short" => Reply::short("<title>Short</title>", 10),
        "/not-gzip" => Reply::html("no gzip").header("Content-Encoding", "gzip"),
        "/long" => Reply::html(noise(300_000)),
        "/raw" => Reply::raw("HTTP/1.0 200 OK\r\n\r\n<title>Raw</title>"),
        "/posted" => Reply::html(format!("<title>{}</title>", request.body().len())),
        _ => Reply::status(404),
    }
}

const PATHS: [&str; 15] = [
    "/page",
    "/gzip",
    "/chunks",
    "/chunk-like",
    "/to",
    "/loop",
    "/nowhere",
    "/error",
    "/empty",
    "/short",
    "/not-gzip",
    "/long",
    "/raw",
    "/missing?x=y",
    "/page#part",
];

fn scraping() -> OptionsBuilder {
    let extractor = Extractor::new(vec![Field::css("text=p").unwrap()]).unwrap();
    once().extractor(extractor).redirects_max(3).body_bytes_max(100_000)
}

/// What a row says of its page.
fn said(row: &Row) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        (row.url.clone(), row.final_url.clone(), row.status, row.title.clone()),
        (row.fields.clone(), row.charset.clone(), row.bytes, row.truncated),
        (row.attempts, row.redirects.clone()),
        row.error.as_ref().map(|error| (error.kind, error.phase)),
    )
}

#[test]
fn an_exchange_is_archived_as_it_went_over_the_wire() {
    let sent = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heads = Arc::clone(&sent);
    let server = Server::start(move |request| {
        heads.lock().unwrap().push(request.head().to_vec());
        match request.path() {
            "/to" => Reply::redirect("/gzip"),
            _ => Reply::gzip(b"<title>A</title>"),
        }
    })
    .unwrap();
    let folder = Folder::new();
    let path = folder.path("a.warc.gz");

    let row = row(&once().warc(&path), &server.url("/to"));

    assert_eq!((row.status, row.redirects.len()), (Some(200), 1));
    let records = records(&path);
    let kinds: Vec<&str> = records.iter().map(|record| record.get("WARC-Type")).collect();
    assert_eq!(kinds, ["warcinfo", "request", "response", "request", "response"]);
    assert_eq!(records[0].get("WARC-Filename"), "a.warc.gz");
    let info = String::from_utf8(records[0].block.clone()).unwrap();
    assert!(
        info.contains("software: silkmill/") && info.contains("WARC File Format 1.1"),
        "{info}"
    );
    for (path, sent) in ["/to", "/gzip"].iter().zip(&*sent.lock().unwrap()) {
        let (request, response) = (one(&records, "request", path), one(&records, "response", path));
        assert_eq!(&request.block, sent);
        assert_eq!(request.get("Content-Type"), "application/http; msgtype=request");
        assert_eq!(response.get("Content-Type"), "application/http; msgtype=response");
        assert_eq!(response.get("WARC-Concurrent-To"), request.get("WARC-Record-ID"));
        assert_eq!(request.get("WARC-Concurrent-To"), response.get("WARC-Record-ID"));
        assert_eq!(response.get("WARC-IP-Address"), "127.0.0.1");
        assert_eq!(response.get("WARC-Target-URI"), server.url(path));
        assert_eq!(response.get("WARC-Truncated"), "");
        for digest in ["WARC-Block-Digest", "WARC-Payload-Digest"] {
            assert_eq!(response.get(digest).len(), "sha1:".len() + 32, "{digest}");
        }
    }
    let response = &one(&records, "response", "/gzip").block;
    assert!(response.starts_with(b"HTTP/1.1 200 Status\r\nContent-Type: text/html\r\n"));
    let body = response.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(response[body..body + 2], [0x1f, 0x8b], "the body is as it came");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_replay_has_the_same_rows_and_makes_no_connection() {
    for name in ["a.warc.gz", "a.warc", "a-folder"] {
        let server = Server::start(site).unwrap();
        let folder = Folder::new();
        let urls = PATHS.map(|path| server.url(path));
        let (live, _) = rows(&scraping().warc(folder.path(name)), &urls);
        let connections = server.connections();

        let (replayed, _) = rows(&scraping().replay(folder.path(name)), &urls);

        assert_eq!(server.connections(), connections, "{name}");
        for (live, replayed) in live.iter().zip(&replayed) {
            assert_eq!(said(replayed), said(live), "{name}");
        }
        assert!(live[11].truncated);
        drop(server);
        let (again, _) = rows(&scraping().replay(folder.path(name)), &urls);
        assert!(live.iter().map(said).eq(again.iter().map(said)), "the server is gone");
    }
}

#[test]
fn what_is_not_archived_is_an_error_of_its_row() {
    let server = Server::start(site).unwrap();
    let folder = Folder::new();
    let path = folder.path("a.warc.gz");
    row(&once().warc(&path), &server.url("/page"));
    let requests = server.requests();

    let (rows, summary) = rows(
        &once().retries(2).robots(true).delay(std::time::Duration::from_secs(60)).replay(&path),
        &[server.url("/page"), server.url("/other"), "http://127.0.0.1:1/".to_owned()],
    );

    assert_eq!((summary.rows, summary.errors, server.requests()), (3, 2, requests));
    assert_eq!(rows[0].status, Some(200));
    for row in &rows[1..] {
        assert_eq!(fault(row).0, FailureKind::Archive);
        assert!(row.error.as_ref().unwrap().message.contains("nothing is archived for GET http"));
    }
}

#[test]
fn a_host_without_a_scheme_is_found_by_the_scheme_that_was_archived() {
    let server = Server::start(site).unwrap();
    let folder = Folder::new();
    let path = folder.path("a.warc.gz");
    let url = format!("127.0.0.1:{}/page", server.port());
    let live = row(&once().connect_timeout(crate::SHORT).warc(&path), &url);
    let replayed = row(&once().replay(&path), &url);
    assert_eq!((live.status, said(&replayed)), (Some(200), said(&live)));
}

#[test]
fn the_latest_of_several_responses_counts() {
    let number = AtomicU64::new(0);
    let server = Server::start(move |_| match number.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::status(503).header("Retry-After", "0"),
        number => Reply::html(format!("<title>{number}</title>")),
    })
    .unwrap();
    let folder = Folder::new();
    let path = folder.path("a.warc.gz");
    let live = row(&scraping().retries(1).warc(&path), &server.url("/"));
    assert_eq!((live.title.as_deref(), live.attempts), (Some("1"), 2));
    let records = records(&path);
    assert_eq!(texts(&records, "response"), 2, "a retry is a record of its own");
    assert_eq!(row(&scraping().replay(&path), &server.url("/")).title, live.title);

    row(&scraping().warc(&path), &server.url("/"));

    let replayed = row(&scraping().replay(&path), &server.url("/"));
    assert_eq!(replayed.title.as_deref(), Some("2"));
}

#[test]
fn a_request_is_answered_by_its_method_and_data() {
    let server = Server::start(site).unwrap();
    let folder = Folder::new();
    let path = folder.path("a.warc.gz");
    let url = server.url("/posted");
    for data in ["a", "bbb"] {
        row(&scraping().data(data).warc(&path), &url);
    }
    row(&scraping().method(Method::Head).warc(&path), &server.url("/page"));

    for (data, title) in [("bbb", "3"), ("a", "1")] {
        let replayed = row(&scraping().data(data).replay(&path), &url);
        assert_eq!(replayed.title.as_deref(), Some(title), "{data}");
    }
    assert_eq!(fault(&row(&scraping().data("c").replay(&path), &url)).0, FailureKind::Archive);
    assert_eq!(fault(&row(&scraping().replay(&path), &url)).0, FailureKind::Archive);
    let head = row(&once().method(Method::Head).replay(&path), &server.url("/page"));
    assert_eq!((head.status, head.bytes), (Some(200), 0));
    // Nothing is known of the page itself.
    assert_eq!(fault(&row(&once().replay(&path), &server.url("/page"))).0, FailureKind::Archive);
}

#[test]
fn a_body_that_is_archived_already_is_referred_to() {
    let server = Server::start(|request| match request.path() {
        "/empty-1" | "/empty-2" => Reply::status(200),
        path => Reply::html("<title>the same</title>").header("X-Path", path),
    })
    .unwrap();
    let folder = Folder::new();
    let path = folder.path("a.warc.gz");
    // Another run knows what is in the file, too.
    for name in ["/1", "/2", "/empty-1", "/empty-2"] {
        row(&scraping().warc(&path), &server.url(name));
    }

    let records = records(&path);
    assert_eq!((texts(&records, "response"), texts(&records, "revisit")), (3, 1));
    let (first, second) = (one(&records, "response", "/1"), one(&records, "revisit", "/2"));
    assert_eq!(
        second.get("WARC-Profile"),
        "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
    );
    assert_eq!(second.get("WARC-Refers-To"), first.get("WARC-Record-ID"));
    assert_eq!(second.get("WARC-Refers-To-Target-URI"), server.url("/1"));
    assert_eq!(second.get("WARC-Refers-To-Date"), first.get("WARC-Date"));
    assert_eq!(second.get("WARC-Payload-Digest"), first.get("WARC-Payload-Digest"));
    let head = String::from_utf8(second.block.clone()).unwrap();
    assert!(head.contains("X-Path: /2\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let replayed = row(&scraping().replay(&path), &server.url("/2"));
    assert_eq!(replayed.title.as_deref(), Some("the same"));
}

#[test]
fn a_body_that_was_cut_says_why() {
    let server = Server::start(|request| match request.path() {
        "/long" => Reply::html(noise(300_000)),
        "/short" => Reply::short(noise(1000), 10),
        "/slow" => Reply::drip_body("slow"),
        _ => Reply::bad_chunk("abc"),
    })
    .unwrap();
    let folder = Folder::new();
    let path = folder.path("a.warc.gz");
    for (name, reason) in
        [("/long", "length"), ("/short", "disconnect"), ("/slow", "time"), ("/x", "unspecified")]
    {
        let options = crate::hasty().body_bytes_max(1000);
        let live = row(&options.clone().warc(&path), &server.url(name));
        let records = records(&path);
        assert_eq!(one(&records, "response", name).get("WARC-Truncated"), reason, "{name}");
        let replayed = row(&options.replay(&path), &server.url(name));
        assert_eq!((live.truncated, live.bytes), (replayed.truncated, replayed.bytes), "{name}");
        assert_eq!(live.error.is_some(), replayed.error.is_some(), "{name}");
    }
    // More is wanted now than was archived.
    let more = row(&once().replay(&path), &server.url("/long"));
    assert!(more.truncated && more.error.is_none() && more.bytes >= 1000);
}

#[test]
fn a_body_beyond_the_memory_of_a_spool_is_archived_whole() {
    let body = noise(3_000_000);
    let served = body.clone();
    let server = Server::start(move |_| Reply::html(served.clone())).unwrap();
    let folder = Folder::new();
    let path = folder.path("a.warc.gz");

    let urls = [server.url("/1"), server.url("/2")];
    let (rows, _) = rows(&once().workers(1).warc(&path), &urls);

    assert!(rows.iter().all(|row| row.bytes == body.len() as u64));
    let records = records(&path);
    assert!(one(&records, "response", "/1").block.ends_with(&body));
    let replayed = row(&once().replay(&path), &server.url("/2"));
    assert_eq!(replayed.bytes, body.len() as u64);
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 1, "no file is left behind");
}

#[test]
fn a_torn_end_is_cut_off_wherever_it_is() {
    let server = Server::start(site).unwrap();
    for name in ["a.warc.gz", "a.warc"] {
        let folder = Folder::new();
        let path = folder.path(name);
        row(&once().warc(&path), &server.url("/page"));
        let whole = fs::read(&path).unwrap();
        row(&once().warc(&path), &server.url("/gzip"));
        let longer = fs::read(&path).unwrap();
        assert!(longer.starts_with(&whole), "what is there stays");
        let step = (longer.len() - whole.len()) / 23 + 1;
        for torn in (whole.len()..longer.len()).step_by(step) {
            fs::write(&path, &longer[..torn]).unwrap();

            row(&once().warc(&path), &server.url("/chunks"));

            let records = records(&path);
            one(&records, "response", "/page");
            one(&records, "response", "/chunks");
        }
    }
}

#[test]
fn what_is_no_archive_is_refused_and_left_as_it_is() {
    let server = Server::start(site).unwrap();
    let folder = Folder::new();
    let whole = folder.path("whole.warc.gz");
    row(&once().warc(&whole), &server.url("/page"));
    let record = fs::read(&whole).unwrap();
    let mut damaged = record.clone();
    damaged[30] ^= 0xff;
    damaged.extend_from_slice(&record);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"<title>no record</title>").unwrap();
    for (name, bytes) in [
        ("text", b"<html>".to_vec()),
        ("packed", packed.finish().unwrap()),
        ("damaged", damaged),
        ("behind", [&record[..], b"garbage"].concat()),
    ] {
        let path = folder.path(&format!("{name}.warc.gz"));
        fs::write(&path, &bytes).unwrap();
        for options in [once().warc(&path), once().replay(&path)] {
            let error = options.build().unwrap_err().to_string();
            assert!(error.starts_with("failed to ") && error.contains(" at byte "), "{error}");
            assert!(error.contains(&format!("{path:?}")), "{error}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "{name}");
    }
    fs::write(folder.path("nothing.warc.gz"), b"").unwrap();
    fs::create_dir(folder.path("no-files")).unwrap();
    for (name, why) in [
        ("nothing.warc.gz", "it has no response"),
        ("no-files", "it has no response"),
        ("not-there", "no such file or directory"),
    ] {
        let error = once().replay(folder.path(name)).build().unwrap_err().to_string();
        assert!(error.starts_with("failed to read the archive") && error.ends_with(why), "{error}");
    }
    let list = folder.path("list.txt");
    fs::write(&list, b"http://a.example/").unwrap();
    let error = once().warc(&list).build().unwrap_err().to_string();
    assert!(error.ends_with("its name does not end in .warc.gz or .warc"), "{error}");
    assert_eq!(fs::read(&list).unwrap(), b"http://a.example/");
    let _open = once().warc(&whole).build().unwrap();
    let error = once().warc(&whole).build().unwrap_err().to_string();
    assert!(error.ends_with("another run writes to it"), "{error}");
}

#[test]
fn archives_of_other_programs_answer_as_well() {
    let record = |head: &str, block: &str| {
        format!("WARC/1.0\r\n{head}Content-Length: {}\r\n\r\n{block}\r\n\r\n", block.len())
    };
    let http = |head: &str| {
        let kind = "Content-Type: application/http;msgtype=response\r\n";
        format!("WARC-Type: response\r\nWARC-Date: 2020-01-01T00:00:00Z\r\n{kind}{head}")
    };
    let text = [
        record("WARC-Type: warcinfo\r\n", "software: other\r\n"),
        record(
            &http("WARC-Target-URI: <http://a.test>\r\nWARC-Payload-Digest: sha1:X\r\n"),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             15\r\n<title>Chunks</title>\r\n0\r\n\r\n",
        ),
        record(
            &http("WARC-Target-URI: HTTP://A.test:80/2\r\n"),
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n<title>No chunks</title>",
        ),
        record(
            "WARC-Type: revisit\r\nWARC-Target-URI: http://a.test/3\r\nWARC-Payload-Digest: sha1:X\r\n\
             WARC-Profile: http://netpreserve.org/warc/1.0/revisit/identical-payload-digest\r\n",
            "",
        ),
        record(
            &http("WARC-Target-URI: http://a.test/4\r\nWARC-Record-ID: <r4>\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ),
        // The request may come behind its response.
        record(
            "WARC-Type: request\r\nWARC-Target-URI: http://a.test/4\r\nWARC-Concurrent-To: <r4>\r\n",
            "POST /4 HTTP/1.1\r\n\r\n",
        ),
        record(
            &http("WARC-Target-URI: http://a.test/5\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n<title>Length</title>",
        ),
    ]
    .concat();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    let folder = Folder::new();
    fs::write(folder.path("plain.warc"), &text).unwrap();
    fs::write(folder.path("whole.warc.gz"), packed.finish().unwrap()).unwrap();
    for name in ["plain.warc", "whole.warc.gz"] {
        let options = scraping().replay(folder.path(name));
        for (path, title) in [("", "Chunks"), ("2", "No chunks"), ("3", "Chunks"), ("5", "Length")]
        {
            let row = row(&options, &format!("http://a.test/{path}"));
            assert_eq!(row.title.as_deref(), Some(title), "{name} {path}: {row:?}");
        }
        let post = row(&options.clone().method(Method::parse("POST").unwrap()), "http://a.test/4");
        assert_eq!(post.status, Some(200));
        assert_eq!(fault(&row(&options, "http://a.test/4")).0, FailureKind::Archive);
    }
}
