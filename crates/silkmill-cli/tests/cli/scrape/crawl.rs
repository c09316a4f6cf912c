//! `silkmill crawl`, against sites of the scripted server whose pages are known.

mod checks;
mod crashes;
mod hostile;
mod known;
mod politeness;
mod resume;
mod sitemaps;
mod sites;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use silkmill_testkit::{Reply, Server};

use crate::sandbox::stderr;
use crate::silkmill;

/// A folder for the rows of a crawl.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns a crawl from `url` whose rows go to `rows.jsonl`.
    pub(super) fn crawl(&self, url: &str) -> Command {
        let mut command = silkmill();
        command.args(["crawl", url, "-o"]).arg(self.path("rows.jsonl"));
        command
    }

    pub(super) fn rows(&self) -> Vec<Value> {
        rows_of(&self.path("rows.jsonl"))
    }
}

pub(super) fn rows_of(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the path and query of every row's URL, in order, each of which must come once.
fn paths(rows: &[Value]) -> BTreeSet<String> {
    let path = |row: &Value| {
        let url = row["url"].as_str().unwrap();
        url.splitn(4, '/').nth(3).map_or_else(|| url.to_owned(), |path| format!("/{path}"))
    };
    let paths: BTreeSet<String> = rows.iter().map(path).collect();
    assert_eq!(paths.len(), rows.len(), "a page has two rows");
    paths
}

fn set(paths: &[&str]) -> BTreeSet<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

/// Makes a server of pages, by path and query. Every other path is 404, and `/robots.txt` too.
fn site(pages: &[(&str, &str)]) -> Server {
    let pages: BTreeMap<String, String> =
        pages.iter().map(|(path, html)| ((*path).to_owned(), (*html).to_owned())).collect();
    Server::start(move |request| match pages.get(request.target()) {
        Some(html) => Reply::html(html.as_str()),
        None => Reply::status(404),
    })
    .unwrap()
}

fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output
}

#[test]
fn every_page_of_a_site_has_one_row() {
    let server = site(&[
        ("/", "<title>Home</title><a href=a>A</a><a href=/b#x>B</a><a href=/>home</a>"),
        ("/a", "<title>A</title><link rel=canonical href=/a?x><a href=b>B</a><a href=../c>C</a>"),
        ("/b", "<title>B</title><a href=mailto:x@y.test>mail</a>"),
        ("/c", "<title>C</title><a href=/missing>none</a>"),
    ]);
    let folder = Folder::new();

    let output = succeeds(&mut folder.crawl(&server.url("/")));

    let rows = folder.rows();
    assert_eq!(paths(&rows), set(&["/", "/a", "/b", "/c", "/missing"]));
    for (number, row) in rows.iter().enumerate() {
        assert_eq!(row["index"], number, "{row}");
        let path = row["url"].as_str().unwrap().rsplit('/').next().unwrap();
        let (depth, links, status) = match path {
            "" => (0, 3, 200),
            "a" => (1, 3, 200),
            "b" => (1, 0, 200),
            "c" => (2, 1, 200),
            _ => (3, 0, 404),
        };
        assert_eq!(
            (&row["depth"], &row["links"], &row["status"]),
            (&depth.into(), &links.into(), &status.into()),
            "{row}"
        );
        match row["parent"].as_u64() {
            None => assert_eq!(path, ""),
            Some(parent) => assert_eq!(rows[parent as usize]["depth"], depth - 1),
        }
    }
    let a = rows.iter().find(|row| row["title"] == "A").unwrap();
    assert_eq!(a["canonical"], server.url("/a?x"));
    assert!(stderr(&output).starts_with("silkmill: 5 rows, 0 errors in "), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("links not followed: scheme 1, asset 1\n"),
        "{}",
        stderr(&output)
    );
    for path in ["/", "/a", "/b", "/c", "/missing", "/robots.txt"] {
        assert_eq!(server.requests_to(path), 1, "{path}");
    }
}

