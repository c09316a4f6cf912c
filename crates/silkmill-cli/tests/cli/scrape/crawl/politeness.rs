//! How fast a host is asked by runs that are killed and go on.

use std::fs;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use silkmill_testkit::{Reply, Request, Server};

use super::Folder;
use crate::wait;

/// The most that a request may seem to come too soon: a server sees a request later than it was
/// sent, and the one before it perhaps much later. A request that does not wait at all comes within
/// a few milliseconds of the other.
const SLACK: f64 = 0.5;

/// The times at which requests came, from a common start.
type Times = Arc<Mutex<Vec<(Duration, String)>>>;

/// Starts a server that notes when each request came.
fn clocked(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (Server, Times) {
    let times = Times::default();
    let (noted, started) = (Arc::clone(&times), Instant::now());
    let server = Server::start(move |request| {
        noted.lock().unwrap().push((started.elapsed(), request.path().to_owned()));
        answer(request)
    });
    (server.unwrap(), times)
}

/// Crawls with `runs` runs, of which all but the last are killed: each at another moment after it
/// has sent some requests, the first of them at once.
fn crawl_through_kills(folder: &Folder, server: &Server, args: &[&str], runs: u64) {
    for run in 0..runs {
        let before = server.requests();
        let mut child: Child = folder
            .crawl(&server.url("/"))
            .args(["-q", "--sitemap", "off"])
            .args(args)
            .spawn()
            .unwrap();
        if run + 1 == runs {
            assert_eq!(wait(&mut child).code(), Some(0));
            return;
        }
        let since = Instant::now();
        while server.requests() < before + 1 + run % 3 && since.elapsed() < Duration::from_secs(20)
        {
            thread::sleep(Duration::from_millis(2));
        }
        // What a host wants is on disk as soon as it is known, or a little later on a busy machine.
        thread::sleep(Duration::from_millis(200 + 45 * run % 100));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// Checks that no request came sooner than `delay` after the one before.
fn are_apart(times: &Times, delay: Duration) {
    let times = times.lock().unwrap();
    for pair in times.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= delay.mul_f64(SLACK), "{delay:?}: {times:?}");
    }
}

fn links(count: usize) -> String {
    (0..count).map(|page| format!("<a href=/{page}>")).collect()
}

#[test]
fn a_crawl_delay_is_kept_over_kills() {
    let (server, times) = clocked(|request| match request.path() {
        "/robots.txt" => Reply::html("User-agent: *\nCrawl-delay: 1"),
        "/" => Reply::html(links(5)),
        _ => Reply::html("page"),
    });
    let folder = Folder::new();

    crawl_through_kills(&folder, &server, &[], 5);

    assert_eq!(folder.rows().len(), 6);
    are_apart(&times, Duration::from_secs(1));
}

#[test]
fn a_delay_of_the_user_is_kept_over_kills() {
    let (server, times) = clocked(|request| match request.path() {
        "/" => Reply::html(links(4)),
        _ => Reply::html("page"),
    });
    let folder = Folder::new();

    crawl_through_kills(&folder, &server, &["--delay", "1", "--no-robots"], 5);

    assert_eq!(folder.rows().len(), 5);
    are_apart(&times, Duration::from_secs(1));
}

#[test]
fn what_the_throttle_has_learned_is_kept_over_kills() {
    // As long as a page takes, as long is the pause between the starts of two requests.
    let latency = Duration::from_millis(700);
    let (server, times) = clocked(move |request| {
        let reply = match request.path() {
            "/robots.txt" => Reply::html(""),
            "/" => Reply::html(links(6)),
            _ => Reply::html("page"),
        };
        reply.after(latency)
    });
    let folder = Folder::new();
    // The first run learns how slow the host is: it knows with the first row.
    let mut first =
        folder.crawl(&server.url("/")).args(["-q", "--sitemap", "off"]).spawn().unwrap();
    let length = || fs::metadata(folder.path("rows.jsonl")).map_or(0, |metadata| metadata.len());
    while length() == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(100));
    first.kill().unwrap();
    first.wait().unwrap();

    crawl_through_kills(&folder, &server, &[], 4);

    assert_eq!(folder.rows().len(), 7);
    are_apart(&times, latency);
}

#[test]
fn a_host_that_was_too_busy_is_asked_slowly_by_the_next_run_too() {
    // It refuses once, and is quick otherwise: only the doubled delay keeps requests apart.
    let (server, times) = clocked(|request| match request.path() {
        "/robots.txt" => Reply::status(404),
        "/" => Reply::html(links(2)),
        "/0" => Reply::status(503).header("Retry-After", "1"),
        _ => Reply::html("page"),
    });
    let folder = Folder::new();
    let args = ["--retries", "0", "-j", "1"];
    let mut first = folder.crawl(&server.url("/"));
    let mut child = first.args(["-q", "--sitemap", "off"]).args(args).spawn().unwrap();
    while server.requests_to("/0") == 0 {
        thread::sleep(Duration::from_millis(2));
    }
    thread::sleep(Duration::from_millis(100));
    child.kill().unwrap();
    child.wait().unwrap();

    crawl_through_kills(&folder, &server, &args, 1);

    assert_eq!(folder.rows().len(), 3);
    let times = times.lock().unwrap();
    let refused = times.iter().position(|(_, path)| path == "/0").unwrap();
    let after: Vec<_> = times[refused..].windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    // First the pause that it asked for, then the delay between robots.txt and the page: a second,
    // which good answers make shorter by a quarter each.
    assert!(after[0] >= Duration::from_millis(800), "{times:?}");
    assert!(after[1..].iter().all(|gap| *gap >= Duration::from_millis(400)), "{times:?}");
}
