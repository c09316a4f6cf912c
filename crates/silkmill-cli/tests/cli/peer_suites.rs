//! `silkmill replace` on the cases that the suites and the users of other replacers test. Every
//! case is a few files, the arguments of a run, and the files, the output and the exit code after
//! it. It is one file, since most of it is tables.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use crate::sandbox::{command, names, read, replace, stderr, stdout, tree, write};
use crate::{silkmill, wait};

/// The arguments of a run, the one file before and after it, and the number of replacements.
type Edit = (&'static [&'static str], &'static str, &'static str, usize);

fn edit(edits: &[Edit]) {
    for (words, before, after, count) in edits {
        edit_bytes(words, before.as_bytes(), after.as_bytes(), *count);
    }
}

fn edit_bytes(words: &[&str], before: &[u8], after: &[u8], count: usize) {
    let root = tree(&[("a", before)]);

    let output = replace(&root, &[&["--no-sync"], words].concat());

    let want = match count {
        0 => String::new(),
        1 => "a: 1 replacement\n".to_owned(),
        _ => format!("a: {count} replacements\n"),
    };
    let what = format!("{words:?} on \"{}\": {}", before.escape_ascii(), stderr(&output));
    assert_eq!((stdout(&output), code(&output)), (want, i32::from(count == 0)), "{what}");
    let text = fs::read(root.path().join("a")).unwrap();
    assert_eq!(text.escape_ascii().to_string(), after.escape_ascii().to_string(), "{what}");
    assert_eq!(names(&root), ["a"], "{what}");
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// Returns what `show` returns for every regular file below `root`.
fn files<T>(root: &Path, show: &impl Fn(&Path) -> T) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            let below = files(&path, show).into_iter();
            found.extend(below.map(|(below, shown)| (format!("{name}/{below}"), shown)));
        } else if entry.file_type().unwrap().is_file() {
            found.insert(name, show(&path));
        }
    }
    found
}

/// Returns the files that hold nothing but "new".
fn changed(root: &Path) -> Vec<String> {
    let is_new = files(root, &|path| fs::read(path).unwrap() == b"new");
    is_new.into_iter().filter_map(|(name, is_new)| is_new.then_some(name)).collect()
}

#[test]
fn without_a_regex_every_character_stands_for_itself() {
    edit(&[
        (&["a", "b"], "", "", 0),
        (&["old", "new"], "old", "new", 1),
        (&["old", "new"], "old x old", "new x new", 2),
        (&["old", "new"], "oldold\n\n\nold", "newnew\n\n\nnew", 3),
        (&["old", ""], "old", "", 1),
        (&["foo", "foofoo"], "foo foo", "foofoo foofoo", 2),
        (&["foo", "xfoox"], "foofoo", "xfooxxfoox", 2),
        (&["aa", "b"], "aaaaa", "bba", 2),
        (&["aa", "a"], "aaaa", "aa", 2),
        (&["$", "x"], "a$b$", "axbx", 2),
        (&["$1", "$2"], "$1 $10", "$2 $20", 2),
        (&["x", r"$1 ${1} $& \1 & \n \U"], "x", r"$1 ${1} $& \1 & \n \U", 1),
        (&["a.c", "x"], "abc a.c", "abc x", 1),
        (&["(", ")"], "f(", "f)", 1),
        (&["[x]*", "^"], "[x]* x", "^ x", 1),
        (&[r"\n", "x"], "a\\nb\n", "axb\n", 1),
        (&["a\nb", "x"], "a\nb\n", "x\n", 1),
        (&["a\nb", "x"], "a\r\nb\n", "a\r\nb\n", 0),
        (&["a", "x\ny"], "a\r\n", "x\ny\r\n", 1),
        (&["x", "y"], "éxé日x本\u{1F600}x", "éyé日y本\u{1F600}y", 3),
        (&["é", "e"], "é e\u{301}", "e e\u{301}", 1),
        (&["-i", "k", "x"], "Kk\u{212A}", "xxx", 3),
    ]);
}

#[test]
fn a_regex_may_match_nothing() {
    edit(&[
        (&["-e", "^", "> "], "", "", 0),
        (&["-e", "$", "!"], "", "", 0),
        (&["-e", "x*", "-"], "", "", 0),
        (&["-e", "^", "> "], "\n", "> \n", 1),
        (&["-e", "x*", "-"], "abc", "-a-b-c-", 4),
        (&["-e", "x*", "-"], "axxb\n", "-a-b-\n", 3),
        (&["-e", "x*", "-"], "é日", "-é-日-", 3),
        (&["-e", "x*", "x"], "a\n\nb", "xax\nx\nxbx", 5),
        (&["-e", "x*", ""], "axbxx\n", "ab\n", 2),
        (&["-e", r"\b", "|"], "one two", "|one| |two|", 4),
        (&["-e", "^$", "-"], "\r\na\r\n\r\n", "-\r\na\r\n-\r\n", 2),
        (&["-e", "()", ""], "abc", "abc", 0),
    ]);
}

