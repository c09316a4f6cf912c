//! Lets us and our peers replace a word in a tree and put it back.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;

use super::{Bench, time_on_clean_disk, tree};
use crate::bench::{Contender, is_installed, shell};

/// A way to replace the first word by the second in the tree.
pub(super) type Replace = Box<dyn Fn(&str, &str) -> Command>;

pub(super) fn there_and_back(
    tree: &Path,
    sides: &mut [(Contender, Replace)],
    (old, new): (&str, &str),
    rounds: usize,
) -> anyhow::Result<()> {
    let before = tree::hash(tree)?;
    // The first round warms the caches and is not measured. A single round takes so long that cold
    // caches make no difference.
    let first = usize::from(rounds == 1);
    for round in first..=rounds {
        for (contender, replace) in &mut *sides {
            let there = time_on_clean_disk(&mut replace(old, new))?;
            let back = time_on_clean_disk(&mut replace(new, old))?;
            ensure!(tree::hash(tree)? == before, "{} did not put the tree back", contender.name);
            if round > 0 {
                contender.samples.push((there + back).as_secs_f64() / 2.0 * 1000.0);
            }
        }
    }
    Ok(())
}

/// Makes a command for every side. Our runs keep their originals, as they do for a user.
pub(super) fn sides(bench: &Bench) -> Vec<(Contender, Replace)> {
    let (ours, tree) = (bench.clone(), &bench.tree);
    let mut sides: Vec<(Contender, Replace)> = vec![(
        Contender::new("silkmill replace (flushed)"),
        Box::new(move |old, new| ours.silkmill(&["--no-ignore", "-q", old, new, "."])),
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
    sides
}
