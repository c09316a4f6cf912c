//! Sites that would fill the memory, or never end.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use silkmill_testkit::{Reply, Server};

use super::{Folder, paths};
use crate::crash::strace::is_long;
use crate::sandbox::stderr;

/// The most memory of a crawl in MB, whatever it meets.
const MEMORY_MB_MAX: u64 = 96;

/// The result of a crawl, and the most memory that it took, in MB.
struct Ended {
    code: Option<i32>,
    said: String,
    memory_mb: u64,
}

/// Runs a crawl to its end.
fn watched(command: &mut Command) -> Ended {
    let mut child: Child = command.stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut memory_kb = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        // A child that was started just now may still have the memory and the name of its parent.
        let is_crawl = text.starts_with("Name:\tsilkmill\n");
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:").filter(|_| is_crawl));
        let line = line.unwrap_or_default();
        let number = line.split_whitespace().next().and_then(|number| number.parse().ok());
        memory_kb = memory_kb.max(number.unwrap_or(0));
        thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    let said = stderr(&output);
    Ended { code: output.status.code(), said, memory_mb: memory_kb / 1024 }
}

/// Checks that a crawl ended well, in bounded memory, and counted what it left.
fn ends_well(ended: &Ended, counted: &str) {
    let Ended { code, said, memory_mb } = ended;
    assert_eq!(*code, Some(0), "{said}");
    assert!(said.contains(counted), "{said}");
    assert!(*memory_mb > 0 && *memory_mb <= MEMORY_MB_MAX, "{memory_mb} MB: {said}");
    println!("{memory_mb} MB: {said}");
}

#[test]
fn a_page_with_endless_links_costs_a_bounded_amount() {
    let links = if is_long() { 1_000_000 } else { 60_000 };
    let page: String = (0..links).map(|n| format!("<a href=/{n}>x</a>\n")).collect();
    let server = Server::start(move |request| match request.path() {
        "/" => Reply::html(page.as_str()),
        _ => Reply::status(404),
    })
    .unwrap();
    let folder = Folder::new();

    let args = ["--sitemap", "off", "--max-depth", "0", "--max-body", "1G"];
    let ended = watched(folder.crawl(&server.url("/")).args(args));

    ends_well(&ended, "links not followed: too-many-links 1, too-deep 10000");
    let row = &folder.rows()[0];
    assert_eq!((&row["links"], &row["truncated"]), (&10_000.into(), &(links > 60_000).into()));
}

#[test]
fn a_site_whose_every_page_is_new_ends_at_the_limit() {
    // A page of 30 links, each of which leads to another such page.
    let server = Server::start(|request| match request.path() {
        "/robots.txt" => Reply::status(404),
        path => {
            let folder = path.trim_end_matches('/');
            Reply::html((0..30).map(|n| format!("<a href={folder}-{n}/>x</a>")).collect::<String>())
        }
    })
    .unwrap();
    let pages = if is_long() { 20_000 } else { 600 };
    let folder = Folder::new();

    let limit = pages.to_string();
    let args = ["--sitemap", "off", "--max-pages", &limit, "--per-host", "0"];
    let ended = watched(folder.crawl(&server.url("/")).args(args));

    ends_well(&ended, "a limit is reached");
    assert_eq!(paths(&folder.rows()).len(), pages);
    assert_eq!(server.requests() - server.requests_to("/robots.txt"), pages as u64);
}

#[test]
fn many_hosts_with_a_page_each_have_a_row_each() {
    let hosts: u64 = if is_long() { 100_000 } else { 800 };
    // A page has no more links than a crawl looks at.
    let hubs = hosts.div_ceil(10_000);
    // The proxy is every host: no name is looked up.
    let proxy = Server::start(move |request| {
        let target = request.target();
        match target.strip_prefix("http://hub.invalid/") {
            _ if target.ends_with("/robots.txt") => Reply::status(404),
            Some("") => {
                let hubs = (0..hubs).map(|hub| format!("<a href=/{hub}>hub</a>"));
                Reply::html(hubs.collect::<String>())
            }
            Some(hub) => {
                let first = hub.parse::<u64>().unwrap() * 10_000;
                let hosts = (first..hosts.min(first + 10_000))
                    .map(|host| format!("<a href='http://h{host}.invalid/'>x</a>"));
                Reply::html(hosts.collect::<String>())
            }
            None => Reply::html("<title>one of many</title>"),
        }
    })
    .unwrap();
    let folder = Folder::new();

    let proxy_url = proxy.url("");
    let args = ["--sitemap", "off", "--scope", "any", "-j", "128", "--proxy", &proxy_url];
    let ended = watched(folder.crawl("http://hub.invalid/").args(args));

    ends_well(&ended, &format!("silkmill: {} rows, 0 errors", hosts + hubs + 1));
    let requests = proxy.requests();
    // Each host is asked for its robots.txt and its page.
    assert_eq!(requests, 2 * hosts + 1 + 1 + hubs);
}

#[test]
fn a_chain_of_redirects_through_hosts_has_a_bound() {
    let proxy = Server::start(|request| {
        let target = request.target();
        let number = target.strip_prefix("http://h").and_then(|rest| rest.split('.').next());
        match number.and_then(|number| number.parse::<u64>().ok()) {
            _ if target.ends_with("/robots.txt") => Reply::status(404),
            Some(number) => Reply::redirect(&format!("http://h{}.invalid/", number + 1)),
            None => Reply::html(
                (0..20)
                    .map(|n| format!("<a href='http://h{n}000.invalid/'>x</a>"))
                    .collect::<String>(),
            ),
        }
    })
    .unwrap();
    let folder = Folder::new();

    let proxy_url = proxy.url("");
    let args = ["--sitemap", "off", "--scope", "any", "--proxy", &proxy_url];
    let ended = watched(folder.crawl("http://hub.invalid/").args(args));

    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(ended.memory_mb <= MEMORY_MB_MAX, "{} MB", ended.memory_mb);
    let rows = folder.rows();
    // Of each chain the page that is linked to, and ten that redirects lead to.
    assert_eq!(rows.len(), 1 + 20 * 11);
    let errors = rows.iter().filter(|row| row["error"]["kind"] == "redirects").count();
    assert_eq!(errors, 20);
}

#[test]
fn a_host_that_is_found_late_among_many_slow_ones_is_asked() {
    let hosts = 1_200;
    let proxy = Server::start(move |request| {
        let target = request.target();
        match target.strip_prefix("http://").and_then(|rest| rest.strip_suffix(".invalid/")) {
            _ if target.ends_with("/robots.txt") => Reply::status(404),
            Some("hub") => Reply::html(
                (0..hosts)
                    .map(|n| format!("<a href='http://h{n}.invalid/'>x</a>"))
                    .collect::<String>(),
            ),
            // All others are held at this time.
            Some("h0") => Reply::html("<a href='http://late.invalid/'>x</a>")
                .after(Duration::from_millis(400)),
            Some("late") => Reply::html("late"),
            _ => Reply::html("slow").after(Duration::from_millis(800)),
        }
    })
    .unwrap();
    let folder = Folder::new();

    let proxy_url = proxy.url("");
    let args = ["--sitemap", "off", "--scope", "any", "-j", "600", "--proxy", &proxy_url];
    let ended = watched(folder.crawl("http://hub.invalid/").args(args));

    ends_well(&ended, "silkmill: 1202 rows, 0 errors");
}
