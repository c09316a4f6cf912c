//! Notes for `--version` what the program was built from, and for what.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What stands for the commit where there is no repository, as in a package of the source.
const UNKNOWN: &str = "unknown commit";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    // A package of the source may lie within the repository of something else.
    let is_ours = git(&here, &["rev-parse", "--show-toplevel"]).is_some_and(|top| {
        let root = here.join("../..").canonicalize();
        root.is_ok_and(|root| Path::new(&top).canonicalize().is_ok_and(|top| top == root))
    });
    let commit = is_ours.then(|| {
        for name in ["HEAD", "logs/HEAD"] {
            watch(&here, name);
        }
        git(&here, &["show", "--no-patch", "--abbrev=12", "--format=%h of %cs", "HEAD"])
    });
    let commit = commit.flatten().unwrap_or_else(|| UNKNOWN.to_owned());
    println!("cargo::rustc-env=SILKMILL_COMMIT={commit}");
    for (name, variable) in [("SILKMILL_PROFILE", "PROFILE"), ("SILKMILL_TARGET", "TARGET")] {
        println!("cargo::rustc-env={name}={}", env::var(variable).unwrap_or_default());
    }
}

/// Lets the build be run again when a file of the repository changes.
fn watch(here: &Path, name: &str) {
    let path = git(here, &["rev-parse", "--git-path", name]).map(|path| here.join(path));
    if let Some(path) = path.filter(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

fn git(here: &Path, words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).current_dir(here).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim().to_owned())
}
