//! `--fancy`: regexes that need backtracking.

use crate::sandbox::{read, records, replace, stderr, stdout, tree, write};

#[test]
fn look_around_backreferences_and_kept_text_are_found() {
    let claims: &[(&[&str], &str, &str)] = &[
        (&["(?<!un)safe", "sound"], "safe unsafe", "sound unsafe"),
        (&["foo(?=bar)", "x"], "foobar foobaz", "xbar foobaz"),
        (&[r"(\w)\1", "<$1>"], "aab cc", "<a>b <c>"),
        (&[r"(?<q>['\x22]).*?\k<q>", "Q"], "'a\"' \"b'\"", "Q Q"),
        (&[r"key: \K\w+", "new"], "key: old\nkey old\n", "key: new\nkey old\n"),
        (&["(?>a+)b", "-"], "aaab ab", "- -"),
        (&["a++a", "-"], "aaa", "aaa"),
        (&["-i", r"(a)\1", "x"], "aA", "x"),
        (&["-S", "foo(?!b)", "x"], "Foo foob", "x foob"),
        (&["-w", "old(?!s)|new", "x"], "old olds older news new", "x olds older news x"),
        (&["^(?!#)", "# "], "a\r\n#b\r\nc\r\n", "# a\r\n#b\r\n# c\r\n"),
        (&["(?<=a)$", ";"], "a\r\nb\na", "a;\r\nb\na;"),
        (&[r"a(?=\s*b)", "x"], "a\nb a b", "a\nb x b"),
        (&["-U", r"a(?=\s*b)", "x"], "a\nb a b", "x\nb x b"),
        (&["-U", r"(?<=a)\n(?=b)", " "], "a\r\nb\nc", "a b\nc"),
        (&["-U", r"a\R(?!c)", "x"], "a\rb a\nc", "xb a\nc"),
        (&[r"(?<=b)\s+$", r"\n"], "b  \r\nc  \r\n", "b\r\n\r\nc  \r\n"),
        (&["[^é](?!x)", "_"], "é日a", "é__"),
    ];
    for (words, text, want) in claims {
        let root = tree(&[("a", text.as_bytes())]);
        let output = replace(&root, &[&["--fancy"], *words].concat());
        assert_eq!(read(&root, "a"), *want, "{words:?}: {}", stderr(&output));
    }
}

#[test]
fn of_many_the_leftmost_and_longest_counts() {
    let root = tree(&[("a", b"cat dog cats catalog")]);
    let pairs = "cat(?!a)\tdog\ndog(?=\\s)\tcat\n(?<=cat)s\tS\n(c)at\\w+\t<$1>\n";
    write(root.path(), &[("pairs.tsv", pairs.as_bytes())]);

    let output = replace(&root, &["--fancy", "--pairs", "pairs.tsv", "a"]);

    assert_eq!(read(&root, "a"), "dog cat <c> <c>", "{}", stderr(&output));
}

#[test]
fn a_search_without_an_end_is_the_failure_of_its_file_alone() {
    let bomb = format!("{}!", "a".repeat(40));
    let root = tree(&[("bomb", bomb.as_bytes()), ("fine", b"aab")]);
    let words = ["--fancy", r"(?:(?:a|a)*)*(?=b)\w", "x"];

    let output = replace(&root, &words);

    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let told = "silkmill: failed to search \"bomb\": the regex backtracks too often in it\n";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
    assert_eq!((read(&root, "bomb"), read(&root, "fine")), (bomb.clone(), "x".into()));

    let output =
        replace(&tree(&[("bomb", bomb.as_bytes())]), &[&words[..], &["--strict"]].concat());
    assert_eq!(output.status.code(), Some(2));
    let output = replace(&root, &[&words[..], &["--json"]].concat());
    assert_eq!(records(&output)[0]["action"], "failed", "{}", stdout(&output));
}

#[test]
fn a_long_text_without_a_match_is_within_the_bound() {
    let text = "ab ".repeat(2 << 20);
    let root = tree(&[("a", text.as_bytes())]);

    let output = replace(&root, &["--fancy", "-U", r"(\w)\1", "x"]);

    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[test]
fn it_is_previewed_counted_renamed_and_filtered_as_any_other() {
    let root = tree(&[("name_old", b"old older\n")]);
    let words = ["--fancy", "old(?!er)", "new"];
    let with = |more: &[&str]| replace(&root, &[&words[..], more].concat());

    assert!(stdout(&with(&["-n"])).contains("-old older\n+new older\n"));
    assert_eq!(stdout(&with(&["-c"])), "name_old:1\n");
    let output = with(&["--rename"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(read(&root, "name_new"), "new older\n");

    let line = r#"printf 'ab ab' | "$0" replace --fancy 'a(?=b a)' x -"#;
    assert_eq!(stdout(&crate::sandbox::shell(&root, line)), "xb ab");
}

#[test]
fn a_literal_that_looks_around_is_hinted_at() {
    let root = tree(&[("a", b"foobar")]);

    let output = replace(&root, &["foo(?=bar)", "x"]);

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).ends_with("regex with --fancy\n"), "{}", stderr(&output));
}
