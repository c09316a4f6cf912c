//! The step `python`: builds the wheel, installs it into a virtual environment of its own, and runs
//! the Python tests.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

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
const LONG_TOOLS: &[&str] =
    &["dask[distributed]", "ray[data]", "arro3-core", "nanoarrow", "datafusion"];

/// Returns why the tests cannot run here, if so.
pub(crate) fn missing() -> Option<String> {
    let python = interpreter();
    let looked = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
    match Command::new(&python).args(["-c", looked]).output() {
        Ok(output) if output.status.success() => None,
        Ok(_) => {
            Some(format!("{python:?} is older, or has no venv; SILKMILL_PYTHON names another"))
        }
        Err(error) => Some(format!("failed to start {python:?}: {error}")),
    }
}

fn interpreter() -> OsString {
    std::env::var_os("SILKMILL_PYTHON").unwrap_or_else(|| "python3".into())
}

/// Runs the tests with the interpreter that `SILKMILL_PYTHON` names, or else with `python3`.
pub(crate) fn run() -> anyhow::Result<()> {
    let python = interpreter();
    let version = "import sys; print('%d.%d' % sys.version_info[:2])";
    let version = output(Command::new(&python).args(["-c", version]))?;
    let version = version.trim();
    let folder = root().join("target/python-tests").join(version);
    let inside = environment(Path::new(&python), &folder)?;
    let wheels = folder.join("wheels");
    // The other tests have compiled most of what the profile `dev` needs.
    let profile = if is_long() { "release" } else { "dev" };
    let mut build = Command::new(&inside);
    build.args(["-m", "maturin", "build", "--profile", profile, "--quiet", "--interpreter"]);
    check(build.arg(&inside).arg("--out").arg(&wheels).current_dir(root()))?;
    let mut install = Command::new(&inside);
    install.args(["-m", "pip", "install", "--quiet", "--force-reinstall", "--no-index"]);
    check(install.arg("--find-links").arg(&wheels).arg("silkmill"))?;
    check(Command::new(&inside).args(["-m", "pytest", "-q"]).current_dir(root()))
}

/// Makes the virtual environment if it is not there, with the tools. Returns its interpreter.
fn environment(python: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let inside = folder.join("bin/python");
    let tools = [TOOLS, if is_long() { LONG_TOOLS } else { &[] }].concat();
    // What was asked for the last time is there.
    let (list, wanted) = (folder.join("tools.txt"), tools.join("\n"));
    if std::fs::read_to_string(&list).is_ok_and(|there| there.starts_with(&wanted)) {
        return Ok(inside);
    }
    check(Command::new(python).args(["-m", "venv"]).arg(folder))?;
    let mut install = Command::new(&inside);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    check(install.args(&tools))?;
    std::fs::write(&list, wanted).with_context(|| format!("failed to write {list:?}"))?;
    Ok(inside)
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
    if !output.status.success() {
        anyhow::bail!("{command:?} failed: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
