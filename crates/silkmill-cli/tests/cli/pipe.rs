//! `silkmill replace OLD NEW -`, which edits standard input to standard output.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Output, Stdio};

use tempfile::TempDir;

use crate::sandbox::{command, read, replace, shell, stderr, tree};
use crate::wait;

fn spawn(root: &TempDir, words: &[&str]) -> Child {
    command(root, words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn filtered(words: &[&str], input: &[u8]) -> Output {
    let root = tree(&[]);
    let mut child = command(&root, words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The text is small enough for the buffers of the pipes.
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn stdin_goes_to_stdout_edited() {
    type Claim = (&'static [&'static str], &'static [u8], &'static [u8], i32);
    let claims: &[Claim] = &[
        (&["old", "new", "-"], b"old\0\xFFold", b"new\0\xFFnew", 0),
        (&["old", "new", "-"], b"", b"", 1),
        (&["old", "new", "-"], b"none\r\n", b"none\r\n", 1),
        (&["-e", "^", "> ", "-"], b"a\r\nb\n", b"> a\r\n> b\n", 0),
        (&["-e", "-U", r"\n", " ", "-"], b"a\nb\n", b"a b ", 0),
        (&["--max-count", "1", "o", "0", "-"], b"o\no\n", b"0\no\n", 0),
        (&["old", "new", "-"], b"\xFF\xFEo\0l\0d\0", b"\xFF\xFEn\0e\0w\0", 0),
        (&["old", "new", "-"], b"\xFE\xFF\0\0\0o\0l\0d!", b"\xFE\xFF\0\0\0n\0e\0w!", 0),
        (&["--encoding", "latin1", "\u{e9}", "e", "-"], b"\xE9t\xE9", b"ete", 0),
        (&["old", "new", "-"], b"\xEF\xBB", b"\xEF\xBB", 1),
    ];
    for (words, input, want, code) in claims {
        let output = filtered(words, input);
        assert_eq!(output.stdout, *want, "{words:?}");
        assert_eq!((output.status.code(), stderr(&output)), (Some(*code), String::new()));
    }
}

#[test]
fn a_line_comes_out_before_the_next_goes_in() {
    let root = tree(&[]);
    for words in
        [&["old", "new", "-"][..], &["-e", "o(.*)$", "n$1", "-"], &["-w", "old", "new", "-"]]
    {
        let mut child = spawn(&root, words);
        let mut input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..3 {
            input.write_all(b"old\n").unwrap();
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            assert!(line.starts_with('n'), "{line}");
        }
        drop(input);
        assert_eq!(wait(&mut child).code(), Some(0));
    }
}

#[test]
fn endless_input_takes_bounded_memory_and_ends_with_its_reader() {
    let root = tree(&[]);
    for words in [
        &["x", "yy", "-"][..],
        &["-e", "x+", "y", "-"],
        &["--encoding", "utf-16le", "a l", "the l", "-"],
    ] {
        let mut child = spawn(&root, words);
        let mut input = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let is_wide = words.contains(&"utf-16le");
        let feeder = std::thread::spawn(move || {
            let line = "a line with x in it\n".repeat(5000);
            let piece = match is_wide {
                true => line.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                false => line.into_bytes(),
            };
            // Writing fails when the command ends, which it does when its reader does.
            while input.write_all(&piece).is_ok() {}
        });
        let mut piece = vec![0; 1 << 20];
        for _ in 0..64 {
            output.read_exact(&mut piece).unwrap();
        }
        let peak = std::fs::read_to_string(status).unwrap();
        let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < 32 << 10, "{peak} kB");
        drop(output);
        feeder.join().unwrap();
        assert_eq!(wait(&mut child).code(), Some(0));
    }
}

#[test]
fn what_does_not_fit_a_filter_is_exit_2() {
    let root = tree(&[("a", b"old"), ("-", b"old")]);
    for words in [
        &["old", "new", "-", "a"][..],
        &["-n", "old", "new", "-"],
        &["-I", "old", "new", "-"],
        &["--json", "old", "new", "-"],
        &["--expect", "1", "old", "new", "-"],
    ] {
        let output = replace(&root, words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(stderr(&output).contains("stdin"), "{}", stderr(&output));
    }
    assert_eq!(replace(&root, &["old", "new", "./-"]).status.code(), Some(0));
    assert_eq!((read(&root, "a"), read(&root, "-")), ("old".into(), "new".into()));

    let long = "head -c 20000000 /dev/zero | \"$0\" replace -e 'x$' y - >/dev/null";
    let output = shell(&root, long);
    assert_eq!(output.status.code(), Some(2));
    let want = "silkmill: failed to edit \"stdin\": a line has more than 16777216 bytes\n";
    assert_eq!(stderr(&output), want);
    let output = filtered(&["--max-file-size", "3", "-U", "-e", "a", "b", "-"], b"aaaa");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let output = filtered(&["--encoding", "latin1", "a", "\u{4e2d}", "-"], b"a");
    assert!(stderr(&output).contains("which windows-1252 cannot write"), "{}", stderr(&output));
}

#[test]
fn names_in_no_style_are_counted() {
    for (input, told) in [
        (&b"oLdname OldName oLdname\n"[..], "silkmill: 2 names left, in no style that is known\n"),
        (b"oLdname", "silkmill: 1 name left, in no style that is known\n"),
        (b"OldName", ""),
    ] {
        let output = filtered(&["-P", "-i", "old_name", "new_name", "-"], input);
        assert_eq!(stderr(&output), told);
    }
}
