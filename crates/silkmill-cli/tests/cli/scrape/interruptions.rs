//! Runs of `fetch` that are cut off: by ^C, or by a reader that goes away.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use silkmill_testkit::Server;

use crate::scrape::server;
use crate::{HANG_AFTER, interrupt, silkmill, wait};

/// Returns a list of this many pages of `server`.
fn many(server: &Server, pages: usize) -> String {
    (0..pages).map(|page| server.url(&format!("/many/{page}\n"))).collect()
}

#[test]
fn a_reader_that_leaves_ends_the_run_quietly() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list");
    fs::write(&list, many(&server, 20_000)).unwrap();
    let mut child = silkmill()
        .args(["fetch", "-j", "4", "-i"])
        .arg(&list)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();

    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();

    assert!(first.starts_with("200\t"));
    assert_eq!(wait(&mut child).code(), Some(0));
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "");
    assert!(server.requests() < 20_000);
}

#[test]
fn ctrl_c_keeps_the_rows_and_exits_130() {
    let server = server();
    let mut child = silkmill()
        .args(["fetch", &server.url("/page"), "-i", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One request is not answered, and stdin stays open.
    writeln!(stdin, "{}", server.url("/silence")).unwrap();
    let mut rows = BufReader::new(child.stdout.take().unwrap());
    let mut row = String::new();
    rows.read_line(&mut row).unwrap();

    interrupt(&child);

    assert_eq!(wait(&mut child).code(), Some(130));
    rows.read_to_string(&mut row).unwrap();
    assert_eq!(row, format!("200\t{}\n", server.url("/page")));
}

#[test]
fn a_second_ctrl_c_ends_a_process_whose_reader_is_stuck() {
    let server = server();
    let mut child = silkmill()
        .args(["fetch", "--format", "jsonl", "-j", "4", "-i", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let list = many(&server, 2_000);
    let writer = thread::spawn(move || stdin.write_all(list.as_bytes()));
    // The rows are not read: a pipe holds a few hundred of them.
    let since = Instant::now();
    while server.requests() < 100 {
        assert!(since.elapsed() < HANG_AFTER);
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(300));

    while child.try_wait().unwrap().is_none() {
        assert!(since.elapsed() < HANG_AFTER);
        interrupt(&child);
        thread::sleep(Duration::from_millis(100));
    }

    assert_eq!(wait(&mut child).code(), Some(130));
    // The list may be written or not.
    let _ = writer.join().unwrap();
}
