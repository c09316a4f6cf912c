//! Every system call fails in turn: the run exits with 2, names the path, and changes no file, or,
//! past the commit mark, all of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::crash::renames::{RENAME, both_renamed};
use crate::crash::{CALLS, OPENAT, REPLACE, Sandbox, Snapshot, both, is_long};
use crate::sandbox::is_installed;

const ERRORS: &[&str] = &["ENOSPC", "EIO", "EACCES", "EDQUOT", "EMFILE"];

/// The exit code of the dynamic loader for a library that it cannot open.
const NOT_LOADED: i32 = 127;

/// What is run with faults, and the tree before and after it.
struct Swept {
    words: &'static [&'static str],
    /// What is run before, without faults.
    prepare: Option<&'static [&'static str]>,
    before: Snapshot,
    after: Snapshot,
}

/// Makes every call of a kind fail, one run for each, from the first to the last.
fn refuse_each(call: &str, errors: &dyn Fn(usize) -> Vec<&'static str>, swept: &Swept) {
    let Swept { words, prepare, before, after } = swept;
    for nth in 1.. {
        let mut was_refused = false;
        for error in errors(nth) {
            let sandbox = Sandbox::new();
            if let Some(prepare) = prepare {
                assert!(sandbox.silkmill(prepare).status.success());
            }
            let output = sandbox.strace(&[format!("{call}:error={error}:when={nth}")], words);
            let log = fs::read_to_string(sandbox.log()).unwrap();
            was_refused |= log.contains("(INJECTED)");
            let what = format!("{words:?}: {call} {nth} fails by {error}: {output:?}");
            let now = sandbox.snapshot();
            match output.status.code() {
                Some(0) => assert_eq!(&now, after, "{what}"),
                Some(2) => {
                    let said = String::from_utf8_lossy(&output.stderr);
                    assert!(said.contains('"') || call == "write", "{what}");
                    assert!(&now == before || &now == after, "{what}");
                }
                Some(NOT_LOADED) if call == "openat" => assert_eq!(&now, before, "{what}"),
                _ => panic!("{what}"),
            }
            // A change that was reported is there after recovery, and no other change is.
            let later = sandbox.recovered(&what);
            assert!(later == now || (&later == before) | (&later == after), "{what}");
            assert!(output.status.code() != Some(0) || later == now, "{what}");
        }
        if !was_refused {
            break;
        }
    }
}

fn sweep(swept: &Swept) {
    let is_long = is_long();
    let calls: Vec<&str> = [OPENAT].into_iter().chain(CALLS.iter().copied()).collect();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let calls = calls.iter().skip(half).step_by(2);
            scope.spawn(move || {
                for (place, call) in calls.enumerate() {
                    // Each call fails by one error, and the next call by another; in a long test by
                    // all of them.
                    let errors = |nth: usize| match is_long {
                        true => ERRORS.to_vec(),
                        false => vec![ERRORS[(nth + place) % ERRORS.len()]],
                    };
                    refuse_each(call, &errors, swept);
                }
            });
        }
    });
}

/// Sweeps a run, or the undo of it.
fn sweep_run(words: &'static [&'static str], (old, new): (Snapshot, Snapshot), undo: bool) {
    sweep(&match undo {
        false => Swept { words, prepare: None, before: old, after: new },
        true => Swept { words: &["undo"], prepare: Some(words), before: new, after: old },
    });
}

#[test]
fn a_run_in_which_any_call_fails_changes_all_files_or_none() {
    if is_installed("strace") {
        sweep_run(REPLACE, both(), false);
    }
}

#[test]
fn an_undo_in_which_any_call_fails_changes_all_files_or_none() {
    if is_installed("strace") {
        sweep_run(REPLACE, both(), true);
    }
}

#[test]
fn a_run_with_renames_in_which_any_call_fails_changes_all_names_and_files_or_none() {
    if is_installed("strace") {
        sweep_run(RENAME, both_renamed(), false);
    }
}

#[test]
fn an_undo_of_renames_in_which_any_call_fails_changes_all_names_and_files_or_none() {
    if is_installed("strace") {
        sweep_run(RENAME, both_renamed(), true);
    }
}

/// Runs a command that may go on without a file, over files of every kind, and makes the N-th call
/// of a kind fail. Returns what it printed, and whether the call was made.
fn refused(call: &str, error: &str, nth: usize) -> (Sandbox, std::process::Output, bool) {
    let sandbox = Sandbox::new();
    let words = ["replace", "-j", "2", "old", "brand new", ".", "link"];
    let output = sandbox.strace(&[format!("{call}:error={error}:when={nth}")], &words);
    let was_made = fs::read_to_string(sandbox.log()).unwrap().contains("(INJECTED)");
    (sandbox, output, was_made)
}

