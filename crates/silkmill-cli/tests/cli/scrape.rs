//! `silkmill fetch` and `silkmill scrape`, against the scripted server.

mod archives;
mod columns;
mod crawl;
mod endings;
mod fields;
#[cfg(feature = "postgres")]
mod fleet;
mod interruptions;
mod lists;
mod record;
mod requests;
mod sitemaps;

use std::fs;

use silkmill_testkit::{Reply, Request, Server};

use crate::sandbox::{stderr, stdout};
use crate::silkmill;

fn site(request: &Request) -> Reply {
    match request.path() {
        "/page" => Reply::html("<title> A\n page </title><a href='/x'>one</a><a href='/y'>two</a>"),
        "/moved" => Reply::redirect("/page"),
        "/silence" => Reply::silence(),
        path if path.starts_with("/many/") => Reply::html("<title>one of many</title>"),
        _ => Reply::status(404),
    }
}

fn server() -> Server {
    Server::start(site).unwrap()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn fetch_prints_a_status_for_every_url() {
    let server = server();
    let urls = [server.url("/page"), server.url("/moved"), server.url("/missing")];

    let output = silkmill().arg("fetch").args(&urls).arg("--ordered").output().unwrap();

    let expected = format!("200\t{}\n200\t{}\n404\t{}\n", urls[0], urls[1], urls[2]);
    assert_eq!(stdout(&output), expected);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).starts_with("silkmill: 3 rows, 0 errors in "), "{}", stderr(&output));
}

#[test]
fn scrape_prints_a_title_for_every_url() {
    let server = server();
    let urls = [server.url("/page"), server.url("/missing")];

    let output = silkmill().arg("scrape").args(&urls).arg("--ordered").output().unwrap();

    assert_eq!(stdout(&output), format!("200\t{}\tA page\n404\t{}\t\n", urls[0], urls[1]));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn scrape_prints_a_column_for_every_field() {
    let server = server();
    let url = server.url("/page");

    let output = silkmill()
        .args(["scrape", "--xpath", "to=//a/@href", "--css", "text=a", &url])
        .output()
        .unwrap();

    assert_eq!(stdout(&output), format!("200\t{url}\tA page\t/x | /y\tone | two\n"));
}

#[test]
fn a_field_that_costs_too_much_is_an_error_and_the_rest_is_kept() {
    let rows = "<tr><td>x</td></tr>".repeat(4000);
    let page = format!("<title>T</title><table>{rows}</table><p>one</p>");
    let server = Server::start(move |_| Reply::html(page.clone())).unwrap();
    let url = server.url("/");
    let scrape = |format: &str| {
        let fields = ["--xpath", "n=//tr/preceding::tr", "--css", "p=p"];
        silkmill().args(["scrape", "--format", format, &url]).args(fields).output().unwrap()
    };

    let output = scrape("jsonl");
    let record: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((&record["status"], &record["title"]), (&200.into(), &"T".into()));
    assert_eq!(record["fields"], serde_json::json!({"n": [], "p": ["one"]}));
    let message = "field \"n\" costs too much on this page";
    let error = serde_json::json!({"kind": "body", "phase": "extract", "message": message});
    assert_eq!(record["error"], error);
    assert_eq!(stdout(&scrape("text")), format!("ERR 200\t{url}\tbody: {message}\n"));
}

#[test]
fn a_line_that_is_no_url_is_a_row_and_exits_1() {
    let server = server();

    let output = silkmill().args(["fetch", "nowhere", &server.url("/page")]).output().unwrap();

    let stdout = stdout(&output);
    let rows = sorted(&stdout);
    assert_eq!(rows.len(), 2);
    assert!(rows[1].starts_with("ERR\tnowhere\turl: "), "{rows:?}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_host_that_does_not_resolve_is_a_row() {
    let url = "http://no-such-host.invalid/";
    let words = ["scrape", url, "--retries", "0", "--connect-timeout", "10"];

    let output = silkmill().args(words).output().unwrap();

    // Without a network, the answer to a lookup may also be a long silence.
    let row = stdout(&output);
    let expected = ["dns", "timeout"].map(|kind| format!("ERR\t{url}\t{kind}: "));
    assert!(expected.iter().any(|start| row.starts_with(start)), "{row}");
    assert_eq!((row.lines().count(), output.status.code()), (1, Some(1)));
}

#[test]
fn a_refused_port_is_a_row() {
    let words = ["fetch", "http://127.0.0.1:1/", "--retries", "0"];

    let output = silkmill().args(words).output().unwrap();

    assert_eq!(stdout(&output), "ERR\thttp://127.0.0.1:1/\tconnect: connection refused\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn words_that_make_no_sense_exit_2() {
    for words in [
        &["fetch"][..],
        &["fetch", "--no-such-option", "http://a/"],
        &["fetch", "-j", "0", "http://a/"],
        &["fetch", "-H", "no header", "http://a/"],
        &["fetch", "--timeout", "0", "http://a/"],
        &["fetch", "--max-body", "lots", "http://a/"],
        &["fetch", "-o", "rows.xlsx", "http://a/"],
        &["fetch", "--format", "sqlite", "http://a/"],
        &["fetch", "--resume", "http://a/"],
        &["fetch", "--resume", "-o", "/dev/null", "http://a/"],
        &["fetch", "--resume", "-o", "-", "http://a/"],
        &["fetch", "--retry-errors", "-o", "rows.csv", "http://a/"],
        &["fetch", "-o", "rows.json.gz", "http://a/"],
        &["fetch", "--resume", "--force", "-o", "rows.csv", "http://a/"],
        &["scrape", "--css", "url=a", "-o", "rows.csv", "http://a/"],
        &["fetch", "--force", "http://a/"],
        &["fetch", "--xpath", "//a", "http://a/"],
        &["scrape", "--xpath", "//a[", "http://a/"],
        &["scrape", "--css", "a[[", "http://a/"],
        &["scrape", "--css", ":is(b, a:target)", "http://a/"],
        &["scrape", "--css", "a", "--xpath", "a", "http://a/"],
    ] {
        let output = silkmill().args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{words:?}");
    }
}

#[test]
fn the_extension_of_the_output_says_its_format() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    for (name, start) in [("rows.jsonl", "{\"index\":0,"), ("rows.ndjson", "{"), ("rows", "200\t")]
    {
        let path = folder.path().join(name);

        let output =
            silkmill().args(["fetch", &server.url("/page"), "-o"]).arg(&path).output().unwrap();

        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), ""));
        assert!(fs::read_to_string(&path).unwrap().starts_with(start), "{name}");
    }
}

