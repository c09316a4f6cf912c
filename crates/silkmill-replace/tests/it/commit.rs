//! All files of a run change, or none does.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use silkmill::{CancelToken, Thread};
use silkmill_replace::{ErrorKind, Event, Options, prune};

use crate::tree::{Report, Tree, report_of, report_while};

/// Keeps every user, even root, from changing a file or the names in a directory, until it is
/// dropped.
struct Immutable(File, IFlags);

impl Immutable {
    /// Returns `None` where this process or this filesystem cannot make files immutable.
    fn new(tree: &Tree, name: &str) -> Option<Immutable> {
        let file = File::open(tree.path(name)).unwrap();
        let flags = ioctl_getflags(&file).ok()?;
        ioctl_setflags(&file, flags | IFlags::IMMUTABLE).ok()?;
        Some(Immutable(file, flags))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        ioctl_setflags(&self.0, self.1).unwrap();
    }
}

#[test]
fn a_reader_sees_the_old_text_or_the_new_and_never_a_part() {
    let (old, new) = ("a".repeat(100_000), "b".repeat(100_000));
    let tree = Tree::new(&[("file", &old)]);
    let path = tree.path("file");
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let reader = {
        let (done, old, new) = (done.clone(), old.clone(), new.clone());
        Thread::spawn(move || {
            while !done.load(Ordering::Acquire) {
                let text = fs::read_to_string(&path).unwrap();
                assert!(text == old || text == new, "{} bytes of something else", text.len());
            }
        })
    };

    for _ in 0..20 {
        report_of(tree.options("a", "b").sync(false));
        report_of(tree.options("b", "a").sync(false));
    }

    done.store(true, Ordering::Release);
    reader.join().unwrap();
    assert_eq!(tree.read("file"), old);
}

#[test]
fn a_path_that_leads_nowhere_fails_by_name_and_the_others_change() {
    let tree = Tree::new(&[("a", "old"), ("b", "old")]);
    symlink("nowhere", tree.path("dangling")).unwrap();

    let report = report_of(tree.options("old", "new").path(tree.path("dangling")));

    assert_eq!(
        report.files,
        [("a".into(), "changed"), ("b".into(), "changed"), ("dangling".into(), "failed")]
    );
    assert_eq!(report.summary().files_failed, 1);
}

