//! Which files change, and what of them stays.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use rustix::fs::{CWD, FileType, Mode as FileMode, XattrFlags, fgetxattr, fsetxattr, mknodat};
use silkmill_replace::{Mode, Options};

use crate::tree::{Tree, report_of};

#[test]
fn files_with_a_match_change_and_others_are_not_touched() {
    let tree = Tree::new(&[("a", "old"), ("sub/b", "old old\r\n"), ("c", "nothing")]);
    let before = fs::metadata(tree.path("c")).unwrap();

    let report = report_of(tree.options("old", "new"));

    assert_eq!(report.files, [("a".into(), "changed"), ("b".into(), "changed")]);
    assert_eq!((report.summary().files_seen, report.summary().replacements), (3, 3));
    assert_eq!((tree.read("a"), tree.read("sub/b")), ("new".into(), "new new\r\n".into()));
    let after = fs::metadata(tree.path("c")).unwrap();
    assert_eq!(
        (before.ino(), before.mtime_nsec(), before.ctime_nsec()),
        (after.ino(), after.mtime_nsec(), after.ctime_nsec())
    );
    assert!(tree.is_clean());
}

#[test]
fn a_second_run_finds_nothing() {
    let tree = Tree::new(&[("a", "old")]);
    report_of(tree.options("old", "new"));

    let again = report_of(tree.options("old", "new"));

    assert_eq!((again.files.len(), again.summary().replacements), (0, 0));
}

#[test]
fn many_files_change_and_none_of_their_staged_copies_is_seen() {
    let names: Vec<String> = (0..300).map(|number| format!("d{}/f{number}", number % 7)).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "foo foo")).collect();
    let tree = Tree::new(&files);

    // A file that a walk found again in its own replacement would grow with every visit.
    let report = report_of(tree.options("foo", "foofoo").hidden(true).ignored(true));

    assert_eq!(report.summary().files_seen, 300);
    assert_eq!(report.summary().files_changed, 300);
    assert!(names.iter().all(|name| tree.read(name) == "foofoo foofoo"));
    assert!(tree.is_clean());
}

#[test]
fn a_preview_writes_nothing_and_comes_in_order() {
    let tree = Tree::new(&[("b", "old\n"), ("a", "old\n"), ("c", "old\n")]);
    let options = tree.options("old", "new").mode(Mode::Count).build().unwrap();
    let mut names = Vec::new();

    silkmill_replace::run(&options, &silkmill::CancelToken::new(), &mut |event| {
        if let silkmill_replace::Event::Outcome(outcome) = event {
            names.push(outcome.path.clone());
        }
    })
    .unwrap();

    assert_eq!(names, [tree.path("a"), tree.path("b"), tree.path("c")]);
    assert_eq!(tree.read("a"), "old\n");
}

#[test]
fn mode_owner_and_extended_attributes_stay() {
    let tree = Tree::new(&[("a", "old")]);
    let path = tree.path("a");
    // Only root may give a file away. For other users this is the owner already.
    let _ = chown(&path, Some(1234), Some(1235));
    fs::set_permissions(&path, Permissions::from_mode(0o4750)).unwrap();
    let file = File::open(&path).unwrap();
    let has_xattrs = fsetxattr(&file, "user.origin", b"a test", XattrFlags::empty()).is_ok();
    let before = fs::metadata(&path).unwrap();

    report_of(tree.options("old", "new"));

    let after = fs::metadata(&path).unwrap();
    assert_eq!(tree.read("a"), "new");
    assert_ne!(before.ino(), after.ino());
    assert_eq!(
        (before.mode(), before.uid(), before.gid()),
        (after.mode(), after.uid(), after.gid())
    );
    if has_xattrs {
        let mut value = [0; 6];
        fgetxattr(File::open(&path).unwrap(), "user.origin", &mut value[..]).unwrap();
        assert_eq!(&value, b"a test");
    } else {
        println!("skipped in part: this filesystem has no extended attributes");
    }
}

