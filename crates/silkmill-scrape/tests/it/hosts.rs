//! No host gets more requests than it may, and none that must wait holds up another.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use silkmill::CancelToken;
use silkmill_scrape::{FailureKind, Input, run};
use silkmill_testkit::{Reply, Request, Server};

use crate::{FAR_TOO_LONG, hasty, once, rows};

/// Starts a server that notes the most requests that it had at once.
fn counting(at_once_max: &Arc<AtomicUsize>, answer: fn(&Request) -> Reply) -> Server {
    let (now, max) = (AtomicUsize::new(0), Arc::clone(at_once_max));
    Server::start(move |request| {
        max.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(2));
        now.fetch_sub(1, Ordering::SeqCst);
        answer(request)
    })
    .unwrap()
}

fn urls(server: &Server, pages: usize) -> Vec<String> {
    (0..pages).map(|page| server.url(&format!("/{page}"))).collect()
}

#[test]
fn a_host_is_asked_by_no_more_than_its_limit_at_once() {
    let max = Arc::new(AtomicUsize::new(0));
    let server = counting(&max, |_| Reply::html("x"));

    let (rows, summary) = rows(&once().workers(32).per_host(3), &urls(&server, 60));

    assert_eq!((rows.len(), summary.errors), (60, 0));
    assert_eq!(max.load(Ordering::SeqCst), 3);
}

#[test]
fn a_redirect_to_another_host_counts_there() {
    let max = Arc::new(AtomicUsize::new(0));
    let there = counting(&max, |_| Reply::html("x"));
    let target = there.url_of("there.test", "/");
    let here = Server::start(move |_| Reply::redirect(&target)).unwrap();
    // Each page is on a host of its own, so that only the host they redirect to holds them back.
    let urls: Vec<String> =
        (0..40).map(|page| here.url_of(&format!("here-{page}.test"), "/")).collect();
    let options = once().workers(32).per_host(2).resolver(|_| Ok(vec![[127, 0, 0, 1].into()]));

    let (rows, summary) = rows(&options, &urls);

    assert_eq!((rows.len(), summary.errors, there.requests()), (40, 0, 40));
    assert!(rows.iter().all(|row| row.attempts == 1 && row.redirects.len() == 1));
    assert_eq!(max.load(Ordering::SeqCst), 2);
}

#[test]
fn a_host_that_hangs_does_not_starve_the_others() {
    // The good server answers only when the list is nearly through: the hanging one, first in
    // the list and with more pages than there are workers, cannot have taken them all.
    let hanging = Server::start(|_| Reply::silence()).unwrap();
    let good = Server::start(|_| Reply::html("x")).unwrap();
    let mut list = urls(&hanging, 12);
    list.extend(urls(&good, 50));
    let mut order = Vec::new();
    let options = hasty().timeout(Duration::from_secs(2)).workers(4).per_host(2);

    let summary = run(
        list.iter().map(Input::url),
        &options.build().unwrap(),
        &CancelToken::new(),
        &mut |row| {
            order.push(row.error.map(|error| error.kind));
            ControlFlow::Continue(())
        },
    )
    .unwrap();

    assert_eq!((summary.rows, summary.errors), (62, 12));
    // All good pages come before the second pair of hanging ones.
    let good_after = order.iter().rposition(Option::is_none).unwrap();
    let failed_before = order[..good_after].iter().flatten().count();
    assert!(failed_before <= 2, "{order:?}");
    assert!(order.iter().flatten().all(|kind| *kind == FailureKind::Timeout));
}

#[test]
fn no_more_lines_are_taken_than_are_needed_to_keep_the_workers_busy() {
    const WORKERS: usize = 4;
    const LINES: usize = 5_000;
    // Items that may start, and items that have started.
    const TAKEN_MAX: usize = 256 + WORKERS;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (taken, handed_on) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut ahead_max = 0;
    let inputs = (0..LINES).map(|line| {
        let taken = taken.fetch_add(1, Ordering::SeqCst) + 1;
        ahead_max = ahead_max.max(taken - handed_on.load(Ordering::SeqCst));
        Input::url(format!("http://{nobody}/{line}"))
    });

    let options = once().workers(WORKERS).per_host(0);
    let summary = run(inputs, &options.build().unwrap(), &CancelToken::new(), &mut |_| {
        handed_on.fetch_add(1, Ordering::SeqCst);
        ControlFlow::Continue(())
    })
    .unwrap();

    assert_eq!((summary.rows, summary.errors), (LINES as u64, LINES as u64));
    assert!(ahead_max <= TAKEN_MAX, "{ahead_max}");
}

