//! A run is killed at any point: after recovery, every file is as before the run, or every file is
//! as after it.
//!
//! `strace` kills the program at the N-th call of a kind, for every N until the program is not
//! killed any more; then the next command recovers. The same is done to a recovery, to an undo, and
//! where files cannot be exchanged.

mod many;
pub(crate) mod renames;
pub(crate) mod strace;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::fs::{XattrFlags, getxattr, setxattr};
use tempfile::TempDir;

use crate::crash::strace::was_killed;
pub(crate) use crate::crash::strace::{CALLS, OPENAT, is_long};
use crate::sandbox::is_installed;

/// The tests make fewer calls of one kind than this.
const CALLS_MAX: usize = 400;

/// Set for the tests that are started again in a namespace, where sandboxes are overlays of two
/// directories. There, one kill of every `OVERLAY_STEP` is tried, unless the tests may take long.
const OVERLAY: &str = "SILKMILL_SANDBOX_OVERLAY";
const OVERLAY_STEP: usize = 5;

/// The same for commands some of whose calls fail besides: what differs from those without is the
/// way in which files are swapped.
const FAULTED_STEP: usize = 3;

/// A tree with every kind of file, and a store for its runs.
pub(crate) struct Sandbox {
    root: PathBuf,
    is_mounted: bool,
    _place: TempDir,
}

/// Everything that a run must keep of a file, or change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
    names: u64,
    note: Option<Vec<u8>>,
}

pub(crate) type Snapshot = BTreeMap<PathBuf, File>;

impl Sandbox {
    pub(crate) fn new() -> Sandbox {
        let place = tempfile::tempdir().unwrap();
        let is_mounted = std::env::var_os(OVERLAY).is_some();
        let lower = if is_mounted { place.path().join("lower") } else { place.path().to_owned() };
        let tree = lower.join("tree");
        fs::create_dir_all(tree.join("d/e")).unwrap();
        let big = "some old text, again and again\r\n".repeat(3000);
        let utf_16: Vec<u8> =
            "\u{feff}an old \u{1F600}\r\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let files: &[(&str, &[u8], u32)] = &[
            ("plain", b"old\n", 0o644),
            ("d/setuid", b"one old, two old", 0o4751),
            ("d/read-only", b"old\r\nold \xFF\xFE\xC3 old\r\n", 0o444),
            ("d/e/big", big.as_bytes(), 0o600),
            ("d/utf-16", &utf_16, 0o640),
            ("real", b"old behind a link", 0o640),
            ("none", b"nothing to do here\n", 0o644),
            ("empty", b"", 0o644),
        ];
        for (name, bytes, mode) in files {
            fs::write(tree.join(name), bytes).unwrap();
            fs::set_permissions(tree.join(name), Permissions::from_mode(*mode)).unwrap();
        }
        symlink("real", tree.join("link")).unwrap();
        // Some filesystems have no such attributes, and so none to lose.
        let _ = setxattr(tree.join("plain"), "user.note", b"kept", XattrFlags::empty());
        let root = if is_mounted { overlay(place.path()) } else { lower };
        let sandbox = Sandbox { root, is_mounted, _place: place };
        // An overlay gives each name of a file in its lower layer an inode of its own.
        let shared = sandbox.tree().join("d/e/shared");
        fs::write(&shared, "an old text with two names\n").unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o664)).unwrap();
        fs::hard_link(&shared, sandbox.tree().join("shared too")).unwrap();
        sandbox
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("state/silkmill")
    }

    /// Returns the path of strace's log.
    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Runs the program under `strace`, which injects the given faults.
    pub(crate) fn strace(&self, inject: &[String], words: &[&str]) -> Output {
        let mut strace = strace::strace(&self.log(), inject, &["renameat2"]);
        strace.arg(env!("CARGO_BIN_EXE_silkmill")).args(words);
        strace.current_dir(self.tree()).env("XDG_STATE_HOME", self.root.join("state"));
        strace.output().unwrap()
    }

    pub(crate) fn silkmill(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_silkmill"));
        command.args(words).current_dir(self.tree());
        command.env("XDG_STATE_HOME", self.root.join("state")).output().unwrap()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut files = Snapshot::new();
        let beside = self.tree().join(".silkmill");
        visit(&self.tree(), &mut |path| {
            // The store is here where the other one cannot be used.
            if path.starts_with(&beside) {
                return;
            }
            let metadata = fs::symlink_metadata(path).unwrap();
            let mut note = [0; 16];
            let note = getxattr(path, "user.note", &mut note).map(|len| note[..len].to_vec()).ok();
            let bytes = match fs::read_link(path) {
                Ok(to) => to.into_os_string().into_encoded_bytes(),
                Err(_) => fs::read(path).unwrap(),
            };
            let (mode, owner) = (metadata.mode(), (metadata.uid(), metadata.gid()));
            let file = File { bytes, mode, owner, names: metadata.nlink(), note };
            files.insert(path.strip_prefix(self.tree()).unwrap().to_path_buf(), file);
        });
        files
    }

    /// Returns the names and identities of everything in the store.
    fn stored(&self) -> BTreeMap<PathBuf, (u64, u64)> {
        let mut stored = BTreeMap::new();
        visit(&self.store(), &mut |path| {
            let metadata = fs::symlink_metadata(path).unwrap();
            stored.insert(path.to_path_buf(), (metadata.ino(), metadata.len()));
        });
        stored
    }

    /// Returns how many directories of runs the store has.
    pub(crate) fn runs(&self) -> usize {
        let entries = fs::read_dir(self.store()).into_iter().flatten().flatten();
        let names: Vec<OsString> = entries.map(|entry| entry.file_name()).collect();
        names.iter().filter(|name| name.to_string_lossy().starts_with("20")).count()
    }

    /// Recovers, and once more, which must change nothing. Returns the tree.
    pub(crate) fn recovered(&self, what: &str) -> Snapshot {
        let first = self.silkmill(&["undo", "--list"]);
        assert!(first.status.success(), "{what}: {first:?}");
        let (tree, stored) = (self.snapshot(), self.stored());
        let again = self.silkmill(&["undo", "--list"]);
        assert!(again.status.success(), "{what}: {again:?}");
        let said = String::from_utf8_lossy(&again.stderr);
        let is_sizes = |line: &str| line.contains(" of at most ");
        assert!(said == "no run to undo\n" || said.lines().all(is_sizes), "{what}: {again:?}");
        assert_eq!((&self.snapshot(), &self.stored()), (&tree, &stored), "{what}: again");
        tree
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.is_mounted {
            // An error is ignored: the namespace ends with the tests.
            let _ = Command::new("umount").arg("-l").arg(&self.root).status();
        }
    }
}

