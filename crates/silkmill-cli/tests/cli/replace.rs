//! `silkmill replace`: exit codes, words, records, diffs.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{interrupt, silkmill, state};

/// How long a test waits for what happens within milliseconds, before it calls it a hang.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn tree(files: &[(&str, &[u8])]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), files);
    root
}

pub(crate) fn write(root: &Path, files: &[(&str, &[u8])]) {
    for (name, bytes) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

pub(crate) fn command(root: &TempDir, words: &[&str]) -> Command {
    let mut command = silkmill();
    command.arg("replace").args(words).current_dir(root).env_remove("NO_COLOR");
    command
}

pub(crate) fn replace(root: &TempDir, words: &[&str]) -> Output {
    command(root, words).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn records(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn read(root: &TempDir, name: &str) -> String {
    fs::read_to_string(root.path().join(name)).unwrap()
}

pub(crate) fn names(root: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(root).unwrap().map(Result::unwrap);
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

/// Whether a program is there. Where tests must not be skipped, one that is missing is a failure.
pub(crate) fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    assert!(
        found || std::env::var_os("SILKMILL_REQUIRE").is_none_or(|value| value != "1"),
        "{program} is not installed"
    );
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

#[test]
fn what_changed_is_listed_and_counted() {
    let root = tree(&[("a", b"old old"), ("sub/b", b"old"), ("c", b"")]);

    let output = replace(&root, &["old", "new"]);

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), "a: 2 replacements\nsub/b: 1 replacement\n");
    assert_eq!(stderr(&output), "3 replacements in 2 files of 3; undo with: silkmill undo\n");
    assert_eq!((read(&root, "a"), read(&root, "sub/b")), ("new new".into(), "new".into()));
}

#[test]
fn nothing_found_is_exit_1() {
    let root = tree(&[("a", b"text")]);

    let output = replace(&root, &["old", "new"]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()));
    assert_eq!(stderr(&output), "no match in 1 file\n");

    let output = replace(&root, &["text", "text"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("OLD and NEW are the same"), "{}", stderr(&output));
}

#[test]
fn a_path_that_is_not_there_is_named_and_the_others_change() {
    let root = tree(&[("a", b"old")]);

    let output = replace(&root, &["old", "new", "no", "a"]);

    assert_eq!(output.status.code(), Some(2));
    let errors = stderr(&output);
    assert!(
        errors.starts_with("silkmill: failed to find \"no\": no such file or directory\n"),
        "{errors}"
    );
    assert_eq!(read(&root, "a"), "new");
}

#[test]
fn words_that_cannot_be_understood_are_exit_2_and_change_nothing() {
    let root = tree(&[("a", b"old")]);
    let claims: &[(&[&str], &str)] = &[
        (&["", "new"], "OLD is empty"),
        (&["-e", "(old", "new"], "OLD is not a valid regex: unclosed group\n    (old\n    ^\n"),
        (&["-e", "o(l)d", "$1foo"], "write `${1}foo`\n    $1foo\n    ^\n"),
        (&["-e", "old\\n", "new"], "-U"),
        (&["-g", "a{", "old", "new"], "the glob \"a{\""),
        (&["-t", "nosuch", "old", "new"], "the file type \"nosuch\""),
        (&["--nosuch", "old", "new"], "--nosuch"),
        (&["-j", "0", "old", "new"], "--workers"),
        (&["old"], "<NEW>"),
        (&["--expect", "2", "old", "new"], "expected 2 replacements, found 1: nothing was changed"),
        (&["--strict", "old", "new", ".", "no"], "1 path failed: nothing was changed"),
    ];
    for (words, want) in claims {
        let output = replace(&root, words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(stderr(&output).contains(want), "{words:?}: {}", stderr(&output));
    }
    assert_eq!((read(&root, "a"), names(&root)), ("old".into(), vec!["a".into()]));
}

#[test]
fn options_reach_the_search() {
    let claims: &[(&[&str], &str, &str)] = &[
        (&["-e", r"(\w+)@(\w+)", "$2 at ${1}x"], "me@home", "home at mex"),
        (&["-i", "straße", "x"], "STRASSE Straße", "STRASSE x"),
        (&["-S", "old", "new"], "old Old", "new new"),
        (&["-S", "Old", "new"], "old Old", "old new"),
        (&["-w", "old", "new"], "old older", "new older"),
        (&["-e", "^", "> "], "a\r\nb\r\n", "> a\r\n> b\r\n"),
        (&["-e", "-U", "^", "> "], "a\nb\n", "> a\n> b\n"),
        (&["-e", "-U", "$", "!"], "a\nb\n", "a!\nb!\n"),
        (&["-e", "-U", "^$", "-"], "a\n\nb\n", "a\n-\nb\n"),
        (&["-e", "-U", r"\r\n", r"\n"], "a\r\nb\r\n", "a\nb\n"),
        (&["-e", r"(\w)(\w*)", r"\U$1\E$2"], "old é", "Old É"),
        (&["--max-count", "1", "o", "0"], "oo", "0o"),
        (&["--", "-old", "-new"], "-old", "-new"),
        (
            &["-P", "old_id", "new_id"],
            "old_id OldId OLD_ID old-id Old id",
            "new_id NewId NEW_ID new-id New id",
        ),
    ];
    for (words, before, after) in claims {
        let root = tree(&[("a", before.as_bytes())]);
        let output = replace(&root, words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
        assert_eq!(&read(&root, "a"), after, "{words:?}");
    }
}

#[test]
fn pairs_come_from_a_file_and_every_word_is_a_path() {
    let claims: &[(&str, &[u8], &[&str], &str)] = &[
        ("p.tsv", b"left\tright\nright\tleft\n", &[], "right left Left"),
        ("p.tsv", b"left\tright\nright\tleft\n", &["-i"], "right left right"),
        ("p.csv", b"\"left right\",\"one, two\"\nleft,x\n", &[], "one, two Left"),
        ("p.json", br#"{"left": "up", "[rR]ight": "$0"}"#, &[], "up right Left"),
        ("p.json", br#"[["(l)eft", "${1}it"], ["r\\w+", "\\U$0"]]"#, &["-e"], "lit RIGHT Left"),
        ("p.tsv", b"left\tup_there\n", &["-P"], "up_there right UpThere"),
    ];
    for (name, pairs, words, want) in claims {
        let root =
            tree(&[(name, pairs), ("a", b"left right Left"), ("b", b"left"), ("c", b"left")]);
        let output = replace(&root, &[words, &["--pairs", name, "a", "b"][..]].concat());
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
        assert_eq!((read(&root, "a").as_str(), read(&root, "c").as_str()), (*want, "left"));
        assert_eq!(fs::read(root.path().join(name)).unwrap(), *pairs);
    }
}

#[test]
fn a_thousand_pairs_take_one_pass() {
    let pairs: String = (0..1000).map(|n| format!("<{n}>\t<{}>\n", (n + 1) % 1000)).collect();
    let text: String = (0..1000).map(|n| format!("<{n}>")).collect();
    let want: String = (0..1000).map(|n| format!("<{}>", (n + 1) % 1000)).collect();
    let root = tree(&[("p.tsv", pairs.as_bytes()), ("a", text.as_bytes())]);

    let output = replace(&root, &["--pairs", "p.tsv", "a"]);

    assert_eq!(stdout(&output), "a: 1000 replacements\n");
    assert_eq!(read(&root, "a"), want);
}

#[test]
fn a_file_of_pairs_that_is_none_is_exit_2_and_names_the_line() {
    let claims: &[(&str, &[u8], &[&str], &str)] = &[
        ("p.tsv", b"a\tb\na\tc\n", &[], "p.tsv\": line 2: \"a\" stands in line 1 already"),
        ("p.csv", b"a,b\n,c\n", &[], "p.csv\": line 2: OLD is empty"),
        ("p.csv", b"a,b\nc\n", &[], "p.csv\": line 2: there is one column"),
        ("p.json", b"{\n\"a\": 1}", &[], "p.json\": line 2: invalid type"),
        ("p.tsv", b"\xFF\xFEa\0", &[], "p.tsv\": it is UTF-16"),
        ("p.tsv", b"a\tb\n\xE9\tb\n", &[], "p.tsv\": line 2: it is not UTF-8"),
        ("p.txt", b"a\tb\n", &[], "\"p.txt\" is no .tsv, .csv or .json"),
        (
            "p.tsv",
            b"a\tb\n(\tc\n",
            &["-e"],
            "p.tsv, line 2: OLD is not a valid regex: unclosed group",
        ),
        ("p.tsv", b"a\tb\n(c)\t$1x\n", &["-e"], "p.tsv, line 2: NEW is not a valid replacement"),
        ("p.tsv", b"a\tb\n", &["-e", "-P"], "--preserve-case"),
    ];
    for (name, pairs, words, want) in claims {
        let root = tree(&[(name, pairs), ("a", b"a")]);
        let output = replace(&root, &[words, &["--pairs", name][..]].concat());
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(stderr(&output).contains(want), "{}", stderr(&output));
        assert_eq!(read(&root, "a"), "a");
    }
    let output = replace(&tree(&[]), &["--pairs", "no.tsv"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output), "silkmill: failed to read \"no.tsv\": no such file or directory\n");
}

#[test]
fn files_come_from_a_list() {
    let files: &[(&str, &[u8])] =
        &[("a", b"old"), ("new\nline", b"old"), ("sub/c", b"old"), (".d", b"old"), ("e", b"old")];
    let claims: &[(&str, &str, &[&str])] = &[
        ("printf 'a\n\nsub\n.d' |", "--files-from -", &[".d", "a", "sub/c"]),
        ("printf 'new\nline\\0a\\0' |", "--files-from - -0", &["a", "new\nline"]),
        ("printf 'a\n' >/tmp/$$.list;", "--files-from /tmp/$$.list", &["a"]),
        ("printf 'a\nsub\n' |", "--files-from - -g 'c'", &["sub/c"]),
        ("printf '' |", "--files-from -", &[]),
        ("printf 'sub\n' |", "--files-from - --pairs p.tsv a", &["a", "sub/c"]),
    ];
    for (before, words, want) in claims {
        let root = tree(files);
        let pairs = words.contains("--pairs");
        write(root.path(), &[("p.tsv", b"old\tnew\n")]);
        let texts = if pairs { "" } else { "old new" };
        let output = shell(
            &root,
            &format!(
                "{before} \"$0\" replace {words} {texts}; code=$?; rm -f /tmp/$$.list; exit $code"
            ),
        );
        let mut changed: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        changed.retain(|name| read(&root, name) == "new");
        changed.sort_unstable();
        assert_eq!(&changed, want, "{words}: {}", stderr(&output));
        assert_eq!(output.status.code(), Some(if want.is_empty() { 1 } else { 0 }));
    }
    let output = replace(&tree(&[]), &["old", "new", "--files-from", "no"]);
    assert_eq!(stderr(&output), "silkmill: failed to read \"no\": no such file or directory\n");
}

#[test]
fn options_choose_the_files() {
    let files: &[(&str, &[u8])] = &[
        ("a.rs", b"old"),
        ("b.py", b"old"),
        ("gen/c.rs", b"old"),
        (".hidden", b"old"),
        ("out.log", b"old"),
        (".gitignore", b"*.log\n"),
        (".git/config", b"old"),
    ];
    let claims: &[(&[&str], &[&str])] = &[
        (&[], &["a.rs", "b.py", "gen/c.rs"]),
        (&["-g", "*.rs", "-g", "!gen/*"], &["a.rs"]),
        (&["-g", "!gen/*", "-g", "*.rs"], &["a.rs"]),
        (&["-g", "*"], &["a.rs", "b.py", "gen/c.rs"]),
        (&["-g", "*", "-t", "py"], &["b.py"]),
        (&["-t", "py"], &["b.py"]),
        (&["--hidden"], &[".hidden", "a.rs", "b.py", "gen/c.rs"]),
        (&["--no-ignore"], &["a.rs", "b.py", "gen/c.rs", "out.log"]),
    ];
    for (words, want) in claims {
        let root = tree(files);
        let output = replace(&root, &[words, &["old", "new"][..]].concat());
        let changed: Vec<String> = stdout(&output)
            .lines()
            .map(|line| line.split(':').next().unwrap().to_owned())
            .collect();
        assert_eq!(&changed, want, "{words:?}");
        assert_eq!(read(&root, ".git/config"), "old");
    }
}

#[test]
fn globs_and_types_count_for_files_that_are_named() {
    let root = tree(&[("a.rs", b"old"), ("b.py", b"old"), (".c.py", b"old")]);

    let output =
        replace(&root, &["-n", "--json", "-t", "py", "old", "new", "a.rs", "b.py", ".c.py"]);

    let paths: Vec<Value> = records(&output).iter().map(|record| record["path"].clone()).collect();
    assert_eq!(paths[..2], [json!("b.py"), json!(".c.py")]);
}

#[test]
fn a_directory_that_cannot_be_read_is_named_once_and_as_every_path_is() {
    let root = tree(&[("a", b"old")]);
    // Even for whoever may read everything: a name below it would be too long for any system call.
    let mut deep = root.path().to_path_buf();
    let name = "d".repeat(200);
    let mut depth = 0;
    while deep.as_os_str().len() + name.len() < 4000 {
        deep.push(&name);
        depth += 1;
    }
    fs::create_dir_all(&deep).unwrap();
    let made = Command::new("sh")
        .args(["-c", &format!("cd -P . && mkdir -p {name}/{name}")])
        .current_dir(&deep)
        .status();
    assert!(made.unwrap().success());

    let output = replace(&root, &["--json", "old", "new", ".", root.path().to_str().unwrap()]);

    assert_eq!(output.status.code(), Some(2));
    let errors = stderr(&output);
    let failure = errors.lines().next().unwrap();
    assert!(failure.starts_with("silkmill: failed to read \""), "{failure}");
    assert!(failure.ends_with("\": file name too long"), "{failure}");
    assert!(failure.matches(&name).count() <= depth + 2, "{failure}");
    let failed = records(&output).into_iter().find(|record| record["action"] == "failed").unwrap();
    assert!(!failed["path"].as_str().unwrap().starts_with("./"));
}

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

/// Makes the same change by a run, and by a program that is given the dry run's diff.
fn applied_by(program: &str, apply: &[&str], words: &[&str]) {
    if !is_installed(program) {
        return;
    }
    let (changed, patched) = (tree(TRICKY), tree(TRICKY));
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
    let root =
        tree(&[("a", b"old\n"), ("b", &large), ("c", b"old\n"), ("d", &large), ("e", b"old\n")]);

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
    let root = tree(&[("real/a", b"old\n")]);
    std::os::unix::fs::symlink("real/a", root.path().join("link")).unwrap();

    let output = replace(&root, &["-n", "old", "new", "link"]);

    assert!(stdout(&output).starts_with("--- real/a\n"), "{}", stdout(&output));
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

/// Runs a shell's command line, in which `$0` is the program.
pub(crate) fn shell(root: &TempDir, line: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_silkmill");
    let mut shell = Command::new("sh");
    shell.args(["-c", line, program]).current_dir(root).env("XDG_STATE_HOME", state());
    shell.output().unwrap()
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
fn the_same_old_and_new_still_report_what_is_missing_or_unexpected() {
    let root = tree(&[("a", b"old")]);

    let output = replace(&root, &["old", "old", "a", "no"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).starts_with("silkmill: failed to find \"no\": "),
        "{}",
        stderr(&output)
    );
    let output = replace(&root, &["--expect", "1", "old", "old"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "silkmill: expected replacements, and OLD and NEW are the same: nothing was changed\n"
    );
    assert_eq!(replace(&root, &["--expect", "0", "old", "old"]).status.code(), Some(1));
}

#[test]
fn a_link_to_itself_and_a_directory_that_is_gone_are_errors() {
    let root = tree(&[]);
    std::os::unix::fs::symlink("self", root.path().join("self")).unwrap();

    let output = replace(&root, &["old", "new", "self"]);
    assert_eq!(output.status.code(), Some(2));
    let want = "silkmill: failed to find \"self\": too many levels of symbolic links\n";
    assert!(stderr(&output).starts_with(want), "{}", stderr(&output));
    let output = shell(&root, "mkdir gone && cd gone && rmdir ../gone && \"$0\" replace old new");
    assert_eq!(output.status.code(), Some(2));
    let want = "silkmill: failed to find \".\": no such file or directory\n";
    assert!(stderr(&output).starts_with(want), "{}", stderr(&output));
}

#[test]
fn a_file_beyond_the_size_asked_for_is_reported_and_left() {
    let root = tree(&[("large", &[b'x'; 2049]), ("small", &[b'x'; 2048])]);

    let output = replace(&root, &["--max-file-size", "2K", "x", "y"]);

    assert_eq!(output.status.code(), Some(2));
    let want = "silkmill: failed to edit \"large\": 2049 bytes, and at most 2048 fit\n";
    assert!(stderr(&output).starts_with(want), "{}", stderr(&output));
    assert!(read(&root, "large").starts_with('x') && read(&root, "small").starts_with('y'));
    assert_eq!(replace(&root, &["--max-file-size", "2X", "x", "y"]).status.code(), Some(2));
}

#[test]
fn a_file_that_outgrows_its_limit_is_a_failure_that_leaves_nothing_behind() {
    let root = tree(&[("large", &[b'x'; 9000]), ("small", b"x")]);

    let output = shell(&root, "ulimit -f 8; \"$0\" replace x y");

    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let want = "silkmill: failed to stage new text for \"large\": file too large\n";
    assert!(stderr(&output).starts_with(want), "{}", stderr(&output));
    assert_eq!(
        (names(&root), read(&root, "small")),
        (vec!["large".into(), "small".into()], "y".into())
    );
}

/// A program that makes the first write of every thread fail as on a full disk. The thread that prints
/// is the one that does not stage.
const FULL_DISK: &[&str] = &[
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    "trace=write",
    "-e",
    "inject=write:error=ENOSPC:when=1",
];

#[test]
fn a_full_disk_refuses_the_whole_run() {
    if !is_installed("strace") {
        return;
    }
    let root = tree(&[("a", b"old"), ("b", b"old"), ("c", b"old")]);

    let output = Command::new("strace")
        .args(FULL_DISK)
        .args([env!("CARGO_BIN_EXE_silkmill"), "replace", "-j", "2", "old", "new"])
        .env("XDG_STATE_HOME", state())
        .current_dir(&root)
        .output()
        .unwrap();

    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    // The line that names the file was the first that the other thread wrote.
    assert_eq!(stderr(&output), "silkmill: the disk is full: nothing was changed\n");
    assert_eq!(names(&root), ["a", "b", "c"]);
    assert!(["a", "b", "c"].iter().all(|name| read(&root, name) == "old"));
}

#[test]
fn an_interrupt_before_the_commit_changes_nothing() {
    // `a` is staged at once. `b` keeps its worker busy for long enough to interrupt the run: every
    // character of it is a match that is found only after looking at all that follow.
    let root = tree(&[("a", b"x\n"), ("b", &[b'A'; 50_000])]);
    let state = tempfile::tempdir().unwrap();
    let staged = || {
        let below = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
        let runs = below(state.path().join("silkmill")).flat_map(|run| below(run.path()));
        runs.flat_map(|lane| below(lane.path())).count()
    };
    let mut child = command(&root, &["--json", "-e", ".*[^A-Z]|[A-Z]", "_"])
        .env("XDG_STATE_HOME", state.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while staged() == 0 {
        assert!(started.elapsed() < PATIENCE, "nothing was staged");
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it was interrupted");
        std::thread::sleep(Duration::from_millis(1));
    }

    interrupt(&child);

    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_eq!(stderr(&output), "silkmill: interrupted: nothing was changed\n");
    let records = records(&output);
    assert_eq!((records.len(), &records[0]["type"]), (1, &json!("summary")));
    assert_eq!((&records[0]["files_changed"], &records[0]["replacements"]), (&json!(0), &json!(0)));
    assert_eq!((read(&root, "a"), names(&root)), ("x\n".into(), vec!["a".into(), "b".into()]));
    assert_eq!(staged(), 0);
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
