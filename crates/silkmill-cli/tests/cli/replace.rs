//! `silkmill replace`: its arguments, which files it changes, and its exit codes.

mod fancy;
mod follow;
mod printed;
mod rename;
mod selection;
mod signals;
pub(crate) mod terminal;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::sandbox::{
    command, is_installed, names, read, records, replace, shell, stderr, stdout, tree, write,
};
use crate::{HANG_AFTER, interrupt, state};

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

    let output = replace(&root, &[r"a\nb", "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).ends_with("a line end is written -e -U '\\n'\n"),
        "{}",
        stderr(&output)
    );

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
        (&["-e", r"old\R", "new"], "-U"),
        (&["-e", "old(?!er)", "new"], "without --fancy: look-around"),
        (&["-e", r"(o)\1", "new"], "without --fancy: backreferences are not supported"),
        (&["-e", r"o\Kld", "new"], "without --fancy: unrecognized escape sequence"),
        (&["--fancy", "-P", "old", "new"], "use -P without -e and --fancy"),
        (&["--fancy", "(old", "new"], "OLD is not a valid regex: "),
        (&["--fancy", r"old(?!\n)", "new"], "-U"),
        (&["--fancy", "(?<n>o)", "$m"], "OLD has no group `m`"),
        (&["-e", "[:digit:]+", "#"], "`[:digit:]` is a set of letters; write `[[:digit:]]`"),
        (&["-e", "-U", r"[\R]", "new"], "a class cannot hold it"),
        (&["-g", "a{", "old", "new"], "the glob \"a{\""),
        (&["-t", "nosuch", "old", "new"], "the file type \"nosuch\""),
        (&["--nosuch", "old", "new"], "--nosuch"),
        (&["-t", "rs", "old", "new"], "unknown; near ones are rust"),
        (&["--exclude", "b", "old", "new"], "there is no --exclude: write -g '!b'"),
        (&["--max-count", "0", "old", "new"], "at least 1 match is replaced"),
        (
            &["old", "./a"],
            "NEW is \"./a\", which is a path, and no PATH is given: write OLD NEW ./a",
        ),
        (&["-old", "new"], "'-- -o"),
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
        (&["-P", "http_server", "web_host"], "HTTPServer HTTPSERVER", "WebHost WEBHOST"),
        (&["-P", "user_id", "account_key"], "getUserID userID", "getAccountKey accountKey"),
        (
            &["-P", "-i", "bad_job", "good_job"],
            "BADJOB badjob Badjob BAD_job getBadJOB",
            "GOODJOB goodjob Goodjob GOOD_job getGoodJob",
        ),
        (&["-e", "[[:digit:]]+", "#"], "digit 12", "digit #"),
        (&["-e", r"(\w+)", r"\u$1"], "ßa ﬁn", "Ssa Fin"),
        (&["-e", ";", r";\n"], "a;b\r\nc;d\n", "a;\r\nb\r\nc;\nd\n"),
        (&["-e", ";", r";\x0A"], "a;b\r\n", "a;\nb\r\n"),
        (&["-e", ";", r"\n"], "a\r\nb;c", "a\r\nb\r\nc"),
        (&["-e", "-U", r"^drop.*\n", ""], "a\r\ndrop b\r\nc\r\n", "a\r\nc\r\n"),
        (&["-e", "-U", r"^drop[^\n]*\n", ""], "a\ndrop b\nc\r\n", "a\nc\r\n"),
        (&["-e", "-U", r"a\nb", r"b\na"], "a\r\nb\r\n", "b\r\na\r\n"),
        (&["-e", "-U", r"\R", "|"], "a\r\nb\rc\nd", "a|b|c|d"),
        (&["-e", "-U", r"\R{2,}", r"\n"], "a\r\n\r\n\r\nb", "a\r\nb"),
        (&["-e", "-U", r"\n", r"\r\n"], "a\nb\r\n", "a\r\nb\r\n"),
        (&["-e", "-U", r"\n", r"\x0A"], "a\r\nb\n", "a\nb\n"),
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
        (
            "p.tsv",
            b"cat\tdog\nCAT\tDOG\n",
            &["-i"],
            "p.tsv, line 2: \"CAT\" matches the same as \"cat\" of p.tsv, line 1",
        ),
        ("p.csv", "\u{e9}t\u{e9},x\n\u{c9}T\u{c9},y\n".as_bytes(), &["-i"], "p.csv, line 2"),
        ("p.tsv", "k\tx\n\u{212a}\ty\n".as_bytes(), &["-i", "-P"], "p.tsv, line 2"),
        ("p.json", br#"{"c.t": "x", "C.T": "y"}"#, &["-e", "-i"], "pair 2: \"C.T\" matches"),
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
    // Even root cannot read this directory: the names in it would be too long for any system call.
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

/// Runs a program so that the first write of every thread fails as on a full disk. The thread that
/// prints is the one that does not stage.
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
    // The line that names the file was the first write of the other thread.
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
        assert!(started.elapsed() < HANG_AFTER, "nothing was staged");
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
