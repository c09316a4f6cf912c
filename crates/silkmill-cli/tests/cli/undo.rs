//! `silkmill undo` of files that were deleted since the run, and its messages about those that
//! cannot be restored.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;

use rustix::fs::{XattrFlags, getxattr, setxattr};
use tempfile::TempDir;

use crate::sandbox::{names, read, stderr, stdout, tree};
use crate::silkmill;

/// A tree, and a store of its own, so that an undo undoes no other run.
struct Sandbox {
    tree: TempDir,
    state: TempDir,
}

impl Sandbox {
    fn new(files: &[(&str, &[u8])]) -> Sandbox {
        Sandbox { tree: tree(files), state: tempfile::tempdir().unwrap() }
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = silkmill();
        command.args(words).current_dir(&self.tree).env("XDG_STATE_HOME", self.state.path());
        command.output().unwrap()
    }

    fn succeed(&self, words: &[&str]) -> Output {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        output
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.tree.path().join(name)).unwrap();
    }
}

#[test]
fn a_deleted_file_comes_back_when_that_is_asked_for_and_goes_again() {
    let sandbox = Sandbox::new(&[("deleted", b"old"), ("edited", b"old"), ("kept", b"old")]);
    let path = sandbox.tree.path().join("deleted");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let has_notes = setxattr(&path, "user.note", b"kept", XattrFlags::empty()).is_ok();
    let inode = fs::metadata(&path).unwrap().ino();
    sandbox.succeed(&["replace", "old", "new"]);
    sandbox.remove("deleted");
    fs::write(sandbox.tree.path().join("edited"), "another").unwrap();

    let refused = sandbox.run(&["undo"]);

    assert_eq!(refused.status.code(), Some(2));
    for name in ["deleted", "edited"] {
        let want =
            format!("/{name}\" is not what the run has left: it was edited since, or is gone\n");
        assert!(stderr(&refused).contains(&want), "{}", stderr(&refused));
    }
    let want = "silkmill: 2 files were edited since, or are gone: nothing was changed\n";
    assert!(stderr(&refused).ends_with(want), "{}", stderr(&refused));
    assert_eq!(
        (names(&sandbox.tree), read(&sandbox.tree, "kept")),
        (vec!["edited".into(), "kept".into()], "new".into())
    );

    let forced = sandbox.succeed(&["undo", "--force"]);

    assert_eq!(stdout(&forced), "deleted\nedited\nkept\n");
    for name in ["deleted", "edited", "kept"] {
        assert_eq!(read(&sandbox.tree, name), "old", "{name}");
    }
    let now = fs::metadata(&path).unwrap();
    assert_eq!((now.ino(), now.mode() & 0o7777), (inode, 0o640));
    let mut note = [0; 8];
    assert!(!has_notes || getxattr(&path, "user.note", &mut note) == Ok(4));

    for _ in 0..2 {
        sandbox.succeed(&["redo"]);
        assert_eq!(names(&sandbox.tree), ["edited", "kept"]);
        assert_eq!(read(&sandbox.tree, "edited"), "another");
        sandbox.succeed(&["undo", "--force"]);
        assert_eq!(
            (read(&sandbox.tree, "deleted"), read(&sandbox.tree, "edited")),
            ("old".into(), "old".into())
        );
    }
}

