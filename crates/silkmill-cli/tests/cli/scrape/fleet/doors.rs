//! What lets a process into a database, and what does not.

use std::process::Command;
use std::time::Duration;

use silkmill_testkit::Server;

use super::{are_of_tree, export, process, tree, with};
use crate::sandbox::stderr;
use crate::scrape::crawl::Folder;
use crate::scrape::fleet::postgres::{PASSWORD, Postgres};

/// Runs a process that must be refused, and returns what it says.
fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn what_cannot_be_a_fleet_is_refused() {
    let Some(postgres) = Postgres::start() else { return };
    let server = Server::start(tree).unwrap();
    let seed = server.url("/");
    let url = postgres.url();
    are_of_tree(&export(
        with(process(&url, "there", &seed), &["--sitemap", "off"]),
        &Folder::new(),
    ));

    let other = refused(&mut with(process(&url, "there", &seed), &["--max-depth", "1"]));
    assert!(
        other
            .contains("other words: --max-depth was not given and is \"1\"; --sitemap was \"off\""),
        "{other}"
    );
    postgres.tell("CREATE SCHEMA foreign_one; CREATE TABLE foreign_one.rows (a int)");
    let foreign = refused(&mut process(&url, "foreign_one", &seed));
    assert!(foreign.contains("its schema has tables that are no job of a crawl"), "{foreign}");
    let checks = refused(&mut with(process(&url, "there", &seed), &["--check"]));
    assert!(checks.contains("--check does not go together with --frontier"), "{checks}");
    let missing = url.replace("/postgres", "/nowhere").replace("me@", "me:secret@");
    let missing = refused(&mut process(&missing, "there", &seed));
    assert!(missing.contains("database \"nowhere\" does not exist"), "{missing}");
    assert!(!missing.contains("secret"), "{missing}");
    let no_url = refused(&mut process("mysql://me:secret@a/b", "there", &seed));
    assert!(
        no_url.contains("must begin with postgres://") && !no_url.contains("secret"),
        "{no_url}"
    );
    let lease = refused(&mut with(process(&url, "there", &seed), &["--lease", "0.5"]));
    assert!(lease.contains("--lease"), "{lease}");
    let folder = Folder::new();
    let path = folder.path("rows.jsonl");
    std::fs::write(&path, "precious").unwrap();
    let exists =
        refused(with(process(&url, "there", &seed), &["--sitemap", "off"]).arg("-o").arg(&path));
    assert!(exists.contains("it exists (--force overwrites it)"), "{exists}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_database_may_want_a_password_and_tls() {
    let Some(postgres) = Postgres::start_guarded() else { return };
    // The connection is there for long enough to be looked at.
    let server = Server::start(|request| tree(request).after(Duration::from_millis(400))).unwrap();
    let seed = server.url("/");
    let start = |words: &str, password: Option<&str>| {
        let url = format!("{}?{words}", postgres.url());
        let mut command = with(process(&url, "guarded", &seed), &["--sitemap", "off"]);
        command.envs(password.map(|password| ("PGPASSWORD", password)));
        command
    };
    let root = format!("sslrootcert={}", postgres.certificate().display());
    let is_by_tls = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name = 'silkmill'";

    let mut child = start("sslmode=require", Some(PASSWORD)).spawn().unwrap();
    let mut seen = String::new();
    while child.try_wait().unwrap().is_none() {
        let answer = postgres.tell(is_by_tls);
        seen = if answer.is_empty() { seen } else { answer };
    }
    assert_eq!(seen, "t");
    for words in [format!("sslmode=verify-full&{root}"), "sslmode=disable".to_owned()] {
        are_of_tree(&export(start(&words, Some(PASSWORD)), &Folder::new()));
    }
    for (words, password, expected) in [
        ("sslmode=verify-full", Some(PASSWORD), "the certificate is self-signed"),
        ("sslmode=verify-full&sslrootcert=/nowhere", Some(PASSWORD), "\"/nowhere\": no such file"),
        ("sslmode=require", Some("wrong"), "password authentication failed for user \"me\""),
        ("sslmode=require", None, "password"),
    ] {
        let said = refused(&mut start(words, password));
        assert!(said.contains(expected), "{words}: {said}");
    }
}

#[test]
fn a_database_that_is_not_there_is_named() {
    let mut command =
        process("postgres://me:secret@127.0.0.1:1/crawls", "j", "http://127.0.0.1:1/");
    let said = refused(&mut command);
    let expected = "silkmill: failed to open the crawl's job \"j\" in \"crawls\" on 127.0.0.1:1: ";
    assert!(said.starts_with(expected) && said.contains("connection refused"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}