#[test]
fn line_ends_and_their_absence_stay() {
    edit(&[
        (&["-e", r"\s+$", ""], "a  \r\nb\t\r\nc \nd ", "a\r\nb\r\nc\nd", 4),
        (&["-e", r"\s+$", ""], "a\r\nb\r\n\r\n", "a\r\nb\r\n\r\n", 0),
        (&["-e", "foo$", "bar"], "foo\r\nfoo x\r\nfoo\nfoo", "bar\r\nfoo x\r\nbar\nbar", 3),
        (&["-e", "-U", "foo$", "bar"], "foo\r\nfoo x\r\nfoo", "bar\r\nfoo x\r\nbar", 2),
        (&["-e", "$", "!"], "a\r\nb", "a!\r\nb!", 2),
        (&["-e", "-U", "$", "!"], "a\r\nb", "a!\r\nb!", 2),
        (&["-e", ".*", "${0}f"], "a\n", "af\n", 1),
        (&["-e", ".*", "<$0>"], "a\r\n\nb", "<a>\r\n<>\n<b>", 3),
        (&["-e", "-U", ".+", "<$0>"], "a\r\n\nb", "<a>\r\n\n<b>", 2),
        (&["-e", r"\s+", "_"], "a \r\n\tb\n", "a_\r\n_b\n", 2),
        (&["-e", "b.*", ""], "ab\r\nb\r\nc", "a\r\n\r\nc", 2),
        (&["old", "new"], "old\r\nold\nold", "new\r\nnew\nnew", 3),
    ]);
}

#[test]
fn a_match_ends_with_its_line_unless_it_may_cross() {
    edit(&[
        (&["-e", "a[^x]*", "-"], "ab\ncd\nx", "-\ncd\nx", 1),
        (&["-e", "(?s)a.*", "-"], "ab\ncd\n", "-\ncd\n", 1),
        (&["-e", "-U", "a[^x]*", "-"], "ab\ncd\nx", "-x", 1),
        (&["-e", "-U", r"b\nc", r"c\nb"], "ab\ncd\n", "ac\nbd\n", 1),
        (&["-e", "-U", r"\n", "?"], "hello\nworld\n", "hello?world?", 2),
        (&["-e", "-U", r"\n", "?"], "hello\r\nworld", "hello?world", 1),
        (&["-e", "-U", "(?s)<.*?>", "-"], "a<\nb\n>c<d>\n", "a-c-\n", 2),
        (&["-e", "-U", "<.*?>", "-"], "a<\nb\n>c<d>\n", "a<\nb\n>c-\n", 1),
        (&["-e", "-U", r"(\w+)\n(\w+)\n", r"$2\n$1\n"], "a\nb\nc\nd\n", "b\na\nd\nc\n", 2),
        (&["-e", "-U", r"(?:^//.*\n)+", r"//\n"], "// a\n// b\nc\n// d\n", "//\nc\n//\n", 2),
    ]);
}

#[test]
fn a_match_is_judged_where_it_stands() {
    edit(&[
        (&["-e", "^a", "-"], "aaa\naa", "-aa\n-a", 2),
        (&["-e", r"\baa", "-"], "aaaa", "-aa", 1),
        (&["-e", r"\Bfoo", "-"], "xfoo foo", "x- foo", 1),
        (&["-e", r"foo\B", "$0-"], "foox foo", "foo-x foo", 1),
        (&["-e", r"(\d)\b", "<$1>"], "12 3", "1<2> <3>", 2),
    ]);
}

#[test]
fn groups_stand_where_the_replacement_names_them() {
    edit(&[
        (&["-e", r"(?P<a>\w+) (?<b_2>\w+)", "$b_2 ${a}s"], "one two\n", "two ones\n", 1),
        (&["-e", r"(?<日>\w)-(\w)", "${日}$2$1"], "x-y", "xyx", 1),
        (&["-e", "(a)|(b)", "[$1$2]"], "ab\n", "[a][b]\n", 2),
        (&["-e", "(x)?b", "[$1]"], "ab xb", "a[] [x]", 2),
        (&["-e", "a", "[$0$0]"], "a", "[aa]", 1),
        (&["-e", "(a)", "$$1"], "a", "$1", 1),
        (&["-e", "(a)", r"\$1"], "a", "$1", 1),
        (&["-e", "(a)", "${1}0"], "a", "a0", 1),
        (&["-e", "(a)", "&"], "a", "&", 1),
        (&["-e", "(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)", "$11$1"], "abcdefghijk", "ka", 1),
        // What follows an escape is not part of it.
        (&["-e", "a", r"\x41BC"], "a", "ABC", 1),
        (&["-e", "a", r"\u{42}YZ"], "a", "BYZ", 1),
        (&["-e", "a", r"\\n\t\r\n\\"], "a", "\\n\t\r\n\\", 1),
    ]);
}

