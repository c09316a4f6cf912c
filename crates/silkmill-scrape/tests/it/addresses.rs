//! To which IP addresses a run connects. A resolver of the test's finds names, and a connector
//! stands for the network: it notes every address and leads each connection to this machine, so
//! that nothing leaves it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use silkmill_scrape::{FailureKind, OptionsBuilder, Phase, Row};
use silkmill_testkit::{Reply, Request, Server};

use crate::{FAR_TOO_LONG, fault, once, row};

/// Addresses of the Internet, to which no test connects.
const PUBLIC: &str = "93.184.216.34";
const PUBLIC_V6: &str = "2606:2800:220:1::1";

/// A network of the test's own.
#[derive(Clone, Default)]
struct Net {
    dialled: Arc<Mutex<Vec<IpAddr>>>,
}

impl Net {
    /// Returns options with this network under them. `names` returns addresses, separated by
    /// blanks.
    fn options(&self, names: impl Fn(&str) -> String + Send + Sync + 'static) -> OptionsBuilder {
        let dialled = Arc::clone(&self.dialled);
        once()
            .resolver(move |host| {
                let found = names(host);
                if found.is_empty() {
                    return Err(io::Error::other("Name or service not known"));
                }
                Ok(found.split(' ').map(|address| address.parse().unwrap()).collect())
            })
            .connector(move |address: SocketAddr, timeout| {
                dialled.lock().unwrap().push(address.ip());
                TcpStream::connect_timeout(&([127, 0, 0, 1], address.port()).into(), timeout)
            })
    }

    fn dialled(&self) -> Vec<String> {
        self.dialled.lock().unwrap().drain(..).map(|address| address.to_string()).collect()
    }
}

/// Starts a server that redirects from `/to/URL` to the rest of the path.
fn redirecting() -> Server {
    Server::start(|request: &Request| match request.target().strip_prefix("/to/") {
        Some(target) => Reply::redirect(target),
        None => Reply::html("arrived"),
    })
    .unwrap()
}

fn is_blocked(row: &Row) -> bool {
    row.error
        .as_ref()
        .is_some_and(|error| (error.kind, error.phase) == (FailureKind::Blocked, Phase::Resolve))
}

#[test]
fn what_the_user_typed_may_be_private() {
    let server = redirecting();
    let net = Net::default();
    let options = net.options(|_| "10.1.2.3".to_owned());

    for host in ["10.9.9.9", "[fd00::1]", "intranet.test", "127.0.0.1"] {
        let row = row(&options, &server.url_of(host, "/"));
        assert_eq!((row.status, row.error), (Some(200), None), "{host}");
    }

    assert_eq!(net.dialled(), ["10.9.9.9", "fd00::1", "10.1.2.3", "127.0.0.1"]);
}

#[test]
fn a_private_address_is_refused_however_it_is_written_when_all_are() {
    let net = Net::default();
    let options = net.options(|_| unreachable!("these are no names")).deny_private(true);

    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::10.0.0.1]",
        "[2002:7f00:1::]",
        "１２７.0.0.1",
        "127。0。0。1",
    ] {
        let row = row(&options, &format!("http://{host}:1/"));
        assert!(is_blocked(&row), "{host}: {row:?}");
    }
    assert_eq!(net.dialled(), [""; 0]);
}

#[test]
fn a_name_is_refused_by_its_address() {
    let net = Net::default();
    let names = |host: &str| match host {
        "private.test" => "10.0.0.1".to_owned(),
        "private6.test" => "::1 fe80::1".to_owned(),
        "mapped.test" => "::ffff:10.0.0.1".to_owned(),
        _ => String::new(),
    };
    let options = net.options(names).deny_private(true);

    for host in ["private.test", "private6.test", "mapped.test"] {
        assert!(is_blocked(&row(&options, &format!("http://{host}:1/"))), "{host}");
    }
    let nobody = row(&options, "http://nobody.test:1/");
    assert_eq!(fault(&nobody), (FailureKind::Dns, Phase::Resolve));
    assert_eq!(net.dialled(), [""; 0]);
}

