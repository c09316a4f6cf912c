//! Other programs that change the same files, and places where files cannot be exchanged.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use crate::sandbox::is_installed;

/// Makes a tree, which has a store beside it.
fn sandbox(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join("tree").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn silkmill(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_silkmill"));
    command.args(words).current_dir(root.join("tree")).env("XDG_STATE_HOME", root.join("state"));
    command
}

/// How often the runs are tried against the other program.
const RUNS: usize = 40;

/// Writes newer and newer versions of a few files while runs change a word in them. At the end the
/// last version must be there, whatever the runs did.
fn disturb(write: impl Fn(&Path, &str) + Sync) {
    let names: Vec<String> = (0..4).map(|number| format!("file{number}")).collect();
    let files: Vec<(&str, &str)> =
        names.iter().map(|name| (&**name, "version 0 of left")).collect();
    let root = sandbox(&files);
    let is_over = AtomicBool::new(false);
    let last = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut version = 0;
            while !is_over.load(Ordering::Relaxed) {
                version += 1;
                for name in &names {
                    write(
                        &root.path().join("tree").join(name),
                        &format!("version {version} of left"),
                    );
                }
                std::thread::sleep(std::time::Duration::from_micros(300 * (version % 20)));
            }
            version
        });
        for run in 0..RUNS {
            let words = if run % 2 == 0 { ["left", "right"] } else { ["right", "left"] };
            let words = ["replace", "-q", "--no-sync", words[0], words[1], "."];
            let output = silkmill(root.path(), &words).output().unwrap();
            let code = output.status.code();
            assert!([Some(0), Some(1), Some(2)].contains(&code), "{output:?}");
        }
        is_over.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    for name in &names {
        let text = fs::read_to_string(root.path().join("tree").join(name)).unwrap();
        assert!(text.starts_with(&format!("version {last} of ")), "{name} is {text:?}, not {last}");
    }
}

#[test]
fn what_another_program_writes_into_a_file_is_never_lost() {
    disturb(|path, text| fs::write(path, text).unwrap());
}

#[test]
fn what_another_program_puts_in_place_of_a_file_is_never_lost() {
    disturb(|path, text| {
        let new = path.with_extension("new~");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    });
}

#[test]
fn two_runs_at_once_on_one_tree_take_turns() {
    let names: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "left right")).collect();
    let root = sandbox(&files);

    let both = ["left", "right"]
        .map(|word| silkmill(root.path(), &["replace", "-q", word, "done"]).spawn().unwrap());

    for mut run in both {
        assert_eq!(run.wait().unwrap().code(), Some(0));
    }
    for name in &names {
        assert_eq!(fs::read_to_string(root.path().join("tree").join(name)).unwrap(), "done done");
    }
}

