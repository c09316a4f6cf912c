//! `cargo xtask test`: runs every test there is, in the order in which they fail fastest.
//!
//! A test that needs a program which is not installed says that it was skipped. With
//! `SILKMILL_REQUIRE=1` it fails.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::misuse::{know_all, misuse};
use crate::program::{cargo, check, is_installed, is_long, root};
use crate::python;
use crate::signals;
use crate::subcommand::{Subcommand, list};
use crate::tidy;

pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "test",
    summary: "run every test there is, or with --fast those of the inner loop",
    help,
    run,
};

/// The word that chooses the steps of the inner loop.
const FAST: &str = "--fast";

/// How many inputs each fuzz target tries, besides its kept corpus.
const FUZZ_RUNS: &str = "20000";

/// The longest time for one fuzz target, however slow the machine is.
const FUZZ_SECONDS_MAX: &str = "60";

/// The longest input that the fuzzer makes up, in bytes.
const FUZZ_INPUT_MAX: &str = "4096";

/// What the default build does not have, and the tests do.
const FEATURES: [&str; 2] = ["--features", "silkmill-cli/postgres"];

/// One step of the test run.
struct Step {
    name: &'static str,
    /// What its success shows, for the page of help.
    what: &'static str,
    runs: Runs,
    run: fn() -> anyhow::Result<()>,
}

/// When a step runs without being named.
#[derive(Clone, Copy, PartialEq)]
enum Runs {
    Always,
    /// It takes too long for the inner loop.
    WithoutFast,
    /// The whole run has it as a part of another step.
    WithFast,
    /// It takes too long for the whole run, unless `SILKMILL_LONG=1` allows that.
    WhenLong,
}

#[rustfmt::skip]
const STEPS: [Step; 10] = {
    use Runs::*;
    [
        Step { name: "fmt", what: "rustfmt would change nothing", runs: Always, run: fmt },
        Step { name: "tidy", what: "the house rules below hold", runs: Always, run: tidy },
        Step { name: "clippy", what: "clippy warns of nothing", runs: Always, run: clippy },
        Step { name: "unit", what: "the unit tests alone", runs: WithFast, run: unit },
        Step { name: "test", what: "unit, integration and documentation tests", runs: WithoutFast, run: test },
        Step { name: "examples", what: "every example of the library runs to its end", runs: WithoutFast, run: examples },
        Step { name: "doc", what: "rustdoc warns of nothing", runs: WithoutFast, run: doc },
        Step { name: "python", what: "the Python package's tests pass", runs: WithoutFast, run: python },
        Step { name: "loom", what: "loom's models hold in every interleaving", runs: WithoutFast, run: loom },
        Step { name: "fuzz", what: "with SILKMILL_LONG=1: the fuzz targets hold for the kept and for new inputs", runs: WhenLong, run: fuzz },
    ]
};

/// Runs the steps named; or, with `--fast`, those of the inner loop; or all. Behind `tidy` the
/// words may name rules of that step instead.
fn run(words: &[&str]) -> anyhow::Result<()> {
    let is_step = |word: &&str| *word == FAST || STEPS.iter().any(|step| step.name == *word);
    if let ["tidy", rules @ ..] = words
        && !rules.iter().all(is_step)
    {
        return tidy::run(rules);
    }
    let is_chosen: Box<dyn Fn(&Step) -> bool> = match words {
        [] => Box::new(|step| match step.runs {
            Runs::Always | Runs::WithoutFast => true,
            Runs::WithFast => false,
            Runs::WhenLong => is_long(),
        }),
        [FAST] => Box::new(|step| matches!(step.runs, Runs::Always | Runs::WithFast)),
        words if words.contains(&FAST) => {
            return Err(misuse(format!("{FAST} stands alone: it is a choice of steps")));
        }
        names => {
            let mut known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            known.push(FAST);
            know_all("step", names, &known)?;
            Box::new(|step| names.contains(&step.name))
        }
    };
    signals::reset();
    let mut times = Vec::new();
    for step in STEPS.iter().filter(|step| is_chosen(step)) {
        println!("==> {}", step.name);
        let started = Instant::now();
        (step.run)().with_context(|| format!("step {} failed", step.name))?;
        times.push((step.name, started.elapsed()));
    }
    println!("\nall passed:");
    for (name, time) in &times {
        println!("  {name:<10}{:>7.1} s", time.as_secs_f64());
    }
    let total: Duration = times.iter().map(|(_, time)| *time).sum();
    println!("  {:<10}{:>7.1} s", "total", total.as_secs_f64());
    Ok(())
}

