//! `silkmill replace -I`, on a terminal that python3 makes.

use std::process::Command;

use tempfile::TempDir;

use crate::sandbox::{is_installed, names, read, replace, stderr, tree};
use crate::state;

/// Gives the next answer when the next question has been asked, then prints all that was said.
const PERSON: &str = r#"
import os, pty, sys
answers = sys.argv[1].split(",")
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
said, given = b"", 0
while True:
    try:
        more = os.read(terminal, 65536)
    except OSError:
        break
    if not more:
        break
    said += more
    if said.count(b"? [y,n,a,q,?] ") > given and given < len(answers):
        answer = {"^C": b"\x03", "^D": b"\x04"}.get(answers[given], answers[given].encode() + b"\n")
        os.write(terminal, answer)
        given += 1
_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(said.replace(b"\r\n", b"\n"))
sys.exit(os.waitstatus_to_exitcode(status))
"#;

/// Returns what was printed and the exit code, or `None` where python3 is missing.
fn reviewed(root: &TempDir, answers: &str, words: &[&str]) -> Option<(String, Option<i32>)> {
    if !is_installed("python3") {
        return None;
    }
    let output = Command::new("python3")
        .args(["-c", PERSON, answers, env!("CARGO_BIN_EXE_silkmill"), "replace", "-I"])
        .args(words)
        .current_dir(root)
        .env("NO_COLOR", "1")
        .env("XDG_STATE_HOME", state())
        .output()
        .unwrap();
    Some((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code()))
}

fn three() -> TempDir {
    tree(&[("a", b"1\nold old\n3\n"), ("b", b"old\n"), ("c", b"old\n"), ("d", b"other\n")])
}

#[test]
fn each_change_is_shown_and_made_only_if_wanted() {
    let root = three();
    let Some((said, code)) = reviewed(&root, "n,y,y,n", &["old", "new"]) else { return };

    assert_eq!(code, Some(0), "{said}");
    let first = "a\n@@ -1,3 +1,3 @@\n 1\n-old old\n+new old\n 3\nmake this change (1 of 2)? ";
    assert!(said.starts_with(first), "{said}");
    assert!(said.contains("-old old\n+old new\n 3\nmake this change (2 of 2)? "), "{said}");
    assert!(said.contains("\n2 replacements in 2 files of 4; undo with"), "{said}");
    let texts = ["a", "b", "c"].map(|name| read(&root, name));
    assert_eq!(texts, ["1\nold new\n3\n", "new\n", "old\n"]);
    assert_eq!(names(&root), ["a", "b", "c", "d"]);
}

#[test]
fn answers_decide_what_is_kept() {
    let claims: [(&str, i32, [&str; 3]); 7] = [
        ("a", 0, ["1\nnew new\n3\n", "new\n", "new\n"]),
        ("n,a", 0, ["1\nold new\n3\n", "new\n", "new\n"]),
        ("y,q", 0, ["1\nnew old\n3\n", "old\n", "old\n"]),
        ("y,y,q", 0, ["1\nnew new\n3\n", "old\n", "old\n"]),
        ("q", 1, ["1\nold old\n3\n", "old\n", "old\n"]),
        ("y,y,^D", 0, ["1\nnew new\n3\n", "old\n", "old\n"]),
        ("y,y,^C", 130, ["1\nold old\n3\n", "old\n", "old\n"]),
    ];
    for (answers, want_code, want) in claims {
        let root = three();
        let Some((said, code)) = reviewed(&root, answers, &["old", "new"]) else { return };
        assert_eq!(code, Some(want_code), "{answers}: {said}");
        assert_eq!(["a", "b", "c"].map(|name| read(&root, name)), want, "{answers}: {said}");
        assert_eq!(names(&root), ["a", "b", "c", "d"], "{answers}");
    }
}

#[test]
fn what_is_no_answer_explains_the_answers_and_asks_again() {
    let root = tree(&[("a", b"old\n")]);
    let Some((said, _)) = reviewed(&root, "?,what,y", &["old", "new"]) else { return };

    assert_eq!(said.matches("a  make it and all that follow, in all files\n").count(), 2, "{said}");
    assert_eq!(read(&root, "a"), "new\n");
}

#[test]
fn what_is_wanted_is_counted_and_may_be_refused() {
    let root = three();
    let Some((said, code)) = reviewed(&root, "y,n,n,n", &["--expect", "2", "old", "new"]) else {
        return;
    };

    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("expected 2 replacements, found 1: nothing was changed"), "{said}");
    assert_eq!(read(&root, "a"), "1\nold old\n3\n");
}

#[test]
fn text_in_another_encoding_is_shown_decoded_and_no_text_steers_the_terminal() {
    let root = tree(&[("a", b"\xFF\xFEo\0l\0d\0\x1B\0\n\0")]);
    let Some((said, _)) = reviewed(&root, "y", &["old", "new"]) else { return };

    assert!(said.contains("-old\\u{1b}\n+new\\u{1b}\n"), "{said}");
    assert_eq!(std::fs::read(root.path().join("a")).unwrap(), b"\xFF\xFEn\0e\0w\0\x1B\0\n\0");
}

#[test]
fn there_must_be_a_terminal() {
    let root = tree(&[("a", b"old")]);
    if !is_installed("setsid") {
        return;
    }
    let output = Command::new("setsid")
        .args(["-w", env!("CARGO_BIN_EXE_silkmill"), "replace", "-I", "old", "new"])
        .current_dir(&root)
        .env("XDG_STATE_HOME", state())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();

    assert_eq!((output.status.code(), read(&root, "a")), (Some(2), "old".into()));
    assert!(stderr(&output).contains("-I asks on a terminal, and there is none"));
    assert_eq!(replace(&root, &["-I", "-n", "old", "new"]).status.code(), Some(2));
}