#[test]
fn of_a_name_that_is_both_only_the_public_address_is_dialled() {
    let server = redirecting();
    let net = Net::default();
    let options = net.options(|_| format!("10.0.0.1 {PUBLIC} ::1 {PUBLIC_V6}")).deny_private(true);

    let row = row(&options, &server.url_of("both.test", "/"));

    assert_eq!((row.status, net.dialled()), (Some(200), vec![PUBLIC.to_owned()]));
}

#[test]
fn the_address_that_was_checked_is_the_one_that_is_dialled() {
    // The name changes with every lookup; the second would permit what the first did not.
    let server = redirecting();
    let (looks, net) = (Arc::new(AtomicUsize::new(0)), Net::default());
    let counter = Arc::clone(&looks);
    let options = net
        .options(move |_| match counter.fetch_add(1, Ordering::SeqCst) {
            0 => PUBLIC.to_owned(),
            _ => "127.0.0.1".to_owned(),
        })
        .deny_private(true);

    let row = row(&options, &server.url_of("changes.test", "/"));

    assert_eq!((row.status, net.dialled()), (Some(200), vec![PUBLIC.to_owned()]));
    assert_eq!(looks.load(Ordering::SeqCst), 1);
}

#[test]
fn a_public_server_does_not_lead_into_a_private_network() {
    let server = redirecting();
    let net = Net::default();
    let options = net.options(|host| match host {
        "public.test" => PUBLIC.to_owned(),
        _ => "10.0.0.1".to_owned(),
    });

    for inside in ["127.0.0.1", "inside.test", "[::1]", "2130706433", "[64:ff9b::7f00:1]"] {
        let target = server.url_of(inside, "/");
        let row = row(&options, &server.url_of("public.test", &format!("/to/{target}")));
        assert!(is_blocked(&row), "{inside}: {row:?}");
        assert_eq!(row.status, Some(302));
        assert!(row.error.unwrap().message.contains("public server"));
        assert!(net.dialled().iter().all(|address| address == PUBLIC), "{inside}");
    }
}

#[test]
fn nor_by_a_way_round_over_another_public_server() {
    let server = redirecting();
    let net = Net::default();
    let options = net.options(|host| match host {
        "inside.test" => "10.0.0.1".to_owned(),
        _ => PUBLIC.to_owned(),
    });
    let inside = server.url_of("inside.test", "/");
    let round = server.url_of("two.test", &format!("/to/{inside}"));

    let row = row(&options, &server.url_of("one.test", &format!("/to/{round}")));

    assert!(is_blocked(&row), "{row:?}");
    assert_eq!(row.redirects.len(), 2);
}

#[test]
fn a_connection_into_a_private_network_is_not_lent_to_a_public_redirect() {
    // First the user fetches from the inner server, and the connection stays open.
    let server = redirecting();
    let net = Net::default();
    let options = net.options(|host| match host {
        "inside.test" => "10.0.0.1".to_owned(),
        _ => PUBLIC.to_owned(),
    });
    let inside = server.url_of("inside.test", "/");
    let led = server.url_of("public.test", &format!("/to/{inside}"));

    let (rows, _) = crate::rows(&options.workers(1), &[inside.clone(), led, inside]);

    assert_eq!(
        (rows[0].status, is_blocked(&rows[1]), rows[2].status),
        (Some(200), true, Some(200))
    );
}

#[test]
fn a_private_server_may_lead_to_another() {
    let server = redirecting();
    let net = Net::default();
    let options =
        net.options(|host| if host == "one.test" { "10.0.0.1" } else { "10.0.0.2" }.to_owned());
    let target = server.url_of("two.test", "/");

    let row = row(&options, &server.url_of("one.test", &format!("/to/{target}")));

    assert_eq!((row.status, row.error), (Some(200), None));
}

#[test]
fn a_lookup_that_hangs_ends_with_its_deadline() {
    let options = once().connect_timeout(Duration::from_millis(100)).resolver(|_| {
        thread::sleep(Duration::from_secs(3));
        Ok(vec![[127, 0, 0, 1].into()])
    });

    let row = row(&options, "http://hangs.test:1/");

    assert_eq!(fault(&row), (FailureKind::Timeout, Phase::Resolve));
    assert!(row.error.unwrap().message.contains("100ms"));
}