fn help() -> String {
    let steps = list(STEPS.iter().map(|step| (step.name, step.what)));
    let fast = STEPS.iter().filter(|step| matches!(step.runs, Runs::Always | Runs::WithFast));
    let fast: Vec<&str> = fast.map(|step| step.name).collect();
    let (fast, rules) = (fast.join(", "), list(tidy::rules()));
    format!("{HELP}\nsteps:\n{steps}\nsteps of {FAST}: {fast}\n\nrules of tidy:\n{rules}{HELP_END}")
}

const HELP: &str = "\
usage: cargo xtask test                   run every test there is
       cargo xtask test --fast            run the steps of the inner loop
       cargo xtask test STEP...           run some steps
       cargo xtask test tidy RULE...      check some rules of the step tidy

Runs the steps in the order in which they fail fastest, stops at the first that fails, and prints
how long each took.
";

const HELP_END: &str = "
time: about 35 minutes on two cores; with --fast about two, once dependencies are built
needs: a C compiler; for some tests strace, git, patch, nginx, PostgreSQL, a C++ compiler, and
      Python with lxml, html5lib and html5lib's tests. A test whose program is missing is
      skipped, and says so. `.ci/run` installs them all on Debian
environment:
  SILKMILL_REQUIRE=1  a test whose program is missing fails
  SILKMILL_LONG=1     what takes long runs, too: the step fuzz, every step of each sweep, more
                      kills, larger sites, CPython's own tests on our classes, clusters, and what
                      pages cost
  SILKMILL_PYTHON     the interpreter for the Python tests, instead of python3, or several with a
                      colon between them
";

fn fmt() -> anyhow::Result<()> {
    check(cargo().args(["fmt", "--all", "--check"]))?;
    for workspace in ["benches/Cargo.toml", "fuzz/Cargo.toml"] {
        check(cargo().args(["fmt", "--check", "--manifest-path", workspace]))?;
    }
    Ok(())
}

fn tidy() -> anyhow::Result<()> {
    tidy::run(&[])
}

fn clippy() -> anyhow::Result<()> {
    let mut all = cargo();
    all.args(["clippy", "--workspace", "--all-targets"]).args(FEATURES);
    check(all.args(["--", "-D", "warnings"]))?;
    // The program as most users have it.
    let mut plain = cargo();
    plain.args(["clippy", "-p", "silkmill-scrape", "-p", "silkmill-cli"]);
    check(plain.args(["--", "-D", "warnings"]))
}

/// Runs the tests that stand beside the code of the libraries and the programs.
fn unit() -> anyhow::Result<()> {
    check(cargo().args(["test", "--workspace", "--lib", "--bins"]).args(FEATURES))
}

/// Runs unit, integration and documentation tests.
fn test() -> anyhow::Result<()> {
    check(cargo().args(["test", "--workspace", "--no-fail-fast"]).args(FEATURES))
}

/// The example that ends as a program does that ^C has ended, and its exit code.
const INTERRUPTED: &str = "exit_on_interrupt";
const INTERRUPTED_CODE: i32 = 130;

/// Runs a command and fails unless it ends with `code`.
fn ends_with(code: i32, command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("failed to start {command:?}"))?;
    anyhow::ensure!(status.code() == Some(code), "{command:?} ended with {status}, not {code}");
    Ok(())
}

/// Runs every example to its end. No test reads what they print; it is for people.
fn examples() -> anyhow::Result<()> {
    let folder = root().join("crates/silkmill/examples");
    let entries = folder.read_dir().with_context(|| format!("failed to read {folder:?}"))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort_unstable();
    check(cargo().args(["build", "-p", "silkmill", "--examples"]))?;
    for name in &names {
        println!("--> {name}");
        let mut example = cargo();
        example.args(["run", "--quiet", "-p", "silkmill", "--example", name]);
        match name.as_str() {
            INTERRUPTED => ends_with(INTERRUPTED_CODE, &mut example)?,
            _ => check(&mut example)?,
        }
    }
    println!("{} examples ran", names.len());
    Ok(())
}

