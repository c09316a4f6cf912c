//! A dry run prints a patch: over any tree, `git apply` and `patch` make of it what the run makes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::sandbox::{self, is_installed, replace, stderr, stdout};

/// The number of cases, each of which runs four processes.
const CASES: u32 = 48;

/// The names of files, as bytes, and their texts.
type Files = Vec<(Vec<u8>, Vec<u8>)>;

fn name() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        &b"a"[..],
        b"b",
        b" ",
        b"\"",
        b"\\",
        b"\n",
        b"\t",
        b"\r",
        b"'",
        b"\xC3\xA9",
        b"\xFF",
        b"-",
        b"+",
        b".",
        b"@",
        b"\x1B",
        b"=",
    ]);
    // A leading dot would hide the file, and `.` and `..` are directories.
    let name = vec(pieces, 0..5).prop_map(|pieces| [&b"n"[..], &pieces.concat()].concat());
    let odd_start = prop::sample::select(vec![&b""[..], b" ", b"\"", b"-"]);
    (odd_start, name).prop_map(|(start, name)| [start, &name].concat())
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        &b"old"[..],
        b"old",
        b"x",
        b"\n",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"\xFF",
        b"- ",
        b"+",
        b"@@ -1 +1 @@",
        b"\\ No newline at end of file",
        b"--- a",
        b"\xEF\xBB\xBF",
    ]);
    let bytes = vec(pieces, 0..25).prop_map(|pieces| pieces.concat());
    let wide = "(old|x|\n|\r\n|\u{a0a}|\u{1F600}){0,12}".prop_map(|text: String| {
        let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect::<Vec<_>>()
    });
    prop_oneof![4 => bytes, 1 => wide]
}

fn files() -> impl Strategy<Value = Files> {
    let path = vec(name(), 1..3).prop_map(|names| names.join(&b'/'));
    btree_map(path, text(), 1..5).prop_map(|files| {
        // No file has the name of another file's directory.
        let names: Vec<Vec<u8>> = files.keys().cloned().collect();
        let is_directory =
            |name: &[u8]| names.iter().any(|other| other.starts_with(&[name, b"/"].concat()));
        files.into_iter().filter(|(name, _)| !is_directory(name)).collect()
    })
}

fn tree(files: &Files) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn texts(root: &Path, files: &Files) -> Files {
    let read = |name: &[u8]| fs::read(root.join(OsStr::from_bytes(name))).unwrap();
    files.iter().map(|(name, _)| (name.clone(), read(name))).collect()
}

fn check(program: &str, apply: &[&str]) {
    if !is_installed(program) {
        return;
    }
    let words = prop::sample::select(vec![
        vec!["old", "new"],
        vec!["old", ""],
        vec!["-e", "(?m)^(.*)old", "${1}one"],
        vec!["-e", "$", ";"],
        vec!["-U", "-e", r"old\r?\n", ""],
        vec!["-U", "-e", r"\r?\n", r"\n\n"],
        vec!["-U", "-e", r"\z", "end"],
        vec!["-U", "-e", r"(?s)x.*old", r"1\n2\n3"],
        vec!["-U", "-e", r"(?s)^.+$", ""],
    ]);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) };
    proptest!(config, |(files in files(), words in words)| {
        let (changed, patched) = (tree(&files), tree(&files));
        let diff = replace(&patched, &[&["-n", "--encoding", "bytes"], &words[..]].concat());
        let run = replace(&changed, &[&["-q", "--encoding", "bytes"], &words[..]].concat());
        prop_assert_eq!(diff.status.code(), run.status.code(), "{}", stderr(&diff));
        prop_assert_eq!(diff.stdout.is_empty(), run.status.code() == Some(1));
        if !diff.stdout.is_empty() {
            let patch = changed.path().with_extension("patch");
            fs::write(&patch, &diff.stdout).unwrap();
            let applied = Command::new(program).args(apply).arg(&patch).current_dir(&patched).output();
            fs::remove_file(&patch).unwrap();
            let applied = applied.unwrap();
            let said = String::from_utf8_lossy(&applied.stderr);
            prop_assert!(applied.status.success(), "{}\n{}", said, diff.stdout.escape_ascii());
        }
        prop_assert_eq!(texts(changed.path(), &files), texts(patched.path(), &files));
    });
}

#[test]
fn git_apply_makes_of_any_dry_run_what_the_run_makes() {
    check("git", &["apply", "-p0"]);
}

#[test]
fn patch_makes_of_any_dry_run_what_the_run_makes() {
    check("patch", &["-p0", "--no-backup-if-mismatch", "-i"]);
}

