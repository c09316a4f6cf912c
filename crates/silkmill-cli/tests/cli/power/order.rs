//! Nothing is marked before it is flushed, and nothing swapped before it is marked: the order of
//! the system calls.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::EXCHANGED;
use crate::crash::{REPLACE, Sandbox};
use crate::sandbox::is_installed;

/// The calls whose order the model is about.
const CALLS: &str = "openat,write,pwrite64,copy_file_range,ftruncate,fchmod,fsetxattr,renameat2,fsync,fdatasync,syncfs";

/// Returns the system calls of an undisturbed command, each with its arguments and its result.
fn calls(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    // There is no 9,999th call, so nothing fails: the faults only make strace log these calls.
    let inject =
        CALLS.split(',').map(|call| format!("{call}:error=EIO:when=9999")).collect::<Vec<_>>();
    assert!(sandbox.strace(&inject, words).status.success());
    let log = fs::read_to_string(sandbox.log()).unwrap();
    // A call that another thread interrupts has two lines. The first has the arguments, the second
    // the result; here the call counts where it ends.
    let mut begun: HashMap<String, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if let Some(call) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread.to_owned(), call.to_owned());
        } else if call.starts_with("<...") {
            let rest = call.split_once("resumed>").unwrap().1;
            calls.push(begun.remove(thread).unwrap() + rest);
        } else {
            calls.push(call.to_owned());
        }
    }
    calls
}

/// Returns the paths of the descriptors of a call, which strace writes as `3</path>`.
fn paths(call: &str) -> Vec<PathBuf> {
    let parts = call.split('<').skip(1).filter_map(|part| part.split_once('>'));
    parts.map(|(path, _)| PathBuf::from(path)).collect()
}

/// Returns the places of the calls that have all of these parts.
fn all(calls: &[String], parts: &[&str]) -> Vec<usize> {
    let has_all = |call: &String| parts.iter().all(|part| call.contains(part));
    (0..calls.len()).filter(|place| has_all(&calls[*place])).collect()
}

#[test]
fn a_few_files_are_flushed_with_their_names_before_the_mark_and_after_their_swaps() {
    if !is_installed("strace") {
        return;
    }
    let sandbox = Sandbox::new();
    for words in [REPLACE, &["undo"], &["redo"]] {
        let calls = calls(&sandbox, words);
        let log = || calls.join("\n");
        let at = |part: &str| all(&calls, &["pwrite64(", part])[0];
        let (commit, done) = (at("\"commit"), at("\"done"));
        let flushed = |from: usize, to: usize, path: &Path| {
            let is_it = |call: &String| {
                (call.starts_with("fsync(") || call.starts_with("fdatasync("))
                    && paths(call).first().is_some_and(|of| of == path)
            };
            calls[from..to].iter().any(is_it)
        };
        assert!(all(&calls, &["syncfs("]).is_empty(), "{}", log());
        // Everything that was created or given other attributes is flushed, and its directories up
        // to that of the store.
        let store = sandbox.store();
        let mut made: Vec<PathBuf> = Vec::new();
        for place in all(&calls, &["openat(", "O_EXCL"]) {
            made.extend(paths(&calls[place]).pop());
        }
        for call in ["fchmod(", "fsetxattr("] {
            let places = all(&calls, &[call]);
            let before = places.into_iter().filter(|place| *place < commit);
            made.extend(before.flat_map(|place| paths(&calls[place])));
        }
        // Text that was staged for the second name of a file is removed again.
        made.retain(|path| path.exists());
        assert!(made.len() > 1, "{}", log());
        for path in &made {
            let place = all(&calls, &[&format!("<{}>", path.display())])[0];
            for path in path.ancestors().take_while(|above| above.starts_with(&store)) {
                assert!(flushed(place, commit, path), "{path:?} of {words:?}: {}", log());
            }
        }
        let journal = made.iter().find(|path| path.ends_with("journal")).unwrap();
        let swaps = all(&calls, &["renameat2("]);
        let copies = all(&calls, &["ftruncate("]);
        let (first, last) = (swaps[0].min(copies[0]), *swaps.iter().chain(&copies).max().unwrap());
        assert_eq!((swaps.len(), copies.len()), (EXCHANGED.len(), 1), "{}", log());
        assert!(commit < first && last < done && flushed(commit, first, journal), "{}", log());
        for swap in swaps {
            let directories = paths(&calls[swap]);
            assert_eq!(directories.len(), 2, "{}", log());
            for directory in directories {
                assert!(flushed(last, done, &directory), "{directory:?}: {}", log());
            }
        }
        assert!(flushed(last, done, &paths(&calls[copies[0]])[0]), "{}", log());
        // Whether a file that was written in place was edited since can be told only by this mark.
        assert!(flushed(done, calls.len(), journal), "{}", log());
    }
}

/// More files than are flushed one by one.
const MANY: usize = 70;

#[test]
fn many_files_are_flushed_at_once_before_the_mark_and_after_their_swaps() {
    if !is_installed("strace") {
        return;
    }
    let sandbox = Sandbox::new();
    for number in 0..MANY {
        fs::write(sandbox.tree().join(format!("many{number}")), "old").unwrap();
    }
    let calls = calls(&sandbox, REPLACE);
    let log = || calls.join("\n");
    let created = all(&calls, &["openat(", "O_EXCL"]);
    let flushed = all(&calls, &["syncfs("]);
    let commit = all(&calls, &["pwrite64(", "\"commit"])[0];
    let done = all(&calls, &["pwrite64(", "\"done"])[0];
    let journaled = all(&calls, &["pwrite64(", "\"silkmill journal"]);
    let mark_flushed = all(&calls, &["fdatasync("])[0];
    let swapped = all(&calls, &["renameat2("]);
    let copied = all(&calls, &["ftruncate("]);

    assert_eq!(flushed.len(), 2, "{}", log());
    assert!(created.iter().chain(&journaled).all(|place| *place < flushed[0]), "{}", log());
    assert!(flushed[0] < commit && commit < mark_flushed, "{}", log());
    assert!(swapped.len() == EXCHANGED.len() + MANY && copied.len() == 1, "{}", log());
    let visible = || swapped.iter().chain(&copied);
    assert!(visible().all(|place| mark_flushed < *place && *place < flushed[1]), "{}", log());
    assert!(flushed[1] < done, "{}", log());
}
