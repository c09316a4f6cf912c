//! The executor beside other pools, in one process (see `benches/`), and Python's for scale.

use std::process::Command;

use anyhow::Context;

use super::{Case, Contender, ROUNDS, is_installed};
use crate::{cargo, check, root};

/// What `benches/` does, in Python. Fewer tasks, for it takes longer; the figures are per task.
const PYTHON: &str = "
import time
from concurrent.futures import ThreadPoolExecutor
def task(n): return n + 1
with ThreadPoolExecutor(8) as pool:
    [f.result() for f in [pool.submit(task, n) for n in range(1000)]]
    N = 20000
    t = time.perf_counter_ns()
    assert sum(f.result() for f in [pool.submit(task, n) for n in range(N)]) == N * (N + 1) // 2
    print('batch', 'CPython', (time.perf_counter_ns() - t) // N, sep='\\t')
    N = 5000
    t = time.perf_counter_ns()
    for n in range(N): assert pool.submit(task, n).result() == n + 1
    print('round-trip', 'CPython', (time.perf_counter_ns() - t) // N, sep='\\t')
";

pub(super) fn run() -> anyhow::Result<Vec<Case>> {
    check(cargo().args([
        "build",
        "--quiet",
        "--release",
        "--manifest-path",
        "benches/Cargo.toml",
    ]))?;
    let python = is_installed("python3", "apt install python3");
    let mut cases = vec![
        case("200,000 no-op tasks on 8 workers: submit all, then read all", "batch"),
        case("submit one no-op task, read it, repeat", "round-trip"),
    ];
    for _ in 0..ROUNDS {
        take(&mut cases, Command::new(root().join("benches/target/release/silkmill-benches")))?;
        if python {
            let mut command = Command::new("python3");
            command.args(["-c", PYTHON]);
            take(&mut cases, command)?;
        }
    }
    Ok(cases.into_iter().map(|(_, case)| case).collect())
}

fn case(what: &str, key: &'static str) -> (&'static str, Case) {
    (key, Case { what: what.to_owned(), unit: "ns a task", contenders: Vec::new() })
}

/// Runs one round and files its lines: case, contender, nanoseconds.
fn take(cases: &mut [(&'static str, Case)], mut command: Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
    anyhow::ensure!(output.status.success(), "{command:?} failed: {}", output.status);
    for line in String::from_utf8(output.stdout)?.lines() {
        let mut words = line.split('\t');
        let (Some(key), Some(name), Some(ns)) = (words.next(), words.next(), words.next()) else {
            anyhow::bail!("{command:?} printed {line:?}");
        };
        let Some((_, case)) = cases.iter_mut().find(|(known, _)| *known == key) else { continue };
        let place = case.contenders.iter().position(|contender| contender.name == name);
        let place = place.unwrap_or_else(|| {
            case.contenders.push(Contender::new(name));
            case.contenders.len() - 1
        });
        case.contenders[place].samples.push(ns.parse()?);
    }
    Ok(())
}