#[test]
fn a_replacement_that_would_surprise_is_refused_with_advice() {
    let claims = [
        ("$2", "OLD has no group `2`; for a dollar sign write `$$`"),
        ("$nosuch", "OLD has no group `nosuch`"),
        ("$10", "for group 1 before `0` write `${1}0`"),
        ("$1foo", "for group 1 before `foo` write `${1}foo`"),
        (r"\q", r"unknown escape; for a backslash write `\\`"),
        ("${1", "`${` without its `}`"),
    ];
    for (new, want) in claims {
        let root = tree(&[("a", b"old")]);
        let output = replace(&root, &["-e", "(old)", new]);
        assert_eq!((code(&output), read(&root, "a")), (2, "old".into()), "{new}");
        assert!(stderr(&output).contains(want), "{new}: {}", stderr(&output));
    }
}

#[test]
fn a_replacement_changes_case_where_it_says_so() {
    edit(&[
        (&["-e", r"\w+", r"\u\L$0"], "FOO bar éCOLE\n", "Foo Bar École\n", 3),
        (&["-e", r"\w+", r"\L\u$0"], "FOO bar éCOLE\n", "Foo Bar École\n", 3),
        (&["-e", r"\w+", r"\l\U$0"], "foo", "fOO", 1),
        (&["-e", r"(\w+) (\w+)", r"\U$1\E x $2"], "foo bar", "FOO x bar", 1),
        (&["-e", r"(\w+) (\w+)", r"\U$1 x $2"], "foo bar", "FOO X BAR", 1),
        (&["-e", r"(\w+) (\w+)", r"\U$1 \L$2\E $2"], "foo BAR", "FOO bar BAR", 1),
        (&["-e", r"(\w+) (\w+)", r"\l$1\u$2"], "FOO bar", "fOOBar", 1),
        (&["-e", r"(x?)(\w)", r"\u$1$2"], "a xb", "A Xb", 2),
        (&["-e", r"\w+", r"\u-$0"], "foo", "-foo", 1),
        (&["-e", r"\w+", r"\U$0"], "straße", "STRASSE", 1),
        (&["-e", r"_(\w)", r"\u$1"], "snake_case_name", "snakeCaseName", 2),
    ]);
}

#[test]
fn a_word_ends_where_its_letters_do_in_any_script() {
    edit(&[
        (&["-w", "na", "-"], "naïve na", "naïve -", 1),
        (&["-w", "ve", "-"], "naïve ve", "naïve -", 1),
        (&["-w", "ber", "-"], "über ber", "über -", 1),
        (&["-w", "日", "-"], "日本 日 本日", "日本 - 本日", 1),
        (&["-w", "é", "-"], "é aé e\u{301} é\u{301}", "- aé e\u{301} é\u{301}", 1),
        (&["-w", "o", "-"], "o1 o_ o-o", "o1 o_ ---", 2),
        (&["-w", "foo()", "-"], "foo() foo()x xfoo()", "- foo()x xfoo()", 1),
        (&["-w", "foo|bar", "-"], "foobar foo|bar foo", "foobar - foo", 1),
        // The word boundaries hold for every alternative, and together with other options.
        (&["-e", "-w", "foo|bar", "-"], "foobar foo barx bar xfoo", "foobar - barx - xfoo", 2),
        (&["-e", "-w", "-i", "foo|bar", "-"], "FOObar Foo BAR", "FOObar - -", 2),
        (&["-e", "-w", "-U", r"a\nb", "-"], "a\nb xa\nb a\nbx a\nb", "- xa\nb a\nbx -", 2),
        (&["-e", r"\bé", "-"], "é aé éa", "- aé -a", 2),
    ]);
}

#[test]
fn names_of_every_style_become_the_new_name_in_theirs() {
    edit(&[
        (
            &["-P", "foo_bar", "spam_eggs"],
            "fooBar FooBar foo-bar Foo-Bar FOO-BAR FOO_BAR xfoo_bar",
            "spamEggs SpamEggs spam-eggs Spam-Eggs SPAM-EGGS SPAM_EGGS xspam_eggs",
            7,
        ),
        (&["-P", "-w", "foo_bar", "x_y"], "xfoo_bar FooBar FooBars", "xfoo_bar XY FooBars", 1),
        (&["-P", "colour", "color"], "colour Colour COLOUR cOLOUR", "color Color COLOR cOLOUR", 3),
    ]);
}