#[test]
fn an_output_that_exists_is_not_touched_without_force() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.txt");
    fs::write(&path, "precious").unwrap();
    let fetch = |words: &[&str]| {
        let url = server.url("/page");
        silkmill().args(["fetch", &url]).arg("-o").arg(&path).args(words).output().unwrap()
    };

    let refused = fetch(&[]);
    assert_eq!((refused.status.code(), server.requests()), (Some(2), 0));
    assert!(stderr(&refused).contains("--force"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    assert_eq!(fetch(&["--force"]).status.code(), Some(0));
    assert!(fs::read_to_string(&path).unwrap().starts_with("200\t"));
}

#[test]
fn a_dash_for_the_output_is_stdout() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let url = server.url("/page");

    let output = silkmill().args(["fetch", "-o", "-", &url]).current_dir(&folder).output().unwrap();

    assert_eq!((output.status.code(), stdout(&output)), (Some(0), format!("200\t{url}\n")));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_device_or_a_pipe_is_written_to_like_stdout() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let url = server.url("/page");
    let fetch = |path: &str, format: &str| {
        let words = ["fetch", "--format", format, "-o", path, &url];
        silkmill().args(words).current_dir(&folder).output().unwrap()
    };
    for path in ["/dev/stdout", "/dev/fd/1", "-"] {
        assert_eq!(stdout(&fetch(path, "text")), format!("200\t{url}\n"), "{path}");
        let array: serde_json::Value = serde_json::from_str(&stdout(&fetch(path, "json"))).unwrap();
        assert_eq!((array.as_array().unwrap().len(), &array[0]["status"]), (1, &200.into()));
    }
    for format in ["text", "jsonl", "csv", "json"] {
        assert_eq!(fetch("/dev/null", format).status.code(), Some(0), "{format}");
    }

    // A shell's redirection is a file that is there already, and is written to.
    let line = format!("exec \"$0\" fetch -o /dev/stdout '{url}' > rows");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &line, env!("CARGO_BIN_EXE_silkmill")]).current_dir(&folder);
    assert_eq!(shell.output().unwrap().status.code(), Some(0));
    assert_eq!(fs::read_to_string(folder.path().join("rows")).unwrap(), format!("200\t{url}\n"));

    let fifo = folder.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let reader = std::thread::spawn(move || fs::read_to_string(fifo).unwrap());
    assert_eq!(fetch("fifo", "text").status.code(), Some(0));
    assert_eq!(reader.join().unwrap(), format!("200\t{url}\n"));
}

