//! How runs of `fetch` end: the exit code, the last line on stderr and the rows agree.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use silkmill_testkit::{Reply, Server};
use tempfile::TempDir;

use crate::replace::terminal::on_terminal;
use crate::sandbox::{stderr, stdout};
use crate::scrape::{server, site};
use crate::{interrupt, silkmill, wait};

/// Runs `fetch` in a folder.
fn fetch(folder: &TempDir, words: &[&str]) -> Output {
    let mut fetch = silkmill();
    fetch.args(["fetch", "--retries", "0"]).args(words).current_dir(folder).output().unwrap()
}

/// Returns the last line that a run printed on stderr, without the time and the rate.
fn last_line(output: &Output) -> String {
    let said = stderr(output);
    let last = said.lines().last().unwrap_or_default();
    let Some((start, rest)) = last.split_once(" in ") else { return last.to_owned() };
    let (_, rest) = rest.split_once(" rows/s)").unwrap();
    format!("{start}{rest}")
}

#[test]
fn a_run_ends_with_its_rows_and_errors_by_kind() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let page = server.url("/page");
    let errors = "http://127.0.0.1:1/ http://127.0.0.1:1/x nowhere";
    let words: Vec<&str> = [page.as_str()].into_iter().chain(errors.split(' ')).collect();
    let again = "; --resume --retry-errors requests the errors again";
    let kinds = "3 errors (2 connect, 1 url)";
    for (output, hint) in [("rows.jsonl", again), ("rows.db", again), ("rows.txt", ""), ("-", "")] {
        let ended = fetch(&folder, &[&words[..], &["-o", output]].concat());
        assert_eq!(ended.status.code(), Some(1));
        assert_eq!(last_line(&ended), format!("silkmill: 4 rows, {kinds}{hint}"), "{output}");
    }

    // All of them failed.
    let ended = fetch(&folder, &words[1..]);
    assert_eq!(
        (ended.status.code(), last_line(&ended)),
        (Some(1), format!("silkmill: 3 rows, {kinds}"))
    );
    assert_eq!(stdout(&ended).lines().count(), 3);

    let ended = fetch(&folder, &[&words[..], &["-q"]].concat());
    assert_eq!((ended.status.code(), stderr(&ended).as_str()), (Some(1), ""));

    let ended = fetch(&folder, &[&words[..], &["-v"]].concat());
    let said = stderr(&ended);
    let first: Vec<&str> = said.lines().take(2).collect();
    assert!(
        first[0].starts_with("silkmill: connect: 2, the first of \"http://127.0.0.1:1/"),
        "{said}"
    );
    assert!(
        first[1].starts_with("silkmill: url: 1, the first of \"nowhere\": it does not"),
        "{said}"
    );
}

#[test]
fn a_run_with_nothing_to_do_says_so() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let words = [&server.url("/page"), "-o", "rows.csv", "--resume"];
    assert_eq!(fetch(&folder, &words).status.code(), Some(0));

    let again = fetch(&folder, &words);

    assert_eq!((again.status.code(), server.requests()), (Some(0), 1));
    assert_eq!(last_line(&again), "silkmill: 0 rows, 0 errors, 1 row was there before");
}

#[test]
fn an_interrupted_run_says_how_many_rows_it_has_and_how_to_go_on() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let list: String = (0..5).map(|page| server.url(&format!("/many/{page}\n"))).collect();
    fs::write(folder.path().join("list"), list + &server.url("/silence")).unwrap();
    for (words, hint) in [
        (&["-o", "rows.jsonl"][..], "--resume goes on"),
        (&["-o", "rows.jsonl", "--force"], "--resume instead of --force goes on"),
        (&["-o", "rows.jsonl.gz"], "--resume goes on"),
        (&["-o", "rows.json"], "--resume goes on"),
        (&["-o", "rows.txt"], "with rows in a file, as by -o rows.jsonl, --resume would go on"),
    ] {
        let asked = server.requests();
        let child = silkmill()
            .args(["fetch", "-i", "list"])
            .args(words)
            .current_dir(&folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while server.requests() < asked + 6 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        // The five rows are ready, and their sockets have been read, a moment later.
        std::thread::sleep(std::time::Duration::from_millis(500));
        interrupt(&child);

        let ended = child.wait_with_output().unwrap();

        assert_eq!(ended.status.code(), Some(130));
        let expected = format!("silkmill: interrupted after 5 rows, 0 errors; {hint}");
        assert_eq!(last_line(&ended), expected);
    }
    let array = fs::read(folder.path().join("rows.json")).unwrap();
    let array: serde_json::Value = serde_json::from_slice(&array).unwrap();
    assert_eq!(array.as_array().unwrap().len(), 5);
}