#[test]
fn the_last_ten_runs_are_kept() {
    let root = sandbox(&[("a", "x0")]);
    for run in 0..13 {
        let (old, new) = (format!("x{run}"), format!("x{}", run + 1));
        let output = silkmill(root.path(), &["replace", "--no-sync", &old, &new]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    let list = silkmill(root.path(), &["undo", "--list"]).output().unwrap();

    let said = String::from_utf8(list.stdout).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 10, "{said}");
    assert!(lines[0].contains("x3 → x4") && lines[9].contains("x12 → x13"), "{said}");
    let first = lines[0].split(' ').next().unwrap();
    let undo = silkmill(root.path(), &["undo", first]).output().unwrap();
    assert_eq!(undo.status.code(), Some(2), "{undo:?}");
    assert!(String::from_utf8_lossy(&undo.stderr).contains("1 file was edited since"), "{undo:?}");
    for run in (3..13).rev() {
        let undo = match run {
            11 => {
                let id = lines[run - 3].split(' ').next().unwrap();
                silkmill(root.path(), &["undo", "-q", id]).output().unwrap()
            }
            _ => silkmill(root.path(), &["undo"]).output().unwrap(),
        };
        assert!(undo.status.success(), "{run}: {undo:?}");
        assert_eq!(fs::read_to_string(root.path().join("tree/a")).unwrap(), format!("x{run}"));
    }
    for run in 3..13 {
        let redo = silkmill(root.path(), &["redo"]).output().unwrap();
        assert!(redo.status.success(), "{run}: {redo:?}");
        assert_eq!(
            fs::read_to_string(root.path().join("tree/a")).unwrap(),
            format!("x{}", run + 1)
        );
    }
}

/// Runs a script in a mount namespace of its own. Returns `None` where the system has none.
fn in_namespace(root: &Path, script: &str) -> Option<String> {
    let mut unshare = Command::new("unshare");
    unshare.args(["-Urm", "sh", "-ec", script, env!("CARGO_BIN_EXE_silkmill")]).current_dir(root);
    let output = unshare.env("XDG_STATE_HOME", root.join("state")).output();
    let Ok(output) = output else {
        println!("skipped: there is no `unshare` here");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare:") || said.contains("mount:") {
        println!("skipped: no namespace can be had here: {said}");
        return None;
    }
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn mount_points_and_other_filesystems_within_a_tree_change_and_are_undone_like_any_file() {
    let root = sandbox(&[("plain", "old"), ("bound", "old"), ("other/x", ""), ("deep/y", "old")]);
    fs::write(root.path().join("outside"), "old").unwrap();
    let script = "
        mount --bind outside tree/bound
        mount -t tmpfs -o size=1m none tree/other
        mkdir tree/other/sub; echo old >tree/other/sub/file; cd tree
        \"$0\" replace --no-sync -q old new .
        cat plain bound deep/y other/sub/file; ls -A . other
        \"$0\" undo --no-sync -q
        cat plain bound deep/y other/sub/file
        # A run beside the files only, and its undo from below.
        cd other; \"$0\" replace --no-sync -q old newer; cd sub; cat file; ls -A ..; \"$0\" undo -q; cat file";
    let Some(said) = in_namespace(root.path(), script) else { return };

    let shown: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(shown[..1], ["newnewnewnew"], "{said}");
    let rest = shown[1..].join(" ");
    let names = ".: bound deep other plain other: .silkmill sub";
    assert_eq!(rest, format!("{names} oldoldoldold newer .silkmill sub old"), "{said}");
}

#[test]
fn files_that_an_overlay_copies_up_under_other_numbers_change_and_are_undone_like_any_file() {
    let root = sandbox(&[("low/one", "old"), ("low/two", "old"), ("low/none", "text")]);
    let low = root.path().join("tree/low");
    fs::hard_link(low.join("two"), low.join("three")).unwrap();
    // The two layers of the overlay are on different filesystems.
    let script = "
        cd tree; mkdir up all; mount -t tmpfs -o size=1m none up; mkdir up/upper up/work
        mount -t overlay -o lowerdir=low,upperdir=up/upper,workdir=up/work none all; cd all
        for names in '.' 'one two three'; do
            \"$0\" replace --no-sync -q old new $names; cat one two three
            \"$0\" undo --no-sync -q; cat one two three
        done; ls ../up/upper";
    let Some(said) = in_namespace(root.path(), script) else { return };

    assert_eq!(said, format!("{0}one\nthree\ntwo\n", "newnewnewoldoldold".repeat(2)));
}

#[test]
fn a_run_beside_its_files_is_known_to_runs_and_undos_above() {
    if !is_installed("strace") {
        return;
    }
    let root = sandbox(&[("other/x", ""), ("top", "new")]);
    // A run in `sub` is cut off between its files, and the next one starts in a directory above.
    let script = "
        mount -t tmpfs -o size=1m none tree/other
        mkdir tree/other/sub; for n in 1 2 3; do echo old >tree/other/sub/$n; done
        cd tree/other/sub
        strace -f -qq -o ../../../log -e trace=renameat2 -e inject=renameat2:signal=KILL:when=2 \
            \"$0\" replace --no-sync -q old new . || true
        cat 1 2 3; cd ../..
        \"$0\" replace --no-sync -q new newer . 2>&1; cat top other/sub/?
        \"$0\" undo -q; cat top other/sub/?
        first=$(\"$0\" undo --list | sed -n '1s/ .*//p')
        \"$0\" undo -q $first; cat top other/sub/?; \"$0\" undo --list | wc -l";
    let Some(said) = in_namespace(root.path(), script) else { return };

    let lines: Vec<&str> = said.lines().collect();
    let (cut_off, rest) = (lines[..3].join(" "), lines[3..].join(" "));
    assert_eq!(cut_off, "new old old", "{said}");
    assert!(rest.starts_with("silkmill: run "), "{said}");
    let want = " was cut off; it is finished now, in 3 files newernewer newer newer \
        newnew new new newold old old 2";
    assert!(rest.ends_with(want), "{said}");
}

#[test]
fn a_run_that_nobody_remembers_is_ended_before_a_run_above_changes_its_files() {
    if !is_installed("strace") {
        return;
    }
    let root = sandbox(&[("sub/1", "old"), ("sub/2", "old"), ("sub/3", "old"), ("top", "old")]);
    let tree = root.path().join("tree");
    // Without these variables the user has no store.
    let bare = |program: &str| {
        let mut command = Command::new(program);
        command.env_remove("XDG_STATE_HOME").env_remove("HOME");
        command
    };
    let mut strace = bare("strace");
    strace.args(["-f", "-qq", "-o"]).arg(root.path().join("log"));
    strace.args(["-e", "trace=renameat2", "-e", "inject=renameat2:signal=KILL:when=2"]);
    strace.arg(env!("CARGO_BIN_EXE_silkmill")).args(["replace", "old", "new"]);
    assert!(!strace.current_dir(tree.join("sub")).status().unwrap().success());
    let read = |name: &str| fs::read_to_string(tree.join(name)).unwrap();
    let all = || ["sub/1", "sub/2", "sub/3", "top"].map(read);
    assert_eq!(all(), ["new", "old", "old", "old"]);
    let above = || {
        let mut command = bare(env!("CARGO_BIN_EXE_silkmill"));
        command.args(["replace", "-q", "old", "newer"]).current_dir(&tree).output().unwrap()
    };

    let first = above();

    let said = String::from_utf8_lossy(&first.stderr);
    assert_eq!(first.status.code(), Some(2), "{said}");
    assert!(said.contains("is finished now, in 3 files"), "{said}");
    assert!(said.contains("tree/sub/.silkmill\": nothing was changed; try again"), "{said}");
    assert_eq!(all(), ["new", "new", "new", "old"]);
    assert_eq!(above().status.code(), Some(0));
    assert_eq!(all(), ["new", "new", "new", "newer"]);
}

#[test]
fn a_directory_that_may_not_be_changed_has_its_files_written_in_place() {
    let root = sandbox(&[("shut/own", "old"), ("shut/locked", "old"), ("open", "old")]);
    if fs::metadata(root.path()).unwrap().uid() != 0 {
        return println!("skipped: only root can become another user");
    }
    let tree = root.path().join("tree");
    let nobody = 65534;
    for (name, mode) in [("shut/own", 0o644), ("shut/locked", 0o444), ("open", 0o444)] {
        fs::set_permissions(tree.join(name), Permissions::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(tree.join(name), Some(nobody), Some(nobody)).unwrap();
    }
    for (name, mode) in [("", 0o777), ("tree", 0o777), ("tree/shut", 0o555)] {
        fs::set_permissions(root.path().join(name), Permissions::from_mode(mode)).unwrap();
    }
    let inode = |name: &str| fs::metadata(tree.join(name)).unwrap().ino();
    let before = inode("shut/own");

    // The unprivileged user may not be able to reach the program where it is built.
    let program = root.path().join("silkmill");
    fs::copy(env!("CARGO_BIN_EXE_silkmill"), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["replace", "old", "new"]).uid(nobody).gid(nobody).current_dir(&tree);
    let output = command.env("XDG_STATE_HOME", root.path().join("state")).output().unwrap();

    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let want = "failed to stage new text for \"shut/locked\": permission denied";
    assert!(said.contains(want), "{said}");
    let read = |name: &str| fs::read_to_string(tree.join(name)).unwrap();
    assert_eq!(
        (read("shut/own"), read("open"), read("shut/locked")),
        ("new".into(), "new".into(), "old".into())
    );
    assert_eq!(inode("shut/own"), before);
}

#[test]
fn root_makes_nothing_in_the_home_of_another_user() {
    let root = sandbox(&[("a", "old")]);
    let home = root.path().join("home");
    fs::create_dir(&home).unwrap();
    if std::os::unix::fs::chown(&home, Some(65534), Some(65534)).is_err() {
        return println!("skipped: only root can give directories away");
    }
    // The home directory of root is on another filesystem here, so the store is beside the files.
    let script = "
        mount -t tmpfs none /root
        unset XDG_STATE_HOME; export HOME=$PWD/home; cd tree
        \"$0\" replace -q old new; cat a; \"$0\" replace -q old new || true; ls -A; ls -A ../home
        \"$0\" undo -q; cat a; ls -A ../home";
    let Some(said) = in_namespace(root.path(), script) else { return };

    assert_eq!(said, "new.silkmill\na\nold");
}

#[test]
fn a_user_is_not_locked_out_by_the_store_of_another() {
    let root = sandbox(&[("a", "old"), (".silkmill/run", "old")]);
    let (tree, theirs) = (root.path().join("tree"), root.path().join("tree/.silkmill"));
    if std::os::unix::fs::chown(&theirs, Some(65534), Some(65534)).is_err() {
        return println!("skipped: only root can give directories away");
    }
    let uid = fs::metadata(&tree).unwrap().uid();
    let bare = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_silkmill"));
        command.args(words).current_dir(&tree).env_remove("XDG_STATE_HOME").env_remove("HOME");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    };

    bare(&["replace", "--hidden", "--no-ignore", "old", "new"]);

    let read = |name: &str| fs::read_to_string(tree.join(name)).unwrap();
    assert_eq!((read("a"), read(".silkmill/run")), ("new".into(), "old".into()));
    let own = tree.join(format!(".silkmill-{uid}"));
    let metadata = fs::metadata(&own).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (uid, 0o700));
    bare(&["replace", "--hidden", "new", "newer"]);
    bare(&["undo"]);
    bare(&["undo"]);
    assert_eq!(read("a"), "old");
    bare(&["undo", "--forget", "all"]);
    assert!(!own.exists() && theirs.join("run").exists());
}

#[test]
fn a_run_that_keeps_nothing_leaves_no_store_on_a_second_filesystem() {
    let root = sandbox(&[("a", "old"), ("other/x", "")]);
    let script = "
        mount -t tmpfs -o size=1m none tree/other; cd tree; echo old >other/b
        look() { echo \"$1: $(ls -A . other | tr '\\n' ' ')\"; }
        \"$0\" replace -q 'no such' x || look matchless
        \"$0\" replace -q --expect 9 old new || look refused
        \"$0\" replace -q old new . missing --strict 2>/dev/null || look failed
        \"$0\" replace -q --no-undo old new && look kept-nothing; cat a other/b
        cd other; \"$0\" replace -q 'no such' x || look beside
        \"$0\" replace -q --no-undo new old && look beside; cat b
        \"$0\" replace -q old new; \"$0\" undo -q --forget all; look forgotten";
    let Some(said) = in_namespace(root.path(), script) else { return };

    let both = ".: a other  other: b ";
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..3], ["matchless", "refused", "failed"].map(|why| format!("{why}: {both}")));
    assert_eq!(lines[3], format!("kept-nothing: {both}"), "{said}");
    assert_eq!(
        lines[4..],
        ["newnew", "beside: .: b ", "beside: .: b ", "old", "forgotten: .: b "],
        "{said}"
    );
}

#[test]
fn a_full_second_filesystem_refuses_the_run_and_keeps_no_store() {
    let root = sandbox(&[("a", "old"), ("other/x", "")]);
    let script = "
        mount -t tmpfs -o size=64k none tree/other; cd tree; echo old >other/b
        dd if=/dev/zero of=other/full bs=4k 2>/dev/null || true
        \"$0\" replace -q old new 2>&1 || echo $?; cat a other/b; ls -A other
        rm other/full; dd if=/dev/zero of=other/full bs=4k count=14 2>/dev/null || true
        cd other; \"$0\" replace -q old new 2>&1 || echo $?; cat b; ls -A";
    let Some(said) = in_namespace(root.path(), script) else { return };

    assert!(said.contains("nothing was changed\n2\nold"), "{said}");
    assert!(said.contains("2\noldold\nb\nfull\n") && !said.contains(".silkmill\n"), "{said}");
}
