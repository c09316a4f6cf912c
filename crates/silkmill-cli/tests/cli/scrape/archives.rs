//! `--warc`, `--cache` and `--replay`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use silkmill_testkit::{Reply, Request, Server};

use super::crawl::{Folder, rows_of};
use crate::sandbox::{is_installed, stderr, stdout};
use crate::{silkmill, wait};

/// A site of pages with links, some of which have the same body.
fn site(request: &Request) -> Reply {
    match request.path() {
        "/" => Reply::html("<title>Home</title><a href=a><a href=b><a href=to><a href=none>")
            .header("Cache-Control", "max-age=600"),
        "/a" | "/b" => Reply::gzip(b"<title>Twin</title><a href=/>home</a>"),
        "/to" => Reply::redirect("/b"),
        "/robots.txt" => Reply::html("User-agent: *\nDisallow: /private\nCrawl-delay: 0"),
        "/c" => Reply::raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             1b\r\n<title>In chunks</title>\nxx\r\n0\r\n\r\n",
        ),
        "/cut" => Reply::short("<title>Cut</title>", 9),
        _ => Reply::status(404),
    }
}

/// What a row says of its page, without what differs from run to run.
fn said(rows: &[Value]) -> BTreeSet<String> {
    let keys = ["url", "final_url", "status", "title", "bytes", "redirects", "truncated"];
    rows.iter().map(|row| keys.map(|key| row[key].to_string()).join(" ")).collect()
}

fn run(command: &mut Command, code: i32) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    output
}

/// Returns the lines that describe the records of an archive, as the two programs that archivists
/// check archives with see it; `None` when they are not installed and tests may be skipped.
fn checked(path: &Path) -> Option<Vec<String>> {
    if !is_installed("python3") {
        return None;
    }
    let script = r#"
import sys
try:
    import warcio, fastwarc
except ImportError:
    sys.exit(77)
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker
from fastwarc.warc import ArchiveIterator as FastIterator
class Args:
    inputs = [sys.argv[1]]; verbose = False
if Checker(Args()).process_all():
    sys.exit("warcio does not accept " + sys.argv[1])
slow = []
with open(sys.argv[1], 'rb') as file:
    for record in ArchiveIterator(file, check_digests='raise'):
        record.content_stream().read()
        slow.append(record.rec_headers.get_header('WARC-Record-ID'))
fast = []
for record in FastIterator(open(sys.argv[1], 'rb'), parse_http=False):
    fast.append(record.record_id)
    if not record.verify_block_digest():
        sys.exit("FastWARC: a block has another digest: " + record.record_id)
for record in FastIterator(open(sys.argv[1], 'rb'), parse_http=True):
    kind = record.headers.get('WARC-Type')
    if kind == 'response' and not record.verify_payload_digest():
        sys.exit("FastWARC: a payload has another digest: " + record.record_id)
    print(kind, record.headers.get('WARC-Target-URI', ''))
if slow != fast or not fast:
    sys.exit("the programs do not see the same records: %s %s" % (slow, fast))
"#;
    let output = Command::new("python3").args(["-c", script]).arg(path).output().unwrap();
    if output.status.code() == Some(77) {
        let is_required = std::env::var_os("SILKMILL_REQUIRE").is_some_and(|value| value == "1");
        assert!(!is_required, "warcio and fastwarc are not installed");
        println!("skipped: warcio and fastwarc are not installed");
        return None;
    }
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    Some(stdout(&output).lines().map(str::to_owned).collect())
}

#[test]
fn other_programs_accept_an_archive() {
    let server = Server::start(site).unwrap();
    let folder = Folder::new();
    let urls = ["/", "/a", "/b", "/to", "/c", "/cut", "/none"].map(|path| server.url(path));
    for name in ["a.warc.gz", "a.warc"] {
        let path = folder.path(name);
        run(silkmill().args(["fetch", "-j", "1", "--ordered", "--warc"]).arg(&path).args(&urls), 1);
        let Some(records) = checked(&path) else { return };
        for line in [
            format!("request {}", urls[0]),
            format!("response {}", urls[0]),
            format!("revisit {}", urls[2]),
            format!("response {}", urls[4]),
            format!("response {}", urls[5]),
        ] {
            assert!(records.contains(&line), "{line} in {records:#?}");
        }
    }
    let cache = folder.path("cache");
    run(silkmill().args(["fetch", "--cache"]).arg(&cache).args(&urls[..1]), 0);
    checked(&cache.join("silkmill-00000.warc.gz"));
}

