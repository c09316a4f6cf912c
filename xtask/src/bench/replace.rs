//! Replacing a word in a source tree and putting it back, beside the usual pipelines.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::{Case, Contender, ROUNDS, is_installed, shell, silkmill, time};
use crate::corpus::{self, NEEDLE};

/// As long as the needle, and in no tree.
const OTHER: &str = "kzzlloc";

/// Where the tree is, when it is not the generated one.
const CORPUS: &str = "SILKMILL_BENCH_TREE";

/// A way to replace the first word by the second in the current directory.
type Replace = Box<dyn Fn(&str, &str) -> Command>;

pub(super) fn run() -> anyhow::Result<Vec<Case>> {
    let tree = tree()?;
    let mut sides = sides(&tree)?;
    let before = hash(&tree)?;
    for round in 0..=ROUNDS {
        for (contender, replace) in &mut sides {
            let there = time(&mut replace(NEEDLE, OTHER))?;
            let back = time(&mut replace(OTHER, NEEDLE))?;
            ensure!(hash(&tree)? == before, "{} did not put the tree back", contender.name);
            // The first round warms the caches.
            if round > 0 {
                contender.samples.push((there + back).as_secs_f64() / 2.0 * 1000.0);
            }
        }
    }
    let files = count_files(&tree)?;
    let what = format!("{NEEDLE} to {OTHER} and back in a tree of {files} files");
    let contenders = sides.into_iter().map(|(contender, _)| contender).collect();
    Ok(vec![Case { what, unit: "ms", contenders }])
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

fn sides(tree: &Path) -> anyhow::Result<Vec<(Contender, Replace)>> {
    let silkmill = silkmill()?;
    let ours = tree.to_owned();
    let mut sides: Vec<(Contender, Replace)> = vec![(
        Contender::new("silkmill replace (flushed)"),
        Box::new(move |old, new| {
            let mut command = Command::new(&silkmill);
            command.args(["replace", "--no-ignore", "-q", old, new, "."]).current_dir(&ours);
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
