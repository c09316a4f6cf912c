//! `--follow`: symbolic links of the walk.

use std::fs;
use std::os::unix::fs::symlink;

use crate::sandbox::{read, replace, shell, stderr, stdout, tree};
use tempfile::TempDir;

/// A tree in `in`, with links to a file, to a directory, and out of it.
fn linked() -> TempDir {
    let root = tree(&[
        ("in/real/a", b"old"),
        ("in/b", b"old"),
        ("out/c", b"old"),
        ("out/vendor/d", b"old"),
        ("in/.hg/e", b"old"),
    ]);
    for (target, link) in [
        ("real/a", "in/file"),
        ("real", "in/dir"),
        ("../out", "in/out"),
        ("nowhere", "in/broken"),
        ("self", "in/self"),
        ("..", "in/real/loop"),
        (".hg", "in/hg"),
        (".hg/e", "in/own"),
    ] {
        symlink(target, root.path().join(link)).unwrap();
    }
    root
}

#[test]
fn what_links_lead_to_changes_once_and_the_links_stay() {
    let root = linked();
    let before = fs::read_link(root.path().join("in/file")).unwrap();

    let output = replace(&root, &["old", "new", "in"]);
    assert_eq!(stdout(&output), "in/b: 1 replacement\nin/real/a: 1 replacement\n");
    assert_eq!(read(&root, "out/c"), "old");
    let output = replace(&root, &["-L", "new", "newer", "in"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = replace(&root, &["-L", "old", "newer", "in"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    assert_eq!(stdout(&output), "in/out/c: 1 replacement\nin/out/vendor/d: 1 replacement\n");
    for name in ["in/real/a", "in/b", "out/c", "out/vendor/d"] {
        assert_eq!(read(&root, name), "newer", "{name}");
    }
    assert_eq!(read(&root, "in/.hg/e"), "old");
    assert_eq!(fs::read_link(root.path().join("in/file")).unwrap(), before);
    assert!(root.path().join("in/dir").is_symlink());
}

#[test]
fn a_file_that_is_reached_by_several_paths_is_counted_once() {
    let root = linked();

    for words in [["-L", "-n"], ["-L", "-c"]] {
        let output = replace(&root, &[&words[..], &["old", "new", "in/real", "in"]].concat());
        let printed = stdout(&output);
        assert_eq!(
            printed.matches("real/a").count(),
            if words[1] == "-n" { 2 } else { 1 },
            "{printed}"
        );
        assert!(!printed.contains("in/dir") && !printed.contains("in/file"), "{printed}");
    }
    let output = replace(&root, &["-L", "--expect", "4", "old", "new", "in"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let undone = shell(&root, "cd in && \"$0\" undo");
    assert!(undone.status.success(), "{}", stderr(&undone));
    assert_eq!(read(&root, "in/real/a") + &read(&root, "out/c"), "oldold");
}

#[test]
fn what_is_excluded_where_it_is_stays_excluded_through_a_link() {
    for glob in ["!vendor", "!vendor/", "!out/vendor/**", "!real", "!in/real/", "!in/real/a"] {
        let root = linked();
        symlink("../out/vendor", root.path().join("in/other")).unwrap();
        symlink("out/vendor/d", root.path().join("single")).unwrap();

        let output = replace(&root, &["-L", "-g", glob, "old", "new", "."]);

        assert_eq!(output.status.code(), Some(0), "{glob}: {}", stderr(&output));
        let excluded = if glob.contains("vendor") { "out/vendor/d" } else { "in/real/a" };
        assert_eq!(read(&root, excluded), "old", "{glob}");
        assert_eq!(read(&root, "in/b"), "new", "{glob}");
    }
}

#[test]
fn names_and_texts_behind_links_change_together() {
    let root = tree(&[("in/x", b""), ("out/old", b"old"), ("out/sub/old", b"")]);
    symlink("../out", root.path().join("in/old_link")).unwrap();

    let output = replace(&root, &["-L", "--rename", "old", "new", "in"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(read(&root, "in/new_link/new"), "new");
    assert!(root.path().join("out/sub/new").exists());

    let undone = shell(&root, "cd in && \"$0\" undo");
    assert!(undone.status.success(), "{}", stderr(&undone));
    assert_eq!(read(&root, "in/old_link/old"), "old");
    assert!(root.path().join("out/sub/old").exists());
}

#[test]
fn names_and_texts_in_a_directory_that_is_named_by_a_link_change_together() {
    let root = tree(&[("real/old", b"old")]);
    symlink("real", root.path().join("link")).unwrap();

    let output = replace(&root, &["--rename", "old", "new", "link"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(read(&root, "real/new"), "new");
    let undone = shell(&root, "\"$0\" undo");
    assert!(undone.status.success(), "{}", stderr(&undone));
    assert_eq!(read(&root, "real/old"), "old");
}
