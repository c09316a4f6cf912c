//! `silkmill crawl --frontier`: many processes work on one crawl in PostgreSQL, and are killed,
//! stopped, or cut off from it.

mod doors;
mod leases;
mod postgres;

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use silkmill_testkit::{Reply, Request, Server, Site};

use super::crawl::{Folder, rows_of};
use crate::crash::strace::is_long;
use crate::sandbox::stderr;
use crate::scrape::fleet::postgres::{Cut, Postgres};
use crate::{silkmill, wait};

/// The pages of the small site.
const PAGES: u64 = 10;
/// The depth to which the large site is crawled.
const DEPTH: u32 = 6;

/// Makes a process of the crawl of `job`.
fn process(url: &str, job: &str, seed: &str) -> Command {
    let mut command = silkmill();
    command.args(["crawl", seed, "--frontier", url, "--job", job, "--lease", "1", "-q"]);
    command.env_remove("PGPASSWORD").stdout(Stdio::null());
    command
}

/// Returns a process of a crawl of the large site.
fn process_of_site(url: &str, server: &Server) -> Command {
    let mut command = process(url, "site", &server.url("/"));
    command.args(["--exclude", "[?&;]sid=", "--max-depth", &DEPTH.to_string()]);
    command.args(["--timeout", "5", "--retries", "0", "--auto-throttle", "0"]);
    command
}

/// A tree of pages, each with links to its children, to the start, and to a page that is missing.
fn tree(request: &Request) -> Reply {
    let number = match request.path() {
        "/" => Some(1),
        path => path.strip_prefix("/p").and_then(|number| number.parse().ok()),
    };
    match number {
        Some(number) if (1..=PAGES).contains(&number) => {
            let children = [2 * number, 2 * number + 1].into_iter().filter(|n| *n <= PAGES);
            let links: String = children.map(|n| format!("<a href=/p{n}>{n}</a>")).collect();
            Reply::html(format!(
                "<title>{number}</title>{links}<a href=/>x</a><a href=/missing>x</a>"
            ))
        }
        _ => Reply::status(404),
    }
}

/// Returns the rows of a crawl that is over, as a process that comes late exports them.
fn export(mut process: Command, folder: &Folder) -> Vec<Value> {
    let path = folder.path("rows.jsonl");
    let output = process.arg("-o").arg(&path).stderr(Stdio::piped()).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", stderr(&output));
    assert!(!folder.path("rows.jsonl.part").exists());
    rows_of(&path)
}

/// Checks that rows have the indices from 0 on, that a page is behind its parent, and that no page
/// has two rows.
fn are_whole(rows: &[Value]) {
    let mut urls = std::collections::BTreeSet::new();
    for (place, row) in rows.iter().enumerate() {
        assert_eq!(row["index"], place, "{row}");
        assert!(row["parent"].as_u64().is_none_or(|parent| parent < place as u64), "{row}");
        assert!(urls.insert(row["url"].as_str().unwrap()), "a page has two rows: {row}");
    }
}

fn are_of_tree(rows: &[Value]) {
    are_whole(rows);
    assert_eq!(rows.len() as u64, PAGES + 1, "{rows:?}");
    for row in rows.iter().filter(|row| row["status"] == 200) {
        let number: u64 = row["title"].as_str().unwrap().parse().unwrap();
        assert_eq!(row["depth"], u64::from(number.ilog2()), "{row}");
        let parent = row["parent"].as_u64().map(|parent| &rows[parent as usize]["title"]);
        let expected = (number > 1).then(|| Value::from((number / 2).to_string()));
        assert_eq!(parent, expected.as_ref(), "{row}");
    }
}

