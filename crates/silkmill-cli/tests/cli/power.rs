//! What a power cut may leave, and how recovery handles it.
//!
//! The model: what was written before a flush that has returned is there. Of what was done since,
//! anything may be missing, in any combination: the bytes of a file, from any page on; a mark of
//! the journal; any of the exchanges, links and renames, as long as those of one file are lost from
//! the last one backwards. A sector is there or not, and so is each of these operations, as
//! journaling filesystems promise. That the program flushes where the model needs it is checked in
//! the log of its system calls, in `order`.

mod order;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::crash::renames::{RENAME, both_renamed};
use crate::crash::{
    REPLACE, Sandbox, Snapshot, both, cut_off, delete_some, kill, without_some_and_with,
};
use crate::sandbox::is_installed;

/// The offsets of the marks in a journal, then the length of a mark.
const SLOTS: &[u64] = &[64, 128, 192];
const SLOT_LEN: usize = 24;

fn run_folders(sandbox: &Sandbox) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(sandbox.store()).unwrap().map(|entry| entry.unwrap().path());
    let is_run = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("20");
    entries.filter(is_run)
}

/// Returns the journal of the only run in the store.
fn journal(sandbox: &Sandbox) -> PathBuf {
    run_folders(sandbox).next().unwrap().join("journal")
}

fn lose_mark(sandbox: &Sandbox, slot: u64) {
    let journal = OpenOptions::new().write(true).open(journal(sandbox)).unwrap();
    journal.write_all_at(&[0; SLOT_LEN], slot).unwrap();
}

/// Returns every staged file, always in the same order.
fn staged(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = run_folders(sandbox).flat_map(|folder| fs::read_dir(folder).unwrap());
    for lane in entries.map(|entry| entry.unwrap().path()) {
        if lane.is_dir() {
            files.extend(fs::read_dir(&lane).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    files.sort_unstable();
    files
}

#[test]
fn before_the_first_flush_anything_may_be_missing() {
    if !is_installed("strace") {
        return;
    }
    let (old, _) = both();
    // Staged files and the journal are cut after this many bytes, or filled with zeros from there
    // on.
    for kept in [0, 1, 20, 511, 512, 600, 1000, u64::MAX] {
        for zeros in [false, true] {
            let sandbox = Sandbox::new();
            cut_off(&sandbox, &[], "pwrite64:signal=KILL:when=3");
            for path in staged(&sandbox).into_iter().chain([journal(&sandbox)]) {
                let file = OpenOptions::new().write(true).open(&path).unwrap();
                let len = file.metadata().unwrap().len();
                file.set_len(len.min(kept)).unwrap();
                if zeros {
                    file.set_len(0).unwrap();
                    file.set_len(len).unwrap();
                }
            }
            assert_eq!(sandbox.recovered(&format!("{kept} {zeros}")), old);
            assert_eq!(sandbox.runs(), 0);
        }
    }
    // The directory of a run need not even have its journal.
    let sandbox = Sandbox::new();
    cut_off(&sandbox, &[], "pwrite64:signal=KILL:when=3");
    fs::remove_file(journal(&sandbox)).unwrap();
    assert_eq!(sandbox.recovered("no journal"), old);
}

#[test]
fn a_commit_mark_is_there_or_not() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both();
    for is_there in [true, false] {
        let sandbox = Sandbox::new();
        cut_off(&sandbox, &[], "fdatasync:signal=KILL:when=1");
        if !is_there {
            lose_mark(&sandbox, SLOTS[0]);
        }
        assert_eq!(&sandbox.recovered("commit mark"), if is_there { &new } else { &old });
    }
}

/// The targets that are exchanged, in the order of the run.
const EXCHANGED: &[&str] = &["d/e/big", "d/read-only", "d/setuid", "d/utf-16", "plain", "real"];

/// Returns the file in the store that has this text.
fn stored(sandbox: &Sandbox, text: &[u8]) -> PathBuf {
    let is_it = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes == text);
    staged(sandbox).into_iter().find(is_it).unwrap()
}

/// Exchanges the file in the store that has this text with its target.
fn exchange(sandbox: &Sandbox, name: &str, of: &Snapshot) {
    let path = stored(sandbox, &of[Path::new(name)].bytes);
    let target = sandbox.tree().join(name);
    renameat_with(CWD, &path, CWD, target, RenameFlags::EXCHANGE).unwrap();
}

#[test]
fn any_of_the_exchanges_may_be_missing_before_the_second_flush() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both();
    for lost in 0..1 << EXCHANGED.len() {
        let sandbox = Sandbox::new();
        cut_off(&sandbox, &[], "pwrite64:signal=KILL:when=4");
        assert_eq!(sandbox.snapshot(), new);
        for (place, name) in EXCHANGED.iter().enumerate() {
            if lost & (1 << place) != 0 {
                exchange(&sandbox, name, &old);
            }
        }
        assert_eq!(sandbox.recovered(&format!("{lost:05b}")), new);
    }
}

