//! Measures the executor beside other pools (see `benches/`), and Python's for scale.
//!
//! The table here says what is measured, in which unit, with which contenders, and how often. Each
//! case and contender runs in a process of its own, the contenders of a case in turn; or all
//! contenders of a case in one process, with their pools alive at once, in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::{Case, Contender, IDEAL, ROUNDS, is_installed};
use crate::program::{cargo, check, root};

/// How often each side runs in the cases that take seconds.
const ROUNDS_OF_LONG: usize = 3;

/// The contenders' names in the programs of `benches/`: the name of the crate, wherever there is
/// one.
const POOLS: &[&str] = &[
    "silkmill",
    "rayon-core",
    "threadpool",
    "rusty_pool",
    "tokio",
    "blocking",
    "crossbeam-channel",
];

/// A case to run. One run may print several figures.
struct Run {
    /// Its name on the command line, both of this program and of those it starts.
    name: &'static str,
    rounds: usize,
    /// Whether the pools take turns in one process.
    together: bool,
    /// Our own comes first.
    contenders: Vec<&'static str>,
    figures: Vec<Figure>,
}

impl Run {
    /// Returns what is measured, without what each figure adds to that.
    fn what(&self) -> &'static str {
        let what = self.figures.first().map_or("", |figure| figure.what);
        match self.figures.len() {
            1 => what,
            _ => what.split(':').next().unwrap_or(what),
        }
    }
}

impl Run {
    /// Returns the contenders to start a process for. One process stands for all that take turns
    /// in it; those that are no pools of `benches/` have their own.
    fn starts(&self) -> Vec<&'static str> {
        if !self.together {
            return self.contenders.clone();
        }
        let others = self.contenders.iter().filter(|name| !POOLS.contains(name));
        std::iter::once("together").chain(others.copied()).collect()
    }
}

struct Figure {
    /// The word that the program prints before the figure.
    key: &'static str,
    what: &'static str,
    unit: &'static str,
}

#[rustfmt::skip]
fn table() -> Vec<Run> {
    let run = |name, what, unit| Run {
        name,
        rounds: ROUNDS,
        together: false,
        contenders: POOLS.to_vec(),
        figures: vec![Figure { key: name, what, unit }],
    };
    let with = |more: &[&'static str], run: Run| Run {
        contenders: run.contenders.iter().chain(more).copied().collect(),
        ..run
    };
    let together = |run| Run { together: true, ..run };
    let long = |run| Run { rounds: ROUNDS_OF_LONG, ..run };
    vec![
        together(run("batch-2", "200,000 no-op tasks on 2 workers: submit all, then read all", "ns a task")),
        with(&["CPython"],
        together(run("batch-8", "200,000 no-op tasks on 8 workers: submit all, then read all", "ns a task"))),
        together(run("batch-32", "200,000 no-op tasks on 32 workers: submit all, then read all", "ns a task")),
        together(run("producers-4", "200,000 no-op tasks on 8 workers, from 4 threads", "ns a task")),
        together(run("producers-16", "200,000 no-op tasks on 8 workers, from 16 threads", "ns a task")),
        with(&["CPython"],
        together(run("round-trip", "submit one no-op task to 8 idle workers, read it, repeat", "ns a task"))),
        together(run("round-trip-alone", "the same with a pause of 1 ms before each, in which all fall asleep", "ns a task")),
        Run {
            contenders: vec!["silkmill", "rayon", "CPython"],
            ..run("map", "map 200,000 numbers on 8 workers, in order", "ns an item")
        },
        Run {
            contenders: vec!["silkmill", "rayon", IDEAL],
            ..run("map-short", "map 200,000 items of 1 µs on a worker a processor, in order", "ns an item")
        },
        with(&[IDEAL],
        run("sleepers-warm", "20,000 tasks that sleep 10 ms, on 1,000 workers that have started", "ms")),
        with(&["CPython", IDEAL],
        run("sleepers-cold", "20,000 tasks that sleep 10 ms, on 1,000 workers that have yet to start", "ms")),
        run("burst", "1,000 tasks of 1 ms on 32 workers asleep: until the last one starts", "µs"),
        long(Run {
            figures: vec![
                Figure { key: "trickle-p50", what: "a task every ms on 32 workers: from submit to start, median", unit: "µs" },
                Figure { key: "trickle-p999", what: "a task every ms on 32 workers: from submit to start, 99.9th percentile", unit: "µs" },
                Figure { key: "trickle-cpu", what: "a task every ms on 32 workers: processor time beyond that of the submitting loop", unit: "ms a second" },
            ],
            ..run("trickle", "", "")
        }),
        long(Run {
            figures: vec![
                Figure { key: "queued-bytes", what: "1,000,000 tasks queued: memory with their handles", unit: "bytes a task" },
                Figure { key: "queued-allocations", what: "1,000,000 tasks queued: allocations", unit: "a task" },
                Figure { key: "queued-cancel", what: "1,000,000 tasks queued: cancel all and shut down", unit: "ms" },
            ],
            ..run("queued", "", "")
        }),
        run("parked", "resident memory of a worker that has nothing to do", "KiB"),
        long(run("idle-cpu", "32 workers that have nothing to do for 5 s: processor time", "ms")),
    ]
}

