//! Pages that sitemaps list, and links that are written down.

use std::fs;

use serde_json::json;
use silkmill_testkit::{Reply, Server};

use super::{Folder, paths, rows_of, set, site, succeeds};
use crate::sandbox::stderr;

/// A site whose pages no link leads to.
fn islands() -> Server {
    Server::start(|request| {
        let host = request.header("host").unwrap_or_default().to_owned();
        let urlset = |paths: &[&str]| {
            let url = |path: &&str| format!("<url><loc>http://{host}{path}</loc></url>");
            format!("<urlset>{}</urlset>", paths.iter().map(url).collect::<String>())
        };
        match request.path() {
            "/" => Reply::html("<title>home</title>"),
            "/robots.txt" => Reply::html(format!(
                "Sitemap: http://{host}/index.xml\nUser-agent: *\nDisallow: /private\nsitemap: /list.txt"
            )),
            "/sitemap.xml" => Reply::html(urlset(&["/usual", "/private"])),
            "/index.xml" => Reply::html(format!(
                "<sitemapindex><sitemap><loc>http://{host}/packed.xml.gz</loc></sitemap>\
                 <sitemap><loc>http://{host}/index.xml</loc></sitemap></sitemapindex>"
            )),
            "/packed.xml.gz" => Reply::gzip(urlset(&["/packed", "/"]).as_bytes()),
            "/list.txt" => Reply::html(format!("http://{host}/listed\nhttp://other.test/x\nnonsense\n")),
            "/dated.xml" => Reply::html(format!(
                "<urlset><url><loc>http://{host}/new</loc><lastmod>2026-11-02</lastmod></url>\
                 <url><loc>http://{host}/old</loc><lastmod>2026-10-31</lastmod></url>\
                 <url><loc>http://{host}/undated</loc></url></urlset>"
            )),
            "/missing.xml" => Reply::status(404),
            _ => Reply::html("<p>page"),
        }
    })
    .unwrap()
}

#[test]
fn pages_that_only_a_sitemap_lists_are_found() {
    let server = islands();
    let folder = Folder::new();

    let output = succeeds(&mut folder.crawl(&server.url("/")));

    let expected = set(&["/", "/usual", "/packed", "/listed"]);
    let rows = folder.rows();
    assert_eq!(paths(&rows), expected);
    assert!(rows.iter().all(|row| row["depth"] == 0 && row["parent"].is_null()));
    assert!(stderr(&output).contains("scope 1, robots 1"), "{}", stderr(&output));
    for path in ["/robots.txt", "/index.xml", "/packed.xml.gz", "/list.txt", "/sitemap.xml"] {
        assert_eq!(server.requests_to(path), 1, "{path}");
    }

    let off = Folder::new();
    succeeds(off.crawl(&server.url("/")).args(["--sitemap", "off"]));
    assert_eq!(paths(&off.rows()), set(&["/"]));
}

#[test]
fn a_sitemap_that_is_named_is_the_only_one_and_old_pages_can_be_left_out() {
    let server = islands();
    let folder = Folder::new();
    let args = ["--sitemap", &server.url("/dated.xml"), "--since", "2026-11"];

    let output = succeeds(folder.crawl(&server.url("/")).args(args));

    assert_eq!(paths(&folder.rows()), set(&["/", "/new", "/undated"]));
    assert!(stderr(&output).contains("too-old 1"), "{}", stderr(&output));
    assert_eq!(server.requests_to("/sitemap.xml"), 0);

    let missing = Folder::new();
    succeeds(missing.crawl(&server.url("/")).args(["--sitemap", &server.url("/missing.xml")]));
    assert_eq!(paths(&missing.rows()), set(&["/", "/missing.xml"]));
    let refused = Folder::new();
    let output = refused.crawl(&server.url("/")).args(["--since", "yesterday"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("failed to read the date \"yesterday\""));
}

#[test]
fn every_link_is_written_down_with_what_becomes_of_it() {
    let server = site(&[
        (
            "/",
            "<a href=a rel='x nofollow'>\n no </a><a href=b#f>B</a><img src=i><a href='mailto:x'>",
        ),
        ("/b", "<a href='http://[/'>broken</a>"),
    ]);
    let folder = Folder::new();
    let (links, csv) = (folder.path("links.jsonl"), folder.path("links.csv"));

    succeeds(folder.crawl(&server.url("/")).arg("--links").arg(&links));

    let edge = |from: &str, to: &str, element: &str, text: &str, rel: &str, why: Option<&str>| {
        let to = if to.starts_with('/') { server.url(to) } else { to.to_owned() };
        json!({
            "from": server.url(from), "to": to, "element": element, "text": text, "rel": rel,
            "followed": why.is_none(), "why": why
        })
    };
    assert_eq!(
        rows_of(&links),
        [
            edge("/", "/a", "a", "no", "x nofollow", Some("nofollow")),
            edge("/", "/b#f", "a", "B", "", None),
            edge("/", "/i", "img", "", "", Some("asset")),
            edge("/", "mailto:x", "a", "", "", Some("scheme")),
            edge("/b", "http://[/", "a", "broken", "", Some("invalid")),
        ]
    );

    succeeds(folder.crawl(&server.url("/")).arg("--force").arg("--links").arg(&csv));
    let csv = fs::read_to_string(&csv).unwrap();
    assert!(csv.starts_with("from,to,element,text,rel,followed,why\n"), "{csv}");
    assert_eq!(csv.lines().count(), 6);
    let output = folder.crawl(&server.url("/")).args(["--links", "x.db"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
