//! What is followed, and how far.

use silkmill_testkit::{Reply, Server};

use super::{Folder, paths, set, site, succeeds};
use crate::sandbox::stderr;

#[test]
fn a_redirect_is_a_link_and_both_pages_have_a_row() {
    let outside = site(&[("/", "outside")]);
    let target = outside.url("/");
    let server = Server::start(move |request| match request.path() {
        "/" => Reply::html("<a href=old>1</a><a href=new>2</a><a href=out>3</a><a href=loop>4</a>"),
        "/old" => Reply::redirect("/new"),
        "/new" => Reply::html("<title>New</title>"),
        "/out" => Reply::redirect(&target),
        "/loop" => Reply::redirect("/loop2"),
        "/loop2" => Reply::redirect("/loop"),
        _ => Reply::status(404),
    })
    .unwrap();
    let folder = Folder::new();

    succeeds(&mut folder.crawl(&server.url("/")));

    let rows = folder.rows();
    assert_eq!(paths(&rows), set(&["/", "/old", "/new", "/out", "/loop", "/loop2"]));
    let row = |path: &str| rows.iter().find(|row| row["url"] == server.url(path)).unwrap();
    assert_eq!((&row("/old")["status"], &row("/new")["title"]), (&302.into(), &"New".into()));
    assert_eq!((&row("/new")["depth"], &row("/loop2")["depth"]), (&1.into(), &1.into()));
    assert_eq!(outside.requests(), 0);
    assert!(
        ["/old", "/new", "/out", "/loop", "/loop2"]
            .iter()
            .all(|path| server.requests_to(path) == 1)
    );
}

#[test]
fn a_seed_that_redirects_says_where_the_site_is() {
    let site = site(&[("/", "<a href=a>A</a>"), ("/a", "x")]);
    let target = site.url("/");
    let moved = Server::start(move |request| match request.path() {
        "/" => Reply::redirect(&target),
        _ => Reply::status(404),
    })
    .unwrap();
    let folder = Folder::new();

    succeeds(&mut folder.crawl(&moved.url("/")));

    let urls: Vec<_> = folder.rows().iter().map(|row| row["url"].clone()).collect();
    assert_eq!(urls, [moved.url("/"), site.url("/"), site.url("/a")]);
}

#[test]
fn a_page_that_redirects_to_itself_with_a_cookie_is_read() {
    let server = Server::start(|request| match (request.path(), request.header("cookie")) {
        ("/robots.txt", _) => Reply::status(404),
        (_, None) => Reply::redirect("/").header("Set-Cookie", "seen=1"),
        _ => Reply::html("<title>T</title>"),
    })
    .unwrap();
    let folder = Folder::new();

    succeeds(&mut folder.crawl(&server.url("/")));

    assert_eq!((&folder.rows()[0]["title"], folder.rows().len()), (&"T".into(), 1));
}

#[test]
fn a_chain_of_redirects_has_a_bound() {
    let server = Server::start(|request| {
        let number: u32 = request.path()[1..].parse().unwrap_or(0);
        match request.path() {
            "/robots.txt" => Reply::status(404),
            _ => Reply::redirect(&format!("/{}", number + 1)),
        }
    })
    .unwrap();
    let folder = Folder::new();

    let output = folder.crawl(&server.url("/")).args(["--max-redirects", "3"]).output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let rows = folder.rows();
    assert_eq!(paths(&rows), set(&["/", "/1", "/2", "/3"]));
    assert_eq!(rows[3]["error"]["kind"], "redirects");
}

#[test]
fn pages_that_ask_not_to_be_followed_are_not() {
    let server = Server::start(|request| match request.path() {
        "/robots.txt" => Reply::html("User-agent: *\nDisallow: /private"),
        "/" => Reply::html(
            "<a href=rel rel=nofollow>1</a><a href=meta>2</a><a href=head>3</a>\
             <a href=private/x>4</a><a href=ok>5</a>",
        ),
        "/meta" => Reply::html("<meta name=robots content=nofollow><a href=m1>"),
        "/head" => Reply::html("<a href=h1>").header("X-Robots-Tag", "none"),
        _ => Reply::html("page"),
    })
    .unwrap();
    let folder = Folder::new();

    let output = succeeds(&mut folder.crawl(&server.url("/")));
    assert_eq!(paths(&folder.rows()), set(&["/", "/meta", "/head", "/ok"]));
    assert_eq!(server.requests_to("/private/x"), 0);
    assert!(stderr(&output).contains("nofollow 3, robots 1"), "{}", stderr(&output));

    let all = Folder::new();
    succeeds(all.crawl(&server.url("/")).arg("--no-robots"));
    let expected = set(&["/", "/rel", "/meta", "/m1", "/head", "/h1", "/private/x", "/ok"]);
    assert_eq!(paths(&all.rows()), expected);
}

