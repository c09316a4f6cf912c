//! What reaches a terminal, which python3 makes, and what is different in a pipe.

use std::process::Command;

use tempfile::TempDir;

use crate::sandbox::{command, is_installed, read, replace, shell, stderr, stdout, tree, write};

/// Runs a program on a terminal of a width, gives it what it reads, and prints all that it wrote.
const TERMINAL: &str = r#"
import fcntl, os, pty, struct, sys, termios
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
said = b""
while True:
    try:
        more = os.read(terminal, 65536)
    except OSError:
        break
    if not more:
        break
    said += more
os.waitpid(child, 0)
sys.stdout.buffer.write(said.replace(b"\r\n", b"\n"))
"#;

/// Returns what a shell's command line wrote, in which `$0` is the program, or `None` where python3
/// is missing.
pub(crate) fn on_terminal(root: &TempDir, columns: usize, line: &str) -> Option<String> {
    if !is_installed("python3") {
        return None;
    }
    let program = env!("CARGO_BIN_EXE_silkmill");
    let output = Command::new("python3")
        .args(["-c", TERMINAL, &columns.to_string(), "sh", "-c", line, program])
        .current_dir(root)
        .env("NO_COLOR", "1")
        .env("XDG_STATE_HOME", root.path().join(".state"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_long_line_is_cut_on_a_terminal_and_whole_in_a_pipe() {
    let text = format!("{}old{}\n", "x".repeat(9000), "y".repeat(9000));
    let root = tree(&[("a.min.js", text.as_bytes())]);
    let Some(said) = on_terminal(&root, 60, "\"$0\" replace -n old new") else { return };

    assert!(said.lines().all(|line| line.chars().count() <= 60), "{said}");
    assert!(said.contains("xoldy") && said.contains("xnewy"), "{said}");

    let piped = on_terminal(&root, 60, "\"$0\" replace -n old new | wc -c").unwrap();
    let diff = replace(&root, &["-n", "old", "new"]);
    assert!(stdout(&diff).contains(&text.replace("old", "new")));
    assert!(piped.split_whitespace().any(|word| word == diff.stdout.len().to_string()), "{piped}");
}

#[test]
fn names_and_text_cannot_steer_the_terminal() {
    let root = tree(&[("a\u{202e}b\nc\\n", b"old\x1b[2J\n"), ("\u{1b}]0;x\u{7}", b"old\0")]);
    let Some(dry) = on_terminal(&root, 80, "\"$0\" replace -n -v old new") else { return };
    let run = on_terminal(&root, 80, "\"$0\" replace -v old new; \"$0\" replace new x no\u{202e}");
    let undo = on_terminal(&root, 80, "\"$0\" undo --list; \"$0\" undo").unwrap();

    let (run, name) = (run.unwrap(), r"a\u{202e}b\nc\\n");
    for said in [&dry, &run, &undo] {
        assert!(!said.contains(['\u{202e}', '\u{1b}', '\u{7}']), "{said:?}");
    }
    assert!(run.contains(&format!("{name}: 1 replacement\n")), "{run}");
    assert!(undo.contains(&format!("{name}\n")), "{undo}");
    assert!(dry.contains("-old\\u{1b}[2J\n"), "{dry}");
}

#[test]
fn a_name_with_a_line_end_is_no_other_name() {
    let root = tree(&[("a\nb", b"old"), ("a\\nb", b"old")]);

    let said = stdout(&replace(&root, &["old", "new"]));

    assert_eq!(said, "a\\nb: 1 replacement\na\\\\nb: 1 replacement\n");
}

#[test]
fn no_progress_comes_between_the_lines_of_a_pipe() {
    let root = tree(&[("a", b"old\n")]);
    let wait = "{ echo old; sleep 1; echo old; }";
    for line in [
        format!("{wait} | \"$0\" replace old new -"),
        format!("{wait} | \"$0\" replace old new - | cat"),
        format!("{wait} | \"$0\" fetch -i - | cat"),
    ] {
        let Some(said) = on_terminal(&root, 80, &line) else { return };
        assert!(!said.contains('\u{1b}') && !said.contains('\r'), "{line}: {said:?}");
    }
}

#[test]
fn progress_fits_a_narrow_terminal() {
    let root = tree(&[]);
    let line = "{ for n in 1 2 3 4 5 6 7 8 9; do echo ftp://host/$n; done; sleep 1; } | \
        \"$0\" fetch -i - -o rows.jsonl";
    let Some(said) = on_terminal(&root, 40, line) else { return };

    let mut drawn = 0;
    for line in said.split(['\n', '\r']) {
        // What steers the terminal takes no column.
        let mut text = String::new();
        for (place, part) in line.split('\u{1b}').enumerate() {
            let end =
                if place == 0 { 0 } else { part.find(char::is_alphabetic).map_or(0, |at| at + 1) };
            text += &part[end..];
        }
        if text.starts_with("silkmill: ") {
            // The last line of the run is no progress, and wraps like any other text.
            continue;
        }
        drawn += usize::from(text.contains(" rows"));
        assert!(text.chars().count() <= 40, "{text:?} of {said:?}");
    }
    assert!(drawn > 0, "{said:?}");
}

#[test]
fn a_patch_of_files_elsewhere_says_where_it_applies_and_applies_there() {
    for (place, program) in [("", "patch"), ("", "git"), ("sub", "patch"), ("sub", "git")] {
        if !is_installed(program) {
            continue;
        }
        let root = tree(&[("here/x", b"no"), ("lib/sub/a b", b"old\n"), ("lib/c", b"old\n")]);
        let lib = root.path().canonicalize().unwrap().join("lib");
        let path = |way: &str| format!("{way}/{place}").trim_end_matches('/').to_owned();
        for way in [path("../lib"), path(lib.to_str().unwrap()), path("../here/../lib")] {
            let line = format!("cd here && \"$0\" replace -n old new '{way}'");
            let patch = stdout(&shell(&root, &line));
            let base = if place.is_empty() { lib.clone() } else { lib.join(place) };
            let header = format!("# apply with: patch -p0 -d '{}'\n", base.display());
            assert!(patch.starts_with(&header), "{patch}");
            assert!(!patch.contains("--- /") && !patch.contains("--- .."), "{patch}");
            std::fs::write(root.path().join("p"), &patch).unwrap();
            let apply = match program {
                "patch" => format!("patch -p0 -d '{}' -i ../p 2>&1", base.display()),
                _ => format!("cd '{}' && git apply -p0 \"$OLDPWD/p\" 2>&1", base.display()),
            };
            let apply = apply.replace("../p", root.path().join("p").to_str().unwrap());
            let applied = shell(&root, &apply);
            assert!(applied.status.success(), "{way}: {}\n{patch}", stdout(&applied));
            assert_eq!(read(&root, "lib/sub/a b"), "new\n");
            write(root.path(), &[("lib/sub/a b", b"old\n"), ("lib/c", b"old\n")]);
        }
    }
}

#[test]
fn a_path_that_goes_astray_and_comes_back_is_plain_in_a_patch() {
    let root = tree(&[("sub/a", b"old\n")]);
    std::os::unix::fs::symlink("sub", root.path().join("link")).unwrap();
    let absolute = root.path().canonicalize().unwrap().join("sub/a");

    for path in [absolute.to_str().unwrap(), "sub/../sub/a", "link/a", "./sub"] {
        let diff = stdout(&replace(&root, &["-n", "old", "new", path]));
        assert!(diff.starts_with("--- sub/a\n+++ sub/a\n"), "{path}: {diff}");
    }
}

#[test]
fn names_of_a_file_outside_of_what_is_searched_are_said() {
    let root = tree(&[("in/a", b"old"), ("out/x", b""), ("in/d", b"old")]);
    for other in ["in/b", "out/c", "out/e"] {
        std::fs::hard_link(root.path().join("in/a"), root.path().join(other)).unwrap();
    }
    std::fs::hard_link(root.path().join("in/d"), root.path().join("in/e")).unwrap();
    let said = "silkmill: \"in/a\" has 2 other names outside of what was searched, and changes \
        there, too (see --hard-links)\n";

    for words in [&["-n", "old", "new", "in"][..], &["old", "new", "in"]] {
        let output = replace(&root, words);
        assert_eq!(stderr(&output).matches("outside").count(), 1, "{}", stderr(&output));
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
    assert_eq!(read(&root, "out/c"), "new");
    for words in [&["new", "old", "."][..], &["--hard-links", "split", "old", "new", "in"]] {
        let output = command(&root, words).output().unwrap();
        assert!(!stderr(&output).contains("outside"), "{words:?} {}", stderr(&output));
    }
}