/// Everything that a diff has to carry across unharmed.
const TRICKY: &[(&str, &[u8])] = &[
    ("plain", b"x\nold\ny\n"),
    ("crlf", b"old\r\nb\r\nold\r\n"),
    ("mixed", b"a\r\nold\nold\rold\r\n"),
    ("no newline", b"a\nold"),
    ("only", b"old"),
    ("emptied", b"old\n"),
    ("bytes", b"\xFF old \xFE\n\xC3\n"),
    ("bom", b"\xEF\xBB\xBFold\n"),
    ("far apart", b"old\n1\n2\n3\n4\n5\n6\n7\n8\nold\n9\nold\n"),
    ("deep/er/file", b"-- old\n++ old\n@@ old\n\\ old\n"),
    ("quo\"te", b"old\n"),
    ("back\\slash", b"old\n"),
    ("tab\there", b"old\n"),
    ("new\nline", b"old\n"),
    ("\u{e9}t\u{e9} \u{fc}", b"old\n"),
    (" before", b"old\n"),
    ("after ", b"old\n"),
    (" both  ", b"old\n"),
    (" ", b"old\n"),
    (" in /a name", b"old\n"),
];

/// Makes the same change twice: by a run, and by a program that reads the diff of a dry run.
fn applied_by(program: &str, apply: &[&str], words: &[&str]) {
    if !is_installed(program) {
        return;
    }
    let (changed, patched) = (sandbox::tree(TRICKY), sandbox::tree(TRICKY));
    let diff = replace(&patched, &[&["-n"], words].concat());
    assert_eq!(diff.status.code(), Some(0), "{words:?}: {}", stderr(&diff));
    let patch = changed.path().with_extension("patch");
    fs::write(&patch, &diff.stdout).unwrap();

    assert_eq!(replace(&changed, words).status.code(), Some(0));
    let applied =
        Command::new(program).args(apply).arg(&patch).current_dir(&patched).output().unwrap();

    fs::remove_file(&patch).unwrap();
    let said = String::from_utf8_lossy(&applied.stderr);
    assert!(applied.status.success(), "{words:?}: {said}");
    for (name, _) in TRICKY {
        let (want, got) = (changed.path().join(name), patched.path().join(name));
        assert_eq!(fs::read(want).unwrap(), fs::read(got).unwrap(), "{name}: {said}");
    }
}

const CHANGES: &[&[&str]] = &[
    &["-C", "1", "old", "new"],
    &["-C", "99999999999", "old", "new"],
    &["old", "new"],
    &["-e", "^", "> "],
    &["-e", "-U", r"old\r?\n", ""],
    &["-e", "-U", r"\r?\n", r"\r\n\r\n"],
    &["-e", "-U", r"\z", "the end"],
    &["-e", "-U", "(?s)old.*", r"one\ntwo"],
];

#[test]
fn patch_makes_of_a_dry_run_what_the_run_makes() {
    for words in CHANGES {
        applied_by("patch", &["-p0", "--no-backup-if-mismatch", "-i"], words);
    }
}

#[test]
fn large_diffs_keep_their_place_among_the_others() {
    let large = b"old\n".repeat(100_000);
    let root = sandbox::tree(&[
        ("a", b"old\n"),
        ("b", &large),
        ("c", b"old\n"),
        ("d", &large),
        ("e", b"old\n"),
    ]);

    let output = replace(&root, &["-n", "old", "new"]);

    let said = stdout(&output);
    let names: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("+++ ")).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert_eq!(said.matches("\n+new").count(), 200_003);
    assert_eq!(stderr(&output), "would make 200003 replacements in 5 files of 5\n");
}

#[test]
fn git_apply_makes_of_a_dry_run_what_the_run_makes() {
    for words in CHANGES {
        applied_by("git", &["apply", "-p0"], words);
    }
}

#[test]
fn a_link_is_shown_by_the_file_it_leads_to() {
    let root = sandbox::tree(&[("real/a", b"old\n")]);
    std::os::unix::fs::symlink("real/a", root.path().join("link")).unwrap();

    let output = replace(&root, &["-n", "old", "new", "link"]);

    assert!(stdout(&output).starts_with("--- real/a\n"), "{}", stdout(&output));
}

#[test]
fn the_context_has_as_many_lines_as_one_asks_for() {
    let root = sandbox::tree(&[("a", b"1\n2\nold\n4\n5\nold\n")]);
    let said = |lines| stdout(&replace(&root, &["-n", "-C", lines, "old", "new"]));

    assert_eq!(said("0"), "--- a\n+++ a\n@@ -3 +3 @@\n-old\n+new\n@@ -6 +6 @@\n-old\n+new\n");
    let want = "--- a\n+++ a\n@@ -2,5 +2,5 @@\n 2\n-old\n+new\n 4\n 5\n-old\n+new\n";
    assert_eq!(said("1"), want);
}
