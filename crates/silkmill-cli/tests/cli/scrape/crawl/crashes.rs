//! A crawl is killed at any write, or any of its writes fails: the same command goes on, and has
//! one row for each page.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use silkmill_testkit::{Reply, Request, Server};

use super::{Folder, rows_of};
use crate::crash::strace::{CALLS, OPENAT, is_long, strace, was_killed};
use crate::sandbox::{is_installed, stderr};
use crate::silkmill;

/// The pages of the site, beside a redirect and a page that is not there.
const PAGES: u64 = 12;
/// The time that a page takes to answer, so that a crawl is committed more than once.
const ANSWER_DELAY: Duration = Duration::from_millis(60);
/// How many faults a short test tries of each output. They are spread over all calls.
const FAULTS: usize = 10;
/// The calls that a full disk lets fail.
const WRITES: &[&str] = &["write", "pwrite64", "ftruncate", "fdatasync", "fsync", OPENAT];

/// A tree of pages, each with links to its children and back to its parent.
fn page(request: &Request) -> Reply {
    let number = match request.path() {
        "/" => Some(1),
        path => path.strip_prefix("/p").and_then(|number| number.parse().ok()),
    };
    match (request.path(), number) {
        ("/moved", _) => Reply::redirect("/p3"),
        (_, Some(number)) if (1..=PAGES).contains(&number) => {
            let children = [2 * number, 2 * number + 1].into_iter().filter(|n| *n <= PAGES);
            let links: String = children.map(|n| format!("<a href=/p{n}>{n}</a>")).collect();
            let last = "<a href=/moved>m</a><a href=/missing>n</a>";
            let last = if number == PAGES { last } else { "" };
            let page = format!("<title>{number}</title>{links}<a href=/>home</a>{last}");
            Reply::html(page).after(ANSWER_DELAY)
        }
        _ => Reply::status(404),
    }
}

/// A crawl of a server of its own.
struct Crawl {
    folder: Folder,
    server: Server,
    output: &'static str,
}

impl Crawl {
    fn new(output: &'static str) -> Crawl {
        Crawl { folder: Folder::new(), server: Server::start(page).unwrap(), output }
    }

    fn rows(&self) -> PathBuf {
        self.folder.path(self.output)
    }

    fn links(&self) -> PathBuf {
        self.folder.path("links.jsonl")
    }

    fn command(&self) -> Command {
        let mut command = silkmill();
        let url = self.server.url("/");
        command.args(["crawl", &url, "-q", "-j", "2", "--auto-throttle", "0", "-o"]);
        command.arg(self.rows()).arg("--links").arg(self.links()).stderr(Stdio::piped());
        command
    }

    /// Runs the crawl with faults, which hit nothing but calls on its own files.
    fn with_faults(&self, inject: &[String], others: &[&str]) -> Output {
        let command = self.command();
        let mut strace = strace(&self.log(), inject, others);
        for name in ["", "-wal", "-journal", ".crawl", ".crawl-wal", ".crawl-journal"] {
            strace.arg("-P").arg(self.folder.path(&format!("{}{name}", self.output)));
        }
        strace.arg("-P").arg(self.links()).arg("-P").arg(self.folder.path(""));
        strace.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => strace.env(name, value),
                None => strace.env_remove(name),
            };
        }
        strace.output().unwrap()
    }

    fn log(&self) -> PathBuf {
        self.folder.path("log")
    }

    /// Checks that the crawl is as one that nothing disturbed, and that no page was requested more
    /// often than once for each of its `runs`.
    fn check(&self, runs: u64, what: &str) {
        let base = self.server.url("");
        let rows: BTreeMap<String, Value> = facts(&self.rows(), &base, what);
        let children = (2..=PAGES).map(|number| (format!("/p{number}"), number));
        let mut expected: BTreeMap<String, Value> = [("/".to_owned(), 1)]
            .into_iter()
            .chain(children)
            .map(|(path, number)| (path, json!([200, number.to_string(), number.ilog2()])))
            .collect();
        let depth = PAGES.ilog2() + 1;
        expected.insert("/moved".to_owned(), json!([302, null, depth]));
        expected.insert("/missing".to_owned(), json!([404, null, depth]));
        assert_eq!(rows, expected, "{what}");
        let links = rows_of(&self.links());
        // Every page has a link home, and every page but the first is linked to; a redirect is a
        // link, too.
        assert_eq!(links.len() as u64, PAGES + PAGES - 1 + 3, "{what}");
        for path in expected.keys().map(String::as_str).chain(["/robots.txt"]) {
            let requests = self.server.requests_to(path);
            assert!((1..=runs).contains(&requests), "{what}: {requests} requests to {path}");
        }
    }
}