/// The cases of `benches/` in Python. It runs fewer tasks, for each takes longer; the figures are
/// per task.
const PYTHON: &str = "
import sys, time
from concurrent.futures import ThreadPoolExecutor
def task(n): return n + 1
case = sys.argv[1]
if case == 'sleepers-cold':
    t = time.perf_counter_ns()
    with ThreadPoolExecutor(1000) as pool:
        for f in [pool.submit(time.sleep, 0.01) for _ in range(20000)]: f.result()
        print(case, (time.perf_counter_ns() - t) / 1e6, sep='\\t')
    sys.exit()
with ThreadPoolExecutor(8) as pool:
    [f.result() for f in [pool.submit(task, n) for n in range(1000)]]
    N = 5000 if case == 'round-trip' else 20000
    t = time.perf_counter_ns()
    if case == 'batch-8':
        assert sum(f.result() for f in [pool.submit(task, n) for n in range(N)]) == N * (N + 1) // 2
    elif case == 'map':
        assert len(list(pool.map(task, range(N)))) == N
    elif case == 'round-trip':
        for n in range(N): assert pool.submit(task, n).result() == n + 1
    else:
        sys.exit('there is no case ' + case)
    print(case, (time.perf_counter_ns() - t) // N, sep='\\t')
";

/// Lists the cases, and what each measures.
pub(super) fn cases() -> Vec<(&'static str, &'static str)> {
    table().iter().map(|run| (run.name, run.what())).collect()
}

/// Measures the cases named, or all.
pub(super) fn run(names: &[&str]) -> anyhow::Result<Vec<Case>> {
    build()?;
    let python = is_installed("python3", "apt install python3");
    let labels = Labels::read()?;
    let mut cases = Vec::new();
    for mut run in table().into_iter().filter(|run| names.is_empty() || names.contains(&run.name)) {
        eprintln!("    {}", run.name);
        run.contenders.retain(|name| python || *name != "CPython");
        cases.extend(take_rounds(&run, &labels)?);
    }
    Ok(cases)
}

/// Builds the programs of `benches/` into a folder of their own, wherever our own build goes.
fn build() -> anyhow::Result<()> {
    check(
        cargo()
            .args(["build", "--quiet", "--release", "--manifest-path", "benches/Cargo.toml"])
            .arg("--target-dir")
            .arg(root().join("benches/target")),
    )
}

/// Takes all rounds of one run. A figure that a contender does not print is left out.
fn take_rounds(run: &Run, labels: &Labels) -> anyhow::Result<Vec<Case>> {
    let mut cases: Vec<_> = run.figures.iter().map(case).collect();
    for _ in 0..run.rounds {
        for contender in run.starts() {
            let mut command = command(run.name, contender);
            let output =
                command.output().with_context(|| format!("failed to start {command:?}"))?;
            let text = String::from_utf8_lossy(&output.stderr);
            anyhow::ensure!(
                output.status.success(),
                "{command:?} failed: {} {text}",
                output.status
            );
            for line in String::from_utf8(output.stdout)?.lines() {
                file(&mut cases, labels, contender, line)
                    .with_context(|| format!("{command:?} printed {line:?}"))?;
            }
        }
    }
    // Pools that take turns print their figures in the order of their last turn.
    let order: Vec<String> = run.contenders.iter().map(|name| labels.of(name)).collect();
    let mut cases: Vec<Case> = cases.into_iter().map(|(_, case)| case).collect();
    for case in &mut cases {
        case.contenders
            .sort_by_key(|contender| order.iter().position(|name| *name == contender.name));
    }
    Ok(cases)
}

fn case(figure: &Figure) -> (&'static str, Case) {
    let what = figure.what.to_owned();
    (figure.key, Case { what, unit: figure.unit, contenders: Vec::new() })
}

fn command(name: &str, contender: &str) -> Command {
    if contender == "CPython" {
        let mut command = Command::new("python3");
        command.args(["-c", PYTHON, name]);
        return command;
    }
    let program = if name == "queued" { "queued" } else { "silkmill-benches" };
    let mut command = Command::new(program_path(program));
    command.args([name, contender]);
    command
}

fn program_path(name: &str) -> PathBuf {
    root().join("benches/target/release").join(name)
}

/// Adds the figure of one line, a key and a figure, to its case. Where contenders take turns in one
/// process, the line has the contender between the two.
fn file(
    cases: &mut [(&'static str, Case)],
    labels: &Labels,
    contender: &str,
    line: &str,
) -> anyhow::Result<()> {
    let (key, rest) = line.split_once('\t').context("there is no tab")?;
    let (contender, figure) = rest.split_once('\t').unwrap_or((contender, rest));
    let name = labels.of(contender);
    let case = cases.iter_mut().find(|(known, _)| *known == key);
    let (_, case) = case.context("the key is not in the table")?;
    let figure = figure.parse()?;
    match case.contenders.iter_mut().find(|contender| contender.name == name) {
        Some(contender) => contender.samples.push(figure),
        None => case.contenders.push(Contender { name, samples: vec![figure] }),
    }
    Ok(())
}

/// The contenders' names as they are shown, with the versions that were built.
struct Labels {
    lock: String,
    python: String,
}

impl Labels {
    fn read() -> anyhow::Result<Self> {
        let path: &Path = &root().join("benches/Cargo.lock");
        let lock = fs::read_to_string(path).with_context(|| format!("failed to read {path:?}"))?;
        let output = Command::new("python3").arg("--version").output();
        let python = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Ok(Labels { lock, python: python.unwrap_or_default().replace("Python", "CPython") })
    }

    fn of(&self, contender: &str) -> String {
        let how = match contender {
            "silkmill" | IDEAL => return contender.to_owned(),
            "CPython" => return self.python.clone(),
            "rayon" => " par_iter",
            "rayon-core" => " spawn, oneshot",
            "threadpool" | "crossbeam-channel" => ", oneshot",
            "tokio" => " spawn_blocking",
            "blocking" => " unblock",
            _ => "",
        };
        format!("{contender} {}{how}", self.version(contender).unwrap_or("?"))
    }

    /// Reads a version from the lock file, where it is the line after the package's name.
    fn version(&self, package: &str) -> Option<&str> {
        let name = format!("name = \"{package}\"");
        let mut lines = self.lock.lines().skip_while(|line| *line != name).skip(1);
        lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
    }
}