#[test]
fn a_list_that_ends_with_an_error_leaves_its_rows() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let page = server.url("/page");
    fs::write(folder.path().join("list"), format!("{page}\n{page}?2\n")).unwrap();
    let words = ["-i", "list", "--ordered", "-o", "rows.jsonl"];
    assert_eq!(fetch(&folder, &words).status.code(), Some(0));
    fs::write(folder.path().join("list"), format!("{page}\n{page}?3\n")).unwrap();

    let ended = fetch(&folder, &[&words[..], &["--resume"]].concat());

    assert_eq!(ended.status.code(), Some(2));
    let said = stderr(&ended);
    assert!(said.starts_with("silkmill: failed to resume: the row of index 1 "), "{said}");
    let expected =
        "silkmill: ended after 0 rows, 0 errors, 2 rows were there before; --resume goes on";
    assert_eq!(last_line(&ended), expected);
}

#[test]
fn a_reader_that_leaves_gets_no_last_line() {
    let server = Server::start(site).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let list: String = (0..5_000).map(|page| server.url(&format!("/many/{page}\n"))).collect();
    fs::write(folder.path().join("list"), list).unwrap();
    for format in ["jsonl", "json", "csv", "text"] {
        let mut child = silkmill()
            .args(["fetch", "-j", "4", "--format", format, "-i", "list"])
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert_eq!(wait(&mut child).code(), Some(0), "{format}");
        assert_eq!(stderr(&child.wait_with_output().unwrap()), "", "{format}");
    }
}

#[test]
fn the_progress_tells_how_much_of_the_list_is_done() {
    let slow = std::time::Duration::from_millis(300);
    let server = Server::start(move |_| Reply::html("x").after(slow)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let list: String = (0..40).map(|page| server.url(&format!("/{page}\n"))).collect();
    fs::write(folder.path().join("list"), list).unwrap();
    let words = ["--progress", "always", "--per-host", "4", "-o", "rows.csv", "-i", "list"];

    let ended = fetch(&folder, &words);

    let said = stderr(&ended);
    let lines: Vec<&str> = said.lines().collect();
    let progress = lines[..lines.len() - 1].iter().find(|line| line.contains(" left"));
    let progress = progress.unwrap_or_else(|| panic!("{said}"));
    assert!(progress.contains(" rows of 40 (") && progress.contains("%), 0 errors, "), "{said}");
    assert!(
        lines[lines.len() - 2].contains("40 rows of 40 (100%), 0 errors, 0 under way"),
        "{said}"
    );
}

#[test]
fn a_bar_is_shown_on_a_terminal_and_not_between_the_rows_of_a_pipe() {
    let slow = std::time::Duration::from_millis(400);
    let server = Server::start(move |_| Reply::html("x").after(slow)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let list: String = (0..12).map(|page| server.url(&format!("/{page}\n"))).collect();
    fs::write(folder.path().join("list"), list).unwrap();
    let fetch = "\"$0\" fetch --per-host 4 -i list";
    let Some(piped) = on_terminal(&folder, 100, &format!("{fetch} | cat")) else { return };

    assert_eq!(piped.lines().filter(|line| line.starts_with("200\t")).count(), 12, "{piped}");
    assert!(
        !piped.contains(" rows of 12") && piped.contains("silkmill: 12 rows, 0 errors"),
        "{piped}"
    );
    let into_fifo = format!("mkfifo fifo; cat fifo & {fetch} -o fifo; wait");
    let piped = on_terminal(&folder, 100, &into_fifo).unwrap();
    assert!(
        !piped.contains(" rows of 12") && piped.contains("silkmill: 12 rows, 0 errors"),
        "{piped}"
    );
    let filed = on_terminal(&folder, 100, &format!("{fetch} -o rows.csv | cat")).unwrap();
    assert!(filed.contains(" rows of 12 (") && filed.contains(" under way"), "{filed}");
}
