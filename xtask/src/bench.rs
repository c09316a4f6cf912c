//! `cargo xtask bench`: us and the peers that are installed, side by side in one run, alternating.
//!
//! It installs nothing: a peer that is missing is named, with the way to get it. Medians and ratios are printed and kept
//! in `docs/benchmarks.md`, with a plot for each part. Absolute times are the machine's; the ratios are the result.

mod executor;
mod measure;
mod replace;
mod report;
mod scrape;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::{cargo, check, misuse, root};

/// How often each side runs. Medians need an odd number.
const ROUNDS: usize = 5;

/// The contender that is no program but a bound that none can pass.
const IDEAL: &str = "ideal";

/// How the name of a contender begins that is no program but a part of our own time.
const SHARE: &str = "of it: ";

/// One thing that was measured, for us and for the peers. Less is better.
pub(crate) struct Case {
    what: String,
    unit: &'static str,
    /// Ours first.
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
    /// The fastest of those that are not us.
    fn best_peer(&self) -> Option<&Contender> {
        let peers = self.contenders.iter().skip(1).filter(|contender| contender.is_peer());
        peers.min_by(|a, b| a.median().total_cmp(&b.median()))
    }
}

/// A benchmark, and how to run some of its cases, or all.
type Part = (&'static str, fn(&[&str]) -> anyhow::Result<Vec<Case>>);

const PARTS: [Part; 3] =
    [("executor", executor::run), ("replace", replace::run), ("scrape", scrape::run)];

/// Runs the parts named, or all. After one of them there may be cases of it instead; these are printed and not kept.
pub(crate) fn run(which: &[&str]) -> anyhow::Result<()> {
    let part_named = |name: &str| PARTS.iter().find(|(part, _)| *part == name);
    if let [first, names @ ..] = which
        && let Some((_, run_part)) = part_named(first)
        && !names.iter().all(|name| part_named(name).is_some())
    {
        report::print(&run_part(names)?);
        return Ok(());
    }
    know_all("benchmark", which, &PARTS.map(|(part, _)| part))?;
    for (name, run_part) in PARTS {
        if which.is_empty() || which.contains(&name) {
            println!("==> {name}");
            let cases = run_part(&[]).with_context(|| format!("benchmark {name} failed"))?;
            report::print(&cases);
            report::keep(name, &cases)?;
        }
    }
    Ok(())
}

/// Refuses a name that nothing has.
fn know_all(what: &str, names: &[&str], known: &[&str]) -> anyhow::Result<()> {
    match names.iter().find(|name| !known.contains(name)) {
        Some(unknown) => {
            Err(misuse(format!("there is no {what} {unknown:?}; there are: {}", known.join(", "))))
        }
        None => Ok(()),
    }
}

/// Builds the program as users have it and returns its path.
fn silkmill() -> anyhow::Result<std::path::PathBuf> {
    check(cargo().args(["build", "--quiet", "--release", "-p", "silkmill-cli"]))?;
    Ok(root().join("target/release/silkmill"))
}

/// Runs a command to its end, says how long it took, and fails unless it succeeds.
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

/// A shell command.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn is_installed(program: &str, how: &str) -> bool {
    let yes = crate::is_installed(program);
    if !yes {
        println!("not measured beside {program}, which is not installed: {how}");
    }
    yes
}
