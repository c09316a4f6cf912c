//! `cargo xtask bench`: measures us and the peers that are installed, in turn, in one run.
//!
//! It installs nothing: it names a peer that is missing, with the way to get it. It prints medians
//! and ratios, and keeps them in `docs/benchmarks.md` with a plot for each part. Absolute times
//! depend on the machine; the ratios are the result.

mod crawl;
mod executor;
mod measure;
mod nginx;
mod python;
mod replace;
mod report;
mod scrape;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::misuse::know_all;
use crate::program::{cargo, check, root};
use crate::subcommand::{Subcommand, list};

pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "bench",
    summary: "measure us beside the peers that are installed",
    help,
    run,
};

/// How often each side runs. Medians need an odd number.
const ROUNDS: usize = 5;

/// The name of the contender that is no program but a bound that none can pass.
const IDEAL: &str = "ideal";

/// How the name of a contender begins that is no program but a part of our own time.
const SHARE: &str = "of it: ";

/// One thing that was measured, for us and for the peers. Less is better.
pub(crate) struct Case {
    what: String,
    unit: &'static str,
    /// Our own comes first.
    contenders: Vec<Contender>,
}

pub(crate) struct Contender {
    name: String,
    samples: Vec<f64>,
}

impl Contender {
    fn new(name: impl Into<String>) -> Self {
        Contender { name: name.into(), samples: Vec::new() }
    }

    fn is_peer(&self) -> bool {
        !self.name.ends_with(IDEAL) && !self.name.starts_with(SHARE)
    }

    fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

impl Case {
    /// Returns the fastest of the peers.
    fn best_peer(&self) -> Option<&Contender> {
        let peers = self.contenders.iter().skip(1).filter(|contender| contender.is_peer());
        peers.min_by(|a, b| a.median().total_cmp(&b.median()))
    }
}

/// One of the benchmarks.
struct Part {
    name: &'static str,
    /// Lists the names of its cases, and what each measures.
    cases: fn() -> Vec<(&'static str, &'static str)>,
    /// Measures the cases named, or all.
    run: fn(&[&str]) -> anyhow::Result<Vec<Case>>,
}

const PARTS: [Part; 5] = [
    Part { name: "executor", cases: executor::cases, run: executor::run },
    Part { name: "replace", cases: replace::cases, run: replace::run },
    Part { name: "scrape", cases: scrape::cases, run: scrape::run },
    Part { name: "crawl", cases: crawl::cases, run: crawl::run },
    Part { name: "python", cases: python::cases, run: python::run },
];

/// Runs the parts named, or all. After one part there may be cases of it instead; these are printed
/// and not kept.
fn run(words: &[&str]) -> anyhow::Result<()> {
    let part_named = |name: &str| PARTS.iter().find(|part| part.name == name);
    if let [first, names @ ..] = words
        && let Some(part) = part_named(first)
        && !names.iter().all(|name| part_named(name).is_some())
    {
        let known = (part.cases)();
        let known: Vec<&str> = known.iter().map(|(case, _)| *case).collect();
        know_all(&format!("case of {first}"), names, &known)?;
        report::print(&(part.run)(names)?);
        return Ok(());
    }
    know_all("part", words, &PARTS.each_ref().map(|part| part.name))?;
    for part in &PARTS {
        if words.is_empty() || words.contains(&part.name) {
            let name = part.name;
            println!("==> {name}");
            let cases = (part.run)(&[]).with_context(|| format!("benchmark {name} failed"))?;
            report::print(&cases);
            report::keep(name, &cases)?;
        }
    }
    Ok(())
}

fn help() -> String {
    let mut page = HELP.to_owned();
    for part in &PARTS {
        page += &format!("\ncases of {}:\n{}", part.name, list((part.cases)()));
    }
    page + HELP_END
}

const HELP: &str = "\
usage: cargo xtask bench [PART]...        measure all of the parts named, or of all
       cargo xtask bench PART CASE...     measure some cases of one part, and keep nothing

Runs us and the peers that are installed in turn, in one run, and prints medians and ratios. Whole
parts replace their sections of docs/benchmarks.md and their plots in docs/benchmarks/. A peer that
is missing is named with the way to install it; nothing is installed.

parts: executor, replace, scrape, crawl, python
";

const HELP_END: &str = "
time: with all peers, on two cores, about five minutes for executor, two for scrape, ten or more
      for crawl, whose peers take most of them, five for python, and ten or more for replace, which
      depends on the disk (estimated from the figures); before that a release build. A machine that
      does something else meanwhile gives other figures
needs: for executor the crates that it is measured beside, which cargo fetches; for scrape and crawl
      nginx and GNU time; for python nginx, and lxml, parsel, selectolax and polars for its
      interpreter; for the case `large` of replace GNU time, 10 GiB of disk, and as much memory
      where sd is installed
environment:
  SILKMILL_PYTHON      the interpreter that is measured, instead of python3
  SILKMILL_BENCH_TREE  a tree to replace in, which is changed and put back, instead of a made up one
  SILKMILL_BENCH_SITE  how many pages the site of crawl has, instead of 50,000
  SILKMILL_PAGES       a folder of real product pages to read, instead of made up ones
";

/// Measures those cases of a part that are named, or all. A case has a name, what is measured, and
/// how.
fn measure_each<M: Copy>(
    cases: &[(&'static str, &'static str, M)],
    names: &[&str],
    mut measure: impl FnMut(&str, M) -> anyhow::Result<Vec<Case>>,
) -> anyhow::Result<Vec<Case>> {
    let mut measured = Vec::new();
    for &(name, _, how) in cases {
        if names.is_empty() || names.contains(&name) {
            println!("--> {name}");
            measured.extend(measure(name, how).with_context(|| format!("case {name} failed"))?);
        }
    }
    Ok(measured)
}

/// Builds the program as users have it and returns its path.
fn silkmill() -> anyhow::Result<std::path::PathBuf> {
    check(cargo().args(["build", "--quiet", "--release", "-p", "silkmill-cli"]))?;
    Ok(root().join("target/release/silkmill"))
}

/// Runs a command to its end and returns how long it took. Fails unless the command succeeds.
fn time(command: &mut Command) -> anyhow::Result<Duration> {
    let shown = format!("{command:?}");
    let started = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let elapsed = started.elapsed();
    let status = status.with_context(|| format!("failed to start {shown}"))?;
    if !status.success() {
        bail!("{shown} failed: {status}");
    }
    Ok(elapsed)
}

/// Makes the command that runs a script in the shell.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn is_installed(program: &str, how: &str) -> bool {
    let yes = crate::program::is_installed(program);
    if !yes {
        println!("not measured beside {program}, which is not installed: {how}");
    }
    yes
}
