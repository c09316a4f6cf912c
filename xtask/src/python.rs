//! The step `python`: builds the wheel, installs it into a virtual environment of its own, and runs
//! the Python tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::program::{check, is_long, root};

/// What the tests need beside the package: tools, and readers of Arrow.
const TOOLS: &[&str] = &[
    "maturin>=1.9.4,<2",
    "pytest",
    "pytest-timeout",
    "mypy",
    "pyarrow",
    "polars",
    "pandas",
    "duckdb",
];

/// What they need with `SILKMILL_LONG=1`: clusters, and more readers of Arrow.
const LONG_TOOLS: &[&str] = &[
    "pyright",
    "dask[distributed]",
    "ray[data]",
    "pyspark",
    "arro3-core",
    "nanoarrow",
    "datafusion",
];

/// The largest size of a wheel as users have it, in bytes.
const WHEEL_BYTES_MAX: u64 = 8_000_000;

/// Returns why the tests cannot run here, if so.
pub(crate) fn missing() -> Option<String> {
    let looked = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
    let unfit = |python: &PathBuf| match Command::new(python).args(["-c", looked]).output() {
        Ok(output) if output.status.success() => None,
        Ok(_) => {
            Some(format!("{python:?} is older, or has no venv; SILKMILL_PYTHON names another"))
        }
        Err(error) => Some(format!("failed to start {python:?}: {error}")),
    };
    interpreters().iter().find_map(unfit)
}

/// Returns the interpreters that `SILKMILL_PYTHON` names, with a ":" between them, or `python3`.
fn interpreters() -> Vec<PathBuf> {
    let named = std::env::var_os("SILKMILL_PYTHON").unwrap_or_else(|| "python3".into());
    std::env::split_paths(&named).collect()
}

/// Returns the interpreter that is measured: the first that is named.
pub(crate) fn interpreter() -> PathBuf {
    interpreters().into_iter().next().unwrap_or_else(|| "python3".into())
}

/// Runs the tests with each interpreter that `SILKMILL_PYTHON` names, or else with `python3`. What
/// takes long runs with the first alone.
pub(crate) fn run() -> anyhow::Result<()> {
    for (place, python) in interpreters().iter().enumerate() {
        run_with(python, is_long() && place == 0)?;
    }
    match is_long() {
        true => free_threaded(),
        false => Ok(()),
    }
}

/// What pyo3 would learn from an interpreter without the lock, which no registry has.
const FREE_THREADED: &str = "\
implementation=CPython
version=3.14
target_abi=CPython-free_threaded-3.14
shared=true
pointer_width=64
build_flags=Py_GIL_DISABLED
suppress_build_script_link_lines=true
";

/// Checks that the module compiles for interpreters without the lock. Nothing runs there.
fn free_threaded() -> anyhow::Result<()> {
    println!("--> free-threaded");
    let target = root().join("target/free-threaded");
    let config = target.join("pyo3.txt");
    std::fs::create_dir_all(&target).with_context(|| format!("failed to make {target:?}"))?;
    std::fs::write(&config, FREE_THREADED)
        .with_context(|| format!("failed to write {config:?}"))?;
    let mut compile = crate::program::cargo();
    compile.args(["check", "-p", "silkmill-py", "--target-dir"]).arg(target);
    check(compile.env("PYO3_CONFIG_FILE", config))
}

fn run_with(python: &Path, is_long_here: bool) -> anyhow::Result<()> {
    let version = "import sys; print('%d.%d' % sys.version_info[:2])";
    let version = output(Command::new(python).args(["-c", version]))?;
    let version = version.trim();
    let folder = root().join("target/python-tests").join(version);
    let inside = environment(python, &folder, is_long_here)?;
    let wheels = folder.join("wheels");
    // The other tests have compiled most of what the profile `dev` needs.
    let profile = if is_long() { "wheel" } else { "dev" };
    let mut build = Command::new(&inside);
    build.args(["-m", "maturin", "build", "--profile", profile, "--quiet", "--interpreter"]);
    if is_long() {
        build.args(["--compression-level", "9"]);
    }
    check(build.arg(&inside).arg("--out").arg(&wheels).current_dir(root()))?;
    if is_long() {
        small_enough(&wheels)?;
    }
    let mut install = pip(&inside);
    install.args(["install", "--quiet", "--force-reinstall", "--no-index"]);
    check(install.arg("--find-links").arg(&wheels).arg("silkmill"))?;
    let mut tests = Command::new(&inside);
    tests.args(["-m", "pytest", "-q"]).current_dir(root());
    if !is_long_here {
        tests.env_remove("SILKMILL_LONG");
    }
    check(&mut tests)
}

/// Fails if a wheel is larger than users should have to fetch.
fn small_enough(wheels: &Path) -> anyhow::Result<()> {
    for wheel in std::fs::read_dir(wheels)? {
        let wheel = wheel?;
        let bytes = wheel.metadata()?.len();
        println!("{:?} has {bytes} bytes", wheel.file_name());
        ensure!(bytes <= WHEEL_BYTES_MAX, "a wheel may have {WHEEL_BYTES_MAX} bytes");
    }
    Ok(())
}

/// Makes the virtual environment if it is not there, with the tools. Returns its interpreter.
fn environment(python: &Path, folder: &Path, is_long_here: bool) -> anyhow::Result<PathBuf> {
    let inside = folder.join("bin/python");
    let tools = [TOOLS, if is_long_here { LONG_TOOLS } else { &[] }].concat();
    // What was asked for the last time is there.
    let (list, wanted) = (folder.join("tools.txt"), tools.join("\n"));
    if std::fs::read_to_string(&list).is_ok_and(|there| there.starts_with(&wanted)) {
        return Ok(inside);
    }
    check(Command::new(python).args(["-m", "venv"]).arg(folder))?;
    let mut install = pip(&inside);
    install.args(["install", "--quiet", "--disable-pip-version-check"]);
    check(install.args(&tools))?;
    std::fs::write(&list, wanted).with_context(|| format!("failed to write {list:?}"))?;
    Ok(inside)
}

/// Makes a command of an environment's `pip`. What other folders have is not installed in there.
fn pip(inside: &Path) -> Command {
    let mut pip = Command::new(inside);
    pip.args(["-m", "pip"]).env_remove("PYTHONPATH");
    pip
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
    if !output.status.success() {
        anyhow::bail!("{command:?} failed: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
