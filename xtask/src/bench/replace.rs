//! Replacing a word in a source tree and putting it back, beside the usual pipelines.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Case, Contender, ROUNDS, is_installed, shell, silkmill, time};
use crate::check;
use crate::corpus::{self, NEEDLE};

/// A word, one as long that is in no tree, and how many rounds of putting it there and back are measured: fewer
/// where a round takes half a minute.
const CASES: &[(&str, &str, usize)] = &[
    (NEEDLE, "kzzlloc", ROUNDS),
    ("kmalloc_caches", "kzzlloc_caches", ROUNDS),
    ("return", "retvrn", 1),
];

/// In no tree.
const NOWHERE: &str = "kzzlloc_nowhere";

/// Where the tree is, when it is not the generated one.
const CORPUS: &str = "SILKMILL_BENCH_TREE";

/// A way to replace the first word by the second in the current directory.
type Replace = Box<dyn Fn(&str, &str) -> Command>;

pub(super) fn run() -> anyhow::Result<Vec<Case>> {
    let tree = tree()?;
    let files = count_files(&tree)?;
    let state = tempfile::tempdir()?;
    let mut cases = Vec::new();
    for (old, new, rounds) in CASES {
        let what = format!("{old} to {new} and back in a tree of {files} files");
        let mut sides = sides(&tree, state.path())?;
        there_and_back(&tree, &mut sides, (*old, *new), *rounds)?;
        let contenders = sides.into_iter().map(|(contender, _)| contender).collect();
        cases.push(Case { what, unit: "ms", contenders });
    }
    cases.extend(no_match(&tree, state.path())?);
    show_phases(&tree, state.path())?;
    Ok(cases)
}

fn there_and_back(
    tree: &Path,
    sides: &mut [(Contender, Replace)],
    (old, new): (&str, &str),
    rounds: usize,
) -> anyhow::Result<()> {
    let before = hash(tree)?;
    for round in 0..=rounds {
        for (contender, replace) in &mut *sides {
            let there = time_on_clean_disk(&mut replace(old, new))?;
            let back = time_on_clean_disk(&mut replace(new, old))?;
            ensure!(hash(tree)? == before, "{} did not put the tree back", contender.name);
            // The first round warms the caches.
            if round > 0 {
                contender.samples.push((there + back).as_secs_f64() / 2.0 * 1000.0);
            }
        }
    }
    Ok(())
}

/// Nobody pays for what the one before has left to be written.
fn time_on_clean_disk(command: &mut Command) -> anyhow::Result<Duration> {
    check(&mut Command::new("sync"))?;
    time(command)
}

/// A search that finds nothing, beside the one program that only searches.
fn no_match(tree: &Path, state: &Path) -> anyhow::Result<Option<Case>> {
    if !is_installed("rg", "cargo install ripgrep") {
        return Ok(None);
    }
    let ours = format!("{} replace --no-ignore -q {NOWHERE} x .", silkmill()?.display());
    let sides =
        [("silkmill replace", ours), ("rg -l", format!("rg -l --no-ignore -F {NOWHERE} ."))];
    let mut contenders = sides.map(|(name, script)| (Contender::new(name), script));
    for round in 0..=ROUNDS {
        for (contender, script) in &mut contenders {
            // Both say by 1 that there was nothing.
            let mut command = shell(&format!("{script}; [ $? = 1 ]"));
            let took = time(command.current_dir(tree).env("XDG_STATE_HOME", state))?;
            if round > 0 {
                contender.samples.push(took.as_secs_f64() * 1000.0);
            }
        }
    }
    let what = "a word that is in no file of the tree".to_owned();
    let contenders = contenders.into_iter().map(|(contender, _)| contender).collect();
    Ok(Some(Case { what, unit: "ms", contenders }))
}

/// What the time of a run goes by with. It is told and not kept, for it has no peer.
fn show_phases(tree: &Path, state: &Path) -> anyhow::Result<()> {
    for (old, new) in [(NEEDLE, CASES[0].1), (CASES[0].1, NEEDLE)] {
        let mut command = Command::new(silkmill()?);
        command.args(["replace", "--no-ignore", "-q", "--stats", old, new, "."]);
        let output = command.current_dir(tree).env("XDG_STATE_HOME", state).output()?;
        print!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn tree() -> anyhow::Result<PathBuf> {
    if let Some(tree) = std::env::var_os(CORPUS) {
        return Ok(tree.into());
    }
    // Not below this repository, which ignores what it builds, and so would some of the peers.
    let tree = std::env::temp_dir().join("silkmill-corpus");
    if !tree.exists() {
        println!(
            "making a tree in {tree:?}; set {CORPUS} to use another, which is changed and put back"
        );
        corpus::make(&tree)?;
    }
    Ok(tree)
}

/// The originals of our runs are kept in `state`, as they are for a user.
fn sides(tree: &Path, state: &Path) -> anyhow::Result<Vec<(Contender, Replace)>> {
    let silkmill = silkmill()?;
    let (ours, state) = (tree.to_owned(), state.to_owned());
    let mut sides: Vec<(Contender, Replace)> = vec![(
        Contender::new("silkmill replace (flushed)"),
        Box::new(move |old, new| {
            let mut command = Command::new(&silkmill);
            command.args(["replace", "--no-ignore", "-q", old, new, "."]).current_dir(&ours);
            command.env("XDG_STATE_HOME", &state);
            command
        }),
    )];
    let mut pipeline = |name: &str, script: &'static str| {
        let tree = tree.to_owned();
        let replace: Replace = Box::new(move |old, new| {
            let mut command = shell(&script.replace("OLD", old).replace("NEW", new));
            command.current_dir(&tree);
            command
        });
        sides.push((Contender::new(name), replace));
    };
    let rg = is_installed("rg", "cargo install ripgrep");
    if rg && is_installed("sd", "cargo install sd") {
        pipeline("rg -l0 | xargs -0 sd -F", "rg -l0 --no-ignore -F OLD . | xargs -0 sd -F OLD NEW");
    }
    if rg {
        pipeline(
            "rg -l0 | xargs -0 sed -i",
            "rg -l0 --no-ignore -F OLD . | xargs -0 sed -i s/OLD/NEW/g",
        );
    }
    if is_installed("ruplacer", "cargo install ruplacer") {
        pipeline("ruplacer --go", "ruplacer --go --quiet --ignored --no-regex OLD NEW .");
    }
    if is_installed("fastmod", "cargo install fastmod") {
        pipeline("fastmod --accept-all -F", "fastmod --accept-all -F OLD NEW .");
    }
    if !rg {
        pipeline("grep -rlZ | xargs -0 sed -i", "grep -rlZF OLD . | xargs -0 sed -i s/OLD/NEW/g");
    }
    Ok(sides)
}

/// Of every path and every byte, in one order.
fn hash(tree: &Path) -> anyhow::Result<u64> {
    let mut hasher = DefaultHasher::new();
    visit(tree, &mut |path| {
        hasher.write(path.as_os_str().as_encoded_bytes());
        hasher.write(&fs::read(path).with_context(|| format!("failed to read {path:?}"))?);
        Ok(())
    })?;
    Ok(hasher.finish())
}

fn count_files(tree: &Path) -> anyhow::Result<u64> {
    let mut files = 0;
    visit(tree, &mut |_| {
        files += 1;
        Ok(())
    })?;
    Ok(files)
}

fn visit(folder: &Path, file: &mut dyn FnMut(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("failed to read {folder:?}"))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            visit(&entry.path(), file)?;
        } else if kind.is_file() {
            file(&entry.path())?;
        }
    }
    Ok(())
}
