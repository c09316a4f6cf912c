//! Sitemaps as a list.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use silkmill_testkit::{Reply, Request, Server};

use crate::sandbox::{stderr, stdout};
use crate::silkmill;

/// A site with an index of sitemaps of every kind.
fn answer(request: &Request) -> Reply {
    let host = request.header("host").unwrap_or_default().to_owned();
    let url = |path: &str| format!("http://{host}{path}");
    let entry = |path: &str| format!("<url><loc>{}</loc></url>", url(path));
    let sitemap = |path: &str| format!("<sitemap><loc>{}</loc></sitemap>", url(path));
    match request.path() {
        "/index.xml" => Reply::html(format!(
            "<sitemapindex>{}{}{}{}</sitemapindex>",
            sitemap("/packed.xml.gz"),
            sitemap("/list.txt"),
            sitemap("/packed.xml.gz"),
            sitemap("/nested.xml")
        )),
        "/nested.xml" => {
            Reply::html(format!("<sitemapindex>{}</sitemapindex>", sitemap("/feed.xml")))
        }
        "/packed.xml.gz" => {
            Reply::gzip(format!("<urlset>{}{}</urlset>", entry("/1"), entry("/2")).as_bytes())
        }
        "/list.txt" => Reply::html(format!("{}\nhttp://\n{}\n", url("/a/a/a/3"), url("/4"))),
        "/feed.xml" => Reply::html("<rss><item><link>/5</link></item></rss>"),
        "/dated.xml" => Reply::html(format!(
            "<urlset><url><loc>{}</loc><lastmod>2026-11-02</lastmod></url>\
             <url><loc>{}</loc><lastmod>2026-10-31</lastmod></url>{}</urlset>",
            url("/new"),
            url("/old"),
            entry("/undated")
        )),
        "/torn.xml" => Reply::html(format!(
            "<sitemapindex>{}{}</sitemapindex>",
            sitemap("/packed.xml.gz"),
            sitemap("/missing.xml")
        )),
        "/empty.xml" => Reply::html("<html><title>no sitemap</title>"),
        "/missing.xml" => Reply::status(404),
        path => Reply::html(format!("<title>page {path}</title>")),
    }
}

fn site() -> Server {
    Server::start(answer).unwrap()
}

fn fetch(args: &[&str]) -> Output {
    silkmill().arg("fetch").args(args).output().unwrap()
}

/// Returns the paths of the rows as text, in their order.
fn paths(output: &Output, server: &Server) -> Vec<String> {
    let base = server.url("");
    let url = |line: &str| line.split('\t').nth(1).unwrap_or_default().to_owned();
    stdout(output).lines().map(|line| url(line).replace(&base, "")).collect()
}

#[test]
fn every_page_of_an_index_has_one_row_in_its_order() {
    let server = site();

    let output = fetch(&["--ordered", "--sitemap", &server.url("/index.xml")]);

    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    // What is no URL has its row, as in any list; nothing is taken for a trap.
    let expected = ["/1", "/2", "/a/a/a/3", "http://", "/4", "/5"];
    assert_eq!(paths(&output, &server), expected);
    assert_eq!(server.requests_to("/packed.xml.gz"), 1);
    assert!(stderr(&output).contains("6 rows, 1 error (1 url)"), "{}", stderr(&output));
}

#[test]
fn pages_come_after_those_of_the_command_line_and_the_list_and_old_ones_do_not() {
    let server = site();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list");
    fs::write(&list, server.url("/of-list\n")).unwrap();
    let list = list.to_str().unwrap();
    let (first, sitemap) = (server.url("/first"), server.url("/dated.xml"));
    let args = [&first, "-i", list, "--sitemap", &sitemap, "--since", "2026-11", "--ordered"];

    let output = fetch(&args);

    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(paths(&output, &server), ["/first", "/of-list", "/new", "/undated"]);
    let said = stderr(&output);
    assert!(said.starts_with("silkmill: 2 URLs in 1 sitemap; left out: too-old 1\n"), "{said}");
    let mut scrape: Command = silkmill();
    let output = scrape.args(["scrape", "--sitemap", &sitemap]).output().unwrap();
    assert!(stdout(&output).contains("\tpage /old\n"), "{}", stdout(&output));
}

