//! Starts programs, and knows where: at the root of the workspace.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// Returns the root of the workspace, whatever the current directory is.
pub(crate) fn root() -> &'static Path {
    let here: &Path = env!("CARGO_MANIFEST_DIR").as_ref();
    here.parent().expect("xtask is a folder of the workspace")
}

/// Makes a command of the `cargo` that runs us, at the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command and fails unless it succeeds.
pub(crate) fn check(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("failed to start {shown}"))?;
    if !status.success() {
        bail!("{shown} failed: {status}");
    }
    Ok(())
}

/// Returns whether a program is on the path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Tells whether the tests may take long.
pub(crate) fn is_long() -> bool {
    std::env::var_os("SILKMILL_LONG").is_some_and(|value| value == "1")
}