/// Mounts an overlay that shows what is in `lower` and keeps every change elsewhere.
fn overlay(place: &Path) -> PathBuf {
    for name in ["upper", "work", "merged"] {
        fs::create_dir(place.join(name)).unwrap();
    }
    let mut mount = Command::new("mount");
    mount.args(["-t", "overlay", "overlay", "-o", "lowerdir=lower,upperdir=upper,workdir=work"]);
    assert!(mount.arg("merged").current_dir(place).status().unwrap().success());
    place.join("merged")
}

fn visit(folder: &Path, file: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => visit(&entry.path(), file),
            false => file(&entry.path()),
        }
    }
}

/// A small run over all kinds of files. The link is named, since a walk does not follow it.
pub(crate) const REPLACE: &[&str] =
    &["replace", "-j", "2", "--strict", "old", "brand new", ".", "link"];

/// Returns the tree before and after an undisturbed run.
pub(crate) fn both() -> (Snapshot, Snapshot) {
    let sandbox = Sandbox::new();
    let old = sandbox.snapshot();
    let output = sandbox.silkmill(REPLACE);
    assert!(output.status.success(), "{output:?}");
    let new = sandbox.snapshot();
    assert_eq!(old.len(), new.len());
    let same: Vec<_> = old.iter().filter(|(name, file)| new[*name] == **file).collect();
    let same: Vec<_> = same.into_iter().map(|(name, _)| name.to_str().unwrap()).collect();
    assert_eq!(same, ["empty", "link", "none"]);
    (old, new)
}

