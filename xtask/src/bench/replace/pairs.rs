//! Measures a hundred words that are replaced at once.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use super::sides::{Replace, there_and_back};
use super::{Bench, NEW, contenders};
use crate::bench::{Case, Contender, is_installed, shell};
use crate::corpus::NEEDLE;

/// How many pairs there are, the needle's among them. The words of the others are in no tree, so
/// that the search alone costs more.
const PAIRS: usize = 100;

/// There is one round, for `sed` takes long.
const ROUNDS: usize = 1;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    let (forth, back) = (pairs(NEEDLE, NEW), pairs(NEW, NEEDLE));
    let files = [bench.folder.join("forth.tsv"), bench.folder.join("back.tsv")];
    for (file, pairs) in files.iter().zip([&forth, &back]) {
        let lines: Vec<String> = pairs.iter().map(|(old, new)| format!("{old}\t{new}\n")).collect();
        fs::write(file, lines.concat())?;
    }
    let (ours, single, [there, again]) = (bench.clone(), bench.clone(), files);
    let mut sides: Vec<(Contender, Replace)> = vec![
        (
            Contender::new("silkmill replace --pairs (flushed)"),
            Box::new(move |old, _| {
                let file = if old == NEEDLE { &there } else { &again };
                ours.silkmill(&["--no-ignore", "-q", "--pairs", &file.to_string_lossy(), "."])
            }),
        ),
        (
            Contender::new("silkmill replace, one pair (flushed)"),
            Box::new(move |old, new| single.silkmill(&["--no-ignore", "-q", old, new, "."])),
        ),
    ];
    if is_installed("rg", "cargo install ripgrep") {
        let (tree, name) = (bench.tree.clone(), "rg -l0 | xargs -0 sed -i, 100 -e");
        let sed = move |old: &str, _: &str| -> Command {
            let pairs = if old == NEEDLE { &forth } else { &back };
            let mut command = shell(&script(old, pairs));
            command.current_dir(&tree);
            command
        };
        sides.push((Contender::new(name), Box::new(sed)));
    }
    there_and_back(&bench.tree, &mut sides, (NEEDLE, NEW), ROUNDS)?;
    let what = format!(
        "{PAIRS} pairs of words and back in a tree of {} files, of which one is there",
        bench.files
    );
    Ok(vec![Case { what, unit: "ms", contenders: contenders(sides) }])
}

fn pairs(old: &str, new: &str) -> Vec<(String, String)> {
    let others =
        (1..PAIRS).map(|number| (format!("{old}_a{number:02}"), format!("{new}_b{number:02}")));
    std::iter::once((old.to_owned(), new.to_owned())).chain(others).collect()
}

/// Writes a script that edits all files that have the word. All other words begin with it, so no
/// file has those alone.
fn script(old: &str, pairs: &[(String, String)]) -> String {
    let mut script = format!("rg -l0 --no-ignore -F {old} . | xargs -0 sed -i");
    for (old, new) in pairs.iter().rev() {
        let _ = write!(script, " -e s/{old}/{new}/g");
    }
    script
}
