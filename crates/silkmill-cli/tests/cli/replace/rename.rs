//! `--rename` and `--rename-only`: names that change with the texts.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use tempfile::TempDir;

use crate::sandbox::{is_installed, records, stderr, stdout, tree};
use crate::silkmill;

/// Every path of a tree, with the text of a file, or what a link leads to.
type Paths = BTreeMap<PathBuf, String>;

fn paths(root: &Path) -> Paths {
    let mut found = Paths::new();
    add(root, root, &mut found);
    found
}

fn add(root: &Path, folder: &Path, found: &mut Paths) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = match fs::read_link(&path) {
            Ok(to) => format!("-> {}", to.display()),
            Err(_) if path.is_dir() => "/".to_owned(),
            Err(_) => fs::read_to_string(&path).unwrap(),
        };
        found.insert(path.strip_prefix(root).unwrap().to_path_buf(), text);
        if path.is_dir() && !path.is_symlink() {
            add(root, &path, found);
        }
    }
}

/// A tree, and a store of its own.
struct Sandbox {
    tree: TempDir,
    state: TempDir,
}

impl Sandbox {
    fn new(files: &[(&str, &[u8])]) -> Sandbox {
        Sandbox { tree: tree(files), state: tempfile::tempdir().unwrap() }
    }

    /// A tree in which everything has the word, at every depth.
    fn full() -> Sandbox {
        let sandbox = Sandbox::new(&[
            ("old_a/old_b/old_c.txt", b"old\n"),
            ("old_a/old_b/plain", b"old and old\n"),
            ("old_a/other", b"other\n"),
            ("old_a/.hidden_old", b"old\n"),
            ("plain/old.md", b"none\n"),
            ("x", b"old\n"),
            (".gitignore", b"*.log\n"),
            ("old_a/old.log", b"old\n"),
        ]);
        fs::create_dir(sandbox.tree.path().join(".git")).unwrap();
        fs::create_dir(sandbox.tree.path().join("old empty")).unwrap();
        symlink("x", sandbox.tree.path().join("link_old")).unwrap();
        sandbox
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = silkmill();
        command.args(words).current_dir(&self.tree).env("XDG_STATE_HOME", self.state.path());
        command.output().unwrap()
    }

    fn replace(&self, words: &[&str]) -> Output {
        self.run(&[&["replace"], words].concat())
    }

    fn paths(&self) -> Paths {
        paths(self.tree.path())
    }

    fn names(&self) -> Vec<String> {
        let paths = self.paths();
        let mut names: Vec<String> = paths.keys().map(|path| path.display().to_string()).collect();
        names.sort_unstable();
        names
    }
}

const FULL_RENAMED: [&str; 14] = [
    ".git",
    ".gitignore",
    "link_new",
    "new empty",
    "new_a",
    "new_a/.hidden_old",
    "new_a/new_b",
    "new_a/new_b/new_c.txt",
    "new_a/new_b/plain",
    "new_a/old.log",
    "new_a/other",
    "plain",
    "plain/new.md",
    "x",
];