#[test]
fn bytes_that_are_no_text_pass_through() {
    edit_bytes(
        &["--encoding", "bytes", "old", "new"],
        b"\xFFold\xC3 \xE9old",
        b"\xFFnew\xC3 \xE9new",
        2,
    );
    edit_bytes(&["--encoding", "bytes", "old", "new"], b"\xEF\xBB\xBFold", b"\xEF\xBB\xBFnew", 1);
    edit_bytes(&["--encoding", "bytes", "-i", "OLD", "new"], b"\xC3old\xA9", b"\xC3new\xA9", 1);
    edit_bytes(&["--encoding", "bytes", "-e", "[^x]", "-"], b"\xC3\xA9\xFFx", b"-\xFFx", 1);
    edit_bytes(&["--encoding", "bytes", "-e", ".", "-"], b"\xC3\xA9\xFF\xE6\x97\xA5", b"-\xFF-", 2);
    edit_bytes(&["--encoding", "bytes", "-e", r"(?-u:\xFF)", "-"], b"a\xFFb", b"a-b", 1);
    edit_bytes(&["--encoding", "bytes", "-e", "a", r"\xFF"], b"a", b"\xFF", 1);
}

#[test]
fn a_limit_counts_matches_and_starts_anew_with_each_file() {
    let claims: &[(&[&str], [&str; 3], &str)] = &[
        (&["1", "o", "0"], ["0\no\no\n", "0o\no", "x\n0\n"], "a: 1, b: 1, c: 1"),
        (&["2", "o", "0"], ["0\n0\no\n", "00\no", "x\n0\n"], "a: 2, b: 2, c: 1"),
        (&["9", "o", "0"], ["0\n0\n0\n", "00\n0", "x\n0\n"], "a: 3, b: 3, c: 1"),
        (&["2", "-e", "o$", "0"], ["0\n0\no\n", "o0\n0", "x\n0\n"], "a: 2, b: 2, c: 1"),
        (&["2", "-U", "-e", r"o\n", ""], ["o\n", "oo", "x\n"], "a: 2, b: 1, c: 1"),
    ];
    for (words, after, want) in claims {
        let root = tree(&[("a", b"o\no\no\n"), ("b", b"oo\no"), ("c", b"x\no\n")]);
        let output = replace(&root, &[&["--no-sync", "--max-count"], *words].concat());
        let said = stdout(&output).trim_end().replace("\n", ", ");
        let said = said.replace(" replacements", "").replace(" replacement", "");
        assert_eq!(said, *want, "{words:?}");
        assert_eq!(["a", "b", "c"].map(|name| read(&root, name)), *after, "{words:?}");
    }
    let root = tree(&[("a", b"o")]);
    assert_eq!(code(&replace(&root, &["--max-count", "0", "o", "0"])), 2);
}

const PROJECT: &[(&str, &[u8])] = &[
    (".dir/x", b"old"),
    (".git/config", b"old"),
    (".github/ci.yml", b"old"),
    (".gitignore", b"*.log\n!keep.log\n/build/\n"),
    (".hidden", b"old"),
    (".ignore", b"docs/\n"),
    ("TAGS", b"old"),
    ("a.rs", b"old"),
    ("b.py", b"old"),
    ("build/x", b"old"),
    ("docs/a.md", b"old"),
    ("draft~", b"old"),
    ("keep.log", b"old"),
    ("out.log", b"old"),
    ("src/a.rs", b"old"),
    ("src/deep/gen/c.py", b"old"),
    ("src/gen/b.rs", b"old"),
    ("sub/.gitignore", b"*.tmp\n!own.tmp\n"),
    ("sub/other.tmp", b"old"),
    ("sub/own.tmp", b"old"),
    // A repository within the project, and one whose `.git` is a file.
    ("vendor/.git/HEAD", b"old"),
    ("vendor/v.rs", b"old"),
    ("work/.git", b"old"),
    ("work/w.rs", b"old"),
];

