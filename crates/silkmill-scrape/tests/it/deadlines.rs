//! Every phase of a request has its deadline, and a row says which one was missed.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use silkmill_scrape::{FailureKind, Options, Phase, Row};
use silkmill_testkit::{Reply, Server};

use crate::{fault, once, row};

/// The deadline that is missed; any other is far away.
const MISSED: Duration = Duration::from_millis(250);

/// Asserts that the row timed out in a phase, and names the limit that was up.
fn assert_missed(row: &Row, phase: Phase, limit: &str) {
    assert_eq!(fault(row), (FailureKind::Timeout, phase));
    let message = &row.error.as_ref().unwrap().message;
    assert!(message.ends_with(&format!("when its time of {limit} was up")), "{message}");
}

/// A listener whose queue is full, so that the next connect waits, and the connections in the
/// queue.
struct Full {
    address: SocketAddr,
    _listener: TcpListener,
    _taken: Vec<TcpStream>,
}

impl Full {
    fn new() -> Full {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut taken = Vec::new();
        while let Ok(one) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            taken.push(one);
            assert!(taken.len() < 100, "the listener takes everybody");
        }
        Full { address, _listener: listener, _taken: taken }
    }
}

#[test]
fn a_lookup_has_the_time_to_connect() {
    let options = once().connect_timeout(MISSED).resolver(|_| {
        thread::sleep(8 * MISSED);
        Ok(vec![[127, 0, 0, 1].into()])
    });

    assert_missed(&row(&options, "http://hangs.test:1/"), Phase::Resolve, "250ms");
}

#[test]
fn a_connect_has_the_time_to_connect() {
    let full = Full::new();

    let row = row(&once().connect_timeout(MISSED), &format!("http://{}/", full.address));

    assert_missed(&row, Phase::Connect, "250ms");
    assert_eq!(row.timing.first_byte, None);
}

#[test]
fn tls_has_what_is_left_of_the_time_to_connect() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());

    assert_missed(&row(&once().connect_timeout(MISSED), &url), Phase::Tls, "250ms");
}

#[test]
fn the_first_byte_has_a_time_of_its_own() {
    let server = Server::start(|_| Reply::silence()).unwrap();

    let row = row(&once().first_byte_timeout(MISSED), &server.url("/"));

    assert_missed(&row, Phase::Response, "250ms");
    assert!(row.timing.connect.is_some());
}

#[test]
fn what_comes_after_the_first_byte_has_the_time_of_the_attempt() {
    // One byte a second, of the head or of the body. The first comes at once.
    let server = Server::start(|request| match request.path() {
        "/head" => Reply::drip_head(),
        _ => Reply::drip_body("x".repeat(100)),
    })
    .unwrap();
    let options = Options::builder().retries(0).first_byte_timeout(9 * MISSED / 2);
    let options = options.timeout(10 * MISSED);

    assert_missed(&row(&options, &server.url("/head")), Phase::Response, "2.5s");
    assert_missed(&row(&options, &server.url("/body")), Phase::Body, "2.5s");
}

#[test]
fn no_phase_outlasts_the_attempt() {
    let full = Full::new();
    let server = Server::start(|_| Reply::silence()).unwrap();
    let long = 100 * MISSED;
    let options = Options::builder().retries(0).connect_timeout(long).first_byte_timeout(long);
    let options = options.timeout(MISSED);

    let connecting = row(&options, &format!("http://{}/", full.address));
    assert_missed(&connecting, Phase::Connect, "250ms");
    assert_missed(&row(&options, &server.url("/")), Phase::Response, "250ms");
}