#[test]
fn new_text_that_cannot_be_staged_changes_nothing_though_the_run_is_not_strict() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both();
    for (place, call) in ["write", "fchown", "fchmod", "fsetxattr", "copy_file_range", "fsync"]
        .into_iter()
        .chain(["syncfs", "fdatasync", "pwrite64", "mkdir"])
        .enumerate()
    {
        for nth in 1.. {
            let error = ["EIO", "ENOSPC", "EDQUOT", "EROFS"][(nth + place) % 4];
            let (sandbox, output, was_made) = refused(call, error, nth);
            let what = format!("{call} {nth} fails by {error}: {output:?}");
            let now = sandbox.snapshot();
            assert!(now == old || now == new, "{what}");
            assert!(now == new || output.status.code() == Some(2), "{what}");
            if now == old {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(said.contains("nothing was changed") || call == "write", "{what}");
                assert_eq!(sandbox.runs(), 0, "{what}");
            }
            if !was_made {
                break;
            }
        }
    }
    // A file that cannot be opened to be read fails alone, if a second try by another thread fails,
    // too. One that cannot be created fails the run.
    let mut whole = 0;
    for nth in 1.. {
        let (sandbox, output, was_made) = refused(OPENAT, "EMFILE", nth);
        if !was_made {
            break;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let now = sandbox.snapshot();
        if said.contains("failed to stage new text") {
            assert_eq!(now, old, "openat {nth}: {output:?}");
            whole += 1;
        } else if now != old && now != new {
            assert!(said.contains("failed to read \""), "openat {nth}: {output:?}");
        }
    }
    assert!(whole > 0);
}

#[test]
fn output_that_cannot_be_written_is_named_as_such_and_the_files_are_changed() {
    let sandbox = Sandbox::new();
    let (_, new) = both();
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" replace old 'brand new' . link >/dev/full"]);
    shell.arg(env!("CARGO_BIN_EXE_silkmill")).current_dir(sandbox.tree());
    shell.env("XDG_STATE_HOME", sandbox.store().parent().unwrap());

    let output = shell.output().unwrap();

    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("failed to write to stdout: no space left on device"), "{said}");
    assert!(!said.contains("nothing was changed") && !said.contains("stage"), "{said}");
    assert_eq!(sandbox.snapshot(), new);
}

#[test]
fn a_store_that_cannot_be_written_changes_nothing_and_is_named() {
    let sandbox = Sandbox::new();
    let old = sandbox.snapshot();
    fs::write(sandbox.tree().join(".silkmill"), "no directory").unwrap();
    fs::write(sandbox.store().parent().unwrap(), "no directory").unwrap();

    let output = sandbox.silkmill(REPLACE);

    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("/tree/.silkmill\"") && said.contains("/state/silkmill\""), "{said}");
    fs::remove_file(sandbox.tree().join(".silkmill")).unwrap();
    assert_eq!(sandbox.snapshot(), old);
    // A run that finds nothing stores nothing, and needs no store.
    assert_eq!(sandbox.silkmill(&["replace", "no such text", "x"]).status.code(), Some(1));
}

#[test]
fn a_file_system_that_is_full_changes_nothing() {
    let sandbox = Sandbox::new();
    // The mount is in a namespace of its own: no other process sees it, and it is gone afterwards.
    let script = "mount -t tmpfs -o size=200k none state && cp -a tree state/ && cd state/tree && \
        XDG_STATE_HOME=$PWD/../xdg \"$0\" replace old 'a much, much longer text' . ; code=$?; \
        cd ../.. && diff -r tree state/tree && find state -name '[0-9]*' -type f && exit $code";
    fs::create_dir(sandbox.store().parent().unwrap()).unwrap();
    let mut unshare = Command::new("unshare");
    unshare.args(["-Urm", "sh", "-c", script, env!("CARGO_BIN_EXE_silkmill")]);
    let output = unshare.current_dir(sandbox.tree().parent().unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare") || said.contains("mount:") {
        return println!("skipped: no namespace can be had here: {said}");
    }

    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(said.contains("the disk is full: nothing was changed"), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn a_limit_on_the_size_of_files_changes_nothing_of_a_strict_run() {
    let sandbox = Sandbox::new();
    let old = sandbox.snapshot();
    let script = "ulimit -f 32; exec \"$0\" replace --strict old 'brand new' .";

    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_silkmill")]).current_dir(sandbox.tree());
    shell.env("XDG_STATE_HOME", sandbox.store().parent().unwrap());
    let output = shell.output().unwrap();

    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("\"d/e/big\": file too large"), "{said}");
    assert_eq!(sandbox.snapshot(), old);
    assert_eq!(sandbox.runs(), 0);
    assert!(!sandbox.tree().join(Path::new(".silkmill")).exists());
}