fn doc() -> anyhow::Result<()> {
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--document-private-items"]).args(FEATURES);
    check(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Runs loom's models in every interleaving. Assertions stay on in the optimised build: they are
/// half of what is checked.
fn loom() -> anyhow::Result<()> {
    let mut models = cargo();
    models.args(["test", "--package", "silkmill", "--lib", "--release"]);
    models.args(["--target-dir", "target/loom"]);
    check(models.env("RUSTFLAGS", "--cfg loom -C debug-assertions"))
}

/// Gives each fuzz target the kept corpus and a fixed number of new inputs, always the same ones.
///
/// libFuzzer needs the compiler's coverage counters. These flags are what `cargo fuzz` gives to a
/// nightly compiler, without the address sanitizer, which stable does not have; the code that is
/// fuzzed has no `unsafe` for it to watch.
fn fuzz() -> anyhow::Result<()> {
    if !["c++", "g++", "clang++"].into_iter().any(is_installed) {
        return missing("a C++ compiler", "the fuzzer's engine is written in C++");
    }
    let host = host()?;
    let flags = "--cfg fuzzing -C debug-assertions -C codegen-units=1 -C passes=sancov-module \
        -C llvm-args=-sanitizer-coverage-level=4 \
        -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
        -C llvm-args=-sanitizer-coverage-pc-table \
        -C llvm-args=-sanitizer-coverage-trace-compares";
    let mut build = cargo();
    // With a target named, the flags do not reach build scripts, which cannot be instrumented.
    build.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &host]);
    check(build.env("RUSTFLAGS", flags))?;
    let sources = root().join("fuzz/targets");
    let entries = sources.read_dir().with_context(|| format!("failed to read {sources:?}"))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().context("a fuzz target has a name")?;
        println!("--> {}", name.display());
        let program = root().join("fuzz/target").join(&host).join("release").join(name);
        // New inputs go to the first folder, which starts empty; the kept ones are only read.
        let found = root().join("fuzz/target/found").join(name);
        let _ = std::fs::remove_dir_all(&found);
        std::fs::create_dir_all(&found)?;
        let kept = root().join("fuzz/corpus").join(name);
        let mut target = Command::new(program);
        target.arg(format!("-runs={FUZZ_RUNS}")).arg(format!("-max_total_time={FUZZ_SECONDS_MAX}"));
        target.arg(format!("-max_len={FUZZ_INPUT_MAX}")).args(["-seed=1", "-print_final_stats=1"]);
        target.args(["-timeout=10", "-rss_limit_mb=2048", "-verbosity=0"]);
        run_quietly(target.arg(found).arg(kept).current_dir(root().join("fuzz")))?;
    }
    match is_long() {
        true => cost(),
        false => Ok(()),
    }
}

/// Measures what the pages that the fuzzer kept and found cost, and some that are made to be
/// expensive. A page may crash nothing and still cost too much. That takes a release build and an
/// idle machine.
fn cost() -> anyhow::Result<()> {
    println!("--> cost");
    let mut cost = cargo();
    cost.args(["run", "--quiet", "--release", "-p", "silkmill-scrape", "--example", "cost", "--"]);
    check(cost.args(["fuzz/corpus/document", "fuzz/target/found/document"]))
}

/// Runs a fuzz target and prints its statistics, or all its output when it failed.
fn run_quietly(target: &mut Command) -> anyhow::Result<()> {
    let output = target.output().with_context(|| format!("failed to start {target:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{target:?} failed: {}\n{said}", output.status);
    }
    for line in said.lines().filter(|line| line.starts_with("stat::")) {
        println!("{line}");
    }
    Ok(())
}

/// Returns the machine's target triple, as the compiler calls it.
fn host() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("failed to start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// Builds the Python package and runs its tests, where there is a CPython that is new enough.
fn python() -> anyhow::Result<()> {
    match python::missing() {
        Some(why) => missing("CPython 3.10 or later with venv", &why),
        None => python::run(),
    }
}

fn missing(what: &str, why: &str) -> anyhow::Result<()> {
    if std::env::var_os("SILKMILL_REQUIRE").is_some_and(|value| value == "1") {
        bail!("{what} is not installed, and SILKMILL_REQUIRE=1 asks for it: {why}");
    }
    println!("SKIPPED: {what} is not installed ({why})");
    Ok(())
}