#[test]
fn a_list_that_a_sitemap_is_missing_of_is_not_begun() {
    let server = site();
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.jsonl");
    let rows = rows.to_str().unwrap();
    for (sitemap, says) in [
        ("/missing.xml", "/missing.xml\": its status is 404"),
        ("/torn.xml", "/missing.xml\": its status is 404"),
        ("/empty.xml", "/empty.xml\": it lists no page"),
    ] {
        let output = fetch(&["--sitemap", &server.url(sitemap), "-o", rows]);
        assert_eq!(output.status.code(), Some(2), "{sitemap}");
        let said = stderr(&output);
        assert!(
            said.contains("failed to read the sitemap \"http") && said.contains(says),
            "{said}"
        );
        assert!(fs::metadata(rows).is_err(), "{sitemap}");
    }
    assert_eq!(server.requests_to("/1"), 0);

    let url = server.url("/dated.xml");
    for (args, says) in [
        (&["--sitemap", "no URL"][..], "failed to read the sitemap \"no URL\""),
        (&["--sitemap", &url, "--since", "soon"], "failed to read the date \"soon\""),
        (&["--since", "2026"], "--sitemap"),
        (&["--sitemap", "http://127.0.0.1:1/", "--retries", "0"], "connect: "),
    ] {
        let output = fetch(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
    }
    let requests = server.requests();
    fs::write(rows, "precious").unwrap();
    let output = fetch(&["--sitemap", &url, "-o", rows]);
    assert_eq!((output.status.code(), server.requests()), (Some(2), requests));
}

#[test]
fn a_run_over_sitemaps_can_be_resumed_and_sharded() {
    let server = site();
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.jsonl");
    let rows = rows.to_str().unwrap();
    let url = server.url("/index.xml");
    assert_eq!(fetch(&["--sitemap", &url, "-o", rows]).status.code(), Some(1));
    // The last rows are lost.
    let text = fs::read_to_string(rows).unwrap();
    let kept: Vec<&str> = text.lines().take(4).collect();
    fs::write(rows, kept.join("\n")).unwrap();

    let output = fetch(&["--sitemap", &url, "-o", rows, "--resume"]);

    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = fs::read_to_string(rows).unwrap();
    let indices: BTreeSet<u64> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap())
        .collect();
    assert_eq!((text.lines().count(), indices), (6, (0..6).collect()));
    let other = fetch(&["--sitemap", &server.url("/dated.xml"), "-o", rows, "--resume"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(stderr(&other).contains("the list has changed"), "{}", stderr(&other));
    let of_shard = |shard: &str| paths(&fetch(&["--sitemap", &url, "--shard", shard]), &server);
    let mut all = [of_shard("0/2"), of_shard("1/2")].concat();
    all.sort_unstable();
    assert_eq!(all, ["/1", "/2", "/4", "/5", "/a/a/a/3", "http://"]);
}

#[test]
fn a_host_is_not_asked_for_sitemaps_and_pages_faster_than_the_delay() {
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = Arc::clone(&times);
    let server = Server::start(move |request| {
        noted.lock().unwrap().push(Instant::now());
        answer(request)
    })
    .unwrap();

    let output = fetch(&["--sitemap", &server.url("/nested.xml"), "--delay", "0.2"]);

    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 3);
    // A server sees a request later than it was sent, and the one before it perhaps much later.
    let is_apart = |pair: &[Instant]| pair[1] - pair[0] >= Duration::from_millis(100);
    assert!(times.windows(2).all(is_apart), "{times:?}");
}