/// Returns the status, the title and the depth of each page, by its path.
fn facts(rows: &Path, base: &str, what: &str) -> BTreeMap<String, Value> {
    let mut facts = BTreeMap::new();
    let mut add = |url: &str, fact: Value| {
        let path = url.strip_prefix(base).unwrap_or(url).to_owned();
        assert!(facts.insert(path, fact).is_none(), "{what}: {url} has two rows");
    };
    if rows.extension().is_some_and(|extension| extension == "db") {
        let database = rusqlite::Connection::open(rows).unwrap();
        let query = "SELECT url, status, title, depth FROM rows ORDER BY \"index\"";
        let mut query = database.prepare(query).unwrap();
        let mut rows = query.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (status, depth): (u16, u32) = (row.get(1).unwrap(), row.get(3).unwrap());
            let title: Option<String> = row.get(2).unwrap();
            add(&row.get::<_, String>(0).unwrap(), json!([status, title, depth]));
        }
    } else {
        for (number, row) in rows_of(rows).iter().enumerate() {
            assert_eq!(row["index"], number, "{what}");
            let fact = json!([row["status"], row["title"], row["depth"]]);
            add(row["url"].as_str().unwrap(), fact);
        }
    }
    facts
}

/// Returns the calls of each kind that an undisturbed crawl makes on its files, as `call:nth`.
fn calls_of(output: &'static str, kinds: &[&str]) -> Vec<(String, usize)> {
    let crawl = Crawl::new(output);
    let done = crawl.with_faults(&[], kinds);
    assert!(done.status.success(), "{}", stderr(&done));
    crawl.check(1, "undisturbed");
    let log = fs::read_to_string(crawl.log()).unwrap();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in log.lines() {
        let call = line.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
        if let Some(kind) = kinds.iter().find(|kind| call.starts_with(&format!("{kind}("))) {
            *counts.entry(kind).or_default() += 1;
        }
    }
    assert!(counts["pwrite64"] > 20 && counts.values().sum::<usize>() < 1000, "{counts:?}");
    let each = |(kind, count): (&str, usize)| {
        let kind = kind.to_owned();
        (1..=count).map(move |nth| (kind.clone(), nth)).collect::<Vec<_>>()
    };
    counts.into_iter().flat_map(each).collect()
}

/// Calls `try_one` with some calls of a crawl, on two threads; with all of them in a long test.
fn sweep(output: &'static str, kinds: &[&str], try_one: impl Fn(&str, usize) + Sync) {
    let calls = calls_of(output, kinds);
    let step = if is_long() { 1 } else { calls.len().div_ceil(FAULTS) };
    // Which of them, does not matter; that it is others for each output, does.
    let first = output.len() % step;
    let chosen: Vec<&(String, usize)> = calls.iter().skip(first).step_by(step).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((kind, nth)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    try_one(kind, *nth);
                }
            });
        }
    });
}

fn killed_at_any_write(output: &'static str) {
    if !is_installed("strace") {
        return;
    }
    let kinds: Vec<&str> = CALLS.iter().copied().chain([OPENAT]).collect();
    let kills = AtomicUsize::new(0);
    sweep(output, &kinds, |kind, nth| {
        let crawl = Crawl::new(output);
        let what = format!("{output} killed at {kind} {nth}");
        let killed = crawl.with_faults(&[format!("{kind}:signal=KILL:when={nth}")], &[]);
        let was_killed = was_killed(&killed);
        assert!(was_killed || killed.status.success(), "{what}: {}", stderr(&killed));
        kills.fetch_add(usize::from(was_killed), Ordering::Relaxed);

        let done = crawl.command().output().unwrap();

        assert_eq!(done.status.code(), Some(0), "{what}: {}", stderr(&done));
        crawl.check(1 + u64::from(was_killed), &what);
    });
    // The last calls of a kind may come sooner or later, or not at all.
    assert!(kills.into_inner() >= FAULTS / 2);
}

#[test]
fn a_crawl_into_lines_that_is_killed_at_any_write_goes_on_and_loses_nothing() {
    killed_at_any_write("rows.jsonl");
}

#[test]
fn a_crawl_into_a_database_that_is_killed_at_any_write_goes_on_and_loses_nothing() {
    killed_at_any_write("rows.db");
}