#[test]
fn a_deleted_file_that_had_several_names_comes_back_with_one() {
    let sandbox = Sandbox::new(&[("a", b"old")]);
    let path = |name: &str| sandbox.tree.path().join(name);
    fs::set_permissions(path("a"), Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(path("a"), path("b")).unwrap();
    sandbox.succeed(&["replace", "old", "new", "a"]);
    sandbox.remove("a");

    sandbox.succeed(&["undo", "--force"]);

    let a = fs::metadata(path("a")).unwrap();
    assert_eq!((read(&sandbox.tree, "a"), a.mode() & 0o7777, a.nlink()), ("old".into(), 0o4751, 1));
    assert_eq!(read(&sandbox.tree, "b"), "new");
    sandbox.succeed(&["redo"]);
    assert_eq!(names(&sandbox.tree), ["b"]);
    // The file that is there now belongs to another program, and stays.
    fs::write(path("a"), "another's").unwrap();
    for words in [&["undo"][..], &["undo", "--force"]] {
        assert_eq!(sandbox.run(words).status.code(), Some(2), "{words:?}");
        assert_eq!(read(&sandbox.tree, "a"), "another's");
    }
    sandbox.remove("a");
    sandbox.succeed(&["undo", "--force"]);
    assert_eq!(read(&sandbox.tree, "a"), "old");
}

#[test]
fn a_file_without_its_directory_is_named_and_nothing_is_put_back() {
    let sandbox = Sandbox::new(&[("a", b"old"), ("sub/b", b"old"), ("sub/c", b"old")]);
    sandbox.succeed(&["replace", "old", "new"]);
    fs::remove_dir_all(sandbox.tree.path().join("sub")).unwrap();

    assert!(stderr(&sandbox.run(&["undo"])).contains("/sub/b\" is not what the run has left"));
    let forced = sandbox.run(&["undo", "--force"]);

    assert_eq!(forced.status.code(), Some(2));
    let want = "/sub/b\" cannot be put back: the directory it was in is gone\n";
    assert!(stderr(&forced).contains(want), "{}", stderr(&forced));
    let want = "silkmill: 2 files cannot be put back without a directory: nothing was changed\n";
    assert!(stderr(&forced).ends_with(want), "{}", stderr(&forced));
    assert_eq!(read(&sandbox.tree, "a"), "new");

    fs::create_dir(sandbox.tree.path().join("sub")).unwrap();
    sandbox.succeed(&["undo", "--force"]);
    assert_eq!(["a", "sub/b", "sub/c"].map(|name| read(&sandbox.tree, name)), ["old"; 3]);
}

/// Returns the modification time of a file.
fn modified(path: &Path) -> (i64, i64) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.mtime(), metadata.mtime_nsec())
}

#[test]
fn what_is_put_back_has_a_new_time_and_the_mode_and_attributes_of_now() {
    let sandbox = Sandbox::new(&[("a", b"old"), ("shared", b"old")]);
    let path = |name: &str| sandbox.tree.path().join(name);
    fs::hard_link(path("shared"), path("shared too")).unwrap();
    sandbox.succeed(&["replace", "old", "new"]);
    let has_notes = setxattr(path("a"), "user.note", b"now", XattrFlags::empty()).is_ok();
    for (way, text) in [("undo", "old"), ("redo", "new"), ("undo", "old")] {
        for name in ["a", "shared"] {
            let mode = if way == "undo" { 0o600 } else { 0o640 };
            fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
            let before = modified(&path(name));
            std::thread::sleep(std::time::Duration::from_millis(20));

            sandbox.succeed(&[way, "-n"]);
            assert_eq!(modified(&path(name)), before);
            if name == "a" {
                continue;
            }
            let (first, mode_of_a) = (modified(&path("a")), mode);
            sandbox.succeed(&[way]);

            assert_eq!(read(&sandbox.tree, name), text);
            assert!(modified(&path(name)) > before && modified(&path("a")) > first, "{way}");
            for name in ["a", "shared"] {
                let now = fs::metadata(path(name)).unwrap();
                assert_eq!(now.mode() & 0o7777, mode_of_a, "{way} {name}");
            }
            let mut note = [0; 8];
            assert!(!has_notes || getxattr(path("a"), "user.note", &mut note) == Ok(3));
        }
    }
    assert_eq!(fs::metadata(path("shared")).unwrap().nlink(), 2);
}

#[test]
fn an_owner_that_was_given_since_is_kept() {
    let sandbox = Sandbox::new(&[("a", b"old")]);
    let path = sandbox.tree.path().join("a");
    sandbox.succeed(&["replace", "old", "new"]);
    if std::os::unix::fs::chown(&path, Some(65534), Some(65534)).is_err() {
        return println!("skipped: only root can give files away");
    }

    sandbox.succeed(&["undo"]);

    let now = fs::metadata(&path).unwrap();
    assert_eq!((read(&sandbox.tree, "a"), now.uid(), now.gid()), ("old".into(), 65534, 65534));
}

