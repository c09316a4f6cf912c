//! The lists that `fetch` and `scrape` read: from a file, from stdin, and from the command line.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use silkmill_testkit::{Reply, Server};

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

        assert_eq!(output.status.code(), Some(0));
        assert!(
            stderr(&output).ends_with("; no line was to be requested\n"),
            "{}",
            stderr(&output)
        );
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

#[test]
fn a_list_may_have_columns_and_the_line_ends_and_encoding_of_any_system() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let pages = ["/page", "/many/1", "/many/2"].map(|page| server.url(page));
    let utf16 = |text: &str, to_bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(to_bytes).collect()
    };
    let columns = format!("{}\tA title\n{}\t\n\t{}\tx\ty\n", pages[0], pages[1], pages[2]);
    let crlf = pages.join("\r\n") + "\r\n";
    let lists = [
        columns.clone().into_bytes(),
        columns.replace('\n', "\r").into_bytes(),
        pages.join("\r").into_bytes(),
        crlf.clone().into_bytes(),
        [b"\xef\xbb\xbf", crlf.as_bytes()].concat(),
        utf16(&crlf, u16::to_le_bytes),
        utf16(&columns, u16::to_be_bytes),
    ];
    let expected: String = pages.iter().map(|page| format!("200\t{page}\n")).collect();
    for list in lists {
        fs::write(folder.path().join("list"), &list).unwrap();

        let mut fetch = silkmill();
        fetch.args(["fetch", "--ordered", "-i", "list"]).current_dir(&folder);
        let output = fetch.output().unwrap();

        assert_eq!(stdout(&output), expected, "{}", list.escape_ascii());
    }
}

#[test]
fn rows_of_ours_are_a_list() {
    let server = server();
    let fetch = |list: &str| {
        stdout(&with_input(silkmill().args(["fetch", "--ordered", "-i", "-"]), list.as_bytes()))
    };
    let url = server.url("/page");

    let rows = fetch(&format!("{url}\n{}\n", server.url("/missing")));

    assert_eq!(fetch(&rows), rows);
    assert_eq!(fetch(&format!("ERR\t{url}\ttimeout: still\n")), format!("200\t{url}\n"));
}

#[test]
fn a_host_without_a_scheme_is_asked_by_https_and_then_by_http() {
    let server = server();
    let address = server.url("/page");
    let bare = address.strip_prefix("http://").unwrap();
    // The server waits for the rest of a request that never comes.
    let words = ["scrape", "--format", "jsonl", "--retries", "0", "--connect-timeout", "0.5"];
    let scrape = |words: &[&str]| -> serde_json::Value {
        serde_json::from_str(&stdout(&silkmill().args(words).output().unwrap())).unwrap()
    };

    let row = scrape(&[&words[..], &[bare]].concat());
    assert_eq!((&row["status"], &row["title"]), (&200.into(), &"A page".into()));
    assert_eq!((&row["url"], &row["final_url"]), (&bare.into(), &address.as_str().into()));

    // A password is not sent without TLS because TLS fails.
    let asked = server.requests();
    let row = scrape(&[&words[..], &["-H", "Authorization: x", bare]].concat());
    assert_eq!((&row["error"]["phase"], server.requests()), (&"tls".into(), asked));

    let row = scrape(&[&words[..], &["127.0.0.1:1"]].concat());
    let message = "connection refused (by https: connection refused)";
    assert_eq!(row["error"]["message"], message);
}

#[test]
fn a_list_that_is_named_without_i_is_refused_with_a_hint() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("urls.txt"), server.url("/page")).unwrap();
    for name in ["urls.txt", "./urls.txt"] {
        let mut fetch = silkmill();
        let output =
            fetch.args(["fetch", &server.url("/"), name]).current_dir(&folder).output().unwrap();

        assert_eq!((output.status.code(), server.requests()), (Some(2), 0));
        assert!(stderr(&output).contains(&format!("-i {name} ")), "{}", stderr(&output));
    }
}

#[test]
fn a_host_that_is_down_is_given_up_after_so_many_rows() {
    let server = Server::start(|_| Reply::status(502)).unwrap();
    let list: String = (0..100).map(|page| server.url(&format!("/{page}\n"))).collect();
    let words = ["fetch", "--retries", "0", "-j", "1", "-i", "-"];
    for (limit, requests) in
        [(&[][..], 30), (&["--max-host-errors", "7"], 7), (&["--max-host-errors", "0"], 100)]
    {
        let asked = server.requests();

        let output = with_input(silkmill().args(words).args(limit), list.as_bytes());

        let rows = stdout(&output);
        assert_eq!((rows.lines().count(), server.requests() - asked), (100, requests));
        let given_up = rows.lines().filter(|row| row.contains("\thost: not requested: ")).count();
        assert_eq!(
            (given_up as u64, output.status.code()),
            (100 - requests, Some(i32::from(requests < 100)))
        );
    }
}