#[test]
fn a_read_only_file_is_replaced_and_stays_read_only() {
    let tree = Tree::new(&[("a", "old")]);
    fs::set_permissions(tree.path("a"), Permissions::from_mode(0o444)).unwrap();

    report_of(tree.options("old", "new"));

    assert_eq!(tree.read("a"), "new");
    assert_eq!(fs::metadata(tree.path("a")).unwrap().mode() & 0o777, 0o444);
}

#[test]
fn a_link_that_is_named_is_followed_and_stays_a_link() {
    let tree = Tree::new(&[("real/a", "old")]);
    symlink("real/a", tree.path("link")).unwrap();

    let report = report_of(Options::builder("old", "new").path(tree.path("link")));

    assert_eq!(report.files, [("link".into(), "changed")]);
    assert_eq!(fs::read_link(tree.path("link")).unwrap().to_str(), Some("real/a"));
    assert_eq!(tree.read("real/a"), "new");
    assert!(tree.is_clean());
}

#[test]
fn a_file_with_two_names_keeps_both_and_changes_once() {
    let tree = Tree::new(&[("a", "foo")]);
    fs::hard_link(tree.path("a"), tree.path("b")).unwrap();

    let report = report_of(tree.options("foo", "foofoo"));

    assert_eq!(report.summary().files_changed, 1);
    assert_eq!((tree.read("a"), tree.read("b")), ("foofoo".into(), "foofoo".into()));
    assert_eq!(fs::metadata(tree.path("a")).unwrap().nlink(), 2);
    assert!(tree.is_clean());
}

#[test]
fn a_file_reached_by_two_paths_changes_once() {
    let tree = Tree::new(&[("a", "foo"), ("b", "foo")]);

    let report = report_of(tree.options("foo", "foofoo").path(tree.path("a")).path(tree.path("b")));

    assert_eq!((report.summary().files_changed, report.summary().replacements), (2, 2));
    assert_eq!((tree.read("a"), tree.read("b")), ("foofoo".into(), "foofoo".into()));
}

#[test]
fn the_longest_names_and_names_that_are_no_utf_8_are_files_like_others() {
    let long = "n".repeat(255);
    let tree = Tree::new(&[(&long, "old")]);
    let strange = tree.path("x").with_file_name(OsStr::from_bytes(b"\xFF\xFE"));
    fs::write(&strange, "old").unwrap();

    let report = report_of(tree.options("old", "new"));

    assert_eq!(report.summary().files_changed, 2);
    assert_eq!((tree.read(&long), fs::read(&strange).unwrap()), ("new".into(), b"new".to_vec()));
}

#[test]
fn what_is_not_text_is_passed_over() {
    let tree = Tree::new(&[("binary", "old\0"), ("text", "old")]);
    fs::write(tree.path("wide"), b"\xFF\xFEo\0l\0d\0\0\0").unwrap();
    fs::write(tree.path("wider"), b"\xFF\xFE\0\0o\0\0\0").unwrap();

    let report = report_of(tree.options("old", "new"));

    let want =
        [("binary", "skipped"), ("text", "changed"), ("wide", "skipped"), ("wider", "skipped")];
    assert_eq!(report.files, want.map(|(name, action)| (name.to_owned(), action)));
    assert_eq!(tree.read("binary"), "old\0");
}

#[test]
fn a_pipe_without_a_writer_is_passed_over_without_waiting() {
    let tree = Tree::new(&[("a", "old")]);
    let mode = FileMode::from_raw_mode(0o600);
    mknodat(CWD, tree.path("pipe"), FileType::Fifo, mode, 0).unwrap();

    let report = report_of(tree.options("old", "new").path(tree.path("pipe")));

    assert_eq!(report.files, [("a".into(), "changed"), ("pipe".into(), "skipped")]);
}

#[test]
fn a_limit_holds_for_each_file() {
    let tree = Tree::new(&[("a", "x x x"), ("b", "x x")]);

    report_of(tree.options("x", "y").file_replacements_max(2));

    assert_eq!((tree.read("a"), tree.read("b")), ("y y x".into(), "y y".into()));
}
