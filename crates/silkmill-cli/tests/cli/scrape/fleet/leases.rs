//! What a process does when its lease ends, and how fast a fleet asks a host.

use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use silkmill_testkit::{Reply, Server};

use super::{are_whole, export, process, with};
use crate::scrape::crawl::Folder;
use crate::scrape::fleet::postgres::{Postgres, signal};
use crate::wait;

/// The times at which requests came, from a common start.
type Times = Arc<Mutex<Vec<Duration>>>;

/// Serves pages of 60 links, and notes when each request came.
fn clocked(delay: Duration) -> (Server, Times, Instant) {
    let (times, started) = (Times::default(), Instant::now());
    let noted = Arc::clone(&times);
    let server = Server::start(move |request| {
        noted.lock().unwrap().push(started.elapsed());
        match request.path() {
            "/robots.txt" => Reply::status(404),
            "/" => Reply::html((0..60).map(|n| format!("<a href=/{n}>x</a>")).collect::<String>())
                .after(delay),
            _ => Reply::html("<title>page</title>").after(delay),
        }
    });
    (server.unwrap(), times, started)
}

#[test]
fn a_process_that_is_stopped_past_its_lease_asks_for_no_further_page() {
    let Some(postgres) = Postgres::start() else { return };
    let (server, times, started) = clocked(Duration::from_millis(100));
    let seed = server.url("/");
    let start =
        || with(process(&postgres.url(), "stopped", &seed), &["--sitemap", "off", "-j", "2"]);
    let mut first = start().spawn().unwrap();
    let since = Instant::now();
    while server.requests() < 6 && since.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(5));
    }
    signal(&first, "STOP");

    // The other takes the host when the lease has ended, and comes to the end.
    let rows = export(start(), &Folder::new());
    are_whole(&rows);
    assert_eq!(rows.len(), 61);
    let over = started.elapsed();
    signal(&first, "CONT");
    assert_eq!(wait(&mut first).code(), Some(0));

    let late = times.lock().unwrap().iter().filter(|time| **time > over).count();
    // Each of its two workers may have been about to send a request when it was stopped.
    assert!(late <= 2, "the process that was stopped has requested {late} pages");
    let count = postgres.tell("SELECT count(*) FROM stopped.rows");
    assert_eq!(count, "61");
}

#[test]
fn a_process_that_cannot_reach_the_database_requests_nothing_past_its_lease() {
    let Some(postgres) = Postgres::start() else { return };
    let (server, times, started) = clocked(Duration::from_millis(50));
    let wire = postgres.wire();
    let seed = server.url("/");
    let args = ["--sitemap", "off", "-j", "1", "--per-host", "1"];
    let mut child = with(process(&wire.url(), "silent", &seed), &args).spawn().unwrap();
    let since = Instant::now();
    while server.requests() < 6 && since.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(5));
    }
    wire.be_silent(true);
    thread::sleep(Duration::from_millis(3000));
    // The lease of a second has ended for certain.
    let ended = started.elapsed();
    thread::sleep(Duration::from_millis(1000));
    let silent_for = started.elapsed();
    wire.be_silent(false);
    assert_eq!(wait(&mut child).code(), Some(0));

    let late = |time: &&Duration| **time > ended && **time < silent_for;
    assert_eq!(times.lock().unwrap().iter().filter(late).count(), 0);
    are_whole(&export(with(process(&postgres.url(), "silent", &seed), &args[..2]), &Folder::new()));
    assert_eq!(postgres.tell("SELECT count(*) FROM silent.rows"), "61");
}

#[test]
fn a_process_that_is_interrupted_while_the_database_is_away_ends() {
    let Some(mut postgres) = Postgres::start() else { return };
    let (server, _, _) = clocked(Duration::from_millis(50));
    let args = ["--sitemap", "off", "-j", "1", "--per-host", "1"];
    let mut child = with(process(&postgres.url(), "away", &server.url("/")), &args);
    let mut child = child.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let since = Instant::now();
    while server.requests() < 6 && since.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(5));
    }
    postgres.go_down();
    thread::sleep(Duration::from_millis(700));
    signal(&child, "INT");

    let status = wait(&mut child);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("the crawl's job \"away\" in \"postgres\""), "{said}");

    // What was not committed is done again.
    postgres.go_up();
    let process = with(process(&postgres.url(), "away", &server.url("/")), &args[..2]);
    let rows = export(process, &Folder::new());
    are_whole(&rows);
    assert_eq!(rows.len(), 61);
}

#[test]
fn a_host_is_asked_no_faster_by_a_fleet_than_by_one() {
    let Some(postgres) = Postgres::start() else { return };
    let (times, started) = (Times::default(), Instant::now());
    let noted = Arc::clone(&times);
    let server = Server::start(move |request| {
        noted.lock().unwrap().push(started.elapsed());
        match request.path() {
            "/robots.txt" => Reply::html("User-agent: *\nCrawl-delay: 1"),
            "/" => Reply::html((0..8).map(|n| format!("<a href=/{n}>x</a>")).collect::<String>()),
            _ => Reply::html("page"),
        }
    })
    .unwrap();
    let seed = server.url("/");
    let start = || with(process(&postgres.url(), "slow", &seed), &["--sitemap", "off"]);
    let mut fleet: Vec<Child> = (0..3).map(|_| start().spawn().unwrap()).collect();
    for kill in 0..3 {
        let before = server.requests();
        let since = Instant::now();
        while server.requests() < before + 1 + kill % 2 && since.elapsed() < Duration::from_secs(20)
        {
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(Duration::from_millis(150));
        // The process that has the host is one of these.
        let mut victim = fleet.remove(0);
        let _ = victim.kill();
        victim.wait().unwrap();
        fleet.push(start().spawn().unwrap());
    }
    for mut child in fleet {
        assert_eq!(wait(&mut child).code(), Some(0));
    }

    assert_eq!(postgres.tell("SELECT count(*) FROM slow.rows"), "9");
    let times = times.lock().unwrap();
    for pair in times.windows(2) {
        // A server sees a request later than it was sent, and the one before perhaps much later.
        assert!(pair[1] - pair[0] >= Duration::from_millis(500), "{times:?}");
    }
}