/// Lets a write fail, and all that follow where the disk stays full.
fn full_at_any_write(output: &'static str) {
    if !is_installed("strace") {
        return;
    }
    let ends = AtomicUsize::new(0);
    sweep(output, WRITES, |kind, nth| {
        let stays = if nth % 2 == 0 { "+" } else { "" };
        let crawl = Crawl::new(output);
        let what = format!("{output}: the disk is full at {kind} {nth}{stays}");
        let full = crawl.with_faults(&[format!("{kind}:error=ENOSPC:when={nth}{stays}")], &[]);
        let said = stderr(&full);
        match full.status.code() {
            // A checkpoint, or a folder that cannot be forced to disk, can wait.
            Some(0) => crawl.check(1, &what),
            Some(2) => {
                let names_file = said.contains(crawl.output) || said.contains("links.jsonl");
                let says_why = ["disk is full", "no space left", "I/O error", "unable to open"];
                let says_why = says_why.iter().any(|why| said.contains(why));
                assert!(said.contains("failed to ") && names_file && says_why, "{what}: {said}");
                ends.fetch_add(1, Ordering::Relaxed);
            }
            _ => panic!("{what}: {full:?}"),
        }

        let done = crawl.command().output().unwrap();

        assert_eq!(done.status.code(), Some(0), "{what}: {}", stderr(&done));
        crawl.check(2, &what);
    });
    assert!(ends.into_inner() >= FAULTS / 2);
}

#[test]
fn a_crawl_into_lines_for_which_the_disk_is_full_at_any_write_says_so_and_goes_on() {
    full_at_any_write("rows.jsonl");
}

#[test]
fn a_crawl_into_a_database_for_which_the_disk_is_full_at_any_write_says_so_and_goes_on() {
    full_at_any_write("rows.db");
}

/// Pages with long titles, each with a link to the next ones.
fn long_page(request: &Request) -> Reply {
    let number: u64 = match request.path().strip_prefix("/p").map(str::parse) {
        Some(Ok(number)) => number,
        _ => return Reply::status(404),
    };
    let links = (1..=3).map(|more| 3 * number + more).filter(|n| *n < 600);
    let links: String = links.map(|n| format!("<a href=/p{n}>x</a>")).collect();
    Reply::html(format!("<title>{number} {}</title>{links}", "long ".repeat(400)))
}

#[test]
fn a_crawl_on_a_disk_that_is_full_exits_2_and_goes_on_when_there_is_room() {
    for output in ["rows.jsonl", "rows.db"] {
        let server = Server::start(long_page).unwrap();
        let folder = Folder::new();
        // The mount is in a namespace of its own: no other process sees it.
        let script = "mount -t tmpfs -o size=1m none \"$PWD\" && cd \"$PWD\" && \
            \"$0\" crawl \"$1\" -q -o \"$2\"; first=$?; \
            mount -o remount,size=64m \"$PWD\" && \"$0\" crawl \"$1\" -q -o \"$2\"; \
            echo \"$first $?\" && cp \"$2\" \"$3\"";
        let mut unshare = Command::new("unshare");
        unshare.args(["-Urm", "sh", "-c", script, env!("CARGO_BIN_EXE_silkmill")]);
        fs::create_dir(folder.path("small")).unwrap();
        unshare.arg(server.url("/p0")).arg(output).arg(folder.path(output));
        let done = unshare.current_dir(folder.path("small")).output().unwrap();
        let said = stderr(&done);
        if said.contains("unshare") || said.contains("mount:") {
            return println!("skipped: no namespace can be had here: {said}");
        }

        let codes = String::from_utf8_lossy(&done.stdout);
        assert_eq!(codes.trim(), "2 0", "{output}: {said}");
        assert!(said.contains("disk is full") || said.contains("no space left"), "{said}");
        let facts = facts(&folder.path(output), &server.url(""), output);
        assert_eq!(facts.len(), 600, "{output}");
        assert!((0..600).all(|n| server.requests_to(&format!("/p{n}")) <= 2), "{output}");
    }
}

#[test]
fn a_crawl_beyond_the_limit_on_the_size_of_files_exits_2_and_goes_on_without_it() {
    for output in ["rows.jsonl", "rows.db"] {
        let server = Server::start(long_page).unwrap();
        let folder = Folder::new();
        let script = "ulimit -f 1000; exec \"$0\" crawl \"$1\" -q -o \"$2\"";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_silkmill"), &server.url("/p0"), output]);

        let full = shell.current_dir(folder.path("")).output().unwrap();

        assert_eq!(full.status.code(), Some(2), "{output}: {}", stderr(&full));
        assert!(stderr(&full).contains("failed to "), "{output}: {}", stderr(&full));
        let mut again = silkmill();
        again.args(["crawl", &server.url("/p0"), "-q", "-o"]).arg(folder.path(output));
        // The path of the output is no word of the crawl.
        let done = again.output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{output}: {}", stderr(&done));
        assert_eq!(facts(&folder.path(output), &server.url(""), output).len(), 600, "{output}");
        assert!((0..600).all(|n| server.requests_to(&format!("/p{n}")) <= 2), "{output}");
    }
}
