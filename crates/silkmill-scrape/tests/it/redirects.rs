//! Redirects are followed, recorded and bounded, and secrets stay where they were meant to go.

use silkmill_scrape::{FailureKind, Phase};
use silkmill_testkit::{Reply, Request, Server};

use crate::{fault, hasty, once, row};

fn site(request: &Request) -> Reply {
    match request.path() {
        "/a" => Reply::redirect("/b"),
        "/b" => Reply::redirect("sub/c?q=1#part").header("Content-Type", "x"),
        "/sub/c" => Reply::html("arrived"),
        "/loop" => Reply::redirect("/loop"),
        "/ftp" => Reply::redirect("ftp://127.0.0.1/"),
        "/nowhere" => Reply::redirect("http://"),
        "/no-location" => Reply::status(302),
        "/to-silence" => Reply::redirect("/silence"),
        "/silence" => Reply::silence(),
        _ => Reply::status(404),
    }
}

#[test]
fn a_chain_is_followed_and_recorded() {
    let server = Server::start(site).unwrap();

    let row = row(&once(), &server.url("/a"));

    assert_eq!(row.status, Some(200));
    assert_eq!(row.redirects, [server.url("/b"), server.url("/sub/c?q=1#part")]);
    assert_eq!(row.final_url, Some(server.url("/sub/c?q=1#part")));
    assert_eq!((server.requests(), server.connections()), (3, 1));
}

#[test]
fn a_loop_ends_at_the_bound() {
    let server = Server::start(site).unwrap();

    let row = row(&once().redirects_max(4), &server.url("/loop"));

    assert_eq!(fault(&row), (FailureKind::Redirects, Phase::Response));
    assert_eq!((row.status, row.redirects.len()), (Some(302), 4));
    assert_eq!(server.requests(), 5);
}

#[test]
fn with_no_redirects_allowed_the_redirect_is_the_response() {
    let server = Server::start(site).unwrap();

    let row = row(&once().redirects_max(0), &server.url("/a"));

    assert_eq!((row.status, row.error), (Some(302), None));
    assert_eq!(row.final_url, Some(server.url("/a")));
}

#[test]
fn a_redirect_without_a_place_to_go_is_a_response() {
    let server = Server::start(site).unwrap();

    let row = row(&once(), &server.url("/no-location"));

    assert_eq!((row.status, row.error), (Some(302), None));
}

#[test]
fn a_redirect_to_what_is_not_http_is_refused() {
    let server = Server::start(site).unwrap();

    for path in ["/ftp", "/nowhere"] {
        let row = row(&once(), &server.url(path));
        assert_eq!(fault(&row), (FailureKind::Redirects, Phase::Response), "{path}");
    }
}

#[test]
fn the_time_of_an_attempt_is_shared_by_its_redirects() {
    let server = Server::start(site).unwrap();

    let row = row(&hasty(), &server.url("/to-silence"));

    assert_eq!(fault(&row), (FailureKind::Timeout, Phase::Response));
    assert_eq!(row.final_url, Some(server.url("/silence")));
    assert_eq!(row.redirects, [server.url("/silence")]);
}

#[test]
fn a_host_header_is_for_the_address_that_was_given() {
    let seen = |request: &Request| Reply::html(request.header("Host").unwrap_or("none").to_owned());
    let there = Server::start(seen).unwrap();
    let target = there.url("/");
    let here = Server::start(move |_| Reply::redirect(&target)).unwrap();
    let options = once().header("Host: of-my-own.example");

    let at_home = row(&options, &there.url("/"));
    let abroad = row(&options, &here.url("/"));

    assert_eq!(at_home.bytes, "of-my-own.example".len() as u64);
    assert_eq!(abroad.bytes, format!("127.0.0.1:{}", there.port()).len() as u64);
}

#[test]
fn secrets_are_not_sent_on_to_another_server() {
    let seen = |request: &Request| {
        let header = |name| request.header(name).unwrap_or("none").to_owned();
        Reply::html(format!(
            "{} {} {}",
            header("Authorization"),
            header("Cookie"),
            header("X-Mine")
        ))
    };
    let there = Server::start(seen).unwrap();
    let target = there.url("/");
    let here = Server::start(move |_| Reply::redirect(&target)).unwrap();
    let options = ["Authorization: secret", "Cookie: a=b", "X-Mine: x"]
        .iter()
        .fold(once(), |options, header| options.header(*header));

    let at_home = row(&options, &there.url("/"));
    let abroad = row(&options, &here.url("/"));

    assert_eq!(at_home.bytes, "secret a=b x".len() as u64);
    assert_eq!(abroad.bytes, "none none x".len() as u64);
}

#[test]
fn a_cookie_that_is_set_on_the_way_is_brought_back() {
    // A request without the cookie is redirected in a circle.
    let server = Server::start(|request| match request.header("Cookie") {
        Some("seen=yes; mine=1") | Some("mine=1; seen=yes") => Reply::html("arrived"),
        _ => Reply::redirect(request.path()).header("Set-Cookie", "seen=yes; Path=/"),
    })
    .unwrap();
    let options = once().header("Cookie: mine=1");

    let (rows, _) = crate::rows(&options.workers(1), &[server.url("/a"), server.url("/b")]);

    // The second chain has no cookies of the first.
    assert!(rows.iter().all(|row| row.status == Some(200) && row.redirects.len() == 1), "{rows:?}");
}

#[test]
fn cookies_of_one_host_are_not_shown_to_another() {
    let there =
        Server::start(|request| Reply::html(format!("{:?}", request.header("Cookie")))).unwrap();
    let target = there.url_of("b.test", "/");
    let here =
        Server::start(move |_| Reply::redirect(&target).header("Set-Cookie", "secret=1")).unwrap();
    let options = once().resolver(|_| Ok(vec![[127, 0, 0, 1].into()]));

    let row = row(&options, &here.url_of("a.test", "/"));

    assert_eq!((row.status, row.bytes), (Some(200), "None".len() as u64));
}

#[test]
fn the_user_in_an_address_is_sent_there_and_not_on() {
    let seen = |request: &Request| {
        Reply::html(request.header("Authorization").unwrap_or("none").to_owned())
    };
    let there = Server::start(seen).unwrap();
    let target = there.url("/");
    let here = Server::start(move |_| Reply::redirect(&target)).unwrap();
    let with_user = |url: String| url.replace("http://", "http://user:pass@");

    let at_home = row(&once(), &with_user(there.url("/")));
    let abroad = row(&once(), &with_user(here.url("/")));

    assert_eq!(at_home.bytes, "Basic dXNlcjpwYXNz".len() as u64);
    assert_eq!(abroad.bytes, "none".len() as u64);
}