fn are_of_site(rows: &[Value], server: &Server, site: Site) {
    are_whole(rows);
    let base = server.url("");
    let found: BTreeMap<String, u64> = rows
        .iter()
        .map(|row| {
            let path = row["url"].as_str().unwrap().strip_prefix(&base).unwrap();
            (path.to_owned(), row["status"].as_u64().unwrap())
        })
        .collect();
    let expected = site.rows(DEPTH).into_iter();
    let expected: BTreeMap<String, u64> =
        expected.map(|(path, (_, status))| (path, status.into())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_fleet_of_one_has_the_rows_of_a_crawl() {
    let Some(postgres) = Postgres::start() else { return };
    let site = Site::new(60);
    let server = site.start().unwrap();
    let folder = Folder::new();
    let field = ["--css", "anchors=a@href", "--xpath", "count=count(//a)"];

    let rows = export(with(process_of_site(&postgres.url(), &server), &field), &folder);
    are_of_site(&rows, &server, site);

    // A crawl of one process has the same rows, in another order.
    let alone_path = folder.path("alone.jsonl");
    let mut alone = silkmill();
    alone.args(["crawl", &server.url("/"), "-q", "-o"]).arg(&alone_path);
    alone.args(["--exclude", "[?&;]sid=", "--max-depth", &DEPTH.to_string(), "--retries", "0"]);
    alone.args(["--timeout", "5", "--auto-throttle", "0"]).args(field);
    assert!(matches!(alone.status().unwrap().code(), Some(0 | 1)));
    let essence = |rows: &[Value]| -> BTreeMap<String, String> {
        let row = |row: &Value| {
            let keys = ["final_url", "status", "title", "fields", "charset", "bytes", "truncated"];
            let more = ["attempts", "redirects", "depth", "links", "canonical", "error"];
            let values: Vec<&Value> = keys.iter().chain(&more).map(|key| &row[key]).collect();
            (row["url"].as_str().unwrap().to_owned(), format!("{values:?}"))
        };
        rows.iter().map(row).collect()
    };
    let (fleet, alone) = (essence(&rows), essence(&rows_of(&alone_path)));
    assert_eq!(fleet.len(), alone.len());
    for (url, row) in &fleet {
        assert_eq!(Some(row), alone.get(url), "{url}");
    }
    let columns = postgres.tell(
        "SELECT string_agg(data_type, ',' ORDER BY column_name) FROM information_schema.columns \
         WHERE table_schema = 'site' AND table_name = 'rows' AND column_name IN \
         ('index', 'count', 'anchors', 'truncated', 'elapsed_ms')",
    );
    assert_eq!(columns, "text,double precision,double precision,bigint,boolean");
}

fn with(mut command: Command, args: &[&str]) -> Command {
    command.args(args);
    command
}

#[test]
fn processes_that_are_killed_lose_no_page_and_double_none() {
    let Some(postgres) = Postgres::start() else { return };
    let site = Site::new(if is_long() { 1500 } else { 300 });
    let server = site.start().unwrap();
    let folder = Folder::new();
    let start = || process_of_site(&postgres.url(), &server).spawn().unwrap();
    let mut fleet: Vec<Child> = (0..3).map(|_| start()).collect();
    let kills = if is_long() { 60 } else { 8 };
    for kill in 0..kills {
        thread::sleep(Duration::from_millis(120 + kill * 37 % 200));
        let mut victim = fleet.remove(kill as usize % fleet.len());
        let _ = victim.kill();
        victim.wait().unwrap();
        fleet.push(start());
    }
    for mut child in fleet {
        assert!(matches!(wait(&mut child).code(), Some(0 | 1)));
    }

    let rows = export(process_of_site(&postgres.url(), &server), &folder);
    are_of_site(&rows, &server, site);
    let counts = postgres.tell("SELECT rows, (SELECT count(*) FROM site.queue) FROM site.job");
    assert_eq!(counts, format!("{}|0", rows.len()));
    let leases = "SELECT count(*) FROM site.host WHERE token IS NOT NULL AND ready_at > now()";
    assert_eq!(postgres.tell(leases), "0", "a host is still leased");
}

/// Runs a process whose wire is cut at a piece, and checks the rows.
fn crawl_through_cut(
    postgres: &Postgres,
    server: &Server,
    job: &str,
    piece: usize,
    cut: Cut,
) -> usize {
    let wire = postgres.wire();
    wire.cut_at(piece, cut);
    let folder = Folder::new();
    let seed = server.url("/");
    let rows = export(with(process(&wire.url(), job, &seed), &["--sitemap", "off"]), &folder);
    are_of_tree(&rows);
    wire.sent()
}

#[test]
fn a_connection_may_be_cut_at_any_piece() {
    let Some(postgres) = Postgres::start() else { return };
    let server = Server::start(tree).unwrap();
    let all = crawl_through_cut(&postgres, &server, "whole", 0, Cut::Before);
    assert!(all > 20, "{all}");
    let step = if is_long() { 1 } else { 5 };
    for piece in (1..=all).step_by(step) {
        for cut in [Cut::Before, Cut::After] {
            let job = format!("cut {piece} {cut:?}");
            crawl_through_cut(&postgres, &server, &job, piece, cut);
        }
    }
}

#[test]
fn a_process_may_be_killed_at_any_piece() {
    let Some(postgres) = Postgres::start() else { return };
    let server = Server::start(tree).unwrap();
    let all = crawl_through_cut(&postgres, &server, "whole", 0, Cut::Before);
    let step = if is_long() { 1 } else { 9 };
    let seed = server.url("/");
    for piece in (1..=all).step_by(step) {
        for cut in [Cut::Before, Cut::After] {
            let job = format!("kill {piece} {cut:?}");
            let wire = postgres.wire();
            wire.cut_at(piece, cut);
            let start = |url: &str| with(process(url, &job, &seed), &["--sitemap", "off"]);
            let mut child = start(&wire.url()).spawn().unwrap();
            let since = Instant::now();
            while wire.sent() < piece && child.try_wait().unwrap().is_none() {
                assert!(since.elapsed() < Duration::from_secs(60), "piece {piece} does not come");
                thread::sleep(Duration::from_millis(1));
            }
            let _ = child.kill();
            child.wait().unwrap();
            // Another process goes on when the lease has ended.
            are_of_tree(&export(start(&postgres.url()), &Folder::new()));
        }
    }
}

#[test]
fn a_database_that_restarts_is_waited_for() {
    let Some(mut postgres) = Postgres::start() else { return };
    let site = Site::new(300);
    let server = site.start().unwrap();
    let folder = Folder::new();
    let mut fleet: Vec<Child> =
        (0..2).map(|_| process_of_site(&postgres.url(), &server).spawn().unwrap()).collect();
    for pause in [300, 500, 400] {
        thread::sleep(Duration::from_millis(pause));
        postgres.go_down();
        thread::sleep(Duration::from_millis(pause));
        postgres.go_up();
    }
    for child in &mut fleet {
        assert!(matches!(wait(child).code(), Some(0 | 1)));
    }

    are_of_site(&export(process_of_site(&postgres.url(), &server), &folder), &server, site);
}

#[test]
fn a_limit_of_rows_is_exact_for_all_processes_together() {
    let Some(postgres) = Postgres::start() else { return };
    let server = Site::new(200).start().unwrap();
    let start = || with(process_of_site(&postgres.url(), &server), &["--max-pages", "75"]);
    let mut fleet: Vec<Child> = (0..3).map(|_| start().spawn().unwrap()).collect();
    for child in &mut fleet {
        assert!(matches!(wait(child).code(), Some(0 | 1)));
    }

    let rows = export(start(), &Folder::new());
    are_whole(&rows);
    assert_eq!(rows.len(), 75);

    // Another limit is no other crawl: a larger one goes on, and a smaller one changes nothing.
    for (limit, rows) in [("90", 90), ("80", 90)] {
        let process = with(process_of_site(&postgres.url(), &server), &["--max-pages", limit]);
        assert_eq!(export(process, &Folder::new()).len(), rows);
    }
}

#[test]
fn a_host_that_was_forgotten_is_found() {
    let Some(postgres) = Postgres::start() else { return };
    let server = Server::start(tree).unwrap();
    let start = |rows: &str| {
        let args = ["--sitemap", "off", "--max-pages", rows];
        with(process(&postgres.url(), "forgotten", &server.url("/")), &args)
    };
    assert_eq!(export(start("4"), &Folder::new()).len(), 4);
    // As if a process had found no URL while another had not committed what it had found.
    let parked = "UPDATE forgotten.host SET ready_at = 'infinity', token = NULL RETURNING 1";
    assert_eq!(postgres.tell(parked), "1");

    are_of_tree(&export(start("1000"), &Folder::new()));
}

#[test]
fn hosts_are_shared_with_a_process_that_comes_late() {
    let Some(postgres) = Postgres::start() else { return };
    // Every address of the loopback network is a host of its own.
    let server = Server::start(|request| match request.path() {
        "/robots.txt" => Reply::status(404),
        _ => {
            let number: u64 = request.path()[1..].parse().unwrap_or(0);
            let port = request.header("host").unwrap().rsplit(':').next().unwrap().to_owned();
            let hosts: String = (1..=8)
                .map(|host| format!("<a href=http://127.0.0.{host}:{port}/{number}>x</a>"))
                .collect();
            let next =
                if number < 200 { format!("<a href=/{}>x</a>", number + 1) } else { String::new() };
            Reply::html(hosts + &next).after(Duration::from_millis(20))
        }
    });
    let Ok(server) = server else { return };
    let seed = server.url("/");
    if std::net::TcpStream::connect(("127.0.0.2", server.port())).is_err() {
        println!("skipped: the server has one address only");
        return;
    }
    let args = ["--scope", "any", "--sitemap", "off", "--per-host", "1"];
    let start = || with(process(&postgres.url(), "shared", &seed), &args);
    let mut first = start().spawn().unwrap();
    let since = Instant::now();
    while postgres.tell("SELECT to_regclass('shared.rows') IS NOT NULL") != "t"
        || postgres.tell("SELECT count(*) > 20 FROM shared.rows") != "t"
    {
        assert!(since.elapsed() < Duration::from_secs(60), "the first process has no rows");
        thread::sleep(Duration::from_millis(10));
    }
    let mut second = start().spawn().unwrap();
    assert_eq!((wait(&mut first).code(), wait(&mut second).code()), (Some(0), Some(0)));

    let rows = export(start(), &Folder::new());
    are_whole(&rows);
    assert_eq!(rows.len(), 8 * 201 + 1);
    let busy = postgres.tell("SELECT count(*) FROM shared.worker WHERE rows > 0");
    assert_eq!(busy, "2", "the second process had nothing to do");
}