#[test]
fn names_and_texts_change_together_and_come_back_together() {
    let sandbox = Sandbox::full();
    let before = sandbox.paths();

    let output = sandbox.replace(&["--rename", "old", "new"]);

    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(sandbox.names(), FULL_RENAMED);
    let after = sandbox.paths();
    assert_eq!(after[Path::new("new_a/new_b/new_c.txt")], "new\n");
    assert_eq!(after[Path::new("new_a/new_b/plain")], "new and new\n");
    assert_eq!(after[Path::new("new_a/old.log")], "old\n");
    let said = stdout(&output);
    assert!(said.contains("old_a/old_b/old_c.txt: 1 replacement\n"), "{said}");
    assert!(said.contains("\nold_a/old_b -> new_a/new_b: renamed\n"), "{said}");
    let want = "10 replacements in 3 files of 5 and in 6 names; undo with: silkmill undo\n";
    assert_eq!(stderr(&output), want);

    for (command, want) in [
        ("undo", &before),
        ("redo", &after),
        ("undo", &before),
        ("redo", &after),
        ("undo", &before),
    ] {
        let output = sandbox.run(&[command]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(&sandbox.paths(), want, "{}", stderr(&output));
    }
}

#[test]
fn renamed_files_that_were_written_anew_without_an_edit_are_put_back_and_changed_again() {
    let sandbox = Sandbox::full();
    let before = sandbox.paths();
    assert!(sandbox.replace(&["--rename", "old", "new"]).status.success());
    let after = sandbox.paths();
    let write_anew = |name: &str| {
        let path = sandbox.tree.path().join(name);
        let copy = path.with_extension("copy");
        fs::copy(&path, &copy).unwrap();
        fs::rename(&copy, &path).unwrap();
    };

    write_anew("new_a/new_b/new_c.txt");
    let undo = sandbox.run(&["undo"]);
    assert!(undo.status.success(), "{}", stderr(&undo));
    assert_eq!(sandbox.paths(), before);
    write_anew("old_a/old_b/old_c.txt");
    let redo = sandbox.run(&["redo"]);
    assert!(redo.status.success(), "{}", stderr(&redo));
    assert_eq!(sandbox.paths(), after);

    fs::write(sandbox.tree.path().join("new_a/new_b/new_c.txt"), "edited\n").unwrap();
    let edited = sandbox.paths();
    let undo = sandbox.run(&["undo"]);
    assert_eq!((undo.status.code(), sandbox.paths()), (Some(2), edited.clone()));
    assert!(stderr(&undo).contains("new_a/new_b/new_c.txt\" is not what"), "{}", stderr(&undo));
    for (words, want) in [(&["undo", "--force"][..], &before), (&["redo"], &edited)] {
        let output = sandbox.run(words);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(&sandbox.paths(), want);
    }
}

#[test]
fn a_renamed_file_that_is_gone_comes_back_with_its_old_name_and_goes_again() {
    let sandbox = Sandbox::new(&[("d_old/old", b"old"), ("other", b"old")]);
    let before = sandbox.paths();
    assert!(sandbox.replace(&["--rename", "old", "new"]).status.success());
    fs::remove_file(sandbox.tree.path().join("d_new/new")).unwrap();
    let after = sandbox.paths();
    assert_eq!((sandbox.run(&["undo"]).status.code(), sandbox.paths()), (Some(2), after.clone()));
    let steps = [
        (&["undo", "--force"][..], &before),
        (&["redo"], &after),
        (&["undo"], &before),
        (&["redo"], &after),
    ];
    for (words, want) in steps {
        let output = sandbox.run(words);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(&sandbox.paths(), want, "{words:?}");
    }
}

#[test]
fn a_run_is_found_from_the_directory_that_it_renamed() {
    let sandbox = Sandbox::new(&[("old/a", b"old"), ("old/d/b", b"none"), ("c/old", b"old")]);
    let before = sandbox.paths();
    assert!(sandbox.replace(&["--rename", "old", "new", "old"]).status.success());
    let after = sandbox.paths();
    let run_in = |directory: &str, word: &str| {
        let mut command = silkmill();
        command.arg(word).current_dir(sandbox.tree.path().join(directory));
        command.env("XDG_STATE_HOME", sandbox.state.path()).output().unwrap()
    };

    assert_eq!(run_in("c", "undo").status.code(), Some(2));
    let undo = run_in("new", "undo");
    assert!(undo.status.success(), "{}", stderr(&undo));
    assert_eq!(sandbox.paths(), before);
    let redo = run_in("old", "redo");
    assert!(redo.status.success(), "{}", stderr(&redo));
    assert_eq!(sandbox.paths(), after);
}

#[test]
fn names_alone_change_and_no_file_is_read() {
    let sandbox = Sandbox::full();
    let before = sandbox.paths();
    let inode = fs::metadata(sandbox.tree.path().join("old_a/old_b/old_c.txt")).unwrap().ino();

    let output = sandbox.replace(&["--rename-only", "old", "new"]);

    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(sandbox.names(), FULL_RENAMED);
    let file = sandbox.tree.path().join("new_a/new_b/new_c.txt");
    assert_eq!(fs::read_to_string(&file).unwrap(), "old\n");
    assert_eq!(fs::metadata(&file).unwrap().ino(), inode);
    assert!(stderr(&output).starts_with("6 replacements in 6 names of "), "{}", stderr(&output));
    assert!(sandbox.run(&["undo"]).status.success());
    assert_eq!(sandbox.paths(), before);
    assert_eq!(sandbox.replace(&["--rename-only", "nothing", "new"]).status.code(), Some(1));
}

#[test]
fn globs_types_and_ignore_files_hold_for_names() {
    let files: &[(&str, &[u8])] =
        &[("old.rs", b""), ("old.py", b""), ("old/old.rs", b""), ("gen/old.rs", b"")];
    for (words, want) in [
        (&["-g", "*.rs"][..], ["gen", "gen/new.rs", "new.rs", "old", "old.py", "old/new.rs"]),
        (&["-t", "py"], ["gen", "gen/old.rs", "new.py", "old", "old.rs", "old/old.rs"]),
        (&["-g", "!gen"], ["gen", "gen/old.rs", "new", "new.py", "new.rs", "new/new.rs"]),
        (&["old/old.rs"], ["gen", "gen/old.rs", "old", "old.py", "old.rs", "old/new.rs"]),
        (&["old"], ["gen", "gen/old.rs", "new", "new/new.rs", "old.py", "old.rs"]),
    ] {
        let sandbox = Sandbox::new(files);
        let words = match words {
            [path] => vec!["--rename-only", "old", "new", path],
            _ => [words, &["--rename-only", "old", "new"]].concat(),
        };
        let output = sandbox.replace(&words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
        assert_eq!(sandbox.names(), want, "{words:?}");
    }
}

#[test]
fn a_name_that_cannot_be_had_refuses_the_run_before_anything_happens() {
    let claims: &[(&[&str], &[&str], &str)] = &[
        (&["old", "new"], &["old", "new"], "\"new\" exists"),
        (&["old1", "old2"], &["-e", "[12]", ""], "would get the same name, \"old\""),
        (&["d/old", "d/sub/x"], &["old", "sub"], "\"d/sub\" exists"),
        (&["old"], &["old", ""], "the new name is empty"),
        (&["old"], &["old", ".."], "\"..\" is no name"),
        (&["a.old"], &["old", "x/y"], "\"a.x/y\" is no name"),
        (&["old"], &["-e", "old", &"n".repeat(256)], "the new name is too long"),
    ];
    for (files, words, want) in claims {
        let files: Vec<(&str, &[u8])> = files.iter().map(|name| (*name, &b"old 1"[..])).collect();
        let sandbox = Sandbox::new(&files);
        let before = sandbox.paths();
        for how in [&["--rename"][..], &["--rename-only"], &["--rename", "-n"]] {
            let output = sandbox.replace(&[how, *words].concat());
            assert_eq!(output.status.code(), Some(2), "{words:?}: {}", stdout(&output));
            assert!(stderr(&output).contains(want), "{words:?}: {}", stderr(&output));
            assert!(stderr(&output).contains("nothing was changed"), "{}", stderr(&output));
            assert_eq!(sandbox.paths(), before, "{words:?}");
        }
    }
}

#[test]
fn names_that_follow_each_other_and_differ_in_case_alone_are_no_collision() {
    let sandbox = Sandbox::new(&[("a1", b"1"), ("a11", b"11"), ("a111", b"111"), ("Old", b"")]);
    let before = sandbox.paths();

    let output = sandbox.replace(&["--rename-only", "-e", "^(a1+)|^Old", r"${1}1"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(sandbox.names(), ["1", "a11", "a111", "a1111"]);
    assert_eq!(sandbox.paths()[Path::new("a1111")], "111");
    let undo = sandbox.run(&["undo"]);
    assert!(undo.status.success(), "{}", stderr(&undo));
    assert_eq!(sandbox.paths(), before);

    let output = sandbox.replace(&["--rename", "Old", "OLD"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(sandbox.names(), ["OLD", "a1", "a11", "a111"]);
}

#[test]
fn a_dry_run_is_a_patch_that_git_applies() {
    if !is_installed("git") {
        return;
    }
    for words in [&["--rename", "old", "new"][..], &["--rename-only", "old", "new"]] {
        let (changed, patched) = (Sandbox::full(), Sandbox::full());
        for sandbox in [&changed, &patched] {
            let root = sandbox.tree.path();
            // A patch knows no empty directories.
            fs::remove_dir(root.join("old empty")).unwrap();
            fs::write(root.join("old_a/old q\"\u{e9}\n"), "old\n").unwrap();
        }
        let before = patched.paths();

        let dry = patched.replace(&[&["-n"], words].concat());

        assert_eq!(dry.status.code(), Some(0), "{}", stderr(&dry));
        assert_eq!(patched.paths(), before);
        assert!(stderr(&dry).starts_with("would make "), "{}", stderr(&dry));
        assert!(stdout(&dry).contains("\nrename from old_a/old_b/old_c.txt\n"), "{}", stdout(&dry));
        let patch = patched.state.path().join("patch");
        fs::write(&patch, &dry.stdout).unwrap();
        let mut git = Command::new("git");
        let applied = git.args(["apply", "-p0"]).arg(&patch).current_dir(&patched.tree).output();
        let applied = applied.unwrap();
        assert!(applied.status.success(), "{}{}", stderr(&applied), stdout(&dry));
        assert!(changed.replace(words).status.success());
        assert_eq!(patched.paths(), changed.paths(), "{}", stdout(&dry));
    }
}

#[test]
fn json_has_an_object_for_each_name() {
    let sandbox = Sandbox::new(&[("old/old", b"old")]);
    for (how, action) in [(&["-n"][..], "would-rename"), (&[], "renamed")] {
        let output = sandbox.replace(&[how, &["--json", "--rename", "old", "new"]].concat());
        let records = records(&output);
        assert_eq!(records.len(), 4, "{}", stdout(&output));
        let want = [("old/old", "new/new"), ("old", "new")].map(|(path, to)| {
            json!({"type": "rename", "path": path, "to": to, "action": action, "replacements": 1})
        });
        assert_eq!(records[1..3], want);
        assert_eq!((&records[3]["renamed"], &records[3]["replacements"]), (&json!(2), &json!(3)));
    }
}

#[test]
fn what_is_expected_includes_the_matches_in_names() {
    let sandbox = Sandbox::new(&[("old_old", b"old")]);
    let before = sandbox.paths();
    let output = sandbox.replace(&["--expect", "1", "--rename", "old", "new"]);
    assert_eq!((output.status.code(), sandbox.paths()), (Some(2), before));
    let output = sandbox.replace(&["--expect", "3", "--rename", "old", "new"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(sandbox.names(), ["new_new"]);
}

#[test]
fn an_undo_that_would_take_a_name_or_misses_one_is_refused() {
    let sandbox = Sandbox::new(&[("old", b"old"), ("d/old", b"x")]);
    assert!(sandbox.replace(&["--rename", "old", "new"]).status.success());
    fs::write(sandbox.tree.path().join("old"), "another's").unwrap();
    let after = sandbox.paths();
    for words in [&["undo"][..], &["undo", "--force"]] {
        let output = sandbox.run(words);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("there is another file of this name"), "{output:?}");
        assert_eq!(sandbox.paths(), after);
    }
    fs::remove_file(sandbox.tree.path().join("old")).unwrap();
    fs::remove_file(sandbox.tree.path().join("d/new")).unwrap();
    let after = sandbox.paths();
    assert_eq!((sandbox.run(&["undo"]).status.code(), sandbox.paths()), (Some(2), after));
    let forced = sandbox.run(&["undo", "--force"]);
    assert_eq!(forced.status.code(), Some(0), "{}", stderr(&forced));
    assert_eq!(sandbox.names(), ["d", "old"]);
}

#[test]
fn names_change_places_with_their_texts_and_back() {
    let sandbox = Sandbox::new(&[
        ("left", b"left of right"),
        ("right", b"none"),
        ("d/one", b"two"),
        ("d/two", b"three one"),
        ("d/three", b""),
        ("d/one_d/left.txt", b"one"),
        ("d/two_d/right.txt", b""),
    ]);
    let pairs = sandbox.state.path().join("p.tsv");
    fs::write(&pairs, "left\tright\nright\tleft\none\ttwo\ntwo\tthree\nthree\tone\n").unwrap();
    let before = sandbox.paths();
    let words = ["--rename", "--pairs", pairs.to_str().unwrap()];

    let output = sandbox.replace(&words);

    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let after = sandbox.paths();
    let text = |name: &str| &*after[Path::new(name)];
    assert_eq!((text("left"), text("right")), ("ntwo", "right of left"));
    assert_eq!((text("d/two"), text("d/three"), text("d/one")), ("three", "one two", ""));
    assert_eq!((text("d/two_d/right.txt"), text("d/three_d/left.txt")), ("two", ""));
    assert_eq!(after.len(), before.len(), "{after:?}");
    let told = stdout(&output);
    assert!(told.contains("left -> right") && !told.contains(".silkmill"), "{told}");

    let undo = sandbox.run(&["undo"]);
    assert!(undo.status.success(), "{}", stderr(&undo));
    assert!(!stdout(&undo).contains(".silkmill"), "{}", stdout(&undo));
    assert_eq!(sandbox.paths(), before);
    let redo = sandbox.run(&["redo"]);
    assert!(redo.status.success(), "{}", stderr(&redo));
    assert_eq!(sandbox.paths(), after);
}
