//! A host that is down for good costs a bounded number of requests, and no other host suffers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use silkmill_scrape::{FailureKind, Options, Row};
use silkmill_testkit::{Reply, Server};

use crate::{FAR_TOO_LONG, SHORT, once, rows};

fn urls(server: &Server, pages: usize) -> Vec<String> {
    (0..pages).map(|page| server.url(&format!("/{page}"))).collect()
}

/// Counts the rows of a host that was given up.
fn given_up(rows: &[Row]) -> usize {
    let kinds = rows.iter().filter_map(|row| row.error.as_ref()).map(|error| error.kind);
    kinds.filter(|kind| *kind == FailureKind::Host).count()
}

#[test]
fn the_other_rows_of_a_host_that_is_down_come_at_once() {
    const DOWN: [u16; 4] = [429, 502, 503, 504];
    for status in DOWN {
        let server = Server::start(move |_| Reply::status(status)).unwrap();
        let options = once().workers(1).host_errors_max(3);

        let (rows, summary) = rows(&options, &urls(&server, 40));

        assert_eq!((server.requests(), rows.len(), summary.errors), (3, 40, 37), "{status}");
        assert!(rows[..3].iter().all(|row| row.status == Some(status) && row.error.is_none()));
        let host = server.url("").split_once("://").unwrap().1.to_owned();
        let row = &rows[39];
        let message = format!(
            "not requested: the last 3 rows of {host} had no response, or one whose status is retried"
        );
        assert_eq!(row.error.as_ref().unwrap().message, message);
        assert_eq!((row.attempts, row.status, row.elapsed), (0, None, Duration::ZERO));
        assert_eq!(row.final_url.as_ref(), Some(&row.url));
    }
}

#[test]
fn neither_a_delay_nor_a_pause_that_the_host_asks_for_holds_up_the_other_rows() {
    // Each of these would take the rows days.
    let server = Server::start(|_| Reply::status(503).header("Retry-After", "60")).unwrap();
    let options = once().workers(4).host_errors_max(1).delay(Duration::from_secs(3600));

    let (rows, _) = rows(&options, &urls(&server, 500));

    assert_eq!((server.requests(), given_up(&rows)), (1, 499));
}

#[test]
fn rows_that_wait_for_a_retry_end_when_their_host_is_given_up() {
    let server = Server::start(|_| Reply::status(503)).unwrap();
    let options = Options::builder().timeout(FAR_TOO_LONG).workers(4).retries(1).host_errors_max(1);

    let (rows, _) = rows(&options, &urls(&server, 50));

    assert!(given_up(&rows) >= 45 && server.requests() <= 10, "{}", server.requests());
}

#[test]
fn any_other_answer_starts_the_count_anew() {
    for answer in [200, 404, 500] {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) % 3 {
            2 => Reply::status(answer),
            _ => Reply::status(502),
        });
        let server = server.unwrap();

        let (rows, _) = rows(&once().workers(1).per_host(1).host_errors_max(3), &urls(&server, 30));

        assert_eq!((given_up(&rows), server.requests()), (0, 30), "{answer}");
    }
}

#[test]
fn with_zero_every_row_is_requested_and_thirty_is_the_default() {
    for (options, requests) in [(once().host_errors_max(0), 100), (once(), 30)] {
        let server = Server::start(|_| Reply::status(502)).unwrap();
        let options = options.workers(1).per_host(1);

        let (rows, _) = rows(&options, &urls(&server, 100));

        assert_eq!((server.requests(), given_up(&rows)), (requests, 100 - requests as usize));
    }
}

#[test]
fn a_host_that_only_redirects_to_dead_ones_is_not_given_up() {
    // Nothing listens on port 1, and every target is a host of its own.
    let server = Server::start(|request| {
        let target = format!("http://dead{}.test:1/", request.path().trim_start_matches('/'));
        Reply::redirect(&target)
    });
    let server = server.unwrap();
    let options = once().workers(1).host_errors_max(3);
    let options = options.resolver(|_| Ok(vec![[127, 0, 0, 1].into()]));

    let (rows, _) = rows(&options, &urls(&server, 20));

    assert_eq!((server.requests(), given_up(&rows)), (20, 0));
    assert!(rows.iter().all(|row| row.error.as_ref().unwrap().kind == FailureKind::Connect));
}

#[test]
fn a_dead_host_that_others_redirect_to_is_given_up_and_they_are_not() {
    let server = Server::start(|_| Reply::redirect("http://127.0.0.1:1/")).unwrap();

    let (rows, _) = rows(&once().workers(1).host_errors_max(3), &urls(&server, 20));

    assert_eq!((server.requests(), given_up(&rows)), (20, 17));
    let last = &rows[19];
    assert_eq!(last.redirects, ["http://127.0.0.1:1/"]);
}

#[test]
fn a_host_without_https_is_given_up_by_https_alone() {
    let server = Server::start(|_| Reply::html("x")).unwrap();
    let urls: Vec<String> = urls(&server, 20)
        .iter()
        .map(|url| url.strip_prefix("http://").unwrap().to_owned())
        .collect();

    // The server waits for the rest of a request that never comes.
    let options = once().connect_timeout(SHORT).workers(1).host_errors_max(3);
    let (rows, summary) = rows(&options, &urls);

    assert_eq!((summary.errors, rows.len()), (0, 20));
    assert!(rows.iter().all(|row| row.final_url.as_ref().unwrap().starts_with("http://")));
}
