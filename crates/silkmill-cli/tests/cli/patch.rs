//! A dry run is a patch: over any tree, `git apply` and `patch` make of it what the run makes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::replace::{is_installed, replace, stderr};

/// Each runs four processes.
const CASES: u32 = 48;

/// Names as bytes, and what is in the files.
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
    // No leading dot, which would hide it, and no name that stands for a directory.
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
        // A file is no directory of another.
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
        let diff = replace(&patched, &[&["-n"], &words[..]].concat());
        let run = replace(&changed, &[&["-q"], &words[..]].concat());
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