#[test]
fn a_run_takes_the_files_it_is_asked_for() {
    let all = "TAGS a.rs b.py draft~ keep.log src/a.rs src/deep/gen/c.py src/gen/b.rs sub/own.tmp \
               vendor/v.rs work/w.rs";
    let with_hidden = format!("{all} .dir/x .github/ci.yml .hidden");
    let with_ignored = format!("{all} build/x docs/a.md out.log sub/other.tmp");
    let with_both = format!("{with_hidden} build/x docs/a.md out.log sub/other.tmp");
    let claims = [
        ("", all),
        ("-g *.{rs,py}", "a.rs b.py src/a.rs src/deep/gen/c.py src/gen/b.rs vendor/v.rs work/w.rs"),
        ("-g *.rs", "a.rs src/a.rs src/gen/b.rs vendor/v.rs work/w.rs"),
        ("-g *.RS", ""),
        ("-g ?.py -g TAGS", "TAGS b.py src/deep/gen/c.py"),
        ("-g [ab].*", "a.rs b.py src/a.rs src/gen/b.rs"),
        ("-g src/*", "src/a.rs"),
        ("-g src/**", "src/a.rs src/deep/gen/c.py src/gen/b.rs"),
        ("-g src/** -g !**/gen/**", "src/a.rs"),
        ("-g !gen -g src/**", "src/a.rs"),
        ("-g *.rs -g !a.rs -g !w*", "src/gen/b.rs vendor/v.rs"),
        ("-g !src -g !*.rs", "TAGS b.py draft~ keep.log sub/own.tmp"),
        ("-g *.log", "keep.log"),
        ("-g .hidden", ""),
        ("-t rust -g !src/**", "a.rs vendor/v.rs work/w.rs"),
        ("--hidden", with_hidden.as_str()),
        ("--no-ignore", with_ignored.as_str()),
        ("--hidden --no-ignore", with_both.as_str()),
        ("--hidden --no-ignore -g .git/** -g config -g HEAD", ""),
        (". src ./src/a.rs src", all),
        ("build out.log .hidden .dir", ".dir/x .hidden build/x out.log"),
        ("sub -g *.tmp", "sub/own.tmp"),
    ];
    for (words, want) in claims {
        let root = tree(PROJECT);
        let words: Vec<&str> =
            ["--no-sync", "-q", "old", "new"].into_iter().chain(words.split_whitespace()).collect();
        let output = replace(&root, &words);
        let mut want: Vec<&str> = want.split_whitespace().collect();
        want.sort_unstable();
        assert_eq!(changed(root.path()), want, "{words:?}: {}", stderr(&output));
        assert_eq!(code(&output), i32::from(want.is_empty()), "{words:?}");
        let there: Vec<String> = files(root.path(), &|_| ()).into_keys().collect();
        assert_eq!(there, PROJECT.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{words:?}");
    }
}

#[test]
fn what_a_file_holds_and_not_its_name_says_whether_it_is_text() {
    let root = tree(&[
        ("text.png", b"old"),
        ("text.zip", b"old"),
        ("header.pdf", b"%PDF-1.4\nold\n"),
        ("colour.log", b"\x1b[31mold\x1b[0m"),
        ("latin.txt", b"\xE9 old"),
        ("late.txt", &[&b"old\n".repeat(5000)[..], b"\0"].concat()),
        ("program.rs", b"\x7fELF\x02\x01\x01\0old"),
        ("archive.md", b"PK\x03\x04\0old"),
        ("first.csv", b"\0old"),
    ]);
    let before = files(root.path(), &|path| fs::read(path).unwrap());

    let output = replace(&root, &["-v", "old", "new"]);

    let text = ["colour.log", "header.pdf", "latin.txt", "text.png", "text.zip"];
    let want: String = text.iter().map(|name| format!("{name}: 1 replacement\n")).collect();
    assert_eq!((stdout(&output), code(&output)), (want, 0));
    for (name, bytes) in files(root.path(), &|path| fs::read(path).unwrap()) {
        let is_text = text.contains(&name.as_str());
        assert_eq!(bytes != before[&name], is_text, "{name}");
        let line = format!("silkmill: passed over \"{name}\": binary\n");
        assert_eq!(stderr(&output).contains(&line), !is_text, "{name}: {}", stderr(&output));
    }
}

#[test]
fn a_name_may_be_anything() {
    let strange =
        [" ", "a b", "-x", "*", "a\nb", "{a,b}", "$HOME", "\\", "[a]", "~", "'\"", "日本 é", "#a"];
    let named: Vec<(&str, &[u8])> = strange.iter().map(|name| (*name, &b"old"[..])).collect();
    let mut want: Vec<&str> = strange.to_vec();
    want.sort_unstable();

    let root = tree(&named);
    assert_eq!(code(&replace(&root, &["--no-sync", "old", "new"])), 0);
    assert_eq!(changed(root.path()), want);

    let root = tree(&named);
    write(root.path(), &[("a", b"old"), ("x", b"old")]);
    assert_eq!(code(&replace(&root, &[&["old", "new", "--"], &strange[..]].concat())), 0);
    assert_eq!(changed(root.path()), want);
}

#[test]
fn pipes_sockets_and_devices_are_passed_over_without_waiting() {
    let root = tree(&[("a", b"old")]);
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, root.path().join("pipe"), FileType::Fifo, mode, 0).unwrap();
    let _socket = UnixListener::bind(root.path().join("socket")).unwrap();
    symlink("pipe", root.path().join("link")).unwrap();
    let without_hanging = |words: &[&str]| {
        let mut run = command(&root, words);
        let mut child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait(&mut child);
        child.wait_with_output().unwrap()
    };

    let output = without_hanging(&["old", "new"]);
    assert_eq!((stdout(&output), code(&output)), ("a: 1 replacement\n".into(), 0));

    let named = ["pipe", "socket", "link", "/dev/null"];
    let output = without_hanging(&[&["-v", "new", "old", "a"], &named[..]].concat());
    assert_eq!((stdout(&output), code(&output)), ("a: 1 replacement\n".into(), 0));
    for name in named {
        let want = format!("silkmill: passed over \"{name}\": not a regular file\n");
        assert!(stderr(&output).contains(&want), "{}", stderr(&output));
    }
    assert_eq!(code(&without_hanging(&["old", "new", "pipe"])), 1);
    assert_eq!(names(&root), ["a", "link", "pipe", "socket"]);
}

