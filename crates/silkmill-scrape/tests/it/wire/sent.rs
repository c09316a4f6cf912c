//! What is sent: methods and bodies, cookies as they came and over a whole run, and where refreshes
//! lead.

use std::sync::atomic::{AtomicU64, Ordering};

use silkmill_scrape::{CookieJar, Method, Options};
use silkmill_testkit::{Reply, Request, Server};

use crate::wire::{PAGE, titles};
use crate::{once, row, rows};

fn line_of(request: &Request, name: &str) -> Vec<u8> {
    let lines = request.head().split(|&byte| byte == b'\n');
    let line = lines.into_iter().find(|line| line.starts_with(name.as_bytes()));
    line.map(|line| line.trim_ascii().to_vec()).unwrap_or_default()
}

#[test]
fn bytes_that_are_no_text_go_back_as_they_came() {
    let server = Server::start(|request| match request.path() {
        "/" => Reply::raw(
            b"HTTP/1.1 302 x\r\nLocation: /caf\xe9?q=\xe9\r\nSet-Cookie: a=\xe9\r\n\
              Content-Length: 0\r\n\r\n"
                .to_vec(),
        ),
        "/caf%E9" if request.target().ends_with("?q=%E9") => match &*line_of(request, "Cookie:") {
            b"Cookie: a=\xe9" => Reply::html(PAGE),
            _ => Reply::status(400),
        },
        _ => Reply::status(404),
    })
    .unwrap();

    let row = row(&once(), &server.url("/"));

    assert_eq!((row.status, row.redirects.len()), (Some(200), 1), "{row:?}");
}

#[test]
fn a_cookie_that_was_deleted_is_not_sent_again() {
    let server = Server::start(|request| match request.path() {
        "/" => Reply::redirect("/delete").header("Set-Cookie", "a=b"),
        "/delete" => Reply::redirect("/end")
            .header("Set-Cookie", "a=; expires=Thu, 01-Jan-70 00:00:10 GMT; path=/"),
        _ if request.header("cookie").is_some() => Reply::status(400),
        _ => Reply::html(PAGE),
    })
    .unwrap();

    assert_eq!(row(&once(), &server.url("/")).status, Some(200));
}

#[test]
fn a_jar_holds_cookies_for_the_whole_run() {
    let server = Server::start(|request| match (request.path(), request.header("cookie")) {
        ("/in", Some("given=1")) => Reply::html("x").header("Set-Cookie", "set=2; HttpOnly"),
        ("/page", Some("given=1; set=2")) => Reply::html("x"),
        _ => Reply::status(403),
    })
    .unwrap();
    let jar = CookieJar::default();
    jar.read(b"127.0.0.1\tFALSE\t/\tFALSE\t0\tgiven\t1\n").unwrap();
    let list = [server.url("/in"), server.url("/page")];

    let (with_jar, _) = rows(&once().workers(1).cookie_jar(&jar), &list);
    let (without, _) = rows(&once().workers(1), &list);

    assert!(with_jar.iter().all(|row| row.status == Some(200)), "{with_jar:?}");
    assert!(without.iter().all(|row| row.status == Some(403)), "{without:?}");
    let file = String::from_utf8(jar.to_bytes()).unwrap();
    assert!(file.contains("#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tset\t2\n"), "{file}");
}

#[test]
fn data_is_sent_and_follows_the_redirects_that_keep_it() {
    let server = Server::start(|request| {
        let echo = format!("{} {}", request.method(), String::from_utf8_lossy(request.body()));
        match request.path() {
            "/302" => Reply::redirect("/end"),
            "/303" => Reply::redirect("/end").with_status(303),
            "/307" => Reply::redirect("/end").with_status(307),
            "/308" => Reply::redirect("/end").with_status(308),
            _ => Reply::html(format!("<title>{echo}</title>")),
        }
    })
    .unwrap();
    let post = titles().data("a=b&c");
    for (options, path, title) in [
        (post.clone(), "/", "POST a=b&c"),
        (post.clone(), "/302", "GET"),
        (post.clone(), "/303", "GET"),
        (post.clone(), "/307", "POST a=b&c"),
        (post.clone(), "/308", "POST a=b&c"),
        (post.clone().method(Method::parse("PUT").unwrap()), "/302", "PUT a=b&c"),
        (titles().method(Method::parse("PURGE").unwrap()), "/", "PURGE"),
        (post.method(Method::Get), "/", "GET a=b&c"),
    ] {
        let row = row(&options, &server.url(path));
        assert_eq!(row.title.as_deref(), Some(title), "{path}: {row:?}");
    }
}

#[test]
fn what_does_something_is_not_done_twice() {
    let data = |options: silkmill_scrape::OptionsBuilder| options.data("x").retries(3);
    for (reply, method) in [
        (Reply::status(503).header("Retry-After", "0"), None),
        (Reply::reset("y"), None),
        (Reply::raw(""), Some("PUT")),
        (Reply::raw(""), Some("PATCH")),
    ] {
        let server = Server::start(move |_| reply.clone()).unwrap();
        let mut options = data(once());
        if let Some(method) = method {
            options = options.method(Method::parse(method).unwrap());
        }

        assert_eq!(row(&options, &server.url("/")).attempts, 1);
        assert_eq!(server.requests(), 1);
        let again = row(&options.retry_post(true), &server.url("/"));
        assert_eq!((again.attempts, server.requests()), (4, 5));
    }
    // A connection that was never made sent nothing.
    assert_eq!(row(&data(once()), "http://127.0.0.1:1/").attempts, 4);
}

#[test]
fn a_body_never_goes_over_a_connection_that_may_be_closing() {
    let server = Server::start(|_| Reply::html("x")).unwrap();

    let (rows, _) = rows(&once().workers(1).data("x"), &vec![server.url("/"); 3]);

    assert!(rows.iter().all(|row| row.status == Some(200)));
    assert_eq!((server.requests(), server.connections()), (3, 3));
}

#[test]
fn refreshes_are_followed_where_that_is_wanted() {
    let asked = AtomicU64::new(0);
    let server = Server::start(move |request| match request.path() {
        "/header" => Reply::html("x").header("Refresh", "0; url=/end"),
        "/meta" => Reply::html("<meta http-equiv=refresh content='1;URL=\"end\"'>"),
        "/self" => Reply::html("<title>T</title><meta http-equiv=refresh content=30>"),
        "/loop" => Reply::html("x")
            .header("Refresh", &format!("0; url=/loop?{}", asked.fetch_add(1, Ordering::Relaxed))),
        _ => Reply::html("<title>end</title>"),
    })
    .unwrap();
    let follow = |path: &str| row(&titles().follow_refresh(true), &server.url(path));

    for path in ["/header", "/meta"] {
        let row = follow(path);
        assert_eq!(row.title.as_deref(), Some("end"), "{row:?}");
        assert_eq!(row.redirects, [server.url("/end")]);
    }
    assert_eq!(follow("/self").title.as_deref(), Some("T"));
    assert!(follow("/loop").error.unwrap().message.contains("more than 10 redirects"));
    assert_eq!(row(&titles(), &server.url("/meta")).redirects.len(), 0);
    // Also where nothing else reads the page.
    let fetched = row(&once().follow_refresh(true), &server.url("/meta"));
    assert_eq!(fetched.final_url, Some(server.url("/end")));
    let none = Options::builder().redirects_max(0).follow_refresh(true);
    assert_eq!(row(&none, &server.url("/meta")).redirects.len(), 0);
}
