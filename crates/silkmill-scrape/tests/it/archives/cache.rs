//! Responses that are used again.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use silkmill_scrape::{OptionsBuilder, Row};
use silkmill_testkit::{Reply, Request, Server};

use super::records::{records, texts};
use super::{Folder, scraping};
use crate::row;

/// A server whose pages have these headers and say how often they were asked for in full.
fn numbered(headers: &'static [(&'static str, &'static str)]) -> Server {
    let number = AtomicU64::new(0);
    Server::start(move |request| {
        let tag = headers.iter().find(|(name, _)| *name == "ETag").map(|(_, value)| *value);
        let is_known = tag.is_some() && request.header("If-None-Match") == tag;
        let reply = match is_known {
            true => Reply::status(304),
            false => {
                let number = number.fetch_add(1, Ordering::Relaxed) + 1;
                Reply::html(format!("<title>{number}</title>"))
            }
        };
        headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    })
    .unwrap()
}

fn title(row: &Row) -> &str {
    row.title.as_deref().unwrap_or_else(|| panic!("no title in {row:?}"))
}

/// Asks for a page twice, and returns the titles and how many requests came.
fn twice(server: &Server, options: &OptionsBuilder) -> (String, String, u64) {
    let first = row(options, &server.url("/page"));
    let second = row(options, &server.url("/page"));
    assert_eq!((first.status, second.status), (Some(200), Some(200)));
    assert_eq!((first.bytes, &first.charset), (second.bytes, &second.charset));
    (title(&first).to_owned(), title(&second).to_owned(), server.requests())
}

#[test]
fn a_fresh_response_is_used_without_a_request() {
    for headers in [
        &[("Cache-Control", "max-age=600")][..],
        &[("Cache-Control", "private, max-age=600"), ("Vary", "User-Agent")],
        &[("Expires", "Fri, 01 Jan 2100 00:00:00 GMT")],
        &[("Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT")],
    ] {
        let server = numbered(headers);
        let folder = Folder::new();
        let options = scraping().cache(folder.path("cache"));
        assert_eq!(twice(&server, &options), ("1".into(), "1".into(), 1), "{headers:?}");
    }
}

#[test]
fn a_response_that_may_not_be_used_is_asked_for_again() {
    for headers in [
        &[][..],
        &[("Cache-Control", "no-store, max-age=600")],
        &[("Cache-Control", "max-age=0")],
        &[("Cache-Control", "no-cache, max-age=600")],
        &[("Cache-Control", "max-age=600"), ("Vary", "*")],
        &[("Cache-Control", "max-age=600"), ("Age", "600")],
        &[("Expires", "0")],
        &[("Cache-Control", "s-maxage=600")],
    ] {
        let server = numbered(headers);
        let folder = Folder::new();
        let options = scraping().cache(folder.path("cache"));
        assert_eq!(twice(&server, &options), ("1".into(), "2".into(), 2), "{headers:?}");
    }
}

#[test]
fn a_stale_response_is_used_once_the_server_says_that_it_is_valid() {
    let server = numbered(&[("ETag", "\"v1\""), ("Cache-Control", "max-age=0"), ("X", "y")]);
    let folder = Folder::new();
    let warc = folder.path("a.warc.gz");
    let options = scraping().cache(folder.path("cache"));

    assert_eq!(twice(&server, &options), ("1".into(), "1".into(), 2));
    let third = row(&options.clone().warc(&warc), &server.url("/page"));

    assert_eq!((title(&third), server.requests()), ("1", 3));
    assert_eq!(server.connections(), 3, "each run made one connection");
    let records = records(&warc);
    assert_eq!((texts(&records, "revisit"), texts(&records, "response")), (1, 0));
}

#[test]
fn a_304_makes_a_response_fresh_again_by_what_it_says() {
    let server = Server::start(|request| match request.header("If-None-Match") {
        Some("\"v1\"") => Reply::status(304)
            .header("Cache-Control", "max-age=600")
            .header("Content-Type", "text/plain"),
        _ => Reply::html("<title>1</title>").header("ETag", "\"v1\"").header("Expires", "0"),
    })
    .unwrap();
    let folder = Folder::new();
    let options = scraping().cache(folder.path("cache"));

    assert_eq!(twice(&server, &options), ("1".into(), "1".into(), 2));
    assert_eq!(title(&row(&options, &server.url("/page"))), "1");
    assert_eq!(server.requests(), 2, "the third needs no request");
}

