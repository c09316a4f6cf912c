//! A `robots.txt` is requested once for each host, and obeyed. (The code that parses it has tests
//! of its own.)

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use silkmill_scrape::{FailureKind, Method, OptionsBuilder, Phase};
use silkmill_testkit::{Reply, Request, Server};

use crate::{fault, hasty, once, row, rows};

fn obedient() -> OptionsBuilder {
    once().robots(true)
}

/// Starts a site with this file.
fn site(robots: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| match request.path() {
        "/robots.txt" => robots(request),
        "/to-b" => Reply::redirect("/b/x"),
        _ => Reply::html("x"),
    })
    .unwrap()
}

fn urls(server: &Server, paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| server.url(path)).collect()
}

#[test]
fn what_is_forbidden_is_a_row_and_is_not_asked_for() {
    let server =
        site(|_| Reply::html("User-agent: *\nDisallow: /b\n\nUser-agent: other\nDisallow: /"));
    let list = urls(&server, &["/a", "/b/1", "/c", "/b/2", "/a?x"]);

    let (rows, summary) = rows(&obedient(), &list);

    assert_eq!((rows.len(), summary.errors), (5, 2));
    for row in rows {
        match row.url.contains("/b/") {
            true => {
                assert_eq!(fault(&row), (FailureKind::Robots, Phase::Request));
                assert_eq!((row.status, row.attempts), (None, 1));
            }
            false => assert_eq!((row.status, row.error), (Some(200), None)),
        }
    }
    assert_eq!((server.requests_to("/robots.txt"), server.requests_to("/b/1")), (1, 0));
}

#[test]
fn nobody_is_asked_for_the_file_unless_it_is_to_be_obeyed() {
    let server = site(|_| Reply::html("User-agent: *\nDisallow: /"));

    assert_eq!(row(&once(), &server.url("/a")).status, Some(200));
    assert_eq!(server.requests_to("/robots.txt"), 0);
}

#[test]
fn the_first_word_of_the_user_agent_is_our_name() {
    let server = site(|_| Reply::html("User-agent: mybot\nDisallow: /b"));

    let ours = obedient().user_agent("MyBot/2.0 (+http://me.test/)");
    assert_eq!(row(&ours, &server.url("/b")).error.unwrap().kind, FailureKind::Robots);
    assert_eq!(row(&obedient(), &server.url("/b")).error, None);
}

#[test]
fn a_file_that_is_not_there_allows_and_one_that_cannot_be_had_forbids() {
    for (status, allowed) in [(404, true), (403, true), (410, true), (500, false), (503, false)] {
        let server = site(move |_| Reply::status(status));

        let row = row(&obedient().retries(0), &server.url("/a"));

        match allowed {
            true => assert_eq!((row.status, row.error), (Some(200), None), "{status}"),
            false => {
                assert_eq!(fault(&row), (FailureKind::Robots, Phase::Request), "{status}");
                assert!(row.error.unwrap().message.contains(&status.to_string()));
            }
        }
    }
}

#[test]
fn a_host_that_cannot_be_reached_says_so_and_not_that_it_forbids() {
    let server = site(|_| Reply::silence());

    let row = row(&hasty().robots(true), &server.url("/a"));

    assert_eq!(fault(&row), (FailureKind::Timeout, Phase::Response));
    assert!(row.error.unwrap().message.contains("robots.txt"));
}

#[test]
fn redirects_from_the_file_are_followed_to_a_bound() {
    let there = site(|_| Reply::html("User-agent: *\nDisallow: /b"));
    let target = there.url("/robots.txt");
    let here = site(move |_| Reply::redirect(&target));
    assert_eq!(row(&obedient(), &here.url("/b")).error.unwrap().kind, FailureKind::Robots);

    // An endless redirect counts as a missing file.
    let looping = site(|_| Reply::redirect("/robots.txt"));
    assert_eq!(row(&obedient(), &looping.url("/b")).error, None);
    assert_eq!(looping.requests_to("/robots.txt"), 6);
}

#[test]
fn a_redirect_to_what_is_forbidden_is_refused() {
    let server = site(|_| Reply::html("User-agent: *\nDisallow: /b"));

    let row = row(&obedient(), &server.url("/to-b"));

    assert_eq!(fault(&row), (FailureKind::Robots, Phase::Request));
    assert_eq!((row.redirects, server.requests_to("/b/x")), (vec![server.url("/b/x")], 0));
}

#[test]
fn every_host_of_a_chain_is_asked_for_its_own() {
    let there = site(|_| Reply::html("User-agent: *\nDisallow: /secret"));
    let target = there.url("/secret");
    let here = Server::start(move |request| match request.path() {
        "/robots.txt" => Reply::status(404),
        _ => Reply::redirect(&target),
    })
    .unwrap();

    let row = row(&obedient(), &here.url("/"));

    assert_eq!(fault(&row), (FailureKind::Robots, Phase::Request));
    assert_eq!((here.requests_to("/robots.txt"), there.requests_to("/robots.txt")), (1, 1));
}

#[test]
fn the_file_is_got_whole_also_for_those_who_want_heads() {
    let server = site(|_| Reply::html("User-agent: *\nDisallow: /b"));

    let row = row(&obedient().method(Method::Head), &server.url("/b"));

    assert_eq!(fault(&row).0, FailureKind::Robots);
}

#[test]
fn an_endless_file_is_cut() {
    let asked = AtomicU64::new(0);
    let server = site(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::endless_body("User-agent: *\nDisallow: /b\n"),
        _ => Reply::status(500),
    });

    assert_eq!(row(&obedient(), &server.url("/b")).error.unwrap().kind, FailureKind::Robots);
    assert_eq!(server.requests_to("/robots.txt"), 1);
}

#[test]
fn a_crawl_delay_is_kept() {
    const DELAY: Duration = Duration::from_millis(100);
    let times = std::sync::Arc::new(Mutex::new(Vec::new()));
    let noted = std::sync::Arc::clone(&times);
    let server = Server::start(move |request| {
        noted.lock().unwrap().push(Instant::now());
        match request.path() {
            "/robots.txt" => Reply::html("User-agent: *\nCrawl-delay: 0.1"),
            _ => Reply::html("x"),
        }
    })
    .unwrap();

    let (_, summary) = rows(&obedient().workers(8), &urls(&server, &["/1", "/2", "/3", "/4"]));

    // Five requests with that for the file, and so four delays, however late each of them began.
    assert_eq!((summary.errors, times.lock().unwrap().len()), (0, 5));
    assert!(summary.elapsed >= 4 * DELAY, "{summary:?}");
}