#[test]
fn links_are_followed_when_they_are_named_and_stay_links() {
    let outside = tree(&[("file", b"old"), ("dir/file", b"old")]);
    let make = || {
        let root = tree(&[("deep/real", b"old")]);
        for (to, name) in [
            ("real", "deep/relative"),
            ("../deep/relative", "deep/chain"),
            (outside.path().join("file").to_str().unwrap(), "absolute"),
            (outside.path().join("dir").to_str().unwrap(), "dir"),
            ("nowhere", "dangling"),
            ("loop", "loop"),
        ] {
            symlink(to, root.path().join(name)).unwrap();
        }
        root
    };
    let in_all = |root: &TempDir| {
        let all = ["deep/real", "file", "dir/file"];
        all.map(|name| read(if name == "deep/real" { root } else { &outside }, name))
    };

    // A walk does not follow links, wherever they lead.
    let root = make();
    let output = replace(&root, &["old", "new"]);
    assert_eq!((stdout(&output), code(&output)), ("deep/real: 1 replacement\n".into(), 0));
    assert_eq!(in_all(&root), ["new", "old", "old"]);

    let root = make();
    let output = replace(&root, &["old", "new", "deep/chain", "deep/relative", "absolute", "dir"]);
    let want = "deep/chain: 1 replacement\nabsolute: 1 replacement\ndir/file: 1 replacement\n";
    assert_eq!((stdout(&output), code(&output)), (want.into(), 0), "{}", stderr(&output));
    assert_eq!(in_all(&root), ["new", "new", "new"]);
    for name in ["deep/relative", "deep/chain", "absolute", "dir", "dangling", "loop"] {
        assert!(root.path().join(name).is_symlink(), "{name}");
    }

    let output = replace(&root, &["new", "old", "dangling", "deep/real"]);
    assert_eq!((stdout(&output), code(&output)), ("deep/real: 1 replacement\n".into(), 2));
    let want = "failed to find \"dangling\": no such file or directory";
    assert!(stderr(&output).contains(want), "{}", stderr(&output));
}

#[test]
fn a_file_counts_once_however_often_and_by_whatever_path_it_was_named() {
    let root = tree(&[("a", b"old"), ("sub/b", b"none"), ("sub/c", b"old")]);
    symlink("a", root.path().join("link")).unwrap();
    for (paths, want) in [
        (&["a", "./a", "sub/../a", "link"][..], "1 replacement in 1 file of 1"),
        (&["sub/b", "sub/b"], "no match in 1 file"),
        (&[".", "a", "sub", "sub/b"], "2 replacements in 2 files of 3"),
        (&[".", "."], "2 replacements in 2 files of 3"),
        (&["nowhere", "nowhere"], "nothing replaced in 1 file, 1 failed"),
    ] {
        for dry_run in [true, false] {
            let words: &[&str] = if dry_run { &["-n"] } else { &["--no-sync"] };
            let output = replace(&root, &[words, &["old", "old!"], paths].concat());
            let (said, would) = (stderr(&output), if dry_run { "would make " } else { "" });
            let want = if want.contains("of") { format!("{would}{want}") } else { want.to_owned() };
            let last = said.lines().last().unwrap();
            assert_eq!(last.split(';').next().unwrap(), want, "{paths:?}");
        }
    }
}

#[test]
fn a_second_name_shows_the_new_text_unless_told_otherwise() {
    let claims = [
        ("keep", 0, ["new", "new", "new"]),
        ("split", 0, ["new", "old", "new"]),
        ("refuse", 2, ["old", "old", "new"]),
    ];
    for (policy, want_code, want) in claims {
        let root = tree(&[("a", b"old"), ("c", b"old")]);
        fs::hard_link(root.path().join("a"), root.path().join("b")).unwrap();
        let output = replace(&root, &["--hard-links", policy, "old", "new", "a", "c"]);
        assert_eq!(["a", "b", "c"].map(|name| read(&root, name)), want, "{policy}");
        assert_eq!(code(&output), want_code, "{policy}: {}", stderr(&output));
    }
}