/// Kills a command at every call of every kind, in a sandbox that `prepare` has made ready. Then
/// calls `check` with a description, and with whether the command was killed. The last command of
/// each kind is not.
fn sweep(
    also: &[&str],
    words: &[&str],
    prepare: impl Fn(&Sandbox) + Sync,
    check: impl Fn(&Sandbox, &str, bool) + Sync,
) {
    let killed = std::sync::atomic::AtomicUsize::new(0);
    let one = |call: &str| {
        let step = match also {
            _ if is_long() => 1,
            _ if std::env::var_os(OVERLAY).is_some() => OVERLAY_STEP,
            [] => 1,
            _ => FAULTED_STEP,
        };
        for nth in (1..).step_by(step) {
            assert!(nth < CALLS_MAX, "{call} is called for ever");
            let sandbox = Sandbox::new();
            prepare(&sandbox);
            let mut inject: Vec<String> = also.iter().map(|one| (*one).to_owned()).collect();
            inject.retain(|other| !other.starts_with(&format!("{call}:")));
            inject.push(format!("{call}:signal=KILL:when={nth}"));
            let output = sandbox.strace(&inject, words);
            let was_killed = was_killed(&output);
            let what = format!("{words:?} killed at {call} {nth}, {also:?}");
            assert!(was_killed || output.status.code().is_some(), "{what}: {output:?}");
            check(&sandbox, &what, was_killed);
            if !was_killed {
                assert!(output.status.success(), "{what}: {output:?}");
                break;
            }
            killed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let opens = is_long() || (also.is_empty() && std::env::var_os(OVERLAY).is_none());
    let calls: Vec<&str> =
        opens.then_some(OPENAT).into_iter().chain(CALLS.iter().copied()).collect();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let calls = calls.iter().skip(half).step_by(2);
            scope.spawn(move || calls.for_each(|call| one(call)));
        }
    });
    println!("{words:?} {also:?}: killed {} times", killed.into_inner());
}

const NO_EXCHANGE: &str = "renameat2:error=EINVAL";

/// The faults: none; no file can be exchanged; nor be linked, as on vfat; nor be renamed over.
const FAULTS: &[&[&str]] =
    &[&[], &[NO_EXCHANGE], &[NO_EXCHANGE, "linkat:error=EPERM"], &["renameat2:error=EBUSY"]];

/// On an overlay, which can exchange files, the second name of a file in the lower layer has an
/// inode of its own.
fn is_tried(also: &[&str]) -> bool {
    std::env::var_os(OVERLAY).is_none() || !also.contains(&NO_EXCHANGE)
}

fn faults() -> impl Iterator<Item = &'static [&'static str]> {
    FAULTS.iter().copied().filter(|also| is_tried(also))
}

#[test]
fn a_run_that_is_killed_anywhere_leaves_every_file_old_or_every_file_new() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both();
    for also in faults() {
        let check = |sandbox: &Sandbox, what: &str, was_killed: bool| {
            let tree = sandbox.recovered(what);
            if tree == old {
                assert!(was_killed, "{what}");
                assert_eq!(sandbox.runs(), 0, "{what}");
                return;
            }
            assert_eq!(tree, new, "{what}");
            assert_eq!(sandbox.runs(), 1, "{what}");
            let undo = sandbox.silkmill(&["undo"]);
            assert!(undo.status.success(), "{what}: {undo:?}");
            assert_eq!(sandbox.snapshot(), old, "{what}: undone");
        };
        sweep(also, REPLACE, |_| {}, check);
    }
}

#[test]
fn an_undo_that_is_killed_anywhere_leaves_every_file_old_or_every_file_new() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both();
    for also in faults() {
        let prepare = |sandbox: &Sandbox| {
            let inject: Vec<String> = also.iter().map(|one| (*one).to_owned()).collect();
            assert!(sandbox.strace(&inject, REPLACE).status.success());
        };
        let check = |sandbox: &Sandbox, what: &str, was_killed: bool| {
            let tree = sandbox.recovered(what);
            let (is, other) = if tree == new { (&new, &old) } else { (&old, &new) };
            assert_eq!(&tree, is, "{what}");
            assert!(was_killed || tree == old, "{what}");
            let words = if tree == new { ["undo"] } else { ["redo"] };
            let undo = sandbox.silkmill(&words);
            assert!(undo.status.success(), "{what}: {undo:?}");
            assert_eq!(&sandbox.snapshot(), other, "{what}: and back");
        };
        sweep(also, &["undo"], prepare, check);
    }
}

#[test]
fn on_an_overlay_of_directories_it_is_the_same() {
    if !is_installed("strace") {
        return;
    }
    let mut unshare = Command::new("unshare");
    unshare.arg("-Urm").arg(std::env::current_exe().unwrap()).env(OVERLAY, "1");
    let tests = ["a_run_that_is_killed_anywhere", "an_undo_that_is_killed", "a_recovery_that_is"];
    unshare.args(tests.map(|name| format!("crash::{name}"))).arg("--nocapture");
    let place = tempfile::tempdir().unwrap();
    let probe = "mkdir lower upper work merged && \
        mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged";
    let mut shell = Command::new("unshare");
    let probe = shell.args(["-Urm", "sh", "-c", probe]).current_dir(&place).output();
    let can_be_had = probe.as_ref().is_ok_and(|output| output.status.success());
    if !can_be_had {
        return println!("skipped: no overlay can be mounted here: {probe:?}");
    }

    let output = unshare.output().unwrap();

    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("3 passed"), "{said}");
    print!("{said}");
}

