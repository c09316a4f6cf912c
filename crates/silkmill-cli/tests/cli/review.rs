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
    asked = said.count(b"? [y,n,e,b,f,s,a,q,?] ") + said.count(b" with: ")
    if asked > given and given < len(answers):
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
    let first =
        "a (file 1)\n@@ -1,3 +1,3 @@\n 1\n-old old\n+new old\n 3\nmake this change (1 of 2)? ";
    assert!(said.starts_with(first), "{said}");
    assert!(said.contains("-old old\n+old new\n 3\nmake this change (2 of 2)? "), "{said}");
    assert!(
        said.contains("\n2 replacements in 2 files of 4, 2 changes declined; undo with"),
        "{said}"
    );
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
fn what_was_accepted_is_shown_with_the_next_change() {
    let text = b"1\n2\n3\n4\n5 old, old\n6\n7\n8\n9\n10 old\n";
    let root = tree(&[("a", text)]);
    let words = &["-C", "1", "-e", "old(,?)", r"new$1\n"];
    let Some((said, _)) = reviewed(&root, "y,n,y", words) else { return };

    for hunk in [
        "@@ -4,3 +4,4 @@\n 4\n-5 old, old\n+5 new,\n+ old\n 6\nmake this change (1 of 3)? ",
        "@@ -5,3 +5,4 @@\n 5 new,\n- old\n+ new\n+\n 6\nmake this change (2 of 3)? ",
        "@@ -10,2 +10,3 @@\n 9\n-10 old\n+10 new\n+\nmake this change (3 of 3)? ",
    ] {
        assert!(said.contains(hunk), "{hunk}: {said}");
    }
    assert_eq!(read(&root, "a"), "1\n2\n3\n4\n5 new,\n old\n6\n7\n8\n9\n10 new\n\n");
}

#[test]
fn one_can_edit_go_back_and_decide_for_a_file() {
    let claims: [(&str, [&str; 3]); 11] = [
        ("e,mine,n,n,n", ["1\nmine old\n3\n", "old\n", "old\n"]),
        ("e,,n,y,n", ["1\n old\n3\n", "new\n", "old\n"]),
        ("e,old,y,n,n", ["1\nold new\n3\n", "old\n", "old\n"]),
        ("f,n,n", ["1\nnew new\n3\n", "old\n", "old\n"]),
        ("n,f,n,y", ["1\nold new\n3\n", "old\n", "new\n"]),
        ("y,s,n,y", ["1\nnew old\n3\n", "old\n", "new\n"]),
        ("s,y,s", ["1\nold old\n3\n", "new\n", "old\n"]),
        ("y,b,n,y,n,n", ["1\nold new\n3\n", "old\n", "old\n"]),
        ("b,y,y,b,n,y,n", ["1\nnew old\n3\n", "new\n", "old\n"]),
        ("y,y,y,b,b,b,n,n,n,y", ["1\nold old\n3\n", "old\n", "new\n"]),
        ("y,y,y,b,b,q", ["1\nnew old\n3\n", "old\n", "old\n"]),
    ];
    for (answers, want) in claims {
        let root = three();
        let Some((said, code)) = reviewed(&root, answers, &["old", "new"]) else { return };
        assert_eq!(code, Some(0), "{answers}: {said}");
        assert_eq!(["a", "b", "c"].map(|name| read(&root, name)), want, "{answers}: {said}");
        assert_eq!(names(&root), ["a", "b", "c", "d"], "{answers}");
    }
}

#[test]
fn the_end_says_what_the_review_came_to() {
    let claims = [
        ("n,n,n,n", "\nnothing replaced: 4 changes declined in 4 files\n"),
        ("s,y,s", "\n1 replacement in 1 file of 4, 3 changes declined; undo with"),
        ("n,q", "\nnothing replaced: 2 changes declined in 1 file, and no more looked at\n"),
        ("y,q", "\n1 replacement in 1 file of 1, 1 change declined, and no more looked at; undo"),
        ("y,^D", "\nthe input has ended: no further change is made, and those made so far stay\n"),
        ("y,^D", "\n1 replacement in 1 file of 1, 1 change declined, and no more looked at; undo"),
        ("b,y,b,n,n,n,n", "\nthis is the first change\nmake this change (1 of 2)? "),
        ("n,n,n,n", "\nc (file 3)\n"),
    ];
    for (answers, want) in claims {
        let root = three();
        let Some((said, _)) = reviewed(&root, answers, &["old", "new"]) else { return };
        assert!(said.contains(want), "{answers}: {said}");
        assert!(!said.contains("no match"), "{answers}: {said}");
    }
}

#[test]
fn an_edited_text_that_the_encoding_cannot_hold_is_an_error_of_its_file() {
    let root = tree(&[("a", b"old \xE9\n"), ("b", b"old\n")]);
    let words = &["--encoding", "latin1", "old", "new"];
    let Some((said, code)) = reviewed(&root, "e,\u{20ac}\u{4e00},y", words) else { return };

    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("failed to edit \"a\""), "{said}");
    assert_eq!(std::fs::read(root.path().join("a")).unwrap(), b"old \xE9\n");
    assert_eq!(read(&root, "b"), "new\n");
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
fn names_are_asked_about_after_texts() {
    let claims: [(&str, i32, &[&str], &str); 8] = [
        ("y,y,y", 0, &["new_d", "new_d/new_f"], "new\n"),
        ("n,y,n", 0, &["old_d", "old_d/new_f"], "old\n"),
        ("n,n,y", 0, &["new_d", "new_d/old_f"], "old\n"),
        ("n,n,n", 1, &["old_d", "old_d/old_f"], "old\n"),
        ("y,n,b,y,y", 0, &["new_d", "new_d/new_f"], "new\n"),
        ("n,e,mine,n", 0, &["old_d", "old_d/mine"], "old\n"),
        ("y,q", 0, &["old_d", "old_d/old_f"], "new\n"),
        ("y,a", 0, &["new_d", "new_d/new_f"], "new\n"),
    ];
    for (answers, want_code, want, text) in claims {
        let root = tree(&[("old_d/old_f", b"old\n")]);
        let words = &["--rename", "old", "new"];
        let Some((said, code)) = reviewed(&root, answers, words) else { return };
        assert_eq!(code, Some(want_code), "{answers}: {said}");
        let folder = root.path().join(want[0]);
        let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        assert_eq!(file, root.path().join(want[1]), "{answers}: {said}");
        assert_eq!(std::fs::read_to_string(file).unwrap(), text, "{answers}: {said}");
        assert!(said.contains("rename from old_d/old_f\nrename to new_d/new_f\n"), "{said}");
    }
    let root = tree(&[("old", b""), ("mine", b"")]);
    let words = &["--rename", "old", "new"];
    let Some((said, code)) = reviewed(&root, "e,mine", words) else { return };
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("\"mine\" exists: nothing was changed"), "{said}");
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