#[test]
fn a_file_with_the_bytes_of_the_run_is_not_edited_whatever_its_times_are() {
    let sandbox = Sandbox::new(&[("a", b"old"), ("b", b"old"), ("c", b"old"), ("d", b"old")]);
    let path = |name: &str| sandbox.tree.path().join(name);
    sandbox.succeed(&["replace", "old", "new"]);
    // One is touched, one written anew as by a checkout, one has its old text again.
    for (name, text) in [("a", "new"), ("c", "old")] {
        fs::write(path(name), text).unwrap();
    }
    fs::remove_file(path("b")).unwrap();
    fs::write(path("b"), "new").unwrap();

    let undo = sandbox.succeed(&["undo"]);

    assert_eq!(stdout(&undo), "a\nb\nd\n");
    assert!(["a", "b", "c", "d"].iter().all(|name| read(&sandbox.tree, name) == "old"));
    fs::write(path("a"), "old").unwrap();
    sandbox.succeed(&["redo"]);
    assert_eq!(
        ["a", "b", "c", "d"].map(|name| read(&sandbox.tree, name)),
        ["new", "new", "old", "new"]
    );
    fs::write(path("a"), "won").unwrap();
    let refused = sandbox.run(&["undo"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = stderr(&refused);
    assert!(
        said.contains("/a\" is not what") && said.contains("`silkmill undo --force`"),
        "{said}"
    );
    assert!(!said.contains("/b\""), "{said}");
    assert_eq!(["a", "b"].map(|name| read(&sandbox.tree, name)), ["won", "new"]);
}

#[test]
fn undo_walks_back_through_the_runs_of_this_tree_and_redo_forth() {
    let sandbox = Sandbox::new(&[("one/a", b"1"), ("two/sub/a", b"1"), ("two/b", b"1")]);
    let run = |directory: &str, words: &[&str]| {
        let mut command = silkmill();
        command.args(words).current_dir(sandbox.tree.path().join(directory));
        command.env("XDG_STATE_HOME", sandbox.state.path()).output().unwrap()
    };
    let texts = || ["one/a", "two/sub/a", "two/b"].map(|name| read(&sandbox.tree, name));
    let is = |wanted: [&str; 3]| assert_eq!(texts(), wanted);
    for (directory, old, new) in [("one", "1", "2"), ("two", "1", "2"), ("two", "2", "3")] {
        assert!(run(directory, &["replace", old, new]).status.success());
    }
    assert!(run("one", &["replace", "2", "3"]).status.success());

    // The newest run is elsewhere.
    let undo = run("two", &["undo"]);
    is(["3", "2", "2"]);
    let said = stderr(&undo);
    assert!(said.contains("/two; revert with: silkmill redo\n"), "{said}");
    assert!(run("two/sub", &["undo"]).status.success());
    is(["3", "1", "1"]);
    let none = run("two", &["undo"]);
    assert_eq!(none.status.code(), Some(2));
    let said = stderr(&none);
    assert!(
        said.contains("no run to undo in") && said.contains("/one\": `silkmill undo 2"),
        "{said}"
    );
    assert!(run("two", &["redo"]).status.success());
    is(["3", "2", "2"]);
    assert!(run("two", &["redo"]).status.success());
    is(["3", "3", "3"]);
    assert_eq!(run("two", &["redo"]).status.code(), Some(2));
    // From above, all are seen; the last that was made, or made again, goes first.
    assert!(run("", &["undo"]).status.success());
    is(["3", "2", "2"]);

    // A new run ends the way forth, but for a run that is named.
    assert!(run("two", &["replace", "--no-sync", "nothing", "at all"]).status.code() == Some(1));
    let list = stdout(&run("", &["undo", "--list"]));
    let undone: Vec<&str> = list.lines().filter(|line| line.ends_with("(undone)")).collect();
    assert_eq!((list.lines().count(), undone.len()), (4, 1), "{list}");
    let id = undone[0].split(' ').next().unwrap();
    assert_eq!(run("", &["undo", id]).status.code(), Some(2));
    fs::write(sandbox.tree.path().join("two/c"), "x").unwrap();
    assert!(run("two", &["replace", "x", "y"]).status.success());
    let refused = run("two", &["redo"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("since the last undo"), "{}", stderr(&refused));
    assert!(run("one", &["redo", id]).status.success());
    is(["3", "3", "3"]);
}

#[test]
fn a_run_is_told_with_its_name_where_an_undo_would_not_find_it() {
    let sandbox = Sandbox::new(&[("one/a", b"old"), ("two/b", b"old")]);

    let there = sandbox.succeed(&["replace", "old", "new", "one"]);
    assert!(stderr(&there).ends_with("undo with: silkmill undo\n"), "{}", stderr(&there));
    let mut command = silkmill();
    command.args(["replace", "old", "new", "../two"]).current_dir(sandbox.tree.path().join("one"));
    let elsewhere = command.env("XDG_STATE_HOME", sandbox.state.path()).output().unwrap();

    let said = stderr(&elsewhere);
    let id = said.trim_end().rsplit(' ').next().unwrap();
    assert!(id.starts_with("20") && id.len() == 20, "{said}");
}

#[test]
fn what_is_forgotten_is_gone() {
    let sandbox = Sandbox::new(&[("a", b"a secret"), ("b", b"b")]);
    let held = || {
        let mut found = 0;
        let mut folders = vec![sandbox.state.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => {
                        let bytes = fs::read(entry.path()).unwrap();
                        found += usize::from(bytes.windows(6).any(|part| part == b"secret"));
                    }
                }
            }
        }
        found
    };
    for (old, new) in [("a secret", "x"), ("b", "c"), ("c", "d")] {
        sandbox.succeed(&["replace", old, new]);
    }
    sandbox.succeed(&["undo"]);
    // The text and the journal, which names it.
    assert_eq!(held(), 2);
    let list = sandbox.succeed(&["undo", "--list"]);
    assert!(
        stderr(&list).contains("3 runs, ") && stderr(&list).contains(" of at most 10.0 GiB, in ")
    );
    let id = stdout(&list).lines().next().unwrap().split(' ').next().unwrap().to_owned();

    sandbox.succeed(&["undo", "-n", "--forget", &id]);
    assert_eq!(held(), 2);
    sandbox.succeed(&["undo", "--forget", &id]);
    assert_eq!(held(), 0);
    assert_eq!(sandbox.run(&["undo", "--forget", &id]).status.code(), Some(2));
    assert_eq!(read(&sandbox.tree, "a"), "x");
    assert_eq!(stdout(&sandbox.succeed(&["undo", "--list"])).lines().count(), 2);
    // The user has taken out what was kept there.
    let kept = sandbox.state.path().join("silkmill/kept");
    fs::create_dir(&kept).unwrap();
    sandbox.succeed(&["undo", "--forget", "all"]);
    assert!(!kept.exists());
    assert_eq!(stdout(&sandbox.succeed(&["undo", "--list"])), "");
    assert_eq!(sandbox.run(&["redo"]).status.code(), Some(2));
}

#[test]
fn a_name_that_was_linked_since_is_told_of() {
    let sandbox = Sandbox::new(&[("a", b"old"), ("b", b"old")]);
    sandbox.succeed(&["replace", "old", "new"]);
    let path = |name: &str| sandbox.tree.path().join(name);
    fs::hard_link(path("a"), path("c")).unwrap();

    let dry = sandbox.succeed(&["undo", "-n"]);
    assert!(stderr(&dry).contains("/a\" has another name since the run"), "{}", stderr(&dry));
    let output = sandbox.succeed(&["undo"]);

    let told = stderr(&output);
    assert_eq!(told.matches("has another name since").count(), 1, "{told}");
    assert_eq!(["a", "b", "c"].map(|name| read(&sandbox.tree, name)), ["old", "old", "new"]);
}
