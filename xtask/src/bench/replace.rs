//! Measures how long it takes to replace words in a source tree and in a large file, beside the
//! usual pipelines.

mod growth;
mod large;
mod pairs;
mod shares;
mod sides;
mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Case, Contender, ROUNDS, is_installed, measure_each, shell, silkmill, time};
use crate::corpus::{NEEDLE, RARE_NEEDLE};
use crate::program::check;

/// A word that is in no tree, and as long as the needle.
const NEW: &str = "kzzlloc";

/// Another word that is in no tree.
const NOWHERE: &str = "kzzlloc_nowhere";

type Measure = fn(&Bench) -> anyhow::Result<Vec<Case>>;

/// The cases: name, what is measured, and how. A case whose rounds take half a minute has fewer.
const CASES: [(&str, &str, Measure); 8] = [
    ("many", "a word in many files, and back", |bench| bench.word(NEEDLE, NEW, ROUNDS)),
    ("few", "a word in a handful of files, and back", |bench| {
        bench.word(RARE_NEEDLE, "kzzlloc_caches", ROUNDS)
    }),
    ("most", "a word in half of all files, and back", |bench| bench.word("return", "retvrn", 1)),
    ("none", "a word that is in no file", Bench::no_match),
    ("pairs", "100 pairs of words at once, and back", pairs::measure),
    ("large", "a word in one file of 4 GiB, and back", large::measure),
    ("growth", "what a changed file costs when there are ten times as many", growth::measure),
    ("shares", "what the time of a run goes by with", shares::measure),
];

/// Lists the cases, and what each measures.
pub(super) fn cases() -> Vec<(&'static str, &'static str)> {
    CASES.map(|(name, what, _)| (name, what)).into()
}

/// Measures the cases named, or all.
pub(super) fn run(names: &[&str]) -> anyhow::Result<Vec<Case>> {
    let tree = tree::find()?;
    let (files, program) = (tree::count_files(&tree)?, silkmill()?);
    measure_each(&CASES, names, |_, measure| {
        // It is on the filesystem of the tree, as a user's store mostly is, and is removed in the
        // end, so that no case removes what another has left.
        let folder = tempfile::tempdir_in(tree.parent().unwrap_or(&tree))?;
        let bench = Bench {
            files,
            program: program.clone(),
            folder: folder.path().to_owned(),
            tree: tree.clone(),
        };
        measure(&bench)
    })
}

/// What all cases need.
#[derive(Clone)]
struct Bench {
    tree: PathBuf,
    files: u64,
    program: PathBuf,
    /// For the files of one case.
    folder: PathBuf,
}

impl Bench {
    /// Makes a command of our program in the tree. It keeps its originals, as it does for a user.
    fn silkmill(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("replace").args(words).current_dir(&self.tree);
        command.env("XDG_STATE_HOME", self.state());
        command
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Measures one word, replaced and put back.
    fn word(&self, old: &str, new: &str, rounds: usize) -> anyhow::Result<Vec<Case>> {
        // Exit code 1 means that the tree is without the word, as the generated one may be.
        let mut look = self.silkmill(&["--no-ignore", "-q", "-n", old, new, "."]);
        if look.status()?.code() == Some(1) {
            println!("no file of the tree has {old:?}: not measured");
            return Ok(Vec::new());
        }
        let mut sides = sides::sides(self);
        sides::there_and_back(&self.tree, &mut sides, (old, new), rounds)?;
        let what = format!("{old} to {new} and back in a tree of {} files", self.files);
        Ok(vec![Case { what, unit: "ms", contenders: contenders(sides) }])
    }

    /// Measures a search that finds nothing, beside the one program that only searches.
    fn no_match(&self) -> anyhow::Result<Vec<Case>> {
        if !is_installed("rg", "cargo install ripgrep") {
            return Ok(Vec::new());
        }
        let mut ours = self.silkmill(&["--no-ignore", "-q", NOWHERE, "x", "."]);
        let mut theirs = self.search(NOWHERE);
        let mut contenders = [Contender::new("silkmill replace"), Contender::new("rg -l")];
        for round in 0..=ROUNDS {
            for (contender, command) in contenders.iter_mut().zip([&mut ours, &mut theirs]) {
                let took = time_ending_with(1, command)?;
                if round > 0 {
                    contender.samples.push(milliseconds(took));
                }
            }
        }
        let what = "a word that is in no file of the tree".to_owned();
        Ok(vec![Case { what, unit: "ms", contenders: contenders.into() }])
    }

    fn search(&self, word: &str) -> Command {
        let mut command = Command::new("rg");
        command.args(["-l", "--no-ignore", "-F", word, "."]).current_dir(&self.tree);
        command
    }
}

fn contenders<T>(sides: Vec<(Contender, T)>) -> Vec<Contender> {
    sides.into_iter().map(|(contender, _)| contender).collect()
}

/// Times a command on a disk that has nothing left to write, so that no side pays for the one
/// before.
fn time_on_clean_disk(command: &mut Command) -> anyhow::Result<Duration> {
    check(&mut Command::new("sync"))?;
    time(command)
}

/// Times a command that is expected to end with `code`, such as that for no match.
fn time_ending_with(code: i32, command: &mut Command) -> anyhow::Result<Duration> {
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = words.collect();
    let mut checked = shell(&format!("\"$0\" \"$@\"; [ $? = {code} ]"));
    checked.arg(command.get_program()).args(words);
    checked.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    time(checked.current_dir(command.get_current_dir().unwrap_or(Path::new("."))))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