#[test]
fn errors_of_the_system_are_worded_like_ours() {
    for (words, says) in [
        (&["-i", "no/list"][..], "failed to read \"no/list\": no such file or directory"),
        (&["-o", "no/rows", "x"], "failed to create \"no/rows\": no such file or directory"),
        (
            &["--force", "-o", "/dev/full", "x"],
            "failed to write \"/dev/full\": no space left on device",
        ),
    ] {
        let output = silkmill().arg("fetch").args(words).output().unwrap();

        assert_eq!(stderr(&output).lines().next().unwrap(), format!("silkmill: {says}"));
    }
}

#[test]
fn rows_that_cannot_be_written_are_an_error_that_names_the_file() {
    let server = server();
    let words = ["--force", "--format", "jsonl", "-o", "/dev/full"];

    let output = silkmill().args(["fetch", &server.url("/page")]).args(words).output().unwrap();

    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.starts_with("silkmill: failed to write \"/dev/full\": "), "{said}");
}

/// Asserts that `line` is an object with these keys, in this order and no others.
fn assert_keys(line: &str, keys: &[&str]) {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(value.as_object().unwrap().len(), keys.len(), "{line}");
    let mut rest = line;
    for key in keys {
        let place = rest.find(&format!("\"{key}\":"));
        rest = &rest[place.unwrap_or_else(|| panic!("{key} is out of place in {line}"))..];
    }
}

#[test]
fn a_record_has_the_keys_of_the_contract_in_their_order() {
    let server = server();
    let timeout = ["--timeout", "0.3", "--format", "jsonl"];
    let urls = [server.url("/moved"), server.url("/silence"), "junk".to_owned()];
    let all = [
        "index",
        "url",
        "final_url",
        "status",
        "title",
        "fields",
        "charset",
        "bytes",
        "truncated",
        "attempts",
        "redirects",
        "elapsed_ms",
        "timing",
        "worker",
        "error",
    ];
    let without_page: Vec<&str> =
        all.into_iter().filter(|key| !["title", "fields"].contains(key)).collect();
    for (command, keys) in [("scrape", &all[..]), ("fetch", &without_page)] {
        let output =
            silkmill().arg(command).args(&urls).args(timeout).arg("--ordered").output().unwrap();

        let stdout = stdout(&output);
        assert_eq!(stdout.lines().count(), 3);
        stdout.lines().for_each(|line| assert_keys(line, keys));
        let row = |index: usize| -> serde_json::Value {
            serde_json::from_str(stdout.lines().nth(index).unwrap()).unwrap()
        };
        assert_eq!(row(0)["final_url"], server.url("/page"));
        assert_eq!(row(0)["redirects"], serde_json::json!([server.url("/page")]));
        assert!(row(0)["worker"].as_str().unwrap().starts_with(&format!("{command}-")));
        let timing = &stdout[stdout.find("\"timing\":").unwrap() + "\"timing\":".len()..];
        let timing = &timing[..=timing.find('}').unwrap()];
        assert_keys(timing, &["dns_ms", "connect_ms", "tls_ms", "first_byte_ms", "total_ms"]);
    }
}

#[test]
fn a_failure_says_its_kind_phase_and_message() {
    let server = server();
    let words = ["fetch", "--timeout", "0.3", "--format", "jsonl", &server.url("/silence")];

    let output = silkmill().args(words).output().unwrap();

    let row: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(row["error"]["kind"], "timeout");
    assert_eq!(row["error"]["phase"], "response");
    assert!(row["error"]["message"].is_string());
    assert_eq!((&row["status"], output.status.code()), (&serde_json::Value::Null, Some(1)));
}

