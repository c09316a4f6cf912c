//! Measures the shares of a run's time: those of each phase, and that of the search alone.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};

use super::{Bench, NEW, NOWHERE, milliseconds, time_ending_with};
use crate::bench::{Case, Contender, ROUNDS, SHARE};
use crate::corpus::NEEDLE;
use crate::program::check;

/// The phases of a run in the order of `--stats`, as the report names them.
const PARTS: [&str; 4] =
    ["stage, and walk, read and match meanwhile", "barrier", "swap", "flush the swaps"];

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    let mut whole = Contender::new("silkmill replace (flushed)");
    let mut search =
        Contender::new(format!("{SHARE}walk, read and match (a run that finds nothing)"));
    let mut parts = PARTS.map(|part| Contender::new(format!("{SHARE}{part}")));
    let mut rest = Contender::new(format!("{SHARE}all else"));
    for round in 0..=ROUNDS {
        for (old, new) in [(NEEDLE, NEW), (NEW, NEEDLE)] {
            let mut nothing = bench.silkmill(&["--no-ignore", "-q", NOWHERE, "x", "."]);
            let searched = milliseconds(time_ending_with(1, &mut nothing)?);
            check(&mut Command::new("sync"))?;
            let mut run = bench.silkmill(&["--no-ignore", "-q", "--stats", old, new, "."]);
            let started = Instant::now();
            let output = run.output().context("failed to start our program")?;
            let took = milliseconds(started.elapsed());
            ensure!(output.status.success(), "{run:?} failed: {}", output.status);
            let phases = phases(&String::from_utf8_lossy(&output.stderr))?;
            if round == 0 {
                continue;
            }
            whole.samples.push(took);
            search.samples.push(searched);
            rest.samples.push(took - phases.iter().sum::<f64>());
            for (part, phase) in parts.iter_mut().zip(phases) {
                part.samples.push(phase);
            }
        }
    }
    let [stage, barrier, swap, flush] = parts;
    let contenders = vec![whole, search, stage, barrier, swap, flush, rest];
    let what =
        format!("what the time goes by with: {NEEDLE} to {NEW} in a tree of {} files", bench.files);
    Ok(vec![Case { what, unit: "ms", contenders }])
}

/// Reads the milliseconds from what `--stats` prints: "0.412 s to read and stage, 0.164 s to flush,
/// …".
fn phases(told: &str) -> anyhow::Result<[f64; 4]> {
    let words: Vec<&str> = told.split_whitespace().collect();
    let figures = words.windows(3).filter(|words| words[1..] == ["s", "to"]);
    let seconds: Vec<f64> = figures.filter_map(|words| words[0].parse().ok()).collect();
    let seconds: [f64; 4] = seconds.try_into().ok().context("--stats told something else")?;
    Ok(seconds.map(|seconds| seconds * 1000.0))
}