#[test]
fn a_run_is_answered_from_its_archive_without_a_connection() {
    let server = Server::start(site).unwrap();
    let folder = Folder::new();
    let urls = ["/", "/a", "/b", "/to", "/c", "/cut", "/none"].map(|path| server.url(path));
    for command in ["fetch", "scrape"] {
        for name in ["a.warc.gz", "folder"] {
            let archive = folder.path(&format!("{command}-{name}"));
            let output = |how: &str| folder.path(&format!("{command}-{name}-{how}.jsonl"));
            let words = |how: &str| {
                let mut words = silkmill();
                words.args([command, how]).arg(&archive).arg("-o").arg(output(how)).args(&urls);
                words
            };
            run(&mut words("--warc"), 1);
            let connections = server.connections();
            let replayed = run(&mut words("--replay"), 1);
            assert_eq!(server.connections(), connections);
            assert_eq!(said(&rows_of(&output("--warc"))), said(&rows_of(&output("--replay"))));
            assert!(
                stderr(&replayed).contains("7 rows, 1 error (1 body)"),
                "{}",
                stderr(&replayed)
            );
        }
    }
    let archive = folder.path("fetch-a.warc.gz");
    let output = run(silkmill().args(["fetch", "http://127.0.0.1:1/", "--replay"]).arg(archive), 1);
    let expected = "ERR\thttp://127.0.0.1:1/\tarchive: nothing is archived for GET";
    assert!(stdout(&output).starts_with(expected), "{}", stdout(&output));
}

#[test]
fn a_crawl_is_archived_and_answered_from_its_archive() {
    let server = Server::start(site).unwrap();
    let (live, replayed) = (Folder::new(), Folder::new());
    let archive = live.path("a.warc.gz");
    run(live.crawl(&server.url("/")).arg("--warc").arg(&archive), 0);
    let connections = server.connections();

    run(replayed.crawl(&server.url("/")).arg("--replay").arg(&archive), 0);

    assert_eq!(server.connections(), connections);
    assert_eq!(said(&replayed.rows()), said(&live.rows()));
    assert_eq!(live.rows().len(), 5);
    // A job that was answered from an archive does not go on with servers.
    let output = run(&mut replayed.crawl(&server.url("/")), 2);
    assert!(stderr(&output).contains("--replay"), "{}", stderr(&output));
}

#[test]
fn no_socket_is_made_for_a_run_that_is_answered_from_an_archive() {
    if !is_installed("strace") {
        return;
    }
    let server = Server::start(site).unwrap();
    let folder = Folder::new();
    let (archive, trace) = (folder.path("a.warc.gz"), folder.path("trace"));
    let urls = ["/a", "/to", "/none"].map(|path| server.url_of("localhost", path));
    run(silkmill().args(["fetch", "--warc"]).arg(&archive).args(&urls[..2]), 0);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=%network", "-o"]).arg(&trace);
    strace.arg(env!("CARGO_BIN_EXE_silkmill")).args(["fetch", "--robots", "--replay"]).arg(archive);

    run(strace.args(&urls), 1);

    let trace = fs::read_to_string(trace).unwrap();
    assert!(!trace.contains("socket(AF_INET"), "{trace}");
    assert!(!trace.contains("connect("), "{trace}");
}

#[test]
fn every_row_of_a_crawl_that_is_killed_has_its_record() {
    let page = |request: &Request| {
        let number: u64 = request.path().get(2..).and_then(|n| n.parse().ok()).unwrap_or(0);
        let links = (1..=4).map(|link| format!("<a href=p{}>", (number * 3 + link) % 300));
        Reply::html(format!("<title>{number}</title>{}", links.collect::<String>()))
    };
    let server = Server::start(page).unwrap();
    for name in ["a.warc.gz", "folder"] {
        let folder = Folder::new();
        let archive = folder.path(name);
        let mut pause = 40;
        loop {
            let mut child = folder
                .crawl(&server.url("/p0"))
                .args(["-q", "--no-robots", "--sitemap", "off", "--warc"])
                .arg(&archive)
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            thread::sleep(Duration::from_millis(pause));
            pause += 17;
            if pause < 200 && child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                child.wait().unwrap();
                continue;
            }
            assert_eq!(wait(&mut child).code(), Some(0));
            break;
        }
        let rows = folder.rows();
        assert_eq!(rows.len(), 300);
        let connections = server.connections();
        let replayed = folder.path("replayed.jsonl");
        let urls: Vec<&str> = rows.iter().map(|row| row["url"].as_str().unwrap()).collect();
        let mut command = silkmill();
        command.args(["scrape", "--replay"]).arg(&archive).arg("-o").arg(&replayed).args(urls);
        run(&mut command, 0);
        assert_eq!((said(&rows_of(&replayed)), server.connections()), (said(&rows), connections));
        let file = if name == "folder" { archive.join("silkmill-00000.warc.gz") } else { archive };
        checked(&file);
    }
}

