//! Measures the Python package beside the standard library's executor, the command, and Python's
//! parsers. The programs of `python/bench` measure; this builds the module for them, and reads what
//! they print.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::scrape::pages;
use super::{Case, Contender, measure_each};
use crate::program::{cargo, check, root};
use crate::python::interpreter;

/// How many made-up pages there are where no folder of real ones is named.
const PAGES: usize = 200;
/// How often each side runs.
const ROUNDS: &str = "5";

/// The cases: name, what is measured, and the program.
const CASES: [(&str, &str, &str); 2] = [
    ("executor", "the executor beside the standard library's", "executor.py"),
    ("lists", "rows beside the command, and extract beside Python's parsers", "lists.py"),
];

/// Lists the cases, and what each measures.
pub(super) fn cases() -> Vec<(&'static str, &'static str)> {
    CASES.map(|(name, what, _)| (name, what)).into()
}

/// Measures the cases named, or all.
pub(super) fn run(names: &[&str]) -> anyhow::Result<Vec<Case>> {
    let folder = root().join("target/bench-python");
    let package = package(&folder)?;
    let pages = pages_in(&folder.join("pages"))?;
    measure_each(&CASES, names, |name, program| {
        let mut command = Command::new(interpreter());
        command.arg(root().join("python/bench").join(program));
        if name == "lists" {
            command.arg(&pages);
        }
        command.args([ROUNDS, "--samples"]).env("PYTHONPATH", python_path(&package)?);
        measure(&mut command)
    })
}

/// Builds the module as a wheel has it, and lays it beside the rest of the package.
fn package(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "-p", "silkmill-py"]);
    // maturin says the same: the interpreter has the symbols that the module leaves open.
    check(build.env("PYO3_BUILD_EXTENSION_MODULE", "1"))?;
    let package = folder.join("package");
    let _ = fs::remove_dir_all(&package);
    fs::create_dir_all(package.join("silkmill"))?;
    for entry in fs::read_dir(root().join("python/silkmill"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "py") {
            fs::copy(&path, package.join("silkmill").join(path.file_name().unwrap_or_default()))?;
        }
    }
    let built = root().join("target/release/lib_silkmill.so");
    fs::copy(&built, package.join("silkmill/_silkmill.abi3.so"))
        .with_context(|| format!("failed to copy {built:?}"))?;
    Ok(package)
}

/// Puts the package before what the environment names.
fn python_path(package: &Path) -> anyhow::Result<std::ffi::OsString> {
    let others = std::env::var_os("PYTHONPATH").unwrap_or_default();
    let others = std::env::split_paths(&others).filter(|path| !path.as_os_str().is_empty());
    Ok(std::env::join_paths(std::iter::once(package.to_owned()).chain(others))?)
}

fn pages_in(folder: &Path) -> anyhow::Result<PathBuf> {
    let _ = fs::remove_dir_all(folder);
    if pages::copy_real(folder)?.is_empty() {
        println!("{} names no folder of real pages: made up ones are read", pages::VARIABLE);
        pages::make(folder, PAGES)?;
    }
    Ok(folder.to_owned())
}

/// Runs a program that prints a line for each figure: the case, the unit, the side, the figure.
fn measure(command: &mut Command) -> anyhow::Result<Vec<Case>> {
    let shown = format!("{command:?}");
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("failed to start {shown}"))?;
    ensure!(output.status.success(), "{shown} failed: {}", output.status);
    read(&String::from_utf8_lossy(&output.stdout))
}

fn read(samples: &str) -> anyhow::Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    for line in samples.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let [what, unit, side, figure] = cells[..] else {
            anyhow::bail!("the program printed no figure, but {line:?}");
        };
        let figure: f64 = figure.parse().with_context(|| format!("no figure in {line:?}"))?;
        let unit = *UNITS.iter().find(|known| **known == unit).context("an unknown unit")?;
        let place = cases.iter().position(|case| case.what == what).unwrap_or_else(|| {
            cases.push(Case { what: what.to_owned(), unit, contenders: Vec::new() });
            cases.len() - 1
        });
        let contenders = &mut cases[place].contenders;
        match contenders.iter_mut().find(|contender| contender.name == side) {
            Some(contender) => contender.samples.push(figure),
            None => {
                contenders.push(Contender { name: side.to_owned(), samples: vec![figure] });
            }
        }
    }
    Ok(cases)
}

/// The units of the programs.
const UNITS: [&str; 3] = ["µs", "µs a row", "µs a page"];
