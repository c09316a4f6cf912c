//! Signals that were ignored when the program started.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{read, tree};
use crate::wait;

/// Starts the program in a shell that ignores the signals, as `nohup` and a background job do.
fn ignoring(signals: &str, words: &str, directory: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("trap '' {signals}; exec \"$0\" {words}")]);
    shell.arg(env!("CARGO_BIN_EXE_silkmill")).current_dir(directory);
    shell
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Waits until the child has opened the lock of its store, and so listens for signals.
fn wait_for_lock(child: &Child, lock: &Path) {
    let holds = || {
        let files = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
        files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|path| path == lock))
    };
    while !holds() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_replacement_survives_the_signals_that_were_ignored() {
    for (ignored, signals) in [
        ("HUP", &[Signal::HUP][..]),
        ("HUP INT TERM", &[Signal::INT, Signal::HUP, Signal::TERM, Signal::INT]),
    ] {
        let (root, state) = (tree(&[("a", b"old")]), tempfile::tempdir().unwrap());
        let lock = state.path().canonicalize().unwrap().join("silkmill/lock");
        fs::create_dir(lock.parent().unwrap()).unwrap();
        let held = fs::File::create(&lock).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        let mut command = ignoring(ignored, "replace -q old new a", root.path());
        let mut child = command.env("XDG_STATE_HOME", state.path()).spawn().unwrap();
        wait_for_lock(&child, &lock);

        signals.iter().for_each(|signal| send(&child, *signal));
        drop(held);

        assert_eq!(wait(&mut child).code(), Some(0), "{ignored}");
        assert_eq!(read(&root, "a"), "new", "{ignored}");
    }
}

#[test]
fn a_signal_that_was_not_ignored_is_heard_beside_one_that_was() {
    let root = tree(&[]);
    let mut command = ignoring("HUP", "fetch -i -", root.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut rows = BufReader::new(child.stdout.take().unwrap()).lines();

    for url in ["ftp://one/", "ftp://two/"] {
        input.write_all(format!("{url}\n").as_bytes()).unwrap();
        assert!(rows.next().unwrap().unwrap().contains(url));
        send(&child, Signal::HUP);
    }
    send(&child, Signal::INT);

    assert_eq!(wait(&mut child).code(), Some(130));
}

#[test]
fn a_list_of_urls_survives_the_signals_that_were_ignored() {
    let root = tree(&[]);
    let mut command = ignoring("HUP INT TERM", "fetch -i -", root.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut rows = BufReader::new(child.stdout.take().unwrap()).lines();

    input.write_all(b"ftp://one/\n").unwrap();
    assert!(rows.next().unwrap().unwrap().contains("ftp://one/"));
    for signal in [Signal::INT, Signal::HUP, Signal::TERM, Signal::INT] {
        send(&child, signal);
    }
    input.write_all(b"ftp://two/\n").unwrap();
    drop(input);

    assert!(rows.next().unwrap().unwrap().contains("ftp://two/"));
    assert_eq!(wait(&mut child).code(), Some(1));
}
