//! Crawls that are cut off, and go on.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use silkmill_testkit::{Reply, Request, Server};

use super::{Folder, paths, succeeds};
use crate::crash::strace::is_long;
use crate::sandbox::stderr;
use crate::{interrupt, silkmill, wait};

/// The pages of the site.
const PAGES: u64 = 1500;

/// A page has links to some others, all over the site.
fn page(request: &Request) -> Reply {
    let Some(number) = request.path().strip_prefix("/p").and_then(|n| n.parse::<u64>().ok()) else {
        return Reply::status(404);
    };
    let links = (1..=8).map(|link| format!("<a href=p{}>", (number * 7 + link * link) % PAGES));
    Reply::html(format!("<title>{number}</title>{}", links.collect::<String>()))
}

/// A small generator, so that a failure can be repeated.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[test]
fn a_crawl_that_is_killed_at_any_moment_goes_on_and_loses_nothing() {
    let server = Server::start(page).unwrap();
    let whole = Folder::new();
    succeeds(&mut whole.crawl(&server.url("/p0")));
    let expected = paths(&whole.rows());
    assert!(expected.len() > 1000, "{}", expected.len());
    let mut seed = 0x5eed_cafe;
    let kills_max = if is_long() { 50 } else { 12 };
    for name in ["rows.jsonl", "rows.csv", "rows.db"] {
        let server = Server::start(page).unwrap();
        let folder = Folder::new();
        let mut kills = 0;
        loop {
            let mut child = silkmill()
                .args(["crawl", &server.url("/p0"), "-q", "-j", "8", "-o"])
                .arg(folder.path(name))
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // Soon enough that a run does not come to its end too often, late enough that some do.
            thread::sleep(Duration::from_micros(next(&mut seed) % 120_000));
            if kills < kills_max && child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
                continue;
            }
            assert_eq!(wait(&mut child).code(), Some(0), "{name}");
            break;
        }
        let rows: Vec<String> = match name {
            "rows.jsonl" => paths(&folder.rows()).into_iter().collect(),
            "rows.csv" => {
                let text = fs::read_to_string(folder.path(name)).unwrap();
                text.lines()
                    .skip(1)
                    .map(|line| line.split(',').nth(1).unwrap().to_owned())
                    .collect()
            }
            _ => {
                let database = rusqlite::Connection::open(folder.path(name)).unwrap();
                let mut query = database.prepare("SELECT url FROM rows").unwrap();
                query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
            }
        };
        assert_eq!(rows.len(), expected.len(), "{name}");
        let mut counts: HashMap<String, u64> = HashMap::new();
        for row in &rows {
            let path = format!("/{}", row.rsplit('/').next().unwrap());
            *counts.entry(path).or_default() += 1;
        }
        for path in &expected {
            assert_eq!(counts.get(path), Some(&1), "{name} {path}");
            let requests = server.requests_to(path);
            assert!((1..=1 + kills).contains(&requests), "{name} {path}: {requests} requests");
        }
    }
}