/// Where the renames of a run have come from, the deepest last name first.
const RENAMED: &[(&str, &str)] = &[
    ("brand new plain", "plain"),
    ("brand new d/brand new e", "brand new d/e"),
    ("brand new d", "d"),
];

/// Two targets of that run, by their names before and after it.
const EXCHANGED_AND_RENAMED: &[(&str, &str)] =
    &[("plain", "brand new plain"), ("d/e/big", "brand new d/brand new e/big")];

#[test]
fn any_of_the_renames_and_exchanges_may_be_missing_before_the_second_flush() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both_renamed();
    for lost in combinations(RENAMED.len() + EXCHANGED_AND_RENAMED.len(), 2) {
        let sandbox = Sandbox::new();
        kill(&sandbox, RENAME, &[], "pwrite64:signal=KILL:when=4");
        assert_eq!(sandbox.snapshot(), new);
        let (names, texts) = lost.split_at(RENAMED.len());
        for ((before, after), _) in
            EXCHANGED_AND_RENAMED.iter().zip(texts).filter(|(_, lost)| **lost == 1)
        {
            let path = stored(&sandbox, &old[Path::new(before)].bytes);
            let target = sandbox.tree().join(after);
            renameat_with(CWD, &path, CWD, target, RenameFlags::EXCHANGE).unwrap();
        }
        for ((after, before), _) in RENAMED.iter().zip(names).filter(|(_, lost)| **lost == 1) {
            fs::rename(sandbox.tree().join(after), sandbox.tree().join(before)).unwrap();
        }
        assert_eq!(sandbox.recovered(&format!("{lost:?}")), new);
    }
}

/// Returns every combination of the states of `things`, each of which may be in one of `states`.
fn combinations(things: usize, states: usize) -> impl Iterator<Item = Vec<usize>> {
    let count = states.pow(u32::try_from(things).unwrap());
    (0..count).map(move |mut number| {
        let digits = (0..things).map(|_| {
            let digit = number % states;
            number /= states;
            digit
        });
        digits.collect()
    })
}

#[test]
fn any_of_the_links_and_renames_may_be_missing_where_files_cannot_be_exchanged() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both();
    let no_exchange = &["renameat2:error=EINVAL"];
    // The states of a file are: nothing is lost; the original's last rename is lost; the rename
    // over the target, too; the original's second name, too. Three files are enough, since the
    // others are swapped in the same way.
    for states in combinations(3, 4) {
        let sandbox = Sandbox::new();
        cut_off(&sandbox, no_exchange, "pwrite64:signal=KILL:when=4");
        assert_eq!(sandbox.snapshot(), new);
        for (name, state) in EXCHANGED.iter().step_by(2).zip(&states) {
            let target = sandbox.tree().join(name);
            // The original is at the staged name now.
            let staged = stored(&sandbox, &old[Path::new(name)].bytes);
            let out = staged.with_extension("out");
            if *state >= 1 {
                fs::rename(&staged, &out).unwrap();
            }
            if *state >= 2 {
                fs::rename(&target, &staged).unwrap();
                fs::hard_link(&out, &target).unwrap();
            }
            if *state >= 3 {
                fs::remove_file(&out).unwrap();
            }
        }
        assert_eq!(sandbox.recovered(&format!("{states:?}")), new);
        assert!(sandbox.silkmill(&["undo"]).status.success());
        assert_eq!(sandbox.snapshot(), old, "{states:?}");
    }
}