#[test]
fn limits_are_exact() {
    // A tree: every page has ten children.
    let server = Server::start(|request| match request.path() {
        "/robots.txt" => Reply::status(404),
        path => {
            let links: Vec<String> = (0..10)
                .map(|child| format!("<a href={}{child}>", path.trim_end_matches('.')))
                .collect();
            Reply::html(links.concat())
        }
    })
    .unwrap();
    for (option, limit, rows) in [
        ("--max-pages", "37", 37),
        ("--max-pages", "1", 1),
        ("--max-depth", "2", 111),
        ("--max-depth", "0", 1),
        ("--max-pages-per-host", "64", 64),
    ] {
        for workers in ["1", "64"] {
            let folder = Folder::new();
            let before = server.requests() - server.requests_to("/robots.txt");
            let args = ["--sitemap", "off", "--per-host", "0", "-j", workers, option, limit];
            succeeds(folder.crawl(&server.url("/")).args(args));
            assert_eq!(folder.rows().len(), rows, "{option} {limit} {workers}");
            let requests = server.requests() - server.requests_to("/robots.txt") - before;
            assert_eq!(requests, rows as u64, "{option} {limit} {workers}");
        }
    }
}

#[test]
fn a_limit_can_be_raised() {
    let server = Server::start(|request| match request.path() {
        "/robots.txt" => Reply::status(404),
        path => Reply::html(format!("<a href={}x><a href={}y>", path, path)),
    })
    .unwrap();
    let folder = Folder::new();
    for limit in ["5", "12", "30"] {
        let output = succeeds(folder.crawl(&server.url("/")).args([
            "--sitemap",
            "off",
            "--max-pages",
            limit,
        ]));
        assert_eq!(paths(&folder.rows()).len().to_string(), limit);
        assert!(stderr(&output).contains("a limit is reached"), "{}", stderr(&output));
    }
    for limit in ["35", "40"] {
        let args = ["--sitemap", "off", "--max-pages", "1000", "--max-pages-per-host", limit];
        succeeds(folder.crawl(&server.url("/")).args(args));
        assert_eq!(paths(&folder.rows()).len().to_string(), limit);
    }
    assert_eq!(server.requests() - server.requests_to("/robots.txt"), 40);
}

#[test]
fn traps_are_left_and_counted() {
    let server = Server::start(|request| match request.path() {
        "/robots.txt" => Reply::status(404),
        "/" => Reply::html(format!("<a href=deep/>1</a><a href='/{}'>2</a>", "x".repeat(4096))),
        "/many" => Reply::html("<a href=one>".repeat(10_001)),
        path if path.starts_with("/deep/") => Reply::html("<a href=deep/>again</a><a href=/many>"),
        _ => Reply::html("page"),
    })
    .unwrap();
    let folder = Folder::new();

    let output = succeeds(&mut folder.crawl(&server.url("/")));

    let expected = set(&["/", "/deep/", "/deep/deep/", "/many", "/one"]);
    assert_eq!(paths(&folder.rows()), expected);
    let expected = "too-long 1, repeated-segment 1, too-many-links 1";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn a_host_is_asked_no_faster_than_it_wants() {
    let started = std::time::Instant::now();
    let starts = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let copy = std::sync::Arc::clone(&starts);
    let server = Server::start(move |request| {
        copy.lock().unwrap().push(started.elapsed());
        match request.path() {
            "/robots.txt" => Reply::html("User-agent: *\nCrawl-delay: 0.2"),
            "/" => Reply::html("<a href=1><a href=2><a href=3>"),
            _ => Reply::html("page"),
        }
    })
    .unwrap();
    let folder = Folder::new();

    succeeds(&mut folder.crawl(&server.url("/")));

    assert_eq!(folder.rows().len(), 4);
    let starts = starts.lock().unwrap();
    // The server sees a request later than it was sent, by as much as the machine likes.
    assert!(starts[4] - starts[0] >= std::time::Duration::from_millis(700), "{starts:?}");
}
