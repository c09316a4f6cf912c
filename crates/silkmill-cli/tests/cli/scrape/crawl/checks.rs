//! Links that lead nowhere.

use std::collections::BTreeSet;

use silkmill_testkit::{Reply, Server};

use super::{Folder, paths};
use crate::sandbox::{stderr, stdout};

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn every_broken_link_is_named_with_the_pages_that_have_it() {
    let outside = Server::start(|request| match (request.method(), request.path()) {
        (_, "/good") => Reply::html("<a href=/never>not ours</a>"),
        // No HEAD is known here.
        ("HEAD", "/get") => Reply::status(405),
        (_, "/get") => Reply::html("page"),
        (_, "/moved") => Reply::redirect("/gone"),
        _ => Reply::status(404),
    })
    .unwrap();
    let out = |path: &str| outside.url(path);
    let home = format!(
        "<a href=a>A</a><a href=missing>1</a><img src=i.png><a href={}>2</a><a href={}>3</a>\
         <a href={} rel=nofollow>4</a><a href={}>5</a><a href=skipped>6</a><a href='mailto:x'>7</a>\
         <a href={}>8</a>",
        out("/good"),
        out("/get"),
        out("/bad"),
        out("/moved"),
        out("/skipped")
    );
    let again = format!("<a href=missing#x>1</a><a href=reset>2</a><a href={}>3</a>", out("/bad"));
    let server = Server::start(move |request| match request.path() {
        "/" => Reply::html(home.as_str()),
        "/a" => Reply::html(again.as_str()),
        "/reset" => Reply::reset(""),
        _ => Reply::status(404),
    })
    .unwrap();
    let folder = Folder::new();
    let args = ["--check", "--exclude", "skipped", "--retries", "0"];

    let output = folder.crawl(&server.url("/")).args(args).output().unwrap();

    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let (home, a) = (server.url("/"), server.url("/a"));
    let text = stdout(&output);
    let reset = text.lines().find(|line| line.starts_with("ERR")).unwrap();
    assert!(reset.starts_with(&format!("ERR\t{}\t{a}\t", server.url("/reset"))), "{reset}");
    let expected = [
        format!("404\t{}\t{home} {a}", server.url("/missing")),
        format!("404\t{}\t{home}", server.url("/i.png")),
        format!("404\t{}\t{home} {a}", out("/bad")),
        format!("404\t{}\t{home}", out("/moved")),
        reset.to_owned(),
    ];
    assert_eq!(lines(&text), expected.into());
    assert_eq!((outside.requests_to("/never"), outside.requests_to("/skipped")), (0, 0));
    assert_eq!((outside.requests_to("/good"), outside.requests_to("/get")), (1, 2));
    let rows = folder.rows();
    assert_eq!(paths(&rows).len(), 9);

    // The same command reports the same, and asks for nothing.
    let before = server.requests();
    let again = folder.crawl(&server.url("/")).args(args).output().unwrap();
    assert_eq!((again.status.code(), stdout(&again)), (Some(1), text));
    assert_eq!(server.requests(), before);
}

#[test]
fn a_site_without_broken_links_exits_0() {
    let server = super::site(&[("/", "<a href=a#x>A</a><a href=a#nowhere>"), ("/a", "<p id=x>")]);
    let folder = Folder::new();

    let output = folder.crawl(&server.url("/")).arg("--check").output().unwrap();

    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), ""));
}

#[test]
fn a_fragment_points_to_an_anchor_of_the_page() {
    let server = super::site(&[
        (
            "/",
            "<a href=a#x>1</a><a href=a#old>2</a><a href=a#none>3</a><a href=a#%C3%A9>4</a>\
             <a href=#top>5</a><a href='#'>6</a><a href='a#:~:text=x'>7</a><a href=#here>8</a>\
             <a href=b#x>9</a>",
        ),
        (
            "/a",
            "<p id=x><a name=old></a><i id=é></i><a href=/#nor>back</a><a href=a#none>again</a>",
        ),
        ("/b", "<template><p id=x></template><a href=/a#none></a>"),
    ]);
    let folder = Folder::new();

    let output = folder.crawl(&server.url("/")).arg("--check-fragments").output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let url = |path: &str| server.url(path);
    let broken = |to: &str, pages: &str| format!("ERR\t{}\t{pages}\tno such fragment", url(to));
    let expected = [
        broken("/a#none", &format!("{} {} {}", url("/"), url("/a"), url("/b"))),
        broken("/#here", &url("/")),
        broken("/#nor", &url("/a")),
        broken("/b#x", &url("/")),
    ];
    let text = stdout(&output);
    // The two that link to it may be read in either order.
    let swapped = text.replace(
        &format!("{} {}\tno", url("/b"), url("/a")),
        &format!("{} {}\tno", url("/a"), url("/b")),
    );
    assert_eq!(lines(&swapped), expected.into());
}