#[test]
fn a_run_whose_archive_cannot_be_written_ends_and_writes_no_row_without_its_record() {
    let server =
        Server::start(|request| Reply::html(format!("{}{}", request.path(), "x".repeat(999))));
    let server = server.unwrap();
    let folder = Folder::new();
    let urls: Vec<String> = (0..300).map(|page| server.url(&format!("/{page}"))).collect();
    fs::write(folder.path("urls"), urls.join("\n")).unwrap();
    // A limit of the size of files is as a full disk; it counts 512 or 1,024 bytes.
    let words = "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", words, env!("CARGO_BIN_EXE_silkmill"), "fetch", "--warc", "a.warc.gz"]);
    command.args(["-i", "urls", "-j", "4"]).current_dir(folder.path("."));

    let output = run(&mut command, 2);

    let expected = "failed to write the archive \"a.warc.gz\": file too large";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    let rows = stdout(&output);
    assert!((1..299).contains(&rows.lines().count()), "{rows}");
    let mut replay = silkmill();
    replay.args(["fetch", "--replay"]).arg(folder.path("a.warc.gz"));
    replay.args(rows.lines().map(|line| line.split('\t').nth(1).unwrap()));
    run(&mut replay, 0);
}

#[test]
fn a_cache_saves_requests_and_says_nothing_of_it_in_rows() {
    let server = Server::start(site).unwrap();
    let folder = Folder::new();
    let cache = folder.path("cache");
    let mut rows = Vec::new();
    for name in ["1.jsonl", "2.jsonl"] {
        let mut command = silkmill();
        command.args(["scrape", "--cache"]).arg(&cache).arg("-o").arg(folder.path(name));
        let output = run(command.args([server.url("/"), server.url("/a")]), 0);
        let is_cached = stderr(&output).contains(", 1 response from the cache\n");
        assert_eq!(is_cached, name == "2.jsonl", "{}", stderr(&output));
        rows.push(said(&rows_of(&folder.path(name))));
    }
    assert_eq!(rows[0], rows[1]);
    assert_eq!((server.requests_to("/"), server.requests_to("/a")), (1, 2));
}

#[test]
fn what_cannot_be_an_archive_is_an_error_of_usage() {
    let server = Server::start(site).unwrap();
    let folder = Folder::new();
    fs::write(folder.path("text.warc.gz"), "text").unwrap();
    fs::write(folder.path("empty.warc.gz"), "").unwrap();
    fs::create_dir(folder.path("folder")).unwrap();
    let path = |name: &str| folder.path(name).display().to_string();
    let archive = path("text.warc.gz");
    for (words, message) in [
        (vec!["--replay".to_owned(), path("none.warc.gz")], "no such file or directory"),
        (vec!["--replay".to_owned(), archive.clone()], "at byte 0 there is no record"),
        (vec!["--replay".to_owned(), path("empty.warc.gz")], "it has no response"),
        (vec!["--replay".to_owned(), path("folder")], "it has no response"),
        (vec!["--warc".to_owned(), archive.clone()], "at byte 0 there is no record"),
        (vec!["--warc".to_owned(), "/dev/null/x.warc.gz".to_owned()], "failed to open the archive"),
        (vec!["--warc".to_owned(), "/dev/null".to_owned()], "failed to open the archive"),
        (vec!["--cache".to_owned(), archive.clone()], "a cache is a folder"),
        (vec!["--warc".into(), archive.clone(), "--replay".into(), archive.clone()], "cannot be"),
        (vec!["--cache".into(), path("folder"), "--replay".into(), path("folder")], "cannot be"),
        (vec!["--warc".into(), path("same"), "--cache".into(), path("same")], "same"),
    ] {
        for command in ["fetch", "scrape", "crawl"] {
            let mut silkmill = silkmill();
            silkmill.arg(command).args(&words).arg(server.url("/"));
            if command == "crawl" {
                silkmill.arg("-o").arg(folder.path("rows.jsonl"));
            }
            let output = run(&mut silkmill, 2);
            assert!(stderr(&output).contains(message), "{words:?}: {}", stderr(&output));
        }
    }
    assert_eq!(fs::read(PathBuf::from(archive)).unwrap(), b"text");
    assert_eq!(server.requests(), 0);
}