#[test]
fn a_file_of_many_names_is_told_of_by_the_first() {
    let names: Vec<String> = (0..50).map(|number| format!("{}/{number:02}", number % 5)).collect();
    let root = tree(&[("0/00", b"old")]);
    for name in &names[1..] {
        fs::create_dir_all(root.path().join(&name[..1])).unwrap();
        fs::hard_link(root.path().join("0/00"), root.path().join(name)).unwrap();
    }
    for (old, new) in [("old", "new"), ("new", "old"), ("old", "new"), ("new", "old")] {
        let output = replace(&root, &["--no-sync", old, new]);
        assert_eq!(stdout(&output), "0/00: 1 replacement\n");
    }
    let output = replace(&root, &["--no-sync", "old", "new", "4", "3/43", "0"]);
    assert_eq!(stdout(&output), "4/04: 1 replacement\n");
}

#[test]
fn every_name_that_is_found_is_split_and_an_undo_joins_them_again() {
    let state = tempfile::tempdir().unwrap();
    let root = tree(&[("a", b"old"), ("sub/b", b"none")]);
    let names = ["a", "sub/c", "sub/d"];
    for name in &names[1..] {
        fs::hard_link(root.path().join("a"), root.path().join(name)).unwrap();
    }
    symlink("a", root.path().join("link")).unwrap();
    let now = || {
        names.map(|name| (read(&root, name), fs::metadata(root.path().join(name)).unwrap().ino()))
    };
    let before = now();

    // A name is found only once, by whatever path.
    let paths = [".", "./a", "sub/../a", "link"];
    let words = [&["replace", "--hard-links", "split", "old", "new"], &paths[..]].concat();
    run(&root, &state, &words);

    let [(a, one), (b, two), (c, three)] = now();
    assert_eq!([&*a, &*b, &*c], ["new"; 3]);
    assert!(one != two && two != three && one != three);
    run(&root, &state, &["undo", "-q"]);
    assert!(now() == before);
}

/// Everything that would show that a file was written, or replaced by another.
fn identity(path: &Path) -> impl PartialEq + Debug + use<> {
    let of = fs::metadata(path).unwrap();
    (of.ino(), of.mode(), [of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()])
}

#[test]
fn a_file_without_a_match_is_not_touched() {
    let root =
        tree(&[("hit", b"old"), ("miss", b"text"), ("empty", b""), ("sub/binary", b"old\0")]);
    let seen = |root: &TempDir| (identity(root.path()), files(root.path(), &identity));
    let before = seen(&root);

    for (words, want) in [
        (&["none", "new"][..], 1),
        (&["old", "old"], 1),
        (&["-n", "old", "new"], 0),
        (&["--expect", "9", "old", "new"], 2),
        (&["-e", "(", "new"], 2),
    ] {
        assert_eq!(code(&replace(&root, words)), want, "{words:?}");
        assert_eq!(seen(&root), before, "{words:?}");
    }
    assert_eq!(code(&replace(&root, &["old", "new", ".", "miss", "empty", "sub/binary"])), 0);
    let (mut before, mut after) = (before.1, seen(&root).1);
    assert_ne!(before.remove("hit"), after.remove("hit"));
    assert_eq!(before, after);
}

#[test]
fn every_bit_of_a_mode_survives_a_run_and_its_undo() {
    let state = tempfile::tempdir().unwrap();
    for mode in [0o4755, 0o2755, 0o6711, 0o1644, 0o777, 0o600, 0o444] {
        let root = tree(&[("a", b"old")]);
        let path = root.path().join("a");
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let now = || (read(&root, "a"), fs::metadata(&path).unwrap().mode() & 0o7777);
        if now().1 != mode {
            println!("skipped: mode {mode:o} cannot be had here");
            continue;
        }
        run(&root, &state, &["replace", "old", "new"]);
        assert_eq!(now(), ("new".into(), mode), "{mode:o}");
        run(&root, &state, &["undo"]);
        assert_eq!(now(), ("old".into(), mode), "{mode:o}");
    }
}

/// Runs the command with a store of its own, so that an undo undoes no other run.
fn run(root: &TempDir, state: &TempDir, words: &[&str]) -> Output {
    let mut command = silkmill();
    command.args(words).current_dir(root).env("XDG_STATE_HOME", state.path());
    let output = command.output().unwrap();
    assert_eq!(code(&output), 0, "{words:?}: {}", stderr(&output));
    output
}

