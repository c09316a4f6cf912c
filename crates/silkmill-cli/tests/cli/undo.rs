//! `silkmill undo` of files that were deleted since the run, and its messages about those that
//! cannot be restored.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
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
        sandbox.succeed(&["undo"]);
        assert_eq!(names(&sandbox.tree), ["edited", "kept"]);
        assert_eq!(read(&sandbox.tree, "edited"), "another");
        sandbox.succeed(&["undo"]);
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
    sandbox.succeed(&["undo"]);
    assert_eq!(names(&sandbox.tree), ["b"]);
    // The file that is there now belongs to another program, and stays.
    fs::write(path("a"), "another's").unwrap();
    for words in [&["undo"][..], &["undo", "--force"]] {
        assert_eq!(sandbox.run(words).status.code(), Some(2), "{words:?}");
        assert_eq!(read(&sandbox.tree, "a"), "another's");
    }
    sandbox.remove("a");
    sandbox.succeed(&["undo"]);
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