#[test]
fn any_of_the_exchanges_of_an_undo_may_be_missing_and_any_page_that_it_wrote() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both();
    let shared = Path::new("d/e/shared");
    for lost in 0..1u32 << EXCHANGED.len() {
        let sandbox = Sandbox::new();
        assert!(sandbox.silkmill(REPLACE).status.success());
        kill(&sandbox, &["undo"], &[], "pwrite64:signal=KILL:when=4");
        assert_eq!(sandbox.snapshot(), old);
        for (place, name) in EXCHANGED.iter().enumerate() {
            if lost & (1 << place) != 0 {
                exchange(&sandbox, name, &new);
            }
        }
        // Some bytes of the file that was written in place are old, and some are new.
        let (is, was) = (&old[shared].bytes, &new[shared].bytes);
        let torn: Vec<u8> = (0..is.len().max(was.len()))
            .map(|at| match lost.rotate_right(u32::try_from(at / 8).unwrap()) & 1 {
                0 => is.get(at).or(was.get(at)).copied().unwrap_or_default(),
                _ => was.get(at).copied().unwrap_or(0),
            })
            .collect();
        fs::write(sandbox.tree().join(shared), torn).unwrap();
        assert_eq!(sandbox.recovered(&format!("{lost:b}")), old);
        assert!(sandbox.silkmill(&["redo"]).status.success());
        assert_eq!(sandbox.snapshot(), new, "{lost:b}");
    }
}

#[test]
fn any_file_that_an_undo_brings_or_takes_may_be_where_it_was() {
    if !is_installed("strace") {
        return;
    }
    let (gone, back) = without_some_and_with();
    for takes in [false, true] {
        let (words, is, was): (&[&str], _, _) = match takes {
            false => (&["undo", "--force"], &back, &gone),
            true => (&["redo"], &gone, &back),
        };
        for states in combinations(2, 3) {
            let sandbox = Sandbox::new();
            assert!(sandbox.silkmill(REPLACE).status.success());
            delete_some(&sandbox);
            // The first is an original, the second a copy of a file that was written in place.
            let names = ["d/utf-16", "d/e/shared"];
            let stored = names.map(|name| stored(&sandbox, &back[Path::new(name)].bytes));
            if takes {
                assert!(sandbox.silkmill(&["undo", "--force"]).status.success());
            }
            kill(&sandbox, words, &[], "pwrite64:signal=KILL:when=4");
            assert_eq!(&sandbox.snapshot(), is);
            // The file is at its new place, at both places by a link, or at its old place.
            for ((name, stored), state) in names.iter().zip(&stored).zip(&states) {
                let target = &sandbox.tree().join(name);
                let (from, to) = if takes { (stored, target) } else { (target, stored) };
                match state {
                    0 => {}
                    1 => fs::hard_link(from, to).unwrap(),
                    _ => fs::rename(from, to).unwrap(),
                }
            }
            assert_eq!(&sandbox.recovered(&format!("{takes} {states:?}")), is);
            let other = if takes { "undo" } else { "redo" };
            let words: &[&str] = if takes { &[other, "--force"] } else { &[other] };
            assert!(sandbox.silkmill(words).status.success());
            assert_eq!(&sandbox.snapshot(), was, "{takes} {states:?}");
        }
    }
}

