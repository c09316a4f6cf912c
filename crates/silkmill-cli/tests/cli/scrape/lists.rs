//! The lists that `fetch` and `scrape` read: from a file, from stdin, and from the command line.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use crate::sandbox::{stderr, stdout};
use crate::scrape::{server, sorted};
use crate::{silkmill, wait};

/// Runs `command` with `input` on stdin.
fn with_input(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_list_comes_from_stdin_and_from_the_command_line() {
    let server = server();
    let list = format!("# two more\n{0}\n\n  {0}?2 \r\n", server.url("/page"));

    let output =
        with_input(silkmill().args(["fetch", &server.url("/missing"), "-i", "-"]), list.as_bytes());

    assert_eq!(
        sorted(&stdout(&output)),
        [
            format!("200\t{}", server.url("/page")),
            format!("200\t{}", server.url("/page?2")),
            format!("404\t{}", server.url("/missing")),
        ]
    );
}

#[test]
fn rows_come_while_stdin_is_open() {
    let server = server();
    let mut child = silkmill()
        .args(["fetch", "-i", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut rows = BufReader::new(child.stdout.take().unwrap()).lines();

    for page in ["/page", "/missing"] {
        writeln!(stdin, "{}", server.url(page)).unwrap();
        assert!(rows.next().unwrap().unwrap().ends_with(&server.url(page)));
    }

    drop(stdin);
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn every_line_of_a_list_of_junk_gives_one_row() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list");
    let mut lines = Vec::new();
    for line in [
        &b"# comment"[..],
        b"",
        b"\xff\xfe",
        b"a\0b",
        b"mailto:a@b",
        b"http://",
        &[b'x'; 1 << 20],
        b"http://127.0.0.1:99999/",
        b"http://[::1",
        server.url("/page").as_bytes(),
    ] {
        lines.extend_from_slice(line);
        lines.push(b'\n');
    }
    fs::write(&list, lines).unwrap();

    for format in ["text", "jsonl"] {
        let output =
            silkmill().args(["scrape", "--format", format, "-i"]).arg(&list).output().unwrap();
        assert_eq!(stdout(&output).lines().count(), 8, "{format}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_list_without_addresses_gives_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    for lines in ["", "\n", "# nothing\n\n"] {
        fs::write(folder.path().join("list"), lines).unwrap();
        let words = ["fetch", "-i", "list", "-o", "rows.csv", "--force"];

        let output = silkmill().args(words).current_dir(&folder).output().unwrap();

        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
        let rows = fs::read_to_string(folder.path().join("rows.csv")).unwrap();
        assert!(rows.starts_with("index,url,") && rows.lines().count() == 1, "{rows}");
    }
}

#[test]
fn a_list_that_is_not_there_is_an_error_before_any_request() {
    let server = server();

    let output =
        silkmill().args(["fetch", &server.url("/page"), "-i", "no-such-list"]).output().unwrap();

    assert_eq!((output.status.code(), server.requests()), (Some(2), 0));
    assert!(stderr(&output).starts_with("silkmill: failed to read \"no-such-list\": "));
    assert_eq!(stdout(&output), "");
}

#[test]
fn the_list_is_never_overwritten_with_its_rows() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let (list, link) = (folder.path().join("list"), folder.path().join("link"));
    let lines = server.url("/page\n");
    fs::write(&list, &lines).unwrap();
    fs::hard_link(&list, &link).unwrap();

    for (stdin, output) in [(false, &list), (false, &link), (true, &list)] {
        let mut command = silkmill();
        command.args(["fetch", "--force", "-o"]).arg(output).arg("-i");
        match stdin {
            true => command.arg("-").stdin(fs::File::open(&list).unwrap()),
            false => command.arg(&list),
        };
        let refused = command.output().unwrap();

        assert_eq!((refused.status.code(), server.requests()), (Some(2), 0));
        assert!(stderr(&refused).ends_with(": it is the input\n"), "{}", stderr(&refused));
        assert_eq!(fs::read_to_string(&list).unwrap(), lines);
    }
}