#[test]
fn a_page_that_has_changed_takes_the_place_of_the_stored_one() {
    let version = Arc::new(AtomicU64::new(1));
    let current = Arc::clone(&version);
    let server = Server::start(move |request: &Request| {
        let tag = format!("\"v{}\"", current.load(Ordering::Relaxed));
        match request.header("If-None-Match") == Some(&tag) {
            true => Reply::status(304),
            false => Reply::html(format!("<title>{tag}</title>")),
        }
        .header("ETag", &tag)
        .header("Cache-Control", "no-cache")
    })
    .unwrap();
    let folder = Folder::new();
    let options = scraping().cache(folder.path("cache"));
    for (now, expected) in [(1, "\"v1\""), (1, "\"v1\""), (2, "\"v2\""), (2, "\"v2\"")] {
        version.store(now, Ordering::Relaxed);
        assert_eq!(title(&row(&options, &server.url("/page"))), expected);
    }
    assert_eq!(server.requests(), 4);
}

#[test]
fn a_response_is_used_for_requests_like_its_own() {
    let number = AtomicU64::new(0);
    let server = Server::start(move |_| {
        let number = number.fetch_add(1, Ordering::Relaxed) + 1;
        Reply::html(format!("<title>{number}</title>"))
            .header("Cache-Control", "max-age=600")
            .header("Vary", "X-Lang, Accept-Encoding")
    })
    .unwrap();
    let folder = Folder::new();
    let plain = scraping().cache(folder.path("cache"));
    let url = server.url("/page");
    for (options, expected) in [
        (plain.clone(), "1"),
        (plain.clone().header("X-Lang: de"), "2"),
        (plain.clone(), "1"),
        (plain.clone().header("X-Lang: de").header("X-Other: 1"), "2"),
        // Conditions of the user's own, and methods that do something, are between them and the
        // server.
        (plain.clone().header("If-None-Match: \"x\""), "3"),
        (plain.clone().header("Cache-Control: no-cache"), "4"),
        (plain.clone(), "4"),
        (plain.clone().header("Cache-Control: no-store"), "5"),
        (plain.clone(), "4"),
        (plain.clone().data("x"), "6"),
        // The page may be another after that.
        (plain.clone(), "7"),
        (plain, "7"),
    ] {
        assert_eq!(title(&row(&options, &url)), expected);
    }
}

#[test]
fn cookies_are_set_by_servers_and_not_by_the_cache() {
    let server = Server::start(|request| match request.path() {
        "/set" => Reply::redirect("/page")
            .header("Set-Cookie", "a=b")
            .header("Cache-Control", "max-age=600"),
        _ => Reply::html(format!("<title>{}</title>", request.header("Cookie").unwrap_or("none"))),
    })
    .unwrap();
    let folder = Folder::new();
    let options = scraping().cache(folder.path("cache"));
    assert_eq!(title(&row(&options, &server.url("/set"))), "a=b");
    let second = row(&options, &server.url("/set"));
    assert_eq!((title(&second), second.redirects.len()), ("none", 1));
    assert_eq!(server.requests_to("/set"), 1);
}

#[test]
fn a_cache_whose_files_are_gone_or_others_has_nothing() {
    let server = numbered(&[("Cache-Control", "max-age=600")]);
    let folder = Folder::new();
    let cache = folder.path("cache");
    let options = scraping().cache(&cache);
    row(&options, &server.url("/page"));
    let archive = cache.join("silkmill-00000.warc.gz");

    fs::remove_file(&archive).unwrap();
    assert_eq!(title(&row(&options, &server.url("/page"))), "2");
    assert_eq!(title(&row(&options, &server.url("/page"))), "2");
    // The responses of a cache are an archive as any other.
    let replayed = row(&scraping().replay(&cache), &server.url("/page"));
    assert_eq!((title(&replayed), server.requests()), ("2", 2));

    fs::write(cache.join("index.db"), b"no database, but some text").unwrap();
    let error = options.build().unwrap_err().to_string();
    assert!(error.contains("index.db"), "{error}");
    let file = folder.path("file");
    fs::write(&file, "").unwrap();
    let error = scraping().cache(&file).build().unwrap_err().to_string();
    assert!(error.ends_with("a cache is a folder"), "{error}");
}