#[test]
fn any_page_of_a_file_that_is_written_in_place_may_be_missing() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both();
    // The first file has several names; the second is found late to be a mount point.
    let busy: &[&str] = &["renameat2:error=EBUSY"];
    for (name, also) in [("d/e/shared", &[][..]), ("d/setuid", busy)] {
        let name = Path::new(name);
        let (was, is) = (&old[name].bytes, &new[name].bytes);
        let pages = is.len().div_ceil(8);
        for lost in 0..1u32 << pages {
            let sandbox = Sandbox::new();
            cut_off(&sandbox, also, "pwrite64:signal=KILL:when=4");
            let bytes: Vec<u8> = (0..is.len())
                .map(|at| match lost & (1 << (at / 8)) {
                    0 => is[at],
                    // A page by which the file has grown is there, and empty.
                    _ => was.get(at).copied().unwrap_or(0),
                })
                .collect();
            fs::write(sandbox.tree().join(name), bytes).unwrap();
            fs::set_permissions(sandbox.tree().join(name), mode_of(name)).unwrap();
            assert_eq!(sandbox.recovered(&format!("{name:?} {lost:b}")), new);
        }
    }
}

/// Restores the mode, from which a write removes the set-id bits.
fn mode_of(name: &Path) -> fs::Permissions {
    fs::Permissions::from_mode(if name.ends_with("setuid") { 0o4751 } else { 0o664 })
}

#[test]
fn a_copy_that_is_made_late_is_on_disk_before_its_original_is_written_to() {
    if !is_installed("strace") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut inject = vec!["renameat2:error=EBUSY".to_owned()];
    // There is no 9,999th call, so nothing fails: the faults only make strace log these calls.
    inject.extend(
        ["renameat", "fsync", "ftruncate"].map(|call| format!("{call}:error=EIO:when=9999")),
    );
    assert!(sandbox.strace(&inject, REPLACE).status.success());
    let log = fs::read_to_string(sandbox.log()).unwrap();
    let calls: Vec<&str> = log
        .lines()
        .filter(|line| !line.contains("resumed"))
        .filter_map(|line| {
            let known = ["renameat2(", "renameat(", "fsync(", "ftruncate("];
            known.into_iter().find(|call| line.contains(&format!(" {call}")))
        })
        .collect();

    // The order is: the copy, the name that says that the copy is whole, the directory of that
    // name, the original.
    let late = ["renameat2(", "fsync(", "renameat(", "fsync(", "ftruncate("];
    let in_place = calls.iter().filter(|call| **call == "ftruncate(").count();
    assert_eq!(in_place, EXCHANGED.len() + 1, "{log}");
    let found = calls.windows(late.len()).filter(|calls| **calls == late).count();
    assert_eq!(found, EXCHANGED.len(), "{log}");
}

#[test]
fn a_done_mark_that_is_missing_changes_nothing() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both();
    let sandbox = Sandbox::new();
    assert!(sandbox.silkmill(REPLACE).status.success());
    lose_mark(&sandbox, SLOTS[2]);

    assert_eq!(sandbox.recovered("done mark"), new);
    assert!(sandbox.silkmill(&["undo"]).status.success());
    assert_eq!(sandbox.snapshot(), old);
}

#[test]
fn a_damaged_journal_is_refused_by_its_name_and_not_acted_on() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both();
    let sandbox = Sandbox::new();
    cut_off(&sandbox, &[], "renameat2:signal=KILL:when=3");
    let before = sandbox.snapshot();
    assert!(before != old && before != new);
    let path = journal(&sandbox);
    let whole = fs::read(&path).unwrap();
    for at in (16..20).chain([64, 80, 512, 700, whole.len() - 1]) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, damaged).unwrap();

        let replace = sandbox.silkmill(REPLACE);
        let list = sandbox.silkmill(&["undo", "--list"]);

        assert_eq!(replace.status.code(), Some(2), "{at}: {replace:?}");
        for output in [replace, list] {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                said.contains("journal\": it is") && said.contains("left as it is"),
                "{at}: {said}"
            );
        }
        assert_eq!(sandbox.snapshot(), before, "{at}");
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(sandbox.recovered("whole again"), new);
}