#[test]
fn a_connect_that_hangs_ends_with_its_deadline_and_other_addresses_are_tried() {
    let server = redirecting();
    let options = once().connect_timeout(Duration::from_millis(800)).resolver(|host| {
        let hangs = IpAddr::from([10, 0, 0, 1]);
        Ok(if host == "half.test" { vec![hangs, [127, 0, 0, 1].into()] } else { vec![hangs] })
    });
    let options = options.connector(|address, timeout| {
        if address.ip() == IpAddr::from([10, 0, 0, 1]) {
            assert!(timeout <= Duration::from_millis(800));
            thread::sleep(timeout);
            return Err(io::ErrorKind::TimedOut.into());
        }
        TcpStream::connect_timeout(&address, timeout)
    });

    let all = row(&options, &server.url_of("all.test", "/"));
    assert_eq!(fault(&all), (FailureKind::Timeout, Phase::Connect));
    let half = row(&options, &server.url_of("half.test", "/"));
    assert_eq!((half.status, half.error), (Some(200), None));
}

#[test]
fn many_hosts_get_their_pages_while_some_names_hang() {
    let server = redirecting();
    let options =
        once().workers(4).retries(0).connect_timeout(Duration::from_millis(300)).resolver(|host| {
            if host.starts_with("hangs") {
                thread::sleep(Duration::from_secs(2));
            }
            Ok(vec![[127, 0, 0, 1].into()])
        });
    let urls: Vec<String> = (0..40)
        .map(|host| match host % 10 {
            0 => server.url_of(&format!("hangs-{host}.test"), "/"),
            _ => server.url_of(&format!("good-{host}.test"), "/"),
        })
        .collect();
    let started = Instant::now();

    let (rows, summary) = crate::rows(&options, &urls);

    assert_eq!((rows.len(), summary.errors), (40, 4));
    assert!(started.elapsed() < FAR_TOO_LONG);
}

#[test]
fn a_name_of_any_script_is_looked_up_and_asked_by_its_ascii_form() {
    let server = Server::start(|request| Reply::html(request.header("Host").unwrap())).unwrap();
    let looked_up = Arc::new(Mutex::new(Vec::new()));
    let names = Arc::clone(&looked_up);
    let options = Net::default().options(move |host| {
        names.lock().unwrap().push(host.to_owned());
        PUBLIC.to_owned()
    });
    for (name, ascii) in [
        ("bücher.test", "xn--bcher-kva.test"),
        ("BÜCHER.test", "xn--bcher-kva.test"),
        ("例え.test", "xn--r8jz45g.test"),
        ("a。test", "a.test"),
    ] {
        let row = row(&options, &server.url_of(name, "/"));

        assert_eq!((row.status, row.error), (Some(200), None), "{name}");
        assert_eq!(row.bytes, format!("{ascii}:{}", server.port()).len() as u64, "{name}");
        assert_eq!(row.final_url, Some(server.url_of(ascii, "/")));
    }
    let looked_up = looked_up.lock().unwrap().join(" ");
    let bucher = "xn--bcher-kva.test";
    assert_eq!(looked_up, format!("{bucher} {bucher} xn--r8jz45g.test a.test"));
}

#[test]
fn without_a_network_every_row_says_so() {
    let unreachable = |_: SocketAddr, _: Duration| -> io::Result<TcpStream> {
        Err(io::ErrorKind::NetworkUnreachable.into())
    };
    let nameless = once()
        .resolver(|_| Err(io::Error::other("Temporary failure in name resolution")))
        .connector(unreachable);

    let by_name = row(&nameless, "http://a.test/");
    let by_address = row(&nameless, &format!("http://{PUBLIC}/"));

    assert_eq!(fault(&by_name), (FailureKind::Dns, Phase::Resolve));
    assert_eq!(by_name.error.unwrap().message, "temporary failure in name resolution");
    assert_eq!(fault(&by_address), (FailureKind::Connect, Phase::Connect));
    assert_eq!(by_address.error.unwrap().message, "network unreachable");
}
