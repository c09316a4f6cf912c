//! Pages over TLS; and certificates that must not be trusted, each with the reason in its row.

use std::path::PathBuf;

use silkmill_scrape::{FailureKind, Options, OptionsBuilder, Phase};
use silkmill_testkit::{Authority, Identity, Reply, Server};

use crate::{fault, once, row, rows};

/// Builds options that trust an authority, and lead every name to this machine.
pub(crate) fn trusting(options: OptionsBuilder, authority: &Authority, name: &str) -> Options {
    let path: PathBuf =
        std::env::temp_dir().join(format!("silkmill-{}-{name}.pem", std::process::id()));
    std::fs::write(&path, authority.pem()).unwrap();
    let options = options.trust_file(&path).resolver(|_| Ok(vec![[127, 0, 0, 1].into()]));
    let options = options.build().unwrap();
    std::fs::remove_file(path).unwrap();
    options
}

fn served_by(identity: &Identity) -> Server {
    Server::start_tls(identity, |request| match request.path() {
        "/long" => Reply::html("x".repeat(300_000)),
        "/gzip" => Reply::gzip(&[b'x'; 100_000]),
        _ => Reply::html("hello"),
    })
    .unwrap()
}

#[test]
fn pages_come_over_tls_and_one_connection() {
    let authority = Authority::new();
    let server = served_by(&authority.issue(&["a.test"]));
    let options = trusting(once().workers(1), &authority, "pages");
    let urls: Vec<String> =
        ["/", "/long", "/gzip"].map(|path| server.url_of("a.test", path)).to_vec();

    let (rows, summary) = rows(&options, &urls);

    assert_eq!((summary.errors, server.connections()), (0, 1), "{rows:?}");
    assert_eq!(rows.iter().map(|row| row.bytes).collect::<Vec<_>>(), [5, 300_000, 100_000]);
    assert!(rows[0].timing.tls.is_some() && rows[1].timing.tls.is_none());
}

#[test]
fn an_address_may_be_what_a_certificate_is_for() {
    let authority = Authority::new();
    let server = served_by(&authority.issue(&["127.0.0.1"]));

    let row = row(&trusting(once(), &authority, "address"), &server.url("/"));

    assert_eq!((row.status, row.error), (Some(200), None));
}

#[test]
fn a_certificate_that_is_not_to_be_trusted_says_why() {
    let authority = Authority::new();
    for (identity, word) in [
        (authority.issue_expired(&["a.test"]), "expired"),
        (authority.issue(&["b.test"]), "for another host"),
        (Identity::self_signed(&["a.test"]), "self-signed"),
        (Authority::new().issue(&["a.test"]), "issuer is not trusted"),
    ] {
        let server = served_by(&identity);
        let options = trusting(once().retries(2), &authority, "why");

        let refused = row(&options, &server.url_of("a.test", "/"));
        assert_eq!(fault(&refused), (FailureKind::Tls, Phase::Tls));
        assert_eq!(refused.attempts, 1, "it will be the same next time");
        let message = refused.error.unwrap().message;
        assert!(message.contains(word), "{message}");

        let anyway = row(
            &trusting(once().retries(2).insecure(true), &authority, "anyway"),
            &server.url_of("a.test", "/"),
        );
        assert_eq!((anyway.status, anyway.error), (Some(200), None), "{word}");
    }
}

#[test]
fn a_servers_own_certificate_may_be_given_as_one_to_trust() {
    for (hosts, common_name, asked, is_right) in [
        (&["a.test"][..], "x", "a.test", true),
        (&[], "A.test", "a.test", true),
        (&["127.0.0.1"], "x", "127.0.0.1", true),
        (&[], "127.0.0.1", "127.0.0.1", true),
        (&["b.test"], "a.test", "a.test", false),
        (&[], "b.test", "a.test", false),
    ] {
        let (identity, pem) = Identity::self_signed_authority(hosts, common_name);
        let server = served_by(&identity);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pem).unwrap();
        let to_here = |_: &str| Ok(vec![[127, 0, 0, 1].into()]);
        let options = once().trust_file(file.path()).resolver(to_here);

        let row = row(&options, &server.url_of(asked, "/"));

        let found = (row.status, row.error.as_ref().map(|error| error.kind));
        let expected = if is_right { (Some(200), None) } else { (None, Some(FailureKind::Tls)) };
        assert_eq!(found, expected, "{hosts:?} {common_name}: {row:?}");
        // Another certificate of the same name is not trusted for it.
        let (other, _) = Identity::self_signed_authority(hosts, common_name);
        let refused = crate::row(&options, &served_by(&other).url_of(asked, "/"));
        assert_eq!(fault(&refused), (FailureKind::Tls, Phase::Tls));
    }
}

#[test]
fn a_host_that_no_certificate_can_name_is_asked_when_none_is_checked() {
    let server = served_by(&Identity::self_signed(&["a.test"]));
    let options = once().resolver(|_| Ok(vec![[127, 0, 0, 1].into()]));
    for host in ["a-.test", "a.b-"] {
        let url = server.url_of(host, "/");
        assert_eq!(row(&options.clone().insecure(true), &url).status, Some(200), "{host}");
        let refused = row(&options, &url);
        assert_eq!(fault(&refused), (FailureKind::Tls, Phase::Tls));
        assert!(refused.error.unwrap().message.contains(host));
    }
}

#[test]
fn a_certificate_for_another_host_names_it() {
    let authority = Authority::new();
    let server = served_by(&authority.issue(&["right.test"]));

    let row = row(&trusting(once(), &authority, "names"), &server.url_of("wrong.test", "/"));

    let message = row.error.unwrap().message;
    assert_eq!(message, "the certificate is for another host: right.test");
}

#[test]
fn tls_where_plain_http_is_asked_for_breaks_the_protocol() {
    let authority = Authority::new();
    let server = served_by(&authority.issue(&["127.0.0.1"]));

    let row = row(&once(), &server.url("/").replace("https:", "http:"));

    assert_eq!(fault(&row).0, FailureKind::Protocol);
}

#[test]
fn a_file_of_certificates_must_have_some() {
    let path = std::env::temp_dir().join(format!("silkmill-{}-none.pem", std::process::id()));
    std::fs::write(&path, "no certificate").unwrap();

    let empty = Options::builder().trust_file(&path).build().unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    let missing = Options::builder().trust_file(&path).build().unwrap_err().to_string();

    assert!(empty.contains("no certificate in it") && empty.contains("none.pem"), "{empty}");
    assert!(missing.ends_with("no such file or directory"), "{missing}");
}

#[test]
fn secrets_are_not_sent_on_from_tls_to_the_clear() {
    let authority = Authority::new();
    let plain =
        Server::start(|request| Reply::html(format!("{:?}", request.header("Authorization"))))
            .unwrap();
    let target = plain.url_of("a.test", "/");
    let identity = authority.issue(&["a.test"]);
    let server = Server::start_tls(&identity, move |_| Reply::redirect(&target)).unwrap();
    let options = trusting(once().header("Authorization: secret"), &authority, "secrets");

    let row = row(&options, &server.url_of("a.test", "/"));

    assert_eq!((row.status, row.bytes), (Some(200), "None".len() as u64));
}
