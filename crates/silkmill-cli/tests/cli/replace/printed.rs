//! What `silkmill replace` prints: for people, as JSON, and to readers that go away.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::sandbox::{command, read, records, replace, shell, stderr, stdout, tree};
use crate::silkmill;

#[test]
fn json_gives_a_record_for_every_file_worth_one_and_a_summary() {
    let root = tree(&[("a", b"old old"), ("b", b"none"), ("c", b"old\0")]);
    fs::write(root.path().join(OsStr::from_bytes(b"d\xFF")), "old!").unwrap();

    let output = replace(&root, &["--json", "old", "longer", ".", "no"]);

    assert_eq!(output.status.code(), Some(2));
    let mut records = records(&output);
    let summary = records.pop().unwrap();
    records.sort_by_key(|record| record["path"].to_string());
    let file = |path: Value, action, replacements, before, after, reason: Value| {
        json!({"type": "file", "path": path, "action": action, "replacements": replacements,
            "bytes_before": before, "bytes_after": after, "reason": reason})
    };
    let lost = "failed to find \"no\": no such file or directory";
    assert_eq!(
        records,
        [
            file(json!("a"), "changed", 2, 7, 13, Value::Null),
            file(json!("c"), "skipped", 0, 4, 4, json!("binary")),
            file(json!("no"), "failed", 0, 0, 0, json!(lost)),
            file(json!({"bytes": "ZP8="}), "changed", 1, 4, 7, Value::Null),
        ]
    );
    assert!(summary["elapsed_seconds"].as_f64().unwrap() > 0.0);
    let mut rest = summary;
    rest.as_object_mut().unwrap().remove("elapsed_seconds");
    let run = rest.as_object_mut().unwrap().remove("run").unwrap();
    assert_eq!(run.as_str().unwrap().len(), "20261124-184502-a1b2".len());
    assert_eq!(
        rest,
        json!({"type": "summary", "files_seen": 5, "files_changed": 2,
            "files_skipped": 1, "files_failed": 1, "replacements": 3})
    );
}

#[test]
fn json_of_a_dry_run_says_what_would_change() {
    let root = tree(&[("a", b"old")]);

    let output = replace(&root, &["-n", "--json", "old", "new"]);

    let first: Value = serde_json::from_str(stdout(&output).lines().next().unwrap()).unwrap();
    assert_eq!((&first["action"], &first["replacements"]), (&json!("would-change"), &json!(1)));
    assert_eq!((output.status.code(), read(&root, "a")), (Some(0), "old".into()));
}

#[test]
fn quiet_says_nothing_but_errors_and_verbose_names_what_was_passed_over() {
    let files: &[(&str, &[u8])] = &[("a", b"old"), ("b", b"old\0")];

    let output = replace(&tree(files), &["-q", "old", "new", ".", "no"]);
    assert_eq!(stdout(&output), "");
    assert_eq!(stderr(&output), "silkmill: failed to find \"no\": no such file or directory\n");
    let output = replace(&tree(files), &["-v", "old", "new"]);
    assert!(stderr(&output).contains("silkmill: passed over \"b\": binary\n"));
    assert!(stderr(&output).contains("1 replacement in 1 file of 2, 1 passed over"));
}

#[test]
fn a_dry_run_prints_the_diff_in_colour_only_when_told_to() {
    let root = tree(&[("a", b"old\n")]);
    let plain = "--- a\n+++ a\n@@ -1 +1 @@\n-old\n+new\n";

    assert_eq!(stdout(&replace(&root, &["-n", "old", "new"])), plain);
    assert_eq!(stdout(&replace(&root, &["-n", "--color", "never", "old", "new"])), plain);
    let coloured = stdout(&replace(&root, &["-n", "--color", "always", "old", "new"]));
    assert!(coloured.contains("\x1b[31m-old\x1b[0m\n\x1b[32m+new\x1b[0m\n"), "{coloured:?}");
    assert_eq!(read(&root, "a"), "old\n");
}

