//! A PostgreSQL server of a test's own, and a wire to it that can be cut.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, its files, and the folder where its programs are.
pub(super) struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    server: Option<Child>,
    /// Whether it wants a password, and speaks TLS.
    is_guarded: bool,
}

/// The password of the user of every server that wants one.
pub(super) const PASSWORD: &str = "se'cret";

impl Postgres {
    /// Makes a server, or returns `None` where PostgreSQL is not installed.
    pub(super) fn start() -> Option<Postgres> {
        Postgres::start_with(false)
    }

    /// Makes a server that wants a password and speaks TLS.
    pub(super) fn start_guarded() -> Option<Postgres> {
        Postgres::start_with(true)
    }

    fn start_with(is_guarded: bool) -> Option<Postgres> {
        let Some(programs) = programs() else {
            assert!(
                std::env::var_os("SILKMILL_REQUIRE").is_none_or(|value| value != "1"),
                "PostgreSQL is not installed"
            );
            println!("skipped: PostgreSQL is not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = None;
        let mut postgres = Postgres { folder, programs, user: user(), port, server, is_guarded };
        let data = postgres.data();
        fs::create_dir(&data).unwrap();
        if let Some((user, group)) = postgres.user {
            chown(&data, Some(user), Some(group)).unwrap();
        }
        let mut make = postgres.program("initdb");
        make.args(["-U", "me", "--no-sync", "--no-locale", "-E", "UTF8", "-A"]);
        if is_guarded {
            let file = postgres.folder.path().join("password");
            fs::write(&file, PASSWORD).unwrap();
            make.arg("scram-sha-256").arg("--pwfile").arg(file);
        } else {
            make.arg("trust");
        }
        make.arg("-D");
        let made = make.arg(&data).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        if is_guarded {
            postgres.make_certificate();
        }
        postgres.go_up();
        Some(postgres)
    }

    /// Makes a certificate that the server has signed itself.
    fn make_certificate(&self) {
        let (key, certificate) = (self.data().join("server.key"), self.certificate());
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt"]);
        openssl.args(["ec_paramgen_curve:prime256v1", "-days", "9", "-subj", "/CN=silkmill"]);
        openssl.args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"]).arg(&key);
        let made = openssl.arg("-out").arg(&certificate).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = self.user {
            chown(&key, Some(user), Some(group)).unwrap();
        }
        fs::set_permissions(&certificate, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// Returns the certificate of a server that speaks TLS.
    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.crt")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Returns a command of PostgreSQL's, which its server must not run as root.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command.current_dir("/").stdin(Stdio::null()).env("PGPASSWORD", PASSWORD);
        command
    }

    /// Starts the server.
    pub(super) fn go_up(&mut self) {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        // No test cuts the machine's power.
        for setting in ["fsync=off", "listen_addresses=127.0.0.1", "unix_socket_directories="] {
            command.args(["-c", setting]);
        }
        let log = self.folder.path().join("log");
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        if self.is_guarded {
            let certificate = format!("ssl_cert_file={}", self.certificate().display());
            command.args(["-c", "ssl=on", "-c", &certificate]);
        }
        command.stdout(Stdio::null()).stderr(log);
        self.server = Some(command.spawn().unwrap());
        let started = Instant::now();
        while self.ask("SELECT 1").as_deref() != Some("1") {
            assert!(started.elapsed() < PATIENCE, "the database does not start");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the server at once, as if it had crashed.
    pub(super) fn go_down(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        signal(&server, "QUIT");
        server.wait().unwrap();
    }

    /// Returns what a query gives, if the server answers: lines, and columns with a bar between.
    pub(super) fn ask(&self, query: &str) -> Option<String> {
        let url = self.url_at(self.port);
        let mut command = self.program("psql");
        let output = command.args(["-XAtq", "-d", &url, "-c", query]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        output.status.success().then_some(text)
    }

    /// Returns what a query must give.
    pub(super) fn tell(&self, query: &str) -> String {
        self.ask(query).unwrap_or_else(|| panic!("the database does not answer {query}"))
    }

    pub(super) fn url(&self) -> String {
        self.url_at(self.port)
    }

    fn url_at(&self, port: u16) -> String {
        format!("postgres://me@127.0.0.1:{port}/postgres")
    }

    /// Lays a wire to the server.
    pub(super) fn wire(&self) -> Wire {
        Wire::to(self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.go_down();
    }
}

/// Sends a signal to a process.
pub(super) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(sent.unwrap().success());
}

/// Finds the folder that PostgreSQL's programs are in; Debian has none of the server's on the path.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok();
    let of_debian = versions.into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    let has = |folder: &Path| folder.join("initdb").exists() && folder.join("postgres").exists();
    of_debian.chain(on_path).find(|folder| has(folder))
}

/// Returns the user and the group that the server runs as, if it cannot run as this one.
fn user() -> Option<(u32, u32)> {
    let id = |args: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(args).output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let user = ["postgres", "nobody"].into_iter().find_map(|name| Some((id(&["-u", name])?, name)));
    let (user, name) = user.expect("there is a user that is not root");
    Some((user, id(&["-g", name])?))
}

/// What happens when the wire is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// What the client has sent does not arrive.
    Before,
    /// It arrives, and the answer does not.
    After,
}

/// A wire between clients and the server, which counts what clients send.
pub(super) struct Wire {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    sent: AtomicUsize,
    /// The piece at which the wire is cut, from 1; 0 is never.
    cut_at: AtomicUsize,
    cuts_after: AtomicBool,
    /// Whether nothing passes, and nobody hears of it.
    is_silent: AtomicBool,
}

impl Wire {
    fn to(server: u16) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        // The thread ends with the process of the tests.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                join(client, server, &shared);
            }
        });
        Wire { port, state }
    }

    pub(super) fn url(&self) -> String {
        format!("postgres://me@127.0.0.1:{}/postgres", self.port)
    }

    /// Returns how many pieces clients have sent.
    pub(super) fn sent(&self) -> usize {
        self.state.sent.load(Ordering::SeqCst)
    }

    /// Cuts every connection when a client sends its piece number `piece`.
    pub(super) fn cut_at(&self, piece: usize, cut: Cut) {
        self.state.cuts_after.store(cut == Cut::After, Ordering::SeqCst);
        self.state.cut_at.store(piece, Ordering::SeqCst);
    }

    /// Lets nothing pass, or everything again.
    pub(super) fn be_silent(&self, yes: bool) {
        self.state.is_silent.store(yes, Ordering::SeqCst);
    }
}

/// Carries what client and server say to each other.
fn join(client: TcpStream, server: TcpStream, state: &Arc<State>) {
    let (answers_from, answers_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let is_deaf = Arc::new(AtomicBool::new(false));
    let (shared, deaf) = (Arc::clone(state), Arc::clone(&is_deaf));
    thread::spawn(move || {
        carry(answers_from, answers_to, &shared, |_| !deaf.load(Ordering::SeqCst));
    });
    let shared = Arc::clone(state);
    thread::spawn(move || {
        carry(client, server, &shared, |state| {
            let number = state.sent.fetch_add(1, Ordering::SeqCst) + 1;
            if number != state.cut_at.load(Ordering::SeqCst) {
                return true;
            }
            let passes = state.cuts_after.load(Ordering::SeqCst);
            is_deaf.store(true, Ordering::SeqCst);
            passes
        });
    });
}

/// Carries pieces one way, until `passes` says no.
fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    state: &State,
    mut passes: impl FnMut(&State) -> bool,
) {
    let mut piece = vec![0; 1 << 20];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        while state.is_silent.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        if !passes(state) || to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
