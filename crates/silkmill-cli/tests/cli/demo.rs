//! `silkmill demo`, with a temporary folder of its own, to see what the demo leaves there.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::{HANG_AFTER, interrupt, silkmill, wait};

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().unwrap().next().is_none()
}

#[test]
fn it_shows_all_jobs_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();

    let output = silkmill().arg("demo").env("TMPDIR", temporary.path()).output().unwrap();

    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{shown}");
    for line in [
        "replace 20,300 words in 2,000 files",
        "scrape the titles of 300 pages",
        "crawl a site of 100 pages",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    // The pool runs every task of a scrape and of a crawl, so its advice says how long they waited.
    let (_, scraped) = shown.split_once("scrape the titles").unwrap();
    assert_eq!(scraped.matches("  tasks waited for ").count(), 2, "{shown}");
    assert!(is_empty(temporary.path()));
}

#[test]
fn an_interrupt_ends_it_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut child = silkmill()
        .arg("demo")
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while is_empty(temporary.path()) {
        assert!(since.elapsed() < HANG_AFTER, "it makes no sandbox");
        std::thread::sleep(Duration::from_millis(1));
    }

    interrupt(&child);

    assert_eq!(wait(&mut child).code(), Some(130));
    assert!(is_empty(temporary.path()));
}