#[test]
fn pairs_change_places_in_one_pass_and_an_undo_brings_the_old_bytes_back() {
    let claims: &[(&str, &[&str], &str, &str, usize)] = &[
        ("a\tb\nb\ta\n", &[], "a b ab ba aab", "b a ba ab bba", 9),
        ("a\tb\nb\tc\nc\ta\n", &[], "abcabc", "bcabca", 6),
        ("é\tè\nè\té\n", &[], "éèé\r\n", "èéè\r\n", 3),
        ("foo\tfoofoo\nfoofoo\tfoo\n", &[], "foo foofoo foofoofoo", "foofoo foo foofoofoo", 4),
        ("foo\t1\nfoobar\t2\nbar\t3\n", &[], "foobar foo bar foobarbar", "2 1 3 23", 5),
        ("foobar\t2\nbar\t3\nfoo\t1\n", &[], "foobar foo bar foobarbar", "2 1 3 23", 5),
        ("ab\t1\nbc\t2\n", &[], "abc bc abcbc", "1c 2 1c2", 4),
        ("a\t$1\n$1\t\n", &[], "a$1", "$1", 2),
        ("cat\tdog\ndog\tcat\n", &["-w"], "cat dogs dog", "dog dogs cat", 2),
        ("cat\tdog\ndog\tcat\n", &["-P"], "cat Dog CAT", "dog Cat DOG", 3),
        ("cat\tdog\ndog\tcat\n", &["-i"], "cat Dog CAT", "dog cat dog", 3),
        ("a\tb\nb\ta\n", &["--max-count", "2"], "aab", "bbb", 2),
        ("(\\w+)=(\\w+)\t$2=$1\n(\\w+):\t${1} -\n", &["-e"], "a=b c: d=e:", "b=a c - e=d:", 3),
    ];
    let state = tempfile::tempdir().unwrap();
    for (pairs, words, before, after, count) in claims {
        let root = tree(&[("p.tsv", pairs.as_bytes()), ("a", before.as_bytes()), ("b", b"-")]);
        let words = [&["replace", "--no-sync", "--pairs", "p.tsv", "a", "b"], *words].concat();

        let output = run(&root, &state, &words);
        assert_eq!(stdout(&output), format!("a: {count} replacements\n"), "{pairs:?}");
        assert_eq!(read(&root, "a"), *after, "{pairs:?}");

        assert_eq!(stdout(&run(&root, &state, &["undo", "--no-sync"])), "a\n");
        assert_eq!(read(&root, "a"), *before, "{pairs:?}");
        assert_eq!(names(&root), ["a", "b", "p.tsv"]);
    }
}

#[test]
fn a_file_changes_once_though_the_new_text_holds_the_old() {
    let names: Vec<String> = (0..300).map(|number| format!("{}/{number}", number % 7)).collect();
    let all: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b"foo"[..])).collect();
    let root = tree(&all);

    let output = replace(&root, &["--no-sync", "--hidden", "--no-ignore", "foo", "foofoo"]);

    assert_eq!(stdout(&output).lines().count(), 300);
    let after = files(root.path(), &|path| fs::read_to_string(path).unwrap());
    assert!(after.len() == 300 && after.values().all(|text| text == "foofoo"), "{after:?}");
}

#[test]
fn what_may_not_be_read_is_named_and_the_others_change() {
    let root = tree(&[
        ("tree/good", b"old"),
        ("tree/locked", b"old"),
        ("tree/secret", b"old"),
        ("tree/shut/file", b"old"),
    ]);
    let at = root.path().join("tree");
    let mut program = Command::new(env!("CARGO_BIN_EXE_silkmill"));
    if fs::metadata(&at).unwrap().uid() == 0 {
        // Root may read everything, and the unprivileged user may not reach the program where it is
        // built.
        let copy = root.path().join("silkmill");
        // Another process copies the program: a program that is still open for writing cannot be
        // run, and another test that starts a process at this moment would hold it open.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_silkmill")).arg(&copy).status();
        assert!(copied.unwrap().success());
        program = Command::new(copy);
        program.uid(65534).gid(65534);
        for name in ["good", "locked", "secret", "shut/file"] {
            chown(at.join(name), Some(65534), Some(65534)).unwrap();
        }
    }
    let set =
        |name, mode| fs::set_permissions(root.path().join(name), Permissions::from_mode(mode));
    for (name, mode) in
        [("", 0o777), ("tree", 0o777), ("tree/locked", 0o444), ("tree/secret", 0), ("tree/shut", 0)]
    {
        set(name, mode).unwrap();
    }
    program.current_dir(&at).env("XDG_STATE_HOME", root.path().join("state"));

    let output = program.args(["replace", "old", "new", ".", "missing"]).output().unwrap();

    set("tree/shut", 0o755).unwrap();
    set("tree/secret", 0o644).unwrap();
    let want = "good: 1 replacement\nlocked: 1 replacement\n";
    assert_eq!((stdout(&output), code(&output)), (want.into(), 2), "{}", stderr(&output));
    for want in [
        "silkmill: failed to read \"secret\": permission denied\n",
        "silkmill: failed to read \"shut\": permission denied\n",
        "silkmill: failed to find \"missing\": no such file or directory\n",
        "2 replacements in 2 files of 5, 3 failed; undo with: silkmill undo\n",
    ] {
        assert!(stderr(&output).contains(want), "{}", stderr(&output));
    }
    assert_eq!(changed(&at), ["good", "locked"]);
    assert_eq!(fs::metadata(at.join("locked")).unwrap().mode() & 0o777, 0o444);
}
