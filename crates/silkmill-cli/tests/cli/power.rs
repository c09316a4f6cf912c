//! What a power cut may leave, and what recovery makes of it.
//!
//! The model: what was written before a flush that has returned is there. Of what was done since, anything
//! may be missing, in any combination: the bytes of a file, from any page on; a journal's mark; any of the
//! exchanges. A sector is there or not, and an exchange is, as journaling filesystems promise. That the
//! program flushes where the model needs it is read off the calls that it makes.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::crash::{REPLACE, Sandbox, Snapshot, both, cut_off};
use crate::replace::is_installed;

/// Where the marks of a journal are, and how long one is.
const SLOTS: &[u64] = &[64, 128, 192];
const SLOT_LEN: usize = 24;

/// The only run in the store.
fn run_folder(sandbox: &Sandbox) -> PathBuf {
    let entries = fs::read_dir(sandbox.store()).unwrap().map(|entry| entry.unwrap().path());
    let is_run = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("20");
    entries.into_iter().find(is_run).unwrap()
}

fn journal(sandbox: &Sandbox) -> PathBuf {
    run_folder(sandbox).join("journal")
}

fn lose_mark(sandbox: &Sandbox, slot: u64) {
    let journal = OpenOptions::new().write(true).open(journal(sandbox)).unwrap();
    journal.write_all_at(&[0; SLOT_LEN], slot).unwrap();
}

/// Every staged file, in an order that is always the same.
fn staged(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for lane in fs::read_dir(run_folder(sandbox)).unwrap().map(|entry| entry.unwrap().path()) {
        if lane.is_dir() {
            files.extend(fs::read_dir(&lane).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    files.sort_unstable();
    files
}

#[test]
fn nothing_is_marked_before_it_is_flushed_and_nothing_swapped_before_it_is_marked() {
    if !is_installed("strace") {
        return;
    }
    let sandbox = Sandbox::new();
    let calls = "openat,write,pwrite64,copy_file_range,ftruncate,fchmod,fsetxattr,renameat2,fdatasync,syncfs";
    // Nothing is injected into a call that is never made.
    let inject =
        calls.split(',').map(|call| format!("{call}:error=EIO:when=9999")).collect::<Vec<_>>();
    assert!(sandbox.strace(&inject, REPLACE).status.success());
    let log = fs::read_to_string(sandbox.log()).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let all = |wanted: &dyn Fn(&str) -> bool| {
        let places = lines.iter().enumerate().filter(|(_, line)| wanted(line));
        places.map(|(place, _)| place).collect::<Vec<_>>()
    };
    let created = all(&|line| line.contains("openat(") && line.contains("O_EXCL"));
    let flushed = all(&|line| line.contains("syncfs("));
    let marks = all(&|line| {
        line.contains("pwrite64(") && (line.contains("\"commit") || line.contains("\"done"))
    });
    let journaled = all(&|line| line.contains("pwrite64(") && line.contains("\"silkmill journal"));
    let mark_flushed = all(&|line| line.contains("fdatasync("));
    let swapped = all(&|line| line.contains("renameat2("));
    let copied = all(&|line| line.contains("ftruncate("));

    assert_eq!((flushed.len(), marks.len(), mark_flushed.len()), (2, 2, 1), "{log}");
    assert!(created.iter().chain(&journaled).all(|place| *place < flushed[0]), "{log}");
    assert!(flushed[0] < marks[0] && marks[0] < mark_flushed[0], "{log}");
    assert!(swapped.len() == EXCHANGED.len() && copied.len() == 1, "{log}");
    let visible = || swapped.iter().chain(&copied);
    assert!(visible().all(|place| mark_flushed[0] < *place && *place < flushed[1]), "{log}");
    assert!(flushed[1] < marks[1], "{log}");
}

#[test]
fn before_the_first_flush_anything_may_be_missing() {
    if !is_installed("strace") {
        return;
    }
    let (old, _) = both();
    // Staged files and the journal, cut after so many bytes; or full of zeros.
    for kept in [0, 1, 20, 511, 512, 600, 1000, u64::MAX] {
        for zeros in [false, true] {
            let sandbox = Sandbox::new();
            cut_off(&sandbox, &[], "syncfs:signal=KILL:when=1");
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
    // Not even the directory of a run has its journal.
    let sandbox = Sandbox::new();
    cut_off(&sandbox, &[], "syncfs:signal=KILL:when=1");
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

/// The targets that are exchanged, and their places in the order of the run.
const EXCHANGED: &[&str] = &["d/e/big", "d/read-only", "d/setuid", "d/utf-16", "plain", "real"];

/// Exchanges what has this text in the store with its target.
fn exchange(sandbox: &Sandbox, name: &str, of: &Snapshot) {
    let wanted = &of[Path::new(name)].bytes;
    let is_it = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes == *wanted);
    let path = staged(sandbox).into_iter().find(is_it).unwrap();
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
        cut_off(&sandbox, &[], "syncfs:signal=KILL:when=2");
        assert_eq!(sandbox.snapshot(), new);
        for (place, name) in EXCHANGED.iter().enumerate() {
            if lost & (1 << place) != 0 {
                exchange(&sandbox, name, &old);
            }
        }
        assert_eq!(sandbox.recovered(&format!("{lost:05b}")), new);
    }
}

#[test]
fn any_page_of_a_file_that_is_written_in_place_may_be_missing() {
    if !is_installed("strace") {
        return;
    }
    let (old, new) = both();
    let name = Path::new("d/e/shared");
    let (was, is) = (&old[name].bytes, &new[name].bytes);
    let pages = is.len().div_ceil(8);
    for lost in 0..1u32 << pages {
        let sandbox = Sandbox::new();
        cut_off(&sandbox, &[], "syncfs:signal=KILL:when=2");
        let bytes: Vec<u8> = (0..is.len())
            .map(|at| match lost & (1 << (at / 8)) {
                0 => is[at],
                // A page that the file has grown by is there, and empty.
                _ => was.get(at).copied().unwrap_or(0),
            })
            .collect();
        fs::write(sandbox.tree().join(name), bytes).unwrap();
        assert_eq!(sandbox.recovered(&format!("{lost:b}")), new);
    }
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
