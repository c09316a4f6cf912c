//! A site whose rows are known: every kind of link, redirects, sitemaps, robots.txt, and traps.

use std::collections::BTreeMap;

use serde_json::Value;
use silkmill_testkit::Site;

use super::{Folder, succeeds};
use crate::crash::strace::is_long;
use crate::sandbox::stderr;

/// How deep the crawl goes: below the catalogue, and into traps that have no other end.
const DEPTH_MAX: u32 = 20;

/// Returns the depth and the status of each row, by its path.
fn facts(rows: &[Value], base: &str) -> BTreeMap<String, (u32, u16)> {
    let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
    let fact = |row: &Value| {
        let path = row["url"].as_str().unwrap().strip_prefix(base).unwrap().to_owned();
        (path, (number(&row["depth"]) as u32, number(&row["status"]) as u16))
    };
    let facts: BTreeMap<_, _> = rows.iter().map(fact).collect();
    assert_eq!(facts.len(), rows.len(), "a page has two rows");
    facts
}

fn rows_equal_the_known_answer(workers: &str) {
    let site = Site::new(if is_long() { 10_000 } else { 1_000 });
    let server = site.start().unwrap();
    let folder = Folder::new();
    let depth = DEPTH_MAX.to_string();
    let args = ["--max-depth", &depth, "--exclude", "[?&;]sid=", "--per-host", "0"];

    let output = succeeds(folder.crawl(&server.url("/")).args(args).args(["-j", workers]));

    let rows = folder.rows();
    let expected = site.rows(DEPTH_MAX);
    assert_eq!(facts(&rows, &server.url("")), expected);
    // Each page was requested once; one that sets a cookie and redirects to itself, twice.
    let mut counts: BTreeMap<&str, u64> = BTreeMap::from([("/cookie", 1)]);
    for path in expected.keys() {
        *counts.entry(path.split('?').next().unwrap_or_default()).or_default() += 1;
    }
    for (path, count) in counts {
        assert_eq!(server.requests_to(path), count, "{path}");
    }
    for path in ["/robots.txt", "/sitemap.xml", "/maps/index.xml", "/maps/feed.xml"] {
        assert_eq!(server.requests_to(path), 1, "{path}");
    }
    for path in ["/private/x", "/private/listed", "/paper.pdf", "/no-1", "/template", "/i.png"] {
        assert_eq!(server.requests_to(path) - u64::from(path == "/paper.pdf"), 0, "{path}");
    }
    for row in rows.iter().filter(|row| !row["parent"].is_null()) {
        let parent = &rows[row["parent"].as_u64().unwrap() as usize];
        let difference = row["depth"].as_u64().unwrap() - parent["depth"].as_u64().unwrap();
        let is_redirect = (300..400).contains(&parent["status"].as_u64().unwrap());
        assert_eq!(difference, u64::from(!is_redirect), "{row}");
    }
    let kinds = rows.iter().find(|row| row["url"] == server.url("/kinds")).unwrap();
    assert_eq!(kinds["canonical"], server.url("/kinds-canonical"));
    let said = stderr(&output);
    for refusal in ["scheme 2", "invalid 1", "scope 3", "excluded 2", "repeated-segment 1"] {
        assert!(said.contains(refusal), "{refusal}: {said}");
    }
    for refusal in ["nofollow 6", "robots 3", "too-deep 2"] {
        assert!(said.contains(refusal), "{refusal}: {said}");
    }
}

#[test]
fn one_worker_finds_the_known_rows_of_a_site_with_everything_in_it() {
    rows_equal_the_known_answer("1");
}

#[test]
fn many_workers_find_the_known_rows_of_a_site_with_everything_in_it() {
    rows_equal_the_known_answer("64");
}