#[test]
fn a_strict_run_changes_nothing_when_a_path_fails() {
    let tree = Tree::new(&[("a", "old")]);

    let report = report_of(tree.options("old", "new").path(tree.path("no")).strict(true));

    assert_eq!(report.end.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(report.files, [("no".into(), "failed")]);
    assert_eq!(tree.read("a"), "old");
    assert!(tree.is_clean());
}

#[test]
fn a_run_that_keeps_nothing_leaves_no_store_beside_the_files() {
    let tree = Tree::new(&[("a", "old")]);
    let store = tree.path(".silkmill");

    assert_eq!(
        report_of(tree.options("no such text", "new").undo(true)).summary().files_changed,
        0
    );
    assert!(!store.exists());
    assert_eq!(report_of(tree.options("old", "new").undo(false)).summary().files_changed, 1);
    assert!(!store.exists());

    // A store that holds something is not touched.
    assert_eq!(report_of(tree.options("new", "old").undo(true)).summary().files_changed, 1);
    assert_eq!(
        report_of(tree.options("no such text", "new").undo(true)).summary().files_changed,
        0
    );
    assert!(store.join("lock").exists());
    assert!(store.join(".gitignore").exists());
}

#[test]
fn an_unexpected_number_of_replacements_changes_nothing() {
    let tree = Tree::new(&[("a", "old old"), ("b", "old")]);

    let refused = report_of(tree.options("old", "new").expect(2));
    assert_eq!(
        refused.end.unwrap_err().to_string(),
        "expected 2 replacements, found 3: nothing was changed"
    );
    assert_eq!(tree.read("a"), "old old");
    assert!(tree.is_clean());

    assert_eq!(report_of(tree.options("old", "new").expect(3)).summary().files_changed, 2);
}

#[test]
fn a_run_cancelled_before_its_commit_changes_nothing() {
    let tree = Tree::new(&[("a", "old"), ("b", "old"), ("c", "old")]);
    let cancel = CancelToken::new();

    // The last file is staged, and the first is not yet committed.
    let report = report_while(tree.options("old", "new"), &cancel, |event| {
        if matches!(event, Event::Progress(now) if now.files_seen == 3) {
            assert!(!tree.is_clean(), "nothing is staged");
            cancel.cancel();
        }
    });

    assert_eq!(report.end.unwrap_err().kind(), ErrorKind::Interrupted);
    assert!(report.files.is_empty());
    assert_eq!([tree.read("a"), tree.read("b"), tree.read("c")], ["old", "old", "old"]);
    assert!(tree.is_clean());
}

#[test]
fn a_run_cancelled_within_its_commit_goes_on_to_its_end() {
    let tree = Tree::new(&[("a", "old"), ("b", "old")]);
    let cancel = CancelToken::new();

    let report = report_while(tree.options("old", "new"), &cancel, |event| {
        if matches!(event, Event::Progress(now) if now.files_committed == 1) {
            cancel.cancel();
        }
    });

    assert_eq!(report.summary().files_changed, 2);
}

/// Lets another program write to `a` when both files are staged.
fn disturbed(tree: &Tree, strict: bool) -> Report {
    report_while(tree.options("old", "new").strict(strict), &CancelToken::new(), |event| {
        if matches!(event, Event::Progress(now) if now.files_seen == 2 && now.files_committed == 0)
        {
            fs::write(tree.path("a"), "another's old").unwrap();
        }
    })
}

#[test]
fn a_file_that_changed_meanwhile_is_named_and_no_other_changes() {
    let tree = Tree::new(&[("a", "old"), ("b", "old")]);

    let report = disturbed(&tree, false);

    assert_eq!(report.files, [("a".into(), "failed")]);
    assert_eq!(report.end.unwrap_err().to_string(), "1 path failed: nothing was changed");
    assert_eq!((tree.read("a"), tree.read("b")), ("another's old".into(), "old".into()));
    assert!(tree.is_clean());
}

#[test]
fn a_strict_run_changes_nothing_when_a_file_changed_meanwhile() {
    let tree = Tree::new(&[("a", "old"), ("b", "old")]);

    let report = disturbed(&tree, true);

    assert_eq!(report.end.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!((tree.read("a"), tree.read("b")), ("another's old".into(), "old".into()));
    assert!(tree.is_clean());
}

#[test]
fn a_file_that_cannot_be_replaced_fails_by_name_and_the_others_change() {
    let tree = Tree::new(&[("a", "old"), ("b", "old")]);
    let Some(_immutable) = Immutable::new(&tree, "a") else {
        return println!("skipped: no file can be made immutable here");
    };

    let report = report_of(tree.options("old", "new"));

    assert_eq!(report.files, [("a".into(), "failed"), ("b".into(), "changed")]);
    assert_eq!((tree.read("a"), tree.read("b")), ("old".into(), "new".into()));
    assert!(tree.is_clean());
}

#[test]
fn a_file_whose_directory_cannot_be_changed_is_written_in_place() {
    let tree = Tree::new(&[("shut/a", "old"), ("b", "old"), ("shut/c", "nothing")]);
    let Some(immutable) = Immutable::new(&tree, "shut") else {
        return println!("skipped: no directory can be made immutable here");
    };

    let report = report_of(tree.options("old", "new"));

    drop(immutable);
    assert_eq!(report.files, [("a".into(), "changed"), ("b".into(), "changed")]);
    assert_eq!((tree.read("shut/a"), tree.read("b")), ("new".into(), "new".into()));
}

#[test]
fn two_runs_at_once_in_one_directory_do_not_meet() {
    let names: Vec<String> = (0..40).map(|number| format!("{number}")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "left right")).collect();
    let tree = Tree::new(&files);
    let half = |word: &str| {
        let mut options = Options::builder(word, "done").sync(false).undo(false);
        let wanted = names.iter().filter(|name| (name.len() == 1) == (word == "left"));
        for name in wanted {
            options = options.path(tree.path(name));
        }
        Thread::spawn(move || report_of(options))
    };

    let (left, right) = (half("left"), half("right"));

    assert_eq!(left.join().unwrap().summary().files_changed, 10);
    assert_eq!(right.join().unwrap().summary().files_changed, 30);
    assert_eq!((tree.read("3"), tree.read("33")), ("done right".into(), "left done".into()));
    assert!(tree.is_clean());
}

#[test]
fn runs_beyond_the_last_ten_are_dropped_and_few_of_those_lie_there() {
    let tree = Tree::new(&[("a", "x")]);
    let lying = |store: &Path, folder: &str| {
        let entries = fs::read_dir(store.join(folder)).into_iter().flatten();
        entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
    };
    for run in 0..16 {
        let (old, new) = if run % 2 == 0 { ("x", "y") } else { ("y", "x") };
        let end = report_of(tree.options(old, new).undo(true).sync(false)).end;
        let store = end.unwrap().store.expect("the run can be undone");

        prune(&store, Duration::from_secs(60));

        assert!(lying(&store, "trash") <= 2);
        let dropped = usize::from(lying(&store, "trash") > 0 || run >= 10);
        assert_eq!(lying(&store, ".") - dropped, (run + 1).min(10), "{run}");
    }
}