#[test]
fn a_reader_that_goes_away_ends_a_dry_run_quietly() {
    let root = tempfile::tempdir().unwrap();
    let line = "old ".repeat(1000);
    for number in 0..500 {
        fs::write(root.path().join(number.to_string()), &line).unwrap();
    }
    let mut child = command(&root, &["-n", "old", "new"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();

    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();

    let output = child.wait_with_output().unwrap();
    assert_eq!(first, "--- 0\n");
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn a_reader_that_goes_away_does_not_stop_a_change() {
    let root = tree(&[("a", b"old"), ("b", b"old")]);
    let mut child =
        command(&root, &["--json", "old", "new"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());

    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!((read(&root, "a"), read(&root, "b")), ("new".into(), "new".into()));
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let root = tree(&[("a", b"old\n")]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();

    let output = command(&root, &["-n", "old", "new"]).stdout(full).output().unwrap();

    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output).lines().last(),
        Some("silkmill: failed to write to stdout: no space left on device")
    );
}

#[test]
fn errors_that_nobody_can_read_change_nothing_else() {
    let claims = [
        ("replace old new . no 2>/dev/full", 2),
        ("replace -v old new 2>/dev/full", 0),
        ("replace --stats old new 2>&-", 0),
        ("replace --json old new . no 2>/dev/full", 2),
        ("replace none new 2>/dev/full", 1),
        ("replace old old 2>/dev/full", 1),
        ("replace --expect 7 old new 2>/dev/full", 2),
        ("replace -e '(' new 2>/dev/full", 2),
    ];
    for (words, code) in claims {
        let root = tree(&[("a", b"old"), ("b", b"\0")]);
        let output = shell(&root, &format!("\"$0\" {words}"));
        assert_eq!(output.status.code(), Some(code), "{words}");
    }
    let root = tree(&[("a", b"old")]);
    let output = shell(&root, "{ \"$0\" replace -v old new . no; echo $? >code; } 2>&1 | true");
    assert_eq!((output.status.code(), read(&root, "code")), (Some(0), "2\n".into()));
    assert_eq!(read(&root, "a"), "new");
}

#[test]
fn what_changed_comes_before_its_summary() {
    let root = tree(&[("a", b"old"), ("b", b"old")]);

    let output = shell(&root, "\"$0\" replace old new a no b 2>&1");

    let said = stdout(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[1..3], ["a: 1 replacement", "b: 1 replacement"], "{said}");
    assert_eq!(lines[3], "2 replacements in 2 files of 3, 1 failed; undo with: silkmill undo");
}

#[test]
fn a_name_cannot_break_its_row() {
    let root = tree(&[("a\nb\u{1b}[31m", b"old")]);

    assert_eq!(stdout(&replace(&root, &["old", "new"])), "a\\nb\\u{1b}[31m: 1 replacement\n");
}

#[test]
fn json_ends_with_a_summary_however_the_run_ends() {
    let claims: &[(&[&str], i32, u64, u64)] = &[
        (&["--expect", "9", "old", "new"], 2, 2, 0),
        (&["--strict", "old", "new", ".", "no"], 2, 3, 1),
        (&["old", "old"], 1, 0, 0),
        (&["old", "old", "no"], 2, 1, 1),
        (&["--expect", "1", "old", "old"], 2, 0, 0),
    ];
    for (words, code, seen, failed) in claims {
        let root = tree(&[("a", b"old"), ("b", b"old")]);

        let output = replace(&root, &[&["--json"], *words].concat());

        assert_eq!(output.status.code(), Some(*code), "{words:?}");
        let records = records(&output);
        let last = records.last().unwrap();
        assert_eq!(last["type"], "summary", "{words:?}");
        assert_eq!((&last["files_seen"], &last["files_failed"]), (&json!(seen), &json!(failed)));
        assert_eq!((&last["files_changed"], &last["replacements"]), (&json!(0), &json!(0)));
        assert_eq!(records.len() as u64, failed + 1);
        assert_eq!((read(&root, "a"), read(&root, "b")), ("old".into(), "old".into()));
    }
}

#[test]
fn stats_say_whether_more_workers_would_help() {
    let large = b"old ".repeat(100_000);
    let root = tree(&[("large", &large), ("small", b"old")]);

    let large = replace(&root, &["--stats", "old", "new"]);
    let small = replace(&root, &["--stats", "new", "old", "small"]);

    assert!(stderr(&large).contains("silkmill: 1 task on 1 worker;"), "{}", stderr(&large));
    assert!(stderr(&small).contains(" s to read and stage, "), "{}", stderr(&small));
    assert!(!stderr(&small).contains("task"), "{}", stderr(&small));
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let help = stdout(&silkmill().args(["replace", "--help"]).output().unwrap());

    assert!(help.contains("Examples:\n") && help.contains("Exit status: 0"), "{help}");
}

#[test]
fn names_in_no_style_are_left_and_counted_once() {
    let large = format!("oLdname {} old_name\n", "x".repeat(1 << 17));
    for words in [&["-n", "-q"][..], &["-n"], &[]] {
        let root = tree(&[("a", b"oLdname oldName"), ("b", b"olDName"), ("c", large.as_bytes())]);
        let output = replace(&root, &[words, &["-P", "-i", "old_name", "new_name"][..]].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        if words != ["-n", "-q"] {
            assert!(said.contains("; 3 names left, in no style that is known"), "{said}");
        }
        assert_eq!(read(&root, "b"), "olDName");
    }
}

#[test]
fn names_and_counts_are_listed_and_nothing_is_written() {
    let root = tree(&[("a", b"old old"), ("b\n", b"old"), ("c", b"none")]);
    let claims: &[(&[&str], &[u8])] = &[
        (&["-l"], b"a\nb\n\n"),
        (&["-c"], b"a:2\nb\n:1\n"),
        (&["-l", "-0"], b"a\0b\n\0"),
        (&["-c", "-0"], b"a\x002\nb\n\x001\n"),
        (&["-l", "-n"], b"a\nb\n\n"),
        (&["-l", "--max-count", "1"], b"a\nb\n\n"),
        (&["-c", "--max-count", "1", "-g", "a"], b"a:1\n"),
    ];
    for (words, want) in claims {
        let output = replace(&root, &[words, &["old", "new"][..]].concat());
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), *want), "{words:?}");
        assert!(stderr(&output).starts_with("would make"), "{words:?}: {}", stderr(&output));
    }
    assert_eq!(replace(&root, &["-l", "nothing", "x"]).status.code(), Some(1));
    for words in [&["-0"][..], &["-l", "-c"], &["-l", "--json"], &["-l", "-I"]] {
        let output = replace(&root, &[words, &["old", "new"][..]].concat());
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
    assert_eq!((read(&root, "a"), read(&root, "b\n")), ("old old".into(), "old".into()));
}
