//! What is staged, how it gets to its target, and what is left of it.

use super::*;
use crate::store::journal::RunHeader;
use crate::store::run_id::now;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Creates a stage for the files of a test's directory, and the run directory that has to
/// outlive it.
pub(crate) fn stage(root: &Path, hard_links: HardLinks) -> (RunDirectory, Stage) {
    let store = Store::open(None, root).unwrap();
    let header = RunHeader { begun: now(), ..RunHeader::default() };
    let run = store.lock().unwrap().begin(&header).unwrap();
    let stage = Stage::new(Some(&run), vec![root.to_path_buf()], hard_links, None).unwrap();
    (run, stage)
}

fn path(staged: &Staged) -> PathBuf {
    staged.temporary.dir.path.join(staged.temporary.number.to_string())
}

/// Counts the files in the staging directories of a run.
fn files(run: &RunDirectory) -> usize {
    let dirs = fs::read_dir(run.path()).unwrap().map(|entry| entry.unwrap().path());
    dirs.filter(|path| path.is_dir()).map(|dir| fs::read_dir(dir).unwrap().count()).sum()
}

#[test]
fn a_staged_file_is_removed_unless_it_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("a");
    fs::write(&target, "old").unwrap();
    let original = Original::open(&target).unwrap();
    let (run, stage) = stage(root.path(), HardLinks::Keep);

    let mut staged = stage.stage(&target, &original, b"old", b"new").unwrap();
    assert_eq!(fs::read(path(&staged)).unwrap(), b"new");
    assert_eq!((&staged.target, files(&run)), (&target, 1));
    staged.temporary.keep();
    drop(staged);
    assert_eq!(files(&run), 1);
    drop(stage.stage(&target, &original, b"old", b"new").unwrap());
    assert_eq!(files(&run), 1);
}

#[test]
fn text_is_staged_in_pieces_and_unfinished_text_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("a");
    fs::write(&target, "old").unwrap();
    let original = Original::open(&target).unwrap();
    let (run, stage) = stage(root.path(), HardLinks::Keep);

    let mut writer = stage.begin(&target, &original).unwrap();
    writer.write_all(b"one ").unwrap();
    writer.write_all(b"two").unwrap();
    let staged = writer.finish().unwrap();
    assert_eq!(fs::read(path(&staged)).unwrap(), b"one two");
    drop(staged);

    let mut writer = stage.begin(&target, &original).unwrap();
    writer.write_all(b"half").unwrap();
    drop(writer);
    assert_eq!(files(&run), 0);
}

#[test]
fn the_mode_is_copied_and_a_linked_file_is_kept_split_or_refused() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("a");
    fs::write(&target, "old").unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o4751)).unwrap();
    let (_run, keeping) = stage(root.path(), HardLinks::Keep);

    let original = Original::open(&target).unwrap();
    let staged = keeping.stage(&target, &original, b"old", b"new").unwrap();
    assert_eq!(fs::metadata(path(&staged)).unwrap().mode() & 0o7777, 0o4751);
    assert_eq!(staged.method, Method::Exchange);

    fs::hard_link(&target, root.path().join("b")).unwrap();
    let original = Original::open(&target).unwrap();
    let staged = keeping.stage(&target, &original, b"old", b"new").unwrap();
    assert_eq!(staged.method, Method::CopyOver);
    assert_eq!(fs::read(path(&staged).with_extension("old")).unwrap(), b"old");
    let (_run, splitting) = stage(root.path(), HardLinks::Split);
    assert_eq!(
        splitting.stage(&target, &original, b"old", b"new").unwrap().method,
        Method::Exchange
    );
    let (_run, refusing) = stage(root.path(), HardLinks::Refuse);
    let error = refusing.stage(&target, &original, b"old", b"new").unwrap_err().to_string();
    assert!(error.ends_with("it has 2 names"), "{error}");
}
