//! A tree of files for `silkmill replace`, the command in it, and what the command printed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::{silkmill, state};

pub(crate) fn tree(files: &[(&str, &[u8])]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), files);
    root
}

pub(crate) fn write(root: &Path, files: &[(&str, &[u8])]) {
    for (name, bytes) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

pub(crate) fn command(root: &TempDir, words: &[&str]) -> Command {
    let mut command = silkmill();
    command.arg("replace").args(words).current_dir(root).env_remove("NO_COLOR");
    command
}

pub(crate) fn replace(root: &TempDir, words: &[&str]) -> Output {
    command(root, words).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn records(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn read(root: &TempDir, name: &str) -> String {
    fs::read_to_string(root.path().join(name)).unwrap()
}

pub(crate) fn names(root: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(root).unwrap().map(Result::unwrap);
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

/// Returns whether a program is installed. Where tests must not be skipped, a missing program is a
/// failure.
pub(crate) fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    assert!(
        found || std::env::var_os("SILKMILL_REQUIRE").is_none_or(|value| value != "1"),
        "{program} is not installed"
    );
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// Runs a shell's command line, in which `$0` is the program.
pub(crate) fn shell(root: &TempDir, line: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_silkmill");
    let mut shell = Command::new("sh");
    shell.args(["-c", line, program]).current_dir(root).env("XDG_STATE_HOME", state());
    shell.output().unwrap()
}
