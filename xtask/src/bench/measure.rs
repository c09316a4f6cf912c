//! Measures what a command costs, processor time and memory included, with GNU time: std reports
//! neither.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

/// The cost of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) seconds: f64,
    /// Of the command and all its threads, the kernel's time for them included.
    pub(super) cpu_seconds: f64,
    pub(super) memory_mb: f64,
}

/// Runs a command to its end. It may end with one of the `codes`.
pub(super) fn cost(command: &Command, codes: &[i32], folder: &Path) -> anyhow::Result<Cost> {
    let report = folder.join("time.txt");
    let mut timed = Command::new("time");
    timed.args(["--quiet", "-f", "%U %S %M", "-o"]).arg(&report);
    timed.arg(command.get_program()).args(command.get_args());
    command.get_current_dir().map(|folder| timed.current_dir(folder));
    timed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let started = Instant::now();
    let status = timed.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let seconds = started.elapsed().as_secs_f64();
    let status = status.with_context(|| format!("failed to start {command:?}"))?;
    let is_right = status.code().is_some_and(|code| codes.contains(&code));
    ensure!(is_right, "{command:?} failed: {status}");
    let text = fs::read_to_string(&report)?;
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let &[user, system, kilobytes] = figures.as_slice() else {
        anyhow::bail!("GNU time says {text:?}");
    };
    Ok(Cost { seconds, cpu_seconds: user + system, memory_mb: kilobytes / 1024.0 })
}