#[test]
fn lines_of_a_host_that_hangs_are_looked_past_for_another() {
    const PAGES: usize = 50;
    let hanging = Server::start(|_| Reply::silence()).unwrap();
    let good = Server::start(|_| Reply::html("x")).unwrap();
    let mut list = urls(&hanging, 3_000);
    list.extend(urls(&good, PAGES));
    let mut rows = 0;

    let options = once().timeout(3 * FAR_TOO_LONG).workers(4).per_host(2);
    let summary = run(
        list.iter().map(Input::url),
        &options.build().unwrap(),
        &CancelToken::new(),
        &mut |row| {
            assert_eq!((row.status, row.error), (Some(200), None));
            rows += 1;
            if rows == PAGES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    )
    .unwrap();

    assert_eq!(summary.rows, PAGES as u64);
}

#[test]
fn starts_at_one_host_are_a_delay_apart() {
    const DELAY: Duration = Duration::from_millis(40);
    let (sender, times) = mpsc::channel();
    let server = Server::start(move |_| {
        sender.send(Instant::now()).unwrap();
        Reply::html("x")
    })
    .unwrap();

    let (_, summary) = rows(&once().workers(4).delay(DELAY), &urls(&server, 6));

    assert_eq!(summary.rows, 6);
    // The last request starts after five delays, however late each of them began.
    let times: Vec<Instant> = times.try_iter().collect();
    assert!(summary.elapsed >= 5 * DELAY, "{times:?}");
}

#[test]
fn retry_after_is_waited_for_and_holds_no_worker() {
    let asked = AtomicUsize::new(0);
    let busy = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(429).header("Retry-After", "1"),
        _ => Reply::html("x"),
    })
    .unwrap();
    let good = Server::start(|_| Reply::html("x")).unwrap();
    let mut list = urls(&busy, 3);
    list.extend(urls(&good, 20));

    // There is one worker: if it waited, the pages of the good server would come last.
    let started = Instant::now();
    let mut order = Vec::new();
    run(
        list.iter().map(Input::url),
        &once().workers(1).retries(1).build().unwrap(),
        &CancelToken::new(),
        &mut |row| {
            assert_eq!((row.status, row.error), (Some(200), None));
            order.push((row.index, row.attempts));
            ControlFlow::Continue(())
        },
    )
    .unwrap();

    assert!(started.elapsed() >= Duration::from_secs(1));
    assert!(order[..20].iter().all(|&(index, attempts)| index >= 3 && attempts == 1), "{order:?}");
    // The whole host was left alone, and the first of its pages is still the first.
    assert_eq!(order[20..], [(0, 2), (1, 1), (2, 1)]);
}

#[test]
fn retry_after_may_be_a_date() {
    let asked = AtomicUsize::new(0);
    let busy = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        // A time in the past: the retry does not wait.
        0 => Reply::status(503).header("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"),
        _ => Reply::html("x"),
    })
    .unwrap();

    let (rows, summary) = rows(&once().retries(1), &urls(&busy, 1));

    assert_eq!((rows[0].status, rows[0].attempts), (Some(200), 2));
    assert!(summary.elapsed < FAR_TOO_LONG);
}

#[test]
fn many_retries_wait_at_once() {
    // Each of 100 pages fails once. One after the other, on one worker, their pauses would take at
    // least ten seconds.
    let seen = std::sync::Mutex::new(std::collections::HashSet::new());
    let server = Server::start(move |request| {
        match seen.lock().unwrap().insert(request.path().to_owned()) {
            true => Reply::status(502),
            false => Reply::html("x"),
        }
    })
    .unwrap();

    let (rows, summary) = rows(&once().workers(1).retries(1), &urls(&server, 100));

    assert!(rows.iter().all(|row| (row.status, row.attempts) == (Some(200), 2)));
    assert!(summary.elapsed < Duration::from_secs(8), "{summary:?}");
}
