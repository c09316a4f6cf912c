//! Runs that change names, too, and are killed at any point.

use std::path::Path;

use super::{Sandbox, Snapshot, faults, kill, sweep};
use crate::sandbox::is_installed;

/// A small run over all kinds of files that also changes names, at two depths.
pub(crate) const RENAME: &[&str] = &[
    "replace",
    "-j",
    "2",
    "--strict",
    "--rename",
    "-e",
    "old|^([de]|plain)$",
    "brand new $1",
    ".",
];

/// Returns the tree before and after an undisturbed run that renames.
pub(crate) fn both_renamed() -> (Snapshot, Snapshot) {
    let sandbox = Sandbox::new();
    let old = sandbox.snapshot();
    let output = sandbox.silkmill(RENAME);
    assert!(output.status.success(), "{output:?}");
    let new = sandbox.snapshot();
    assert!(new.contains_key(Path::new("brand new d/brand new e/big")), "{:?}", new.keys());
    (old, new)
}

#[test]
fn a_run_that_renames_and_is_killed_anywhere_leaves_all_names_and_texts_old_or_all_new() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both_renamed();
    for also in faults().take(2) {
        let check = |sandbox: &Sandbox, what: &str, was_killed: bool| {
            let tree = sandbox.recovered(what);
            assert!(tree == new || (tree == old && was_killed), "{what}: {:?}", tree.keys());
            assert_eq!(sandbox.runs(), usize::from(tree == new), "{what}");
            if tree == new {
                let undo = sandbox.silkmill(&["undo"]);
                assert!(undo.status.success(), "{what}: {undo:?}");
                assert_eq!(sandbox.snapshot(), old, "{what}: undone");
            }
        };
        sweep(also, RENAME, |_| {}, check);
    }
}

#[test]
fn an_undo_of_renames_that_is_killed_anywhere_leaves_all_names_and_texts_old_or_all_new() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both_renamed();
    let prepare = |sandbox: &Sandbox| assert!(sandbox.silkmill(RENAME).status.success());
    let check = |sandbox: &Sandbox, what: &str, was_killed: bool| {
        let tree = sandbox.recovered(what);
        assert!(tree == old || (tree == new && was_killed), "{what}: {:?}", tree.keys());
        let (word, other) = if tree == new { ("undo", &old) } else { ("redo", &new) };
        let output = sandbox.silkmill(&[word]);
        assert!(output.status.success(), "{what}: {output:?}");
        assert_eq!(&sandbox.snapshot(), other, "{what}: and back");
    };
    sweep(&[], &["undo"], prepare, check);
}

#[test]
fn a_recovery_among_renames_that_is_killed_anywhere_is_recovered_from() {
    if !is_installed("strace") {
        return;
    }
    let renamed = both_renamed().1;
    let prepare = |sandbox: &Sandbox| kill(sandbox, RENAME, &[], "renameat2:signal=KILL:when=8");
    let check = |sandbox: &Sandbox, what: &str, _| {
        assert_eq!(sandbox.recovered(what), renamed, "{what} after renames");
    };
    sweep(&[], &["undo", "--list"], prepare, check);
}

/// What lets files and directories change places, in pairs and in a ring.
const SWAPS: &str = "^plain$\treal\n^real$\tnone\n^none$\tplain\n^setuid$\tread-only\n\
                     ^read-only$\tsetuid\n^d$\tempty\n^empty$\td\nold\tbrand new\n";

#[test]
fn names_that_change_places_do_so_or_do_not_wherever_the_run_is_killed() {
    if !is_installed("strace") {
        return;
    }
    let words = ["replace", "-j", "2", "--rename", "-e", "--pairs", "../swaps.tsv", "."];
    let prepare = |sandbox: &Sandbox| {
        std::fs::write(sandbox.tree().parent().unwrap().join("swaps.tsv"), SWAPS).unwrap();
    };
    let sandbox = Sandbox::new();
    prepare(&sandbox);
    let old = sandbox.snapshot();
    let output = sandbox.silkmill(&words);
    assert!(output.status.success(), "{output:?}");
    let new = sandbox.snapshot();
    assert_eq!(new[Path::new("real")].bytes, b"brand new\n");
    assert!(new.contains_key(Path::new("empty/e/big")), "{:?}", new.keys());
    let check = |sandbox: &Sandbox, what: &str, was_killed: bool| {
        let tree = sandbox.recovered(what);
        assert!(tree == new || (tree == old && was_killed), "{what}: {:?}", tree.keys());
        if tree == new {
            let undo = sandbox.silkmill(&["undo"]);
            assert!(undo.status.success(), "{what}: {undo:?}");
            assert_eq!(sandbox.snapshot(), old, "{what}: undone");
        }
    };
    sweep(&[], &words, prepare, check);
    let prepare = |sandbox: &Sandbox| {
        prepare(sandbox);
        assert!(sandbox.silkmill(&words).status.success());
    };
    let check = |sandbox: &Sandbox, what: &str, was_killed: bool| {
        let tree = sandbox.recovered(what);
        assert!(tree == old || (tree == new && was_killed), "{what}: {:?}", tree.keys());
    };
    sweep(&[], &["undo"], prepare, check);
}
