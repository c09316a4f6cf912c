//! What is sent: methods, bodies, cookies; through a proxy of the environment, or none.

use std::fs;

use silkmill_testkit::{Reply, Server};

use crate::sandbox::{stderr, stdout, tree};
use crate::silkmill;

/// A server whose titles are the method, the cookies and the body of each request.
fn echo() -> Server {
    Server::start(|request| {
        let body = String::from_utf8_lossy(request.body());
        let cookie = request.header("cookie").unwrap_or("none");
        let page = format!("<title>{} {cookie} {body}</title>", request.method());
        Reply::html(page).header("Set-Cookie", "set=1; Max-Age=1000; HttpOnly")
    })
    .unwrap()
}

#[test]
fn a_method_and_a_body_are_sent() {
    let server = echo();
    let url = server.url("/");
    let folder = tree(&[("body", b"from a file")]);
    for (words, title) in [
        (&["-X", "purge"][..], "purge none"),
        (&["-X", "delete"], "DELETE none"),
        (&["--data", "a=b"], "POST none a=b"),
        (&["--data", "@body", "-X", "PUT"], "PUT none from a file"),
    ] {
        let mut scrape = silkmill();
        let output = scrape.args(["scrape", &url]).args(words).current_dir(&folder).output();
        let output = output.unwrap();
        assert_eq!(stdout(&output), format!("200\t{url}\t{title}\n"), "{}", stderr(&output));
    }
    for (words, says) in [
        (&["-X", "no method"][..], "failed to use the method \"no method\""),
        (&["-X", "CONNECT"], "failed to use the method \"CONNECT\""),
        (&["--data", "@missing"], "failed to read the data from \"missing\": no such file"),
        (&["--data", "@-", "-i", "-"], "the URLs come from there"),
        (&["-b", "missing"], "failed to read cookies from \"missing\": no such file"),
        (&["-b", "body"], "failed to read line 1 as a cookie"),
        (&["-c", "missing/jar"], "failed to write cookies to \"missing/jar\": no such file"),
    ] {
        let mut fetch = silkmill();
        let output = fetch.args(["fetch", &url]).args(words).current_dir(&folder).output().unwrap();
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{words:?}");
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[test]
fn cookies_come_from_a_file_and_go_to_one() {
    let server = echo();
    let url = server.url("/");
    let folder = tree(&[("jar", b"127.0.0.1\tFALSE\t/\tFALSE\t0\tgiven\t1\n")]);
    let scrape = |words: &[&str]| {
        let mut scrape = silkmill();
        let output = scrape.args(["scrape", &url]).args(words).current_dir(&folder).output();
        stdout(&output.unwrap())
    };

    assert_eq!(scrape(&["-b", "jar", "-c", "jar"]), format!("200\t{url}\tGET given=1\n"));
    let jar = fs::read_to_string(folder.path().join("jar")).unwrap();
    assert!(jar.starts_with("# Netscape HTTP Cookie File\n"), "{jar}");
    assert!(jar.contains("#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t"), "{jar}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    // The next run sends both.
    assert_eq!(scrape(&["-b", "jar"]), format!("200\t{url}\tGET given=1; set=1\n"));
    assert_eq!(scrape(&[]), format!("200\t{url}\tGET none\n"));
}

#[test]
fn a_proxy_of_the_environment_matters_only_where_it_is_needed() {
    let server = echo();
    let url = server.url("/");
    let fetch = |variables: &[(&str, &str)], words: &[&str]| {
        let mut fetch = silkmill();
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            fetch.env_remove(name).env_remove(name.to_ascii_uppercase());
        }
        let output =
            fetch.envs(variables.iter().copied()).args(["fetch", &url]).args(words).output();
        stdout(&output.unwrap())
    };
    let ok = format!("200\t{url}\n");

    for name in ["socks://127.0.0.1:1", "socks4://127.0.0.1:1", "http://127.0.0.1:1"] {
        let dead = ("ALL_PROXY", name);
        let row = fetch(&[dead], &["--retries", "0"]);
        assert!(row.starts_with("ERR\t") && row.contains("proxy"), "{row}");
        assert_eq!(fetch(&[dead, ("NO_PROXY", "10.0.0.1 127.0.0.1")], &[]), ok, "{name}");
        assert_eq!(fetch(&[dead], &["--no-proxy"]), ok, "{name}");
    }
}

#[test]
fn a_refresh_is_followed_where_that_is_wanted() {
    let server = Server::start(|request| match request.path() {
        "/meta" => {
            Reply::html("<meta http-equiv=refresh content='0; url=/there'><title>here</title>")
        }
        "/header" => Reply::html("<title>here</title>").header("Refresh", "3;url=there"),
        "/late" => Reply::html("<title>here</title>").header("Refresh", "3600;url=there"),
        "/itself" => Reply::html("<title>here</title>").header("Refresh", "5"),
        _ => Reply::html("<title>there</title>"),
    })
    .unwrap();
    let urls = ["/meta", "/header", "/late", "/itself"].map(|page| server.url(page));
    let titles = |words: &[&str]| -> Vec<String> {
        let mut scrape = silkmill();
        scrape.args(["scrape", "--ordered"]).args(words).args(&urls);
        let rows = stdout(&scrape.output().unwrap());
        rows.lines().map(|row| row.split('\t').nth(2).unwrap().to_owned()).collect()
    };

    assert_eq!(titles(&[]), ["here"; 4]);
    assert_eq!(titles(&["--follow-refresh"]), ["there", "there", "here", "here"]);
    // A refresh counts as a redirect.
    assert_eq!(titles(&["--follow-refresh", "--max-redirects", "0"]), ["here"; 4]);
}
