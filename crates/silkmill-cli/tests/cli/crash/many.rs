//! Runs over more files than a run holds in memory.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Sandbox, Snapshot, kill};
use crate::sandbox::{is_installed, read, shell, stderr, stdout, tree};

/// More than a run keeps in memory, so that what is known of them goes to the disk.
const FILES: usize = 4500;

fn with_many() -> Sandbox {
    let sandbox = Sandbox::new();
    for at in 0..FILES {
        let folder = sandbox.tree().join(format!("many/{:02}", at % 50));
        if at < 50 {
            fs::create_dir_all(&folder).unwrap();
        }
        fs::write(folder.join(format!("{at}")), format!("old {at}\n")).unwrap();
    }
    sandbox
}

fn is_all(tree: &Snapshot, word: &str) -> bool {
    let many = tree.iter().filter(|(path, _)| path.starts_with("many"));
    let texts = many.map(|(path, file)| {
        let number = path.file_name().unwrap().to_str().unwrap();
        file.bytes == format!("{word} {number}\n").as_bytes()
    });
    let texts: Vec<bool> = texts.collect();
    assert_eq!(texts.len(), FILES);
    texts.into_iter().all(|is_it| is_it)
}

#[test]
fn a_run_over_more_files_than_memory_holds_and_its_undo_survive_kills() {
    if !is_installed("strace") {
        return;
    }
    let sandbox = with_many();
    let before = sandbox.snapshot();
    let words = ["replace", "-q", "--no-sync", "old", "brand new", "."];
    // Before anything is exchanged, and in the middle.
    kill(&sandbox, &words, &[], "renameat2:signal=KILL:when=1");
    assert!(is_all(&sandbox.recovered("at the first exchange"), "brand new"));
    assert!(sandbox.silkmill(&["undo", "-q"]).status.success());
    assert_eq!(sandbox.snapshot(), before);
    kill(&sandbox, &words, &[], "renameat2:signal=KILL:when=3000");
    let after = sandbox.recovered("in the middle");
    assert!(is_all(&after, "brand new"));
    kill(&sandbox, &["undo", "-q"], &[], "renameat2:signal=KILL:when=2000");
    assert_eq!(sandbox.recovered("an undo"), before);
    kill(&sandbox, &["redo", "-q"], &[], "renameat2:signal=KILL:when=4400");
    assert_eq!(sandbox.recovered("a redo"), after);
}

#[test]
fn a_run_over_more_files_than_memory_holds_rolls_back_all_of_them() {
    if !is_installed("strace") {
        return;
    }
    let sandbox = with_many();
    let before = sandbox.snapshot();
    let words = ["replace", "-q", "--no-sync", "old", "brand new", "."];

    let output = sandbox.strace(&["renameat2:error=EIO:when=2500".to_owned()], &words);

    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("failed to replace \"") && told.contains("nothing was changed"),
        "{told}"
    );
    assert_eq!(sandbox.snapshot(), before);
    assert_eq!(sandbox.runs(), 0);
}

#[test]
fn many_files_are_reported_in_order_once_and_listed_by_their_undo() {
    let sandbox = with_many();
    // Every file is reached twice.
    symlink("many", sandbox.tree().join("again")).unwrap();

    let output = sandbox.silkmill(&["replace", "--no-sync", "-L", "old", "new", "many", "again"]);

    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = told.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(names.len(), FILES);
    assert!(names.is_sorted() && names.iter().all(|name| name.starts_with("many/")));
    let summary = String::from_utf8(output.stderr).unwrap();
    assert!(summary.starts_with("4500 replacements in 4500 files of "), "{summary}");
    let undone = sandbox.silkmill(&["undo"]);
    let listed = String::from_utf8(undone.stdout).unwrap();
    assert_eq!(listed.lines().count(), FILES);
    assert!(is_all(&sandbox.snapshot(), "old"));
}

#[test]
fn a_run_in_more_directories_than_a_page_of_its_journal_can_be_undone() {
    let name = "a directory with a long name, so that its path takes a lot of room ";
    let root = tree(&[("x", b"")]);
    let mut list = String::new();
    for at in 0..1000 {
        let folder = root.path().join(format!("{name}{at}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("f"), "old").unwrap();
        list += &format!("{name}{at}/f\n");
    }
    fs::write(root.path().join("list"), list).unwrap();

    let output = shell(&root, "\"$0\" replace -q --no-sync --files-from list old new");
    assert!(output.status.success(), "{}", stderr(&output));
    let undone = shell(
        &root,
        "cd 'a directory with a long name, so that its path takes a lot of room 7' && \"$0\" undo",
    );

    assert!(undone.status.success(), "{}", stderr(&undone));
    assert_eq!(stdout(&undone).lines().count(), 1000);
    assert_eq!(read(&root, &format!("{name}999/f")), "old");
}
