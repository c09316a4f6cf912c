//! `silkmill replace` on text that is not UTF-8, on binary files, and on large files.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;

use crate::sandbox::{command, names, read, replace, stderr, stdout, tree};

fn utf16(text: &str) -> Vec<u8> {
    std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn utf_16_is_edited_as_text_and_stays_utf_16() {
    let root = tree(&[("a", &utf16("caf\u{e9} old\r\nold")), ("b", &utf16("none"))]);

    let output = replace(&root, &["-e", "(^|é )old", "${1}n\u{1F600}w"]);

    assert_eq!(stdout(&output), "a: 2 replacements\n", "{}", stderr(&output));
    let want = utf16("caf\u{e9} n\u{1F600}w\r\nn\u{1F600}w");
    assert_eq!(fs::read(root.path().join("a")).unwrap(), want);
    assert_eq!(fs::read(root.path().join("b")).unwrap(), utf16("none"));
}

#[test]
fn an_encoding_by_name_is_for_files_without_a_mark() {
    let root = tree(&[
        ("latin", b"\xE9t\xE9 \x81"),
        ("mark", "\u{feff}\u{e9}t\u{e9}".as_bytes()),
        ("wide", &utf16("\u{e9}t\u{e9}")),
    ]);

    let output = replace(&root, &["--encoding", "latin1", "\u{e9}t\u{e9}", "\u{e8}"]);

    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(fs::read(root.path().join("latin")).unwrap(), b"\xE8 \x81");
    assert_eq!(fs::read(root.path().join("mark")).unwrap(), "\u{feff}\u{e8}".as_bytes());
    assert_eq!(fs::read(root.path().join("wide")).unwrap(), utf16("\u{e8}"));
}

#[test]
fn what_an_encoding_cannot_write_fails_its_file_and_the_others_change() {
    let root = tree(&[("a", b"old"), ("b", &utf16("old"))]);

    let output = replace(&root, &["--encoding", "latin1", "old", "\u{4e2d}"]);

    assert_eq!(output.status.code(), Some(2));
    let want = "silkmill: failed to edit \"a\": it would hold '\u{4e2d}', which windows-1252 cannot write\n";
    assert!(stderr(&output).starts_with(want), "{}", stderr(&output));
    assert_eq!(read(&root, "a"), "old");
    assert_eq!(fs::read(root.path().join("b")).unwrap(), utf16("\u{4e2d}"));

    let output = replace(&root, &["--encoding", "klingon", "old", "new"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output), "silkmill: the encoding \"klingon\" is not known\n");
}

#[test]
fn binary_files_are_edited_only_when_asked_for() {
    let files: &[(&str, &[u8])] = &[("a", b"old\0old"), ("w", &[0xFF, 0xFE, b'o', 0, 0, 0])];

    let root = tree(files);
    assert_eq!(stderr(&replace(&root, &["o", "0"])), "no match in 2 files, 2 passed over\n");
    let output = replace(&root, &["--binary", "edit", "o", "0"]);
    assert_eq!(stdout(&output), "a: 2 replacements\nw: 1 replacement\n");
    assert_eq!(fs::read(root.path().join("a")).unwrap(), b"0ld\x000ld");
    assert_eq!(fs::read(root.path().join("w")).unwrap(), [0xFF, 0xFE, b'0', 0, 0, 0]);
}

/// Returns a text above the limit for reading into memory, so that it is streamed.
fn large() -> Vec<u8> {
    let mut text = b"some line of text\r\n".repeat(1_000_000);
    text.splice(9_500_009..9_500_009, *b"old");
    text.extend_from_slice(b"old");
    text
}

#[test]
fn a_large_file_is_streamed_and_becomes_what_a_small_one_would() {
    let text = large();
    let claims: [&[&str]; 4] = [
        &["old", "newer"],
        &["-i", "-w", "OLD", ""],
        &["-e", "old.*$", "<$0>"],
        &["-e", "^", "> "],
    ];
    for words in claims {
        let root = tree(&[("large", &text), ("none", &b"none of it\n".repeat(2_000_000))]);
        let before = fs::metadata(root.path().join("none")).unwrap();

        let output = replace(&root, &[&["--json"], words].concat());

        let whole =
            silkmill_replace::Options::builder(words[words.len() - 2], words[words.len() - 1])
                .regex(words[0] == "-e")
                .word(words.contains(&"-w"))
                .case(match words[0] {
                    "-i" => silkmill_replace::Case::Insensitive,
                    _ => silkmill_replace::Case::Sensitive,
                })
                .build()
                .unwrap();
        let want = whole.edit(&text).unwrap().unwrap_or_else(|| text.clone());
        assert!(fs::read(root.path().join("large")).unwrap() == want, "{words:?}");
        let after = want.len();
        assert!(stdout(&output).contains(&format!("\"bytes_after\":{after},")), "{words:?}");
        if words[1] != "^" {
            let now = fs::metadata(root.path().join("none")).unwrap();
            assert_eq!((now.ino(), now.ctime_nsec()), (before.ino(), before.ctime_nsec()));
        }
        assert_eq!(names(&root), ["large", "none"]);
    }
}

#[test]
fn large_utf_16_is_streamed_and_becomes_what_a_small_one_would() {
    let text = utf16(&String::from_utf8(large()).unwrap());
    let mut with_nul = text.clone();
    with_nul.extend_from_slice(b"\0\0");
    for words in [["-v", "old", "n\u{1F600}w"], ["-e", "old.*$", "<$0>"]] {
        let root = tree(&[("large", &text), ("nul", &with_nul)]);

        let output = replace(&root, &[&["--no-sync"], &words[..]].concat());

        let options = silkmill_replace::Options::builder(words[1], words[2]);
        let options = options.regex(words[0] == "-e").build().unwrap();
        let want = options.edit(&text).unwrap().unwrap();
        assert!(fs::read(root.path().join("large")).unwrap() == want, "{words:?}");
        assert!(fs::read(root.path().join("nul")).unwrap() == with_nul, "{words:?}");
        assert_eq!(stdout(&output), "large: 2 replacements\n");
        let want = "2 replacements in 1 file of 2, 1 passed over; undo with: silkmill undo\n";
        assert!(stderr(&output).ends_with(want), "{}", stderr(&output));
        assert_eq!(names(&root), ["large", "nul"]);
    }
}

#[test]
fn a_large_file_with_a_nul_far_behind_is_left_alone() {
    let mut text = large();
    text.push(0);
    let root = tree(&[("a", &text)]);

    let output = replace(&root, &["old", "new"]);

    assert_eq!(stderr(&output), "no match in 1 file, 1 passed over\n");
    assert!(fs::read(root.path().join("a")).unwrap() == text);
    assert_eq!(names(&root), ["a"]);
}

#[test]
fn what_cannot_be_streamed_is_reported_beyond_the_largest_that_is_held() {
    let root = tree(&[]);
    let mut file = fs::File::create(root.path().join("large")).unwrap();
    // The file has some lines, then a hole that takes no room on the disk.
    file.write_all(&b"some line of text\n".repeat(5000)).unwrap();
    file.seek(SeekFrom::Start((1 << 30) + 1)).unwrap();
    file.write_all(b"x").unwrap();

    for words in [
        &["-n", "line", "LINE"][..],
        &["-U", "-e", "line", "LINE"],
        &["--encoding", "latin1", "line", "LINE"],
        &["--encoding", "utf-16le", "-n", "line", "LINE"],
    ] {
        let output = replace(&root, words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let want = "failed to edit \"large\": 1073741826 bytes, and at most 1073741824 fit\n";
        assert!(stderr(&output).contains(want), "{}", stderr(&output));
    }
    // A streamed file is read up to its first NUL.
    for words in [&["line", "LINE"][..], &["--encoding", "utf-16le", "line", "LINE"]] {
        assert_eq!(stderr(&replace(&root, words)), "no match in 1 file, 1 passed over\n");
    }
}

/// `表\` in Shift_JIS, whose first character ends in a backslash.
const SHIFT_JIS: &[u8] = b"\x95\x5C\\ old\n";

/// Runs the words on a small file, a large one that is streamed, a stream, and with pairs, and
/// returns exit code, error and whether the text stayed, of each.
fn everywhere(words: &[&str], text: &[u8]) -> Vec<(Option<i32>, String, bool)> {
    let large = [text, &vec![b' '; 1 << 24]].concat();
    let root = tree(&[("small", text), ("large", &large)]);
    let (options, pair) = words.split_at(words.len() - 2);
    let pair = format!("{}\t{}\n", pair[0], pair[1]);
    fs::write(root.path().join("p.tsv"), pair).unwrap();
    let mut ended = Vec::new();
    for (end, name) in [(&["small"][..], "small"), (&["large"], "large"), (&["-"], "out")] {
        for pairs in [false, true] {
            // A large file takes its time.
            if name == "large" && (pairs || words[0].starts_with('-')) {
                continue;
            }
            fs::write(root.path().join("small"), text).unwrap();
            fs::write(root.path().join("large"), &large).unwrap();
            let mut command = match pairs {
                false => command(&root, &[words, end].concat()),
                true => command(&root, &[options, &["--pairs", "p.tsv"], end].concat()),
            };
            command.stdin(fs::File::open(root.path().join("small")).unwrap());
            let output = command.output().unwrap();
            if name == "out" {
                fs::write(root.path().join("out"), &output.stdout).unwrap();
            }
            let now = fs::read(root.path().join(name)).unwrap();
            let stayed = now == if name == "large" { &large[..] } else { text };
            // What a stream has passed on before its error stays.
            let stayed = stayed || (name == "out" && text.starts_with(&now));
            ended.push((output.status.code(), stderr(&output), stayed));
        }
    }
    ended
}

#[test]
fn no_character_of_an_unknown_encoding_is_broken() {
    let claims: &[(&[&str], &[u8], &str)] = &[
        (&["\\", "/"], SHIFT_JIS, "a match may be a part of one of its characters"),
        (&["-e", r"\\", "/"], SHIFT_JIS, "a match may be a part of one of its characters"),
        (&["-i", "\\", "/"], SHIFT_JIS, "a match may be a part of one of its characters"),
        (&["\u{e9}", "e"], b"\xC3\xA9\xCC\xA8 \x95\x5C\n", "a match may be a part"),
        (&["tea", "th\u{e9}"], b"tea caf\xE9\n", "the new text is not ASCII"),
        (&["-e", "tea", r"th\u{e9}"], b"tea\ncaf\xE9\n", "the new text is not ASCII"),
        (&["-e", "tea", r"th\xE9"], b"tea\ncaf\xE9\n", "the new text is not ASCII"),
    ];
    for (words, text, want) in claims {
        for (code, said, stayed) in everywhere(words, text) {
            assert_eq!((code, stayed), (Some(2), true), "{words:?}: {said}");
            assert!(said.contains(want) && said.contains("--encoding"), "{words:?}: {said}");
        }
    }
    let changed: &[(&[&str], &[u8])] = &[
        (&["--encoding", "bytes", "\\", "/"], SHIFT_JIS),
        (&["--encoding", "shift_jis", "\\", "/"], SHIFT_JIS),
        (&["--encoding", "latin1", "tea", "th\u{e9}"], b"tea caf\xE9\n"),
        (&["old", "new"], SHIFT_JIS),
        (&["tea", "th\u{e9}"], "tea caf\u{e9}\n".as_bytes()),
        (&["tea", "th\u{e9}"], b"\xEF\xBB\xBFtea caf\xE9\n"),
    ];
    for (words, text) in changed {
        for (code, said, stayed) in everywhere(words, text) {
            assert_eq!((code, stayed), (Some(0), false), "{words:?}: {said}");
        }
    }
}

#[test]
fn a_text_that_may_hide_a_match_is_counted() {
    let large = [&b"caf\xE9\n"[..], &b"a line of text\n".repeat(1 << 13)].concat();
    let files: &[(&str, &[u8])] = &[("a", b"caf\xE9"), ("b", &large), ("c", b"x")];
    let root = tree(files);
    for words in [
        &["th\u{e9}", "tea"][..],
        &["-e", "x{9}", "y"],
        &["-n", "-e", "x{9}", "y"],
        &["-e", "-U", "x{9}", "y"],
    ] {
        let output = replace(&root, words);
        let want = "no match in 3 files; 2 files are not UTF-8, and may hide a match: \
                    see --encoding\n";
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), want), "{words:?}");
    }
    assert_eq!(stderr(&replace(&root, &["tee", "tea"])), "no match in 3 files\n");
    let found = stderr(&replace(&root, &["-n", "-e", "^x$", "y"]));
    assert_eq!(found, "would make 1 replacement in 1 file of 3\n");
    // A file of this size is streamed.
    let huge = [&b"caf\xE9"[..], &vec![b' '; 1 << 24]].concat();
    let said = stderr(&replace(&tree(&[("d", &huge)]), &["th\u{e9}", "tea"]));
    assert!(said.starts_with("no match in 1 file; 1 file is not UTF-8, and may hide"), "{said}");
    for words in [&["th\u{e9}", "tea", "-"][..], &["-e", "-U", "x{9}", "y", "-"]] {
        let stdin = fs::File::open(root.path().join("a")).unwrap();
        let output = command(&root, words).stdin(stdin).output().unwrap();
        let want = "silkmill: stdin is not UTF-8, and may hide a match: see --encoding\n";
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), want), "{words:?}");
    }
}