#[test]
fn ctrl_c_keeps_what_has_come_and_the_same_command_goes_on() {
    let server = Server::start(|request| match request.path() {
        "/" => Reply::html("<a href=1><a href=slow>"),
        "/slow" => Reply::silence(),
        "/1" => Reply::html("<title>one</title>"),
        _ => Reply::status(404),
    })
    .unwrap();
    let folder = Folder::new();
    let mut child = folder.crawl(&server.url("/")).stderr(Stdio::piped()).spawn().unwrap();
    while server.requests_to("/slow") == 0 || server.requests_to("/1") == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(100));

    interrupt(&child);

    assert_eq!(wait(&mut child).code(), Some(130));
    let output = child.wait_with_output().unwrap();
    assert!(
        stderr(&output).contains("interrupted: the same command goes on"),
        "{}",
        stderr(&output)
    );
    assert_eq!(folder.rows().len(), 2);

    let output = folder
        .crawl(&server.url("/"))
        .args(["--timeout", "0.2", "--retries", "0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(folder.rows().len(), 3);
    assert_eq!((server.requests_to("/"), server.requests_to("/1")), (1, 1));
}

#[test]
fn a_crawl_with_other_words_is_refused_and_says_what_differs() {
    let server = super::site(&[("/", "<title>T</title>")]);
    let folder = Folder::new();
    let url = server.url("/");
    succeeds(folder.crawl(&url).args(["--max-depth", "3"]));
    let before = fs::read(folder.path("rows.jsonl")).unwrap();

    for (args, says) in [
        (&["--max-depth", "4"][..], "--max-depth was \"3\" and is \"4\""),
        (&[], "--max-depth was \"3\" and is not given"),
        (&["--max-depth", "3", "--scope", "any"], "--scope was \"host\" and is \"any\""),
        (&["--max-depth", "3", "--css", "a=b"], "fields was not given and is \"--css a=b\""),
        (&["--max-depth", "3", "http://a.test/"], "URL was "),
        (&["--max-depth", "3", "--no-robots"], "--no-robots was not given and is \"yes\""),
    ] {
        let output = folder.crawl(&url).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{says}");
        assert!(stderr(&output).contains(says), "{says}: {}", stderr(&output));
    }

    // How fast it goes is no such word.
    let args = ["--max-depth", "3", "-j", "3", "--delay", "0.1", "--timeout", "5"];
    succeeds(folder.crawl(&url).args(args));
    assert_eq!(fs::read(folder.path("rows.jsonl")).unwrap(), before);
    assert_eq!(server.requests_to("/"), 1);
}

#[test]
fn rows_that_are_not_those_of_the_job_are_refused() {
    let server = super::site(&[("/", "<title>T</title>")]);
    let url = server.url("/");
    for (name, says) in [
        ("gone", "it has 0 bytes"),
        ("cut", "when the crawl was left"),
        ("changed", "it is not the file that the crawl wrote"),
        ("no job", "it is not the job of a crawl"),
        ("torn job", "failed to open the crawl's job"),
    ] {
        let folder = Folder::new();
        succeeds(&mut folder.crawl(&url));
        let (rows, job) = (folder.path("rows.jsonl"), folder.path("rows.jsonl.crawl"));
        let text = fs::read_to_string(&rows).unwrap();
        match name {
            "gone" => fs::remove_file(&rows).unwrap(),
            "cut" => fs::write(&rows, &text[..20]).unwrap(),
            "changed" => fs::write(&rows, text.replace("\"T\"", "\"X\"")).unwrap(),
            "no job" => {
                fs::remove_file(&job).unwrap();
                let other = rusqlite::Connection::open(&job).unwrap();
                other.execute_batch("CREATE TABLE other (a)").unwrap();
            }
            _ => fs::write(&job, "torn".repeat(1000)).unwrap(),
        }

        let output = folder.crawl(&url).output().unwrap();

        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(stderr(&output).contains(says), "{name}: {}", stderr(&output));
    }
}

#[test]
fn two_runs_never_work_on_one_job() {
    let server = Server::start(|request| match request.path() {
        "/" => Reply::silence(),
        _ => Reply::status(404),
    })
    .unwrap();
    let folder = Folder::new();
    let mut first = folder.crawl(&server.url("/")).stderr(Stdio::null()).spawn().unwrap();
    while server.requests_to("/") == 0 {
        thread::sleep(Duration::from_millis(10));
    }

    let second = folder.crawl(&server.url("/")).output().unwrap();

    assert_eq!(second.status.code(), Some(2));
    assert!(stderr(&second).contains("another run is working on it"), "{}", stderr(&second));
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn links_that_are_written_down_go_on_too() {
    let server = Server::start(page).unwrap();
    let whole = Folder::new();
    let links = whole.path("links.jsonl");
    succeeds(whole.crawl(&server.url("/p0")).arg("--links").arg(&links));
    let sorted = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let expected = sorted(&links);
    assert!(expected.len() > 8000);

    let folder = Folder::new();
    let links = folder.path("links.jsonl");
    let crawl = || {
        let mut command = folder.crawl(&server.url("/p0"));
        command.args(["-q", "-j", "4", "--links"]).arg(&links);
        command
    };
    for kill in 0..5 {
        let mut child = crawl().spawn().unwrap();
        thread::sleep(Duration::from_millis(40 + 30 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    succeeds(&mut crawl());

    assert_eq!(sorted(&links), expected);
    assert_eq!(paths(&folder.rows()).len(), whole.rows().len());
}
