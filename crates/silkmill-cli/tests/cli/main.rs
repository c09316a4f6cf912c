//! Runs the real binary and looks at it from outside only.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod crash;
mod demo;
mod encoding;
mod injected_faults;
mod interference;
mod output;
mod patch;
mod peer_suites;
mod pipe;
mod power;
mod replace;
mod review;
mod sandbox;
mod scrape;
mod undo;

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A process that takes longer hangs.
const HANG_AFTER: Duration = Duration::from_secs(60);

/// Returns the binary under test. It keeps nothing in the home directory of the user who runs the
/// tests.
fn silkmill() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_silkmill"));
    // What runs the tests may have a pipe as stdin, which a command without a PATH refuses.
    command.env("XDG_STATE_HOME", state()).stdin(Stdio::null());
    // The servers of the tests are on this machine, and no proxy of the environment leads to them.
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    command
}

/// The store of all tests that do not need one of their own. It must be on the filesystem of their
/// trees.
fn state() -> PathBuf {
    std::env::temp_dir().join("silkmill-tests-state")
}

/// Waits for the child to end, up to `HANG_AFTER`.
fn wait(child: &mut Child) -> ExitStatus {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if since.elapsed() > HANG_AFTER {
            child.kill().unwrap();
            panic!("the process hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends ^C with the shell's own `kill`, since not every machine has the program.
fn interrupt(child: &Child) {
    let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(kill.unwrap().success());
}

#[test]
fn an_unknown_option_exits_2_and_names_it() {
    let output = silkmill().arg("--no-such-option").output().unwrap();

    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--no-such-option"));
}

#[test]
fn the_version_names_the_commit_and_the_build() {
    let version =
        |word: &str| String::from_utf8(silkmill().arg(word).output().unwrap().stdout).unwrap();

    let start = format!("silkmill {} (", env!("CARGO_PKG_VERSION"));
    for word in ["-V", "--version"] {
        let said = version(word);
        let (commit, _) = said.strip_prefix(&start).unwrap().split_once([',', ')']).unwrap();
        // A package of the source has no repository, and then no commit.
        let (hash, date) = commit.split_once(" of ").unwrap_or((commit, ""));
        let is_hash = hash.len() == 12 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_hash && date.len() == 10 || commit == "unknown commit", "{said}");
    }
    assert!(version("--version").contains(" build for "), "{}", version("--version"));
}

#[test]
fn every_command_has_a_manual_page_and_every_shell_its_completions() {
    for command in [
        "replace",
        "undo",
        "redo",
        "fetch",
        "scrape",
        "crawl",
        "demo",
        "help",
        "man",
        "completions",
    ] {
        let output = silkmill().args(["man", command]).output().unwrap();
        let page = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && page.contains(&format!("silkmill\\-{command}")),
            "{page}"
        );
        assert!(page.contains("\n.SH \"EXIT STATUS\"\n.TP\n.B 0\n"), "{page}");
        assert!(page.contains("\n.SH EXAMPLES\n.nf\n  silkmill "), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = silkmill().args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("max-body"), "{script}");
    }

    let output = silkmill().args(["man", "replaec"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("there are: replace, undo, redo, fetch")
    );
}