#[test]
fn the_options_reach_the_request() {
    let server = Server::start(|request| {
        let header = |name| request.header(name).unwrap_or("none");
        let all = [request.method(), header("User-Agent"), header("X-One"), header("X-Two")];
        Reply::html(format!("<title>{}</title>", all.join(" ")))
    })
    .unwrap();
    let url = server.url("/");
    let scrape = |words: &[&str]| stdout(&silkmill().arg("scrape").args(words).output().unwrap());

    let row = scrape(&["-A", "me", "-H", "X-One: 1", "-H", "X-Two:2", &url]);
    assert_eq!(row, format!("200\t{url}\tGET me 1 2\n"));
    assert_eq!(scrape(&["-X", "head", &url]), format!("200\t{url}\t\n"));
    let cut = scrape(&["--max-body", "20", "--format", "jsonl", &url]);
    assert!(cut.contains("\"bytes\":20,\"truncated\":true"), "{cut}");
}

#[test]
fn redirects_are_followed_as_far_as_allowed() {
    let server = server();
    let url = server.url("/moved");
    let fetch = |most: &str| {
        stdout(&silkmill().args(["fetch", "--max-redirects", most, &url]).output().unwrap())
    };

    assert_eq!(fetch("1"), format!("200\t{url}\n"));
    assert_eq!(fetch("0"), format!("302\t{url}\n"));
}

#[test]
fn stats_and_progress_go_to_stderr() {
    let server = server();
    let url = server.url("/page");

    let output = silkmill().args(["fetch", "--stats", "-j", "2", &url]).output().unwrap();
    assert_eq!(stdout(&output), format!("200\t{url}\n"));
    assert!(stderr(&output).contains("1 row, 0 errors"), "{}", stderr(&output));

    let alone = ["fetch", "--stats", "-j", "2", "--per-host", "1", &url];
    let output = silkmill().args(alone).output().unwrap();
    assert!(
        stderr(&output).contains("--per-host 1 lets no more than 1 of 2"),
        "{}",
        stderr(&output)
    );

    let output = silkmill().args(["fetch", "--progress", "always", &url]).output().unwrap();
    let said = stderr(&output);
    assert!(said.contains("silkmill: 1 row of 1 (100%), 0 errors, 0 under way, "), "{said}");
    assert!(said.contains("silkmill: 1 row, 0 errors in "), "{said}");

    let slow = ["fetch", "--progress", "always", "--timeout", "1", &server.url("/silence")];
    let output = silkmill().args(slow).output().unwrap();
    assert!(stderr(&output).contains("silkmill: 0 rows"), "{}", stderr(&output));
}

#[test]
fn a_proxy_or_certificates_that_cannot_be_had_exit_2_and_are_named() {
    for (words, names) in [
        (["--proxy", "gopher://x.test"], "gopher://x.test"),
        (["--cacert", "no-such-file.pem"], "no-such-file.pem"),
    ] {
        let output =
            silkmill().arg("fetch").args(words).arg("http://127.0.0.1:1/").output().unwrap();

        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{stderr}");
        assert!(
            stderr.starts_with("silkmill: failed to read ") && stderr.contains(names),
            "{stderr}"
        );
    }
    let broken = silkmill()
        .args(["fetch", "http://127.0.0.1:1/"])
        .env("http_proxy", "ftp://p.test")
        .output()
        .unwrap();
    assert_eq!(broken.status.code(), Some(2));
}

#[test]
fn rules_for_addresses_and_robots_are_rows() {
    let server = Server::start(|request| match request.path() {
        "/robots.txt" => Reply::html("User-agent: *\nDisallow: /secret"),
        _ => Reply::html("x"),
    })
    .unwrap();
    let fetch = |option: &str| {
        let output = silkmill().args(["fetch", option, &server.url("/secret")]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap()
    };

    assert!(fetch("--robots").contains("\trobots: "));
    assert!(fetch("--deny-private").contains("\tblocked: "));
    assert_eq!((server.requests_to("/robots.txt"), server.requests_to("/secret")), (1, 0));
}

#[test]
fn the_environment_names_the_proxy_and_its_exceptions() {
    // The proxy is a server that answers every request.
    let proxy = Server::start(|_| Reply::html("x")).unwrap();
    let fetch = |name: &str, value: &str| {
        let mut command = silkmill();
        // No server listens there; only the proxy answers.
        command.args(["fetch", "--retries", "0", "http://127.0.0.1:1/"]);
        command.env("http_proxy", proxy.url("")).env(name, value);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };

    assert_eq!(fetch("LANG", "C"), "200\thttp://127.0.0.1:1/\n");
    assert!(fetch("NO_PROXY", "x.test, 127.0.0.0/8").starts_with("ERR\t"));
    assert_eq!(proxy.requests(), 1);
}