#[test]
fn a_page_that_fails_is_a_row_and_exits_1() {
    let server = Server::start(|request| match request.path() {
        "/" => Reply::html("<a href=reset>x</a>"),
        "/reset" => Reply::reset(""),
        _ => Reply::status(404),
    })
    .unwrap();
    let folder = Folder::new();

    let output = folder.crawl(&server.url("/")).args(["--retries", "0"]).output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let rows = folder.rows();
    assert_eq!(paths(&rows), set(&["/", "/reset"]));
    assert_eq!((&rows[1]["error"]["kind"], &rows[1]["depth"]), (&"protocol".into(), &1.into()));
}

#[test]
fn what_a_crawl_cannot_do_is_refused_with_2() {
    let server = site(&[("/", "x")]);
    let folder = Folder::new();
    let (url, output) = (server.url("/"), folder.path("new.jsonl"));
    fs::write(folder.path("rows.jsonl"), "precious").unwrap();
    let fails = |command: &mut Command, says: &str| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{says}");
        assert!(stderr(&output).contains(says), "{says}: {}", stderr(&output));
    };
    let crawl = |args: &[&str]| {
        let mut command = silkmill();
        command.arg("crawl").args(args).arg("-o").arg(&output);
        command
    };

    fails(silkmill().args(["crawl", &url]), "--output");
    fails(silkmill().args(["crawl", &url, "-o", "-"]), "standard output");
    fails(&mut crawl(&[]), "URL");
    fails(&mut crawl(&["no URL"]), "failed to begin a crawl at \"no URL\"");
    fails(&mut crawl(&["ftp://a.test/"]), "only http and https");
    fails(&mut crawl(&[&url, "--exclude", "127"]), "it is excluded");
    fails(&mut crawl(&[&url, "--include", "("]), "failed to read the pattern \"(\"");
    fails(&mut crawl(&[&url, "--scope", "moon"]), "prefix, host, domain, any");
    fails(&mut crawl(&[&url, "--max-pages", "0"]), "max-pages");
    fails(&mut crawl(&[&url, "--ordered"]), "--ordered is for fetch and scrape");
    fails(&mut crawl(&[&url, "-X", "POST"]), "--method is for fetch and scrape");
    fails(&mut folder.crawl(&url), "it exists, and no job of a crawl lies beside it");
    assert_eq!(fs::read_to_string(folder.path("rows.jsonl")).unwrap(), "precious");
    assert_eq!(server.requests(), 0);
    assert!(!output.exists());

    succeeds(folder.crawl(&url).arg("--force"));
    assert_eq!(folder.rows().len(), 1);
}

#[test]
fn every_format_has_every_row() {
    let server = site(&[("/", "<title>T</title><a href=a>A</a>"), ("/a", "<p class=x>y</p>")]);
    let folder = Folder::new();
    let crawl = |name: &str| {
        let mut command = silkmill();
        command.args(["crawl", &server.url("/"), "--css", "p=.x", "-o"]).arg(folder.path(name));
        succeeds(&mut command);
    };

    crawl("rows.csv");
    crawl("rows.txt");
    crawl("rows.db");

    let csv = fs::read_to_string(folder.path("rows.csv")).unwrap();
    assert!(csv.lines().next().unwrap().ends_with(",error_message,depth,parent,links,canonical"));
    assert!(csv.lines().nth(2).unwrap().ends_with(",1,0,0,"), "{csv}");
    let text = fs::read_to_string(folder.path("rows.txt")).unwrap();
    assert_eq!(text.lines().count(), 2);
    let database = rusqlite::Connection::open(folder.path("rows.db")).unwrap();
    let query = "SELECT group_concat(\"index\" || depth || coalesce(parent, '-') || coalesce(p, '-')) FROM rows";
    let rows: String = database.query_row(query, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, "00--,110y");
}