/// Files that another program deletes between a run and its undo.
const DELETED: &[&str] = &["d/utf-16", "d/e/shared", "shared too"];

pub(crate) fn delete_some(sandbox: &Sandbox) {
    DELETED.iter().for_each(|name| fs::remove_file(sandbox.tree().join(name)).unwrap());
}

/// Returns the tree before and after a forced undo of a run of which some files were deleted since.
pub(crate) fn without_some_and_with() -> (Snapshot, Snapshot) {
    let (mut old, mut new) = both();
    DELETED.iter().for_each(|name| drop(new.remove(Path::new(name))));
    // A file of two names is restored under one of them.
    old.remove(Path::new("shared too"));
    old.get_mut(Path::new("d/e/shared")).unwrap().names = 1;
    (new, old)
}

#[test]
fn an_undo_that_brings_back_deleted_files_and_is_killed_anywhere_brings_all_or_none() {
    if !is_installed("strace") {
        return;
    }
    let (gone, back) = without_some_and_with();
    for also in faults() {
        let prepare = |sandbox: &Sandbox| {
            assert!(sandbox.silkmill(REPLACE).status.success());
            delete_some(sandbox);
        };
        let check = |sandbox: &Sandbox, what: &str, was_killed: bool| {
            let tree = sandbox.recovered(what);
            let is_back = tree == back;
            assert!(is_back || (tree == gone && was_killed), "{what}: {tree:?}");
            let words: &[&str] = if is_back { &["redo"] } else { &["undo", "--force"] };
            let undo = sandbox.silkmill(words);
            assert!(undo.status.success(), "{what}: {undo:?}");
            let other = if is_back { &gone } else { &back };
            assert_eq!(&sandbox.snapshot(), other, "{what}: and back");
        };
        sweep(also, &["undo", "--force"], prepare, check);
    }
}

/// Leaves a run that was killed at the N-th call of a kind.
pub(crate) fn cut_off(sandbox: &Sandbox, also: &[&str], at: &str) {
    kill(sandbox, REPLACE, also, at);
}

/// Kills a command at the N-th call of a kind.
pub(crate) fn kill(sandbox: &Sandbox, words: &[&str], also: &[&str], at: &str) {
    let mut inject: Vec<String> = also.iter().map(|one| (*one).to_owned()).collect();
    inject.retain(|other| other.split(':').next() != at.split(':').next());
    inject.push(at.to_owned());
    assert!(was_killed(&sandbox.strace(&inject, words)), "{words:?} {at}");
}

#[test]
fn a_recovery_that_is_killed_anywhere_is_recovered_from() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both();
    // The cuts are: before the commit mark; among the exchanges; within a file that is written in
    // place; among the links; among the renames.
    let cuts: &[(&[&str], &str, &Snapshot)] = &[
        (&[], "pwrite64:signal=KILL:when=3", &old),
        (&[], "renameat2:signal=KILL:when=3", &new),
        (&["renameat2:error=EBUSY"], "ftruncate:signal=KILL:when=3", &new),
        (&[NO_EXCHANGE], "linkat:signal=KILL:when=3", &new),
        (&[NO_EXCHANGE], "renameat:signal=KILL:when=4", &new),
    ];
    for (also, at, want) in cuts.iter().filter(|(also, ..)| is_tried(also)) {
        let prepare = |sandbox: &Sandbox| cut_off(sandbox, also, at);
        let check = |sandbox: &Sandbox, what: &str, _| {
            assert_eq!(&&sandbox.recovered(what), want, "{what} after {at}");
        };
        sweep(also, &["undo", "--list"], prepare, check);
    }
}

#[test]
fn a_run_that_cannot_be_finished_is_taken_back_and_what_another_wrote_is_kept() {
    if !is_installed("strace") {
        return;
    }
    let (old, _) = both();
    for also in faults() {
        // Files come in the order of their names: `real` is the last but one, and not swapped yet.
        let prepare = |sandbox: &Sandbox| {
            let at = if also.is_empty() {
                "renameat2:signal=KILL:when=3"
            } else {
                "fdatasync:signal=KILL:when=1"
            };
            cut_off(sandbox, also, at);
            fs::write(sandbox.tree().join("real"), "another's old").unwrap();
        };
        let mut want = old.clone();
        want.get_mut(Path::new("real")).unwrap().bytes = b"another's old".to_vec();
        let check = |sandbox: &Sandbox, what: &str, _| {
            assert_eq!(sandbox.recovered(what), want, "{what}");
            assert_eq!(sandbox.runs(), 0, "{what}");
        };
        sweep(also, &["undo", "--list"], prepare, check);
    }
}
